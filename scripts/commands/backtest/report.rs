//! JSON report of a backtest.

use std::collections::BTreeMap;

use market_data::{DataStamp, DateRange};
use market_env::RealOptions;
use serde::Serialize;
use serde_json::Value;

use crate::evaluation::{
    audit::{Audit, signature_of},
    cost_sensitivity::CostSensitivity,
    performance::Performance,
    price_counts::PriceCounts,
    price_level::PriceLevel,
};

/// Report written by `zerodte backtest --json`.
#[derive(Debug, Clone, Serialize)]
pub struct BacktestReport {
    /// The model file.
    pub model: String,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Hash of the settings of training and replay that matter; reports with the same one are seeds of one trial.
    pub configuration: String,
    /// Seed of the training.
    pub training_seed: u64,
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
    /// Replayed session dates before the training dates; the model knows what came after them.
    pub dates_before_training: usize,
    /// Trades by the origin of their prices.
    pub prices: PriceCounts,
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
    /// Net P&L over draws of the level of the modelled prices; absent without trades, and for real options and made-up bars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_level: Option<PriceLevel>,
    /// The same replay at several multiples of the spread, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_sensitivity: Option<CostSensitivity>,
    /// SHA-256 of the trades as a CSV file, as `--trades` writes it.
    pub trades_sha256: String,
    /// Findings of the audit of the trades, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Signature: SHA-256 of everything else in the report, in canonical form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl BacktestReport {
    /// Returns the report as a reader of its file finds it.
    ///
    /// # Errors
    /// If it has no JSON form.
    pub fn value(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&serde_json::to_string(self)?)?)
    }

    /// Returns the report with its signature.
    ///
    /// # Errors
    /// As [`BacktestReport::value`].
    pub fn signed(self) -> anyhow::Result<Self> {
        let signature = signature_of(&self.value()?);
        Ok(Self { sha256: Some(signature), ..self })
    }

    /// Returns a sentence on the position of the dates to those of the training, whose ranges `trained_on` names.
    pub fn sample_line(&self, dates: usize, trained_on: &str) -> String {
        match (self.in_sample_dates, self.dates_before_training) {
            (0, 0) => format!("Out of sample: the model was trained on {trained_on}"),
            (0, before) if before == dates => format!(
                "Before the training dates: the model was trained on {trained_on} and knows what came after these dates"
            ),
            (0, before) => format!(
                "Out of sample on {} of {dates} dates; the other {before} lie before the training dates ({trained_on}), and the \
                 model knows what came after them",
                dates - before
            ),
            (inside, _) => format!(
                "IN SAMPLE: {inside} of {dates} dates lie within the model's training dates ({trained_on}); these figures prove \
                 nothing"
            ),
        }
    }
}
