//! Performance figures of a series of profits and losses.

use crate::{mean, ratio, sample_variance};

/// Session dates of a year, the basis on which a daily Sharpe ratio is annualised.
pub const SESSIONS_PER_YEAR: f64 = 252.0;

/// Returns the largest fall of the running sum below its highest point so far, the start included; 0 or more.
pub fn max_drawdown(pnl: &[f64]) -> f64 {
    let (mut sum, mut peak, mut worst) = (0.0_f64, 0.0_f64, 0.0_f64);
    for change in pnl {
        sum += change;
        peak = peak.max(sum);
        worst = worst.max(peak - sum);
    }
    worst
}

/// Returns the annualised Sharpe ratio of daily P&L: mean over sample standard deviation, times √252. Returns `None`
/// for fewer than two days and if all days are equal.
pub fn daily_sharpe(pnl: &[f64]) -> Option<f64> {
    let variance = sample_variance(pnl);
    (pnl.len() > 1 && variance > 0.0).then(|| mean(pnl) / variance.sqrt() * SESSIONS_PER_YEAR.sqrt())
}

/// Returns the sum of gains over the sum of losses, or `None` without a loss.
pub fn profit_factor(pnl: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (gains, losses) =
        pnl.into_iter().fold((0.0, 0.0), |(gains, losses), x| (gains + x.max(0.0), losses - x.min(0.0)));
    ratio(gains, losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawdown_is_the_deepest_fall_below_any_earlier_peak() {
        assert_eq!(max_drawdown(&[]), 0.0);
        assert_eq!(max_drawdown(&[5.0, 1.0]), 0.0);
        assert_eq!(max_drawdown(&[-3.0, 1.0]), 3.0);
        assert_eq!(max_drawdown(&[10.0, -4.0, 3.0, -6.0, 20.0, -5.0]), 7.0);
    }

    #[test]
    fn sharpe_is_mean_over_sample_deviation_annualised() {
        // Mean 2, sample deviation 2: √252.
        assert!((daily_sharpe(&[0.0, 2.0, 4.0]).unwrap() - 252.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(daily_sharpe(&[1.0]), None);
        assert_eq!(daily_sharpe(&[1.0, 1.0]), None);
        assert_eq!(daily_sharpe(&[]), None);
    }

    #[test]
    fn profit_factor_needs_a_loss() {
        assert_eq!(profit_factor([3.0, -2.0, 0.0, 1.0]), Some(2.0));
        assert_eq!(profit_factor([3.0]), None);
        assert_eq!(profit_factor([-3.0]), Some(0.0));
    }

    #[test]
    fn figures_of_twenty_days_are_those_of_numpy() {
        let pnl = [
            120.0, -80.0, -95.0, 310.0, -60.0, -110.0, 45.0, -70.0, 520.0, -90.0, -85.0, -40.0, 0.0, 0.0, 150.0,
            -100.0, -75.0, 260.0, -120.0, -65.0,
        ];
        assert!((daily_sharpe(&pnl).unwrap() - 1.933_203_756_191_35).abs() < 1e-12);
        assert!((profit_factor(pnl).unwrap() - 1.419_191_919_191_919_1).abs() < 1e-12);
        assert_eq!(max_drawdown(&pnl), 240.0);
    }
}
