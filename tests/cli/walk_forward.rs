//! `zerodte walk-forward` and `zerodte placebo`: the same bytes after a kill and for any number of threads, no look-ahead, money to
//! the cent, and refused requests.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use market_data::{DataConfig, History, source::synthetic};
use serde_json::Value;
use tempfile::TempDir;
use zerodte_scripts::artifacts::trades;

use crate::{
    cli::{command, refused, text},
    util::symbols,
};

/// Small trainings on a made-up half year of one symbol: four folds.
const SMALL: [&str; 23] = [
    "--data-source",
    "synthetic",
    "--symbols",
    "SPY",
    "--set",
    "data.synthetic.sessions_to=2024-06-28",
    "--set",
    "policy.net_arch=[8]",
    "--set",
    "ppo.n_steps=64",
    "--set",
    "evaluation.resamples=199",
    "--train-sessions",
    "30",
    "--validation-sessions",
    "10",
    "--test-sessions",
    "20",
    "--timesteps",
    "2048",
    "--seeds",
    "0,1",
    "--candidates=pnl,anti_collapse",
];

/// The arguments of a small test that writes to the folder `name` of `root`, with its registry there.
fn arguments(root: &Path, name: &str, more: &[&str]) -> Vec<String> {
    let own = [
        "walk-forward".to_owned(),
        "--out".to_owned(),
        root.join(name).display().to_string(),
        format!("--set=run.out_dir={}", root.display()),
        "--matched-draws=9".to_owned(),
    ];
    own.into_iter().chain(SMALL.iter().chain(more).map(|&argument| argument.to_owned())).collect()
}

pub(crate) fn walk(root: &Path, name: &str, more: &[&str]) -> String {
    let arguments = arguments(root, name, more);
    let output = command("zerodte", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_killed_test_goes_on_to_the_same_bytes_for_any_number_of_threads() {
    let root = TempDir::new().unwrap();
    let screen = walk(root.path(), "whole", &["--num-threads=2"]);
    assert!(screen.contains("SYNTHETIC") && screen.contains("VERDICT"), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");

    let arguments_of_killed = arguments(root.path(), "killed", &["--num-threads=1"]);
    let mut killed = Command::new(env!("CARGO_BIN_EXE_zerodte"));
    let killed = killed.args(arguments_of_killed).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = killed.spawn().unwrap();
    while !root.path().join("killed/folds/001/fold.json").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    walk(root.path(), "killed", &["--num-threads=1", "--resume"]);
    for file in ["plan.json", "sessions.parquet", "trades-seed0.parquet", "trades-seed1.parquet", "folds/004/fold.json"]
    {
        let [whole, resumed] = ["whole", "killed"].map(|name| fs::read(root.path().join(name).join(file)).unwrap());
        assert!(whole == resumed, "{file} differs");
    }
    // The second test counts the first as a look at its dates, by the same procedure.
    let [mut whole, mut resumed] =
        ["whole", "killed"].map(|name| json(&root.path().join(name).join("evaluation.json")));
    assert_eq!(resumed["looks"]["outside"], 0);
    for evaluation in [&mut whole, &mut resumed] {
        evaluation.as_object_mut().unwrap().retain(|key, _| key != "looks" && key != "why");
    }
    assert_eq!(whole, resumed);
}

#[test]
fn sessions_trades_and_evaluation_hold_the_same_cents() {
    let root = TempDir::new().unwrap();
    walk(root.path(), "w", &[]);
    let folder = root.path().join("w");
    let folds: Vec<Value> = (1..=4).map(|fold| json(&folder.join(format!("folds/{fold:03}/fold.json")))).collect();
    let rows = || folds.iter().flat_map(|fold| fold["result"]["rows"].as_array().unwrap());
    let of_seed = |seed: i64| -> i64 {
        let own = rows().filter(|row| row["part"] == "test" && row["seed"] == seed);
        own.map(|row| row["net_cents"].as_i64().unwrap()).sum()
    };
    let traded = |seed: i64| -> i64 {
        let trades = trades::read(&folder.join(format!("trades-seed{seed}.parquet"))).unwrap();
        trades.trades.iter().map(|trade| trade.net_pnl_cents).sum()
    };
    assert_eq!((of_seed(0), of_seed(1)), (traded(0), traded(1)));
    let evaluation = json(&folder.join("evaluation.json"));
    let dates = evaluation["unit"]["dates"].as_f64().unwrap();
    assert_eq!(dates, 80.0);
    let mean = evaluation["mean_per_date_usd"]["value"].as_f64().unwrap();
    assert!((mean * dates * 200.0 - (of_seed(0) + of_seed(1)) as f64).abs() < 1e-3);
    let names: Vec<&str> =
        evaluation["baselines"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[1]), (25, "walk-forward", "always-HOLD"));
    let p = evaluation["matched_random"]["p"].as_f64().unwrap();
    assert!((0.1..=1.0).contains(&p), "{p}");
    let total = of_seed(0) + of_seed(1);
    let cents = |usd: f64| usd * 200.0;
    let of_folds: f64 =
        rows_of(&evaluation["folds"]).map(|fold| number(&fold["mean_usd"]) * number(&fold["dates"])).sum();
    assert!((cents(of_folds) - total as f64).abs() < 1e-3, "the folds hold {of_folds}, both seeds {total} cents");
    for table in ["hour", "weekday", "hour_by_weekday", "symbol", "side", "setup", "event"] {
        let of_groups = rows_of(&evaluation["breakdown"][table]).map(|group| group["net_cents"].as_i64().unwrap());
        assert_eq!(of_groups.sum::<i64>(), total, "{table}");
    }
    let at = |multiple: f64| rows_of(&evaluation["costs"]).find(|cost| cost["multiple"] == multiple).unwrap();
    assert!((number(&at(1.0)["mean"]) - mean).abs() < 1e-9 && number(&at(0.0)["mean"]) > mean);
    assert!(at(1.5)["decided_again"]["mean"].is_number() && at(2.0)["decided_again"].is_null());
    assert!(number(&evaluation["break_even"]["multiple"]) < number(&evaluation["break_even"]["high"]));
    let capital: Vec<f64> = rows_of(&evaluation["capacity"]).map(|at| number(&at["capital"])).collect();
    assert_eq!(capital, [1.0, 2.0, 5.0, 10.0, 25.0].map(|multiple| multiple * 100_000.0));
    let audit = command("zerodte", &["audit", "--trades", folder.join("trades-seed0.parquet").to_str().unwrap()]);
    assert!(audit.status.success(), "{}{}", text(&audit.stdout), text(&audit.stderr));

    // Markets without direction: the same procedure, kept and resumed.
    let placebo = |worlds: &str| {
        let output = command("zerodte", &["placebo", "--like", folder.to_str().unwrap(), "--worlds", worlds]);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        json(&folder.join("placebo.json"))["mean_per_date_usd"].clone()
    };
    let (two, three) = (placebo("2"), placebo("3"));
    assert_eq!((&two["1"], &two["2"]), (&three["1"], &three["2"]));
    assert!(three["3"].is_number() && three["1"] != three["2"]);
    assert_eq!(json(&folder.join("evaluation.json"))["placebo"]["worlds"], 3);
    power_is_added(&folder);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn rows_of(table: &Value) -> impl Iterator<Item = &Value> {
    table.as_array().unwrap().iter()
}

/// Plants an edge into one market beside enough placebo markets, most of them made up here.
fn power_is_added(folder: &Path) {
    let plant = |worlds: &str| {
        let flags =
            ["placebo", "--like", folder.to_str().unwrap(), "--plant=4", "--planted-worlds=1", "--worlds", worlds];
        command("zerodte", &flags)
    };
    refused(&plant("18"), 2, &["--worlds 18: a rank of 5 % needs 19 markets without direction"]);
    let path = folder.join("placebo.json");
    let mut known = json(&path);
    for seed in 4..=19 {
        known["mean_per_date_usd"][seed.to_string()] = Value::from(-1e6);
    }
    fs::write(&path, known.to_string()).unwrap();
    let output = plant("19");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let planted = json(&path)["planted"][0].clone();
    assert!((number(&planted["edge"]["measured"]) / 0.04 - 1.0).abs() < 0.5, "{planted}");
    let power = json(&folder.join("evaluation.json"))["power"][0].clone();
    assert_eq!((&power["worlds"], &power["edge_per_trade"]), (&Value::from(1), &Value::from(0.04)));
    let sentence = "An edge of 4% per trade would have been found in ";
    let page = fs::read_to_string(folder.join("report-SYNTHETIC.html")).unwrap();
    assert!(text(&output.stdout).contains(sentence) && page.contains(sentence), "{}", text(&output.stdout));
}

#[test]
fn a_diagnosis_of_the_choice_counts_every_candidate_as_a_look() {
    let root = TempDir::new().unwrap();
    let screen = walk(root.path(), "d", &["--diagnose-selection"]);
    assert!(screen.contains("Diagnosis  2 looks at the test dates, one per candidate"), "{screen}");
    let folder = root.path().join("d");
    let evaluation = json(&folder.join("evaluation.json"));
    let names: Vec<&str> = rows_of(&evaluation["romano_wolf"]).map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["walk-forward", "pnl", "anti_collapse"]);
    let pbo = &evaluation["pbo"];
    assert_eq!((&pbo["candidates"], &evaluation["dsr"]["trials"]), (&Value::from(2), &Value::from(3)));
    assert_eq!(pbo["logits"].as_array().unwrap().len() as u64, pbo["combinations"].as_u64().unwrap());
    let page = fs::read_to_string(folder.join("report-SYNTHETIC.html")).unwrap();
    assert!(page.contains("halves of the dates the best candidate inside"));
    let registry = fs::read_to_string(root.path().join("registry.jsonl")).unwrap();
    assert_eq!((registry.lines().count(), registry.matches(", diagnosis").count()), (3, 2), "{registry}");
    // In every fold the rows of the chosen candidate are those of the test.
    for fold in 1..=4 {
        let result = json(&folder.join(format!("folds/{fold:03}/fold.json")))["result"].clone();
        let chosen = rows_of(&result["scores"]).find(|score| score["chosen"] == true).unwrap()["candidate"].clone();
        let cents = |part: &str| {
            let own = rows_of(&result["rows"]).filter(|row| row["part"] == part && row["candidate"] == chosen);
            own.map(|row| row["net_cents"].as_i64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(cents("diagnosis"), cents("test"), "fold {fold}");
    }
}

/// Writes bars as CSV files.
fn write_bars(history: &History, folder: &Path) {
    for bars in &history.bars {
        let mut csv = "timestamp,open,high,low,close,volume\n".to_owned();
        for row in 0..bars.len() {
            let time = jiff::Timestamp::from_nanosecond(i128::from(bars.ts_ns()[row])).unwrap();
            let [open, high, low, close, volume] =
                [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()].map(|column| column[row]);
            writeln!(csv, "{time},{open},{high},{low},{close},{volume}").unwrap();
        }
        fs::write(folder.join(format!("{}_1m.csv", bars.symbol())), csv).unwrap();
    }
}

#[test]
fn bars_from_a_test_on_do_not_change_the_models_and_choices_before() {
    let root = TempDir::new().unwrap();
    let mut config = DataConfig::default();
    config.synthetic.sessions_to = jiff::civil::date(2024, 6, 28);
    let real = synthetic::generate(&config.synthetic, &symbols(&["SPY"])).unwrap();
    let folder = |name: &str| root.path().join(name);
    fs::create_dir(folder("bars")).unwrap();
    write_bars(&real, &folder("bars"));
    let run = |name: &str| {
        let data = folder("bars").display().to_string();
        walk(root.path(), name, &["--data-source", "files", "--data-dir", &data]);
    };
    run("before");
    let third = json(&folder("before/folds/003/fold.json"));
    let from: jiff::civil::Date = third["result"]["fold"]["test"]["first"].as_str().unwrap().parse().unwrap();

    // Every bar from the third test on becomes the mirror image of the real one.
    let mirrored = market_data::placebo::without_direction(&real, 5).unwrap();
    let kept = |ts: i64| market_data::calendar::exchange_date(ts) < from;
    let bars = &real.bars[0];
    let split = bars.ts_ns().iter().take_while(|ts| kept(**ts)).count();
    let (mut columns, other) = (bars.clone().into_columns(), &mirrored.bars[0]);
    for row in split..bars.len() {
        (columns.open[row], columns.high[row]) = (other.open()[row], other.high()[row]);
        (columns.low[row], columns.close[row]) = (other.low()[row], other.close()[row]);
    }
    let bars = vec![market_data::Bars::new(bars.symbol().clone(), "changed", columns).unwrap()];
    write_bars(&History { bars, ..real }, &folder("bars"));
    run("after");
    let of = |name: &str, fold: usize, key: &str| {
        json(&folder(name).join(format!("folds/{fold:03}/fold.json")))["result"][key].clone()
    };
    for fold in 1..=3 {
        let hashes = |name: &str| of(name, fold, "models");
        assert_eq!(hashes("before"), hashes("after"), "models of fold {fold}");
        assert_eq!(of("before", fold, "scores"), of("after", fold, "scores"), "choice of fold {fold}");
        assert_eq!(of("before", fold, "trainings"), of("after", fold, "trainings"), "trainings of fold {fold}");
    }
    assert_ne!(of("before", 3, "rows"), of("after", 3, "rows"), "the test of fold 3 has other bars");
    assert_ne!(of("before", 4, "models"), of("after", 4, "models"), "so has the training of fold 4");
}

#[test]
fn folds_and_markets_that_run_in_parts_join_to_the_bytes_of_one_machine() {
    let root = TempDir::new().unwrap();
    walk(root.path(), "whole", &["--num-threads=2"]);
    let rows = |root: &Path| fs::read_to_string(root.join("registry.jsonl")).unwrap_or_default().lines().count();
    let before = rows(root.path());
    for part in ["2,4", "1,3"] {
        let screen = walk(root.path(), "parts", &["--only", part]);
        assert!(screen.contains("2 folds are done; join them with --resume, without --only"), "{screen}");
        assert!(!screen.contains('$'), "a part shows no money: {screen}");
    }
    assert!(rows(root.path()) == before && !root.path().join("parts/evaluation.json").exists());
    walk(root.path(), "parts", &["--resume"]);
    for file in ["plan.json", "sessions.parquet", "trades-seed0.parquet", "folds/003/fold.json"] {
        let bytes = |name: &str| fs::read(root.path().join(name).join(file)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{file} differs");
    }
    let placebo = |name: &str, more: &[&str]| {
        let folder = root.path().join(name).display().to_string();
        let output = command("zerodte", &[&["placebo", "--like", &folder][..], more].concat());
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        (text(&output.stdout), folder)
    };
    placebo("whole", &["--worlds=3"]);
    let (screen, folder) = placebo("parts", &["--only=3,1"]);
    assert!(screen.contains("2 markets are done; join them") && !screen.contains('$'), "{screen}");
    placebo("parts", &["--worlds=3"]);
    let worlds = |name: &str| json(&root.path().join(name).join("placebo.json"));
    assert_eq!(worlds("whole"), worlds("parts"));
    refused(
        &command("zerodte", &["placebo", "--like", &folder, "--only=0"]),
        2,
        &["--only 0: there is no such market"],
    );
    let arguments = arguments(root.path(), "parts", &["--only=5"]);
    let beyond = command("zerodte", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    refused(&beyond, 2, &["--only 5: there is no such fold; they are 1 to 4"]);
}

#[test]
fn requests_that_cannot_be_judged_are_refused() {
    let root = TempDir::new().unwrap();
    let run = |name: &str, more: &[&str]| {
        let arguments = arguments(root.path(), name, more);
        command("zerodte", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    refused(&run("a", &["--train-sessions", "300"]), 2, &["session dates are too few", "more. Use earlier bars"]);
    refused(&run("a", &["--seeds", "1,1"]), 2, &["seed 1 is named twice"]);
    let other = root.path().join("other.toml");
    fs::write(&other, "[data.split]\ngap_sessions = 2\n").unwrap();
    let both = format!("pnl,{}", other.display());
    refused(&run("a", &["--candidates", &both]), 2, &["candidate other: it changes run.* or data.*"]);
    refused(
        &run("a", &["--candidates=pnl", "--diagnose-selection"]),
        2,
        &["there is one candidate, so nothing is chosen"],
    );
    refused(&run("a", &["--resume"]), 1, &["there is no plan to go on with; leave out --resume"]);
    assert!(!root.path().join("a").exists(), "a refused test leaves nothing behind");
    let placebo = command("zerodte", &["placebo", "--like", root.path().to_str().unwrap()]);
    refused(&placebo, 1, &["plan.json: name the folder of a walk-forward test"]);
    let dry = run("a", &["--dry-run"]);
    assert!(dry.status.success() && text(&dry.stdout).contains("fold   4  train "), "{}", text(&dry.stderr));
    assert!(!root.path().join("a").exists());
}
