//! Option minutes from Parquet or CSV files.
//!
//! An option file has one row per contract and minute, in any order, with the columns
//!
//! | column | meaning |
//! |---|---|
//! | `timestamp` | start of the minute, or an instant in it; UTC, as in files of bars |
//! | `underlying` | `SPY`; rows of the root `SPXW` belong to SPX |
//! | `expiry` | last trading day of the contract |
//! | `strike` | in dollars |
//! | `right` | `C` or `P` |
//!
//! and with at least one of these groups (other columns are not read):
//!
//! | columns | result |
//! |---|---|
//! | `open`, `high`, `low`, `close`, optional `volume`, `vwap` | [`TradeMinute`](crate::TradeMinute)s; an empty volume is 0, an empty `vwap` the close |
//! | `bid`, `ask`, optional `bid_size`, `ask_size` | [`QuoteMinute`](crate::QuoteMinute)s; an empty cell, and an ask of 0, is a missing side |
//! | `mid`, if the file has none of the above | trade minutes whose prices are all the mid |
//!
//! `underlying_price`, if present, becomes the `spot` of a trade. A crossed quote is data, not an error: it is kept, and users
//! of quotes count and refuse it.

mod columns;
mod rows;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use self::{columns::Columns, rows::OptionRows};
use crate::{DataError, DateRange, OptionHistory, Symbol};

/// Reads trades and quotes of the options on `symbol` on `dates`, from one file or from every option file of a folder.
/// Files of a folder without a column `strike` are not option files and are skipped.
///
/// # Errors
/// A folder or file that cannot be read, an option file without the columns above, a bad cell or row of the symbol in the
/// dates (the message names file, row and column), a contract with two rows of a kind in one minute, or no row at all.
pub fn load_options(path: &Path, symbol: &Symbol, dates: &DateRange) -> Result<OptionHistory, DataError> {
    let mut rows = OptionRows::new(symbol, dates);
    let mut files = Vec::new();
    let mut available = BTreeSet::new();
    for (file, named) in files_of(path)? {
        if let Some(columns) = Columns::open(&file, named)? {
            files.extend(rows.read(&columns, &mut available)?);
        }
    }
    if rows.is_empty() {
        return Err(DataError::NoOptions {
            path: path.display().to_string(),
            symbol: symbol.clone(),
            first: dates.first,
            last: dates.last,
            available: available.into_iter().collect(),
        });
    }
    rows.history(files)
}

/// Returns the files to read, ascending by name, each with true if the caller named the file itself.
fn files_of(path: &Path) -> Result<Vec<(PathBuf, bool)>, DataError> {
    if path.is_file() {
        return Ok(vec![(path.to_owned(), true)]);
    }
    let fault = |source| DataError::Folder { path: path.display().to_string(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fault)? {
        let file = entry.map_err(fault)?.path();
        if file.extension().is_some_and(|ending| ending == "parquet" || ending == "csv") {
            files.push((file, false));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::prelude::{
        Column, DataFrame, DataType, IntoColumn, IntoSeries, NamedFrom, ParquetWriter, Series, TimeUnit, TimeZone,
    };
    use tempfile::TempDir;

    use super::*;
    use crate::{QuoteMinute, Right};

    const TRADES: &str = "timestamp,underlying,expiry,strike,right,open,high,low,close,volume,vwap\n";
    const QUOTES: &str = "timestamp,underlying,expiry,strike,right,bid,ask,bid_size,ask_size\n";
    const MIDS: &str = "timestamp,underlying,expiry,strike,right,mid,underlying_price\n";

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn dates(first: &str, last: &str) -> DateRange {
        DateRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    fn load(dir: &Path, symbol: &str, first: &str, last: &str) -> Result<OptionHistory, DataError> {
        load_options(dir, &symbol.parse().unwrap(), &dates(first, last))
    }

    fn error(header: &str, row: &str) -> String {
        let dir = folder(&[("trades.csv", &format!("{header}{row}\n"))]);
        let message = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap_err().to_string();
        message.replace(&dir.path().join("trades.csv").display().to_string(), "FILE")
    }

    #[test]
    fn rows_are_grouped_by_session_and_expiry_and_sorted() {
        // 13:30 UTC is 09:30 in New York; the rows are unordered, and those of another symbol, date or hour are ignored.
        let rows = "2025-06-03T13:30:00Z,SPY,2025-06-03,590,C,1,1,1,1,5,1\n\
                    2025-06-02T13:31:59Z,SPY,2025-06-02,590,P,2,3,1,2,5,2.2\n\
                    2025-06-02T13:31:00Z,SPY,2025-06-02,590,C,1,2,1,1.5,7,1.25\n\
                    2025-06-02T13:31:00Z,SPY,2025-06-02,589,P,1,1,1,1,5,1\n\
                    2025-06-02T13:31:00Z,QQQ,2025-06-02,589,P,NaN,1,1,1,5,1\n\
                    2025-06-04T13:31:00Z,SPY,2025-06-02,589,P,1,1,1,1,5,1\n\
                    2025-06-02T20:00:00Z,SPY,2025-06-02,589,P,1,1,1,1,5,1\n\
                    2025-06-02T13:30:00Z,SPY,2025-06-03,589,P,0,0,0,0,5,0\n";
        let dir =
            folder(&[("a.csv", &format!("{TRADES}{rows}")), ("bars.csv", "timestamp,open\n"), ("notes.txt", "strike")]);
        let history = load(dir.path(), "SPY", "2025-06-02", "2025-06-03").unwrap();
        let keys: Vec<String> =
            history.sessions.iter().map(|day| format!("{} {}", day.session.date, day.expiry)).collect();
        assert_eq!(keys, ["2025-06-02 2025-06-02", "2025-06-02 2025-06-03", "2025-06-03 2025-06-03"]);
        let order: Vec<_> = history.sessions[0].trades.iter().map(|row| (row.slot, row.strike, row.right)).collect();
        assert_eq!(order, [(1, 589.0, Right::Put), (1, 590.0, Right::Call), (1, 590.0, Right::Put)]);
        let call = history.sessions[0].trades[1];
        assert_eq!((call.open, call.high, call.low, call.close), (1.0, 2.0, 1.0, 1.5));
        assert_eq!((call.volume, call.vwap, call.spot), (7.0, 1.25, None));
        assert_eq!((history.outside, history.files.len()), (1, 1));
        assert_eq!(history.files[0].note, "6 rows of SPY in the dates; timestamps: RFC 3339");

        let message = load(dir.path(), "IWM", "2025-06-02", "2025-06-03").unwrap_err().to_string();
        assert!(
            message.ends_with("no option of IWM from 2025-06-02 to 2025-06-03; the files hold options of: QQQ, SPY"),
            "{message}"
        );
    }

    #[test]
    fn quotes_keep_missing_sides_and_mids_are_trades_with_a_spot() {
        let quotes = "1748871000,SPX,2025-06-02,5900,C,1.2,1.1,10,20\n1748871000,SPXW,2025-06-02,5905,P,,0.05,0,7\n\
                      1748871000,SPXW,2025-06-02,5910,P,0,0,,\n";
        let mids = "1748871060,SPX,2025-06-02,5900,C,1.5,5901.25\n";
        let dir = folder(&[("mids.csv", &format!("{MIDS}{mids}")), ("quotes.csv", &format!("{QUOTES}{quotes}"))]);
        let history = load(dir.path(), "SPX", "2025-06-02", "2025-06-02").unwrap();
        let day = history.session("2025-06-02".parse().unwrap(), "2025-06-02".parse().unwrap()).unwrap();
        let sides: Vec<_> = day.quotes.iter().map(|row| (row.bid, row.ask, row.bid_size, row.ask_size)).collect();
        let expected = [
            (Some(1.2), Some(1.1), Some(10), Some(20)),
            (None, Some(0.05), Some(0), Some(7)),
            (Some(0.0), None, None, None),
        ];
        assert_eq!(sides, expected);
        assert!(day.quotes[0].is_crossed());
        let trade = day.trades_at(1)[0];
        assert_eq!((trade.open, trade.high, trade.low, trade.close, trade.vwap), (1.5, 1.5, 1.5, 1.5, 1.5));
        assert_eq!((trade.volume, trade.spot), (0.0, Some(5901.25)));
    }

    #[test]
    fn parquet_reads_as_csv_does() {
        let numbers = |name: &str, values: [Option<f64>; 2]| Series::new(name.into(), values).into_column();
        let texts = |name: &str, values: [&str; 2]| Series::new(name.into(), values).into_column();
        let times = Series::new("timestamp".into(), [1_748_871_000_000_i64, 1_748_871_000_000]);
        let times = times.i64().unwrap().clone().into_datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC));
        let expiry = Series::new("expiry".into(), [20_241_i32, 20_241]).cast(&DataType::Date).unwrap();
        let columns: Vec<Column> = vec![
            times.into_series().into_column(),
            texts("underlying", ["SPY", "SPY"]),
            expiry.into_column(),
            numbers("strike", [Some(590.0), Some(590.0)]),
            texts("right", ["P", "C"]),
            numbers("bid", [None, Some(1.0)]),
            numbers("ask", [Some(0.5), Some(1.1)]),
            numbers("bid_size", [Some(0.0), Some(12.0)]),
        ];
        let dir = folder(&[]);
        let mut table = DataFrame::new_infer_height(columns).unwrap();
        let file = dir.path().join("quotes.parquet");
        ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut table).unwrap();
        let history = load(&file, "SPY", "2025-06-02", "2025-06-02").unwrap();
        let quote = |right, bid, ask, bid_size| QuoteMinute {
            slot: 0,
            strike: 590.0,
            right,
            bid,
            ask: Some(ask),
            bid_size: Some(bid_size),
            ask_size: None,
        };
        let expected = [quote(Right::Call, Some(1.0), 1.1, 12), quote(Right::Put, None, 0.5, 0)];
        assert_eq!(history.sessions[0].quotes, expected);
        assert_eq!(history.files[0].note, "2 rows of SPY in the dates; timestamps: date-time in ms, zone UTC");
    }

    #[test]
    fn faults_name_file_row_and_column() {
        let day = "1748871000,SPY,2025-06-02,590";
        let trade = |rest: &str| error(TRADES, &format!("{day},{rest}"));
        let quote = |rest: &str| error(QUOTES, &format!("{day},{rest}"));
        let cases = [
            (trade("X,1,1,1,1,1,1"), "FILE: row 1, column right: \"X\"; expected C or P"),
            (trade("C,1,1,1,NaN,1,1"), "FILE: row 1, column close: NaN is not a number of zero or more"),
            (trade("C,1,1,-1,1,1,1"), "FILE: row 1, column low: -1 is not a number of zero or more"),
            (trade("C,1,0.9,0.8,1,1,1"), "FILE: row 1, column high: 0.9 is below open 1"),
            (trade("C,1,1,1,0.9,1,1"), "FILE: row 1, column low: 1 is above close 0.9"),
            (trade("C,1,1,1,,1,1"), "FILE: row 1, column close: the cell is empty; expected a number"),
            (quote("C,1,x,1,1"), "FILE: row 1, column ask: \"x\"; expected a number"),
            (quote("C,1,2,1.5,1"), "FILE: row 1, column bid_size: 1.5 is not a whole number of contracts"),
            (error(MIDS, "1748871000,SPY,2025-06-02,0,C,1,590"), "FILE: row 1, column strike: 0 is not a strike"),
            (
                error(MIDS, "1748871000,SPY,2025-05-30,590,C,1,590"),
                "row 1, column expiry: \"2025-05-30\"; expected the",
            ),
            (error("timestamp,strike\n", "1,2"), "FILE: no column underlying; the file has: timestamp, strike"),
            (
                error("timestamp,underlying,expiry,strike,right,bid\n", "1,SPY,2025-06-02,590,C,1"),
                "FILE: no column open to close, bid and ask, or mid; the file has: timestamp, underlying",
            ),
            (
                trade(&format!("C,1,1,1,1,1,1\n1748871059,{},C,1,1,1,1,1,1", &day[11..])),
                "FILE: row 2: the 590 call of 2025-06-02 has another row in the minute 2025-06-02T13:30:00Z",
            ),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
        let dir = folder(&[("bars.csv", "timestamp,open\n")]);
        let message = load(&dir.path().join("bars.csv"), "SPY", "2025-06-02", "2025-06-02").unwrap_err().to_string();
        assert!(message.contains("no column underlying"), "a named file has to be an option file: {message}");
        assert!(load(&dir.path().join("nowhere"), "SPY", "2025-06-02", "2025-06-02").is_err());
    }

    #[test]
    fn real_files_match_their_documentation() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/options");
        if !dir.is_dir() {
            println!("skipped: {} does not exist", dir.display());
            return;
        }
        let spy = load(&dir, "SPY", "2023-01-01", "2025-06-30").unwrap();
        // A quote day of 2023 and 374 sessions of same-day trades; the options trade until 16:15.
        assert_eq!((spy.sessions.len(), spy.trades(), spy.quotes()), (375, 1_873_636, 1_560));
        assert_eq!((spy.outside, spy.files.len()), (5_737 + 15_559 + 60, 3));
        let spx = load(&dir, "SPX", "2021-01-04", "2026-12-31").unwrap();
        assert_eq!((spx.sessions.len(), spx.trades(), spx.quotes()), (18 + 412 + 40, 120_815, 26_966 + 6_154));
        assert_eq!(spx.outside, 1_042 + 105);
        let crossed = |history: &OptionHistory| {
            history.sessions.iter().flat_map(|day| &day.quotes).filter(|quote| quote.is_crossed()).count()
        };
        assert_eq!((crossed(&spx), crossed(&spy)), (56, 0));
        assert!(spx.sessions.iter().flat_map(|day| &day.trades).all(|mid| mid.spot.is_some()));
    }
}
