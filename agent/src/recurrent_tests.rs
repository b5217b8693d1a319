//! Recurrent policies: parity of cells, resets at episode starts, sequences that continue from stored states, bit-exact
//! resumption, and tasks that need memory.

use market_env::{ActionMask, VecEnv};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    Backend, Behaviour, Checkpoint, DeviceChoice, EntropySchedule, Iteration, ModelFile, Normalizer, Policy,
    PolicyConfig, PolicyKind, PpoConfig, Schedule, Trainer, Trunk,
    backend::{
        BUILT,
        engine::{ActionSelection, Engine, Sizes},
        engine_on,
        textbook::{self, Textbook},
    },
    evaluate,
    games::{
        best_row::{self, BestRow},
        cue::Cue,
    },
    ppo::{
        loss::{LossSettings, UpdateSettings},
        rollout::{Inputs, Rollout},
    },
};

const STEPS: usize = 12;
const LANES: usize = 3;
const LENGTH: usize = 4;
const KINDS: [PolicyKind; 2] = [PolicyKind::Lstm, PolicyKind::Gru];

/// Returns policies of every backend, cell and trunk, with hidden layers and without; 17 units fill more than one vector.
fn policies() -> Vec<Policy> {
    let shapes = KINDS.into_iter().flat_map(|kind| [(kind, Trunk::Separate), (kind, Trunk::Shared)]);
    let sizes = shapes.flat_map(|shape| [(shape, 5, vec![6]), (shape, 17, vec![])]);
    let all = sizes.flat_map(|size| BUILT.iter().map(move |&backend| (backend, size.clone())));
    let policy = |(backend, ((kind, trunk), recurrent_size, net_arch))| {
        let config = PolicyConfig { kind, trunk, recurrent_size, net_arch, backend, ..PolicyConfig::default() };
        best_row::shaken_policy(&config)
    };
    all.map(policy).collect()
}

/// Returns a rollout of observations, with episodes that begin and end inside sequences, and without decisions.
fn rollout() -> (Rollout, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let tape: Vec<f32> = (0..90).map(|_| rng.random_range(-2.0..2.0)).collect();
    let mut rollout = Rollout::new(STEPS, LANES, 1);
    let mut observe = |out: market_env::ObsOut<'_>| {
        for lane in 0..LANES {
            out.row[lane] = rng.random_range(1..30);
            out.account[lane] = rng.random_range(-1.0..1.0);
            out.mask[lane] = [ActionMask(7), ActionMask(9), ActionMask(15)][rng.random_range(0..3)];
        }
    };
    (0..=STEPS).for_each(|time| observe(rollout.obs.out(time)));
    observe(rollout.last.out(0));
    rollout.start.fill(false);
    // Episode starts at the first step, inside a sequence, at its start, twice in one, and after the last step.
    for (time, lane) in [(0, 0), (6, 1), (8, 2), (5, 2), (7, 2), (STEPS, 1)] {
        rollout.start[time * LANES + lane] = true;
    }
    (rollout, tape)
}

fn sizes() -> Sizes {
    Sizes { steps: STEPS, lanes: LANES, batch: 2 * LENGTH, sequence: LENGTH }
}

fn engine(policy: &Policy, inputs: &Inputs) -> Box<dyn Engine> {
    engine_on(policy.config.backend, policy, inputs, sizes())
}

/// Takes all decisions of the rollout and sets artificial advantages and targets; `before` is the initial state of the
/// lanes. `[N, S]`
fn collect(engine: &mut dyn Engine, rollout: &mut Rollout, before: &[f32]) {
    engine.set_memory(before).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for time in 0..STEPS {
        let uniforms: Vec<f64> = (0..LANES).map(|_| rng.random()).collect();
        engine.act(rollout, time, ActionSelection::Sampled(&uniforms)).unwrap();
        if time == 6 {
            engine.bootstrap(rollout, time).unwrap();
        }
    }
    engine.finish_rollout(rollout).unwrap();
    for sample in 0..rollout.samples() {
        rollout.advantage[sample] = rng.random_range(-1.0..2.0);
        rollout.target[sample] = rng.random_range(-1.0..1.0);
    }
    engine.load(rollout).unwrap();
}

fn memories(policy: &Policy) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    (0..LANES * policy.layout.state()).map(|_| rng.random_range(-0.9..0.9)).collect()
}

fn settings() -> UpdateSettings {
    UpdateSettings {
        loss: LossSettings { clip_range: 0.2, clip_range_vf: Some(0.4), ent_coef: 0.07, vf_coef: 0.5 },
        batch_size: 2 * LENGTH,
        learning_rate: 1e-3,
        max_grad_norm: 0.5,
        weight_decay: 0.0,
        target_kl: None,
        normalize_advantage: true,
    }
}

fn doubles(data: &[f32]) -> Vec<f64> {
    data.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn cells_match_the_textbook_and_reset_at_episode_starts() {
    for policy in policies() {
        let (mut rollout, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let (before, state) = (memories(&policy), policy.layout.state());
        let mut engine = engine(&policy, &inputs);
        collect(engine.as_mut(), &mut rollout, &before);
        let params = doubles(&policy.params);
        let slow = Textbook { policy: &policy, params: &params };
        let near = |ours: f32, theirs: f64, what: &str| {
            assert!((f64::from(ours) - theirs).abs() < 1e-5, "{:?} {what}: {ours} {theirs}", policy.config);
        };
        for lane in 0..LANES {
            let mut memory = doubles(&before[lane * state..][..state]);
            for time in 0..STEPS {
                let output = &slow.sequence(&rollout, &inputs, (lane, time, time + 1), &mut memory)[0];
                let mask = rollout.obs.at(time).mask[lane];
                let log_probs = textbook::log_probs(&output.logits, |action| mask.allows(action));
                near(rollout.value[output.sample], output.value, "value");
                let chosen = log_probs[usize::from(rollout.action[output.sample])];
                near(rollout.log_prob[output.sample], chosen, "log-probability");
                if time == 6 {
                    let mut input = vec![0.0; policy.layout.inputs];
                    inputs.write(rollout.last.at(0), lane, &mut input);
                    let cut = slow.forward(0, &input, &mut memory.clone());
                    near(rollout.last_value[output.sample], cut.value, "value at a cut");
                }
            }
            let mut after = vec![0.0; LANES * state];
            engine.memory(&mut after).unwrap();
            after[lane * state..][..state].iter().zip(&memory).for_each(|(a, b)| near(*a, *b, "memory"));
            let last = &slow.sequence(&rollout, &inputs, (lane, STEPS, STEPS + 1), &mut memory)[0];
            near(rollout.value[last.sample], last.value, "last value");
        }
    }
}

#[test]
fn the_gradient_through_sequences_matches_finite_differences() {
    for policy in policies() {
        let (mut rollout, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let (before, state) = (memories(&policy), policy.layout.state());
        let mut engine = engine(&policy, &inputs);
        collect(engine.as_mut(), &mut rollout, &before);
        let params = doubles(&policy.params);
        // State of every lane at the start of its sequences: constants of the loss.
        let mut starts = Vec::new();
        for lane in 0..LANES {
            let mut memory = doubles(&before[lane * state..][..state]);
            for first in (0..STEPS).step_by(LENGTH) {
                starts.push(((lane, first, first + LENGTH), memory.clone()));
                let now = Textbook { policy: &policy, params: &params };
                now.sequence(&rollout, &inputs, (lane, first, first + LENGTH), &mut memory);
            }
        }
        // All sequences of lanes 1 and 2, and one of lane 0.
        let order = [5, 1, 2, 8, 4, 7, 3];
        let chosen = |&((lane, first, _), _): &&((usize, usize, usize), Vec<f64>)| {
            order.contains(&((first / LENGTH * LANES + lane) as u32))
        };
        let starts: Vec<_> = starts.iter().filter(chosen).cloned().collect();
        assert_eq!(starts.len(), order.len());
        let slopes = textbook::slopes(&params, |params| {
            let slow = Textbook { policy: &policy, params };
            let outputs =
                starts.iter().flat_map(|(steps, memory)| slow.sequence(&rollout, &inputs, *steps, &mut memory.clone()));
            textbook::loss(&outputs.collect::<Vec<_>>(), &rollout, &settings())
        });
        let gradient = engine.gradient(&rollout, &order, &settings());
        let largest = slopes.iter().fold(0.0f64, |max, slope| max.max(slope.abs()));
        assert!(largest > 0.01, "the gradient is too small to compare: {largest}");
        for (index, (ours, slope)) in gradient.iter().zip(slopes).enumerate() {
            let error = (f64::from(*ours) - slope).abs();
            assert!(error < 1e-5 * (1.0 + largest), "{:?} parameter {index}: {ours} {slope}", policy.config);
        }
    }
}

#[test]
#[cfg(feature = "torch")]
fn a_whole_update_matches_libtorch() {
    for policy in policies().into_iter().filter(|policy| policy.config.backend == Backend::Native) {
        let (filled, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let [ours, theirs] = [Backend::Native, Backend::Tch].map(|backend| {
            let mut engine = engine_on(backend, &policy, &inputs, sizes());
            let mut rollout = filled.clone();
            collect(engine.as_mut(), &mut rollout, &memories(&policy));
            // Five sequences in minibatches of two: the last is half as large.
            let stats = engine.epoch(&rollout, &[5, 1, 2, 8, 4], &settings()).unwrap();
            let (mut params, mut adam) = (policy.params.clone(), crate::AdamState::new(policy.params.len()));
            engine.export(&mut params, &mut adam).unwrap();
            let hidden = engine.activations(&rollout, &[3, 7]).unwrap();
            (rollout.action, stats, params, adam, hidden)
        });
        let config = &policy.config;
        assert_eq!(ours.0, theirs.0, "actions of {config:?}");
        let statistics = |stats: &crate::ppo::loss::EpochStats| {
            [stats.minibatches, stats.policy_loss, stats.value_loss, stats.entropy_loss, stats.grad_norm, stats.loss]
        };
        for (ours, theirs) in statistics(&ours.1).into_iter().zip(statistics(&theirs.1)) {
            assert!((ours - theirs).abs() < 1e-5 * (1.0 + theirs.abs()), "{config:?}: {ours} {theirs}");
        }
        assert!(ours.1.minibatches == 3.0 && ours.2 != policy.params && ours.3.step == theirs.3.step);
        let pairs = ours.2.iter().zip(&theirs.2).chain(ours.3.m.iter().zip(&theirs.3.m));
        let worst = pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "parameters and moments of {config:?} differ by {worst}");
        assert_eq!(ours.4.len(), theirs.4.len());
        for (ours, theirs) in ours.4.iter().zip(&theirs.4) {
            assert_eq!(ours.len(), theirs.len());
            let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "hidden units of {config:?} differ by {worst}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for kind in KINDS {
        let config = PolicyConfig { kind, recurrent_size: 20, net_arch: vec![12], ..PolicyConfig::default() };
        let policy = best_row::shaken_policy(&config);
        let ppo =
            PpoConfig { n_envs: 70, n_steps: 24, sequence_length: 6, batch_size: 840, n_epochs: 2, ..toy_config() };
        let [one, four] = [1, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let game = BestRow::new(70);
                let mut trainer = Trainer::new(game, policy.clone(), ppo.clone(), 0, 1, DeviceChoice::Cpu).unwrap();
                let stats: Vec<Iteration> = (0..2).map(|_| trainer.iterate(&mut ()).unwrap()).collect();
                (stats, trainer.checkpoint().unwrap())
            })
        });
        assert_eq!(one, four, "{kind:?}");
        assert_ne!(one.1.policy().params(), policy.params());
    }
}

#[test]
#[cfg(feature = "torch")]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn a_gpu_computes_what_the_cpu_computes() {
    if tch::Cuda::device_count() == 0 {
        eprintln!("skipped: libtorch sees no GPU");
        return;
    }
    for policy in policies().into_iter().filter(|policy| policy.config.backend == Backend::Tch) {
        let (filled, tape) = rollout();
        let inputs = Inputs::new(&policy.spec, tape);
        let adam = crate::AdamState::new(policy.params.len());
        let [cpu, gpu] = [tch::Device::Cpu, tch::Device::Cuda(0)].map(|device| {
            let mut torch = crate::backend::torch::Torch::new(&policy, &adam, &inputs, device, sizes()).unwrap();
            let mut rollout = filled.clone();
            collect(&mut torch, &mut rollout, &memories(&policy));
            let gradient = torch.gradient(&rollout, &[5, 1, 2, 8], &settings());
            (rollout.value, gradient)
        });
        for (ours, theirs) in gpu.0.iter().zip(&cpu.0).chain(gpu.1.iter().zip(&cpu.1)) {
            assert!((ours - theirs).abs() < 1e-4 * (1.0 + theirs.abs()), "{:?}: {ours} {theirs}", policy.config);
        }
    }
}

fn train(kind: PolicyKind, backend: Backend, iterations: usize) -> (Trainer<Cue>, Iteration) {
    let env = Cue::new(16);
    let network = PolicyConfig { kind, backend, net_arch: vec![16], recurrent_size: 16, ..PolicyConfig::default() };
    let policy = Policy::new(env.spec(), &network, Normalizer::identity(0), 1).unwrap();
    let mut trainer = Trainer::new(env, policy, cue_config(), 0, 1, DeviceChoice::Cpu).unwrap();
    let last = (0..iterations).map(|_| trainer.iterate(&mut ()).unwrap()).last().unwrap();
    (trainer, last)
}

fn cue_config() -> PpoConfig {
    PpoConfig {
        n_envs: 16,
        n_steps: 24,
        batch_size: 192,
        n_epochs: 6,
        learning_rate: 1e-2,
        gamma: 0.9,
        ent_coef: 0.0,
        sequence_length: 8,
        ..PpoConfig::default()
    }
}

#[test]
fn only_recurrent_policies_solve_the_cue_task() {
    let chance = train(PolicyKind::Mlp, Backend::Auto, 30).1.ep_rew_mean.unwrap();
    assert!((0.3..0.7).contains(&chance), "without memory half of the answers are right: {chance}");
    for (kind, &backend) in KINDS.into_iter().flat_map(|kind| BUILT.iter().map(move |backend| (kind, backend))) {
        let (trainer, last) = train(kind, backend, 30);
        assert!(last.ep_rew_mean.unwrap() > 0.95, "{kind:?} {backend:?}: {last:?}");
        let mut replay = Cue::new(7).ending_at(7 * 100);
        let played = evaluate(trainer.policy(), &mut replay, Behaviour::Greedy, 9).unwrap();
        let right = played.episodes.iter().map(|episode| episode.reward).sum::<f64>();
        let episodes = played.episodes.len();
        assert!(right > 0.98 * episodes as f64, "{kind:?} {backend:?}: {right} of {episodes}");
    }
}

#[test]
fn replayed_sequences_reproduce_the_collected_probabilities() {
    for (kind, &backend) in KINDS.into_iter().flat_map(|kind| BUILT.iter().map(move |backend| (kind, backend))) {
        let policy = toy_policy(kind).with_backend(backend);
        let config = PpoConfig { learning_rate: 1e-12, ..toy_config() };
        let mut trainer = Trainer::new(BestRow::new(4), policy, config, 0, 1, DeviceChoice::Cpu).unwrap();
        for _ in 0..3 {
            let stats = trainer.iterate(&mut ()).unwrap();
            let same = stats.approx_kl.abs() < 1e-7 && stats.clip_fraction == 0.0;
            assert!(same, "{kind:?} {backend:?}: {stats:?}");
        }
    }
}

fn toy_policy(kind: PolicyKind) -> Policy {
    let config = PolicyConfig { kind, recurrent_size: 6, ..best_row::policy(3).config().clone() };
    Policy::new(&best_row::spec(), &config, best_row::policy(3).normalizer().clone(), 3).unwrap()
}

/// Episodes of the environment have 8 steps, so that they begin inside sequences.
fn toy_config() -> PpoConfig {
    PpoConfig { n_steps: 36, sequence_length: 12, batch_size: 48, n_epochs: 2, ..best_row::config() }
}

#[test]
fn a_resumed_training_continues_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let config = PpoConfig { lr_schedule: Schedule::Linear, ent_schedule: EntropySchedule::Linear, ..toy_config() };
    let run = |trainer: &mut Trainer<BestRow>, count: usize| -> Vec<Iteration> {
        (0..count).map(|_| trainer.iterate(&mut ()).unwrap()).collect()
    };
    for (kind, &backend) in KINDS.into_iter().flat_map(|kind| BUILT.iter().map(move |backend| (kind, backend))) {
        let policy = toy_policy(kind).with_backend(backend);
        let start =
            || Trainer::new(BestRow::new(4), policy.clone(), config.clone(), 1000, 3, DeviceChoice::Cpu).unwrap();
        let mut straight = start();
        let expected = run(&mut straight, 4);
        // After two iterations of 36 steps every lane begins an episode, after one none does.
        for pause in [1, 2] {
            let mut first = start();
            let mut stats = run(&mut first, pause);
            let checkpoint = first.checkpoint().unwrap();
            assert_eq!(checkpoint.memory.iter().all(|&x| x == 0.0), pause == 2, "after {pause}");
            checkpoint.save(&path, "market").unwrap();
            let loaded = Checkpoint::load(&path).unwrap();
            assert_eq!(loaded, checkpoint);
            let mut second = Trainer::resume(loaded, BestRow::new(4), DeviceChoice::Cpu).unwrap();
            stats.extend(run(&mut second, 4 - pause));
            assert_eq!(stats, expected, "{kind:?} {backend:?} after {pause}");
            assert_eq!(second.checkpoint().unwrap(), straight.checkpoint().unwrap());
        }
    }
}

#[test]
fn a_model_file_names_the_tensors_of_its_cells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (kind, name) in [(PolicyKind::Lstm, "actor.lstm.weight_hh"), (PolicyKind::Gru, "critic.gru.bias_ih")] {
        let model = ModelFile { policy: toy_policy(kind), meta: serde_json::json!(null) };
        model.save(&path).unwrap();
        assert_eq!(ModelFile::load(&path).unwrap(), model);
        assert!(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(name));
    }
}

#[test]
fn the_sequence_length_is_checked_for_recurrent_policies_only() {
    let config = PpoConfig { sequence_length: 7, ..best_row::config() };
    let trainer = |policy| Trainer::new(BestRow::new(4), policy, config.clone(), 0, 1, DeviceChoice::Cpu);
    trainer(best_row::policy(1)).unwrap();
    let error = trainer(toy_policy(PolicyKind::Gru)).unwrap_err().to_string();
    assert!(error.contains("ppo.sequence_length: 7 does not divide ppo.n_steps 32"), "{error}");
}
