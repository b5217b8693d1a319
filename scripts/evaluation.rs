//! Evaluation of a policy: replays, performance, baselines, audits.

pub mod audit;
pub mod baselines;
pub mod cost_sensitivity;
pub mod held_out;
pub mod money;
pub mod performance;
pub mod price_counts;
pub mod price_level;
pub mod replay;
