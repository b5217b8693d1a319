//! View of a training at one moment, from a run folder or a log.

use jiff::Timestamp;
use market_data::DataStamp;
use serde::Serialize;

use crate::artifacts::health_rows::{HealthRow, MoveRow};

/// State of a training, as read from its files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The run folder or the log.
    pub source: String,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones; absent if unknown.
    pub data: Option<DataStamp>,
    /// Steps asked for, where known.
    pub planned: Option<u64>,
    /// Steps taken.
    pub step: u64,
    /// The diagnostics intervals, oldest first.
    pub intervals: Vec<IntervalSnapshot>,
    /// The newest figures of the learner.
    pub learner: LearnerStats,
    /// The verdicts, oldest first; empty for a legacy log.
    pub health: Vec<HealthRow>,
    /// Changes made by the controller, oldest first; empty for a log.
    pub moves: Vec<MoveRow>,
    /// Time of the last write.
    pub updated: Option<Timestamp>,
    /// True if the training is over.
    pub finished: bool,
}

/// Figures at the end of one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IntervalSnapshot {
    /// First step of the interval.
    pub first_step: u64,
    /// Steps taken at its end.
    pub step: u64,
    /// Figures of the interval alone.
    pub interval: WindowStats,
    /// Figures since step 0.
    pub total: WindowStats,
    /// The learner's figures of the last iteration before.
    pub learner: LearnerStats,
}

/// Action shares and P&L of a policy in a window of steps; absent if unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct WindowStats {
    /// Share of HOLD among the decisions of flat accounts.
    pub hold: Option<f64>,
    /// Share of BUY_CALL.
    pub buy_call: Option<f64>,
    /// Share of BUY_PUT.
    pub buy_put: Option<f64>,
    /// Share of entries among the flat decisions on strong setups.
    pub strong_buy: Option<f64>,
    /// Share of entries among all other flat decisions.
    pub weak_buy: Option<f64>,
    /// Share of steps begun in a position; from the counts of a log, of steps without a flat decision.
    pub in_market: Option<f64>,
    /// P&L after costs, in US dollars, summed over lanes.
    pub net_pnl_usd: Option<f64>,
}

impl WindowStats {
    /// Returns the share of entries of either side.
    pub fn buy(&self) -> Option<f64> {
        Some(self.buy_call? + self.buy_put?)
    }

    /// Returns the share of actions without effect when flat, which the Python predecessor allowed.
    pub fn other(&self) -> Option<f64> {
        Some((1.0 - self.hold? - self.buy()?).max(0.0))
    }
}

/// Figures of the learner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LearnerStats {
    /// Mean entropy of unforced decisions as a share of the largest possible one.
    pub entropy_norm: Option<f64>,
    /// Mean entropy of all decisions, in nats.
    pub entropy: Option<f64>,
    /// Share of the variance of its targets that the critic explains.
    pub explained_variance: Option<f64>,
    /// Steps per second since the start.
    pub fps: Option<f64>,
}

impl LearnerStats {
    /// Sets the figure of a key in tables and records; other keys are ignored.
    pub(crate) fn set(&mut self, key: &str, value: f64) {
        match key {
            "policy/entropy_norm" => self.entropy_norm = Some(value),
            "train/entropy_loss" => self.entropy = Some(-value),
            "train/explained_variance" => self.explained_variance = Some(value),
            "time/fps" => self.fps = Some(value),
            _ => {}
        }
    }
}

impl View {
    /// Returns the newest interval.
    pub fn last(&self) -> Option<&IntervalSnapshot> {
        self.intervals.last()
    }

    /// Returns the verdict on the interval that ended at `step`.
    pub fn verdict_at(&self, step: u64) -> Option<&HealthRow> {
        self.health.iter().rev().find(|row| row.step == step)
    }
}
