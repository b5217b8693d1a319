//! `zerodte import`: files of vendors are recognised, shown, confirmed and written, and a run reads them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use market_data::{
    Symbol, Zone,
    calendar::{self, MINUTE_NS},
    source::files,
};
use polars_core::prelude::{Column, DataFrame, IntoColumn as _, IntoSeries as _, NamedFrom as _, Series, TimeUnit};
use polars_io::prelude::ParquetWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, inspect::price, refused, text};

/// Minutes in the sessions of July 1 to 8, 2025; the 3rd is a half day.
const MINUTES: usize = 4 * 390 + 210;

/// Returns the starts and closes of the bars of July 1 to 8, 2025.
fn minutes() -> Vec<(i64, f64)> {
    let sessions = calendar::sessions("2025-07-01".parse().unwrap(), "2025-07-08".parse().unwrap());
    let day = |session: &calendar::Session| {
        let (day, open) = (session.date.day(), session.open_ns);
        (0..session.minutes() as i64).map(move |minute| (open + minute * MINUTE_NS, price(day, minute)))
    };
    sessions.iter().flat_map(day).collect()
}

fn new_york(ns: i64, form: &str) -> String {
    Zone::new("America/New_York").unwrap().clock_at(ns).strftime(form).to_string()
}

/// Writes a CSV file with a line per bar.
fn csv(folder: &Path, name: &str, header: &str, line: impl Fn(i64, f64) -> String) -> String {
    let lines: String = minutes().into_iter().map(|(ns, close)| line(ns, close) + "\n").collect();
    let path = folder.join(name);
    fs::write(&path, format!("{header}\n{lines}")).unwrap();
    path.display().to_string()
}

/// Writes bars as `yfinance` does, whose times have an offset.
fn yfinance(folder: &Path, name: &str) -> String {
    csv(folder, name, "Datetime,Open,High,Low,Close,Adj Close,Volume", |ns, close| {
        let time = new_york(ns, "%Y-%m-%d %H:%M:%S-04:00");
        format!("{time},{close},{},{},{close},{},1000", close + 0.01, close - 0.01, close * 0.9)
    })
}

fn import(out: &Path, args: &[&str]) -> Output {
    command("zerodte", &[&["import", "--out", out.to_str().unwrap()], args].concat())
}

fn imported(out: &Path, args: &[&str]) -> String {
    let output = import(out, args);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Checks that a folder holds all bars, at the right times and prices.
fn assert_read(folder: &Path) {
    let history = files::load(folder, &[Symbol::new("SPY").unwrap()]).unwrap();
    let expected = minutes();
    let (bars, (times, closes)) = (&history.bars[0], expected.into_iter().unzip::<_, _, Vec<_>, Vec<_>>());
    assert_eq!(bars.ts_ns(), times);
    assert!(bars.close().iter().zip(closes).all(|(read, written)| (read - written).abs() < 1e-9));
    assert_eq!(history.files[0].note, "timestamps: date-time in μs, zone UTC");
}

fn is_empty(folder: &Path) -> bool {
    !folder.exists() || fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_file_that_states_everything_is_imported_at_once_and_a_run_reads_it() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (yfinance(folder.path(), "spy_1min.csv"), folder.path().join("bars"));
    let screen = imported(&out, &[&file]);
    for part in [
        "spy_1min.csv: 1,770 bars of SPY",
        "columns        Datetime read as timestamp, Open as open",
        "times          RFC 3339",
        "zone           stated by the file",
        "stamp          start of the minute; bars begin or end with the session at 100 % of opens and closes",
        "first bar      2025-07-01 09:30 in New York",
        "last bar       2025-07-08 15:59 in New York",
        "sessions       5, 5 of them complete",
        "outside hours  0 minutes",
        "SPY_1m.parquet (1,770 bars)",
        "Next: zerodte inspect SPY --data-dir ",
    ] {
        assert!(screen.contains(part), "`{part}` is missing in:\n{screen}");
    }
    assert_read(&out);

    let json = folder.path().join("report.json");
    let args = ["inspect", "SPY", "--data-dir", out.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let output = command("zerodte", &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(report["coverage"]["present"], MINUTES);
}

#[test]
fn a_pandas_table_without_zone_needs_a_confirmation() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("SPY.parquet"), folder.path().join("bars"));
    let offset = 4 * 3_600_000_000_000;
    let times: Vec<i64> = minutes().iter().map(|(ns, _)| ns - offset).collect();
    let times = Series::new("__index_level_0__".into(), times);
    let times = times.i64().unwrap().clone().into_datetime(TimeUnit::Nanoseconds, None).into_series().into_column();
    let closes: Vec<f64> = minutes().iter().map(|(_, close)| *close).collect();
    let numbers = |name: &str| Series::new(name.into(), closes.clone()).into_column();
    let volume = Series::new("Volume".into(), vec![1_000_i64; closes.len()]).into_column();
    let columns: Vec<Column> = vec![numbers("Open"), numbers("High"), numbers("Low"), numbers("Close"), volume, times];
    let mut table = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut table).unwrap();
    let file = file.to_str().unwrap();

    let output = import(&out, &[file]);
    refused(&output, 2, &["nothing is written", "confirm with --timestamp-zone America/New_York, or", "--yes"]);
    assert!(text(&output.stdout).contains("zone           America/New_York; not stated by the file"));
    assert!(is_empty(&out), "nothing is written");
    imported(&out, &[file, "--timestamp-zone", "America/New_York"]);
    assert_read(&out);
    assert!(imported(&out, &[file, "--yes"]).contains("Unchanged: "), "both give the same file");

    // A wrong zone is the user's word; the table shows that it fits no session.
    let other = folder.path().join("other");
    let screen = imported(&other, &[file, "--timestamp-zone", "UTC"]);
    assert!(screen.contains("sessions       4, 0 of them complete"), "the half day lies before the open: {screen}");
}

#[test]
fn end_stamps_and_other_units_need_a_confirmation() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("bars");
    let ends = csv(folder.path(), "SPY_ends.csv", "t,o,h,l,c,v", |ns, close| {
        format!("{},{close},{close},{close},{close},1000", (ns + MINUTE_NS) / 1_000_000)
    });
    let output = import(&out, &[&ends]);
    refused(&output, 2, &["confirm with --bar-stamp end, or"]);
    assert!(is_empty(&out));
    let screen = imported(&out, &[&ends, "--bar-stamp", "end"]);
    for part in
        ["t read as timestamp, o as open", "times          epoch milliseconds", "stamp          end of the minute"]
    {
        assert!(screen.contains(part), "`{part}` is missing in:\n{screen}");
    }
    assert_read(&out);

    let all = csv(folder.path(), "SPY_all.csv", "date_time,open,high,low,close,volume", |ns, close| {
        let price = (close * 10_000.0).round();
        format!(
            "{},{price},{price},{price},{price},1000",
            new_york(ns + MINUTE_NS - 3_600_000_000_000, "%Y-%m-%d %H:%M:%S")
        )
    });
    let flags = "confirm with --timestamp-zone America/Chicago --bar-stamp end --price-scale 0.0001";
    refused(&import(&out, &[&all]), 2, &[flags]);
    imported(&out, &[&all, "--yes", "--replace"]);
    assert_read(&out);
}

#[test]
fn other_bars_are_replaced_on_request_only() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (yfinance(folder.path(), "SPY.csv"), folder.path().join("bars"));
    imported(&out, &[&file]);
    let before = fs::read(out.join("SPY_1m.parquet")).unwrap();
    let other = csv(folder.path(), "other.csv", "ticker,t,o,h,l,c,v", |ns, _| format!("SPY,{ns},1,1,1,1,1"));
    refused(&import(&out, &[&other]), 2, &["SPY_1m.parquet: exists with other bars; --replace"]);
    assert_eq!(fs::read(out.join("SPY_1m.parquet")).unwrap(), before);
    imported(&out, &[&other, "--replace"]);
    assert_ne!(fs::read(out.join("SPY_1m.parquet")).unwrap(), before);

    let beside = folder.path().join("beside");
    fs::create_dir(&beside).unwrap();
    fs::copy(&file, beside.join("SPY_1m.csv")).unwrap();
    refused(&import(&beside, &[&file]), 2, &["SPY_1m.csv: exists, and one file per symbol is read"]);
    assert_eq!(fs::read_dir(&beside).unwrap().count(), 1);
}

#[test]
fn files_of_one_symbol_are_joined_and_an_index_needs_no_volume() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("bars");
    let header = "timestamp,open,high,low,close,volume";
    let whole = csv(folder.path(), "SPY.csv", header, |ns, close| format!("{ns},{close},{close},{close},{close},1"));
    let lines: Vec<String> = fs::read_to_string(&whole).unwrap().lines().map(str::to_owned).collect();
    let part = |name: &str, lines: &[String]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        path
    };
    let (early, late) = (part("SPY_a.csv", &lines[1..391]), part("SPY_b.csv", &lines[391..]));
    imported(&out, &[late.to_str().unwrap(), early.to_str().unwrap()]);
    assert_read(&out);
    let other = folder.path().join("other");
    refused(
        &import(&other, &[whole.as_str(), early.to_str().unwrap()]),
        2,
        &["both have bars of SPY on the same dates"],
    );

    let vix = csv(folder.path(), "^VIX.csv", "Datetime,Open,High,Low,Close,Volume", |ns, _| {
        format!("{},18,18,18,18,", new_york(ns, "%Y-%m-%d %H:%M:%S-04:00"))
    });
    let screen = imported(&out, &[&vix]);
    assert!(screen.contains("no volume, written as 0") && !screen.contains("Next: "), "{screen}");
    let history = files::load(&out, &[Symbol::new("SPY").unwrap()]).unwrap();
    assert!(history.files.iter().any(|file| file.path.ends_with("VIX_1m.parquet") && file.rows == MINUTES));
}

#[test]
fn files_that_are_no_minute_bars_are_refused_in_one_sentence() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("bars");
    let file = |name: &str, header: &str, lines: &[&str]| -> String {
        let path = folder.path().join(name);
        fs::write(&path, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        path.display().to_string()
    };
    let refuse = |path: &str, more: &[&str], code: i32, words: &[&str]| {
        refused(&import(&out, &[&[path], more].concat()), code, words);
    };
    let header = "t,o,h,l,c,v";
    let five = file("SPY_5m.csv", header, &["1751376600,1,1,1,1,1", "1751376900,1,1,1,1,1", "1751377200,1,1,1,1,1"]);
    refuse(&five, &[], 1, &["SPY_5m.csv: the bars are 5 minutes apart"]);
    let digits = file("SPY_d.csv", header, &["202507010930,1,1,1,1,1"]);
    refuse(&digits, &[], 1, &["row 1, column timestamp: \"202507010930\"", "write 202503031430 as 2025-03-03 14:30"]);
    let two = file("two.csv", "symbol,t,o,h,l,c,v", &["SPY,1751376600,1,1,1,1,1", "QQQ,1751376600,1,1,1,1,1"]);
    refuse(&two, &[], 2, &["rows of several symbols, QQQ, SPY; choose one with --symbol"]);
    let unnamed = file("bars.csv", header, &["1751376600,1,1,1,1,1"]);
    refuse(&unnamed, &[], 2, &["add --symbol"]);
    let last = file("SPY_l.csv", "t,o,h,l,last,v", &["1751376600,1,1,1,1,1"]);
    refuse(&last, &[], 2, &["no column close; the file has: t, o, h, l, last, v", "--columns NAME=close"]);
    refuse(&last, &["--columns", "Last=close,x=open"], 2, &["no column \"x\", which data.columns (--columns) names"]);
    refuse(&last, &["--columns", "last=cloze"], 2, &["\"cloze\" is not one of", "did you mean close?"]);
    let night = file("SPY_n.csv", header, &["2025-03-09 02:30:00,1,1,1,1,1"]);
    refuse(&night, &["--timestamp-zone", "America/New_York"], 1, &["row 1", "does not exist in America/New_York"]);
    let noon = file("SPY_x.csv", header, &["2025-07-01 12:00,1,1,1,1,1", "2025-07-01 12:01,1,1,1,1,1"]);
    refuse(&noon, &[], 2, &["neither stated nor visible from its bars"]);
    refuse(&noon, &["--yes"], 2, &["--timestamp-zone America/New_York"]);
    refuse(&noon, &["--timestamp-zone", "New York"], 2, &["write it as America/New_York"]);
    assert!(is_empty(&out));
    imported(&out, &[&last, "--columns", "last=close"]);

    let marked = csv(folder.path(), "SPY_m.csv", header, |ns, _| new_york(ns, "%Y-%m-%dT%H:%M:%SZ,1,1,1,1,1"));
    refuse(&marked, &["--replace"], 2, &["marked as UTC, but its bars lie", "times of America/New_York would"]);
}

#[test]
fn a_run_reads_files_of_vendors_in_place() {
    let folder = TempDir::new().unwrap();
    csv(folder.path(), "SPY_1m.csv", "Date,Open,High,Low,Last Price,Volume", |ns, close| {
        let time = new_york(ns + MINUTE_NS, "%Y-%m-%d %H:%M:%S");
        format!("{time},{close},{close},{close},{close},1")
    });
    let bars = folder.path().to_str().unwrap();
    let inspect = |more: &[&str]| command("zerodte", &[&["inspect", "SPY", "--data-dir", bars], more].concat());
    refused(&inspect(&[]), 1, &["no column close", "--columns NAME=close"]);
    let columns = ["--columns", "last price=close"];
    refused(&inspect(&columns), 1, &["row 1, column timestamp: \"2025-07-01 09:31:00\"", "data.timestamp_zone"]);
    let more = ["--set", "data.timestamp_zone=America/New_York", "--set", "data.bar_stamp=end"];
    let output = inspect(&[&columns[..], &more].concat());
    let screen = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(screen.contains("SPY: 5 sessions 2025-07-01 to 2025-07-08"), "{screen}");
    let note = "timestamps: date-time without a zone, taken as America/New_York; stamps of the end moved to the start; Date \
                read as timestamp, Open as open, High as high, Low as low, Last Price as close, Volume as volume";
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(note), "{screen}");
}
