//! Learner: advantages alone, the halves of an iteration, and whole iterations in typical regimes.

use criterion::{BenchmarkId, Criterion, Throughput};
use ppo_agent::{
    Backend, PolicyConfig, PpoConfig,
    ppo::advantage::{Returns, generalized_advantage},
};
use zerodte_scripts::commands::bench::{Case, Workload};

use crate::measure;

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

/// The two halves of an iteration at 64 lanes x 512 steps, minibatch 4,096, 4 epochs.
pub(crate) fn halves(criterion: &mut Criterion) {
    for workload in [Workload::Collect, Workload::Update] {
        let mut group = criterion.benchmark_group(workload.name());
        for threads in [1, 2] {
            let case = Case { threads, ..Case::from(workload) };
            measure(&mut group, BenchmarkId::new(format!("{threads}_threads"), "64x512"), &case);
        }
        group.finish();
    }
}

/// Whole iterations in typical regimes: lanes, steps, minibatch, epochs. libtorch runs the compared ones.
pub(crate) fn iteration(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("iteration");
    let documented = Case::from(Workload::Documented);
    let sized = |n_envs, batch_size, n_epochs| Case {
        ppo: PpoConfig { n_envs, batch_size, n_epochs, ..documented.ppo.clone() },
        ..documented.clone()
    };
    for (name, case, compared) in [
        ("documented_1x512_64_10", documented.clone(), true),
        ("default_8x512_64_10", sized(8, 64, 10), false),
        ("large_64x512_4096_10", sized(64, 4096, 10), false),
        ("large_64x512_4096_4", Case::from(Workload::Large), true),
        ("modurl_8x256_64_10_1_thread", Case::from(Workload::Modurl), true),
    ] {
        measure(&mut group, BenchmarkId::new("native", name), &case);
        if compared {
            let policy = PolicyConfig { backend: Backend::Tch, ..case.policy.clone() };
            measure(&mut group, BenchmarkId::new("tch", name), &Case { policy, ..case });
        }
    }
    group.finish();
}

/// Whole iterations of one epoch, by lanes and threads.
pub(crate) fn lanes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("train_by_lanes");
    for threads in [1, 2] {
        for lanes in crate::env::LANES {
            let mut case = Case { threads, ..Case::from(Workload::Train).with_lanes(lanes) };
            case.ppo.n_epochs = 1;
            measure(&mut group, BenchmarkId::new(format!("{threads}_threads"), lanes), &case);
        }
    }
    group.finish();
}
