//! `zerodte audit`: every changed cell of a trades file and every changed figure of its report is noticed, and with bars the model
//! trades again.

use std::{fs, path::Path, process::Output};

use rayon::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text};

const DATES: [&str; 4] = ["--symbols", "SPY", "--start-date", "2024-12-02"];

/// A folder with a model of the smoke configuration, and the trades and the report of a backtest.
fn backtest() -> TempDir {
    let folder = TempDir::new().unwrap();
    smoke(folder.path(), &["--symbols", "SPY"]);
    let [model, trades, report] = paths(folder.path());
    let args = ["backtest", "--model", &model, "--trades", &trades, "--json", &report, "--audit", "--stochastic"];
    let output = command("zerodte", &[&args[..], &DATES].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

fn paths(folder: &Path) -> [String; 3] {
    ["models/smoke", "trades.csv", "report.json"].map(|name| folder.join(name).to_str().unwrap().to_owned())
}

/// Audits changed files, written to a folder of their own.
fn audit(model: &str, trades: &str, report: &Value, more: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let [_, log, figures] = paths(folder.path());
    fs::write(&log, trades).unwrap();
    fs::write(&figures, report.to_string()).unwrap();
    let args = ["audit", "--trades", &log, "--report", &figures, "--model", model];
    command("zerodte", &[&args[..], more].concat())
}

/// Returns a cell one step up and one step down, or other words in its place.
fn changed(column: &str, cell: &str) -> Vec<String> {
    let step = |by: f64| {
        let digits = cell.split_once('.').map_or(0, |(_, digits)| digits.len().min(9));
        format!("{:.digits$}", cell.parse::<f64>().unwrap() + by * 10_f64.powi(-(digits as i32)))
    };
    let minute = |by: i64| (cell.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_mins(by)).to_string();
    let day = |by: i64| (cell.parse::<jiff::civil::Date>().unwrap() + jiff::Span::new().days(by)).to_string();
    let other = |words: &[&str]| words.iter().filter(|word| **word != cell).map(|word| (*word).to_owned()).collect();
    match column {
        "symbol" => other(&["QQQ", "SPX"]),
        "side" => other(&["BUY_CALL", "BUY_PUT", "HOLD"]),
        "setup" => other(&["weak", "bull_strong", "bear_strong"]),
        "reason" => other(&["agent", "stop_loss", "take_profit", "end_of_day"]),
        "prices" => other(&["modelled", "real"]),
        "data" => other(&["market", "SYNTHETIC"]),
        "date" | "expiry" => vec![day(1), day(-1)],
        "entry_utc" | "exit_utc" => vec![minute(1), minute(-1)],
        "sales" => vec![cell.replacen(" @ ", "0 @ ", 1), cell.replacen("fees 0", "fees 1", 1) + " "],
        _ => vec![step(1.0), step(-1.0)],
    }
}

#[test]
fn every_changed_cell_of_the_trades_is_noticed() {
    let folder = backtest();
    let [model, log, figures] = paths(folder.path());
    let (sound, report) = (fs::read_to_string(log).unwrap(), json_of(&figures));
    let rows: Vec<Vec<&str>> = sound.lines().map(|line| line.split(',').collect()).collect();
    let last = rows.len() - 1;
    assert!(last >= 3, "too few trades to change: {sound}");
    let mut changes = Vec::new();
    for row in [1, last] {
        // The stamp of the data must be the same in every row.
        let checked = |column: &str| row == 1 || column == "data";
        for (at, column) in rows[0].iter().enumerate().filter(|(_, column)| checked(column)) {
            changes.extend(changed(column, rows[row][at]).into_iter().map(|cell| (row, at, cell)));
        }
    }
    assert!(changes.len() > 40, "{} changes", changes.len());
    let unnoticed: Vec<String> = changes
        .par_iter()
        .filter_map(|(row, at, cell)| {
            let mut rows: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
            rows[*row][*at].clone_from(cell);
            let text: String = rows.iter().map(|row| row.join(",") + "\n").collect();
            let accepted = audit(&model, &text, &report, &[]).status.success();
            accepted.then(|| format!("row {row}, {}: {cell}", rows[0][*at]))
        })
        .collect();
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    // A row that is missing, repeated or moved.
    let lines: Vec<&str> = sound.lines().collect();
    let swapped = [&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat();
    for lines in [lines[..last].to_vec(), [&lines[..], &lines[last..]].concat(), swapped] {
        refused(&audit(&model, &(lines.join("\n") + "\n"), &report, &[]), 1, &["the audit found"]);
    }
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the pointers of all leaves of a report.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| leaves(item, &format!("{path}/{n}"), out)),
        _ => out.push(path.to_owned()),
    }
}

#[test]
fn every_changed_figure_of_the_report_is_noticed() {
    let folder = backtest();
    let [model, log, figures] = paths(folder.path());
    let (sound, report) = (fs::read_to_string(log).unwrap(), json_of(&figures));
    let output = audit(&model, &sound, &report, &[]);
    let screen = text(&output.stdout);
    assert!(
        output.status.success() && screen.contains("figures derived again, all equal; the rest is signed"),
        "{screen}"
    );
    let mut found = Vec::new();
    leaves(&report, "", &mut found);
    assert!(found.len() > 50, "{} figures", found.len());
    let unnoticed: Vec<&String> = found
        .par_iter()
        .filter(|pointer| {
            let mut report = report.clone();
            let leaf = report.pointer_mut(pointer).unwrap();
            *leaf = match &*leaf {
                Value::Number(number) if number.is_f64() => json!(number.as_f64().unwrap() + 0.01),
                Value::Number(number) => json!(number.as_i64().unwrap() + 1),
                Value::String(text) => json!(format!("{text}x")),
                Value::Bool(on) => json!(!on),
                _ => json!(1),
            };
            audit(&model, &sound, &report, &[]).status.success()
        })
        .collect();
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    // Figures that follow from the trades are caught without the signature, too.
    let mut unsigned = report.clone();
    unsigned.as_object_mut().unwrap().remove("sha256");
    assert!(text(&audit(&model, &sound, &unsigned, &[]).stdout).contains("the rest is not signed"));
    for key in ["gross_pnl_usd", "max_drawdown_usd", "daily_sharpe", "profit_factor", "capital_usd", "sessions"] {
        let mut report = unsigned.clone();
        report[key] = json!(report[key].as_f64().unwrap() + 1.0);
        refused(&audit(&model, &sound, &report, &[]), 1, &["the audit found"]);
    }
}

#[test]
fn with_bars_the_model_trades_again() {
    let folder = backtest();
    let [model, log, figures] = paths(folder.path());
    let (sound, mut report) = (fs::read_to_string(log).unwrap(), json_of(&figures));
    let bars = ["--data-source", "synthetic"];
    let output = audit(&model, &sound, &report, &bars);
    let screen = text(&output.stdout);
    assert!(output.status.success(), "{screen}{}", text(&output.stderr));
    assert!(screen.contains("trades of the model on these bars, the same in every cell"), "{screen}");
    // A log and a report that agree with each other, but not with the model.
    report.as_object_mut().unwrap().remove("sha256");
    report.as_object_mut().unwrap().remove("trades_sha256");
    let setups = ["weak", "bull_strong", "bear_strong"];
    let setup = setups.into_iter().find(|setup| sound.contains(&format!(",{setup},"))).unwrap();
    let other = setups.into_iter().find(|other| *other != setup).unwrap();
    let forged = sound.replacen(&format!(",{setup},"), &format!(",{other},"), 1);
    assert!(audit(&model, &forged, &report, &[]).status.success(), "nothing but a replay can tell");
    let output = audit(&model, &forged, &report, &bars);
    refused(&output, 1, &["the audit found 1 disagreements"]);
    assert!(
        text(&output.stdout).contains(&format!("setup is {other}, in the replay {setup}")),
        "{}",
        text(&output.stdout)
    );
    report["strong_buy"] = json!(0.123_456);
    assert!(
        text(&audit(&model, &sound, &report, &bars).stdout).contains("report: strong_buy is 0.123456, derived again")
    );
    refused(&command("zerodte", &["audit", "--trades", "x.csv", "--data-dir", "bars"]), 2, &["add --model"]);
}
