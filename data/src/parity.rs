//! Put-call parity of real option prices: a check of the data that needs no model.
//!
//! On its expiry a call less a put of one strike is worth the underlying less the strike, to the interest of a few hours.
//! Option prices that do not satisfy this against the bars belong to another minute, another zone or another price.

mod check;
mod fault;
mod near_money;

use serde::Serialize;
use statistics::quantile;

use crate::{OptionSession, QuoteMinute, Right};

pub use self::{
    check::{ParityFit, ParityReport, check},
    fault::{Cause, OptionFault, PriceKind},
    near_money::check_near_money,
};

/// Largest distance of a strike from spot, as a fraction, that counts as near the money.
pub const NEAR_MONEY: f64 = 0.005;

/// A call and a put of one strike in one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Minute of the session, 0 = 09:30.
    pub slot: u16,
    /// Strike, in dollars.
    pub strike: f64,
    /// Price of the call, in dollars per share.
    pub call: f64,
    /// Price of the put, in dollars per share.
    pub put: f64,
}

impl Pair {
    /// Returns the deviation from parity. `discounted` is the strike discounted to the minute, in dollars.
    #[must_use]
    pub fn residual(&self, spot: f64, discounted: f64) -> Residual {
        Residual {
            usd: self.call - self.put - (spot - discounted),
            premium: f64::midpoint(self.call, self.put),
            spot,
            near_money: self.distance(spot) < NEAR_MONEY,
        }
    }

    /// Returns the spot that call, put and strike imply at an interest rate of zero, in dollars.
    #[must_use]
    pub fn implied_spot(&self) -> f64 {
        self.call - self.put + self.strike
    }

    fn distance(&self, spot: f64) -> f64 {
        (self.strike / spot - 1.0).abs()
    }
}

/// Returns the last trades of a session as slot, strike, right and dollars.
pub fn traded(day: &OptionSession) -> impl Iterator<Item = (u16, f64, Right, f64)> {
    day.trades.iter().map(|row| (row.slot, row.strike, row.right, row.close))
}

/// Returns the middles of a session's quotes as slot, strike, right and dollars; one-sided and crossed quotes have none.
pub fn quoted(day: &OptionSession) -> impl Iterator<Item = (u16, f64, Right, f64)> {
    let middle = |quote: &QuoteMinute| quote.sides().map(|(bid, ask)| f64::midpoint(bid, ask));
    day.quotes.iter().filter_map(move |quote| Some((quote.slot, quote.strike, quote.right, middle(quote)?)))
}

/// Returns the calls and puts of the same minute and strike among prices sorted by slot, strike and right, call first.
pub fn pairs(prices: impl Iterator<Item = (u16, f64, Right, f64)>) -> Vec<Pair> {
    let (mut call, mut found) = (None, Vec::new());
    for (slot, strike, right, price) in prices {
        match (right, call) {
            (Right::Call, _) => call = Some((slot, strike, price)),
            (Right::Put, Some((minute, of, premium))) if minute == slot && of == strike => {
                found.push(Pair { slot, strike, call: premium, put: price });
            }
            (Right::Put, _) => {}
        }
    }
    found
}

/// Deviation of one pair from put-call parity.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// `C - P - (S - K e^(-rT))`, in dollars; zero when all three prices are simultaneous.
    pub usd: f64,
    /// Mean of the two premiums, in dollars.
    pub premium: f64,
    /// Price of the underlying, in dollars.
    pub spot: f64,
    /// True for a strike within [`NEAR_MONEY`] of spot.
    pub near_money: bool,
}

/// Deviations of real prices from put-call parity.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParityStats {
    /// Pairs of a call and a put of one strike and minute.
    pub count: usize,
    /// Median of the absolute residual, in dollars.
    pub median_abs_usd: f64,
    /// 90th percentile of the absolute residual, in the same unit.
    pub p90_abs_usd: f64,
    /// Median of the signed residual, in dollars.
    pub median_usd: f64,
    /// Median of the absolute residual, in basis points of spot.
    pub median_abs_bp: f64,
    /// 90th percentile of the absolute residual, in the same unit.
    pub p90_abs_bp: f64,
    /// Median of the absolute residual, in percent of the mean of the two premiums.
    pub median_abs_pct: f64,
}

impl ParityStats {
    /// Returns the statistics of some residuals; NaN in every field but `count` for none.
    pub fn of<'a>(residuals: impl Iterator<Item = &'a Residual>) -> Self {
        let (mut usd, mut bp, mut pct) = (Vec::new(), Vec::new(), Vec::new());
        for residual in residuals {
            usd.push(residual.usd);
            bp.push((residual.usd / residual.spot * 1e4).abs());
            pct.push((residual.usd / residual.premium * 1e2).abs());
        }
        let median_usd = quantile(&mut usd, 0.5);
        usd.iter_mut().for_each(|usd| *usd = usd.abs());
        Self {
            count: usd.len(),
            median_abs_usd: quantile(&mut usd, 0.5),
            p90_abs_usd: quantile(&mut usd, 0.9),
            median_usd,
            median_abs_bp: quantile(&mut bp, 0.5),
            p90_abs_bp: quantile(&mut bp, 0.9),
            median_abs_pct: quantile(&mut pct, 0.5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_one_strike_are_compared_with_the_forward() {
        let minute = [
            (7, 599.0, Right::Call, 3.0),
            (7, 600.0, Right::Call, 2.0),
            (7, 600.0, Right::Put, 1.5),
            (7, 601.0, Right::Put, 1.0),
            (7, 610.0, Right::Call, 0.0),
            (7, 610.0, Right::Put, 9.5),
            (7, 611.0, Right::Call, 0.0),
            (8, 611.0, Right::Put, 9.5),
        ];
        let found: Vec<Residual> =
            pairs(minute.into_iter()).iter().map(|pair| pair.residual(600.4, pair.strike)).collect();
        let usd: Vec<f64> = found.iter().map(|residual| (residual.usd * 10.0).round() / 10.0).collect();
        assert_eq!(usd, [0.1, 0.1]);
        assert_eq!(found.iter().map(|residual| residual.near_money).collect::<Vec<_>>(), [true, false]);
        let stats = ParityStats::of(found.iter());
        assert!((stats.median_abs_bp - 0.1 / 600.4 * 1e4).abs() < 1e-6 && stats.count == 2);
        assert!((stats.median_abs_pct - (10.0 / 1.75 + 10.0 / 4.75) / 2.0).abs() < 1e-6, "{stats:?}");
    }
}
