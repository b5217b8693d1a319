//! Helpers of several tests: small markets, a batch with its buffers, and the real bars where they are present.

use std::{path::PathBuf, sync::Arc};

use market_data::{
    DataConfig, Dataset, SessionBars, Symbol, Window,
    source::synthetic::{self, SyntheticConfig},
};
use market_env::{ActionMask, BatchEnv, EnvConfig, Episode, Market, MarketConfig, StepBuffers, Trade, VecEnv};

pub(crate) fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|name| Symbol::new(name).unwrap()).collect()
}

/// A synthetic data set of the calendar days up to 2024-12-06, half days included.
pub(crate) fn dataset(names: &[&str], calendar_days: u32, seed: u64, planted_edge: f64) -> Dataset {
    dataset_of(names, calendar_days, SyntheticConfig { seed, planted_edge, ..SyntheticConfig::default() })
}

/// A synthetic data set with other settings; its dates are replaced.
pub(crate) fn dataset_of(names: &[&str], calendar_days: u32, synthetic: SyntheticConfig) -> Dataset {
    let mut config = DataConfig { synthetic, ..DataConfig::default() };
    config.synthetic.sessions_to = jiff::civil::date(2024, 12, 6);
    config.synthetic.sessions_from =
        jiff::civil::date(2024, 12, 6).saturating_sub(jiff::Span::new().days(calendar_days));
    let history = synthetic::generate(&config.synthetic, &symbols(names)).unwrap();
    Dataset::build(&history, &Window::default(), &config).unwrap()
}

/// Removes the bars of this many runs of 1 to 6 minutes from every session; their slots are filled with the last close.
pub(crate) fn punch_holes(dataset: &mut Dataset, holes: u32, seed: u64) {
    let mut dice = Dice(seed);
    for day in dataset.symbols.iter_mut().flat_map(|symbol| &mut symbol.days) {
        for _ in 0..holes {
            let first = 1 + dice.roll(day.close.len() as u32 - 1) as usize;
            (first..first + 1 + dice.roll(6) as usize).for_each(|slot| remove_bar(day, slot));
        }
        // Holes that end later lie on the prices before them.
        for slot in 1..day.close.len() {
            if day.filled[slot] {
                remove_bar(day, slot);
            }
        }
    }
}

/// Removes the bar of a slot: the slot is filled with the last close. Nothing happens behind the last slot.
pub(crate) fn remove_bar(day: &mut SessionBars, slot: usize) {
    if slot >= day.close.len() {
        return;
    }
    let last = day.close[slot - 1];
    for price in [&mut day.open, &mut day.high, &mut day.low, &mut day.close] {
        price[slot] = last;
    }
    (day.volume[slot], day.filled[slot]) = (0.0, true);
}

pub(crate) fn market(dataset: &Dataset) -> Arc<Market> {
    Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap())
}

pub(crate) fn all_days(market: &Market) -> Vec<u32> {
    (0..market.days().len() as u32).collect()
}

/// Returns the folder of real bars; prints a reason and returns none where it is absent.
pub(crate) fn real_bars() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bars");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not present", folder.display());
    None
}

/// A batch and the buffers of one step.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) env: BatchEnv,
    pub(crate) lanes: StepBuffers,
}

impl Batch {
    pub(crate) fn new(mut env: BatchEnv) -> Self {
        let lanes = StepBuffers::reset(&mut env);
        Self { env, lanes }
    }

    pub(crate) fn training(market: &Arc<Market>, config: &EnvConfig, lanes: usize, seed: u64) -> Self {
        Self::new(BatchEnv::new(market.clone(), all_days(market), config.clone(), lanes, seed).unwrap())
    }

    pub(crate) fn replay(market: &Arc<Market>, days: Vec<u32>, config: &EnvConfig) -> Self {
        Self::new(BatchEnv::replay(market.clone(), days, config.clone()).unwrap())
    }

    pub(crate) fn step(&mut self, actions: &[u8]) {
        self.lanes.step(&mut self.env, actions);
    }

    /// Returns the sessions that ended since the last call.
    pub(crate) fn episodes(&mut self) -> Vec<Episode> {
        let mut episodes = Vec::new();
        self.env.drain_episodes(&mut episodes);
        episodes
    }

    /// Returns the positions that were closed since the last call.
    pub(crate) fn trades(&mut self) -> Vec<Trade> {
        let mut trades = Vec::new();
        self.env.drain_trades(&mut trades);
        trades
    }

    pub(crate) fn restore(&mut self, state: &str) -> Result<(), String> {
        self.env.restore(state, self.lanes.observation())
    }

    pub(crate) fn lane_account(&self, lane: usize) -> &[f32] {
        let columns = self.env.spec().account.len();
        &self.lanes.account[lane * columns..(lane + 1) * columns]
    }
}

/// A small reproducible generator of test actions, separate from the random streams under test.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(sides)) as u32
    }

    /// A legal action, each as likely as the next.
    pub(crate) fn legal(&mut self, mask: ActionMask) -> u8 {
        let choice = self.roll(mask.count());
        (0..8).filter(|&action| mask.allows(action)).nth(choice as usize).unwrap()
    }
}
