//! Parquet files, read with polars.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use jiff::{
    ToSpan,
    civil::{Date, date},
};
use polars_core::prelude::{ArrowDataType, Column, DataFrame, DataType, StringChunked, TimeUnit};
use polars_io::prelude::{ParquetReader, SerReader};

use super::{
    EXPECTED_DATE, EXPECTED_NUMBER, EXPECTED_TIME,
    bar_cells::BarCells,
    cells::{DailyColumns, bad_cell, require, unreadable},
    clock::{Clock, FileTimes},
    columns::BarNames,
    epoch, needed,
    plain_types::plain,
};
use crate::{BarColumn, DataError, Window, bar_format::clock_time, input_file};

/// Reads bars. `named` holds meanings of columns by their names in the file.
///
/// Rows before those of `window` are left out.
pub(super) fn bars(
    path: &Path,
    named: &BTreeMap<String, BarColumn>,
    with_volume: bool,
    window: &Window,
) -> Result<BarCells, DataError> {
    let mut reader = open(path)?;
    let found = columns_of(path, &mut reader)?;
    let are_times = date_times(path, &mut reader)?;
    let names = BarNames::find(path, &found, named, with_volume, |at| are_times[at])?;
    let in_file: Vec<&str> = names.positions().into_iter().map(|at| found[at].as_str()).collect();
    let table = read(path, reader, &in_file[..1])?;
    let mut times = times(path, column(path, &table, in_file[0])?)?;
    let first = needed::rows_before(window, &times.ns);
    times.ns.drain(..first);
    let table = read(path, open(path)?.with_slice(Some((first, times.ns.len()))), &in_file[1..])?;
    let mut cells = Vec::with_capacity(5);
    for (meaning, name) in names.meanings().into_iter().zip(in_file).skip(1) {
        let column = column(path, &table, name)?;
        if meaning != "volume" || with_volume || !is_empty(path, column)? {
            cells.push(numbers(path, meaning, column)?);
        }
    }
    Ok(BarCells { times, numbers: cells, renamed: names.note(), unused: names.unused(&found) })
}

/// Returns true for a column of null and NaN cells only.
fn is_empty(path: &Path, column: &Column) -> Result<bool, DataError> {
    let missing = |value: &Option<f64>| value.is_none_or(f64::is_nan);
    Ok(column.null_count() == column.len() || optional_numbers(path, "volume", column)?.iter().all(missing))
}

/// Returns the texts of one column; an empty text where the cell is null.
pub(super) fn texts(path: &Path, name: &str) -> Result<Vec<String>, DataError> {
    let table = read(path, open(path)?, &[name])?;
    let column = column(path, &table, name)?;
    let texts = column.str().map_err(|_| wrong_type(path, "symbol", column, "text"))?;
    Ok(texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// Returns the numbers of a column; `None` for an empty cell.
pub(super) fn numbers_of(path: &Path, name: &str) -> Result<Vec<Option<f64>>, DataError> {
    let table = read(path, open(path)?, &[name])?;
    optional_numbers(path, "value", column(path, &table, name)?)
}

/// Returns the times of a column.
pub(super) fn times_of(path: &Path, name: &str) -> Result<FileTimes, DataError> {
    let table = read(path, open(path)?, &[name])?;
    times(path, column(path, &table, name)?)
}

/// Returns the dates of a column; `None` if it is not one of dates.
pub(super) fn dates_of(path: &Path, name: &str) -> Result<Option<Vec<Date>>, DataError> {
    let table = read(path, open(path)?, &[name])?;
    let column = column(path, &table, name)?;
    if *column.dtype() != DataType::Date {
        return Ok(None);
    }
    filled(path, "date", dates(path, "date", column)?, EXPECTED_DATE).map(Some)
}

/// Reads daily closes.
pub(in crate::source) fn daily(path: &Path) -> Result<DailyColumns, DataError> {
    let mut reader = open(path)?;
    let names = ["date", "close"];
    require(path, &columns_of(path, &mut reader)?, &names)?;
    let table = read(path, reader, &names)?;
    let days = dates(path, "date", column(path, &table, "date")?)?;
    let date = filled(path, "date", days, EXPECTED_DATE)?;
    Ok(DailyColumns { date, close: numbers(path, "close", column(path, &table, "close")?)? })
}

/// Some columns of a file.
pub(in crate::source) struct Table {
    path: PathBuf,
    table: DataFrame,
}

impl Table {
    pub(in crate::source) fn read(path: &Path, names: &[&'static str]) -> Result<Self, DataError> {
        Ok(Self { path: path.to_owned(), table: read(path, open(path)?, names)? })
    }

    pub(in crate::source) fn column(&self, name: &str) -> Result<&Column, DataError> {
        column(&self.path, &self.table, name)
    }

    /// Returns the number of rows.
    pub(in crate::source) fn height(&self) -> usize {
        self.table.height()
    }

    /// Returns the column `timestamp` in UTC nanoseconds, and its detected format.
    pub(in crate::source) fn timestamps(&self) -> Result<(Vec<i64>, String), DataError> {
        times(&self.path, self.column("timestamp")?)?.into_utc(&self.path, None)
    }

    pub(in crate::source) fn texts(&self, name: &'static str) -> Result<&StringChunked, DataError> {
        let column = self.column(name)?;
        column.str().map_err(|_| wrong_type(&self.path, name, column, "text"))
    }

    pub(in crate::source) fn dates(&self, name: &'static str) -> Result<Vec<Option<Date>>, DataError> {
        dates(&self.path, name, self.column(name)?)
    }

    pub(in crate::source) fn numbers(&self, name: &'static str) -> Result<Vec<Option<f64>>, DataError> {
        optional_numbers(&self.path, name, self.column(name)?)
    }
}

/// Returns the names of a file's columns.
pub(in crate::source) fn header(path: &Path) -> Result<Vec<String>, DataError> {
    columns_of(path, &mut open(path)?)
}

fn open(path: &Path) -> Result<ParquetReader<File>, DataError> {
    input_file::open(path).map(ParquetReader::new).map_err(|error| unreadable(path, error))
}

fn columns_of(path: &Path, reader: &mut ParquetReader<File>) -> Result<Vec<String>, DataError> {
    let schema = reader.schema().map_err(|error| unreadable(path, error))?;
    Ok(schema.iter_names().map(ToString::to_string).collect())
}

/// Returns which columns of a file are date-times.
fn date_times(path: &Path, reader: &mut ParquetReader<File>) -> Result<Vec<bool>, DataError> {
    let schema = reader.schema().map_err(|error| unreadable(path, error))?;
    Ok(schema.iter_values().map(|field| matches!(field.dtype, ArrowDataType::Timestamp(..))).collect())
}

fn read(path: &Path, reader: ParquetReader<File>, names: &[&str]) -> Result<DataFrame, DataError> {
    let names = names.iter().map(ToString::to_string).collect();
    let table = reader.with_columns(Some(names)).finish().and_then(plain);
    table.map_err(|error| unreadable(path, error))
}

fn column<'a>(path: &Path, table: &'a DataFrame, name: &str) -> Result<&'a Column, DataError> {
    table.column(name).map_err(|error| unreadable(path, error))
}

/// Reads a column of times, which may lack a zone.
fn times(path: &Path, column: &Column) -> Result<FileTimes, DataError> {
    let name = "timestamp";
    let (unit, zone) = match column.dtype() {
        DataType::Datetime(unit, zone) => (*unit, zone),
        DataType::Int64 | DataType::UInt64 | DataType::Int32 | DataType::UInt32 => {
            let values = integers(path, name, column, EXPECTED_TIME)?;
            let (ns, form) = epoch::to_ns(&values)
                .map_err(|(at, expected)| bad_cell(path, at + 1, name, &values[at].to_string(), expected))?;
            return Ok(FileTimes { ns, form: form.to_owned(), clock: None });
        }
        _ => return Err(wrong_type(path, name, column, "a date-time or an integer")),
    };
    let factor = match unit {
        TimeUnit::Milliseconds => 1_000_000,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Nanoseconds => 1,
    };
    let values = integers(path, name, column, EXPECTED_TIME)?;
    let in_range = |(at, value): (usize, &i64)| {
        value.checked_mul(factor).ok_or_else(|| bad_cell(path, at + 1, name, &value.to_string(), "a time after 1677"))
    };
    let ns: Vec<i64> = values.iter().enumerate().map(in_range).collect::<Result<_, _>>()?;
    let (form, clock) = match zone {
        Some(zone) => (format!("date-time in {unit}, zone {zone}"), None),
        None => {
            let first = ns.first().map(|&ns| clock_time(ns).to_string()).unwrap_or_default();
            (format!("date-time in {unit} without a zone"), Some(Clock { first, utc_by_default: true }))
        }
    };
    Ok(FileTimes { ns, form, clock })
}

fn dates(path: &Path, name: &'static str, column: &Column) -> Result<Vec<Option<Date>>, DataError> {
    if *column.dtype() != DataType::Date {
        return Err(wrong_type(path, name, column, EXPECTED_DATE));
    }
    let epoch = date(1970, 1, 1);
    let days = optional_integers(path, column)?;
    Ok(days.into_iter().map(|day| day.map(|day| epoch.saturating_add(day.days()))).collect())
}

fn integers(path: &Path, name: &'static str, column: &Column, expected: &'static str) -> Result<Vec<i64>, DataError> {
    filled(path, name, optional_integers(path, column)?, expected)
}

pub(in crate::source) fn optional_integers(path: &Path, column: &Column) -> Result<Vec<Option<i64>>, DataError> {
    let cast = column.to_physical_repr().cast(&DataType::Int64).map_err(|error| unreadable(path, error))?;
    Ok(cast.i64().map_err(|error| unreadable(path, error))?.iter().collect())
}

fn numbers(path: &Path, name: &'static str, column: &Column) -> Result<Vec<f64>, DataError> {
    filled(path, name, optional_numbers(path, name, column)?, EXPECTED_NUMBER)
}

fn optional_numbers(path: &Path, name: &'static str, column: &Column) -> Result<Vec<Option<f64>>, DataError> {
    if !column.dtype().is_primitive_numeric() {
        return Err(wrong_type(path, name, column, EXPECTED_NUMBER));
    }
    let cast = column.cast(&DataType::Float64).map_err(|error| unreadable(path, error))?;
    Ok(cast.f64().map_err(|error| unreadable(path, error))?.iter().collect())
}

/// Refuses empty cells.
fn filled<T>(
    path: &Path,
    name: &'static str,
    cells: Vec<Option<T>>,
    expected: &'static str,
) -> Result<Vec<T>, DataError> {
    let rows = cells.into_iter().enumerate();
    rows.map(|(at, cell)| cell.ok_or_else(|| bad_cell(path, at + 1, name, "", expected))).collect()
}

pub(in crate::source) fn wrong_type(
    path: &Path,
    name: &'static str,
    column: &Column,
    expected: &'static str,
) -> DataError {
    let found = format!("of type {}", column.dtype());
    DataError::ColumnType { path: path.display().to_string(), column: name, found, expected }
}
