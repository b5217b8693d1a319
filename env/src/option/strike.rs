//! Strike selection of entries, at a bar's close and with the information known by then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ContractSpec, SessionPricer, option::quote::nearest_strike};

/// Reach of the search for a delta, in strikes from the money.
const FURTHEST: u32 = 200;

/// Rule that chooses an entry's strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrikeRule {
    /// The strike nearest to the spot.
    #[default]
    AtTheMoney,
    /// The out-of-the-money strike whose model delta is nearest to `delta`.
    Delta,
    /// The strike nearest to the spot plus `offset` for calls, less `offset` for puts.
    Offset,
}

/// The strikes of entries: section `[market.strike]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StrikeConfig {
    /// Rule that picks the strike of an entry.
    pub rule: StrikeRule,
    /// Absolute delta that the rule `delta` aims at, 0.02 to 0.5.
    pub delta: f64,
    /// Dollars out of the money of the rule `offset`, -1000 to 1000; negative is in the money.
    pub offset: f64,
}

impl Default for StrikeConfig {
    fn default() -> Self {
        Self { rule: StrikeRule::AtTheMoney, delta: 0.30, offset: 2.0 }
    }
}

impl StrikeConfig {
    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        if !(0.02..=0.5).contains(&self.delta) {
            faults.push(format!("market.strike.delta: {} is not in [0.02, 0.5]", self.delta));
        }
        if !(-1_000.0..=1_000.0).contains(&self.offset) {
            faults.push(format!("market.strike.offset: {} dollars is not within ±1000", self.offset));
        }
    }

    /// Returns the strikes, in strike steps, of the call and the put that an order at the close of bar `t` buys.
    pub(crate) fn choose(&self, pricer: &SessionPricer<'_>, spot: f64, t: usize, spec: &ContractSpec) -> [u32; 2] {
        match self.rule {
            StrikeRule::AtTheMoney => [nearest_strike(spot, spec); 2],
            StrikeRule::Offset => [spot + self.offset, spot - self.offset].map(|price| nearest_strike(price, spec)),
            StrikeRule::Delta => {
                let off_target = |strike: u32, call: bool| {
                    let (of_call, of_put) = pricer.at_close(t, f64::from(strike) * spec.strike_step).greeks();
                    (if call { of_call.delta } else { -of_put.delta }) - self.delta
                };
                let money = nearest_strike(spot, spec);
                let calls = money..=money + FURTHEST;
                let puts = (money.saturating_sub(FURTHEST).max(1)..=money).rev();
                [nearest(calls, |strike| off_target(strike, true)), nearest(puts, |strike| off_target(strike, false))]
            }
        }
    }
}

/// Returns the strike out of the money whose delta is nearest to the target; deltas fall away from the money.
fn nearest(strikes: impl Iterator<Item = u32>, off_target: impl Fn(u32) -> f64) -> u32 {
    let mut best = (u32::MAX, f64::MAX);
    for strike in strikes {
        let off = off_target(strike);
        if off.abs() < best.1 {
            best = (strike, off.abs());
        }
        if off <= 0.0 {
            break;
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use market_data::{SessionBars, VolColumns, VolSource, calendar};

    use super::*;
    use crate::PricingConfig;

    /// Returns the strikes of call and put, in dollars, that a rule picks at the close of a bar of a flat session.
    fn picked(symbol: &str, rule: StrikeRule, delta: f64, offset: f64, t: usize) -> [f64; 2] {
        let session = calendar::session(jiff::civil::date(2025, 5, 6)).unwrap();
        let (n, spot) = (session.minutes(), 600.4);
        let level = |price: f64| vec![price; n];
        let (open, high, low, close) = (level(spot), level(spot + 0.2), level(spot - 0.2), level(spot));
        let bars = SessionBars { session, open, high, low, close, volume: level(1.0), filled: vec![false; n] };
        let vol = VolColumns {
            atm_vol: vec![0.15; n + 1],
            vix: vec![18.0; n + 1],
            vix_previous_close: 18.0,
            atm_source: VolSource::Vix1dMinute,
            vix_source: VolSource::VixMinute,
            stale_minutes: 0,
        };
        let (spec, pricing) = (ContractSpec::known(symbol).unwrap(), PricingConfig::default());
        let pricer = SessionPricer::new(&bars, &vol, &spec, &pricing);
        let config = StrikeConfig { rule, delta, offset };
        let strikes = config.choose(&pricer, spot, t, &spec).map(|strike| f64::from(strike) * spec.strike_step);
        if rule == StrikeRule::Delta {
            let off = |strike: f64, call: bool| {
                let (of_call, of_put) = pricer.at_close(t, strike).greeks();
                ((if call { of_call.delta } else { -of_put.delta }) - delta).abs()
            };
            for (strike, call, step) in [(strikes[0], true, spec.strike_step), (strikes[1], false, -spec.strike_step)] {
                assert!(off(strike, call) <= off(strike + step, call), "a strike further out is no nearer");
                assert!(strike == 600.0 || off(strike, call) <= off(strike - step, call), "nor is one further in");
            }
        }
        strikes
    }

    #[test]
    fn offsets_go_out_of_the_money_on_either_side() {
        assert_eq!(picked("SPY", StrikeRule::AtTheMoney, 0.3, 2.0, 100), [600.0, 600.0]);
        assert_eq!(picked("SPY", StrikeRule::Offset, 0.3, 2.0, 100), [602.0, 598.0]);
        assert_eq!(picked("SPY", StrikeRule::Offset, 0.3, -3.0, 100), [597.0, 603.0]);
        assert_eq!(
            picked("SPX", StrikeRule::Offset, 0.3, 12.0, 100),
            [610.0, 590.0],
            "the nearest of five-dollar strikes"
        );
    }

    #[test]
    fn a_small_delta_lies_further_out_and_nearer_as_time_goes() {
        let [call, put] = picked("SPY", StrikeRule::Delta, 0.2, 0.0, 30);
        assert!(call > 602.0 && put < 599.0, "{call} {put}");
        let [late, _] = picked("SPY", StrikeRule::Delta, 0.2, 0.0, 370);
        let [wide, _] = picked("SPY", StrikeRule::Delta, 0.05, 0.0, 30);
        assert!(late < call && call < wide, "{late} {call} {wide}");
    }
}
