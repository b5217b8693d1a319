//! The one face that both backends show to the trainer.

use std::fmt;

use crate::{
    AdamState, AgentError,
    policy::layout::Layout,
    ppo::{
        distribution::MaskedCategorical,
        loss::{EpochStats, UpdateSettings},
        rollout::Rollout,
    },
};

/// How an action is chosen from a distribution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Choice<'a> {
    /// At this point of the cumulative distribution, one uniform in [0, 1) for each lane. `[N]`
    Sampled(&'a [f64]),
    /// The most probable one.
    Greedy,
}

impl Choice<'_> {
    pub(crate) fn of(self, distribution: &MaskedCategorical, lane: usize) -> u8 {
        match self {
            Self::Sampled(uniforms) => distribution.sample(uniforms[lane]),
            Self::Greedy => distribution.greedy(),
        }
    }
}

/// What an engine is going to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Steps of a rollout.
    pub(crate) steps: usize,
    pub(crate) lanes: usize,
    /// Samples of a minibatch.
    pub(crate) batch: usize,
    /// Steps of the sequences that the rollouts of a recurrent policy are cut into; 1 for others.
    pub(crate) sequence: usize,
}

/// Computes the networks and moves their parameters. A rollout is collected by `act` for every step, `bootstrap` where
/// episodes are cut, and `close`; then `load` and any number of `epoch`s learn from it.
pub(crate) trait Engine: fmt::Debug + Send {
    /// Chooses an action for every lane at one step, and remembers the step if the policy has a memory. Log-probabilities
    /// and values may be held back until [`Engine::close`].
    fn act(&mut self, rollout: &mut Rollout, time: usize, choice: Choice<'_>) -> Result<(), AgentError>;

    /// Writes the values of the observations at which episodes were cut in one step (of all lanes, where cheaper).
    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError>;

    /// Ends a collection: writes the values after the last step, and whatever was held back.
    fn close(&mut self, rollout: &mut Rollout) -> Result<(), AgentError>;

    /// Takes the advantages and targets of the rollout that was collected, before the passes over it.
    fn load(&mut self, rollout: &Rollout) -> Result<(), AgentError>;

    /// Takes one gradient step per minibatch of `order`, the shuffled numbers of the rollout's samples; for a recurrent
    /// policy those of its sequences: number `q · N + n` holds the steps `q · L` to `(q + 1) · L - 1` of lane `n`.
    fn epoch(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError>;

    /// Returns the outputs `[B, units]` of every hidden layer, in the order of [`Layout::hidden`](crate::policy::layout::Layout::hidden),
    /// on some samples of the rollout collected last, or sequences, numbered as in [`Engine::epoch`].
    fn activations(&mut self, rollout: &Rollout, picks: &[u32]) -> Result<Vec<Vec<f32>>, AgentError>;

    /// Names what is not finite in the gradient of the last minibatch, where the engine still has that.
    fn broken_gradient(&self, _layout: &Layout) -> Option<String> {
        None
    }

    /// Copies the parameters `[P]` and the optimiser's state out.
    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError>;

    /// Takes a rollout that it did not collect itself, of a policy without memory.
    #[cfg(test)]
    fn adopt(&mut self, rollout: &Rollout) {
        self.load(rollout).unwrap();
    }

    /// Copies out what the lanes remember, `[N, S]`; nothing without a memory.
    fn memory(&self, _out: &mut [f32]) -> Result<(), AgentError> {
        Ok(())
    }

    /// Makes the lanes remember this, `[N, S]`; nothing without a memory.
    fn remember(&mut self, _memory: &[f32]) -> Result<(), AgentError> {
        Ok(())
    }

    /// Says in a few words what computes, for logs.
    fn describe(&self) -> String;
}
