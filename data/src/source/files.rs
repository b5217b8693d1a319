//! Bars from a folder of Parquet or CSV files.
//!
//! `SPY_1m.parquet`, `SPY_1m.csv` or `SPY_1m.csv.gz` holds the minute bars of SPY in the columns timestamp, open, high, low,
//! close and volume, or in columns that are recognised as such; others are not read. A folder `SPY_1m` of Parquet files is
//! one series, too. `VIX1D_1m` and `VIX_1m` (volume optional) and `VIX_1d` (date, close) are optional. Files of vendors are
//! imported into such a folder.
//!
//! Each series is compared with the exchange's day: bars of another interval, times in a wrong zone, stamps of the end, prices off
//! by a factor and impossible levels of volatility are refused with a way out.

mod bar_cells;
pub(super) mod cells;
mod clock;
mod columns;
pub(super) mod csv;
mod epoch;
mod exchange_day;
#[cfg(test)]
mod fault_tests;
pub mod import;
#[cfg(test)]
mod load_tests;
pub(super) mod named;
mod needed;
pub(super) mod parquet;
pub mod placement;
mod plain_types;
mod price_unit;
mod series;
pub(super) mod suspicion;
pub(super) mod trust;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use self::{
    cells::guarded,
    series::Series,
    trust::{Check, Trust},
};
use super::check_symbols;
use crate::{
    BarFormat, Bars, DailySeries, DataError, FileRecord, History, Symbol, Volatility, Window, calendar,
    columns::{ColumnInputs, KnownSeries, Validity},
    error::listed_or_nothing,
};

/// Endings of files.
const ENDINGS: [&str; 3] = [".parquet", ".csv", ".csv.gz"];
/// Expected content of a numeric cell.
pub(super) const EXPECTED_NUMBER: &str = "a number";
/// Expected form of a time stamp.
const EXPECTED_TIME: &str = "RFC 3339 with an offset, or epoch seconds, milliseconds, microseconds or nanoseconds";
/// Expected form of a date.
pub(super) const EXPECTED_DATE: &str = "a date such as 2025-06-30";

/// Reads the minute bars of `symbols`, and the volatility indices that the folder holds, in the default form.
///
/// # Errors
/// As for [`load_in`].
pub fn load(dir: &Path, symbols: &[Symbol]) -> Result<History, DataError> {
    load_in(dir, symbols, &BarFormat::default())
}

/// Reads the minute bars of `symbols`, and the volatility indices that the folder holds. All files of minute bars have the
/// form `format`.
///
/// # Errors
/// A folder or file that is missing or unreadable, a column that is missing or of the wrong type, a bad cell or row, times that
/// contradict the exchange's day, prices off by a factor; the message names file, row and column.
pub fn load_in(dir: &Path, symbols: &[Symbol], format: &BarFormat) -> Result<History, DataError> {
    load_window(dir, symbols, &[], format, &Window::default())
}

/// As [`load_in`], for a run on the dates of `window`: Parquet files are read from the history of the first date on, and earlier rows
/// are neither read nor checked. Also reads the minute bars of other symbols, `cross`, that become columns: indices of volatility too.
///
/// # Errors
/// As for [`load_in`].
pub fn load_window(
    dir: &Path,
    symbols: &[Symbol],
    cross: &[Symbol],
    format: &BarFormat,
    window: &Window,
) -> Result<History, DataError> {
    check_symbols(symbols)?;
    let mut folder = Folder::open(dir, format, window)?;
    let bars = symbols.iter().map(|symbol| folder.minute_bars(symbol)).collect::<Result<Vec<_>, _>>()?;
    // Days are counted from the last bar of a symbol, before which an index may end.
    let last = bars.iter().filter_map(|bars| bars.ts_ns().last()).max();
    folder.window.to = window.to.or(last.map(|&last| calendar::exchange_date(last)));
    let plain = BarFormat { own: BTreeSet::new(), ..format.clone() };
    let mut beside = Folder::open(dir, &plain, &folder.window)?;
    let cross = cross.iter().map(|symbol| beside.cross_bars(symbol)).collect::<Result<Vec<_>, _>>()?;
    let vix1d = folder.index(&Symbol::new("VIX1D")?)?;
    let vix = folder.index(&Symbol::new("VIX")?)?;
    let vix_daily = folder.daily("VIX_1d")?;
    let volatility = Volatility::new(vix1d.as_ref(), vix.as_ref(), vix_daily);
    folder.read.extend(beside.read.drain(..).filter(|file| !folder.read.contains(file)).collect::<Vec<_>>());
    let files = std::mem::take(&mut folder.read);
    let columns = ColumnInputs { series: std::mem::take(&mut folder.own), cross };
    let notes = folder.into_notes().into_iter().chain(beside.trust.into_notes()).collect();
    Ok(History { bars, volatility, files, synthetic: false, notes, columns })
}

/// A folder, and records of the files read from it.
struct Folder<'a> {
    dir: &'a Path,
    format: &'a BarFormat,
    /// Dates of the run.
    window: Window,
    /// Names of its files, ascending.
    names: BTreeSet<String>,
    read: Vec<FileRecord>,
    /// Columns that are not read.
    unused: BTreeSet<String>,
    trust: Trust,
    /// Further columns of the bars that the format names.
    own: Vec<KnownSeries>,
}

impl<'a> Folder<'a> {
    fn open(dir: &'a Path, format: &'a BarFormat, window: &Window) -> Result<Self, DataError> {
        let fault = |source| DataError::Folder { path: dir.display().to_string(), source };
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(dir).map_err(fault)? {
            names.insert(entry.map_err(fault)?.file_name().to_string_lossy().into_owned());
        }
        Ok(Self {
            dir,
            format,
            window: window.clone(),
            names,
            read: Vec::new(),
            unused: BTreeSet::new(),
            trust: Trust::new(format.clone()),
            own: Vec::new(),
        })
    }

    /// Returns the file with the stem `stem`, or the folder of that name, if one exists.
    fn find(&self, stem: &str) -> Result<Option<PathBuf>, DataError> {
        let file = |ending: &str| {
            let name = format!("{stem}{ending}");
            self.names.contains(&name).then(|| self.dir.join(name))
        };
        let files = ENDINGS.into_iter().filter_map(file);
        let mut found = files.chain(file("").filter(|path| path.is_dir()));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                Err(DataError::TwoFiles { first: first.display().to_string(), second: second.display().to_string() })
            }
            (first, _) => Ok(first),
        }
    }

    fn minute_bars(&mut self, symbol: &Symbol) -> Result<Bars, DataError> {
        let path = self.find(&format!("{symbol}_1m"))?.ok_or_else(|| self.missing(symbol))?;
        self.trusted(&path, symbol, self.format, !symbol.is_index(), Trust::bars)
    }

    fn missing(&self, symbol: &Symbol) -> DataError {
        DataError::MissingFile {
            wanted: format!("{symbol}_1m.parquet"),
            folder: self.dir.display().to_string(),
            available: self.symbols(),
        }
    }

    /// Returns the minute bars of a symbol whose bars are columns only.
    fn cross_bars(&mut self, symbol: &Symbol) -> Result<Bars, DataError> {
        if !symbol.as_str().starts_with("VIX") {
            return self.minute_bars(symbol);
        }
        self.index(symbol)?.ok_or_else(|| self.missing(symbol))
    }

    /// Returns the minute bars of an index of volatility, which are optional.
    fn index(&mut self, symbol: &Symbol) -> Result<Option<Bars>, DataError> {
        let Some(path) = self.find(&format!("{symbol}_1m"))? else { return Ok(None) };
        let plain = BarFormat { own: BTreeSet::new(), ..self.format.clone() };
        self.trusted(&path, symbol, &plain, false, Trust::index).map(Some)
    }

    /// Reads a series and checks it. Where the rows of the run's dates raise a doubt the whole file is read, so that errors count rows
    /// from its first; so is a file with further columns.
    fn trusted(
        &mut self,
        path: &Path,
        symbol: &Symbol,
        format: &BarFormat,
        with_volume: bool,
        check: Check,
    ) -> Result<Bars, DataError> {
        let origin = path.display().to_string();
        let read = |window: &Window| Series::read(path, symbol, format, with_volume, window);
        if self.window != Window::default() && format.own.is_empty() {
            let mut strict = Trust::new(BarFormat { allow_suspicious: false, ..format.clone() });
            let trusts = |series: &Series| check(&mut strict, &origin, &series.bars, series.states_zone).is_ok();
            if let Some(series) = read(&self.window).ok().filter(trusts) {
                return self.keep(series);
            }
        }
        let series = read(&Window::default())?;
        check(&mut self.trust, &origin, &series.bars, series.states_zone)?;
        self.keep(series)
    }

    fn daily(&mut self, stem: &str) -> Result<Option<DailySeries>, DataError> {
        let Some(path) = self.find(stem)? else { return Ok(None) };
        let columns = guarded(&path, || if is_csv(&path) { csv::daily(&path) } else { parquet::daily(&path) })?;
        self.read.push(FileRecord::new(&path, columns.date.len(), "daily closes".to_owned()));
        let origin = path.display().to_string();
        let series = DailySeries::new(&origin, columns.date, columns.close)?;
        self.trust.closes(&origin, &series)?;
        Ok(Some(series))
    }

    /// Keeps records and further columns of a series, and returns its bars.
    fn keep(&mut self, series: Series) -> Result<Bars, DataError> {
        let Series { bars, records, unused, own, .. } = series;
        self.read.extend(records);
        self.unused.extend(unused);
        for (name, rows) in own {
            let symbol = Some(bars.symbol().clone());
            self.own.push(KnownSeries::new(name, symbol, bars.origin(), Validity::Session, rows)?);
        }
        Ok(bars)
    }

    /// Returns sentences on what was allowed, and on columns that are not read.
    fn into_notes(self) -> Vec<String> {
        let names: Vec<String> = self.unused.into_iter().collect();
        let unused = (!names.is_empty())
            .then(|| format!("columns of bar files that are not used: {}", listed_or_nothing(&names)));
        self.trust.into_notes().into_iter().chain(unused).collect()
    }

    /// Returns the symbols with minute bars in the folder, without the volatility indices.
    fn symbols(&self) -> Vec<String> {
        let stems = self.names.iter().filter_map(|name| {
            let stem = ENDINGS.into_iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
            stem.strip_suffix("_1m").map(str::to_owned)
        });
        stems.filter(|stem| !stem.starts_with("VIX")).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Returns true for a CSV file, packed or not.
pub(super) fn is_csv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}
