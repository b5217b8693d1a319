//! Model of the synthetic market: parameters of symbols, the path within a minute, profiles and mean reversion.

use crate::Symbol;

/// Parameters of a symbol relative to the market.
pub(super) struct SymbolParameters {
    /// First price, USD or index points.
    pub(super) level: f64,
    /// Mean volume of a minute, shares.
    pub(super) volume: f64,
    pub(super) beta: f64,
    /// Standard deviation of the idiosyncratic part, in units of the market's.
    pub(super) own: f64,
}

impl SymbolParameters {
    pub(super) fn of(symbol: &Symbol) -> Self {
        let (level, volume, beta, own) = match symbol.as_str() {
            "SPY" => (500.0, 150_000.0, 1.0, 0.03),
            "SPX" => (5000.0, 0.0, 1.0, 0.03),
            "QQQ" => (450.0, 100_000.0, 1.2, 0.4),
            "IWM" => (200.0, 80_000.0, 1.1, 0.6),
            _ => (100.0, 20_000.0, 1.0, 0.8),
        };
        Self { level, volume, beta, own }
    }

    /// Returns the symbol's standard deviation in units of the market's.
    pub(super) fn scale(&self) -> f64 {
        self.beta.hypot(self.own)
    }

    /// Returns a log return whose price relative has mean 1.
    pub(super) fn log_return(&self, sigma: f64, market_shock: f64, own_shock: f64) -> f64 {
        sigma * (self.beta * market_shock + self.own * own_shock) - (sigma * self.scale()).powi(2) / 2.0
    }

    /// Returns the log return of a market-wide jump, whose price relative has mean 1 as well.
    pub(super) fn jump(&self, (market_sd, shock): (f64, f64)) -> f64 {
        let sd = self.beta * market_sd;
        sd * shock - sd * sd / 2.0
    }
}

/// A minute's log price from its start to its end.
pub(super) struct Path {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Path {
    /// Draws the highest and the lowest point of a Brownian bridge of standard deviation `sigma` from two uniforms.
    ///
    /// # Source
    /// Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section 6.4: the maximum has a closed-form inverse.
    pub(super) fn extremes(&self, sigma: f64, high: f64, low: f64) -> (f64, f64) {
        let middle = (self.from + self.to) / 2.0;
        let reach = |uniform: f64| {
            let log_uniform = (1.0 - uniform).ln();
            ((self.to - self.from).powi(2) - 2.0 * sigma * sigma * log_uniform).sqrt() / 2.0
        };
        (middle + reach(high), middle - reach(low))
    }
}

/// Returns a bar of open, high, low and close whose shape reveals its regime: without wicks in an upward regime, with wicks
/// at least as long as the body in a downward one.
pub(super) fn shape_bar(regime: f64, [open, high, low, close]: [f64; 4]) -> [f64; 4] {
    let (top, bottom) = (open.max(close), open.min(close));
    let body = top - bottom;
    if regime > 0.0 { [open, top, bottom, close] } else { [open, high.max(top + body), low.min(bottom - body), close] }
}

/// Returns the profile of volatility over a session: high at the open, raised at the close, mean square 1.
pub(super) fn u_shape(minutes: usize) -> Vec<f64> {
    let raw = (0..minutes).map(|minute| {
        let passed = (minute as f64 + 0.5) / minutes as f64;
        0.75 + 1.2 * (-14.0 * passed).exp() + 0.5 * (-14.0 * (1.0 - passed)).exp()
    });
    let mut profile: Vec<f64> = raw.collect();
    let mean_square = profile.iter().map(|value| value * value).sum::<f64>() / minutes as f64;
    for value in &mut profile {
        *value /= mean_square.sqrt();
    }
    profile
}

/// Advances an Ornstein-Uhlenbeck process of stationary deviation `sd` by `time`, in units of its relaxation time.
pub(super) fn revert(value: f64, time: f64, sd: f64, shock: f64) -> f64 {
    let kept = (-time).exp();
    value * kept + sd * (1.0 - kept * kept).sqrt() * shock
}

/// Returns the mean of `exp(-t / relaxation)` for t from 0 to `horizon`.
pub(super) fn mean_decay(horizon: f64, relaxation: f64) -> f64 {
    let ratio = horizon / relaxation;
    (1.0 - (-ratio).exp()) / ratio
}
