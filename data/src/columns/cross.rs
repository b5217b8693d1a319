//! Columns of another symbol's bars: its last minute, its way since the open, and the symbol's strength against it.

use crate::{Bars, SessionBars, calendar::MINUTE_NS};

/// Names of the columns behind the symbol's, with the scale of their moves in percent.
const COLUMNS: [(&str, f64); 3] = [("return", 0.1), ("since_open", 1.0), ("strength", 0.5)];
/// Moves of an index of volatility in those of a stock index.
const VOLATILITY_FACTOR: f64 = 10.0;

/// Returns the columns named after `other` at the close of every minute of sessions. Without `bars`, for the symbol itself, all are
/// 0: every symbol of a market has the same columns.
///
/// `return` is tanh of the other symbol's move in the minute, 0 where the minute has no bar; `since_open` is tanh of its move
/// since the session's first price; `strength` is tanh of the symbol's own move since the open less that. All are 0 before its
/// first bar. Moves of an index of volatility count a tenth.
pub(super) fn columns(other: &Bars, bars: Option<&Bars>, days: &[SessionBars]) -> Vec<(String, Vec<Vec<f32>>)> {
    let empty = |(name, _): &(&str, f64)| (format!("{}.{name}", other.symbol()), Vec::new());
    let mut found: Vec<(String, Vec<Vec<f32>>)> = COLUMNS.iter().map(empty).collect();
    for day in days {
        let rows = bars.map_or_else(|| vec![[0.0; 3]; day.close.len()], |bars| of_day(bars, day));
        for (index, (_, values)) in found.iter_mut().enumerate() {
            values.push(rows.iter().map(|row| row[index] as f32).collect());
        }
    }
    found
}

fn of_day(other: &Bars, day: &SessionBars) -> Vec<[f64; 3]> {
    let factor = if other.symbol().as_str().starts_with("VIX") { VOLATILITY_FACTOR } else { 1.0 };
    let scaled = |index: usize, percent: f64| (percent / COLUMNS[index].1).tanh();
    let mut at = other.ts_ns().partition_point(|&start| start < day.session.open_ns);
    let (mut first, mut last): (Option<f64>, Option<f64>) = (None, None);
    let of_bar = |bar: usize| {
        let start = day.session.open_ns + bar as i64 * MINUTE_NS;
        let before = last;
        // A bar is known at its end, which is the close of the minute that it starts.
        while other.ts_ns().get(at).is_some_and(|&ts| ts <= start) {
            first = first.or(Some(other.open()[at]));
            last = Some(other.close()[at]);
            at += 1;
        }
        let Some((first, last)) = first.zip(last) else { return [0.0; 3] };
        let minute = percent(before.unwrap_or(first), last) / factor;
        let way = percent(first, last) / factor;
        [scaled(0, minute), scaled(1, way), scaled(2, percent(day.open[0], day.close[bar]) - way)]
    };
    (0..day.close.len()).map(of_bar).collect()
}

fn percent(from: f64, to: f64) -> f64 {
    100.0 * (to / from).ln()
}
