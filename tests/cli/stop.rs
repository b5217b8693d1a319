//! Trainings that are stopped by a signal, and what is left of them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::cli::{metrics, refused, smoke, text, train};

const LONG: [&str; 4] = ["--timesteps", "400000", "--checkpoint-freq", "200000"];

/// Starts a long training, sends it a signal once it trains, and returns its exit code and what it printed.
fn stopped(out: &Path, signal: &str) -> (Option<i32>, String) {
    let args = ["--config", "configs/smoke.toml", "--out-dir", out.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_train_historical_model"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).args(LONG).stdout(Stdio::piped()).stderr(Stdio::piped());
    let training = command.spawn().unwrap();
    let rows = out.join("runs/smoke/metrics.jsonl");
    while fs::metadata(&rows).map_or(0, |file| file.len()) < 2_000 {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args([signal, &training.id().to_string()]).status().unwrap().success());
    let output = training.wait_with_output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_stopped_training_is_saved_and_goes_on_to_the_same_result() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (code, said) = stopped(first.path(), "-INT");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("by Ctrl-C; everything is saved") && said.contains("TRAINING STOPPED"), "{said}");
    assert!(
        said.contains(&format!("--model-name smoke --out-dir {} --resume latest", first.path().display())),
        "{said}"
    );
    let checkpoints = fs::read_dir(first.path().join("models/checkpoints")).unwrap().count();
    assert_eq!(checkpoints, 1, "one checkpoint, at the step of the signal");
    assert!(first.path().join("models/smoke.safetensors").exists());

    smoke(first.path(), &[&LONG[..], &["--resume", "latest"]].concat());
    smoke(second.path(), &LONG);
    let model = |out: &TempDir| fs::read(out.path().join("models/smoke.safetensors")).unwrap();
    assert!(
        model(&first) == model(&second),
        "the model of a stopped and resumed training is that of an uninterrupted one"
    );
    assert!(metrics(first.path(), "smoke") == metrics(second.path(), "smoke"));
}

#[test]
fn every_signal_has_its_exit_code() {
    let out = TempDir::new().unwrap();
    let (code, said) = stopped(out.path(), "-TERM");
    assert_eq!(code, Some(143), "{said}");
}

#[test]
fn an_interval_stands_once_where_an_iteration_is_longer_than_it() {
    let (whole, resumed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let long = ["--n-envs", "16", "--n-steps", "512", "--checkpoint-freq", "10000", "--timesteps", "60000"];
    smoke(whole.path(), &long);
    smoke(resumed.path(), &long);
    let checkpoint = resumed.path().join("models/checkpoints/smoke_32768_steps.safetensors");
    smoke(resumed.path(), &[&long[..], &["--resume", checkpoint.to_str().unwrap()]].concat());
    let health = |out: &TempDir| fs::read_to_string(out.path().join("runs/smoke/health.jsonl")).unwrap();
    assert_eq!(health(&whole), health(&resumed));
    assert!(metrics(whole.path(), "smoke") == metrics(resumed.path(), "smoke"));
}

#[test]
fn a_configuration_with_very_many_faults_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("many.toml");
    for (keys, sentence) in [
        (4_000, "there may be more; these are the first"),
        (20_000, "20000 keys, more than a configuration has"),
        (100_000, "bytes, more than a configuration has"),
    ] {
        let text: String = (0..keys).map(|key| format!("k{key} = 1\n")).collect();
        fs::write(&path, text).unwrap();
        let output = train(&["--config", path.to_str().unwrap(), "--dry-run"]);
        refused(&output, 2, &[sentence]);
        assert!(output.stderr.len() < 10_000, "{} bytes", output.stderr.len());
    }
}
