//! The integration tests: one binary, so that libtorch is linked once. Unit tests lie under the code they test.
//!
//! `oracle` steps a slow account beside the batch, `conservation` adds up a year's money, `leakage` proves that nothing
//! comes from the future, `determinism` repeats runs, `learning` trains and compares with `follower`, `golden` pins what
//! people grep, `orders` what a scripted policy buys and sells, `cli` runs the binaries, `tools` what they do with a trained
//! model, `audit_reward` probes rewards, `calibrate` sets the model beside prices that are known, `inspect` finds
//! planted faults of bars, `reproduce` tells the old story,
//! `forecast` trains forecasters, `forecast_compare` sets them side by side, `watch` looks at runs and logs, `health` lets trainings go
//! wrong, `resume` kills runs, and `snapshots` compares every text that a user reads with the one on file. `fake_vendor` is a market-data vendor whose prices can be computed, `vendor_kit` what
//! its tests share: `vendor_fetch` fetches whole histories from it and is killed on the way, `vendor_errors` reads what it
//! says no with and looks for the key, `vendor_faults` lets anything go wrong in any order, `vendor_history` makes histories
//! of what came, `vendor_keeping` sees to it that nothing good is overwritten or mixed, `vendor_options` asks for options, `vendor_others` asks the other vendors, `vendor_fixtures` reads
//! bodies that are published, and `vendor_cli` runs the commands that ask vendors.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why it is skipped")]

mod audit_reward;
mod calibrate;
mod cli;
mod conservation;
mod determinism;
mod fake_vendor;
mod follower;
mod forecast;
mod forecast_compare;
mod golden;
mod health;
mod inspect;
mod leakage;
mod learning;
mod options;
mod oracle;
mod orders;
mod reproduce;
mod resume;
mod snapshots;
mod tools;
mod util;
mod vendor_cli;
mod vendor_errors;
mod vendor_faults;
mod vendor_fetch;
mod vendor_fixtures;
mod vendor_history;
mod vendor_keeping;
mod vendor_kit;
mod vendor_options;
mod vendor_others;
mod watch;
