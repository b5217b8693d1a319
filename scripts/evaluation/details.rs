//! Figures of a test besides its verdict, as `evaluation.json` holds them: P&L by groups, at other costs, and with more capital.
//!
//! They are descriptive: nobody fixed groups, multiples and sizes before the test, and the verdict does not rest on them.

use jiff::civil::Date;
use market_env::Trade;
use serde::{Deserialize, Serialize};
use statistics::{BlockLength, Blocks, Resamples};

use crate::evaluation::{
    break_even::{WithInterval, mean_with_interval},
    breakdown::Grouping,
    capacity::ScaledTrades,
    groups::Groups,
    market_facts::MarketFacts,
};

/// Multiples of the spread at which fixed trades are re-priced.
const MULTIPLES: [f64; 7] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0];
/// Resamples behind the intervals.
const RESAMPLES: usize = 1_999;
/// Seed of the resamples.
const SEED: u64 = 1;

/// A mean P&L of a date in dollars, with the ends of its 95 % interval; null for too few dates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanOfDates {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

impl MeanOfDates {
    fn of(pnl_usd: &[f64], resamples: &Resamples) -> Self {
        let WithInterval { value, interval } = mean_with_interval(pnl_usd, resamples);
        Self { mean: value, low: interval.map(|ends| ends.0), high: interval.map(|ends| ends.1) }
    }

    /// Returns the ends, if there are any.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

/// Money at a multiple of the spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostAt {
    /// The multiple.
    pub multiple: f64,
    /// Mean of fixed trades that are re-priced; null where their spread is unknown.
    pub mean: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The policy that sees these quotes and decides again; null where it was not replayed.
    pub decided_again: Option<MeanOfDates>,
}

impl CostAt {
    /// Returns the mean of the fixed trades with its ends.
    pub fn fixed(&self) -> Option<MeanOfDates> {
        self.mean.map(|mean| MeanOfDates { mean, low: self.low, high: self.high })
    }
}

/// Multiple of the spread at which fixed trades earn nothing; negative where they lose even at mid prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// The multiple.
    pub multiple: f64,
    /// Lower end of its 95 % interval over dates.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// Money with a multiple of the capital.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CapacityAt {
    /// The multiple.
    pub multiple: u32,
    /// The capital of a date, in dollars.
    pub capital: f64,
    /// Mean P&L of a date.
    pub mean: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// P&L of a contract, in dollars; null without one.
    pub mean_per_contract: Option<f64>,
    /// Share of the ordered contracts that the displayed size allows; null without an order.
    pub filled_share: Option<f64>,
}

/// The figures; each is absent where its facts are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// P&L by groups of trades; null without a trade.
    pub breakdown: Option<Groups>,
    /// Money by multiple of the spread.
    pub costs: Vec<CostAt>,
    /// The spread at which fixed trades break even.
    pub break_even: Option<BreakEven>,
    /// Money by multiple of the capital.
    pub capacity: Vec<CapacityAt>,
}

/// A test whose details are computed.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Session dates, ascending, `[n]`.
    pub dates: &'a [Date],
    /// P&L of each date in dollars, mean over seeds, `[n]`.
    pub mean_usd: &'a [f64],
    /// Trades, one list per seed.
    pub trades: &'a [Vec<Trade>],
    /// Symbols that are traded together.
    pub symbols: &'a [String],
    /// Capital of a date, in dollars.
    pub capital_usd: f64,
    /// Facts of the market.
    pub facts: &'a MarketFacts,
    /// P&L of each date of the policy that decides again, mean over seeds, by multiple of the spread.
    pub decided_again: &'a [(f64, Vec<f64>)],
}

impl Described<'_> {
    /// Computes the details.
    pub fn details(&self) -> Details {
        let block = Blocks::Stationary(BlockLength::for_sessions(self.mean_usd));
        let resamples = Resamples::draw(self.dates.len(), RESAMPLES, block, SEED);
        let traded = self.trades.iter().any(|trades| !trades.is_empty());
        Details {
            breakdown: traded.then(|| {
                let grouping = Grouping::new(self.dates, self.trades, self.mean_usd, SEED);
                Groups::of(&grouping, self.symbols, self.facts)
            }),
            costs: self.costs(&resamples),
            break_even: self.break_even(&resamples),
            capacity: self.capacity(&resamples),
        }
    }

    fn costs(&self, resamples: &Resamples) -> Vec<CostAt> {
        let fixed = self.facts.fixed_trades(self.dates, self.mean_usd);
        let mut multiples: Vec<f64> = self.decided_again.iter().map(|(multiple, _)| *multiple).collect();
        multiples.extend(fixed.iter().flat_map(|_| MULTIPLES));
        multiples.push(1.0);
        multiples.sort_by(f64::total_cmp);
        multiples.dedup();
        let again = |multiple: f64| {
            let found = self.decided_again.iter().find(|(of, _)| *of == multiple).map(|(_, usd)| usd.as_slice());
            let own = (multiple == 1.0).then_some(self.mean_usd);
            own.or(found).filter(|usd| usd.len() == self.dates.len()).map(|usd| MeanOfDates::of(usd, resamples))
        };
        let at = |multiple: f64| {
            let fixed = fixed.as_ref().map(|fixed| MeanOfDates::of(&fixed.at(multiple), resamples));
            CostAt {
                multiple,
                mean: fixed.map(|found| found.mean),
                low: fixed.and_then(|found| found.low),
                high: fixed.and_then(|found| found.high),
                decided_again: again(multiple),
            }
        };
        multiples.into_iter().map(at).collect()
    }

    fn break_even(&self, resamples: &Resamples) -> Option<BreakEven> {
        let fixed = self.facts.fixed_trades(self.dates, self.mean_usd)?;
        let WithInterval { value, interval } = fixed.break_even(resamples)?;
        Some(BreakEven { multiple: value, low: interval.map(|ends| ends.0), high: interval.map(|ends| ends.1) })
    }

    fn capacity(&self, resamples: &Resamples) -> Vec<CapacityAt> {
        let seeds = self.trades.len().max(1) as f64;
        let usd = |cents: i64| cents as f64 / 100.0;
        let at = |scaled: &ScaledTrades| {
            let of_date = |date: &Date| usd(scaled.net_cents.get(date).copied().unwrap_or_default()) / seeds;
            let series: Vec<f64> = self.dates.iter().map(of_date).collect();
            let MeanOfDates { mean, low, high } = MeanOfDates::of(&series, resamples);
            let (total, contracts) = (usd(scaled.net_cents.values().sum()), scaled.contracts as f64);
            CapacityAt {
                multiple: scaled.multiple,
                capital: self.capital_usd * f64::from(scaled.multiple),
                mean,
                low,
                high,
                mean_per_contract: statistics::ratio(total, contracts),
                filled_share: statistics::ratio(contracts, scaled.ordered as f64),
            }
        };
        self.facts.scaled.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::evaluation::{performance::tests::trade, sessions::tests::dates};

    #[test]
    fn costs_break_even_and_capacity_are_those_of_the_facts() {
        let dates = dates(40);
        let net: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 30.0 } else { -10.0 }).collect();
        let cents = |usd: f64| dates.iter().map(|date| (*date, (usd * 100.0) as i64)).collect::<BTreeMap<_, _>>();
        let scaled = |multiple, usd| ScaledTrades { multiple, net_cents: cents(usd), contracts: 80, ordered: 160 };
        let facts = MarketFacts {
            spread_cents: vec![cents(5.0)],
            scaled: vec![scaled(1, 10.0), scaled(2, 8.0)],
            ..MarketFacts::default()
        };
        let trades = vec![vec![market_env::Trade { date: dates[0], net_pnl_cents: 3_000, ..trade(0, 0.0, 1) }]];
        let again = [(1.5, vec![4.0; 40]), (4.0, vec![1.0; 3])];
        let described = Described {
            dates: &dates,
            mean_usd: &net,
            trades: &trades,
            symbols: &["SPY".to_owned()],
            capital_usd: 1_000.0,
            facts: &facts,
            decided_again: &again,
        };
        let found = described.details();
        let at = |multiple: f64| found.costs.iter().find(|cost| cost.multiple == multiple).unwrap();
        assert_eq!([at(0.0).mean, at(1.0).mean, at(3.0).mean], [Some(15.0), Some(10.0), Some(0.0)]);
        assert!(at(1.0).low.unwrap() < 10.0 && at(1.0).decided_again.unwrap().mean == 10.0);
        assert_eq!((at(1.5).decided_again.unwrap().mean, at(2.0).decided_again), (4.0, None));
        assert_eq!(at(4.0).decided_again, None, "a series of other dates");
        let even = found.break_even.unwrap();
        assert!(even.multiple == 3.0 && even.low.unwrap() < 3.0 && even.high.unwrap() > 3.0, "{even:?}");
        let [one, two] = &found.capacity[..] else { panic!("two multiples") };
        assert_eq!((one.mean, one.capital, two.capital), (10.0, 1_000.0, 2_000.0));
        assert_eq!(
            (two.mean_per_contract, two.filled_share),
            (Some(4.0), Some(0.5)),
            "320 dollars, 80 of 160 contracts"
        );
        let unknown = Described { facts: &MarketFacts::default(), trades: &[], ..described }.details();
        assert_eq!((unknown.breakdown, unknown.break_even, unknown.capacity.len()), (None, None, 0));
        assert_eq!(unknown.costs[0].fixed(), None);
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(serde_json::from_value::<Details>(json).unwrap(), found);
    }
}
