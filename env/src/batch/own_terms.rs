//! Terms of the reward that depend on the account over a session: drawdown, holding, turnover, spreads, Sharpe ratio. All are off by
//! default, and a lane without them keeps no state for them.

use serde::{Deserialize, Serialize};

use crate::{
    Fill, Quote, RewardConfig,
    option::contract::MULTIPLIER,
    reward::{PerTerm, RewardTerm},
};

/// Weight of the newest session in the moments of the differential Sharpe ratio.
const ETA: f64 = 0.01;
/// Deviation of a session's P&L, as a share of capital, with which the moments start.
const FIRST_DEVIATION: f64 = 0.02;
/// Least deviation that a session is measured with: flat sessions shrink it, and the next trade would explode.
const LEAST_DEVIATION: f64 = 0.005;
/// Bound of the differential Sharpe ratio of one session.
const SHARPE_BOUND: f64 = 10.0;

/// Record of one lane's account for these terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OwnTerms {
    /// Liquidation values in cents: at the session's start, and the highest so far.
    start: i64,
    peak: i64,
    /// Largest drawdown so far, in cents.
    drawdown: i64,
    /// Premium bought and sold, and half-spreads paid, since the last close, in cents.
    traded: i64,
    half_spreads: i64,
    /// Mean and mean square of the P&L of the lane's sessions, as shares of capital; they go on from session to session.
    moments: [f64; 2],
}

/// An account at the close of a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Liquidation value, in cents.
    pub(crate) equity: i64,
    /// Entry cost of the contracts held, in cents.
    pub(crate) at_risk: i64,
    /// True at the session's end.
    pub(crate) over: bool,
}

impl OwnTerms {
    /// Returns the record at the start of a session, `earlier` being that of the lane's session before.
    pub(crate) fn open(cash: i64, earlier: Option<&Self>) -> Self {
        let first = [0.0, FIRST_DEVIATION * FIRST_DEVIATION];
        let moments = earlier.map_or(first, |earlier| earlier.moments);
        Self { start: cash, peak: cash, drawdown: 0, traded: 0, half_spreads: 0, moments }
    }

    /// Notes a fill on a quote.
    pub(crate) fn filled(&mut self, fill: Fill, quote: Quote) {
        self.traded += fill.premium;
        let width = quote.ask.map_or(0, |ask| i64::from(ask.get()) - i64::from(quote.bid)).max(0);
        self.half_spreads += width * MULTIPLIER * i64::from(fill.contracts) / 2;
    }

    /// Adds the terms of a minute.
    pub(crate) fn pay(&mut self, config: &RewardConfig, mark: Mark, terms: &mut PerTerm<f32>) {
        let capital = self.start as f64;
        let share = |cents: i64| cents as f64 / capital;
        let grown = self.drawdown_growth(mark.equity);
        let sharpe = if mark.over { self.differential_sharpe(share(mark.equity - self.start)) } else { 0.0 };
        for (term, weight) in config.own() {
            let amount = match term {
                RewardTerm::Drawdown => share(grown),
                RewardTerm::Holding => share(mark.at_risk),
                RewardTerm::Turnover => share(self.traded),
                RewardTerm::Spread => share(self.half_spreads),
                _ => sharpe,
            };
            terms[term] = (f64::from(weight) * amount) as f32;
        }
        (self.traded, self.half_spreads) = (0, 0);
    }

    /// Returns the growth of the session's largest drawdown, in cents.
    fn drawdown_growth(&mut self, equity: i64) -> i64 {
        self.peak = self.peak.max(equity);
        let grown = (self.peak - equity - self.drawdown).max(0);
        self.drawdown += grown;
        grown
    }

    /// Returns the differential Sharpe ratio of a session and moves the moments.
    ///
    /// # Source
    /// Moody & Saffell 2001, "Learning to trade via direct reinforcement", eq. 13.
    fn differential_sharpe(&mut self, pnl: f64) -> f64 {
        let [mean, square] = self.moments;
        let (to_mean, to_square) = (pnl - mean, pnl * pnl - square);
        let variance = (square - mean * mean).max(LEAST_DEVIATION * LEAST_DEVIATION);
        self.moments = [mean + ETA * to_mean, square + ETA * to_square];
        ((square * to_mean - mean * to_square / 2.0) / variance.powf(1.5)).clamp(-SHARPE_BOUND, SHARPE_BOUND)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const CAPITAL: i64 = 1_000_000;

    fn weights() -> RewardConfig {
        RewardConfig {
            drawdown: -2.0,
            holding: -0.5,
            turnover: -0.25,
            spread: -4.0,
            sharpe: 1.0,
            ..RewardConfig::default()
        }
    }

    fn paid(own: &mut OwnTerms, mark: Mark) -> [f32; 5] {
        let mut terms = PerTerm::default();
        own.pay(&weights(), mark, &mut terms);
        weights().own().map(|(term, _)| terms[term])
    }

    #[test]
    fn the_growth_of_the_drawdown_sums_to_the_largest_one() {
        let mut own = OwnTerms::open(CAPITAL, None);
        let path = [1_000_000, 1_020_000, 1_010_000, 1_015_000, 990_000, 1_030_000, 1_005_000];
        let marks = path.map(|equity| paid(&mut own, Mark { equity, at_risk: 0, over: false })[0]);
        assert_eq!(marks, [0.0, 0.0, -0.02, 0.0, -0.04, 0.0, 0.0]);
        assert!((marks.iter().sum::<f32>() + 2.0 * 0.03).abs() < 1e-7, "30,000 below the peak of 1,020,000");
    }

    #[test]
    fn fills_and_minutes_are_paid_once() {
        let mut own = OwnTerms::open(CAPITAL, None);
        let quote = Quote { bid: 190, ask: NonZeroU32::new(210) };
        own.filled(Fill { contracts: 5, asked: 5, premium: 105_000, fees: 300 }, quote);
        let mark = Mark { equity: CAPITAL, at_risk: 100_000, over: false };
        // Half of 20 cents on 500 shares are 5,000 cents.
        assert_eq!(paid(&mut own, mark), [0.0, -0.05, -0.02625, -0.02, 0.0]);
        assert_eq!(paid(&mut own, Mark { at_risk: 0, ..mark }), [0.0; 5]);
    }

    #[test]
    fn the_differential_sharpe_ratio_is_that_of_its_formula() {
        let mut own = OwnTerms::open(CAPITAL, None);
        let over = |own: &mut OwnTerms, equity| f64::from(paid(own, Mark { equity, at_risk: 0, over: true })[4]);
        // A flat session first: A = 0, B = 0.0004, dB = -B, so 0; then B = 0.000396.
        assert_eq!(over(&mut own, CAPITAL), 0.0);
        let mut next = OwnTerms::open(CAPITAL, Some(&own));
        let expected = 0.01 / 0.000_396f64.sqrt();
        assert!((over(&mut next, CAPITAL + 10_000) - expected).abs() < 1e-6);
        // A = 0.0001, B = 0.000396 + 0.01 (0.0001 - 0.000396).
        let (a, b): (f64, f64) = (0.0001, 0.000_396 + 0.01 * (0.0001 - 0.000_396));
        let (da, db) = (-0.02 - a, 0.0004 - b);
        let expected = (b * da - a * db / 2.0) / (b - a * a).powf(1.5);
        let mut third = OwnTerms::open(CAPITAL, Some(&next));
        assert!((over(&mut third, CAPITAL - 20_000) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_trade_after_many_flat_sessions_does_not_explode() {
        let mut own = OwnTerms::open(CAPITAL, None);
        for _ in 0..2_000 {
            paid(&mut own, Mark { equity: CAPITAL, at_risk: 0, over: true });
        }
        let mut next = OwnTerms::open(CAPITAL, Some(&own));
        let jump = paid(&mut next, Mark { equity: 2 * CAPITAL, at_risk: 0, over: true })[4];
        assert!(jump.is_finite() && jump.abs() <= 10.0, "{jump}");
    }
}
