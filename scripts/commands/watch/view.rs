//! What is known of a training at one moment, wherever it was read.

use jiff::Timestamp;
use market_data::DataStamp;
use serde::Serialize;

use crate::artifacts::health_rows::{HealthRow, MoveRow};

/// Everything that a watcher of a training knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The run folder or the log.
    pub source: String,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones; absent where it does not say.
    pub data: Option<DataStamp>,
    /// Steps asked for, where known.
    pub planned: Option<u64>,
    /// Steps taken.
    pub step: u64,
    /// The diagnostics intervals, oldest first.
    pub intervals: Vec<Seen>,
    /// The newest figures of the learner.
    pub learner: Learner,
    /// The verdicts, oldest first; empty for a log of the old system.
    pub health: Vec<HealthRow>,
    /// What the controller changed, oldest first; empty for a log.
    pub moves: Vec<MoveRow>,
    /// When something was last written.
    pub updated: Option<Timestamp>,
    /// Whether the training is over.
    pub finished: bool,
}

/// What was seen at the end of one interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Seen {
    /// First step of the interval.
    pub first_step: u64,
    /// Steps taken at its end.
    pub step: u64,
    /// Figures of the interval alone.
    pub interval: Habits,
    /// Figures since step 0.
    pub total: Habits,
    /// The learner's figures of the last iteration before.
    pub learner: Learner,
}

/// What a policy did in a window of time, and what it earned; absent where nothing tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Habits {
    /// Share of HOLD among the decisions of flat accounts.
    pub hold: Option<f64>,
    /// Share of BUY_CALL.
    pub buy_call: Option<f64>,
    /// Share of BUY_PUT.
    pub buy_put: Option<f64>,
    /// Share of entries on strong setups.
    pub strong_buy: Option<f64>,
    /// Share of entries on all others.
    pub weak_buy: Option<f64>,
    /// Share of steps begun in a position. From the counts of a log: of steps that were no decision of a flat account.
    pub in_market: Option<f64>,
    /// P&L after costs, in US dollars, summed over lanes.
    pub net_pnl_usd: Option<f64>,
}

impl Habits {
    /// Returns the share of entries of either side.
    pub fn buy(&self) -> Option<f64> {
        Some(self.buy_call? + self.buy_put?)
    }

    /// Returns the share of actions that mean nothing when flat, which the old system allowed.
    pub fn other(&self) -> Option<f64> {
        Some((1.0 - self.hold? - self.buy()?).max(0.0))
    }
}

/// What the learner says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Learner {
    /// Mean entropy of unforced decisions as a share of the largest possible one.
    pub entropy_norm: Option<f64>,
    /// Mean entropy of all decisions, in nats.
    pub entropy: Option<f64>,
    /// Share of the variance of its targets that the critic explains.
    pub explained_variance: Option<f64>,
    /// Steps per second since the start.
    pub fps: Option<f64>,
}

impl Learner {
    /// Takes note of one figure under its key in tables and records; others are none of its business.
    pub(crate) fn take(&mut self, key: &str, value: f64) {
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
    pub fn last(&self) -> Option<&Seen> {
        self.intervals.last()
    }

    /// Returns the verdict on the interval that ended at `step`.
    pub fn verdict_at(&self, step: u64) -> Option<&HealthRow> {
        self.health.iter().rev().find(|row| row.step == step)
    }
}
