//! Errors of flags and configuration. Exit code 2 is wrong usage, 1 anything else.

use super::Shell;

#[test]
fn errors_of_usage() {
    let mut shell = Shell::new();
    shell.run_all(&[
        "train_historical_model --learning-rat 1",
        "train_historical_model --set ppo.gama=0.9",
        "train_historical_model --set ppo.gamma=1.5 --set market.frames=0",
        "train_historical_model --set ppo.gamma",
        "train_historical_model --set ppo.gamma=high",
        "train_historical_model --data-source massive --start-date 2025-06-02 --end-date 2025-06-30",
        "train_historical_model --data-source massif",
        "train_historical_model --use-features",
        "train_historical_model --symbols SPY,,QQQ",
        "train_historical_model --config no_such.toml",
        "train_historical_model --config configs/smoke.toml --ent-coef automatic",
        "train_historical_model --config configs/smoke.toml --on-collapse nonsense",
        "train_historical_model --timesteps many",
        "zerodte backtset",
        "zerodte backtest",
        "zerodte audit --trades trades.json",
        "zerodte calibrate --data-dir bars",
    ]);
    shell.write("broken.toml", "[run]\ntimesteps = = 5\n");
    shell.run("train_historical_model --config broken.toml");
    shell.write("unknown.toml", "[run]\ntimestep = 5\n");
    shell.run("train_historical_model --config unknown.toml");
    shell.check("errors_of_usage");
}

#[test]
fn errors_of_tools() {
    let mut shell = Shell::new();
    let bench = "zerodte bench --seconds 0.1 --workload";
    for more in ["parade", "modurl --sessions 3", "env --backend tch", "train --backend torch"] {
        shell.run(&format!("{bench} {more}"));
    }
    let short = "zerodte audit-reward --set data.synthetic.sessions_to=2024-02-29";
    for more in ["--set env.reward.good_by_call=1", "--set env.reward.shaping_final=2", "--data-dir no/such/folder"] {
        shell.run(&format!("{short} {more}"));
    }
    let story = "zerodte reproduce-collapse --out story";
    let smoke = "--config configs/smoke.toml";
    for more in [
        &format!("{smoke} --profiles before_fix"),
        &format!("{smoke} --timesteps 4000"),
        &format!("{smoke} --seeds 0"),
        &format!("{smoke} --profiles nowhere/mine.toml"),
        "--profiles tune2,configs/smoke.toml",
    ] {
        shell.run(&format!("{story} {more}"));
    }
    shell.check("errors_of_tools");
}

#[test]
fn errors_of_runs_and_logs() {
    let mut shell = Shell::new();
    std::fs::create_dir(shell.path("young")).unwrap();
    shell.write("young/config.toml", "");
    shell.write("README.md", "# Something else\n");
    for path in ["runs/none", ".", "README.md", "young"] {
        shell.run(&format!("zerodte diagnose {path}"));
    }
    for path in ["README.md", "young"] {
        shell.run(&format!("zerodte watch {path} --once"));
    }
    shell.write("young/metrics.jsonl", "{\"kind\":\"other\"}\n");
    shell.run("zerodte diagnose young");
    shell.check("errors_of_runs_and_logs");
}

#[test]
fn errors_of_moves() {
    let mut shell = Shell::new();
    let train = "train_historical_model --config configs/smoke.toml --symbols SPY --out-dir out --replay-moves";
    shell.note("no such file");
    shell.run(&format!("{train} moves.jsonl"));
    let good = r#"{"data":"market","step":4096,"key":"ppo.ent_coef","from":0.06,"to":0.08,"reason":"why"}"#;
    for (remark, bad) in [
        ("a line that is cut", "{\"data\":\"mark".to_owned()),
        ("a setting that no controller moves", good.replace("ppo.ent_coef", "ppo.gamma")),
        ("a value out of range", good.replace("0.08", "-0.08")),
        ("steps that go back", good.replace("4096", "2048")),
    ] {
        shell.note(remark);
        shell.write("moves.jsonl", &format!("{good}\n{bad}\n"));
        shell.run(&format!("{train} moves.jsonl"));
    }
    shell.write("moves.jsonl", &format!("{good}\n"));
    shell.run(&format!("{train} moves.jsonl --ent-coef auto"));
    shell.run(&format!("{train} out/runs/own/moves.jsonl --model-name own"));
    shell.check("errors_of_moves");
}
