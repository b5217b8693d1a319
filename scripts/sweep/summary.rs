//! Summary of a sweep, as `sweep.json` holds it: the best trial, and what luck alone would show.

use serde::{Deserialize, Serialize};
use statistics::{
    BlockLength, Blocks, DeflatedSharpe, Moments, Overfitting, Resamples, SESSIONS_PER_YEAR, blocks_for,
    expected_maximum, min_backtest_years, romano_wolf,
};

use super::{
    SweepResult, importance,
    plan::SweepPlan,
    trial::{Score, TrialResult, ranked},
};
use crate::config::evaluation::EvaluationConfig;

/// Probability of intervals.
const LEVEL: f64 = 0.95;
/// Additions that the resamples of a family may take; larger families have fewer resamples.
const MOST_ADDITIONS: usize = 1_000_000_000;
/// Trials from which the halves of the cross-validation are fewer.
const MANY_TRIALS: usize = 1_000;

/// What the best of so many worthless trials is expected to show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Luck {
    /// Trials.
    pub trials: usize,
    /// Validation dates.
    pub dates: usize,
    /// Annual Sharpe ratio of the best of the worthless trials.
    pub best_sharpe: f64,
    /// Years of dates below which it is expected to reach 1.
    pub min_backtest_years: f64,
}

impl Luck {
    /// Returns the luck of independent trials without an edge.
    pub fn of(trials: usize, dates: usize) -> Self {
        let best_sharpe = expected_maximum(trials) * (SESSIONS_PER_YEAR / dates.max(1) as f64).sqrt();
        Self { trials, dates, best_sharpe, min_backtest_years: min_backtest_years(trials, 1.0) }
    }
}

/// The best trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Number.
    pub trial: usize,
    /// Its values, `key=value`.
    pub settings: String,
    /// Its money on the validation dates.
    pub score: Score,
    /// Annual Sharpe ratio on the validation dates.
    pub sharpe: f64,
    /// Finished trials that cannot be told from it: the 95 % interval of the paired difference holds 0. It is one of them.
    pub tied: usize,
    /// Probability that its Sharpe ratio is above that of the best of as many worthless trials.
    pub dsr: Option<f64>,
    /// p-value of its mean, adjusted for all trials (Romano-Wolf).
    pub p_adjusted: f64,
}

/// Importance of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// Key.
    pub key: String,
    /// Share of the variance of the trials' means that it explains by itself, 0 to 1.
    pub share: Option<f64>,
}

/// Summary of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// Trials trained to their end.
    pub finished: usize,
    /// Trials given up.
    pub pruned: usize,
    /// Trials without a result, or in a rung that was cut short.
    pub unfinished: usize,
    /// Luck of all trials with a result.
    pub luck: Luck,
    /// The best trial; `None` without a finished one.
    pub best: Option<Best>,
    /// Probability of overfitting by choosing among the finished trials; `None` for fewer than 40 dates or two trials.
    pub pbo: Option<f64>,
    /// Kendall's τ between a rung and the one before.
    pub agreement: Vec<Option<f64>>,
    /// Importance of the keys, in their order.
    pub importance: Vec<Importance>,
}

impl Summary {
    /// Summarises a sweep; its resamples are drawn by the plan's hash.
    ///
    /// # Errors
    /// When the plan has no hash.
    pub fn of(plan: &SweepPlan, result: &SweepResult, config: &EvaluationConfig) -> anyhow::Result<Self> {
        let (all, finished) = (result.last(), result.finished(plan));
        let series: Vec<Vec<f64>> = finished.iter().map(TrialResult::daily).collect();
        let blocks = blocks_for(plan.validation.len())
            .map(|blocks| if series.len() > MANY_TRIALS { blocks.min(10) } else { blocks });
        let pbo = blocks.filter(|_| series.len() > 1);
        let pbo = pbo.and_then(|blocks| Overfitting::of(&series, blocks, statistics::Score::Sharpe));
        Ok(Self {
            plan_sha256: plan.sha256()?,
            finished: finished.len(),
            pruned: result.pruned.len(),
            unfinished: result.trials - finished.len() - result.pruned.len(),
            luck: Luck::of(all.len(), plan.validation.len()),
            best: best(plan, &all, finished, config)?,
            pbo: pbo.map(|pbo| pbo.value),
            agreement: result.agreement.clone(),
            importance: importances(plan, finished),
        })
    }
}

fn best(
    plan: &SweepPlan,
    all: &[&TrialResult],
    finished: &[TrialResult],
    config: &EvaluationConfig,
) -> anyhow::Result<Option<Best>> {
    let Some(&best) = ranked(finished).first() else { return Ok(None) };
    let zero_inside = |trial: &&TrialResult| {
        let ends = trial.less(best).interval(LEVEL);
        trial.trial == best.trial || ends.is_some_and(|(low, high)| low <= 0.0 && 0.0 <= high)
    };
    let sharpes: Vec<f64> = all.iter().map(|trial| trial.sharpe()).collect();
    let daily = best.daily();
    let moments = Moments::of(&daily);
    Ok(Some(Best {
        trial: best.trial,
        settings: plan.space.line(&best.values),
        score: best.score(),
        sharpe: best.sharpe() * SESSIONS_PER_YEAR.sqrt(),
        tied: finished.iter().filter(zero_inside).count(),
        dsr: moments.and_then(|moments| DeflatedSharpe::of(&moments, &sharpes, all.len())).map(|dsr| dsr.value),
        p_adjusted: adjusted(plan, all, best, config)?,
    }))
}

/// Returns the p-value of the best trial in the family of all trials, pruned ones at their last rung.
fn adjusted(
    plan: &SweepPlan,
    all: &[&TrialResult],
    best: &TrialResult,
    config: &EvaluationConfig,
) -> anyhow::Result<f64> {
    let series: Vec<Vec<f64>> = all.iter().map(|trial| trial.daily()).collect();
    let (daily, dates) = (best.daily(), plan.validation.len());
    let blocks = Blocks::Stationary(BlockLength::for_sessions(&daily));
    let count = config.resamples.min(MOST_ADDITIONS / (series.len() * dates).max(1)).max(199);
    let family = romano_wolf(&series, &Resamples::draw(dates, count, blocks, plan.seed()?));
    let place = all.iter().position(|trial| trial.trial == best.trial);
    Ok(place.map_or(1.0, |place| family[place].p_adjusted))
}

fn importances(plan: &SweepPlan, finished: &[TrialResult]) -> Vec<Importance> {
    let means: Vec<f64> = finished.iter().map(|trial| trial.score().mean_usd).collect();
    let of = |(key, parameter): (usize, &super::space::Parameter)| {
        let points: Vec<f64> = finished.iter().map(|trial| trial.point[key]).collect();
        Importance { key: parameter.key.clone(), share: importance::of(parameter, &points, &means) }
    };
    plan.space.0.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_grows_with_trials_and_shrinks_with_dates() {
        let luck = Luck::of(100, 42);
        // The table of the literature: 100 trials on 42 dates, 6.2 a year; 6.40 years for a Sharpe ratio of 1.
        assert!((luck.best_sharpe - 6.2).abs() < 0.05 && (luck.min_backtest_years - 6.40).abs() < 0.01, "{luck:?}");
        assert!(Luck::of(1, 42).best_sharpe == 0.0 && Luck::of(100, 250).best_sharpe < 2.6);
    }
}
