//! Diagnosis of a whole training, as one object.

use std::path::Path;

use anyhow::{bail, ensure};
use market_data::DataStamp;
use ppo_agent::health::TradeMoney;
use serde::Serialize;

use crate::{
    artifacts::health_rows::{Check, HealthRow, MoveRow, WrittenVerdict},
    commands::watch::{self, IntervalSnapshot, TrainingFollower, UnjudgedInterval, View},
};

/// Diagnosis of a training; the object of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Diagnosis {
    /// The run folder or the log.
    pub source: String,
    /// Basis of the verdict.
    pub basis: Basis,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones; null if unknown.
    pub data: Option<DataStamp>,
    /// Steps taken.
    pub step: u64,
    /// Planned steps; null if unknown.
    pub planned: Option<u64>,
    /// True if the training is over.
    pub finished: bool,
    /// healthy, drifting, collapsed:HOLD, collapsed:BUY_CALL, collapsed:BUY_PUT, state_blind, frozen, exploding,
    /// hold_is_optimal or inconclusive.
    pub verdict: WrittenVerdict,
    /// Steps at which the verdict began.
    pub since: u64,
    /// Reading of the last interval alone.
    pub reading: WrittenVerdict,
    /// The figures that the reading rests on, one sentence each.
    pub evidence: Vec<String>,
    /// Advice, one sentence each.
    pub advice: Vec<String>,
    /// Money of the last interval's trades beside random-legal ones of the same sessions; null without trades, or in a log.
    pub money: Option<TradeMoney>,
    /// The exit code that goes with the verdict.
    pub exit_code: u8,
    /// The verdicts one after the other, oldest first.
    pub history: Vec<Span>,
    /// Checks of the documented targets, at the documented steps reached so far.
    pub checklists: Vec<Checklist>,
    /// Changes made by the controller, oldest first.
    pub moves: Vec<MoveRow>,
    /// The last interval, and all steps so far; absent if the training ended before one was finished.
    pub last: Option<IntervalSnapshot>,
}

/// Basis of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Basis {
    /// `health.jsonl`: all measurements, over at least two consecutive intervals.
    #[serde(rename = "health")]
    IntervalReport,
    /// The shares of single intervals of a run without `health.jsonl`.
    Shares,
    /// A log: its own verdict where it has one, else the shares of single intervals, made from its cumulative counts.
    Log,
}

/// Consecutive intervals with the same called verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    /// The verdict.
    pub verdict: WrittenVerdict,
    /// Steps at the end of the first interval for which it was called.
    pub from: u64,
    /// Steps at the end of the last one.
    pub to: u64,
}

/// The documented targets at one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Checklist {
    /// Steps taken.
    pub step: u64,
    /// The targets.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Reads a run folder or a log.
    ///
    /// # Errors
    /// As [`run`].
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let mut follower = TrainingFollower::open(path)?;
        let view = follower.poll()?.clone();
        let name = path.display();
        ensure!(
            !follower.is_log() || view.last().is_some(),
            "{name} has no MomentumDiagnostics block: it is not a training log, or its first interval is not finished"
        );
        let basis = if follower.is_log() { Basis::Log } else { Basis::Shares };
        match (view.health.last().cloned(), view.last().cloned()) {
            (Some(row), last) => {
                let basis = if follower.is_log() { Basis::Log } else { Basis::IntervalReport };
                Ok(Self::from_verdicts(view, row, last, basis))
            }
            (None, Some(last)) => Ok(Self::from_shares(view, basis, last)),
            (None, None) => {
                bail!("{name}: the first diagnostics interval is not finished, so there is nothing to judge yet")
            }
        }
    }

    /// Returns the diagnosis of a training with written verdicts.
    fn from_verdicts(view: View, row: HealthRow, last: Option<IntervalSnapshot>, basis: Basis) -> Self {
        let checked = view.health.iter().filter(|row| !row.checklist.is_empty());
        Self {
            history: spans(view.health.iter().map(|row| (row.step, row.verdict.clone()))),
            checklists: checked.map(|row| Checklist { step: row.step, checks: row.checklist.clone() }).collect(),
            exit_code: row.verdict.exit_code(),
            verdict: row.verdict,
            since: row.since,
            reading: row.reading,
            evidence: row.evidence,
            advice: row.advice,
            money: row.money,
            basis,
            source: view.source,
            data: view.data,
            step: view.step,
            planned: view.planned,
            finished: view.finished,
            moves: view.moves,
            last,
        }
    }

    /// Returns the diagnosis by the intervals' shares, where no verdict was written.
    fn from_shares(view: View, basis: Basis, last: IntervalSnapshot) -> Self {
        let UnjudgedInterval { verdict, mut evidence } = watch::judge_by_shares(&last);
        let history = spans(
            view.intervals.iter().map(|snapshot| (snapshot.step, watch::judge_by_shares(snapshot).verdict.into())),
        );
        evidence.push(match basis {
            Basis::Log => "judged by action shares alone: this log has no verdict".to_owned(),
            _ => "judged by action shares alone: the run has no health.jsonl".to_owned(),
        });
        Self {
            since: history.last().map_or(last.step, |span| span.from),
            history,
            checklists: Vec::new(),
            exit_code: verdict.exit_code(),
            verdict: verdict.into(),
            reading: verdict.into(),
            evidence,
            advice: Vec::new(),
            money: None,
            basis,
            source: view.source,
            data: view.data,
            step: view.step,
            planned: view.planned,
            finished: view.finished,
            moves: view.moves,
            last: Some(last),
        }
    }
}

/// Merges consecutive equal verdicts.
fn spans(verdicts: impl Iterator<Item = (u64, WrittenVerdict)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (step, verdict) in verdicts {
        match spans.last_mut() {
            Some(span) if span.verdict == verdict => span.to = step,
            _ => spans.push(Span { verdict, from: step, to: step }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_exit_code() {
        for (verdict, code) in [
            ("healthy", 0),
            ("drifting", 0),
            ("hold_is_optimal", 0),
            ("inconclusive", 0),
            ("collapsed:HOLD", 3),
            ("collapsed:BUY_CALL", 3),
            ("collapsed:BUY_PUT", 3),
            ("state_blind", 3),
            ("frozen", 4),
            ("exploding", 5),
            ("a word of another version", 0),
        ] {
            assert_eq!(WrittenVerdict::from(verdict).exit_code(), code, "{verdict}");
        }
    }

    #[test]
    fn a_returning_verdict_starts_a_new_span() {
        let rows = [(5, "healthy"), (10, "healthy"), (15, "drifting"), (20, "healthy")];
        let spans = spans(rows.into_iter().map(|(step, verdict)| (step, verdict.into())));
        let spans: Vec<_> = spans.into_iter().map(|span| (span.verdict, span.from, span.to)).collect();
        let expected = [("healthy", 5, 10), ("drifting", 15, 15), ("healthy", 20, 20)];
        assert_eq!(spans, expected.map(|(verdict, from, to)| (verdict.into(), from, to)));
    }
}
