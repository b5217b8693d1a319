//! The feature table: a policy's view of the market, one row per bar, known at the bar's close.
//!
//! The first nineteen columns are the "human momentum" features under their established names. Averages (EMA, MACD,
//! RSI) start at the open of the session before and are warm at the first bar. Windows reach back at most `WINDOW` bars
//! and never past the session's open, where VWAP is anchored. Every column is bounded.
//!
//! The rows of a session are a function of its own bars and those of the session before, so they do not depend on the first
//! date of a run. Averages that continued for ever would. After 390 minutes an older price weighs less than 3e-13 in the
//! slowest of them, the RSI; after a half day, 2e-7.

pub mod indicator;
pub(crate) mod setup;

use market_data::{SessionBars, VolColumns};
use statistics::{mean, variance};

use crate::features::{
    indicator::{Ema, MacdHistogram, Rsi, SessionVwap, slope},
    setup::SetupScore,
};

/// Length of the features' windows in bars, the newest included.
pub(crate) const WINDOW: usize = 20;
const ATR_BARS: usize = 14;
const BREAKOUT_BARS: usize = 10;
/// Bound of the price columns, in percent.
const PRICE_BOUND: f64 = 10.0;

/// Columns of a feature row: name and definition. `pct(x)` is `100 · (x / base - 1)` with `base` the first close of the window.
pub const FEATURES: [(&str, &str); 29] = [
    ("open", "pct(open), within ±10"),
    ("high", "pct(high), within ±10"),
    ("low", "pct(low), within ±10"),
    ("close", "pct(close), within ±10"),
    ("volume", "volume over the window's largest, 0 to 1; 1 where there is no volume"),
    ("vix_norm", "VIX before the bar / 50, 0 to 4"),
    ("vix_delta", "tanh((VIX before the bar - VIX at the last session's end) / 5)"),
    ("ema_diff", "tanh(100 · (EMA9 - EMA20) / base / 0.5)"),
    ("vwap_dist", "tanh(100 · (close - session VWAP) / base / 0.5)"),
    ("rsi_scaled", "(RSI14 - 50) / 50"),
    ("macd_hist", "tanh(100 · MACD histogram / base / 0.3)"),
    ("atr_scaled", "tanh(100 · mean true range of 14 bars / base)"),
    ("body_ratio", "abs(close - open) / range"),
    ("wick_ratio", "1 - body_ratio"),
    ("pullback", "tanh(pct of close below the window's high / 0.5)"),
    ("breakout", "tanh((close - high of the 10 bars before) / ATR / 1.5)"),
    ("trend_slope", "tanh(100 · least-squares slope of the window's closes / base / 0.05)"),
    ("burst", "tanh(z(volume) · abs(pct change of close) / 2)"),
    ("trend_strength", "tanh((abs ema_diff + abs macd_hist + abs vwap_dist) / 1.5)"),
    ("bull_score", "bullish setup conditions / 4"),
    ("bear_score", "bearish setup conditions / 4"),
    ("bull_strong", "1 where the setup class is bull-strong"),
    ("bear_strong", "1 where the setup class is bear-strong"),
    ("bull_chase", "1 on an overbought, rejected bar"),
    ("bear_chase", "1 on an oversold, rejected bar"),
    ("since_open", "minutes since the session's open / 390"),
    ("to_close", "minutes to the session's close / 390"),
    ("atm_vol", "tanh(annualised at-the-money volatility before the bar)"),
    ("filled", "1 where the minute had no bar and carries the last close"),
];

/// Columns per row.
const FEATURE_COUNT: usize = FEATURES.len();

/// One row of features, in the order of [`FEATURES`].
pub(crate) type FeatureRow = [f32; FEATURE_COUNT];

/// Returns the rows and setup scores of a session's bars. `before` is the symbol's session before it, if there is one.
pub(crate) fn session_features(
    before: Option<&SessionBars>,
    bars: &SessionBars,
    vol: &VolColumns,
    threshold: u8,
) -> Vec<(FeatureRow, SetupScore)> {
    let (mut stream, mut vwap) = (FeatureStream::new(threshold), SessionVwap::default());
    for &close in before.iter().flat_map(|bars| &bars.close) {
        stream.averages(close);
    }
    (0..bars.close.len()).map(|t| stream.bar(bars, vol, t, &mut vwap)).collect()
}

/// Indicators of one symbol, fed bar by bar.
#[derive(Debug)]
struct FeatureStream {
    ema9: Ema,
    ema20: Ema,
    macd: MacdHistogram,
    rsi: Rsi,
    threshold: u8,
}

impl FeatureStream {
    fn new(threshold: u8) -> Self {
        Self { ema9: Ema::new(9), ema20: Ema::new(20), macd: MacdHistogram::default(), rsi: Rsi::default(), threshold }
    }

    /// Takes the next close; returns EMA9 less EMA20, the MACD histogram and the RSI.
    fn averages(&mut self, close: f64) -> (f64, f64, f64) {
        (self.ema9.push(close) - self.ema20.push(close), self.macd.push(close), self.rsi.push(close))
    }

    fn bar(
        &mut self,
        bars: &SessionBars,
        vol: &VolColumns,
        t: usize,
        vwap: &mut SessionVwap,
    ) -> (FeatureRow, SetupScore) {
        let (open, high, low, close) = (bars.open[t], bars.high[t], bars.low[t], bars.close[t]);
        let first = (t + 1).saturating_sub(WINDOW);
        let base = bars.close[first];
        let pct = |x: f64| 100.0 * x / base;
        let price = |x: f64| (pct(x) - 100.0).clamp(-PRICE_BOUND, PRICE_BOUND);

        let (ema, macd, rsi) = self.averages(close);
        let (ema, macd) = (pct(ema), pct(macd));
        let vwap = pct(close - vwap.push(high, low, close, bars.volume[t]));
        let (ema_diff, vwap_dist, macd_hist) = ((ema / 0.5).tanh(), (vwap / 0.5).tanh(), (macd / 0.3).tanh());

        let atr = mean_true_range(bars, t);
        let range = (high - low).max(1e-9);
        let body = (close - open).abs() / range;
        let top = bars.high[first..=t].iter().fold(f64::MIN, |a, &b| a.max(b));
        let score = SetupScore::of(ema, vwap, macd, rsi, 1.0 - body);
        let class = score.classify(self.threshold);

        let row = [
            price(open),
            price(high),
            price(low),
            price(close),
            relative_volume(&bars.volume[first..=t]),
            (vol.vix[t] / 50.0).clamp(0.0, 4.0),
            ((vol.vix[t] - vol.vix_previous_close) / 5.0).tanh(),
            ema_diff,
            vwap_dist,
            (rsi - 50.0) / 50.0,
            macd_hist,
            pct(atr).tanh(),
            body,
            1.0 - body,
            (100.0 * (close - top) / top / 0.5).tanh(),
            ((close - prior_high(&bars.high, t)) / atr.max(1e-9) / 1.5).tanh(),
            (pct(slope(&bars.close[first..=t])) / 0.05).tanh(),
            burst(&bars.volume[first..=t], if continues(bars, t) { pct(close - bars.close[t - 1]) } else { 0.0 }),
            ((ema_diff.abs() + macd_hist.abs() + vwap_dist.abs()) / 1.5).tanh(),
            f64::from(score.bull) / 4.0,
            f64::from(score.bear) / 4.0,
            f64::from(class == crate::Setup::BullStrong),
            f64::from(class == crate::Setup::BearStrong),
            f64::from(score.bull_chase),
            f64::from(score.bear_chase),
            (t + 1) as f64 / 390.0,
            (bars.close.len() - t - 1) as f64 / 390.0,
            vol.atm_vol[t].tanh(),
            f64::from(bars.filled[t]),
        ];
        (row.map(|x| x as f32), score)
    }
}

/// Mean true range of the last 14 bars of the session; the first bar of a session, and the first after a hole, has only its own
/// range.
fn mean_true_range(bars: &SessionBars, t: usize) -> f64 {
    let first = (t + 1).saturating_sub(ATR_BARS);
    let of = |i: usize| {
        let last = if continues(bars, i) { bars.close[i - 1] } else { bars.close[i] };
        (bars.high[i] - bars.low[i]).max((bars.high[i] - last).abs()).max((bars.low[i] - last).abs())
    };
    (first..=t).map(of).sum::<f64>() / (t + 1 - first) as f64
}

/// Returns whether the minute before a slot had a bar in the session, so that the slot's move is a minute's.
fn continues(bars: &SessionBars, slot: usize) -> bool {
    slot > 0 && !bars.filled[slot - 1]
}

/// Highest high of the ten bars before `t` in the session; the bar's own where there is none before.
fn prior_high(high: &[f64], t: usize) -> f64 {
    let before = &high[t.saturating_sub(BREAKOUT_BARS)..t];
    if before.is_empty() { high[t] } else { before.iter().fold(f64::MIN, |a, &b| a.max(b)) }
}

fn relative_volume(volume: &[f64]) -> f64 {
    let largest = volume.iter().fold(0.0, |a: f64, &b| a.max(b));
    if largest > 0.0 { volume[volume.len() - 1] / largest } else { 1.0 }
}

/// Unusual volume times the size of the move, `change` in percent.
fn burst(volume: &[f64], change: f64) -> f64 {
    let deviation = variance(volume).sqrt() + 1e-9;
    ((volume[volume.len() - 1] - mean(volume)) / deviation * change.abs() / 2.0).tanh()
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_data::{VolSource, calendar};

    fn column(name: &str) -> usize {
        FEATURES.iter().position(|(n, _)| *n == name).unwrap()
    }

    /// The reference's twenty bars, repeated to fill a session.
    fn reference_session() -> (SessionBars, VolColumns) {
        let session = calendar::session(jiff::civil::date(2025, 5, 6)).unwrap();
        let n = session.minutes();
        let close: Vec<f64> = (0..n).map(|i| 100.0 + 0.05 * i as f64 + 0.03 * (((7 * i) % 5) as f64 - 2.0)).collect();
        let open: Vec<f64> = (0..n).map(|i| if i == 0 { close[0] - 0.02 } else { close[i - 1] }).collect();
        let high = (0..n).map(|i| open[i].max(close[i]) + 0.02 + 0.01 * (i % 3) as f64).collect();
        let low = (0..n).map(|i| open[i].min(close[i]) - 0.02 - 0.01 * ((i + 1) % 3) as f64).collect();
        let volume = (0..n).map(|i| 1000.0 + 100.0 * ((3 * i) % 7) as f64).collect();
        let bars = SessionBars { session, open, high, low, close, volume, filled: vec![false; n] };
        let vol = VolColumns {
            atm_vol: vec![0.15; n],
            vix: vec![17.0; n],
            vix_previous_close: 16.0,
            atm_source: VolSource::Vix1dMinute,
            vix_source: VolSource::VixMinute,
            stale_minutes: 0,
        };
        (bars, vol)
    }

    #[test]
    fn row_19_agrees_with_the_reference_where_the_formula_is_the_same() {
        let (bars, vol) = reference_session();
        let (row, score) = session_features(None, &bars, &vol, 4)[19];
        for (name, expected) in [
            ("open", 0.930558),
            ("high", 1.070642),
            ("low", 0.890534),
            ("close", 1.040624),
            ("volume", 0.6875),
            ("vix_norm", 0.34),
            ("vix_delta", 0.197375),
            ("ema_diff", 0.410095),
            ("vwap_dist", 0.778926),
            ("rsi_scaled", 0.646166),
            ("macd_hist", 0.144915),
            ("atr_scaled", 0.144078),
            ("body_ratio", 0.611111),
            ("wick_ratio", 0.388889),
            ("pullback", -0.05933),
            ("breakout", 0.137063),
            ("trend_slope", 0.769319),
            ("burst", -0.052646),
            ("trend_strength", 0.711043),
        ] {
            assert!((row[column(name)] - expected).abs() < 2e-6, "{name}: {} and {expected}", row[column(name)]);
        }
        assert_eq!((score.bull, score.bull_chase), (4, false));
    }

    #[test]
    fn later_rows_are_pinned_and_every_column_is_bounded() {
        let (bars, vol) = reference_session();
        let rows = session_features(Some(&bars), &bars, &vol, 4);
        for (row, _) in &rows {
            for (x, (name, _)) in row.iter().zip(FEATURES) {
                let bound = match name {
                    "open" | "high" | "low" | "close" => 10.0,
                    "vix_norm" => 4.0,
                    _ => 1.0,
                };
                assert!(x.is_finite() && x.abs() <= bound, "{name}: {x}");
            }
        }
        // The second session starts 19.5 % lower: the warm averages point down, the session's own windows do not.
        let (first, score) = rows[0];
        assert_eq!((score.bull, score.bear), (1, 3), "EMA, MACD and RSI see the gap, VWAP does not");
        assert_eq!((first[column("pullback")] < 0.0, first[column("trend_slope")]), (true, 0.0));
        assert!((first[column("since_open")] - 1.0 / 390.0).abs() < 1e-7);
        assert!((first[column("to_close")] - 389.0 / 390.0).abs() < 1e-7);
    }

    #[test]
    fn the_averages_start_with_the_session_before_and_no_move_spans_a_hole() {
        let (bars, vol) = reference_session();
        let (mut other, mut holed) = (bars.clone(), bars.clone());
        other.close.iter_mut().for_each(|close| *close *= 1.1);
        let rows = |before: Option<&SessionBars>, bars: &SessionBars| session_features(before, bars, &vol, 4);
        let (cold, warm, warmer) = (rows(None, &bars), rows(Some(&bars), &bars), rows(Some(&other), &bars));
        assert!(cold[0].0 != warm[0].0 && warm[0].0 != warmer[0].0, "the session before counts");
        assert_eq!(cold[300].0[column("rsi_scaled")], warm[300].0[column("rsi_scaled")], "and fades");
        // The 09:30 bar is missing: its slot holds the close of the evening before, 10 % lower.
        for price in [&mut holed.open, &mut holed.high, &mut holed.low, &mut holed.close] {
            price[0] = 90.0;
        }
        (holed.volume[0], holed.filled[0]) = (0.0, true);
        let row = rows(Some(&bars), &holed)[1].0;
        let range = 100.0 * (holed.high[1] - holed.low[1]) / 2.0 / 90.0;
        assert!((f64::from(row[column("atr_scaled")]) - range.tanh()).abs() < 1e-6, "half of one bar's range");
        assert_eq!(row[column("burst")], 0.0);
    }

    #[test]
    fn a_session_without_volume_has_neutral_volume_columns() {
        let (mut bars, vol) = reference_session();
        bars.volume.fill(0.0);
        let (row, _) = session_features(None, &bars, &vol, 4)[100];
        assert_eq!((row[column("volume")], row[column("burst")]), (1.0, 0.0));
        assert!(row[column("vwap_dist")] > 0.0, "equal weights stand in for volume");
    }
}
