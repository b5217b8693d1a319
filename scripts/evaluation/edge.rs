//! Evidence for an edge in the P&L of session dates, and the verdict on it. Pure: no file, no clock, no market.
//!
//! `zerodte evaluate` calls it on reports of backtests. Anything that holds its P&L by date, seed and trial can call it on a
//! [`SessionSeries`] in memory, and hand in with [`Beside`] what it measured apart from the series.

pub mod figures;
pub mod text;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use statistics::{
    BlockLength, Blocks, DeflatedSharpe, Moments, Resamples, SuperiorAbility, errors_for_power, min_backtest_years,
    p_error, reality_check, romano_wolf,
};

use crate::{
    config::evaluation::EvaluationConfig,
    evaluation::{
        details::Details,
        edge::{
            figures::{
                Drawdown, Dsr, Fold, MeanPerDate, Pbo, RealityCheck, Seeds, Sharpe, Spa, TrialResult, Unit,
                VarianceParts,
            },
            verdict::{Evidence, Verdict},
        },
        sessions::{SessionSeries, Trial},
    },
    output::table::{counted, significant},
};

/// Looks at the dates of an evaluation, as the registry counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// Configurations that have looked at some of the dates, the evaluated ones included.
    pub configurations: usize,
    /// Those that are not among the evaluated ones.
    pub outside: usize,
}

impl Looks {
    /// Counts the configurations in `lookers`; `own` are the evaluated ones, which count whether or not they have looked before.
    pub fn of(lookers: &BTreeSet<&str>, own: &BTreeSet<&str>) -> Self {
        let outside = lookers.difference(own).count();
        Self { configurations: own.len() + outside, outside }
    }
}

/// Reason of an unknown probability of overfitting in a test with folds.
const NO_DIAGNOSIS: &str =
    "the candidates that were not chosen have not played the test dates; walk-forward --diagnose-selection lets them";

/// Reason of figures that need more than P&L by date.
const NO_TRADES: &str = "needs trades and bars: a walk-forward test, or the page of a backtest or training";

/// Multiple of the spread at which an edge has to survive.
pub const WIDER_SPREAD: f64 = 1.5;

/// Result of random entries that match the policy's in number, side, hour and setup.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatchedRandom {
    /// Share of random policies that earn as much, the policy itself counted.
    pub p: f64,
    /// Mean P&L of a date, in dollars.
    pub mean: f64,
}

/// Rank of the result among markets without direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Placebo {
    /// Placebo worlds.
    pub worlds: usize,
    /// Worlds in which the same procedure earned as much.
    pub rank: usize,
    /// `(1 + rank) / (1 + worlds)`.
    pub p: f64,
}

impl Placebo {
    /// Returns the rank of a result among those of placebo worlds.
    pub fn of<'a>(real_usd: f64, worlds: impl IntoIterator<Item = &'a f64>) -> Self {
        let (mut count, mut rank) = (0, 0);
        for usd in worlds {
            count += 1;
            rank += usize::from(*usd >= real_usd);
        }
        Self { worlds: count, rank, p: (1 + rank) as f64 / (1 + count) as f64 }
    }
}

/// Share of markets with a planted edge in which the rank among placebo markets finds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// The planted edge as a fraction of premium and fees of a trade.
    pub edge_per_trade: f64,
    /// The edge as measured on one market.
    pub measured: f64,
    /// Markets with the edge.
    pub worlds: usize,
    /// Markets whose result has a rank of at most 5 % among the placebos.
    pub found: usize,
    /// Their share; null without a market.
    pub share: Option<f64>,
}

impl Power {
    /// Returns the power as a sentence.
    pub fn sentence(&self) -> String {
        format!(
            "An edge of {}% per trade would have been found in {:.0}% of {}.",
            significant(100.0 * self.edge_per_trade),
            100.0 * self.share.unwrap_or(0.0),
            counted(self.worlds, "market")
        )
    }
}

/// Facts from outside of the series; each may be unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beside {
    /// Trial to judge; absent: the one with the largest t.
    pub judged: Option<usize>,
    /// True if the judged trial is made of the others, fold by fold: the probability of overfitting is that of choosing among them.
    pub composed: bool,
    /// Looks at the dates; absent without a registry.
    pub looks: Option<Looks>,
    /// Mean P&L of a date where every spread is wider by half, in dollars.
    pub at_wider_spread_usd: Option<f64>,
    /// Random entries that match the policy's.
    pub matched_random: Option<MatchedRandom>,
    /// Mean P&L of a date with perfect foresight, in dollars.
    pub ceiling_usd: Option<f64>,
    /// Rank among placebo worlds.
    pub placebo: Option<Placebo>,
}

/// All figures and the verdict. An undefined figure is null, and `why` gives the reason under its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Verdict, its sentence and its evidence.
    pub verdict: Verdict,
    /// Size of the sample.
    pub unit: Unit,
    /// Name of the judged trial.
    pub judged: String,
    /// Mean net P&L of a date.
    pub mean_per_date_usd: MeanPerDate,
    /// Sharpe ratio.
    pub sharpe: Option<Sharpe>,
    /// Probability that the true Sharpe ratio is above zero.
    pub psr: Option<f64>,
    /// Deflated Sharpe ratio.
    pub dsr: Option<Dsr>,
    /// Dates from which the Sharpe ratio is above zero with confidence `1 - alpha`.
    pub min_track_record_dates: Option<f64>,
    /// Years below which the best of so many worthless trials is expected to reach an annual Sharpe ratio of 1.
    pub min_backtest_years: f64,
    /// Probability of backtest overfitting.
    pub pbo: Option<Pbo>,
    /// White's Reality Check.
    pub reality_check: Option<RealityCheck>,
    /// Hansen's test.
    pub spa: Option<Spa>,
    /// Romano-Wolf stepdown of all trials.
    pub romano_wolf: Vec<TrialResult>,
    /// The judged trial and the policies without information, in one Romano-Wolf stepdown; empty where none was replayed.
    pub baselines: Vec<TrialResult>,
    /// Seeds of the judged trial as trainings.
    pub seeds: Option<Seeds>,
    /// Components of variance.
    pub variance: Option<VarianceParts>,
    /// Largest fall of the cumulative P&L.
    pub drawdown: Option<Drawdown>,
    /// Folds, if there are several.
    pub folds: Vec<Fold>,
    /// Mean P&L of a date with perfect foresight.
    pub ceiling: Option<f64>,
    /// Matched random entries.
    pub matched_random: Option<MatchedRandom>,
    /// Rank among placebo worlds.
    pub placebo: Option<Placebo>,
    /// Power for every planted edge.
    #[serde(default)]
    pub power: Vec<Power>,
    /// P&L by groups, at other costs, and with more capital.
    #[serde(flatten)]
    pub details: Details,
    /// Looks at the dates; null without a registry.
    pub looks: Option<Looks>,
    /// Further session dates needed to find this edge, or the smallest one of interest.
    pub needed_dates: Option<u64>,
    /// Resamples, and the Monte Carlo error of a p-value of 5 %.
    pub resamples: usize,
    /// Monte Carlo standard error of a p-value of 5 %.
    pub p_error: f64,
    /// Reasons of null figures, by key.
    pub why: BTreeMap<String, String>,
}

/// Returns the index of the trial with the largest t of its mean.
pub fn best_trial(sessions: &SessionSeries) -> usize {
    let sharpe = |trial: &Trial| Moments::of(&trial.mean_pnl()).map_or(0.0, |moments| moments.sharpe());
    let sharpes: Vec<f64> = sessions.trials.iter().map(sharpe).collect();
    (1..sharpes.len()).fold(0, |best, k| if sharpes[k] > sharpes[best] { k } else { best })
}

impl Evaluation {
    /// Evaluates trials on the same dates. `seed` is that of the resamples, such as a hash of the plan.
    ///
    /// # Errors
    /// When the series have unequal shapes, or a value is not a number.
    pub fn of(sessions: &SessionSeries, beside: &Beside, config: &EvaluationConfig, seed: u64) -> anyhow::Result<Self> {
        sessions.check()?;
        let series: Vec<Vec<f64>> = sessions.trials.iter().map(Trial::mean_pnl).collect();
        let judged = beside.judged.unwrap_or_else(|| best_trial(sessions));
        let (trial, pnl) = (&sessions.trials[judged], &series[judged]);
        let moments = Moments::of(pnl);
        let block = BlockLength::for_sessions(pnl);
        let enough = pnl.len() >= config.min_dates;
        let resamples = Resamples::draw(pnl.len(), config.resamples, Blocks::Stationary(block), seed);
        let table = sessions.table(trial);
        let mean = if enough { MeanPerDate::of(pnl, &table, &resamples, seed) } else { MeanPerDate::alone(pnl) };
        let trials = series.len() + beside.looks.map_or(0, |looks| looks.outside);
        let sharpes: Vec<f64> = series.iter().map(|x| Moments::of(x).map_or(0.0, |found| found.sharpe())).collect();
        let family = romano_wolf(&series, &resamples);
        let romano_wolf =
            family.into_iter().enumerate().map(|(k, row)| TrialResult::of(&sessions.trials[k].name, &series[k], row));
        let mut evaluation = Self {
            verdict: Verdict::default(),
            unit: unit(sessions, trial),
            judged: trial.name.clone(),
            mean_per_date_usd: mean,
            sharpe: moments.map(|moments| Sharpe::of(&moments, block)),
            psr: moments.map(|moments| moments.psr(0.0)),
            dsr: moments.and_then(|moments| DeflatedSharpe::of(&moments, &sharpes, trials)).map(Dsr::from),
            min_track_record_dates: moments.and_then(|moments| moments.min_track_record(0.0, 1.0 - config.alpha)),
            min_backtest_years: min_backtest_years(trials, 1.0),
            pbo: Pbo::of(&candidates(&series, judged, beside.composed)),
            reality_check: enough.then(|| reality_check(&series, &resamples)).flatten().map(|p| RealityCheck { p }),
            spa: enough.then(|| SuperiorAbility::of(&series, &resamples, block)).flatten().map(Spa::from),
            romano_wolf: if enough { romano_wolf.collect() } else { Vec::new() },
            baselines: if enough { baselines(sessions, judged, pnl, &resamples) } else { Vec::new() },
            seeds: Seeds::of(&sessions.by_fold(trial), config.resamples, seed),
            variance: if sessions.fold_count() == 1 { VarianceParts::of(&table) } else { None },
            drawdown: Drawdown::of(pnl, &resamples),
            folds: Fold::all(sessions, pnl),
            ceiling: beside.ceiling_usd,
            matched_random: beside.matched_random,
            placebo: beside.placebo,
            power: Vec::new(),
            details: Details::default(),
            looks: beside.looks,
            needed_dates: needed_dates(&mean, sessions, trials, config),
            resamples: config.resamples,
            p_error: p_error(0.05, config.resamples),
            why: BTreeMap::new(),
        };
        evaluation.explain(config);
        let evidence = Evidence { evaluation: &evaluation, sessions, judged, pnl, trials, beside, config };
        evaluation.verdict = evidence.verdict();
        Ok(evaluation)
    }

    /// Adds the figures that need trades and bars.
    pub fn set_details(&mut self, details: Details) {
        for (key, known) in [("breakdown", details.breakdown.is_some()), ("break_even", details.break_even.is_some())] {
            if known {
                self.why.remove(key);
            } else {
                self.why.insert(key.to_owned(), "no trade, or no bars of these dates".to_owned());
            }
        }
        self.details = details;
    }

    /// Gives the reason of every figure that is null.
    fn explain(&mut self, config: &EvaluationConfig) {
        let few = format!("fewer than {} dates", config.min_dates);
        let flat = if self.unit.dates < 2 { "one date" } else { "all dates are equal" };
        let one_trial = "one trial: nothing was chosen among several";
        let choice = if self.unit.folds > 1 { NO_DIAGNOSIS } else { one_trial };
        let apart = "not measured by this command";
        let reasons = [
            ("mean_per_date_usd.low", self.mean_per_date_usd.low.is_none(), few.as_str()),
            ("sharpe", self.sharpe.is_none(), flat),
            ("psr", self.psr.is_none(), flat),
            ("dsr", self.dsr.is_none(), if self.sharpe.is_none() { flat } else { one_trial }),
            ("min_track_record_dates", self.min_track_record_dates.is_none(), "the Sharpe ratio is not above 0"),
            ("pbo", self.pbo.is_none(), if self.unit.dates < 40 { "fewer than 40 dates" } else { choice }),
            ("reality_check", self.reality_check.is_none(), few.as_str()),
            ("spa", self.spa.is_none(), if self.reality_check.is_none() { &few } else { flat }),
            ("romano_wolf", self.romano_wolf.is_empty(), few.as_str()),
            ("seeds", self.seeds.is_none(), "one seed"),
            ("variance", self.variance.is_none(), "one seed, or several folds"),
            ("ceiling", self.ceiling.is_none(), apart),
            ("matched_random", self.matched_random.is_none(), apart),
            ("placebo", self.placebo.is_none(), apart),
            ("breakdown", true, NO_TRADES),
            ("break_even", true, NO_TRADES),
            ("looks", self.looks.is_none(), "no registry: the number of trials is unknown, at least those evaluated"),
            ("needed_dates", self.needed_dates.is_none(), few.as_str()),
        ];
        self.why = reasons
            .into_iter()
            .filter(|(_, absent, _)| *absent)
            .map(|(key, _, why)| (key.to_owned(), why.to_owned()))
            .collect();
    }
}

/// Returns the series among which a choice is cross-validated.
fn candidates(series: &[Vec<f64>], judged: usize, composed: bool) -> Vec<Vec<f64>> {
    let others = series.iter().enumerate().filter(|(k, _)| !composed || *k != judged);
    others.map(|(_, pnl)| pnl.clone()).collect()
}

/// Tests the judged series and the policies without information together.
fn baselines(sessions: &SessionSeries, judged: usize, pnl: &[f64], resamples: &Resamples) -> Vec<TrialResult> {
    if sessions.baselines.is_empty() {
        return Vec::new();
    }
    let own = (sessions.trials[judged].name.as_str(), pnl.to_vec());
    let others = sessions.baselines.iter().map(|baseline| (baseline.name.as_str(), baseline.pnl_usd.clone()));
    let (names, series): (Vec<&str>, Vec<Vec<f64>>) = [own].into_iter().chain(others).unzip();
    let rows = romano_wolf(&series, resamples).into_iter();
    rows.enumerate().map(|(k, row)| TrialResult::of(names[k], &series[k], row)).collect()
}

fn unit(sessions: &SessionSeries, trial: &Trial) -> Unit {
    let range = sessions.range();
    Unit {
        dates: sessions.dates.len(),
        first: range.first.to_string(),
        last: range.last.to_string(),
        symbols: sessions.symbols.clone(),
        seeds: trial.seeds.len(),
        folds: sessions.fold_count(),
        capital_usd: sessions.capital_usd,
        data: sessions.data,
        modelled_prices: sessions.modelled_prices,
        trades: trial.trades,
    }
}

/// Returns the further session dates that a one-sided test over all trials needs to find the edge, or the smallest one of
/// interest if that is larger: `n ((Φ⁻¹(1 - α/N) + Φ⁻¹(power)) SE / max(μ, δ))² - n`. `None` without a standard error.
fn needed_dates(mean: &MeanPerDate, sessions: &SessionSeries, trials: usize, config: &EvaluationConfig) -> Option<u64> {
    let edge = mean.value.max(config.smallest_edge * sessions.capital_usd);
    let error = mean.error.filter(|_| edge > 0.0)?;
    let n = sessions.dates.len() as f64;
    let all = (n * (errors_for_power(config.alpha, trials, config.power) * error / edge).powi(2)).ceil();
    Some((all - n).max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::sessions::tests::{noise, series};

    fn config() -> EvaluationConfig {
        EvaluationConfig { resamples: 499, ..EvaluationConfig::default() }
    }

    #[test]
    fn every_figure_is_there_or_has_a_reason() {
        let sessions = series(vec![("worse", noise(5, 60, -3.0)), ("better", noise(5, 60, 4.0))]);
        let looks = Some(Looks { configurations: 2, outside: 0 });
        let found = Evaluation::of(&sessions, &Beside { looks, ..Beside::default() }, &config(), 1).unwrap();
        assert_eq!((found.judged.as_str(), found.unit.seeds, found.dsr.unwrap().trials), ("better", 5, 2));
        let mean = found.mean_per_date_usd;
        assert!(
            mean.low.unwrap() <= mean.low_dates_only.unwrap() && mean.high.unwrap() >= mean.high_dates_only.unwrap()
        );
        assert_eq!(
            found.why.keys().collect::<Vec<_>>(),
            ["break_even", "breakdown", "ceiling", "matched_random", "placebo"]
        );
        let value = serde_json::to_value(&found).unwrap();
        let null = value.as_object().unwrap().iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.as_str());
        assert!(null.clone().all(|key| found.why.contains_key(key)), "{:?}", null.collect::<Vec<_>>());
        assert_eq!(value["romano_wolf"][1]["name"], "better");
        assert_eq!(serde_json::from_value::<Evaluation>(value).unwrap(), found, "it is read back");
    }

    #[test]
    fn a_composed_trial_is_no_candidate_of_its_own() {
        let one = noise(5, 60, 3.0);
        let sessions = series(vec![("walk-forward", one.clone()), ("a", one), ("b", noise(5, 60, -3.0))]);
        let pbo = |composed| {
            let beside = Beside { judged: Some(0), composed, ..Beside::default() };
            Evaluation::of(&sessions, &beside, &config(), 1).unwrap()
        };
        let (found, counted) = (pbo(true), pbo(false));
        assert_eq!((found.pbo.unwrap().candidates, counted.pbo.unwrap().candidates), (2, 3));
        assert_eq!((found.dsr.unwrap().trials, found.romano_wolf.len()), (3, 3), "every look counts");
    }

    #[test]
    fn few_dates_have_figures_and_no_interval() {
        let found = Evaluation::of(&series(vec![("a", noise(1, 19, 0.0))]), &Beside::default(), &config(), 1).unwrap();
        assert_eq!((found.mean_per_date_usd.low, found.needed_dates, found.romano_wolf.len()), (None, None, 0));
        assert!(found.sharpe.is_some() && found.drawdown.is_some());
        assert_eq!(found.why["romano_wolf"], "fewer than 20 dates");
        let flat = Evaluation::of(&series(vec![("a", vec![vec![0.0; 40]])]), &Beside::default(), &config(), 1).unwrap();
        assert_eq!((flat.sharpe, flat.psr, flat.spa), (None, None, None));
        assert_eq!(flat.why["sharpe"], "all dates are equal");
        assert!(!serde_json::to_string(&flat).unwrap().contains("NaN"));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let sessions = series(vec![("a", noise(2, 40, 1.0))]);
        let json = |seed| {
            let found = Evaluation::of(&sessions, &Beside::default(), &config(), seed).unwrap();
            serde_json::to_string(&found).unwrap()
        };
        assert_eq!(json(1), json(1));
        assert_ne!(json(1), json(2));
    }

    #[test]
    fn more_trials_and_smaller_edges_need_more_dates() {
        let sessions = series(vec![("a", noise(1, 60, 6.0))]);
        let needed = |looks: Option<Looks>, smallest_edge| {
            let config = EvaluationConfig { smallest_edge, ..config() };
            let beside = Beside { looks, ..Beside::default() };
            Evaluation::of(&sessions, &beside, &config, 1).unwrap().needed_dates.unwrap()
        };
        let alone = needed(None, 0.0);
        // A Sharpe ratio of 6 / 30 needs (2.4865 · 5)² = 155 dates, of which 60 are there; one of twenty trials 333.
        assert!((60..=130).contains(&alone), "{alone}");
        let of_twenty = needed(Some(Looks { configurations: 20, outside: 19 }), 0.0);
        assert!((200..=350).contains(&of_twenty), "{of_twenty}");
        assert_eq!(needed(None, 0.01), 0, "an edge of 100 dollars a date would be seen");
    }
}
