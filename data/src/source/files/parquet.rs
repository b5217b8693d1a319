//! Parquet files, read with polars.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use jiff::{
    ToSpan,
    civil::{Date, date},
};
use polars::prelude::{Column, DataFrame, DataType, ParquetReader, SerReader, StringChunked, TimeUnit};

use super::{
    EXPECTED_DATE, EXPECTED_NUMBER, EXPECTED_TIME,
    cells::{DailyColumns, bad_cell, bar_columns, require, unreadable, wanted},
    epoch,
};
use crate::{BarColumns, DataError};

/// Reads bars, and returns the detected format of the time stamps.
pub(super) fn bars(path: &Path, with_volume: bool) -> Result<(BarColumns, String), DataError> {
    let mut reader = open(path)?;
    let names = wanted(path, &columns_of(path, &mut reader)?, with_volume)?;
    let table = read(path, reader, &names)?;
    let (ts_ns, note) = timestamps(path, column(path, &table, "timestamp")?)?;
    let numbers =
        names[1..].iter().map(|name| numbers(path, name, column(path, &table, name)?)).collect::<Result<_, _>>()?;
    Ok((bar_columns(ts_ns, numbers), note))
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

    fn column(&self, name: &str) -> Result<&Column, DataError> {
        column(&self.path, &self.table, name)
    }

    /// Returns the column `timestamp` in UTC nanoseconds, and its detected format.
    pub(in crate::source) fn timestamps(&self) -> Result<(Vec<i64>, String), DataError> {
        timestamps(&self.path, self.column("timestamp")?)
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
    File::open(path).map(ParquetReader::new).map_err(|error| unreadable(path, error))
}

fn columns_of(path: &Path, reader: &mut ParquetReader<File>) -> Result<Vec<String>, DataError> {
    let schema = reader.schema().map_err(|error| unreadable(path, error))?;
    Ok(schema.iter_names().map(ToString::to_string).collect())
}

fn read(path: &Path, reader: ParquetReader<File>, names: &[&'static str]) -> Result<DataFrame, DataError> {
    let names = names.iter().map(ToString::to_string).collect();
    reader.with_columns(Some(names)).finish().map_err(|error| unreadable(path, error))
}

fn column<'a>(path: &Path, table: &'a DataFrame, name: &str) -> Result<&'a Column, DataError> {
    table.column(name).map_err(|error| unreadable(path, error))
}

fn timestamps(path: &Path, column: &Column) -> Result<(Vec<i64>, String), DataError> {
    let name = "timestamp";
    let (unit, zone) = match column.dtype() {
        DataType::Datetime(unit, zone) => (*unit, zone),
        DataType::Int64 | DataType::UInt64 | DataType::Int32 | DataType::UInt32 => {
            let values = integers(path, name, column, EXPECTED_TIME)?;
            let (ns, note) = epoch::to_ns(&values)
                .map_err(|at| bad_cell(path, at + 1, name, &values[at].to_string(), "the unit of row 1"))?;
            return Ok((ns, note.to_owned()));
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
    let ns = values.iter().enumerate().map(in_range).collect::<Result<_, _>>()?;
    let note = match zone {
        Some(zone) => format!("date-time in {unit}, zone {zone}"),
        None => format!("date-time in {unit} without a zone, taken as UTC"),
    };
    Ok((ns, note))
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

fn optional_integers(path: &Path, column: &Column) -> Result<Vec<Option<i64>>, DataError> {
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

fn wrong_type(path: &Path, name: &'static str, column: &Column, expected: &'static str) -> DataError {
    let found = format!("of type {}", column.dtype());
    DataError::ColumnType { path: path.display().to_string(), column: name, found, expected }
}
