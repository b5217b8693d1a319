//! Columns of the user from the configuration to the model: trained with, explained, and refused where they are missing.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text};

/// Writes an hourly file of columns for the dates of the smoke configuration, known 90 seconds after each full hour.
fn hourly(folder: &TempDir) -> String {
    let first: jiff::Timestamp = "2024-09-30T00:00:00Z".parse().unwrap();
    let row = |hour: i64| {
        let at = first + jiff::SignedDuration::from_hours(hour);
        let known = at + jiff::SignedDuration::from_secs(90);
        format!("{at},{known},{}\n", (hour as f64).sin())
    };
    let rows: String = (0..24 * 75).map(row).collect();
    let path = folder.path().join("hourly.csv");
    fs::write(&path, format!("timestamp,published,value\n{rows}")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_model_keeps_its_columns_and_a_market_without_them_is_refused() {
    let out = TempDir::new().unwrap();
    let file = hourly(&out);
    let files = format!(
        "data.column_files=[{{name=\"x\", file={file:?}, values=[\"value\"], known=\"published\", transform=\"zscore\", age=true}}]"
    );
    let screen = text(&smoke(out.path(), &["--set", &files, "--set", "market.cross=[\"IWM\"]"]).stdout);
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = "5 of your own: x.value.zscore, x.age, IWM.return, IWM.since_open, IWM.strength";
    assert!(flat.contains(names), "{screen}");
    assert!(flat.contains("session dates are too few to test your columns"), "{screen}");

    let model = out.path().join("models/smoke").to_str().unwrap().to_owned();
    let json = out.path().join("explanation.json").to_str().unwrap().to_owned();
    let at = ["explain", "--model", &model, "--symbol", "SPY", "--at", "2024-11-20T11:00", "--json", &json];
    let explained = command("zerodte", &at);
    assert!(explained.status.success(), "{}{}", text(&explained.stdout), text(&explained.stderr));
    let explanation: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let columns = explanation["observation"].as_array().unwrap();
    assert_eq!(columns.len(), market_env::FEATURES.len() + 5);
    let own = &columns[market_env::FEATURES.len()];
    assert_eq!((own["name"].as_str(), own["meaning"].as_str()), (Some("x.value.zscore"), Some("column of the user")));

    let backtest = |more: &[&str]| command("zerodte", &[&["backtest", "--model", &model], more].concat());
    refused(
        &backtest(&["--set", "market.cross=[]"]),
        1,
        &["`IWM.return` in the policy and nothing in the environment"],
    );
    let other = files.replace("zscore", "rank");
    refused(&backtest(&["--set", &other]), 1, &["feature 29 is `x.value.zscore` in the policy and `x.value.rank`"]);
    let unknown = files.replace(", known=\"published\"", "");
    refused(&backtest(&["--set", &unknown]), 2, &["data.column_files (x): none is given of known, delay and bar"]);
}
