//! Values with the times at which they were known, and their join to the minutes of sessions.

use crate::{DataError, SessionBars, Symbol, calendar::MINUTE_NS};

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownRow {
    /// Time of the event that it describes, UTC nanoseconds.
    pub event_ns: i64,
    /// Time at which it was known, UTC nanoseconds.
    pub known_ns: i64,
    /// The value; NaN is no news.
    pub value: f64,
}

/// Decisions that a value serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Those of its session from the instant on at which it was known: a column of bars.
    Session,
    /// Those from the instant on at which it was known: bars of any length.
    From,
    /// Those after the instant at which it was known: publications, of which one at 14:00:00 must not meet the open of 14:00.
    After,
}

/// A series of values. At an instant the greatest event among the rows already known counts, in its latest version.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownSeries {
    /// Name, such as `my_signal` or `nq.ret`.
    pub name: String,
    /// The only symbol that it serves; `None` for all.
    pub symbol: Option<Symbol>,
    /// Nanoseconds after which a value is stale.
    stale_after: Option<i64>,
    validity: Validity,
    rows: Vec<KnownRow>,
}

/// The value at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known {
    pub(super) value: f64,
    /// Nanoseconds since it was known.
    pub(super) age_ns: i64,
}

impl KnownSeries {
    /// Sorts and checks rows. `origin` is the file that errors name.
    ///
    /// # Errors
    /// An infinite value, a row known before its event, and two rows of the same event and time of publication.
    pub fn new(
        name: String,
        symbol: Option<Symbol>,
        origin: &str,
        validity: Validity,
        rows: Vec<KnownRow>,
    ) -> Result<Self, DataError> {
        let fault = |row: usize, fault: String| DataError::ColumnRow {
            path: origin.to_owned(),
            row: row + 1,
            column: name.clone(),
            fault,
        };
        let mut numbered: Vec<(usize, KnownRow)> = rows.into_iter().enumerate().collect();
        if let Some((at, row)) = numbered.iter().find(|(_, row)| row.value.is_infinite()) {
            return Err(fault(*at, format!("{} is no number", row.value)));
        }
        if let Some((at, _)) = numbered.iter().find(|(_, row)| row.known_ns < row.event_ns) {
            return Err(fault(*at, "it was known before its event: are the two columns of times swapped?".to_owned()));
        }
        let key = |(_, row): &(usize, KnownRow)| (row.known_ns, row.event_ns);
        numbered.sort_by_key(key);
        if let Some(pair) = numbered.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            let (row, earlier) = (pair[1].0, pair[0].0 + 1);
            return Err(fault(
                row,
                format!("it has the event and the time of publication of row {earlier}; keep one of them"),
            ));
        }
        let rows = numbered.into_iter().map(|(_, row)| row).filter(|row| !row.value.is_nan()).collect();
        Ok(Self { name, symbol, stale_after: None, validity, rows })
    }

    /// Sets the nanoseconds after which a value is stale; `None` for never.
    #[must_use]
    pub fn stale_after(self, after: Option<i64>) -> Self {
        Self { stale_after: after, ..self }
    }

    /// Returns whether the series holds values of a symbol.
    pub(super) fn serves(&self, symbol: &Symbol) -> bool {
        self.symbol.as_ref().is_none_or(|only| only == symbol)
    }

    /// Returns the value at the close of every minute of sessions that ascend. `[days][bars]`
    pub(super) fn joined(&self, days: &[SessionBars]) -> Vec<Vec<Option<Known>>> {
        let (mut next, mut newest): (usize, Option<KnownRow>) = (0, None);
        let mut joined = Vec::with_capacity(days.len());
        for day in days {
            let open = day.session.open_ns;
            let of_bar = |bar: usize| {
                let close = open + (bar as i64 + 1) * MINUTE_NS;
                while let Some(row) = self.rows.get(next).filter(|row| self.is_known(row, close)) {
                    if newest.is_none_or(|newest| row.event_ns >= newest.event_ns) {
                        newest = Some(*row);
                    }
                    next += 1;
                }
                newest
                    .filter(|row| self.holds(row, open, close))
                    .map(|row| Known { value: row.value, age_ns: close - row.known_ns })
            };
            joined.push((0..day.close.len()).map(of_bar).collect());
        }
        joined
    }

    fn is_known(&self, row: &KnownRow, instant: i64) -> bool {
        if self.validity == Validity::After { row.known_ns < instant } else { row.known_ns <= instant }
    }

    /// Returns whether a known value still stands.
    fn holds(&self, row: &KnownRow, open: i64, instant: i64) -> bool {
        let fresh = self.stale_after.is_none_or(|after| instant - row.known_ns <= after);
        fresh && (self.validity != Validity::Session || row.event_ns >= open)
    }
}
