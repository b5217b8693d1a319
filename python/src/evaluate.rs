//! The function `evaluate`: a policy, or a policy without information, on sessions played once each.

use std::sync::Arc;

use market_env::{BatchEnv, ExitReason};
use ppo_agent::{Behaviour, Evaluation, evaluate};
use pyo3::{intern, prelude::*, types::PyDict};

use crate::{error, market::PyMarket, policy::PyPolicy, settings::object, table, threads};

/// Plays every session once and returns a dict.
///
/// Parameters
/// ----------
/// policy : Policy
/// market : Market
/// days : str or sequence of int
///     `"train"`, `"validation"`, `"test"`, `"all"`, or indices into `market.sessions()`.
/// behaviour : {"greedy", "sampled", "always_hold", "random_legal"}
///     The last two ignore the policy.
/// seed : int
///     Seed of drawn actions.
/// config : dict or path of a TOML file, optional
///     Replaces parts of the market's configuration; the section `env` is read.
/// num_threads : int
///     0 stands for one per core; the result is the same.
///
/// Returns
/// -------
/// dict
///     `sessions` and `trades` are dicts of columns, for pandas or polars; `ledger` holds the counters; `net_pnl_usd`,
///     `fees_usd`, `closed`,
///     `win_rate` and `exits` are those of all sessions together.
///
/// Raises
/// ------
/// ValueError
///     The policy was trained on other columns, or an argument is faulty.
#[pyfunction]
#[pyo3(name = "evaluate", signature = (policy, market, days=None, *, behaviour="greedy", seed=0, config=None, num_threads=0))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub(crate) fn evaluate_policy<'py>(
    py: Python<'py>,
    policy: &PyPolicy,
    market: &PyMarket,
    days: Option<&Bound<'py, PyAny>>,
    behaviour: &str,
    seed: u64,
    config: Option<&Bound<'py, PyAny>>,
    num_threads: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let settings = market.settings.with(config)?;
    let days = market.days(days.unwrap_or(intern!(py, "validation").as_any()))?;
    let behaviour = behaviour_named(behaviour)?;
    let pool = threads::pool(num_threads)?;
    let (played, trades) = py.detach(|| {
        pool.install(|| {
            let mut env = BatchEnv::replay(Arc::clone(&market.market), days, settings.env).map_err(error::env)?;
            let played = evaluate(&policy.policy, &mut env, behaviour, seed).map_err(error::agent)?;
            let mut trades = Vec::new();
            env.drain_trades(&mut trades);
            PyResult::Ok((played, trades))
        })
    })?;
    let Evaluation { ledger, episodes } = played;
    let (result, exits) = (PyDict::new(py), PyDict::new(py));
    for reason in ExitReason::ALL {
        exits.set_item(reason.name(), ledger.exits[reason as usize])?;
    }
    let closed = ledger.closed();
    result.set_item("net_pnl_usd", ledger.net_pnl_cents as f64 / 100.0)?;
    result.set_item("fees_usd", ledger.fees_cents as f64 / 100.0)?;
    result.set_item("closed", closed)?;
    result.set_item("win_rate", (closed > 0).then(|| ledger.wins as f64 / closed as f64))?;
    result.set_item("exits", exits)?;
    result.set_item("sessions", table::of_episodes(py, &episodes, &market.market)?)?;
    result.set_item("trades", table::of_trades(py, &trades)?)?;
    result.set_item("ledger", object(py, &ledger)?)?;
    Ok(result)
}

fn behaviour_named(name: &str) -> PyResult<Behaviour> {
    match name {
        "greedy" => Ok(Behaviour::Greedy),
        "sampled" => Ok(Behaviour::Sampled),
        "always_hold" => Ok(Behaviour::AlwaysHold),
        "random_legal" => Ok(Behaviour::RandomLegal),
        _ => Err(error::value(format!("behaviour: {name:?} is none of greedy, sampled, always_hold and random_legal"))),
    }
}
