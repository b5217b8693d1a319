//! `zerodte selftest`: tests of the program's claims, by running it.

mod diagnostics;
mod evaluation;
mod forecast;
mod learning;

use clap::Subcommand;

use crate::output::console::Console;

pub use self::{
    diagnostics::{CalendarReport, CalendarWindow, DiagnosticsFlags, DiagnosticsReport, TrialReport},
    evaluation::EvaluationFlags,
    forecast::ForecastFlags,
    learning::LearningFlags,
};

/// Self-tests of the program.
#[derive(Debug, Clone, Subcommand)]
pub enum Selftest {
    /// Learns CartPole-v1 in as few steps as Stable-Baselines3 with the same hyperparameters.
    Learning(LearningFlags),
    /// Trains policies with and without planted faults: every fault must be diagnosed, and nothing else.
    Diagnostics(DiagnosticsFlags),
    /// Reproduces the failures of earlier forecasters: none may be judged healthy, and each has a cure.
    Forecast(ForecastFlags),
    /// Judges strategies without an edge: their p-values must be uniform, and four known mistakes must be caught.
    Evaluation(EvaluationFlags),
}

/// Runs a self-test and prints its result.
///
/// # Errors
/// A training that stops, a file that cannot be written, or a failed self-test.
pub fn run(test: &Selftest, console: &mut Console) -> anyhow::Result<()> {
    match test {
        Selftest::Learning(flags) => learning::run(flags, console),
        Selftest::Diagnostics(flags) => diagnostics::run(flags, console),
        Selftest::Forecast(flags) => forecast::run(flags, console),
        Selftest::Evaluation(flags) => evaluation::run(flags, console),
    }
}
