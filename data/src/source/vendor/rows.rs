//! Rows of vendors, and the checks of every page.

use serde::Deserialize;

use crate::{BarColumns, DateRange, bars::rfc3339, calendar};

/// One minute bar as a vendor sends it. Prices in dollars or index points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Start of the minute, nanoseconds since 1970-01-01 UTC.
    pub ts_ns: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Shares or contracts traded, fractions included; none for an index.
    pub volume: Option<f64>,
    /// Mean price weighted by volume.
    pub vwap: Option<f64>,
    /// Number of trades.
    pub trades: Option<f64>,
}

/// A bar in the JSON of vendors: one letter per column, the time `t` in the format of the vendor, and no volume for an
/// index.
#[derive(Debug, Deserialize)]
pub(crate) struct JsonBar<T> {
    pub(crate) t: T,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: Option<f64>,
    vw: Option<f64>,
    n: Option<f64>,
}

impl<T> JsonBar<T> {
    /// Returns the row that starts at `ts_ns`, the converted `t`.
    pub(crate) fn row(&self, ts_ns: i64) -> Row {
        let Self { o: open, h: high, l: low, c: close, v: volume, vw: vwap, n: trades, .. } = *self;
        Row { ts_ns, open, high, low, close, volume, vwap, trades }
    }
}

/// Adds rows to columns; an absent volume is zero.
impl<'a> Extend<&'a Row> for BarColumns {
    fn extend<I: IntoIterator<Item = &'a Row>>(&mut self, rows: I) {
        for row in rows {
            self.ts_ns.push(row.ts_ns);
            self.open.push(row.open);
            self.high.push(row.high);
            self.low.push(row.low);
            self.close.push(row.close);
            self.volume.push(row.volume.unwrap_or(0.0));
        }
    }
}

impl Row {
    /// Returns the fault of the row, if it has one.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { ts_ns, open, high, low, close, volume, .. } = *self;
        let at = || rfc3339(ts_ns);
        let prices = [("open", open), ("high", high), ("low", low), ("close", close)];
        if let Some((name, value)) = prices.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Some(format!("{name} {value} at {} is not a price", at()));
        }
        if high < open.max(close) || low > open.min(close) {
            return Some(format!(
                "open {open}, high {high}, low {low}, close {close} at {} contradict each other",
                at()
            ));
        }
        if volume.is_some_and(|volume| !(volume.is_finite() && volume >= 0.0)) {
            return Some(format!("volume {} at {} is not a volume", volume.unwrap_or(f64::NAN), at()));
        }
        (ts_ns % calendar::MINUTE_NS != 0).then(|| format!("{} is not on a whole minute", at()))
    }
}

/// Rows of one window within regular trading hours, checked and in order, collected page by page.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows inside sessions.
    pub kept: Vec<Row>,
    /// Rows outside sessions, left out.
    pub outside: usize,
    /// Rows that repeat the one before, left out.
    pub repeated: usize,
    /// Faults of rows left out under `drop_bad`.
    pub bad: Vec<String>,
    /// Start of the last row, outside sessions included.
    last_ns: Option<i64>,
    /// The last row, for comparison with the first of the next page.
    last: Option<Row>,
}

impl Rows {
    /// Adds the rows of a page.
    ///
    /// # Errors
    /// One sentence on a row that contradicts itself (unless `drop_bad`) or is out of order.
    pub fn add(&mut self, rows: &[Row], drop_bad: bool) -> Result<(), String> {
        // The day of the previous row, which most rows share.
        let mut day = (0..0, None::<calendar::Session>);
        for row in rows {
            if self.last == Some(*row) {
                self.repeated += 1;
                continue;
            }
            if self.last_ns.is_some_and(|last| row.ts_ns <= last) {
                return Err(format!("the bar at {} repeats an earlier bar or is out of order", rfc3339(row.ts_ns)));
            }
            (self.last_ns, self.last) = (Some(row.ts_ns), Some(*row));
            if !day.0.contains(&row.ts_ns) {
                let date = calendar::exchange_date(row.ts_ns);
                day = (calendar::span_ns(DateRange { first: date, last: date }), calendar::session(date));
            }
            let inside = |session: &calendar::Session| (session.open_ns..session.close_ns).contains(&row.ts_ns);
            if !day.1.as_ref().is_some_and(inside) {
                self.outside += 1;
                continue;
            }
            match row.fault() {
                None => self.kept.push(*row),
                Some(fault) if drop_bad => self.bad.push(fault),
                Some(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Returns the start of the last row, outside sessions included.
    #[must_use]
    pub fn last_ns(&self) -> Option<i64> {
        self.last_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: &str, close: f64) -> Row {
        let time: jiff::Timestamp = time.parse().unwrap();
        let ts_ns = i64::try_from(time.as_nanosecond()).unwrap();
        Row { ts_ns, open: 10.0, high: 11.0, low: 9.0, close, volume: None, vwap: None, trades: None }
    }

    #[test]
    fn only_minutes_of_sessions_are_kept() {
        let times = ["2025-07-03T13:29:00Z", "2025-07-03T13:30:00Z", "2025-07-03T16:59:00Z", "2025-07-03T17:00:00Z"];
        let holiday = "2025-07-04T14:00:00Z";
        let mut rows = Rows::default();
        rows.add(&times.map(|time| row(time, 10.0)), false).unwrap();
        rows.add(&[row(holiday, 10.0)], false).unwrap();
        assert_eq!((rows.kept.len(), rows.outside), (2, 3));
    }

    #[test]
    fn a_page_may_repeat_the_last_row_and_no_other() {
        let (a, b) = (row("2025-06-02T13:30:00Z", 10.0), row("2025-06-02T13:31:00Z", 10.5));
        let mut rows = Rows::default();
        rows.add(&[a, b], false).unwrap();
        rows.add(&[b, row("2025-06-02T13:32:00Z", 10.0)], false).unwrap();
        assert_eq!((rows.kept.len(), rows.repeated), (3, 1));
        assert!(rows.add(&[a], false).unwrap_err().contains("the bar at 2025-06-02T13:30:00Z repeats an earlier bar"));
        let other = row("2025-06-02T13:32:00Z", 10.1);
        assert!(rows.add(&[other], false).is_err(), "the same minute with another price");
    }

    #[test]
    fn contradictory_rows_are_refused_or_dropped_and_named() {
        let bad = row("2025-06-02T13:31:00Z", 12.0);
        let error = Rows::default().add(&[bad], false).unwrap_err();
        assert!(error.contains("close 12 at 2025-06-02T13:31:00Z contradict each other"), "{error}");
        let mut rows = Rows::default();
        rows.add(&[row("2025-06-02T13:30:00Z", 10.0), bad], true).unwrap();
        assert_eq!((rows.kept.len(), rows.bad.len()), (1, 1));
        let outside = row("2025-06-02T12:31:00Z", 12.0);
        rows = Rows::default();
        rows.add(&[outside], false).unwrap();
        for invalid in [f64::NAN, 0.0, f64::INFINITY] {
            assert!(Rows::default().add(&[row("2025-06-02T13:30:00Z", invalid)], false).is_err());
        }
        let mut second = row("2025-06-02T13:31:00Z", 10.0);
        second.ts_ns += 1_000_000_000;
        assert!(Rows::default().add(&[second], false).unwrap_err().contains("whole minute"));
    }
}
