//! Execution of orders: arrival, price and size of a fill.
//!
//! The functions are pure and use one quote. A fill lies on the tick grid, never better than the quote and never below a tick.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ContractSpec, Quote,
    option::{
        contract::{MULTIPLIER, TickRule},
        fees::{Side, Tariff},
        quote::Size,
    },
};

/// Treatment of a policy's order that meets no quote. An entry that is due in a minute without a bar is treated likewise; sales
/// wait for the next bar under either rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FillRule {
    /// It is refused.
    #[default]
    NextOpen,
    /// It works until the contract's first open with a quote; an entry at the latest until entries end.
    NextQuote,
}

/// Execution of orders: section `[env.execution]`. The orders of the exit rules always keep working.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutionConfig {
    /// Treatment of a policy's order that finds no quote at the next open.
    pub fill: FillRule,
    /// Bars by which every order reaches the market later than the open after its decision, up to 60. The sale before
    /// the bell is never late.
    pub delay_bars: u32,
    /// Dollars per share against the account on every fill and in every mark, besides the quoted spread; 0 to 100.
    pub slippage: f64,
    /// Price concession of an order of the displayed size, in quoted spreads, 0 to 100. It grows with the square root
    /// of the part taken; Almgren et al. (2005) measure exponents of 0.5 to 0.6. Marks leave it out.
    pub impact: f64,
    /// Part of the displayed size that one order may take at one open, above 0, at most 1.
    pub participation: f64,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self { fill: FillRule::NextOpen, delay_bars: 0, slippage: 0.0, impact: 0.0, participation: 1.0 }
    }
}

impl ExecutionConfig {
    /// Returns the most contracts that one order may take of a displayed size.
    pub fn most(&self, displayed: u32) -> u32 {
        // The tolerance makes 0.7 of 90 exactly 63, not 62.999…
        (f64::from(displayed) * self.participation + 1e-9) as u32
    }

    /// Returns the fill price of a purchase, in cents per share; `None` without an ask.
    pub fn buy_price(&self, tick: TickRule, quote: Quote, size: Size, contracts: u32) -> Option<u32> {
        let ask = quote.ask?.get();
        let concession = self.concession(ask.saturating_sub(quote.bid), contracts, size.ask);
        Some(if concession > 0.0 { rounded_up(tick, f64::from(ask) + concession) } else { ask })
    }

    /// Returns the fill price of a sale, in cents per share; `None` where it would be zero.
    pub fn sell_price(&self, tick: TickRule, quote: Quote, size: Size, contracts: u32) -> Option<u32> {
        // Without an ask the spread is unknown; the bid is its upper bound.
        let spread = quote.ask.map_or(quote.bid, |ask| ask.get().saturating_sub(quote.bid));
        let concession = self.concession(spread, contracts, size.bid);
        let price = if concession > 0.0 { rounded_down(tick, f64::from(quote.bid) - concession) } else { quote.bid };
        (price > 0).then_some(price)
    }

    /// Returns the mark of a holding, in cents per share: the bid less slippage.
    #[inline]
    pub fn mark_price(&self, tick: TickRule, bid: u32) -> u32 {
        if self.slippage > 0.0 { rounded_down(tick, f64::from(bid) - 100.0 * self.slippage) } else { bid }
    }

    fn concession(&self, spread: u32, contracts: u32, displayed: u32) -> f64 {
        let slippage = 100.0 * self.slippage;
        if self.impact == 0.0 {
            return slippage;
        }
        let taken = f64::from(contracts) / f64::from(displayed.max(1));
        slippage + self.impact * f64::from(spread) * taken.sqrt()
    }

    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        if self.delay_bars > 60 {
            faults.push(format!("env.execution.delay_bars: {} is more than 60", self.delay_bars));
        }
        for (name, value) in [("slippage", self.slippage), ("impact", self.impact)] {
            if !(0.0..=100.0).contains(&value) {
                faults.push(format!("env.execution.{name}: {value} is not between 0 and 100"));
            }
        }
        if !(self.participation > 0.0 && self.participation <= 1.0) {
            faults.push(format!("env.execution.participation: {} is not in (0, 1]", self.participation));
        }
    }
}

/// Tolerance, in cents, that keeps a price on the grid in place.
const HAIR: f64 = 1e-6;

fn rounded_up(tick: TickRule, cents: f64) -> u32 {
    let tick = tick.tick_cents(cents - HAIR);
    (((cents - HAIR) / tick).ceil() * tick) as u32
}

fn rounded_down(tick: TickRule, cents: f64) -> u32 {
    let tick = tick.tick_cents(cents + HAIR);
    (((cents + HAIR) / tick).floor() * tick).max(0.0) as u32
}

/// The costs of fills and marks in one underlying's options, precomputed for the hot loop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) execution: ExecutionConfig,
    tick: TickRule,
    buys: Tariff,
    sales: Tariff,
}

impl Terms {
    pub(crate) fn new(spec: &ContractSpec, costs: &CostConfig, execution: &ExecutionConfig) -> Self {
        let tariff = |side| spec.fees.tariff(side, costs.fee_multiplier);
        Self { execution: execution.clone(), tick: spec.tick, buys: tariff(Side::Buy), sales: tariff(Side::Sell) }
    }

    /// Returns the fees of an order, in whole cents.
    #[inline]
    pub(crate) fn fees(&self, side: Side, contracts: u32, price: u32) -> i64 {
        match side {
            Side::Buy => self.buys.cents(contracts, price),
            Side::Sell => self.sales.cents(contracts, price),
        }
    }

    pub(crate) fn buy_price(&self, quote: Quote, size: Size, contracts: u32) -> Option<u32> {
        self.execution.buy_price(self.tick, quote, size, contracts)
    }

    pub(crate) fn sell_price(&self, quote: Quote, size: Size, contracts: u32) -> Option<u32> {
        self.execution.sell_price(self.tick, quote, size, contracts)
    }

    /// Returns the most contracts within a budget in cents, fees included; possibly zero.
    pub(crate) fn affordable(&self, budget: i64, price: u32) -> i64 {
        self.buys.affordable(budget, i64::from(price) * MULTIPLIER, price)
    }

    /// Returns the proceeds of selling the contracts at this bid, after slippage and fees, in cents; never negative, since a
    /// worthless option is left to expire.
    #[inline]
    pub(crate) fn liquidation(&self, bid: u32, contracts: u32) -> i64 {
        let price = self.execution.mark_price(self.tick, bid);
        let premium = i64::from(price) * MULTIPLIER * i64::from(contracts);
        (premium - self.sales.cents(contracts, price)).max(0)
    }
}

/// Costs beyond the quoted spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CostConfig {
    /// Factor on the contract's fees, 0 to 100, for stress tests; 1 is the schedule's own.
    pub fee_multiplier: f64,
}

impl Default for CostConfig {
    fn default() -> Self {
        Self { fee_multiplier: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn quote(bid: u32, ask: u32) -> Quote {
        Quote { bid, ask: NonZeroU32::new(ask) }
    }

    const SIZE: Size = Size { bid: 100, ask: 100 };

    #[test]
    fn prices_by_hand() {
        let plain = ExecutionConfig::default();
        let slips = ExecutionConfig { slippage: 0.02, ..plain.clone() };
        let moves = ExecutionConfig { impact: 1.0, ..plain.clone() };
        let (penny, nickel) = (TickRule::Penny, TickRule::NickelDime);
        for (config, tick, contracts, (bid, ask), expected) in [
            (&plain, penny, 100, (148, 152), (Some(148), Some(152))),
            (&slips, penny, 1, (148, 152), (Some(146), Some(154))),
            (&moves, penny, 100, (148, 152), (Some(144), Some(156))),
            (&moves, penny, 25, (148, 152), (Some(146), Some(154))),
            (&moves, penny, 1, (148, 152), (Some(147), Some(153))),
            (&slips, nickel, 1, (295, 300), (Some(290), Some(310))),
            (&moves, nickel, 100, (295, 300), (Some(290), Some(310))),
            (&slips, penny, 1, (2, 3), (None, Some(5))),
            (&plain, penny, 1, (0, 0), (None, None)),
            (&moves, penny, 25, (10, 0), (Some(5), None)),
        ] {
            let prices = (
                config.sell_price(tick, quote(bid, ask), SIZE, contracts),
                config.buy_price(tick, quote(bid, ask), SIZE, contracts),
            );
            assert_eq!(prices, expected, "{config:?} {tick:?} {contracts} at {bid} x {ask}");
        }
        assert_eq!((slips.mark_price(penny, 148), slips.mark_price(penny, 1)), (146, 0));
    }

    #[test]
    fn an_order_takes_its_part_of_the_displayed_size() {
        let config = |participation| ExecutionConfig { participation, ..ExecutionConfig::default() };
        assert_eq!([config(1.0).most(20), config(0.7).most(90), config(0.1).most(9)], [20, 63, 0]);
    }

    proptest! {
        #[test]
        fn fills_lie_on_the_grid_and_are_never_better_than_the_quote(
            ticks in (1u32..59, 1u32..40), nickel in any::<bool>(), contracts in 1u32..100,
            slippage in 0.0..0.5, impact in 0.0..5.0,
        ) {
            let config = ExecutionConfig { slippage, impact, ..ExecutionConfig::default() };
            let (tick, bid) = if nickel { (TickRule::NickelDime, 5 * ticks.0) } else { (TickRule::Penny, ticks.0) };
            let width = if nickel { 10 * ticks.1 } else { ticks.1 };
            let quote = quote(bid, (bid + width).next_multiple_of(if nickel { 10 } else { 1 }));
            let on_grid = |cents: u32| f64::from(cents) % tick.tick_cents(f64::from(cents)) == 0.0;
            let bought = config.buy_price(tick, quote, SIZE, contracts).unwrap();
            prop_assert!(on_grid(bought) && bought >= quote.ask.unwrap().get());
            if let Some(sold) = config.sell_price(tick, quote, SIZE, contracts) {
                prop_assert!(on_grid(sold) && sold > 0 && sold <= bid);
            }
            prop_assert!(config.mark_price(tick, bid) <= bid);
        }

        #[test]
        fn what_is_affordable_is_the_most(price in 1u32..2_000, budget in 0i64..2_000_000, minimum in 0.0..50.0) {
            let mut spec = ContractSpec::known("SPX").unwrap();
            spec.fees.minimum_commission = minimum;
            let (costs, execution) = (CostConfig::default(), ExecutionConfig::default());
            let terms = Terms::new(&spec, &costs, &execution);
            let contracts = terms.affordable(budget, price) as u32;
            let cost = |n| i64::from(price) * MULTIPLIER * i64::from(n) + terms.fees(Side::Buy, n, price);
            prop_assert!(contracts == 0 || cost(contracts) <= budget + 1, "a cent of rounding");
            prop_assert!(cost(contracts + 1) >= budget);
        }
    }
}
