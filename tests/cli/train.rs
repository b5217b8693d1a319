//! `train_historical_model` and the commands around a model: the files of a small run, and one clear sentence for every kind of
//! bad input.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use tempfile::TempDir;

use crate::{
    cli::{command, metrics, refused, smoke, tensors, text, train},
    util::{real_bars, symbols},
};

/// Returns everything below a folder, with the bytes of the files; folders have none.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            if path.is_dir() {
                open.push(path.clone());
            }
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// Writes synthetic SPY bars as CSV, with `edit` applied to the lines (header first).
pub(crate) fn csv_folder(edit: impl FnOnce(&mut Vec<String>)) -> TempDir {
    let folder = TempDir::new().unwrap();
    let config = market_data::source::synthetic::SyntheticConfig {
        sessions_from: jiff::civil::date(2024, 10, 1),
        sessions_to: jiff::civil::date(2024, 11, 1),
        ..Default::default()
    };
    let history = market_data::source::synthetic::generate(&config, &symbols(&["SPY"])).unwrap();
    let bars = &history.bars[0];
    let mut lines = vec!["timestamp,open,high,low,close,volume".to_owned()];
    lines.extend((0..bars.len()).map(|i| {
        let time = jiff::Timestamp::from_nanosecond(i128::from(bars.ts_ns()[i])).unwrap();
        let prices = [bars.open()[i], bars.high()[i], bars.low()[i], bars.close()[i], bars.volume()[i]];
        format!("{time},{}", prices.map(|x| x.to_string()).join(","))
    }));
    edit(&mut lines);
    fs::write(folder.path().join("SPY_1m.csv"), lines.join("\n") + "\n").unwrap();
    folder
}

/// Trains for 2,000 steps on a folder of CSV files.
fn train_csv(folder: &Path, out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["--data-source", "files", "--data-dir", folder.to_str().unwrap()];
    args.extend(if more.contains(&"--symbols") { [].as_slice() } else { &["--symbols", "SPY"] });
    args.extend(["--timesteps", "2000", "--n-steps", "128", "--n-epochs", "1", "--model-name", "csv"]);
    args.extend(["--out-dir", out.to_str().unwrap()]);
    args.extend(more);
    train(&args)
}

#[test]
fn a_run_writes_a_log_a_model_and_a_run_folder_stamped_synthetic() {
    let out = TempDir::new().unwrap();
    let printed = smoke(out.path(), &["--checkpoint-freq", "4000"]);
    let screen = text(&printed.stdout);
    for word in ["TRAINING COMPLETE", "SYNTHETIC", "Validation", "Out of sample", "always-HOLD", "| time/"] {
        assert!(screen.contains(word), "`{word}` is missing in:\n{screen}");
    }
    let log = fs::read_to_string(out.path().join("logs/training/smoke_10k.log")).unwrap();
    let mut shown = screen.lines();
    assert!(log.lines().all(|line| shown.any(|shown| shown == line)), "the screen shows all of the log, in its order");
    assert!(!log.contains('\u{1b}'), "and has no escape codes");
    for file in [
        "models/smoke.safetensors",
        "models/smoke.json",
        "models/checkpoints/smoke_4096_steps.safetensors",
        "runs/smoke/config.toml",
        "runs/smoke/manifest.json",
        "runs/smoke/progress.csv",
        "runs/smoke/metrics.jsonl",
        "runs/smoke/marks.jsonl",
        "runs/smoke/training.svg",
    ] {
        assert!(out.path().join(file).is_file(), "{file} is missing");
    }
    for (path, bytes) in tree(out.path()).into_iter().filter(|(path, _)| path.is_file()) {
        let (name, content) = (path.display(), String::from_utf8_lossy(&bytes).to_string());
        // Every row needs the stamp, since rows are read one by one; other files need it once. The configuration names the source.
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "csv") => {
                let heading = path.extension().is_some_and(|ending| ending == "csv");
                let rows = content.lines().skip(usize::from(heading));
                rows.for_each(|row| assert!(row.contains("SYNTHETIC"), "{name}: {row}"));
            }
            Some("toml") => assert!(content.contains("data_source = \"synthetic\""), "{name}"),
            _ => assert!(content.contains("SYNTHETIC"), "{name} does not say SYNTHETIC"),
        }
    }
    let name = |path: &Path| path.strip_prefix(out.path()).unwrap().display().to_string();
    let names: Vec<String> = tree(out.path()).iter().map(|(path, _)| name(path)).collect();
    assert!(names.iter().any(|name| name.contains("events.out.tfevents")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains(".part") || name.contains(".tmp")), "{names:?}");
}

#[test]
fn one_seed_gives_one_result_for_any_number_of_threads() {
    let run = |args: &[&str]| {
        let out = TempDir::new().unwrap();
        smoke(out.path(), args);
        (metrics(out.path(), "smoke"), fs::read(out.path().join("models/smoke.safetensors")).unwrap())
    };
    let first = run(&["--seed", "7", "--num-threads", "1"]);
    assert!(first.0.len() > 3);
    assert!(first == run(&["--seed", "7", "--num-threads", "1"]), "the same command twice");
    assert!(first == run(&["--seed", "7", "--num-threads", "2"]), "one thread and two");
    assert!(first.0 != run(&["--seed", "8", "--num-threads", "1"]).0, "another seed");
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let plain = resumed_equals_uninterrupted(&["--checkpoint-freq", "4000"]);
    let staying = resumed_equals_uninterrupted(&["--checkpoint-freq", "4000", "--shaping-final", "1"]);
    assert!(plain != staying, "a reward whose shaping stays teaches something else");
}

/// Runs the smoke configuration through, and again with a pause in the middle; returns the one model of both.
fn resumed_equals_uninterrupted(more: &[&str]) -> Vec<u8> {
    let (straight, paused) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    smoke(straight.path(), more);
    smoke(paused.path(), more);
    // Everything after the first checkpoint is deleted, as a crash would lose it.
    let checkpoints = paused.path().join("models/checkpoints");
    let mut names: Vec<PathBuf> = fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    assert!(names.len() >= 2, "{names:?}");
    names[1..].iter().for_each(|path| fs::remove_file(path).unwrap());
    fs::remove_file(paused.path().join("models/smoke.safetensors")).unwrap();
    smoke(paused.path(), &["--checkpoint-freq", "4000", "--resume", "latest"]);
    let model = |out: &TempDir| fs::read(out.path().join("models/smoke.safetensors")).unwrap();
    assert!(model(&straight) == model(&paused));
    assert_eq!(metrics(straight.path(), "smoke"), metrics(paused.path(), "smoke"));
    model(&straight)
}

#[test]
fn a_longer_resumed_run_keeps_its_log_and_lists_the_changes() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &["--checkpoint-freq", "4000"]);
    let manifest = out.path().join("runs/smoke/manifest.json");
    let mut edited: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    edited["git_revision"] = "another".into();
    fs::write(&manifest, edited.to_string()).unwrap();
    smoke(out.path(), &["--checkpoint-freq", "4000", "--resume", "latest", "--timesteps", "14000"]);
    let log = |label: &str| fs::read_to_string(out.path().join(format!("logs/training/smoke_{label}.log"))).unwrap();
    let (first, second) = (log("10k"), log("14k"));
    let kept = first.find("8192 ").unwrap();
    assert_eq!(first[..kept], second[..kept], "the log goes on where the checkpoint was");
    assert!(second.contains("Resumed from") && second.contains("the run was started by revision another"), "{second}");
}

#[test]
fn the_checkpoint_of_another_run_is_refused() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &["--checkpoint-freq", "4000"]);
    smoke(out.path(), &["--checkpoint-freq", "4000", "--model-name", "other", "--set", "env.reward.hold_tax=-0.01"]);
    let before = tree(out.path());
    let theirs = out.path().join("models/checkpoints/other_4096_steps.safetensors");
    let args = ["--config", "configs/smoke.toml", "--out-dir", out.path().to_str().unwrap()];
    let resume = [&args[..], &["--resume", theirs.to_str().unwrap()]].concat();
    refused(&train(&resume), 1, &["other_4096_steps", "is not a checkpoint of this run"]);
    assert!(before == tree(out.path()));
    let dry = [&args[..], &["--resume", "latest", "--dry-run"]].concat();
    assert!(text(&train(&dry).stdout).contains("DRY RUN"));
    assert!(before == tree(out.path()));
}

#[test]
fn a_new_run_of_the_same_name_archives_the_earlier_one() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &["--model-name", "smoke1", "--timesteps", "2000"]);
    smoke(out.path(), &[]);
    let model = fs::read(out.path().join("models/smoke.safetensors")).unwrap();
    smoke(out.path(), &["--timesteps", "2000"]);
    assert!(model == fs::read(out.path().join("runs/smoke.1/models/smoke.safetensors")).unwrap());
    assert!(out.path().join("runs/smoke.1/models/smoke.json").is_file());
    let logs: Vec<PathBuf> = tree(&out.path().join("logs/training")).into_iter().map(|(path, _)| path).collect();
    let names: Vec<_> = logs.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["smoke1_2k.log", "smoke_10k.log.1", "smoke_2k.log"]);
}

#[test]
fn a_warm_start_inherits_the_training_dates_of_its_parent() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &[]);
    let model = |name: &str| out.path().join("models").join(name).to_str().unwrap().to_owned();
    // The child is trained on earlier dates: its test dates are training dates of its parent.
    let parent = model("smoke");
    let child = ["--load-model", &parent, "--model-name", "child", "--end-date", "2024-11-20"];
    let output = smoke(out.path(), &[&child[..], &["--set", "market.setup_threshold=3"]].concat());
    let screen = text(&output.stdout);
    let note = "Note: the model was trained with market.setup_threshold = 4, this run uses 3";
    assert!(screen.contains(note), "{screen}");
    assert!(screen.contains("IN SAMPLE"), "{screen}");
    let backtest = |first: &str, last: &str| {
        let child = model("child");
        let output = command("zerodte", &["backtest", "--model", &child, "--start-date", first, "--end-date", last]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let seen = backtest("2024-11-14", "2024-11-20");
    assert!(seen.contains("IN SAMPLE: 5 of 5"), "{seen}");
    let unseen = backtest("2024-12-02", "2024-12-06");
    assert!(unseen.contains("Out of sample: "), "{unseen}");
}

#[test]
fn a_saved_model_is_loaded_and_replayed() {
    let out = TempDir::new().unwrap();
    smoke(out.path(), &[]);
    let model = out.path().join("models/smoke");
    let model = model.to_str().unwrap();
    let (json, trades) = (out.path().join("report.json"), out.path().join("trades.csv"));
    let args = ["backtest", "--model", model, "--data-source", "synthetic", "--symbols", "SPY", "--stochastic"];
    let files = ["--json", json.to_str().unwrap(), "--trades", trades.to_str().unwrap()];
    let config = ["--config", "configs/smoke.toml"];
    let output = command("zerodte", &[&args[..], &files[..], &config[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("IN SAMPLE"), "{}", text(&output.stdout));
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let rows = fs::read_to_string(&trades).unwrap().lines().count() - 1;
    assert_eq!(report["trades"].as_u64().unwrap() as usize, rows, "{report}");

    // A warm start begins with the weights of the loaded model; at this learning rate no weight moves.
    let frozen = ["--load-model", model, "--model-name", "warm", "--learning-rate", "1e-30"];
    smoke(out.path(), &frozen);
    let weights = |name: &str| tensors(&out.path().join(format!("models/{name}.safetensors")));
    assert!(weights("smoke") == weights("warm"));
    let other = ["--load-model", model, "--model-name", "other", "--set", "market.frames=3"];
    let args = [&["--config", "configs/smoke.toml", "--out-dir", out.path().to_str().unwrap()], &other[..]].concat();
    refused(&train(&args), 1, &["frames"]);
}

#[test]
fn wrong_usage_is_refused_with_the_nearest_valid_name() {
    refused(&train(&["--learning-rat", "1"]), 2, &["--learning-rat", "--learning-rate"]);
    refused(&train(&["--set", "ppo.gama=0.9"]), 2, &["ppo.gama", "gamma"]);
    refused(&train(&["--set", "ppo.gamma=1.5", "--set", "market.frames=0"]), 2, &["ppo.gamma", "market.frames"]);
    let cache = TempDir::new().unwrap();
    refused(
        &train(&["--data-source", "massive", "--data-dir", cache.path().to_str().unwrap()]),
        2,
        &["Massive needs a key"],
    );
    refused(&train(&["--use-features"]), 2, &["--human-momentum"]);
    refused(&train(&["--symbols", "SPY,,QQQ"]), 2, &["symbol"]);
    refused(&train(&["--config", "no_such.toml"]), 2, &["no_such.toml"]);
    refused(&command("zerodte", &["backtest"]), 2, &["--model"]);
}

#[test]
fn a_bench_ends_with_one_line_of_json() {
    let bench = |args: &[&str]| command("zerodte", &[&["bench", "--seconds", "0.1"], args].concat());
    let output = bench(&["--workload", "env", "--lanes", "300", "--sessions", "3", "--threads", "2", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {report}"));
    assert_eq!((report["workload"].as_str(), number("threads")), (Some("env"), 2.0));
    assert!(number("repeats") >= 3.0 && number("min") > 0.0);
    assert!(number("min") <= number("median") && number("median") <= number("max"));
    assert_eq!(number("steps_per_second"), number("median"));
    assert!(report["peak_resident_bytes"].is_u64(), "{report}");
    assert_eq!((&report["parameters"]["lanes"], &report["parameters"]["sessions"]), (&300.into(), &3.into()));

    let limits = &report["limits"];
    assert!(
        limits["bytes_per_step"].as_f64() > Some(100.0) && limits["read_gigabytes_per_second"].as_f64() > Some(0.1)
    );
    let peak = bench(&["--workload", "peak", "--threads", "1", "--json"]);
    let peak: serde_json::Value = serde_json::from_str(text(&peak.stdout).lines().last().unwrap()).unwrap();
    assert!(peak["gflops_per_second"].as_f64() > Some(1.0), "{peak}");
    assert!([32, 128, 256, 512].map(serde_json::Value::from).contains(&peak["vector_bits"]), "{peak}");

    refused(&bench(&["--workload", "peak", "--lanes", "3"]), 2, &["peak", "--threads, --seconds and --json alone"]);
    refused(&bench(&["--workload", "large", "--policy", "gru"]), 2, &["--policy", "recurrent"]);
    refused(&bench(&["--workload", "recurrent", "--batch-size", "40"]), 2, &["sequence_length: 16 does not divide"]);
    refused(&bench(&["--workload", "parade"]), 2, &["parade", "documented"]);
    refused(&bench(&["--workload", "modurl", "--sessions", "3"]), 2, &["--sessions: CartPole has none"]);
    refused(&bench(&["--workload", "env", "--backend", "tch"]), 2, &["no networks"]);
    refused(&bench(&["--workload", "train", "--backend", "torch"]), 2, &["torch", "native"]);
    let (code, name) = if ppo_agent::HAS_LIBTORCH { (1, "cuda:99") } else { (2, "GPUs") };
    refused(&bench(&["--workload", "large", "--device", "cuda:99"]), code, &[name, "libtorch"]);
}

#[test]
fn bad_bars_are_named_by_file_row_and_column() {
    let out = TempDir::new().unwrap();
    type Edit = fn(&mut Vec<String>);
    let cases: [(Edit, &[&str]); 6] = [
        (|lines| lines[7] = lines[7].replacen(',', ",NaN,", 1).rsplitn(2, ',').last().unwrap().to_owned(), &["row 7"]),
        (|lines| lines[9] = lines[8].clone(), &["row 9", "timestamp"]),
        (|lines| lines.swap(20, 21), &["row 21"]),
        (
            |lines| lines[5] = lines[5].replacen(',', ",oops,", 1).rsplitn(2, ',').last().unwrap().to_owned(),
            &["row 5", "open"],
        ),
        (|lines| lines[0] = "timestamp,open,high,low,last,volume".to_owned(), &["close"]),
        (|lines| lines.truncate(1), &[]),
    ];
    for (edit, words) in cases {
        let folder = csv_folder(edit);
        refused(&train_csv(folder.path(), out.path(), &[]), 1, &[&["SPY_1m.csv"], words].concat());
    }
    assert!(tree(out.path()).is_empty(), "nothing is written before the data are sound");
}

#[test]
fn good_bars_train_and_missing_ones_are_named() {
    let (out, folder) = (TempDir::new().unwrap(), csv_folder(|_| {}));
    let output = train_csv(folder.path(), out.path(), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("SYNTHETIC"));
    let stamped = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("SYNTHETIC");
    tree(out.path()).iter().for_each(|(path, bytes)| assert!(!stamped(bytes), "{}", path.display()));
    let before = tree(out.path());

    refused(&train_csv(folder.path(), out.path(), &["--symbols", "QQQ"]), 1, &["QQQ_1m", "SPY"]);
    refused(&train_csv(folder.path(), out.path(), &["--end-date", "2020-01-01"]), 1, &["2020-01-01"]);
    refused(
        &train_csv(folder.path(), out.path(), &["--start-date", "2024-10-30", "--end-date", "2024-10-01"]),
        2,
        &["date"],
    );
    refused(&train_csv(Path::new("no/such/folder"), out.path(), &[]), 1, &["no/such/folder"]);
    refused(&train_csv(folder.path(), out.path(), &["--resume", "no_such_checkpoint"]), 1, &["no_such_checkpoint"]);
    let corrupt = out.path().join("corrupt.safetensors");
    fs::write(&corrupt, b"not a model").unwrap();
    fs::write(corrupt.with_extension("json"), b"{}").unwrap();
    refused(&train_csv(folder.path(), out.path(), &["--load-model", corrupt.to_str().unwrap()]), 1, &["corrupt"]);
    fs::remove_file(&corrupt).unwrap();
    fs::remove_file(corrupt.with_extension("json")).unwrap();
    assert!(before == tree(out.path()), "a refused run leaves earlier files as they were");

    let blocked = out.path().join("blocked");
    fs::write(&blocked, b"a file, not a folder").unwrap();
    refused(&train_csv(folder.path(), &blocked, &[]), 1, &["blocked"]);
}

#[test]
fn a_dry_run_prints_its_plan_and_writes_nothing() {
    let (out, folder) = (TempDir::new().unwrap(), csv_folder(|_| {}));
    let output = train_csv(folder.path(), out.path(), &["--dry-run"]);
    assert!(output.status.success() && tree(out.path()).is_empty());
    let dry = ["--dry-run", "--load-model", "no/such/model"];
    refused(&train_csv(folder.path(), out.path(), &dry), 1, &["no/such/model"]);
    refused(&train_csv(folder.path(), out.path(), &["--dry-run", "--resume"]), 2, &["no run of csv"]);
    assert!(tree(out.path()).is_empty(), "not even a folder");
    let printed = train(&["--print-config"]);
    assert_eq!(text(&printed.stdout), fs::read_to_string("configs/default.toml").unwrap(), "defaults and file agree");
}

#[test]
fn the_documented_command_works_on_real_bars() {
    let Some(bars) = real_bars() else { return };
    let out = TempDir::new().unwrap();
    let args = ["--symbols", "SPY,QQQ,SPX", "--timesteps", "5000", "--model-name", "tiny", "--human-momentum"];
    let data = ["--data-source", "files", "--data-dir", bars.to_str().unwrap(), "--intraday-days", "60"];
    let ppo = ["--learning-rate", "3e-5", "--ent-coef", "0.06", "--gamma", "0.92", "--n-steps", "512"];
    let output = train(&[&args[..], &data[..], &ppo[..], &["--out-dir", out.path().to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = fs::read_to_string(out.path().join("logs/training/tiny_5k.log")).unwrap();
    assert!(log.contains("MomentumDiagnostics @ step=5,000") && !log.contains("NaN"), "{log}");
}

#[test]
fn the_report_tells_learned_holding_from_a_collapse() {
    // No shaping, no edge, and fees so high that HOLD is learned within a second.
    let out = TempDir::new().unwrap();
    let shaping = ["good_buy_call", "good_buy_put", "missed_opportunity", "hold_tax", "bad_chase"];
    let no_shaping: Vec<String> = shaping.iter().map(|term| format!("env.reward.{term}=0.0")).collect();
    let mut args: Vec<&str> = no_shaping.iter().flat_map(|weight| ["--set", weight]).collect();
    args.extend(["--set", "env.costs.fee_multiplier=20.0", "--timesteps", "100000", "--learning-rate", "1e-3"]);
    let learned = "HOLD is what this policy learned: it bought on ";
    let screen = text(&smoke(out.path(), &args).stdout);
    assert!(screen.contains(learned) && screen.contains("so staying out earns more."), "{screen}");

    let (model, json) = (out.path().join("models/smoke"), out.path().join("report.json"));
    let output =
        command("zerodte", &["backtest", "--model", model.to_str().unwrap(), "--json", json.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let sentence = report["staying_out"].as_str().unwrap();
    assert!(sentence.starts_with(learned) && text(&output.stdout).contains(sentence), "{sentence}");
}
