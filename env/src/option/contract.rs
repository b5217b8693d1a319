//! Contract specifications: strike grid, ticks, multiplier, settlement, fees, quoted width and size.

use jiff::civil::Date;
use market_data::{OptionHistory, Settles, calendar};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::option::fees::FeeSchedule;

/// Shares per contract.
pub(crate) const MULTIPLIER: i64 = 100;

/// Evenings of SPY, on whose prints the volatility models were fitted: see [`ContractSpec::evening_minutes`].
pub(crate) const FITTED_EVENINGS: [f64; 3] = [8.0, 115.0, 350.0];

fn ordinary_evenings() -> [f64; 3] {
    [FITTED_EVENINGS[0]; 3]
}

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
    /// Half-spread added per dollar of time value, 0 or more.
    pub half_spread_rate: f64,
    /// Half-spread added per dollar of intrinsic value, 0 or more.
    #[serde(default)]
    pub half_spread_intrinsic: f64,
    /// Dollars of intrinsic value from which the half-spread no longer grows, 0 or more.
    #[serde(default)]
    pub intrinsic_reach: f64,
    /// Minutes w of the factor 1 + w / (minutes left + 10) on half-spreads, 0 or more; that of the intrinsic value takes its
    /// square.
    #[serde(default)]
    pub late_widening: f64,
    /// Evening after the close that the price carries, in minutes of the session's variance: on an ordinary day, with a report
    /// of a large company, with one of NVIDIA; 0 to 10000. Options on funds can be exercised until 17:30.
    #[serde(default = "ordinary_evenings")]
    pub evening_minutes: [f64; 3],
    /// Volatility of the underlying as a multiple of the S&P's, above 0. The volatility input is an index of the S&P.
    pub vol_ratio: f64,
    /// Implied volatility of its options as a multiple of the model's, above 0. The model was fitted to SPY's.
    pub option_vol: f64,
    /// Standard deviation, in percent of volatility, by which the level of its options strays from the model beyond that of SPY's,
    /// 0 to 100.
    #[serde(default)]
    pub level_sd_pct: f64,
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

    /// Returns the contract of an underlying with same-day options.
    ///
    /// # Source
    /// Strikes, ticks and settlement: exchange contract specifications. `vol_ratio`: median ratio of a session's realised minute
    /// volatility to SPY's, 2022-2023. `option_vol`, `evening_minutes`: at-the-money volatility of same-day SPY options over that
    /// of SPXW's at 10:00, 12:00, 14:00, 15:00 and 15:30 on ordinary evenings, with reports of large companies and of NVIDIA,
    /// prints of 2024-01 to 2025-06; QQQ's are taken to be SPY's, and IWM, which holds none of these companies, a third of the
    /// extra. Fees: see [`FeeSchedule`].
    ///
    /// `level_sd_pct`: no prints of QQQ and IWM were available; theirs is the deviation of their realised volatility over SPY's from
    /// `vol_ratio`, root mean square of means of five sessions, 2023-01 to 2025-06. The level of SPX strays no more than SPY's:
    /// 5.8 and 7.6 % under one fit, snapshots and prints of 2024-01 to 2025-06.
    ///
    /// Half-spreads of SPX: 3,864 quotes of same-day SPXW on 2021-01-04, 06 and 08, one week. Of SPY: effective widths that
    /// prints of 2024-01 to 2025-06 imply, and in the money quotes of 2023-08-03, a month before expiry; none were found for QQQ
    /// and IWM. `quoted_size`, the same quotes: SPXW within 0.6 % of the money on 2021-01-04, median 25 at the bid and 17 at the
    /// ask; SPY median 100 to 150 in the money and about 1,000 at 0.66: 200 is a cautious number between, taken for QQQ and IWM
    /// too.
    pub fn known(symbol: &str) -> Option<Self> {
        let fund = |vol_ratio| Self {
            strike_step: 1.0,
            tick: TickRule::Penny,
            half_spread: 0.005,
            half_spread_rate: 0.0025,
            half_spread_intrinsic: 0.01,
            intrinsic_reach: 40.0,
            late_widening: 12.0,
            evening_minutes: FITTED_EVENINGS,
            vol_ratio,
            option_vol: 1.0,
            level_sd_pct: 0.0,
            quoted_size: 200,
            settlement: Settlement::Physical,
            fees: FeeSchedule::of_funds(),
        };
        match symbol {
            "SPY" => Some(fund(1.0)),
            "QQQ" => Some(Self { level_sd_pct: 10.0, ..fund(1.35) }),
            "IWM" => Some(Self { evening_minutes: [8.0, 44.0, 122.0], level_sd_pct: 27.0, ..fund(1.33) }),
            "SPX" => Some(Self {
                strike_step: 5.0,
                tick: TickRule::NickelDime,
                half_spread: 0.04,
                half_spread_rate: 0.012,
                half_spread_intrinsic: 0.013,
                intrinsic_reach: 50.0,
                late_widening: 15.0,
                evening_minutes: [0.0; 3],
                option_vol: 0.96,
                quoted_size: 20,
                settlement: Settlement::Cash,
                fees: FeeSchedule::of_index(0.36, 0.45),
                ..fund(1.0)
            }),
            _ => None,
        }
    }

    /// Returns the contract with the fees of a date.
    #[must_use]
    pub fn on(&self, date: Date) -> Self {
        Self { fees: self.fees.on(date), ..self.clone() }
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
        positive("half_spread_intrinsic", self.half_spread_intrinsic, true);
        positive("intrinsic_reach", self.intrinsic_reach, true);
        positive("late_widening", self.late_widening, true);
        positive("vol_ratio", self.vol_ratio, false);
        positive("option_vol", self.option_vol, false);
        positive("quoted_size", f64::from(self.quoted_size), false);
        if !(0.0..=100.0).contains(&self.level_sd_pct) {
            faults.push(format!("{path}.level_sd_pct: {} is not between 0 and 100", self.level_sd_pct));
        }
        if let Some(minutes) = self.evening_minutes.iter().find(|minutes| !(0.0..=10_000.0).contains(*minutes)) {
            faults.push(format!("{path}.evening_minutes: {minutes} is not between 0 and 10000"));
        }
        self.fees.check(&format!("{path}.fees"), faults);
    }
}

/// Expiry of the traded contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// At the close of the session that trades them; sessions on which nothing expires are left out.
    #[default]
    SameDay,
    /// At the close of the next session. Positions are flat before the bell all the same.
    NextDay,
    /// At the close of the session that trades them, or of the first later one on which a contract expires.
    Nearest,
}

impl Expiry {
    /// Returns the expiry that a session trades among the rows of real options; `None` where the calendar or the rows end.
    #[must_use]
    pub fn among(self, options: &OptionHistory, date: Date) -> Option<Date> {
        match self {
            Self::SameDay => Some(date),
            Self::NextDay => Some(calendar::next_session(date)?.date),
            Self::Nearest => {
                let tradable = options.on(date).iter().filter(|rows| rows.settles == Settles::AtClose);
                tradable.map(|rows| rows.expiry).filter(|expiry| *expiry >= date).min()
            }
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
