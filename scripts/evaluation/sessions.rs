//! P&L by session date: what an evaluation is made of.
//!
//! The unit is the session date, all symbols of a date together: trades of a date, and symbols, depend on each other. A date
//! without a trade is a date with 0.

use anyhow::{bail, ensure};
use jiff::civil::Date;
use market_data::{DataStamp, DateRange};
use statistics::DatesBySeeds;

/// One procedure on all dates: a configuration, trained with one or more seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Name on the screen, such as that of a model.
    pub name: String,
    /// Seeds of the trainings, each once.
    pub seeds: Vec<u64>,
    /// Net P&L in dollars by seed and date, `[S][n]`.
    pub pnl_usd: Vec<Vec<f64>>,
    /// Positions closed, all seeds together.
    pub trades: u64,
}

impl Trial {
    /// Returns the P&L of each date, the mean over the seeds, `[n]`.
    pub fn mean_pnl(&self) -> Vec<f64> {
        let seeds = self.pnl_usd.len() as f64;
        let dates = self.pnl_usd.first().map_or(0, Vec::len);
        (0..dates).map(|date| self.pnl_usd.iter().map(|pnl| pnl[date]).sum::<f64>() / seeds).collect()
    }
}

/// A policy without information on the same dates.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Name.
    pub name: String,
    /// Net P&L in dollars by date, `[n]`.
    pub pnl_usd: Vec<f64>,
}

/// Trials on the same session dates.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSeries {
    /// Session dates, ascending, `[n]`.
    pub dates: Vec<Date>,
    /// Fold of each date, from 0; all 0 without folds. In each fold a seed is another training.
    pub folds: Vec<usize>,
    /// Symbols that are traded together.
    pub symbols: Vec<String>,
    /// Capital that all symbols of a date start with, in dollars.
    pub capital_usd: f64,
    /// Origin of the bars.
    pub data: DataStamp,
    /// True if a trade was priced by the model instead of by quotes.
    pub modelled_prices: bool,
    /// Dates among them on which a trial or its parents were trained.
    pub in_sample_dates: usize,
    /// The trials, one or more.
    pub trials: Vec<Trial>,
    /// Policies without information on the same dates; they are no trials, since nobody chose among them.
    pub baselines: Vec<Baseline>,
}

impl SessionSeries {
    /// Checks the shapes: dates ascending, a fold per date, a finite value per trial, seed and date.
    ///
    /// # Errors
    /// A sentence with the first fault.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.dates.is_empty() && !self.trials.is_empty(),
            "there is no session date, or no trial, to evaluate"
        );
        ensure!(self.dates.is_sorted_by(|a, b| a < b), "session dates are not ascending");
        ensure!(self.folds.len() == self.dates.len(), "{} folds for {} dates", self.folds.len(), self.dates.len());
        for Baseline { name, pnl_usd } in &self.baselines {
            ensure!(pnl_usd.len() == self.dates.len(), "{name}: a value per date is needed");
        }
        for Trial { name, seeds, pnl_usd, .. } in &self.trials {
            ensure!(seeds.len() == pnl_usd.len() && !seeds.is_empty(), "{name}: a series per seed is needed");
            ensure!(pnl_usd.iter().all(|pnl| pnl.len() == self.dates.len()), "{name}: a value per date is needed");
            if let Some(date) = (0..self.dates.len()).find(|&date| pnl_usd.iter().any(|pnl| !pnl[date].is_finite())) {
                bail!("{name}: the P&L of {} is not a number", self.dates[date]);
            }
        }
        Ok(())
    }

    /// Returns first and last date.
    pub fn range(&self) -> DateRange {
        DateRange { first: self.dates[0], last: self.dates[self.dates.len() - 1] }
    }

    /// Returns the number of folds.
    pub fn fold_count(&self) -> usize {
        self.folds.iter().max().map_or(0, |last| last + 1)
    }

    /// Returns a trial as a table of dates by seeds.
    pub fn table(&self, trial: &Trial) -> DatesBySeeds {
        DatesBySeeds { fold: self.folds.clone(), ..DatesBySeeds::of_seeds(&trial.pnl_usd) }
    }

    /// Returns the mean P&L of a date by fold and seed, `[folds][S]`.
    pub fn by_fold(&self, trial: &Trial) -> Vec<Vec<f64>> {
        let of = |fold: usize, pnl: &[f64]| {
            let dates = self.folds.iter().zip(pnl).filter(|(of, _)| **of == fold).map(|(_, pnl)| *pnl);
            statistics::mean(dates)
        };
        (0..self.fold_count()).map(|fold| trial.pnl_usd.iter().map(|pnl| of(fold, pnl)).collect()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::{ToSpan as _, civil::date};

    use super::*;

    /// P&L by seed `[S][n]` around a mean, of deviation 30 by date, of which half is common to the seeds.
    pub(crate) fn noise(seeds: usize, n: usize, mean: f64) -> Vec<Vec<f64>> {
        let draw = |stream: usize, date: usize| {
            let mut z = ((stream * 100_003 + date) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / 2_f64.powi(53) - 0.5
        };
        let scale = 30.0 * 6_f64.sqrt();
        let pnl = |seed: usize| (0..n).map(|date| scale * (draw(0, date) + draw(seed + 1, date))).collect::<Vec<_>>();
        let mut all: Vec<Vec<f64>> = (0..seeds).map(pnl).collect();
        let grand = statistics::mean(all.iter().flatten());
        all.iter_mut().flatten().for_each(|x| *x += mean - grand);
        all
    }

    /// Consecutive dates.
    pub(crate) fn dates(n: usize) -> Vec<Date> {
        (0..n).map(|day| date(2025, 1, 2) + (day as i64).days()).collect()
    }

    /// Trials on consecutive dates; each series is a seed.
    pub(crate) fn series(trials: Vec<(&str, Vec<Vec<f64>>)>) -> SessionSeries {
        let n = trials[0].1[0].len();
        let dates = dates(n);
        let trial = |(name, pnl_usd): (&str, Vec<Vec<f64>>)| Trial {
            name: name.to_owned(),
            seeds: (0..pnl_usd.len() as u64).collect(),
            pnl_usd,
            trades: 100,
        };
        SessionSeries {
            dates,
            folds: vec![0; n],
            symbols: vec!["SPY".to_owned()],
            capital_usd: 10_000.0,
            data: DataStamp::Market,
            modelled_prices: false,
            in_sample_dates: 0,
            trials: trials.into_iter().map(trial).collect(),
            baselines: Vec::new(),
        }
    }

    #[test]
    fn seeds_are_averaged_by_date_and_by_fold() {
        let mut sessions = series(vec![("a", vec![vec![1.0, 2.0, 3.0, 5.0], vec![3.0, 2.0, 1.0, -1.0]])]);
        sessions.check().unwrap();
        assert_eq!(sessions.trials[0].mean_pnl(), [2.0; 4]);
        sessions.folds = vec![0, 0, 1, 1];
        assert_eq!(sessions.by_fold(&sessions.trials[0]), [[1.5, 2.5], [4.0, 0.0]]);
        assert_eq!(sessions.table(&sessions.trials[0]).pnl[3], [5.0, -1.0]);
    }

    #[test]
    fn wrong_shapes_and_numbers_are_named() {
        let fault = |change: &dyn Fn(&mut SessionSeries)| {
            let mut sessions = series(vec![("a", vec![vec![1.0, 2.0]])]);
            change(&mut sessions);
            sessions.check().unwrap_err().to_string()
        };
        assert_eq!(fault(&|x| x.trials[0].pnl_usd[0][1] = f64::NAN), "a: the P&L of 2025-01-03 is not a number");
        assert_eq!(fault(&|x| x.dates.swap(0, 1)), "session dates are not ascending");
        assert_eq!(fault(&|x| x.trials[0].pnl_usd[0].push(1.0)), "a: a value per date is needed");
        assert_eq!(fault(&|x| x.trials[0].seeds.push(1)), "a: a series per seed is needed");
        assert_eq!(fault(&|x| x.folds.clear()), "0 folds for 2 dates");
        assert!(fault(&|x| x.trials.clear()).starts_with("there is no session date"));
    }
}
