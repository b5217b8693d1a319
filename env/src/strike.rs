//! Which contract an entry buys: strike selection and expiry, decided at a bar's close from what is known then.

use serde::{Deserialize, Serialize};

use crate::{ContractSpec, SessionPricer, tape::nearest_strike};

/// How far a search for a delta goes from the money, in strikes.
const FURTHEST: u32 = 200;

/// How an entry's strike is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrikeRule {
    /// The strike nearest to the spot.
    #[default]
    AtTheMoney,
    /// The strike whose model delta is nearest to `delta`, out of the money of the spot.
    Delta,
    /// The strike nearest to the spot plus `offset` for calls, less `offset` for puts.
    Offset,
}

/// Which contract an entry buys: section `[market.strike]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrikeConfig {
    /// How the strike is chosen.
    pub rule: StrikeRule,
    /// Absolute delta that rule `delta` aims at, 0.02 to 0.5.
    pub delta: f64,
    /// Dollars out of the money of rule `offset`; negative is in the money.
    pub offset: f64,
}

impl Default for StrikeConfig {
    fn default() -> Self {
        Self { rule: StrikeRule::AtTheMoney, delta: 0.30, offset: 2.0 }
    }
}

/// When the contracts expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// At the close of the session that trades them.
    #[default]
    SameDay,
    /// At the close of the next session; positions are flat before the bell all the same.
    NextDay,
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

/// Returns the strike, walking out of the money, whose delta is nearest to the target; deltas fall on the way.
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
