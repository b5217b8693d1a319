//! Masked PPO that learns from any vectorised environment, and says how healthy the result is.
//!
//! Letters: `T` steps of a rollout, `N` lanes, `W` frames, `F` features per frame, `A` account columns, `K` actions,
//! `B` samples of a minibatch, `P` parameters.
//!
//! ```text
//! VecEnv ─► Trainer::iterate: collect ─► advantage ─► update ─► Iteration
//!               │ forward, gradient: one of two backends (native on the CPU, libtorch)
//!               ├► Policy (parameters, normaliser) ─► model file ─► evaluate
//!               └► Checkpoint (everything needed to continue as if nothing had happened)
//! Ledger (the environment's counters) ─► diagnostics: log blocks and metrics
//! ```
//!
//! The trainer needs the trait `VecEnv` alone: an observation is an index into the environment's feature tape plus a short
//! row of the lane's own numbers, and the first action is the one that does nothing. [`games`] are such environments without
//! a market. The module [`health`] is about the trading environment: it reads its counters (`market_env::Ledger`), its action
//! names and its setup classes, and its advice names flags and commands of the program on top. Bars, prices and contracts
//! appear nowhere.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod backend;
mod config;
mod error;
mod evaluate;
pub mod forecast;
pub mod format;
pub mod games;
pub mod health;
mod policy;
pub mod ppo;
mod random;
mod storage;
mod trainer;

#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod recurrent_tests;
#[cfg(test)]
mod trainer_tests;

pub use backend::{DeviceChoice, adam::AdamState, gpus};
pub use config::{
    Activation, Backend, EntropySchedule, PolicyConfig, PolicyKind, PpoConfig, Precision, Schedule, Trunk,
};
pub use error::AgentError;
pub use evaluate::{Behaviour, Evaluation, evaluate, evaluate_watched};
pub use health::log_block::Cadence;
pub use policy::{Policy, normalizer::Normalizer};
pub use storage::{checkpoint::Checkpoint, model_file::ModelFile, tensor_file::write_atomically};
pub use trainer::{Listener, Trainer, dormant_units::LayerActivity, iteration::Iteration, step_view::StepView};
