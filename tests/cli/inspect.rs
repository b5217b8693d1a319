//! `zerodte inspect`: planted faults of bars are found and named, and a second source is compared with the first.

use std::{fmt::Write as _, fs, path::Path};

use market_data::calendar;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{command, refused, text},
    util::real_bars,
};

/// Close of the bar that starts `minute` minutes after 09:30; the path has no short repeating pattern.
pub(crate) fn price(day: i8, minute: i64) -> f64 {
    500.0 + f64::from(day) + ((minute * minute * 7 + minute * 13).rem_euclid(101)) as f64 * 0.01
}

/// Writes bars of the first sessions of July 2025; minutes without a `close` have no bar.
pub(crate) fn write(folder: &Path, close: impl Fn(i8, i64) -> Option<f64>) {
    let mut csv = "timestamp,open,high,low,close,volume\n".to_owned();
    for session in calendar::sessions("2025-07-01".parse().unwrap(), "2025-07-08".parse().unwrap()) {
        for minute in 0..390 {
            let Some(close) = close(session.date.day(), minute) else { continue };
            let start = session.open_ns + minute * 60_000_000_000;
            writeln!(csv, "{start},{close},{},{},{close},{}", close + 0.01, close - 0.01, 1_000 + minute).unwrap();
        }
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("SPY_1m.csv"), csv).unwrap();
}

/// Bars with a gap on the 2nd, a half day that goes on after 13:00 on the 3rd, no bar on the 7th and a bad print on the 8th.
pub(crate) fn faulty(day: i8, minute: i64) -> Option<f64> {
    match (day, minute) {
        (2, 30..42) | (7, _) => None,
        (8, 90) => Some(price(day, minute) * 1.04),
        _ => Some(price(day, minute)),
    }
}

fn inspect(folder: &Path, more: &[&str]) -> String {
    let bars = folder.to_str().unwrap();
    let output = command("zerodte", &[&["inspect", "spy", "--data-dir", bars], more].concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn planted_faults_are_found_and_named() {
    let out = TempDir::new().unwrap();
    let bars = out.path().join("bars");
    write(&bars, faulty);
    let (json, svg) = (out.path().join("new/found.json"), out.path().join("new/map.svg"));
    let screen = inspect(&bars, &["--json", json.to_str().unwrap(), "--plot", svg.to_str().unwrap()]);
    for part in [
        "SPY: 5 sessions 2025-07-01 to 2025-07-08, 77.28 % of minutes; 1 suspicious print; 1 absent session",
        "No bars on 2025-07-07",
        "1 gap inside sessions, 12 minutes in total; the longest: 12 minutes from 2025-07-02T10:00",
        "as on a full day, on the half day of 2025-07-03",
        "2025-07   █▓H  ·█",
        "2025-07-08T11:00",
    ] {
        assert!(screen.contains(part), "`{part}` is missing in:\n{screen}");
    }
    assert!(
        screen.lines().skip_while(|line| !line.starts_with("Coverage")).take(4).all(|line| line.chars().count() <= 100)
    );
    let found: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(found["coverage"]["present"], 390 + 378 + 210 + 390);
    assert_eq!(
        (&found["gaps"]["minutes"], &found["coverage"]["absent"][0]),
        (&Value::from(12), &Value::from("2025-07-07"))
    );
    assert_eq!(found["outliers"]["reversed"][0]["at"], "2025-07-08T11:00");
    assert_eq!(found["half_days"][0]["afternoon_bars"], 180);
    let svg = fs::read_to_string(svg).unwrap();
    for part in [
        "<svg",
        "suspicious print",
        "09:30",
        "2025-07-0",
        " fill=\"#C2402F\"",
        " fill=\"#6B3FA0\"",
        " fill=\"#8A2B24\"",
        " fill=\"#8F6F00\"",
    ] {
        assert!(svg.contains(part), "{part} is missing in the picture");
    }
}

#[test]
fn a_second_source_is_compared_on_the_same_minutes() {
    let out = TempDir::new().unwrap();
    let (good, late, scaled) = (out.path().join("good"), out.path().join("late"), out.path().join("scaled"));
    write(&good, |day, minute| Some(price(day, minute)));
    write(&late, |day, minute| (minute > 0).then(|| price(day, minute - 1)));
    write(&scaled, |day, minute| Some(price(day, minute) * 0.98));
    let against = |other: &Path| inspect(&good, &["--against", &format!("files:{}", other.display())]);
    let screen = against(&late);
    assert!(screen.contains("B looks one minute late"), "{screen}");
    // A half day has 209 of them.
    assert!(screen.contains("1,765 minutes in both, 5 only in A, 0 only in B, 5 common sessions"), "{screen}");
    let screen = against(&scaled);
    assert!(screen.contains("B is A times a constant of 0.98000 to 0.98000 on 5 of 5 sessions"), "{screen}");
    assert!(!screen.contains("B looks"), "{screen}");
}

#[test]
fn invalid_inspections_are_refused_in_one_sentence() {
    let out = TempDir::new().unwrap();
    write(out.path(), faulty);
    let bars = out.path().to_str().unwrap();
    let refuse = |args: &[&str], code: i32, word: &str| {
        refused(&command("zerodte", &[&["inspect", "--data-dir", bars], args].concat()), code, &[word]);
    };
    refuse(&[], 2, "SYMBOL");
    refuse(&["QQQ"], 1, "QQQ_1m");
    refuse(&["S/Y"], 2, "S/Y");
    refuse(&["SPY", "--against", "files"], 2, "files:DIR");
    refuse(&["SPY", "--against", &format!("files:{bars}")], 2, "name a different source");
    refuse(&["SPY", "--start-date", "2025-08-01"], 2, "from 2025-08-01 on; the bars go from 2025-07-01 to 2025-07-08");
    refuse(&["SPY", "--start-date", "2025-07-04", "--end-date", "2025-07-06"], 2, "no session of SPY");
}

#[test]
fn real_bars_miss_the_four_known_minutes() {
    let Some(bars) = real_bars() else { return };
    let screen = inspect(&bars, &["--start-date", "2023-05-01", "--end-date", "2023-06-30"]);
    let part = "1 gap inside sessions, 4 minutes in total; the longest: 4 minutes from 2023-06-05";
    assert!(screen.contains(part), "{screen}");
}
