//! Rust's errors as exceptions of Python.

use market_data::DataError;
use market_env::EnvError;
use ppo_agent::AgentError;
use pyo3::{
    PyErr,
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
};

/// Returns a `ValueError` with this sentence.
pub(crate) fn value(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Returns a `RuntimeError` with this sentence.
pub(crate) fn runtime(error: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// Returns a fault of the data.
pub(crate) fn data(error: DataError) -> PyErr {
    value(error)
}

/// Returns a fault of a market or an environment.
pub(crate) fn env(error: EnvError) -> PyErr {
    value(error)
}

/// Returns an error of the agent: `OSError` for a file that cannot be read or written, `RuntimeError` for a training that broke,
/// and
/// `ValueError` for what the caller can correct.
pub(crate) fn agent(error: AgentError) -> PyErr {
    match &error {
        AgentError::Io { source, .. } => PyOSError::new_err(format!("{error}: {source}")),
        AgentError::NonFinite { .. } => runtime(error),
        _ => value(error),
    }
}
