//! Faulty bar files as a user meets them: the sentence that stops a run, the way on, and the lines of a header.

use std::{fs, path::Path, process::Output};

use market_data::calendar::{self, MINUTE_NS};
use tempfile::TempDir;

use crate::cli::{command, inspect::price, refused, text};

/// Writes bars of March 2025 whose times are shifted by some minutes, with a column of the user's own.
fn write(folder: &Path, shift: i64) {
    let sessions = calendar::sessions("2025-03-03".parse().unwrap(), "2025-03-28".parse().unwrap());
    let mut csv = "timestamp,open,high,low,close,volume,my_signal\n".to_owned();
    for session in sessions {
        for minute in 0..390 {
            let (ns, close) = (session.open_ns + (minute + shift) * MINUTE_NS, price(session.date.day(), minute));
            let wick = if (session.date.day(), minute) == (19, 90) { 20.0 } else { 0.02 };
            csv += &format!("{},{close},{},{},{close},1000,1\n", ns / 1_000_000_000, close + wick, close - 0.02);
        }
    }
    fs::write(folder.join("SPY_1m.csv"), csv).unwrap();
}

fn run(name: &str, folder: &Path, more: &[&str]) -> Output {
    command("zerodte", &[&[name, "--data-dir", folder.to_str().unwrap()], more].concat())
}

fn flat(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn stamps_of_the_end_stop_a_run_until_they_are_named_or_allowed() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), 1);
    let dry = |more: &[&str]| {
        let args = ["--symbols", "SPY", "--intraday-days", "0", "--dry-run"];
        run("train", folder.path(), &[&args, more].concat())
    };
    let sentence = ["SPY_1m.csv: its bars run from 09:31 to 16:00", "--set data.bar_stamp=end"];
    refused(&dry(&[]), 1, &sentence);
    refused(&run("inspect", folder.path(), &["SPY"]), 1, &sentence);
    assert!(flat(&dry(&["--set", "data.bar_stamp=end"])).contains("19 sessions of 1 symbol on 19 dates Quality"));
    let allowed = flat(&dry(&["--set", "data.allow_suspicious=true"]));
    assert!(allowed.contains("data.allow_suspicious wants it, but its bars run from 09:31 to 16:00"), "{allowed}");
}

#[test]
fn the_header_has_one_line_on_quality_and_names_unused_columns() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), 0);
    let args = ["--symbols", "SPY", "--intraday-days", "0", "--dry-run"];
    let screen = flat(&run("train", folder.path(), &args));
    let quality = "Quality no suspicious prints, 1 wick, 0 jumps, 0 filled minutes";
    assert!(screen.contains(quality), "{screen}");
    assert_eq!(screen.matches("columns of bar files that are not used: my_signal").count(), 1, "{screen}");
}
