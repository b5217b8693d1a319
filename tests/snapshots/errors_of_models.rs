//! Errors of models that are there: policies, checkpoints and forecasters.

use std::fs;

use super::{Shell, copy};

const TRAIN: &str = "train_historical_model --config configs/smoke.toml --out-dir out";

#[test]
fn errors_of_policies() {
    let mut shell = Shell::new();
    shell.quiet(&format!("{TRAIN} --timesteps 2000"));
    for more in [
        "--model nowhere",
        "--model out/models/smoke --symbols IWM,S/Y",
        "--model out/models/smoke --start-date 2025-03-01",
        "--model out/models/smoke --cost-sensitivity 1,much",
        "--model out/models/smoke --cost-sensitivity --set market.pricing.spread_multiplier=0",
        "--model out/models/smoke --set market.frames=3",
        "--model out/models/smoke --trades trades.txt",
    ] {
        shell.run(&format!("zerodte backtest {more}"));
    }
    for (symbol, at) in [
        ("SPY", "2024-11-20T09:29"),
        ("SPY", "2024-11-20T15:57"),
        ("SPY", "2024-11-28T10:00"),
        ("SPY", "yesterday"),
        ("SPY", "2024-11-20T10:31:30"),
        ("SPY", "2025-03-04T10:31"),
        ("AAPL", "2024-11-20T10:31"),
    ] {
        shell.run(&format!("zerodte explain --model out/models/smoke --symbol {symbol} --at {at}"));
    }
    for more in ["--set market.frames=3", "--policy lstm"] {
        shell.run(&format!("{TRAIN} --model-name other --load-model out/models/smoke {more}"));
    }
    shell.check("errors_of_policies");
}

#[test]
fn errors_of_checkpoints() {
    let mut shell = Shell::new();
    shell.quiet(&format!("{TRAIN} --timesteps 4096 --checkpoint-freq 2000"));
    let other = "--model-name other --set env.reward.hold_tax=-0.01";
    shell.quiet(&format!("{TRAIN} --timesteps 2048 --checkpoint-freq 2000 {other}"));
    for more in [
        "--resume out/models/checkpoints/other_2048_steps.safetensors",
        "--resume latest --seed 9",
        "--resume latest --symbols QQQ",
    ] {
        shell.run(&format!("{TRAIN} {more}"));
    }
    let checkpoint = "out/models/checkpoints/smoke_4096_steps.safetensors";
    let bytes = fs::read(shell.path(checkpoint)).unwrap();
    fs::write(shell.path(checkpoint), &bytes[..bytes.len() / 2]).unwrap();
    shell.note("a checkpoint that is cut");
    shell.run(&format!("{TRAIN} --resume {checkpoint}"));
    shell.check("errors_of_checkpoints");
}

const SMALL: &str = "zerodte forecast train --data-source synthetic --symbols SPY --intraday-days 40 --max-epochs 1 \
                     --hidden-size 8 --out-dir out";

#[test]
fn errors_of_forecasters() {
    if !ppo_agent::HAS_LIBTORCH {
        return;
    }
    let mut shell = Shell::new();
    for more in
        ["--horizons 5,0", "--horizons 1d", "--encoder gruu", "--temporal-frames 1 --pretrain", "--huber-delta big"]
    {
        shell.run(&format!("{SMALL} {more}"));
    }
    shell.quiet(&format!("{SMALL} --model-name plain"));
    shell.run_all(&[
        "zerodte forecast eval --model nowhere",
        "zerodte forecast eval --model out/models/plain --end-date 2024-02-15",
        "zerodte backtest --model out/models/plain",
        "train_historical_model --config configs/smoke.toml --forecaster out/models/plain",
        "zerodte forecast ablate --data-source synthetic --grid framse=1",
        "zerodte forecast ablate --data-source synthetic --grid frames=1,2 --grid ssl=false,true",
    ]);
    shell.check("errors_of_forecasters");

    let broken = "--learning-rate 1e9 --set forecast.warmup_steps=1 --set forecast.activation=relu --model-name broken";
    shell.run(&format!("{SMALL} {broken}"));
    shell.run("train_historical_model --config configs/smoke.toml --forecaster out/models/broken");
    shell.check_words("errors_of_a_broken_forecaster");

    errors_of_comparisons(&mut shell);
    shell.check("errors_of_comparisons");
}

/// Compares the run `plain` with runs that cannot be compared.
fn errors_of_comparisons(shell: &mut Shell) {
    copy(&shell.path("out/runs/plain"), &shell.path("out/runs/loud"));
    let compare = "zerodte forecast compare --out comparison out/runs/plain";
    for more in ["", "out/runs/plain", "nowhere"] {
        shell.run(format!("{compare} {more}").trim_end());
    }
    for (remark, name, content) in [
        ("predictions that are no Parquet", "predictions.parquet", "torn"),
        ("metrics that are cut", "metrics.json", "{"),
    ] {
        shell.note(remark);
        shell.write(&format!("out/runs/loud/{name}"), content);
        shell.run(&format!("{compare} out/runs/loud"));
    }
    fs::remove_file(shell.path("out/runs/loud/manifest.json")).unwrap();
    shell.note("no manifest");
    shell.run(&format!("{compare} out/runs/loud"));
}
