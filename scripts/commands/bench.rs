//! `zerodte bench`: measures the speed of one workload on this machine, after a check of correctness.

mod case;
mod flags;
mod peak;
mod ready;
mod subject;

use std::fs;

use serde_json::{Map, Value, json};
use statistics::median;

use crate::output::{clock::Stopwatch, console::Console, table::thousands};

use self::peak::{Peak, rounded};
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
    let report = if case.part == Part::Limits {
        limits(&case, flags.seconds)?
    } else {
        // The limits come first, so that their arrays are gone before the workload needs memory.
        let peak = Peak::measure(case.threads)?;
        Comparison::take(&case, flags.seconds)?.report(flags.workload, &case, peak)
    };
    let text = |report: &Value| if case.part == Part::Limits { limit_lines(report) } else { lines(report) };
    console.say(if flags.output.json { report.to_string() } else { text(&report).join("\n") })?;
    Ok(())
}

/// Measures the limits of the processor again and again; the best count.
fn limits(case: &Case, seconds: f64) -> anyhow::Result<Value> {
    let (watch, mut best) = (Stopwatch::start(), Peak::measure(case.threads)?);
    while watch.seconds() < seconds {
        let peak = Peak::measure(case.threads)?;
        best = Peak { flops: best.flops.max(peak.flops), read: best.read.max(peak.read), ..best };
    }
    let threads = if case.threads == 0 { rayon::current_num_threads() } else { case.threads };
    let mut report = best.report(threads);
    report["workload"] = Workload::Peak.name().into();
    Ok(report)
}

fn limit_lines(report: &Value) -> Vec<String> {
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    vec![
        format!("workload              {}", Workload::Peak.name()),
        format!("multiply-adds         {:.1} GFLOP/s", number("gflops_per_second")),
        format!("streaming read        {:.1} GB/s", number("read_gigabytes_per_second")),
        format!("vector                {} bits", number("vector_bits")),
        format!("threads               {}", number("threads")),
    ]
}

/// Timings of a case, and of its rival, round by round in turn.
#[derive(Debug)]
struct Comparison {
    own: Measured,
    rival: Option<Measured>,
}

/// Timings of the rounds of a case.
#[derive(Debug)]
struct Measured {
    threads: usize,
    facts: Map<String, Value>,
    /// Steps per second of each round, ascending.
    speeds: Vec<f64>,
}

impl Comparison {
    fn take(case: &Case, seconds: f64) -> anyhow::Result<Self> {
        let mut bench = case.prepare()?;
        let mut rival = case.rival().map(|rival| rival.prepare()).transpose()?;
        let (watch, mut speeds, mut of_rival) = (Stopwatch::start(), Vec::new(), Vec::new());
        while speeds.len() < LEAST_ROUNDS || watch.seconds() < seconds {
            speeds.push(case.steps() as f64 / bench.round()?);
            if let Some(rival) = &mut rival {
                of_rival.push(case.steps() as f64 / rival.round()?);
            }
        }
        let rival = rival.map(|rival| Measured::new(&rival, of_rival));
        Ok(Self { own: Measured::new(&bench, speeds), rival })
    }

    fn report(&self, workload: Workload, case: &Case, peak: Peak) -> Value {
        let mut report = self.own.report(workload, case);
        report["limits"] = self.own.shares(case, peak);
        if let Some(rival) = &self.rival {
            let ratio = median(&self.own.speeds) / median(&rival.speeds);
            report["rival"] = rival.speeds();
            report["rival"]["engine"] = rival.facts["engine"].clone();
            report["rival"]["ratio"] = rounded(ratio).into();
        }
        report
    }
}

impl Measured {
    fn new(bench: &Bench, mut speeds: Vec<f64>) -> Self {
        speeds.sort_by(f64::total_cmp);
        Self { threads: bench.threads(), facts: bench.facts().clone(), speeds }
    }

    fn report(&self, workload: Workload, case: &Case) -> Value {
        let mut parameters = case.parameters();
        parameters.extend(self.facts.clone());
        let mut report = self.speeds();
        report["workload"] = workload.name().into();
        report["steps_per_second"] = report["median"].clone();
        report["threads"] = self.threads.into();
        report["parameters"] = parameters.into();
        report["step"] = case.step_unit().into();
        report["repeats"] = self.speeds.len().into();
        report["peak_resident_bytes"] = json!(peak_resident_bytes());
        report
    }

    fn speeds(&self) -> Value {
        let speeds = &self.speeds;
        json!({
            "min": speeds.first().map(|speed| speed.round()),
            "median": median(speeds).round(),
            "max": speeds.last().map(|speed| speed.round()),
        })
    }

    /// Returns arithmetic and bytes of one step, and their share of the limits of the processor at the median speed.
    fn shares(&self, case: &Case, peak: Peak) -> Value {
        let fact = |key: &str| self.facts.get(key).and_then(Value::as_u64).unwrap_or(0);
        let flops = case.flops(fact("flops_forward"), fact("flops_backward"));
        let bytes = case.bytes(fact("inputs") as usize, fact("network_parameters") as usize);
        let speed = median(&self.speeds);
        let mut limits = peak.report(self.threads);
        limits["flops_per_step"] = flops.into();
        limits["bytes_per_step"] = bytes.round().into();
        limits["share_of_flops"] = (rounded(flops as f64 * speed / peak.flops * 100.0) / 100.0).into();
        limits["share_of_read"] = (rounded(bytes * speed / peak.read * 100.0) / 100.0).into();
        limits
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
    rows.extend(comparison(&report["rival"]));
    rows.extend(shares(&report["limits"]));
    rows.extend(report["parameters"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))));
    rows.extend(mebibytes.map(|mebibytes| ("peak memory".to_owned(), format!("{} MiB", thousands(mebibytes as i64)))));
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    rows.into_iter().map(|(key, value)| format!("{key:width$}  {value}")).collect()
}

/// Returns the line about the rival of the same run.
fn comparison(rival: &Value) -> Option<(String, String)> {
    let number = |key: &str| rival[key].as_f64();
    let (speed, ratio) = (thousands(number("median")?.round() as i64), number("ratio")?);
    Some(("rival, in turn".to_owned(), format!("{speed}, 1 / {ratio:.1} of it: {}", rival["engine"].as_str()?)))
}

/// Returns the lines about the limits of the processor.
fn shares(limits: &Value) -> Vec<(String, String)> {
    let number = |key: &str| limits[key].as_f64().unwrap_or(0.0);
    let share = |what: &str, limit: String| format!("{:.1} % of {limit}", 100.0 * number(what));
    let flops = share("share_of_flops", format!("{:.0} GFLOP/s", number("gflops_per_second")));
    let bytes = share("share_of_read", format!("{:.1} GB/s", number("read_gigabytes_per_second")));
    let per_step = |key: &str| thousands(number(key).round() as i64);
    let mut lines = vec![("bytes per step".to_owned(), format!("{}: {bytes}", per_step("bytes_per_step")))];
    if number("flops_per_step") > 0.0 {
        lines.insert(0, ("flops per step".to_owned(), format!("{}: {flops}", per_step("flops_per_step"))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_wholes_of_a_training_can_be_timed() {
        for workload in [Workload::Collect, Workload::Update, Workload::Documented] {
            let case = Case::from(workload).with_lanes(2).with_sessions(2).unwrap();
            let measured = Comparison::take(&case, 0.0).unwrap();
            assert_eq!(measured.own.speeds.len(), LEAST_ROUNDS);
            assert!(measured.own.speeds[0] > 0.0 && measured.own.speeds.is_sorted());
            let peak = Peak { vector_bits: 256, flops: 1e11, read: 1e10 };
            let report = measured.report(workload, &case, peak);
            let lines = lines(&report).join("\n");
            assert!(lines.contains("network_parameters") && lines.contains("median of 3 rounds"), "{lines}");
            let limits = &report["limits"];
            let share = limits["flops_per_step"].as_f64().unwrap() * median(&measured.own.speeds) / 1e11;
            assert!((limits["share_of_flops"].as_f64().unwrap() - share).abs() < 1e-4, "{limits}");
            assert!(report["rival"].is_null());
        }
    }

    #[test]
    fn a_policy_with_memory_is_timed_in_turn_with_libtorch() {
        let mut case = Case::from(Workload::Recurrent).with_lanes(2).with_sessions(2).unwrap();
        (case.ppo.n_steps, case.ppo.batch_size, case.ppo.n_epochs) = (32, 64, 1);
        let measured = Comparison::take(&case, 0.0).unwrap();
        let report = measured.report(Workload::Recurrent, &case, Peak { vector_bits: 256, flops: 1e11, read: 1e10 });
        assert_eq!(report["rival"].is_object(), ppo_agent::HAS_LIBTORCH);
        let lines = lines(&report).join("\n");
        assert_eq!(lines.contains("libtorch on the CPU"), ppo_agent::HAS_LIBTORCH, "{lines}");
        assert!(lines.contains("sequence_length") && lines.contains("flops per step"), "{lines}");
        let own = lines.lines().filter(|line| !line.starts_with("a step is"));
        own.for_each(|line| assert!(line.chars().count() <= 80, "{line}"));
    }
}
