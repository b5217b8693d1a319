//! The learner: advantages alone, and whole iterations (collect, advantage, update) in the regimes that users run.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use market_env::{BatchEnv, EnvConfig, Market, MarketConfig, VecEnv as _};
use ppo_agent::{
    Backend, DeviceChoice, Normalizer, Policy, PolicyConfig, PpoConfig, Trainer,
    advantage::{Returns, generalized_advantage},
};

pub(crate) fn advantage(criterion: &mut Criterion) {
    let (steps, lanes) = (512, 64);
    let samples = steps * lanes;
    let wave = |scale: f32| (0..samples + lanes).map(|i| (i as f32 * scale).sin()).collect::<Vec<f32>>();
    let (reward, value) = (wave(0.37), wave(0.11));
    let terminated: Vec<bool> = (0..samples).map(|i| i % 383 == 0).collect();
    let truncated = vec![false; samples];
    let mut out = vec![0.0; samples];
    let mut group = criterion.benchmark_group("advantage");
    group.throughput(Throughput::Elements(samples as u64));
    group.bench_function("512x64", |bencher| {
        bencher.iter(|| {
            let returns = Returns {
                lanes,
                reward: &reward[..samples],
                value: &value,
                terminated: &terminated,
                truncated: &truncated,
                last_value: &reward[..samples],
            };
            generalized_advantage(returns, 0.92, 0.95, &mut out);
        });
    });
    assert!(out.iter().all(|advantage| advantage.is_finite()));
    group.finish();
}

/// A regime: lanes, minibatch, epochs; 512 steps per lane and iteration in all of them.
const REGIMES: [(&str, usize, usize, usize); 4] = [
    ("1_env_minibatch_64_10_epochs", 1, 64, 10),
    ("8_envs_minibatch_64_10_epochs", 8, 64, 10),
    ("64_envs_minibatch_4096_10_epochs", 64, 4096, 10),
    ("64_envs_minibatch_4096_4_epochs", 64, 4096, 4),
];

pub(crate) fn iteration(criterion: &mut Criterion) {
    let market = Arc::new(Market::build(&crate::env::dataset().symbols, &MarketConfig::default()).expect("a market"));
    let mut group = criterion.benchmark_group("iteration");
    group.sample_size(10);
    for backend in [Backend::Native, Backend::Tch] {
        for (name, n_envs, batch_size, n_epochs) in REGIMES {
            let config = PpoConfig { n_envs, batch_size, n_epochs, n_steps: 512, ..PpoConfig::default() };
            group.throughput(Throughput::Elements(config.rollout_size() as u64));
            group.bench_function(BenchmarkId::new(format!("{backend:?}").to_lowercase(), name), |bencher| {
                let mut trainer = trainer(&market, &config, backend);
                bencher.iter(|| trainer.iterate(&mut ()).expect("an iteration"));
            });
        }
    }
    group.finish();
}

fn trainer(market: &Arc<Market>, config: &PpoConfig, backend: Backend) -> Trainer<BatchEnv> {
    let days = (0..market.days().len() as u32).collect();
    let env = BatchEnv::new(market.clone(), days, EnvConfig::default(), config.n_envs, 1).expect("an environment");
    let normalizer =
        Normalizer::fit(env.tape(), env.spec().features.len(), &env.visible_rows()).expect("a finite tape");
    let network = PolicyConfig { backend, ..PolicyConfig::default() };
    let policy = Policy::new(env.spec(), &network, normalizer, 1).expect("a policy");
    Trainer::new(env, policy, config.clone(), 0, 1, DeviceChoice::Cpu).expect("a trainer")
}
