//! The same session gives the same result whatever the first date asked for: training's own test, backtests from several first dates,
//! and explanations. The bars have no VIX, so volatility is realised and needs sessions before the window.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{command, text, train, train::csv_folder},
    util::real_bars,
};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn words<'a>(line: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    line.split_whitespace().chain(more.iter().copied()).collect()
}

/// A model trained on the SPY bars of a folder, and the folders around it.
struct Trained<'a> {
    bars: &'a str,
    out: TempDir,
    /// Dates of its own test, and the greedy figures on them.
    test: Vec<String>,
    greedy: Value,
    first_training_date: String,
}

impl<'a> Trained<'a> {
    fn on(bars: &'a Path) -> Self {
        let out = TempDir::new().unwrap();
        let (bars, folder) = (bars.to_str().unwrap(), out.path().to_str().unwrap());
        let line = "--data-source files --symbols SPY --timesteps 6000 --n-steps 128 --n-epochs 2 --model-name w --intraday-days 60";
        let output = train(&words(line, &["--data-dir", bars, "--out-dir", folder]));
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        let manifest = json(&out.path().join("runs/w/manifest.json"));
        let dates = |part: &str| {
            let dates = manifest["dataset"]["dates"][part].as_array().unwrap().iter();
            dates.map(|date| date.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (test, first_training_date) = (dates("test"), dates("train").remove(0));
        Self { bars, test, greedy: manifest["out_of_sample"]["greedy"].clone(), first_training_date, out }
    }

    fn last(&self) -> &str {
        self.test.last().unwrap()
    }

    fn zerodte(&self, line: &str, more: &[&str]) -> String {
        let model = self.out.path().join("models/w").to_str().unwrap().to_owned();
        let data = ["--data-source", "files", "--data-dir", self.bars, "--model", &model];
        let output = command("zerodte", &[words(line, &data), more.to_vec()].concat());
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Backtests up to the last test date; returns the report, and the trades of the last date without their lanes.
    fn backtest(&self, from: &str) -> (Value, Vec<String>) {
        let (report, trades) = (self.out.path().join("report.json"), self.out.path().join("trades.csv"));
        let files = ["--json", report.to_str().unwrap(), "--trades", trades.to_str().unwrap()];
        let dates = ["--start-date", from, "--end-date", self.last()];
        self.zerodte("backtest --symbols SPY", &[&dates[..], &files].concat());
        let rows = fs::read_to_string(trades).unwrap();
        let lane = rows.lines().next().unwrap().split(',').position(|name| name == "lane").unwrap();
        let without_lane = |row: &str| {
            let cells = row.split(',').enumerate().filter(|(column, _)| *column != lane);
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
        };
        let of_last = rows.lines().filter(|row| row.split(',').nth(1) == Some(self.last()));
        (json(&report), of_last.map(without_lane).collect())
    }
}

/// Compares training's own test with a backtest, backtests from several first dates, and an explanation of the last session.
fn windows_agree(bars: &Path) {
    let trained = Trained::on(bars);
    let (report, trades) = trained.backtest(&trained.test[0]);
    for (key, value) in trained.greedy.as_object().unwrap() {
        assert_eq!(&report[key], value, "{key} of the training's own test");
    }
    assert!(!trades.is_empty(), "the comparison sees trades");
    let level = &report["price_level"];
    assert_eq!(level["net_pnl_usd"], report["net_pnl_usd"], "the point of the interval over price levels: {level}");
    let levels: Vec<_> = level["levels"].as_array().unwrap().iter().map(|line| &line["net_pnl_usd"]).collect();
    assert!(levels.len() == 7 && levels[0] != levels[6], "{level}");
    let pnl = &report["daily_pnl_usd"][trained.last()];
    for from in [trained.last(), &trained.first_training_date] {
        let (other, same) = trained.backtest(from);
        assert_eq!(same, trades, "trades of {} in a backtest from {from}", trained.last());
        assert_eq!(&other["daily_pnl_usd"][trained.last()], pnl);
    }
    let (file, at) = (trained.out.path().join("explained.json"), format!("{}T11:00", trained.last()));
    trained.zerodte("explain --symbol SPY", &["--at", &at, "--json", file.to_str().unwrap()]);
    let explained = json(&file);
    assert_eq!(explained["session_trades"].as_u64(), Some(trades.len() as u64));
    assert_eq!(&explained["session_net_pnl_usd"], pnl);
}

#[test]
fn made_up_bars_give_a_session_the_same_result_in_every_window() {
    windows_agree(csv_folder(|_| ()).path());
}

#[test]
fn real_bars_give_a_session_the_same_result_in_every_window() {
    let Some(folder) = real_bars() else { return };
    let bars = TempDir::new().unwrap();
    fs::copy(folder.join("SPY_1m.parquet"), bars.path().join("SPY_1m.parquet")).unwrap();
    windows_agree(bars.path());
}

#[test]
fn the_header_names_the_sessions_with_less_history() {
    let folder = csv_folder(|_| ());
    let trained = Trained::on(folder.path());
    let header =
        |from: &str| trained.zerodte("backtest --symbols SPY", &["--start-date", from, "--end-date", "2024-10-31"]);
    let sentence = "SPY: 5 sessions, 2024-10-02 to 2024-10-08, have less history than the 6 sessions that they need; the bars start \
                    on 2024-10-01.";
    assert!(header("2024-10-01").contains(sentence), "{}", header("2024-10-01"));
    assert!(!header("2024-10-09").contains("less history"), "{}", header("2024-10-09"));
}
