//! Section 4: policies without information, matched random entries and the ceiling.

use maud::{Markup, html};

use super::{absent, p_text, result_rows, short_dollars};
use crate::{
    evaluation::edge::{Evaluation, figures::TrialResult},
    output::table::{dollars, percent},
    report_page::{Page, figure::table},
};

/// Policies drawn in the chart.
const DRAWN: usize = 12;

pub(super) fn body(page: &Page) -> Markup {
    let evaluation = &page.evaluation;
    html! {
        @if evaluation.baselines.is_empty() {
            (absent("No policy without information was replayed on these dates, or there are too few dates."))
        } @else { (chart(evaluation)) }
        ul {
            @if let Some(matched) = evaluation.matched_random {
                li { "Random entries with the policy's own number, side, hour, setup and holding time earn "
                    (dollars(matched.mean)) " a date; the share of them that earn as much as the policy, itself counted, is "
                    (p_text(matched.p)) "." }
            }
            @if let Some(ceiling) = evaluation.ceiling {
                li { "Perfect foresight earns " (dollars(ceiling)) " a date on the same markets; the policy captures "
                    (percent(Some(evaluation.mean_per_date_usd.value / ceiling))) " of it." }
            }
        }
    }
}

fn chart(evaluation: &Evaluation) -> Markup {
    let mut sorted: Vec<&TrialResult> = evaluation.baselines.iter().collect();
    sorted.sort_by(|a, b| b.mean_usd.total_cmp(&a.mean_usd));
    let own = evaluation.judged.as_str();
    let rank = sorted.iter().position(|row| row.name == own).map_or(0, |rank| rank + 1);
    let shown: Vec<&&TrialResult> =
        sorted.iter().enumerate().filter(|(i, row)| *i < DRAWN || row.name == own).map(|(_, row)| row).collect();
    let finding =
        format!("The judged policy ranks {rank} of {} with policies that know nothing, by money.", sorted.len());
    let least = shown.iter().map(|row| row.mean_usd).fold(0.0, f64::min);
    let most = shown.iter().map(|row| row.mean_usd).fold(0.0, f64::max);
    let rows = result_rows(sorted.iter().copied());
    let heading = ["policy", "a date", "t", "p", "p, Romano-Wolf"];
    html! {
        figure {
            figcaption { (finding) " The " (shown.len()) " best are drawn." }
            div.bars role="img" aria-label=(finding) {
                @for row in &shown {
                    div.row.own[row.name == own] {
                        span.name { (row.name) }
                        (bar(row.mean_usd, (least, most)))
                        span.value.(if row.mean_usd < 0.0 { "loss" } else { "gain" }) { (short_dollars(row.mean_usd)) }
                    }
                }
            }
            details { summary { "Numbers" } (table("All policies in one family: p is one-sided, of a gain", &heading, &rows)) }
        }
    }
}

/// Returns a horizontal bar from zero.
fn bar(value: f64, (least, most): (f64, f64)) -> Markup {
    let span = (most - least).max(f64::MIN_POSITIVE);
    let at = |value: f64| 100.0 * (value - least) / span;
    let (from, to) = (at(value.min(0.0)), at(value.max(0.0)));
    let style = format!("left:{from:.2}%;width:{:.2}%", (to - from).max(0.3));
    let zero = format!("left:{:.2}%", at(0.0));
    html! { span.track { i.zero style=(zero) {} i.(if value < 0.0 { "loss" } else { "gain" }) style=(style) {} } }
}
