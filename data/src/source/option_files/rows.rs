//! Checked rows from the cells of option files, one page per session and expiry.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use jiff::{ToSpan, civil::Date};

use super::{
    columns::Columns,
    roots::Roots,
    row_columns::{ContractColumns, QuoteColumns, TradeColumns},
};
use crate::{
    DataError, DateRange, FileRecord, LeftOut, OptionHistory, OptionSession, OptionStamp, QuoteMinute, Right, Settles,
    Symbol, TradeMinute,
    bars::rfc3339,
    calendar::{self, MINUTE_NS, Session},
};

/// Rows read so far.
pub(super) struct OptionRows<'a> {
    symbol: &'a Symbol,
    stamp: OptionStamp,
    /// Instants of the requested dates, UTC nanoseconds.
    span: Range<i64>,
    pages: BTreeMap<(Date, Date, Settles), Page>,
    files: Vec<String>,
    left_out: LeftOut,
}

/// One session, expiry and time of settlement.
struct Page {
    session: Session,
    trades: Vec<FileRow<TradeMinute>>,
    quotes: Vec<FileRow<QuoteMinute>>,
}

/// A row with its file and row number, which errors name.
struct FileRow<T> {
    file: usize,
    row: usize,
    item: T,
}

impl<'a> OptionRows<'a> {
    pub(super) fn new(symbol: &'a Symbol, dates: &DateRange, stamp: OptionStamp) -> Self {
        let span = calendar::span_ns(*dates);
        Self { symbol, stamp, span, pages: BTreeMap::new(), files: Vec::new(), left_out: LeftOut::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Returns the rows of the underlying outside trading hours.
    pub(super) fn outside_hours(&self) -> usize {
        self.left_out.outside_hours
    }

    /// Adds the rows of one file and returns its record; `None` if no row matches. The names of all underlyings in the file
    /// are added to `available`.
    pub(super) fn read(
        &mut self,
        columns: &Columns,
        available: &mut BTreeSet<String>,
    ) -> Result<Option<FileRecord>, DataError> {
        let (mut times, note) = columns.times()?;
        self.stamp.to_minutes(&mut times);
        let mut ours = vec![false; times.len()];
        let mut last = String::new();
        let roots = Roots::of(self.symbol);
        columns.texts("underlying", |row, name| {
            if name != last {
                available.insert(name.to_owned());
                last = name.to_owned();
            }
            ours[row] = roots.contains(name) && self.span.contains(&times[row]);
        })?;
        let kept = ours.iter().filter(|ours| **ours).count();
        if kept == 0 {
            return Ok(None);
        }
        self.files.push(columns.path().display().to_string());
        self.add(columns, &times, &ours)?;
        let note = format!("{kept} rows of {} in the dates; timestamps: {note}{}", self.symbol, columns.unused());
        Ok(Some(FileRecord::new(columns.path(), times.len(), note)))
    }

    fn add(&mut self, columns: &Columns, times: &[i64], ours: &[bool]) -> Result<(), DataError> {
        let file = self.files.len() - 1;
        let contracts = ContractColumns::read(columns)?;
        let settlements = Roots::of(self.symbol).settlements(columns, ours)?;
        let trades = TradeColumns::read(columns)?;
        let quotes = QuoteColumns::read(columns)?;
        let mut lookup = SessionLookup::default();
        for at in (0..times.len()).filter(|at| ours[*at]) {
            let Some(session) = lookup.session(times[at]) else {
                self.left_out.outside_hours += 1;
                continue;
            };
            let slot = ((times[at] - session.open_ns) / MINUTE_NS) as u16;
            let (expiry, strike, right) = contracts.row(at, session.date)?;
            let page = self.pages.entry((session.date, expiry, settlements.of(at, session.date, expiry)));
            let page = page.or_insert_with(|| Page { session, trades: Vec::new(), quotes: Vec::new() });
            if let Some(trades) = &trades {
                match trades.row(at, slot, strike, right)? {
                    Some(item) => page.trades.push(FileRow { file, row: at + 1, item }),
                    None if quotes.is_none() => self.left_out.no_print += 1,
                    None => {}
                }
            }
            if let Some(quotes) = &quotes {
                page.quotes.push(FileRow { file, row: at + 1, item: quotes.row(at, slot, strike, right)? });
            }
        }
        Ok(())
    }

    /// Returns the sorted rows.
    pub(super) fn history(self, files: Vec<FileRecord>) -> Result<OptionHistory, DataError> {
        let mut sessions = Vec::with_capacity(self.pages.len());
        for ((_, expiry, settles), page) in self.pages {
            let Page { session, trades, quotes } = page;
            let trades = sorted(trades, |row| (row.slot, row.strike, row.right), &self.files, &session, expiry)?;
            let quotes = sorted(quotes, |row| (row.slot, row.strike, row.right), &self.files, &session, expiry)?;
            if !(trades.is_empty() && quotes.is_empty()) {
                sessions.push(OptionSession { session, expiry, settles, trades, quotes });
            }
        }
        Ok(OptionHistory { symbol: self.symbol.clone(), sessions, files, left_out: self.left_out })
    }
}

/// Sorts rows by minute and contract, and refuses duplicates.
fn sorted<T>(
    mut rows: Vec<FileRow<T>>,
    key: impl Fn(&T) -> (u16, f64, Right),
    files: &[String],
    session: &Session,
    expiry: Date,
) -> Result<Vec<T>, DataError> {
    let order = |a: &FileRow<T>, b: &FileRow<T>| {
        let ((slot, strike, right), other) = (key(&a.item), key(&b.item));
        slot.cmp(&other.0).then(strike.total_cmp(&other.1)).then(right.cmp(&other.2))
    };
    rows.sort_by(order);
    if let Some(pair) = rows.windows(2).find(|pair| order(&pair[0], &pair[1]).is_eq()) {
        let (slot, strike, right) = key(&pair[1].item);
        return Err(DataError::RepeatedContract {
            path: files[pair[1].file].clone(),
            row: pair[1].row,
            contract: format!("the {strike} {right} of {expiry}"),
            time: rfc3339(session.open_ns + i64::from(slot) * MINUTE_NS),
        });
    }
    Ok(rows.into_iter().map(|row| row.item).collect())
}

/// Session of an instant, cached for the following rows of the same day.
#[derive(Default)]
struct SessionLookup {
    day: Range<i64>,
    session: Option<Session>,
}

impl SessionLookup {
    fn session(&mut self, ts_ns: i64) -> Option<Session> {
        if !self.day.contains(&ts_ns) {
            let date = calendar::exchange_date(ts_ns);
            self.day = calendar::midnight_ns(date)..calendar::midnight_ns(date.saturating_add(1.day()));
            self.session = calendar::session(date);
        }
        self.session.filter(|session| (session.open_ns..session.close_ns).contains(&ts_ns))
    }
}
