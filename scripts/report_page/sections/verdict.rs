//! Section 1: the verdict, its figures, and its limits.

use maud::{Markup, html};

use super::with_ends;
use crate::{
    evaluation::edge::{Evaluation, verdict::Word},
    output::table::{counted, decimals, dollars, thousands},
    report_page::{Page, figure::Plot},
};

/// Further session dates that count as more than five years.
const FIVE_YEARS: u64 = 1_260;

pub(super) fn body(page: &Page) -> Markup {
    let evaluation = &page.evaluation;
    let (verdict, (sign, class)) = (&evaluation.verdict, look(evaluation.verdict.word));
    html! {
        div.verdict.(class) {
            p.word { span aria-hidden="true" { (sign) } " " (verdict.word.to_string().replace('_', " ")) }
            p.sentence { (verdict.sentence) }
        }
        (interval(evaluation))
        dl.tiles { @for (name, value, note) in tiles(evaluation) { div { dt { (name) } dd { (value) } dd.note { (note) } } } }
        div.columns {
            div {
                h3 { "Conditions of a surviving edge" }
                ul.conditions { @for line in &verdict.evidence { (condition(line)) } }
            }
            div {
                h3 { "Limits of this verdict" }
                ul { @for line in limits(page) { li { (line) } } }
            }
        }
    }
}

/// Returns sign and class of a verdict.
fn look(word: Word) -> (&'static str, &'static str) {
    match word {
        Word::EdgeSurvives => ("▲", "good"),
        Word::Loses => ("▼", "bad"),
        Word::Contaminated | Word::TooGood => ("⚠", "bad"),
        Word::NoEdge | Word::Inconclusive => ("●", "open"),
    }
}

/// Returns a condition with a sign for its state.
fn condition(line: &str) -> Markup {
    let (text, state) = line.rsplit_once(": ").unwrap_or((line, ""));
    let (sign, class) = match state {
        "yes" => ("✓", "gain"),
        "no" => ("✗", "loss"),
        _ => ("–", "muted"),
    };
    html! { li { span class=(class) { (sign) " " (state) } ": " (text) } }
}

/// Draws the interval of the mean around zero.
fn interval(evaluation: &Evaluation) -> Markup {
    let mean = evaluation.mean_per_date_usd;
    let (Some(low), Some(high)) = (mean.low, mean.high) else { return html! {} };
    let (inner_low, inner_high) = (mean.low_dates_only.unwrap_or(low), mean.high_dates_only.unwrap_or(high));
    let (left, right) = (low.min(0.0), high.max(0.0));
    let margin = 0.08 * (right - left);
    let finding = format!(
        "Mean P&L of a date {}, 95 % interval for a new training {} to {}, for these networks {} to {}.",
        dollars(mean.value),
        dollars(low),
        dollars(high),
        dollars(inner_low),
        dollars(inner_high)
    );
    let at = |value: f64, y: f64| (value, y);
    let plot = Plot::new(96.0, (left - margin, right + margin), (0.0, 3.0))
        .rule("zero", 0.0, "nothing earned")
        .line("interval wide", &[at(low, 1.7), at(high, 1.7)])
        .line("interval", &[at(inner_low, 0.7), at(inner_high, 0.7)])
        .dot("ink", (mean.value, 1.7), &dollars(mean.value))
        .dot("ink", (mean.value, 0.7), &dollars(mean.value))
        .x_axis(super::short_dollars);
    html! {
        figure {
            figcaption { (finding) }
            ul.key aria-hidden="true" {
                li { i.swatch.interval.wide {} "a new training, 95 %" }
                li { i.swatch.interval {} "these networks, 95 %" }
            }
            (plot.svg(&finding))
        }
    }
}

/// Returns the main figures: name, value and note.
fn tiles(evaluation: &Evaluation) -> Vec<(&'static str, String, String)> {
    let (unit, mean) = (&evaluation.unit, evaluation.mean_per_date_usd);
    let ends = mean.low.zip(mean.high);
    let mut tiles = vec![(
        "Net, a date",
        dollars(mean.value),
        ends.map_or_else(
            || "too few dates for an interval".to_owned(),
            |(low, high)| format!("95 %: {} to {}", dollars(low), dollars(high)),
        ),
    )];
    if let Some(sharpe) = evaluation.sharpe {
        let [low, high, skew] = [sharpe.low, sharpe.high, sharpe.skew].map(|value| decimals(value, 1));
        let note = format!("95 %: {low} to {high}; skew {skew}");
        tiles.push(("Sharpe, a year", decimals(sharpe.annual, 2), note));
    }
    if let Some(drawdown) = evaluation.drawdown {
        let note = format!("95 % of resamples fall less than {}", dollars(drawdown.resampled_95));
        tiles.push(("Largest fall", dollars(drawdown.usd), note));
    }
    let seeds = counted(unit.seeds, "seed");
    tiles.push(("Session dates", thousands(unit.dates as i64), format!("{} to {}", unit.first, unit.last)));
    let per_date = unit.trades as f64 / (unit.dates * unit.seeds).max(1) as f64;
    tiles.push(("Trades", thousands(unit.trades as i64), format!("{per_date:.1} a date and seed, {seeds}")));
    let capital = format!("{} a date on {}", unit.symbols.join(", "), dollars(unit.capital_usd));
    let share = mean.value / unit.capital_usd * 100.0;
    tiles.push(("Return, a date", format!("{}% of the capital", decimals(share, 2)), capital));
    tiles
}

/// Returns what the verdict does not say.
fn limits(page: &Page) -> Vec<String> {
    let Evaluation { unit, looks, placebo, matched_random, mean_per_date_usd: mean, .. } = &page.evaluation;
    let mut lines = vec![format!(
        "It judges {} from {} to {}, and no other symbol or year.",
        unit.symbols.join(", "),
        unit.first,
        unit.last
    )];
    if unit.modelled_prices {
        lines.push("Option prices are modelled, not quotes: a real spread on a busy minute may differ.".to_owned());
    }
    lines.push(match unit.seeds {
        0 | 1 => "One seed: it speaks of these weights, not of another training with the same settings.".to_owned(),
        n if n < 5 => format!("{n} seeds: the interval for a new training rests on few trainings."),
        n => format!(
            "The mean of {n} seeds is earned by giving each an equal share of the capital; no single seed is claimed."
        ),
    });
    lines.push(match looks {
        Some(looks) => format!(
            "{} looked at some of these dates on this machine; looks elsewhere are unknown.",
            counted(looks.configurations, "configuration")
        ),
        None => "There was no registry: how often these dates were looked at before is unknown.".to_owned(),
    });
    if placebo.is_none() && page.folds.is_some() {
        lines
            .push("No placebo markets were run: zerodte placebo --like FOLDER ranks the result among them.".to_owned());
    }
    if matched_random.is_none() {
        lines.push("Random entries that match the policy's were not measured.".to_owned());
    }
    if let (Some(needed), Some(error)) = (page.evaluation.needed_dates, mean.error) {
        let error = with_ends(error, None);
        let more = if needed > FIVE_YEARS {
            "more than five years of dates".to_owned()
        } else {
            format!("about {} dates", thousands(needed as i64))
        };
        lines.push(format!(
            "The standard error is {error} a date; to find this edge, or the smallest of interest, would take {more} more."
        ));
    }
    lines.push("Past costs and liquidity are assumed; larger orders are estimated from the displayed size.".to_owned());
    lines
}
