//! JSON report of a backtest.

use std::collections::BTreeMap;

use market_data::{DataStamp, DateRange};
use market_env::RealOptions;
use serde::Serialize;

use crate::evaluation::{audit::Audit, cost_sensitivity::CostSensitivity, performance::Performance};

/// Report written by `zerodte backtest --json`.
#[derive(Debug, Clone, Serialize)]
pub struct BacktestReport {
    /// The model file.
    pub model: String,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Selection of actions: `"greedy"` or `"sampled"`.
    pub behaviour: &'static str,
    /// Seed of sampled actions.
    pub seed: u64,
    /// Symbols replayed.
    pub symbols: Vec<String>,
    /// First and last session date.
    pub dates: DateRange,
    /// First and last session dates of the trainings behind the model: its own, then those of the models it started
    /// from.
    pub trained_on: Vec<DateRange>,
    /// Replayed session dates that lie within the training dates; above 0 the result is in sample.
    pub in_sample_dates: usize,
    /// Capital that every symbol-session starts with.
    pub capital_usd: f64,
    /// The figures.
    #[serde(flatten)]
    pub figures: Performance,
    /// For a policy that almost never buys: its purchases, against the earnings of policies without information on the
    /// same sessions.
    pub staying_out: Option<String>,
    /// Net P&L by session date, in dollars.
    pub daily_pnl_usd: BTreeMap<String, f64>,
    /// Basis of the quotes, if real options were replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_options: Option<RealOptions>,
    /// The same replay at several multiples of the spread, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_sensitivity: Option<CostSensitivity>,
    /// Findings of the audit of the trades, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}
