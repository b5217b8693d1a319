//! Whether a training is well: figures of every interval, a verdict with its evidence, and what to do about it.
//!
//! ```text
//! Monitor (every step, every iteration) ─► Health: all figures of one interval
//!   └► judge: a Reading of that interval alone ─► Judge: the verdict that has persisted
//!        └► Controller: what `adapt` changes
//! ```
//!
//! Policy figures are of every decision of the interval, never of a sample of it. A verdict is called only when it has
//! been read in several intervals in a row, and it says on what it rests.

mod checklist;
mod config;
mod controller;
mod interval_figures;
mod interval_report;
pub mod log_block;
mod log_lines;
mod monitor;
mod rules;
mod session_counts;
mod verdict;

pub use checklist::{CHECKPOINTS, Check, checklist};
pub use config::{COLLAPSED, DRIFTING, HealthConfig, OnCollapse};
pub use controller::{Controller, Move, Response};
pub use interval_figures::{Learner, Opportunity, OverfitGap, PolicyFigures};
pub use interval_report::IntervalReport;
pub use monitor::{Monitor, MonitorState};
pub use rules::{FEW_TRADES, IntervalVerdict};
pub use verdict::{Persistence, Verdict};
