//! Rows of `health.jsonl` and `moves.jsonl`: the verdict on every interval, and the changes made by the controller. The run that
//! writes them and the tools that read them share these types.

use std::fmt;

use market_data::DataStamp;
use ppo_agent::health::{IntervalReport, Move, TradeMoney, Verdict};
use serde::{Deserialize, Serialize};

pub use ppo_agent::health::{Check, checklist};

/// File of a run folder with one [`HealthRow`] per diagnostics interval.
pub const HEALTH: &str = "health.jsonl";
/// File of a run folder with one [`MoveRow`] per change of a setting.
pub const MOVES: &str = "moves.jsonl";

/// A verdict as a file holds it. A file of another version may hold a word that this version lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WrittenVerdict {
    /// A verdict of this version.
    Known(Verdict),
    /// Any other word.
    Unknown(String),
}

impl WrittenVerdict {
    /// Returns the exit code of the verdict ([`Verdict::exit_code`]), 0 for an unknown word.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Known(verdict) => verdict.exit_code(),
            Self::Unknown(_) => 0,
        }
    }
}

impl From<Verdict> for WrittenVerdict {
    fn from(verdict: Verdict) -> Self {
        Self::Known(verdict)
    }
}

impl From<&str> for WrittenVerdict {
    fn from(word: &str) -> Self {
        word.parse().map_or_else(|_| Self::Unknown(word.to_owned()), Self::Known)
    }
}

impl fmt::Display for WrittenVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(verdict) => verdict.fmt(f),
            Self::Unknown(word) => word.fmt(f),
        }
    }
}

/// The verdict on one diagnostics interval: a line of `health.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthRow {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Timesteps at the end of the interval.
    pub step: u64,
    /// First timestep of the interval.
    pub first_step: u64,
    /// The called verdict: the reading of `health.persistence` consecutive intervals; of collapses into different actions, the
    /// latest.
    pub verdict: WrittenVerdict,
    /// The reading of this interval alone.
    pub reading: WrittenVerdict,
    /// Timesteps at which the called verdict began.
    pub since: u64,
    /// The figures that the reading rests on, one sentence each.
    pub evidence: Vec<String>,
    /// Checks of the documented targets; empty except at 5k, 10k, 25k, 50k, 100k, 250k and 500k steps.
    #[serde(default)]
    pub checklist: Vec<Check>,
    /// Advice, one sentence each.
    #[serde(default)]
    pub advice: Vec<String>,
    /// Money of the interval's trades, which says nothing about the training and the verdict nothing about it; absent without
    /// trades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<TradeMoney>,
}

impl HealthRow {
    /// Returns the row of the interval that passed `step`, a multiple of the cadence; `data` is the data stamp.
    pub fn of(data: DataStamp, step: u64, health: &IntervalReport) -> Self {
        Self {
            data,
            step,
            first_step: health.total.steps - health.interval.steps + 1,
            verdict: health.confirmed.0.into(),
            reading: health.interval_verdict.verdict.into(),
            since: health.confirmed.1,
            evidence: health.interval_verdict.evidence.clone(),
            checklist: checklist(health),
            advice: health.interval_verdict.advice.clone(),
            money: health.money,
        }
    }
}

/// One change of a setting while training: a line of `moves.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveRow {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Timesteps taken when it was changed.
    pub step: u64,
    /// Configuration key, such as `ppo.ent_coef`.
    pub key: String,
    /// Its value before.
    pub from: f64,
    /// Its value from then on.
    pub to: f64,
    /// Reason for the change.
    pub reason: String,
}

impl MoveRow {
    /// Returns the row of a move made after `step` timesteps; `data` is the data stamp.
    pub fn of(data: DataStamp, step: u64, made: &Move) -> Self {
        let Move { key, from, to, reason } = made.clone();
        Self { data, step, key, from, to, reason }
    }

    /// Returns the move.
    pub fn to_move(&self) -> Move {
        Move { key: self.key.clone(), from: self.from, to: self.to, reason: self.reason.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    fn round_trip<T: Serialize + DeserializeOwned>(text: &str) -> T {
        let row: T = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), text);
        row
    }

    #[test]
    fn rows_are_written_as_they_are_documented() {
        let row: HealthRow = round_trip(
            r#"{"data":"market","step":5000,"first_step":1,"verdict":"healthy","reading":"drifting","since":5000,"evidence":["flat HOLD 36.8%"],"checklist":[{"name":"hold","target":"30-40%","value":0.368,"pass":true},{"name":"loss","target":"finite","value":null,"pass":false}],"advice":["wait"],"money":{"trades":40,"dates":9,"per_trade":-0.035,"random":-0.041,"interval":[-0.003,0.015]}}"#,
        );
        assert_eq!((row.checklist[0].value, row.checklist[1].value), (Some(0.368), None));
        round_trip::<MoveRow>(
            r#"{"data":"market","step":40960,"key":"ppo.ent_coef","from":0.06,"to":0.08,"reason":"HOLD 71%"}"#,
        );
        let short =
            r#"{"data":"market","step":5,"first_step":1,"verdict":"a","reading":"frozen","since":5,"evidence":[]}"#;
        let row = serde_json::from_str::<HealthRow>(short).unwrap();
        assert!(row.checklist.is_empty());
        let words = (WrittenVerdict::Unknown("a".to_owned()), WrittenVerdict::Known(Verdict::Frozen));
        assert_eq!((row.verdict.exit_code(), row.reading.exit_code(), (row.verdict, row.reading)), (0, 4, words));
    }
}
