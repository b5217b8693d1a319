//! The verdict in whole runs: the health rows of a run, the end of a run that fails, and the moves of the controller. Every
//! training is real, on a small synthetic market.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use ppo_agent::health::Verdict;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use zerodte_scripts::artifacts::health_rows::{HEALTH, HealthRow, MOVES, MoveRow, WrittenVerdict};

use crate::cli::{command, metrics, refused, shell, smoke, tensors, text};

/// Bars whose shape shows the direction of the price: entries earn there.
const EDGE: [&str; 4] = ["--set", "data.synthetic.planted_edge=0.5", "--set", "data.synthetic.edge_visibility=1"];
/// Rewards that pay for staying out; a policy learns HOLD from them within seconds.
const LAZY: [&str; 7] = [
    "--human-momentum",
    "--set",
    "env.reward.hold_tax=1",
    "--set",
    "env.reward.missed_opportunity=1",
    "--learning-rate",
    "3e-3",
];
/// One interval per iteration, of one symbol.
const SHORT: [&str; 4] = ["--symbols", "SPY", "--set", "run.diagnostics_freq=2048"];

/// Runs the smoke configuration; the run may fail.
fn train(out: &Path, parts: &[&[&str]]) -> Output {
    let base = ["--config", "configs/smoke.toml", "--out-dir", out.to_str().unwrap()];
    command("train_historical_model", &[&[&base[..]], parts].concat().concat())
}

fn run_folder(out: &TempDir) -> PathBuf {
    out.path().join("runs/smoke")
}

fn rows<T: DeserializeOwned>(out: &TempDir, name: &str) -> Vec<T> {
    let text = fs::read_to_string(run_folder(out).join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn model(out: &TempDir) -> Vec<u8> {
    tensors(&out.path().join("models/smoke.safetensors"))
}

fn log(out: &TempDir) -> String {
    let path = fs::read_dir(out.path().join("logs/training")).unwrap().next().unwrap().unwrap().path();
    fs::read_to_string(path).unwrap()
}

/// Checks that the run folder, `diagnose` and `watch` report the same verdict, and that `diagnose` exits with its code.
fn told(out: &TempDir, verdict: &str) {
    let (row, run) = (rows::<HealthRow>(out, HEALTH).pop().unwrap(), run_folder(out));
    let code = i32::from(verdict.parse::<Verdict>().unwrap().exit_code());
    let diagnosed = command("zerodte", &["diagnose", run.to_str().unwrap(), "--json"]);
    assert_eq!(diagnosed.status.code(), Some(code), "{}", text(&diagnosed.stderr));
    let report: Value = serde_json::from_str(&text(&diagnosed.stdout)).unwrap();
    assert_eq!((row.verdict.to_string().as_str(), report["verdict"].as_str()), (verdict, Some(verdict)));
    assert_eq!((report["exit_code"].as_i64(), report["basis"].as_str()), (Some(code.into()), Some("health")));
    assert_eq!(report["evidence"], serde_json::to_value(&row.evidence).unwrap());
    let frame = text(&command("zerodte", &["watch", run.to_str().unwrap(), "--once"]).stdout);
    assert!(frame.contains(&format!("verdict     {verdict} since step ")), "{frame}");
}

/// Checks that a training ended with this code and one error line that starts with `sentence`, and that its run folder is complete.
fn ended(out: &TempDir, output: &Output, code: i32, sentence: &str, verdict: &str) {
    refused(output, code, &[sentence]);
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with(&format!("error: {sentence}")) && stderr.lines().count() == 1, "{stderr}");
    assert!(log(out).ends_with(&stderr), "the log ends with the same sentence");
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(run_folder(out).join("manifest.json")).unwrap()).unwrap();
    assert!(manifest["finished"].is_string() && manifest["verdict"] == verdict, "{manifest}");
    assert!(!model(out).is_empty() && run_folder(out).join("training.svg").is_file());
    told(out, verdict);
}

#[test]
fn every_interval_has_a_verdict_in_the_log_and_in_the_run_folder() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &[]);
    let (health, log) = (rows::<HealthRow>(&out, HEALTH), log(&out));
    let spans: Vec<(u64, u64)> = health.iter().map(|row| (row.first_step, row.step)).collect();
    assert_eq!(spans, [(1, 5_000), (5_001, 10_000)]);
    let verdicts = log.lines().filter(|line| line.starts_with("Verdict   ")).count();
    assert_eq!((verdicts, log.matches("MomentumDiagnostics @").count()), (2, 2));
    for row in &health {
        assert!([&row.verdict, &row.reading].iter().all(|word| matches!(word, WrittenVerdict::Known(_))), "{row:?}");
        assert!(!row.evidence.is_empty() && row.evidence.iter().all(|line| log.contains(line)), "{row:?}");
        // Both steps are in the checklist.
        assert_eq!(row.checklist.len(), 8);
        for check in &row.checklist {
            let line = format!("Checklist {} {}: ", if check.pass { "pass" } else { "FAIL" }, check.name);
            assert!(log.contains(&line), "{line} is missing");
        }
    }
    assert_eq!(health[0].verdict, Verdict::Inconclusive.into(), "one interval is not enough");
    assert_eq!(log.lines().filter(|line| line.starts_with("Checklist ")).count(), 16);
    assert!(rows::<MoveRow>(&out, MOVES).is_empty());
    told(&out, &health[1].verdict.to_string());
}

#[test]
fn legacy_greps_match_the_log_of_a_run() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &SHORT[..2]);
    let log = log(&out);
    let block = shell(r#"grep -A 6 "MomentumDiagnostics @ step=10,000" "$1""#, &log);
    assert_eq!(block.lines().count(), 7);
    assert!(block.lines().nth(6).unwrap().starts_with("Triggers: good_buy_bonus="), "{block}");
    assert_eq!(shell(r#"tail -n 100 "$1" | grep -A 10 "MomentumDiagnostics" | grep -c "action""#, &log).trim(), "4");
    assert_eq!(shell(r#"grep "MomentumDiagnostics" "$1" | tail -1"#, &log), "📊 MomentumDiagnostics @ step=10,000\n");
    let share = shell(r#"grep -A 6 "step=10,000" "$1" | grep "action 0:" | grep -o "[0-9.]*%" | head -1"#, &log);
    assert!((25.0..45.0).contains(&share.trim().trim_end_matches('%').parse::<f64>().unwrap()), "{share}");
    assert_eq!(shell(r#"grep -iE "nan|inf|error|traceback" "$1""#, &log), "", "what the old watchers took for trouble");
}

#[test]
fn the_metrics_of_an_interval_are_consistent() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &SHORT[..2]);
    let all: Vec<Value> = rows(&out, "metrics.jsonl");
    let of_kind = |kind: &'static str| all.iter().filter(move |row| row["kind"] == kind);
    let mut opened = 0.0;
    for row in of_kind("diagnostics") {
        let value = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {row}"));
        let sum = |prefix: &str| -> f64 {
            let fields = row.as_object().unwrap().iter().filter(|(key, _)| key.starts_with(prefix));
            fields.map(|(_, value)| value.as_f64().unwrap()).sum()
        };
        assert_eq!(value("env/illegal_actions"), 0.0);
        for space in ["actions", "actions_cum", "actions_bull", "actions_bear", "actions_weak"] {
            assert!((sum(&format!("{space}/frac_")) - 1.0).abs() < 1e-9, "{space}: {row}");
        }
        assert!((sum("reward_terms_share/") - 1.0).abs() < 1e-9 && value("reward_terms_share/pnl") > 0.5);
        assert!((sum("reward_terms/") - value("reward/total")).abs() < 1e-6);
        let band = ["_low", "", "_high"].map(|end| value(&format!("actions_strong/state_dependence{end}")));
        assert!(band.is_sorted() && band[0] < band[2], "{band:?}");
        for key in ["actions_strong/direction_accuracy", "policy_interval/entropy_norm", "policy/max_prob_mean"] {
            assert!((0.0..=1.0).contains(&value(key)), "{key}: {}", value(key));
        }
        assert!(value("policy/variance_across_states") > 0.0 && value("critic_interval/variance_ratio") > 0.0);
        assert!(value("critic_interval/pred_min") < value("critic_interval/pred_max"));
        assert!(value("critic_interval/pred_std") > 0.0);
        for key in ["explained_variance_mc", "calibration_slope"].map(|name| format!("critic_interval/{name}")) {
            value(&key);
        }
        value("net/effective_rank_actor.0");
        opened += value("env/opened") - value("env/completed");
        assert_eq!(opened, value("env/open_at_end"), "what is opened and not completed is open");
    }
    let keys = |kind| {
        let rows = of_kind(kind).flat_map(|row| row.as_object().unwrap().keys());
        rows.filter(|key| key.contains('/')).cloned().collect::<BTreeSet<_>>()
    };
    let both: Vec<String> = keys("diagnostics").intersection(&keys("iteration")).cloned().collect();
    assert_eq!(both, Vec::<String>::new(), "one key has one window");
    for row in of_kind("iteration") {
        let value = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {row}"));
        assert!(value("train/approx_kl_max") >= value("train/approx_kl") && value("train/value_loss") > 0.0);
        assert!(value("train/param_change_actor") > 0.0 && value("train/param_change_critic") > 0.0);
    }
    assert_eq!((of_kind("diagnostics").count(), of_kind("iteration").count()), (2, 5));
}

#[test]
fn a_frozen_training_stops_with_code_4_or_warns() {
    let (stopped, warned) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let frozen: &[&str] = &["--learning-rate", "1e-12"];
    let output = train(stopped.path(), &[&SHORT, frozen, &["--on-collapse", "stop"]]);
    ended(&stopped, &output, 4, "training was stopped at step 6144: frozen; the actor parameters change by ", "frozen");
    let health = rows::<HealthRow>(&stopped, HEALTH);
    let read: Vec<String> = health.iter().map(|row| row.reading.to_string()).collect();
    assert_eq!(read, ["frozen", "frozen"], "every interval holds an update");
    assert!(text(&output.stdout).contains("TRAINING STOPPED") && !text(&output.stdout).contains("Out of sample"));

    let screen = text(&smoke(warned.path(), &[&SHORT, frozen].concat()).stdout);
    let (money, training) =
        (screen.find("after all costs").unwrap(), screen.find("The training failed: frozen;").unwrap());
    assert!(
        screen.contains("\nVerdict: frozen\n") && screen.contains("TRAINING COMPLETE") && money < training,
        "{screen}"
    );
    told(&warned, "frozen");
}

#[test]
fn a_holding_policy_is_judged_by_the_profit_of_entries() {
    // The same training on two markets: entries earn in only one of them.
    let (edge, none) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let lazy: &[&[&str]] = &[&LAZY, &["--on-collapse", "stop", "--timesteps", "45000"]];
    let output = train(edge.path(), &[lazy, &[&SHORT, &EDGE]].concat());
    ended(&edge, &output, 3, "training was stopped at step ", "collapsed:HOLD");
    let sentence = text(&output.stderr);
    assert!(
        sentence.contains(": collapsed:HOLD; ")
            && sentence.contains(" earned $")
            && sentence.contains("per session after costs"),
        "{sentence}"
    );

    let output = train(none.path(), lazy);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    told(&none, "hold_is_optimal");
    let row = rows::<HealthRow>(&none, HEALTH).pop().unwrap();
    assert!(row.evidence[0].contains("random entries lost") && !row.advice.is_empty(), "{row:?}");
    let shares = row.evidence.last().unwrap();
    assert!(["flat HOLD 100.0% ", "flat HOLD 99."].iter().any(|part| shares.starts_with(part)), "{shares}");
}

#[test]
fn an_exploding_training_ends_with_code_5_and_its_cause() {
    let out = TempDir::new().unwrap();
    let output = train(out.path(), &[&["--symbols", "SPY", "--learning-rate", "1e30"]]);
    refused(&output, 5, &["error: the loss is inf at step 2048 (iteration 0)"]);
    let health = rows::<HealthRow>(&out, HEALTH);
    let [row] = health.as_slice() else { panic!("{health:?}") };
    assert_eq!((row.first_step, row.step, row.reading.to_string().as_str()), (1, 2048, "exploding"));
    assert!(row.evidence[0].contains("the loss is inf at step 2048") && row.advice[0].contains("--learning-rate"));
    assert!(log(&out).contains("Verdict   exploding at step 2,048\n"));
    told(&out, "exploding");
}

/// Deletes everything that a run wrote after the checkpoint at `step`, as a crash would, and resumes it.
fn resume_from(out: &TempDir, step: u64, flags: &[&str]) {
    for entry in fs::read_dir(out.path().join("models/checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.split('_').nth(1).unwrap().parse::<u64>().unwrap() > step {
            fs::remove_file(&path).unwrap();
        }
    }
    fs::remove_file(out.path().join("models/smoke.safetensors")).unwrap();
    let screen = text(&smoke(out.path(), &[flags, &["--resume", "latest"]].concat()).stdout);
    assert!(screen.contains(&format!("smoke_{step}_steps.safetensors at step ")), "{screen}");
}

#[test]
fn adapt_escalates_and_its_moves_can_be_replayed_and_resumed() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // Intervals end between checkpoints, so that a resumed run has to restore half of one.
    let run = ["--symbols", "SPY", "--set", "run.diagnostics_freq=3000", "--set", "health.patience=1"];
    // Lazier still: one escalation step alone must not bring the policy back.
    let lazier = ["--set", "env.reward.hold_tax=2", "--set", "env.reward.missed_opportunity=2"];
    let length = ["--timesteps", "34000", "--checkpoint-freq", "2048", "--keep-checkpoints", "0"];
    let run = [&run[..], &EDGE, &LAZY, &lazier, &length].concat();
    let adapt = [&run[..], &["--on-collapse", "adapt"]].concat();
    smoke(first.path(), &adapt);
    let moves = rows::<MoveRow>(&first, MOVES);
    let steps: Vec<u64> = moves.iter().map(|row| row.step).collect();
    assert_eq!(steps, [[steps[0]; 5], [steps[9]; 5]].concat(), "two escalation steps of five settings");
    assert!(steps[9] > steps[0] + 3_000, "a pause between them: {steps:?}");
    let ent_coef: Vec<_> = moves.iter().filter(|row| row.key == "ppo.ent_coef").map(|row| (row.from, row.to)).collect();
    assert_eq!(ent_coef, [(0.06, 0.08), (0.08, 0.1)]);
    assert!(
        moves.iter().all(|row| row.reason.starts_with("collapsed:HOLD; escalation step ") && row.data.is_synthetic())
    );
    let log = log(&first);
    for MoveRow { key, from, to, reason, .. } in &moves {
        assert!(log.contains(&format!(": {key} {from} to {to} ({reason})\n")), "{key} is missing");
    }
    assert_eq!(log.lines().filter(|line| line.starts_with("Adapted   step ")).count(), moves.len());

    let file = run_folder(&first).join(MOVES);
    smoke(second.path(), &[&run[..], &["--replay-moves", file.to_str().unwrap()]].concat());
    assert!(model(&first) == model(&second), "the same moves make the same model");
    assert!(
        moves == rows::<MoveRow>(&second, MOVES) && metrics(first.path(), "smoke") == metrics(second.path(), "smoke")
    );

    let written = || [HEALTH, MOVES].map(|name| fs::read_to_string(run_folder(&first).join(name)).unwrap());
    let (model_before, rows_before, metrics_before) = (model(&first), written(), metrics(first.path(), "smoke"));
    // Between the two escalation steps, and between the first bad interval and the verdict. No interval ends there.
    for step in [steps[9] - 2_048, steps[0] - 2_048] {
        resume_from(&first, step, &adapt);
        assert!(model(&first) == model_before, "resumed at {step}");
        assert!(written() == rows_before && metrics(first.path(), "smoke") == metrics_before, "resumed at {step}");
    }
}

#[test]
fn an_automatic_entropy_weight_is_recorded_and_can_be_replayed() {
    let (auto, replayed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // A young policy is nearly uniform, above the target: the weight falls, to its bound.
    let run = ["--symbols", "SPY", "--set", "ppo.ent_coef_min=0.05"];
    smoke(auto.path(), &[&run[..], &["--ent-coef", "auto"]].concat());
    let moves = rows::<MoveRow>(&auto, MOVES);
    assert_eq!(moves.iter().map(|row| row.step).collect::<Vec<_>>(), [2_048, 4_096, 6_144, 8_192]);
    let weights: Vec<f64> = std::iter::once(0.06).chain(moves.iter().map(|row| row.to)).collect();
    assert!(moves.iter().zip(&weights).all(|(row, from)| row.from == *from && row.to < row.from), "{weights:?}");
    assert_eq!(weights[4], 0.05);
    assert!(moves[0].reason.contains("the normalised entropy lies above its target 0.7"), "{}", moves[0].reason);
    let iterations = rows::<Value>(&auto, "metrics.jsonl").into_iter().filter(|row| row["kind"] == "iteration");
    let used: Vec<f32> = iterations.map(|row| row["train/ent_coef"].as_f64().unwrap() as f32).collect();
    assert_eq!(used, weights.iter().map(|&weight| weight as f32).collect::<Vec<_>>());

    let file = run_folder(&auto).join(MOVES);
    let replay = ["--replay-moves", file.to_str().unwrap()];
    smoke(replayed.path(), &[&run[..], &replay].concat());
    assert!(model(&auto) == model(&replayed) && metrics(auto.path(), "smoke") == metrics(replayed.path(), "smoke"));
    let both = train(replayed.path(), &[&run, &replay, &["--ent-coef", "auto"]]);
    refused(&both, 2, &["run.replay_moves: ppo.ent_schedule auto would change settings too"]);
}

#[test]
fn a_resumed_run_remembers_its_verdict() {
    let out = TempDir::new().unwrap();
    let flags = [&SHORT[..], &["--checkpoint-freq", "2048"]].concat();
    smoke(out.path(), &flags);
    let verdict = rows::<HealthRow>(&out, HEALTH).pop().unwrap().verdict;
    // Nothing is left to train: no interval ends in the second program.
    resume_from(&out, 10_240, &flags);
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(run_folder(&out).join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["verdict"], verdict.to_string());
}

#[test]
fn invalid_replays_are_refused_before_anything_is_written() {
    let out = TempDir::new().unwrap();
    let file = out.path().join("moves.jsonl");
    let refuse = |flags: &[&str], words: &[&str]| {
        let output = train(&out.path().join("out"), &[&["--symbols", "SPY"], flags]);
        refused(&output, 2, words);
        assert_eq!(text(&output.stderr).lines().count(), 1, "one sentence: {}", text(&output.stderr));
        assert!(!out.path().join("out").exists(), "nothing is written");
    };
    refused(&train(out.path(), &[&["--ent-coef", "automatic"]]), 2, &["--ent-coef", "expected a number, or auto"]);
    refuse(&["--on-collapse", "nonsense"], &["health.on_collapse", "nonsense", "warn, stop, adapt"]);
    let replay = ["--replay-moves", file.to_str().unwrap()];
    refuse(&replay, &["--replay-moves: cannot read ", "moves.jsonl"]);
    let good = r#"{"data":"market","step":4096,"key":"ppo.ent_coef","from":0.06,"to":0.08,"reason":"why"}"#;
    for (bad, words) in [
        ("{\"data\":\"mark".to_owned(), "line 2: EOF"),
        (good.replace("ppo.ent_coef", "ppo.gamma"), "line 2: `ppo.gamma` is not a setting of the controller"),
        (good.replace("0.08", "-0.08"), "line 2: ppo.ent_coef cannot be -0.08"),
        (good.replace("4096", "2048"), "line 2: step 2048 follows step 4096"),
    ] {
        fs::write(&file, format!("{good}\n{bad}\n")).unwrap();
        refuse(&replay, &["error: --replay-moves: ", words]);
    }
    let own = ["--model-name", "own", "--replay-moves"];
    let path = out.path().join("out/runs/own/moves.jsonl");
    refuse(&[&own[..], &[path.to_str().unwrap()]].concat(), &["run.replay_moves: the run sets that folder aside"]);
}
