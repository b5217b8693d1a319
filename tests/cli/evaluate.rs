//! `zerodte evaluate` and `zerodte registry`: reports of backtests give a verdict, looks are counted, rows are chained.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::{ToSpan as _, civil::date};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text, train};

/// Writes the report of a backtest on `n` dates whose P&L lies around `mean` dollars.
fn write_report(folder: &Path, name: &str, configuration: &str, seed: u64, n: usize, mean: f64) {
    let pnl = |day: usize| ((day * 37 + seed as usize * 11) % 101) as f64 - 50.0 + mean;
    let daily: BTreeMap<String, f64> =
        (0..n).map(|day| ((date(2025, 7, 1) + (day as i64).days()).to_string(), pnl(day))).collect();
    let report = json!({
        "model": format!("models/{name}.safetensors"), "data": "market", "behaviour": "greedy", "seed": 0,
        "symbols": ["SPY", "QQQ"], "in_sample_dates": 0, "capital_usd": 5_000.0, "trades": 300,
        "prices": { "modelled": 300, "real": 0 }, "daily_pnl_usd": daily, "configuration": configuration,
        "training_seed": seed,
    });
    fs::write(folder.join(format!("{name}.json")), report.to_string()).unwrap();
}

fn evaluate(folder: &Path, more: &[&str]) -> std::process::Output {
    let registry = folder.join("registry.jsonl");
    let fixed = ["evaluate", folder.to_str().unwrap(), "--registry", registry.to_str().unwrap()];
    command("zerodte", &[&fixed[..], &["--set", "evaluation.resamples=999"], more].concat())
}

fn evaluation(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("evaluation.json")).unwrap()).unwrap()
}

#[test]
fn reports_of_five_seeds_give_a_verdict_on_their_procedure() {
    let folder = TempDir::new().unwrap();
    (0..5).for_each(|seed| write_report(folder.path(), &format!("a{seed}"), "x", seed, 80, -20.0));
    let output = evaluate(folder.path(), &[]);
    let screen = text(&output.stdout);
    assert!(output.status.success(), "{screen}{}", text(&output.stderr));
    assert!(screen.lines().all(|line| line.chars().count() <= 80 || line.contains("written:")), "{screen}");
    assert!(screen.contains("VERDICT        loses. Loses after costs: -$2"), "{screen}");
    let found = evaluation(folder.path());
    assert_eq!((&found["verdict"]["word"], &found["unit"]["seeds"]), (&json!("loses"), &json!(5)));
    assert_eq!((&found["looks"], &found["why"]["dsr"]).0, &Value::Null, "there was no registry yet");
    let required = evaluate(folder.path(), &["--require", "edge_survives"]);
    refused(&required, 1, &["--require edge_survives: the verdict is loses"]);
    let again = evaluation(folder.path());
    assert_eq!(again["looks"], json!({ "configurations": 1, "outside": 0 }));
    assert_eq!(again["mean_per_date_usd"], found["mean_per_date_usd"], "the same bytes at every run");
}

#[test]
fn other_configurations_that_looked_at_the_dates_contaminate_them() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_report(ours.path(), "a", "x", 1, 40, 12.0);
    write_report(theirs.path(), "b", "y", 1, 40, 3.0);
    let registry = ours.path().join("registry.jsonl");
    let path = registry.to_str().unwrap();
    let look =
        |folder: &TempDir| command("zerodte", &["evaluate", folder.path().to_str().unwrap(), "--registry", path]);
    assert!(look(&theirs).status.success());
    let screen = text(&look(&ours).stdout);
    assert!(screen.contains("VERDICT        contaminated. 1 other configuration looked at these dates"), "{screen}");
    let count = command("zerodte", &["registry", "count", "--registry", path, "--dates", "2025-07-01..2025-07-02"]);
    assert!(
        text(&count.stdout).starts_with("N = 2: 2 configurations have looked at 2025-07-01"),
        "{}",
        text(&count.stdout)
    );
    let both = command(
        "zerodte",
        &[
            "evaluate",
            ours.path().join("a.json").to_str().unwrap(),
            theirs.path().join("b.json").to_str().unwrap(),
            "--registry",
            path,
        ],
    );
    assert!(text(&both.stdout).contains("best of 2 worthless trials"), "{}", text(&both.stdout));
    assert!(!text(&both.stdout).contains("contaminated"), "both are reports now");
}

#[test]
fn few_dates_and_what_is_no_report() {
    let folder = TempDir::new().unwrap();
    refused(&evaluate(folder.path(), &[]), 2, &["there is no report of a backtest in"]);
    write_report(folder.path(), "a", "x", 1, 5, -20.0);
    let output = evaluate(folder.path(), &[]);
    let screen = text(&output.stdout);
    assert!(output.status.success() && screen.contains("inconclusive. 5 session dates are too few"), "{screen}");
    assert!(screen.contains("net, a date    -$"), "figures are shown: {screen}");
    write_report(folder.path(), "b", "y", 1, 6, -20.0);
    refused(&evaluate(folder.path(), &[]), 1, &["cover other dates", "2025-07-06"]);
    refused(&evaluate(folder.path(), &["--require", "edge"]), 2, &["edge_survives"]);
}

#[test]
fn trainings_and_backtests_are_registered() {
    let out = TempDir::new().unwrap();
    let path = out.path().join("registry.jsonl");
    let registry = path.to_str().unwrap();
    smoke(out.path(), &["--final", "false", "--model-name", "unseen"]);
    let rows = || -> Vec<Value> {
        let lines = fs::read_to_string(&path).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(rows().iter().map(|row| row["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["training"]);
    let first = text(&smoke(out.path(), &["--seed", "1"]).stdout);
    assert!(first.contains("Looks: no other configuration has looked at these test dates before"), "{first}");
    let second = text(&smoke(out.path(), &["--seed", "2"]).stdout);
    assert!(second.contains("no other configuration"), "another seed is no other configuration: {second}");
    let third = text(&smoke(out.path(), &["--set", "ppo.gamma=0.9"]).stdout);
    assert!(third.contains("Looks: 1 other configuration has looked at these test dates"), "{third}");
    let model = out.path().join("models/smoke");
    let report = out.path().join("report.json");
    let backtest =
        command("zerodte", &["backtest", "--model", model.to_str().unwrap(), "--json", report.to_str().unwrap()]);
    assert!(
        text(&backtest.stdout).contains("Looks                1 other configuration"),
        "{}",
        text(&backtest.stdout)
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["configuration"], rows().last().unwrap()["config"]);
    assert_eq!(report["configuration"], rows()[6]["config"], "that of its training");
    let kinds: Vec<String> = rows().iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["training", "look", "training", "look", "training", "look", "training", "backtest"]);
    let verified = command("zerodte", &["registry", "verify", "--registry", registry]);
    assert!(text(&verified.stdout).starts_with("8 rows of "), "{}", text(&verified.stdout));
    let listed = command("zerodte", &["registry", "list", "--registry", registry]);
    assert!(text(&listed.stdout).contains("unseen (0)"), "{}", text(&listed.stdout));
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    refused(
        &command("zerodte", &["registry", "verify", "--registry", registry]),
        1,
        &["was changed after it was written"],
    );
    refused(
        &command("zerodte", &["registry", "list", "--registry", "nowhere.jsonl"]),
        2,
        &["there is no registry nowhere.jsonl"],
    );
    let failed = train(&[
        "--config",
        "configs/smoke.toml",
        "--out-dir",
        out.path().to_str().unwrap(),
        "--set",
        "ppo.learning_rate=1e30",
    ]);
    assert!(!failed.status.success());
    assert_eq!(rows().last().unwrap()["outcome"], "failed", "{}", text(&failed.stderr));
}
