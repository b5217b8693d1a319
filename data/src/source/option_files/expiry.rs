//! Expiry dates in the forms of vendors: dates, date-times, `YYYYMMDD` numbers and texts.

use std::path::Path;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, date},
    tz::{TimeZone, TimeZoneDatabase},
};
use polars_core::prelude::{Column, DataType, TimeUnit};

use crate::{
    DataError, calendar,
    source::files::{
        EXPECTED_DATE,
        cells::{bad_cell, unreadable},
        parquet::{optional_integers, wrong_type},
    },
};

const NAME: &str = "expiry";

/// Reads a column of a Parquet file; an empty cell is `None`.
pub(super) fn of_column(path: &Path, column: &Column) -> Result<Vec<Option<Date>>, DataError> {
    let read: Box<dyn Fn(i64) -> Option<Date>> = match column.dtype() {
        DataType::Date => Box::new(|day| date(1970, 1, 1).checked_add(day.days()).ok()),
        DataType::Datetime(unit, zone) => {
            let zone = zone.as_ref().and_then(|name| TimeZoneDatabase::bundled().get(&name.to_string()).ok());
            let (factor, zone) = (nanoseconds(*unit), zone.unwrap_or(TimeZone::UTC));
            Box::new(move |value| of_instant(value.checked_mul(factor)?, &zone))
        }
        DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Box::new(of_number),
        DataType::String => return of_texts(path, column),
        _ => return Err(wrong_type(path, NAME, column, "a date, a date-time or YYYYMMDD")),
    };
    let cells = optional_integers(path, column)?;
    let cell = |(at, cell): (usize, Option<i64>)| match cell {
        None => Ok(None),
        Some(value) => {
            let bad = || bad_cell(path, at + 1, NAME, &value.to_string(), EXPECTED_DATE);
            read(value).map(Some).ok_or_else(bad)
        }
    };
    cells.into_iter().enumerate().map(cell).collect()
}

fn of_texts(path: &Path, column: &Column) -> Result<Vec<Option<Date>>, DataError> {
    let texts = column.str().map_err(|error| unreadable(path, error))?;
    let cells = texts.iter().enumerate();
    cells.map(|(at, text)| of_cell(path, at, text.unwrap_or(""))).collect()
}

/// Reads the text of a cell; an empty one is `None`. `at` counts rows from 0.
pub(super) fn of_cell(path: &Path, at: usize, text: &str) -> Result<Option<Date>, DataError> {
    if text.is_empty() {
        return Ok(None);
    }
    of_text(text).map(Some).ok_or_else(|| bad_cell(path, at + 1, NAME, text, EXPECTED_DATE))
}

fn of_text(text: &str) -> Option<Date> {
    if let Some(time) = text.ends_with(['Z', 'z']).then(|| text.parse::<Timestamp>().ok()).flatten() {
        return of_instant(i64::try_from(time.as_nanosecond()).ok()?, &TimeZone::UTC);
    }
    // The date as it is written, whatever time and offset follow.
    text.parse().ok()
}

fn of_number(number: i64) -> Option<Date> {
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    Date::new(i16::try_from(year).ok().filter(|year| *year >= 1990)?, month as i8, day as i8).ok()
}

/// Returns the date of an instant. Midnight in the file's own zone stands for that date; any other time is one on the
/// exchange's day.
fn of_instant(ts_ns: i64, zone: &TimeZone) -> Option<Date> {
    let local = Timestamp::from_nanosecond(i128::from(ts_ns)).ok()?.to_zoned(zone.clone());
    Some(if local.time() == Time::midnight() { local.date() } else { calendar::exchange_date(ts_ns) })
}

fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Milliseconds => 1_000_000,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Nanoseconds => 1,
    }
}

#[cfg(test)]
mod tests {
    use polars_core::prelude::{IntoColumn, IntoSeries, NamedFrom, Series, TimeZone as ColumnZone};

    use super::*;

    #[test]
    fn every_written_form_of_a_date_is_read() {
        let expected = Some(date(2025, 3, 17));
        for text in [
            "2025-03-17",
            "20250317",
            "2025-03-17 00:00:00",
            "2025-03-17T16:00:00-04:00",
            "2025-03-17T00:00:00Z",
            "2025-03-17T20:00:00Z",
        ] {
            assert_eq!(of_cell(Path::new("FILE"), 0, text).unwrap(), expected, "{text}");
        }
        assert_eq!(of_cell(Path::new("FILE"), 0, "").unwrap(), None);
        let message = of_cell(Path::new("FILE"), 4, "March").unwrap_err().to_string();
        assert!(message.starts_with("FILE: row 5, column expiry: \"March\"; expected a date"), "{message}");
    }

    #[test]
    fn date_times_and_numbers_of_parquet_are_dates() {
        let midnight = 1_742_169_600_000_i64;
        let column = |ms: i64, zone: Option<ColumnZone>| {
            let series = Series::new(NAME.into(), [ms]);
            series.i64().unwrap().clone().into_datetime(TimeUnit::Milliseconds, zone).into_series().into_column()
        };
        let read = |column: &Column| of_column(Path::new("FILE"), column).unwrap();
        let expected = [Some(date(2025, 3, 17))];
        assert_eq!(read(&column(midnight, None)), expected, "midnight without a zone");
        assert_eq!(
            read(&column(midnight, Some(ColumnZone::UTC))),
            expected,
            "midnight in UTC is no evening in New York"
        );
        assert_eq!(read(&column(midnight + 20 * 3_600_000, Some(ColumnZone::UTC))), expected, "the close");
        assert_eq!(read(&Series::new(NAME.into(), [20_250_317_i64]).into_column()), expected);
        let message = of_column(Path::new("FILE"), &Series::new(NAME.into(), [17_i64]).into_column()).unwrap_err();
        assert!(message.to_string().contains("row 1, column expiry: \"17\""), "{message}");
    }
}
