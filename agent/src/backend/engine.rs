//! Interface between the trainer and a backend.

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

/// Method of choosing an action from a distribution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ActionSelection<'a> {
    /// Inverse-CDF sampling with one uniform in [0, 1) per lane. `[N]`
    Sampled(&'a [f64]),
    /// The most probable action.
    Greedy,
}

impl ActionSelection<'_> {
    pub(crate) fn select(self, distribution: &MaskedCategorical, lane: usize) -> u8 {
        match self {
            Self::Sampled(uniforms) => distribution.sample(uniforms[lane]),
            Self::Greedy => distribution.greedy(),
        }
    }
}

/// Sizes of the buffers of an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Steps of a rollout.
    pub(crate) steps: usize,
    pub(crate) lanes: usize,
    /// Samples of a minibatch.
    pub(crate) batch: usize,
    /// Steps per sequence of a recurrent policy; 1 for an MLP.
    pub(crate) sequence: usize,
}

/// Forward passes, gradients and optimiser steps of a policy. One iteration calls `act` at every step, `bootstrap`
/// where an episode is truncated, then `finish_rollout`, `load`, and `epoch` once per pass.
pub(crate) trait Engine: fmt::Debug + Send {
    /// Chooses an action for every lane at one step and advances the recurrent state. Log-probabilities and values may
    /// be deferred to [`Engine::finish_rollout`].
    fn act(&mut self, rollout: &mut Rollout, time: usize, selection: ActionSelection<'_>) -> Result<(), AgentError>;

    /// Writes the values of the final observations of truncated episodes (of all lanes, where that is cheaper).
    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError>;

    /// Completes a rollout: writes the values after the last step and everything that `act` deferred.
    fn finish_rollout(&mut self, rollout: &mut Rollout) -> Result<(), AgentError>;

    /// Loads the advantages and targets of the rollout before the passes over it.
    fn load(&mut self, rollout: &Rollout) -> Result<(), AgentError>;

    /// Takes one gradient step per minibatch of `order`, the shuffled sample numbers of the rollout; for a recurrent
    /// policy sequence numbers, where `q · N + n` holds the steps `q · L` to `(q + 1) · L - 1` of lane `n`.
    fn epoch(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError>;

    /// Returns the outputs `[B, units]` of every hidden layer, in the order of
    /// [`Layout::hidden`](crate::policy::layout::Layout::hidden), on samples (or sequences) of the last rollout,
    /// numbered as in [`Engine::epoch`].
    fn activations(&mut self, rollout: &Rollout, picks: &[u32]) -> Result<Vec<Vec<f32>>, AgentError>;

    /// Returns the name of the tensor with a non-finite gradient in the last minibatch, if the backend keeps that
    /// gradient.
    fn non_finite_gradient(&self, _layout: &Layout) -> Option<String> {
        None
    }

    /// Copies out the parameters `[P]` and the optimiser state.
    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError>;

    /// Loads a rollout collected elsewhere, of an MLP policy.
    #[cfg(all(test, feature = "torch"))]
    fn load_external(&mut self, rollout: &Rollout) {
        self.load(rollout).unwrap();
    }

    /// Returns the mean gradient of one minibatch: samples or sequences, as in [`Engine::epoch`]. `[P]`
    #[cfg(test)]
    fn gradient(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Vec<f32>;

    /// Copies out the recurrent state of the lanes, `[N, S]`; a no-op without recurrence.
    fn memory(&self, _out: &mut [f32]) -> Result<(), AgentError> {
        Ok(())
    }

    /// Sets the recurrent state of the lanes, `[N, S]`; a no-op without recurrence.
    fn set_memory(&mut self, _memory: &[f32]) -> Result<(), AgentError> {
        Ok(())
    }

    /// Returns a short description of backend and device, for logs.
    fn describe(&self) -> String;
}
