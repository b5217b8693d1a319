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
//!
//! A function returns `None` where its statistic is undefined; [`mean`], [`variance`] and [`quantile`] return NaN
//! there.
//!
//! The P&L of twelve days, its mean in standard errors, and a test of that mean against zero:
//!
//! ```
//! use statistics::{Mean, bootstrap_interval, max_drawdown, student_quantile};
//!
//! let pnl_usd = [120.0, -80.0, -95.0, 310.0, -60.0, -110.0, 45.0, -70.0, 520.0, -90.0, -85.0, -40.0];
//! let mean = Mean::of(&pnl_usd).ok_or("fewer than two days")?;
//! assert!(mean.t() < student_quantile(0.95, pnl_usd.len() - 1), "no evidence of a gain");
//!
//! // Each block is one day: its sum and its number of samples.
//! let days = pnl_usd.map(|pnl| [pnl, 1.0]);
//! let interval = bootstrap_interval(&days, |&[sum, count]: &[f64; 2]| Some(sum / count), 7).ok_or("too few days")?;
//! assert!(interval.low < 0.0 && 0.0 < interval.high);
//! assert_eq!(max_drawdown(&pnl_usd), 215.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod bootstrap;
mod distribution;
mod goodness_of_fit;
mod least_squares;
mod mean;
mod performance;
mod quantile;
mod ranks;

pub use bootstrap::{ConfidenceInterval, Sums, bootstrap_interval, total};
pub use distribution::{normal_quantile, student_quantile};
pub use goodness_of_fit::GoodnessOfFit;
pub use least_squares::{NormalEquations, least_squares_line};
pub use mean::{Mean, finite, mean, ratio, sample_variance, share, variance};
pub use performance::{SESSIONS_PER_YEAR, daily_sharpe, max_drawdown, profit_factor};
pub use quantile::{median, quantile};
pub use ranks::{correlation, kendall_tau_b, mann_whitney_z, placements, ranks};
