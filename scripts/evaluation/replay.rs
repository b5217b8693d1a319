//! One replay of given sessions, each played once, with everything that it produced.

use std::sync::Arc;

use market_env::{BatchEnv, EnvConfig, Market};
use ppo_agent::{Behaviour, Policy, evaluate};

use crate::evaluation::performance::Played;

/// Plays every given session once. The trades come in the order of their entries, then by symbol.
///
/// # Errors
/// When the sessions cannot be replayed, or the policy was trained for other observations.
pub fn replay(
    policy: &Policy,
    market: &Arc<Market>,
    days: &[u32],
    config: &EnvConfig,
    behaviour: Behaviour,
    seed: u64,
) -> anyhow::Result<Played> {
    let mut env = BatchEnv::replay(Arc::clone(market), days.to_vec(), config.clone())?;
    let evaluation = evaluate(policy, &mut env, behaviour, seed)?;
    let mut trades = Vec::new();
    env.drain_trades(&mut trades);
    trades.sort_by(|a, b| (a.entry_ts_ns, &a.symbol).cmp(&(b.entry_ts_ns, &b.symbol)));
    let dated = |episode: market_env::Episode| (market.days()[episode.day as usize].date, episode);
    let sessions = evaluation.episodes.into_iter().map(dated).collect();
    Ok(Played { ledger: evaluation.ledger, sessions, trades })
}
