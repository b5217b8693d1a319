//! Values that are pinned: the log lines that scripts grep, and a short trace of the environment. If the trace changes, results
//! have changed.

use market_env::{ActionMask, EnvConfig, Ledger, RewardConfig, Setup, VecEnv as _};
use ppo_agent::health::log_block::momentum_block;

use crate::{
    cli::shell,
    util::{Batch, dataset, market},
};

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.flat_actions[Setup::Weak as usize] = [5292, 1351, 5166, 0, 0, 0];
    ledger.flat_actions[Setup::BullStrong as usize] = [3810, 8203, 0, 0, 0, 0];
    (ledger.good_buy, ledger.missed_opportunity, ledger.bad_chase) = (8203, 3810, 330);
    ledger
}

#[test]
fn legacy_greps_match_the_log_block() {
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
    let config = EnvConfig { reward: RewardConfig::documented(), ..EnvConfig::default() };
    let mut batch = Batch::replay(&market, vec![1], &config);
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for step in 0..64 {
        let action = match batch.lanes.mask[0] {
            ActionMask(0b111) => 1 + (step / 16 % 2) as u8,
            mask if mask.allows(5) && step % 8 == 7 => 3 + (step / 8 % 3) as u8,
            _ => 0,
        };
        batch.step(&[action]);
        // FNV-1a over everything whose bits come from whole cents and indices.
        for bits in [batch.lanes.row[0], u32::from(batch.lanes.mask[0].0), batch.lanes.reward[0].to_bits()] {
            digest = (digest ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let ledger = batch.env.ledger();
    assert_eq!((ledger.opened, ledger.closed(), ledger.net_pnl_cents, ledger.fees_cents), PINNED);
    assert_eq!(digest, PINNED_DIGEST, "{digest:#018x}");
}

/// Positions opened and closed, net P&L and fees in cents of the pinned trace.
const PINNED: (u64, u64, i64, i64) = (4, 3, 452_550, 34_839);
/// Rows, masks and rewards of its 64 steps.
const PINNED_DIGEST: u64 = 0xc3d4_7b75_ed60_455e;
