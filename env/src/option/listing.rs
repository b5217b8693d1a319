//! Expiries that existed: the sessions at whose close a contract of an underlying expired.

use jiff::{
    ToSpan as _,
    civil::{Date, Weekday, date},
};
use market_data::calendar;

/// Expiries of one underlying. Contracts that are settled at the open count as none.
struct Listing {
    symbol: &'static str,
    /// First expiry on a Monday, a Tuesday and so on to Friday.
    weekly: [Date; 5],
    /// Third Fridays count from this date on.
    monthly: Date,
    /// Ends of a period of some months, the first and the number of months.
    period_end: (Date, i8),
}

/// Expiries by underlying.
///
/// # Source
/// SPX (root SPXW): Cboe's specification of weeklys and notices of listings; exact, Thursdays likely. Before 2017-05-19 the
/// contracts of third Fridays that were settled at the close had a root of their own, SPXPM, and do not count. SPY, QQQ and IWM: approvals of
/// rules and notices of the exchanges; Mondays to Thursdays within two weeks, Fridays of QQQ and IWM within the year. Ends of months (SPXW)
/// and quarters (funds): Cboe and OCC.
const LISTINGS: [Listing; 4] = [
    Listing {
        symbol: "SPX",
        weekly: [date(2016, 8, 22), date(2022, 4, 26), date(2016, 3, 2), date(2022, 5, 19), date(2010, 12, 10)],
        monthly: date(2017, 5, 19),
        period_end: (date(2014, 7, 31), 1),
    },
    Listing {
        symbol: "SPY",
        weekly: [date(2018, 2, 26), date(2022, 11, 22), date(2016, 9, 7), date(2022, 11, 17), date(2010, 6, 4)],
        monthly: date(2005, 1, 21),
        period_end: FUND_QUARTERS,
    },
    Listing {
        symbol: "QQQ",
        weekly: [date(2021, 5, 3), date(2022, 11, 22), date(2021, 5, 5), date(2022, 11, 17), date(2010, 12, 31)],
        monthly: calendar::FIRST_DATE,
        period_end: FUND_QUARTERS,
    },
    Listing {
        symbol: "IWM",
        weekly: [date(2021, 10, 11), date(2024, 5, 7), date(2021, 10, 13), date(2024, 5, 9), date(2010, 12, 31)],
        monthly: calendar::FIRST_DATE,
        period_end: FUND_QUARTERS,
    },
];
/// Quarterly contracts of the funds.
const FUND_QUARTERS: (Date, i8) = (date(2007, 3, 30), 3);

/// Returns whether a contract of an underlying expired at the close of a session. True for an underlying without a table.
pub(crate) fn expires(symbol: &str, date: Date) -> bool {
    if calendar::session(date).is_none() {
        return false;
    }
    let Some(listing) = LISTINGS.iter().find(|listing| listing.symbol == symbol) else { return true };
    // An expiry on a closed Monday moves to the session after it, any other to the session before it.
    let moved_back = closed_days(date, 1).any(|day| day.weekday() != Weekday::Monday && listing.scheduled(day));
    let moved_on = closed_days(date, -1).any(|day| day.weekday() == Weekday::Monday && listing.scheduled(day));
    listing.scheduled(date) || listing.ends_period(date) || moved_back || moved_on
}

/// Returns the first session from a date on at whose close a contract expired, if the calendar reaches that far.
pub(crate) fn nearest(symbol: &str, from: Date) -> Option<Date> {
    let mut date = from;
    while !expires(symbol, date) {
        date = calendar::next_session(date)?.date;
    }
    Some(date)
}

/// Returns the days without a session that follow a date, or precede it, up to the next session.
fn closed_days(date: Date, step: i64) -> impl Iterator<Item = Date> {
    let days = (1..15).map(move |n| date.saturating_add((n * step).days()));
    days.take_while(|day| calendar::session(*day).is_none())
}

impl Listing {
    /// Returns whether a contract expires on a date, closed days not considered.
    fn scheduled(&self, date: Date) -> bool {
        let weekday = date.weekday().to_monday_zero_offset();
        let weekly =
            usize::try_from(weekday).ok().and_then(|at| self.weekly.get(at)).is_some_and(|first| *first <= date);
        let third_friday = date.weekday() == Weekday::Friday && (15..=21).contains(&date.day());
        weekly && !self.is_settled_at_the_open(date) || third_friday && self.monthly <= date
    }

    /// Returns whether the contracts of a third Friday settled at the open only.
    fn is_settled_at_the_open(&self, date: Date) -> bool {
        date.weekday() == Weekday::Friday && (15..=21).contains(&date.day()) && date < self.monthly
    }

    fn ends_period(&self, date: Date) -> bool {
        let (first, months) = self.period_end;
        let last_of_month = calendar::next_session(date).is_some_and(|next| next.date.month() != date.month());
        last_of_month && first <= date && date.month() % months == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(symbol: &str, days: &[&str]) -> Vec<bool> {
        days.iter().map(|day| expires(symbol, day.parse().unwrap())).collect()
    }

    /// Counts the sessions of a year without an expiry.
    fn without(symbol: &str, year: i16) -> usize {
        let sessions = calendar::sessions(date(year, 1, 1), date(year, 12, 31));
        sessions.iter().filter(|session| !expires(symbol, session.date)).count()
    }

    #[test]
    fn weekdays_start_on_their_first_expiry() {
        assert_eq!(on("SPY", &["2022-11-15", "2022-11-17", "2022-11-22", "2022-11-24"]), [false, true, true, false]);
        assert_eq!(on("SPY", &["2018-02-12", "2018-02-26", "2016-08-31", "2016-09-07"]), [false, true, false, true]);
        assert_eq!(on("SPX", &["2022-04-19", "2022-04-26", "2022-05-12", "2022-05-19"]), [false, true, false, true]);
        assert_eq!(on("QQQ", &["2021-04-26", "2021-05-03", "2022-11-16", "2022-11-10"]), [false, true, true, false]);
        assert_eq!(on("IWM", &["2021-10-06", "2021-10-13", "2024-04-30", "2024-05-07"]), [false, true, false, true]);
        assert_eq!(on("DIA", &["2018-02-13", "2018-02-17"]), [true, false], "no table: every session");
    }

    #[test]
    fn a_closed_day_moves_its_expiry() {
        // A closed Monday: Tuesday. Washington's birthday of 2019.
        assert_eq!(on("SPY", &["2019-02-19", "2019-02-26"]), [true, false]);
        // Closed Wednesdays: Tuesday. Independence day of 2018, and the mourning of 2018-12-05.
        assert_eq!(on("SPX", &["2018-07-03", "2018-12-04", "2018-12-11"]), [true, true, false]);
        // Good Friday is a third Friday in 2019: Thursday.
        assert_eq!(on("SPY", &["2019-04-18", "2019-04-25"]), [true, false]);
        // Christmas on a Saturday closes Friday the 24th of 2021: Thursday.
        assert_eq!(on("IWM", &["2021-12-23", "2021-12-16"]), [true, false]);
    }

    #[test]
    fn ends_of_months_and_quarters_expire_on_any_weekday() {
        // Tuesday 2019-04-30 and Thursday 2019-10-31 are no ends of quarters, Tuesday 2020-03-31 is one.
        assert_eq!(on("SPX", &["2019-04-30", "2019-10-31", "2020-03-31", "2014-06-30"]), [true, true, true, false]);
        assert_eq!(on("SPY", &["2019-04-30", "2019-10-31", "2020-03-31"]), [false, false, true]);
    }

    #[test]
    fn third_fridays_of_the_index_settled_at_the_open() {
        assert_eq!(on("SPX", &["2017-03-17", "2017-03-24", "2017-05-19"]), [false, true, true]);
        assert_eq!(on("QQQ", &["2008-03-20", "2008-03-14"]), [true, false], "the third Friday was Good Friday");
    }

    #[test]
    fn every_session_has_an_expiry_since_the_last_listing() {
        assert_eq!(["SPY", "QQQ", "SPX"].map(|symbol| without(symbol, 2023)), [0; 3]);
        assert_eq!((without("IWM", 2025), without("SPX", 2025)), (0, 0));
        // Moved expiries and the end of a quarter fall on eight of the Tuesdays and Thursdays of 2021.
        let tuesdays_and_thursdays = |year| {
            let sessions = calendar::sessions(date(year, 1, 1), date(year, 12, 31));
            let is_one = |day: Date| matches!(day.weekday(), Weekday::Tuesday | Weekday::Thursday);
            sessions.iter().filter(|session| is_one(session.date)).count()
        };
        let all = tuesdays_and_thursdays(2021);
        assert_eq!(without("SPY", 2021), all - 8);
    }

    #[test]
    fn the_nearest_expiry_is_today_or_later() {
        let of = |symbol: &str, day: &str| nearest(symbol, day.parse().unwrap()).map(|date| date.to_string());
        assert_eq!(of("SPY", "2022-11-15").as_deref(), Some("2022-11-16"));
        assert_eq!(of("SPY", "2022-11-16").as_deref(), Some("2022-11-16"));
        assert_eq!(of("QQQ", "2020-06-08").as_deref(), Some("2020-06-12"));
    }
}
