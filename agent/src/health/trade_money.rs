//! Money of trades against random-legal trades of the same sessions, with errors by session date.
//!
//! All sessions of one date count as one observation: its symbols and lanes move together. The random-legal policy pays the
//! same costs on the same sessions, so that a difference from it is about the policy and not about the calendar.

use std::{collections::BTreeMap, sync::Arc};

use market_env::{ClosedTrade, Ledger};
use serde::{Deserialize, Serialize};
use statistics::{Mean, ratio, student_quantile};

use super::{OverfitGap, rules::FEW_TRADES};
use crate::format::percent;

/// Level of the interval of a difference.
const LEVEL: f64 = 0.95;
/// Probability below the limit of an overfit gap: three standard errors of many dates, more of few.
const OVERFIT_PROBABILITY: f64 = 0.998_650_101_968_37;

/// Result of the random-legal policy on the sessions of a training, replayed once.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomLegal {
    /// Mean net return of a trade in each session of the market, as a fraction of premium and fees paid at its entry; `None`
    /// for a session that was not replayed or had no trade. `[days]`
    pub returns: Vec<Option<f64>>,
    /// Number of the date of each session; sessions of one date share it. `[days]`
    pub date: Vec<u32>,
    /// Counters over the training sessions.
    pub ledger: Ledger,
}

/// Sums over the trades of one date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct DateSums {
    trades: u64,
    /// Sum of the net returns.
    returns: f64,
    /// Sum of the mean net returns of random-legal trades of the same sessions.
    random: f64,
}

/// Net returns of trades beside those of random-legal trades of the same sessions, summed by date.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TradeReturns(BTreeMap<u32, DateSums>);

impl TradeReturns {
    /// Adds a trade. A session without random-legal trades does not count.
    ///
    /// # Panics
    /// If the day lies beyond the market.
    pub fn add(&mut self, trade: ClosedTrade, random: &RandomLegal) {
        let day = trade.day as usize;
        if let Some(mean) = random.returns[day] {
            let date = self.0.entry(random.date[day]).or_default();
            date.trades += 1;
            date.returns += trade.net_return;
            date.random += mean;
        }
    }

    /// Removes all trades.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn sum(&self, of: impl Fn(&DateSums) -> f64) -> f64 {
        self.0.values().map(of).sum()
    }

    fn trades(&self) -> u64 {
        self.0.values().map(|date| date.trades).sum()
    }

    /// Returns the mean difference from random-legal trades of the same sessions; `None` for fewer than two dates.
    fn difference(&self) -> Option<Mean> {
        Mean::of_sums(self.0.values().map(|date| [date.returns - date.random, date.trades as f64]))
    }

    /// Returns the money of the trades; `None` without one.
    pub fn money(&self) -> Option<TradeMoney> {
        let (trades, n) = (self.trades(), self.trades() as f64);
        let per_trade = ratio(self.sum(|date| date.returns), n)?;
        let random = ratio(self.sum(|date| date.random), n)?;
        let interval = self.difference().map(|mean| mean.interval(LEVEL));
        Some(TradeMoney { trades, dates: self.0.len(), per_trade, random, interval })
    }
}

/// Money of trades, after all costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TradeMoney {
    /// Closed trades.
    pub trades: u64,
    /// Session dates on which they were closed.
    pub dates: usize,
    /// Mean net return, as a fraction of premium and fees paid at the entry.
    pub per_trade: f64,
    /// The same of random-legal trades of the same sessions.
    pub random: f64,
    /// 95 % interval of the difference, by session date; `None` for fewer than two dates.
    pub interval: Option<(f64, f64)>,
}

impl TradeMoney {
    /// Returns the difference from random-legal trades of the same sessions.
    pub fn difference(&self) -> f64 {
        self.per_trade - self.random
    }

    /// Returns the money as a clause without a full stop.
    pub fn clause(&self) -> String {
        let [own, random] = [self.per_trade, self.random].map(|mean| percent(Some(mean)));
        let difference = self.interval.map_or_else(
            || "one date is too few for an interval".to_owned(),
            |(low, high)| {
                let [value, low, high] = [self.difference(), low, high].map(|mean| percent(Some(mean)));
                format!("{value} [{low}, {high}], {}", self.comparison())
            },
        );
        format!("{own} per trade after costs, random-legal {random} on the same sessions: {difference}")
    }

    /// Returns the comparison in words.
    pub fn comparison(&self) -> &'static str {
        match self.interval {
            Some((low, _)) if low > 0.0 => "better than random",
            Some((_, high)) if high < 0.0 => "worse than random",
            _ => "no better than random",
        }
    }
}

impl OverfitGap {
    /// Compares training and validation, each with random-legal trades of its own sessions; `None` if either has fewer than
    /// 30 trades, or fewer than two dates.
    pub fn of(step: u64, train: &TradeReturns, validation: &TradeReturns) -> Option<Self> {
        let enough = |returns: &TradeReturns| {
            let money = returns.money().filter(|money| money.trades >= FEW_TRADES)?;
            Some((money, returns.difference()?))
        };
        let ((trained, a), (validated, b)) = (enough(train)?, enough(validation)?);
        let squares = [a, b].map(|mean| mean.error * mean.error);
        let error = (squares[0] + squares[1]).sqrt();
        // Welch and Satterthwaite: degrees of freedom of a difference of two means.
        let spread =
            [a, b].into_iter().zip(squares).map(|(mean, square)| square * square / (mean.observations - 1) as f64);
        let degrees = (error.powi(4) / spread.sum::<f64>().max(f64::MIN_POSITIVE)).floor().clamp(1.0, 1e6);
        Some(Self {
            step,
            train: trained.per_trade,
            validation: validated.per_trade,
            train_random: trained.random,
            validation_random: validated.random,
            error,
            limit: student_quantile(OVERFIT_PROBABILITY, degrees as usize),
        })
    }
}

/// Random-legal policy of a monitor, and the trades that it compares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comparison(pub(crate) Option<Arc<RandomLegal>>);

impl Comparison {
    /// Adds the trades of a step.
    pub(crate) fn add(&self, closed: &[ClosedTrade], sums: &mut [&mut TradeReturns]) {
        let Some(random) = &self.0 else { return };
        for &trade in closed {
            sums.iter_mut().for_each(|returns| returns.add(trade, random));
        }
    }

    /// Returns the counters of the random-legal policy.
    pub(crate) fn ledger(&self) -> Option<Ledger> {
        self.0.as_ref().map(|random| random.ledger.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two symbols on each of `dates` dates; random-legal trades of date `d` return `-0.01 * d`.
    fn random(dates: u32) -> RandomLegal {
        let date: Vec<u32> = (0..2 * dates).map(|day| day / 2).collect();
        let returns = date.iter().map(|&date| Some(-0.01 * f64::from(date))).collect();
        RandomLegal { returns, date, ledger: Ledger::default() }
    }

    /// Trades, `each` per session, that return this much more than random ones, by date.
    fn returns(dates: std::ops::Range<u32>, each: usize, more: impl Fn(u32) -> f64) -> TradeReturns {
        let (random, mut sums) = (random(dates.end), TradeReturns::default());
        for day in dates.flat_map(|date| [2 * date, 2 * date + 1]) {
            let net_return = random.returns[day as usize].unwrap() + more(day / 2);
            (0..each).for_each(|_| sums.add(ClosedTrade { day, net_return }, &random));
        }
        sums
    }

    #[test]
    fn the_difference_is_from_the_same_sessions_and_its_error_by_date() {
        let money = returns(0..3, 5, |date| [0.01, 0.02, 0.03][date as usize]).money().unwrap();
        assert_eq!((money.trades, money.dates), (30, 3));
        assert!((money.random + 0.01).abs() < 1e-12 && (money.per_trade - 0.01).abs() < 1e-12, "{money:?}");
        // Three observations, Student's 4.3027 with two degrees of freedom: lanes and symbols of a date are one.
        let (low, high) = money.interval.unwrap();
        let half = 4.302_652_729_911_275 * 0.01 / 3.0_f64.sqrt();
        assert!((high - low - 2.0 * half).abs() < 1e-9 && (low + high - 0.04).abs() < 1e-9, "{money:?}");
        assert_eq!(money.comparison(), "no better than random");
        assert_eq!(returns(0..1, 5, |_| 0.01).money().unwrap().interval, None);
        assert_eq!(TradeReturns::default().money(), None);
        let worse = returns(0..9, 5, |date| -0.02 - 0.001 * f64::from(date % 3)).money().unwrap();
        assert_eq!(worse.comparison(), "worse than random");
        assert_eq!(
            worse.clause(),
            "-6.1% per trade after costs, random-legal -4.0% on the same sessions: -2.1% [-2.2%, -2.0%], worse than random"
        );
    }

    #[test]
    fn dates_that_cost_more_are_no_overfitting_and_memorised_ones_are() {
        let noise = |date: u32| 0.004 * (f64::from(date * 7919 % 11) - 5.0);
        // Random trades of the later dates return 20 % less, and so do those of a policy that learned nothing.
        let (train, validation) = (returns(0..20, 8, noise), returns(20..40, 8, noise));
        let calendar = OverfitGap::of(7, &train, &validation).unwrap();
        assert!(calendar.train - calendar.validation > 0.15 && !calendar.rings(), "{calendar:?}");
        let memorised = returns(0..20, 8, |date| 0.05 + noise(date));
        let gap = OverfitGap::of(7, &memorised, &validation).unwrap();
        assert!(gap.rings() && (gap.gap() - 0.05).abs() < 0.01, "{gap:?}");
        assert_eq!(OverfitGap::of(7, &returns(0..1, 50, noise), &validation), None, "one date has no error");
        assert_eq!(OverfitGap::of(7, &returns(0..2, 7, noise), &validation), None, "28 trades are few");
    }

    #[test]
    fn few_dates_need_a_larger_gap() {
        let noise = |date: u32| 0.01 * f64::from(date % 2);
        let many = OverfitGap::of(1, &returns(0..40, 8, noise), &returns(0..40, 8, noise)).unwrap();
        let few = OverfitGap::of(1, &returns(0..3, 8, noise), &returns(0..40, 8, noise)).unwrap();
        assert!((3.0..3.2).contains(&many.limit) && few.limit > 9.0, "{} {}", many.limit, few.limit);
    }

    #[test]
    fn sessions_without_random_trades_do_not_count() {
        let mut random = random(2);
        random.returns[0] = None;
        let mut sums = TradeReturns::default();
        (0..4).for_each(|day| sums.add(ClosedTrade { day, net_return: 0.0 }, &random));
        assert_eq!(sums.money().unwrap().trades, 3);
    }
}
