//! The overfitting alarm on windows of the calendar: policies that never learn must not ring, whatever their dates, and policies
//! that memorised their training sessions must.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use jiff::civil::{Date, date};
use market_data::{DateRange, Symbol};
use market_env::{BatchEnv, Market};
use ppo_agent::{
    DeviceChoice, Iteration, Listener, Policy, StepView, Trainer,
    health::{Monitor, OverfitGap, RandomLegal},
};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    config::{
        DataSource, RunConfig,
        layers::{Layer, resolve},
    },
    evaluation::random_legal,
    inputs::Inputs,
};

/// Dates of a window: training, then validation.
const WINDOW: [usize; 2] = [60, 20];
/// Dates of a memorised training.
const MEMORISED: usize = 8;
/// Lane-steps between two replays of the validation dates, as in a real run, and those of a memorising training.
const STEPS: [u64; 2] = [50_000, 300_000];
/// Trainings that memorise.
pub(super) const MEMORISING: usize = 3;
/// Largest share of never-trained policies that may ring.
const MAX_SHARE: f64 = 0.05;

/// Settings of a policy that never learns. One pass per rollout is enough for nothing.
const NEVER_TRAINED: &[&str] = &["ppo.learning_rate=1e-12", "ppo.n_epochs=1"];
/// Settings of a policy that learns its sessions by heart: money alone, no exploration, large steps.
const BY_HEART: &[&str] = &[
    "ppo.learning_rate=1e-3",
    "ppo.ent_coef=0",
    "ppo.gamma=0.9",
    "policy.net_arch=[128,128]",
    "env.reward.good_buy_call=0",
    "env.reward.good_buy_put=0",
    "env.reward.missed_opportunity=0",
    "env.reward.hold_tax=0",
    "env.reward.bad_chase=0",
];

/// One training, and its comparison with the validation dates that follow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarWindow {
    /// First training date.
    pub first: Date,
    /// Last validation date.
    pub last: Date,
    /// True for a policy that memorised its training sessions.
    pub memorised: bool,
    /// The comparison; null for too few trades.
    pub gap: Option<OverfitGap>,
    /// True if it rang.
    pub rang: bool,
}

/// Alarms on windows of the calendar.
#[derive(Debug, Clone, Serialize)]
pub struct CalendarReport {
    /// Number of never-trained policies, one per window.
    pub windows: usize,
    /// Number of them that rang.
    pub rang: usize,
    /// Number of policies that memorised their sessions.
    pub memorised: usize,
    /// Number of them that rang.
    pub memorised_rang: usize,
    /// One entry per training.
    pub rows: Vec<CalendarWindow>,
}

impl CalendarReport {
    fn of(rows: Vec<CalendarWindow>) -> Self {
        let count = |memorised, rang: &[bool]| {
            rows.iter().filter(|row| row.memorised == memorised && rang.contains(&row.rang)).count()
        };
        Self {
            windows: count(false, &[true, false]),
            rang: count(false, &[true]),
            memorised: count(true, &[true, false]),
            memorised_rang: count(true, &[true]),
            rows,
        }
    }

    /// Returns the most never-trained policies that may ring.
    fn most(&self) -> usize {
        (MAX_SHARE * self.windows as f64) as usize
    }

    pub(super) fn passes(&self) -> bool {
        self.rang <= self.most() && self.memorised_rang == self.memorised
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} calendar windows: {} never-trained policies rang (at most {}), {} of {} memorising ones",
            self.windows,
            self.rang,
            self.most(),
            self.memorised_rang,
            self.memorised
        )
    }
}

/// A market, and the random-legal policy on all of its sessions.
struct Calendar {
    config: RunConfig,
    market: Arc<Market>,
    dates: Vec<Date>,
    random: Arc<RandomLegal>,
}

impl Calendar {
    /// Makes a market of two years whose volatility moves, or loads the bars of a folder.
    fn load(folder: Option<&Path>, symbols: &[Symbol]) -> anyhow::Result<Self> {
        let mut config = RunConfig::default();
        (config.run.symbols, config.run.intraday_days) = (symbols.to_vec(), 0);
        match folder {
            Some(folder) => (config.run.data_source, config.run.data_dir) = (DataSource::Files, folder.to_owned()),
            None => {
                config.run.data_source = DataSource::Synthetic;
                let made_up = &mut config.data.synthetic;
                (made_up.sessions_from, made_up.sessions_to) = (date(2023, 1, 3), date(2024, 12, 31));
                (made_up.seed, made_up.vol_of_vol) = (40, 1.5);
            }
        }
        let Inputs { market, dataset, .. } = Inputs::load(&config)?;
        let all: Vec<u32> = (0..market.days().len() as u32).collect();
        let random = Arc::new(random_legal::measure(&market, [&all, &[]], &config.env, 0)?);
        Ok(Self { config, market, dates: dataset.dates, random })
    }

    /// Returns the sessions on some dates, counted from the first of the market.
    fn days(&self, dates: std::ops::Range<usize>) -> Vec<u32> {
        self.market.days_in(&DateRange { first: self.dates[dates.start], last: self.dates[dates.end - 1] })
    }

    /// Trains on the last `train` dates before date number `end`, and compares with the dates that follow.
    fn judge(&self, end: usize, train: usize, seed: u64) -> anyhow::Result<CalendarWindow> {
        let memorised = train == MEMORISED;
        let set = if memorised { BY_HEART } else { NEVER_TRAINED };
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        let config = resolve(&self.config, &[Layer::assignments(&set)?], RunConfig::check)?;
        let (dates, steps) = (end - train..end + WINDOW[1], STEPS[usize::from(memorised)]);
        let validation = self.days(end..dates.end);
        let train = self.days(dates.start..end);
        let env = BatchEnv::new(Arc::clone(&self.market), train, config.env.clone(), config.ppo.n_envs, seed)?;
        let policy = Policy::for_env(&env, &config.policy, seed)?;
        let monitor = Monitor::new(self.market.rows().collect(), config.health.clone());
        let mut watched = Watched(monitor.with_random_legal(Arc::clone(&self.random)));
        let mut trainer = Trainer::new(env, policy, config.ppo, steps, seed, DeviceChoice::Cpu)?;
        while trainer.timesteps() < steps {
            let before = trainer.timesteps() / STEPS[0];
            trainer.iterate(&mut watched)?;
            if trainer.timesteps() / STEPS[0] > before {
                let (policy, env) = (trainer.policy(), &config.env);
                let played = random_legal::returns_of(policy, &self.market, &validation, env, &self.random, seed)?;
                watched.0.on_validation(trainer.timesteps(), &played);
            }
        }
        let gap = watched.0.state().overfit_gap();
        let (first, last) = (self.dates[dates.start], self.dates[dates.end - 1]);
        Ok(CalendarWindow { first, last, memorised, gap, rang: gap.is_some_and(|gap| gap.rings()) })
    }
}

/// Listener that passes everything to a monitor.
struct Watched(Monitor);

impl Listener for Watched {
    fn on_step(&mut self, _timesteps: u64, step: &StepView<'_>) {
        self.0.on_step(step);
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.0.on_iteration(iteration);
    }
}

/// Judges `count` windows and `memorising` trainings that memorise, spread evenly over the dates, on made-up bars or on those of
/// a folder.
///
/// # Errors
/// Bars that cannot be loaded, or with too few dates; a training that stops.
pub(super) fn report(
    count: usize,
    memorising: usize,
    folder: Option<&Path>,
    symbols: &[Symbol],
) -> anyhow::Result<CalendarReport> {
    let calendar = Calendar::load(folder, symbols)?;
    let free = calendar.dates.len().checked_sub(WINDOW[0] + WINDOW[1]).filter(|&free| free + 1 >= count);
    let needed = WINDOW[0] + WINDOW[1] + count - 1;
    ensure!(free.is_some(), "--windows {count}: the bars have {} dates, {needed} are needed", calendar.dates.len());
    let spread = |n: usize, of: usize| WINDOW[0] + n * free.unwrap_or(0) / of.saturating_sub(1).max(1);
    let windows = (0..count).map(|n| (spread(n, count), WINDOW[0], n as u64));
    let memorised = (0..memorising).map(|n| (spread(n, memorising), MEMORISED, n as u64));
    let trainings: Vec<_> = windows.chain(memorised).collect();
    let judge = |&(end, train, seed): &(usize, usize, u64)| {
        calendar.judge(end, train, seed).with_context(|| format!("the window that ends at {}", calendar.dates[end]))
    };
    let rows = trainings.par_iter().with_max_len(1).map(judge).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(CalendarReport::of(rows))
}
