//! Columns of a file that the configuration names: numbers, and the times of events and publications.

use std::path::Path;

use super::{cells::guarded, csv, is_csv, parquet};
use crate::{DataError, Zone, calendar};

/// A file whose columns are read by name.
pub(in crate::source) struct NamedColumns<'a> {
    path: &'a Path,
    /// Key of the configuration that names the columns.
    key: &'a str,
    header: Vec<String>,
}

impl<'a> NamedColumns<'a> {
    pub(in crate::source) fn open(path: &'a Path, key: &'a str) -> Result<Self, DataError> {
        let header = guarded(path, || if is_csv(path) { csv::header(path) } else { parquet::header(path) })?;
        Ok(Self { path, key, header })
    }

    /// Returns the numbers of a column; NaN for an empty cell.
    pub(in crate::source) fn numbers(&self, name: &str) -> Result<Vec<f64>, DataError> {
        let at = self.position(name)?;
        let numbers = self.read(name, || match is_csv(self.path) {
            true => csv::numbers_of(self.path, &self.header, at),
            false => parquet::numbers_of(self.path, name),
        })?;
        Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
    }

    /// Returns the instants of a column, UTC nanoseconds. `zone` is that of times that state none.
    pub(in crate::source) fn times(&self, name: &str, zone: Option<&Zone>) -> Result<Vec<i64>, DataError> {
        let at = self.position(name)?;
        self.read(name, || {
            let times = match is_csv(self.path) {
                true => csv::times_of(self.path, &self.header, at)?,
                false => parquet::times_of(self.path, name)?,
            };
            Ok(times.into_utc(self.path, zone)?.0)
        })
    }

    /// Returns the instants of a column of instants or dates; a date means its midnight in New York.
    pub(in crate::source) fn events(&self, name: &str, zone: Option<&Zone>) -> Result<Vec<i64>, DataError> {
        let at = self.position(name)?;
        let dates = self.read(name, || match is_csv(self.path) {
            true => csv::dates_of(self.path, &self.header, at),
            false => parquet::dates_of(self.path, name),
        })?;
        match dates {
            Some(dates) => Ok(dates.into_iter().map(calendar::midnight_ns).collect()),
            None => self.times(name, zone),
        }
    }

    fn position(&self, name: &str) -> Result<usize, DataError> {
        self.header.iter().position(|found| found == name).ok_or_else(|| DataError::MissingOwnColumn {
            path: self.path.display().to_string(),
            name: name.to_owned(),
            key: self.key.to_owned(),
            found: self.header.clone(),
        })
    }

    /// Reads with the column's own name in errors about cells.
    fn read<T>(&self, name: &str, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
        guarded(self.path, read).map_err(|error| match error {
            DataError::Cell { path, row, text, expected, .. } => {
                let fault = if text.is_empty() { "the cell is empty".to_owned() } else { format!("{text:?}") };
                DataError::ColumnRow {
                    path,
                    row,
                    column: name.to_owned(),
                    fault: format!("{fault}; expected {expected}"),
                }
            }
            error => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        BarFormat, Symbol,
        columns::{KnownRow, KnownSeries, Validity},
        source::files::load_in,
    };

    #[test]
    fn own_columns_are_read_and_no_longer_unused() {
        let rows = "1748871000,10,11,9,10.5,100,0.25,7\n1748871060,10.5,12,10,11,0,,8\n";
        let dir = tempfile::tempdir().unwrap();
        let text = format!("timestamp,open,high,low,close,volume,sig,other\n{rows}");
        std::fs::write(dir.path().join("SPY_1m.csv"), text).unwrap();
        let spy = [Symbol::new("SPY").unwrap()];
        let format = BarFormat { own: ["sig".to_owned()].into(), ..BarFormat::default() };
        let history = load_in(dir.path(), &spy, &format).unwrap();
        assert_eq!(history.notes, ["columns of bar files that are not used: other"]);
        let ns = 1_748_871_000_000_000_000;
        let known = |event_ns, value| KnownRow { event_ns, known_ns: event_ns + 60_000_000_000, value };
        let rows = vec![known(ns, 0.25), known(ns + 60_000_000_000, f64::NAN)];
        let wanted = KnownSeries::new("sig".into(), Symbol::new("SPY").ok(), "", Validity::Session, rows).unwrap();
        assert_eq!(history.columns.series, [wanted]);
        let format = BarFormat { own: ["sgi".to_owned()].into(), ..BarFormat::default() };
        let message = load_in(dir.path(), &spy, &format).unwrap_err().to_string();
        assert!(
            message.contains("no column \"sgi\", which data.own_columns names; the file has: timestamp, open"),
            "{message}"
        );
    }
}
