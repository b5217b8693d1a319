//! Section 6: the same procedure on markets without direction.

use maud::{Markup, html};

use super::{absent, p_text, selection::histogram, short_dollars};
use crate::{
    evaluation::edge::{Placebo, Power},
    output::table::{dollars, percent, thousands},
    report_page::{
        Page,
        figure::{figure, table},
    },
};

pub(super) fn body(page: &Page) -> Markup {
    let Some(folds) = &page.folds else {
        return absent("A placebo test repeats a whole walk-forward procedure; this is a single test.");
    };
    if folds.placebo_usd.is_empty() {
        return absent("Not run: zerodte placebo --like FOLDER repeats the procedure on markets without direction.");
    }
    let (real, worlds) = (page.evaluation.mean_per_date_usd.value, &folds.placebo_usd);
    let found = Placebo::of(real, worlds);
    let finding = format!(
        "On {} of {} markets with the same sizes of moves and no direction the same procedure earned as much as the real {} a date: \
         p {}.",
        thousands(found.rank as i64),
        thousands(found.worlds as i64),
        dollars(real),
        p_text(found.p)
    );
    let mut sorted = worlds.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| dollars(statistics::nearest_rank(&sorted, share).unwrap_or(f64::NAN));
    let rows =
        [("mean", dollars(statistics::mean(&sorted))), ("5 %", at(0.05)), ("median", at(0.5)), ("95 %", at(0.95))];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let numbers = table("Mean P&L of a date on the placebo markets", &["of the markets", "a date"], &rows);
    html! {
        (figure(&finding, histogram(worlds, Some((real, "the real market")), short_dollars), &[], Some(numbers)))
        (power(&page.evaluation.power))
    }
}

/// Returns the power for every planted edge.
fn power(all: &[Power]) -> Markup {
    if all.is_empty() {
        return absent("Power not measured: zerodte placebo --like FOLDER --plant 1 plants an edge of 1 % per trade.");
    }
    let row = |power: &Power| {
        vec![
            percent(Some(power.edge_per_trade)),
            percent(Some(power.measured)),
            power.worlds.to_string(),
            power.found.to_string(),
            percent(power.share),
        ]
    };
    let heading = ["edge per trade", "as measured", "markets", "found", "power"];
    html! {
        ul { @for power in all { li { (power.sentence()) } } }
        (table("Markets with a planted edge; found: a rank of at most 5 % among the placebos", &heading, &all.iter().map(row).collect::<Vec<_>>()))
    }
}
