//! A log-linear model of the level and the smile of implied volatility at an instant, from information known by then.
//!
//! ```text
//! ln σ_atm = a(m) + n(m)·ln(now) + o(m)·ln(open) + v(m)·ln(vix) + r(m)·ln(recent) + e(m)   inputs over 12 %
//! ln σ(x)  = ln σ_atm + s·x + c·x² + w·|x|³ + k·x³                                      |x| ≤ 3
//! ```
//!
//! `m` counts minutes towards the close, 390 less those left, so that half days end like others. `now` is the day's
//! volatility input (VIX1D, VIX or the symbol's own realised volatility), `open` its first value of the session, `vix` the
//! VIX, `recent` the Garman-Klass volatility of the last minutes with the day's usual pattern taken out. `a` is linear
//! between knots, the slopes linear from the open to the close; `s` and `c` depend on the time left and on `now`, `w` on
//! the time left. A contract that can be exercised in the evening carries its variance: `late_earnings`.
//! Standardised log-moneyness is `x = ln(K/S) / (σ_atm·√T)`.

use market_data::{SessionBars, VolColumns, calendar::TRADING_MINUTES_PER_YEAR};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::option::{
    contract::{ContractSpec, FITTED_EVENINGS},
    events::{Evening, EventCalendar, Events},
};

/// Minutes, counted towards the close, at which the intercept is given.
pub const INTERCEPT_KNOTS: [f64; 12] = [2.0, 10.0, 30.0, 60.0, 120.0, 195.0, 270.0, 330.0, 360.0, 375.0, 385.0, 388.0];
/// Parameters of the level: the intercept, an open and a close value for each of the four slopes, and the events.
pub const LEVEL_PARAMETERS: usize = INTERCEPT_KNOTS.len() + 8 + EVENT_PARAMETERS;
/// Parameters of the events.
const EVENT_PARAMETERS: usize = 8;
/// Index of the first event parameter.
const FIRST_EVENT: usize = INTERCEPT_KNOTS.len() + 8;
/// Parameters of the smile: skew and curvature, each with its dependence on the time left and on the level, and wings.
pub const SMILE_PARAMETERS: usize = 9;
/// Standard deviations beyond which the smile is flat.
pub const SMILE_REACH: f64 = 3.0;

/// Reference volatility: the inputs' divisor, and the unit of the level.
pub const VOL_REFERENCE: f64 = 0.12;
/// Bounds of the level's logarithm in the smile.
const SMILE_LEVELS: (f64, f64) = (-1.0, 1.5);
/// Minutes from the open to the announcement of a rate decision.
const ANNOUNCEMENT: f64 = 270.0;
/// Least minutes left that an evening is compared with.
const LEAST_MINUTES: f64 = 0.5;
/// Half-life of `recent`, in minutes.
const RECENT_HALF_LIFE: f64 = 20.0;
/// Least `recent`: a still market is halted, not without risk.
const LEAST_RECENT: f64 = 0.02;
/// Start of `recent`, as a share of the day's implied variance.
const RECENT_START: f64 = 0.343;
/// The usual pattern of a session's volatility per minute, over its root mean square: minute and factor. Measured on SPY's
/// minutes of 2022 to 2024-08.
const PATTERN: [(f64, f64); 10] = [
    (0.0, 2.124),
    (1.0, 1.630),
    (5.0, 1.333),
    (45.0, 1.235),
    (90.0, 0.988),
    (150.0, 0.849),
    (270.0, 0.869),
    (370.0, 0.988),
    (380.0, 1.136),
    (389.0, 1.482),
];

/// Parameters of the volatility of one kind of input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolModel {
    /// Log volatility over 12 %, at 2 10 30 60 120 195 270 330 360 375 385 388 minutes towards the close. All
    /// parameters lie within ±10 and come from `zerodte calibrate --fit`.
    pub intercept: [f64; INTERCEPT_KNOTS.len()],
    /// Slope on the log of the current volatility input, at the open and at the close.
    pub now: [f64; 2],
    /// Slope on the log of the volatility input's first value of the session, at the open and at the close.
    pub open: [f64; 2],
    /// Slope on the log of VIX, at the open and at the close.
    pub vix: [f64; 2],
    /// Slope on the log volatility of the last minutes, at the open and at the close.
    pub recent: [f64; 2],
    /// Shift on the day of a rate decision: built up by 14:00, in the half hour after, in the rest of the day.
    pub fomc: [f64; 3],
    /// Shift on the day before a rate decision, per share of the session gone.
    #[serde(default)]
    pub fomc_eve: f64,
    /// Shift on the day before consumer prices are published, per share of the session gone.
    pub cpi_eve: f64,
    /// Shift on the day before the jobs report, per share of the session gone.
    #[serde(default)]
    pub jobs_eve: f64,
    /// Slope on the log of what a late report adds to the volatility until the close of options that carry the evening.
    pub late_earnings: f64,
    /// Slope, per share of the session gone, on the log of what a late report adds to the volatility of the next session: a
    /// volatility input that covers that session overstates this one, for every underlying.
    #[serde(default)]
    pub late_input: f64,
    /// Slope of the smile: constant, per share of the session left, per unit of the log level.
    pub skew: [f64; 3],
    /// Curvature of the smile: constant, per share of the session left, per unit of the log level.
    pub curvature: [f64; 3],
    /// Wings of the smile: on |x|^3, constant and per share of the session left, and on x^3.
    pub wings: [f64; 3],
}

/// Inputs of the model at one instant: logarithms of volatilities over 12 %, and the minutes left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VolInputs {
    /// The day's volatility input as it stands.
    pub now: f64,
    /// Its first value of the session.
    pub open: f64,
    /// VIX.
    pub vix: f64,
    /// Volatility of the last minutes.
    pub recent: f64,
    /// Minutes to the close.
    pub minutes_left: f64,
    events: Events,
    /// Evenings that the contract carries, in minutes of the session's variance.
    evenings: [f64; 3],
}

impl VolInputs {
    /// Returns the inputs at the start of every bar of a session and at its close: `bars + 1` entries. The underlying's own
    /// volatility of the last minutes is divided by `ratio`, its volatility over the S&P's.
    pub fn of_session(
        bars: &SessionBars,
        vol: &VolColumns,
        ratio: f64,
        spec: &ContractSpec,
        events: &EventCalendar,
    ) -> Vec<Self> {
        let events = events.on(bars.session.date);
        let n = bars.close.len();
        let log = |vol: f64| (vol / VOL_REFERENCE).ln();
        let at = |column: &[f64], instant: usize| column[instant.min(column.len() - 1)];
        let keep = 0.5_f64.powf(1.0 / RECENT_HALF_LIFE);
        let (mut weight_of_start, mut sum) = (1.0, 0.0);
        let instants = (0..=n).map(|instant| {
            if let Some(t) = instant.checked_sub(1) {
                weight_of_start *= keep;
                sum = keep * sum + (1.0 - keep) * garman_klass(bars, t) / pattern(t).powi(2);
            }
            let now = at(&vol.atm_vol, instant);
            // The first value of VIX1D is known two minutes into the session.
            let open = at(&vol.atm_vol, instant.min(2));
            let recent =
                weight_of_start * RECENT_START * open * open + sum * TRADING_MINUTES_PER_YEAR / (ratio * ratio);
            Self {
                now: log(now),
                open: log(open),
                vix: log(at(&vol.vix, instant) / 100.0),
                recent: log(recent.sqrt().max(LEAST_RECENT)),
                minutes_left: (n - instant) as f64,
                events,
                evenings: spec.evening_minutes,
            }
        });
        instants.collect()
    }

    /// Returns the regressors of the level's parameters, in their order.
    pub fn level_basis(&self) -> [f64; LEVEL_PARAMETERS] {
        let mut basis = [0.0; LEVEL_PARAMETERS];
        let minute = (390.0 - 1.0 - self.minutes_left).clamp(INTERCEPT_KNOTS[0], INTERCEPT_KNOTS[11]);
        let above = INTERCEPT_KNOTS.partition_point(|&knot| knot < minute).max(1);
        let (left, right) = (INTERCEPT_KNOTS[above - 1], INTERCEPT_KNOTS[above]);
        basis[above] = (minute - left) / (right - left);
        basis[above - 1] = 1.0 - basis[above];
        let late = (minute - INTERCEPT_KNOTS[0]) / (INTERCEPT_KNOTS[11] - INTERCEPT_KNOTS[0]);
        for (i, input) in [self.now, self.open, self.vix, self.recent].into_iter().enumerate() {
            let at = INTERCEPT_KNOTS.len() + 2 * i;
            (basis[at], basis[at + 1]) = (input * (1.0 - late), input * late);
        }
        basis[FIRST_EVENT..].copy_from_slice(&self.event_basis());
        basis
    }

    fn event_basis(&self) -> [f64; EVENT_PARAMETERS] {
        let Events { fomc, fomc_eve, cpi_eve, jobs_eve, .. } = self.events;
        let clock = 390.0 - self.minutes_left;
        let announced = clock - ANNOUNCEMENT;
        let phase = [announced <= 0.0, announced > 0.0 && announced <= 30.0, announced > 30.0];
        let [before, at, after] = phase.map(|now| f64::from(fomc && now));
        let gone = 1.0 - (self.minutes_left / 390.0).min(1.0);
        let [fomc_eve, cpi_eve, jobs_eve] = [fomc_eve, cpi_eve, jobs_eve].map(|eve| f64::from(eve) * gone);
        let [late, next_session] = self.late_report();
        [before * clock / ANNOUNCEMENT, at, after, fomc_eve, cpi_eve, jobs_eve, late, next_session * gone]
    }

    /// Returns the log of what a report after the close adds to the volatility until the expiry of the contract, and to the
    /// volatility of the next session.
    fn late_report(&self) -> [f64; 2] {
        let added = |evenings: [f64; 3], minutes: f64| {
            let [ordinary, today] = [Evening::Ordinary, self.events.evening].map(|evening| evenings[evening as usize]);
            0.5 * ((minutes + today) / (minutes + ordinary)).ln()
        };
        [added(self.evenings, self.minutes_left.max(LEAST_MINUTES)), added(FITTED_EVENINGS, 390.0)]
    }

    /// Returns the volatility of the contract until its expiry on an ordinary evening, over that of the contract on whose prints the
    /// models were fitted.
    pub fn ordinary_evening(&self) -> f64 {
        let minutes = self.minutes_left.max(LEAST_MINUTES);
        ((minutes + self.evenings[0]) / (minutes + FITTED_EVENINGS[0])).sqrt()
    }

    /// Returns the regressors of the smile's parameters, in their order, `x` standard deviations from the money, within
    /// [`SMILE_REACH`].
    pub fn smile_basis(&self, x: f64) -> [f64; SMILE_PARAMETERS] {
        let (left, level) = self.smile_inputs();
        let cube = x.abs().powi(3);
        [x, x * left, x * level, x * x, x * x * left, x * x * level, cube, cube * left, x.powi(3)]
    }

    /// Returns the share of a full session that is left, and the level.
    fn smile_inputs(&self) -> (f64, f64) {
        ((self.minutes_left / 390.0).min(1.0), self.now.clamp(SMILE_LEVELS.0, SMILE_LEVELS.1))
    }
}

impl VolModel {
    /// Returns the model with these parameters, in the order of [`VolInputs::level_basis`] and
    /// [`VolInputs::smile_basis`].
    pub fn from_parameters(level: &[f64; LEVEL_PARAMETERS], smile: &[f64; SMILE_PARAMETERS]) -> Self {
        let slope = |i: usize| [level[INTERCEPT_KNOTS.len() + 2 * i], level[INTERCEPT_KNOTS.len() + 2 * i + 1]];
        let mut intercept = [0.0; INTERCEPT_KNOTS.len()];
        intercept.copy_from_slice(&level[..INTERCEPT_KNOTS.len()]);
        Self {
            intercept,
            now: slope(0),
            open: slope(1),
            vix: slope(2),
            recent: slope(3),
            fomc: [level[FIRST_EVENT], level[FIRST_EVENT + 1], level[FIRST_EVENT + 2]],
            fomc_eve: level[FIRST_EVENT + 3],
            cpi_eve: level[FIRST_EVENT + 4],
            jobs_eve: level[FIRST_EVENT + 5],
            late_earnings: level[FIRST_EVENT + 6],
            late_input: level[FIRST_EVENT + 7],
            skew: [smile[0], smile[1], smile[2]],
            curvature: [smile[3], smile[4], smile[5]],
            wings: [smile[6], smile[7], smile[8]],
        }
    }

    /// Returns the parameters of the level and of the smile.
    pub fn parameters(&self) -> ([f64; LEVEL_PARAMETERS], [f64; SMILE_PARAMETERS]) {
        let slopes = [self.now, self.open, self.vix, self.recent].into_iter().flatten();
        let eves = [self.fomc_eve, self.cpi_eve, self.jobs_eve];
        let slopes = slopes.chain(self.fomc).chain(eves).chain([self.late_earnings, self.late_input]);
        let (mut level, mut smile) = ([0.0; LEVEL_PARAMETERS], [0.0; SMILE_PARAMETERS]);
        level.iter_mut().zip(self.intercept.into_iter().chain(slopes)).for_each(|(to, from)| *to = from);
        smile
            .iter_mut()
            .zip([self.skew, self.curvature, self.wings].into_iter().flatten())
            .for_each(|(to, from)| *to = from);
        (level, smile)
    }

    /// Returns the model whose volatility is its input times a factor, for every option.
    pub fn flat(factor: f64) -> Self {
        let mut level = [0.0; LEVEL_PARAMETERS];
        level[..INTERCEPT_KNOTS.len()].fill(factor.ln());
        level[INTERCEPT_KNOTS.len()..INTERCEPT_KNOTS.len() + 2].fill(1.0);
        Self::from_parameters(&level, &[0.0; SMILE_PARAMETERS])
    }

    /// Returns the at-the-money volatility, annualised, as a fraction.
    pub fn at_the_money(&self, inputs: &VolInputs) -> f64 {
        VOL_REFERENCE * dot(&self.parameters().0, &inputs.level_basis()).exp()
    }

    /// Returns the factors of `x`, `x²`, `|x|³` and `x³` in the logarithm of the smile at one instant.
    pub fn smile(&self, inputs: &VolInputs) -> [f64; 4] {
        let (left, level) = inputs.smile_inputs();
        let [skew, curvature] = [&self.skew, &self.curvature]
            .map(|[constant, by_time, by_level]| constant + by_time * left + by_level * level);
        [skew, curvature, self.wings[0] + self.wings[1] * left, self.wings[2]]
    }

    pub(crate) fn check(&self, path: &str, faults: &mut Vec<String>) {
        let (level, smile) = self.parameters();
        if let Some(value) = level.iter().chain(&smile).find(|value| value.is_nan() || value.abs() > 10.0) {
            faults.push(format!("{path}: {value} is outside ±10, the range of a volatility parameter"));
        }
    }
}

/// Returns the logarithm of the smile, `x` standard deviations from the money and flat beyond [`SMILE_REACH`], for the factors
/// that [`VolModel::smile`] gives.
#[inline]
pub fn log_smile([skew, curvature, wings, cubic]: [f64; 4], x: f64) -> f64 {
    let x = x.clamp(-SMILE_REACH, SMILE_REACH);
    x * (skew + x * (curvature + x * cubic)) + wings * x.abs().powi(3)
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the variance of a bar estimated from its range.
///
/// # Source
/// Garman and Klass 1980, "On the Estimation of Security Price Volatilities from Historical Data".
fn garman_klass(bars: &SessionBars, t: usize) -> f64 {
    let (range, body) = ((bars.high[t] / bars.low[t]).ln(), (bars.close[t] / bars.open[t]).ln());
    (0.5 * range * range - (2.0 * std::f64::consts::LN_2 - 1.0) * body * body).max(0.0)
}

fn pattern(t: usize) -> f64 {
    let minute = (t as f64).min(PATTERN[PATTERN.len() - 1].0);
    let above = PATTERN.partition_point(|(at, _)| *at < minute).max(1);
    let ((from, low), (to, high)) = (PATTERN[above - 1], PATTERN[above]);
    low + (high - low) * (minute - from) / (to - from)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use market_data::{VolSource, calendar};

    use super::*;

    /// Returns the inputs of a flat session, `left` minutes before its close.
    fn inputs(symbol: &str, day: jiff::civil::Date, left: usize) -> VolInputs {
        let session = calendar::session(day).unwrap();
        let n = session.minutes();
        let level = |price: f64| vec![price; n];
        let (open, high, low, close) = (level(600.0), level(600.1), level(599.9), level(600.0));
        let bars = SessionBars { session, open, high, low, close, volume: level(1.0), filled: vec![false; n] };
        let vol = VolColumns {
            atm_vol: vec![0.12; n + 1],
            vix: vec![16.0; n + 1],
            vix_previous_close: 16.0,
            atm_source: VolSource::Vix1dMinute,
            vix_source: VolSource::VixMinute,
            stale_minutes: 0,
        };
        let spec = ContractSpec::known(symbol).unwrap();
        VolInputs::of_session(&bars, &vol, 1.0, &spec, &EventCalendar::default())[n - left]
    }

    #[test]
    fn a_late_report_moves_the_funds_and_not_the_index() {
        let model = VolModel { late_earnings: 1.0, ..VolModel::flat(1.0) };
        let ratio = |symbol, left| {
            let of = |day| model.at_the_money(&inputs(symbol, day, left));
            of(date(2024, 11, 20)) / of(date(2024, 11, 14))
        };
        // On NVIDIA's evenings SPY's volatility over SPXW's was 1.53 times the usual at 10:00 and 2.87 times at 15:30.
        assert!((ratio("SPY", 360) - (710.0_f64 / 368.0).sqrt()).abs() < 1e-9);
        assert!((ratio("SPY", 30) - 10.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(ratio("SPX", 30), 1.0);
        assert!(ratio("IWM", 30) < ratio("SPY", 30));
        // The input covers the next session for all of them alike.
        let model = VolModel { late_input: -1.0, ..VolModel::flat(1.0) };
        let lowered = |symbol| model.at_the_money(&inputs(symbol, date(2024, 11, 20), 30));
        assert!(lowered("SPX") < 0.12 && lowered("SPX") == lowered("SPY"));
    }

    #[test]
    fn the_index_lacks_the_ordinary_evening() {
        let day = date(2024, 11, 14);
        assert_eq!(inputs("SPY", day, 30).ordinary_evening(), 1.0);
        let index = [360, 30].map(|left| 0.96 * inputs("SPX", day, left).ordinary_evening());
        // Measured: one over 1.06 at 10:00 and one over 1.16 at 15:30.
        assert!((index[0] - 1.0 / 1.06).abs() < 0.01 && (index[1] - 1.0 / 1.16).abs() < 0.01, "{index:?}");
    }

    #[test]
    fn eves_shift_the_level_by_the_share_of_the_session_gone() {
        let model = VolModel { fomc_eve: -0.2, cpi_eve: -0.4, jobs_eve: -0.8, ..VolModel::flat(1.0) };
        let shift = |day, left| (model.at_the_money(&inputs("SPY", day, left)) / 0.12).ln();
        assert!((shift(date(2024, 12, 17), 195) + 0.1).abs() < 1e-9, "half of the shift at noon");
        assert!((shift(date(2025, 5, 12), 39) + 0.36).abs() < 1e-9);
        assert!((shift(date(2024, 6, 6), 195) + 0.4).abs() < 1e-9);
        assert!(shift(date(2024, 11, 14), 39).abs() < 1e-9, "no event");
    }

    #[test]
    fn parameters_survive_the_round_trip() {
        let level = std::array::from_fn(|i| i as f64 / 10.0);
        let smile = std::array::from_fn(|i| i as f64 / -10.0);
        assert_eq!(VolModel::from_parameters(&level, &smile).parameters(), (level, smile));
    }
}
