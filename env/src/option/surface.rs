//! The volatility surface of one session, corrected by trades and quotes of real options as they arrive.
//!
//! Prints determine a factor on the model's implied volatility. The logarithm of the factor is a parabola in standardised
//! log-moneyness, whose three coefficients are a ridge regression on the prints so far. Older prints fade with a half-life;
//! before the first print the factor is one. The surface at an instant uses prints of minutes that have ended by then.
//! Strikes without a print are priced like all others, so the surface does not reveal which contracts the data hold.
//!
//! A print that moves nothing, since it is too far from the money, too cheap or implies no volatility, does not make the
//! surface fresh: an order would fill on prices that no trade supports.

use market_data::{OptionSession, Right, SessionBars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::NormalEquations;

use crate::{ContractSpec, SessionPricer, option::pricing::Correction};

/// Precision of the prior, which is centred on the model with standard deviations of 0.3, 0.1 and 0.05.
const PRIOR: [(f64, f64); 3] = [(0.0, 11.0), (0.0, 100.0), (0.0, 400.0)];
/// Standard deviations from the money beyond which prints carry no information on the volatility.
const REACH: f64 = 3.0;
/// Premium, in dollars, below which the tick dominates a print.
const LEAST_PREMIUM: f64 = 0.05;
/// Standard deviation of a print's log volatility that no precision of its price removes.
const MODEL_ERROR: f64 = 0.03;
/// Share of a minute's range by which the spot of a print is uncertain.
const RANGE_SHARE: f64 = 0.25;

/// Use of prints and quotes of real options: section `[market.surface]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SurfaceConfig {
    /// Minutes after which a real print counts half, above 0, at most 390.
    pub half_life: f64,
    /// Minutes without a print that moved the surface after which nothing fills, 1 to 390. Prints beyond three standard
    /// deviations or below 0.05 move nothing.
    pub stale_after: u32,
    /// Minutes for which a contract's own real quote stands, 1 to 390.
    pub quote_stands: u32,
}

impl Default for SurfaceConfig {
    fn default() -> Self {
        Self { half_life: 5.0, stale_after: 5, quote_stands: 1 }
    }
}

impl SurfaceConfig {
    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        if !(self.half_life > 0.0 && self.half_life <= 390.0) {
            faults.push(format!("market.surface.half_life: {} minutes is not in (0, 390]", self.half_life));
        }
        for (name, value) in [("stale_after", self.stale_after), ("quote_stands", self.quote_stands)] {
            if !(1..=390).contains(&value) {
                faults.push(format!("market.surface.{name}: {value} is not in 1..=390 minutes"));
            }
        }
    }
}

/// The surface at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct SurfacePoint {
    pub(crate) correction: Correction,
    /// True while the last print that moved the surface is recent enough to trade on.
    pub(crate) fresh: bool,
}

/// The surface of a session.
#[derive(Debug)]
pub(crate) struct Surface {
    /// At the open of every bar and at the close of the last: `bars + 1` points.
    pub(crate) points: Vec<SurfacePoint>,
    /// Trades that did not move it.
    pub(crate) idle_trades: u64,
}

/// Returns the surface of a session.
pub(crate) fn follow(
    model: &SessionPricer<'_>,
    bars: &SessionBars,
    spec: &ContractSpec,
    rows: &OptionSession,
    config: &SurfaceConfig,
) -> Surface {
    let keep = 0.5_f64.powf(1.0 / config.half_life);
    let (mut fit, mut last_move, mut idle_trades) = (NormalEquations::default(), None, 0);
    let mut points = vec![SurfacePoint::default()];
    for t in 0..bars.close.len() {
        fit.fade(keep);
        for print in prints(rows, t as u16) {
            match Seen::of(model, bars, spec, &print, t) {
                Some(seen) => {
                    fit.observe(&[1.0, seen.x, seen.x * seen.x], seen.log_factor, seen.weight);
                    last_move = Some(t);
                }
                None => idle_trades += u64::from(print.half_width.is_none()),
            }
        }
        let fresh = last_move.is_some_and(|last| t - last < config.stale_after as usize);
        points.push(SurfacePoint { correction: fit.solve(&PRIOR), fresh });
    }
    Surface { points, idle_trades }
}

/// Returns the premiums of a minute's trades and quotes: volume-weighted prints and the middles of quotes.
fn prints(rows: &OptionSession, slot: u16) -> impl Iterator<Item = Print> {
    let trades = rows.trades_at(slot).iter();
    let traded = trades.map(|row| Print { strike: row.strike, right: row.right, premium: row.vwap, half_width: None });
    let quoted = rows.quotes_at(slot).iter().filter_map(|row| {
        let (bid, ask) = row.sides()?;
        let half_width = Some((ask - bid) / 2.0);
        Some(Print { strike: row.strike, right: row.right, premium: (bid + ask) / 2.0, half_width })
    });
    traded.chain(quoted)
}

/// One premium of a minute: a mean trade price or the middle of a quote.
#[derive(Debug, Clone, Copy)]
struct Print {
    strike: f64,
    right: Right,
    premium: f64,
    /// Half the quoted width where it is known.
    half_width: Option<f64>,
}

/// One observation of the regression.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Standardised log-moneyness.
    x: f64,
    /// Logarithm of implied over modelled volatility.
    log_factor: f64,
    /// One over the variance of `log_factor`.
    weight: f64,
}

impl Seen {
    /// Compares a print of bar `t` with the model at the minute's middle; `None` where the premium implies no volatility.
    fn of(model: &SessionPricer<'_>, bars: &SessionBars, spec: &ContractSpec, print: &Print, t: usize) -> Option<Self> {
        if print.premium < LEAST_PREMIUM {
            return None;
        }
        let middle = (bars.open[t] + bars.high[t] + bars.low[t] + bars.close[t]) / 4.0;
        let (inputs, x) = model.within(t, middle, print.strike);
        if x.abs() >= REACH {
            return None;
        }
        let implied = inputs.implied_vol(print.right, print.premium)?;
        let greeks = inputs.greeks_of(print.right);
        let tick = spec.tick.tick_cents(print.premium * 100.0) / 100.0;
        let width =
            print.half_width.unwrap_or(spec.half_spread + spec.half_spread_rate * print.premium).max(tick / 2.0);
        let spot_noise = RANGE_SHARE * greeks.delta.abs() * (bars.high[t] - bars.low[t]);
        let noise = (width * width + spot_noise * spot_noise).sqrt() / (greeks.vega * inputs.vol).max(1e-9);
        let weight = 1.0 / (noise * noise + MODEL_ERROR * MODEL_ERROR);
        Some(Self { x, log_factor: (implied / inputs.vol).ln(), weight })
    }
}
