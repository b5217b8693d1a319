//! Pinned by value: what people grep in logs, and a short trace of the environment whose change is a change of results.

use std::process::Command;

use market_env::{ActionMask, EnvConfig, Ledger, Setup, VecEnv as _};
use ppo_agent::diagnostics::momentum_block;

use crate::util::{Batch, dataset, market};

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.flat_actions[Setup::Weak as usize] = [5292, 1351, 5166, 0, 0, 0];
    ledger.flat_actions[Setup::BullStrong as usize] = [3810, 8203, 0, 0, 0, 0];
    (ledger.good_buy, ledger.missed_opportunity, ledger.bad_chase) = (8203, 3810, 330);
    ledger
}

/// Runs a shell pipeline on a log file, as the old watchers do.
fn shell(script: &str, log: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), log).unwrap();
    let output = Command::new("bash").args(["-c", script, "bash", file.path().to_str().unwrap()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_old_block_is_reproduced_to_the_letter() {
    let expected = "\n\
        ----------------------------------------------------------------------\n\
        📊 MomentumDiagnostics @ step=100,000\n\
        FLAT action distribution (count / %):\n\
        \u{20} action 0: 9102 (38.2%)\n\
        \u{20} action 1: 9554 (40.1%)\n\
        \u{20} action 2: 5166 (21.7%)\n\
        Strong-setup states: 12013 | BUY rate=68.3% | HOLD rate=31.7%\n\
        Triggers: good_buy_bonus=8203 | missed_opportunity=3810 | bad_chase_penalty=330\n\
        ----------------------------------------------------------------------\n\n";
    assert_eq!(momentum_block(100_000, &ledger()), expected);
}

#[test]
fn the_old_greps_read_the_log() {
    let log = [25_000, 100_000].map(|step| momentum_block(step, &ledger())).concat();
    let block = shell(r#"grep -A 6 "MomentumDiagnostics @ step=25,000" "$1""#, &log);
    assert_eq!(block.lines().count(), 7);
    assert!(block.lines().nth(5).unwrap().starts_with("Strong-setup") && block.contains("Triggers:"), "{block}");
    assert_eq!(shell(r#"tail -n 100 "$1" | grep -A 10 "MomentumDiagnostics" | grep -c "action""#, &log).trim(), "8");
    assert_eq!(shell(r#"grep "MomentumDiagnostics" "$1" | tail -1"#, &log), "📊 MomentumDiagnostics @ step=100,000\n");
    let share = |pattern: &str| {
        shell(&format!(r#"grep -A 6 "step=100,000" "$1" | grep "{pattern}" | grep -o "[0-9.]*%" | head -1"#), &log)
    };
    assert_eq!([share("action 0:"), share("action 1:"), share("BUY rate=")], ["38.2%\n", "40.1%\n", "68.3%\n"]);
}

#[test]
fn a_short_trace_of_the_environment_is_pinned() {
    let market = market(&dataset(&["SPY"], 6, 3, 0.2));
    let mut batch = Batch::replay(&market, vec![1], &EnvConfig::default());
    let mut rewards = Vec::new();
    for step in 0..64 {
        let action = match batch.mask[0] {
            ActionMask(0b111) => 1 + (step / 16 % 2) as u8,
            mask if mask.allows(5) && step % 8 == 7 => 3 + (step / 8 % 3) as u8,
            _ => 0,
        };
        batch.step(&[action]);
        rewards.push(batch.reward[0]);
    }
    let ledger = batch.env.ledger();
    assert_eq!((ledger.opened, ledger.closed(), ledger.net_pnl_cents, ledger.fees_cents), PINNED);
    let total: f64 = rewards.iter().map(|&r| f64::from(r)).sum();
    assert!((total - PINNED_REWARD).abs() < 1e-6, "{total}");
}

/// Positions opened and closed, net P&L and fees in cents of the pinned trace.
const PINNED: (u64, u64, i64, i64) = (6, 5, 460_340, 52_430);
const PINNED_REWARD: f64 = 2.166_822_382_248_938;
