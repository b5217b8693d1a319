//! `zerodte selftest`: promises of this program, proved by running it.

mod diagnostics;
mod forecast;
mod learning;

use clap::Subcommand;

use crate::output::console::Console;

pub use self::{
    diagnostics::{DiagnosticsFlags, DiagnosticsReport, TrialReport},
    forecast::ForecastFlags,
    learning::LearningFlags,
};

/// What can be proved.
#[derive(Debug, Clone, Subcommand)]
pub enum Selftest {
    /// Learns CartPole-v1 in as few steps as Stable-Baselines3 does with the same hyper-parameters.
    Learning(LearningFlags),
    /// Trains policies with and without planted faults: every fault must be called by its name, and nothing else.
    Diagnostics(DiagnosticsFlags),
    /// Lets the failures of earlier forecasters happen again: none may be called healthy, and each is cured.
    Forecast(ForecastFlags),
}

/// Runs a proof and says how it went.
///
/// # Errors
/// A training that stops, a file that cannot be written, or a proof that failed.
pub fn run(test: &Selftest, console: &mut Console) -> anyhow::Result<()> {
    match test {
        Selftest::Learning(flags) => learning::run(flags, console),
        Selftest::Diagnostics(flags) => diagnostics::run(flags, console),
        Selftest::Forecast(flags) => forecast::run(flags, console),
    }
}
