//! Features of daily bars, each known at its session's close. They depend on the last 30 sessions alone, so a row is the same
//! whatever the first date asked for, where bars reach back.

use std::collections::VecDeque;

use market_data::{SessionBars, SymbolSessions, VolColumns};

use crate::features::indicator::{Ema, Rsi};

/// Sessions that the longest column spans.
const MONTH: usize = 20;
const WEEK: usize = 5;
/// Sessions, its own included, that a row depends on. Ten more than the longest column spans, for the exponential averages.
const HISTORY: usize = 30;

/// Columns of a daily row: name and definition. A return is logarithmic, in percent; with too few sessions before, it spans the
/// available ones.
pub(crate) const DAILY_FEATURES: [(&str, &str); 14] = [
    ("return_1", "return since the last close"),
    ("return_5", "return of 5 sessions"),
    ("return_20", "return of 20 sessions"),
    ("gap", "return from the last close to the open"),
    ("intraday", "return from the open to the close"),
    ("realised", "volatility of the session's minutes, in percent"),
    ("realised_5", "root mean square of it over 5 sessions"),
    ("realised_20", "root mean square of it over 20 sessions"),
    ("range", "100 · ln(high / low)"),
    ("close_location", "(close - low) / (high - low), 0 to 1; 0.5 without a range"),
    ("relative_volume", "ln(volume / its exponential average of 20 sessions); 0 without volume"),
    ("rsi_scaled", "(RSI14 - 50) / 50"),
    ("vix_norm", "VIX before the last bar / 50"),
    ("vix_delta", "tanh((VIX before the last bar - VIX at the last session's end) / 5)"),
];

/// The facts of one session that later rows use.
#[derive(Debug, Clone, Copy)]
struct SessionHistory {
    close: f64,
    realised: f64,
}

/// Returns the row of a session, from the 30 sessions that end with it.
pub(super) fn row(sessions: &SymbolSessions, index: usize) -> [f32; DAILY_FEATURES.len()] {
    let mut stream = DailyStream::default();
    let mut row = [0.0; DAILY_FEATURES.len()];
    for at in (index + 1).saturating_sub(HISTORY)..=index {
        row = stream.push(&sessions.days[at], &sessions.vol[at]);
    }
    row
}

/// Daily features of one symbol, fed session by session.
#[derive(Debug, Default)]
struct DailyStream {
    /// The last sessions, newest last.
    past: VecDeque<SessionHistory>,
    volume: Option<Ema>,
    rsi: Rsi,
}

impl DailyStream {
    /// Returns the row of the next session.
    fn push(&mut self, bars: &SessionBars, vol: &VolColumns) -> [f32; DAILY_FEATURES.len()] {
        let last = bars.close.len() - 1;
        let (open, close, vix) = (bars.open[0], bars.close[last], vol.vix[last]);
        let high = bars.high.iter().fold(f64::MIN, |a, &b| a.max(b));
        let low = bars.low.iter().fold(f64::MAX, |a, &b| a.min(b));
        let percent = |from: f64, to: f64| 100.0 * (to / from).ln();
        let before = self.past.back().map_or(open, |past| past.close);
        let realised = realised(bars);
        self.past.push_back(SessionHistory { close, realised });
        if self.past.len() > MONTH + 1 {
            self.past.pop_front();
        }
        let row = [
            percent(before, close),
            percent(self.close_before(WEEK), close),
            percent(self.close_before(MONTH), close),
            percent(before, open),
            percent(open, close),
            realised,
            self.root_mean_square(WEEK),
            self.root_mean_square(MONTH),
            percent(low, high),
            if high > low { (close - low) / (high - low) } else { 0.5 },
            self.relative_volume(bars.volume.iter().sum()),
            (self.rsi.push(close) - 50.0) / 50.0,
            vix / 50.0,
            ((vix - vol.vix_previous_close) / 5.0).tanh(),
        ];
        row.map(|x| x as f32)
    }

    /// Returns the close `sessions` before the newest one, or the oldest available.
    fn close_before(&self, sessions: usize) -> f64 {
        self.past[(self.past.len() - 1).saturating_sub(sessions)].close
    }

    fn root_mean_square(&self, sessions: usize) -> f64 {
        let held = self.past.iter().rev().take(sessions);
        let (sum, count) = held.fold((0.0, 0.0), |(sum, n), past| (sum + past.realised * past.realised, n + 1.0));
        (sum / count).sqrt()
    }

    fn relative_volume(&mut self, volume: f64) -> f64 {
        if volume <= 0.0 {
            return 0.0;
        }
        let average = self.volume.get_or_insert_with(|| Ema::new(MONTH as u32));
        (volume / average.push(volume)).ln()
    }
}

/// Realised volatility of a session's minutes, in percent.
fn realised(bars: &SessionBars) -> f64 {
    let squares = bars.close.windows(2).map(|pair| (100.0 * (pair[1] / pair[0]).ln()).powi(2));
    squares.sum::<f64>().sqrt()
}
