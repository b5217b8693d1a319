//! Environment stepping alone, and building the tapes it steps on.

use std::{sync::Arc, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
use market_env::{BatchEnv, EnvConfig, Market, MarketConfig, StepBuffers, VecEnv};

/// Three symbols, three months of synthetic sessions: as much tape as the documented 60-day run, and half as much again.
pub(crate) fn dataset() -> Dataset {
    let mut config = DataConfig::default();
    config.synthetic.sessions_from = jiff::civil::date(2024, 9, 3);
    config.synthetic.sessions_to = jiff::civil::date(2024, 11, 29);
    let symbols = ["SPY", "QQQ", "SPX"].map(|name| Symbol::new(name).expect("a symbol"));
    let history = synthetic::generate(&config.synthetic, &symbols).expect("a synthetic market");
    Dataset::build(&history, &Window::default(), &config).expect("a data set")
}

/// An environment, the buffers of one step, and a policy of dice.
struct Lanes {
    env: BatchEnv,
    buffers: StepBuffers,
    actions: Vec<u8>,
    dice: u32,
}

impl Lanes {
    fn new(market: &Arc<Market>, n: usize) -> Self {
        let days = (0..market.days().len() as u32).collect();
        let mut env = BatchEnv::new(market.clone(), days, EnvConfig::default(), n, 1).expect("an environment");
        Self { buffers: StepBuffers::reset(&mut env), env, actions: vec![0; n], dice: 1 }
    }

    /// Chooses like a patient policy: buys on one flat bar in four, exits on one held bar in sixteen.
    fn choose(&mut self) {
        for (action, mask) in self.actions.iter_mut().zip(&self.buffers.mask) {
            self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let roll = self.dice >> 24;
            *action = match (mask.allows(1), mask.allows(5)) {
                (true, _) if roll < 64 => 1 + (roll & 1) as u8,
                (_, true) if roll < 16 => 5,
                _ => 0,
            };
        }
    }

    /// Returns the time that `steps` calls of `step` take, choosing actions and draining episodes not counted.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    fn time(&mut self, steps: u64) -> Duration {
        let mut total = Duration::ZERO;
        let mut episodes = Vec::new();
        for _ in 0..steps {
            self.choose();
            let start = std::time::Instant::now();
            self.buffers.step(&mut self.env, &self.actions);
            total += start.elapsed();
            self.env.drain_episodes(&mut episodes);
            episodes.clear();
        }
        assert_eq!(self.env.ledger().steps % self.actions.len() as u64, 0, "every lane moves at every step");
        total
    }
}

pub(crate) fn step(criterion: &mut Criterion) {
    let market = Arc::new(Market::build(&dataset().symbols, &MarketConfig::default()).expect("a market"));
    let mut group = criterion.benchmark_group("env_step");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        for n in [1, 64, 4096, 32_768] {
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(format!("{threads}_threads"), n), |bencher| {
                let mut lanes = Lanes::new(&market, n);
                bencher.iter_custom(|steps| pool.install(|| lanes.time(steps)));
            });
        }
    }
    group.finish();
}

pub(crate) fn build(criterion: &mut Criterion) {
    let dataset = dataset();
    let bars: usize = dataset.symbols.iter().flat_map(|symbol| &symbol.days).map(|day| day.close.len()).sum();
    let mut group = criterion.benchmark_group("market_build");
    group.throughput(Throughput::Elements(bars as u64)).sample_size(10);
    group.bench_function("three_symbols_three_months", |bencher| {
        bencher.iter_batched(
            MarketConfig::default,
            |config| Market::build(&dataset.symbols, &config).expect("a market"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
