//! Files with the faults of real vendors' files: each is read right, or refused with a sentence that says what to do.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use polars_core::prelude::{
    Categories, Column, DataFrame, DataType, IntoColumn as _, IntoSeries as _, NamedFrom as _, Series, TimeUnit,
};
use polars_io::prelude::ParquetWriter;
use tempfile::TempDir;

use super::{load, load_in};
use crate::{
    BarFormat, BarStamp, Bars, DataConfig, DataError, Dataset, History, Symbol, VolSource, Window, Zone,
    calendar::{self, MINUTE_NS},
};

const HOUR_NS: i64 = 60 * MINUTE_NS;
const SECOND_NS: i64 = 1_000_000_000;

/// One bar of a made-up file.
#[derive(Clone, Copy)]
struct Row {
    ns: i64,
    price: f64,
    volume: f64,
}

/// Returns the minutes `from` to `to` after 09:30 of the sessions of two dates; the volume jumps at the open.
fn minutes(first: &str, last: &str, from: i64, to: i64) -> Vec<Row> {
    let sessions = calendar::sessions(first.parse().unwrap(), last.parse().unwrap());
    let day = |session: &calendar::Session| {
        let open = session.open_ns;
        (from..=to).map(move |minute| Row {
            ns: open + minute * MINUTE_NS,
            price: 500.0 + ((minute * minute * 7 + minute * 13).rem_euclid(101)) as f64 * 0.01,
            volume: if (0..390).contains(&minute) { 50_000.0 } else { 300.0 },
        })
    };
    sessions.iter().flat_map(day).collect()
}

/// Four weeks of regular hours in winter and summer time.
fn regular() -> Vec<Row> {
    minutes("2025-03-03", "2025-03-28", 0, 389)
}

fn moved(rows: &[Row], by: i64) -> Vec<Row> {
    rows.iter().map(|row| Row { ns: row.ns + by, ..*row }).collect()
}

/// Returns the times that the clock of a zone shows, as if they were UTC.
fn on_clock(rows: &[Row], zone: &str) -> Vec<Row> {
    let zone = Zone::new(zone).unwrap();
    let shown = |ns| crate::bar_format::clock_ns(zone.clock_at(ns)).unwrap();
    rows.iter().map(|row| Row { ns: shown(row.ns), ..*row }).collect()
}

fn csv(rows: &[Row]) -> String {
    csv_of(rows, "timestamp,open,high,low,close,volume", |Row { ns, price, volume }| {
        format!("{},{price},{},{},{price},{volume}", ns / SECOND_NS, price + 0.02, price - 0.02)
    })
}

fn csv_of(rows: &[Row], header: &str, line: impl Fn(Row) -> String) -> String {
    let lines: String = rows.iter().map(|row| line(*row) + "\n").collect();
    format!("{header}\n{lines}")
}

/// Columns of a Parquet file whose times have no zone.
fn columns(rows: &[Row]) -> Vec<Column> {
    let numbers = |name: &str, value: &dyn Fn(&Row) -> f64| {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<f64>>()).into_column()
    };
    let times = Series::new("timestamp".into(), rows.iter().map(|row| row.ns).collect::<Vec<i64>>());
    let times = times.i64().unwrap().clone().into_datetime(TimeUnit::Nanoseconds, None);
    vec![
        times.into_series().into_column(),
        numbers("open", &|row| row.price),
        numbers("high", &|row| row.price + 0.02),
        numbers("low", &|row| row.price - 0.02),
        numbers("close", &|row| row.price),
        numbers("volume", &|row| row.volume),
    ]
}

fn write_parquet(path: &Path, columns: Vec<Column>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut table = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap()).finish(&mut table).unwrap();
}

/// Loads one symbol from a folder that `write` fills.
fn read(symbol: &str, format: &BarFormat, write: impl FnOnce(&Path)) -> Result<History, String> {
    let dir = TempDir::new().unwrap();
    write(dir.path());
    load_in(dir.path(), &[Symbol::new(symbol).unwrap()], format).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}").replace(&format!("{}/", dir.path().display()), "")
    })
}

fn of_csv(symbol: &str, text: &str) -> Result<History, String> {
    read(symbol, &BarFormat::default(), |dir| fs::write(dir.join(format!("{symbol}_1m.csv")), text).unwrap())
}

fn of_parquet(format: &BarFormat, columns: Vec<Column>) -> Result<History, String> {
    read("SPY", format, |dir| write_parquet(&dir.join("SPY_1m.parquet"), columns))
}

/// Checks that an error names the file, the fault and the cure.
fn refused(result: Result<History, String>, parts: &[&str]) {
    let message = result.expect_err("the file is faulty");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

fn bars(result: Result<History, String>) -> Bars {
    result.unwrap_or_else(|error| panic!("{error}")).bars.remove(0)
}

fn zone(name: &str) -> BarFormat {
    BarFormat { zone: Zone::new(name).ok(), ..BarFormat::default() }
}

const ALLOW: &str = "--set data.allow_suspicious=true";

#[test]
fn right_files_pass() {
    let extended = minutes("2025-06-02", "2025-06-27", -330, 629);
    for rows in [regular(), extended, minutes("2025-06-02", "2025-06-27", 1, 389)] {
        let history = of_csv("SPY", &csv(&rows)).unwrap();
        assert_eq!((history.bars[0].len(), history.notes), (rows.len(), Vec::<String>::new()));
    }
}

#[test]
fn stamps_of_the_end_are_recognised() {
    let rows = moved(&regular(), MINUTE_NS);
    let parts =
        ["SPY_1m.csv: its bars run from 09:31 to 16:00", "named by their end", "--set data.bar_stamp=end", ALLOW];
    refused(of_csv("SPY", &csv(&rows)), &parts);
    let extended = moved(&minutes("2025-06-02", "2025-06-27", -330, 629), MINUTE_NS);
    refused(of_csv("SPY", &csv(&extended)), &["the volume jumps at 09:31 instead of 09:30", "data.bar_stamp=end"]);

    let end = BarFormat { stamp: BarStamp::End, ..BarFormat::default() };
    let file = |rows: &[Row]| read("SPY", &end, |dir| fs::write(dir.join("SPY_1m.csv"), csv(rows)).unwrap());
    assert_eq!(bars(file(&rows)).ts_ns()[0], regular()[0].ns);
    refused(file(&minutes("2025-06-02", "2025-06-27", -330, 629)), &["the volume jumps at 09:29", "data.bar_stamp"]);

    let allowed = BarFormat { allow_suspicious: true, ..BarFormat::default() };
    let history = read("SPY", &allowed, |dir| fs::write(dir.join("SPY_1m.csv"), csv(&rows)).unwrap()).unwrap();
    assert!(history.notes[0].contains("its bars run from 09:31 to 16:00"), "{:?}", history.notes);
}

#[test]
fn local_times_are_recognised_by_edges_and_by_volume() {
    let cases = [
        (regular(), "America/New_York"),
        (regular(), "America/Chicago"),
        (minutes("2025-06-02", "2025-06-27", -330, 629), "America/New_York"),
        (minutes("2025-06-02", "2025-06-27", -330, 629), "America/Chicago"),
    ];
    for (rows, name) in cases {
        let local = columns(&on_clock(&rows, name));
        let cure = format!("--set data.timestamp_zone={name}");
        let parts = ["SPY_1m.parquet: its times have no zone and were read as UTC", "in New York", &cure, ALLOW];
        refused(of_parquet(&BarFormat::default(), local.clone()), &parts);
        assert_eq!(bars(of_parquet(&zone(name), local)).ts_ns()[389], rows[389].ns);
    }
    let marked = csv_of(&on_clock(&regular(), "America/New_York"), "timestamp,open,high,low,close,volume", |row| {
        format!("{},500,500,500,500,1", row.ns / SECOND_NS)
    });
    refused(of_csv("SPY", &marked), &["its times state their instant", "times of America/New_York", "marked as UTC"]);
}

#[test]
fn weak_evidence_refuses_nothing() {
    let two_days = minutes("2025-06-02", "2025-06-03", 1, 390);
    of_csv("SPY", &csv(&two_days)).unwrap();
    let no_volume: Vec<Row> =
        minutes("2025-06-02", "2025-06-27", -330, 629).into_iter().map(|row| Row { volume: 0.0, ..row }).collect();
    of_parquet(&BarFormat::default(), columns(&on_clock(&no_volume, "America/New_York"))).unwrap();
}

#[test]
fn hours_of_an_index_are_no_stamps_of_the_end() {
    let without = |from, to| {
        let rows = minutes("2025-03-03", "2025-03-28", from, to);
        csv_of(&rows, "timestamp,open,high,low,close", |row| format!("{},15,15.5,14.5,15.25", row.ns / SECOND_NS))
    };
    of_csv("SPX", &without(1, 395)).unwrap();
    of_csv("SPX", &without(0, 390)).unwrap();
    of_csv("VIX", &without(1, 405)).unwrap();
    refused(of_csv("SPX", &without(1, 390)), &["its bars run from 09:31 to 16:00", "data.bar_stamp=end", ALLOW]);
}

#[test]
fn bars_of_another_interval_are_named() {
    let five: Vec<Row> = regular().into_iter().step_by(5).collect();
    refused(of_csv("SPY", &csv(&five)), &["SPY_1m.csv: the bars are 5 minutes apart; bars of one minute are needed"]);
    let sparse: Vec<Row> =
        regular().into_iter().enumerate().filter(|(at, _)| at % 7 != 3).map(|(_, row)| row).collect();
    of_csv("SPY", &csv(&sparse)).unwrap();
}

/// Loads SPY beside an index of volatility with these bars.
fn with_index(name: &str, rows: &[Row], format: &BarFormat) -> Result<History, String> {
    let index: Vec<Row> = rows.iter().map(|row| Row { price: row.price / 30.0, volume: 0.0, ..*row }).collect();
    read("SPY", format, |dir| {
        fs::write(dir.join("SPY_1m.csv"), csv(&regular())).unwrap();
        write_parquet(&dir.join(format!("{name}_1m.parquet")), columns(&index));
    })
}

#[test]
fn an_index_in_a_local_zone_is_recognised() {
    let default = BarFormat::default();
    let published = minutes("2025-03-03", "2025-03-28", -375, 405);
    for rows in [regular(), published] {
        for name in ["VIX", "VIX1D"] {
            assert_ne!(with_index(name, &rows, &default).unwrap().volatility, crate::Volatility::default());
            for zone in ["America/Chicago", "America/New_York"] {
                let cure = format!("--set data.timestamp_zone={zone}");
                let file = format!("{name}_1m.parquet: its times have no zone");
                refused(with_index(name, &on_clock(&rows, zone), &default), &[&file, &cure, ALLOW]);
            }
        }
    }
    let berlin = on_clock(&regular(), "Europe/Berlin");
    refused(with_index("VIX", &berlin, &default), &["data.timestamp_zone=Europe/Berlin"]);
    let mornings = minutes("2025-03-03", "2025-03-28", 0, 120);
    refused(with_index("VIX", &mornings, &default), &["no bar of VIX after noon in New York on any of 20 days"]);
}

#[test]
fn an_index_has_no_volume() {
    let no_column =
        csv_of(&regular(), "timestamp,open,high,low,close", |row| format!("{},1.5,2,1,1.5", row.ns / SECOND_NS));
    let empty = csv_of(&regular(), "timestamp,open,high,low,close,volume", |row| {
        format!("{},1.5,2,1,1.5,", row.ns / SECOND_NS)
    });
    for text in [&no_column, &empty] {
        assert!(bars(of_csv("SPX", text)).volume().iter().all(|volume| *volume == 0.0));
    }
    refused(of_csv("SPY", &no_column), &["no column volume"]);
    refused(of_csv("SPY", &empty), &["row 1, column volume: the cell is empty"]);
}

#[test]
fn an_index_that_begins_at_0931_has_no_night_in_its_volatility() {
    let rows = |from| -> Vec<Row> {
        let path = minutes("2025-03-03", "2025-03-28", from, 389);
        // Each session lies one per cent above the one before.
        let day = |ns| i32::from(calendar::exchange_date(ns).day());
        path.into_iter().map(|row| Row { price: row.price * 1.01_f64.powi(day(row.ns)), ..row }).collect()
    };
    let built = |rows: &[Row]| {
        let history = of_csv("SPX", &csv(rows)).unwrap();
        Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap().symbols.remove(0)
    };
    let (whole, late) = (built(&rows(0)), built(&rows(1)));
    let vol = |symbol: &crate::SymbolSessions| symbol.vol.last().unwrap().atm_vol[390];
    assert_eq!(whole.vol[1].atm_source, VolSource::Realised);
    assert!((vol(&late) / vol(&whole) - 1.0).abs() < 0.01, "{} and {}", vol(&late), vol(&whole));
    assert_eq!(late.report.first_filled, 19, "the first session has no earlier price");
    let text = late.report.to_string();
    assert!(text.contains("No session has a bar at 09:30: the series begins at 09:31."), "{text}");
}

#[test]
fn a_file_that_ends_early_loses_its_last_session() {
    let rows = regular();
    let cut = &rows[..rows.len() - 18];
    let dataset =
        Dataset::build(&of_csv("SPY", &csv(cut)).unwrap(), &Window::default(), &DataConfig::default()).unwrap();
    let text = dataset.symbols[0].report.to_string();
    assert!(
        text.contains("1 sessions refused for missing minutes: 2025-03-28 (18 minutes, last bar 15:41)."),
        "{text}"
    );
    assert_eq!(dataset.dates.last().unwrap().to_string(), "2025-03-27");
}

#[test]
fn prices_in_another_unit_stop_the_run() {
    let thousands = |row: Row| {
        let price = (row.price * 10_000.0).round();
        format!("{},{price},{price},{price},{price},1", row.ns / SECOND_NS)
    };
    let text = csv_of(&regular()[..1_170], "timestamp,open,high,low,close,volume", thousands);
    refused(of_csv("SPY", &text), &["whole numbers such as", "dollars times 10000", "zerodte import", ALLOW]);
    let mut rows = columns(&regular());
    let mut high: Vec<f64> = regular().iter().map(|row| row.price + 0.02).collect();
    high[5_000] *= 1_000.0;
    rows[2] = Series::new("high".into(), high).into_column();
    refused(of_parquet(&BarFormat::default(), rows), &["row 5001, 2025-03-19T", "a slipped decimal", ALLOW]);
}

#[test]
fn digits_of_a_date_are_told() {
    let minute = |row: Row| {
        let time = Zone::utc().clock_at(row.ns).strftime("%Y%m%d%H%M").to_string();
        format!("{time},500,500,500,500,1")
    };
    let text = csv_of(&regular(), "timestamp,open,high,low,close,volume", minute);
    refused(
        of_csv("SPY", &text),
        &["row 1, column timestamp: \"202503031430\"", "write 202503031430 as 2025-03-03 14:30"],
    );
}

#[test]
fn columns_of_the_users_own_are_named() {
    let text = csv_of(&regular(), "timestamp,open,high,low,close,volume,my_signal", |row| {
        format!("{},500,500,500,500,1,1", row.ns / SECOND_NS)
    });
    assert_eq!(of_csv("SPY", &text).unwrap().notes, ["columns of bar files that are not used: my_signal"]);
}

#[test]
fn decimals_small_integers_and_categories_are_read() {
    let rows = regular();
    let mut table = columns(&rows);
    let cast = |column: &Column, data: DataType| column.cast(&data).unwrap();
    table[1] = cast(&table[1], DataType::Decimal(12, 4));
    table[2] = cast(&table[2], DataType::Float32);
    let counts: Vec<i64> = (0..rows.len() as i64).map(|at| at % 100).collect();
    let counts = Series::new("volume".into(), counts).into_column();
    for small in [DataType::UInt8, DataType::Int8, DataType::UInt16, DataType::Int16] {
        table[5] = cast(&counts, small);
        let read = bars(of_parquet(&BarFormat::default(), table.clone()));
        assert_eq!((read.volume()[101], read.open().len()), (1.0, rows.len()));
        assert!((read.open()[7] - rows[7].price).abs() < 1e-9 && (read.high()[7] - rows[7].price - 0.02).abs() < 1e-4);
    }
    let tickers = Series::new("ticker".into(), vec!["SPY"; rows.len()]).into_column();
    let categories = cast(&tickers, DataType::from_categories(Categories::global()));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vendor.parquet");
    write_parquet(&path, [columns(&rows), vec![categories]].concat());
    let file = super::import::VendorFile::read(&path, &std::collections::BTreeMap::new(), None).unwrap();
    assert_eq!(file.symbol().unwrap().as_str(), "SPY");
}

#[test]
fn a_packed_csv_file_is_read() {
    let read = read("SPY", &BarFormat::default(), |dir| {
        let file = fs::File::create(dir.join("SPY_1m.csv.gz")).unwrap();
        GzEncoder::new(file, Compression::fast()).write_all(csv(&regular()).as_bytes()).unwrap();
    });
    assert_eq!(bars(read).ts_ns(), regular().iter().map(|row| row.ns).collect::<Vec<_>>());
}

#[test]
fn folders_of_parquet_are_one_series() {
    let rows = regular();
    let by_day: Vec<&[Row]> = rows.chunks(390).collect();
    let flat = |dir: &Path| {
        for (day, rows) in by_day.iter().enumerate() {
            // Names that are not in the order of the dates.
            write_parquet(&dir.join(format!("SPY_1m/part-{}.parquet", 99 - day)), columns(rows));
        }
        fs::write(dir.join("SPY_1m/_SUCCESS"), "").unwrap();
    };
    let hive = |dir: &Path| {
        for rows in &by_day {
            let date = calendar::exchange_date(rows[0].ns);
            write_parquet(&dir.join(format!("SPY_1m/year=2025/date={date}/data.parquet")), columns(rows));
        }
    };
    let expected: Vec<i64> = rows.iter().map(|row| row.ns).collect();
    for history in [read("SPY", &BarFormat::default(), flat), read("SPY", &BarFormat::default(), hive)] {
        let history = history.unwrap();
        assert_eq!(history.bars[0].ts_ns(), expected);
        assert_eq!(history.files.len(), 20);
        assert!(history.files.iter().all(|file| file.rows == 390 && file.folder.is_some()));
    }
    let twice = |dir: &Path| {
        write_parquet(&dir.join("SPY_1m/a.parquet"), columns(by_day[0]));
        write_parquet(&dir.join("SPY_1m/b.parquet"), columns(by_day[0]));
    };
    refused(read("SPY", &BarFormat::default(), twice), &["SPY_1m/b.parquet begins before SPY_1m/a.parquet ends"]);
    let empty = |dir: &Path| fs::create_dir(dir.join("SPY_1m")).unwrap();
    refused(read("SPY", &BarFormat::default(), empty), &["SPY_1m is a folder without a Parquet file"]);
    let both = |dir: &Path| {
        write_parquet(&dir.join("SPY_1m/a.parquet"), columns(by_day[0]));
        fs::write(dir.join("SPY_1m.csv"), csv(by_day[0])).unwrap();
    };
    refused(read("SPY", &BarFormat::default(), both), &["both SPY_1m.csv and SPY_1m exist"]);
}

#[test]
fn halts_stay_marked_as_minutes_without_a_bar() {
    let rows: Vec<Row> =
        regular().into_iter().enumerate().filter(|(at, _)| !(785..800).contains(at)).map(|(_, row)| row).collect();
    let dataset =
        Dataset::build(&of_csv("SPY", &csv(&rows)).unwrap(), &Window::default(), &DataConfig::default()).unwrap();
    let symbol = &dataset.symbols[0];
    assert_eq!((symbol.report.filled_minutes, symbol.report.refused.len()), (15, 0));
    assert_eq!(symbol.days[2].filled.iter().position(|filled| *filled), Some(5));
}

#[test]
fn a_shift_of_hours_is_no_match_for_the_calendar() {
    let error = of_csv("SPY", &csv(&moved(&regular(), -3 * HOUR_NS)));
    // No zone of the list fits: what is not understood is not named, and the sessions are refused.
    let history = error.unwrap();
    let built = Dataset::build(&history, &Window::default(), &DataConfig::default());
    assert!(matches!(built, Err(DataError::NoSessions { .. })), "{built:?}");
    assert!(load(Path::new("/nowhere"), &[Symbol::new("SPY").unwrap()]).is_err());
}
