//! Recognition of the columns of minute bars by their names.
//!
//! Names are compared without regard to case, blanks, `_` and `-`. A column that the configuration names comes first, then
//! the exact name `timestamp`, `open`, and so on, then a known name, and for the time the index of a pandas table.

use std::{collections::BTreeMap, path::Path};

use crate::{BarColumn, DataError, quotation::quoted};

/// Names that yfinance, pandas and vendors give the columns, folded by [`folded`].
const KNOWN: [(BarColumn, &[&str]); 6] = [
    (
        BarColumn::Timestamp,
        &[
            "timestamp",
            "datetime",
            "date",
            "time",
            "ts",
            "t",
            "tsevent",
            "tsutc",
            "timestamputc",
            "timeutc",
            "windowstart",
            "barstart",
            "bartime",
            "starttime",
            "opentime",
            "begin",
            "beginsat",
            "minute",
            "unix",
            "unixtime",
            "epoch",
        ],
    ),
    (BarColumn::Open, &["open", "o", "openprice", "priceopen"]),
    (BarColumn::High, &["high", "h", "highprice", "pricehigh"]),
    (BarColumn::Low, &["low", "l", "lowprice", "pricelow"]),
    (BarColumn::Close, &["close", "c", "closeprice", "priceclose"]),
    (BarColumn::Volume, &["volume", "v", "vol", "totalvolume", "sharevolume"]),
];
/// Names of a pandas index that has no name, folded; an empty name is its heading in a CSV file.
const INDEX: [&str; 4] = ["", "index", "unnamed:0", "indexlevel0"];

/// Columns to read from one file, in the order of [`BarColumn::ALL`]; the volume may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BarNames {
    /// Meaning and position of each column.
    columns: Vec<(BarColumn, usize)>,
    /// Columns with another name than the project's.
    renamed: Vec<(String, BarColumn)>,
    /// Whether the times are the index of a pandas table.
    pub(super) time_is_index: bool,
}

impl BarNames {
    /// Finds the columns of bars among the columns `found` of a file. `named` holds meanings by names of the file, and
    /// `is_time` returns whether the column at a position holds times, as far as the file states it.
    ///
    /// # Errors
    /// A column of bars that is missing or can be two columns, and a name of `named` that the file lacks.
    pub(super) fn find(
        path: &Path,
        found: &[String],
        named: &BTreeMap<String, BarColumn>,
        with_volume: bool,
        is_time: impl Fn(usize) -> bool,
    ) -> Result<Self, DataError> {
        let search = Search { path, found, named };
        let mut columns = Vec::with_capacity(6);
        let mut time_is_index = false;
        for column in BarColumn::ALL {
            let mut position = search.column(column)?;
            if column == BarColumn::Timestamp && position.is_none() {
                position = search.index(&is_time);
                time_is_index = position.is_some();
            }
            match position {
                Some(position) => columns.push((column, position)),
                None if column == BarColumn::Volume && !with_volume => {}
                None => return Err(search.missing(column)),
            }
        }
        let renamed = columns.iter().filter(|(column, at)| found[*at] != column.as_str());
        let renamed = renamed.map(|(column, at)| (found[*at].clone(), *column)).collect();
        Ok(Self { columns, renamed, time_is_index })
    }

    /// Returns the positions of the columns in the file.
    pub(super) fn positions(&self) -> Vec<usize> {
        self.columns.iter().map(|(_, position)| *position).collect()
    }

    /// Returns the columns of the file that are not read, in file order.
    pub(super) fn unused(&self, found: &[String]) -> Vec<String> {
        let read = self.positions();
        let names = found.iter().enumerate().filter(|(at, _)| !read.contains(at)).map(|(_, name)| name);
        // A pandas index without a name counts rows.
        names.filter(|name| !INDEX.contains(&folded(name).as_str())).cloned().collect()
    }

    /// Returns the meanings of the columns.
    pub(super) fn meanings(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(column, _)| column.as_str()).collect()
    }

    /// Returns the columns with another name than the project's, as "Datetime read as timestamp, Open as open"; `None` if
    /// there are none.
    pub(super) fn note(&self) -> Option<String> {
        let ((name, column), others) = self.renamed.split_first()?;
        let others: String = others.iter().map(|(name, column)| format!(", {} as {column}", shown(name))).collect();
        Some(format!("{} read as {column}{others}", shown(name)))
    }
}

/// Returns the error of a file without a column that is needed.
pub(super) fn missing(path: &Path, column: BarColumn, found: &[String]) -> DataError {
    DataError::MissingBarColumn { path: path.display().to_string(), column, found: found.to_vec() }
}

/// Returns the position of the only column with one of these folded names.
pub(super) fn position_of(found: &[String], names: &[&str]) -> Option<usize> {
    found.iter().position(|name| names.contains(&folded(name).as_str()))
}

/// The columns of a file, and the names that the configuration gives.
struct Search<'a> {
    path: &'a Path,
    found: &'a [String],
    named: &'a BTreeMap<String, BarColumn>,
}

impl Search<'_> {
    /// Returns the position of a column of bars.
    fn column(&self, column: BarColumn) -> Result<Option<usize>, DataError> {
        let mut given = self.named.iter().filter(|(_, meaning)| **meaning == column).map(|(name, _)| name);
        let there: Vec<usize> = given.clone().filter_map(|name| self.at(name)).collect();
        if let Some(position) = self.only(column, &there)? {
            return Ok(Some(position));
        }
        let exact = self.free().find(|&at| self.found[at] == column.as_str());
        match (exact, given.next()) {
            (Some(position), _) => Ok(Some(position)),
            (None, Some(name)) => Err(self.unknown(name)),
            (None, None) => {
                let names = KNOWN.iter().find(|(known, _)| *known == column).map_or(&[][..], |(_, names)| *names);
                let candidates: Vec<usize> =
                    self.free().filter(|&at| names.contains(&folded(&self.found[at]).as_str())).collect();
                self.only(column, &candidates)
            }
        }
    }

    /// Returns the position of a pandas index that holds times.
    fn index(&self, is_time: impl Fn(usize) -> bool) -> Option<usize> {
        self.free().find(|&at| INDEX.contains(&folded(&self.found[at]).as_str()) && is_time(at))
    }

    /// Returns the positions of columns that the configuration does not name.
    fn free(&self) -> impl Iterator<Item = usize> {
        let named: Vec<usize> = self.named.keys().filter_map(|name| self.at(name)).collect();
        (0..self.found.len()).filter(move |at| !named.contains(at))
    }

    /// Returns the position of a name of the configuration: the exact one, or one that differs in case only.
    fn at(&self, name: &str) -> Option<usize> {
        let exact = self.found.iter().position(|found| found == name);
        exact.or_else(|| self.found.iter().position(|found| folded(found) == folded(name)))
    }

    fn only(&self, column: BarColumn, positions: &[usize]) -> Result<Option<usize>, DataError> {
        match positions {
            [] => Ok(None),
            [position] => Ok(Some(*position)),
            [first, second, ..] => Err(DataError::AmbiguousColumn {
                path: self.path.display().to_string(),
                column,
                first: self.found[*first].clone(),
                second: self.found[*second].clone(),
            }),
        }
    }

    fn unknown(&self, name: &str) -> DataError {
        DataError::UnknownColumn {
            path: self.path.display().to_string(),
            name: name.to_owned(),
            found: self.found.to_vec(),
        }
    }

    fn missing(&self, column: BarColumn) -> DataError {
        missing(self.path, column, self.found)
    }
}

/// Returns a name in lower case, without blanks, `_`, `-` and a byte-order mark. Of a name with two levels, as pandas
/// writes `('Open', 'SPY')`, the first level counts.
fn folded(name: &str) -> String {
    let level = name.strip_prefix("('").and_then(|rest| rest.split('\'').next()).unwrap_or(name);
    let plain = |c: &char| !c.is_whitespace() && !matches!(c, '_' | '-' | '\u{feff}');
    level.chars().filter(plain).flat_map(char::to_lowercase).collect()
}

/// Returns a name as notes show it: with quotes where it is empty or has blanks at its ends.
fn shown(name: &str) -> String {
    let text = quoted(name);
    if name.is_empty() || name.trim() != name { format!("\"{text}\"") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &str, named: &[(&str, BarColumn)], with_volume: bool) -> Result<BarNames, String> {
        let found: Vec<String> = header.split(',').map(str::to_owned).collect();
        let named = named.iter().map(|(name, column)| ((*name).to_owned(), *column)).collect();
        BarNames::find(Path::new("FILE"), &found, &named, with_volume, |_| true).map_err(|error| error.to_string())
    }

    fn note(header: &str) -> String {
        find(header, &[], true).unwrap().note().unwrap_or_default()
    }

    #[test]
    fn names_of_yfinance_pandas_and_vendors_are_recognised() {
        assert_eq!(note("timestamp,open,high,low,close,volume,vwap"), "");
        assert_eq!(
            note("Datetime,Open,High,Low,Close,Adj Close,Volume"),
            "Datetime read as timestamp, Open as open, High as high, Low as low, Close as close, Volume as volume"
        );
        assert_eq!(note("timestamp,open,high,low,close,Volume"), "Volume read as volume");
        assert_eq!(
            note("ticker,volume,open,close,high,low,window_start,transactions"),
            "window_start read as timestamp"
        );
        for time in ["t", "ts_event", "Date", "TIME", "bar_start", "Open time", "\u{feff}date_time", " Time-Stamp "] {
            let names = find(&format!("{time},o,h,l,c,v"), &[], true).unwrap();
            assert_eq!((names.positions(), names.time_is_index), (vec![0, 1, 2, 3, 4, 5], false), "{time}");
        }
        let levels = ["('Datetime', '')", "('Close', 'SPY')", "('High', 'SPY')", "('Low', 'SPY')", "('Open', 'SPY')"];
        let names = BarNames::find(Path::new("FILE"), &levels.map(str::to_owned), &BTreeMap::new(), false, |_| true);
        assert_eq!(names.unwrap().positions(), [0, 4, 2, 3, 1]);
    }

    #[test]
    fn the_index_of_pandas_is_the_time_if_nothing_else_is() {
        for index in ["", "index", "Unnamed: 0", "__index_level_0__"] {
            let names = find(&format!("{index},open,high,low,close,volume"), &[], true).unwrap();
            assert!(names.time_is_index, "{index:?}");
            let names = find(&format!("{index},open,high,low,close,volume,Date"), &[], true).unwrap();
            assert_eq!((names.time_is_index, names.positions()[0]), (false, 6), "{index:?}");
        }
        assert_eq!(note(",open,high,low,close,volume"), "\"\" read as timestamp");
        let found = ["index", "open", "high", "low", "close"].map(str::to_owned);
        let numbers = BarNames::find(Path::new("FILE"), &found, &BTreeMap::new(), false, |_| false);
        assert!(numbers.unwrap_err().to_string().starts_with("FILE: no column timestamp; the file has: index, open"));
    }

    #[test]
    fn columns_that_are_not_read_are_named() {
        let header = "Unnamed: 0,timestamp,open,high,low,close,my_signal,volume,vwap";
        let found: Vec<String> = header.split(',').map(str::to_owned).collect();
        assert_eq!(find(header, &[], true).unwrap().unused(&found), ["my_signal", "vwap"]);
    }

    #[test]
    fn an_exact_name_wins_and_two_others_are_refused() {
        let names = find("Datetime,timestamp,open,high,low,close,volume,v", &[], true).unwrap();
        assert_eq!((names.positions()[0], names.positions()[5]), (1, 6));
        assert_eq!(
            find("Datetime,Date,open,high,low,close,volume", &[], true).unwrap_err(),
            "FILE: \"Datetime\" and \"Date\" can both be the column timestamp; choose one: --columns \
             \"Datetime=timestamp\""
        );
        assert!(
            find("Datetime,open,high,low,close,Volume,V", &[], false).unwrap_err().contains("\"Volume\" and \"V\"")
        );
    }

    #[test]
    fn given_names_win_and_have_to_be_in_the_file() {
        let header = "Datetime,Open,High,Low,Close,Last Price,Volume";
        let names = find(header, &[("last price", BarColumn::Close)], true).unwrap();
        assert_eq!(names.positions(), [0, 1, 2, 3, 5, 6]);
        assert!(names.note().unwrap().contains("Last Price as close"));
        let names = find(header, &[("Close", BarColumn::Open), ("Last Price", BarColumn::Close)], true).unwrap();
        assert_eq!(names.positions(), [0, 4, 2, 3, 5, 6], "a column has one meaning");
        let message = find(header, &[("Lst", BarColumn::Close)], true).unwrap_err();
        assert_eq!(
            message,
            "FILE: no column \"Lst\", which data.columns (--columns) names; the file has: Datetime, Open, High, Low, Close, \
             Last Price, Volume"
        );
        let canonical = find("timestamp,open,high,low,close,volume", &[("Datetime", BarColumn::Timestamp)], true);
        assert_eq!(canonical.unwrap().note(), None, "files with the project's own names need no entry");
        let twice = [("Close", BarColumn::Close), ("Last Price", BarColumn::Close)];
        assert!(find(header, &twice, true).unwrap_err().contains("\"Close\" and \"Last Price\""));
    }

    #[test]
    fn missing_columns_are_named_with_a_way_out() {
        assert_eq!(
            find("timestamp,open,high,low,last,volume", &[], true).unwrap_err(),
            "FILE: no column close; the file has: timestamp, open, high, low, last, volume; name the column that it is: \
             --columns NAME=close"
        );
        assert!(find("t,o,h,l,c", &[], true).unwrap_err().contains("no column volume"));
        assert!(find("Price,Close,High,Low,Open,Volume", &[], true).unwrap_err().contains("multi_level_index=False"));
    }
}
