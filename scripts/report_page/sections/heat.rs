//! Section 8: P&L by hour and weekday, symbol, side, setup and regime. Descriptive: nobody fixed these groups before the test.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use market_env::{Action, Setup, Trade};
use maud::{Markup, html};

use super::{absent, p_text, short_dollars};
use crate::{
    evaluation::{
        breakdown::{Breakdown, FEW_DATES, Group, Grouping},
        market_facts::Regime,
    },
    output::table::{dollars, thousands},
    report_page::{Page, Series, text::new_york},
};

/// Hours of an entry in New York.
const HOURS: std::ops::Range<usize> = 9..16;
const WEEKDAYS: [&str; 5] = ["Mon", "Tue", "Wed", "Thu", "Fri"];
const THIRDS: [&str; 3] = ["low", "middle", "high"];
/// Largest share of colour behind a value, in percent; more would lower the contrast of the text.
const DEEPEST: f64 = 42.0;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    if page.trades.iter().all(Vec::is_empty) {
        return absent("There is no trade to break down.");
    }
    let grouping = Grouping::new(&series.dates, &page.trades, &series.mean, 1);
    let zone = new_york();
    let hour = |trade: &Trade| hour_of(trade, &zone);
    let whole = |_: usize, _: Date| true;
    let weekday = |date: Date| usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
    let hours: Vec<String> = HOURS.map(|hour| format!("{hour}:00")).collect();
    let by_hour = grouping.table("Hour of entry, New York", &hours, hour, whole);
    let days = WEEKDAYS.map(str::to_owned);
    let by_day = grouping.table("Weekday", &days, |trade| Some(weekday(trade.date)), |of, date| weekday(date) == of);
    let cells: Vec<String> =
        days.iter().flat_map(|day| hours.iter().map(move |hour| format!("{day} {hour}"))).collect();
    let both = grouping.table(
        "Hour by weekday",
        &cells,
        |trade| Some(weekday(trade.date) * HOURS.len() + hour(trade)?),
        |of, date| weekday(date) == of / HOURS.len(),
    );
    let symbols = &page.evaluation.unit.symbols;
    let by_symbol = grouping.table("Symbol", symbols, |trade| symbols.iter().position(|of| *of == trade.symbol), whole);
    let sides = ["call", "put"].map(str::to_owned);
    let by_side = grouping.table("Side", &sides, |trade| Some(usize::from(trade.side == Action::BuyPut)), whole);
    let setups = ["weak", "bull strong", "bear strong"].map(str::to_owned);
    let by_setup = grouping.table("Setup at the entry", &setups, |trade| Some(setup_of(trade)), whole);
    html! {
        p { strong { "Descriptive." } " Nobody fixed these groups before the test, so a good cell proves nothing. Money of a date of \
            the group, mean over seeds; hatched: fewer than " (FEW_DATES) " dates with a trade; p is one-sided, of a gain, adjusted \
            for all cells of its table." }
        (heat_map(&both, &hours))
        div.columns { (groups(&by_hour)) (groups(&by_day)) }
        div.columns { (groups(&by_symbol)) (groups(&by_side)) }
        div.columns { (groups(&by_setup)) (regime("VIX before the open", &page.facts.vix, &grouping, |v| format!("{v:.1}"))) }
        div.columns { (regime("Range of the session before", &page.facts.earlier_range, &grouping, |v| format!("{:.2}%", 100.0 * v))) }
    }
}

/// Returns the number of an entry's hour from the first.
fn hour_of(trade: &Trade, zone: &TimeZone) -> Option<usize> {
    let time = Timestamp::from_nanosecond(i128::from(trade.entry_ts_ns)).ok()?.to_zoned(zone.clone());
    let hour = usize::from(time.hour().unsigned_abs());
    HOURS.contains(&hour).then(|| hour - HOURS.start)
}

fn setup_of(trade: &Trade) -> usize {
    match trade.setup {
        Setup::Weak => 0,
        Setup::BullStrong => 1,
        Setup::BearStrong => 2,
    }
}

/// Returns a table of a regime's thirds, or the reason of its absence.
fn regime(name: &'static str, regime: &Regime, grouping: &Grouping<'_>, text: impl Fn(f64) -> String) -> Markup {
    let Some([low, high]) = regime.edges else {
        return html! { div { h3 { (name) } (absent("Unknown: the bars held too few dates before the test, or the facts of the market are missing.")) } };
    };
    let ends = [format!("below {}", text(low)), format!("to {}", text(high)), format!("from {}", text(high))];
    let keys: Vec<String> = THIRDS.iter().zip(ends).map(|(third, ends)| format!("{third}, {ends}")).collect();
    groups(&grouping.table(name, &keys, |trade| regime.third(trade.date), |of, date| regime.third(date) == Some(of)))
}

/// Returns colour and hatching of a group.
fn shade(group: &Group, most: f64) -> (&'static str, String) {
    let share = DEEPEST * (group.mean_usd.abs() / most.max(f64::MIN_POSITIVE)).min(1.0);
    let class = match (group.mean_usd < 0.0, group.traded_dates < FEW_DATES) {
        (true, true) => "cell neg few",
        (true, false) => "cell neg",
        (false, true) => "cell pos few",
        (false, false) => "cell pos",
    };
    (class, format!("--share:{share:.0}%"))
}

fn most(table: &Breakdown) -> f64 {
    table.groups.iter().map(|group| group.mean_usd.abs()).fold(0.0, f64::max)
}

fn title(group: &Group) -> String {
    let p = group.p_adjusted.map_or_else(|| "too few dates".to_owned(), p_text);
    format!(
        "{}: {} a date, {} trades on {} dates, p {p}",
        group.key,
        dollars(group.mean_usd),
        group.trades,
        group.traded_dates
    )
}

fn heat_map(table: &Breakdown, hours: &[String]) -> Markup {
    let most = most(table);
    let extreme = |best: bool| {
        let order = |a: &&Group, b: &&Group| a.mean_usd.total_cmp(&b.mean_usd);
        let found = table.groups.iter().filter(|group| group.trades > 0);
        if best { found.max_by(order) } else { found.min_by(order) }
    };
    let text = |group: Option<&Group>| {
        group.map_or(String::new(), |group| format!("{} ({})", group.key, dollars(group.mean_usd)))
    };
    let finding = format!("Best cell {}, worst {}.", text(extreme(true)), text(extreme(false)));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(table.name) {
            table.heat {
                caption { (table.name) ", hour of entry in New York. " (finding) }
                thead { tr { th scope="col" { "" } @for hour in hours { th scope="col" { (hour) } } } }
                tbody { @for (day, row) in WEEKDAYS.iter().zip(table.groups.chunks(hours.len())) {
                    tr { th scope="row" { (day) }
                        @for group in row {
                            @let (class, style) = shade(group, most);
                            @if group.trades == 0 { td.cell.muted { "–" } }
                            @else { td class=(class) style=(style) title=(title(group)) { (short_dollars(group.mean_usd)) } }
                        }
                    }
                } }
            }
        }
    }
}

/// Returns the rows of a table with their intervals.
fn groups(table: &Breakdown) -> Markup {
    let most = most(table);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(table.name) {
            table {
                caption { (table.name) ": descriptive" }
                thead { tr { th scope="col" { "" } th scope="col" { "a date" } th scope="col" { "95 %" } th scope="col" { "trades" }
                    th scope="col" { "dates" } th scope="col" { "p" } } }
                tbody { @for group in &table.groups {
                    @let (class, style) = shade(group, most);
                    tr {
                        th scope="row" { (group.key) }
                        td class=(class) style=(style) { (dollars(group.mean_usd)) }
                        td { @if let Some((low, high)) = group.interval { (short_dollars(low)) " to " (short_dollars(high)) } @else { "–" } }
                        td { (thousands(group.trades as i64)) }
                        td { (group.dates) }
                        td { (group.p_adjusted.map_or_else(|| "–".to_owned(), p_text)) }
                    }
                } }
            }
        }
    }
}
