//! Replay of given sessions, once each, and its result.

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::Date;
use market_env::{BatchEnv, EnvConfig, Episode, Ledger, Market, Trade};
use ppo_agent::{Behaviour, Policy, evaluate};

/// Result of one replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayResult {
    /// Counters over all sessions.
    pub ledger: Ledger,
    /// One entry per session, with the session's date.
    pub sessions: Vec<(Date, Episode)>,
    /// Every closed position.
    pub trades: Vec<Trade>,
}

impl ReplayResult {
    /// Returns the net P&L of every session date, all symbols together, ascending by date, in dollars.
    pub fn daily_pnl(&self) -> Vec<(Date, f64)> {
        let mut daily: BTreeMap<Date, i64> = BTreeMap::new();
        for (date, session) in &self.sessions {
            *daily.entry(*date).or_default() += session.net_pnl_cents;
        }
        daily.into_iter().map(|(date, cents)| (date, cents as f64 / 100.0)).collect()
    }
}

/// Replays every given session once. Trades are sorted by entry time, then by symbol.
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
) -> anyhow::Result<ReplayResult> {
    let mut env = BatchEnv::replay(Arc::clone(market), days.to_vec(), config.clone())?;
    let evaluation = evaluate(policy, &mut env, behaviour, seed)?;
    let mut trades = Vec::new();
    env.drain_trades(&mut trades);
    trades.sort_by(|a, b| (a.entry_ts_ns, &a.symbol).cmp(&(b.entry_ts_ns, &b.symbol)));
    let dated = |episode: Episode| (market.days()[episode.day as usize].date, episode);
    let sessions = evaluation.episodes.into_iter().map(dated).collect();
    Ok(ReplayResult { ledger: evaluation.ledger, sessions, trades })
}
