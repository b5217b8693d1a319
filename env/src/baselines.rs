//! Baseline policies as plain code, and the loop that replays sessions with them.
//!
//! Their inputs are a trained policy's: the bar's features and setup, the account's columns, the legal actions. Their result
//! is the one of trading without information under the given costs, rules and shaping: a baseline for the verdict and a test
//! of the reward.

mod observed_session;
pub(crate) mod perfect_foresight;
mod scripted_policies;

use std::sync::Arc;

use crate::{
    BatchEnv, EnvConfig, EnvError, Episode, FEATURES, Ledger, Market, StepBuffers, Trade, VecEnv, action::Action,
    batch::lane::COLUMNS,
};

pub(crate) use self::observed_session::direction;
pub use self::{
    observed_session::ObservedSession,
    scripted_policies::{EntryRule, ExitRule, Scripted},
};

/// The result of replaying sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Counters over all sessions.
    pub ledger: Ledger,
    /// One per session, in the order in which they ended.
    pub episodes: Vec<Episode>,
    /// Closed positions, in the order in which they were closed.
    pub trades: Vec<Trade>,
}

/// Replays every given session once with a policy given as a function. An illegal choice becomes HOLD.
///
/// # Errors
/// As [`BatchEnv::replay`].
pub fn play(
    market: &Arc<Market>,
    days: &[u32],
    config: &EnvConfig,
    mut choose: impl FnMut(&ObservedSession<'_>) -> Action,
) -> Result<Replay, EnvError> {
    let mut env = BatchEnv::replay(Arc::clone(market), days.to_vec(), config.clone())?;
    let mut lanes = StepBuffers::reset(&mut env);
    let mut actions = vec![Action::Hold as u8; days.len()];
    while !env.finished() {
        for (lane, action) in actions.iter_mut().enumerate() {
            *action = Action::Hold as u8;
            if lanes.mask[lane].is_forced() {
                continue;
            }
            let chosen = choose(&sight(market, days[lane], lane, &lanes)) as u8;
            if lanes.mask[lane].allows(chosen) {
                *action = chosen;
            }
        }
        lanes.step(&mut env, &actions);
    }
    let (mut episodes, mut trades) = (Vec::with_capacity(days.len()), Vec::new());
    env.drain_episodes(&mut episodes);
    env.drain_trades(&mut trades);
    Ok(Replay { ledger: env.ledger().clone(), episodes, trades })
}

fn sight<'a>(market: &'a Market, day: u32, lane: usize, lanes: &'a StepBuffers) -> ObservedSession<'a> {
    let row = lanes.row[lane] as usize;
    ObservedSession {
        lane,
        day,
        bar: lanes.row[lane] - market.days()[day as usize].first_row,
        row,
        setup: market.setup(row),
        mask: lanes.mask[lane],
        features: &market.row(row)[..FEATURES.len()],
        account: &lanes.account[lane * COLUMNS..(lane + 1) * COLUMNS],
    }
}

#[cfg(test)]
mod tests {
    use super::{scripted_policies::tests::market, *};

    #[test]
    fn what_is_not_legal_becomes_hold() {
        let (market, days) = market();
        let played = play(&market, &days, &EnvConfig::default(), |_| Action::Exit).unwrap();
        assert_eq!((played.ledger.opened, played.ledger.flat(Action::Hold)), (0, played.ledger.steps));
    }
}
