//! Forecasters from end to end: the files of a run, a planted edge against noise, the reasons of failed trainings, and forecasts
//! as columns of a policy that use nothing from the future.

use std::{fs, path::Path, process::Output};

use market_env::{FEATURES, Market, MarketConfig};
use serde_json::Value;
use tempfile::TempDir;
use zerodte_scripts::inputs::forecast_columns::ForecastColumns;

use crate::{
    cli::{command, refused, tensors, text},
    util::{dataset, real_bars},
};

/// A small forecaster of made-up bars.
const SMALL: [&str; 12] = [
    "--data-source",
    "synthetic",
    "--symbols",
    "SPY",
    "--max-epochs",
    "3",
    "--hidden-size",
    "16",
    "--batch-size",
    "64",
    "--seed",
    "3",
];

fn forecast(words: &[&str], more: &[&str]) -> Output {
    command("zerodte", &[&["forecast"], words, more].concat())
}

fn train(out: &Path, name: &str, more: &[&str]) -> String {
    let folder = ["--out-dir", out.to_str().unwrap(), "--model-name", name];
    let output = forecast(&["train"], &[&SMALL[..], &folder, more].concat());
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the row of a target over all symbols.
fn row<'a>(metrics: &'a Value, kind: &str) -> &'a Value {
    let rows = metrics["test"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["symbol"] == "all" && row["target"]["kind"] == kind).unwrap()
}

#[test]
fn a_run_writes_all_its_files_and_repeats_bit_by_bit() {
    let out = TempDir::new().unwrap();
    let said = train(out.path(), "a", &[]);
    assert!(said.contains("SYNTHETIC DATA"), "{said}");
    let epochs: Vec<&str> = said.lines().filter(|line| line.starts_with("Epoch ")).collect();
    assert_eq!(epochs.len(), 3);
    for (number, line) in (1..).zip(&epochs) {
        let parts: Vec<&str> = line.split(" | ").collect();
        assert_eq!(parts[0], format!("Epoch {number}"));
        let value = |part: &str, before: &str, after: &str| {
            part.strip_prefix(before).unwrap().strip_suffix(after).unwrap().parse::<f64>().unwrap()
        };
        assert!(value(parts[1], "R²: ", "").is_finite() && value(parts[2], "Var Ratio: ", "%") >= 0.0);
        assert!(value(parts[3], "Pred Std: ", "") >= 0.0, "{line}");
    }
    let log = fs::read_to_string(out.path().join("logs/training/a_forecast.log")).unwrap();
    assert!(epochs.iter().all(|line| log.contains(line)));

    let run = out.path().join("runs/a");
    let csv = fs::read_to_string(run.join("epochs.csv")).unwrap();
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert!(
        ["return_5/r2", "volatility_5/std_ratio", "direction_5/auc", "data"].iter().all(|name| columns.contains(name)),
        "{columns:?}"
    );
    assert!(csv.lines().skip(1).all(|line| line.split(',').count() == columns.len() && line.ends_with("SYNTHETIC")));
    let metrics = json(&run.join("metrics.json"));
    assert_eq!((metrics["data"].as_str(), metrics["epochs"].as_array().unwrap().len()), (Some("SYNTHETIC"), 3));
    assert!(row(&metrics, "return")["predictors"][0]["scores"]["intervals"]["r2"]["low"].is_f64());
    for file in ["predictions.parquet", "histogram.svg", "epochs.svg", "config.toml", "manifest.json"] {
        assert!(run.join(file).exists(), "{file}");
    }

    train(out.path(), "b", &[]);
    train(out.path(), "c", &["--seed", "4"]);
    let model = |name: &str| tensors(&out.path().join(format!("models/{name}.safetensors")));
    assert_eq!(model("a"), model("b"));
    assert_ne!(model("a"), model("c"));
    let again = train(out.path(), "a", &[]);
    assert!(
        again.contains("Kept the earlier run of this name as") && out.path().join("runs/a.1/metrics.json").exists(),
        "{again}"
    );
}

#[test]
fn a_planted_edge_is_found_and_noise_is_called_no_skill() {
    let out = TempDir::new().unwrap();
    let learn = ["--intraday-days", "0", "--horizons", "1", "--max-epochs", "8", "--dropout", "0.1"];
    let verdict = |name: &str, edge: &str| {
        let set = [&learn[..], &["--set", edge, "--set", "data.synthetic.edge_visibility=1.0"]].concat();
        train(out.path(), name, &set);
        let metrics = json(&out.path().join("runs").join(name).join("metrics.json"));
        let row = row(&metrics, "return").clone();
        (row["gate"]["verdict"].as_str().unwrap().to_owned(), row["predictors"][0]["scores"]["r2"].as_f64().unwrap())
    };
    let (found, r2) = verdict("edge", "data.synthetic.planted_edge=0.2");
    assert!(found == "healthy" && r2 > 0.01, "{found}: {r2}");
    let (nothing, r2) = verdict("none", "data.synthetic.planted_edge=0.0");
    assert!(nothing == "no_skill" && r2 < 0.005, "{nothing}: {r2}");
}

#[test]
fn a_forecaster_is_judged_on_unseen_dates() {
    let out = TempDir::new().unwrap();
    train(out.path(), "a", &[]);
    let model = out.path().join("models/a");
    let (model, report) = (model.to_str().unwrap(), out.path().join("report.json"));
    let output = forecast(&["eval"], &["--model", model, "--json", report.to_str().unwrap(), "--boosted"]);
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.contains("Out of sample: the forecaster was trained on"),
        "{said}{}",
        text(&output.stderr)
    );
    let predictors = json(&report)["rows"][0]["predictors"].as_array().unwrap().len();
    assert_eq!(predictors, 5, "forecaster, constant, last value, linear, boosted");
    let all = forecast(&["eval"], &["--model", model, "--start-date", "2024-01-02"]);
    assert!(text(&all.stdout).contains("IN SAMPLE: "), "{}", text(&all.stdout));
    // The other predictors are still fitted on all training dates, even if the requested dates end earlier.
    let early = forecast(&["eval"], &["--model", model, "--start-date", "2024-01-02", "--end-date", "2024-02-15"]);
    assert!(early.status.success(), "{}{}", text(&early.stdout), text(&early.stderr));
    refused(
        &forecast(&["eval"], &["--model", model, "--end-date", "2024-02-15"]),
        1,
        &["was trained on dates up to", "--start-date"],
    );
    refused(
        &command("zerodte", &["backtest", "--model", model]),
        1,
        &["ppo-agent forecaster 1", "instead of `ppo-agent model 1`"],
    );
}

#[test]
fn a_failed_training_ends_with_its_reason_and_exit_code() {
    let out = TempDir::new().unwrap();
    let run = |name: &str, more: &[&str]| {
        let folder = ["--out-dir", out.path().to_str().unwrap(), "--model-name", name, "--max-epochs", "30"];
        forecast(&["train"], &[&SMALL[..], &folder, more].concat())
    };
    let collapsed = run("decay", &["--weight-decay", "1"]);
    let code = collapsed.status.code();
    assert!(code == Some(3) || code == Some(4), "{code:?}: {}{}", text(&collapsed.stdout), text(&collapsed.stderr));
    refused(&collapsed, code.unwrap(), &["the training of the forecaster was stopped", "lower forecast.weight_decay"]);
    assert!(out.path().join("runs/decay/metrics.json").exists(), "the run is still reported");
    let stopped = out.path().join("models/decay");
    let policy = command(
        "train_historical_model",
        &["--config", "configs/smoke.toml", "--forecaster", stopped.to_str().unwrap()],
    );
    refused(&policy, 2, &["run.forecaster: the training of", "was stopped"]);
    let broken = run(
        "broken",
        &["--learning-rate", "1e9", "--set", "forecast.warmup_steps=1", "--set", "forecast.activation=relu"],
    );
    refused(&broken, 5, &["the training of the forecaster was stopped", "forecast.learning_rate"]);
}

#[test]
fn invalid_forecast_requests_are_refused_in_one_sentence() {
    for (args, words) in [
        (&["--horizons", "5,0"][..], &["`0` is no horizon"][..]),
        (&["--horizons", "1d"], &["forecast.horizons: 1d spans sessions"]),
        (&["--encoder", "gruu"], &["did you mean gru?"]),
        (&["--temporal-frames", "1", "--pretrain"], &["forecast.pretrain.enabled: a single frame"]),
        (&["--huber-delta", "big"], &["`big` is no delta"]),
    ] {
        refused(&forecast(&["train"], &[&SMALL[..], args].concat()), 2, words);
    }
    refused(&forecast(&["eval"], &["--model", "nowhere"]), 1, &["nowhere.safetensors"]);
    let folder = TempDir::new().unwrap();
    let out = ["--out", folder.path().to_str().unwrap()];
    refused(
        &forecast(&["ablate"], &[&SMALL[..], &out, &["--grid", "framse=1"]].concat()),
        2,
        &["--grid framse=1", "unknown key"],
    );
}

#[test]
fn an_ablation_ranks_its_variants_the_same_way_on_any_number_of_threads() {
    let out = TempDir::new().unwrap();
    let run = |name: &str, threads: &str| {
        let folder = out.path().join(name);
        let more = ["--grid", "frames=1,2", "--grid", "ssl=false,true", "--seeds", "2", "--num-threads", threads];
        // One frame has no other to be reconstructed from.
        let refused_grid = forecast(&["ablate"], &[&SMALL[..], &more, &["--out", folder.to_str().unwrap()]].concat());
        refused(&refused_grid, 2, &["frames=1 ssl=true", "a single frame"]);
        let more = ["--grid", "frames=2,3", "--grid", "ssl=false,true", "--seeds", "2", "--num-threads", threads];
        let output = forecast(&["ablate"], &[&SMALL[..], &more, &["--out", folder.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        let mut found = json(&folder.join("ablation.json"));
        for rank in found["ranks"].as_array_mut().unwrap() {
            rank["seconds"] = Value::Null;
        }
        found
    };
    let two = run("two", "2");
    assert_eq!(two, run("one", "1"));
    let ranks = two["ranks"].as_array().unwrap();
    let r2: Vec<f64> = ranks.iter().map(|rank| rank["r2"]["value"].as_f64().unwrap()).collect();
    assert!(ranks.len() == 4 && r2.is_sorted_by(|a, b| a >= b), "{r2:?}");
    assert!(fs::read_to_string(out.path().join("one/ablation.md")).unwrap().contains("SYNTHETIC DATA"));
}

#[test]
fn a_policy_takes_forecasts_only_from_an_earlier_forecaster() {
    let out = TempDir::new().unwrap();
    let dates = ["--set", "data.synthetic.sessions_from=2024-01-02", "--set", "data.synthetic.sessions_to=2024-06-28"];
    train(
        out.path(),
        "seer",
        &[
            &dates[..],
            &[
                "--intraday-days",
                "0",
                "--end-date",
                "2024-03-28",
                "--temporal-frames",
                "1",
                "--hidden-size",
                "64",
                "--activation",
                "tanh",
            ],
        ]
        .concat(),
    );
    train(
        out.path(),
        "other",
        &[
            &dates[..],
            &["--seed", "9"],
            &[
                "--intraday-days",
                "0",
                "--end-date",
                "2024-03-28",
                "--temporal-frames",
                "1",
                "--hidden-size",
                "64",
                "--activation",
                "tanh",
            ],
        ]
        .concat(),
    );
    let seer = out.path().join("models/seer");
    let policy = |start: &str, more: &[&str]| {
        let args = [
            &[
                "--config",
                "configs/smoke.toml",
                "--data-source",
                "synthetic",
                "--symbols",
                "SPY",
                "--timesteps",
                "2000",
            ][..],
            &dates,
            &["--out-dir", out.path().to_str().unwrap(), "--model-name", "policy", "--start-date", start],
            &["--forecaster", seer.to_str().unwrap()],
            more,
        ];
        command("train_historical_model", &args.concat())
    };
    refused(&policy("2024-02-01", &[]), 2, &["run.forecaster", "was trained on", "the policy trains from 2024-02"]);
    let trained = policy("2024-04-02", &["--forecaster-transfer"]);
    let said = text(&trained.stdout);
    assert!(trained.status.success(), "{said}{}", text(&trained.stderr));
    assert!(
        said.contains("3 columns for 1 horizon(s)") && said.contains("2 layer(s) of the forecaster's encoder"),
        "{said}"
    );
    let manifest = json(&out.path().join("runs/policy/manifest.json"));
    let record = &manifest["dataset"]["forecaster"];
    assert_eq!(record["columns"].as_array().unwrap().len(), 3);
    assert!(record["chosen_by"]["last"].as_str().unwrap() < "2024-04-02", "{record}");
    let model = out.path().join("models/policy");
    let replay = command("zerodte", &["backtest", "--model", model.to_str().unwrap(), "--start-date", "2024-06-03"]);
    assert!(replay.status.success(), "{}{}", text(&replay.stdout), text(&replay.stderr));
    let early = command("zerodte", &["backtest", "--model", model.to_str().unwrap(), "--end-date", "2024-03-01"]);
    assert!(
        text(&early.stdout).contains("IN SAMPLE: "),
        "the forecaster has seen these dates: {}",
        text(&early.stdout)
    );
    for ending in ["safetensors", "json"] {
        let file = |name: &str| out.path().join("models").join(name).with_extension(ending);
        fs::copy(file("other"), file("seer")).unwrap();
    }
    refused(
        &policy("2024-04-02", &["--forecaster-transfer", "--resume"]),
        1,
        &["--resume: the forecaster is not the one"],
    );
    let gone = command(
        "zerodte",
        &[
            "backtest",
            "--model",
            model.to_str().unwrap(),
            "--set",
            "run.forecaster=none",
            "--set",
            "run.forecaster_transfer=false",
        ],
    );
    refused(&gone, 1, &["feature 29 is `forecast_return_5` in the policy and nothing in the environment"]);
}

#[test]
fn forecast_columns_use_nothing_from_later_bars() {
    let out = TempDir::new().unwrap();
    train(out.path(), "seer", &[]);
    let seer = ForecastColumns::load(&out.path().join("models/seer")).unwrap();
    let before = dataset(&["SPY"], 20, 1, 0.0);
    let config = MarketConfig { frames: 4, ..MarketConfig::default() };
    let widened = |data: &market_data::Dataset| seer.add_to(Market::build(&data.symbols, &config).unwrap()).unwrap();
    let market = widened(&before);
    assert_eq!(market.feature_names().len(), FEATURES.len() + 3);
    for (day, bar) in [(3, 0), (3, 200), (5, 388)] {
        let mut after = before.clone();
        let warmup = after.symbols[0].warmup;
        for later in &mut after.symbols[0].days[warmup + day + 1..] {
            later.close.iter_mut().for_each(|price| *price *= 1.05);
            later.high.iter_mut().for_each(|price| *price *= 1.06);
        }
        let same_day = &mut after.symbols[0].days[warmup + day];
        for column in [&mut same_day.open, &mut same_day.high, &mut same_day.low, &mut same_day.close] {
            column[bar + 1..].iter_mut().for_each(|price| *price *= 1.05);
        }
        let changed = widened(&after);
        let now = market.days()[day].rows().start + bar;
        let same = |row: usize| market.row(row) == changed.row(row);
        assert!((0..=now).all(same), "day {day}, bar {bar}: the past has changed");
        assert!((now + 1..market.days()[day].rows().end).any(|row| !same(row)), "day {day}, bar {bar}: nothing has");
    }
    // The rows before a session repeat its first one, forecasts too.
    let start = market.days()[4].rows().start;
    assert!((1..4).all(|back| market.row(start - back) == market.row(start)));
}

#[test]
fn daily_bars_have_their_own_horizons() {
    let out = TempDir::new().unwrap();
    let dates = [
        "--set",
        "data.synthetic.sessions_from=2023-01-03",
        "--set",
        "data.synthetic.sessions_to=2024-06-28",
        "--intraday-days",
        "0",
    ];
    let said = train(
        out.path(),
        "days",
        &[&dates[..], &["--bars", "day", "--horizons", "1d,5d", "--encoder", "gru", "--temporal-frames", "5"]].concat(),
    );
    assert!(said.contains("return_5d"), "{said}");
    let seer = out.path().join("models/days");
    let policy =
        command("train_historical_model", &["--config", "configs/smoke.toml", "--forecaster", seer.to_str().unwrap()]);
    refused(&policy, 2, &["forecasts from daily bars, but a policy acts on minutes"]);
}

#[test]
fn on_real_bars_volatility_is_predictable_and_returns_show_no_leak() {
    let Some(bars) = real_bars() else { return };
    let out = TempDir::new().unwrap();
    let output = forecast(
        &["train"],
        &[
            "--data-dir",
            bars.to_str().unwrap(),
            "--symbols",
            "SPY",
            "--start-date",
            "2024-09-03",
            "--end-date",
            "2025-06-30",
            "--max-epochs",
            "4",
            "--out-dir",
            out.path().to_str().unwrap(),
            "--model-name",
            "real",
        ],
    );
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let metrics = json(&out.path().join("runs/real/metrics.json"));
    let r2 = |kind: &str| row(&metrics, kind)["predictors"][0]["scores"]["r2"].as_f64().unwrap();
    assert!(r2("volatility") > 0.2, "{}", r2("volatility"));
    assert!(r2("return") < 0.05, "{}", r2("return"));
    assert_ne!(row(&metrics, "return")["gate"]["verdict"], "leak_suspected");
}
