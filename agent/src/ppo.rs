//! The formulas of PPO on plain slices: rollouts, advantages, distributions, losses.

pub mod advantage;
pub mod distribution;
pub(crate) mod loss;
pub(crate) mod rollout;
