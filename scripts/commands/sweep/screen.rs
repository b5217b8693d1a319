//! Text of `zerodte sweep`.

use crate::{
    inputs::Inputs,
    output::{
        table::{columns, dollars, thousands},
        wrap::wrap,
    },
    sweep::{
        Progress, SweepResult,
        halving::LEAST_TAU,
        plan::SweepPlan,
        space::{Domain, Interval, text},
        summary::{Best as BestTrial, Luck, Summary},
        trial::{Score, TrialResult, ranked},
    },
};

/// Trials in the table of the best.
const SHOWN: usize = 10;
/// Lines of progress beside those of new best trials.
const LINES: usize = 10;

/// Returns what a sweep will do.
pub(super) fn heading(plan: &SweepPlan, trials: usize, inputs: &Inputs) -> Vec<String> {
    let steps: Vec<String> = plan.rungs.iter().map(|steps| thousands(*steps as i64)).collect();
    let mut lines = vec![format!("Sweep on {}: {} trials", plan.symbols.join(", "), thousands(trials as i64))];
    lines.extend(inputs.short_lines());
    lines.extend([
        format!("Train      {}", plan.split.train),
        format!("Validation {}, {} dates; they choose", plan.split.validation, plan.validation.len()),
        format!("Test       {}, unseen without --final", plan.split.test),
        format!("Points     {}, seed {}", plan.sampler, plan.sampler_seed),
        format!("Trainings  {} seeds of every trial, {} steps", plan.seeds, steps.join(" / ")),
    ]);
    for parameter in &plan.space.0 {
        lines.extend(indented(&domain(&parameter.domain), &format!("  {:<30} ", parameter.key)));
    }
    lines
}

fn domain(domain: &Domain) -> String {
    let ends = |word: &str, interval: &Interval| format!("{word} {} to {}", interval.low, interval.high);
    match domain {
        Domain::Log(interval) => ends("log", interval),
        Domain::Range(interval) => ends("range", interval),
        Domain::Choice(values) => values.iter().map(text).collect::<Vec<_>>().join(" | "),
    }
}

/// Returns a text within 80 columns, below each other, with a title before the first line.
fn titled(title: &str, text: &str) -> Vec<String> {
    indented(text, &format!("{title:<11}"))
}

/// Returns a text within 80 columns; the lines stand below each other behind the first words.
fn indented(text: &str, first: &str) -> Vec<String> {
    wrap(text, first, &" ".repeat(first.chars().count()), |line| line.chars().count() <= 80)
}

/// Returns what luck alone will show.
pub(super) fn luck(luck: &Luck) -> Vec<String> {
    let Luck { trials, dates, best_sharpe, min_backtest_years } = luck;
    let sentence = format!(
        "The best of {trials} worthless trials is expected to show an annual Sharpe ratio of {best_sharpe:.1} on {dates} \
         dates. Below {min_backtest_years:.1} years of dates it reaches 1 (MinBTL)."
    );
    [titled("Luck", &sentence), vec![String::new()]].concat()
}

/// Returns the settings of trials that are known before the first training.
pub(super) fn trials(plan: &SweepPlan, numbers: &[usize]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for trial in numbers.iter().filter(|trial| plan.sampler.needed(**trial) == 0) {
        let point = plan.sampler.point(&plan.space, plan.sampler_seed, *trial, &[])?;
        let settings = plan.space.line(&plan.space.values(&point));
        lines.extend(indented(&settings, &format!("trial {trial:>5}  ")));
    }
    Ok(lines)
}

/// The best trial so far, for the lines of progress.
#[derive(Debug, Default)]
pub(super) struct Best {
    best: Option<(usize, Score)>,
    shown: usize,
}

impl Best {
    /// Returns the line on a trial that has just finished: for every new best one and every tenth part of a rung. Without `shows`
    /// no line has a result.
    pub(super) fn line(&mut self, progress: &Progress<'_>, shows: bool) -> Option<String> {
        let (score, trial) = (progress.trial.score(), progress.trial.trial);
        let last = progress.rung == progress.rungs;
        let better = self.best.is_none_or(|(_, best)| score.lower_usd > best.lower_usd);
        let is_best = shows && last && better;
        if is_best {
            self.best = Some((trial, score));
        }
        let part = progress.rung * LINES + progress.done * LINES / progress.all.max(1);
        if !is_best && part == self.shown {
            return None;
        }
        self.shown = part;
        let left = progress.seconds / progress.now.max(1) as f64 * (progress.all - progress.done) as f64;
        let rung =
            if progress.rungs > 1 { format!("rung {}/{}  ", progress.rung, progress.rungs) } else { String::new() };
        let best = match self.best.filter(|_| shows) {
            Some((trial, score)) => format!("best: trial {trial}, {}", money(&score)),
            None => String::new(),
        };
        let done = format!("{}/{}", progress.done, progress.all);
        Some(format!("{rung}{done:>9} trainings  {:>7} left  {best}", duration(left)).trim_end().to_owned())
    }
}

/// Returns a time of some seconds.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5_400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    }
}

fn money(score: &Score) -> String {
    let error = score.error_usd.map_or_else(String::new, |error| format!(" ± {}", dollars(error)));
    format!("{}{error}", dollars(score.mean_usd))
}

/// Returns the result of a sweep.
pub(super) fn result(plan: &SweepPlan, result: &SweepResult, summary: &Summary) -> Vec<String> {
    let mut lines = vec![String::new(), best_table(plan, result)];
    lines.push("Money of a validation date, all symbols, mean over seeds; ± one standard error".to_owned());
    lines.push(String::new());
    let Summary { finished, pruned, unfinished, .. } = summary;
    lines.push(format!("Trials     {finished} finished, {pruned} pruned, {unfinished} unfinished"));
    for (rung, tau) in (2..).zip(&summary.agreement) {
        let text = tau.map_or_else(|| "undefined".to_owned(), |tau| format!("{tau:.2}"));
        let warning = if tau.is_some_and(|tau| tau < LEAST_TAU) { "; pruning there was mostly chance" } else { "" };
        lines.push(format!("Rungs      {} and {rung} agree with Kendall's tau {text}{warning}", rung - 1));
    }
    if let Some(best) = &summary.best {
        lines.extend(best_lines(best, summary));
    }
    lines
}

fn best_lines(best: &BestTrial, summary: &Summary) -> Vec<String> {
    let Luck { trials, best_sharpe, .. } = summary.luck;
    let optional = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.3}"));
    let mut lines = titled("Best", &format!("trial {}: {}", best.trial, best.settings));
    let luck = format!(
        "Annual Sharpe ratio {:.1}, where the best of {trials} worthless trials would show {best_sharpe:.1}; DSR {}, \
         adjusted p {:.3}, PBO {}",
        best.sharpe,
        optional(best.dsr),
        best.p_adjusted,
        optional(summary.pbo)
    );
    let tied = format!(
        "{} of {} finished trials cannot be told from the best one (95 %, paired by date and seed)",
        best.tied, summary.finished
    );
    lines.extend([titled("Luck", &luck), titled("Tied", &tied)].concat());
    lines
}

fn best_table(plan: &SweepPlan, result: &SweepResult) -> String {
    let order = ranked(result.finished(plan));
    let row = |trial: &&TrialResult| {
        let score = trial.score();
        vec![
            trial.trial.to_string(),
            dollars(score.lower_usd),
            money(&score),
            order.first().map_or_else(String::new, |best| money(&trial.less(best))),
            format!("{:.1}", trial.trades()),
        ]
    };
    let rows: Vec<Vec<String>> = order.iter().take(SHOWN).map(row).collect();
    columns(&["trial", "lower bound", "mean", "less the best", "trades"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!([5.0, 200.0, 9_000.0].map(duration), ["5 s", "3 min", "2.5 h"]);
    }

    #[test]
    fn luck_is_said_within_a_screen() {
        let lines = luck(&Luck::of(400, 40));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines.join(" ").contains("MinBTL") && lines[0].starts_with("Luck       The best of 400 worthless"));
    }
}
