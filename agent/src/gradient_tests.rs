//! Three independent computations of loss, gradient and chosen actions: the native backend, libtorch, and finite
//! differences in double precision.

use market_env::ActionMask;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    Activation, AdamState, Policy, PolicyConfig, Precision, Trunk,
    backend::{
        engine::{ActionSelection, Engine, Sizes},
        native::Native,
        textbook::{self, Textbook},
        torch::Torch,
    },
    games::best_row,
    ppo::{
        distribution::MaskedCategorical,
        loss::{EpochStats, LossSettings, UpdateSettings},
        rollout::{Inputs, Rollout},
    },
};

const STEPS: usize = 40;
const LANES: usize = 16;

fn settings() -> UpdateSettings {
    UpdateSettings {
        loss: LossSettings { clip_range: 0.2, clip_range_vf: Some(0.4), ent_coef: 0.07, vf_coef: 0.5 },
        batch_size: 64,
        learning_rate: 1e-3,
        max_grad_norm: 0.5,
        weight_decay: 0.0,
        target_kl: None,
        normalize_advantage: true,
    }
}

fn sizes(steps: usize, lanes: usize) -> Sizes {
    Sizes { steps, lanes, batch: settings().batch_size, sequence: 1 }
}

/// Every combination of trunk and activation.
fn shapes(net_arch: &[usize]) -> Vec<PolicyConfig> {
    let combinations = [Trunk::Separate, Trunk::Shared]
        .into_iter()
        .flat_map(|trunk| [Activation::Tanh, Activation::Relu].map(|activation| (trunk, activation)));
    let config = |(trunk, activation)| PolicyConfig {
        net_arch: net_arch.to_vec(),
        trunk,
        activation,
        ..PolicyConfig::default()
    };
    combinations.map(config).collect()
}

/// Returns a rollout of an older policy: ratios inside and outside the trust region, forced states, every mask.
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

fn native(policy: &Policy, inputs: Inputs) -> Native {
    let sizes = Sizes { steps: STEPS, lanes: LANES, batch: 600, sequence: 1 };
    Native::new(policy, &AdamState::new(policy.params.len()), inputs, sizes)
}

fn libtorch(policy: &Policy, inputs: &Inputs, device: tch::Device, sizes: Sizes) -> Torch {
    Torch::new(policy, &AdamState::new(policy.params.len()), inputs, device, sizes).unwrap()
}

/// Returns the distance of two vectors, as a share of the norm of the second.
fn distance(ours: &[f32], theirs: &[f32]) -> f32 {
    let length = |squares: f32| squares.sqrt();
    let error = length(ours.iter().zip(theirs).map(|(a, b)| (a - b).powi(2)).sum());
    error / length(theirs.iter().map(|b| b * b).sum())
}

fn numbers(stats: &EpochStats) -> [f64; 11] {
    let EpochStats { minibatches, steps, policy_loss, value_loss, entropy_loss, approx_kl, .. } = *stats;
    let EpochStats { clip_fraction, grad_norm, entropy_norm, unforced, loss, .. } = *stats;
    let losses = [policy_loss, value_loss, entropy_loss, approx_kl, clip_fraction];
    let [a, b, c, d, e] = losses;
    [minibatches, steps, a, b, c, d, e, grad_norm, entropy_norm, unforced, loss]
}

fn assert_near(ours: &EpochStats, theirs: &EpochStats, tolerance: f64) {
    for (index, (ours, theirs)) in numbers(ours).into_iter().zip(numbers(theirs)).enumerate() {
        assert!((ours - theirs).abs() < tolerance * (1.0 + theirs.abs()), "statistic {index}: {ours} {theirs}");
    }
}

fn exported(engine: &dyn Engine, params: usize) -> (Vec<f32>, AdamState) {
    let (mut out, mut adam) = (vec![0.0; params], AdamState::new(params));
    engine.export(&mut out, &mut adam).unwrap();
    (out, adam)
}

#[test]
fn the_native_gradient_matches_finite_differences() {
    for config in shapes(&[8, 5]).into_iter().chain(shapes(&[])) {
        let policy = best_row::shaken_policy(&config);
        let (rollout, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let batch: Vec<u32> = (0..600).map(|i| (i * 7) % 640).collect();
        let mut native = native(&policy, inputs.clone());
        let gradient = native.gradient(&rollout, &batch, &settings());
        let largest = gradient.iter().fold(0.0f32, |max, g| max.max(g.abs()));
        assert!(largest > 0.01, "the gradient is too small to compare: {largest}");
        let params: Vec<f64> = policy.params.iter().map(|&p| f64::from(p)).collect();
        let mut seen = vec![vec![0.0; policy.layout.inputs]; rollout.samples()];
        let obs = rollout.obs.first(rollout.samples());
        seen.iter_mut().enumerate().for_each(|(sample, input)| inputs.write(obs, sample, input));
        let slopes = textbook::slopes(&params, |params| {
            let slow = Textbook { policy: &policy, params };
            let output = |&sample: &u32| slow.forward(sample as usize, &seen[sample as usize], &mut []);
            textbook::loss(&batch.iter().map(output).collect::<Vec<_>>(), &rollout, &settings())
        });
        for (index, (ours, slope)) in gradient.iter().zip(slopes).enumerate() {
            let error = (f64::from(*ours) - slope).abs();
            assert!(error < 1e-5 * (1.0 + f64::from(largest)), "{config:?} parameter {index}: {ours} {slope}");
        }
    }
}

#[test]
fn the_native_gradient_and_update_match_libtorch() {
    for config in shapes(&[64, 64]) {
        let policy = best_row::shaken_policy(&config);
        let (rollout, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let mut torch = libtorch(&policy, &inputs, tch::Device::Cpu, sizes(STEPS, LANES));
        let mut native = native(&policy, inputs);
        torch.load_external(&rollout);
        for batch in [(0..600).collect::<Vec<u32>>(), (300..364).collect(), vec![17]] {
            let [ours, theirs] = [&mut native as &mut dyn Engine, &mut torch]
                .map(|engine| engine.gradient(&rollout, &batch, &settings()));
            let error = distance(&ours, &theirs);
            assert!(error < 1e-5, "{config:?}, {} samples: {error}", batch.len());
        }
        let order: Vec<u32> = (0..640).rev().collect();
        let ours = native.epoch(&rollout, &order, &settings()).unwrap();
        assert_near(&ours, &torch.epoch(&rollout, &order, &settings()).unwrap(), 2e-4);
        let (ours, theirs) = (exported(&native, policy.params.len()), exported(&torch, policy.params.len()));
        let worst = ours.0.iter().zip(&theirs.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4 && ours.1.step == theirs.1.step, "{config:?}: {worst}");
    }
}

#[test]
fn both_backends_choose_the_same_actions_from_the_same_uniforms() {
    let config = PolicyConfig { net_arch: vec![32], ..PolicyConfig::default() };
    let policy = best_row::shaken_policy(&config);
    let (filled, tape) = rollout();
    let inputs = Inputs::new(&policy.spec, tape);
    let mut torch = libtorch(&policy, &inputs, tch::Device::Cpu, sizes(STEPS, LANES));
    let mut native = native(&policy, inputs.clone());
    let (mut ours, mut theirs) = (filled.clone(), filled);
    let params: Vec<f64> = policy.params.iter().map(|&p| f64::from(p)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut input = vec![0.0; policy.layout.inputs];
    for time in 0..STEPS {
        let uniforms: Vec<f64> = (0..LANES).map(|_| rng.random()).collect();
        let selection = if time % 4 == 3 { ActionSelection::Greedy } else { ActionSelection::Sampled(&uniforms) };
        native.act(&mut ours, time, selection).unwrap();
        torch.act(&mut theirs, time, selection).unwrap();
        for (lane, &uniform) in uniforms.iter().enumerate() {
            let sample = time * LANES + lane;
            inputs.write(ours.obs.at(time), lane, &mut input);
            let logits = Textbook { policy: &policy, params: &params }.forward(sample, &input, &mut []).logits;
            let logits: Vec<f32> = logits.into_iter().map(|logit| logit as f32).collect();
            let slow = MaskedCategorical::new(&logits, ours.obs.at(time).mask[lane]);
            // Rounding may decide where a uniform nearly meets a boundary of the CDF.
            let decided = slow.sample((uniform - 1e-5).max(0.0)) == slow.sample(uniform + 1e-5);
            if decided || matches!(selection, ActionSelection::Greedy) {
                let expected = match selection {
                    ActionSelection::Greedy => slow.greedy(),
                    ActionSelection::Sampled(_) => slow.sample(uniform),
                };
                assert_eq!([ours.action[sample], theirs.action[sample]], [expected; 2], "step {time}, lane {lane}");
            }
        }
    }
    native.finish_rollout(&mut ours).unwrap();
    torch.finish_rollout(&mut theirs).unwrap();
    for (ours, theirs) in [(&ours.log_prob, &theirs.log_prob), (&ours.value, &theirs.value)] {
        assert!(distance(ours, theirs) < 1e-5, "{}", distance(ours, theirs));
    }
}

#[test]
fn bfloat16_follows_single_precision() {
    let config = PolicyConfig { net_arch: vec![64, 64], ..PolicyConfig::default() };
    let (rollout, tape) = rollout();
    let batch: Vec<u32> = (0..600).collect();
    let [exact, rough] = [Precision::F32, Precision::Bf16].map(|precision| {
        let policy = best_row::shaken_policy(&config).with_precision(precision);
        let inputs = Inputs::new(&policy.spec, tape.clone());
        let mut torch = libtorch(&policy, &inputs, tch::Device::Cpu, sizes(STEPS, LANES));
        torch.load_external(&rollout);
        torch.gradient(&rollout, &batch, &settings())
    });
    let error = distance(&rough, &exact);
    assert!(error > 1e-4 && error < 0.05, "rougher, but the same gradient: {error}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn a_gpu_computes_what_the_cpu_computes() {
    if tch::Cuda::device_count() == 0 {
        eprintln!("skipped: libtorch sees no GPU");
        return;
    }
    for config in shapes(&[64, 64]) {
        let policy = best_row::shaken_policy(&config);
        let (rollout, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let order: Vec<u32> = (0..640).rev().collect();
        let [cpu, gpu] = [tch::Device::Cpu, tch::Device::Cuda(0)].map(|device| {
            let mut torch = libtorch(&policy, &inputs, device, sizes(STEPS, LANES));
            torch.load_external(&rollout);
            let gradient = torch.gradient(&rollout, &order, &settings());
            let stats = torch.epoch(&rollout, &order, &settings()).unwrap();
            let mut acted = rollout.clone();
            (0..STEPS).for_each(|time| torch.act(&mut acted, time, ActionSelection::Greedy).unwrap());
            torch.finish_rollout(&mut acted).unwrap();
            (gradient, stats, exported(&torch, policy.params.len()).0, acted)
        });
        assert!(distance(&gpu.0, &cpu.0) < 1e-4, "gradients of {config:?}");
        assert_near(&gpu.1, &cpu.1, 1e-3);
        assert!(distance(&gpu.2, &cpu.2) < 1e-3, "parameters of {config:?}");
        assert!(distance(&gpu.3.value, &cpu.3.value) < 1e-3, "values of {config:?}");
        let same = gpu.3.action.iter().zip(&cpu.3.action).filter(|(a, b)| a == b).count();
        assert!(same * 100 > cpu.3.action.len() * 99, "{same} equal actions of {config:?}");
    }
}
