//! Columns and cells of bar files; errors name file, row and column.

use std::path::Path;

use jiff::civil::Date;

use crate::{BarColumns, DataError, source::files::PRICES};

/// Daily closes of a file.
#[derive(Default)]
pub(in crate::source) struct DailyColumns {
    pub(in crate::source) date: Vec<Date>,
    pub(in crate::source) close: Vec<f64>,
}

/// Returns the columns to read from a file of bars that has the columns `found`.
pub(super) fn wanted(path: &Path, found: &[String], with_volume: bool) -> Result<Vec<&'static str>, DataError> {
    let mut names = vec!["timestamp"];
    names.extend(PRICES);
    if with_volume || found.iter().any(|name| name == "volume") {
        names.push("volume");
    }
    require(path, found, &names)?;
    Ok(names)
}

pub(in crate::source) fn require(path: &Path, found: &[String], names: &[&'static str]) -> Result<(), DataError> {
    match names.iter().find(|name| !found.iter().any(|column| column == *name)) {
        Some(column) => {
            Err(DataError::MissingColumn { path: path.display().to_string(), column, found: found.to_vec() })
        }
        None => Ok(()),
    }
}

/// Assembles the columns; an absent volume is zero.
pub(super) fn bar_columns(ts_ns: Vec<i64>, mut numbers: Vec<Vec<f64>>) -> BarColumns {
    numbers.resize_with(5, || vec![0.0; ts_ns.len()]);
    let [open, high, low, close, volume] = <[Vec<f64>; 5]>::try_from(numbers).expect("resized to five columns");
    BarColumns { ts_ns, open, high, low, close, volume }
}

pub(in crate::source) fn bad_cell(
    path: &Path,
    row: usize,
    column: &'static str,
    text: &str,
    expected: &'static str,
) -> DataError {
    DataError::Cell { path: path.display().to_string(), row, column, text: text.to_owned(), expected }
}

pub(in crate::source) fn unreadable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DataError {
    DataError::Read { path: path.display().to_string(), source: source.into() }
}
