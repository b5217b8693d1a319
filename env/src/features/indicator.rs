//! Streaming indicators: one bar at a time, causal.

/// Exponential moving average with span `n`: weight `2 / (n + 1)` on the newest value, seeded with the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    weight: f64,
    value: Option<f64>,
}

impl Ema {
    /// Creates an average over about `span` bars.
    pub fn new(span: u32) -> Self {
        Self { weight: 2.0 / (f64::from(span) + 1.0), value: None }
    }

    /// Takes the next value and returns the average that includes it.
    pub fn push(&mut self, x: f64) -> f64 {
        let value = self.value.map_or(x, |old| old + self.weight * (x - old));
        self.value = Some(value);
        value
    }
}

/// Wilder's relative strength index over 14 bars, in `0..=100`; 50 until the price has moved.
///
/// # Source
/// Wilder 1978: moves up and down smoothed with weight 1/14.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rsi {
    last: Option<f64>,
    up: f64,
    down: f64,
}

impl Rsi {
    const WEIGHT: f64 = 1.0 / 14.0;

    /// Takes the next close and returns the index that includes it.
    pub fn push(&mut self, close: f64) -> f64 {
        let change = close - self.last.unwrap_or(close);
        self.last = Some(close);
        self.up += Self::WEIGHT * (change.max(0.0) - self.up);
        self.down += Self::WEIGHT * ((-change).max(0.0) - self.down);
        let total = self.up + self.down;
        if total > 0.0 { 100.0 * self.up / total } else { 50.0 }
    }
}

/// MACD histogram: EMA12 less EMA26, less the EMA9 of that difference; in the unit of the price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacdHistogram {
    fast: Ema,
    slow: Ema,
    signal: Ema,
}

impl Default for MacdHistogram {
    fn default() -> Self {
        Self { fast: Ema::new(12), slow: Ema::new(26), signal: Ema::new(9) }
    }
}

impl MacdHistogram {
    /// Takes the next close and returns the histogram that includes it.
    pub fn push(&mut self, close: f64) -> f64 {
        let macd = self.fast.push(close) - self.slow.push(close);
        macd - self.signal.push(macd)
    }
}

/// Volume-weighted average of typical prices since the session's open.
///
/// Bars weigh the same until the first volume of the session, since an index has none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SessionVwap {
    turnover: f64,
    volume: f64,
    sum: f64,
    bars: f64,
}

impl SessionVwap {
    /// Takes the next bar and returns the average that includes it.
    pub fn push(&mut self, high: f64, low: f64, close: f64, volume: f64) -> f64 {
        let typical = (high + low + close) / 3.0;
        self.turnover += typical * volume;
        self.volume += volume;
        self.sum += typical;
        self.bars += 1.0;
        if self.volume > 0.0 { self.turnover / self.volume } else { self.sum / self.bars }
    }
}

/// Slope of the least-squares line through equally spaced values, per step; zero for fewer than two.
pub fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let centre = (n - 1.0) / 2.0;
    let covariance: f64 = values.iter().enumerate().map(|(i, y)| (i as f64 - centre) * y).sum();
    covariance / (n * (n * n - 1.0) / 12.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_of_a_constant_is_the_constant_and_follows_a_step() {
        let mut ema = Ema::new(9);
        assert_eq!((ema.push(5.0), ema.push(5.0)), (5.0, 5.0));
        assert!((ema.push(6.0) - 5.2).abs() < 1e-12);
        let mut macd = MacdHistogram::default();
        assert!((0..50).all(|_| macd.push(3.0) == 0.0));
        assert!(macd.push(4.0) > 0.0);
    }

    #[test]
    fn rsi_is_50_without_moves_and_runs_to_its_bounds() {
        let mut rsi = Rsi::default();
        assert_eq!((rsi.push(10.0), rsi.push(10.0)), (50.0, 50.0));
        assert_eq!(rsi.push(11.0), 100.0);
        let falling = (1..200).map(|i| rsi.push(11.0 - f64::from(i) * 0.01)).last().unwrap();
        assert!((0.0..0.1).contains(&falling), "{falling}");
    }

    #[test]
    fn vwap_weighs_by_volume_and_falls_back_to_the_mean() {
        let mut vwap = SessionVwap::default();
        vwap.push(10.0, 10.0, 10.0, 100.0);
        assert!((vwap.push(20.0, 20.0, 20.0, 300.0) - 17.5).abs() < 1e-12);
        let mut index = SessionVwap::default();
        index.push(10.0, 10.0, 10.0, 0.0);
        assert_eq!(index.push(20.0, 20.0, 20.0, 0.0), 15.0);
    }

    #[test]
    fn the_slope_of_a_line_is_its_step() {
        let line: Vec<f64> = (0..20).map(|i| 3.0 - 0.25 * f64::from(i)).collect();
        assert!((slope(&line) + 0.25).abs() < 1e-12);
        assert_eq!((slope(&[1.0]), slope(&[])), (0.0, 0.0));
    }
}
