//! Commands on a trained model besides the plain backtest: explain a decision, audit the trades, vary the costs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text};

/// A day of the smoke configuration, in winter time.
const DAY: &str = "2024-11-20";

fn zerodte(args: &[&str]) -> Output {
    let output = command("zerodte", args);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    output
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Trains the smoke configuration; returns the output folder and the name of the model.
fn trained(more: &[&str]) -> (TempDir, String) {
    let out = TempDir::new().unwrap();
    smoke(out.path(), more);
    let model = out.path().join("models/smoke").to_str().unwrap().to_owned();
    (out, model)
}

fn path(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

/// The time in New York of the bar that starts so many minutes after another one given in UTC, such as `2024-11-20T15:02:00Z`.
fn new_york(utc: &str, minutes: i64) -> String {
    let time: jiff::Timestamp = utc.parse().unwrap();
    let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
    (time + jiff::SignedDuration::from_mins(minutes)).to_zoned(zone).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// Backtests the day alone and returns the cells of its first trade by column.
fn first_trade(out: &TempDir, model: &str, behaviour: &[&str]) -> impl Fn(&str) -> String + use<> {
    let (file, name) = path(out, "trades.csv");
    let day = ["--symbols", "SPY", "--start-date", DAY, "--end-date", DAY, "--trades", &name];
    zerodte(&[&["backtest", "--model", model], &day[..], behaviour].concat());
    let table = fs::read_to_string(file).unwrap();
    move |column: &str| {
        let (heading, rows) = table.split_once('\n').unwrap();
        let at = heading.split(',').position(|name| name == column).unwrap();
        rows.lines().next().unwrap().split(',').nth(at).unwrap().to_owned()
    }
}

#[test]
fn explain_agrees_with_the_backtest() {
    let lstm = ["--policy", "lstm", "--recurrent-size", "8", "--net-arch", "16", "--sequence-length", "16"];
    let greedy: (&[&str], &[&str]) = (&[], &[]);
    let recurrent: (&[&str], &[&str]) = (&lstm, &["--stochastic", "--seed", "4"]);
    for (kind, behaviour) in [greedy, recurrent] {
        let (out, model) = trained(kind);
        let trade = first_trade(&out, &model, behaviour);
        let (file, name) = path(&out, "explanation.json");
        let (picture, picture_name) = path(&out, "session.svg");
        let explain = |minutes: i64, more: &[&str]| {
            let at = new_york(&trade("entry_utc"), minutes);
            let args = ["explain", "--model", &model, "--symbol", "spy", "--at", &at, "--json", &name];
            let screen = text(&zerodte(&[&args[..], behaviour, more].concat()).stdout);
            (screen, json(&file))
        };
        // The bar before the entry: the decision to buy.
        let (screen, bought) = explain(-1, &["--plot", &picture_name]);
        assert_eq!(
            (bought["action"].as_str(), bought["position"].is_null()),
            (Some(&*trade("side")), true),
            "{bought}"
        );
        let entry = format!("bought {} ", trade("contracts"));
        assert!(bought["order"].as_str().unwrap().starts_with(&entry) && screen.contains(&entry), "{screen}");
        let side = usize::from(trade("side") == "BUY_PUT");
        let paid: f64 = trade("entry_price").parse().unwrap();
        assert_eq!(bought["contracts"][side]["next_open"]["ask"].as_f64(), Some(paid), "{bought}");
        let number = |value: &Value| value.as_f64().unwrap();
        let sum = |values: &mut dyn Iterator<Item = &Value>| values.map(number).sum::<f64>();
        let probabilities = bought["actions"].as_array().unwrap().iter().map(|choice| &choice["probability"]);
        assert!((sum(&mut probabilities.clone()) - 1.0).abs() < 1e-5, "{bought}");
        let terms = bought["reward_terms"].as_object().unwrap();
        assert!((sum(&mut terms.values()) - number(&bought["reward"])).abs() < 1e-6, "{bought}");
        let net: f64 = trade("net_pnl_usd").parse().unwrap();
        assert_eq!(number(&bought["trade"]["net_pnl_usd"]), net);
        assert_eq!(bought["observation"].as_array().unwrap().len(), market_env::FEATURES.len());
        assert_eq!(bought["account"].as_array().unwrap().len(), 0);
        assert!(screen.contains("SYNTHETIC") && screen.contains("trend_slope"), "{screen}");
        let svg = fs::read_to_string(&picture).unwrap();
        for part in ["SYNTHETIC", "VWAP", "would buy", "premium held", "equity", "10:30"] {
            assert!(svg.contains(part), "{part} is missing");
        }
        // The next decision is taken in the position.
        let (_, held) = explain(0, &[]);
        assert_eq!(held["position"]["bought"].to_string(), trade("contracts"), "{held}");
        assert_eq!(number(&held["position"]["entry_price"]), paid);
        assert_eq!(held["account"].as_array().unwrap().len(), market_env::ACCOUNT_COLUMNS.len());
        assert_eq!(number(&held["trade"]["net_pnl_usd"]), net);
    }
}

#[test]
fn a_bar_without_a_decision_is_refused_with_the_reason() {
    let (_out, model) = trained(&["--timesteps", "2000"]);
    let explain = |symbol: &str, at: &str, more: &[&str]| {
        command("zerodte", &[&["explain", "--model", &model, "--symbol", symbol, "--at", at], more].concat())
    };
    refused(&explain("SPY", "2024-11-20T09:29", &[]), 2, &["2024-11-20T09:29", "bars from 09:30 to 15:59"]);
    refused(&explain("SPY", "2024-11-20T15:57", &[]), 2, &["the last decision", "15:53", "flat_before_close"]);
    refused(&explain("SPY", "2024-11-28T10:00", &[]), 2, &["closed on 2024-11-28"]);
    for odd in ["yesterday", "2024-11-20T10:31:30"] {
        let sentence = format!("--at {odd}: write it as a minute in New York time, such as 2025-03-04T10:31");
        refused(&explain("SPY", odd, &[]), 2, &[&sentence]);
    }
    refused(&explain("SPY", "2025-03-04T10:31", &[]), 1, &["SPY", "2025-03-04"]);
    refused(&explain("AAPL", "2024-11-20T10:31", &[]), 1, &["AAPL", "market.contracts"]);
    refused(&explain("S PY", "2024-11-20T10:31", &[]), 2, &["not a symbol"]);
    let printed = text(&explain("spy", "2024-11-20T10:31", &["--print-config"]).stdout);
    assert!(printed.contains("symbols = [\"SPY\"]") && printed.contains("end_date = \"2024-11-20\""), "{printed}");
    let output = explain("SPY", "2024-11-20T10:31", &["--symbols", "QQQ"]);
    assert!(text(&output.stdout).contains("Note: --symbols is ignored here"), "{}", text(&output.stdout));
}

#[test]
fn an_audit_passes_a_sound_trade_log_and_catches_an_edited_one() {
    let (out, model) = trained(&[]);
    let ((file, report), (log, csv), (_, parquet)) =
        (path(&out, "report.json"), path(&out, "trades.csv"), path(&out, "trades.parquet"));
    let backtest = ["backtest", "--model", &model, "--stochastic", "--audit", "--json", &report];
    let agrees =
        |output: &Output| assert!(text(&output.stdout).contains("all agree to the cent"), "{}", text(&output.stdout));
    agrees(&zerodte(&backtest));
    agrees(&zerodte(&[&backtest[..], &["--trades", &parquet]].concat()));
    agrees(&zerodte(&[&backtest[..], &["--trades", &csv]].concat()));
    assert_eq!(json(&file)["audit"]["disagreements"], serde_json::json!([]));
    let audit = |file: &str| command("zerodte", &["audit", "--trades", file, "--report", &report, "--model", &model]);
    agrees(&audit(&parquet));
    agrees(&audit(&csv));

    let sound = fs::read_to_string(&log).unwrap();
    let columns: Vec<&str> = sound.lines().next().unwrap().split(',').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    // Changes the cells of the third trade, and audits the file.
    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let mut rows: Vec<String> = sound.lines().map(str::to_owned).collect();
        let mut cells: Vec<String> = rows[3].split(',').map(str::to_owned).collect();
        change(&mut cells);
        rows[3] = cells.join(",");
        fs::write(&log, rows.join("\n") + "\n").unwrap();
        let output = audit(&csv);
        assert!(text(&output.stdout).contains("disagreements:\n  trade 3 (SPY "), "{}", text(&output.stdout));
        refused(&output, 1, &["the audit found", "disagreements"]);
    };
    let (price, contracts) = (column("entry_price"), column("contracts"));
    tampered(&|cells| cells[price] = format!("{:.2}", cells[price].parse::<f64>().unwrap() + 0.01));
    tampered(&|cells| cells[contracts] = (cells[contracts].parse::<u32>().unwrap() + 1).to_string());
    tampered(&|cells| cells.swap(column("entry_utc"), column("exit_utc")));
    fs::write(&log, &sound).unwrap();
    refused(&command("zerodte", &["audit", "--trades", "trades.json"]), 2, &["--trades", ".parquet or .csv"]);
    let other_fees = ["audit", "--trades", &csv, "--set", "env.costs.fee_multiplier=1.5"];
    refused(&command("zerodte", &other_fees), 1, &["the audit found"]);
}

#[test]
fn a_backtest_reports_the_cost_of_the_spread_and_the_break_even() {
    let (out, model) = trained(&[]);
    let (file, report) = path(&out, "report.json");
    let days = ["--start-date", "2024-11-18", "--end-date", "2024-11-22", "--json", &report];
    let backtest = [&["backtest", "--model", &model][..], &days].concat();
    let output = zerodte(&[&backtest[..], &["--cost-sensitivity"]].concat());
    let screen = text(&output.stdout);
    assert!(screen.contains("Cost sensitivity: the policy sees") && screen.contains("Break-even spread: "), "{screen}");
    let report = json(&file);
    let lines = report["cost_sensitivity"]["multiples"].as_array().unwrap();
    let column = |name: &str| lines.iter().map(|line| line[name].as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!(column("multiple"), [0.0, 0.5, 1.0, 2.0, 3.0]);
    assert_eq!(lines[2]["net_pnl_usd"], report["net_pnl_usd"], "one time the spread is the report itself");
    let costs = column("cost_per_trade");
    assert!(costs.is_sorted_by(|a, b| a < b), "{costs:?}");
    // At no spread only the fees are left: 0.70 each way on a premium of some 150 dollars.
    assert!(costs[0] > 0.002 && costs[0] < 0.03, "{costs:?}");

    zerodte(&[&backtest[..], &["--cost-sensitivity", "4,1"]].concat());
    assert_eq!(json(&file)["cost_sensitivity"]["multiples"][1]["multiple"], 4.0);
    let wrong = [&backtest[..], &["--cost-sensitivity", "1,much"]].concat();
    refused(&command("zerodte", &wrong), 2, &["--cost-sensitivity", "0,0.5,1,2,3"]);
    let free = [&backtest[..], &["--cost-sensitivity", "--set", "market.pricing.spread_multiplier=0"]].concat();
    refused(&command("zerodte", &free), 2, &["spread_multiplier is 0"]);
}

#[test]
fn an_export_names_its_inputs_and_refuses_recurrent_models() {
    let (out, model) = trained(&[]);
    let (file, name) = path(&out, "policy.onnx");
    let output = zerodte(&["export", "--model", &model, "--onnx", &name]);
    let said = text(&output.stdout);
    assert!(said.contains("Inputs    obs [N, 38] float32, mask [N, 6] bool"), "{said}");
    let bytes = fs::read(file).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("schema_sha256"));
    let lstm = ["--policy", "lstm", "--recurrent-size", "8", "--net-arch", "16", "--sequence-length", "16"];
    let (_out, model) = trained(&lstm);
    refused(&command("zerodte", &["export", "--model", &model, "--onnx", &name]), 1, &["it is recurrent"]);
}
