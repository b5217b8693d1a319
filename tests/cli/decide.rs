//! `zerodte decide`: the decision at a bar is the one that `explain` finds in a replay of the whole day.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text};

/// A day of the smoke configuration.
const DAY: &str = "2024-11-20";

fn trained() -> (TempDir, String) {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &[]);
    let model = out.path().join("models/smoke").to_str().unwrap().to_owned();
    (out, model)
}

/// Runs a command with `--json`, and returns screen and report.
fn reported(out: &TempDir, args: &[&str]) -> (String, Value) {
    let file = out.path().join("report.json");
    let output = command("zerodte", &[args, &["--json", file.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    (text(&output.stdout), serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
}

#[test]
fn a_decision_is_that_of_the_replay_of_the_whole_day() {
    let (out, model) = trained();
    let mut actions = Vec::new();
    for minute in ["09:30", "09:45", "10:31", "11:07", "12:40", "13:20", "14:02", "15:30"] {
        let at = format!("{DAY}T{minute}");
        let subject = ["--model", &model, "--symbol", "SPY", "--at", &at];
        let (screen, decided) = reported(&out, &[&["decide"], &subject[..]].concat());
        let (_, explained) = reported(&out, &[&["explain"], &subject[..]].concat());
        for field in ["action", "actions", "value", "bar", "date", "data"] {
            assert_eq!(decided[field], explained[field], "{at}: {field}");
        }
        for column in explained["observation"].as_array().unwrap() {
            let name = column["name"].as_str().unwrap();
            assert_eq!(decided["observation"][name], column["value"], "{at}: {name}");
        }
        for (contract, side) in explained["contracts"].as_array().unwrap().iter().zip(0..) {
            if explained["position"].is_null() {
                assert_eq!(decided["contracts"][side]["ask"], contract["at_close"]["ask"], "{at}");
            }
        }
        assert!(screen.contains("No order was placed") && screen.contains("SYNTHETIC"), "{screen}");
        assert_eq!(decided["orders_placed"], 0);
        actions.push(decided["action"].to_string());
    }
    actions.sort();
    actions.dedup();
    assert!(actions.len() > 1, "{actions:?}");
}

#[test]
fn the_account_can_be_given() {
    let (out, model) = trained();
    let at = format!("{DAY}T10:31");
    let decide = |position: &str| {
        let args = ["decide", "--model", &model, "--symbol", "SPY", "--at", &at, "--position", position];
        reported(&out, &args)
    };
    let (flat, report) = decide("flat");
    assert!(flat.contains("So far      HOLD since the open") && flat.contains("Account     flat"), "{flat}");
    assert_eq!(report["observation"]["side"], 0.0);
    let (held, report) = decide("BUY_PUT@10:28,TRIM_50@10:29");
    assert!(
        held.contains("So far      BUY_PUT at 10:28, TRIM_50 at 10:29") && held.contains("in a put, gain"),
        "{held}"
    );
    assert_eq!((&report["observation"]["side"], &report["taken"][1]["action"]), (&(-1.0).into(), &"TRIM_50".into()));
    let legal: Vec<bool> =
        report["actions"].as_array().unwrap().iter().map(|choice| choice["legal"].as_bool().unwrap()).collect();
    assert_eq!(legal[1..3], [false, false], "a second position is not legal");
}

#[test]
fn times_and_accounts_that_cannot_be_are_refused() {
    let (_out, model) = trained();
    let decide = |at: &str, more: &[&str]| {
        command("zerodte", &[&["decide", "--model", &model, "--symbol", "SPY", "--at", at], more].concat())
    };
    let at = format!("{DAY}T10:31");
    refused(&decide("2024-11-28T10:00", &[]), 2, &["closed on 2024-11-28"]);
    refused(&decide(&at, &["--position", "EXIT@10:00"]), 1, &["at the close of the bar 10:00", "EXIT is not legal"]);
    refused(&decide(&at, &["--position", "BUY_CALL@10:31"]), 2, &["10:31 is not before the bar to decide at"]);
    refused(&decide(&at, &["--position", "SELL@10:00"]), 2, &["SELL is none of HOLD"]);
    refused(&decide("2025-03-04T10:31", &[]), 1, &["SPY", "2025-03-04"]);
    let shadow = command("zerodte", &["shadow", "--model", &model, "--symbol", "SPY"]);
    assert!(!shadow.status.success(), "the model's bars are no vendor's, or the exchange is closed today");
    refused(&command("zerodte", &["shadow", "--symbol", "SPY"]), 2, &["name --model and --symbol"]);
}
