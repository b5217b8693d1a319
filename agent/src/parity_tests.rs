//! Parity with Stable-Baselines3, sb3-contrib and PyTorch on the same tensors.
//!
//! The arrays are written and documented by `tests/reference/arrays.py`. Both sides compute in single precision but sum
//! in different orders, so each tolerance is a small multiple of the rounding of one operation (6e-8 of its operands).

use market_env::{ActionMask, ObsSpec};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use statistics::GoodnessOfFit;

use crate::{
    AdamState, Normalizer, Policy, PolicyConfig,
    backend::{
        engine::{ActionSelection, Engine, Sizes},
        native::Native,
        torch::Torch,
    },
    ppo::{
        advantage::{Returns, generalized_advantage},
        distribution::MaskedCategorical,
        loss::{
            Decision, EpochStats, LossSettings, LossSums, UpdateSettings, advantage_moments, policy_terms, value_terms,
        },
        rollout::{Inputs, Rollout},
    },
};

const FILE: &[u8] = include_bytes!("../../tests/reference/arrays.safetensors");

const STEPS: usize = 32;
const LANES: usize = 4;
const SAMPLES: usize = STEPS * LANES;
const INPUTS: usize = 7;
const ACTIONS: usize = 5;
const HIDDEN: [usize; 2] = [16, 8];
/// Runs whose only minibatch is the whole rollout: with masks, with a value clip as well, and without masks.
const MINIBATCHES: [(&str, &str); 3] = [("masked", "minibatch"), ("masked", "minibatch_vf"), ("plain", "minibatch")];

/// Reference arrays under one name prefix.
pub(crate) struct Section {
    file: SafeTensors<'static>,
    prefix: String,
}

impl Section {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { file: SafeTensors::deserialize(FILE).unwrap(), prefix: prefix.to_owned() }
    }

    fn run(&self, name: &str) -> Self {
        Self::new(&format!("{}.{name}", self.prefix))
    }

    fn view(&self, name: &str) -> TensorView<'_> {
        self.file.tensor(&format!("{}.{name}", self.prefix)).unwrap()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let view = self.view(name);
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// Returns numbers in double precision, from any type in the file.
    fn numbers(&self, name: &str) -> Vec<f64> {
        let view = self.view(name);
        match view.dtype() {
            Dtype::F64 => view.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
            Dtype::I64 => view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
            other => panic!("{name} holds {other:?}"),
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.numbers(name)[0]
    }

    fn optional(&self, name: &str) -> Option<f64> {
        self.file.tensor(&format!("{}.{name}", self.prefix)).is_ok().then(|| self.number(name))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        assert!(matches!(self.view(name).dtype(), Dtype::U8 | Dtype::BOOL), "{name}");
        self.view(name).data().to_vec()
    }

    fn flags(&self, name: &str) -> Vec<bool> {
        self.bytes(name).into_iter().map(|byte| byte != 0).collect()
    }

    fn masks(&self, actions: usize) -> Vec<ActionMask> {
        let of_row = |row: &[bool]| {
            let legal: Vec<u8> = (0..).zip(row).filter(|&(_, &legal)| legal).map(|(action, _)| action).collect();
            ActionMask::of(&legal)
        };
        self.flags("mask").chunks(actions).map(of_row).collect()
    }

    /// Returns the rollout collected by the reference; advantages and targets are computed here.
    fn rollout(&self) -> Rollout {
        let mut rollout = Rollout::new(STEPS, LANES, INPUTS);
        let obs = self.floats("obs");
        let mut masks = self.masks(ACTIONS);
        masks.extend([ActionMask::of(&[0]); LANES]);
        for (time, (account, mask)) in obs.chunks(LANES * INPUTS).zip(masks.chunks(LANES)).enumerate() {
            let out = rollout.obs.out(time);
            out.account.copy_from_slice(account);
            out.mask.copy_from_slice(mask);
        }
        rollout.action = self.bytes("action");
        rollout.log_prob = self.floats("log_prob");
        rollout.value = self.floats("value");
        rollout.reward = self.floats("reward");
        rollout.terminated = self.flags("terminated");
        rollout.truncated = self.flags("truncated");
        rollout.last_value = self.floats("last_value");
        let run = self.run("update");
        rollout.compute_advantages(run.number("gamma"), run.number("gae_lambda"));
        rollout
    }

    fn settings(&self) -> UpdateSettings {
        UpdateSettings {
            loss: LossSettings {
                clip_range: self.number("clip_range") as f32,
                clip_range_vf: self.optional("clip_range_vf").map(|clip| clip as f32),
                ent_coef: self.number("ent_coef") as f32,
                vf_coef: self.number("vf_coef") as f32,
            },
            batch_size: self.number("batch_size") as usize,
            learning_rate: self.number("learning_rate"),
            max_grad_norm: self.number("max_grad_norm"),
            weight_decay: 0.0,
            target_kl: self.optional("target_kl"),
            normalize_advantage: true,
        }
    }

    /// Returns the shuffled sample numbers of every pass.
    fn orders(&self) -> Vec<Vec<u32>> {
        let orders = self.bytes("order");
        orders.chunks(SAMPLES).map(|order| order.iter().map(|&sample| u32::from(sample)).collect()).collect()
    }
}

/// Returns a policy with the parameters of the reference, on account columns only.
fn policy(params: Vec<f32>) -> Policy {
    let names = |count: usize| (0..count).map(|index| index.to_string()).collect();
    let spec = ObsSpec { features: vec![], frames: 1, account: names(INPUTS), actions: names(ACTIONS) };
    let config = PolicyConfig { net_arch: HIDDEN.to_vec(), ..PolicyConfig::default() };
    let policy = Policy::new(&spec, &config, Normalizer::identity(0), 1).unwrap();
    assert_eq!(policy.params.len(), params.len());
    Policy { params, ..policy }
}

fn native(policy: &Policy) -> Native {
    let inputs = Inputs::new(&policy.spec, vec![]);
    let sizes = Sizes { steps: STEPS, lanes: LANES, batch: SAMPLES, sequence: 1 };
    Native::new(policy, &AdamState::new(policy.params.len()), inputs, sizes)
}

fn torch(policy: &Policy) -> Torch {
    let inputs = Inputs::new(&policy.spec, vec![]);
    let sizes = Sizes { steps: STEPS, lanes: LANES, batch: SAMPLES, sequence: 1 };
    Torch::new(policy, &AdamState::new(policy.params.len()), &inputs, tch::Device::Cpu, sizes).unwrap()
}

/// Returns both backends before their first step.
fn engines(policy: &Policy) -> [(&'static str, Box<dyn Engine>); 2] {
    [("native", Box::new(native(policy))), ("libtorch", Box::new(torch(policy)))]
}

/// Returns the gradient of the first minibatch of a run by both backends.
fn gradients(policy: &Policy, rollout: &Rollout, run: &Section) -> [(&'static str, Vec<f32>); 2] {
    let (mut native, mut torch) = (native(policy), torch(policy));
    let (settings, order) = (run.settings(), run.orders().swap_remove(0));
    let batch = &order[..settings.batch_size];
    torch.load_external(rollout);
    let by_native = native.gradient(rollout, batch, &settings);
    [("native", by_native), ("libtorch", torch.gradient(rollout, batch, &settings))]
}

/// Fails when an element differs by more than `tolerance` of the largest one.
pub(crate) fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let off = ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs() / largest);
    let (index, worst) = off.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(worst <= tolerance, "{what}: element {index} is off by {worst:.1e} of {largest}");
}

/// Fails when a statistic differs from the logged one of this name by more than the rounding of terms of order one.
fn assert_logged(run: &Section, engine: &str, name: &str, ours: f64) {
    let theirs = run.number(name);
    let what = format!("{engine} {}.{name}", run.prefix);
    assert!((ours - theirs).abs() <= 3e-7 * theirs.abs().max(1.0), "{what} is {ours} instead of {theirs}");
}

#[test]
fn advantages_and_targets_match_the_rollout_buffer() {
    for section in ["masked", "plain"].map(Section::new) {
        let (terminated, truncated) = (section.flags("terminated"), section.flags("truncated"));
        let ends = |flags: &[bool]| flags.iter().filter(|&&end| end).count();
        assert!(ends(&terminated) > 5 && ends(&truncated) > 5, "both kinds of end must be there");
        let (value, run) = (section.floats("value"), section.run("update"));
        let returns = Returns {
            lanes: LANES,
            reward: &section.floats("reward"),
            value: &value,
            terminated: &terminated,
            truncated: &truncated,
            last_value: &section.floats("last_value"),
        };
        let mut advantage = [0.0; SAMPLES];
        generalized_advantage(returns, run.number("gamma"), run.number("gae_lambda"), &mut advantage);
        // The libraries fold the bootstrap value into the reward at a truncation, which rounds once more.
        assert_close("advantages", &advantage, &section.floats("advantage"), 1e-6);
        assert_close("targets", &section.rollout().target, &section.floats("target"), 1e-6);
    }
}

#[test]
fn the_masked_distribution_matches_sb3_contrib() {
    const WIDTH: usize = 6;
    let section = Section::new("categorical");
    let (masks, logits) = (section.masks(WIDTH), section.floats("logits"));
    let (log_prob, prob) = (section.floats("log_prob"), section.floats("prob"));
    let (entropy, mode) = (section.floats("entropy"), section.bytes("mode"));
    assert!(masks.iter().filter(|mask| mask.is_forced()).count() >= 6, "forced states must be there");
    for (row, (logits, &mask)) in logits.chunks(WIDTH).zip(&masks).enumerate() {
        let ours = MaskedCategorical::new(logits, mask);
        // The library normalises before it masks: a large illegal logit increases the rounding of the legal ones.
        let tolerance = 1e-6 + 2.0 * f32::EPSILON * logits.iter().fold(0.0f32, |max, logit| max.max(logit.abs()));
        let close = |what: &str, ours: f32, theirs: f32| {
            assert!((ours - theirs).abs() <= tolerance, "{what} of row {row}: {ours} instead of {theirs}");
        };
        for action in 0..WIDTH {
            close("probability", ours.prob()[action], prob[row * WIDTH + action]);
            if mask.allows(action as u8) {
                close("log-probability", ours.log_prob(action as u8), log_prob[row * WIDTH + action]);
            }
        }
        close("entropy", ours.entropy(), entropy[row]);
        assert_eq!(ours.greedy(), mode[row], "mode of row {row}");
    }
}

/// Returns the output of a tanh network in double precision, and the parameters after its own.
fn network<'a>(mut params: &'a [f32], sizes: [usize; 4], input: &[f32]) -> (Vec<f32>, &'a [f32]) {
    let mut x: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
    for (index, (&inputs, &outputs)) in sizes.iter().zip(&sizes[1..]).enumerate() {
        let (weight, rest) = params.split_at(outputs * inputs);
        let (bias, rest) = rest.split_at(outputs);
        let dot = |row: &[f32]| row.iter().zip(&x).map(|(&w, x)| f64::from(w) * x).sum::<f64>();
        let sums = weight.chunks(inputs).zip(bias).map(|(row, &bias)| dot(row) + f64::from(bias));
        x = sums.map(|sum| if index < HIDDEN.len() { sum.tanh() } else { sum }).collect();
        params = rest;
    }
    (x.into_iter().map(|x| x as f32).collect(), params)
}

/// Returns the losses of all samples as one minibatch, and the summed gradients with respect to logits and value.
fn terms(rollout: &Rollout, params: &[f32], settings: &LossSettings) -> (LossSums, [f32; ACTIONS], f32) {
    let ([first, second], obs) = (HIDDEN, rollout.obs.first(SAMPLES));
    let batch: Vec<u32> = (0..SAMPLES as u32).collect();
    let (mean, inverse) = advantage_moments(&rollout.advantage, &batch, true);
    let scale = 1.0 / SAMPLES as f32;
    let (mut sums, mut by_logits, mut by_value) = (LossSums::default(), [0.0; ACTIONS], 0.0);
    for (i, input) in obs.account.chunks(INPUTS).enumerate() {
        let (logits, critic) = network(params, [INPUTS, first, second, ACTIONS], input);
        let value = network(critic, [INPUTS, first, second, 1], input).0[0];
        let advantage = (rollout.advantage[i] - mean) * inverse;
        let decision =
            Decision { mask: obs.mask[i], action: rollout.action[i], log_prob: rollout.log_prob[i], advantage };
        let mut gradient = [0.0; ACTIONS];
        sums.add(&policy_terms(&logits, decision, settings, scale, &mut gradient));
        by_logits.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        let (error, slope) = value_terms(value, rollout.value[i], rollout.target[i], settings, scale);
        sums.value += error;
        by_value += slope;
    }
    (sums, by_logits, by_value)
}

#[test]
fn loss_terms_and_their_gradients_match_train() {
    for (section, name) in MINIBATCHES {
        let section = Section::new(section);
        let (run, params) = (section.run(name), section.floats("before"));
        let settings = run.settings().loss;
        let (sums, by_logits, by_value) = terms(&section.rollout(), &params, &settings);
        let mut stats = EpochStats::default();
        stats.add(&sums, SAMPLES, &settings);
        assert_statistics(&run, "terms", &stats);
        // The bias gradient of an output layer is the sum over samples of the gradient with respect to the output.
        let gradient = run.floats("gradient");
        let critic = params.len() - network(&params, [INPUTS, HIDDEN[0], HIDDEN[1], ACTIONS], &[0.0; INPUTS]).1.len();
        assert_close("gradient by the logits", &by_logits, &gradient[critic - ACTIONS..critic], 5e-6);
        assert_close("gradient by the value", &[by_value], &gradient[params.len() - 1..], 5e-6);
    }
}

/// Compares the statistics of an update.
fn assert_statistics(run: &Section, engine: &str, stats: &EpochStats) {
    let logged = [
        ("policy_gradient_loss", stats.policy_loss / stats.minibatches),
        ("value_loss", stats.value_loss / stats.minibatches),
        ("entropy_loss", stats.entropy_loss / stats.minibatches),
        ("clip_fraction", stats.clip_fraction / stats.minibatches),
        ("approx_kl", stats.approx_kl),
        ("loss", stats.loss),
    ];
    logged.into_iter().for_each(|(name, ours)| assert_logged(run, engine, name, ours));
}

#[test]
fn one_step_of_adam_matches_pytorch() {
    let section = Section::new("masked");
    let (run, mut params) = (section.run("minibatch"), section.floats("before"));
    let mut adam = AdamState::new(params.len());
    adam.step(&mut params, &run.floats("gradient"), 1.0, (run.number("learning_rate"), 0.0));
    assert_close("parameters", &params, &run.floats("after"), 1e-7);
    assert_close("first moments", &adam.m, &run.floats("adam_m"), 1e-7);
    assert_close("second moments", &adam.v, &run.floats("adam_v"), 1e-7);
}

/// Collects the rollout again, with the values of the engine and the log-probabilities of its greedy actions.
fn collect(engine: &mut dyn Engine, recorded: &Rollout, last_obs: &[f32]) -> Rollout {
    let mut rollout = recorded.clone();
    for (time, account) in last_obs.chunks(LANES * INPUTS).enumerate() {
        engine.act(&mut rollout, time, ActionSelection::Greedy).unwrap();
        rollout.last.out(0).account.copy_from_slice(account);
        engine.bootstrap(&mut rollout, time).unwrap();
    }
    engine.finish_rollout(&mut rollout).unwrap();
    rollout
}

#[test]
fn values_and_log_probabilities_match_collect_rollouts() {
    for section in ["masked", "plain"].map(Section::new) {
        let (recorded, policy) = (section.rollout(), policy(section.floats("collecting")));
        for (engine, mut backend) in engines(&policy) {
            let found = collect(backend.as_mut(), &recorded, &section.floats("last_obs"));
            let what = |array: &str| format!("{engine} {array} of {}", section.prefix);
            assert_close(&what("values"), &found.value, &recorded.value, 2e-6);
            let pick = |data: &[f32], chosen: &dyn Fn(usize) -> bool| -> Vec<f32> {
                (0..SAMPLES).filter(|&sample| chosen(sample)).map(|sample| data[sample]).collect()
            };
            let cut = |sample: usize| recorded.truncated[sample];
            let (ours, theirs) = (pick(&found.last_value, &cut), pick(&recorded.last_value, &cut));
            assert_close(&what("values at truncations"), &ours, &theirs, 2e-6);
            let same = |sample: usize| found.action[sample] == recorded.action[sample];
            let (ours, theirs) = (pick(&found.log_prob, &same), pick(&recorded.log_prob, &same));
            assert!(ours.len() > SAMPLES / 4, "{} equal actions are too few", ours.len());
            assert_close(&what("log-probabilities"), &ours, &theirs, 2e-6);
        }
    }
}

#[test]
fn gradients_match_train() {
    for (section, name) in MINIBATCHES {
        let section = Section::new(section);
        let (run, policy) = (section.run(name), policy(section.floats("before")));
        for (engine, gradient) in gradients(&policy, &section.rollout(), &run) {
            assert_close(&format!("{engine} gradient of {}", run.prefix), &gradient, &run.floats("gradient"), 5e-6);
        }
    }
}

/// Runs a whole update until the KL divergence stops it; returns its statistics and the passes begun.
fn update(engine: &mut dyn Engine, rollout: &Rollout, run: &Section) -> (EpochStats, usize) {
    let (settings, mut stats, mut passes) = (run.settings(), EpochStats::default(), 0);
    engine.load_external(rollout);
    for order in run.orders() {
        stats.append(&engine.epoch(rollout, &order, &settings).unwrap());
        passes += 1;
        if stats.stopped {
            break;
        }
    }
    (stats, passes)
}

#[test]
fn whole_updates_match_train() {
    for (section, name) in [("masked", "update"), ("masked", "stopped"), ("plain", "update")] {
        let section = Section::new(section);
        let (run, rollout, policy) = (section.run(name), section.rollout(), policy(section.floats("before")));
        for (engine, mut backend) in engines(&policy) {
            let what = |array: &str| format!("{engine} {array} after {}", run.prefix);
            let (stats, passes) = update(backend.as_mut(), &rollout, &run);
            assert_statistics(&run, engine, &stats);
            assert_logged(&run, engine, "n_updates", passes as f64);
            let norms = run.numbers("grad_norm");
            assert_eq!(stats.steps, norms.len() as f64, "{}", what("steps"));
            let (ours, theirs) = (stats.grad_norm, norms.iter().sum::<f64>());
            assert!((ours - theirs).abs() < 1e-6 * theirs, "{} are {ours} instead of {theirs}", what("summed norms"));

            let (mut params, mut adam) = (vec![0.0; policy.params.len()], AdamState::new(policy.params.len()));
            backend.export(&mut params, &mut adam).unwrap();
            assert_eq!(adam.step, norms.len() as u64, "{}", what("steps of Adam"));
            assert_close(&what("parameters"), &params, &run.floats("after"), 1e-6);
            assert_close(&what("first moments"), &adam.m, &run.floats("adam_m"), 5e-6);
            assert_close(&what("second moments"), &adam.v, &run.floats("adam_v"), 5e-6);
        }
        let pairs = rollout.value.iter().copied().zip(rollout.target.iter().copied());
        let explained_variance = GoodnessOfFit::of(pairs).unwrap().explained_variance;
        assert_logged(&run, "trainer", "explained_variance", explained_variance);
    }
}
