//! Columns and cells of bar files; errors name file, row and column.

use std::path::Path;

use jiff::civil::Date;

use crate::DataError;

/// Daily closes of a file.
#[derive(Default)]
pub(in crate::source) struct DailyColumns {
    pub(in crate::source) date: Vec<Date>,
    pub(in crate::source) close: Vec<f64>,
}

pub(in crate::source) fn require(path: &Path, found: &[String], names: &[&'static str]) -> Result<(), DataError> {
    match names.iter().find(|name| !found.iter().any(|column| column == *name)) {
        Some(column) => {
            Err(DataError::MissingColumn { path: path.display().to_string(), column, found: found.to_vec() })
        }
        None => Ok(()),
    }
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
