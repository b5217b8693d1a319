//! The ranked variants as text, Markdown and CSV.

use std::fmt::Write as _;

use statistics::ConfidenceInterval;

use super::{Ablation, Rank, Tested};
use crate::output::{synthetic::title_mark, table::columns};

const HEADING: [&str; 8] =
    ["variant", "R² of validation", "seeds", "above base", "spread", "best epoch", "ended early", "seconds"];

fn cells(rank: &Rank) -> Vec<String> {
    let Rank { variant, r2, seeds: [low, high], gain, spread, best_epoch, emergencies, seconds } = rank;
    vec![
        variant.clone(),
        brackets(r2),
        format!("{low:.4} to {high:.4}"),
        gain.as_ref().map_or_else(String::new, brackets),
        format!("{:.1} %", 100.0 * spread),
        format!("{best_epoch:.1}"),
        emergencies.to_string(),
        format!("{seconds:.1}"),
    ]
}

fn brackets(interval: &ConfidenceInterval) -> String {
    format!("{:.4} [{:.4}, {:.4}]", interval.value, interval.low, interval.high)
}

/// Returns the table for the screen.
pub(super) fn screen(ablation: &Ablation) -> String {
    let rows: Vec<Vec<String>> = ablation.ranks.iter().map(cells).collect();
    format!("\n{}\n{}", columns(&HEADING, &rows), sentences(ablation).join("\n"))
}

/// Returns the table as Markdown.
pub(super) fn markdown(ablation: &Ablation) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let synthetic = title_mark(ablation.data.is_synthetic());
    let mut out = format!("# Ablation{synthetic}\n\n");
    out += &line(&HEADING.map(str::to_owned));
    out += &line(&HEADING.map(|_| "---".to_owned()));
    ablation.ranks.iter().for_each(|rank| out += &line(&cells(rank)));
    sentences(ablation).iter().for_each(|sentence| {
        let _ = write!(out, "\n{sentence}\n");
    });
    out
}

/// Returns the table as CSV.
pub(super) fn csv(ablation: &Ablation) -> String {
    let mut out = "variant,r2,r2_low,r2_high,seed_low,seed_high,gain,gain_low,gain_high,spread,best_epoch,ended_early,seconds,data\n".to_owned();
    for Rank { variant, r2, seeds: [low, high], gain, spread, best_epoch, emergencies, seconds } in &ablation.ranks {
        let gain =
            gain.as_ref().map_or_else(|| ",,".to_owned(), |gain| format!("{},{},{}", gain.value, gain.low, gain.high));
        let _ = writeln!(
            out,
            "{variant},{},{},{},{low},{high},{gain},{spread},{best_epoch},{emergencies},{seconds},{}",
            r2.value, r2.low, r2.high, ablation.data
        );
    }
    out
}

/// Returns a legend of the table and the results on the test dates.
fn sentences(ablation: &Ablation) -> Vec<String> {
    let clear = ablation.ranks.iter().filter(|rank| rank.gain.is_some_and(|gain| gain.low > 0.0)).count();
    let tried = ablation.ranks.len();
    let mut sentences = vec![format!(
        "R² of all regression targets, standardised and pooled, on {} ({} seeds, intervals over dates). {clear} of {tried} variants are \
         significantly above the base there; the best of {tried} is biased upwards by selection.",
        ablation.split.validation, ablation.seeds
    )];
    for Tested { variant, r2, gain } in &ablation.test {
        let r2 = r2.as_ref().map_or_else(|| "unknown".to_owned(), brackets);
        let gain = gain.as_ref().map(|gain| format!(", {} above the base", brackets(gain))).unwrap_or_default();
        sentences.push(format!(
            "On the test dates {}, not used for ranking: {variant} has R² {r2}{gain}.",
            ablation.split.test
        ));
    }
    sentences
}
