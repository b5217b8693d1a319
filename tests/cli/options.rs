//! `--options`: files that do not belong to the bars end with the likely cause, and right files show what was left out.

use std::{fmt::Write as _, fs, path::Path};

use market_env::{ContractSpec, PricingConfig, SessionPricer, option::black_scholes::Right};
use tempfile::TempDir;

use crate::{
    cli::{command, refused, text},
    util::dataset,
};

const QUOTES: &str = "timestamp,underlying,expiry,strike,right,bid,ask\n";
const TRADES: &str = "timestamp,underlying,expiry,strike,right,open,high,low,close,volume\n";

/// One row of a contract and minute: start of the minute in nanoseconds, its key columns and the price at its end.
struct Row {
    start: i64,
    contract: String,
    strike: f64,
    price: f64,
}

/// Writes made-up bars, multiplied by `factor`, and returns the prices of the model at the end of every minute on the
/// bars as they were.
fn market(folder: &Path, factor: f64) -> Vec<Row> {
    let sessions = dataset(&["SPY"], 16, 5, 0.0).symbols.remove(0);
    let (spec, pricing) = (ContractSpec::known("SPY").unwrap(), PricingConfig::default());
    let mut bars = "timestamp,open,high,low,close,volume\n".to_owned();
    let mut rows = Vec::new();
    for (day, vol) in sessions.days.iter().zip(&sessions.vol) {
        let pricer = SessionPricer::new(day, vol, &spec, &pricing);
        for t in 0..day.close.len() {
            let start = day.session.open_ns + t as i64 * 60_000_000_000;
            let [open, high, low, close] =
                [day.open[t], day.high[t], day.low[t], day.close[t]].map(|price| price * factor);
            writeln!(bars, "{start},{open},{high},{low},{close},{}", day.volume[t]).unwrap();
            for strike in [-1.0, 0.0, 1.0].map(|step| day.close[t].round() + step) {
                for (right, letter) in [(Right::Call, "C"), (Right::Put, "P")] {
                    let contract = format!("SPY,{},STRIKE,{letter}", day.session.date);
                    rows.push(Row { start, contract, strike, price: pricer.at_close(t, strike).price(right) });
                }
            }
        }
    }
    fs::create_dir(folder.join("bars")).unwrap();
    fs::write(folder.join("bars/SPY_1m.csv"), bars).unwrap();
    rows
}

fn quotes(rows: &[Row], seconds: i64, strikes: f64) -> String {
    rows.iter().fold(QUOTES.to_owned(), |mut text, row| {
        let contract = row.contract.replace("STRIKE", &(row.strike * strikes).to_string());
        writeln!(text, "{},{contract},{},{}", row.start + seconds * 1_000_000_000, row.price, row.price + 0.01)
            .unwrap();
        text
    })
}

fn train(folder: &Path, options: &str, more: &[&str]) -> std::process::Output {
    fs::write(folder.join("options.csv"), options).unwrap();
    let paths = ["bars", "options.csv", "out"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let args = ["train", "--symbols", "SPY", "--intraday-days", "0", "--dry-run", "-v"];
    let paths = ["--data-dir", &paths[0], "--options", &paths[1], "--out-dir", &paths[2]];
    command("zerodte", &[&args[..], &paths[..], more].concat())
}

#[test]
fn quotes_of_the_instant_are_recognised_and_read() {
    let folder = TempDir::new().unwrap();
    let rows = market(folder.path(), 1.0);
    let right = train(folder.path(), &quotes(&rows, 0, 1.0), &[]);
    let said = text(&right.stdout);
    assert!(right.status.success(), "{said}{}", text(&right.stderr));
    assert!(said.contains("Put-call parity with the bars, median: SPY quotes 0.0 bp of spot on"), "{said}");

    let instants = quotes(&rows, 60, 1.0);
    let words = ["the quotes of SPY options do not belong to these bars", "--options-stamp instant"];
    refused(&train(folder.path(), &instants, &[]), 1, &words);
    let read = train(folder.path(), &instants, &["--options-stamp", "instant"]);
    assert!(read.status.success(), "{}", text(&read.stderr));
    assert!(text(&read.stdout).contains("median: SPY quotes 0.0 bp of spot"), "{}", text(&read.stdout));
}

#[test]
fn wrong_units_zones_and_adjusted_bars_are_named() {
    let folder = TempDir::new().unwrap();
    let rows = market(folder.path(), 1.0);
    let thousandths = train(folder.path(), &quotes(&rows, 0, 1_000.0), &[]);
    refused(&thousandths, 1, &["no price of a SPY option near the money", "thousandths of a dollar"]);
    let zone = train(folder.path(), &quotes(&rows, 3_600, 1.0), &[]);
    refused(&zone, 1, &["against the bar 1 hour earlier", "on different clocks"]);

    let adjusted = TempDir::new().unwrap();
    let rows = market(adjusted.path(), 0.993);
    let words = ["misses by 70.5 basis points of spot", "with the bars multiplied by 1.0070", "adjusted for dividends"];
    refused(&train(adjusted.path(), &quotes(&rows, 0, 1.0), &[]), 1, &words);
}

#[test]
fn rows_without_a_trade_change_nothing_but_the_count() {
    let folder = TempDir::new().unwrap();
    let rows = market(folder.path(), 1.0);
    // Trades in one minute of three, and none for an hour and a half.
    let trades = |zeros: bool| {
        rows.iter().enumerate().fold(TRADES.to_owned(), |mut text, (i, row)| {
            let minute = i / 6 % 390;
            let price = (row.price * 100.0).round() / 100.0;
            let traded = minute % 3 == 0 && !(120..210).contains(&minute) && price > 0.0;
            let contract = row.contract.replace("STRIKE", &row.strike.to_string());
            if traded {
                writeln!(text, "{},{contract},{price},{price},{price},{price},5", row.start).unwrap();
            } else if zeros {
                writeln!(text, "{},{contract},0,0,0,0,0", row.start).unwrap();
            }
            text
        })
    };
    let header = |zeros: bool| {
        let output = train(folder.path(), &trades(zeros), &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let (without, with) = (header(false), header(true));
    let line = |said: &str, words: &str| said.lines().find(|line| line.contains(words)).map(str::to_owned);
    let quotes = line(&without, "Real options on");
    assert!(quotes.is_some() && quotes == line(&with, "Real options on"), "{without}\n{with}");
    assert!(!quotes.unwrap().contains("stale minutes 0.0 %"), "the outage is visible");
    assert!(with.contains("without a trade (price or volume 0)") && !without.contains("without a trade"), "{with}");
}
