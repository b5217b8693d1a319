//! Evaluation of a policy: replays, money figures, baselines, audits.

pub mod audit;
pub mod baselines;
pub mod cost_sensitivity;
pub mod held_out;
pub mod performance;
pub mod replay;
