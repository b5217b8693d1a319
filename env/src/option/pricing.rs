//! Model prices of same-day options: Black-Scholes on the bar's spot and the real minutes to the close, with an
//! at-the-money volatility known at that instant, a smile, a spread model and the exchange's tick grid.

use std::num::NonZeroU32;

use jiff::{ToSpan as _, civil::Date};
use market_data::{
    SessionBars, VolColumns, VolSource,
    calendar::{self, TRADING_MINUTES_PER_YEAR},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ContractSpec, EventCalendar, INTERCEPT_KNOTS, Quote, VolInputs, VolModel,
    option::{
        black_scholes::Inputs,
        fitted_models,
        level_draw::{LevelNoise, LevelSd},
        vol_model::{SMILE_REACH, log_smile},
    },
};

/// Overnight time to expiry, in trading minutes: the mean square of SPY's overnight returns over that of its session
/// returns, 2022-01 to 2024-08, is 0.52 of 390 minutes.
const NIGHT_MINUTES: f64 = 200.0;
/// Volatility per trading minute of an option that expires with the next session, over VIX1D at the close: the index counts
/// 390 minutes for a whole day, the night included, hence the square root of 390 / 590.
const NEXT_DAY_LEVEL: f64 = 0.81;
/// VIX1D over its first value of the session at [`INTERCEPT_KNOTS`], medians of 2023-06 to 2025-06. It rises through the day
/// as its window moves from this session to the next, without a change in the value of the next session's options.
const VIX1D_THROUGH_THE_DAY: [f64; INTERCEPT_KNOTS.len()] =
    [1.00, 1.00, 1.01, 1.02, 1.04, 1.12, 1.19, 1.22, 1.23, 1.235, 1.24, 1.24];
/// VIX1D over VIX, at the median of 2023-04 to 2024-08.
const VIX1D_OVER_VIX: f64 = 0.74;

/// Minutes after the open with wider spreads.
const OPENING_MINUTES: usize = 5;
/// Minutes added to those left in the widening of spreads towards the close.
const LATE_OFFSET: f64 = 10.0;

/// A fair premium and the intrinsic value in it, in dollars per share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Premium {
    /// Premium.
    pub premium: f64,
    /// Value of exercise at the spot of the same instant, 0 or more.
    pub intrinsic: f64,
}

/// The pricing model: section `[market.pricing]`. Every number is an assumption that the user can change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PricingConfig {
    /// Risk-free rate per trading year, -0.1 to 0.5. Zero, since money earns no interest within a day: put-call parity
    /// of SPY's same-day prints, 2024-01 to 2025-06, holds to the cent in the median at 0, and misses by 5 cents at 4
    /// %.
    pub rate: f64,
    /// Factor on every half-spread, 0 or more, for stress tests; 1 is the model's own.
    pub spread_multiplier: f64,
    /// Factor on half-spreads in a session's first 5 minutes, 1 or more.
    #[serde(alias = "edge_of_day_multiplier")]
    pub opening_multiplier: f64,
    /// First date of the option prints that the volatility models were fitted on, YYYY-MM-DD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub fitted_from: Option<Date>,
    /// Last date of the option prints that the volatility models were fitted on, YYYY-MM-DD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub fitted_to: Option<Date>,
    /// Sessions after which the error of a session counts half in the level of later ones, 0 to 250; 0 switches it off. Where
    /// option files reach back, the errors of the 30 sessions before correct a session's volatility before its first print.
    pub level_half_life: f64,
    /// Weight of no error in the mean of those errors, in sessions, 0 to 1000.
    pub level_shrinkage: f64,
    /// Draws of one level per training session from the distribution of the model's error: off or on. Held-out sessions and
    /// backtests are priced at the model's own level, with an interval over the draws beside it. Real options and made-up
    /// bars ignore it.
    pub level_noise: LevelNoise,
    /// Standard deviation of a session's level error, in percent of volatility.
    pub level_sd_pct: LevelSd,
    /// Share of its variance that sessions of months have in common, 0 to 1.
    pub level_persistence: f64,
    /// Scheduled events.
    pub events: EventCalendar,
    /// Volatility on days with VIX1D by the minute.
    pub vix1d: VolModel,
    /// Volatility on days with VIX by the minute.
    pub vix: VolModel,
    /// Volatility on days with the VIX of the day before.
    pub vix_daily: VolModel,
    /// Volatility on days with the underlying's own volatility alone.
    pub realised: VolModel,
}

impl Default for PricingConfig {
    fn default() -> Self {
        Self {
            rate: 0.0,
            spread_multiplier: 1.0,
            opening_multiplier: 1.5,
            fitted_from: Some(fitted_models::FITTED.0),
            fitted_to: Some(fitted_models::FITTED.1),
            level_half_life: 4.0,
            level_shrinkage: 0.5,
            level_noise: LevelNoise::Off,
            level_sd_pct: fitted_models::LEVEL_SD,
            level_persistence: fitted_models::LEVEL_PERSISTENCE,
            events: EventCalendar::default(),
            vix1d: fitted_models::VIX1D,
            vix: fitted_models::VIX,
            vix_daily: fitted_models::VIX_DAILY,
            realised: fitted_models::REALISED,
        }
    }
}

impl PricingConfig {
    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        let mut demand = |name: &str, value: f64, holds: bool| {
            if !holds || !value.is_finite() {
                faults.push(format!("market.pricing.{name}: {value} is out of range"));
            }
        };
        demand("rate", self.rate, (-0.1..=0.5).contains(&self.rate));
        demand("spread_multiplier", self.spread_multiplier, self.spread_multiplier >= 0.0);
        demand("opening_multiplier", self.opening_multiplier, self.opening_multiplier >= 1.0);
        demand("level_half_life", self.level_half_life, (0.0..=250.0).contains(&self.level_half_life));
        demand("level_shrinkage", self.level_shrinkage, (0.0..=1000.0).contains(&self.level_shrinkage));
        demand("level_persistence", self.level_persistence, (0.0..=1.0).contains(&self.level_persistence));
        let LevelSd { vix1d, vix, vix_daily, realised } = self.level_sd_pct;
        for (name, sd) in [("vix1d", vix1d), ("vix", vix), ("vix_daily", vix_daily), ("realised", realised)] {
            demand(&format!("level_sd_pct.{name}"), sd, (0.0..=100.0).contains(&sd));
        }
        let models =
            [("vix1d", &self.vix1d), ("vix", &self.vix), ("vix_daily", &self.vix_daily), ("realised", &self.realised)];
        for (name, model) in models {
            model.check(&format!("market.pricing.{name}"), faults);
        }
    }

    /// Returns the model of a kind of volatility input.
    pub fn model(&self, source: VolSource) -> &VolModel {
        match source {
            VolSource::Vix1dMinute => &self.vix1d,
            VolSource::VixMinute => &self.vix,
            VolSource::VixDaily => &self.vix_daily,
            VolSource::Realised => &self.realised,
        }
    }

    /// Returns the standard deviation of a session's level error as a fraction of volatility, in two independent parts: of the
    /// volatility source, which symbols share, and of the underlying.
    pub fn level_sd(&self, source: VolSource, spec: &ContractSpec) -> [f64; 2] {
        [self.level_sd_pct.of(source), spec.level_sd_pct].map(|pct| pct / 100.0)
    }

    /// Returns the half-spread of a premium with an intrinsic value, in dollars, `since_open` minutes after the open and `to_expiry`
    /// minutes of sessions before the expiry.
    fn half_spread(&self, spec: &ContractSpec, price: Premium, since_open: usize, to_expiry: usize) -> f64 {
        let Premium { premium, intrinsic } = price;
        let opening = if since_open < OPENING_MINUTES { self.opening_multiplier } else { 1.0 };
        let late = 1.0 + spec.late_widening / (to_expiry as f64 + LATE_OFFSET);
        let time_value = (premium - intrinsic).max(0.0);
        let half = late * (spec.half_spread + spec.half_spread_rate * time_value)
            + late * late * spec.half_spread_intrinsic * intrinsic.min(spec.intrinsic_reach);
        let tick = spec.tick.tick_cents(premium * 100.0) / 100.0;
        (half * opening).max(tick / 2.0) * self.spread_multiplier
    }

    /// Returns the quote around a fair premium: half a spread to either side, on the tick grid, at least one tick wide.
    ///
    /// With a spread multiplier of zero both sides are the premium rounded to the grid. A worthless option still has an ask of
    /// one tick, so its availability never depends on its price.
    pub fn quote(&self, spec: &ContractSpec, price: Premium, since_open: usize, to_expiry: usize) -> Quote {
        let half = self.half_spread(spec, price, since_open, to_expiry);
        let premium = price.premium;
        let on_grid = |dollars: f64| {
            let cents = (dollars * 100.0).max(0.0);
            let tick = spec.tick.tick_cents(cents);
            (cents / tick).round() * tick
        };
        let bid = on_grid(premium - half);
        let mut ask = on_grid(premium + half);
        if half > 0.0 && ask <= bid {
            ask = bid + spec.tick.tick_cents(bid);
        }
        let ask = ask.max(spec.tick.tick_cents(0.0));
        Quote { bid: bid as u32, ask: NonZeroU32::new(ask as u32) }
    }

    /// Returns a real quote in dollars, its width times the spread multiplier, each side on the tick grid towards the worse.
    pub(crate) fn widened(&self, spec: &ContractSpec, bid: f64, ask: f64) -> Quote {
        let (middle, half) = (f64::midpoint(bid, ask), (ask - bid) / 2.0 * self.spread_multiplier);
        Quote { bid: bid_cents(spec, middle - half), ask: NonZeroU32::new(ask_cents(spec, middle + half)) }
    }
}

/// Returns dollars as cents on the tick grid, rounded down, with a tolerance for binary fractions: 1.15 dollars are 115 cents.
pub(crate) fn bid_cents(spec: &ContractSpec, dollars: f64) -> u32 {
    let cents = (dollars * 100.0).max(0.0);
    let tick = spec.tick.tick_cents(cents);
    ((cents / tick + 1e-6).floor() * tick) as u32
}

/// Returns dollars as cents on the tick grid, rounded up.
pub(crate) fn ask_cents(spec: &ContractSpec, dollars: f64) -> u32 {
    let cents = (dollars * 100.0).max(0.0);
    let tick = spec.tick.tick_cents(cents);
    ((cents / tick - 1e-6).ceil() * tick) as u32
}

/// Pricer of one session's options; every instant uses only the information known by then.
#[derive(Debug, Clone)]
pub struct SessionPricer<'a> {
    bars: &'a SessionBars,
    rate: f64,
    /// Volatility at the start of every bar and at the close.
    points: Vec<VolPoint>,
    /// Trading minutes, the night's share included, from the session's close to the expiry.
    beyond: f64,
}

/// Volatility at one instant.
#[derive(Debug, Clone, Copy)]
struct VolPoint {
    /// At the money, by the model.
    atm: f64,
    /// Factors of `1`, `x`, `x²`, `|x|³` and `x³` in the logarithm of its multiplier.
    factors: [f64; 5],
}

impl<'a> SessionPricer<'a> {
    /// Computes the volatility of same-day options at every instant of a session.
    pub fn new(bars: &'a SessionBars, vol: &VolColumns, spec: &ContractSpec, pricing: &PricingConfig) -> Self {
        Self::expiring(bars.session.date, bars, vol, spec, pricing)
    }

    /// Computes the volatility of options that expire at the close of a date, the session's own or a later one, at every instant
    /// of a session.
    pub fn expiring(
        expiry: Date,
        bars: &'a SessionBars,
        vol: &VolColumns,
        spec: &ContractSpec,
        pricing: &PricingConfig,
    ) -> Self {
        let ratio = vol_ratio(vol.atm_source, spec);
        let inputs = VolInputs::of_session(bars, vol, ratio, spec, &pricing.events);
        let later = calendar::sessions(bars.session.date.saturating_add(1.day()), expiry);
        let beyond: f64 = later.iter().map(|session| NIGHT_MINUTES + session.minutes() as f64).sum();
        let next_day;
        let model = if later.is_empty() {
            pricing.model(vol.atm_source)
        } else {
            next_day = next_day_model(vol.atm_source);
            &next_day
        };
        let point = |inputs: &VolInputs| {
            let [skew, curvature, wings, cubic] = model.smile(inputs);
            // An evening after a later expiry is a small part of the time to it.
            let evening = if later.is_empty() { inputs.ordinary_evening() } else { 1.0 };
            VolPoint {
                atm: ratio * spec.option_vol * evening * model.at_the_money(inputs),
                factors: [0.0, skew, curvature, wings, cubic],
            }
        };
        Self { bars, rate: pricing.rate, points: inputs.iter().map(point).collect(), beyond }
    }

    /// Returns the pricer with its volatilities corrected to real options, one correction per instant.
    pub(crate) fn corrected(mut self, corrections: impl Iterator<Item = Correction>) -> Self {
        for (point, correction) in self.points.iter_mut().zip(corrections) {
            point.factors.iter_mut().zip(correction).for_each(|(factor, more)| *factor += more);
        }
        self
    }

    /// Returns the pricer with the logarithm of all its volatilities shifted.
    #[must_use]
    pub fn at_level(mut self, shift: f64) -> Self {
        self.points.iter_mut().for_each(|point| point.factors[0] += shift);
        self
    }

    /// Returns the inputs of an option's price at the open of bar `t`.
    pub fn at_open(&self, t: usize, strike: f64) -> Inputs {
        self.inputs(t, (self.bars.open.len() - t) as f64, self.bars.open[t], strike).0
    }

    /// Returns the inputs of an option's price at the close of bar `t`.
    pub fn at_close(&self, t: usize, strike: f64) -> Inputs {
        self.inputs(t + 1, (self.bars.close.len() - t - 1) as f64, self.bars.close[t], strike).0
    }

    /// Returns the inputs of an option's price in the middle of bar `t` at a given spot, with the information of its close, and
    /// the standardised log-moneyness.
    pub(crate) fn within(&self, t: usize, spot: f64, strike: f64) -> (Inputs, f64) {
        self.inputs(t + 1, (self.bars.close.len() - t) as f64 - 0.5, spot, strike)
    }

    /// Returns the inputs with the information of an instant: the start of bar `instant`, or the close of the bar before.
    fn inputs(&self, instant: usize, minutes_to_close: f64, spot: f64, strike: f64) -> (Inputs, f64) {
        let years = (minutes_to_close + self.beyond) / TRADING_MINUTES_PER_YEAR;
        let VolPoint { atm, factors: [level, smile @ ..] } = self.points[instant];
        let deviation = atm * years.sqrt();
        let x = if deviation > 0.0 { ((strike / spot).ln() / deviation).clamp(-SMILE_REACH, SMILE_REACH) } else { 0.0 };
        let vol = atm * (level + log_smile(smile, x)).exp();
        (Inputs { spot, strike, years, vol, rate: self.rate }, x)
    }
}

/// Returns the volatility of options that expire with a later session, without a smile, since no prints of them were
/// available.
fn next_day_model(source: VolSource) -> VolModel {
    match source {
        VolSource::Vix1dMinute => {
            let at_the_close = VIX1D_THROUGH_THE_DAY[INTERCEPT_KNOTS.len() - 1];
            let intercept = VIX1D_THROUGH_THE_DAY.map(|now| (NEXT_DAY_LEVEL * at_the_close / now).ln());
            VolModel { intercept, ..VolModel::flat(1.0) }
        }
        VolSource::VixMinute | VolSource::VixDaily => VolModel::flat(NEXT_DAY_LEVEL * VIX1D_OVER_VIX),
        VolSource::Realised => VolModel::flat(1.0),
    }
}

/// Returns the factor from the S&P's volatility, whose indices are the model's inputs, to the underlying's; one where the
/// input is the underlying's own.
pub fn vol_ratio(source: VolSource, spec: &ContractSpec) -> f64 {
    match source {
        VolSource::Vix1dMinute | VolSource::VixMinute | VolSource::VixDaily => spec.vol_ratio,
        VolSource::Realised => 1.0,
    }
}

/// Correction of the model's volatility: level, slope and curvature of its log factor in standardised log-moneyness.
pub(crate) type Correction = [f64; 3];

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_the_money(premium: f64) -> Premium {
        Premium { premium, intrinsic: 0.0 }
    }

    fn quote(symbol: &str, price: Premium, since_open: usize, to_close: usize) -> (u32, u32) {
        let quote = PricingConfig::default().quote(&ContractSpec::known(symbol).unwrap(), price, since_open, to_close);
        (quote.bid, quote.ask.map_or(0, NonZeroU32::get))
    }

    #[test]
    fn quotes_straddle_the_premium_on_the_tick_grid() {
        let at = out_of_the_money;
        assert_eq!(quote("SPY", at(1.504), 100, 200), (149, 151), "half-spread 0.93 cents");
        assert_eq!(quote("SPY", at(4.004), 2, 388), (398, 403), "half as wide again in the first five minutes: 2.32");
        assert_eq!(quote("SPY", at(0.204), 100, 200), (20, 21), "a tick is the least width");
        assert_eq!(quote("SPX", at(2.01), 100, 200), (195, 210), "half-spread 6.9 cents, 5-cent ticks");
        assert_eq!(quote("SPX", at(12.34), 100, 200), (1210, 1250), "20 cents, 10-cent ticks from 3.00");
        assert_eq!(quote("SPY", at(0.004), 100, 200), (0, 1), "a worthless option has no bid");
    }

    #[test]
    fn spreads_widen_in_the_money_and_towards_the_close() {
        let width = |symbol, premium, intrinsic, to_close| {
            let (bid, ask) = quote(symbol, Premium { premium, intrinsic }, 390 - to_close, to_close);
            f64::from(ask - bid) / 100.0
        };
        // Mean widths of same-day SPXW quotes: 0.15 at a premium of 2, 1.00 at 29 dollars in the money, 3.1 an hour to a
        // quarter before the close at 50.
        assert!((width("SPX", 2.05, 0.0, 280) - 0.15).abs() < 0.06);
        assert!((width("SPX", 30.8, 29.1, 280) - 1.0).abs() < 0.15);
        assert!((width("SPX", 51.1, 50.7, 35) - 3.1).abs() < 0.8);
        assert_eq!(width("SPX", 130.0, 129.0, 280), width("SPX", 101.0, 100.0, 280), "the growth ends");
        assert!(width("SPX", 5.0, 2.0, 3) > 1.5 * width("SPX", 5.0, 2.0, 200));
        // SPY's quotes at 20 to 23 dollars in the money: 0.46 to 0.65.
        assert!((0.4..0.6).contains(&width("SPY", 22.3, 22.0, 200)));
    }

    #[test]
    fn without_a_spread_both_sides_meet() {
        let free = PricingConfig { spread_multiplier: 0.0, ..PricingConfig::default() };
        let quote = free.quote(&ContractSpec::known("SPY").unwrap(), out_of_the_money(1.504), 0, 390);
        assert_eq!((quote.bid, quote.ask), (150, NonZeroU32::new(150)));
    }

    /// A full session with a flat spot and VIX1D's usual pattern.
    fn quiet_session() -> (SessionBars, VolColumns) {
        let session = calendar::session(jiff::civil::date(2025, 5, 6)).unwrap();
        let n = session.minutes();
        let price = vec![600.0; n];
        let knots = INTERCEPT_KNOTS.iter().zip(VIX1D_THROUGH_THE_DAY);
        let usual =
            |minute: usize| knots.clone().take_while(|(at, _)| **at <= minute as f64).last().map_or(1.0, |k| k.1);
        let vol = VolColumns {
            atm_vol: (0..=n).map(|minute| 0.12 * usual(minute)).collect(),
            vix: vec![16.0; n + 1],
            vix_previous_close: 16.0,
            atm_source: VolSource::Vix1dMinute,
            vix_source: VolSource::VixMinute,
            stale_minutes: 0,
        };
        let (open, high, low, close) = (price.clone(), vec![600.1; n], vec![599.9; n], price);
        let bars = SessionBars { session, open, high, low, close, volume: vec![1.0; n], filled: vec![false; n] };
        (bars, vol)
    }

    #[test]
    fn an_option_of_the_next_session_loses_the_value_of_a_day() {
        let (bars, vol) = quiet_session();
        let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
        let pricer = SessionPricer::expiring(jiff::civil::date(2025, 5, 7), &bars, &vol, &spec, &pricing);
        let (open, close) = (pricer.at_open(2, 600.0).prices().0, pricer.at_close(389, 600.0).prices().0);
        assert!((0.70..0.85).contains(&(close / open)), "square root of 590 / 980 by time alone: {}", close / open);
        let today = SessionPricer::new(&bars, &vol, &spec, &pricing).at_open(2, 600.0).prices().0;
        assert!(open > 1.3 * today, "a day more costs more: {open} and {today}");
        let after = SessionPricer::expiring(jiff::civil::date(2025, 5, 8), &bars, &vol, &spec, &pricing);
        let ratio = after.at_open(2, 600.0).prices().0 / open;
        assert!((ratio - (1_568.0_f64 / 978.0).sqrt()).abs() < 0.01, "two nights and three sessions by time: {ratio}");
    }

    #[test]
    fn half_days_and_events_move_the_level() {
        let (bars, vol) = quiet_session();
        let atm = |day: &SessionBars, left: usize| {
            let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
            let n = day.close.len();
            SessionPricer::new(day, &vol, &spec, &pricing).at_close(n - 1 - left, 600.0).vol
        };
        let on = |date| SessionBars { session: calendar::session(date).unwrap(), ..bars.clone() };
        let (quiet, fomc) = (on(jiff::civil::date(2025, 5, 5)), on(jiff::civil::date(2025, 5, 7)));
        assert!(atm(&fomc, 150) > 1.15 * atm(&quiet, 150), "before the announcement");
        assert!((atm(&fomc, 30) / atm(&quiet, 30) - 1.0).abs() < 0.05, "long after it");
        let mut short = on(jiff::civil::date(2024, 11, 29));
        for column in [&mut short.open, &mut short.high, &mut short.low, &mut short.close, &mut short.volume] {
            column.truncate(210);
        }
        assert!(atm(&short, 5) > 1.5 * atm(&short, 100), "a half day ends like others");
    }

    #[test]
    fn a_worthless_option_is_offered_at_a_tick_even_without_a_spread() {
        let free = PricingConfig { spread_multiplier: 0.0, ..PricingConfig::default() };
        for (symbol, tick) in [("SPY", 1), ("SPX", 5)] {
            let quote = free.quote(&ContractSpec::known(symbol).unwrap(), out_of_the_money(0.001), 100, 290);
            assert_eq!((quote.bid, quote.ask), (0, NonZeroU32::new(tick)));
        }
    }
}
