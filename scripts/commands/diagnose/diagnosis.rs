//! The judgement of a whole training, as one object.

use std::path::Path;

use anyhow::{bail, ensure};
use market_data::DataStamp;
use serde::Serialize;

use crate::{
    artifacts::health_rows::{Check, HealthRow, MoveRow, WrittenVerdict},
    commands::watch::{self, Seen, UnjudgedInterval, View, Watched},
};

/// What is said of a training; the object of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Diagnosis {
    /// The run folder or the log.
    pub source: String,
    /// What the verdict rests on.
    pub basis: Basis,
    /// Origin of the bars; null where unknown.
    pub data: Option<DataStamp>,
    /// Steps taken.
    pub step: u64,
    /// Steps asked for; null where unknown.
    pub planned: Option<u64>,
    /// Whether the training is over.
    pub finished: bool,
    /// healthy, drifting, collapsed:HOLD, collapsed:BUY_CALL, collapsed:BUY_PUT, state_blind, frozen, exploding,
    /// hold_is_optimal or inconclusive.
    pub verdict: WrittenVerdict,
    /// Steps at which the verdict began.
    pub since: u64,
    /// The reading of the last interval alone.
    pub reading: WrittenVerdict,
    /// The figures that the reading rests on, one sentence each.
    pub evidence: Vec<String>,
    /// What to try, one sentence each.
    pub advice: Vec<String>,
    /// The exit code that goes with the verdict.
    pub exit_code: u8,
    /// The verdicts one after the other, oldest first.
    pub history: Vec<Span>,
    /// The documented targets at the documented steps, as far as the training came.
    pub checklists: Vec<Checklist>,
    /// What the controller changed, oldest first.
    pub moves: Vec<MoveRow>,
    /// The last interval, and all steps so far; absent where the training broke before one was over.
    pub last: Option<Seen>,
}

/// What a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Basis {
    /// `health.jsonl`: everything that was measured, and at least two intervals in a row.
    #[serde(rename = "health")]
    IntervalReport,
    /// The shares of single intervals of a run without `health.jsonl`.
    Shares,
    /// A log: its own verdict where it has one, else the shares of single intervals, made from its cumulative counts.
    Log,
}

/// A verdict that held for a while.
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
        let mut watched = Watched::open(path)?;
        let view = watched.poll()?.clone();
        let name = path.display();
        ensure!(
            !watched.is_log() || view.last().is_some(),
            "{name} holds no MomentumDiagnostics block: it is no log of a training, or its first interval is not over"
        );
        let basis = if watched.is_log() { Basis::Log } else { Basis::Shares };
        match (view.health.last().cloned(), view.last().cloned()) {
            (Some(row), last) => {
                let basis = if watched.is_log() { Basis::Log } else { Basis::IntervalReport };
                Ok(Self::judged(view, row, last, basis))
            }
            (None, Some(last)) => Ok(Self::read(view, basis, last)),
            (None, None) => {
                bail!("{name}: the first diagnostics interval is not over, so there is nothing to judge yet")
            }
        }
    }

    /// Takes the verdict that was written.
    fn judged(view: View, row: HealthRow, last: Option<Seen>, basis: Basis) -> Self {
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

    /// Reads the shares of the intervals, where no verdict was written.
    fn read(view: View, basis: Basis, last: Seen) -> Self {
        let UnjudgedInterval { verdict, mut evidence } = watch::read(&last);
        let history = spans(view.intervals.iter().map(|seen| (seen.step, watch::read(seen).verdict.into())));
        evidence.push(match basis {
            Basis::Log => "read from the shares alone: this log holds no verdict".to_owned(),
            _ => "read from the shares alone: the run has no health.jsonl".to_owned(),
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

/// Joins equal verdicts that follow each other.
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
    fn a_verdict_that_comes_back_is_a_span_of_its_own() {
        let rows = [(5, "healthy"), (10, "healthy"), (15, "drifting"), (20, "healthy")];
        let spans = spans(rows.into_iter().map(|(step, verdict)| (step, verdict.into())));
        let spans: Vec<_> = spans.into_iter().map(|span| (span.verdict, span.from, span.to)).collect();
        let expected = [("healthy", 5, 10), ("drifting", 15, 15), ("healthy", 20, 20)];
        assert_eq!(spans, expected.map(|(verdict, from, to)| (verdict.into(), from, to)));
    }
}
