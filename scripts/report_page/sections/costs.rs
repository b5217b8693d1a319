//! Section 7: costs, fixed trades at other spreads beside a policy that decides again, the spread at which they break even, and the
//! same trades with more capital.

use maud::{Markup, html};
use statistics::{BlockLength, Blocks, Resamples};

use super::{absent, short_dollars, with_ends};
use crate::{
    evaluation::{
        break_even::{FixedTrades, WithInterval, mean_with_interval},
        capacity::ASSUMED_IMPACT,
        details::{BreakEven, CapacityAt, CostAt, Details, MeanOfDates},
    },
    output::table::{decimals, dollars, dollars_and_cents, percent},
    report_page::{
        Page, Series,
        figure::{Plot, figure, table},
    },
};

/// Resamples behind the intervals of the parts.
const RESAMPLES: usize = 1_999;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    let details = &page.evaluation.details;
    html! {
        @match page.facts.fixed_trades(&series.dates, &series.mean) {
            Some(fixed) => { (split(series, &fixed)) (curve(details)) },
            None => {
                (absent("The spread of each trade is unknown here, so fixed trades are not re-priced: it needs the bars of the test."))
                (list(&details.costs))
            },
        }
        p.muted { "Fixed trades keep their times and contracts, and pay another spread. A policy that decides again sees other quotes \
            and may trade otherwise." }
        h3 { "Capacity" }
        (capacity(&details.capacity))
    }
}

/// Returns the split of the gross P&L into costs and what is left.
fn split(series: &Series, fixed: &FixedTrades) -> Markup {
    let blocks = Blocks::Stationary(BlockLength::for_sessions(&series.mean));
    let resamples = Resamples::draw(series.dates.len(), RESAMPLES, blocks, 1);
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
        let WithInterval { value, interval } = mean_with_interval(values, &resamples);
        vec![(*name).to_owned(), with_ends(value, interval)]
    };
    table("Money of a date, mean over seeds", &["part", "a date [95 %]"], &parts.iter().map(row).collect::<Vec<_>>())
}

fn shown(found: Option<MeanOfDates>) -> String {
    found.map_or_else(|| "–".to_owned(), |found| with_ends(found.mean, found.ends()))
}

fn curve(details: &Details) -> Markup {
    let costs = &details.costs;
    let line = |of: fn(MeanOfDates) -> f64| -> Vec<(f64, f64)> {
        costs.iter().filter_map(|cost| Some((cost.multiple, of(cost.fixed()?)))).collect()
    };
    let low = line(|found| found.low.unwrap_or(found.mean));
    let high = line(|found| found.high.unwrap_or(found.mean));
    let again: Vec<(f64, f64)> =
        costs.iter().filter_map(|cost| Some((cost.multiple, cost.decided_again?.mean))).collect();
    let shown_values = low.iter().chain(&high).chain(&again).map(|point| point.1);
    let last = costs.iter().map(|cost| cost.multiple).fold(3.0, f64::max);
    let mut plot = Plot::around(240.0, (0.0, last), shown_values)
        .y_axis(short_dollars)
        .x_axis(|multiple| format!("{multiple}x"))
        .band("", &low, &high)
        .line("strong", &line(|found| found.mean));
    for point in again {
        plot = plot.dot("put", point, &format!("{}x: {}", point.0, dollars(point.1)));
    }
    let finding = format!("Fixed trades {}.", even(details.break_even));
    let row = |cost: &CostAt| vec![format!("{}x", cost.multiple), shown(cost.fixed()), shown(cost.decided_again)];
    let rows: Vec<Vec<String>> = costs.iter().map(row).collect();
    let numbers =
        table("Mean P&L of a date by spread", &["spread", "fixed trades [95 %]", "decided again [95 %]"], &rows);
    figure(&finding, plot, &[("strong", "fixed trades, 95 %"), ("dot put", "the policy decides again")], Some(numbers))
}

/// Returns the break-even spread as the end of a sentence.
fn even(found: Option<BreakEven>) -> String {
    let Some(BreakEven { multiple, low, high }) = found else { return "paid no spread".to_owned() };
    let times = |multiple: f64| decimals(multiple, 2) + "x";
    let ends =
        low.zip(high).map_or(String::new(), |(low, high)| format!(", 95 % interval {} to {}", times(low), times(high)));
    let at = times(multiple);
    if multiple < 0.0 {
        format!("lose even without a spread (the break-even multiple is {at}{ends})")
    } else {
        format!("break even at {at} the spread{ends}")
    }
}

fn list(costs: &[CostAt]) -> Markup {
    let row = |cost: &CostAt| vec![format!("{}x", cost.multiple), shown(cost.decided_again)];
    let rows: Vec<Vec<String>> = costs.iter().map(row).collect();
    table("The policy decides again: mean P&L of a date by spread", &["spread", "a date [95 %]"], &rows)
}

fn capacity(all: &[CapacityAt]) -> Markup {
    if all.is_empty() {
        return absent("Unknown: the displayed sizes need the bars of the test.");
    }
    let row = |at: &CapacityAt| {
        let each = at.mean_per_contract.map(|usd| dollars_and_cents((100.0 * usd).round() as i64));
        vec![
            format!("{}x", at.multiple),
            dollars(at.capital),
            with_ends(at.mean, at.low.zip(at.high)),
            each.unwrap_or_else(|| "–".to_owned()),
            percent(at.filled_share),
        ]
    };
    let heading = ["capital", "of a date", "a date [95 %]", "a contract", "filled"];
    html! {
        (table("The same trades with more contracts: descriptive", &heading, &all.iter().map(row).collect::<Vec<_>>()))
        p.muted { "An entry takes at most the displayed size. An order of n contracts concedes env.execution.impact × spread × \
            √(n / displayed size), with an impact of " (ASSUMED_IMPACT) " where the settings have none; so the first row may earn less \
            than the test. The root is the law that Almgren et al. (2005) measured with exponents of 0.5 to 0.6." }
    }
}
