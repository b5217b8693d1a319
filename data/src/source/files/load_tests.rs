//! Tests of the loader: forms of files, faults, folders.

use std::fs;

use polars_core::prelude::{Column, DataFrame, IntoColumn, IntoSeries, NamedFrom, Series, TimeUnit, TimeZone};
use polars_io::prelude::ParquetWriter;
use tempfile::TempDir;

use super::*;

const START: i64 = 1_748_871_000;
const HEADER: &str = "timestamp,open,high,low,close,volume\n";

fn spy() -> [Symbol; 1] {
    [Symbol::new("SPY").unwrap()]
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn csv_error(text: &str) -> String {
    let dir = folder(&[("SPY_1m.csv", text)]);
    let message = load(dir.path(), &spy()).unwrap_err().to_string();
    let file = dir.path().join("SPY_1m.csv").display().to_string();
    assert!(message.contains(&file), "{message:?} does not name the file");
    message.replace(&file, "FILE")
}

/// Three bars, in the order of columns that a bar file has.
fn columns() -> Vec<Column> {
    let numbers = |name: &str, values: [f64; 3]| Series::new(name.into(), values).into_column();
    vec![
        Series::new("timestamp".into(), [START, START + 60, START + 120]).into_column(),
        numbers("open", [10.0, 11.0, 12.0]),
        numbers("high", [11.0, 12.0, 13.0]),
        numbers("low", [9.0, 10.0, 11.0]),
        numbers("close", [10.5, 11.5, 12.5]),
        Series::new("volume".into(), [100_i64, 0, 7]).into_column(),
    ]
}

fn write_parquet(dir: &TempDir, name: &str, columns: Vec<Column>) {
    let mut table = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(dir.path().join(name)).unwrap()).finish(&mut table).unwrap();
}

fn parquet_result(change: impl FnOnce(&mut Vec<Column>)) -> Result<History, DataError> {
    let dir = folder(&[]);
    let mut columns = columns();
    change(&mut columns);
    write_parquet(&dir, "SPY_1m.parquet", columns);
    load(dir.path(), &spy())
}

fn date_time(values: [i64; 3], unit: TimeUnit, zone: Option<TimeZone>) -> Column {
    let series = Series::new("timestamp".into(), values);
    series.i64().unwrap().clone().into_datetime(unit, zone).into_series().into_column()
}

#[test]
fn csv_times_are_detected_and_stated() {
    let rows = |first: &str, second: &str| {
        let text = format!("{HEADER}{first},10,11,9,10.5,100\n{second},10.5,12,10,11,0\n");
        let dir = folder(&[("SPY_1m.csv", &text)]);
        let history = load(dir.path(), &spy()).unwrap();
        assert_eq!(history.bars[0].ts_ns(), [START * 1_000_000_000, (START + 60) * 1_000_000_000]);
        assert_eq!((history.bars[0].low(), history.bars[0].volume()), (&[9.0, 10.0][..], &[100.0, 0.0][..]));
        assert_eq!((history.files.len(), history.files[0].rows, history.synthetic), (1, 2, false));
        history.files[0].note.clone()
    };
    assert_eq!(rows("2025-06-02T13:30:00Z", "2025-06-02T09:31:00-04:00"), "timestamps: RFC 3339");
    assert_eq!(rows("1748871000", "1748871060"), "timestamps: epoch seconds");
    assert_eq!(rows("1748871000000", "1748871060000"), "timestamps: epoch milliseconds");
    assert_eq!(rows("1748871000000000000", "1748871060000000000"), "timestamps: epoch nanoseconds");
}

#[test]
fn csv_faults_name_file_row_and_column() {
    let good = "1748871000,10,11,9,10.5,100\n";
    let cases = [
        (String::new(), "FILE: no column timestamp; the file has: nothing"),
        ("timestamp,open,high,low,close\n".to_owned(), "FILE: no column volume; the file has: timestamp, open"),
        (format!("{HEADER}{good}1748871060,10,x,9,10,1\n"), "FILE: row 2, column high: \"x\"; expected a number"),
        (format!("{HEADER}{good}1748871060,10,11,9\n"), "FILE: row 2, column close: the cell is empty"),
        (format!("{HEADER}{good}1748871060,10,11,NaN,10,1\n"), "FILE: row 2, column low: NaN is not a positive price"),
        (format!("{HEADER}{good}{good}"), "FILE: row 2, column timestamp: 2025-06-02T13:30:00Z repeats row 1"),
        (format!("{HEADER}{good}1748871060000,10,11,9,10,1\n"), "\"1748871060000\"; expected the unit of row 1"),
        (
            format!("{HEADER}2025-06-02 09:30:00,10,11,9,10,1\n"),
            "row 1, column timestamp: \"2025-06-02 09:30:00\"; expected RFC",
        ),
        (format!("{HEADER}{good}1748871060,10,11,9,10,1,2\n"), "cannot read FILE"),
    ];
    for (text, expected) in cases {
        let message = csv_error(&text);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn files_of_yfinance_and_vendors_are_read_in_their_form() {
    let read = |text: &str, format: &BarFormat| {
        let dir = folder(&[("SPY_1m.csv", text)]);
        let history = load_in(dir.path(), &spy(), format).unwrap();
        assert_eq!(history.bars[0].ts_ns(), [START * 1_000_000_000]);
        assert_eq!((history.bars[0].close(), history.bars[0].volume()), (&[10.5][..], &[100.0][..]));
        history.files[0].note.clone()
    };
    let names = "Datetime,Open,High,Low,Close,Adj Close,Volume";
    let note = "timestamps: RFC 3339; Datetime read as timestamp, Open as open, High as high, Low as low, Close as \
                close, Volume as volume";
    let rows = format!("{names}\n2025-06-02 09:30:00-04:00,10,11,9,10.5,9.9,100\n");
    assert_eq!(read(&rows, &BarFormat::default()), note);
    let format = BarFormat {
        columns: [("px".to_owned(), crate::BarColumn::Close)].into(),
        zone: crate::Zone::new("America/New_York").ok(),
        stamp: crate::BarStamp::End,
        ..BarFormat::default()
    };
    let note = "timestamps: date-time without a zone, taken as America/New_York; stamps of the end moved to the start; \
                px read as close";
    assert_eq!(read("timestamp,open,high,low,close,px,volume\n2025-06-02 09:31,10,11,9,1,10.5,100\n", &format), note);
}

#[test]
fn parquet_indices_of_pandas_are_times_in_a_zone() {
    let local = [0, 60, 120].map(|second| (START - 4 * 3_600 + second) * 1_000_000_000);
    let dir = folder(&[]);
    let mut table = columns();
    table[0] = date_time(local, TimeUnit::Nanoseconds, None).with_name("__index_level_0__".into());
    table.rotate_left(1);
    write_parquet(&dir, "SPY_1m.parquet", table);
    let format = BarFormat { zone: crate::Zone::new("America/New_York").ok(), ..BarFormat::default() };
    let history = load_in(dir.path(), &spy(), &format).unwrap();
    assert_eq!(history.bars[0].ts_ns()[2], (START + 120) * 1_000_000_000);
    let note =
        "timestamps: date-time in ns without a zone, taken as America/New_York; __index_level_0__ read as timestamp";
    assert_eq!(history.files[0].note, note);

    let message = parquet_result(|columns| {
        columns[0].rename("index".into());
    });
    assert!(message.unwrap_err().to_string().contains("no column timestamp; the file has: index, open"));
    let rows = ",open,high,low,close,volume\n0,10,11,9,10.5,100\n1,10,11,9,10.5,100\n";
    assert!(csv_error(rows).contains("FILE: no column timestamp"), "a column that counts rows is no time");
}

#[test]
fn an_empty_volume_of_an_index_is_none() {
    let rows = "timestamp,open,high,low,close,volume\n1748870000,18,18,18,18,\n1748870060,18,18,18,18,\n";
    let spy_rows = format!("{HEADER}1748871000,10,11,9,10.5,100\n");
    let dir = folder(&[("SPY_1m.csv", &spy_rows), ("VIX_1m.csv", rows)]);
    assert_ne!(load(dir.path(), &spy()).unwrap().volatility, Volatility::default());
    assert!(csv_error(rows).contains("FILE: row 1, column volume: the cell is empty"));
}

#[test]
fn parquet_times_are_detected_and_stated() {
    let ms = [0, 60, 120].map(|second| (START + second) * 1000);
    let us = ms.map(|ms| ms * 1000);
    for (column, note) in [
        (date_time(ms, TimeUnit::Milliseconds, Some(TimeZone::UTC)), "timestamps: date-time in ms, zone UTC"),
        (date_time(us, TimeUnit::Microseconds, None), "timestamps: date-time in μs without a zone, taken as UTC"),
        (Series::new("timestamp".into(), ms).into_column(), "timestamps: epoch milliseconds"),
    ] {
        let history = parquet_result(|columns| columns[0] = column).unwrap();
        assert_eq!(history.files[0].note, note);
        assert_eq!(history.bars[0].ts_ns()[2], (START + 120) * 1_000_000_000);
        assert_eq!(history.bars[0].volume(), [100.0, 0.0, 7.0], "integers are numbers");
    }
}

#[test]
fn parquet_faults_name_file_row_and_column() {
    let number = |name: &str, values: [Option<f64>; 3]| Series::new(name.into(), values).into_column();
    let cases: [(Column, usize, &str); 4] = [
        (
            Series::new("close".into(), ["a", "b", "c"]).into_column(),
            4,
            "column close is of type str; expected a number",
        ),
        (number("low", [Some(9.0), None, Some(11.0)]), 3, "row 2, column low: the cell is empty"),
        (
            number("high", [Some(11.0), Some(12.0), Some(f64::NAN)]),
            2,
            "row 3, column high: NaN is not a positive price",
        ),
        (number("timestamp", [Some(1.0), Some(2.0), Some(3.0)]), 0, "column timestamp is of type f64; expected a date"),
    ];
    for (column, at, expected) in cases {
        let message = parquet_result(|columns| columns[at] = column).unwrap_err().to_string();
        assert!(message.contains("SPY_1m.parquet: ") && message.contains(expected), "{message:?} lacks {expected:?}");
    }
    let message = parquet_result(|columns| drop(columns.remove(5))).unwrap_err().to_string();
    assert!(message.contains("no column volume"), "{message}");

    let dir = folder(&[("SPY_1m.parquet", "this is not Parquet")]);
    let error = load(dir.path(), &spy()).unwrap_err();
    assert!(matches!(error, DataError::Read { .. }), "{error}");
}

#[test]
fn missing_and_duplicate_files_are_named() {
    let dir = folder(&[("QQQ_1m.csv", ""), ("IWM_1m.parquet", ""), ("VIX_1m.csv", ""), ("notes.txt", "")]);
    let message = load(dir.path(), &spy()).unwrap_err().to_string();
    assert!(message.starts_with("no file SPY_1m.parquet (nor .csv) in "), "{message}");
    assert!(message.ends_with("it holds bars of: IWM, QQQ"), "{message}");

    let dir = folder(&[("SPY_1m.csv", ""), ("SPY_1m.parquet", "")]);
    let message = load(dir.path(), &spy()).unwrap_err().to_string();
    assert!(message.contains("SPY_1m.parquet and ") && message.contains("SPY_1m.csv exist"), "{message}");

    let message = load(&dir.path().join("nowhere"), &spy()).unwrap_err().to_string();
    assert!(message.starts_with("cannot list the data folder"), "{message}");
}

#[test]
fn volatility_indices_are_read_if_present() {
    let dir = folder(&[
        ("SPY_1m.csv", &format!("{HEADER}1748871000,10,11,9,10.5,100\n")),
        ("VIX_1m.csv", "timestamp,open,high,low,close\n1748870000,18,18,18,18\n"),
        ("VIX_1d.csv", "date,close\n2025-05-30,18.5\n"),
    ]);
    write_parquet(&dir, "VIX1D_1m.parquet", columns());
    let history = load(dir.path(), &spy()).unwrap();
    let names: Vec<&str> = history.files.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["SPY_1m.csv", "VIX1D_1m.parquet", "VIX_1m.csv", "VIX_1d.csv"]);
    assert_ne!(history.volatility, Volatility::default());
}

#[test]
fn real_bars_match_their_documentation() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/bars");
    if !dir.is_dir() {
        println!("skipped: {} does not exist", dir.display());
        return;
    }
    let symbols = ["SPY", "QQQ", "SPX"].map(|name| Symbol::new(name).unwrap());
    let history = load(&dir, &symbols).unwrap();
    // The rows of QQQ, which misses no minute, are those of 861 sessions, six of them half days.
    let rows: Vec<usize> = history.files.iter().take(3).map(|file| file.rows).collect();
    assert_eq!(rows, [334_706, 334_710, 334_706]);
    let dataset = crate::Dataset::build(&history, &crate::Window::default(), &crate::DataConfig::default()).unwrap();
    let reports: Vec<_> = dataset.symbols.iter().map(|symbol| &symbol.report).collect();
    assert_eq!(reports.iter().map(|report| report.kept).collect::<Vec<_>>(), [861, 861, 861]);
    assert_eq!(reports.iter().map(|report| report.filled_minutes).collect::<Vec<_>>(), [4, 0, 4]);
    assert_eq!(dataset.dates.len(), 860, "the first session warms indicators up");
    let day = dataset.symbols[0].days.iter().find(|day| day.session.date.to_string() == "2023-06-05").unwrap();
    assert_eq!(day.filled.iter().filter(|filled| **filled).count(), 4);
}
