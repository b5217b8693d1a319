//! Section 2: cumulative P&L with bands, single seeds, and the drawdown.

use jiff::civil::Date;
use maud::{Markup, PreEscaped, html};
use statistics::{BlockLength, Blocks, Resamples, nearest_rank};

use super::short_dollars;
use crate::{
    output::table::dollars,
    report_page::{
        Page, Series,
        figure::{Plot, figure, table},
    },
};

/// Resampled paths behind the bands.
const PATHS: usize = 999;
/// Shares of paths below the lines that bound the bands.
const SHARES: [f64; 4] = [0.025, 0.25, 0.75, 0.975];
/// Most single seeds that are drawn.
const MOST_SEEDS: usize = 20;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    let equity = cumulative(&series.mean);
    let drawdown = below_peak(&equity);
    html! {
        (chart(page, series, &equity))
        (fall(page, series, &drawdown))
        (data(series, &equity, &drawdown))
    }
}

fn chart(page: &Page, series: &Series, equity: &[f64]) -> Markup {
    let (bands, seeds) = (bands(&series.mean), &series.seeds[..series.seeds.len().min(MOST_SEEDS)]);
    let lines: Vec<Vec<f64>> = seeds.iter().map(|pnl| cumulative(pnl)).collect();
    let matched = page.evaluation.matched_random.map(|matched| matched.mean);
    let last = series.dates.len().saturating_sub(1) as f64;
    let end = matched.map(|mean| mean * series.dates.len() as f64);
    let shown = equity.iter().chain(lines.iter().flatten()).copied().chain(end).chain(bands.iter().flatten().copied());
    let mut plot = Plot::around(340.0, (0.0, last), shown).y_axis(short_dollars).x_labels(months(&series.dates));
    if let [wide_low, low, high, wide_high] = &bands[..] {
        plot = plot.band("wide", &by_date(wide_low), &by_date(wide_high)).band("", &by_date(low), &by_date(high));
    }
    for line in &lines {
        plot = plot.line("thin", &by_date(line));
    }
    if let Some(end) = end {
        plot = plot.line("dashed put", &[(0.0, end / (last + 1.0)), (last, end)]);
    }
    plot = plot.line("strong", &by_date(equity));
    let total = equity.last().copied().unwrap_or(0.0);
    let block = page.evaluation.sharpe.map_or(1.0, |sharpe| sharpe.block);
    let finding = format!(
        "{} {} in {} dates, mean over {} seeds. The bands hold 50 % and 95 % of {PATHS} paths drawn from the same dates in \
         blocks of about {block:.0}.",
        if total < 0.0 { "Lost" } else { "Earned" },
        dollars(total.abs()),
        series.dates.len(),
        series.seeds.len()
    );
    let mut key =
        vec![("strong", "mean over seeds"), ("zero", "always-HOLD"), ("band", "50 and 95 % of resampled paths")];
    if lines.len() > 1 {
        key.push(("thin", "single seeds"));
    }
    if matched.is_some() {
        key.push(("dashed put", "matched random entries, at their mean"));
    }
    html! { div #equity-chart { (figure(&finding, plot, &key, Some(months_table(series)))) } }
}

fn fall(page: &Page, series: &Series, drawdown: &[f64]) -> Markup {
    let last = series.dates.len().saturating_sub(1) as f64;
    let zero = vec![(0.0, 0.0), (last, 0.0)];
    let plot = Plot::around(170.0, (0.0, last), drawdown.iter().copied())
        .y_axis(short_dollars)
        .band("fall", &by_date(drawdown), &zero)
        .x_labels(months(&series.dates));
    let deepest = drawdown.iter().copied().fold(0.0, f64::min);
    let resampled = page.evaluation.drawdown.map_or(String::new(), |found| {
        format!(
            " In resamples of the dates the median is {}, and 95 % fall less than {}.",
            dollars(found.resampled_median),
            dollars(found.resampled_95)
        )
    });
    figure(&format!("The largest fall from an earlier peak is {}.{resampled}", dollars(-deepest)), plot, &[], None)
}

/// Returns the P&L of every month.
fn months_table(series: &Series) -> Markup {
    let mut rows: Vec<(String, usize, f64)> = Vec::new();
    for (date, pnl) in series.dates.iter().zip(&series.mean) {
        let month = format!("{}-{:02}", date.year(), date.month());
        match rows.last_mut() {
            Some(row) if row.0 == month => {
                row.1 += 1;
                row.2 += pnl;
            }
            _ => rows.push((month, 1, *pnl)),
        }
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(month, dates, pnl)| vec![month, dates.to_string(), dollars(pnl), dollars(pnl / dates as f64)])
        .collect();
    table("P&L by month, mean over seeds", &["month", "dates", "P&L", "a date"], &cells)
}

/// Returns the data of the pointer's read-out.
fn data(series: &Series, equity: &[f64], drawdown: &[f64]) -> Markup {
    let whole = |values: &[f64]| values.iter().map(|value| value.round() as i64).collect::<Vec<_>>();
    let dates: Vec<String> = series.dates.iter().map(Date::to_string).collect();
    let json = serde_json::json!({ "dates": dates, "equity": whole(equity), "pnl": whole(&series.mean), "drawdown": whole(drawdown) });
    html! { script type="application/json" id="equity-data" { (PreEscaped(json.to_string())) } }
}

fn cumulative(pnl: &[f64]) -> Vec<f64> {
    let add = |sum: &mut f64, pnl: &f64| {
        *sum += pnl;
        Some(*sum)
    };
    pnl.iter().scan(0.0, add).collect()
}

/// Returns the distance to the highest earlier value, the start included; 0 or below.
fn below_peak(equity: &[f64]) -> Vec<f64> {
    let fall = |peak: &mut f64, value: &f64| {
        *peak = peak.max(*value);
        Some(value - *peak)
    };
    equity.iter().scan(0.0, fall).collect()
}

/// Returns the lines that bound 95 % and 50 % of the resampled paths; none for a single date.
fn bands(pnl: &[f64]) -> Vec<Vec<f64>> {
    if pnl.len() < 2 {
        return Vec::new();
    }
    let blocks = Blocks::Stationary(BlockLength::for_sessions(pnl));
    let resamples = Resamples::draw(pnl.len(), PATHS, blocks, 1);
    let paths: Vec<Vec<f64>> = resamples
        .rows()
        .map(|row| cumulative(&row.iter().map(|&date| pnl[date as usize]).collect::<Vec<_>>()))
        .collect();
    let mut lines = vec![Vec::with_capacity(pnl.len()); SHARES.len()];
    for date in 0..pnl.len() {
        let mut found: Vec<f64> = paths.iter().map(|path| path[date]).collect();
        found.sort_by(f64::total_cmp);
        lines.iter_mut().zip(SHARES).for_each(|(line, share)| line.extend(nearest_rank(&found, share)));
    }
    lines
}

/// Returns points by the number of their date.
fn by_date(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().enumerate().map(|(date, value)| (date as f64, *value)).collect()
}

/// Returns the first date of every month, with its label.
pub(super) fn months(dates: &[Date]) -> Vec<(f64, String)> {
    let first = |i: usize| i == 0 || dates[i].month() != dates[i - 1].month();
    let label = |i: usize| (i as f64, format!("{}-{:02}", dates[i].year(), dates[i].month()));
    (0..dates.len()).filter(|&i| first(i)).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_counts_as_a_fall() {
        let equity = cumulative(&[-5.0, 2.0, 6.0, -4.0]);
        assert_eq!(equity, [-5.0, -3.0, 3.0, -1.0]);
        assert_eq!(below_peak(&equity), [-5.0, -3.0, 0.0, -4.0]);
    }

    #[test]
    fn bands_lie_inside_each_other_and_end_around_the_total() {
        let pnl: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 101) - 40.0).collect();
        let lines = bands(&pnl);
        let last: Vec<f64> = lines.iter().map(|line| line[59]).collect();
        assert!(last.is_sorted(), "{last:?}");
        let total = pnl.iter().sum::<f64>();
        assert!(last[1] < total && total < last[2], "{last:?} {total}");
    }

    #[test]
    fn months_start_at_their_first_session() {
        let dates = [(2025, 1, 30), (2025, 1, 31), (2025, 2, 3)].map(|(y, m, d)| jiff::civil::date(y, m, d));
        assert_eq!(months(&dates), [(0.0, "2025-01".to_owned()), (2.0, "2025-02".to_owned())]);
    }
}
