//! Commands that use vendors, run as a user runs them: fetch, train, and train again without a network or a key.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    cli::{refused, text},
    vendor::fake_vendor::{FakeVendor, Rules, TEST_KEY},
};

/// Runs a binary in `folder` with these variables and no others, so that no key comes from the environment.
fn run(binary: &str, folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let path = match binary {
        "zerodte" => env!("CARGO_BIN_EXE_zerodte"),
        _ => env!("CARGO_BIN_EXE_train_historical_model"),
    };
    let mut command = Command::new(path);
    command
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("LD_LIBRARY_PATH").map(|paths| ("LD_LIBRARY_PATH", paths)));
    command.envs(variables.iter().copied()).args(args).output().unwrap()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Asserts that neither the outputs nor any file below a folder contains the key.
fn assert_no_key(folder: &Path, outputs: &[&Output]) {
    for output in outputs {
        assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(TEST_KEY));
    }
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with(".env") {
                let bytes = fs::read(&path).unwrap();
                let found = bytes.windows(TEST_KEY.len()).any(|window| window == TEST_KEY.as_bytes());
                assert!(!found, "{} holds the key", path.display());
            }
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

const TRAIN: &str = "--symbols SPY,QQQ --timesteps 5000 --model-name v --data-source massive --data-dir bars --n-steps 256 \
                     --start-date 2025-05-12 --end-date 2025-07-18 --set data.massive.calls_per_minute=0 --set run.checkpoint_freq=2000";

#[test]
fn a_second_training_reads_the_cache_only() {
    let (folder, server) = (TempDir::new().unwrap(), FakeVendor::start(Rules::default()));
    let url = server.url();
    fs::write(folder.path().join(".env"), format!("# mine\nMASSIVE_API_KEY='{TEST_KEY}'\n")).unwrap();
    let first = run("train", folder.path(), &[("MASSIVE_API_BASE_URL", &url)], &words(TRAIN));
    let stdout = succeeded(&first);
    assert!(stdout.contains("TRAINING COMPLETE") && stdout.contains("split-adjusted prices"), "{stdout}");
    assert!(stdout.contains("volatility from VIX1D by the minute"), "{stdout}");
    let calls = server.requests().len();
    assert!((5..=12).contains(&calls), "{calls} calls");
    let weights = fs::read(folder.path().join("models/v.safetensors")).unwrap();

    fs::remove_file(folder.path().join(".env")).unwrap();
    drop(server);
    let second = run("train", folder.path(), &[("MASSIVE_API_BASE_URL", &url)], &words(TRAIN));
    succeeded(&second);
    assert_eq!(fs::read(folder.path().join("models/v.safetensors")).unwrap(), weights, "the same bars from the cache");
    assert_no_key(folder.path(), &[&first, &second]);
}

#[test]
fn a_resumed_run_keeps_its_dates() {
    let (folder, server) = (TempDir::new().unwrap(), FakeVendor::start(Rules::default()));
    let variables = [("MASSIVE_API_BASE_URL", server.url()), ("POLYGON_API_KEY", TEST_KEY.to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let started = run("train", folder.path(), &variables, &words(TRAIN));
    assert!(succeeded(&started).contains("Note: using the key in POLYGON_API_KEY"));
    // Further sessions of the same months are cached; those of the run stay the same.
    let fetch = "fetch --symbols SPY,QQQ --start-date 2025-07-21 --end-date 2025-07-25 --calls-per-minute 0";
    succeeded(&run("zerodte", folder.path(), &variables, &words(fetch)));
    let more = "--model-name v --resume latest --timesteps 10000";
    let resumed = run("train", folder.path(), &variables, &words(more));
    assert!(succeeded(&resumed).contains("2025-07-18"), "{}", text(&resumed.stdout));
    assert_no_key(folder.path(), &[&started, &resumed]);
}

#[test]
fn errors_of_keys_and_addresses_name_the_variable() {
    let folder = TempDir::new().unwrap();
    let line = "--data-source massive --timesteps 5000 --start-date 2025-06-02 --end-date 2025-06-30";
    refused(&run("train", folder.path(), &[], &words(line)), 2, &["MASSIVE_API_KEY or POLYGON_API_KEY", ".env"]);
    let odd = [("MASSIVE_API_KEY", "two words")];
    refused(&run("train", folder.path(), &odd, &words(line)), 2, &["MASSIVE_API_KEY", "blanks"]);
    let open = [("MASSIVE_API_KEY", TEST_KEY), ("MASSIVE_API_BASE_URL", "http://api.example.com")];
    refused(&run("train", folder.path(), &open, &words(line)), 2, &["MASSIVE_API_BASE_URL", "is not a usable address"]);
    let spx = "--data-source alpaca --symbols SPX --timesteps 5000 --intraday-days 30";
    refused(&run("train", folder.path(), &[], &words(spx)), 2, &["Alpaca has no minute bars of SPX", "no indices"]);
    let nothing = "--data-source massive --timesteps 5000 --intraday-days 0";
    refused(&run("train", folder.path(), &[], &words(nothing)), 2, &["holds no bars yet", "--intraday-days"]);
}

#[test]
fn a_wrong_key_and_a_plan_without_indices_have_different_errors() {
    let (folder, server) = (TempDir::new().unwrap(), FakeVendor::start(Rules { indices: false, ..Rules::default() }));
    let url = server.url();
    let fetch = "fetch --symbols SPX --start-date 2025-06-02 --end-date 2025-06-06 --calls-per-minute 0";
    let wrong = [("MASSIVE_API_BASE_URL", url.as_str()), ("MASSIVE_API_KEY", "wrong-key-9876")];
    let output = run("zerodte", folder.path(), &wrong, &words(fetch));
    refused(&output, 1, &["Massive rejects the key in MASSIVE_API_KEY"]);
    assert!(!text(&output.stderr).contains("wrong-key-9876"));
    let right = [("MASSIVE_API_BASE_URL", url.as_str()), ("MASSIVE_API_KEY", TEST_KEY)];
    let output = run("zerodte", folder.path(), &right, &words(fetch));
    refused(&output, 1, &["refuses minute bars of I:SPX", "does not include", "one plan covers one class"]);
}

#[test]
fn doctor_reports_the_rights_of_a_free_key_in_five_calls() {
    let rules =
        Rules { indices: false, end_of_day: true, history_days: Some(730), calls_per_minute: 5, ..Rules::default() };
    let (folder, server) = (TempDir::new().unwrap(), FakeVendor::start(rules));
    let url = server.url();
    let variables = [("MASSIVE_API_BASE_URL", url.as_str()), ("MASSIVE_API_KEY", TEST_KEY)];
    let output = run("zerodte", folder.path(), &variables, &["doctor"]);
    let stdout = succeeded(&output);
    for part in ["in MASSIVE_API_KEY", "massive answers", "libtorch", "disk", "GPU", "holds no vendor data yet"] {
        assert!(stdout.contains(part), "{part} is missing in:\n{stdout}");
    }
    let line = stdout.lines().find(|line| line.starts_with("indices")).unwrap();
    assert!(line.contains(" no ") && line.contains("does not include"), "{line}");
    let calls = server.requests().len();
    assert!((1..=5).contains(&calls), "{calls} calls");
    let offline = run("zerodte", folder.path(), &variables, &["doctor", "--offline"]);
    succeeded(&offline);
    assert_eq!(server.requests().len(), calls, "offline makes no request");
    assert_no_key(folder.path(), &[&output, &offline]);
}

#[test]
fn fetch_estimates_its_calls_and_fetches_options_for_a_replay() {
    let (folder, server) = (TempDir::new().unwrap(), FakeVendor::start(Rules::default()));
    let url = server.url();
    let variables = [("MASSIVE_API_BASE_URL", url.as_str()), ("MASSIVE_API_KEY", TEST_KEY)];
    let zerodte = |line: &str| run("zerodte", folder.path(), &variables, &words(line));
    let dates = "--symbols SPY --start-date 2025-07-01 --end-date 2025-07-03";
    let plan = succeeded(&zerodte(&format!("fetch {dates} --dry-run")));
    assert!(plan.contains("4 sessions missing, 0 cached: 1 call, less than a minute at 5 a minute"), "{plan}");
    assert!(plan.contains("DRY RUN: no request was sent; 3 calls") && server.requests().is_empty(), "{plan}");

    let paid = "--calls-per-minute 0";
    succeeded(&zerodte(&format!("fetch {dates} {paid} --what bars,vix,options --strikes 1")));
    let again = succeeded(&zerodte(&format!("fetch {dates} {paid} --what bars,vix,options --strikes 1")));
    assert!(again.contains("after 0 calls"), "{again}");
    let tables = succeeded(&zerodte(&format!("fetch {dates} {paid} --what contracts,greeks")));
    assert!(tables.contains("contracts of 4 days fetched"), "{tables}");
    assert!(folder.path().join("bars/massive/greeks/SPY/2025-07-03.csv").is_file());

    let replay = "--data-source massive --symbols SPY --start-date 2025-07-01 --end-date 2025-07-03 --timesteps 512 \
                  --options bars/massive/raw/options/SPY --set data.warmup_sessions=0 --dry-run";
    let output = run("train", folder.path(), &variables, &words(replay));
    let stdout = text(&output.stdout) + &text(&output.stderr);
    assert!(stdout.contains("Real options on") || stdout.contains("too few for a split"), "{stdout}");
    let inspected = succeeded(&zerodte("inspect SPY --data-source massive"));
    assert!(inspected.contains("SPY: 4 sessions 2025-06-30 to 2025-07-03"), "{inspected}");
    assert!(inspected.contains("half day"), "{inspected}");
}
