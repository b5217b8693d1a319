//! Text form of a diagnosis.

use market_data::DataStamp;

use super::diagnosis::{Basis, Checklist, Diagnosis, Span};
use crate::{
    commands::watch::{interval_table, learner_text},
    output::{
        synthetic::mark,
        table::{columns, percent, significant, thousands},
        wrap::wrap_for_screen,
    },
};

/// Returns the lines of a diagnosis, verdict first.
pub(super) fn lines(diagnosis: &Diagnosis) -> Vec<String> {
    let Diagnosis { verdict, since, reading, evidence, advice, last, .. } = diagnosis;
    let mut lines = vec![about(diagnosis)];
    lines.push(format!("Verdict: {verdict}, since step {}", whole(*since)));
    if reading != verdict {
        lines.push(format!("  the last interval alone: {reading}"));
    }
    lines.extend(evidence.iter().map(|sentence| format!("  {sentence}")));
    lines.extend(advice.iter().map(|sentence| format!("  to try: {sentence}")));
    lines.extend(diagnosis.money.iter().flat_map(|money| wrap_for_screen(&format!("Money: {}", money.clause()))));
    if let Some(last) = last {
        lines.push(String::new());
        lines.push(interval_table(last));
        lines.push(format!("Learner: {}", learner_text(&last.learner)));
    }
    if diagnosis.history.len() > 1 {
        lines.push(format!("History: {}", diagnosis.history.iter().map(span).collect::<Vec<_>>().join(", ")));
    }
    for made in &diagnosis.moves {
        let (step, from, to) = (whole(made.step), significant(made.from), significant(made.to));
        lines.push(format!("Move at step {step}: {} {from} to {to}: {}", made.key, made.reason));
    }
    lines.extend(diagnosis.checklists.iter().map(checklist));
    lines
}

fn about(diagnosis: &Diagnosis) -> String {
    let Diagnosis { source, data, step, planned, finished, basis, .. } = diagnosis;
    let synthetic = mark(data.is_some_and(DataStamp::is_synthetic), "", ": ");
    let planned = planned.map(|steps| format!(" of {}", whole(steps))).unwrap_or_default();
    let state = if *finished { "finished" } else { "not finished" };
    let kind = if *basis == Basis::Log { "log" } else { "run" };
    format!("{synthetic}{kind} {source}, {} steps{planned}, {state}", whole(*step))
}

fn span(span: &Span) -> String {
    let Span { verdict, from, to } = span;
    if from == to {
        format!("{verdict} {}", whole(*from))
    } else {
        format!("{verdict} {} to {}", whole(*from), whole(*to))
    }
}

fn checklist(list: &Checklist) -> String {
    let rows: Vec<Vec<String>> = list
        .checks
        .iter()
        .map(|check| {
            // Targets in per cent are shares.
            let share = check.target.contains('%');
            let text = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |x| if share { percent(Some(x)) } else { significant(x) })
            };
            let word = if check.pass { "pass" } else { "fail" }.to_owned();
            vec![check.name.clone(), check.target.clone(), text(check.value), text(check.random), word]
        })
        .collect();
    format!("\nTargets at step {}\n{}", whole(list.step), columns(&["", "target", "measured", "random", ""], &rows))
}

fn whole(steps: u64) -> String {
    thousands(steps as i64)
}

#[cfg(test)]
mod tests {
    use ppo_agent::health::TradeMoney;

    use super::*;
    use crate::{
        artifacts::health_rows::{Check, MoveRow},
        commands::watch::{IntervalSnapshot, LearnerStats, WindowStats},
    };

    fn diagnosis() -> Diagnosis {
        let stats = WindowStats { hold: Some(0.4), net_pnl_usd: Some(-12.0), ..WindowStats::default() };
        let last = IntervalSnapshot {
            first_step: 5_001,
            step: 10_000,
            interval: stats,
            total: stats,
            learner: LearnerStats::default(),
        };
        let check = |name: &str, target: &str, value, pass| Check {
            name: name.to_owned(),
            target: target.to_owned(),
            value,
            random: value.map(|_| 0.33),
            pass,
        };
        let span = |verdict: &str, from, to| Span { verdict: verdict.into(), from, to };
        Diagnosis {
            source: "runs/one".to_owned(),
            basis: Basis::IntervalReport,
            data: Some(DataStamp::Synthetic),
            step: 12_288,
            planned: Some(100_000),
            finished: false,
            verdict: "healthy".into(),
            since: 5_000,
            reading: "drifting".into(),
            evidence: vec!["flat HOLD 40.0%".to_owned()],
            advice: vec!["wait".to_owned()],
            money: Some(TradeMoney { trades: 9, dates: 1, per_trade: -0.08, random: -0.041, interval: None }),
            exit_code: 0,
            history: vec![span("inconclusive", 5_000, 5_000), span("healthy", 10_000, 25_000)],
            checklists: vec![Checklist {
                step: 10_000,
                checks: vec![check("hold", "30-40%", Some(0.4), true), check("value loss", "finite", None, false)],
            }],
            moves: vec![MoveRow {
                data: DataStamp::Synthetic,
                step: 8_192,
                key: "ppo.ent_coef".to_owned(),
                from: 0.06,
                to: 0.08,
                reason: "HOLD 71%".to_owned(),
            }],
            last: Some(last),
        }
    }

    #[test]
    fn the_text_starts_with_the_verdict_and_its_evidence() {
        let expected = "\
SYNTHETIC DATA: run runs/one, 12,288 steps of 100,000, not finished
Verdict: healthy, since step 5,000
  the last interval alone: drifting
  flat HOLD 40.0%
  to try: wait
Money: -8.0% per trade after costs, random-legal -4.1% on the same sessions: one
date is too few for an interval

steps        HOLD  CALL  PUT  strong BUY  weak BUY  in market  net P&L
----------  -----  ----  ---  ----------  --------  ---------  -------
last 5,000  40.0%     -    -           -         -          -     -$12
all         40.0%     -    -           -         -          -     -$12
Learner: entropy - of maximum, explained variance -, - steps/s
History: inconclusive 5,000, healthy 10,000 to 25,000
Move at step 8,192: ppo.ent_coef 0.06 to 0.08: HOLD 71%

Targets at step 10,000
            target  measured  random
----------  ------  --------  ------  ----
hold        30-40%     40.0%   33.0%  pass
value loss  finite         -       -  fail";
        assert_eq!(lines(&diagnosis()).join("\n"), expected);
    }
}
