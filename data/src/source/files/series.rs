//! One series of minute bars: a file, or a folder of Parquet files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    bar_cells::BarCells,
    cells::{guarded, unreadable},
    csv, is_csv,
    named::NamedColumns,
    parquet,
};
use crate::{
    BarColumn, BarColumns, BarFormat, Bars, DataError, FileRecord, Symbol, Window, calendar::MINUTE_NS,
    columns::KnownRow,
};

/// Deepest folder below that of a series, as in `SPY_1m/year=2025/month=06/date=2025-06-02/`.
const DEEPEST: usize = 4;

/// Bars of one symbol, and the files that held them.
pub(super) struct Series {
    pub(super) bars: Bars,
    pub(super) records: Vec<FileRecord>,
    /// Whether the files state the zone of their times, or an instant since the epoch.
    pub(super) states_zone: bool,
    /// Columns that are not read.
    pub(super) unused: BTreeSet<String>,
    /// Values of the further columns that the format names, known at the end of their bars.
    pub(super) own: BTreeMap<String, Vec<KnownRow>>,
}

impl Series {
    /// Reads a file or a folder, of Parquet files only the rows from those of `window` on. An absent volume is zero unless
    /// `with_volume` asks for it.
    ///
    /// # Errors
    /// A file that cannot be read, a bad column, cell or row, or two files with bars of the same time.
    pub(super) fn read(
        path: &Path,
        symbol: &Symbol,
        format: &BarFormat,
        with_volume: bool,
        window: &Window,
    ) -> Result<Self, DataError> {
        let read =
            |file: &Path| Self::of_cells(file, symbol, format, cells(file, &format.columns, with_volume, window)?);
        if !path.is_dir() {
            return read(path);
        }
        let files = parquet_files(path, 0)?;
        let parts: Vec<Self> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
        Self::joined(path, symbol, parts)
    }

    fn of_cells(path: &Path, symbol: &Symbol, format: &BarFormat, mut cells: BarCells) -> Result<Self, DataError> {
        let unused = std::mem::take(&mut cells.unused).into_iter().filter(|name| !format.own.contains(name)).collect();
        let states_zone = cells.times.clock.is_none();
        let (columns, note) = cells.bars(path, format)?;
        let records = vec![FileRecord::new(path, columns.ts_ns.len(), note)];
        let bars = Bars::new(symbol.clone(), &path.display().to_string(), columns)?;
        let own = own_columns(path, format, bars.ts_ns())?;
        Ok(Self { bars, records, states_zone, unused, own })
    }

    /// Joins the files of a folder in the order of their times.
    fn joined(folder: &Path, symbol: &Symbol, mut parts: Vec<Self>) -> Result<Self, DataError> {
        let origin = folder.display().to_string();
        if parts.is_empty() {
            return Err(DataError::EmptyFolder { path: origin });
        }
        parts.retain(|part| !part.bars.is_empty());
        parts.sort_by_key(|part| part.bars.ts_ns()[0]);
        let overlap = parts.windows(2).find(|pair| pair[0].bars.ts_ns().last() >= pair[1].bars.ts_ns().first());
        if let Some([first, second]) = overlap {
            let name = |part: &Self| part.bars.origin().to_owned();
            return Err(DataError::Overlap { first: name(first), second: name(second) });
        }
        let states_zone = parts.iter().all(|part| part.states_zone);
        let (mut columns, mut records, mut unused) = (BarColumns::default(), Vec::new(), BTreeSet::new());
        let mut own: BTreeMap<String, Vec<KnownRow>> = BTreeMap::new();
        for part in parts {
            append(&mut columns, part.bars.into_columns());
            records.extend(part.records.into_iter().map(|file| FileRecord { folder: Some(origin.clone()), ..file }));
            unused.extend(part.unused);
            part.own.into_iter().for_each(|(name, rows)| own.entry(name).or_default().extend(rows));
        }
        Ok(Self { bars: Bars::new(symbol.clone(), &origin, columns)?, records, states_zone, unused, own })
    }
}

/// Reads the further columns that the format names; each value is known at the end of its bar.
fn own_columns(path: &Path, format: &BarFormat, starts: &[i64]) -> Result<BTreeMap<String, Vec<KnownRow>>, DataError> {
    if format.own.is_empty() {
        return Ok(BTreeMap::new());
    }
    let columns = NamedColumns::open(path, "data.own_columns")?;
    let of_name = |name: &String| {
        let row = |(&event_ns, value)| KnownRow { event_ns, known_ns: event_ns + MINUTE_NS, value };
        Ok::<_, DataError>((name.clone(), starts.iter().zip(columns.numbers(name)?).map(row).collect()))
    };
    format.own.iter().map(of_name).collect()
}

/// Reads the cells of one file, of a Parquet file only those of the rows that `window` needs.
pub(super) fn cells(
    path: &Path,
    named: &BTreeMap<String, BarColumn>,
    with_volume: bool,
    window: &Window,
) -> Result<BarCells, DataError> {
    guarded(path, || match is_csv(path) {
        true => csv::bars(path, named, with_volume),
        false => parquet::bars(path, named, with_volume, window),
    })
}

fn append(columns: &mut BarColumns, mut later: BarColumns) {
    columns.ts_ns.append(&mut later.ts_ns);
    for (column, later) in [
        (&mut columns.open, &mut later.open),
        (&mut columns.high, &mut later.high),
        (&mut columns.low, &mut later.low),
        (&mut columns.close, &mut later.close),
        (&mut columns.volume, &mut later.volume),
    ] {
        column.append(later);
    }
}

/// Returns the Parquet files in a folder and its subfolders, in the order of their names. Hidden files and those that begin
/// with `_`, as Spark writes them, are left out.
fn parquet_files(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, DataError> {
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .map_err(|error| unreadable(folder, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() && depth < DEEPEST {
            files.extend(parquet_files(&path, depth + 1)?);
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            files.push(path);
        }
    }
    Ok(files)
}
