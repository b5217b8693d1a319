//! The compiled half of `zerodte.live`: the session of a date, and a decision at the close of its newest bar.

use std::sync::Arc;

use market_data::calendar::{Session, session_time};
use market_env::{Action, LiveSession};
use numpy::PyArray1;
use pyo3::{prelude::*, types::PyDict};

use crate::{
    env, error,
    market::{self, PyMarket},
    policy::PyPolicy,
};

/// Returns the start of a session, nanoseconds since 1970 in UTC, and its length in minutes.
#[pyfunction]
#[pyo3(name = "_session")]
pub(crate) fn session(date: &Bound<'_, PyAny>) -> PyResult<(i64, usize)> {
    let session: Session = market::session_on(date)?;
    Ok((session.open_ns, session.minutes()))
}

/// Plays an account up to bar `bar` of the market's only session by the actions given, one per bar before it, and returns the decision
/// of the policy there as a dict: `action`, `probabilities`, `mask`, `value`, `observation`, `columns`, `over`.
#[pyfunction]
#[pyo3(name = "_decide")]
pub(crate) fn decide<'py>(
    py: Python<'py>,
    policy: &PyPolicy,
    market: &PyMarket,
    actions: Vec<u8>,
    bar: u32,
) -> PyResult<Bound<'py, PyDict>> {
    let mut live =
        LiveSession::start(Arc::clone(&market.market), market.settings.env.clone(), bar).map_err(error::env)?;
    policy.policy.check_spec(live.spec()).map_err(error::agent)?;
    for number in actions {
        let action = Action::from_index(number).ok_or_else(|| error::value(format!("there is no action {number}")))?;
        let at = session_time(live.bar() as usize);
        live.step(action).map_err(|fault| error::value(format!("at the close of {at}: {fault}")))?;
        if live.is_over() {
            break;
        }
    }
    let (observation, mask) = (live.observation(), live.mask());
    let decided = policy.policy.decide(&observation, &[mask], None).map_err(error::agent)?;
    let kinds = live.spec().actions.len();
    let legal = (0..kinds as u8).map(|action| mask.allows(action)).collect();
    let found = PyDict::new(py);
    found.set_item("action", decided.action[0])?;
    found.set_item("probabilities", PyArray1::from_slice(py, &decided.prob[0][..kinds]))?;
    found.set_item("mask", PyArray1::from_vec(py, legal))?;
    found.set_item("value", decided.value[0])?;
    found.set_item("observation", PyArray1::from_vec(py, observation))?;
    found.set_item("columns", env::columns(live.spec()))?;
    found.set_item("over", live.is_over())?;
    Ok(found)
}
