//! The integration tests: one binary, so that libtorch is linked once. Unit tests lie under the code they test.
//!
//! `oracle` steps a slow account beside the batch, `conservation` adds up a year's money, `leakage` proves that nothing
//! comes from the future, `determinism` repeats runs, `learning` trains and compares with `follower`, `golden` pins what
//! people grep, `cli` runs the binaries, `calibrate` sets the model beside prices that are known, and `resume` kills runs.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why it is skipped")]

mod calibrate;
mod cli;
mod conservation;
mod determinism;
mod follower;
mod golden;
mod leakage;
mod learning;
mod options;
mod oracle;
mod resume;
mod util;
