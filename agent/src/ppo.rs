//! PPO on plain slices: rollout buffer, advantages, distributions, losses.

pub mod advantage;
pub mod distribution;
pub(crate) mod loss;
pub(crate) mod rollout;
