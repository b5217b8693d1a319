//! The report of every command that works on policies or bars, and the names in its JSON.

use std::fs;

use super::{Shell, copy};
use crate::cli::{calibrate, inspect};

/// A shell in whose folder `out` the smoke configuration has trained a policy.
fn trained() -> Shell {
    let shell = Shell::new();
    shell.quiet("train_historical_model --config configs/smoke.toml --out-dir out");
    shell
}

#[test]
fn reports_on_a_policy() {
    let mut shell = trained();
    shell.run(
        "zerodte backtest --model out/models/smoke --audit --cost-sensitivity --json report.json --trades trades.csv",
    );
    shell.add_keys("report.json");
    let trades = shell.read("trades.csv");
    shell.add("first lines of trades.csv", &trades.lines().take(3).collect::<Vec<_>>().join("\n"));
    shell.run("zerodte backtest --model out/models/smoke --stochastic --symbols SPY --start-date 2024-12-04");
    shell.check("report_of_backtest");

    shell.run("zerodte audit --trades trades.csv --report report.json --model out/models/smoke");
    let row = trades.lines().nth(2).unwrap();
    shell.write("changed.csv", &trades.replacen(row, &row.replacen("BUY_", "SELL_", 1), 1));
    shell.run("zerodte audit --trades changed.csv");
    let cell = |row: &str, name: &str| {
        let at = trades.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
        row.split(',').nth(at).unwrap().to_owned()
    };
    let contracts = cell(row, "contracts");
    shell.write("changed.csv", &trades.replacen(row, &row.replacen(&format!(",{contracts},"), ",77,", 1), 1));
    shell.run("zerodte audit --trades changed.csv --report report.json");
    shell.run("zerodte audit --trades trades.csv --set env.costs.fee_multiplier=1.5");
    shell.check("report_of_audit");

    let explain = "zerodte explain --model out/models/smoke --symbol spy --json explanation.json --at";
    shell.run(&format!("{explain} 2024-11-20T10:31"));
    shell.add_keys("explanation.json");
    shell.run(&format!("{explain} 2024-11-20T10:32 --stochastic --seed 4 --plot session.svg"));
    shell.check("report_of_explain");
}

#[test]
fn reports_on_a_run() {
    let mut shell = trained();
    let log = "out/logs/training/smoke_10k.log";
    shell.run("zerodte diagnose out/runs/smoke");
    shell.run(&format!("zerodte diagnose {log}"));
    let report = shell.output("zerodte diagnose out/runs/smoke --json");
    fs::write(shell.path("diagnosis.json"), report.stdout).unwrap();
    shell.add_keys("diagnosis.json");
    shell.check("report_of_diagnose");
    for of in ["out/runs/smoke", log] {
        shell.run(&format!("zerodte watch {of} --once"));
        shell.run(&format!("zerodte watch {of}"));
    }
    shell.check("report_of_watch");
}

#[test]
fn reports_on_bars() {
    let mut shell = Shell::new();
    inspect::write(&shell.path("bars"), inspect::faulty);
    inspect::write(&shell.path("late"), |day, minute| (minute > 0).then(|| inspect::price(day, minute - 1)));
    shell.run("zerodte inspect spy --data-dir bars --json found.json --plot map.svg");
    shell.add_keys("found.json");
    shell.run("zerodte inspect SPY --data-dir bars --against files:late");
    shell.check("report_of_inspect");
}

#[test]
fn report_on_prices() {
    let mut shell = Shell::new();
    let market = calibrate::market(1.1);
    copy(market.path(), &shell.path("."));
    let calibrate = "zerodte calibrate --options options --data-dir bars";
    shell.run(&format!("{calibrate} --json report.json"));
    shell.add_keys("report.json");
    shell.run(&format!(
        "{calibrate} --set market.pricing.fitted_from=2024-01-02 --set market.pricing.fitted_to=2024-12-04"
    ));
    shell.run(
        "train_historical_model --data-source files --data-dir bars --symbols SPY --options options --timesteps 512 \
         --set data.warmup_sessions=0 --dry-run",
    );
    shell.check("report_of_calibrate");
}

#[test]
fn reports_on_rewards() {
    let mut shell = Shell::new();
    let short = "--set data.synthetic.sessions_to=2024-02-29";
    shell.run(&format!("zerodte audit-reward --config configs/pnl.toml {short} --json audit.json"));
    shell.add_keys("audit.json");
    shell.run(&format!("zerodte audit-reward --config configs/anti_collapse.toml {short}"));
    shell.check("report_of_audit_reward");
    shell.run(
        "zerodte reproduce-collapse --config configs/smoke.toml --out story --profiles before_fixes,always_buy \
         --timesteps 10000 --seeds 2",
    );
    let markdown = shell.read("story/collapse.md");
    shell.add("story/collapse.md", &markdown);
    shell.add_keys("story/collapse.json");
    shell.check("report_of_reproduce_collapse");
}

#[test]
fn report_on_speed() {
    let mut shell = Shell::new();
    shell.run("zerodte bench --workload env --seconds 0.1 --lanes 30 --sessions 3 --threads 1");
    shell.check_words("report_of_bench");
}
