//! Stand-in for the libtorch backend in a build without libtorch.

use super::Gpus;
use crate::{
    AdamState, AgentError, Policy,
    backend::engine::{Engine, Sizes},
    ppo::rollout::Inputs,
};

/// Refuses to build an engine.
pub(super) fn engine(
    _: &Policy,
    _: &AdamState,
    _: &Inputs,
    _: Option<usize>,
    _: Sizes,
) -> Result<Box<dyn Engine>, AgentError> {
    Err(AgentError::NoLibtorch("policies on the backend tch"))
}

/// Returns no GPUs.
pub(super) fn gpus() -> Gpus {
    Gpus { cuda: false, count: 0 }
}
