//! Evaluation of a policy: replays, performance, baselines, audits, and the verdict on an edge.

pub mod audit;
pub mod baselines;
pub mod break_even;
pub mod breakdown;
pub mod capacity;
pub mod cost_sensitivity;
pub mod decision;
pub mod details;
pub mod edge;
pub mod groups;
pub mod held_out;
pub mod market_facts;
pub mod matched_random;
pub mod money;
pub mod performance;
pub mod price_counts;
pub mod price_level;
pub mod random_legal;
pub mod replay;
pub mod sessions;
