//! What same-day options are worth by a model: Black-Scholes on the bar's spot and the real minutes to the close, with an
//! at-the-money volatility known at that instant, a smile, a spread model and the exchange's tick grid.

use std::num::NonZeroU32;

use market_data::{
    SessionBars, VolColumns, VolSource,
    calendar::{self, TRADING_MINUTES_PER_YEAR},
};
use serde::{Deserialize, Serialize};

use crate::{ContractSpec, Expiry, Quote, option::Inputs, surface::Correction};

/// Standard deviations beyond which the smile is flat.
const SMILE_REACH: f64 = 3.0;
/// What a night adds to the time to expiry, in trading minutes: the mean square of SPY's overnight returns over that of
/// its session returns, 2022-01 to 2024-08, is 0.52 of 390 minutes.
const NIGHT_MINUTES: f64 = 200.0;

/// The pricing model. Every number is an assumption that the user can change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricingConfig {
    /// Risk-free rate per year.
    pub rate: f64,
    /// Factor on VIX1D: it quotes a whole day, part of which a same-day option does not live through. Fitted, like
    /// `vix_level`, so that SPY's same-day prints of 2024-01 to 2024-08 near the money are met without bias.
    pub vix1d_level: f64,
    /// Factor on VIX, minute or daily: it looks thirty days ahead.
    pub vix_level: f64,
    /// Factor on the underlying's own realised volatility.
    pub realised_level: f64,
    /// Slope of the smile: change of volatility, as a fraction, per standard deviation of moneyness.
    pub smile_skew: f64,
    /// Curvature of the smile: the same per squared standard deviation.
    pub smile_curvature: f64,
    /// Factor on every half-spread, for stress tests; 1 is the model's own.
    pub spread_multiplier: f64,
    /// Factor on half-spreads in the first 5 and the last 15 minutes of a session.
    pub edge_of_day_multiplier: f64,
}

impl Default for PricingConfig {
    fn default() -> Self {
        Self {
            rate: 0.04,
            vix1d_level: 0.90,
            vix_level: 0.68,
            realised_level: 1.0,
            smile_skew: -0.04,
            smile_curvature: 0.03,
            spread_multiplier: 1.0,
            edge_of_day_multiplier: 2.0,
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
        demand("vix1d_level", self.vix1d_level, self.vix1d_level > 0.0);
        demand("vix_level", self.vix_level, self.vix_level > 0.0);
        demand("realised_level", self.realised_level, self.realised_level > 0.0);
        demand("smile_skew", self.smile_skew, self.smile_skew.abs() <= 0.2);
        demand("smile_curvature", self.smile_curvature, (0.0..=0.2).contains(&self.smile_curvature));
        demand("spread_multiplier", self.spread_multiplier, self.spread_multiplier >= 0.0);
        demand("edge_of_day_multiplier", self.edge_of_day_multiplier, self.edge_of_day_multiplier >= 1.0);
    }

    /// Returns what turns a day's volatility input into the at-the-money volatility of an underlying. VIX and VIX1D speak
    /// of the S&P; realised volatility is the underlying's own.
    fn level(&self, source: VolSource, spec: &ContractSpec) -> f64 {
        match source {
            VolSource::Vix1dMinute => self.vix1d_level * spec.vol_ratio,
            VolSource::VixMinute | VolSource::VixDaily => self.vix_level * spec.vol_ratio,
            VolSource::Realised => self.realised_level,
        }
    }

    /// Returns the volatility of a strike: the level bent by skew and curvature in standardised log-moneyness.
    fn smile(&self, atm: f64, x: f64) -> f64 {
        atm * (1.0 + self.smile_skew * x + self.smile_curvature * x * x)
    }

    /// Returns the half-spread of a premium, in dollars, `since_open` minutes into a session with `to_close` left.
    fn half_spread(&self, spec: &ContractSpec, premium: f64, since_open: usize, to_close: usize) -> f64 {
        let edge = if since_open < 5 || to_close <= 15 { self.edge_of_day_multiplier } else { 1.0 };
        let tick = spec.tick.tick_cents(premium * 100.0) / 100.0;
        let half = (spec.half_spread + spec.half_spread_rate * premium).max(tick / 2.0);
        half * edge * self.spread_multiplier
    }

    /// Returns the quote around a fair premium: half a spread to either side, on the tick grid, at least one tick wide.
    ///
    /// With a spread multiplier of zero both sides are the premium rounded to the grid.
    pub fn quote(&self, spec: &ContractSpec, premium: f64, since_open: usize, to_close: usize) -> Quote {
        let half = self.half_spread(spec, premium, since_open, to_close);
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
        Quote { bid: bid as u32, ask: NonZeroU32::new(ask as u32) }
    }

    /// Returns a real quote in dollars, its width times the spread multiplier, on the tick grid and never narrower.
    pub(crate) fn widened(&self, spec: &ContractSpec, bid: f64, ask: f64) -> Quote {
        let (middle, half) = ((bid + ask) * 50.0, (ask - bid) * 50.0 * self.spread_multiplier);
        // A hair against binary fractions: 1.15 dollars are 115 cents.
        let ticks = |cents: f64| (cents / spec.tick.tick_cents(cents), spec.tick.tick_cents(cents));
        let (low, tick) = ticks((middle - half).max(0.0));
        let bid = (low + 1e-6).floor() * tick;
        let (high, tick) = ticks(middle + half);
        Quote { bid: bid as u32, ask: NonZeroU32::new(((high - 1e-6).ceil() * tick) as u32) }
    }
}

/// Prices one session's options, at every instant with what is known then.
#[derive(Debug, Clone)]
pub struct SessionPricer<'a> {
    bars: &'a SessionBars,
    pricing: &'a PricingConfig,
    /// At-the-money volatility at the start of every bar.
    atm: Vec<f64>,
    /// What real options say about the model, at every bar's start and at the close; empty without them.
    corrections: Vec<Correction>,
    /// Trading minutes, the night's share included, from the session's close to the expiry.
    beyond: f64,
}

impl<'a> SessionPricer<'a> {
    /// Works out the at-the-money volatility of every instant of a session.
    pub fn new(bars: &'a SessionBars, vol: &VolColumns, spec: &ContractSpec, pricing: &'a PricingConfig) -> Self {
        let level = pricing.level(vol.atm_source, spec);
        let atm = vol.atm_vol.iter().map(|atm| atm * level).collect();
        Self { bars, pricing, atm, corrections: Vec::new(), beyond: 0.0 }
    }

    /// Returns the pricer of contracts that expire then.
    #[must_use]
    pub fn expiring(mut self, expiry: Expiry) -> Self {
        self.beyond = match expiry {
            Expiry::SameDay => 0.0,
            Expiry::NextDay => {
                NIGHT_MINUTES + calendar::next_session(self.bars.session.date).map_or(0.0, |next| next.minutes() as f64)
            }
        };
        self
    }

    /// Returns the pricer whose volatilities are multiplied as real options ask for, one correction per instant.
    pub(crate) fn corrected(mut self, corrections: Vec<Correction>) -> Self {
        self.corrections = corrections;
        self
    }

    /// Returns what an option depends on at the open of bar `t`.
    pub fn at_open(&self, t: usize, strike: f64) -> Inputs {
        self.inputs(t, (self.bars.open.len() - t) as f64, self.bars.open[t], strike).0
    }

    /// Returns what an option depends on at the close of bar `t`.
    pub fn at_close(&self, t: usize, strike: f64) -> Inputs {
        self.inputs(t + 1, (self.bars.close.len() - t - 1) as f64, self.bars.close[t], strike).0
    }

    /// Returns what an option depends on in the middle of bar `t`, at some spot, with what is known at its close; and the
    /// standardised log-moneyness.
    pub(crate) fn within(&self, t: usize, spot: f64, strike: f64) -> (Inputs, f64) {
        self.inputs(t + 1, (self.bars.close.len() - t) as f64 - 0.5, spot, strike)
    }

    /// Prices with what is known at an instant: the start of bar `instant`, or the close of the one before.
    fn inputs(&self, instant: usize, minutes_to_close: f64, spot: f64, strike: f64) -> (Inputs, f64) {
        let years = (minutes_to_close + self.beyond) / TRADING_MINUTES_PER_YEAR;
        let atm = self.atm[instant.min(self.atm.len() - 1)];
        let deviation = atm * years.sqrt();
        let x = if deviation > 0.0 { ((strike / spot).ln() / deviation).clamp(-SMILE_REACH, SMILE_REACH) } else { 0.0 };
        let [level, slope, curvature] = self.corrections.get(instant).copied().unwrap_or_default();
        let correction = (level + slope * x + curvature * x * x).exp();
        let vol = self.pricing.smile(atm, x) * correction;
        (Inputs { spot, strike, years, vol, rate: self.pricing.rate }, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(symbol: &str, premium: f64, since_open: usize, to_close: usize) -> (u32, u32) {
        let quote =
            PricingConfig::default().quote(&ContractSpec::known(symbol).unwrap(), premium, since_open, to_close);
        (quote.bid, quote.ask.map_or(0, NonZeroU32::get))
    }

    #[test]
    fn quotes_straddle_the_premium_on_the_tick_grid() {
        assert_eq!(quote("SPY", 1.504, 100, 200), (149, 152), "half-spread 1.75 cents");
        assert_eq!(quote("SPY", 1.504, 2, 388), (147, 154), "twice as wide in the first five minutes");
        assert_eq!(quote("SPY", 1.504, 380, 10), (147, 154), "and in the last fifteen");
        assert_eq!(quote("SPX", 2.01, 100, 200), (195, 205), "half-spread 6 cents, 5-cent ticks");
        assert_eq!(quote("SPX", 12.34, 100, 200), (1220, 1250), "10-cent ticks from 3.00");
        assert_eq!(quote("SPY", 0.004, 100, 200), (0, 1), "a worthless option has no bid");
    }

    #[test]
    fn without_a_spread_both_sides_meet() {
        let free = PricingConfig { spread_multiplier: 0.0, ..PricingConfig::default() };
        let quote = free.quote(&ContractSpec::known("SPY").unwrap(), 1.504, 0, 390);
        assert_eq!((quote.bid, quote.ask), (150, NonZeroU32::new(150)));
    }

    #[test]
    fn the_smile_is_flat_at_the_money_and_lifts_low_strikes() {
        let pricing = PricingConfig::default();
        assert_eq!(pricing.smile(0.12, 0.0), 0.12);
        assert!(pricing.smile(0.12, -1.0) > 0.12 && pricing.smile(0.12, -1.0) > pricing.smile(0.12, 1.0));
    }
    #[test]
    fn index_volatility_is_scaled_to_the_underlying_and_its_own_is_not() {
        let (pricing, qqq) = (PricingConfig::default(), ContractSpec::known("QQQ").unwrap());
        assert_eq!(pricing.level(VolSource::Realised, &qqq), 1.0);
        assert_eq!(pricing.level(VolSource::Vix1dMinute, &qqq), 0.90 * 1.35);
        assert_eq!(pricing.level(VolSource::VixDaily, &qqq), pricing.level(VolSource::VixMinute, &qqq));
        assert!(pricing.level(VolSource::VixMinute, &qqq) < pricing.level(VolSource::Vix1dMinute, &qqq));
    }
}
