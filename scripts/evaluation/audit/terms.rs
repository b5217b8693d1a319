//! Terms of an audited log, and the fees that its fills must have paid.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_env::{ContractSpec, FeeSchedule, Sale};

use crate::config::RunConfig;

/// Units of fees in a dollar.
const FEE_UNITS: f64 = 1e10;
/// Units of the fee multiplier in 1.
const FACTOR_UNITS: f64 = 1e6;

/// Terms on which a log was traded: capital, fees and contracts.
#[derive(Debug, Clone)]
pub struct Terms {
    pub(super) capital_cents: i64,
    /// In units of 10⁻⁶.
    fee_multiplier: i128,
    pub(super) contracts: BTreeMap<String, ContractSpec>,
}

impl Terms {
    /// Returns the terms of a replay's configuration.
    pub fn of(config: &RunConfig) -> Self {
        let known = ContractSpec::KNOWN.into_iter().filter_map(|s| Some((s.to_owned(), ContractSpec::known(s)?)));
        let mut contracts: BTreeMap<String, ContractSpec> = known.collect();
        contracts.extend(config.market.contracts.clone());
        Self {
            capital_cents: (config.env.account.capital * 100.0).round() as i64,
            fee_multiplier: (config.env.costs.fee_multiplier * FACTOR_UNITS).round() as i128,
            contracts,
        }
    }

    /// Returns the fees of a fill on a date; `None` for a symbol without a fee schedule.
    pub(super) fn fees(&self, symbol: &str, date: Date, fill: Fill) -> Option<ExactFees> {
        Some(ExactFees(fill.fees(&self.contracts.get(symbol)?.fees.on(date)) * self.fee_multiplier))
    }
}

/// An exact amount, in units of 10⁻¹⁶ dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExactFees(i128);

impl ExactFees {
    const CENT: i128 = 100_000_000_000_000;

    /// Returns whether the amount rounds to these cents; exactly half a cent may go either way.
    pub(super) fn rounds_to(self, cents: i64) -> bool {
        2 * (i128::from(cents) * Self::CENT - self.0).abs() <= Self::CENT
    }

    pub(super) fn cents(self) -> i64 {
        ((self.0 + Self::CENT / 2) / Self::CENT) as i64
    }
}

/// Kind of a fill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FillKind {
    Buy,
    Sell,
    /// Settlement at the session's end, free of fees.
    Settlement,
}

impl FillKind {
    pub(super) fn of(sale: &Sale) -> Self {
        if sale.reason.is_settlement() { Self::Settlement } else { Self::Sell }
    }
}

/// One fill, its price in cents per share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    pub(super) kind: FillKind,
    pub(super) price: i64,
    pub(super) contracts: u32,
}

impl Fill {
    /// Returns the scheduled fees, before the fee multiplier, in units of 10⁻¹⁰ dollars.
    fn fees(self, fees: &FeeSchedule) -> i128 {
        let units = |dollars: f64| (dollars * FEE_UNITS).round() as i128;
        let n = i128::from(self.contracts);
        let exchange = if self.price < 100 { fees.exchange_below_1 } else { fees.exchange_from_1 };
        let both_sides = units(exchange) + units(fees.clearing) + units(fees.regulatory);
        // A contract is worth as many dollars as its price has cents.
        let on_sales = units(fees.sale_activity) + units(fees.sale_value_rate) * i128::from(self.price);
        let commission = (n * units(fees.commission)).max(units(fees.minimum_commission));
        match self.kind {
            FillKind::Buy => commission + n * both_sides,
            FillKind::Sell => commission + n * (both_sides + on_sales),
            FillKind::Settlement => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn fees_are_the_sum_of_their_items_and_rounded_once() {
        let mut config = RunConfig::default();
        let fees = &mut config.market.contracts.get_mut("SPX").unwrap().fees;
        (fees.commission, fees.minimum_commission) = (0.5, 1.25);
        (fees.exchange_below_1, fees.exchange_from_1) = (0.1, 0.2);
        (fees.clearing, fees.regulatory) = (0.02, 0.03);
        (fees.sale_activity, fees.sale_value_rate) = (0.004, 0.000_1);
        (fees.earlier_regulatory, fees.earlier_sale_activity) = (vec![], vec![]);
        fees.earlier_clearing = vec![(date(2025, 2, 13), 0.01)];
        let terms = Terms::of(&config);
        let cents_on =
            |date, kind, price, contracts| terms.fees("SPX", date, Fill { kind, price, contracts }).unwrap().cents();
        let cents = |kind, price, contracts| cents_on(date(2025, 6, 2), kind, price, contracts);
        assert_eq!(cents(FillKind::Buy, 100, 2), 125 + 2 * 25, "two commissions are below the minimum");
        assert_eq!(cents(FillKind::Buy, 99, 10), 500 + 10 * 15);
        // The items that only sales pay: 0.004 and 0.0001 of 410 dollars.
        assert_eq!(cents(FillKind::Sell, 410, 10), 500 + 10 * 25 + 45);
        assert_eq!(cents(FillKind::Settlement, 410, 10), 0);
        assert_eq!(cents_on(date(2025, 2, 13), FillKind::Buy, 99, 10), 500 + 10 * 14, "the fees of an earlier date");
        assert!(terms.fees("TLT", date(2025, 6, 2), Fill { kind: FillKind::Buy, price: 1, contracts: 1 }).is_none());
    }

    #[test]
    fn exactly_half_a_cent_may_go_either_way() {
        let half = ExactFees(7 * ExactFees::CENT + ExactFees::CENT / 2);
        assert_eq!([6, 7, 8, 9].map(|cents| half.rounds_to(cents)), [false, true, true, false]);
        assert_eq!([7, 8].map(|cents| ExactFees(half.0 + 1).rounds_to(cents)), [false, true]);
    }
}
