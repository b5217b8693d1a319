//! The command-line layer: flags and files become a configuration, a run becomes logs, tables, charts and models.
//!
//! The binaries only parse their flags: `train_historical_model` calls [`training::run`], and `zerodte` calls
//! [`commands::run`], with one module per subcommand. Only this crate uses the clock, the terminal and the file system.
//!
//! Imports point in one direction:
//!
//! ```text
//! commands ─► training ─► report_page ─► sweep ─► walk_forward ─► evaluation ─► inputs ─► artifacts ─► config ─► output        chart stands beside them
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod artifacts;
pub mod chart;
pub mod commands;
pub mod config;
pub mod evaluation;
pub mod inputs;
pub mod output;
pub mod report_page;
pub mod sweep;
pub mod training;
pub mod walk_forward;
