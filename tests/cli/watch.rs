//! `zerodte watch`, `zerodte diagnose` and the greps of `scripts/watch.sh`: on a run, on its log, and on logs of the legacy format.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use market_env::{Ledger, Setup};
use ppo_agent::health::log_block::momentum_block;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, smoke, text};

/// Runs the smoke configuration; returns the output folder, the run folder and the log.
fn run() -> (TempDir, PathBuf, PathBuf) {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &[]);
    let (run, log) = (out.path().join("runs/smoke"), out.path().join("logs/training/smoke_10k.log"));
    (out, run, log)
}

fn tool(name: &str, path: &Path, more: &[&str]) -> Output {
    command("zerodte", &[&[name, path.to_str().unwrap()], more].concat())
}

fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Counters of an account that stayed flat and took these actions on weak setups.
fn flat(hold: u64, call: u64, put: u64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.flat_actions[Setup::Weak as usize] = [hold, call, put, 0, 0, 0];
    ledger
}

#[test]
fn a_finished_run_is_shown_and_diagnosed_from_its_folder_and_from_its_log() {
    let (_out, run, log) = run();
    for path in [&run, &log] {
        let frame = said(&tool("watch", path, &["--once"]), 0);
        for part in
            ["SYNTHETIC DATA  step 10,240", "strong BUY  ", "last 5,000", "the last 2 of 2 intervals", "finished"]
        {
            assert!(frame.contains(part), "{part} is missing in:\n{frame}");
        }
        assert!(!frame.contains('\u{1b}'), "no escape codes where nothing is redrawn");
        let lines = said(&tool("watch", path, &[]), 0);
        let starts: Vec<&str> = lines.lines().map(|line| line.split(" | ").nth(1).unwrap()).collect();
        assert_eq!(starts, ["step 5,000", "step 10,000"], "one line per interval, and the end: {lines}");
    }
    let json = |path: &Path| -> Value {
        let output = tool("diagnose", path, &["--json"]);
        let code = output.status.code().unwrap();
        let report: Value = serde_json::from_str(&said(&output, code)).unwrap();
        assert_eq!(report["exit_code"], code);
        report
    };
    let (of_run, of_log) = (json(&run), json(&log));
    for share in ["hold", "buy_call", "buy_put", "strong_buy", "weak_buy"] {
        let [a, b] = [&of_run, &of_log].map(|report| report["last"]["interval"][share].as_f64().unwrap());
        assert!((a - b).abs() < 0.0006, "{share}: {a} in the run folder, {b} from the counts of the log");
    }
    let money = |report: &Value| report["last"]["total"]["net_pnl_usd"].as_f64().unwrap();
    assert_eq!(money(&of_run), money(&of_log));
    assert_eq!((of_log["basis"].as_str(), of_log["data"].as_str()), (Some("log"), Some("SYNTHETIC")));
    assert_eq!((of_run["finished"].as_bool(), of_run["planned"].as_u64()), (Some(true), Some(10_000)));
    let people = said(&tool("diagnose", &log, &[]), 0);
    let verdict = of_run["verdict"].as_str().unwrap();
    assert_eq!((of_log["verdict"].as_str(), &of_log["evidence"]), (Some(verdict), &of_run["evidence"]));
    assert!(people.contains(&format!("Verdict: {verdict}, since step")) && people.contains("strong BUY"), "{people}");
}

#[test]
fn the_stored_verdict_decides_the_exit_code() {
    let (_out, run, _) = run();
    for (verdict, code) in
        [("hold_is_optimal", 0), ("state_blind", 3), ("collapsed:BUY_PUT", 3), ("frozen", 4), ("exploding", 5)]
    {
        let row = |step: u64, verdict: &str| {
            format!(
                r#"{{"data":"SYNTHETIC","step":{step},"first_step":1,"verdict":"{verdict}","reading":"drifting","since":{step},"evidence":["flat HOLD 1.0%"],"checklist":[{{"name":"hold","target":"30-40%","value":0.01,"pass":false}}],"advice":["a larger ppo.ent_coef"]}}"#
            )
        };
        fs::write(run.join("health.jsonl"), format!("{}\n{}\n{{\"da", row(5_000, "healthy"), row(10_000, verdict)))
            .unwrap();
        let people = said(&tool("diagnose", &run, &[]), code);
        for part in [
            &format!("Verdict: {verdict}, since step 10,000"),
            "  the last interval alone: drifting",
            "  to try: a larger ppo.ent_coef",
            &format!("History: healthy 5,000, {verdict} 10,000"),
            "hold  30-40%      1.0%       -  fail",
        ] {
            assert!(people.contains(part), "{part} is missing in:\n{people}");
        }
        let frame = said(&tool("watch", &run, &["--once"]), 0);
        assert!(frame.contains(&format!("{verdict} since step 10,000; this interval alone: drifting")), "{frame}");
    }
}

#[test]
fn a_legacy_log_is_judged_by_its_last_interval_not_its_average() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("old.log");
    // 50 % HOLD on average; in the second half nothing but calls.
    let blocks =
        [momentum_block(50_000, &flat(40_000, 5_000, 5_000)), momentum_block(100_000, &flat(40_100, 54_900, 5_000))];
    fs::write(&log, blocks.concat()).unwrap();
    let people = said(&tool("diagnose", &log, &[]), 3);
    assert!(people.contains("Verdict: collapsed:BUY_CALL, since step 100,000"), "{people}");
    assert!(
        people.contains("HOLD 0.2%, BUY 99.8%") && people.contains("since step 0: HOLD 40.1%, BUY 59.9%"),
        "{people}"
    );
    fs::write(&log, &blocks[0]).unwrap();
    assert!(said(&tool("diagnose", &log, &[]), 0).contains("Verdict: inconclusive"));
}

#[test]
fn anything_but_a_run_or_a_log_is_refused_in_one_sentence() {
    let folder = TempDir::new().unwrap();
    let refuse = |name: &str, path: &Path, words: &str| refused(&tool(name, path, &[]), 1, &[words]);
    let missing = folder.path().join("runs/none");
    for name in ["watch", "diagnose"] {
        refuse(name, &missing, "runs/none does not exist: name a run folder or a log");
        refuse(name, folder.path(), "is no run folder: it holds neither config.toml nor metrics.jsonl");
    }
    let other = folder.path().join("README.md");
    fs::write(&other, "# Something else\n").unwrap();
    refuse("diagnose", &other, "README.md has no MomentumDiagnostics block");
    let young = folder.path().join("young");
    fs::create_dir(&young).unwrap();
    fs::write(young.join("config.toml"), "").unwrap();
    refuse("diagnose", &young, "the first diagnostics interval is not finished");
    fs::write(young.join("metrics.jsonl"), "{\"kind\":\"other\"}\n").unwrap();
    refuse("diagnose", &young, "metrics.jsonl: malformed row {\"kind\":\"other\"}");
}

#[test]
fn a_growing_log_is_followed_until_q_is_typed() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, momentum_block(5_000, &flat(10, 5, 5))).unwrap();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_zerodte"))
        .args(["watch", log.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("step 5,000 | HOLD 50.0% (total 50.0%)"));
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(momentum_block(10_000, &flat(10, 25, 5)).as_bytes()).unwrap();
    assert!(next().starts_with("step 10,000 | HOLD 0.0% (total 25.0%)"));
    watch.stdin.take().unwrap().write_all(b"q\n").unwrap();
    assert!(watch.wait().unwrap().success());
}

#[test]
fn watch_sh_offers_the_legacy_greps_as_commands() {
    let (out, _, log) = run();
    let script = |args: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/watch.sh");
        Command::new("bash").arg(script).args(args).output().unwrap()
    };
    let log = log.to_str().unwrap();
    let block = said(&script(&["at", "5000", log]), 0);
    assert!(block.starts_with("📊 MomentumDiagnostics @ step=5,000\n") && block.lines().count() == 7, "{block}");
    assert_eq!(said(&script(&["at", "5,000", log]), 0), block);
    assert!(said(&script(&["latest", log]), 0).starts_with("📊 MomentumDiagnostics @ step=10,000\n"));
    assert_eq!(said(&script(&["errors", log]), 0), "none\n");
    let share = |block: &str, line: &str| {
        let line = block.lines().find(|found| found.contains(line)).unwrap();
        let end = line.find('%').unwrap();
        line[..=end].rsplit(['(', '=']).next().unwrap().to_owned()
    };
    let table = said(&script(&["summary", log]), 0);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!((rows.len(), rows[0]), (4, "| step | HOLD | BUY | strong BUY |"));
    let (hold, strong) = (share(&block, "action 0:"), share(&block, "BUY rate="));
    assert!(
        rows[2].starts_with(&format!("| 5,000 | {hold} | ")) && rows[2].ends_with(&format!(" | {strong} |")),
        "{table}"
    );
    let failed = out.path().join("failed.log");
    fs::write(&failed, "all well\nerror: disk full\nTraceback: ValueError\n").unwrap();
    assert_eq!(said(&script(&["errors", failed.to_str().unwrap()]), 0), "error: disk full\nTraceback: ValueError\n");
    refused(&script(&["at", "7000", log]), 1, &["has no block at step 7,000"]);
    refused(&script(&["latest", failed.to_str().unwrap()]), 1, &["has no block"]);
    refused(&script(&["summary", "/nowhere"]), 1, &["there is no log /nowhere"]);
    refused(&script(&["watch", log]), 2, &["scripts/watch.sh follow LOG"]);
}
