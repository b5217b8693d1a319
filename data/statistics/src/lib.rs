//! Statistics on plain numbers, shared by every crate of the workspace.
//!
//! All functions are pure: no files, no clock, no tensors. Randomness comes from a seed that the caller passes, so that
//! the same input gives the same number everywhere. Sums run in the order of their input.
//!
//! - Means with standard errors ([`Mean`]), variances, quantiles, the normal and Student's distribution.
//! - Ranks, rank agreement and rank tests ([`ranks`], [`kendall_tau_b`], [`mann_whitney_z`]), [`correlation`].
//! - Least squares ([`NormalEquations`]) and the fit of predictions to outcomes ([`GoodnessOfFit`]).
//! - Bootstrap intervals over blocks of dependent samples ([`bootstrap_interval`]).
//! - Performance of a series of P&L: [`daily_sharpe`], [`max_drawdown`], [`profit_factor`].
//! - The evidence in the P&L of session dates: [`Moments`] (Sharpe ratio with its error), block bootstraps ([`Resamples`],
//!   [`studentised_interval`]), dates by seeds ([`DatesBySeeds`]), seeds ([`interquartile_mean`]).
//! - Corrections for many trials: [`DeflatedSharpe`], [`romano_wolf`], [`reality_check`], [`SuperiorAbility`],
//!   [`Overfitting`].
//!
//! A function returns `None` where its statistic is undefined; [`mean`], [`variance`] and [`quantile`] return NaN
//! there.
//!
//! The P&L of twelve days, its mean with an interval that follows its skew, and the probability that it earns at all:
//!
//! ```
//! use statistics::{Blocks, Moments, Resamples, max_drawdown, studentised_interval};
//!
//! let pnl_usd = [120.0, -80.0, -95.0, 310.0, -60.0, -110.0, 45.0, -70.0, 520.0, -90.0, -85.0, -40.0];
//! // Each date: the sum of its values and their number.
//! let dates = pnl_usd.map(|pnl| [pnl, 1.0]);
//! let resamples = Resamples::draw(dates.len(), 1999, Blocks::Stationary(1.0), 7);
//! let interval = studentised_interval(&dates, &resamples).ok_or("too few days")?;
//! assert!(interval.low < 0.0 && 0.0 < interval.high, "no evidence of a gain");
//! let moments = Moments::of(&pnl_usd).ok_or("no variance")?;
//! assert!(moments.psr(0.0) < 0.95);
//! assert_eq!(max_drawdown(&pnl_usd), 215.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod block_length;
mod bootstrap;
mod cscv;
mod distribution;
#[cfg(test)]
mod goldens;
mod goodness_of_fit;
mod least_squares;
mod mean;
mod performance;
mod quantile;
mod ranks;
mod resample;
mod seeds;
mod sharpe;
mod snooping;
mod stepdown;
mod studentised;
mod trials;
mod two_way;

pub use block_length::BlockLength;
pub use bootstrap::{ConfidenceInterval, Sums, bootstrap_interval, total};
pub use cscv::{Overfitting, Score, blocks_for};
pub use distribution::{normal_probability, normal_quantile, student_quantile};
pub use goodness_of_fit::GoodnessOfFit;
pub use least_squares::{NormalEquations, least_squares_line};
pub use mean::{Mean, finite, mean, ratio, sample_variance, share, variance};
pub use performance::{SESSIONS_PER_YEAR, daily_sharpe, max_drawdown, profit_factor};
pub use quantile::{median, quantile};
pub use ranks::{correlation, kendall_tau_b, mann_whitney_z, placements, ranks};
pub use resample::{Blocks, Resamples, nearest_rank};
pub use seeds::{interquartile_interval, interquartile_mean, probability_of_improvement};
pub use sharpe::{Moments, annualisation, dates_for_power, errors_for_power};
pub use snooping::{SuperiorAbility, p_error, rank_p, reality_check};
pub use stepdown::{Stepdown, romano_wolf};
pub use studentised::{DateSum, FEWEST_DATES, percentile_interval, studentised_interval};
pub use trials::{DeflatedSharpe, expected_maximum, min_backtest_years};
pub use two_way::{Components, DatesBySeeds, NewTraining};
