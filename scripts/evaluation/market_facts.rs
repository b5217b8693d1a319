//! Facts of the market at the dates of a test that its trades do not tell: regimes, events, the spread that every date paid, and
//! the money of the same trades with more contracts.
//!
//! They are derived from bars and quotes and hold none of them, so they may lie beside a report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use market_data::{Dataset, SessionBars};
use market_env::{EventCalendar, ExecutionConfig, Market, Trade};
use serde::{Deserialize, Serialize};

use crate::evaluation::{
    break_even::FixedTrades,
    capacity::{self, ScaledTrades, with_impact},
    cost_sensitivity::spread_costs,
};

/// Dates before a test below which its regimes have no edges.
const FEWEST_EARLIER_DATES: usize = 60;

/// A figure of every date that was known before its open, and the terciles of the dates before the test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regime {
    /// The figure by date.
    pub values: BTreeMap<Date, f64>,
    /// Upper ends of the lowest and the middle third of the dates before the test; `None` for too few of them.
    pub edges: Option<[f64; 2]>,
}

impl Regime {
    /// Cuts the dates before `first` into thirds.
    fn of(values: BTreeMap<Date, f64>, first: Date) -> Self {
        let mut earlier: Vec<f64> = values.range(..first).map(|(_, value)| *value).collect();
        earlier.sort_by(f64::total_cmp);
        let edge = |thirds: usize| earlier[thirds * earlier.len() / 3];
        let edges = (earlier.len() >= FEWEST_EARLIER_DATES).then(|| [edge(1), edge(2)]);
        Self { values: values.into_iter().filter(|(date, _)| *date >= first).collect(), edges }
    }

    /// Returns the third of a date, 0 to 2; `None` without edges or a figure.
    pub fn third(&self, date: Date) -> Option<usize> {
        let ([low, high], value) = (self.edges?, *self.values.get(&date)?);
        Some(usize::from(value >= low) + usize::from(value >= high))
    }
}

/// Facts of the market at the dates of a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketFacts {
    /// VIX before the open, in points.
    pub vix: Regime,
    /// Range of the session before, (high - low) / close, mean over the symbols.
    pub earlier_range: Regime,
    /// Dates with a scheduled rate decision, consumer prices or a jobs report.
    #[serde(default)]
    pub event_dates: BTreeSet<Date>,
    /// Spread paid in cents by seed and date; empty where it is unknown.
    pub spread_cents: Vec<BTreeMap<Date, i64>>,
    /// The same trades with more contracts; empty where the displayed sizes are unknown.
    #[serde(default)]
    pub scaled: Vec<ScaledTrades>,
}

impl MarketFacts {
    /// Reads the regimes and events of all sessions; the edges are those of the dates before `first`, the first test date.
    pub fn regimes(dataset: &Dataset, market: &Market, events: &EventCalendar, first: Date) -> Self {
        let vix = market.days().iter().filter(|day| day.vix_at_open > 0.0).map(|day| (day.date, day.vix_at_open));
        Self {
            vix: Regime::of(vix.collect(), first),
            earlier_range: Regime::of(earlier_ranges(dataset), first),
            event_dates: event_dates(market, events, first),
            ..Self::default()
        }
    }

    /// Adds the spread that the trades of a seed paid, its number counted from 0, and the trades with more contracts.
    ///
    /// # Errors
    /// For a trade of a session that the market lacks.
    pub fn add_trades(
        &mut self,
        seed: usize,
        market: &Market,
        execution: &ExecutionConfig,
        trades: &[Trade],
    ) -> anyhow::Result<()> {
        capacity::add(&mut self.scaled, market, &with_impact(execution), trades)?;
        if self.spread_cents.len() <= seed {
            self.spread_cents.resize(seed + 1, BTreeMap::new());
        }
        for (trade, usd) in trades.iter().zip(spread_costs(market, trades)?) {
            *self.spread_cents[seed].entry(trade.date).or_default() += (usd * 100.0).round() as i64;
        }
        Ok(())
    }

    /// Returns the trades of a test as money by date; `None` where the spread is unknown.
    pub fn fixed_trades(&self, dates: &[Date], net_usd: &[f64]) -> Option<FixedTrades> {
        let seeds = self.spread_cents.len();
        let spread = |date: &Date| {
            self.spread_cents.iter().filter_map(|of| of.get(date)).sum::<i64>() as f64 / 100.0 / seeds as f64
        };
        (seeds > 0).then(|| FixedTrades { net_usd: net_usd.to_vec(), spread_usd: dates.iter().map(spread).collect() })
    }
}

/// Returns the dates of events from the first test date on.
fn event_dates(market: &Market, events: &EventCalendar, first: Date) -> BTreeSet<Date> {
    let days = market.days().iter().map(|day| day.date).filter(|date| *date >= first);
    let EventCalendar { fomc, cpi, jobs, .. } = events;
    days.filter(|date| [fomc, cpi, jobs].into_iter().any(|dates| dates.contains(date))).collect()
}

/// Returns by date the range of the session before, mean over the symbols.
fn earlier_ranges(dataset: &Dataset) -> BTreeMap<Date, f64> {
    let mut found: BTreeMap<Date, Vec<f64>> = BTreeMap::new();
    for sessions in &dataset.symbols {
        for pair in sessions.days.windows(2) {
            found.entry(pair[1].session.date).or_default().extend(range(&pair[0]));
        }
    }
    found.into_iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(date, of)| (date, statistics::mean(&of))).collect()
}

/// Returns the range of a session as a fraction of its last price.
fn range(bars: &SessionBars) -> Option<f64> {
    let high = bars.high.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = bars.low.iter().copied().fold(f64::INFINITY, f64::min);
    bars.close.last().map(|close| (high - low) / close).filter(|range| range.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::sessions::tests::dates;

    #[test]
    fn edges_come_from_the_dates_before_the_test() {
        let dates = dates(80);
        let values: BTreeMap<Date, f64> = dates.iter().enumerate().map(|(i, date)| (*date, i as f64)).collect();
        let regime = Regime::of(values.clone(), dates[60]);
        assert_eq!((regime.edges, regime.values.len()), (Some([20.0, 40.0]), 20));
        assert!(dates[60..].iter().all(|date| regime.third(*date) == Some(2)));
        assert_eq!(regime.third(dates[0]), None, "no date of the test");
        let calm = Regime { values: BTreeMap::from([(dates[0], 20.0), (dates[1], 39.9), (dates[2], 1.0)]), ..regime };
        assert_eq!([0, 1, 2].map(|i| calm.third(dates[i])), [Some(1), Some(1), Some(0)]);
        assert_eq!(Regime::of(values, dates[59]).edges, None, "59 earlier dates are too few");
    }

    #[test]
    fn the_spread_is_the_mean_over_seeds() {
        let dates = dates(2);
        let spread_cents = vec![BTreeMap::from([(dates[0], 300)]), BTreeMap::from([(dates[0], 100), (dates[1], 50)])];
        let facts = MarketFacts { spread_cents, ..MarketFacts::default() };
        let fixed = facts.fixed_trades(&dates, &[5.0, 6.0]).unwrap();
        assert_eq!((fixed.spread_usd, fixed.net_usd), (vec![2.0, 0.25], vec![5.0, 6.0]));
        assert_eq!(MarketFacts::default().fixed_trades(&dates, &[5.0, 6.0]), None);
    }
}
