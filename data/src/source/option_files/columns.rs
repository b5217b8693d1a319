//! Columns of one option file, Parquet or CSV, as plain vectors.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::{expiry, folder::OptionFile};
use crate::{
    DataError,
    source::files::{EXPECTED_NUMBER, cells::bad_cell, cells::require, csv, is_csv, parquet},
};

/// Columns of every option file; the time stamp comes first, as the CSV reader expects.
const CONTRACT: [&str; 5] = ["timestamp", "underlying", "expiry", "strike", "right"];
/// Optional columns that tell contracts of one expiry apart.
const WITH_CONTRACT: [&str; 2] = ["root", "settlement"];
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
    /// Columns read from the file.
    names: Vec<&'static str>,
    /// Columns that the folders above the file state, each with the value of all rows.
    stated: Vec<(&'static str, String)>,
    /// Columns of the file that are not read, in file order.
    unused: Vec<String>,
    cells: Cells,
    rows: usize,
}

enum Cells {
    Parquet(parquet::Table),
    Csv(csv::Text),
}

impl Columns {
    /// Reads a file. Returns `None` for a file that is not an option file; in a file that the caller named that is an error.
    pub(super) fn open(file: &OptionFile) -> Result<Option<Self>, DataError> {
        let path = &file.path;
        let mut found = if is_csv(path) { csv::header(path)? } else { parquet::header(path)? };
        let in_file = found.clone();
        let added = file.keys.iter().map(|(key, _)| key.clone());
        let added = added.filter(|key| key != "timestamp" && !in_file.contains(key));
        found.extend(added);
        if !file.named && !found.iter().any(|name| name == "strike") {
            return Ok(None);
        }
        let (names, stated): (Vec<_>, Vec<_>) =
            wanted(path, &found)?.into_iter().partition(|name| in_file.iter().any(|column| column == name));
        let cells = if is_csv(path) {
            Cells::Csv(csv::Text::read(path, &in_file, &names)?)
        } else {
            Cells::Parquet(parquet::Table::read(path, &names)?)
        };
        let value = |name: &'static str| Some((name, file.keys.iter().find(|(key, _)| key == name)?.1.clone()));
        let stated = stated.into_iter().filter_map(value).collect();
        let unused = in_file.into_iter().filter(|column| !names.iter().any(|name| name == column)).collect();
        let mut columns = Self { path: path.clone(), names, stated, unused, cells, rows: 0 };
        columns.rows = columns.height();
        Ok(Some(columns))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a clause on the columns that are not used, if there are any.
    pub(super) fn unused(&self) -> String {
        if self.unused.is_empty() { String::new() } else { format!("; columns not used: {}", self.unused.join(", ")) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.stated(name).is_some()
    }

    /// Returns the times of the rows, UTC nanoseconds, and the detected format.
    pub(super) fn times(&self) -> Result<(Vec<i64>, String), DataError> {
        match &self.cells {
            Cells::Parquet(table) => table.timestamps(),
            Cells::Csv(text) => text.timestamps(),
        }
    }

    /// Passes every text of a column to `show`, with its row index.
    pub(super) fn texts(&self, name: &'static str, mut show: impl FnMut(usize, &str)) -> Result<(), DataError> {
        if let Some(text) = self.stated(name) {
            (0..self.rows).for_each(|row| show(row, text));
            return Ok(());
        }
        match &self.cells {
            Cells::Parquet(table) => table.texts(name)?.iter().enumerate().for_each(|(i, s)| show(i, s.unwrap_or(""))),
            Cells::Csv(text) => text.cells(self.position(name)).enumerate().for_each(|(i, cell)| show(i, cell)),
        }
        Ok(())
    }

    /// Returns the expiry of every row.
    pub(super) fn expiries(&self) -> Result<Vec<Option<Date>>, DataError> {
        if let Some(text) = self.stated("expiry") {
            return Ok(vec![expiry::of_cell(&self.path, 0, text)?; self.rows]);
        }
        match &self.cells {
            Cells::Parquet(table) => expiry::of_column(&self.path, table.column("expiry")?),
            Cells::Csv(text) => {
                let cells = text.cells(self.position("expiry")).enumerate();
                cells.map(|(at, cell)| expiry::of_cell(&self.path, at, cell)).collect()
            }
        }
    }

    pub(super) fn numbers(&self, name: &'static str) -> Result<Vec<Option<f64>>, DataError> {
        if let Some(text) = self.stated(name) {
            let number = text.parse().map_err(|_| bad_cell(&self.path, 1, name, text, EXPECTED_NUMBER))?;
            return Ok(vec![Some(number); self.rows]);
        }
        match &self.cells {
            Cells::Parquet(table) => table.numbers(name),
            Cells::Csv(text) => text.optional_numbers(self.position(name)),
        }
    }

    fn stated(&self, name: &str) -> Option<&str> {
        self.stated.iter().find(|(column, _)| *column == name).map(|(_, value)| value.as_str())
    }

    fn height(&self) -> usize {
        match &self.cells {
            Cells::Parquet(table) => table.height(),
            Cells::Csv(text) => text.cells(0).count(),
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
    Ok([group(&CONTRACT, &WITH_CONTRACT), prices].concat())
}
