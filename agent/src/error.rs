//! Errors of this crate.

use std::{io, path::PathBuf};

/// Error of the agent crate.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A configuration is invalid; every fault is listed with its path.
    #[error("the configuration has {} fault(s): {}", .0.len(), .0.join("; "))]
    Config(Vec<String>),

    /// The device cannot run the chosen backend, or does not exist.
    #[error("{0}")]
    Device(String),

    /// A number that must be finite is not.
    #[error(
        "{what} is {value} at step {timesteps} (iteration {iteration}); training stops, the last checkpoint is intact"
    )]
    NonFinite {
        /// The tensor, loss or reward, and the position in it.
        what: String,
        /// The number found.
        value: f32,
        /// Lane-steps taken when it was found.
        timesteps: u64,
        /// Iterations completed before.
        iteration: u64,
    },

    /// The tape has a value that cannot be normalised.
    #[error("feature {feature} is {value} in tape row {row}; repair the data before training")]
    Tape {
        /// The feature's name, or its column when it has none.
        feature: String,
        /// Row of the tape.
        row: usize,
        /// The value found.
        value: f32,
    },

    /// A forecaster cannot be trained on these samples.
    #[error("the forecaster cannot be trained: {0}")]
    Forecast(String),

    /// The environment and the policy have different observations or actions.
    #[error("the policy does not fit this environment: {0}")]
    Spec(String),

    /// The environment rejected a saved state.
    #[error("the environment rejected the checkpoint's state: {0}")]
    EnvState(String),

    /// A model file or its sidecar cannot be used.
    #[error("cannot use the model {}: {reason}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },

    /// A checkpoint cannot be used.
    #[error("cannot use the checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },

    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// This build has no libtorch.
    #[error(
        "this build has no libtorch, which {0} need: in a clone of the source, run scripts/setup.sh (with --cuda for a GPU) and cargo build --release"
    )]
    NoLibtorch(
        /// The part of the program that needs it, in the plural.
        &'static str,
    ),

    /// A libtorch operation failed, most often for lack of memory.
    #[cfg(feature = "torch")]
    #[error("libtorch could not {action}")]
    Torch {
        /// The operation.
        action: &'static str,
        /// The error of libtorch.
        source: tch::TchError,
    },
}
