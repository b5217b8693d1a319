//! Read-only view of one environment step, for listeners.

use market_env::{ActionMask, ClosedTrade, Ledger};

use crate::ppo::{
    distribution::MAX_ACTIONS,
    rollout::{ObsView, Rollout},
};

/// One step of all lanes: observations, action probabilities, values, actions and rewards.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    /// Newest tape row of each observation. `[N]`
    pub row: &'a [u32],
    /// Account columns. `[N, A]`
    pub account: &'a [f32],
    /// Legal actions. `[N]`
    pub mask: &'a [ActionMask],
    /// Probability of each action, zero for an illegal one; uniform over legal actions for a baseline. `[N]`
    pub prob: &'a [[f32; MAX_ACTIONS]],
    /// Value estimates; zero for a baseline. During training on libtorch they are not available yet: the values of an
    /// MLP policy are computed after the last step of a rollout. `[N]`
    pub value: &'a [f32],
    /// Actions taken. `[N]`
    pub action: &'a [u8],
    /// Rewards. `[N]`
    pub reward: &'a [f32],
    /// Lanes with an episode terminated or truncated by this step. `[N]`
    pub ended: &'a [bool],
    /// Positions that training lanes closed in this step; none in an evaluation.
    pub closed: &'a [ClosedTrade],
    /// Counters of the environment since its construction, this step included.
    pub ledger: &'a Ledger,
}

impl<'a> StepView<'a> {
    /// Returns the view of the last step of a rollout.
    pub(crate) fn of(rollout: &'a Rollout, time: usize, closed: &'a [ClosedTrade], ledger: &'a Ledger) -> Self {
        let ObsView { row, account, mask } = rollout.obs.at(time);
        let now = time * rollout.lanes..(time + 1) * rollout.lanes;
        let Rollout { action, prob, value, reward, .. } = rollout;
        Self {
            row,
            account,
            mask,
            prob,
            value: &value[now.clone()],
            action: &action[now.clone()],
            reward: &reward[now],
            ended: rollout.starts(time + 1),
            closed,
            ledger,
        }
    }
}
