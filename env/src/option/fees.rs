//! Fees of an order, item by item.

use jiff::civil::{Date, date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The side of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A purchase.
    Buy,
    /// A sale; it pays regulatory fees that a purchase does not.
    Sell,
}

/// Premium per share, in cents, from which the exchange's dearer tier applies.
const TIER_CENTS: u32 = 100;

/// The fees of one underlying's options, in dollars per contract unless said otherwise.
///
/// # Source
/// Commission: IBKR Pro tiered, up to 10,000 contracts a month, premium from 0.10. Exchange: Cboe fee schedule, customer orders in SPX,
/// effective 2024-11-01; customer orders in ETF options pay none. Clearing: OCC, 90 FR 10544. Options Regulatory Fee: the
/// exchanges' fees of 2024-2025 add up to 0.019-0.028; from the second half of 2026 the exchanges that charge on execution alone
/// take 0.014-0.016. Trading Activity Fee: FINRA, per contract sold. Section 31: SEC fee rate advisories; broad index options are
/// exempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeSchedule {
    /// Broker's commission, in dollars per contract, 0 to 100.
    pub commission: f64,
    /// Least commission of one order, in dollars, 0 to 100.
    pub minimum_commission: f64,
    /// Exchange fee of an option below 1.00, in dollars per contract, 0 to 100.
    pub exchange_below_1: f64,
    /// Exchange fee of an option from 1.00, in dollars per contract, 0 to 100.
    pub exchange_from_1: f64,
    /// Clearing fee, in dollars per contract, 0 to 100.
    pub clearing: f64,
    /// Options Regulatory Fee, in dollars per contract, 0 to 100.
    pub regulatory: f64,
    /// FINRA's Trading Activity Fee on sales, in dollars per contract, 0 to 100.
    pub sale_activity: f64,
    /// Section 31 fee on sales, as a fraction of their value, 0 to 0.0001.
    pub sale_value_rate: f64,
    /// Clearing fee of earlier dates: up to and including each date, the newest last.
    #[serde(default)]
    #[schemars(with = "Vec<(String, f64)>")]
    pub earlier_clearing: Vec<(Date, f64)>,
    /// Options Regulatory Fee of earlier dates, as for the clearing fee.
    #[serde(default)]
    #[schemars(with = "Vec<(String, f64)>")]
    pub earlier_regulatory: Vec<(Date, f64)>,
    /// Trading Activity Fee of earlier dates, as for the clearing fee.
    #[serde(default)]
    #[schemars(with = "Vec<(String, f64)>")]
    pub earlier_sale_activity: Vec<(Date, f64)>,
    /// Section 31 fee of earlier dates, as for the clearing fee.
    #[serde(default)]
    #[schemars(with = "Vec<(String, f64)>")]
    pub earlier_sale_value_rate: Vec<(Date, f64)>,
}

/// Section 31 fee, up to and including a date.
const SECTION_31: [(Date, f64); 8] = [
    (date(2018, 5, 21), 23.1e-6),
    (date(2019, 4, 15), 13.0e-6),
    (date(2020, 2, 17), 20.7e-6),
    (date(2021, 2, 24), 22.1e-6),
    (date(2022, 5, 13), 5.1e-6),
    (date(2023, 2, 26), 22.9e-6),
    (date(2024, 5, 21), 8.0e-6),
    (date(2025, 5, 13), 27.8e-6),
];
/// Last date without a Section 31 fee.
const SECTION_31_FREE: Date = date(2026, 3, 31);

impl FeeSchedule {
    /// Returns the schedule of customer orders in options on funds.
    pub(crate) fn of_funds() -> Self {
        let mut section_31 = SECTION_31.to_vec();
        section_31.push((SECTION_31_FREE, 0.0));
        Self { sale_value_rate: 20.6e-6, earlier_sale_value_rate: section_31, ..Self::of_index(0.0, 0.0) }
    }

    /// Returns the schedule of customer orders in options on a broad index, with these exchange fees below and from a premium of
    /// 1.00.
    pub(crate) fn of_index(exchange_below_1: f64, exchange_from_1: f64) -> Self {
        Self {
            commission: 0.65,
            minimum_commission: 0.0,
            exchange_below_1,
            exchange_from_1,
            clearing: 0.025,
            regulatory: 0.015,
            sale_activity: 0.003_29,
            sale_value_rate: 0.0,
            earlier_clearing: vec![(date(2025, 2, 13), 0.02)],
            earlier_regulatory: vec![(date(2026, 6, 30), 0.025)],
            earlier_sale_activity: vec![(date(2025, 12, 31), 0.002_79)],
            earlier_sale_value_rate: Vec::new(),
        }
    }

    /// Returns the schedule in force on a date, without earlier ones.
    #[must_use]
    pub fn on(&self, date: Date) -> Self {
        let of = |earlier: &[(Date, f64)], now: f64| {
            earlier.iter().find(|(until, _)| date <= *until).map_or(now, |(_, value)| *value)
        };
        Self {
            clearing: of(&self.earlier_clearing, self.clearing),
            regulatory: of(&self.earlier_regulatory, self.regulatory),
            sale_activity: of(&self.earlier_sale_activity, self.sale_activity),
            sale_value_rate: of(&self.earlier_sale_value_rate, self.sale_value_rate),
            earlier_clearing: Vec::new(),
            earlier_regulatory: Vec::new(),
            earlier_sale_activity: Vec::new(),
            earlier_sale_value_rate: Vec::new(),
            ..*self
        }
    }

    /// Returns an order's fees in dollars, not rounded, at a price in cents per share.
    #[inline]
    pub fn order(&self, side: Side, contracts: u32, price: u32) -> f64 {
        let n = f64::from(contracts);
        let exchange = if price < TIER_CENTS { self.exchange_below_1 } else { self.exchange_from_1 };
        // A contract is a hundred shares, so its value in dollars is the price in cents.
        let sale = match side {
            Side::Buy => 0.0,
            Side::Sell => self.sale_activity + self.sale_value_rate * f64::from(price),
        };
        n * (exchange + (self.clearing + self.regulatory) + sale) + (n * self.commission).max(self.minimum_commission)
    }

    /// Returns the schedule of one side, under a multiplier, in whole units.
    pub(crate) fn tariff(&self, side: Side, multiplier: f64) -> Tariff {
        let units = |dollars: f64| (multiplier * dollars * 100.0 * UNITS_PER_CENT as f64).round() as i64;
        let sale = |dollars: f64| if side == Side::Sell { units(dollars) } else { 0 };
        let common = units(self.clearing) + units(self.regulatory) + sale(self.sale_activity);
        Tariff {
            each: [self.exchange_below_1, self.exchange_from_1].map(|exchange| common + units(exchange)),
            per_cent_of_price: sale(self.sale_value_rate),
            commission: units(self.commission),
            minimum: units(self.minimum_commission),
        }
    }

    pub(crate) fn check(&self, path: &str, faults: &mut Vec<String>) {
        for (name, value) in [
            ("commission", self.commission),
            ("minimum_commission", self.minimum_commission),
            ("exchange_below_1", self.exchange_below_1),
            ("exchange_from_1", self.exchange_from_1),
            ("clearing", self.clearing),
            ("regulatory", self.regulatory),
            ("sale_activity", self.sale_activity),
        ] {
            if !(0.0..=100.0).contains(&value) {
                faults.push(format!("{path}.{name}: {value} is not between 0 and 100"));
            }
        }
        if !(0.0..=1e-4).contains(&self.sale_value_rate) {
            faults.push(format!("{path}.sale_value_rate: {} is not between 0 and 0.0001", self.sale_value_rate));
        }
        for (name, earlier, most) in [
            ("earlier_clearing", &self.earlier_clearing, 100.0),
            ("earlier_regulatory", &self.earlier_regulatory, 100.0),
            ("earlier_sale_activity", &self.earlier_sale_activity, 100.0),
            ("earlier_sale_value_rate", &self.earlier_sale_value_rate, 1e-4),
        ] {
            if let Some((until, value)) = earlier.iter().find(|(_, value)| !(0.0..=most).contains(value)) {
                faults.push(format!("{path}.{name}: {value} until {until} is not between 0 and {most}"));
            }
            if !earlier.is_sorted_by(|a, b| a.0 < b.0) {
                faults.push(format!("{path}.{name}: the dates do not ascend"));
            }
        }
    }
}

/// Units per cent: a unit is a hundred-millionth of a dollar, so every published fee is a whole number and sums are exact.
const UNITS_PER_CENT: i64 = 1_000_000;

/// The fees of one side in whole units, for the hot loop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tariff {
    /// Fees per contract without the commission, below and from a premium of 1.00.
    each: [i64; 2],
    /// Per contract and cent of its price.
    per_cent_of_price: i64,
    commission: i64,
    /// Least commission of an order.
    minimum: i64,
}

impl Tariff {
    #[inline]
    fn each(&self, price: u32) -> i64 {
        self.each[usize::from(price >= TIER_CENTS)] + self.per_cent_of_price * i64::from(price)
    }

    /// Returns the fees of an order in whole cents; half a cent counts as a whole one.
    #[inline]
    pub(crate) fn cents(&self, contracts: u32, price: u32) -> i64 {
        let n = i64::from(contracts);
        (n * self.each(price) + (n * self.commission).max(self.minimum) + UNITS_PER_CENT / 2) / UNITS_PER_CENT
    }

    /// Returns the most contracts whose premium and fees fit a budget in cents; possibly zero.
    pub(crate) fn affordable(&self, budget: i64, premium: i64, price: u32) -> i64 {
        // The fees of the whole order are rounded, not those of a contract: less than half a cent more is still payable.
        let most = budget * UNITS_PER_CENT + UNITS_PER_CENT / 2 - 1;
        let others = premium * UNITS_PER_CENT + self.each(price);
        // The commission is the larger of a part that grows with the order and one that does not: both must be payable.
        let growing = most / (others + self.commission).max(1);
        growing.min((most - self.minimum) / others.max(1)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ContractSpec;

    fn schedule(symbol: &str, on: Date) -> FeeSchedule {
        ContractSpec::known(symbol).unwrap().fees.on(on)
    }

    fn cents_on(on: Date, symbol: &str, side: Side, contracts: u32, price: u32) -> f64 {
        (100.0 * schedule(symbol, on).order(side, contracts, price) * 1e6).round() / 1e6
    }

    fn cents(symbol: &str, side: Side, contracts: u32, price: u32) -> f64 {
        cents_on(date(2025, 6, 2), symbol, side, contracts, price)
    }

    #[test]
    fn the_items_add_up_to_the_published_sums() {
        assert_eq!([cents("SPY", Side::Buy, 1, 150), cents("QQQ", Side::Sell, 1, 150)], [70.0, 70.279]);
        assert_eq!([cents("SPX", Side::Buy, 1, 99), cents("SPX", Side::Buy, 1, 100)], [106.0, 115.0]);
        assert_eq!(cents("SPX", Side::Sell, 10, 410), 1152.79);
    }

    #[test]
    fn fees_are_those_of_the_date() {
        // On 2024-06-03 clearing costs 0.02, and 27.8 dollars per million of a sale of 150 dollars are 0.417 cents.
        assert_eq!(cents_on(date(2024, 6, 3), "SPY", Side::Buy, 1, 150), 69.5);
        assert_eq!(cents_on(date(2024, 6, 3), "SPY", Side::Sell, 1, 150), 70.196);
        assert_eq!(cents_on(date(2024, 6, 3), "SPX", Side::Sell, 1, 150), 114.779, "an index option is exempt");
        let rate = |on| schedule("QQQ", on).sale_value_rate;
        assert_eq!([rate(date(2024, 5, 21)), rate(date(2024, 5, 22))], [8.0e-6, 27.8e-6]);
        assert_eq!([rate(date(2025, 5, 13)), rate(date(2025, 5, 14)), rate(date(2026, 4, 1))], [27.8e-6, 0.0, 20.6e-6]);
        let today = schedule("SPY", date(2026, 7, 1));
        assert_eq!((today.regulatory, today.sale_activity), (0.015, 0.003_29));
        assert_eq!(today.on(date(2020, 1, 2)), today, "a schedule of a date has no earlier ones");
    }

    #[test]
    fn earlier_fees_ascend_by_date_and_stay_in_range() {
        let mut fees = ContractSpec::known("SPY").unwrap().fees;
        fees.earlier_clearing = vec![(date(2025, 1, 2), 0.02), (date(2024, 1, 2), 0.01)];
        fees.earlier_sale_value_rate = vec![(date(2025, 1, 2), 27.8)];
        let mut faults = Vec::new();
        fees.check("fees", &mut faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("earlier_clearing") && faults[1].contains("earlier_sale_value_rate"), "{faults:?}");
    }

    #[test]
    fn whole_units_give_the_same_cents() {
        let mut fees = schedule("SPX", date(2025, 6, 2));
        (fees.minimum_commission, fees.sale_value_rate) = (5.0, 27.8e-6);
        for (side, multiplier) in [(Side::Buy, 1.0), (Side::Sell, 1.0), (Side::Sell, 0.0), (Side::Sell, 2.5)] {
            let tariff = fees.tariff(side, multiplier);
            for (contracts, price) in (1..600).map(|n| (n, 5 * n % 437)) {
                let exact = multiplier * fees.order(side, contracts, price) * 100.0;
                assert!((exact - tariff.cents(contracts, price) as f64).abs() < 0.500_001, "{contracts} at {price}");
            }
        }
        let half = FeeSchedule { sale_activity: 0.00279, ..schedule("SPY", date(2025, 6, 2)) };
        assert_eq!(half.tariff(Side::Sell, 1.0).cents(500, 150), 35_140, "351.395 dollars");
    }

    #[test]
    fn a_small_order_pays_the_minimum_and_a_sale_pays_on_its_value() {
        let known = schedule("IWM", date(2025, 6, 2));
        let fees = FeeSchedule { minimum_commission: 1.0, sale_value_rate: 27.8e-6, ..known };
        assert!((fees.order(Side::Buy, 1, 150) - 1.05).abs() < 1e-12);
        assert!((fees.order(Side::Buy, 2, 150) - 1.40).abs() < 1e-12, "1.30 is above the minimum");
        let value = 27.8e-6 * 2.0 * 150.0;
        assert!((fees.order(Side::Sell, 2, 150) - (1.40 + 2.0 * 0.002_79 + value)).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_affordable_order_is_the_largest_that_fits(
            budget in 0_i64..20_000_000,
            price in 1_u32..5_000,
            minimum in prop::sample::select(vec![0.0, 1.0, 4.95]),
            day in 0_i64..1_500,
        ) {
            let on = date(2022, 6, 1).saturating_add(jiff::Span::new().days(day));
            let fees = FeeSchedule { minimum_commission: minimum, ..schedule("SPY", on) };
            let tariff = fees.tariff(Side::Buy, 1.0);
            let premium = i64::from(price) * 100;
            let cost = |n: i64| n * premium + tariff.cents(n as u32, price);
            let n = tariff.affordable(budget, premium, price);
            prop_assert!(n == 0 || cost(n) <= budget, "{n} cost {}", cost(n));
            prop_assert!(cost(n + 1) > budget, "{} would cost {}", n + 1, cost(n + 1));
        }
    }
}
