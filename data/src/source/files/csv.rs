//! CSV files, read with arrow as text and parsed here, so that errors can name the row.

use std::{
    fs::File,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch, StringArray},
    csv::{ReaderBuilder, reader::Format},
    datatypes::{DataType, Field, Schema},
};
use jiff::{Timestamp, civil::Date};

use super::{
    EXPECTED_DATE, EXPECTED_NUMBER, EXPECTED_TIME,
    cells::{DailyColumns, bad_cell, bar_columns, require, unreadable, wanted},
    epoch,
};
use crate::{BarColumns, DataError};

/// Reads bars, and returns the detected format of the time stamps.
pub(super) fn bars(path: &Path, with_volume: bool) -> Result<(BarColumns, String), DataError> {
    let header = header(path)?;
    let names = wanted(path, &header, with_volume)?;
    let text = Text::read(path, &header, &names)?;
    let (ts_ns, note) = text.timestamps()?;
    let numbers = (1..names.len()).map(|column| text.numbers(column)).collect::<Result<_, _>>()?;
    Ok((bar_columns(ts_ns, numbers), note.to_owned()))
}

/// Reads daily closes.
pub(super) fn daily(path: &Path) -> Result<DailyColumns, DataError> {
    let header = header(path)?;
    let names = ["date", "close"];
    require(path, &header, &names)?;
    let text = Text::read(path, &header, &names)?;
    let date = text.parse(0, EXPECTED_DATE, |cell| cell.parse().ok())?;
    Ok(DailyColumns { date, close: text.numbers(1)? })
}

pub(in crate::source) fn header(path: &Path) -> Result<Vec<String>, DataError> {
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(open(path)?, Some(0)).map_err(|error| unreadable(path, error))?;
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|error| unreadable(path, error))
}

/// The wanted columns of a file as text.
pub(in crate::source) struct Text {
    path: PathBuf,
    names: Vec<&'static str>,
    batches: Vec<RecordBatch>,
}

impl Text {
    pub(in crate::source) fn read(path: &Path, header: &[String], names: &[&'static str]) -> Result<Self, DataError> {
        let fields: Vec<Field> = header.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let position = |name: &&str| header.iter().position(|column| column == name);
        let projection = names.iter().filter_map(position).collect();
        // Rows that are too short read as empty cells, which are refused with their row and column.
        let reader = ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .with_truncated_rows(true)
            .with_batch_size(65_536)
            .with_projection(projection)
            .build(open(path)?)
            .map_err(|error| unreadable(path, error))?;
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, error))?;
        Ok(Self { path: path.to_owned(), names: names.to_vec(), batches })
    }

    /// Returns the cells of a column from top to bottom, empty ones as "".
    pub(in crate::source) fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.batches.iter().flat_map(move |batch| {
            let cells = batch.column(column).as_any().downcast_ref::<StringArray>();
            cells.expect("the schema declares text").iter().map(|cell| cell.unwrap_or("").trim())
        })
    }

    fn parse<T>(
        &self,
        column: usize,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, DataError> {
        let parsed = self.cells(column).enumerate().map(|(at, cell)| {
            parse(cell).ok_or_else(|| bad_cell(&self.path, at + 1, self.names[column], cell, expected))
        });
        parsed.collect()
    }

    fn numbers(&self, column: usize) -> Result<Vec<f64>, DataError> {
        self.parse(column, EXPECTED_NUMBER, |cell| cell.parse().ok())
    }

    /// Returns the numbers of a column; an empty cell is `None`.
    pub(in crate::source) fn optional_numbers(&self, column: usize) -> Result<Vec<Option<f64>>, DataError> {
        self.parse(column, EXPECTED_NUMBER, optional)
    }

    /// Returns the dates of a column; an empty cell is `None`.
    pub(in crate::source) fn optional_dates(&self, column: usize) -> Result<Vec<Option<Date>>, DataError> {
        self.parse(column, EXPECTED_DATE, optional)
    }

    /// Reads column 0 as times; the first cell decides whether they are integers.
    pub(in crate::source) fn timestamps(&self) -> Result<(Vec<i64>, &'static str), DataError> {
        if self.cells(0).next().is_none_or(|cell| cell.parse::<i64>().is_err()) {
            return Ok((self.parse(0, EXPECTED_TIME, rfc3339_ns)?, "RFC 3339"));
        }
        let values = self.parse(0, EXPECTED_TIME, |cell| cell.parse().ok())?;
        epoch::to_ns(&values)
            .map_err(|at| bad_cell(&self.path, at + 1, self.names[0], &values[at].to_string(), "the unit of row 1"))
    }
}

/// Parses a cell that may be empty; the outer `None` is a parse error.
fn optional<T: FromStr>(cell: &str) -> Option<Option<T>> {
    if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) }
}

fn rfc3339_ns(cell: &str) -> Option<i64> {
    i64::try_from(cell.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}
