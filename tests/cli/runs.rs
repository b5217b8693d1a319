//! Runs beside each other and after each other: locks, resuming, checkpoints as models, the best kept, seeds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, metrics, refused, smoke, tensors, text, train};

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The smoke configuration into `out` with more arguments.
fn again(out: &Path, more: &[&str]) -> std::process::Output {
    train(&[&["--config", "configs/smoke.toml", "--out-dir", out.to_str().unwrap()], more].concat())
}

/// The steps of the checkpoints, ascending.
fn checkpoints(out: &Path) -> Vec<u64> {
    let steps = |name: String| name.split('_').nth(1).unwrap().parse::<u64>().unwrap();
    let entries = fs::read_dir(out.join("models/checkpoints")).unwrap();
    let mut found: Vec<u64> = entries.map(|entry| steps(entry.unwrap().file_name().into_string().unwrap())).collect();
    found.sort_unstable();
    found
}

fn checkpoint(out: &Path, steps: u64) -> PathBuf {
    out.join(format!("models/checkpoints/smoke_{steps}_steps.safetensors"))
}

#[test]
fn two_runs_of_one_name_do_not_mix() {
    let out = TempDir::new().unwrap();
    // Longer than the test on any machine: it is killed.
    let args = ["--config", "configs/smoke.toml", "--timesteps", "90000000", "--out-dir", out.path().to_str().unwrap()];
    let mut first = Command::new(env!("CARGO_BIN_EXE_train_historical_model"));
    first.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    while !out.path().join("runs/smoke/metrics.jsonl").exists() {
        thread::sleep(Duration::from_millis(2));
    }
    let process = format!("the run smoke is in training by process {} on host ", first.id());
    for more in [&["--seed", "2"][..], &["--resume", "auto"], &["--dry-run"]] {
        refused(&again(out.path(), more), 1, &[&process, "or choose another --model-name"]);
    }
    smoke(out.path(), &["--model-name", "other", "--timesteps", "2000"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(out.path().join("runs/.smoke.lock").exists(), "a killed process leaves its lock");
    smoke(out.path(), &["--seed", "2"]);
    assert!(!out.path().join("runs/.smoke.lock").exists());
    let config = fs::read_to_string(out.path().join("runs/smoke.1/config.toml")).unwrap();
    assert!(config.contains("seed = 0\n"), "the killed run is kept");
}

#[test]
fn every_checkpoint_is_a_model() {
    let out = TempDir::new().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    smoke(out.path(), &["--checkpoint-freq", "4000"]);
    assert_eq!(checkpoints(out.path()), [4_096, 8_192, 10_240], "the end is a checkpoint");
    let report = |model: &str| {
        let (model, file) = (path(model), path("report.json"));
        let output = command("zerodte", &["backtest", "--model", &model, "--json", &file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut report = json(&file);
        // The name of the file, and the signature over it.
        (report["model"], report["sha256"]) = (Value::Null, Value::Null);
        report
    };
    let model = report("models/smoke");
    let last = "models/checkpoints/smoke_10240_steps.safetensors";
    assert!(report(last) == model && report("models/checkpoints/smoke_10240_steps") == model);
    assert!(report("runs/smoke") == model && report("models/checkpoints") == model, "the newest of a folder");
    assert!(report("models/checkpoints/smoke_4096_steps") != model);
    let first = path("models/checkpoints/smoke_4096_steps.safetensors");
    let at = ["--symbol", "SPY", "--at", "2024-12-03T10:00"];
    let explained = command("zerodte", &[&["explain", "--model", &first], &at[..]].concat());
    assert!(explained.status.success(), "{}", text(&explained.stderr));
    smoke(out.path(), &["--load-model", &first, "--model-name", "child", "--timesteps", "2000"]);
    fs::copy(&first, out.path().join("alone_4096_steps.safetensors")).unwrap();
    let alone = command("zerodte", &["backtest", "--model", &path("alone_4096_steps")]);
    refused(&alone, 1, &["is a checkpoint; its run folder must lie beside it"]);
}

#[test]
fn a_run_goes_on_or_starts_and_its_length_is_told() {
    let out = TempDir::new().unwrap();
    let said = |more: &[&str]| text(&smoke(out.path(), more).stdout);
    let first = said(&["--resume", "auto"]);
    assert!(
        first.contains("Note: --resume auto: there is no checkpoint of smoke to go on from; a new run starts"),
        "{first}"
    );
    let model = || tensors(&out.path().join("models/smoke.safetensors"));
    let finished = model();
    let second = said(&["--resume", "auto", "--on-collapse", "stop"]);
    assert!(second.contains("Note: the run has its 10,000 steps already (10,240); nothing is trained"), "{second}");
    assert!(model() == finished);
    let shorter = again(out.path(), &["--resume", "auto", "--timesteps", "4000"]);
    refused(&shorter, 2, &["--timesteps: 4000 is fewer than the 10,240 steps that the checkpoint already has"]);
    let longer = said(&["--resume", "auto", "--timesteps", "14000"]);
    let words = "Note: the weight of the shaping follows the length of the run, now 14,000 steps instead of 10,000";
    assert!(longer.contains(words), "{longer}");
    assert!(model() != finished && checkpoints(out.path()) == [10_240, 14_336]);
    refused(&again(out.path(), &["--resume", "auto", "--gamma", "0.5"]), 2, &["ppo.gamma differs from the run's"]);
}

#[test]
fn a_run_stopped_by_its_verdict_goes_on_only_without_that_consequence() {
    let out = TempDir::new().unwrap();
    let flags = ["--symbols", "SPY", "--set", "run.diagnostics_freq=2048", "--learning-rate", "1e-12"];
    let stopped = again(out.path(), &[&flags[..], &["--on-collapse", "stop"]].concat());
    refused(&stopped, 4, &["training was stopped at step ", "frozen"]);
    let steps = checkpoints(out.path());
    assert!(steps.len() == 1 && steps[0] < 10_240, "{steps:?}");
    let rows = metrics(out.path(), "smoke");
    let resumed = again(out.path(), &[&flags[..], &["--on-collapse", "stop", "--resume", "auto"]].concat());
    assert_eq!((resumed.status.code(), text(&resumed.stderr)), (Some(4), text(&stopped.stderr)), "it is over");
    assert!(checkpoints(out.path()) == steps && metrics(out.path(), "smoke") == rows);
    smoke(out.path(), &[&flags[..], &["--resume", "auto", "--on-collapse", "warn"]].concat());
    assert_eq!(checkpoints(out.path()), [steps[0], 10_240]);
    assert!(metrics(out.path(), "smoke").starts_with(&rows));
}

#[test]
fn resuming_an_older_checkpoint_sets_aside_what_came_after_it() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &["--checkpoint-freq", "4000"]);
    let read = |path: &str| fs::read(out.path().join(path)).unwrap();
    let (model, last) = (read("models/smoke.safetensors"), fs::read(checkpoint(out.path(), 10_240)).unwrap());
    let rows = read("runs/smoke/metrics.jsonl");
    let older = checkpoint(out.path(), 4_096);
    let screen = text(&smoke(out.path(), &["--resume", older.to_str().unwrap()]).stdout);
    assert!(screen.contains("What the run did after this step is kept as "), "{screen}");
    assert!(read("runs/smoke.1/models/smoke.safetensors") == model);
    assert!(read("runs/smoke.1/checkpoints/smoke_10240_steps.safetensors") == last);
    assert!(read("runs/smoke.1/metrics.jsonl") == rows && out.path().join("logs/training/smoke_10k.log.1").exists());
    assert!(read("models/smoke.safetensors") == model, "the same steps give the same model");
    let aside = out.path().join("runs/smoke.1").display().to_string();
    let backtest = command("zerodte", &["backtest", "--model", &aside]);
    assert!(backtest.status.success(), "a checkpoint that was set aside is a model: {}", text(&backtest.stderr));
}

#[test]
fn the_best_checkpoint_is_kept_with_the_noise_of_the_choice() {
    let out = TempDir::new().unwrap();
    let flags = ["--keep", "best", "--checkpoint-freq", "2000", "--keep-checkpoints", "1", "--learning-rate", "1e-3"];
    let screen = text(&smoke(out.path(), &flags).stdout);
    let kept = &json(out.path().join("runs/smoke/manifest.json"))["kept"];
    let candidates = kept["candidates"].as_array().unwrap();
    let steps: Vec<u64> = candidates.iter().map(|found| found["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2_048, 4_096, 6_144, 8_192, 10_240]);
    let bound = |found: &Value| found["lower_bound"].as_f64().unwrap();
    let best = candidates.iter().reduce(|best, next| if bound(next) > bound(best) { next } else { best }).unwrap();
    let step = best["step"].as_u64().unwrap();
    assert_eq!((kept["step"].as_u64(), kept["compared"].as_u64()), (Some(step), Some(5)));
    assert!(best["standard_error"].as_f64().unwrap() >= 0.0 && best["dates"].as_u64().unwrap() >= 2);
    let sidecar = json(out.path().join("models/smoke.json"));
    assert_eq!(sidecar["meta"]["timesteps"].as_u64(), Some(step));
    let expected = if step == 10_240 { vec![10_240] } else { vec![step, 10_240] };
    assert_eq!(checkpoints(out.path()), expected, "the newest and the best");
    assert!(
        screen.contains("Kept the model of step ") && screen.contains("the best of 5 on validation dates:"),
        "{screen}"
    );
}

#[test]
fn a_training_without_gain_ends() {
    let out = TempDir::new().unwrap();
    let flags = ["--stop-after-no-gain", "2", "--checkpoint-freq", "2048", "--learning-rate", "1e-12"];
    let screen = text(&smoke(out.path(), &flags).stdout);
    assert!(
        screen.contains("Ended by --stop-after-no-gain: 2 validations without a gain since step 2,048"),
        "{screen}"
    );
    assert_eq!(checkpoints(out.path()), [2_048, 4_096, 6_144]);
    let manifest = json(out.path().join("runs/smoke/manifest.json"));
    assert_eq!((manifest["timesteps"].as_u64(), manifest["kept"]["step"].as_u64()), (Some(6_144), Some(6_144)));
    let screen = text(&smoke(out.path(), &["--resume", "auto"]).stdout);
    assert!(screen.contains("Ended by --stop-after-no-gain"), "it has ended: {screen}");
    assert_eq!(checkpoints(out.path()), [2_048, 4_096, 6_144]);
}

#[test]
fn old_checkpoints_are_removed() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &["--checkpoint-freq", "1", "--timesteps", "15000"]);
    assert_eq!(checkpoints(out.path()), [8_192, 10_240, 12_288, 14_336, 16_384]);
    smoke(out.path(), &["--checkpoint-freq", "1", "--timesteps", "15000", "--keep-checkpoints", "0"]);
    assert_eq!(checkpoints(out.path()).len(), 8);
}

#[test]
fn seeds_trained_side_by_side_equal_single_runs() {
    let (both, one) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let screen = text(&smoke(both.path(), &["--seeds", "0,1", "--timesteps", "6000"]).stdout);
    smoke(one.path(), &["--seed", "1", "--model-name", "smoke-seed1", "--timesteps", "6000"]);
    let model = |out: &TempDir| fs::read(out.path().join("models/smoke-seed1.safetensors")).unwrap();
    assert!(model(&both) == model(&one));
    assert_eq!(metrics(both.path(), "smoke-seed1"), metrics(one.path(), "smoke-seed1"));
    assert!(metrics(both.path(), "smoke-seed0") != metrics(both.path(), "smoke-seed1"));
    for start in ["smoke-seed0: finished", "seed 0 ", "seed 1 ", "median ", "mean ", "Verdict of seed 1: "] {
        assert!(screen.lines().any(|line| line.starts_with(start)), "`{start}` is missing in:\n{screen}");
    }
    let resumed = text(&smoke(both.path(), &["--seeds", "0,1", "--timesteps", "6000", "--resume", "auto"]).stdout);
    assert!(resumed.contains("median ") && model(&both) == model(&one), "{resumed}");
    refused(&again(one.path(), &["--seed", "0", "--seed", "1"]), 2, &["--seeds 0,1 trains them side by side"]);
}
