//! Whole trainings: learning, determinism, resumption, and errors.

use crate::{
    AgentError, Backend, Behaviour, Checkpoint, DeviceChoice, EntropySchedule, HAS_LIBTORCH, Iteration, Policy,
    PolicyConfig, PpoConfig, Schedule, Trainer,
    backend::BUILT,
    evaluate,
    games::best_row::{self, BestRow},
};

fn run(trainer: &mut Trainer<BestRow>, iterations: usize) -> Vec<Iteration> {
    (0..iterations).map(|_| trainer.iterate(&mut ()).unwrap()).collect()
}

#[test]
fn the_masked_environment_is_solved_exactly() {
    let total = 400 * 16 * 64;
    let config = PpoConfig {
        n_envs: 16,
        n_steps: 64,
        batch_size: 256,
        n_epochs: 6,
        learning_rate: 1e-2,
        lr_schedule: Schedule::Linear,
        gamma: 0.0,
        ent_coef: 0.01,
        ent_schedule: EntropySchedule::Linear,
        ent_coef_final: 0.0,
        ..best_row::config()
    };
    let network = PolicyConfig { net_arch: vec![64, 64], ..PolicyConfig::default() };
    let policy = Policy::new(&best_row::spec(), &network, best_row::policy(1).normalizer().clone(), 1).unwrap();
    let mut trainer = Trainer::new(BestRow::new(16), policy, config, total, 1, DeviceChoice::Cpu).unwrap();
    let first = run(&mut trainer, 1)[0].ep_rew_mean.unwrap();
    let last = run(&mut trainer, 399).pop().unwrap();
    assert!(first < 6.0 && last.ep_rew_mean.unwrap() > 7.9 && last.entropy_norm < 0.05, "{first} {last:?}");

    let score = |behaviour| {
        let mut replay = BestRow::new(4).ending_at(4 * 400);
        let evaluation = evaluate(trainer.policy(), &mut replay, behaviour, 9).unwrap();
        assert_eq!((evaluation.ledger.steps, evaluation.episodes.len()), (1600, 200));
        evaluation.episodes.iter().map(|e| e.reward).sum::<f64>() / 200.0
    };
    let [greedy, sampled, hold, random] =
        [Behaviour::Greedy, Behaviour::Sampled, Behaviour::AlwaysHold, Behaviour::RandomLegal].map(score);
    assert_eq!(greedy, f64::from(best_row::LENGTH), "every decision of 1,600 is the best one");
    assert!(sampled > 7.9 && hold < 6.0 && random < 6.0, "{sampled} {hold} {random}");
}

#[test]
fn both_backends_learn_the_same() {
    if !HAS_LIBTORCH {
        return;
    }
    let train = |backend| {
        let (env, policy) = (BestRow::new(4), best_row::policy(1).with_backend(backend));
        let mut trainer = Trainer::new(env, policy, best_row::config(), 0, 1, DeviceChoice::Cpu).unwrap();
        let stats = run(&mut trainer, 2).pop().unwrap();
        (stats, trainer.policy().params().to_vec())
    };
    let ((native, ours), (torch, theirs)) = (train(Backend::Native), train(Backend::Tch));
    assert_eq!(native.ep_rew_mean, torch.ep_rew_mean, "both backends drew the same actions");
    assert!((native.value_loss - torch.value_loss).abs() < 1e-4, "{native:?}\n{torch:?}");
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn one_lane_is_truncated_while_others_continue() {
    for &backend in BUILT {
        let env = BestRow::new(4).staggered();
        let policy = best_row::policy(1).with_backend(backend);
        let mut trainer = Trainer::new(env, policy, best_row::config(), 0, 1, DeviceChoice::Cpu).unwrap();
        let stats = run(&mut trainer, 3).pop().unwrap();
        assert!(stats.value_loss.is_finite() && stats.ep_rew_mean.is_some(), "{backend:?}: {stats:?}");
    }
}

#[test]
fn a_resumed_training_continues_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let config =
        PpoConfig { lr_schedule: Schedule::Linear, ent_schedule: EntropySchedule::Linear, ..best_row::config() };
    for &backend in BUILT {
        let start = || {
            let policy = best_row::policy(3).with_backend(backend);
            Trainer::new(BestRow::new(4), policy, config.clone(), 1000, 3, DeviceChoice::Cpu).unwrap()
        };
        let mut straight = start();
        let expected = run(&mut straight, 6);
        let mut first = start();
        let mut stats = run(&mut first, 3);
        first.checkpoint().unwrap().save(&path, "market").unwrap();
        let mut second = Trainer::resume(Checkpoint::load(&path).unwrap(), BestRow::new(4), DeviceChoice::Cpu).unwrap();
        stats.extend(run(&mut second, 3));
        assert_eq!(stats, expected);
        assert_eq!(second.checkpoint().unwrap(), straight.checkpoint().unwrap());
    }
    let error = Trainer::resume(Checkpoint::load(&path).unwrap(), BestRow::new(5), DeviceChoice::Cpu).unwrap_err();
    assert!(error.to_string().contains("ppo.n_envs: 4 but the environment has 5 lanes"), "{error}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let config = PpoConfig { n_envs: 300, n_steps: 4, batch_size: 700, ..best_row::config() };
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let env = BestRow::new(300);
            let mut trainer = Trainer::new(env, best_row::policy(1), config.clone(), 0, 1, DeviceChoice::Cpu).unwrap();
            let stats = run(&mut trainer, 3);
            (stats, trainer.policy().params().to_vec())
        })
    };
    let one = train(1);
    assert_eq!(one, train(2));
    assert_eq!(one, train(3));
}

#[test]
fn seeds_repeat_and_differ() {
    let params = |seed| {
        let mut trainer = best_row::trainer(seed);
        run(&mut trainer, 2);
        trainer.policy().params().to_vec()
    };
    assert_eq!(params(1), params(1));
    assert_ne!(params(1), params(2));
}

#[test]
fn a_non_finite_reward_stops_the_training_with_its_position() {
    let env = BestRow::new(4).broken_at(128 + 42);
    let mut trainer = Trainer::new(env, best_row::policy(1), best_row::config(), 0, 1, DeviceChoice::Cpu).unwrap();
    trainer.iterate(&mut ()).unwrap();
    let before = trainer.policy().params().to_vec();
    let error = trainer.iterate(&mut ()).unwrap_err();
    let expected =
        "the reward of lane 2 is NaN at step 172 (iteration 1); training stops, the last checkpoint is intact";
    assert_eq!(error.to_string(), expected);
    assert_eq!(trainer.policy().params(), before);
}

#[test]
fn an_exploding_update_stops_before_it_reaches_the_policy() {
    for &backend in BUILT {
        let policy = best_row::policy(1).with_backend(backend);
        let config = PpoConfig { learning_rate: 1e30, max_grad_norm: 1e30, ..best_row::config() };
        let mut trainer = Trainer::new(BestRow::new(4), policy.clone(), config, 0, 1, DeviceChoice::Cpu).unwrap();
        let error = trainer.iterate(&mut ()).unwrap_err();
        assert!(matches!(error, AgentError::NonFinite { timesteps: 128, .. }), "{error}");
        assert_eq!(trainer.policy(), &policy);
    }
}

#[test]
fn target_kl_stops_an_update_early() {
    for &backend in BUILT {
        let policy = best_row::policy(1).with_backend(backend);
        let config = PpoConfig { learning_rate: 0.05, target_kl: Some(0.01), n_epochs: 10, ..best_row::config() };
        let mut trainer = Trainer::new(BestRow::new(4), policy, config, 0, 1, DeviceChoice::Cpu).unwrap();
        let stats = run(&mut trainer, 1).pop().unwrap();
        assert!(stats.n_updates < 10 && stats.approx_kl > 0.0, "{stats:?}");
    }
}

#[test]
fn a_policy_for_another_environment_is_refused() {
    let mut spec = best_row::spec();
    spec.features[2] = "vix".into();
    let normalizer = best_row::policy(1).normalizer().clone();
    let policy = Policy::new(&spec, &PolicyConfig::default(), normalizer, 1).unwrap();
    let error = Trainer::new(BestRow::new(4), policy, best_row::config(), 0, 1, DeviceChoice::Cpu).unwrap_err();
    let expected =
        "the policy does not fit this environment: feature 2 is `vix` in the policy and `f2` in the environment";
    assert_eq!(error.to_string(), expected);
}
