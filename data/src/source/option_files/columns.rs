//! Columns of one option file, Parquet or CSV, as plain vectors.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::{
    DataError,
    source::files::{cells::require, csv, is_csv, parquet},
};

/// Columns of every option file; the time stamp comes first, as the CSV reader expects.
const CONTRACT: [&str; 5] = ["timestamp", "underlying", "expiry", "strike", "right"];
const TRADES: [&str; 4] = ["open", "high", "low", "close"];
const QUOTES: [&str; 2] = ["bid", "ask"];
const MIDS: [&str; 1] = ["mid"];
/// Optional columns of trades, quotes and mids.
const WITH_TRADES: [&str; 3] = ["volume", "vwap", "underlying_price"];
const WITH_QUOTES: [&str; 2] = ["bid_size", "ask_size"];
const WITH_MIDS: [&str; 1] = ["underlying_price"];

/// The columns of one option file. A null cell reads as `None`, or as an empty text.
pub(super) struct Columns {
    path: PathBuf,
    names: Vec<&'static str>,
    cells: Cells,
}

enum Cells {
    Parquet(parquet::Table),
    Csv(csv::Text),
}

impl Columns {
    /// Reads a file. Returns `None` for a file that is not an option file; with `named` that is an error.
    pub(super) fn open(path: &Path, named: bool) -> Result<Option<Self>, DataError> {
        let found = if is_csv(path) { csv::header(path)? } else { parquet::header(path)? };
        if !named && !found.iter().any(|name| name == "strike") {
            return Ok(None);
        }
        let names = wanted(path, &found)?;
        let cells = if is_csv(path) {
            Cells::Csv(csv::Text::read(path, &found, &names)?)
        } else {
            Cells::Parquet(parquet::Table::read(path, &names)?)
        };
        Ok(Some(Self { path: path.to_owned(), names, cells }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Returns the starts of the rows, UTC nanoseconds, and the detected format.
    pub(super) fn times(&self) -> Result<(Vec<i64>, String), DataError> {
        match &self.cells {
            Cells::Parquet(table) => table.timestamps(),
            Cells::Csv(text) => text.timestamps(),
        }
    }

    /// Passes every text of a column to `show`, with its row index.
    pub(super) fn texts(&self, name: &'static str, mut show: impl FnMut(usize, &str)) -> Result<(), DataError> {
        match &self.cells {
            Cells::Parquet(table) => table.texts(name)?.iter().enumerate().for_each(|(i, s)| show(i, s.unwrap_or(""))),
            Cells::Csv(text) => text.cells(self.position(name)).enumerate().for_each(|(i, cell)| show(i, cell)),
        }
        Ok(())
    }

    pub(super) fn dates(&self, name: &'static str) -> Result<Vec<Option<Date>>, DataError> {
        match &self.cells {
            Cells::Parquet(table) => table.dates(name),
            Cells::Csv(text) => text.optional_dates(self.position(name)),
        }
    }

    pub(super) fn numbers(&self, name: &'static str) -> Result<Vec<Option<f64>>, DataError> {
        match &self.cells {
            Cells::Parquet(table) => table.numbers(name),
            Cells::Csv(text) => text.optional_numbers(self.position(name)),
        }
    }

    fn position(&self, name: &str) -> usize {
        self.names.iter().position(|column| *column == name).expect("the caller requests columns that were read")
    }
}

/// Returns the columns to read from a file that has the columns `found`.
fn wanted(path: &Path, found: &[String]) -> Result<Vec<&'static str>, DataError> {
    require(path, found, &CONTRACT)?;
    let has = |name: &&'static str| found.iter().any(|column| column == *name);
    let group = |group: &[&'static str], with: &[&'static str]| -> Vec<&'static str> {
        let there = group.iter().all(has);
        if there { [group.to_vec(), with.iter().copied().filter(has).collect()].concat() } else { Vec::new() }
    };
    let mut prices = [group(&TRADES, &WITH_TRADES), group(&QUOTES, &WITH_QUOTES)].concat();
    if prices.is_empty() {
        prices = group(&MIDS, &WITH_MIDS);
    }
    if prices.is_empty() {
        let column = "open to close, bid and ask, or mid";
        return Err(DataError::MissingColumn { path: path.display().to_string(), column, found: found.to_vec() });
    }
    Ok([CONTRACT.to_vec(), prices].concat())
}
