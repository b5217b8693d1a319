//! CSV files, read with arrow as text and parsed here, so that errors can name the row.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch, StringArray},
    csv::{ReaderBuilder, reader::Format},
    datatypes::{DataType, Field, Schema},
};
use flate2::bufread::MultiGzDecoder;
use jiff::civil::Date;

use super::{
    EXPECTED_DATE, EXPECTED_NUMBER, EXPECTED_TIME,
    bar_cells::BarCells,
    cells::{DailyColumns, bad_cell, require, unreadable},
    clock::{self, FileTimes},
    columns::{self, BarNames},
    epoch,
};
use crate::{BarColumn, DataError, input_file};

/// Largest number in a column that counts rows; as epoch seconds it lies in 1973.
const LARGEST_ROW_NUMBER: i64 = 100_000_000;

/// Most cells that are read at once.
const CELLS_AT_ONCE: usize = 1 << 21;

/// Reads bars. `named` holds meanings of columns by their names in the file.
pub(super) fn bars(path: &Path, named: &BTreeMap<String, BarColumn>, with_volume: bool) -> Result<BarCells, DataError> {
    let header = header(path)?;
    let names = BarNames::find(path, &header, named, with_volume, |_| true)?;
    let text = Text::at(path, &header, names.positions(), names.meanings())?;
    let row_number = |cell: &str| cell.parse().is_ok_and(|number: i64| number < LARGEST_ROW_NUMBER);
    if names.time_is_index && text.cells(0).next().is_some_and(row_number) {
        return Err(columns::missing(path, BarColumn::Timestamp, &header));
    }
    let times = text.times()?;
    let prices = names.meanings().len().min(5);
    let mut numbers = (1..prices).map(|column| text.numbers(column)).collect::<Result<Vec<_>, _>>()?;
    if names.meanings().len() > prices && (with_volume || text.cells(prices).any(is_number)) {
        numbers.push(text.numbers(prices)?);
    }
    Ok(BarCells { times, numbers, renamed: names.note(), unused: names.unused(&header) })
}

/// Returns false for a cell that stands for no number.
fn is_number(cell: &str) -> bool {
    !(cell.is_empty() || cell.eq_ignore_ascii_case("nan"))
}

/// Returns the cells of one column.
pub(super) fn texts(path: &Path, header: &[String], position: usize) -> Result<Vec<String>, DataError> {
    let text = Text::at(path, header, vec![position], vec!["symbol"])?;
    Ok(text.cells(0).map(str::to_owned).collect())
}

/// Returns the numbers of the column at a position; `None` for an empty cell.
pub(super) fn numbers_of(path: &Path, header: &[String], at: usize) -> Result<Vec<Option<f64>>, DataError> {
    Text::at(path, header, vec![at], vec!["value"])?.optional_numbers(0)
}

/// Returns the times of the column at a position.
pub(super) fn times_of(path: &Path, header: &[String], at: usize) -> Result<FileTimes, DataError> {
    Text::at(path, header, vec![at], vec!["timestamp"])?.times()
}

/// Returns the dates of the column at a position; `None` if its first cell is no date alone.
pub(super) fn dates_of(path: &Path, header: &[String], at: usize) -> Result<Option<Vec<Date>>, DataError> {
    let text = Text::at(path, header, vec![at], vec!["date"])?;
    let date = |cell: &str| if cell.len() == 10 { cell.parse::<Date>().ok() } else { None };
    match text.cells(0).next().and_then(date) {
        Some(_) => text.parse(0, EXPECTED_DATE, date).map(Some),
        None => Ok(None),
    }
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

/// Opens a file; one that ends in `.gz` is unpacked while it is read.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = input_file::open(path).map_err(|error| unreadable(path, error))?;
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    Ok(if packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
}

/// Returns the rows that are read at once: fewer where a row has many columns, since the reader takes memory for the cells of all.
fn rows_at_once(columns: usize) -> usize {
    (CELLS_AT_ONCE / columns.max(1)).clamp(1, 65_536)
}

/// The wanted columns of a file as text.
pub(in crate::source) struct Text {
    path: PathBuf,
    names: Vec<&'static str>,
    batches: Vec<RecordBatch>,
}

impl Text {
    pub(in crate::source) fn read(path: &Path, header: &[String], names: &[&'static str]) -> Result<Self, DataError> {
        let position = |name: &&str| header.iter().position(|column| column == name);
        Self::at(path, header, names.iter().filter_map(position).collect(), names.to_vec())
    }

    /// Reads the columns at some positions; `names` are those that errors give them.
    fn at(path: &Path, header: &[String], positions: Vec<usize>, names: Vec<&'static str>) -> Result<Self, DataError> {
        let fields: Vec<Field> = header.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        // Rows that are too short read as empty cells, which are refused with their row and column.
        let reader = ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .with_truncated_rows(true)
            .with_batch_size(rows_at_once(header.len()))
            .with_projection(positions)
            .build(open(path)?)
            .map_err(|error| unreadable(path, error))?;
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, error))?;
        Ok(Self { path: path.to_owned(), names, batches })
    }

    /// Returns the cells of a column from top to bottom, empty ones as "".
    pub(in crate::source) fn cells(&self, column: usize) -> impl Iterator<Item = &str> + Clone {
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

    /// Reads column 0 as instants; the first cell decides whether they are integers.
    pub(in crate::source) fn timestamps(&self) -> Result<(Vec<i64>, String), DataError> {
        match self.times()? {
            FileTimes { ns, form, clock: None } => Ok((ns, form)),
            FileTimes { clock: Some(clock), .. } => {
                Err(bad_cell(&self.path, 1, self.names[0], &clock.first, EXPECTED_TIME))
            }
        }
    }

    /// Reads column 0 as times, which may lack an offset; the first cell decides on the form.
    fn times(&self) -> Result<FileTimes, DataError> {
        if self.cells(0).next().is_none_or(|cell| cell.parse::<i64>().is_err()) {
            return clock::of_texts(&self.path, self.cells(0));
        }
        let values = self.parse(0, EXPECTED_TIME, |cell| cell.parse().ok())?;
        let (ns, form) = epoch::to_ns(&values)
            .map_err(|(at, expected)| bad_cell(&self.path, at + 1, self.names[0], &values[at].to_string(), expected))?;
        Ok(FileTimes { ns, form: form.to_owned(), clock: None })
    }
}

/// Parses a cell that may be empty; the outer `None` is a parse error.
fn optional<T: FromStr>(cell: &str) -> Option<Option<T>> {
    if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) }
}
