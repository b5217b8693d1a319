//! Charts of a sweep's page.

use maud::{Markup, html};

use crate::{
    output::table::dollars,
    report_page::{
        against_test,
        figure::{Plot, figure, table},
        text::{absent, short_dollars},
    },
    sweep::{
        plan::SweepPlan,
        space::{Domain, text},
        summary::Summary,
        trial::{Score, TrialResult},
    },
};

/// Trials that are drawn with their intervals.
pub(super) const BEST: usize = 20;
/// Most trials that are drawn as lines.
const MOST_LINES: usize = 500;
/// Share of the trials that are drawn as the best: one of so many.
const BEST_PART: usize = 10;

/// Draws the best trials with their 95 % intervals.
pub(super) fn intervals(order: &[&TrialResult]) -> Markup {
    let shown: Vec<(usize, Score)> = order.iter().take(BEST).map(|trial| (trial.trial, trial.score())).collect();
    let ends = |score: &Score| score.interval(0.95).unwrap_or((score.mean_usd, score.mean_usd));
    let low = shown.iter().map(|(_, score)| ends(score).0).fold(0.0, f64::min);
    let high = shown.iter().map(|(_, score)| ends(score).1).fold(0.0, f64::max);
    let margin = 0.08 * (high - low);
    let rows = shown.len() as f64;
    let mut plot = Plot::new(40.0 + 20.0 * rows, (low - margin, high + margin), (0.0, rows)).rule("zero", 0.0, "");
    for (row, (trial, score)) in shown.iter().enumerate() {
        let (y, (from, to)) = (rows - row as f64 - 0.5, ends(score));
        let class = if score.mean_usd < 0.0 { "loss" } else { "gain" };
        plot = plot
            .line("interval", &[(from, y), (to, y)])
            .dot(class, (score.mean_usd, y), &format!("trial {trial}: {}", dollars(score.mean_usd)))
            .note((to, y), &trial.to_string());
    }
    let above = shown.iter().filter(|(_, score)| ends(score).0 > 0.0).count();
    let finding = format!(
        "{above} of the {} best trials have an interval above zero, before any correction for their number; P&L of a validation \
         date with 95 % intervals over dates and seeds.",
        shown.len()
    );
    figure(&finding, plot.x_axis(short_dollars), &[], None)
}

/// Draws the share of the trials' money that each key explains.
pub(super) fn importance(summary: &Summary) -> Markup {
    let mut shown: Vec<(&str, f64)> =
        summary.importance.iter().filter_map(|one| Some((one.key.as_str(), one.share?))).collect();
    if shown.is_empty() {
        return absent("Too few trials were trained to their end, or all earned the same.");
    }
    shown.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (key, share) = shown[0];
    let finding = if share > 0.0 {
        format!("{key} explains most of the trials' money by itself: {:.0} % of its variance.", 100.0 * share)
    } else {
        "No key explains any of the trials' money by itself.".to_owned()
    };
    html! {
        figure {
            figcaption { (finding) }
            div.bars role="img" aria-label=(finding) {
                @for (key, share) in &shown {
                    div.row {
                        span.name { (key) }
                        span.track { i.gain style=(format!("left:0;width:{:.2}%", 100.0 * share)) {} }
                        span.value { (format!("{:.0} %", 100.0 * share)) }
                    }
                }
            }
        }
        p.muted { "ω² of one key at a time: its list of values, or four equal parts of its interval. It shows no interplay of keys." }
    }
}

/// Draws every finished trial as a line over its coordinates, and its rank on the last axis.
pub(super) fn parallel(plan: &SweepPlan, order: &[&TrialResult]) -> Markup {
    if order.is_empty() {
        return absent("No trial was trained to its end.");
    }
    let (keys, shown) = (plan.space.0.len(), order.len().min(MOST_LINES));
    let best = order.len().div_ceil(BEST_PART);
    let mut plot = Plot::new(320.0, (0.0, keys as f64), (0.0, 1.0));
    for axis in 0..=keys {
        plot = plot.rule("grid", axis as f64, "");
    }
    for (rank, trial) in order.iter().enumerate().take(shown).rev() {
        let height = 1.0 - rank as f64 / (order.len() - 1).max(1) as f64;
        let points: Vec<(f64, f64)> =
            trial.point.iter().chain([&height]).enumerate().map(|(axis, at)| (axis as f64, *at)).collect();
        plot = plot.line(if rank < best { "call" } else { "thin" }, &points);
    }
    let name = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let labels = plan.space.0.iter().enumerate().map(|(axis, parameter)| (axis as f64, name(&parameter.key)));
    let plot = plot.x_labels(labels.chain([(keys as f64, "rank".to_owned())]));
    let drawn = if shown < order.len() { format!(" The {shown} best are drawn.") } else { String::new() };
    let finding = format!(
        "Settings of {} finished trials, one line each, with the rank by money on the last axis; the best tenth is coloured.{drawn}",
        order.len()
    );
    let key = [("call", "best tenth"), ("thin", "others")];
    figure(&finding, plot, &key, Some(axes(plan)))
}

/// Returns the ends of the axes.
fn axes(plan: &SweepPlan) -> Markup {
    let ends = |domain: &Domain| match domain {
        Domain::Choice(values) => values.iter().map(text).collect::<Vec<_>>().join(" | "),
        Domain::Log(interval) => format!("{} to {}, logarithmic", interval.low, interval.high),
        Domain::Range(interval) => format!("{} to {}", interval.low, interval.high),
    };
    let row = |parameter: &crate::sweep::space::Parameter| vec![parameter.key.clone(), ends(&parameter.domain)];
    let rows: Vec<Vec<String>> = plan.space.0.iter().map(row).collect();
    table("Axes, from the lower to the upper end", &["key", "values"], &rows)
}

/// Draws validation against test money of the tested trials.
pub(super) fn tested(pairs: &[(&TrialResult, Score)]) -> Markup {
    let money = |(trial, test): &(&TrialResult, Score)| (trial.score().mean_usd, test.mean_usd, trial.trial);
    let pairs: Vec<(f64, f64, usize)> = pairs.iter().map(money).collect();
    let mean = |of: fn(&(f64, f64, usize)) -> f64| statistics::mean(pairs.iter().map(of).collect::<Vec<_>>());
    let finding = format!(
        "The {} best trials earned {} a date on validation (x) and {} on test (y); on the dashed line both are equal.",
        pairs.len(),
        dollars(mean(|pair| pair.0)),
        dollars(mean(|pair| pair.1))
    );
    figure(&finding, against_test::plot("trial", &pairs), &[], None)
}
