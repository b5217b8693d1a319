//! Rows as vendors send them, and the checks that every page goes through.

use serde::Deserialize;

use crate::{DateRange, bars::rfc3339, calendar};

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

/// A bar as vendors write it in JSON: one letter per column, the time in whatever way is theirs, and nothing where an index
/// has nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Letters<T> {
    pub(crate) t: T,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: Option<f64>,
    vw: Option<f64>,
    n: Option<f64>,
}

impl<T> Letters<T> {
    /// Returns the row that starts at `ts_ns`, which is what `t` means.
    pub(crate) fn row(&self, ts_ns: i64) -> Row {
        let Self { o: open, h: high, l: low, c: close, v: volume, vw: vwap, n: trades, .. } = *self;
        Row { ts_ns, open, high, low, close, volume, vwap, trades }
    }
}

impl Row {
    /// Says what is wrong with the row itself, if anything.
    fn fault(&self) -> Option<String> {
        let Self { ts_ns, open, high, low, close, volume, .. } = *self;
        let at = || rfc3339(ts_ns);
        let prices = [("open", open), ("high", high), ("low", low), ("close", close)];
        if let Some((name, value)) = prices.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Some(format!("{name} {value} of {} is no price", at()));
        }
        if high < open.max(close) || low > open.min(close) {
            return Some(format!(
                "open {open}, high {high}, low {low}, close {close} of {} contradict each other",
                at()
            ));
        }
        if volume.is_some_and(|volume| !(volume.is_finite() && volume >= 0.0)) {
            return Some(format!("volume {} of {} is none", volume.unwrap_or(f64::NAN), at()));
        }
        (ts_ns % calendar::MINUTE_NS != 0).then(|| format!("{} is not on a whole minute", at()))
    }
}

/// Rows of one window: those of regular hours, checked and in order, page after page.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows inside sessions.
    pub kept: Vec<Row>,
    /// Rows outside sessions, left out.
    pub outside: usize,
    /// Rows that repeat the one before, left out.
    pub repeated: usize,
    /// Rows that contradict themselves, left out because that was asked for.
    pub bad: Vec<String>,
    /// Start of the last row of all.
    last_ns: Option<i64>,
    /// The last row of all, for comparison with the first of the next page.
    last: Option<Row>,
}

impl Rows {
    /// Adds the rows of a page.
    ///
    /// # Errors
    /// One sentence about a row that contradicts itself (unless `drop_bad`), or that goes back in time.
    pub fn add(&mut self, rows: &[Row], drop_bad: bool) -> Result<(), String> {
        // The day of the row before: most rows are of the same.
        let mut day = (0..0, None::<calendar::Session>);
        for row in rows {
            if self.last == Some(*row) {
                self.repeated += 1;
                continue;
            }
            if self.last_ns.is_some_and(|last| row.ts_ns <= last) {
                return Err(format!("the bar of {} comes after a later one or twice", rfc3339(row.ts_ns)));
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

    /// Returns the start of the last row of all, wherever it lies.
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
    fn only_minutes_of_sessions_are_kept_half_days_included() {
        let times = ["2025-07-03T13:29:00Z", "2025-07-03T13:30:00Z", "2025-07-03T16:59:00Z", "2025-07-03T17:00:00Z"];
        let holiday = "2025-07-04T14:00:00Z";
        let mut rows = Rows::default();
        rows.add(&times.map(|time| row(time, 10.0)), false).unwrap();
        rows.add(&[row(holiday, 10.0)], false).unwrap();
        assert_eq!((rows.kept.len(), rows.outside), (2, 3));
    }

    #[test]
    fn joints_may_repeat_a_row_and_nothing_else() {
        let (a, b) = (row("2025-06-02T13:30:00Z", 10.0), row("2025-06-02T13:31:00Z", 10.5));
        let mut rows = Rows::default();
        rows.add(&[a, b], false).unwrap();
        rows.add(&[b, row("2025-06-02T13:32:00Z", 10.0)], false).unwrap();
        assert_eq!((rows.kept.len(), rows.repeated), (3, 1));
        assert!(rows.add(&[a], false).unwrap_err().contains("2025-06-02T13:30:00Z comes after a later one"));
        let other = row("2025-06-02T13:32:00Z", 10.1);
        assert!(rows.add(&[other], false).is_err(), "the same minute with another price");
    }

    #[test]
    fn a_row_that_contradicts_itself_is_refused_or_dropped_and_named() {
        let bad = row("2025-06-02T13:31:00Z", 12.0);
        let error = Rows::default().add(&[bad], false).unwrap_err();
        assert!(error.contains("close 12 of 2025-06-02T13:31:00Z contradict each other"), "{error}");
        let mut rows = Rows::default();
        rows.add(&[row("2025-06-02T13:30:00Z", 10.0), bad], true).unwrap();
        assert_eq!((rows.kept.len(), rows.bad.len()), (1, 1));
        let outside = row("2025-06-02T12:31:00Z", 12.0);
        rows = Rows::default();
        rows.add(&[outside], false).unwrap();
        for odd in [f64::NAN, 0.0, f64::INFINITY] {
            assert!(Rows::default().add(&[row("2025-06-02T13:30:00Z", odd)], false).is_err());
        }
        let mut second = row("2025-06-02T13:31:00Z", 10.0);
        second.ts_ns += 1_000_000_000;
        assert!(Rows::default().add(&[second], false).unwrap_err().contains("whole minute"));
    }
}
