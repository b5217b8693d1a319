//! JSON report of the trainings over the seeds, and the sources of its numbers.

use market_data::{DataStamp, DateRange};
use market_env::{Action, Ledger};
use serde::Serialize;
use statistics::{median, share};

use super::runs::{Curve, TrainingPlan};
use crate::config::RunConfig;

/// Steps at which the old runs were documented.
pub(crate) const LOOKED_AT: [u64; 7] = [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000];

/// The result of `zerodte reproduce-collapse`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollapseReport {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Training symbols.
    pub symbols: Vec<String>,
    /// Training dates.
    pub train: DateRange,
    /// Sessions of all symbols on these dates.
    pub sessions: usize,
    /// Planned steps of every training, summed over lanes.
    pub timesteps: u64,
    /// Steps of an interval.
    pub interval_steps: u64,
    /// Seeds of the trainings.
    pub seeds: Vec<u64>,
    /// Profiles in the order of the flag.
    pub profiles: Vec<ProfileReport>,
}

/// The trainings of one profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileReport {
    /// Name of the profile.
    pub profile: String,
    /// Weight of the entropy bonus.
    pub ent_coef: f64,
    /// Reward per unit of P&L as a fraction of the position's entry cost.
    pub pnl_scale: f32,
    /// Conditions of four that make a setup strong.
    pub setup_threshold: u8,
    /// Lanes stepped together.
    pub lanes: usize,
    /// Every interval, over the seeds.
    pub intervals: Vec<Look>,
    /// The single trainings.
    pub runs: Vec<RunReport>,
}

/// One training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// Its intervals, in the order of [`ProfileReport::intervals`].
    pub intervals: Vec<Shown<Option<f64>>>,
}

/// One moment of a profile's trainings, over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Steps taken at its end.
    pub step: u64,
    /// Figures over the seeds; null where no seed has one.
    #[serde(flatten)]
    pub shown: Shown<Option<Spread>>,
}

/// Figures of the last interval and of the average since step 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown<T> {
    /// Figures of the interval alone.
    pub interval: WindowFigures<T>,
    /// Figures since step 0, as the old logs printed them.
    pub cumulative: WindowFigures<T>,
}

/// The figures of one window of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowFigures<T> {
    /// Share of HOLD among the decisions of flat accounts.
    pub hold: T,
    /// Share of BUY_CALL.
    pub buy_call: T,
    /// Share of BUY_PUT.
    pub buy_put: T,
    /// Share of both.
    pub buy: T,
    /// Share of both on strong setups.
    pub strong_buy: T,
    /// Shaped reward, summed over lanes.
    pub reward: T,
    /// P&L after spread and fees, in US dollars, summed over lanes.
    pub net_pnl_usd: T,
}

/// A figure over the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Its median.
    pub median: f64,
    /// Its smallest value.
    pub low: f64,
    /// Its largest value.
    pub high: f64,
}

impl CollapseReport {
    /// Summarises trainings; `curves` has one list per profile.
    pub(crate) fn of(data: DataStamp, train: DateRange, stories: &[TrainingPlan], curves: &[Vec<Curve>]) -> Self {
        let first = stories.first();
        let run = first.map(|story| &story.config.run);
        Self {
            data: data.to_owned(),
            symbols: run.map(|run| run.symbols.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            train,
            sessions: first.map_or(0, |story| story.days.len()),
            timesteps: run.map_or(0, |run| run.timesteps),
            interval_steps: run.map_or(0, |run| run.diagnostics_freq),
            seeds: curves.first().map(|curves| curves.iter().map(|curve| curve.seed).collect()).unwrap_or_default(),
            profiles: stories.iter().zip(curves).map(|(story, curves)| ProfileReport::of(story, curves)).collect(),
        }
    }
}

impl ProfileReport {
    fn of(story: &TrainingPlan, curves: &[Curve]) -> Self {
        let RunConfig { market, env, ppo, .. } = &story.config;
        let runs: Vec<RunReport> = curves.iter().map(RunReport::of).collect();
        let steps = curves.first().map(|curve| curve.totals.iter().map(|(step, _)| *step).collect::<Vec<_>>());
        let looks = steps.unwrap_or_default().into_iter().enumerate().map(|(i, step)| {
            let of_seeds: Vec<&Shown<Option<f64>>> = runs.iter().map(|run| &run.intervals[i]).collect();
            Look { step, shown: Shown::over(&of_seeds) }
        });
        Self {
            profile: story.name.clone(),
            ent_coef: ppo.ent_coef,
            pnl_scale: env.reward.pnl_scale,
            setup_threshold: market.setup_threshold,
            lanes: ppo.n_envs,
            intervals: looks.collect(),
            runs,
        }
    }

    /// Returns the moments in the tables: the documented ones, and the last.
    pub(crate) fn looks(&self) -> impl Iterator<Item = &Look> {
        let last = self.intervals.last().map(|look| look.step);
        self.intervals.iter().filter(move |look| LOOKED_AT.contains(&look.step) || Some(look.step) == last)
    }
}

impl RunReport {
    fn of(curve: &Curve) -> Self {
        let mut before = Ledger::default();
        let shown = curve.totals.iter().map(|(_, total)| {
            let interval = total.since(&before);
            before = total.clone();
            Shown { interval: WindowFigures::of(&interval), cumulative: WindowFigures::of(total) }
        });
        Self { seed: curve.seed, intervals: shown.collect() }
    }
}

impl Shown<Option<Spread>> {
    fn over(seeds: &[&Shown<Option<f64>>]) -> Self {
        let windows = |window: fn(&Shown<Option<f64>>) -> &WindowFigures<Option<f64>>| {
            let figures: Vec<_> = seeds.iter().map(|shown| window(shown)).collect();
            WindowFigures::over(&figures)
        };
        Self { interval: windows(|shown| &shown.interval), cumulative: windows(|shown| &shown.cumulative) }
    }
}

impl WindowFigures<Option<f64>> {
    fn of(ledger: &Ledger) -> Self {
        let [hold, call, put] = [Action::Hold, Action::BuyCall, Action::BuyPut].map(|action| ledger.flat(action));
        let flat = |count| share(count, ledger.flat_steps());
        Self {
            hold: flat(hold),
            buy_call: flat(call),
            buy_put: flat(put),
            buy: flat(call + put),
            strong_buy: share(ledger.strong_buys(), ledger.strong_states()),
            reward: Some(ledger.reward_terms.total()),
            net_pnl_usd: Some(ledger.net_pnl_cents as f64 / 100.0),
        }
    }
}

impl WindowFigures<Option<Spread>> {
    fn over(seeds: &[&WindowFigures<Option<f64>>]) -> Self {
        let of = |figure: fn(&WindowFigures<Option<f64>>) -> Option<f64>| {
            Spread::of(seeds.iter().filter_map(|figures| figure(figures)).collect())
        };
        Self {
            hold: of(|figures| figures.hold),
            buy_call: of(|figures| figures.buy_call),
            buy_put: of(|figures| figures.buy_put),
            buy: of(|figures| figures.buy),
            strong_buy: of(|figures| figures.strong_buy),
            reward: of(|figures| figures.reward),
            net_pnl_usd: of(|figures| figures.net_pnl_usd),
        }
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self { median: median(&values), low: *values.first()?, high: *values.last()? })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::civil::date;
    use market_env::Setup;

    use super::*;

    /// A report of made-up figures: three intervals of one profile.
    pub(in crate::commands::reproduce_collapse) fn report() -> CollapseReport {
        let spread = |median| Some(Spread { median, low: median, high: median });
        let figures = |hold, net_pnl_usd| WindowFigures {
            hold,
            buy_call: spread(0.2),
            buy_put: None,
            buy: spread(0.6),
            strong_buy: spread(0.7),
            reward: spread(-1500.2),
            net_pnl_usd: spread(net_pnl_usd),
        };
        let look = |step| {
            let interval = figures(Some(Spread { median: 0.4, low: 0.3, high: 0.5 }), -10.0);
            Look { step, shown: Shown { interval, cumulative: figures(spread(0.45), -25.0) } }
        };
        let profile = ProfileReport {
            profile: "tune2".to_owned(),
            ent_coef: 0.08,
            pnl_scale: 3.0,
            setup_threshold: 4,
            lanes: 8,
            intervals: [5_000, 9_000, 10_000, 12_000].map(look).to_vec(),
            runs: Vec::new(),
        };
        CollapseReport {
            data: DataStamp::Market,
            symbols: vec!["SPY".to_owned()],
            train: DateRange { first: date(2025, 4, 1), last: date(2025, 4, 30) },
            sessions: 20,
            timesteps: 12_000,
            interval_steps: 5_000,
            seeds: vec![0, 1],
            profiles: vec![profile],
        }
    }

    fn total(hold: u64, calls: u64, strong_holds: u64, strong_puts: u64) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.flat_actions[Setup::Weak as usize] = [hold, calls, 0, 0, 0, 0];
        ledger.flat_actions[Setup::BearStrong as usize] = [strong_holds, 0, strong_puts, 0, 0, 0];
        ledger
    }

    #[test]
    fn intervals_are_differences_and_cumulative_figures_are_not() {
        let totals = vec![(5_000, total(80, 10, 10, 0)), (10_000, total(80, 90, 10, 20))];
        let run = RunReport::of(&Curve { seed: 3, totals });
        let last = &run.intervals[1];
        assert_eq!(
            (last.interval.hold, last.interval.strong_buy, last.interval.buy),
            (Some(0.0), Some(1.0), Some(1.0))
        );
        assert_eq!((last.interval.buy_call, last.interval.buy_put), (Some(0.8), Some(0.2)));
        assert_eq!((last.cumulative.hold, last.cumulative.strong_buy), (Some(0.45), Some(20.0 / 30.0)));
        assert_eq!(run.intervals[0].interval, run.intervals[0].cumulative);
        assert_eq!(WindowFigures::of(&Ledger::default()).hold, None);
    }

    #[test]
    fn seeds_become_a_median_and_a_range() {
        let spread = Spread::of(vec![0.3, 0.1, 0.2, 0.9]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (0.25, 0.1, 0.9));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
