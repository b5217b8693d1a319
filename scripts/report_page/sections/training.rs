//! Section 9: the course of the trainings.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::absent;
use crate::{
    output::table::{percent, thousands},
    report_page::{
        Folds, Page, Training,
        figure::{Plot, figure, table},
    },
};

/// Lines of the chart: class, label and key of the diagnostics row.
const LINES: [(&str, &str, &str); 4] = [
    ("hold", "HOLD", "actions/frac_hold"),
    ("call", "BUY_CALL", "actions/frac_buy_call"),
    ("put", "BUY_PUT", "actions/frac_buy_put"),
    ("strong-buy", "BUY on strong setups", "actions_strong/buy"),
];
/// Largest chart of verdicts with a label in every field, in fields.
const LABELLED: usize = 12;

pub(super) fn body(page: &Page) -> Markup {
    match (&page.training, &page.folds) {
        (Some(training), _) if !training.rows.is_empty() => course(training),
        (_, Some(folds)) => trainings(folds),
        _ => absent("The course of the training is in its run folder: runs/NAME/training.svg."),
    }
}

fn course(training: &Training) -> Markup {
    let last = training.rows.last().map_or(1.0, |row| row.step as f64);
    let points = |key: &str| -> Vec<(f64, f64)> {
        training.rows.iter().filter_map(|row| Some((row.step as f64, (*row.values.get(key)?)?))).collect()
    };
    let mut plot = Plot::new(240.0, (0.0, last), (0.0, 1.0)).y_axis(|share| format!("{:.0}%", 100.0 * share));
    for (class, _, key) in LINES {
        plot = plot.line(class, &points(key));
    }
    let plot = plot.x_axis(|steps| thousands(steps as i64));
    let end = |key: &str| percent(points(key).last().map(|point| point.1));
    let finding = format!(
        "Shares of decisions of a flat account over the steps: at the end HOLD {}, and BUY on {} of strong setups.",
        end(LINES[0].2),
        end(LINES[3].2)
    );
    let rows: Vec<Vec<String>> = training
        .rows
        .iter()
        .map(|row| {
            let share = |key: &str| percent(row.values.get(key).copied().flatten());
            [thousands(row.step as i64)].into_iter().chain(LINES.map(|line| share(line.2))).collect()
        })
        .collect();
    let heading: Vec<&str> = ["step"].into_iter().chain(LINES.map(|line| line.1)).collect();
    let numbers = table("Shares by interval", &heading, &rows);
    let key = LINES.map(|(class, label, _)| (class, label));
    html! { (figure(&finding, plot, &key, Some(numbers))) (timeline(training)) }
}

/// Draws the verdicts over the steps.
fn timeline(training: &Training) -> Markup {
    let mut spans: Vec<(String, u64, u64)> = Vec::new();
    for row in &training.verdicts {
        let word = row.verdict.to_string();
        match spans.last_mut() {
            Some(span) if span.0 == word => span.2 = row.step,
            _ => spans.push((word, row.first_step.saturating_sub(1), row.step)),
        }
    }
    let Some(last) = spans.last().cloned() else { return html! {} };
    let finding = format!("Verdict on the training at its end: {}; {} changes on the way.", last.0, spans.len() - 1);
    let width = |from: u64, to: u64| format!("flex-grow:{}", to.saturating_sub(from).max(1));
    html! {
        figure {
            figcaption { (finding) }
            div.strip role="img" aria-label=(finding) {
                @for (word, from, to) in &spans {
                    span.(verdict_class(word)) style=(width(*from, *to)) title=(format!("{word}: {} to {}", thousands(*from as i64), thousands(*to as i64))) {
                        @if spans.len() <= LABELLED { (word) } @else { (PreEscaped("&nbsp;")) }
                    }
                }
            }
        }
    }
}

/// Returns the class of a verdict on a training.
fn verdict_class(word: &str) -> &'static str {
    match word {
        "healthy" | "hold_is_optimal" => "good",
        "inconclusive" | "drifting" => "open",
        _ => "bad",
    }
}

fn trainings(folds: &Folds) -> Markup {
    let all = || {
        folds.results.iter().flat_map(|fold| fold.trainings.iter().map(move |training| (fold.fold.number, training)))
    };
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (_, training) in all() {
        *counts.entry((&training.candidate, training.verdict.as_deref().unwrap_or("too short"))).or_default() += 1;
    }
    let summary: Vec<Vec<String>> = counts
        .iter()
        .map(|((candidate, verdict), count)| vec![(*candidate).to_owned(), (*verdict).to_owned(), count.to_string()])
        .collect();
    let rows: Vec<Vec<String>> = all()
        .map(|(number, training)| {
            vec![
                number.to_string(),
                training.candidate.clone(),
                training.seed.to_string(),
                thousands(training.steps as i64),
                percent(training.hold),
                percent(training.strong_buy),
                training.verdict.clone().unwrap_or_else(|| "too short".to_owned()),
            ]
        })
        .collect();
    let heading = ["fold", "candidate", "seed", "steps", "HOLD", "BUY on strong setups", "verdict"];
    html! {
        (shares(folds))
        (table("Verdicts on the trainings", &["candidate", "verdict", "trainings"], &summary))
        details { summary { "Every training" } (table("Shares of decisions of a flat account in the last interval", &heading, &rows)) }
    }
}

/// Draws shares of every training by fold.
fn shares(folds: &Folds) -> Markup {
    let count = folds.results.len();
    let mut plot =
        Plot::new(220.0, (0.4, count as f64 + 0.6), (0.0, 1.0)).y_axis(|share| format!("{:.0}%", 100.0 * share));
    let (mut holds, mut buys) = (Vec::new(), Vec::new());
    for (i, fold) in folds.results.iter().enumerate() {
        let per_fold = fold.trainings.len().max(1) as f64;
        for (j, training) in fold.trainings.iter().enumerate() {
            let x = i as f64 + 1.0 + 0.6 * ((j as f64 + 0.5) / per_fold - 0.5);
            let name = format!("fold {}, {} seed {}", fold.fold.number, training.candidate, training.seed);
            for (share, class, all) in
                [(training.hold, "hold", &mut holds), (training.strong_buy, "strong-buy", &mut buys)]
            {
                if let Some(share) = share {
                    all.push(share);
                    plot = plot.dot(class, (x, share), &format!("{name}: {}", percent(Some(share))));
                }
            }
        }
    }
    let plot =
        plot.x_labels(folds.results.iter().enumerate().map(|(i, fold)| (i as f64 + 1.0, fold.fold.number.to_string())));
    let mean = |of: &[f64]| percent((!of.is_empty()).then(|| statistics::mean(of)));
    let finding = format!(
        "At the end of {} trainings HOLD takes {} of the decisions of a flat account, and strong setups are bought {} of the time, \
         on average; one pair of dots per training, by fold.",
        holds.len(),
        mean(&holds),
        mean(&buys)
    );
    figure(&finding, plot, &[("dot hold", "HOLD"), ("dot strong-buy", "BUY on strong setups")], None)
}
