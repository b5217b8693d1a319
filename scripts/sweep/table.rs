//! `trials.csv`: one row per trial, with its money, its end and its values.

use std::fmt::Write as _;

use super::{
    SweepResult,
    final_test::Tested,
    plan::SweepPlan,
    space::text,
    trial::{TrialResult, ranked},
};

/// Columns before the values.
const COLUMNS: &str = "trial,state,steps,mean_usd,error_usd,lower_usd,low_95_usd,high_95_usd,sharpe_per_date,\
                       trades_per_date,behind_best_usd,behind_best_error_usd,hold,verdicts,test_mean_usd,test_error_usd";

/// Returns the table. Money is that of a validation date in dollars, all symbols together, mean over seeds; differences from the best
/// trial are paired by date and seed.
pub fn csv(plan: &SweepPlan, result: &SweepResult, tested: &[Tested]) -> String {
    let keys = plan.space.0.iter().map(|parameter| cell(&parameter.key));
    let mut out = format!("{COLUMNS},{}\n", keys.collect::<Vec<_>>().join(","));
    let best = ranked(result.finished(plan)).first().copied();
    for trial in result.last() {
        let row = row(plan, result, trial, best, tested);
        // A String takes every text.
        let _ = writeln!(out, "{}", row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(","));
    }
    out
}

fn row(
    plan: &SweepPlan,
    result: &SweepResult,
    trial: &TrialResult,
    best: Option<&TrialResult>,
    tested: &[Tested],
) -> Vec<String> {
    let score = trial.score();
    let ends = score.interval(0.95);
    let behind = best.map(|best| trial.less(best));
    let usd = |value: Option<f64>| value.map_or_else(String::new, |usd| format!("{usd:.2}"));
    let holds: Vec<f64> = trial.seeds.iter().filter_map(|seed| seed.hold).collect();
    let verdicts = trial.seeds.iter().map(|seed| seed.verdict.as_deref().unwrap_or("-"));
    let test = tested.iter().find(|one| one.trial == trial.trial).map(Tested::score);
    let mut row = vec![
        trial.trial.to_string(),
        state(plan, result, trial).to_owned(),
        trial.seeds.iter().map(|seed| seed.steps).max().unwrap_or_default().to_string(),
        usd(Some(score.mean_usd)),
        usd(score.error_usd),
        usd(Some(score.lower_usd)),
        usd(ends.map(|ends| ends.0)),
        usd(ends.map(|ends| ends.1)),
        format!("{:.5}", trial.sharpe()),
        format!("{:.2}", trial.trades()),
        usd(behind.map(|behind| behind.mean_usd)),
        usd(behind.and_then(|behind| behind.error_usd)),
        if holds.is_empty() { String::new() } else { format!("{:.4}", statistics::mean(&holds)) },
        verdicts.collect::<Vec<_>>().join(" "),
        usd(test.map(|test| test.mean_usd)),
        usd(test.and_then(|test| test.error_usd)),
    ];
    row.extend(trial.values.iter().map(text));
    row
}

/// Returns the state of a trial: finished, pruned, or unfinished where its rung was cut short.
pub fn state(plan: &SweepPlan, result: &SweepResult, trial: &TrialResult) -> &'static str {
    if trial.rung == plan.rungs.len() {
        "finished"
    } else if result.pruned.contains_key(&trial.trial) {
        "pruned"
    } else {
        "unfinished"
    }
}

/// Quotes a cell where CSV needs it.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        assert_eq!(["[64, 64]", "a\"b", "pnl"].map(cell), ["\"[64, 64]\"", "\"a\"\"b\"", "pnl"]);
    }
}
