//! Accounting of one account in whole cents: entries, sales, marks.
//!
//! Cash moves by premium and fees alone, so `cash = capital + Σ net P&L` holds to the cent.

pub(crate) mod entry_guards;
pub(crate) mod execution;
pub(crate) mod exits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Quote,
    account::execution::Terms,
    action::Action,
    option::{contract::MULTIPLIER, fees::Side, quote::Size},
};

/// An open position in one contract.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// [`Action::BuyCall`] or [`Action::BuyPut`].
    pub side: Action,
    /// Index of the contract on its session's tape.
    pub contract: u32,
    /// Contracts still held.
    pub contracts: u32,
    /// Contracts bought.
    pub bought: u32,
    /// Premium paid, in cents per share.
    pub entry_price: u32,
    /// Premium and fees paid at the entry, in cents.
    pub entry_cost: i64,
    /// The part of `entry_cost` that belongs to the contracts still held, in cents.
    pub cost_basis: i64,
    /// Premium received so far, in cents.
    pub sold_premium: i64,
    /// Fees paid so far, in cents.
    pub fees: i64,
    /// Highest gain on the cost basis at a close since the entry.
    pub peak: f64,
    /// Take-profit tiers already sold.
    pub tier: u8,
    /// True once the trailing stop has sold its part.
    pub trailed: bool,
}

/// The effect of an order on the account, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Contracts bought or sold.
    pub contracts: u32,
    /// Contracts ordered; more than `contracts` where the displayed size was too small.
    pub asked: u32,
    /// Premium paid or received.
    pub premium: i64,
    /// Fees paid.
    pub fees: i64,
}

/// Cash and at most one position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Cash, in cents.
    pub cash: i64,
    /// The position, if any.
    pub position: Option<Position>,
}

/// The reason for an entry without a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no offer, no bar, or the participation limit allows not even one contract of the offer.
    NoQuote,
    /// One contract costs more than the cash.
    NoCash,
}

impl Account {
    /// Returns a flat account with this much cash, in dollars.
    pub fn new(capital: f64) -> Self {
        Self { cash: (capital * 100.0).round() as i64, position: None }
    }

    /// Buys as many contracts as the risk fraction allows, at least one, within the participation limit of the offer. The
    /// order is sized at its own price, impact included, so that impact never carries it beyond the risk fraction.
    pub(crate) fn buy(
        &mut self,
        side: Action,
        contract: u32,
        (quote, size): (Quote, Size),
        config: &AccountConfig,
        terms: &Terms,
    ) -> Result<Fill, Refusal> {
        debug_assert!(self.position.is_none(), "one position at a time");
        let budget = (self.cash as f64 * config.risk_fraction) as i64;
        let affordable = |price| terms.affordable(budget, price).clamp(1, i64::from(config.max_contracts)) as u32;
        let price = |contracts| terms.buy_price(quote, size, contracts).ok_or(Refusal::NoQuote);
        let least = price(0)?;
        let (asked, most) = (affordable(least), terms.execution.most(size.ask));
        if most == 0 {
            return Err(Refusal::NoQuote);
        }
        let (mut contracts, mut entry_price) = (asked.min(most), price(asked.min(most))?);
        if entry_price > least {
            contracts = affordable(entry_price).min(contracts);
            entry_price = price(contracts)?;
        }
        let fill = Fill {
            contracts,
            asked: if asked > most { asked } else { contracts },
            premium: i64::from(entry_price) * MULTIPLIER * i64::from(contracts),
            fees: terms.fees(Side::Buy, contracts, entry_price),
        };
        let cost = fill.premium + fill.fees;
        if cost > self.cash {
            return Err(Refusal::NoCash);
        }
        self.cash -= cost;
        self.position = Some(Position {
            side,
            contract,
            contracts,
            bought: contracts,
            entry_price,
            entry_cost: cost,
            cost_basis: cost,
            sold_premium: 0,
            fees: fill.fees,
            peak: 0.0,
            tier: 0,
            trailed: false,
        });
        Ok(fill)
    }

    /// Sells contracts, within the participation limit of the bid. A flat account and a sale at zero change nothing. A
    /// position that is sold out stays in place, with zero contracts, until [`Account::close`] removes it.
    pub(crate) fn sell(&mut self, asked: u32, (quote, size): (Quote, Size), terms: &Terms) -> Option<Fill> {
        let held = self.position?.contracts;
        let contracts = asked.min(held).min(terms.execution.most(size.bid));
        if contracts == 0 {
            return None;
        }
        let price = terms.sell_price(quote, size, contracts)?;
        let fees = terms.fees(Side::Sell, contracts, price);
        self.receive(contracts, asked, price, fees)
    }

    /// Settles all contracts at their value at the session's close, in cents per share, without a fee.
    pub(crate) fn settle(&mut self, value: u32) -> Option<Fill> {
        let held = self.position.filter(|position| position.contracts > 0)?.contracts;
        self.receive(held, held, value, 0)
    }

    /// Books a sale; the cost basis shrinks pro rata.
    fn receive(&mut self, contracts: u32, asked: u32, price: u32, fees: i64) -> Option<Fill> {
        let position = self.position.as_mut()?;
        let premium = i64::from(price) * MULTIPLIER * i64::from(contracts);
        position.cost_basis -= position.cost_basis * i64::from(contracts) / i64::from(position.contracts);
        position.contracts -= contracts;
        position.sold_premium += premium;
        position.fees += fees;
        self.cash += premium - fees;
        Some(Fill { contracts, asked, premium, fees })
    }

    /// Removes and returns a position without contracts; the account is then flat.
    pub(crate) fn close(&mut self) -> Option<Position> {
        self.position.take_if(|position| position.contracts == 0)
    }
}

/// Returns the cost of an entry that is sold at the same quote, as a fraction of the premium paid; nothing where the entry
/// does not fill. A sale that would receive nothing is not made and pays no fee.
pub(crate) fn round_trip_cost(offer: (Quote, Size), config: &AccountConfig, terms: &Terms) -> Option<f64> {
    let bought = Account::new(config.capital).buy(Action::BuyCall, 0, offer, config, terms).ok()?;
    let sold = terms.sell_price(offer.0, offer.1, bought.contracts).map_or(0, |price| {
        i64::from(price) * MULTIPLIER * i64::from(bought.contracts) - terms.fees(Side::Sell, bought.contracts, price)
    });
    Some((bought.premium + bought.fees - sold) as f64 / bought.premium as f64)
}

impl Position {
    /// Returns the fees of the entry, in cents.
    pub(crate) fn entry_fees(&self) -> i64 {
        self.entry_cost - i64::from(self.entry_price) * MULTIPLIER * i64::from(self.bought)
    }

    /// Returns the net P&L of a position that is closed, in cents.
    pub fn net_pnl(&self) -> i64 {
        self.sold_premium - i64::from(self.entry_price) * MULTIPLIER * i64::from(self.bought) - self.fees
    }
}

/// The account of one lane, opened anew every session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountConfig {
    /// Cash at the start of a session, in dollars, above 0.
    pub capital: f64,
    /// Part of the cash that one entry may cost, above 0, at most 1. One contract is always bought if the cash
    /// suffices.
    pub risk_fraction: f64,
    /// Most contracts of one entry, 1 to 1000000.
    pub max_contracts: u32,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self { capital: 100_000.0, risk_fraction: 0.07, max_contracts: 10_000 }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::{ContractSpec, ExecutionConfig, account::execution::CostConfig};

    /// A quote with more size than any order takes.
    fn quote(bid: u32, ask: u32) -> (Quote, Size) {
        displayed(bid, ask, 1_000_000)
    }

    fn displayed(bid: u32, ask: u32, size: u32) -> (Quote, Size) {
        (Quote { bid, ask: NonZeroU32::new(ask) }, Size { bid: size, ask: size })
    }

    fn on_terms<R>(execution: &ExecutionConfig, f: impl FnOnce(&Terms) -> R) -> R {
        let spec = ContractSpec::known("SPY").unwrap().on(jiff::civil::date(2025, 6, 2));
        let costs = CostConfig::default();
        f(&Terms::new(&spec, &costs, execution))
    }

    fn plainly<R>(f: impl FnOnce(&Terms) -> R) -> R {
        on_terms(&ExecutionConfig::default(), f)
    }

    #[test]
    fn a_round_trip_costs_the_spread_and_two_fees() {
        plainly(|terms| {
            let mut account = Account::new(100_000.0);
            let fill = account.buy(Action::BuyPut, 3, quote(148, 152), &AccountConfig::default(), terms).unwrap();
            let expected = Fill { contracts: 45, asked: 45, premium: 684_000, fees: 3_150 };
            assert_eq!(fill, expected, "7 % of 100,000 at 152.70 a piece");
            assert_eq!(terms.liquidation(148, 45), 45 * 14_800 - 3_163);
            account.sell(45, quote(148, 152), terms).unwrap();
            let position = account.close().unwrap();
            assert_eq!((position.net_pnl(), position.entry_fees()), (-45 * 400 - 3_150 - 3_163, 3_150));
            assert_eq!(account, Account { cash: 10_000_000 - 45 * 400 - 6_313, position: None });
        });
    }

    #[test]
    fn a_trim_takes_its_share_of_the_cost_basis() {
        plainly(|terms| {
            let mut account = Account::new(100_000.0);
            account.buy(Action::BuyCall, 0, quote(99, 100), &AccountConfig::default(), terms).unwrap();
            let before = account.position.unwrap();
            account.sell(before.contracts / 2, quote(110, 111), terms).unwrap();
            let after = account.position.unwrap();
            let share = f64::from(after.contracts) / f64::from(before.contracts);
            assert!((after.cost_basis as f64 / before.cost_basis as f64 - share).abs() < 1e-6);
            assert_eq!(after.entry_cost, before.entry_cost);
        });
    }

    #[test]
    fn the_displayed_size_bounds_both_sides() {
        let half = ExecutionConfig { participation: 0.5, ..ExecutionConfig::default() };
        on_terms(&half, |terms| {
            let mut account = Account::new(100_000.0);
            let buy = |account: &mut Account, size| {
                account.buy(Action::BuyCall, 0, displayed(148, 152, size), &AccountConfig::default(), terms)
            };
            assert_eq!(buy(&mut account, 1), Err(Refusal::NoQuote), "half a contract is none");
            let fill = buy(&mut account, 20).unwrap();
            assert_eq!((fill.contracts, fill.asked), (10, 45));
            assert_eq!(account.sell(10, displayed(148, 152, 1), terms), None);
            let fill = account.sell(10, displayed(148, 152, 8), terms).unwrap();
            assert_eq!((fill.contracts, fill.asked, account.position.unwrap().contracts), (4, 10, 6));
        });
    }

    #[test]
    fn impact_makes_an_order_dearer_and_smaller_but_never_larger_than_its_budget() {
        let moving = ExecutionConfig { impact: 2.0, slippage: 0.01, ..ExecutionConfig::default() };
        on_terms(&moving, |terms| {
            let mut account = Account::new(100_000.0);
            let fill = account.buy(Action::BuyCall, 0, displayed(148, 152, 50), &AccountConfig::default(), terms);
            // 45 contracts, payable at 153, would move the price to 161; there the budget pays for 43.
            let fill = fill.unwrap();
            assert_eq!((fill.contracts, account.position.unwrap().entry_price), (43, 161));
            assert!(fill.premium + fill.fees <= 700_000);
        });
    }

    #[test]
    fn slippage_and_impact_raise_the_cost_of_a_round_trip() {
        let cost = |execution: &ExecutionConfig, offer| {
            on_terms(execution, |terms| round_trip_cost(offer, &AccountConfig::default(), terms))
        };
        let (plain, offer) = (ExecutionConfig::default(), displayed(148, 152, 45));
        let slips = ExecutionConfig { slippage: 0.05, ..plain.clone() };
        let moves = ExecutionConfig { impact: 1.0, ..plain.clone() };
        assert_eq!(cost(&plain, offer), Some((45 * 400 + 3_150 + 3_163) as f64 / 684_000.0));
        // 44 contracts at 157, sold at 143; fees of 30.80 and 30.92.
        assert_eq!(cost(&slips, offer), Some((44 * 1_400 + 3_080 + 3_092) as f64 / 690_800.0));
        assert!(cost(&moves, offer) > cost(&plain, offer), "45 of 45 contracts displayed");
        assert_eq!(cost(&plain, displayed(148, 0, 45)), None);
        assert_eq!(cost(&plain, displayed(0, 2, 45)), Some((9_000 + 3_150) as f64 / 9_000.0), "nothing comes back");
    }

    #[test]
    fn what_cannot_be_paid_or_sold_does_not_happen() {
        plainly(|terms| {
            let config = AccountConfig::default();
            let mut poor = Account::new(100.0);
            assert_eq!(poor.buy(Action::BuyCall, 0, quote(148, 152), &config, terms), Err(Refusal::NoCash));
            assert_eq!(poor.buy(Action::BuyCall, 0, quote(148, 0), &config, terms), Err(Refusal::NoQuote));
            assert_eq!(poor, Account::new(100.0));
            poor.buy(Action::BuyCall, 0, quote(50, 60), &config, terms).unwrap();
            assert_eq!(poor.position.unwrap().contracts, 1, "one contract beyond the risk fraction is allowed");
            assert_eq!(poor.sell(1, quote(0, 2), terms), None);
        });
    }

    #[test]
    fn a_settlement_costs_no_fee() {
        plainly(|terms| {
            for (value, pnl) in [(0, -6_070), (155, 9_430)] {
                let mut account = Account::new(100.0);
                account.buy(Action::BuyCall, 0, quote(50, 60), &AccountConfig::default(), terms).unwrap();
                let fill = account.settle(value).unwrap();
                assert_eq!((fill.fees, fill.premium), (0, i64::from(value) * MULTIPLIER));
                assert_eq!(account.close().unwrap().net_pnl(), pnl);
                assert_eq!(account.cash, 10_000 + pnl);
            }
        });
    }

    proptest! {
        #[test]
        fn cash_is_conserved_to_the_cent(
            ask in 1u32..5_000, bids in prop::collection::vec((0u32..6_000, 0u32..300), 1..6),
            parts in prop::collection::vec(1u32..90, 6), slippage in 0.0..0.1, impact in 0.0..3.0,
            participation in 0.05..1.0, value in 0u32..500,
        ) {
            let execution = ExecutionConfig { slippage, impact, participation, ..ExecutionConfig::default() };
            on_terms(&execution, |terms| {
                let mut account = Account::new(100_000.0);
                let _ = account.buy(Action::BuyCall, 0, displayed(ask - 1, ask, 300), &AccountConfig::default(), terms);
                for (&(bid, size), part) in bids.iter().zip(parts) {
                    account.sell(part, displayed(bid, bid + 1, size), terms);
                }
                if let Some(position) = account.position {
                    assert!(if position.contracts == 0 { position.cost_basis == 0 } else { position.cost_basis > 0 });
                }
                account.settle(value);
                let pnl = account.close().map_or(0, |position| position.net_pnl());
                assert_eq!(account.cash, 10_000_000 + pnl);
            });
        }
    }
}
