//! One step as whoever watches sees it.

use market_env::{ActionMask, Ledger};

use crate::ppo::{
    distribution::MAX_ACTIONS,
    rollout::{ObsView, Rollout},
};

/// One step of all lanes: what they saw, what the policy thought of it and did, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    /// Newest tape row that each lane saw. `[N]`
    pub row: &'a [u32],
    /// The lanes' own columns. `[N, A]`
    pub account: &'a [f32],
    /// Legal actions. `[N]`
    pub mask: &'a [ActionMask],
    /// Probability of each action, zero for an illegal one; a baseline has its legal ones alike. `[N]`
    pub prob: &'a [[f32; MAX_ACTIONS]],
    /// What the critic expected of the rest of the episode; zero of a baseline. During training on libtorch the values are
    /// computed after the last step of a rollout, and these are not yet they. `[N]`
    pub value: &'a [f32],
    /// What was done. `[N]`
    pub action: &'a [u8],
    /// What the step earned. `[N]`
    pub reward: &'a [f32],
    /// Whether the lane's episode ended or was cut with this step. `[N]`
    pub ended: &'a [bool],
    /// The environment's counters since its construction, this step included.
    pub ledger: &'a Ledger,
}

impl<'a> StepView<'a> {
    /// The step of a rollout that was taken last.
    pub(crate) fn of(rollout: &'a Rollout, time: usize, ledger: &'a Ledger) -> Self {
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
            ledger,
        }
    }
}
