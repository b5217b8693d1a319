//! `zerodte sweep`: the same bytes after a kill, in parts, extended and for any number of threads; halving; the test of the best;
//! a training from a trial; refused requests.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{command, refused, text};

/// A space of three keys.
const SPACE: &str = "\"ppo.learning_rate\" = { log = [1e-5, 1e-3] }\n\"ppo.n_epochs\" = { range = [1, 3] }\n\
                     [env.reward]\nhold_tax = { choice = [0.0, -0.002] }\n";
/// Small trainings on a made-up half year of one symbol.
const SMALL: [&str; 18] = [
    "--data-source",
    "synthetic",
    "--symbols",
    "SPY",
    "--set",
    "data.synthetic.sessions_to=2024-06-28",
    "--set",
    "policy.net_arch=[8]",
    "--set",
    "ppo.n_steps=32",
    "--set",
    "evaluation.resamples=199",
    "--set",
    "data.split.validation=0.35",
    "--set",
    "data.split.train=0.3",
    "--seeds",
    "2",
];

/// The arguments of a small sweep that writes to the folder `name` of `root`, with its registry there.
fn arguments(root: &Path, name: &str, more: &[&str]) -> Vec<String> {
    let space = root.join("space.toml");
    if !space.exists() {
        fs::write(&space, SPACE).unwrap();
    }
    let own = [
        "sweep".to_owned(),
        format!("--space={}", space.display()),
        format!("--out={}", root.join(name).display()),
        format!("--set=run.out_dir={}", root.display()),
    ];
    own.into_iter().chain(SMALL.iter().chain(more).map(|&argument| argument.to_owned())).collect()
}

fn run(root: &Path, name: &str, more: &[&str]) -> Output {
    command("zerodte", &arguments(root, name, more).iter().map(String::as_str).collect::<Vec<_>>())
}

fn sweep(root: &Path, name: &str, more: &[&str]) -> String {
    let output = run(root, name, more);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// All files below a folder with their bytes, sorted by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().display().to_string(), fs::read(path).unwrap()));
            }
        }
    }
    // A program that is killed while it writes leaves a hidden file under a temporary name.
    found.retain(|(name, _)| !name.rsplit('/').next().is_some_and(|name| name.starts_with('.')));
    found.sort();
    found
}

fn assert_same(root: &Path, first: &str, second: &str) {
    let (a, b) = (files(&root.join(first)), files(&root.join(second)));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b), "{first} and {second}");
    for ((name, first_bytes), (_, second_bytes)) in a.iter().zip(&b) {
        assert!(first_bytes == second_bytes, "{name} differs between {first} and {second}");
    }
}

/// Starts a sweep and kills it once a file is there.
fn killed(root: &Path, name: &str, more: &[&str], file: &str) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_zerodte"));
    let program = program.args(arguments(root, name, more)).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = program.spawn().unwrap();
    while !root.join(name).join(file).exists() && running.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
}

/// The rows of the registry, by kind.
fn registered(root: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(root.join("registry.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["kind"] == kind).collect()
}

#[test]
fn a_sweep_gives_the_same_bytes_killed_in_parts_extended_and_on_any_number_of_threads() {
    let root = TempDir::new().unwrap();
    let all = ["--trials", "6", "--timesteps", "1024"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    let screen = sweep(root.path(), "whole", &with(&["--num-threads=2"]));
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    let luck = screen.find("The best of 6 worthless trials").expect("luck is said");
    let first = screen.find("trainings  ").expect("progress is shown");
    assert!(luck < first && screen.contains("MinBTL") && screen.contains(" left"), "{screen}");
    assert!(screen.contains("--from-trial") && screen.contains("adjusted p"), "{screen}");
    let rows = registered(root.path(), "trial");
    let validation = json(&root.path().join("whole/plan.json"))["split"]["validation"].clone();
    assert!(rows.len() == 6 && rows.iter().all(|row| row["looked_at"] == validation && row["outcome"] == "finished"));
    let configurations: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row["config"].as_str().unwrap()).collect();
    assert_eq!(configurations.len(), 6);
    let csv = fs::read_to_string(root.path().join("whole/trials.csv")).unwrap();
    assert!(csv.lines().count() == 7 && csv.lines().all(|line| line.split(',').count() == 19), "{csv}");

    killed(root.path(), "killed", &with(&["--num-threads=1"]), "rung1/00002.json");
    sweep(root.path(), "killed", &with(&["--num-threads=1", "--resume"]));
    assert_same(root.path(), "whole", "killed");
    let of = |name: &str| {
        let name = format!("/{name}:");
        let rows = registered(root.path(), "trial");
        let trials = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned());
        trials.filter(|row| row.contains(&name)).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(of("killed"), 6, "no trial is missing after a kill");

    for part in ["1,3-5", "0,2"] {
        let screen = sweep(root.path(), "parts", &with(&["--only", part]));
        assert!(
            screen.contains("trials are done; join them") && !screen.contains('$'),
            "a part shows no result: {screen}"
        );
        assert_eq!(of("parts"), 0, "a part records nothing, since it shows nothing");
    }
    sweep(root.path(), "parts", &with(&["--resume"]));
    assert_same(root.path(), "whole", "parts");
    assert_eq!(of("parts"), 6);

    sweep(root.path(), "extended", &["--trials", "3", "--timesteps", "1024"]);
    let spent = sweep(root.path(), "extended", &with(&["--resume", "--budget-minutes", "0.0000001"]));
    assert!(spent.contains("The budget of 0.0000001 minutes is spent; go on with the same command"), "{spent}");
    assert!(spent.contains("3 finished, 0 pruned, 3 unfinished"), "{spent}");
    sweep(root.path(), "extended", &with(&["--resume"]));
    assert_same(root.path(), "whole", "extended");
    let verified = command(
        "zerodte",
        &["registry", "verify", "--registry", &root.path().join("registry.jsonl").display().to_string()],
    );
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
}

#[test]
fn a_promoted_trial_is_that_of_an_uninterrupted_training() {
    let root = TempDir::new().unwrap();
    let all = ["--trials=8", "--timesteps=8192"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    sweep(root.path(), "full", &all);
    let screen = sweep(root.path(), "halved", &with(&["--prune=halving", "--num-threads=2"]));
    assert!(screen.contains("agree with Kendall's tau"), "{screen}");
    let seeds = |path: String| json(&root.path().join(path))["seeds"].clone();
    let promoted: Vec<usize> =
        (0..8).filter(|trial| root.path().join(format!("halved/rung4/{trial:05}.json")).exists()).collect();
    assert!(!promoted.is_empty() && promoted.len() < 8, "some stay and some are pruned: {promoted:?}");
    for trial in &promoted {
        let (halved, full) =
            (seeds(format!("halved/rung4/{trial:05}.json")), seeds(format!("full/rung1/{trial:05}.json")));
        assert_eq!(halved, full, "trial {trial}");
        let first = seeds(format!("halved/rung1/{trial:05}.json"));
        assert!(first[0]["steps"].as_u64() < full[0]["steps"].as_u64());
    }
    let summary = json(&root.path().join("halved/sweep.json"));
    let count = |key: &str| summary[key].as_u64().unwrap() as usize;
    assert_eq!((count("finished"), count("pruned"), count("unfinished")), (promoted.len(), 8 - promoted.len(), 0));
    let pruned = registered(root.path(), "trial").iter().filter(|row| row["outcome"] == "pruned").count();
    assert_eq!(pruned, 8 - promoted.len(), "pruned trials are in the registry");
    let checkpoints =
        files(&root.path().join("halved")).iter().filter(|(name, _)| name.ends_with("safetensors")).count();
    assert_eq!(checkpoints, 0, "no checkpoint is left");

    killed(root.path(), "stopped", &with(&["--prune=halving", "--num-threads=1"]), "rung2");
    let left = files(&root.path().join("stopped")).iter().filter(|(name, _)| name.ends_with("safetensors")).count();
    assert!(left > 0, "it was killed between two rungs");
    sweep(root.path(), "stopped", &with(&["--prune=halving", "--num-threads=1", "--resume"]));
    assert_same(root.path(), "halved", "stopped");
}

#[test]
fn the_best_trials_are_tested_once_and_a_training_repeats_a_trial() {
    let root = TempDir::new().unwrap();
    let all = ["--trials=4", "--timesteps=1024"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    sweep(root.path(), "s", &all);
    let page = |name: &str| fs::read_to_string(root.path().join(name).join("report-SYNTHETIC.html")).unwrap();
    assert!(page("s").contains("The test dates are unseen") && page("s").contains("SYNTHETIC"));
    assert!(registered(root.path(), "look").is_empty(), "nothing has looked at the test dates");
    let screen = sweep(root.path(), "s", &with(&["--resume", "--final", "2"]));
    assert!(screen.contains("VERDICT"), "{screen}");
    let test = json(&root.path().join("s/plan.json"))["split"]["test"].clone();
    let looks = registered(root.path(), "look");
    assert!(looks.len() == 2 && looks.iter().all(|row| row["looked_at"] == test), "{looks:?}");
    assert!(page("s").contains("The 2 best trials earned") && !page("s").contains("The test dates are unseen"));
    assert_eq!(json(&root.path().join("s/evaluation.json"))["looks"]["outside"], 0);
    let tested = |csv: String| csv.lines().skip(1).filter(|line| !line.split(',').nth(14).unwrap().is_empty()).count();
    assert_eq!(tested(fs::read_to_string(root.path().join("s/trials.csv")).unwrap()), 2);
    sweep(root.path(), "s", &with(&["--resume", "--final=2"]));
    assert_eq!(registered(root.path(), "look").len(), 2, "a test is taken once");

    let trial = format!("{}:3", root.path().join("s").display());
    let folder = root.path().display().to_string();
    let trained =
        command("zerodte", &["train", "--from-trial", &trial, "--seed=1", "--final=false", "--num-threads=1"]);
    assert!(trained.status.success(), "{}{}", text(&trained.stdout), text(&trained.stderr));
    let manifest = json(&root.path().join("runs/s-trial3/manifest.json"));
    let cents: i64 = json(&root.path().join("s/rung1/00003.json"))["seeds"][1]["net_cents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cents| cents.as_i64().unwrap())
        .sum();
    let net = manifest["validation"]["greedy"]["net_pnl_usd"].as_f64().map(|usd| (100.0 * usd).round() as i64);
    assert_eq!(net, Some(cents), "the same money as in the sweep: {}", manifest["validation"]);
    refused(
        &command("zerodte", &["train", "--from-trial", &format!("{folder}/none:3")]),
        1,
        &["name the folder of a sweep"],
    );
    refused(&command("zerodte", &["train", "--from-trial", "none"]), 2, &["write it as FOLDER:NUMBER"]);
}

#[test]
fn points_of_estimators_and_grids_do_not_depend_on_threads() {
    let root = TempDir::new().unwrap();
    let tpe = ["--sampler=tpe", "--trials=20", "--timesteps=256"];
    sweep(root.path(), "one", &[&tpe[..], &["--num-threads=1"]].concat());
    sweep(root.path(), "three", &[&tpe[..], &["--num-threads=3"]].concat());
    assert_same(root.path(), "one", "three");
    let sobol = sweep(root.path(), "none", &["--dry-run", "--trials=20"]);
    assert!(sobol.contains("trial    19  env.reward.hold_tax=") && !root.path().join("none").exists(), "{sobol}");
    let grid = root.path().join("grid.toml");
    fs::write(
        &grid,
        "\"ppo.n_epochs\" = { range = [1, 3], steps = 3 }\n\"ppo.ent_coef\" = { log = [1e-3, 1e-1], steps = 2 }\n",
    )
    .unwrap();
    let space = format!("--space={}", grid.display());
    let screen = sweep(root.path(), "none", &[&space, "--sampler=grid", "--dry-run"]);
    assert!(
        screen.contains("Sweep on SPY: 6 trials") && screen.contains("ppo.ent_coef=0.1, ppo.n_epochs=3"),
        "{screen}"
    );
}

#[test]
fn requests_that_no_sweep_follows_are_refused_and_leave_nothing() {
    let root = TempDir::new().unwrap();
    let space = |text: &str| {
        fs::write(root.path().join("space.toml"), text).unwrap();
        run(root.path(), "s", &["--trials=4"])
    };
    refused(
        &space("\"ppo.gama\" = { range = [0.9, 0.99] }"),
        2,
        &["space.toml: ppo.gama: unknown key; did you mean ppo.gamma?"],
    );
    refused(
        &space("\"ppo.gamma\" = { log = [0, 0.99] }"),
        2,
        &["space.toml: ppo.gamma: log = [0, 0.99]: a logarithm needs"],
    );
    refused(
        &space("\"ppo.gamma\" = { range = [0.9, 0.9] }"),
        2,
        &["space.toml: ppo.gamma: range = [0.9, 0.9]: the range is empty"],
    );
    refused(&space("\"ppo.n_epochs\" = { range = [0.5, 0.9] }"), 2, &["space.toml: ppo.n_epochs: invalid type"]);
    refused(&space("\"ppo.gamma\" = { range = [1.5, 2.5] }"), 2, &["trial 0 (ppo.gamma=", "ppo.gamma"]);
    refused(&space(""), 2, &["space.toml: it names no key"]);
    fs::write(root.path().join("space.toml"), SPACE).unwrap();
    let with = |more: &[&str]| run(root.path(), "s", more);
    refused(&with(&["--sampler=grid"]), 2, &["space.toml: a grid needs steps = N beside every log and range"]);
    refused(&with(&["--trials=4", "--only=3,4"]), 2, &["--only 4: there is no such trial; they are 0 to 3"]);
    refused(&with(&["--sampler=tpe", "--only=1"]), 2, &["--sampler tpe: its points depend on earlier results"]);
    refused(&with(&["--prune=halving", "--only=1"]), 2, &["--only: a part cannot prune"]);
    refused(&with(&["--budget-minutes=0"]), 2, &["--budget-minutes: give a number above 0"]);
    refused(
        &with(&["--set=market.pricing.level_noise=on"]),
        2,
        &["market.pricing.level_noise: the trainings of a sweep"],
    );
    refused(&with(&["--resume"]), 1, &["there is no plan to go on with; leave out --resume"]);
    assert!(!root.path().join("s").exists(), "a refused sweep leaves nothing behind");
    sweep(root.path(), "s", &["--trials=1", "--timesteps=256"]);
    refused(&run(root.path(), "s", &["--trials=1", "--timesteps=256"]), 1, &["add --resume to go on with it"]);
    refused(
        &run(root.path(), "s", &["--trials=1", "--timesteps=512", "--resume"]),
        1,
        &["differs from this command in config_sha256, rungs"],
    );
}

#[test]
fn a_tracker_that_is_not_there_is_named_before_the_training_and_a_copy_is_made_after_it() {
    let root = TempDir::new().unwrap();
    let tools = root.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let run = |script: &str, name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let python = tools.join("python3");
        fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_zerodte"));
        let program =
            program.env("PATH", &tools).args(["train", "--config", "smoke", "--track", "mlflow", "--model-name", name]);
        program.arg("--out-dir").arg(root.path()).output().unwrap()
    };
    let missing = run("echo 'No module named zerodte' >&2; exit 1", "a");
    refused(
        &missing,
        2,
        &["--track mlflow: No module named zerodte; install the packages zerodte and mlflow for python3"],
    );
    assert!(!root.path().join("runs").exists(), "nothing was trained");
    let copied = run("echo \"$@ mirrored\"", "b");
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    assert!(
        text(&copied.stdout).contains("-m zerodte.track mlflow ") && text(&copied.stdout).contains("runs/b mirrored")
    );
    let failed = run("[ $# = 3 ] && exit 0; echo 'error: no server' >&2; exit 1", "c");
    refused(
        &failed,
        1,
        &["--track mlflow: no server; the run is complete; copy it with: python3 -m zerodte.track mlflow"],
    );
    assert!(root.path().join("models/c.safetensors").exists());
}
