//! Figures of an evaluation, as `evaluation.json` holds them.

use market_data::DataStamp;
use serde::{Deserialize, Serialize};
use statistics::{
    ConfidenceInterval, DateSum, DatesBySeeds, DeflatedSharpe, Moments, NewTraining, Overfitting, Resamples,
    SESSIONS_PER_YEAR, Score, Stepdown, SuperiorAbility, blocks_for, interquartile_interval, max_drawdown,
    nearest_rank, sample_variance, studentised_interval,
};

use crate::evaluation::sessions::SessionSeries;

/// Size of the sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Session dates.
    pub dates: usize,
    /// First session date.
    pub first: String,
    /// Last session date.
    pub last: String,
    /// Symbols that are traded together.
    pub symbols: Vec<String>,
    /// Seeds of the judged trial.
    pub seeds: usize,
    /// Folds.
    pub folds: usize,
    /// Capital that all symbols of a date start with.
    pub capital_usd: f64,
    /// Origin of the bars.
    pub data: DataStamp,
    /// True if a trade was priced by the model instead of by quotes.
    pub modelled_prices: bool,
    /// Trades of the judged trial, all seeds together.
    pub trades: u64,
}

/// Mean net P&L of a session date, in dollars, with 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanPerDate {
    /// The mean over dates and seeds.
    pub value: f64,
    /// Lower end for a new training on other dates; for these networks if there is one seed.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Lower end for these networks on other dates.
    pub low_dates_only: Option<f64>,
    /// Upper end.
    pub high_dates_only: Option<f64>,
    /// Standard error behind `low` and `high`.
    pub error: Option<f64>,
}

impl MeanPerDate {
    /// Returns the mean without an interval.
    pub(super) fn alone(pnl: &[f64]) -> Self {
        let value = statistics::mean(pnl);
        Self { value, low: None, high: None, low_dates_only: None, high_dates_only: None, error: None }
    }

    /// Returns the mean with its intervals: bootstrap-t over dates, and the two-way bootstrap of dates and seeds. Few seeds
    /// vary too little, so the interval for a new training is never inside that for these networks.
    pub(super) fn of(pnl: &[f64], table: &DatesBySeeds, resamples: &Resamples, seed: u64) -> Self {
        let sums: Vec<DateSum> = pnl.iter().map(|x| [*x, 1.0]).collect();
        let dates = studentised_interval(&sums, resamples);
        let both = table.new_training(resamples, seed);
        let error_of_dates = || sample_variance(&resamples.statistics(pnl, |x| Some(statistics::mean(x)))).sqrt();
        let error = both.map_or_else(error_of_dates, |NewTraining { error, .. }| error);
        let of_both = both.map(|NewTraining { interval, .. }| interval);
        let wider = |end: fn(&ConfidenceInterval) -> f64, choose: fn(f64, f64) -> f64| {
            dates.iter().chain(&of_both).map(end).reduce(choose)
        };
        Self {
            low: wider(|x| x.low, f64::min),
            high: wider(|x| x.high, f64::max),
            low_dates_only: dates.map(|x| x.low),
            high_dates_only: dates.map(|x| x.high),
            error: Some(error),
            ..Self::alone(pnl)
        }
    }
}

/// Sharpe ratio of the P&L of session dates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sharpe {
    /// Per date.
    pub per_date: f64,
    /// Per year of 252 dates, for display.
    pub annual: f64,
    /// Lower end of the 95 % interval of `annual`, by the error of Mertens and Opdyke.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Skew.
    pub skew: f64,
    /// Raw kurtosis; 3 for a normal series.
    pub kurtosis: f64,
    /// Autocorrelation at lag 1.
    pub rho1: f64,
    /// Mean length of the bootstrap's blocks, in dates.
    pub block: f64,
}

impl Sharpe {
    pub(super) fn of(moments: &Moments, block: f64) -> Self {
        let year = SESSIONS_PER_YEAR.sqrt();
        let (per_date, half) = (moments.sharpe(), statistics::normal_quantile(0.975) * moments.sharpe_error());
        Self {
            per_date,
            annual: per_date * year,
            low: (per_date - half) * year,
            high: (per_date + half) * year,
            skew: moments.skew,
            kurtosis: moments.kurtosis,
            rho1: moments.rho1,
            block,
        }
    }
}

/// Deflated Sharpe ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dsr {
    /// Probability that the true Sharpe ratio exceeds that of the best of so many worthless trials.
    pub value: f64,
    /// Trials, those without a series included.
    pub trials: usize,
    /// Variance of the Sharpe ratios per date over the trials.
    pub variance: f64,
    /// Sharpe ratio per date that the best worthless trial is expected to have.
    pub threshold: f64,
}

impl From<DeflatedSharpe> for Dsr {
    fn from(DeflatedSharpe { value, trials, variance, threshold }: DeflatedSharpe) -> Self {
        Self { value, trials, variance, threshold }
    }
}

/// Probability of backtest overfitting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pbo {
    /// Share of halves in which the best trial inside ranks in the lower half outside.
    pub value: f64,
    /// Blocks of dates.
    pub blocks: usize,
    /// Halves.
    pub combinations: usize,
    /// Trials.
    pub candidates: usize,
    /// Share of halves in which the best trial inside loses outside.
    pub loss: f64,
    /// Slope of the score outside over that inside; negative by construction.
    pub slope: f64,
    /// Logits of the rank outside, one per half.
    pub logits: Vec<f64>,
}

impl Pbo {
    /// Cross-validates the choice among series `[N][n]`; `None` for one series or fewer than 40 dates.
    pub(super) fn of(series: &[Vec<f64>]) -> Option<Self> {
        let dates = series.first()?.len();
        let found = Overfitting::of(series, blocks_for(dates)?, Score::Sharpe)?;
        let Overfitting { value, blocks, candidates, loss, slope, logits, .. } = found;
        Some(Self { value, blocks, combinations: logits.len(), candidates, loss, slope, logits })
    }
}

/// Test of the best of all trials.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RealityCheck {
    /// p-value.
    pub p: f64,
}

/// Test of superior predictive ability, with three centres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spa {
    /// p-value with losing trials recentred to zero: too small.
    pub lower: f64,
    /// p-value with clearly losing trials left out.
    pub consistent: f64,
    /// p-value with all trials recentred to zero: too large.
    pub upper: f64,
}

impl From<SuperiorAbility> for Spa {
    fn from(SuperiorAbility { lower, consistent, upper, .. }: SuperiorAbility) -> Self {
        Self { lower, consistent, upper }
    }
}

/// One trial in the stepdown test of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// Name of the trial.
    pub name: String,
    /// Mean P&L of a date, in dollars.
    pub mean_usd: f64,
    /// Mean over its standard error.
    pub t: f64,
    /// One-sided p-value of the trial alone.
    pub p: f64,
    /// p-value adjusted for all trials.
    pub p_adjusted: f64,
}

impl TrialResult {
    pub(super) fn of(name: &str, pnl: &[f64], Stepdown { t, p, p_adjusted }: Stepdown) -> Self {
        Self { name: name.to_owned(), mean_usd: statistics::mean(pnl), t, p, p_adjusted }
    }
}

/// The seeds as trainings: interquartile mean of their P&L per date and fold. It compares trainings and is no money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    /// Interquartile mean, in dollars.
    pub iqm: f64,
    /// Lower end of its 95 % interval over seeds.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Seeds {
    /// `results` is `[folds][S]`; `None` for fewer than two seeds.
    pub(super) fn of(results: &[Vec<f64>], resamples: usize, seed: u64) -> Option<Self> {
        interquartile_interval(results, resamples, seed).map(|ConfidenceInterval { value, low, high, .. }| Self {
            iqm: value,
            low,
            high,
        })
    }
}

/// Components of the variance of the P&L by date and seed, in squared dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VarianceParts {
    /// Of dates: all seeds together.
    pub date: f64,
    /// Of seeds: all dates together.
    pub seed: f64,
    /// Of a seed on a date.
    pub residual: f64,
}

impl VarianceParts {
    pub(super) fn of(table: &DatesBySeeds) -> Option<Self> {
        table.components().map(|found| found.variances()).map(|[date, seed, residual]| Self { date, seed, residual })
    }
}

/// Largest fall of the cumulative P&L, in dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drawdown {
    /// On these dates.
    pub usd: f64,
    /// Median of the resamples.
    pub resampled_median: f64,
    /// 95 % of the resamples are smaller.
    pub resampled_95: f64,
}

impl Drawdown {
    pub(super) fn of(pnl: &[f64], resamples: &Resamples) -> Option<Self> {
        let mut found = resamples.statistics(pnl, |x| Some(max_drawdown(x)));
        found.sort_by(f64::total_cmp);
        let (resampled_median, resampled_95) = (nearest_rank(&found, 0.5)?, nearest_rank(&found, 0.95)?);
        Some(Self { usd: max_drawdown(pnl), resampled_median, resampled_95 })
    }
}

/// One fold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// Number of the fold, from 0.
    pub fold: usize,
    /// Session dates.
    pub dates: usize,
    /// Mean P&L of a date, in dollars.
    pub mean_usd: f64,
}

impl Fold {
    /// Returns the folds of a series, or none where there is only one.
    pub(super) fn all(sessions: &SessionSeries, pnl: &[f64]) -> Vec<Self> {
        let of = |fold: usize| {
            let inside: Vec<f64> =
                sessions.folds.iter().zip(pnl).filter(|(of, _)| **of == fold).map(|(_, x)| *x).collect();
            Self { fold, dates: inside.len(), mean_usd: statistics::mean(&inside) }
        };
        let count = sessions.fold_count();
        (0..count).filter(|_| count > 1).map(of).collect()
    }
}
