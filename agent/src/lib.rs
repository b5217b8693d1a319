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
//! Nothing here knows what an option is: an observation is an index into the environment's feature tape plus a short row
//! of the lane's own numbers, and the first action is the one that does nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod activity;
mod adam;
pub mod advantage;
mod backend;
pub mod cartpole;
mod checkpoint;
mod config;
pub mod diagnostics;
pub mod distribution;
mod engine;
mod error;
mod evaluate;
mod file;
pub mod forecast;
pub mod format;
pub mod health;
mod iteration;
mod layout;
mod loss;
mod model_file;
mod moment;
mod native;
mod normalizer;
mod policy;
mod rollout;
mod schedule;
mod streams;
mod torch;
mod trainer;

#[cfg(test)]
mod cue;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod recurrent_tests;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod toy;
#[cfg(test)]
mod trainer_tests;

pub use activity::LayerActivity;
pub use adam::AdamState;
pub use backend::{DeviceChoice, gpus};
pub use checkpoint::Checkpoint;
pub use config::{Activation, Backend, PolicyConfig, PolicyKind, PpoConfig, Precision, Trunk};
pub use diagnostics::Cadence;
pub use error::AgentError;
pub use evaluate::{Behaviour, Evaluation, evaluate, evaluate_watched};
pub use file::write_atomically;
pub use iteration::Iteration;
pub use model_file::ModelFile;
pub use moment::Moment;
pub use normalizer::Normalizer;
pub use policy::Policy;
pub use schedule::{EntropySchedule, Schedule};
pub use trainer::{Listener, Trainer};
