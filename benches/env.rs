//! Stepping the environment alone, and building its tapes.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use market_env::{Market, MarketConfig};
use zerodte_scripts::commands::bench::{Case, Workload, dataset};

use crate::measure;

/// Lanes of the scaling groups.
pub(crate) const LANES: [usize; 4] = [1, 64, 4096, 65_536];

pub(crate) fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("env_step");
    for threads in [1, 2] {
        for lanes in LANES {
            let case = Case { threads, ..Case::from(Workload::Env).with_lanes(lanes) };
            measure(&mut group, BenchmarkId::new(format!("{threads}_threads"), lanes), &case);
        }
    }
    group.finish();
}

/// Step time by tape length, up to tapes larger than the processor's caches.
pub(crate) fn sessions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("env_step_by_sessions");
    for sessions in [20, 60, 250, 860] {
        let case = Case { threads: 1, ..Case::from(Workload::Env) };
        let case = case.with_sessions(sessions).expect("a market has sessions");
        measure(&mut group, BenchmarkId::new("1_thread_4096_lanes", sessions), &case);
    }
    group.finish();
}

pub(crate) fn build(criterion: &mut Criterion) {
    let dataset = dataset(60).expect("a synthetic market");
    let bars: usize = dataset.symbols.iter().flat_map(|symbol| &symbol.days).map(|day| day.close.len()).sum();
    let mut group = criterion.benchmark_group("market_build");
    group.throughput(Throughput::Elements(bars as u64)).sample_size(10);
    group.bench_function("three_symbols_60_sessions", |bencher| {
        bencher.iter_batched(
            MarketConfig::default,
            |config| Market::build(&dataset.symbols, &config).expect("a market"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
