//! Capacity: the same trades with a multiple of their contracts, as a multiple of the capital would order.
//!
//! An entry takes at most the displayed size, and every order concedes a part of the spread that grows with the root of the part of
//! the displayed size that it takes ([`ExecutionConfig`]). Times of entries and exits stay; the most contracts that the
//! configuration allows do not bind.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::calendar::MINUTE_NS;
use market_env::{Action, Day, ExecutionConfig, Market, Quote, Size, Trade};
use serde::{Deserialize, Serialize};

/// Multiples of the capital.
pub const MULTIPLES: [u32; 5] = [1, 2, 5, 10, 25];

/// Concession of an order of the displayed size, in quoted spreads, where the configuration sets none: the whole spread once more.
pub const ASSUMED_IMPACT: f64 = 1.0;

/// Shares of an option contract.
const MULTIPLIER: f64 = 100.0;

/// Money of the scaled trades at one multiple, all seeds together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaledTrades {
    /// Multiple of the capital.
    pub multiple: u32,
    /// P&L in cents by date.
    pub net_cents: BTreeMap<Date, i64>,
    /// Contracts that were bought.
    pub contracts: u64,
    /// Contracts that were ordered.
    pub ordered: u64,
}

/// Returns the execution of scaled orders: that of the configuration, with the assumed impact where it has none.
pub fn with_impact(execution: &ExecutionConfig) -> ExecutionConfig {
    let impact = if execution.impact > 0.0 { execution.impact } else { ASSUMED_IMPACT };
    ExecutionConfig { impact, ..execution.clone() }
}

/// Adds trades at every multiple; `all` is empty at first.
///
/// # Errors
/// For a trade of a session that the market lacks.
pub fn add(
    all: &mut Vec<ScaledTrades>,
    market: &Market,
    execution: &ExecutionConfig,
    trades: &[Trade],
) -> anyhow::Result<()> {
    if all.is_empty() {
        all.extend(MULTIPLES.map(|multiple| ScaledTrades { multiple, ..ScaledTrades::default() }));
    }
    let days: BTreeMap<(&str, Date), &Day> =
        market.days().iter().map(|day| ((day.symbol.as_str(), day.date), day)).collect();
    for trade in trades {
        let day = days.get(&(trade.symbol.as_str(), trade.date));
        let day =
            day.with_context(|| format!("a trade of {} on {} belongs to no session", trade.symbol, trade.date))?;
        for scaled in &mut *all {
            let Filled { contracts, ordered, net_cents } = filled(market, day, execution, trade, scaled.multiple);
            *scaled.net_cents.entry(trade.date).or_default() += net_cents;
            scaled.contracts += u64::from(contracts);
            scaled.ordered += u64::from(ordered);
        }
    }
    Ok(())
}

/// One trade with more contracts.
struct Filled {
    contracts: u32,
    ordered: u32,
    net_cents: i64,
}

fn filled(market: &Market, day: &Day, execution: &ExecutionConfig, trade: &Trade, multiple: u32) -> Filled {
    let tick = day.spec.tick;
    let ordered = trade.contracts * multiple;
    let entry = offer(market, day, trade, trade.entry_ts_ns);
    let contracts = entry.map_or(ordered, |(_, size)| ordered.min(execution.most(size.ask)));
    let bought = entry.and_then(|(quote, size)| execution.buy_price(tick, quote, size, contracts));
    let paid = bought.map_or(trade.entry_price, |cents| f64::from(cents) / 100.0);
    let share = f64::from(contracts) / f64::from(trade.contracts.max(1));
    let proceeds: f64 = trade
        .sales
        .iter()
        .map(|sale| {
            let number = f64::from(sale.contracts) * share;
            let offer = if sale.reason.is_settlement() { None } else { offer(market, day, trade, sale.ts_ns) };
            let price = offer.map_or(sale.price, |(quote, size)| {
                let sold = execution.sell_price(tick, quote, size, number.ceil() as u32);
                sold.map_or(0.0, |cents| f64::from(cents) / 100.0)
            });
            number * price
        })
        .sum();
    let usd = (proceeds - f64::from(contracts) * paid) * MULTIPLIER;
    let fees = trade.fees_cents as f64 * share;
    Filled { contracts, ordered, net_cents: (usd * 100.0 - fees).round() as i64 }
}

/// Returns quote and displayed size of a trade's contract at the open of a bar.
fn offer(market: &Market, day: &Day, trade: &Trade, ts_ns: i64) -> Option<(Quote, Size)> {
    let bar = u32::try_from((ts_ns - day.open_ns) / MINUTE_NS).ok().filter(|&bar| bar < day.bars)?;
    let (call, put) = market.quotes_at(day, trade.strike, bar)?;
    let (of_call, of_put) = market.sizes_at(day, trade.strike, bar)?;
    Some(if trade.side == Action::BuyCall { (call.open, of_call) } else { (put.open, of_put) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use market_env::{
        EnvConfig, MarketConfig,
        baselines::{EntryRule, ExitRule, Scripted},
    };

    use super::*;
    use crate::commands::bench;

    #[test]
    fn one_times_the_capital_is_the_trade_itself_and_more_earns_less_per_contract() {
        let dataset = bench::dataset(6).unwrap();
        let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
        let days: Vec<u32> = (0..market.days().len() as u32).collect();
        let config = EnvConfig::default();
        let policy = Scripted::Trades(EntryRule::Coin, ExitRule::After(5));
        let trades = policy.play(&market, &days, &config, 3).unwrap().trades;
        let at = |execution: &ExecutionConfig| {
            let mut all = Vec::new();
            add(&mut all, &market, execution, &trades).unwrap();
            all
        };
        let cents = |scaled: &ScaledTrades| scaled.net_cents.values().sum::<i64>();
        let plain = at(&config.execution);
        assert_eq!(cents(&plain[0]), trades.iter().map(|trade| trade.net_pnl_cents).sum::<i64>());
        assert_eq!(plain[0].contracts, plain[0].ordered);
        let all = at(&with_impact(&config.execution));
        let per_contract: Vec<f64> = all.iter().map(|scaled| cents(scaled) as f64 / scaled.contracts as f64).collect();
        assert!(per_contract.is_sorted_by(|few, many| few >= many), "{per_contract:?}");
        assert!(cents(&all[0]) < cents(&plain[0]), "the own size has an impact too");
        let share = |scaled: &ScaledTrades| scaled.contracts as f64 / scaled.ordered as f64;
        assert!(share(&all[4]) < share(&all[0]), "the displayed size binds at 25 times the capital");
        let own = ExecutionConfig { impact: 0.3, ..ExecutionConfig::default() };
        assert_eq!((with_impact(&own).impact, with_impact(&config.execution).impact), (0.3, ASSUMED_IMPACT));
    }
}
