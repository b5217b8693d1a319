//! Errors of bars and options: each names the file, the row and what is wrong there.

use std::fs;

use super::{Shell, copy};
use crate::cli::{calibrate, inspect, train::csv_folder};

const TRAIN: &str = "train_historical_model --data-source files --symbols SPY --timesteps 2000 --n-steps 128 \
                     --n-epochs 1 --model-name csv --out-dir out --data-dir bars";

type Edit = fn(&mut Vec<String>);

/// Replaces a cell of a line, counted from 0.
fn cell(lines: &mut [String], line: usize, column: usize, text: &str) {
    let mut cells: Vec<&str> = lines[line].split(',').collect();
    cells[column] = text;
    lines[line] = cells.join(",");
}

/// Puts bars in the shell's folder `bars` in place of those that are there.
fn put(shell: &Shell, edit: Edit) {
    copy(csv_folder(edit).path(), &shell.path("bars"));
}

#[test]
fn errors_of_bars() {
    let mut shell = Shell::new();
    let cases: [(&str, Edit); 12] = [
        ("row 7 opens at NaN", |lines| cell(lines, 7, 1, "NaN")),
        ("row 9 repeats row 8", |lines| lines[9] = lines[8].clone()),
        ("rows 20 and 21 are swapped", |lines| lines.swap(20, 21)),
        ("row 5 opens at a word", |lines| cell(lines, 5, 1, "oops")),
        ("row 5 closes at nothing", |lines| cell(lines, 5, 4, "")),
        ("row 5 closes at 0", |lines| cell(lines, 5, 4, "0")),
        ("the high of row 5 lies below its low", |lines| cell(lines, 5, 2, "1")),
        ("row 5 has a negative volume", |lines| cell(lines, 5, 5, "-1")),
        ("row 5 has no time", |lines| cell(lines, 5, 0, "yesterday")),
        ("row 5 lacks a cell", |lines| lines[5] = lines[5].rsplit_once(',').unwrap().0.to_owned()),
        ("no column close", |lines| lines[0] = "timestamp,open,high,low,last,volume".to_owned()),
        ("a heading alone", |lines| lines.truncate(1)),
    ];
    for (remark, edit) in cases {
        put(&shell, edit);
        shell.note(remark);
        shell.run(TRAIN);
    }
    assert!(!shell.path("out").exists(), "nothing is written");
    shell.check("errors_of_bars");
}

#[test]
fn errors_of_what_is_missing() {
    let mut shell = Shell::new();
    put(&shell, |_| ());
    for more in [
        "--symbols QQQ",
        "--end-date 2020-01-01",
        "--start-date 2024-10-30 --end-date 2024-10-01",
        "--start-date soon",
        "--start-date 2024-10-31",
        "--data-dir no/such/folder",
        "--resume no_such_checkpoint",
        "--load-model no/such/model",
        "--options no/such/folder",
    ] {
        shell.run(&format!("{TRAIN} {more}"));
    }
    shell.write("corrupt.safetensors", "not a model");
    shell.write("corrupt.json", "{}");
    shell.run(&format!("{TRAIN} --load-model corrupt"));
    shell.write("blocked", "a file, not a folder");
    shell.run(&format!("{TRAIN} --out-dir blocked"));
    shell.check("errors_of_what_is_missing");
}

#[test]
fn errors_of_inspect_and_calibrate() {
    let mut shell = Shell::new();
    inspect::write(&shell.path("looked_at"), inspect::faulty);
    for more in [
        "",
        "QQQ",
        "S/Y",
        "SPY --against files",
        "SPY --against files:looked_at",
        "SPY --start-date 2025-08-01",
        "SPY --start-date 2025-07-04 --end-date 2025-07-06",
    ] {
        shell.run(format!("zerodte inspect --data-dir looked_at {more}").trim_end());
    }
    copy(calibrate::market(1.0).path(), &shell.path("."));
    fs::create_dir(shell.path("empty")).unwrap();
    for more in [
        "--options bars",
        "--options nowhere",
        "--options empty",
        "--options options --data-source synthetic",
        "--options options --set market.pricing.rat=1",
    ] {
        shell.run(&format!("zerodte calibrate --data-dir bars {more}"));
    }
    shell.check("errors_of_inspect_and_calibrate");
}
