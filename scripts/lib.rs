//! The command-line layer: flags and files become a configuration, a run becomes logs, tables, charts and models.
//!
//! The binaries only parse their flags: `train_historical_model` calls [`training::run`], and the commands of `zerodte` call
//! [`backtest::run`], [`audit::run`] and [`explain::run`] (trained models), [`watch::run`], [`diagnose::run`], [`audit_reward::run`] and
//! [`reproduce::run`] (trainings and rewards), [`inspect::run`] (bars), [`calibrate::run`] (option prices), [`bench::run`] and
//! [`selftest::run`] (this program). This is the one place that knows the clock, the terminal and the file system.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod audit;
pub mod audit_reward;
pub mod backtest;
pub mod baselines;
pub mod bench;
pub mod calibrate;
pub mod care;
pub mod chart;
pub mod clock;
pub mod comments;
pub mod config;
pub mod console;
pub mod costs;
pub mod diagnose;
pub mod doctor;
pub mod explain;
pub mod fetch;
pub mod figures;
pub mod files;
pub mod flags;
pub mod forecast;
pub mod foreseen;
pub mod health_rows;
pub mod held_out;
pub mod inputs;
pub mod inspect;
pub mod keys;
pub mod layers;
pub mod manifest;
pub mod model;
pub mod output_file;
pub mod paths;
pub mod records;
pub mod replay;
pub mod report;
pub mod reporter;
pub mod reproduce;
pub mod resume;
pub mod selftest;
pub mod service;
pub mod table;
pub mod tail;
pub mod tensorboard;
pub mod trades;
pub mod training;
pub mod training_chart;
pub mod usage;
pub mod watch;
