//! What was fetched, kept: one Parquet file per vendor, adjustment, series and month, which polars and pandas read as it is.
//!
//! `<data dir>/massive/split/minute/SPY/2025-06.parquet` holds the regular-hours minutes of June 2025 and, in its footer
//! under the key `zerodte`, which sessions are complete in it, when they were fetched, and the hashes of the bodies they
//! came in. Rows and record are one file, so that no interruption can part them: it is written under another name and
//! renamed. Series of two adjustments lie in two folders and are never read together.

mod month;
mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::civil::Date;

use super::vendor::{Adjustment, Row, VendorError};
use crate::{BarColumns, Bars, DailySeries, DataError, DateRange, FileRecord, Symbol, calendar};

pub(crate) use self::month::part_of;
pub use self::{
    month::{MonthRecord, SessionRecord},
    rows::{CachedRow, OptionRow},
};

/// A data directory that holds what was fetched.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// What a series is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Minute bars of a symbol.
    Minute,
    /// Minute bars of the options on a symbol.
    Options,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Options => "options",
        }
    }
}

/// One series of the cache.
#[derive(Debug)]
pub struct CachedSeries {
    vendor: &'static str,
    adjustment: Adjustment,
    symbol: Symbol,
    folder: PathBuf,
    /// One month is changed at a time.
    writing: Mutex<()>,
}

/// Keeps other programs from changing a series.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Cache {
    /// Returns the cache in a data directory, which need not be there yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the folder of a vendor.
    #[must_use]
    pub fn folder(&self, vendor: &str) -> PathBuf {
        self.root.join(vendor)
    }

    /// Returns the file that remembers when a vendor was called.
    #[must_use]
    pub fn calls(&self, vendor: &str) -> PathBuf {
        self.folder(vendor).join("calls")
    }

    /// Returns one series.
    #[must_use]
    pub fn shelf(&self, vendor: &'static str, adjustment: Adjustment, kind: Kind, symbol: &Symbol) -> CachedSeries {
        let folder = self.folder(vendor).join(adjustment.name()).join(kind.folder()).join(symbol.as_str());
        CachedSeries { vendor, adjustment, symbol: symbol.clone(), folder, writing: Mutex::new(()) }
    }

    /// Returns the symbols that have a series of this kind.
    #[must_use]
    pub fn symbols(&self, vendor: &str, adjustment: Adjustment, kind: Kind) -> Vec<Symbol> {
        let folder = self.folder(vendor).join(adjustment.name()).join(kind.folder());
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| Symbol::new(&entry.file_name().to_string_lossy()).ok());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the file of an index's daily closes.
    #[must_use]
    pub fn daily(&self, vendor: &str, symbol: &Symbol) -> PathBuf {
        self.folder(vendor).join("day").join(format!("{symbol}.parquet"))
    }

    /// Reads the daily closes of an index between two dates, if there are any, and the file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load_daily(
        &self,
        vendor: &str,
        symbol: &Symbol,
        dates: DateRange,
    ) -> Result<Option<(DailySeries, FileRecord)>, DataError> {
        let path = self.daily(vendor, symbol);
        if !path.exists() {
            return Ok(None);
        }
        let mut days = month::read_daily(&path)?;
        days.retain(|(date, _)| dates.contains(*date));
        let digest = Some(rows::digest_daily(&days));
        let file = FileRecord { digest, ..FileRecord::new(&path, days.len(), format!("daily closes from {vendor}")) };
        let (date, close) = days.into_iter().unzip();
        Ok(Some((DailySeries::new(&path.display().to_string(), date, close)?, file)))
    }

    /// Adds daily closes of an index, which were asked for from `asked_from` on, to those that are there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store_daily(
        &self,
        vendor: &str,
        symbol: &Symbol,
        days: &[(Date, f64)],
        asked_from: Date,
    ) -> Result<(), VendorError> {
        let path = self.daily(vendor, symbol);
        // A plan may have come to reach less far back than it did.
        let mut all = if path.exists() { month::read_daily(&path)? } else { Vec::new() }.into_iter().collect();
        BTreeMap::extend(&mut all, days.iter().copied());
        month::write_daily(&path, &all.into_iter().collect::<Vec<_>>(), asked_from)
    }

    /// Returns the date from which the daily closes of an index were asked for, if they are there. The vendor may have
    /// nothing so early.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn daily_asked_from(&self, vendor: &str, symbol: &Symbol) -> Result<Option<Date>, DataError> {
        let path = self.daily(vendor, symbol);
        if path.exists() { month::read_asked_from(&path).map(Some) } else { Ok(None) }
    }
}

impl CachedSeries {
    /// Returns the folder of its months.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until no other program changes the series, and keeps all others from it. `waiting` is called where one has to
    /// wait.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock, VendorError> {
        let fault = |doing| {
            let path = self.folder.clone();
            move |source| VendorError::Cache { path, doing, source }
        };
        fs::create_dir_all(&self.folder).map_err(fault("making the folder"))?;
        let path = self.folder.join(".lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = open.map_err(fault("opening its lock"))?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().map_err(fault("locking it"))?;
        }
        // Nobody else writes here now: what a program that was killed left half written is in nobody's way.
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|ending| ending.to_string_lossy().starts_with("part-")) {
                fs::remove_file(path).map_err(fault("clearing it"))?;
            }
        }
        Ok(Lock(file))
    }

    /// Returns the file of the month in which a date lies.
    fn path(&self, date: Date) -> PathBuf {
        self.folder.join(format!("{}.parquet", date.strftime("%Y-%m")))
    }

    /// Returns the months that are there, ascending, by their first days.
    fn months(&self) -> Vec<Date> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let month = |name: String| format!("{}-01", name.strip_suffix(".parquet")?).parse::<Date>().ok();
        let months = entries.filter_map(|entry| month(entry.file_name().to_string_lossy().into_owned()));
        months.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the complete sessions between two dates.
    ///
    /// # Errors
    /// A file that is no month of this series.
    pub fn sessions(&self, dates: DateRange) -> Result<BTreeMap<Date, SessionRecord>, DataError> {
        let mut sessions = BTreeMap::new();
        for month in self.months_of(dates) {
            let record = self.record(&self.path(month))?;
            sessions.extend(record.sessions.into_iter().filter(|(date, _)| dates.contains(*date)));
        }
        Ok(sessions)
    }

    /// Returns the dates of the first and the last complete session.
    ///
    /// # Errors
    /// A file that is no month of this series.
    pub fn span(&self) -> Result<Option<DateRange>, DataError> {
        let dates = self.sessions(DateRange { first: Date::MIN, last: Date::MAX })?;
        let with_rows: Vec<Date> =
            dates.into_iter().filter(|(_, record)| record.rows > 0).map(|(date, _)| date).collect();
        Ok(with_rows.first().zip(with_rows.last()).map(|(&first, &last)| DateRange { first, last }))
    }

    fn months_of(&self, dates: DateRange) -> impl Iterator<Item = Date> {
        let months = self.months().into_iter();
        months.filter(move |month| month.last_of_month() >= dates.first && *month <= dates.last)
    }

    /// Reads the record of a month and makes sure that it belongs here.
    fn record(&self, path: &Path) -> Result<MonthRecord, DataError> {
        let record = month::read_record(path)?;
        let here = (self.vendor, self.adjustment.name(), self.symbol.as_str());
        if (record.vendor.as_str(), record.adjustment.as_str(), record.symbol.as_str()) != here {
            let (path, series) = (path.display().to_string(), format!("{} {}", record.vendor, record.symbol));
            return Err(DataError::Mixed { path, series, adjustment: record.adjustment });
        }
        Ok(record)
    }

    /// Puts complete sessions into their months, in place of what was there of them.
    ///
    /// # Errors
    /// A month that is there and cannot be read, or one that cannot be written; it is then as it was before.
    pub fn store<R: CachedRow>(&self, sessions: Vec<(Date, SessionRecord, Vec<R>)>) -> Result<(), VendorError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut months: BTreeMap<PathBuf, Vec<(Date, SessionRecord, Vec<R>)>> = BTreeMap::new();
        for session in sessions {
            months.entry(self.path(session.0)).or_default().push(session);
        }
        for (path, sessions) in months {
            let (mut record, mut rows) = match path.exists() {
                true => (self.record(&path)?, R::read(&path)?),
                false => (self.empty(), Vec::new()),
            };
            let new: BTreeSet<Date> = sessions.iter().map(|(date, ..)| *date).collect();
            rows.retain(|row| !new.contains(&calendar::exchange_date(row.ts_ns())));
            for (date, mut session, added) in sessions {
                session.rows = added.len();
                record.sessions.insert(date, session);
                rows.extend(added);
            }
            rows.sort_by(R::order);
            month::write(&path, &R::columns(&rows), &record)?;
        }
        Ok(())
    }

    fn empty(&self) -> MonthRecord {
        MonthRecord {
            vendor: self.vendor.to_owned(),
            adjustment: self.adjustment.name().to_owned(),
            symbol: self.symbol.to_string(),
            sessions: BTreeMap::new(),
        }
    }

    /// Reads the rows of the sessions between two dates.
    ///
    /// # Errors
    /// A file that cannot be read or is no month of this series.
    pub fn rows<R: CachedRow>(&self, dates: DateRange) -> Result<Vec<R>, DataError> {
        let mut rows = Vec::new();
        for month in self.months_of(dates) {
            let path = self.path(month);
            self.record(&path)?;
            rows.extend(R::read(&path)?);
        }
        let span = calendar::span_ns(dates);
        rows.retain(|row| span.contains(&row.ts_ns()));
        Ok(rows)
    }

    /// Reads the bars of the sessions between two dates, and where they came from.
    ///
    /// # Errors
    /// A file that cannot be read or is no month of this series; rows that contradict themselves.
    pub fn bars(&self, dates: DateRange) -> Result<(Bars, Vec<FileRecord>), DataError> {
        let span = calendar::span_ns(dates);
        let mut columns = BarColumns::default();
        let mut files = Vec::new();
        for month in self.months_of(dates) {
            let path = self.path(month);
            self.record(&path)?;
            let mut rows = Row::read(&path)?;
            rows.retain(|row| span.contains(&row.ts_ns));
            if rows.is_empty() {
                continue;
            }
            let note = format!(
                "{}, {} prices",
                self.vendor,
                if self.adjustment == Adjustment::Raw { "raw" } else { "split-adjusted" }
            );
            files.push(FileRecord { digest: Some(rows::digest(&rows)), ..FileRecord::new(&path, rows.len(), note) });
            rows::append(&mut columns, &rows);
        }
        let origin = self.folder.display().to_string();
        Ok((Bars::new(self.symbol.clone(), &origin, columns)?, files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(folder: &Path, adjustment: Adjustment) -> CachedSeries {
        Cache::new(folder).shelf("massive", adjustment, Kind::Minute, &Symbol::new("SPY").unwrap())
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// A session of three rows.
    fn session(day: &str, close: f64) -> (Date, SessionRecord, Vec<Row>) {
        let open = calendar::session(date(day)).unwrap().open_ns;
        let row = |at: i64| Row {
            ts_ns: open + at * calendar::MINUTE_NS,
            open: 10.0,
            high: 11.0,
            low: 9.0,
            close,
            volume: (at > 0).then_some(0.5),
            vwap: None,
            trades: Some(3.0),
        };
        let record = SessionRecord {
            fetched: "2025-06-03T00:00:00Z".into(),
            bodies: vec!["ab".into()],
            ..SessionRecord::default()
        };
        (date(day), record, (0..3).map(row).collect())
    }

    const ALL: DateRange = DateRange { first: Date::MIN, last: Date::MAX };

    #[test]
    fn sessions_come_back_as_they_went_month_by_month() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), Adjustment::Split);
        assert_eq!((shelf.span().unwrap(), shelf.sessions(ALL).unwrap().len()), (None, 0));
        shelf.store(vec![session("2025-06-30", 10.0), session("2025-07-01", 10.5)]).unwrap();
        shelf
            .store(vec![session("2025-06-27", 9.5), (date("2025-06-26"), SessionRecord::default(), Vec::<Row>::new())])
            .unwrap();
        let sessions = shelf.sessions(ALL).unwrap();
        assert_eq!(sessions.values().map(|record| record.rows).collect::<Vec<_>>(), [0, 3, 3, 3]);
        assert_eq!(shelf.span().unwrap(), Some(DateRange { first: date("2025-06-27"), last: date("2025-07-01") }));
        let rows: Vec<Row> = shelf.rows(ALL).unwrap();
        assert_eq!(rows[..3], session("2025-06-27", 9.5).2, "nothing is lost or rounded");
        let (bars, files) = shelf.bars(DateRange { first: date("2025-06-30"), last: date("2025-07-09") }).unwrap();
        assert_eq!((bars.len(), files.len(), bars.close()[0], bars.volume()[0]), (6, 2, 10.0, 0.0));
        assert!(files[0].note.contains("split-adjusted") && files[0].digest != files[1].digest);

        shelf.store(vec![session("2025-06-30", 10.7)]).unwrap();
        let rows: Vec<Row> = shelf.rows(ALL).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.close).collect::<Vec<_>>(),
            [9.5, 9.5, 9.5, 10.7, 10.7, 10.7, 10.5, 10.5, 10.5]
        );
        let left: Vec<_> = fs::read_dir(shelf.folder()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
    }

    #[test]
    fn a_digest_is_that_of_the_rows_used() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), Adjustment::Split);
        shelf.store(vec![session("2025-06-27", 10.0)]).unwrap();
        let until = DateRange { first: date("2025-06-01"), last: date("2025-06-27") };
        let before = shelf.bars(until).unwrap().1[0].digest.clone();
        shelf.store(vec![session("2025-06-30", 10.0)]).unwrap();
        assert_eq!(shelf.bars(until).unwrap().1[0].digest, before, "a month that grew is the same up to the same day");
        assert!(before.is_some());
    }

    #[test]
    fn files_of_another_series_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (split, raw) = (shelf(folder.path(), Adjustment::Split), shelf(folder.path(), Adjustment::Raw));
        raw.store(vec![session("2025-06-30", 10.0)]).unwrap();
        fs::create_dir_all(split.folder()).unwrap();
        fs::copy(raw.folder().join("2025-06.parquet"), split.folder().join("2025-06.parquet")).unwrap();
        let error = split.bars(ALL).unwrap_err().to_string();
        assert!(error.contains("raw prices of massive SPY"), "{error}");
        assert!(split.store(vec![session("2025-06-27", 1.0)]).is_err(), "nor is it overwritten");
        fs::write(split.folder().join("2025-06.parquet"), "PAR1").unwrap();
        assert!(split.sessions(ALL).unwrap_err().to_string().contains("2025-06.parquet"));
    }

    #[test]
    fn one_program_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), Adjustment::Split);
        let lock = shelf.lock(|| panic!("nobody else is here")).unwrap();
        let waited = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other =
                scope.spawn(|| shelf.lock(|| waited.store(true, std::sync::atomic::Ordering::SeqCst)).map(drop));
            while !waited.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(lock);
            other.join().unwrap().unwrap();
        });
    }
}
