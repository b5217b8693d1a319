//! One decision of a policy in a session in progress.

use anyhow::Context as _;
use market_env::{ACTION_NAMES, Action, ActionMask, LiveSession};
use ppo_agent::Policy;

/// A decision, taken at the close of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The most probable legal action.
    pub action: Action,
    /// Probability of every action, zero for illegal ones. `[K]`
    pub probabilities: Vec<f32>,
    /// The legal actions.
    pub mask: ActionMask,
    /// The critic's estimate of the discounted reward until the end of the session.
    pub value: f32,
    /// The observation, before normalisation. `[W·F + A]`
    pub observation: Vec<f32>,
    /// True once the session is over: the account is flat, and HOLD alone is legal.
    pub over: bool,
}

impl Decision {
    /// Returns what a policy decides where the account stands; nothing happens to the account.
    ///
    /// # Errors
    /// A recurrent policy, and an observation that is not finite.
    pub fn of(policy: &Policy, live: &LiveSession) -> anyhow::Result<Self> {
        let (observation, mask) = (live.observation(), live.mask());
        let decided = policy.decide(&observation, &[mask], None)?;
        let action = Action::from_index(decided.action[0]).context("the policy has other actions")?;
        let probabilities = decided.prob[0][..ACTION_NAMES.len()].to_vec();
        Ok(Self { action, probabilities, mask, value: decided.value[0], observation, over: live.is_over() })
    }

    /// Returns the names of the legal actions, in order.
    pub fn legal(&self) -> Vec<&'static str> {
        let legal = |action: &&Action| self.mask.allows(**action as u8);
        Action::ALL.iter().filter(legal).map(|action| action.name()).collect()
    }
}
