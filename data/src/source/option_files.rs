//! Option minutes from Parquet or CSV files.
//!
//! An option file has one row per contract and minute, in any order, with the columns
//!
//! | column | meaning |
//! |---|---|
//! | `timestamp` | start of the minute, or an instant in it, in UTC; or the instant of the price ([`OptionStamp`]) |
//! | `underlying` | `SPY`; rows of the root `SPXW` belong to SPX |
//! | `expiry` | day on which the contract expires, as a date, a date-time, a text or a number YYYYMMDD |
//! | `strike` | in dollars |
//! | `right` | `C` or `P` |
//! | `root`, `settlement` | optional: `SPX` or `SPXW`, `AM` or `PM`; contracts that settle at the open are kept apart |
//!
//! and with at least one of these groups (other columns are not read, and the note on the file names them):
//!
//! | columns | result |
//! |---|---|
//! | `open`, `high`, `low`, `close`, optional `volume`, `vwap` | [`TradeMinute`](crate::TradeMinute)s; an empty volume is 0, an empty `vwap` the close |
//! | `bid`, `ask`, optional `bid_size`, `ask_size` | [`QuoteMinute`](crate::QuoteMinute)s; an empty cell, and an ask of 0, is a missing side |
//! | `mid`, if the file has none of the above | trade minutes whose prices are all the mid |
//!
//! `underlying_price`, if present, becomes the `spot` of a trade. A crossed quote is data, not an error: it is kept, and users
//! of quotes count and refuse it. A row of trades without a price, with a price of 0 or with a volume of 0 is no trade.
//!
//! In a folder `KEY=VALUE`, as engines write partitions, every file has the column KEY with that value.

mod columns;
mod expiry;
mod folder;
mod roots;
mod row_columns;
mod rows;

use std::{collections::BTreeSet, path::Path};

use self::{columns::Columns, folder::OptionFile, rows::OptionRows};
use crate::{DataError, DateRange, FileRecord, OptionHistory, OptionStamp, Symbol, source::files::cells::guarded};

/// Reads trades and quotes of the options on `symbol` on `dates`, from one file or from every option file of a folder.
/// Files of a folder without a column `strike` are not option files and are skipped.
///
/// # Errors
/// A folder or file that cannot be read, an option file without the columns above, a bad cell or row of the symbol in the
/// dates (the message names file, row and column), a contract with two rows of a kind in one minute, or no row at all.
pub fn load_options(
    path: &Path,
    symbol: &Symbol,
    dates: &DateRange,
    stamp: OptionStamp,
) -> Result<OptionHistory, DataError> {
    let mut rows = OptionRows::new(symbol, dates, stamp);
    let mut files = Vec::new();
    let mut available = BTreeSet::new();
    for file in folder::files_of(path)? {
        files.extend(read(&file, &mut rows, &mut available)?);
    }
    let (path, symbol) = (path.display().to_string(), symbol.clone());
    let DateRange { first, last } = *dates;
    match (rows.is_empty(), rows.outside_hours()) {
        (false, _) => rows.history(files),
        (true, 0) => {
            Err(DataError::NoOptions { path, symbol, first, last, available: available.into_iter().collect() })
        }
        (true, rows) => Err(DataError::OptionsOutsideHours { path, symbol, rows }),
    }
}

/// Adds the rows of one file. A panic of the library that decodes it becomes an error with the file's name.
fn read(
    file: &OptionFile,
    rows: &mut OptionRows<'_>,
    available: &mut BTreeSet<String>,
) -> Result<Option<FileRecord>, DataError> {
    let read = || match Columns::open(file)? {
        Some(columns) => rows.read(&columns, available),
        None => Ok(None),
    };
    guarded(&file.path, read)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use polars_core::prelude::{
        Categories, Column, DataFrame, DataType, IntoColumn, IntoSeries, NamedFrom, Series, TimeUnit, TimeZone,
    };
    use polars_io::prelude::ParquetWriter;
    use tempfile::TempDir;

    use super::*;
    use crate::{QuoteMinute, Right, Settles};

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
        load_options(dir, &symbol.parse().unwrap(), &dates(first, last), OptionStamp::Start)
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
                    2025-06-02T13:30:00Z,SPY,2025-06-03,589,P,1,1,1,1,5,1\n";
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
        assert_eq!((history.left_out.outside_hours, history.files.len()), (1, 1));
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
    fn a_row_without_a_price_or_a_volume_is_no_trade() {
        let day = "1748871000,SPY,2025-06-02";
        let rows = format!(
            "{day},589,C,0,0,0,0,0,0\n{day},590,C,1,1,1,1,0,1\n{day},591,C,,,,,,\n{day},592,C,1,1,1,1,,\n{day},593,C,1,1,1,1,2,1\n"
        );
        let dir = folder(&[("trades.csv", &format!("{TRADES}{rows}"))]);
        let history = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap();
        let strikes: Vec<f64> = history.sessions[0].trades.iter().map(|row| row.strike).collect();
        assert_eq!(strikes, [592.0, 593.0], "an empty volume is unknown, a volume of 0 is none");
        assert_eq!(history.left_out.no_print, 3);

        // Beside quotes, empty cells of trades are no missing rows.
        let rows = format!("{day},589,C,,,,,0,1.0,1.1\n{day},590,C,NaN,NaN,NaN,NaN,0,1.2,1.3\n");
        let heading = "timestamp,underlying,expiry,strike,right,open,high,low,close,volume,bid,ask\n";
        let dir = folder(&[("both.csv", &format!("{heading}{rows}"))]);
        let history = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap();
        assert_eq!((history.trades(), history.quotes(), history.left_out.no_print), (0, 2, 0));
    }

    #[test]
    fn columns_that_are_not_used_are_named() {
        let heading = "timestamp,underlying,expiry,strike,right,bid,ask,delta,iv\n";
        let dir = folder(&[("quotes.csv", &format!("{heading}1748871000,SPY,2025-06-02,590,C,1,1.1,0.5,0.2\n"))]);
        let history = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap();
        assert!(history.files[0].note.ends_with("; columns not used: delta, iv"), "{}", history.files[0].note);
    }

    #[test]
    fn an_instant_names_the_minute_that_ends_then() {
        let quote = |time: &str| format!("{time},SPY,2025-06-02,590,C,1,1.1,,\n");
        let times = ["2025-06-02T13:30:00Z", "2025-06-02T13:31:00Z", "2025-06-02T13:32:30Z", "2025-06-02T20:00:00Z"];
        let rows: String = times.into_iter().map(quote).collect();
        let dir = folder(&[("quotes.csv", &format!("{QUOTES}{rows}"))]);
        let slots = |stamp| {
            let range = dates("2025-06-02", "2025-06-02");
            let history = load_options(dir.path(), &"SPY".parse().unwrap(), &range, stamp).unwrap();
            history.sessions[0].quotes.iter().map(|row| row.slot).collect::<Vec<_>>()
        };
        assert_eq!(slots(OptionStamp::Start), [0, 1, 2]);
        assert_eq!(slots(OptionStamp::Instant), [0, 2, 389]);
    }

    #[test]
    fn rows_outside_the_session_alone_name_the_clock() {
        let dir = folder(&[("quotes.csv", &format!("{QUOTES}2025-06-02T09:30:00Z,SPY,2025-06-02,590,C,1,1.1,,\n"))]);
        let message = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap_err().to_string();
        assert!(message.contains("all 1 rows of SPY options lie outside trading hours; their times are"), "{message}");
    }

    #[test]
    fn contracts_that_settle_at_the_open_are_kept_apart() {
        let expiry = "2025-06-20";
        let row = |time: &str, root: &str, bid: f64| format!("{time},{root},{expiry},5900,C,{bid},{},,\n", bid + 0.2);
        let day_before = "2025-06-18T13:31:00Z";
        let rows =
            [row(day_before, "SPX", 40.0), row(day_before, "SPXW", 50.0), row("2025-06-20T13:31:00Z", "SPX", 9.0)];
        let dir = folder(&[("quotes.csv", &format!("{QUOTES}{}", rows.concat()))]);
        let history = load(dir.path(), "SPX", "2025-06-18", "2025-06-20").unwrap();
        let settles: Vec<Settles> = history.sessions.iter().map(|day| day.settles).collect();
        assert_eq!(settles, [Settles::AtClose, Settles::AtOpen, Settles::AtOpen]);
        let day = |date: &str| history.session(date.parse().unwrap(), expiry.parse().unwrap());
        assert_eq!(day("2025-06-18").unwrap().quotes[0].bid, Some(50.0), "the afternoon's contract");
        assert!(day("2025-06-20").is_none(), "the morning's contract does not trade on its expiry");
        assert_eq!(history.on("2025-06-18".parse().unwrap()).len(), 2);
    }

    #[test]
    fn partitions_and_compressed_files_are_read() {
        let dir = folder(&[("_SUCCESS", "")]);
        let part = dir.path().join("underlying=SPY/expiry=2025-06-02");
        fs::create_dir_all(&part).unwrap();
        let text = "timestamp,strike,right,bid,ask\n1748871000,590,call,1,1.1\n1748871000,590,P,1,1.1\n";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        fs::write(part.join("part-0.csv.gz"), packed.finish().unwrap()).unwrap();
        let history = load(dir.path(), "SPY", "2025-06-02", "2025-06-02").unwrap();
        assert_eq!((history.quotes(), history.sessions[0].expiry), (2, "2025-06-02".parse().unwrap()));
        assert_eq!(history.sessions[0].quotes[0].right, Right::Call);
    }

    #[test]
    fn columns_of_other_types_are_read() {
        let numbers = |name: &str, values: [f64; 2]| Series::new(name.into(), values).cast(&DataType::Decimal(12, 2));
        let texts = |name: &str, values: [&str; 2]| {
            let kind = DataType::from_categories(Categories::global());
            Series::new(name.into(), values).cast(&kind).unwrap().into_column()
        };
        let time = Series::new("timestamp".into(), [1_748_871_000_i64; 2]).into_column();
        let expiry = Series::new("expiry".into(), [20_250_602_i32; 2]).into_column();
        let size = Series::new("bid_size".into(), [7_i64, 200]).cast(&DataType::UInt8).unwrap().into_column();
        let [strike, bid, ask] = [("strike", [590.0, 590.0]), ("bid", [1.25, 1.5]), ("ask", [1.3, 1.6])]
            .map(|(name, values)| numbers(name, values).unwrap().into_column());
        let columns =
            vec![time, texts("underlying", ["SPY"; 2]), expiry, strike, texts("right", ["C", "P"]), bid, ask, size];
        let dir = folder(&[]);
        let mut table = DataFrame::new_infer_height(columns).unwrap();
        let file = dir.path().join("quotes.parquet");
        ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut table).unwrap();
        let history = load(&file, "SPY", "2025-06-02", "2025-06-02").unwrap();
        let quotes: Vec<_> = history.sessions[0].quotes.iter().map(|row| (row.bid, row.ask, row.bid_size)).collect();
        assert_eq!(quotes, [(Some(1.25), Some(1.3), Some(7)), (Some(1.5), Some(1.6), Some(200))]);
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
        assert_eq!((spy.left_out.outside_hours, spy.files.len()), (5_737 + 15_559 + 60, 3));
        let spx = load(&dir, "SPX", "2021-01-04", "2026-12-31").unwrap();
        assert_eq!((spx.sessions.len(), spx.trades(), spx.quotes()), (18 + 412 + 40, 120_815, 26_966 + 6_154));
        assert_eq!(spx.left_out.outside_hours, 1_042 + 105);
        let crossed = |history: &OptionHistory| {
            history.sessions.iter().flat_map(|day| &day.quotes).filter(|quote| quote.is_crossed()).count()
        };
        assert_eq!((crossed(&spx), crossed(&spy)), (56, 0));
        assert!(spx.sessions.iter().flat_map(|day| &day.trades).all(|mid| mid.spot.is_some()));
    }
}
