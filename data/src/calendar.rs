//! Calendar of the New York Stock Exchange: trading days and session hours.
//!
//! A session runs from 09:30 to 16:00 in New York, or to 13:00 on a half day. Hours are never compared in the time zone of
//! a feed. The zone rules are compiled in, so that the settings of the machine do not matter.

mod table;

use std::sync::LazyLock;

use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday, date, time},
    tz::{TimeZone, TimeZoneDatabase},
};

use table::{CUT_SHORT, FIRST_YEAR, YEARS};

/// Trading minutes of a year: 252 sessions of 390 minutes. Every annualised volatility refers to such a year.
pub const TRADING_MINUTES_PER_YEAR: f64 = 252.0 * 390.0;

/// First date of the calendar.
pub const FIRST_DATE: Date = date(2003, 1, 1);
/// Last date of the calendar.
pub const LAST_DATE: Date = date(2028, 12, 31);
/// Nanoseconds of a minute.
pub const MINUTE_NS: i64 = 60_000_000_000;

const OPEN: Time = time(9, 30, 0, 0);
const CLOSE: Time = time(16, 0, 0, 0);
const HALF_DAY_CLOSE: Time = time(13, 0, 0, 0);

static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZoneDatabase::bundled().get("America/New_York").expect("the bundled time-zone database holds New York")
});

/// One regular trading session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Date in New York.
    pub date: Date,
    /// Opening instant, UTC nanoseconds; the start of the first bar.
    pub open_ns: i64,
    /// Closing instant, UTC nanoseconds; the end of the last bar.
    pub close_ns: i64,
}

impl Session {
    /// Returns the length in minutes: 390, or 210 on a half day.
    #[must_use]
    pub fn minutes(&self) -> usize {
        usize::try_from((self.close_ns - self.open_ns) / MINUTE_NS).expect("a session closes after it opens")
    }
}

/// Returns the session of `date`, or `None` on weekends, holidays and outside [`FIRST_DATE`] to [`LAST_DATE`].
#[must_use]
pub fn session(date: Date) -> Option<Session> {
    let close = close_of(date)?;
    Some(Session { date, open_ns: instant(date, OPEN), close_ns: instant(date, close) })
}

/// Returns the first session after `date`, or `None` past [`LAST_DATE`].
#[must_use]
pub fn next_session(date: Date) -> Option<Session> {
    let later = jiff::Span::new().days(1);
    date.saturating_add(later).series(later).take_while(|date| *date <= LAST_DATE).find_map(session)
}

/// Returns the sessions from `from` to `to`, both included, ascending.
#[must_use]
pub fn sessions(from: Date, to: Date) -> Vec<Session> {
    let to = to.min(LAST_DATE);
    from.max(FIRST_DATE).series(jiff::Span::new().days(1)).take_while(|date| *date <= to).filter_map(session).collect()
}

/// Returns the date in New York at an instant given in UTC nanoseconds.
#[must_use]
pub fn exchange_date(ts_ns: i64) -> Date {
    let instant = Timestamp::from_nanosecond(i128::from(ts_ns)).expect("64-bit nanoseconds are within jiff's years");
    NEW_YORK.to_datetime(instant).date()
}

/// Returns midnight in New York at the start of `date`, UTC nanoseconds.
pub(crate) fn midnight_ns(date: Date) -> i64 {
    instant(date, Time::midnight())
}

/// Returns the nanoseconds from midnight in New York at the start of the first date to midnight at the end of the last,
/// limited to the calendar.
#[cfg(feature = "load")]
pub(crate) fn span_ns(dates: crate::DateRange) -> std::ops::Range<i64> {
    let known = |date: Date| date.clamp(FIRST_DATE, LAST_DATE);
    midnight_ns(known(dates.first))..midnight_ns(known(dates.last).saturating_add(jiff::Span::new().days(1)))
}

fn close_of(date: Date) -> Option<Time> {
    let year = YEARS.get(usize::try_from(date.year() - FIRST_YEAR).ok()?)?;
    let day = (date.month(), date.day());
    let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    if weekend || year.closed.contains(&day) {
        return None;
    }
    let ((cut_year, cut_month, cut_day), (hour, minute)) = CUT_SHORT;
    if (date.year(), date.month(), date.day()) == (cut_year, cut_month, cut_day) {
        return Some(time(hour, minute, 0, 0));
    }
    Some(if year.half.contains(&day) { HALF_DAY_CLOSE } else { CLOSE })
}

fn instant(date: Date, time: Time) -> i64 {
    let zoned = date.to_datetime(time).to_zoned(NEW_YORK.clone()).expect("years 2003 to 2028 are within range");
    i64::try_from(zoned.timestamp().as_nanosecond()).expect("years 2003 to 2028 fit 64-bit nanoseconds")
}

/// Formats the time of day in New York that lies some minutes after the opening bell, 09:30; no clock changes while a
/// session lasts.
///
/// ```
/// assert_eq!([0, 30, 390].map(market_data::calendar::session_time), ["09:30", "10:00", "16:00"]);
/// ```
#[must_use]
pub fn session_time(minute: usize) -> String {
    let minute = minute + 9 * 60 + 30;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ns(text: &str) -> i64 {
        i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn years_have_the_known_number_of_sessions() {
        for (year, count) in [(2022, 251), (2023, 250), (2024, 252), (2025, 250)] {
            assert_eq!(sessions(date(year, 1, 1), date(year, 12, 31)).len(), count, "{year}");
        }
        assert_eq!(sessions(date(2002, 6, 1), date(2003, 1, 2)).len(), 1, "dates before the table hold no session");
        assert!(session(date(2029, 1, 2)).is_none());
    }

    #[test]
    fn open_follows_daylight_saving_on_both_sides_of_both_switches() {
        for (day, open) in [
            (date(2025, 3, 7), "2025-03-07T14:30:00Z"),
            (date(2025, 3, 10), "2025-03-10T13:30:00Z"),
            (date(2025, 10, 31), "2025-10-31T13:30:00Z"),
            (date(2025, 11, 3), "2025-11-03T14:30:00Z"),
        ] {
            assert_eq!(session(day).unwrap().open_ns, ns(open));
        }
    }

    #[test]
    fn lengths_of_full_half_and_shortened_sessions() {
        let minutes = |day| session(day).unwrap().minutes();
        assert_eq!(minutes(date(2025, 11, 26)), 390);
        assert_eq!(minutes(date(2025, 11, 28)), 210);
        assert_eq!(minutes(date(2005, 6, 1)), 386);
    }

    #[test]
    fn exchange_date_changes_at_new_york_midnight() {
        assert_eq!(exchange_date(ns("2025-07-02T03:59:59Z")), date(2025, 7, 1));
        assert_eq!(exchange_date(ns("2025-07-02T04:00:00Z")), date(2025, 7, 2));
        assert_eq!(exchange_date(midnight_ns(date(2025, 1, 15))), date(2025, 1, 15));
    }

    /// The predecessor of this program read UTC labels as New York time. The test repeats its selection to count the loss.
    #[test]
    fn utc_labels_read_as_new_york_time_select_4813_bars() {
        let (first, last) = (ns("2025-10-13T13:30:00Z"), ns("2025-12-11T16:00:00Z"));
        let days = sessions(date(2025, 10, 13), date(2025, 12, 11));
        // An index feed: bars from the open to the close, the one that starts at the close included.
        let bars: Vec<i64> = days
            .iter()
            .flat_map(|day| (day.open_ns..=day.close_ns).step_by(60_000_000_000))
            .filter(|ts| (first..=last).contains(ts))
            .collect();
        let utc_label = |ts: i64| (ts / MINUTE_NS) % (24 * 60);
        let wrong = bars.iter().filter(|ts| (9 * 60 + 30..=16 * 60).contains(&utc_label(**ts))).count();
        assert_eq!(wrong, 15 * 151 + 28 * 91);
        assert_eq!(wrong, 4_813);

        let ours = |day: &Session| bars.iter().filter(|ts| (day.open_ns..day.close_ns).contains(*ts)).count();
        let counts: BTreeMap<Date, usize> = days.iter().map(|day| (day.date, ours(day))).collect();
        assert_eq!(counts.len(), 43);
        assert_eq!(counts[&date(2025, 10, 31)], 390, "summer time");
        assert_eq!(counts[&date(2025, 11, 3)], 390, "winter time");
        assert_eq!(counts[&date(2025, 11, 28)], 210, "half day");
        assert_eq!(counts[&date(2025, 12, 11)], 91, "the last day of the feed");
    }

    #[test]
    fn table_agrees_with_the_reference_calendar() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/us_equity_calendar_2003_2028.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: {path} does not exist");
            return;
        };
        let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
        let closed: Vec<&str> = reference["holidays"].as_array().unwrap().iter().map(|d| d.as_str().unwrap()).collect();
        let early = reference["early_close_et"].as_object().unwrap();
        assert_eq!((closed.len(), early.len()), (243, 56));
        for day in FIRST_DATE.series(jiff::Span::new().days(1)).take_while(|day| *day <= LAST_DATE) {
            let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            let name = day.to_string();
            assert_eq!(session(day).is_none(), weekend || closed.contains(&name.as_str()), "{name}");
            let close = early.get(&name).map_or("16:00", |close| close.as_str().unwrap());
            if let Some(session) = session(day) {
                let zoned = Timestamp::from_nanosecond(session.close_ns.into()).unwrap().to_zoned(NEW_YORK.clone());
                assert_eq!(zoned.strftime("%H:%M").to_string(), close, "{name}");
            }
        }
    }
}
