//! The native gradient of the whole loss against two independent judges: differences in double precision, and libtorch.

use market_env::ActionMask;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    AdamState, Normalizer, Policy, PolicyConfig,
    backend::Engine,
    layout::Net,
    loss::{LossSettings, UpdateSettings},
    native::Native,
    rollout::{Inputs, Rollout},
    torch::Torch,
    toy,
};

const STEPS: usize = 40;
const LANES: usize = 16;

fn settings() -> UpdateSettings {
    UpdateSettings {
        loss: LossSettings { clip_range: 0.2, clip_range_vf: Some(0.4), ent_coef: 0.07, vf_coef: 0.5 },
        batch_size: 64,
        learning_rate: 1e-3,
        max_grad_norm: 0.5,
        target_kl: None,
        normalize_advantage: true,
    }
}

fn policy(net_arch: Vec<usize>) -> Policy {
    let config = PolicyConfig { net_arch, ..PolicyConfig::default() };
    let mut policy = Policy::new(&toy::spec(), &config, Normalizer::identity(3), 1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    policy.params.iter_mut().for_each(|p| *p += rng.random_range(-0.3..0.3));
    policy
}

/// A rollout of an older policy: ratios inside and outside the trust region, forced states, every mask.
fn rollout() -> (Rollout, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let tape: Vec<f32> = (0..90).map(|_| rng.random_range(-2.0..2.0)).collect();
    let mut rollout = Rollout::new(STEPS, LANES, 1);
    for time in 0..=STEPS {
        let out = rollout.obs.out(time);
        for lane in 0..LANES {
            out.row[lane] = rng.random_range(1..30);
            out.account[lane] = rng.random_range(-1.0..1.0);
            out.mask[lane] = [ActionMask(1), ActionMask(7), ActionMask(9), ActionMask(15)][rng.random_range(0..4)];
        }
    }
    let masks = rollout.obs.first(rollout.samples()).mask.to_vec();
    for (sample, mask) in masks.into_iter().enumerate() {
        let legal: Vec<u8> = (0..4).filter(|&action| mask.allows(action)).collect();
        rollout.action[sample] = legal[rng.random_range(0..legal.len())];
        let likely = -(legal.len() as f32).ln();
        rollout.log_prob[sample] = if mask.is_forced() { 0.0 } else { likely + rng.random_range(-0.3..0.3) };
        rollout.value[sample] = rng.random_range(-0.5..0.5);
        rollout.advantage[sample] = rng.random_range(-1.0..2.0);
        rollout.target[sample] = rng.random_range(-1.0..1.0);
    }
    (rollout, tape)
}

fn slow_network(net: &Net, params: &[f64], input: Vec<f64>) -> Vec<f64> {
    let last = net.layers.len() - 1;
    net.layers.iter().enumerate().fold(input, |x, (index, layer)| {
        let rows = params[layer.weight()].chunks(layer.inputs).zip(&params[layer.bias()]);
        let sums = rows.map(|(row, bias)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias);
        sums.map(|sum| if index < last { sum.tanh() } else { sum }).collect()
    })
}

/// The loss as the paper writes it, one sample after the other, in double precision.
fn slow_loss(policy: &Policy, params: &[f64], rollout: &Rollout, inputs: &Inputs, batch: &[u32]) -> f64 {
    let UpdateSettings { loss: settings, .. } = settings();
    let (clip, count) = (f64::from(settings.clip_range), batch.len() as f64);
    let advantages: Vec<f64> = batch.iter().map(|&i| f64::from(rollout.advantage[i as usize])).collect();
    let mean = advantages.iter().sum::<f64>() / count;
    let deviation = (advantages.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let mut total = 0.0;
    for (&i, advantage) in batch.iter().zip(&advantages) {
        let i = i as usize;
        let obs = rollout.obs.first(rollout.samples());
        let mut input = vec![0.0f32; policy.layout.inputs];
        inputs.write(obs, i, &mut input);
        let input: Vec<f64> = input.into_iter().map(f64::from).collect();
        let logits = slow_network(&policy.layout.actor, params, input.clone());
        let value = slow_network(&policy.layout.critic, params, input)[0];
        let legal: Vec<usize> = (0..4).filter(|&a| obs.mask[i].allows(a as u8)).collect();
        let sum: f64 = legal.iter().map(|&a| logits[a].exp()).sum();
        let prob = |a: usize| logits[a].exp() / sum;
        let ratio = prob(usize::from(rollout.action[i])) / f64::from(rollout.log_prob[i]).exp();
        let advantage = (advantage - mean) / (deviation + 1e-8);
        let surrogate = (ratio * advantage).min(ratio.clamp(1.0 - clip, 1.0 + clip) * advantage);
        let entropy: f64 = legal.iter().map(|&a| -prob(a) * prob(a).ln()).sum();
        let (old, range) = (f64::from(rollout.value[i]), f64::from(settings.clip_range_vf.unwrap()));
        let error = old + (value - old).clamp(-range, range) - f64::from(rollout.target[i]);
        let (ent_coef, vf_coef) = (f64::from(settings.ent_coef), f64::from(settings.vf_coef));
        total += -surrogate - ent_coef * entropy + vf_coef * error * error;
    }
    total / count
}

#[test]
fn the_native_gradient_matches_finite_differences() {
    let policy = policy(vec![8, 5]);
    let (rollout, tape) = rollout();
    let inputs = Inputs::new(&policy.spec, tape);
    let batch: Vec<u32> = (0..600).map(|i| (i * 7) % 640).collect();
    let mut native = Native::new(&policy, &AdamState::new(policy.params.len()), inputs.clone(), LANES, 600);
    let (gradient, _) = native.gradient(&rollout, &batch, &settings());
    let params: Vec<f64> = policy.params.iter().map(|&p| f64::from(p)).collect();
    let largest = gradient.iter().fold(0.0f32, |max, g| max.max(g.abs()));
    assert!(largest > 0.01, "the test must have something to compare: {largest}");
    for index in 0..params.len() {
        let shifted = |by: f64| {
            let mut params = params.clone();
            params[index] += by;
            slow_loss(&policy, &params, &rollout, &inputs, &batch)
        };
        let slope = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
        let ours = f64::from(gradient[index]);
        assert!((ours - slope).abs() < 1e-5 * (1.0 + f64::from(largest)), "parameter {index}: {ours} {slope}");
    }
}

#[test]
fn the_native_gradient_and_update_match_libtorch() {
    let policy = policy(vec![64, 64]);
    let (rollout, tape) = rollout();
    let inputs = Inputs::new(&policy.spec, tape);
    let adam = AdamState::new(policy.params.len());
    let mut torch = Torch::new(&policy, &adam, &inputs, tch::Device::Cpu).unwrap();
    let mut native = Native::new(&policy, &adam, inputs, LANES, 600);
    torch.load(&rollout).unwrap();
    for batch in [(0..600).collect::<Vec<u32>>(), (300..364).collect(), vec![17]] {
        let (ours, theirs) = (native.gradient(&rollout, &batch, &settings()).0, torch.gradient(&batch, &settings()));
        let size = theirs.iter().map(|g| g * g).sum::<f32>().sqrt();
        let error = ours.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        assert!(error / size < 1e-5, "{} samples: {error} of {size}", batch.len());
    }
    let order: Vec<u32> = (0..640).rev().collect();
    let ours = native.epoch(&rollout, &order, &settings()).unwrap();
    let theirs = torch.epoch(&rollout, &order, &settings()).unwrap();
    let pairs = [
        (ours.policy_loss, theirs.policy_loss),
        (ours.value_loss, theirs.value_loss),
        (ours.entropy_loss, theirs.entropy_loss),
        (ours.approx_kl, theirs.approx_kl),
        (ours.clip_fraction, theirs.clip_fraction),
        (ours.entropy_norm, theirs.entropy_norm),
        (ours.unforced, theirs.unforced),
        (ours.grad_norm, theirs.grad_norm),
        (ours.loss, theirs.loss),
        (ours.steps, theirs.steps),
    ];
    for (index, (ours, theirs)) in pairs.into_iter().enumerate() {
        assert!((ours - theirs).abs() < 2e-4 * (1.0 + theirs.abs()), "statistic {index}: {ours} {theirs}");
    }
    let (mut a, mut b) = (policy.params.clone(), policy.params.clone());
    let (mut adam_a, mut adam_b) = (adam.clone(), adam);
    native.export(&mut a, &mut adam_a).unwrap();
    torch.export(&mut b, &mut adam_b).unwrap();
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4 && adam_a.step == adam_b.step, "{worst}");
}
