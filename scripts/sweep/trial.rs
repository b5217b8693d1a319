//! Result of a trial at one rung, its file, and its money on the validation dates.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use statistics::{Moments, mean, normal_quantile};
use toml::Value;

use crate::{
    artifacts::files::read_json,
    output::output_file::{json_text, write_file},
    walk_forward::choice::error_of_mean,
};

/// One training of a trial. The lists have one entry per date of the plan, all symbols together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResult {
    /// Seed.
    pub seed: u64,
    /// Lane-steps.
    pub steps: u64,
    /// Share of HOLD among the decisions of a flat account in the last iteration.
    pub hold: Option<f64>,
    /// Share of BUY on strong setups there.
    pub strong_buy: Option<f64>,
    /// Last verdict; `None` for a training shorter than an interval.
    pub verdict: Option<String>,
    /// Net P&L of each date, in cents.
    pub net_cents: Vec<i64>,
    /// Positions opened and closed on each date.
    pub trades: Vec<u32>,
}

/// A trial after one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialResult {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// Number, from 0.
    pub trial: usize,
    /// Rung, from 1.
    pub rung: usize,
    /// Its point, one coordinate in `[0, 1]` per key.
    pub point: Vec<f64>,
    /// Its values, one per key.
    pub values: Vec<Value>,
    /// Trainings, by seed.
    pub seeds: Vec<SeedResult>,
}

impl TrialResult {
    /// Returns the file of a trial's rung.
    pub(super) fn path(folder: &Path, rung: usize, trial: usize) -> PathBuf {
        folder.join(format!("rung{rung}")).join(format!("{trial:05}.json"))
    }

    /// Reads a rung that an earlier start of the same plan finished; `None` if there is none.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(super) fn read(folder: &Path, plan_sha256: &str, rung: usize, trial: usize) -> anyhow::Result<Option<Self>> {
        let path = Self::path(folder, rung, trial);
        if !path.exists() {
            return Ok(None);
        }
        let found: Self = read_json(&path)?;
        let same = found.plan_sha256 == plan_sha256 && (found.rung, found.trial) == (rung, trial);
        Ok(same.then_some(found))
    }

    /// Writes the file at once: a trial is finished or starts again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_file(&Self::path(folder, self.rung, self.trial), json_text(self)?.as_bytes())
    }

    /// Returns P&L in dollars by date and seed, `[n][S]`.
    pub fn cells(&self) -> Vec<Vec<f64>> {
        let dates = self.seeds.first().map_or(0, |seed| seed.net_cents.len());
        (0..dates).map(|date| self.seeds.iter().map(|seed| seed.net_cents[date] as f64 / 100.0).collect()).collect()
    }

    /// Returns P&L in dollars by seed and date, `[S][n]`.
    pub fn by_seed(&self) -> Vec<Vec<f64>> {
        self.seeds.iter().map(|seed| seed.net_cents.iter().map(|cents| *cents as f64 / 100.0).collect()).collect()
    }

    /// Returns the P&L of each date in dollars, mean over seeds, `[n]`.
    pub fn daily(&self) -> Vec<f64> {
        self.cells().iter().map(mean).collect()
    }

    /// Returns the trial's money.
    pub fn score(&self) -> Score {
        Score::of(&self.cells())
    }

    /// Returns the money of this trial less that of another, paired by date and seed.
    pub fn less(&self, other: &Self) -> Score {
        let row = |(mine, theirs): (Vec<f64>, Vec<f64>)| mine.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        Score::of(&self.cells().into_iter().zip(other.cells()).map(row).collect::<Vec<_>>())
    }

    /// Returns the Sharpe ratio per date; 0 for a trial that never trades.
    pub fn sharpe(&self) -> f64 {
        Moments::of(&self.daily()).map_or(0.0, |moments| moments.sharpe())
    }

    /// Returns the trades per date and seed.
    pub fn trades(&self) -> f64 {
        mean(self.seeds.iter().flat_map(|seed| &seed.trades).map(|trades| f64::from(*trades)))
    }
}

/// Money of a date in dollars: all symbols together, mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Mean of a date.
    pub mean_usd: f64,
    /// Standard error of the mean over dates and seeds; `None` for a single date.
    pub error_usd: Option<f64>,
    /// The mean less one standard error, which ranks the trials.
    pub lower_usd: f64,
}

impl Score {
    /// Returns the score of P&L by date and seed, `[n][S]`.
    fn of(cells: &[Vec<f64>]) -> Self {
        let mean_usd = if cells.is_empty() { 0.0 } else { mean(cells.iter().flatten()) };
        let error_usd = error_of_mean(cells);
        Self { mean_usd, error_usd, lower_usd: mean_usd - error_usd.unwrap_or(0.0) }
    }

    /// Returns the ends of the interval of the mean at a level, by the normal distribution.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let half = self.error_usd? * normal_quantile(0.5 + level / 2.0);
        Some((self.mean_usd - half, self.mean_usd + half))
    }
}

/// Orders trials from the best to the worst by their lower bound; the lower number first among equals.
pub fn ranked<'a>(results: impl IntoIterator<Item = &'a TrialResult>) -> Vec<&'a TrialResult> {
    let mut all: Vec<(f64, &TrialResult)> = results.into_iter().map(|one| (one.score().lower_usd, one)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.trial.cmp(&b.1.trial)));
    all.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A trial with this P&L in cents by seed and date.
    pub(crate) fn trial(trial: usize, rung: usize, net_cents: &[&[i64]]) -> TrialResult {
        let seed = |(seed, cents): (usize, &&[i64])| SeedResult {
            seed: seed as u64,
            steps: 512,
            hold: None,
            strong_buy: None,
            verdict: None,
            net_cents: cents.to_vec(),
            trades: vec![2; cents.len()],
        };
        let seeds = net_cents.iter().enumerate().map(seed).collect();
        TrialResult {
            plan_sha256: "p".to_owned(),
            trial,
            rung,
            point: vec![0.5],
            values: vec![Value::Float(0.5)],
            seeds,
        }
    }

    #[test]
    fn a_score_is_the_mean_of_a_date_less_its_error() {
        let one = trial(0, 1, &[&[100, 300], &[200, 600]]);
        let score = one.score();
        assert_eq!(score.mean_usd, 3.0);
        // Mean squares 9 (dates), 4 (seeds) and 1: sqrt((9 + 4 - 1) / 4).
        assert!((score.error_usd.unwrap() - 3f64.sqrt()).abs() < 1e-12, "{score:?}");
        assert!((score.lower_usd - (3.0 - 3f64.sqrt())).abs() < 1e-12);
        assert_eq!((one.trades(), one.daily()), (2.0, vec![1.5, 4.5]));
    }

    #[test]
    fn a_pair_cancels_what_both_trials_share() {
        let (a, b) = (trial(0, 1, &[&[9_000, -9_000, 4_000]]), trial(1, 1, &[&[9_100, -8_900, 4_100]]));
        let difference = b.less(&a);
        assert_eq!((difference.mean_usd, difference.error_usd), (1.0, Some(0.0)));
        assert!(b.score().error_usd.unwrap() > 50.0);
        assert_eq!(ranked([&a, &b]).iter().map(|one| one.trial).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn equal_trials_keep_their_order_and_files_of_another_plan_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (trial(4, 2, &[&[1, 2]]), trial(3, 2, &[&[1, 2]]));
        assert_eq!(ranked([&a, &b])[0].trial, 3);
        a.write(folder.path()).unwrap();
        assert_eq!(TrialResult::read(folder.path(), "p", 2, 4).unwrap(), Some(a));
        assert_eq!(TrialResult::read(folder.path(), "other", 2, 4).unwrap(), None);
        assert_eq!(TrialResult::read(folder.path(), "p", 1, 4).unwrap(), None);
    }
}
