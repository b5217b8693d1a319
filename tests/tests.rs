//! The integration tests, in one binary so that libtorch is linked once. Unit tests stand beside the code that they test.
//!
//! - `env`: money, fills and masks against a slow account, conservation of cash, no look-ahead, determinism.
//! - `agent`: trainings on markets with and without an edge, the verdict, forecasters.
//! - `cli`: the binaries as a user runs them, one module per command or subject.
//! - `vendor`: fetching, caching and refusals, against a fake vendor on a local port.
//! - `structure`: no circles between files, no imports against the direction, short files and functions.
//!
//! `util` holds small markets and batches, `cli` the helpers that run a binary. `reference/` holds the Python programs that
//! wrote the arrays and curves of Stable-Baselines3 and PyTorch. Tests on real bars are skipped where the bars are absent.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and a skipped test prints its reason")]

mod agent;
mod cli;
mod docs;
mod env;
mod snapshots;
mod structure;
mod util;
mod vendor;
