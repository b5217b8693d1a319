//! Tables as dicts of equally long columns, which pandas and polars turn into frames.

use market_env::{Episode, Market, Trade};
use numpy::{PyArray1, PyArrayMethods as _};
use pyo3::{prelude::*, types::PyDict};
use serde::Serialize;
use serde_json::Value;

use crate::{error, settings::object};

/// Returns one row per finished session: `lane`, `day`, `symbol`, `date`, `steps`, `reward`, `net_pnl_cents`, `fees_cents`,
/// `trades`,
/// `held_steps`.
///
/// # Errors
/// When memory runs out.
pub(crate) fn of_episodes<'py>(py: Python<'py>, episodes: &[Episode], market: &Market) -> PyResult<Bound<'py, PyDict>> {
    let table = PyDict::new(py);
    let day = |episode: &Episode| &market.days()[episode.day as usize];
    let whole = |of: fn(&Episode) -> i64| PyArray1::from_vec(py, episodes.iter().map(of).collect());
    table.set_item("lane", whole(|episode| i64::from(episode.lane)))?;
    table.set_item("day", whole(|episode| i64::from(episode.day)))?;
    table.set_item("symbol", episodes.iter().map(|episode| day(episode).symbol.to_string()).collect::<Vec<_>>())?;
    table.set_item("date", episodes.iter().map(|episode| day(episode).date.to_string()).collect::<Vec<_>>())?;
    table.set_item("steps", whole(|episode| i64::from(episode.steps)))?;
    table.set_item("reward", PyArray1::from_vec(py, episodes.iter().map(|episode| episode.reward).collect()))?;
    table.set_item("net_pnl_cents", whole(|episode| episode.net_pnl_cents))?;
    table.set_item("fees_cents", whole(|episode| episode.fees_cents))?;
    table.set_item("trades", whole(|episode| i64::from(episode.trades)))?;
    table.set_item("held_steps", whole(|episode| i64::from(episode.held_steps)))?;
    Ok(table)
}

/// Returns one row per closed position, with the columns of the program's trade files.
///
/// # Errors
/// When memory runs out.
pub(crate) fn of_trades<'py>(py: Python<'py>, trades: &[Trade]) -> PyResult<Bound<'py, PyDict>> {
    const COLUMNS: [&str; 18] = [
        "lane",
        "symbol",
        "date",
        "side",
        "strike",
        "expiry",
        "entry_ts_ns",
        "exit_ts_ns",
        "contracts",
        "entry_price",
        "entry_fees_cents",
        "exit_price",
        "fees_cents",
        "net_pnl_cents",
        "net_return",
        "reason",
        "setup",
        "prices",
    ];
    let table = of_records(py, trades, &COLUMNS)?;
    table.set_item("side", trades.iter().map(|trade| trade.side.name()).collect::<Vec<_>>())?;
    table.set_item("reason", trades.iter().map(|trade| trade.reason.name()).collect::<Vec<_>>())?;
    table.set_item("prices", trades.iter().map(|trade| trade.prices.name()).collect::<Vec<_>>())?;
    Ok(table)
}

/// Returns the named fields of records as columns.
fn of_records<'py>(py: Python<'py>, records: &[impl Serialize], columns: &[&str]) -> PyResult<Bound<'py, PyDict>> {
    let rows: Vec<Value> = records.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(error::value)?;
    let table = PyDict::new(py);
    for &column in columns {
        table.set_item(column, object(py, &rows.iter().map(|row| &row[column]).collect::<Vec<_>>())?)?;
    }
    Ok(table)
}

/// Returns a read-only copy of numbers as an array `[rows, columns]`.
///
/// # Errors
/// When memory runs out.
pub(crate) fn read_only<'py>(
    py: Python<'py>,
    values: &[f32],
    columns: usize,
) -> PyResult<Bound<'py, numpy::PyArray2<f32>>> {
    let array = PyArray1::from_slice(py, values).reshape([values.len() / columns.max(1), columns])?;
    array.readwrite().make_nonwriteable();
    Ok(array)
}
