//! `zerodte bench`: measures the speed of one workload on this machine, after a check of correctness.

mod case;
mod flags;
mod ready;
mod subject;

use std::fs;

use serde_json::{Map, Value, json};
use statistics::median;

use crate::output::{clock::Stopwatch, console::Console, table::thousands};

pub use self::{
    case::{Case, Game, Part, Workload},
    flags::BenchFlags,
    ready::{Bench, dataset},
};

/// Rounds that are timed even if they take longer than requested.
const LEAST_ROUNDS: usize = 3;

/// Checks, warms up, times and reports a workload.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for flags that do not fit the workload; a workload that cannot run here; a
/// failed check.
pub fn run(flags: &BenchFlags, console: &mut Console) -> anyhow::Result<()> {
    let case = flags.case()?;
    let measured = Measured::take(&case, flags.seconds)?;
    let report = measured.report(flags.workload, &case);
    console.say(if flags.output.json { report.to_string() } else { lines(&report).join("\n") })?;
    Ok(())
}

/// Timings of the rounds of a case.
#[derive(Debug)]
struct Measured {
    threads: usize,
    facts: Map<String, Value>,
    /// Steps per second of each round, ascending.
    speeds: Vec<f64>,
}

impl Measured {
    fn take(case: &Case, seconds: f64) -> anyhow::Result<Self> {
        let mut bench = case.prepare()?;
        let (watch, mut speeds) = (Stopwatch::start(), Vec::new());
        while speeds.len() < LEAST_ROUNDS || watch.seconds() < seconds {
            speeds.push(case.steps() as f64 / bench.round()?);
        }
        speeds.sort_by(f64::total_cmp);
        Ok(Self { threads: bench.threads(), facts: bench.facts().clone(), speeds })
    }

    fn report(&self, workload: Workload, case: &Case) -> Value {
        let (speeds, mut parameters) = (&self.speeds, case.parameters());
        parameters.extend(self.facts.clone());
        let median = median(speeds);
        json!({
            "workload": workload.name(),
            "steps_per_second": median.round(),
            "threads": self.threads,
            "parameters": parameters,
            "step": case.step_unit(),
            "repeats": speeds.len(),
            "min": speeds.first().map(|speed| speed.round()),
            "median": median.round(),
            "max": speeds.last().map(|speed| speed.round()),
            "peak_resident_bytes": peak_resident_bytes(),
        })
    }
}

/// Returns the peak memory of this process, where the system reports it (Linux).
fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Formats a report as lines of a name and a value.
fn lines(report: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or(number.to_string(), |x| thousands(x.round() as i64)),
        Value::Array(items) => {
            items.iter().map(|item| item.to_string().replace('"', "")).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let mebibytes = report["peak_resident_bytes"].as_u64().map(|bytes| bytes >> 20);
    let mut rows = vec![
        ("workload".to_owned(), text(&report["workload"])),
        ("steps per second".to_owned(), format!("{}: median of {} rounds", text(&report["median"]), report["repeats"])),
        ("slowest, fastest".to_owned(), format!("{}, {}", text(&report["min"]), text(&report["max"]))),
        ("a step is".to_owned(), text(&report["step"])),
        ("threads".to_owned(), text(&report["threads"])),
    ];
    rows.extend(report["parameters"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))));
    rows.extend(mebibytes.map(|mebibytes| ("peak memory".to_owned(), format!("{} MiB", thousands(mebibytes as i64)))));
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    rows.into_iter().map(|(key, value)| format!("{key:width$}  {value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_wholes_of_a_training_can_be_timed() {
        for workload in [Workload::Collect, Workload::Update, Workload::Documented] {
            let case = Case::from(workload).with_lanes(2).with_sessions(2).unwrap();
            let measured = Measured::take(&case, 0.0).unwrap();
            assert_eq!(measured.speeds.len(), LEAST_ROUNDS);
            assert!(measured.speeds[0] > 0.0 && measured.speeds.is_sorted());
            let lines = lines(&measured.report(workload, &case)).join("\n");
            assert!(lines.contains("network_parameters") && lines.contains("median of 3 rounds"), "{lines}");
        }
    }
}
