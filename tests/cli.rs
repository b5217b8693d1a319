//! The binaries as a user runs them, one module per command or subject; the helpers that they share stand here.

pub(crate) mod audit;
pub(crate) mod audit_reward;
pub(crate) mod bad_bars;
pub(crate) mod bad_inputs;
pub(crate) mod calibrate;
pub(crate) mod columns;
pub(crate) mod decide;
pub(crate) mod evaluate;
pub(crate) mod events;
#[cfg(feature = "torch")]
pub(crate) mod forecast_compare;
pub(crate) mod golden;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod options;
pub(crate) mod recurrent;
pub(crate) mod report_page;
pub(crate) mod reproduce_collapse;
pub(crate) mod resume;
pub(crate) mod runs;
pub(crate) mod stop;
pub(crate) mod sweep;
pub(crate) mod train;
pub(crate) mod train_script;
pub(crate) mod trained_model;
pub(crate) mod walk_forward;
pub(crate) mod watch;
pub(crate) mod windows;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Runs a binary in the project folder.
pub(crate) fn command(binary: &str, args: &[&str]) -> Output {
    let path = match binary {
        "zerodte" => env!("CARGO_BIN_EXE_zerodte"),
        _ => env!("CARGO_BIN_EXE_train_historical_model"),
    };
    Command::new(path).current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap()
}

/// Runs `train_historical_model`.
pub(crate) fn train(args: &[&str]) -> Output {
    command("train_historical_model", args)
}

/// Runs the smoke configuration into `out` with more arguments; it must succeed.
pub(crate) fn smoke(out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["--config", "configs/smoke.toml", "--out-dir", out.to_str().unwrap()];
    args.extend(more);
    let output = train(&args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

/// Checks that a command fails with this code, that stderr contains all of these words, and that it did not panic.
pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}{stderr}", text(&output.stdout));
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The rows of `metrics.jsonl` without the columns that tell the time.
pub(crate) fn metrics(out: &Path, model: &str) -> Vec<String> {
    let path = out.join("runs").join(model).join("metrics.jsonl");
    let strip = |line: &str| {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        row.retain(|key, _| !matches!(key.as_str(), "time/fps" | "time/time_elapsed"));
        serde_json::to_string(&row).unwrap()
    };
    fs::read_to_string(path).unwrap().lines().map(strip).collect()
}

/// The numbers of a file of tensors, without its header, which holds a hash of the settings.
pub(crate) fn tensors(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

/// Runs a shell pipeline on a log file, which is its first argument.
pub(crate) fn shell(script: &str, log: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), log).unwrap();
    let output = Command::new("bash").args(["-c", script, "bash", file.path().to_str().unwrap()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
