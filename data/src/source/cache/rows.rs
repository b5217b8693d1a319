//! Conversion between rows and the columns of a cache file.

use std::{cmp::Ordering, path::Path};

use jiff::civil::Date;
use polars_core::prelude::{
    Column, DataType, IntoColumn as _, IntoSeries as _, NamedFrom as _, Series, TimeUnit, TimeZone,
};

use crate::{
    BarColumns, DataError, Right,
    source::{
        files::{EXPECTED_NUMBER, cells::bad_cell, parquet::Table},
        vendor::{Row, sha256},
    },
};

/// A type of row that the cache can store.
pub trait CachedRow: Clone + Sized {
    /// Returns the start of its minute, UTC nanoseconds.
    fn ts_ns(&self) -> i64;
    /// Compares two rows by their order in a file.
    fn order(&self, other: &Self) -> Ordering;
    /// Converts rows to columns.
    fn columns(rows: &[Self]) -> Vec<Column>;
    /// Reads the rows of a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn read(path: &Path) -> Result<Vec<Self>, DataError>;
}

/// One minute of one option, with the columns of option files.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionRow {
    /// The underlying's symbol.
    pub underlying: String,
    /// The last trading day.
    pub expiry: Date,
    /// Strike, in dollars.
    pub strike: f64,
    /// Call or put.
    pub right: Right,
    /// The bar. Prices are those of trades.
    pub row: Row,
}

const NUMBERS: [&str; 7] = ["open", "high", "low", "close", "volume", "vwap", "trades"];

impl CachedRow for Row {
    fn ts_ns(&self) -> i64 {
        self.ts_ns
    }

    fn order(&self, other: &Self) -> Ordering {
        self.ts_ns.cmp(&other.ts_ns)
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        bar_columns(&rows.iter().collect::<Vec<_>>())
    }

    fn read(path: &Path) -> Result<Vec<Self>, DataError> {
        let table = Table::read(path, &["timestamp", "open", "high", "low", "close", "volume", "vwap", "trades"])?;
        bars(path, &table)
    }
}

impl CachedRow for OptionRow {
    fn ts_ns(&self) -> i64 {
        self.row.ts_ns
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (row.row.ts_ns, row.expiry);
        let later = || (self.strike.total_cmp(&other.strike)).then(self.right.cmp(&other.right));
        key(self).cmp(&key(other)).then_with(later)
    }

    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = bar_columns(&rows.iter().map(|row| &row.row).collect::<Vec<_>>());
        let texts = |name: &str, values: Vec<&str>| Series::new(name.into(), values).into_column();
        let days: Vec<i32> = rows.iter().map(|row| days_since_1970(row.expiry)).collect();
        let expiry = Series::new("expiry".into(), days).cast(&DataType::Date);
        columns.push(texts("underlying", rows.iter().map(|row| row.underlying.as_str()).collect()));
        columns.push(expiry.expect("an integer can be cast to a date").into_column());
        columns.push(Series::new("strike".into(), rows.iter().map(|row| row.strike).collect::<Vec<_>>()).into_column());
        let right = |row: &Self| if row.right == Right::Call { "C" } else { "P" };
        columns.push(texts("right", rows.iter().map(right).collect()));
        columns
    }

    fn read(path: &Path) -> Result<Vec<Self>, DataError> {
        let mut names = vec!["timestamp", "underlying", "expiry", "strike", "right"];
        names.extend(NUMBERS);
        let table = Table::read(path, &names)?;
        let (underlying, right) = (table.texts("underlying")?, table.texts("right")?);
        let (expiry, strike) = (table.dates("expiry")?, table.numbers("strike")?);
        let row = |(at, row): (usize, Row)| {
            let cell = |column| bad_cell(path, at + 1, column, "", "a contract");
            Ok(Self {
                underlying: underlying.get(at).ok_or_else(|| cell("underlying"))?.to_owned(),
                expiry: expiry[at].ok_or_else(|| cell("expiry"))?,
                strike: strike[at].ok_or_else(|| cell("strike"))?,
                right: if right.get(at) == Some("C") { Right::Call } else { Right::Put },
                row,
            })
        };
        bars(path, &table)?.into_iter().enumerate().map(row).collect()
    }
}

pub(super) fn days_since_1970(date: Date) -> i32 {
    date.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| span.get_days())
}

fn bar_columns(rows: &[&Row]) -> Vec<Column> {
    let times: Vec<i64> = rows.iter().map(|row| row.ts_ns / 1_000_000).collect();
    let times = Series::new("timestamp".into(), times);
    let times = times.i64().expect("the column consists of integers").clone();
    let mut columns =
        vec![times.into_datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC)).into_series().into_column()];
    let cells =
        |row: &Row| [Some(row.open), Some(row.high), Some(row.low), Some(row.close), row.volume, row.vwap, row.trades];
    for (at, name) in NUMBERS.iter().enumerate() {
        let values: Vec<Option<f64>> = rows.iter().map(|row| cells(row)[at]).collect();
        columns.push(Series::new((*name).into(), values).into_column());
    }
    columns
}

fn bars(path: &Path, table: &Table) -> Result<Vec<Row>, DataError> {
    let (times, _) = table.timestamps()?;
    let numbers = NUMBERS.map(|name| table.numbers(name));
    let [open, high, low, close, volume, vwap, trades] = numbers;
    let (open, high, low, close) = (open?, high?, low?, close?);
    let (volume, vwap, trades) = (volume?, vwap?, trades?);
    let row = |(at, &ts_ns): (usize, &i64)| {
        let price =
            |name, column: &[Option<f64>]| column[at].ok_or_else(|| bad_cell(path, at + 1, name, "", EXPECTED_NUMBER));
        Ok(Row {
            ts_ns,
            open: price("open", &open)?,
            high: price("high", &high)?,
            low: price("low", &low)?,
            close: price("close", &close)?,
            volume: volume[at],
            vwap: vwap[at],
            trades: trades[at],
        })
    };
    times.iter().enumerate().map(row).collect()
}

/// Adds rows to columns; an absent volume is zero.
pub(in crate::source) fn append(columns: &mut BarColumns, rows: &[Row]) {
    columns.ts_ns.extend(rows.iter().map(|row| row.ts_ns));
    columns.open.extend(rows.iter().map(|row| row.open));
    columns.high.extend(rows.iter().map(|row| row.high));
    columns.low.extend(rows.iter().map(|row| row.low));
    columns.close.extend(rows.iter().map(|row| row.close));
    columns.volume.extend(rows.iter().map(|row| row.volume.unwrap_or(0.0)));
}

/// Returns the SHA-256 of daily closes.
pub(super) fn digest_daily(days: &[(Date, f64)]) -> String {
    let day =
        |(date, close): &(Date, f64)| [days_since_1970(*date).to_le_bytes().to_vec(), close.to_le_bytes().to_vec()];
    sha256(&days.iter().flat_map(day).flatten().collect::<Vec<u8>>())
}

/// Returns the SHA-256 of the times, prices and volumes of rows, the columns that a replay uses.
pub(super) fn digest(rows: &[Row]) -> String {
    let mut bytes = Vec::with_capacity(rows.len() * 48);
    for row in rows {
        bytes.extend(row.ts_ns.to_le_bytes());
        for value in [row.open, row.high, row.low, row.close, row.volume.unwrap_or(0.0)] {
            bytes.extend(value.to_le_bytes());
        }
    }
    sha256(&bytes)
}
