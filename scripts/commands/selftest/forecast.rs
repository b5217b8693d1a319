//! `zerodte selftest forecast`: reproduces the failures of earlier forecasters; none may be judged healthy, and each
//! has a cure.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use ppo_agent::{
    forecast::{
        GateVerdict, StopReason,
        failures::{Attempt, Failure, Outcome, failures},
    },
    require_libtorch,
};
use rayon::prelude::*;

use crate::output::{console::Console, output_file::OutputFile, table::columns};

/// Flags of `zerodte selftest forecast`.
#[derive(Debug, Clone, Args)]
pub struct ForecastFlags {
    /// Seed of the samples and of the trainings
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Output file.
    #[command(flatten)]
    pub output: ForecastOutput,
}

/// File that the self-test writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ForecastOutput {
    /// Writes the table as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

const HEADING: [&str; 8] = ["failure", "attempt", "R² of the test", "spread", "MAE", "epochs", "best", "verdict"];

/// Runs the self-test and prints its result.
///
/// # Errors
/// A training that breaks, a file that cannot be written, a failed attempt that is judged healthy, or a cure that does
/// not help.
pub(super) fn run(flags: &ForecastFlags, console: &mut Console) -> anyhow::Result<()> {
    require_libtorch("forecasters")?;
    let file = OutputFile::requested("", flags.output.markdown.as_ref())?;
    let failures = failures(flags.seed);
    let jobs: Vec<(&Failure, &Attempt)> =
        failures.iter().flat_map(|failure| failure.attempts.iter().map(move |attempt| (failure, attempt))).collect();
    let run = |&(failure, attempt): &(&Failure, &Attempt)| anyhow::Ok(failure.run(attempt, flags.seed)?);
    let outcomes = jobs.par_iter().with_max_len(1).map(run).collect::<anyhow::Result<Vec<_>>>()?;
    let rows: Vec<Vec<String>> =
        jobs.iter().zip(&outcomes).map(|((failure, attempt), outcome)| cells(failure, attempt, outcome)).collect();
    for failure in &failures {
        console.say(format!("{}: {}", failure.name, failure.description))?;
    }
    console.say(format!("\n{}", columns(&HEADING, &rows)))?;
    if let Some(file) = file {
        file.save(markdown(&rows), console)?;
    }
    let mut outcomes = outcomes.iter();
    for failure in &failures {
        let of: Vec<&Outcome> = outcomes.by_ref().take(failure.attempts.len()).collect();
        let (cure, broken) = of.split_last().expect("a failure has attempts");
        ensure!(
            cure.gate.verdict == GateVerdict::Healthy,
            "{}: the cure is judged {}",
            failure.name,
            cure.gate.verdict
        );
        let unnoticed = broken.iter().filter(|outcome| outcome.gate.verdict == GateVerdict::Healthy).count();
        ensure!(unnoticed == 0, "{}: {unnoticed} failed attempt(s) are judged healthy", failure.name);
        let worse =
            broken.iter().all(|outcome| outcome.scores[0].as_ref().is_none_or(|scores| scores.r2() < cure_r2(cure)));
        ensure!(worse, "{}: an attempt is as good as the cure", failure.name);
    }
    console.say("Every failure was reproduced, and every cure is healthy")?;
    Ok(())
}

fn cure_r2(cure: &Outcome) -> f64 {
    cure.scores[0].as_ref().map_or(f64::NEG_INFINITY, |scores| scores.r2())
}

fn cells(failure: &Failure, attempt: &Attempt, outcome: &Outcome) -> Vec<String> {
    let scores = outcome.scores[0].as_ref().and_then(|scores| scores.regression());
    let number = |value: Option<f64>, places: usize| {
        value.map_or_else(|| "none".to_owned(), |value| format!("{value:.places$}"))
    };
    let said = match &outcome.fitted.end {
        StopReason::Watchdog(alarm) => format!("{}, {}", alarm.kind, outcome.gate.verdict),
        StopReason::MaxEpochs | StopReason::Patience => outcome.gate.verdict.to_string(),
    };
    vec![
        failure.name.to_owned(),
        attempt.name.to_owned(),
        number(scores.map(|scores| scores.r2), 4),
        scores.map_or_else(String::new, |scores| format!("{:.1} %", 100.0 * scores.std_ratio)),
        number(scores.map(|scores| scores.mae), 4),
        outcome.fitted.epochs.len().to_string(),
        outcome.fitted.best.to_string(),
        said,
    ]
}

fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading = [line(&HEADING.map(str::to_owned)), line(&HEADING.map(|_| "---".to_owned()))];
    heading.into_iter().chain(rows.iter().map(|row| line(row))).collect()
}
