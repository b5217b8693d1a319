//! Section 3: the folds.

use maud::{Markup, html};

use super::{absent, short_dollars, with_ends};
use crate::{
    evaluation::break_even::mean_with_interval,
    output::table::{dollars, thousands},
    report_page::{
        Folds, Page, Series,
        figure::{Plot, figure, table},
    },
    walk_forward::{FoldResult, session_row::Part},
};

/// Best dates that the mean must survive without.
const BEST_DATES: usize = 5;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    html! {
        @match &page.folds {
            Some(folds) => { (chart(folds)) (all(folds, series)) },
            None => (absent("One test without folds: the dates follow one training.")),
        }
        (without_the_best(series))
    }
}

fn chart(folds: &Folds) -> Markup {
    let means: Vec<f64> = folds.results.iter().map(|fold| fold.per_date(Part::Test).unwrap_or(0.0)).collect();
    let mut plot = Plot::around(200.0, (0.0, means.len() as f64), means.iter().copied()).y_axis(short_dollars);
    for (i, (mean, fold)) in means.iter().zip(&folds.results).enumerate() {
        let class = if *mean < 0.0 { "bar loss" } else { "bar gain" };
        let title =
            format!("fold {}, {}: {} a date, {}", fold.fold.number, fold.fold.test, dollars(*mean), fold.chosen());
        plot = plot.bar(class, (i as f64 + 0.1, i as f64 + 0.9), *mean, &title);
    }
    let labels = folds.results.iter().enumerate().map(|(i, fold)| (i as f64 + 0.5, fold.fold.number.to_string()));
    let earned = means.iter().filter(|mean| **mean > 0.0).count();
    let finding = format!("{earned} of {} folds earned on their test dates; P&L of a date by fold.", means.len());
    figure(&finding, plot.x_labels(labels), &[], None)
}

fn all(folds: &Folds, series: &Series) -> Markup {
    let heading =
        ["fold", "test dates", "chosen", "validation, a date", "test, a date [95 %]", "trades", "fees", "models"];
    let row = |fold: &FoldResult| {
        let inside: Vec<f64> = series
            .dates
            .iter()
            .zip(&series.mean)
            .filter(|(date, _)| fold.fold.test.contains(**date))
            .map(|(_, pnl)| *pnl)
            .collect();
        let test = statistics::mean(&inside);
        let ends = interval(&inside);
        let test_rows = || fold.rows.iter().filter(|row| row.part == Part::Test);
        vec![
            fold.fold.number.to_string(),
            format!("{} ({})", fold.fold.test, inside.len()),
            fold.chosen().to_owned(),
            fold.per_date(Part::Validation).map_or_else(|| "–".to_owned(), dollars),
            with_ends(test, ends),
            thousands(test_rows().map(|row| i64::from(row.trades)).sum()),
            dollars(test_rows().map(|row| row.fees_cents).sum::<i64>() as f64 / 100.0),
            fold.models.len().to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = folds.results.iter().map(row).collect();
    let (sizes, plan) = (folds.plan.sizes, &folds.plan);
    html! {
        (table("Folds: money of a date, all symbols together, mean over seeds; trades and fees of all seeds", &heading, &rows))
        p { "Every fold trains on " (sizes.train) " dates" @if sizes.anchored { " or more, from the first one" }
            ", chooses on the next " (sizes.validation) " (" (plan.choice.to_string()) "), and tests on the next " (sizes.test)
            "; " (sizes.purge) " dates between the parts are left out."
            @if plan.refit { " The chosen candidate was trained again on training and validation dates." } }
    }
}

/// Returns the bootstrap-t interval of the mean of a fold's dates; `None` for fewer than 20.
fn interval(pnl: &[f64]) -> Option<(f64, f64)> {
    if pnl.len() < 20 {
        return None;
    }
    let blocks = statistics::Blocks::Stationary(statistics::BlockLength::for_sessions(pnl));
    mean_with_interval(pnl, &statistics::Resamples::draw(pnl.len(), 999, blocks, 1)).interval
}

fn without_the_best(series: &Series) -> Markup {
    let mut sorted = series.mean.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    if sorted.len() <= BEST_DATES {
        return html! {};
    }
    let (best, rest) = sorted.split_at(BEST_DATES);
    let best: f64 = best.iter().sum();
    html! { p { "The " (BEST_DATES) " best dates earned " (dollars(best)) " together; without them the mean of a date is "
    (dollars(statistics::mean(rest))) "." } }
}
