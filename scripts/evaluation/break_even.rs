//! Fixed trades at other spreads, and the spread at which they break even.
//!
//! The trades stay as they were made; only the distance of their fills from the mid changes. A policy that decides again under
//! other quotes is another question, which [`crate::evaluation::cost_sensitivity`] answers.

use statistics::{DateSum, Resamples, nearest_rank, ratio, studentised_interval};

/// Money of fixed trades by date, in dollars: all symbols together, mean over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedTrades {
    /// Net P&L, `[n]`.
    pub net_usd: Vec<f64>,
    /// Spread paid, `[n]`.
    pub spread_usd: Vec<f64>,
}

/// A value with the ends of its 95 % interval over dates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WithInterval {
    /// The value.
    pub value: f64,
    /// Lower and upper end; `None` for too few dates.
    pub interval: Option<(f64, f64)>,
}

impl FixedTrades {
    /// Returns the net P&L of each date at a multiple of the spread, in dollars.
    pub fn at(&self, multiple: f64) -> Vec<f64> {
        self.net_usd.iter().zip(&self.spread_usd).map(|(net, spread)| net + (1.0 - multiple) * spread).collect()
    }

    /// Returns the mean P&L of a date at a multiple of the spread.
    pub fn mean_at(&self, multiple: f64, resamples: &Resamples) -> WithInterval {
        mean_with_interval(&self.at(multiple), resamples)
    }

    /// Returns the multiple of the spread at which the trades earn nothing, with a percentile interval over dates; below 0 they
    /// lose even without a spread. `None` if no spread was paid.
    pub fn break_even(&self, resamples: &Resamples) -> Option<WithInterval> {
        let multiple = |net: f64, spread: f64| ratio(net, spread).map(|part| 1.0 + part);
        let value = multiple(self.net_usd.iter().sum(), self.spread_usd.iter().sum())?;
        let of_row = |row: &[u32]| {
            let sum = |of: &[f64]| row.iter().map(|&date| of[date as usize]).sum::<f64>();
            multiple(sum(&self.net_usd), sum(&self.spread_usd))
        };
        let mut found: Vec<f64> = resamples.rows().filter_map(of_row).collect();
        found.sort_by(f64::total_cmp);
        let interval = nearest_rank(&found, 0.025).zip(nearest_rank(&found, 0.975));
        Some(WithInterval { value, interval })
    }
}

/// Returns the mean of a series of dates with its bootstrap-t interval.
pub fn mean_with_interval(pnl_usd: &[f64], resamples: &Resamples) -> WithInterval {
    let sums: Vec<DateSum> = pnl_usd.iter().map(|usd| [*usd, 1.0]).collect();
    let interval = studentised_interval(&sums, resamples).map(|found| (found.low, found.high));
    WithInterval { value: statistics::mean(pnl_usd), interval }
}

#[cfg(test)]
mod tests {
    use statistics::Blocks;

    use super::*;

    fn resamples() -> Resamples {
        Resamples::draw(30, 499, Blocks::Stationary(1.0), 1)
    }

    #[test]
    fn trades_that_pay_a_spread_break_even_where_it_eats_their_gain() {
        let gross = |i: usize| if i.is_multiple_of(2) { 40.0 } else { -10.0 };
        let trades = FixedTrades { net_usd: (0..30).map(|i| gross(i) - 10.0).collect(), spread_usd: vec![10.0; 30] };
        let found = trades.break_even(&resamples()).unwrap();
        assert_eq!(found.value, 1.5, "a mean gain of 15 dollars before spreads of 10 dollars");
        let (low, high) = found.interval.unwrap();
        assert!(low < 1.5 && 1.5 < high && low > 0.0, "{low} {high}");
        assert_eq!(trades.mean_at(0.0, &resamples()).value, 15.0);
        assert!(trades.mean_at(1.5, &resamples()).value.abs() < 1e-12);
        let losers = FixedTrades { net_usd: vec![-30.0; 30], ..trades.clone() };
        assert_eq!(losers.break_even(&resamples()).unwrap().value, -2.0);
        assert_eq!(FixedTrades { spread_usd: vec![0.0; 30], ..trades }.break_even(&resamples()), None);
    }
}
