//! The comparison as sentences and tables.

use std::collections::BTreeMap;

use ppo_agent::forecast::{GateVerdict, StopReason, Target, VarianceTerm};
use serde::Serialize;
use toml::Value;

use super::finished::{Finished, common_targets};
use crate::{
    commands::forecast::Judged,
    config::layers::differences,
    output::{
        synthetic::SYNTHETIC_DATA,
        table::{columns, thousands},
    },
};

/// Block of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Heading(String),
    Words(String),
    Table(Vec<String>, Vec<Vec<String>>),
}

/// Settings that differ between any two runs and do not affect results.
const NAMES: [&str; 2] = ["run.model_name", "run.out_dir"];
const RUNS: [&str; 13] = [
    "run",
    "data",
    "tested on",
    "encoder",
    "frames",
    "loss",
    "variance term",
    "output init",
    "seed",
    "epochs",
    "best epoch",
    "ended",
    "seconds",
];

/// Compares runs.
///
/// # Errors
/// When a configuration cannot be written as TOML.
pub(super) fn of(runs: &[Finished]) -> anyhow::Result<Vec<Block>> {
    let mut blocks = vec![Block::Heading("Runs".to_owned())];
    blocks.extend(cautions(runs).into_iter().map(Block::Words));
    let rows = runs.iter().map(run_row).collect::<anyhow::Result<_>>()?;
    blocks.push(Block::Table(RUNS.map(str::to_owned).to_vec(), rows));
    let targets = common_targets(runs);
    if targets.is_empty() {
        blocks.push(Block::Words("No two runs share a target.".to_owned()));
    }
    blocks.extend(targets.into_iter().flat_map(|target| of_target(runs, target)));
    blocks.extend(settings(runs)?);
    Ok(blocks)
}

/// Returns the comparison as Markdown.
pub(super) fn markdown(blocks: &[Block]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let block = |block: &Block| match block {
        Block::Heading(text) => format!("## {text}\n"),
        Block::Words(text) => format!("{text}\n"),
        Block::Table(heading, rows) => {
            let rule = vec!["---".to_owned(); heading.len()];
            [heading, &rule].into_iter().chain(rows).map(|cells| line(cells)).collect()
        }
    };
    "# Comparison of forecasters\n\n".to_owned() + &blocks.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Returns the comparison as plain text.
pub(super) fn screen(blocks: &[Block]) -> String {
    let block = |block: &Block| match block {
        Block::Heading(text) => format!("\n{text}"),
        Block::Words(text) => text.clone(),
        Block::Table(heading, rows) => columns(&heading.iter().map(String::as_str).collect::<Vec<_>>(), rows),
    };
    blocks.iter().map(block).collect::<Vec<_>>().join("\n").trim_start().to_owned()
}

/// Returns warnings about the comparability of the runs.
fn cautions(runs: &[Finished]) -> Vec<String> {
    let mut found = Vec::new();
    let made_up: Vec<&str> = runs.iter().filter(|run| run.is_synthetic()).map(|run| run.name.as_str()).collect();
    if !made_up.is_empty() {
        let names = made_up.join(", ");
        found.push(format!("{SYNTHETIC_DATA} in {names}: generated bars; the results do not apply to a market."));
    }
    if runs.windows(2).any(|pair| !same_ground(&pair[0], &pair[1])) {
        found.push(
            "The runs were not tested on the same dates, symbols and bars: their figures are not comparable."
                .to_owned(),
        );
    }
    found
}

/// Returns whether two runs were tested on the same samples, judging by their settings.
fn same_ground(first: &Finished, second: &Finished) -> bool {
    let ground = |run: &Finished| {
        let (metrics, config) = (&run.metrics, &run.config);
        (metrics.data, metrics.test.dates, config.run.symbols.clone(), config.forecast.bars)
    };
    ground(first) == ground(second)
}

fn run_row(run: &Finished) -> anyhow::Result<Vec<String>> {
    let (metrics, forecast) = (&run.metrics, &run.config.forecast);
    let loss = &forecast.loss;
    let term = match loss.variance_term {
        VarianceTerm::None => "none".to_owned(),
        term => format!("{} x {}", word(&term)?, loss.variance_weight),
    };
    let ended = match &metrics.end {
        StopReason::MaxEpochs => "last epoch".to_owned(),
        StopReason::Patience => "patience".to_owned(),
        StopReason::Watchdog(alarm) => format!("STOPPED: {}", alarm.kind),
    };
    Ok(vec![
        run.name.clone(),
        metrics.data.to_string(),
        metrics.test.dates.to_string(),
        word(&forecast.encoder)?,
        forecast.temporal_frames.to_string(),
        word(&loss.kind)?,
        term,
        word(&forecast.output_init)?,
        run.config.run.seed.to_string(),
        thousands(run.epochs as i64),
        metrics.best_epoch.to_string(),
        ended,
        run.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
    ])
}

/// Formats a choice as in a configuration file, without quotes.
fn word(choice: &impl Serialize) -> anyhow::Result<String> {
    Ok(plain(&Value::try_from(choice)?))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the scores of all runs for a target, with the best marked.
fn of_target(runs: &[Finished], target: Target) -> Vec<Block> {
    let judged: Vec<(&Finished, &Judged)> = runs.iter().filter_map(|run| Some((run, run.judged(target)?))).collect();
    // Non-finite forecasts have no R², even if the scores hold a value.
    let sound = |row: &Judged| Some(row.mine().r2()).filter(|_| row.gate.verdict != GateVerdict::Broken);
    let best = judged.iter().filter_map(|(_, row)| sound(row)).fold(f64::NEG_INFINITY, f64::max);
    let row = |(run, row): &(&Finished, &Judged)| {
        let marked = if sound(row) == Some(best) { format!("{} (best)", run.name) } else { run.name.clone() };
        [marked].into_iter().chain(row.figures()).collect()
    };
    let heading = ["run"].into_iter().chain(Judged::FIGURES).map(str::to_owned).collect();
    let table = Block::Table(heading, judged.iter().map(row).collect());
    let words = match judged.as_slice() {
        [first, second, ..] => Some(Block::Words(told_apart(*first, *second))),
        _ => None,
    };
    [Block::Heading(target.to_string()), table].into_iter().chain(words).collect()
}

/// Returns a sentence on whether two runs differ significantly. Both intervals cover the same dates and are correlated,
/// so that an overlap proves nothing.
fn told_apart((a, first): (&Finished, &Judged), (b, second): (&Finished, &Judged)) -> String {
    let clearly =
        |better: &str, worse: &str| format!("{better} is clearly better than {worse}: the intervals do not overlap.");
    let together = |why: &str| format!("{} and {} cannot be distinguished here: {why}.", a.name, b.name);
    if !same_ground(a, b) {
        return together("they were not tested on the same dates, symbols and bars");
    }
    if [first, second].iter().any(|row| row.gate.verdict == GateVerdict::Inconclusive) {
        return together("the test has too few sessions for reliable intervals");
    }
    match (first.mine().r2_interval(), second.mine().r2_interval()) {
        (Some(one), Some(other)) if one.low > other.high => clearly(&a.name, &b.name),
        (Some(one), Some(other)) if other.low > one.high => clearly(&b.name, &a.name),
        (Some(_), Some(_)) => together("their intervals overlap, which does not prove that they are equal"),
        _ => together("at least one of them has no interval"),
    }
}

/// Returns the settings that differ between the runs.
fn settings(runs: &[Finished]) -> anyhow::Result<Vec<Block>> {
    let Some((first, others)) = runs.split_first() else { return Ok(Vec::new()) };
    let mut found: BTreeMap<String, Vec<Option<Value>>> = BTreeMap::new();
    for (run, position) in others.iter().zip(1..) {
        for difference in differences(&first.config, &run.config)? {
            let values = found.entry(difference.key).or_insert_with(|| vec![difference.first; runs.len()]);
            values[position] = difference.second;
        }
    }
    found.retain(|key, _| !NAMES.contains(&key.as_str()));
    let heading = Block::Heading("Differing settings".to_owned());
    if found.is_empty() {
        return Ok(vec![heading, Block::Words("Only the names.".to_owned())]);
    }
    let cell = |value: Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), plain);
    let row = |(key, values): (String, Vec<Option<Value>>)| {
        [key].into_iter().chain(values.into_iter().map(cell)).collect::<Vec<_>>()
    };
    let names = ["setting".to_owned()].into_iter().chain(runs.iter().map(|run| run.name.clone())).collect();
    Ok(vec![heading, Block::Table(names, found.into_iter().map(row).collect())])
}

#[cfg(test)]
mod tests {
    use ppo_agent::forecast::{Encoder, OutputInit};

    use super::{super::finished::tests::finished, *};

    #[test]
    fn runs_targets_and_settings_are_set_side_by_side() {
        let (mut wide, narrow) = (finished("wide", 0.5), finished("narrow", 0.01));
        wide.config.forecast.loss.variance_term = VarianceTerm::Std;
        wide.config.forecast.output_init = OutputInit::Std(0.1);
        wide.config.forecast.encoder = Encoder::Gru;
        let text = markdown(&of(&[narrow.clone(), wide.clone()]).unwrap());
        for part in [
            "SYNTHETIC DATA in narrow, wide:",
            "| wide | SYNTHETIC | 2025-01-02 to 2025-03-31 | gru | 3 | mse | std x 0.5 | 0.1 | 0 | 3 | 2 | last epoch | 12.3 |",
            "## return_5\n",
            "| wide (best) | 0.7500 [0.7500, 0.7500] | 0.7500 |",
            "| narrow | 0.0199 [",
            "wide is clearly better than narrow",
            "| forecast.loss.variance_term | none | std |",
            "| forecast.output_init | default | 0.1 |",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("not comparable") && !text.contains("run.model_name") && !text.contains("volatility_5"));
        let alike = screen(&of(&[wide.clone(), Finished { name: "again".to_owned(), ..wide }]).unwrap());
        assert!(alike.contains("cannot be distinguished here: their intervals overlap"), "{alike}");
        assert!(alike.contains("Only the names.") && !alike.contains('|'), "{alike}");
    }

    #[test]
    fn runs_on_other_ground_or_without_a_common_target_are_called_out() {
        let (first, mut second) = (finished("a", 0.5), finished("b", 0.5));
        second.metrics.test.dates.last = jiff::civil::date(2025, 4, 30);
        let text = markdown(&of(&[first.clone(), second.clone()]).unwrap());
        assert!(
            text.contains("not comparable") && text.contains("cannot be distinguished here: they were not"),
            "{text}"
        );
        second.metrics.test.dates = first.metrics.test.dates;
        second.metrics.test.rows[0].gate.verdict = GateVerdict::Inconclusive;
        let text = markdown(&of(&[first.clone(), second.clone()]).unwrap());
        assert!(!text.contains("not comparable") && text.contains("too few sessions"), "{text}");
        second.metrics.test.rows[0].gate.verdict = GateVerdict::Broken;
        let text = markdown(&of(&[first.clone(), second.clone()]).unwrap());
        assert!(text.contains("| a (best) |") && !text.contains("| b (best) |"), "{text}");
        second.metrics.test.rows.clear();
        let text = markdown(&of(&[first, second]).unwrap());
        assert!(text.contains("No two runs share a target."), "{text}");
    }
}
