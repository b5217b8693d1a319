//! Section 10: the seeds.

use maud::{Markup, html};
use statistics::{BlockLength, Blocks, Moments, Resamples, SESSIONS_PER_YEAR};

use super::{short_dollars, with_ends};
use crate::{
    evaluation::break_even::{WithInterval, mean_with_interval},
    output::table::{decimals, dollars, thousands},
    report_page::{
        Page, Series,
        figure::{Plot, figure, table},
    },
};

/// Resamples behind the intervals.
const RESAMPLES: usize = 1_999;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    let blocks = Blocks::Stationary(BlockLength::for_sessions(&series.mean));
    let resamples = Resamples::draw(series.dates.len(), RESAMPLES, blocks, 1);
    let found: Vec<WithInterval> = series.seeds.iter().map(|pnl| mean_with_interval(pnl, &resamples)).collect();
    let evaluation = &page.evaluation;
    html! {
        (chart(page, &found))
        (numbers(page, series, &found))
        @if let Some(seeds) = evaluation.seeds {
            p { "Interquartile mean of the trainings: " (dollars(seeds.iqm)) " a date, 95 % interval over seeds "
                (dollars(seeds.low)) " to " (dollars(seeds.high))
                ". It compares trainings and is no money: it drops the tails, and a buyer's profit is the tail." }
        }
        @if let Some(parts) = evaluation.variance {
            p { "Standard deviations: dates " (dollars(parts.date.max(0.0).sqrt())) ", seeds " (dollars(parts.seed.max(0.0).sqrt()))
                ", a seed on a date " (dollars(parts.residual.max(0.0).sqrt())) "." }
        }
    }
}

fn chart(page: &Page, found: &[WithInterval]) -> Markup {
    let ends = |one: &WithInterval| one.interval.unwrap_or((one.value, one.value));
    let shown = found.iter().flat_map(|one| [ends(one).0, ends(one).1]);
    let mut plot = Plot::around(200.0, (0.5, found.len() as f64 + 0.5), shown).y_axis(short_dollars);
    for (i, one) in found.iter().enumerate() {
        let x = i as f64 + 1.0;
        let class = if one.value < 0.0 { "loss" } else { "gain" };
        plot = plot.line("interval", &[(x, ends(one).0), (x, ends(one).1)]).dot(
            class,
            (x, one.value),
            &format!("seed {}: {}", page.seeds[i], with_ends(one.value, one.interval)),
        );
    }
    let labels = page.seeds.iter().enumerate().map(|(i, seed)| (i as f64 + 1.0, format!("seed {seed}")));
    let earned = found.iter().filter(|one| one.value > 0.0).count();
    let finding =
        format!("{earned} of {} seeds earned; mean P&L of a date with its 95 % interval over dates.", found.len());
    figure(&finding, plot.x_labels(labels), &[], None)
}

fn numbers(page: &Page, series: &Series, found: &[WithInterval]) -> Markup {
    let row = |(i, pnl): (usize, &Vec<f64>)| {
        let sharpe = Moments::of(pnl).map(|moments| moments.sharpe() * SESSIONS_PER_YEAR.sqrt());
        vec![
            page.seeds[i].to_string(),
            with_ends(found[i].value, found[i].interval),
            dollars(pnl.iter().sum()),
            sharpe.map_or_else(|| "–".to_owned(), |sharpe| decimals(sharpe, 2)),
            thousands(page.trades.get(i).map_or(0, Vec::len) as i64),
        ]
    };
    let rows: Vec<Vec<String>> = series.seeds.iter().enumerate().map(row).collect();
    table("Seeds", &["seed", "a date [95 %]", "total", "Sharpe, a year", "trades"], &rows)
}
