//! Section 7: costs, fixed trades at other spreads beside a policy that decides again, and the spread at which they break even.

use std::collections::BTreeMap;

use jiff::civil::Date;
use maud::{Markup, html};
use statistics::{BlockLength, Blocks, Resamples};

use super::{absent, short_dollars, with_ends};
use crate::{
    evaluation::{
        break_even::{FixedTrades, WithInterval, mean_with_interval},
        edge::WIDER_SPREAD,
    },
    output::table::dollars,
    report_page::{
        Page, Series,
        figure::{Plot, figure, table},
    },
    walk_forward::session_row::Part,
};

/// Multiples of the spread at which fixed trades are re-priced.
const MULTIPLES: [f64; 7] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0];
/// Resamples behind the intervals.
const RESAMPLES: usize = 1_999;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    let blocks = Blocks::Stationary(BlockLength::for_sessions(&series.mean));
    let resamples = Resamples::draw(series.dates.len(), RESAMPLES, blocks, 1);
    let again = decided_again(page, series, &resamples);
    html! {
        @match page.facts.fixed_trades(&series.dates, &series.mean) {
            Some(fixed) => { (split(series, &fixed, &resamples)) (curve(&fixed, &again, &resamples)) },
            None => {
                (absent("The spread of each trade is unknown here, so fixed trades are not re-priced: it needs the bars of the test."))
                (list(&again))
            },
        }
        p.muted { "Fixed trades keep their times and contracts, and pay another spread. A policy that decides again sees other quotes \
            and may trade otherwise. Capacity under larger capital is not measured." }
    }
}

/// Returns the P&L of a date of the policy that decided again, by multiple of the spread.
fn decided_again(page: &Page, series: &Series, resamples: &Resamples) -> Vec<(f64, WithInterval)> {
    let own = (1.0, mean_with_interval(&series.mean, resamples));
    if let Some(costs) = &page.costs {
        let dates = series.dates.len().max(1) as f64;
        let alone = |usd: f64| WithInterval { value: usd / dates, interval: None };
        let at = |line: &crate::evaluation::cost_sensitivity::CostLine| match line.multiple {
            1.0 => own,
            multiple => (multiple, alone(line.net_pnl_usd)),
        };
        return costs.multiples.iter().map(at).collect();
    }
    let rows = || page.folds.iter().flat_map(|folds| folds.results.iter().flat_map(|fold| &fold.rows));
    let mut cents: BTreeMap<Date, i64> = BTreeMap::new();
    for row in rows().filter(|row| row.part == Part::WiderSpread) {
        *cents.entry(row.date).or_default() += row.net_cents;
    }
    let seeds = page.seeds.len().max(1) as f64;
    let wider: Vec<f64> = cents.into_values().map(|cents| cents as f64 / 100.0 / seeds).collect();
    let wider = (wider.len() == series.dates.len()).then(|| (WIDER_SPREAD, mean_with_interval(&wider, resamples)));
    [own].into_iter().chain(wider).collect()
}

/// Returns the split of the gross P&L into costs and what is left.
fn split(series: &Series, fixed: &FixedTrades, resamples: &Resamples) -> Markup {
    let gross: Vec<f64> =
        (0..series.mean.len()).map(|date| series.mean[date] + fixed.spread_usd[date] + series.fees[date]).collect();
    let minus = |values: &[f64]| values.iter().map(|value| -value).collect::<Vec<f64>>();
    let parts = [
        ("at mid prices, before costs", gross),
        ("spread", minus(&fixed.spread_usd)),
        ("fees", minus(&series.fees)),
        ("net", series.mean.clone()),
    ];
    let row = |(name, values): &(&str, Vec<f64>)| {
        let WithInterval { value, interval } = mean_with_interval(values, resamples);
        vec![(*name).to_owned(), with_ends(value, interval)]
    };
    table("Money of a date, mean over seeds", &["part", "a date [95 %]"], &parts.iter().map(row).collect::<Vec<_>>())
}

fn curve(fixed: &FixedTrades, again: &[(f64, WithInterval)], resamples: &Resamples) -> Markup {
    let points: Vec<(f64, WithInterval)> =
        MULTIPLES.map(|multiple| (multiple, fixed.mean_at(multiple, resamples))).to_vec();
    let line = |of: fn(&WithInterval) -> f64| points.iter().map(|(x, found)| (*x, of(found))).collect::<Vec<_>>();
    let low = line(|found| found.interval.map_or(found.value, |ends| ends.0));
    let high = line(|found| found.interval.map_or(found.value, |ends| ends.1));
    let shown = low.iter().chain(&high).map(|point| point.1).chain(again.iter().map(|(_, found)| found.value));
    let last = again.iter().map(|(multiple, _)| *multiple).fold(3.0, f64::max);
    let mut plot = Plot::around(240.0, (0.0, last), shown)
        .y_axis(short_dollars)
        .x_axis(|multiple| format!("{multiple}x"))
        .band("", &low, &high)
        .line("strong", &line(|found| found.value));
    for (multiple, found) in again {
        plot = plot.dot("put", (*multiple, found.value), &format!("{multiple}x: {}", dollars(found.value)));
    }
    let finding = format!("Fixed trades {}.", even(fixed, resamples));
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|(multiple, found)| {
            let again = again.iter().find(|(of, _)| of == multiple);
            vec![
                format!("{multiple}x"),
                with_ends(found.value, found.interval),
                again.map_or_else(|| "–".to_owned(), |(_, found)| with_ends(found.value, found.interval)),
            ]
        })
        .collect();
    let numbers =
        table("Mean P&L of a date by spread", &["spread", "fixed trades [95 %]", "decided again [95 %]"], &rows);
    figure(&finding, plot, &[("strong", "fixed trades, 95 %"), ("dot put", "the policy decides again")], Some(numbers))
}

/// Returns the break-even spread as the end of a sentence.
fn even(fixed: &FixedTrades, resamples: &Resamples) -> String {
    let Some(WithInterval { value, interval }) = fixed.break_even(resamples) else {
        return "paid no spread".to_owned();
    };
    let ends = interval.map_or(String::new(), |(low, high)| format!(", 95 % interval {low:.2}x to {high:.2}x"));
    if value < 0.0 {
        format!("lose even without a spread (the break-even multiple is {value:.2}x{ends})")
    } else {
        format!("break even at {value:.2}x the spread{ends}")
    }
}

fn list(again: &[(f64, WithInterval)]) -> Markup {
    let row =
        |(multiple, found): &(f64, WithInterval)| vec![format!("{multiple}x"), with_ends(found.value, found.interval)];
    let rows: Vec<Vec<String>> = again.iter().map(row).collect();
    table("The policy decides again: mean P&L of a date by spread", &["spread", "a date [95 %]"], &rows)
}
