//! Training diagnostics: figures of every interval, a verdict with its evidence, and interventions.
//!
//! ```text
//! Monitor (every step, every iteration) ─► IntervalReport: all figures of one interval
//!   └► rules: IntervalVerdict of that interval alone ─► Persistence: the verdict confirmed over several intervals
//!        └► Controller: setting changes of `--on-collapse adapt`
//! ```
//!
//! Policy figures cover every decision of the interval, not a sample. A verdict is confirmed only after several intervals
//! in a row, and it carries its evidence.

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
mod trade_money;
mod verdict;

pub use checklist::{Check, checklist};
pub use config::{COLLAPSED, DRIFTING, HealthConfig, OnCollapse};
pub use controller::{Controller, Move, Response};
pub use interval_figures::{Learner, Opportunity, OverfitGap, PolicyFigures};
pub use interval_report::IntervalReport;
pub use monitor::{Monitor, MonitorState};
pub use rules::{FEW_TRADES, IntervalVerdict};
pub use trade_money::{RandomLegal, TradeMoney, TradeReturns};
pub(crate) use verdict::Persistence;
pub use verdict::Verdict;
