//! Benchmarks in one binary, so that libtorch is linked once. The results are in `RESULTS.md` beside this file.
//!
//! `cargo bench` measures, `cargo bench -- --test` runs each body once, as CI does, so that none breaks unnoticed. The
//! workloads are those of `zerodte bench`, which measures a single one with any sizes; both check it before they time
//! it.

#![allow(missing_docs, reason = "criterion's entry points")]

mod env;
mod forecast;
mod update;
mod vendor;

use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use zerodte_scripts::commands::bench::{Bench, Case};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    env::step(&mut criterion);
    env::sessions(&mut criterion);
    env::build(&mut criterion);
    update::advantage(&mut criterion);
    update::halves(&mut criterion);
    update::iteration(&mut criterion);
    update::lanes(&mut criterion);
    forecast::epoch(&mut criterion);
    vendor::page(&mut criterion);
    vendor::cached_year(&mut criterion);
    criterion.final_summary();
}

/// Times the rounds of a case, which is built and checked only if it passes the filter.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, case: &Case) {
    let mut checked: Option<Bench> = None;
    group.throughput(Throughput::Elements(case.steps())).sample_size(10);
    group.bench_function(id, |bencher| {
        let bench = checked.get_or_insert_with(|| case.prepare().expect("a case that passes its check"));
        bencher.iter_custom(|rounds| {
            let rounds = (0..rounds).map(|_| Duration::from_secs_f64(bench.round().expect("a round")));
            rounds.sum()
        });
    });
}
