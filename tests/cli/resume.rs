//! A run that is killed at any moment goes on from its newest good checkpoint and leaves the files of an uninterrupted one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    thread,
    time::Duration,
};

use market_data::source::{cache::CachedRow as _, vendor::Row};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    cli::{events, metrics, text},
    util::Dice,
    vendor::fake_vendor::{FakeVendor, Rules, TEST_KEY},
};

/// A checkpoint after every iteration.
const PLAIN: &[&str] = &["--timesteps", "120000", "--checkpoint-freq", "2048"];

/// Settings that a controller moves, schedules of learning rate and shaping, intervals shorter than an iteration, and a choice among
/// the checkpoints.
const ADAPT: &[&str] = &[
    "--human-momentum",
    "--symbols",
    "SPY",
    "--timesteps",
    "60000",
    "--checkpoint-freq",
    "4096",
    "--on-collapse",
    "adapt",
    "--learning-rate",
    "3e-3",
    "--shaping-final",
    "0.5",
    "--keep",
    "best",
    "--keep-checkpoints",
    "3",
    "--set",
    "ppo.lr_schedule=linear",
    "--set",
    "run.diagnostics_freq=1500",
    "--set",
    "health.patience=1",
    "--set",
    "env.reward.hold_tax=1",
    "--set",
    "env.reward.missed_opportunity=1",
    "--set",
    "data.synthetic.planted_edge=0.5",
    "--set",
    "data.synthetic.edge_visibility=1",
];

/// Recurrent lanes, whose memory a checkpoint holds.
const LSTM: &[&str] = &[
    "--policy",
    "lstm",
    "--recurrent-size",
    "8",
    "--net-arch",
    "8",
    "--timesteps",
    "20000",
    "--checkpoint-freq",
    "2048",
    "--n-epochs",
    "1",
    "--num-threads",
    "1",
];

/// Bars of a vendor, which the first start fetches into a cache.
const VENDOR: &[&str] = &[
    "--symbols",
    "SPY",
    "--data-source",
    "massive",
    "--data-dir",
    "bars",
    "--start-date",
    "2025-05-12",
    "--end-date",
    "2025-07-18",
    "--set",
    "data.massive.calls_per_minute=0",
    "--timesteps",
    "60000",
    "--checkpoint-freq",
    "2048",
];

/// The vendor of the runs that fetch their bars.
static SERVER: LazyLock<FakeVendor> = LazyLock::new(|| FakeVendor::start(Rules::default()));

/// Returns the command that starts a run in a folder, or goes on with it.
fn command(folder: &Path, flags: &[&str]) -> Command {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/smoke.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_train_historical_model"));
    command.current_dir(folder).arg("--config").arg(config).args(flags).args(["--resume", "auto"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    if flags == VENDOR {
        command.env("MASSIVE_API_KEY", TEST_KEY).env("MASSIVE_API_BASE_URL", SERVER.url());
    }
    command
}

/// Starts the run, or goes on with it, and kills it some milliseconds after its metrics have reached a size; returns whether the kill
/// met it.
fn killed_at(folder: &Path, flags: &[&str], size: u64, later: u64) -> bool {
    let mut child = command(folder, flags).spawn().unwrap();
    let rows = folder.join("runs/smoke/metrics.jsonl");
    while fs::metadata(&rows).map_or(0, |file| file.len()) < size && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(later));
    // SIGKILL: the process cannot clean up.
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    ended(&output);
    output.status.code().is_none()
}

/// Checks that a run was killed, has ended, or was stopped by its verdict.
fn ended(output: &Output) {
    assert!(matches!(output.status.code(), None | Some(0 | 3)), "{}", text(&output.stderr));
}

/// Kills a run this often at random moments, then lets it end, and compares it with an uninterrupted one; returns the number of kills
/// that met a living process.
fn kills(flags: &[&str], count: u32, dice: &mut Dice) -> u32 {
    let (straight, killed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = command(straight.path(), flags).output().unwrap();
    ended(&whole);
    let size = fs::metadata(straight.path().join("runs/smoke/metrics.jsonl")).unwrap().len() as u32;
    let mut met = 0;
    for turn in 0..count {
        if turn == 1 {
            tear_newest(killed.path());
        }
        // The first kill meets the start of the process, or the reading or fetching of bars.
        let (at, later) = if turn == 0 { (0, dice.roll(600)) } else { (dice.roll(size), dice.roll(60)) };
        met += u32::from(killed_at(killed.path(), flags, at.into(), later.into()));
    }
    let output = command(killed.path(), flags).output().unwrap();
    assert_eq!(output.status.code(), whole.status.code(), "{}", text(&output.stderr));
    let (expected, found) = (files(straight.path()), files(killed.path()));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&found));
    for (name, bytes) in &expected {
        assert!(bytes == &found[name], "{name} differs after {met} kills:\n{}", first_difference(bytes, &found[name]));
    }
    met
}

/// The first lines that differ, cut.
fn first_difference(expected: &[u8], found: &[u8]) -> String {
    let (expected, found) = (text(expected), text(found));
    let mut pairs = expected.lines().zip(found.lines()).enumerate();
    let differ = pairs.find(|(_, (expected, found))| expected != found);
    let cut = |line: &str| line.chars().take(300).collect::<String>();
    match differ {
        Some((number, (expected, found))) => format!("line {}\n{}\n{}", number + 1, cut(expected), cut(found)),
        None => format!("{} and {} lines", expected.lines().count(), found.lines().count()),
    }
}

/// Cuts the newest checkpoint in half, as a broken disk would.
fn tear_newest(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder.join("models/checkpoints")) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    if let Some(newest) = paths.last() {
        let bytes = fs::read(newest).unwrap();
        fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
    }
}

/// Every file of a run by its name, without what tells the time: of the manifest the results, of the log the moves, and the scalars
/// of all event files together. What was set aside is left out: a start that was killed before its first checkpoint.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let is_of = |stem: &str| name.rsplit('/').next() == Some(stem);
            let set_aside = name.starts_with("runs/smoke.") || name.contains(".log.");
            if set_aside || ["registry.jsonl", "calls", ".lock", "refusals.json"].into_iter().any(is_of) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.contains("events.out.tfevents.") {
                let scalars = events::scalars(path.parent().unwrap());
                found.insert("events".to_owned(), format!("{scalars:#?}").into_bytes());
            } else {
                let bytes = timeless(&name, folder, fs::read(&path).unwrap());
                found.insert(name, bytes);
            }
        }
    }
    found
}

fn timeless(name: &str, folder: &Path, bytes: Vec<u8>) -> Vec<u8> {
    match name.rsplit('/').next().unwrap() {
        "metrics.jsonl" => metrics(folder, "smoke").join("\n").into_bytes(),
        "progress.csv" => without_time(&text(&bytes)).into_bytes(),
        "manifest.json" => {
            let manifest: Value = serde_json::from_slice(&bytes).unwrap();
            let results = ["timesteps", "kept", "verdict", "validation", "out_of_sample", "test_prices", "trained_on"];
            format!("{:#?}", results.map(|key| manifest[key].clone())).into_bytes()
        }
        month if name.contains("/minute/") && month.ends_with(".parquet") => {
            format!("{:?}", Row::read(&folder.join(name)).unwrap()).into_bytes()
        }
        log if log.ends_with(".log") => {
            text(&bytes).lines().filter(|line| line.starts_with("Adapted   step ")).collect::<String>().into_bytes()
        }
        _ => bytes,
    }
}

fn without_time(csv: &str) -> String {
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let kept = |line: &str| {
        let cells = line.split(',').zip(&columns);
        let cells = cells.filter(|(_, column)| !matches!(**column, "time/fps" | "time/time_elapsed"));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join(",") + "\n"
    };
    csv.lines().map(kept).collect()
}

#[test]
fn a_run_killed_again_and_again_leaves_what_an_uninterrupted_one_leaves() {
    let met = kills(PLAIN, 6, &mut Dice(5));
    assert!(met > 3, "{met} kills met the run");
}

#[test]
fn moves_schedules_and_the_choice_of_a_model_survive_kills() {
    let met = kills(ADAPT, 6, &mut Dice(6));
    assert!(met > 3, "{met} kills met the run");
}

#[test]
fn bars_and_models_of_a_vendor_survive_kills() {
    let met = kills(VENDOR, 6, &mut Dice(7));
    assert!(met > 3, "{met} kills met the run");
}

#[test]
#[ignore = "several minutes; cargo test --release --workspace -- --ignored a_hundred_kills"]
fn a_hundred_kills() {
    let kinds = [PLAIN, ADAPT, VENDOR, LSTM];
    let (mut dice, mut met) = (Dice(1), 0);
    for turn in 0.. {
        met += kills(kinds[turn % kinds.len()], 8, &mut dice);
        eprintln!("{met} kills, every file equal");
        if met >= 100 {
            return;
        }
    }
}
