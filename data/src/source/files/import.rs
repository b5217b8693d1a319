//! Files of vendors, read for their import: one series of minute bars, with the times as the file has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    bar_cells::BarCells,
    clock::{self, FileTimes},
    columns, csv, exchange_day, is_csv, parquet, price_unit, series,
};
use crate::{
    BarColumn, BarColumns, BarStamp, Bars, DataError, Symbol, Window, Zone, bars::check_order, calendar::MINUTE_NS,
};

/// Names of a column of symbols, without case, blanks, `_` and `-`.
const SYMBOLS: [&str; 3] = ["symbol", "ticker", "sym"];
/// One series of minute bars in a file of a vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct VendorFile {
    path: PathBuf,
    /// Name in errors about rows.
    origin: String,
    symbol: Option<Symbol>,
    times: FileTimes,
    /// Open, high, low, close, and volume unless the file has none.
    numbers: Vec<Vec<f64>>,
    renamed: Option<String>,
    newest_first: bool,
}

impl VendorFile {
    /// Reads a file. `named` holds meanings of columns by their names in the file; `symbol` chooses the rows of a file
    /// with several symbols.
    ///
    /// # Errors
    /// A file that cannot be read, columns that cannot be recognised, bad cells, several symbols of which none is chosen, times
    /// that neither ascend nor descend, or bars that are not one minute apart.
    pub fn read(path: &Path, named: &BTreeMap<String, BarColumn>, symbol: Option<&Symbol>) -> Result<Self, DataError> {
        let BarCells { times, numbers, renamed, .. } = series::cells(path, named, false, &Window::default())?;
        let origin = path.display().to_string();
        let mut file =
            Self { path: path.to_owned(), origin, symbol: None, times, numbers, renamed, newest_first: false };
        file.choose(tickers(path)?.as_deref(), symbol)?;
        file.newest_first = file.times.ns.first() > file.times.ns.last();
        if file.newest_first {
            file.times.ns.reverse();
            file.numbers.iter_mut().for_each(|numbers| numbers.reverse());
        }
        check_order(&file.origin, &file.times.ns)?;
        exchange_day::check_interval(&file.origin, &file.times.ns)?;
        Ok(file)
    }

    /// Keeps the rows of one symbol.
    fn choose(&mut self, tickers: Option<&[String]>, wanted: Option<&Symbol>) -> Result<(), DataError> {
        let symbols: Option<Vec<Symbol>> =
            tickers.map(|texts| texts.iter().map(|text| symbol_of(text)).collect()).transpose()?;
        let Some(symbols) = symbols else { return Ok(()) };
        let distinct: BTreeSet<&Symbol> = symbols.iter().collect();
        if distinct.len() < 2 {
            self.symbol = distinct.first().map(|symbol| (*symbol).clone());
            return Ok(());
        }
        let Some(chosen) = wanted.filter(|wanted| distinct.contains(wanted)) else {
            return Err(DataError::SeveralSymbols {
                path: self.path.display().to_string(),
                wanted: wanted.cloned(),
                found: distinct.into_iter().map(ToString::to_string).collect(),
            });
        };
        let of_symbol = |at: &usize| symbols[*at] == *chosen;
        let kept: Vec<usize> = (0..symbols.len()).filter(of_symbol).collect();
        self.times.ns = kept.iter().map(|&at| self.times.ns[at]).collect();
        self.numbers.iter_mut().for_each(|numbers| *numbers = kept.iter().map(|&at| numbers[at]).collect());
        self.origin = format!("{} (rows of {chosen})", self.path.display());
        self.symbol = Some(chosen.clone());
        Ok(())
    }

    /// Returns the symbol in the file's column of symbols, if it has one.
    #[must_use]
    pub fn symbol(&self) -> Option<&Symbol> {
        self.symbol.as_ref()
    }

    /// Returns the number of bars.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.times.ns.len()
    }

    /// Returns the detected format of the times, such as "RFC 3339".
    #[must_use]
    pub fn time_form(&self) -> &str {
        &self.times.form
    }

    /// Returns true if the times are instants: with an offset, a zone, or since the epoch.
    #[must_use]
    pub fn states_zone(&self) -> bool {
        self.times.clock.is_none()
    }

    /// Returns the columns that have another name than the project's, as "Datetime read as timestamp, Open as open".
    #[must_use]
    pub fn renamed(&self) -> Option<&str> {
        self.renamed.as_deref()
    }

    /// Returns true if the file begins with its newest bar.
    #[must_use]
    pub fn newest_first(&self) -> bool {
        self.newest_first
    }

    /// Returns the times as the file has them, ascending: nanoseconds in UTC, or on the clock of an unknown zone.
    #[must_use]
    pub fn times_ns(&self) -> &[i64] {
        &self.times.ns
    }

    /// Returns the volumes; `None` for a file without volume.
    #[must_use]
    pub fn volume(&self) -> Option<&[f64]> {
        self.numbers.get(4).map(Vec::as_slice)
    }

    /// Returns the unit of the prices in dollars if it is not the dollar: prices that are whole and large numbers.
    #[must_use]
    pub fn price_unit(&self) -> Option<f64> {
        price_unit::of([0, 1, 2, 3].map(|column| &self.numbers[column][..]))
    }

    /// Returns the bars with their starts in UTC. `zone` is that of times without one, `unit` the price unit in dollars. An absent
    /// volume is zero.
    ///
    /// # Errors
    /// A time that stands for no instant in the zone, and rows that are no bars; the message names the row.
    pub fn bars(&self, symbol: &Symbol, zone: Option<&Zone>, stamp: BarStamp, unit: f64) -> Result<Bars, DataError> {
        let mut ts_ns = match zone {
            Some(zone) if !self.states_zone() => clock::utc(&self.path, &self.times.ns, zone)?,
            _ => self.times.ns.clone(),
        };
        stamp.to_starts(&mut ts_ns);
        if let Some(at) = ts_ns.iter().position(|ts| ts % MINUTE_NS != 0) {
            let time = crate::bars::rfc3339(ts_ns[at]);
            return Err(DataError::OffMinute { origin: self.origin.clone(), row: self.row(at + 1), time });
        }
        let prices = |at: usize| self.numbers[at].iter().map(|price| in_dollars(*price, unit)).collect::<Vec<f64>>();
        let volume = self.volume().map_or_else(|| vec![0.0; ts_ns.len()], <[f64]>::to_vec);
        let columns = BarColumns { ts_ns, open: prices(0), high: prices(1), low: prices(2), close: prices(3), volume };
        Bars::new(symbol.clone(), &self.origin, columns).map_err(|error| match error {
            DataError::Value { origin, row, column, value, rule } => {
                DataError::Value { origin, row: self.row(row), column, value, rule }
            }
            other => other,
        })
    }

    /// Returns the row in the file of a row in time order.
    fn row(&self, row: usize) -> usize {
        if self.newest_first { self.rows() + 1 - row } else { row }
    }
}

/// Converts a price. Division by a whole number rounds once: 5500101 in hundredths of a cent is 550.0101.
fn in_dollars(price: f64, unit: f64) -> f64 {
    let per_dollar = (1.0 / unit).round();
    if unit < 1.0 && (per_dollar * unit - 1.0).abs() < 1e-9 { price / per_dollar } else { price * unit }
}

/// Returns the cells of the column of symbols, if a file has one.
fn tickers(path: &Path) -> Result<Option<Vec<String>>, DataError> {
    let header = if is_csv(path) { csv::header(path)? } else { parquet::header(path)? };
    let position = columns::position_of(&header, &SYMBOLS);
    position
        .map(|at| if is_csv(path) { csv::texts(path, &header, at) } else { parquet::texts(path, &header[at]) })
        .transpose()
}

/// Returns the symbol that a vendor's text stands for: `^VIX` and `I:VIX` are VIX.
///
/// # Errors
/// A text that is no symbol.
pub fn symbol_of(text: &str) -> Result<Symbol, DataError> {
    let text = text.trim();
    Ok(Symbol::new(text.strip_prefix("I:").unwrap_or(text).trim_start_matches(['^', '$', '.']))?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(csv: &str, symbol: Option<&str>) -> Result<VendorFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vendor.csv");
        fs::write(&path, csv).unwrap();
        let symbol = symbol.map(|symbol| Symbol::new(symbol).unwrap());
        let file = VendorFile::read(&path, &BTreeMap::new(), symbol.as_ref());
        file.map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    fn bars(file: &VendorFile, zone: Option<&str>, stamp: BarStamp, unit: f64) -> Result<Bars, String> {
        let zone = zone.map(|zone| Zone::new(zone).unwrap());
        file.bars(&Symbol::new("SPY").unwrap(), zone.as_ref(), stamp, unit).map_err(|error| error.to_string())
    }

    #[test]
    fn times_stay_on_their_clock_until_the_zone_is_known() {
        let file = read(
            "Datetime,Open,High,Low,Close,Volume\n2025-06-02 09:31:00,1,2,1,2,5\n2025-06-02 09:32:00,2,3,2,3,7\n",
            None,
        );
        let file = file.unwrap();
        assert_eq!((file.rows(), file.states_zone(), file.time_form()), (2, false, "date-time without a zone"));
        let bars = bars(&file, Some("America/New_York"), BarStamp::End, 1.0).unwrap();
        assert_eq!(bars.ts_ns(), [1_748_871_000_000_000_000, 1_748_871_060_000_000_000]);
        assert_eq!((bars.close(), bars.volume()), (&[2.0, 3.0][..], &[5.0, 7.0][..]));
    }

    #[test]
    fn rows_of_one_symbol_are_chosen() {
        let csv = "symbol,t,o,h,l,c,v\nSPY,1748871000,1,2,1,2,5\nQQQ,1748871000,3,4,3,4,5\nSPY,1748871060,2,2,1,2,5\n";
        let file = read(csv, Some("spy")).unwrap();
        assert_eq!((file.rows(), file.symbol().unwrap().as_str()), (2, "SPY"));
        assert_eq!(read(csv, None).unwrap_err(), "FILE: rows of several symbols, QQQ, SPY; choose one with --symbol");
        assert_eq!(
            read(csv, Some("IWM")).unwrap_err(),
            "FILE: no row of IWM; its rows are of QQQ, SPY; choose one with --symbol"
        );
        let index = read("ticker,t,o,h,l,c\nI:VIX,1748871000,1,2,1,2\n", None).unwrap();
        assert_eq!((index.symbol().unwrap().as_str(), index.volume()), ("VIX", None));
    }

    #[test]
    fn newest_first_is_turned_and_errors_name_the_row_of_the_file() {
        let rows =
            |high| format!("t,o,h,l,c,v\n1748871120,3,3,3,3,9\n1748871060,2,{high},2,2,7\n1748871000,1,1,1,1,5\n");
        let file = read(&rows(2), None).unwrap();
        assert!(file.newest_first());
        assert_eq!(bars(&file, None, BarStamp::Start, 1.0).unwrap().open(), [1.0, 2.0, 3.0]);
        let rows = "t,o,h,l,c,v\n1748871120,3,1,3,3,9\n1748871060,2,2,2,2,7\n1748871000,1,1,1,1,5\n";
        let message = bars(&read(rows, None).unwrap(), None, BarStamp::Start, 1.0).unwrap_err();
        assert!(message.contains("row 1, column high: 1 is below open 3"), "{message}");
        let mixed =
            "t,o,h,l,c,v\n1748871000,1,1,1,1,5\n1748871120,3,3,3,3,9\n1748871060,2,2,2,2,7\n1748871180,1,1,1,1,5\n";
        assert!(read(mixed, None).unwrap_err().contains("row 3, column timestamp: 2025-06-02T13:31:00Z is earlier"));
    }

    #[test]
    fn bars_of_other_lengths_are_refused() {
        let rows =
            |step: i64| -> String { (0..9).map(|i| format!("{},1,1,1,1,1\n", 1_748_871_000 + i * step)).collect() };
        let message = |step| read(&format!("t,o,h,l,c,v\n{}", rows(step)), None).unwrap_err();
        assert_eq!(message(300), "FILE: the bars are 5 minutes apart; bars of one minute are needed");
        assert_eq!(message(86_400), "FILE: the bars are 1 day apart; bars of one minute are needed");
        assert_eq!(message(5), "FILE: the bars are 5 seconds apart; bars of one minute are needed");
    }

    #[test]
    fn prices_in_another_unit_are_recognised() {
        let file =
            |price: &str| read(&format!("t,o,h,l,c,v\n1748871000,{price},{price},{price},{price},1\n"), None).unwrap();
        assert_eq!(file("550").price_unit(), None);
        assert_eq!(file("21550.25").price_unit(), None, "a large index has decimals");
        assert_eq!((file("55012").price_unit(), file("5501234").price_unit()), (Some(0.01), Some(0.0001)));
        assert_eq!(file("550123400000").price_unit(), Some(1e-9));
        let bars = bars(&file("5501234"), None, BarStamp::Start, 0.0001).unwrap();
        assert_eq!(bars.open(), [550.1234]);
    }
}
