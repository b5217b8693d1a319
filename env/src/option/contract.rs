//! Contract specifications: strike grid, ticks, multiplier, settlement, fees, quoted width and size.

use jiff::civil::Date;
use market_data::calendar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::option::fees::FeeSchedule;

/// Shares per contract.
pub(crate) const MULTIPLIER: i64 = 100;

/// The price grid of an option series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TickRule {
    /// One cent at all prices: SPY, QQQ, IWM.
    Penny,
    /// Five cents below 3.00, ten cents from 3.00: SPXW.
    NickelDime,
}

impl TickRule {
    /// Returns the tick at a price, both in cents.
    pub fn tick_cents(self, price_cents: f64) -> f64 {
        match self {
            Self::Penny => 1.0,
            Self::NickelDime if price_cents < 300.0 => 5.0,
            Self::NickelDime => 10.0,
        }
    }
}

/// Settlement of a contract held at its session's close. In both cases the replay books its intrinsic value at the
/// session's last close, in cash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Exercised into shares, American (SPY, QQQ, IWM); always sold before the bell. An account does not want the
    /// shares overnight. Priced as European, which is exact on a day without an ex-dividend: exercising a call early
    /// then gains nothing, and a put gains at most a few hours of interest on the strike.
    Physical,
    /// Paid out at the close, European (SPXW).
    Cash,
}

/// Facts and cost assumptions of one underlying's same-day options. Dollars are per share unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractSpec {
    /// Distance of neighbouring strikes, in dollars, above 0.
    pub strike_step: f64,
    /// Price grid.
    pub tick: TickRule,
    /// Half-spread of a worthless option, in dollars, 0 or more.
    pub half_spread: f64,
    /// Half-spread added per dollar of premium, 0 or more.
    pub half_spread_rate: f64,
    /// Volatility of the underlying as a multiple of the S&P's, above 0. The volatility input is an index of the S&P.
    pub vol_ratio: f64,
    /// Implied volatility of its options as a multiple of the model's, above 0. The model was fitted to SPY's.
    pub option_vol: f64,
    /// Contracts displayed at the best bid and ask where the quotes hold no size, above 0.
    pub quoted_size: u32,
    /// Settlement at the close.
    pub settlement: Settlement,
    /// Commission, exchange, clearing and regulatory fees.
    pub fees: FeeSchedule,
}

impl ContractSpec {
    /// Underlyings with a built-in contract.
    pub const KNOWN: [&str; 4] = ["SPY", "QQQ", "IWM", "SPX"];

    /// Returns the contract of an underlying that trades same-day options every day.
    ///
    /// # Source
    /// Strikes, ticks and settlement: exchange contract specifications. Half-spreads: quoted widths of 2023-2025, and for SPX
    /// those of the quote days of 2021 and 2023 (`zerodte calibrate`). Fees: see [`FeeSchedule`]. `vol_ratio`: median ratio of
    /// a session's realised minute volatility to SPY's, 2022-2023. `option_vol`: SPX's options, which nobody can exercise after the
    /// close, are worth 5 % less volatility than SPY's, for which the model is fitted (prints of 2024-01 to 2024-08).
    /// `quoted_size`, real one-minute quotes (QuantConnect Lean's sample data): same-day SPXW within 0.6 % of the money on
    /// 2021-01-04, median 25 at the bid and 17 at the ask; SPY on 2023-08-03, a month out, median 100 to 150 in the money
    /// and about 1,000 at 0.66: 200 is a cautious number between, taken for QQQ and IWM too.
    pub fn known(symbol: &str) -> Option<Self> {
        let etf = |vol_ratio| Self {
            strike_step: 1.0,
            tick: TickRule::Penny,
            half_spread: 0.01,
            half_spread_rate: 0.005,
            vol_ratio,
            option_vol: 1.0,
            quoted_size: 200,
            settlement: Settlement::Physical,
            fees: FeeSchedule::with_exchange(0.0, 0.0),
        };
        match symbol {
            "SPY" => Some(etf(1.0)),
            "QQQ" => Some(etf(1.35)),
            "IWM" => Some(etf(1.33)),
            "SPX" => Some(Self {
                strike_step: 5.0,
                tick: TickRule::NickelDime,
                half_spread: 0.04,
                half_spread_rate: 0.008,
                quoted_size: 20,
                settlement: Settlement::Cash,
                fees: FeeSchedule::with_exchange(0.36, 0.45),
                option_vol: 0.95,
                ..etf(1.0)
            }),
            _ => None,
        }
    }

    pub(crate) fn check(&self, path: &str, faults: &mut Vec<String>) {
        let mut positive = |name: &str, value: f64, zero_is_fine: bool| {
            if !(value > 0.0 || (zero_is_fine && value == 0.0)) || !value.is_finite() {
                faults.push(format!("{path}.{name}: {value} is not a positive number"));
            }
        };
        positive("strike_step", self.strike_step, false);
        positive("half_spread", self.half_spread, true);
        positive("half_spread_rate", self.half_spread_rate, true);
        positive("vol_ratio", self.vol_ratio, false);
        positive("option_vol", self.option_vol, false);
        positive("quoted_size", f64::from(self.quoted_size), false);
        self.fees.check(&format!("{path}.fees"), faults);
    }
}

/// Expiry of the traded contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// At the close of the session that trades them.
    #[default]
    SameDay,
    /// At the close of the next session. Positions are flat before the bell all the same.
    NextDay,
}

impl Expiry {
    /// Returns the expiry of the contracts of a session, if the calendar reaches that far.
    #[must_use]
    pub fn of(self, date: Date) -> Option<Date> {
        match self {
            Self::SameDay => Some(date),
            Self::NextDay => Some(calendar::next_session(date)?.date),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_contract() {
        let spx = ContractSpec::known("SPX").unwrap();
        assert_eq!((spx.tick.tick_cents(299.9), spx.tick.tick_cents(300.0)), (5.0, 10.0));
        assert_eq!(ContractSpec::known("AAPL"), None);
    }
}
