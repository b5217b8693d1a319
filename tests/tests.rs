//! The integration tests: one binary, so that libtorch is linked once. Unit tests lie under the code they test.
//!
//! `oracle` steps a slow account beside the batch, `conservation` adds up a year's money, `leakage` proves that nothing
//! comes from the future, `determinism` repeats runs, `learning` trains and compares with `follower`, `golden` pins what
//! people grep, `orders` what a scripted policy buys and sells, `cli` runs the binaries, `tools` what they do with a trained
//! model, `audit_reward` probes rewards, `calibrate` sets the model beside prices that are known, `inspect` finds
//! planted faults of bars, `reproduce` tells the old story,
//! `forecast` trains forecasters, `forecast_compare` sets them side by side, `watch` looks at runs and logs, `health` lets trainings go
//! wrong, and `resume` kills runs. `fake_vendor` is a market-data vendor whose prices can be computed, `vendor_kit` what
//! its tests share: `vendor_fetch` fetches whole histories from it and is killed on the way, `vendor_errors` reads what it
//! says no with and looks for the key, `vendor_faults` lets anything go wrong in any order, `vendor_history` makes histories
//! of what came, `vendor_keeping` sees to it that nothing good is overwritten or mixed, `vendor_options` asks for options, `vendor_others` asks the other vendors, `vendor_fixtures` reads
//! bodies that are published, and `vendor_cli` runs the commands that ask vendors.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why it is skipped")]

mod agent;
mod cli;
mod env;
mod snapshots;
mod structure;
mod util;
mod vendor;
