//! A run that is killed at any moment resumes from its newest good checkpoint and ends like an uninterrupted one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::cli::{metrics, smoke, text};

/// Enough steps that a run lives for some tenths of a second, with a checkpoint after every iteration.
const LONG: [&str; 4] = ["--timesteps", "120000", "--checkpoint-freq", "2048"];

/// Starts the run, or goes on with it, and kills it after `life`; returns whether it had already ended by itself.
fn live(out: &Path, resume: bool, life: Duration) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train_historical_model"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--config", "configs/smoke.toml", "--out-dir"]).arg(out);
    command.args(LONG).args(resume.then_some(["--resume", "latest"]).into_iter().flatten());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(life);
    // SIGKILL: the process cannot clean up.
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code().is_none_or(|code| code == 0), "{}", text(&output.stderr));
    output.status.success()
}

/// The finished checkpoints, oldest first.
fn checkpoints(out: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(out.join("models/checkpoints")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths
}

#[test]
fn a_run_killed_again_and_again_ends_like_an_uninterrupted_one() {
    let (straight, killed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    smoke(straight.path(), &LONG);
    let (mut kills, mut ended, mut torn) = (0, false, false);
    // Kills at growing delays, which hit start-up, training, checkpoints and reports on fast and slow machines.
    for life in (0..200).map(|turn| Duration::from_millis(40 + turn * 137 % 400 + 4 * turn + turn * turn / 8)) {
        let before = checkpoints(killed.path());
        if !torn && before.len() > 1 {
            torn = true;
            let newest = before.last().unwrap();
            let bytes = fs::read(newest).unwrap();
            fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
        }
        ended = live(killed.path(), !before.is_empty(), life);
        if ended {
            break;
        }
        kills += 1;
    }
    assert!(ended && torn && kills > 3, "ended: {ended}, a checkpoint torn: {torn}, after {kills} kills");
    let model = |out: &TempDir| fs::read(out.path().join("models/smoke.safetensors")).unwrap();
    assert!(model(&straight) == model(&killed), "the models differ");
    assert_eq!(metrics(straight.path(), "smoke"), metrics(killed.path(), "smoke"));
}
