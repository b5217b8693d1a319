//! Fake vendor as a program, for manual tests of the commands. It prints the variables to set, and runs until its input ends.
//!
//! `cargo run --release --example fake_vendor -- free` simulates the free plan: five calls a minute, two years, without today.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for the terminal that lives by the real clock"
)]

#[path = "mod.rs"]
mod vendor;

use std::{
    io::Read as _,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use vendor::{FakeVendor, Rules, TEST_KEY};

fn main() {
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
    let mut rules = Rules { now_ms: Arc::new(now_ms), ..Rules::default() };
    if std::env::args().any(|word| word == "free") {
        rules.calls_per_minute = 5;
        rules.history_days = Some(730);
        (rules.end_of_day, rules.indices, rules.snapshots, rules.analytics, rules.flat_files) =
            (true, false, false, false, false);
    }
    let server = FakeVendor::start(rules);
    let url = server.url();
    println!(
        "export MASSIVE_API_BASE_URL={url} MASSIVE_S3_BASE_URL={url} APCA_API_DATA_URL={url} YAHOO_API_BASE_URL={url}"
    );
    println!("export MASSIVE_API_KEY={TEST_KEY} APCA_API_KEY_ID=id APCA_API_SECRET_KEY={TEST_KEY}");
    println!("export MASSIVE_S3_ACCESS_KEY=id MASSIVE_S3_SECRET_KEY={TEST_KEY}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
