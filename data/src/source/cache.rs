//! Cache of fetched data: one Parquet file per vendor, adjustment, series and month, readable by polars and pandas.
//!
//! `<data dir>/massive/split/minute/SPY/2025-06.parquet` holds the regular-hours minutes of June 2025. Its footer, under the
//! key `zerodte`, lists the complete sessions, the times at which they were fetched, and the hashes of the response bodies.
//! Rows and record share one file, written under another name and renamed, so that an interruption cannot separate them.
//! Series with different adjustments lie in different folders and are never read together.

mod month;
pub(super) mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::civil::Date;

use super::vendor::{Adjustment, Row, VendorError};
use crate::{BarColumns, Bars, DailySeries, DataError, DateRange, FileRecord, Symbol, calendar};

pub(crate) use self::month::replace;
pub use self::{
    month::{MonthRecord, SessionRecord},
    rows::{CachedRow, OptionRow},
};

/// Cache in a data directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Contents of a series.
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
    /// Serialises changes of months.
    writing: Mutex<()>,
}

/// Lock of a series against changes by other programs.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Cache {
    /// Returns the cache in a data directory, which need not exist yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the folder of a vendor.
    #[must_use]
    pub fn folder(&self, vendor: &str) -> PathBuf {
        self.root.join(vendor)
    }

    /// Returns the file with the times of calls to a vendor.
    #[must_use]
    pub fn calls(&self, vendor: &str) -> PathBuf {
        self.folder(vendor).join("calls")
    }

    /// Returns one series.
    #[must_use]
    pub fn series(&self, vendor: &'static str, adjustment: Adjustment, kind: Kind, symbol: &Symbol) -> CachedSeries {
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

    /// Returns the path of an index's daily closes.
    #[must_use]
    pub fn daily(&self, vendor: &str, symbol: &Symbol) -> PathBuf {
        self.folder(vendor).join("day").join(format!("{symbol}.parquet"))
    }

    /// Reads the daily closes of an index between two dates, and a record of the file; `None` if there is none.
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

    /// Adds daily closes of an index, requested from `asked_from` on, to the cached ones.
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
        // Older closes are kept: the plan may no longer reach them.
        let mut all = if path.exists() { month::read_daily(&path)? } else { Vec::new() }.into_iter().collect();
        BTreeMap::extend(&mut all, days.iter().copied());
        month::write_daily(&path, &all.into_iter().collect::<Vec<_>>(), asked_from)
    }

    /// Returns the first requested date of an index's daily closes, if they are cached. The vendor may have none so early.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn daily_asked_from(&self, vendor: &str, symbol: &Symbol) -> Result<Option<Date>, DataError> {
        let path = self.daily(vendor, symbol);
        if path.exists() { month::read_asked_from(&path).map(Some) } else { Ok(None) }
    }
}

impl CachedSeries {
    /// Returns the folder of the months.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Locks the series against other programs, waiting for them if necessary. `waiting` is called before a wait.
    ///
    /// # Errors
    /// A folder that cannot be created or locked.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock, VendorError> {
        let fault = |doing| {
            let path = self.folder.clone();
            move |source| VendorError::Cache { path, doing, source }
        };
        fs::create_dir_all(&self.folder).map_err(fault("creating the folder"))?;
        let path = self.folder.join(".lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = open.map_err(fault("opening the lock file"))?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().map_err(fault("locking"))?;
        }
        // Under the lock no other program writes here: partial files of a killed program can be removed.
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|ending| ending.to_string_lossy().starts_with("part-")) {
                fs::remove_file(path).map_err(fault("removing a partial file"))?;
            }
        }
        Ok(Lock(file))
    }

    /// Returns the file of the month in which a date lies.
    fn path(&self, date: Date) -> PathBuf {
        self.folder.join(format!("{}.parquet", date.strftime("%Y-%m")))
    }

    /// Returns the cached months, ascending, by their first days.
    fn months(&self) -> Vec<Date> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let month = |name: String| format!("{}-01", name.strip_suffix(".parquet")?).parse::<Date>().ok();
        let months = entries.filter_map(|entry| month(entry.file_name().to_string_lossy().into_owned()));
        months.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the complete sessions between two dates.
    ///
    /// # Errors
    /// A file that does not belong to this series.
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
    /// A file that does not belong to this series.
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

    /// Reads the record of a month and checks that it belongs to this series.
    fn record(&self, path: &Path) -> Result<MonthRecord, DataError> {
        let record = month::read_record(path)?;
        let here = (self.vendor, self.adjustment.name(), self.symbol.as_str());
        if (record.vendor.as_str(), record.adjustment.as_str(), record.symbol.as_str()) != here {
            let (path, series) = (path.display().to_string(), format!("{} {}", record.vendor, record.symbol));
            return Err(DataError::Mixed { path, series, adjustment: record.adjustment });
        }
        Ok(record)
    }

    /// Stores complete sessions in their months, replacing earlier versions of them.
    ///
    /// # Errors
    /// A month that cannot be read or written; its file is then unchanged.
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
    /// A file that cannot be read or does not belong to this series.
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

    /// Reads the bars of the sessions between two dates, and records of the files.
    ///
    /// # Errors
    /// A file that cannot be read or does not belong to this series; contradictory rows.
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

    fn series(folder: &Path, adjustment: Adjustment) -> CachedSeries {
        Cache::new(folder).series("massive", adjustment, Kind::Minute, &Symbol::new("SPY").unwrap())
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
    fn stored_sessions_are_read_back_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let series = series(folder.path(), Adjustment::Split);
        assert_eq!((series.span().unwrap(), series.sessions(ALL).unwrap().len()), (None, 0));
        series.store(vec![session("2025-06-30", 10.0), session("2025-07-01", 10.5)]).unwrap();
        series
            .store(vec![session("2025-06-27", 9.5), (date("2025-06-26"), SessionRecord::default(), Vec::<Row>::new())])
            .unwrap();
        let sessions = series.sessions(ALL).unwrap();
        assert_eq!(sessions.values().map(|record| record.rows).collect::<Vec<_>>(), [0, 3, 3, 3]);
        assert_eq!(series.span().unwrap(), Some(DateRange { first: date("2025-06-27"), last: date("2025-07-01") }));
        let rows: Vec<Row> = series.rows(ALL).unwrap();
        assert_eq!(rows[..3], session("2025-06-27", 9.5).2, "nothing is lost or rounded");
        let (bars, files) = series.bars(DateRange { first: date("2025-06-30"), last: date("2025-07-09") }).unwrap();
        assert_eq!((bars.len(), files.len(), bars.close()[0], bars.volume()[0]), (6, 2, 10.0, 0.0));
        assert!(files[0].note.contains("split-adjusted") && files[0].digest != files[1].digest);

        series.store(vec![session("2025-06-30", 10.7)]).unwrap();
        let rows: Vec<Row> = series.rows(ALL).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.close).collect::<Vec<_>>(),
            [9.5, 9.5, 9.5, 10.7, 10.7, 10.7, 10.5, 10.5, 10.5]
        );
        let left: Vec<_> = fs::read_dir(series.folder()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
    }

    #[test]
    fn a_digest_covers_the_rows_in_use_only() {
        let folder = tempfile::tempdir().unwrap();
        let series = series(folder.path(), Adjustment::Split);
        series.store(vec![session("2025-06-27", 10.0)]).unwrap();
        let until = DateRange { first: date("2025-06-01"), last: date("2025-06-27") };
        let before = series.bars(until).unwrap().1[0].digest.clone();
        series.store(vec![session("2025-06-30", 10.0)]).unwrap();
        assert_eq!(
            series.bars(until).unwrap().1[0].digest,
            before,
            "a longer month has the same digest up to the same day"
        );
        assert!(before.is_some());
    }

    #[test]
    fn files_of_another_series_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (split, raw) = (series(folder.path(), Adjustment::Split), series(folder.path(), Adjustment::Raw));
        raw.store(vec![session("2025-06-30", 10.0)]).unwrap();
        fs::create_dir_all(split.folder()).unwrap();
        fs::copy(raw.folder().join("2025-06.parquet"), split.folder().join("2025-06.parquet")).unwrap();
        let error = split.bars(ALL).unwrap_err().to_string();
        assert!(error.contains("raw prices of massive SPY"), "{error}");
        assert!(split.store(vec![session("2025-06-27", 1.0)]).is_err(), "the file is not overwritten");
        fs::write(split.folder().join("2025-06.parquet"), "PAR1").unwrap();
        assert!(split.sessions(ALL).unwrap_err().to_string().contains("2025-06.parquet"));
    }

    #[test]
    fn one_program_writes_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let series = series(folder.path(), Adjustment::Split);
        let lock = series.lock(|| panic!("no other program holds the lock")).unwrap();
        let waited = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other =
                scope.spawn(|| series.lock(|| waited.store(true, std::sync::atomic::Ordering::SeqCst)).map(drop));
            while !waited.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(lock);
            other.join().unwrap().unwrap();
        });
    }
}
