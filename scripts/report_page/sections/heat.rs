//! Section 8: P&L by hour and weekday, symbol, side, setup and regime. Descriptive: nobody fixed these groups before the test.

use maud::{Markup, html};

use super::{absent, p_text, short_dollars};
use crate::{
    evaluation::{
        breakdown::{FEW_DATES, Group},
        groups::WEEKDAYS,
    },
    output::table::{dollars, thousands},
    report_page::Page,
};

/// Largest share of colour behind a value, in percent; more would lower the contrast of the text.
const DEEPEST: f64 = 42.0;

pub(super) fn body(page: &Page) -> Markup {
    let Some(found) = &page.evaluation.details.breakdown else {
        return absent("There is no trade to break down.");
    };
    let hours: Vec<String> = found.hour.iter().map(|group| group.key.clone()).collect();
    html! {
        p { strong { "Descriptive." } " Nobody fixed these groups before the test, so a good cell proves nothing. Money of a date of \
            the group, mean over seeds; hatched: fewer than " (FEW_DATES) " dates with a trade; p is one-sided, of a gain, adjusted \
            for all cells of its table." }
        (heat_map("Hour by weekday", &found.hour_by_weekday, &hours))
        div.columns { (groups("Hour of entry, New York", &found.hour)) (groups("Weekday", &found.weekday)) }
        div.columns { (groups("Symbol", &found.symbol)) (groups("Side", &found.side)) }
        div.columns { (groups("Setup at the entry", &found.setup)) (groups("Scheduled releases", &found.event)) }
        div.columns {
            (regime("VIX before the open", found.regime.vix.as_deref()))
            (regime("Range of the session before", found.regime.earlier_range.as_deref()))
        }
    }
}

/// Returns a table of a regime's thirds, or the reason of its absence.
fn regime(name: &str, thirds: Option<&[Group]>) -> Markup {
    let Some(thirds) = thirds else {
        return html! { div { h3 { (name) } (absent("Unknown: the bars held too few dates before the test, or the facts of the market are missing.")) } };
    };
    groups(name, thirds)
}

/// Returns colour and hatching of a group.
fn shade(group: &Group, most: f64) -> (&'static str, String) {
    let share = DEEPEST * (group.mean.abs() / most.max(f64::MIN_POSITIVE)).min(1.0);
    let class = match (group.mean < 0.0, group.is_small()) {
        (true, true) => "cell neg few",
        (true, false) => "cell neg",
        (false, true) => "cell pos few",
        (false, false) => "cell pos",
    };
    (class, format!("--share:{share:.0}%"))
}

fn most(table: &[Group]) -> f64 {
    table.iter().map(|group| group.mean.abs()).fold(0.0, f64::max)
}

fn title(group: &Group) -> String {
    let p = group.p_adjusted.map_or_else(|| "too few dates".to_owned(), p_text);
    format!(
        "{}: {} a date, {} trades on {} dates, p {p}",
        group.key,
        dollars(group.mean),
        group.trades,
        group.traded_dates
    )
}

fn heat_map(name: &str, table: &[Group], hours: &[String]) -> Markup {
    let most = most(table);
    let extreme = |best: bool| {
        let order = |a: &&Group, b: &&Group| a.mean.total_cmp(&b.mean);
        let found = table.iter().filter(|group| group.trades > 0);
        if best { found.max_by(order) } else { found.min_by(order) }
    };
    let text =
        |group: Option<&Group>| group.map_or(String::new(), |group| format!("{} ({})", group.key, dollars(group.mean)));
    let finding = format!("Best cell {}, worst {}.", text(extreme(true)), text(extreme(false)));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table.heat {
                caption { (name) ", hour of entry in New York. " (finding) }
                thead { tr { th scope="col" { "weekday" } @for hour in hours { th scope="col" { (hour) } } } }
                tbody { @for (day, row) in WEEKDAYS.iter().zip(table.chunks(hours.len())) {
                    tr { th scope="row" { (day) }
                        @for group in row {
                            @let (class, style) = shade(group, most);
                            @if group.trades == 0 { td.cell.muted { "–" } }
                            @else { td class=(class) style=(style) title=(title(group)) { (short_dollars(group.mean)) } }
                        }
                    }
                } }
            }
        }
    }
}

/// Returns the rows of a table with their intervals.
fn groups(name: &str, table: &[Group]) -> Markup {
    let most = most(table);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                caption { (name) ": descriptive" }
                thead { tr { th scope="col" { "group" } th scope="col" { "a date" } th scope="col" { "95 %" } th scope="col" { "trades" }
                    th scope="col" { "dates" } th scope="col" { "p" } } }
                tbody { @for group in table {
                    @let (class, style) = shade(group, most);
                    tr {
                        th scope="row" { (group.key) }
                        td class=(class) style=(style) { (dollars(group.mean)) }
                        td { @if let Some((low, high)) = group.low.zip(group.high) { (short_dollars(low)) " to " (short_dollars(high)) } @else { "–" } }
                        td { (thousands(group.trades as i64)) }
                        td { (group.n) }
                        td { (group.p_adjusted.map_or_else(|| "–".to_owned(), p_text)) }
                    }
                } }
            }
        }
    }
}
