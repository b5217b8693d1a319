//! One account's money: entries, sales and marks, in whole cents, as plain arithmetic.
//!
//! Cash moves by premium and fees alone, so `cash = capital + Σ net P&L` holds to the cent.

use serde::{Deserialize, Serialize};

use crate::{
    ContractSpec, Quote,
    action::Action,
    config::{AccountConfig, CostConfig},
    contract::MULTIPLIER,
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
    /// Ask paid, in cents per share.
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
}

/// What an order did to the account, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Contracts bought or sold.
    pub contracts: u32,
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

/// Fees of one side, in cents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fees<'a> {
    pub(crate) spec: &'a ContractSpec,
    pub(crate) costs: &'a CostConfig,
}

impl Fees<'_> {
    pub(crate) fn cents(&self, contracts: u32) -> i64 {
        (self.costs.fee_multiplier * self.spec.fee * 100.0 * f64::from(contracts)).round() as i64
    }
}

impl Account {
    /// Returns a flat account with this much cash, in dollars.
    pub fn new(capital: f64) -> Self {
        Self { cash: (capital * 100.0).round() as i64, position: None }
    }

    /// Buys at the ask as many contracts as the risk fraction allows, at least one. Nothing happens without an ask, or when
    /// one contract costs more than the cash.
    pub(crate) fn buy(
        &mut self,
        side: Action,
        contract: u32,
        quote: Quote,
        config: &AccountConfig,
        fees: Fees<'_>,
    ) -> Option<Fill> {
        debug_assert!(self.position.is_none(), "one position at a time");
        let ask = quote.ask?.get();
        let per_contract = i64::from(ask) * MULTIPLIER;
        let one = per_contract + fees.cents(1);
        let budget = (self.cash as f64 * config.risk_fraction) as i64;
        let contracts = (budget / one).clamp(1, i64::from(config.max_contracts)) as u32;
        let fill = Fill { contracts, premium: per_contract * i64::from(contracts), fees: fees.cents(contracts) };
        let cost = fill.premium + fill.fees;
        if cost > self.cash {
            return None;
        }
        self.cash -= cost;
        self.position = Some(Position {
            side,
            contract,
            contracts,
            bought: contracts,
            entry_price: ask,
            entry_cost: cost,
            cost_basis: cost,
            sold_premium: 0,
            fees: fill.fees,
            peak: 0.0,
            tier: 0,
        });
        Some(fill)
    }

    /// Sells a part of the contracts at the bid, at least one; the cost basis shrinks pro rata. Nothing happens when flat or
    /// without a bid. The position stays in place, with zero contracts, until [`Account::close`] takes it.
    pub(crate) fn sell(&mut self, part: f64, quote: Quote, fees: Fees<'_>) -> Option<Fill> {
        let position = self.position.as_mut()?;
        if quote.bid == 0 {
            return None;
        }
        // A hair more than the product: 0.7 of 90 is 63, not 62.999…
        let contracts = ((f64::from(position.contracts) * part + 1e-9) as u32).clamp(1, position.contracts);
        let fill = Fill {
            contracts,
            premium: i64::from(quote.bid) * MULTIPLIER * i64::from(contracts),
            fees: fees.cents(contracts),
        };
        position.cost_basis -= position.cost_basis * i64::from(contracts) / i64::from(position.contracts);
        position.contracts -= contracts;
        position.sold_premium += fill.premium;
        position.fees += fill.fees;
        self.cash += fill.premium - fill.fees;
        Some(fill)
    }

    /// Returns the position if nothing is left of it, and makes the account flat.
    pub(crate) fn close(&mut self) -> Option<Position> {
        self.position.take_if(|position| position.contracts == 0)
    }

    /// Lets the remaining contracts expire without value, and makes the account flat.
    pub(crate) fn expire(&mut self) -> Option<Position> {
        self.position.take()
    }

    /// Returns what selling everything at this quote would bring after fees, in cents; never negative, since a worthless
    /// option is left to expire.
    #[inline]
    pub(crate) fn liquidation(&self, quote: Quote, fees: Fees<'_>) -> i64 {
        self.position.as_ref().map_or(0, |position| {
            let premium = i64::from(quote.bid) * MULTIPLIER * i64::from(position.contracts);
            (premium - fees.cents(position.contracts)).max(0)
        })
    }
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use proptest::prelude::*;

    fn quote(bid: u32, ask: u32) -> Quote {
        Quote { bid, ask: NonZeroU32::new(ask) }
    }

    fn with_fees<R>(f: impl FnOnce(Fees<'_>) -> R) -> R {
        let (spec, costs) = (ContractSpec::known("SPY").unwrap(), CostConfig::default());
        f(Fees { spec: &spec, costs: &costs })
    }

    #[test]
    fn a_round_trip_costs_the_spread_and_two_fees() {
        with_fees(|fees| {
            let mut account = Account::new(100_000.0);
            let fill = account.buy(Action::BuyPut, 3, quote(148, 152), &AccountConfig::default(), fees).unwrap();
            assert_eq!(fill, Fill { contracts: 45, premium: 684_000, fees: 3_150 }, "7 % of 100,000 at 152.70 a piece");
            assert_eq!(account.liquidation(quote(148, 152), fees), 45 * 14_800 - 3_150);
            account.sell(1.0, quote(148, 152), fees).unwrap();
            let position = account.close().unwrap();
            assert_eq!(position.net_pnl(), -45 * (400 + 140));
            assert_eq!(account, Account { cash: 10_000_000 - 45 * 540, position: None });
        });
    }

    #[test]
    fn a_trim_takes_its_share_of_the_cost_basis() {
        with_fees(|fees| {
            let mut account = Account::new(100_000.0);
            account.buy(Action::BuyCall, 0, quote(99, 100), &AccountConfig::default(), fees).unwrap();
            let before = account.position.unwrap();
            account.sell(0.5, quote(110, 111), fees).unwrap();
            let after = account.position.unwrap();
            let share = f64::from(after.contracts) / f64::from(before.contracts);
            assert!((after.cost_basis as f64 / before.cost_basis as f64 - share).abs() < 1e-6);
            assert_eq!(after.entry_cost, before.entry_cost);
        });
    }

    #[test]
    fn seven_tenths_of_ninety_are_sixty_three() {
        with_fees(|fees| {
            let mut account = Account::new(1_000_000.0);
            let config = AccountConfig { risk_fraction: 1.0, max_contracts: 90, ..AccountConfig::default() };
            account.buy(Action::BuyCall, 0, quote(99, 100), &config, fees).unwrap();
            assert_eq!(account.sell(0.7, quote(99, 100), fees).unwrap().contracts, 63);
        });
    }

    #[test]
    fn what_cannot_be_paid_or_sold_does_not_happen() {
        with_fees(|fees| {
            let mut poor = Account::new(100.0);
            assert_eq!(poor.buy(Action::BuyCall, 0, quote(148, 152), &AccountConfig::default(), fees), None);
            assert_eq!(poor.buy(Action::BuyCall, 0, quote(148, 0), &AccountConfig::default(), fees), None);
            assert_eq!(poor, Account::new(100.0));
            poor.buy(Action::BuyCall, 0, quote(50, 60), &AccountConfig::default(), fees).unwrap();
            assert_eq!(poor.position.unwrap().contracts, 1, "one contract beyond the risk fraction is allowed");
            assert_eq!(poor.sell(1.0, quote(0, 2), fees), None);
            assert_eq!(poor.expire().unwrap().net_pnl(), -6_070);
        });
    }

    proptest! {
        #[test]
        fn cash_is_conserved_to_the_cent(
            ask in 1u32..5_000,
            bids in prop::collection::vec(0u32..6_000, 1..6),
            parts in prop::collection::vec(0.05f64..1.0, 6),
        ) {
            with_fees(|fees| {
                let mut account = Account::new(100_000.0);
                account.buy(Action::BuyCall, 0, quote(ask - 1, ask), &AccountConfig::default(), fees);
                for (bid, part) in bids.iter().zip(parts) {
                    if account.position.is_some_and(|p| p.contracts > 0) {
                        account.sell(part, quote(*bid, bid + 1), fees);
                    }
                }
                let open = account.position.map_or(0, |p| p.contracts);
                let basis = account.position.map_or(0, |p| p.cost_basis);
                assert!(if open == 0 { basis == 0 } else { basis > 0 });
                let pnl = account.expire().map_or(0, |p| p.net_pnl());
                assert_eq!(account.cash, 10_000_000 + pnl);
            });
        }
    }
}
