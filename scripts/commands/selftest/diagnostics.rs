//! `zerodte selftest diagnostics`: tests the verdicts in both directions. Planted faults must be diagnosed, and healthy
//! trainings, however unusual, must raise no alarm. Policies that never learn must not ring on any window of the calendar.

mod calendar;
mod catalogue;
mod plant;
mod trial;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use market_data::Symbol;
use rayon::prelude::*;
use serde::Serialize;
use statistics::median;

use self::{
    calendar::MEMORISING,
    catalogue::{Markets, REPEATS, trials},
};
use crate::{
    config::flags::PrintFlags,
    output::{
        clock::Stopwatch,
        console::Console,
        output_file::OutputFile,
        table::{columns, percent, thousands},
    },
};

pub use self::{
    calendar::{CalendarReport, CalendarWindow},
    trial::TrialReport,
};

/// Windows of the calendar, unless asked for otherwise.
const WINDOWS: u64 = 40;
/// Share of the planted faults that must be diagnosed.
const DETECTED: f64 = 0.99;

/// Flags of `zerodte selftest diagnostics`.
#[derive(Debug, Clone, Args)]
pub struct DiagnosticsFlags {
    /// Trainings of each kind, with the seeds 0, 1, ...; 0 for the calendar windows alone
    #[arg(long, value_name = "N", default_value_t = REPEATS, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub repeats: u64,
    /// Windows of the calendar for policies that never learn
    #[arg(long, value_name = "N", default_value_t = WINDOWS, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub windows: u64,
    /// Folder with the bars of the windows; made-up bars without it
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub data_dir: Option<PathBuf>,
    /// Symbols of the windows
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "SPY,QQQ,SPX", help_heading = "Data")]
    pub symbols: Vec<Symbol>,
    /// Output on the terminal and in files.
    #[command(flatten)]
    pub output: DiagnosticsOutput,
}

/// Output of the self-test.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct DiagnosticsOutput {
    /// Format of the printed result.
    #[command(flatten)]
    pub print: PrintFlags,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Diagnoses of labelled trainings.
#[derive(Debug, Clone, Serialize)]
pub struct DiagnosticsReport {
    /// Number of trainings.
    pub runs: usize,
    /// Number with a planted fault.
    pub planted: usize,
    /// Number without one.
    pub healthy: usize,
    /// Planted faults that were diagnosed correctly.
    pub detected: usize,
    /// The same as a share of the planted ones.
    pub detection_rate: f64,
    /// Healthy trainings with an alarm.
    pub false_alarms: usize,
    /// Lane-steps until a planted fault was diagnosed: the median, and the longest.
    pub steps_to_detection: Option<(f64, f64)>,
    /// One entry per training.
    pub rows: Vec<TrialReport>,
    /// Alarms of policies that never learn, and of ones that learn by heart.
    pub calendar: CalendarReport,
}

impl DiagnosticsReport {
    fn of(rows: Vec<TrialReport>, calendar: CalendarReport) -> Self {
        let planted = rows.iter().filter(|row| row.planted).count();
        let mut steps: Vec<f64> = rows.iter().filter_map(|row| row.detected_at).map(|step| step as f64).collect();
        steps.sort_by(f64::total_cmp);
        Self {
            runs: rows.len(),
            planted,
            healthy: rows.len() - planted,
            detected: steps.len(),
            detection_rate: if planted == 0 { 1.0 } else { steps.len() as f64 / planted as f64 },
            false_alarms: rows.iter().filter(|row| !row.planted && row.alarm.is_some()).count(),
            steps_to_detection: steps.last().map(|&longest| (median(&steps), longest)),
            rows,
            calendar,
        }
    }

    fn passes(&self) -> bool {
        self.detection_rate >= DETECTED && self.false_alarms == 0 && self.calendar.passes()
    }

    fn table(&self) -> String {
        let row = |row: &TrialReport| {
            let steps = |step: u64| thousands(step as i64);
            vec![
                row.kind.clone(),
                row.seed.to_string(),
                row.expected.clone(),
                row.verdict.to_string(),
                row.alarm.map_or_else(|| "-".to_owned(), |(step, verdict)| format!("{verdict} at {}", steps(step))),
                if row.right { "right" } else { "WRONG" }.to_owned(),
            ]
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        columns(&["training", "seed", "expected", "last verdict", "first alarm", ""], &rows)
    }

    fn summary(&self) -> String {
        let steps = self.steps_to_detection.map_or_else(String::new, |(median, longest)| {
            let [median, longest] = [median, longest].map(|steps| thousands(steps.round() as i64));
            format!(" after {median} steps (median; {longest} at most)")
        });
        format!(
            "{} trainings: {} of {} planted faults diagnosed ({}){steps}; {} false alarms in {} healthy ones\n{}",
            self.runs,
            self.detected,
            self.planted,
            percent(Some(self.detection_rate)),
            self.false_alarms,
            self.healthy,
            self.calendar.summary()
        )
    }
}

/// Runs all trainings, several at a time.
fn report(repeats: u64, calendar: CalendarReport) -> anyhow::Result<DiagnosticsReport> {
    let grounds = Markets::new()?;
    let trials = trials(&grounds, repeats);
    // One training per piece of work: some end early.
    let rows = trials.par_iter().with_max_len(1).map(|trial| trial.run()).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(DiagnosticsReport::of(rows, calendar))
}

/// Runs the self-test and prints its result.
///
/// # Errors
/// A training that cannot run, a file that cannot be written, or verdicts that are wrong.
pub(super) fn run(flags: &DiagnosticsFlags, console: &mut Console) -> anyhow::Result<()> {
    let file = OutputFile::requested("", flags.output.out.as_ref())?;
    let watch = Stopwatch::start();
    let calendar = calendar::report(flags.windows as usize, MEMORISING, flags.data_dir.as_deref(), &flags.symbols)?;
    let report = report(flags.repeats, calendar)?;
    if flags.output.print.json {
        console.say(serde_json::to_string(&report)?)?;
    } else {
        console.say(report.table())?;
        console.say(format!("{} ({:.0} seconds)", report.summary(), watch.seconds()))?;
    }
    if let Some(file) = file {
        file.save_json(&report, console)?;
    }
    ensure!(report.passes(), "the diagnostics are wrong: {}", report.summary());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_faults_are_called_by_their_names_and_healthy_trainings_left_alone() {
        let symbols = ["SPY", "QQQ"].map(|name| Symbol::new(name).unwrap());
        let report = report(1, calendar::report(20, 1, None, &symbols).unwrap()).unwrap();
        assert!(report.runs >= 24 && report.planted == report.healthy, "{}", report.summary());
        assert!(report.passes(), "{}\n{}", report.table(), report.summary());
    }
}
