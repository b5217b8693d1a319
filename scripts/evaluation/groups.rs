//! The groups of trades that a test is broken down by: hour, weekday, symbol, side, setup, events and regimes.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use market_env::{Action, Setup, Trade};
use serde::{Deserialize, Serialize};

use crate::evaluation::{
    breakdown::{Group, Grouping},
    market_facts::{MarketFacts, Regime},
};

/// Hours of an entry in New York.
pub const HOURS: std::ops::Range<usize> = 9..16;
/// Weekdays.
pub const WEEKDAYS: [&str; 5] = ["Mon", "Tue", "Wed", "Thu", "Fri"];
const THIRDS: [&str; 3] = ["low", "middle", "high"];

/// All tables; each is one family of a Romano-Wolf stepdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// Hour of the entry in New York.
    pub hour: Vec<Group>,
    /// Weekday.
    pub weekday: Vec<Group>,
    /// Hour by weekday, Monday's hours first.
    pub hour_by_weekday: Vec<Group>,
    /// Symbol.
    pub symbol: Vec<Group>,
    /// Side of the option.
    pub side: Vec<Group>,
    /// Setup at the entry.
    pub setup: Vec<Group>,
    /// Dates with and without a scheduled release.
    pub event: Vec<Group>,
    /// Regimes, known before the open.
    pub regime: Regimes,
}

/// Tables of regimes: thirds whose edges come from the dates before the test. Null where these are too few.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regimes {
    /// VIX before the open.
    pub vix: Option<Vec<Group>>,
    /// Range of the session before.
    pub earlier_range: Option<Vec<Group>>,
}

impl Groups {
    /// Breaks trades down.
    pub fn of(grouping: &Grouping<'_>, symbols: &[String], facts: &MarketFacts) -> Self {
        let zone = new_york();
        let whole = |_: usize, _: Date| true;
        let hours: Vec<String> = HOURS.map(|hour| format!("{hour}:00")).collect();
        let days = WEEKDAYS.map(str::to_owned);
        let cells: Vec<String> =
            days.iter().flat_map(|day| hours.iter().map(move |hour| format!("{day} {hour}"))).collect();
        let cell = |trade: &Trade| Some(weekday(trade.date) * HOURS.len() + hour_of(trade, &zone)?);
        let of_symbol = |trade: &Trade| symbols.iter().position(|symbol| *symbol == trade.symbol);
        let side = |trade: &Trade| Some(usize::from(trade.side == Action::BuyPut));
        let is_event = |date: Date| usize::from(facts.event_dates.contains(&date));
        let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Self {
            hour: grouping.table(&hours, |trade| hour_of(trade, &zone), whole),
            weekday: grouping.table(&days, |trade| Some(weekday(trade.date)), |of, date| weekday(date) == of),
            hour_by_weekday: grouping.table(&cells, cell, |of, date| weekday(date) == of / HOURS.len()),
            symbol: grouping.table(symbols, of_symbol, whole),
            side: grouping.table(&named(&["call", "put"]), side, whole),
            setup: grouping.table(
                &named(&["weak", "bull strong", "bear strong"]),
                |trade| Some(setup_of(trade)),
                whole,
            ),
            event: grouping.table(
                &named(&["no release", "rates, prices or jobs"]),
                |trade| Some(is_event(trade.date)),
                |of, date| is_event(date) == of,
            ),
            regime: Regimes {
                vix: thirds(&facts.vix, grouping, |points| format!("{points:.1}")),
                earlier_range: thirds(&facts.earlier_range, grouping, |share| format!("{:.2}%", 100.0 * share)),
            },
        }
    }
}

/// Returns the table of a regime's thirds, named with their edges.
fn thirds(regime: &Regime, grouping: &Grouping<'_>, text: impl Fn(f64) -> String) -> Option<Vec<Group>> {
    let [low, high] = regime.edges?;
    let ends = [format!("below {}", text(low)), format!("to {}", text(high)), format!("from {}", text(high))];
    let keys: Vec<String> = THIRDS.iter().zip(ends).map(|(third, ends)| format!("{third}, {ends}")).collect();
    Some(grouping.table(&keys, |trade| regime.third(trade.date), |of, date| regime.third(date) == Some(of)))
}

fn weekday(date: Date) -> usize {
    usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())
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

/// Returns the time zone of the exchange.
pub fn new_york() -> TimeZone {
    TimeZone::get("America/New_York").unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::evaluation::{performance::tests::trade, sessions::tests::dates};

    #[test]
    fn every_table_holds_the_cents_of_all_trades() {
        let dates = dates(30);
        let open = |date: Date| date.at(9, 30, 0, 0).to_zoned(new_york()).unwrap().timestamp().as_nanosecond() as i64;
        let made = |i: usize| Trade {
            date: dates[i],
            symbol: ["SPY", "QQQ"][i % 2].to_owned(),
            side: if i.is_multiple_of(3) { Action::BuyPut } else { Action::BuyCall },
            entry_ts_ns: open(dates[i]) + (i as i64 % 6) * 3_600_000_000_000,
            net_pnl_cents: 100 * i as i64 - 900,
            ..trade(0, 0.0, 1)
        };
        let weekday = |i: &usize| dates[*i].weekday().to_monday_zero_offset() < 5;
        let trades = vec![(0..30).filter(weekday).map(made).collect::<Vec<_>>()];
        let total: i64 = trades[0].iter().map(|trade| trade.net_pnl_cents).sum();
        let values: BTreeMap<Date, f64> = dates.iter().zip(0..).map(|(date, i)| (*date, f64::from(i))).collect();
        let facts = MarketFacts {
            vix: Regime { values, edges: Some([10.0, 20.0]) },
            event_dates: BTreeSet::from([dates[0], dates[1]]),
            ..MarketFacts::default()
        };
        let grouping = Grouping::new(&dates, &trades, &[1.0; 30], 1);
        let found = Groups::of(&grouping, &["SPY".to_owned(), "QQQ".to_owned()], &facts);
        let vix = found.regime.vix.as_ref().unwrap();
        let tables = [
            &found.hour,
            &found.weekday,
            &found.hour_by_weekday,
            &found.symbol,
            &found.side,
            &found.setup,
            &found.event,
            vix,
        ];
        for table in tables {
            assert_eq!(table.iter().map(|group| group.net_cents).sum::<i64>(), total, "{table:?}");
        }
        assert_eq!((vix[0].key.as_str(), found.event[1].n, found.hour[0].key.as_str()), ("low, below 10.0", 2, "9:00"));
        assert_eq!(found.regime.earlier_range, None);
    }
}
