//! Calendar events that option prices reflect in advance.

use jiff::civil::Date;
use market_data::calendar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rate decisions of the Federal Open Market Committee: year, then month and day of the announcement.
const FOMC: [(i16, [(i8, i8); 8]); 5] = [
    (2022, [(1, 26), (3, 16), (5, 4), (6, 15), (7, 27), (9, 21), (11, 2), (12, 14)]),
    (2023, [(2, 1), (3, 22), (5, 3), (6, 14), (7, 26), (9, 20), (11, 1), (12, 13)]),
    (2024, [(1, 31), (3, 20), (5, 1), (6, 12), (7, 31), (9, 18), (11, 7), (12, 18)]),
    (2025, [(1, 29), (3, 19), (5, 7), (6, 18), (7, 30), (9, 17), (10, 29), (12, 10)]),
    (2026, [(1, 28), (3, 18), (4, 29), (6, 17), (7, 29), (9, 16), (10, 28), (12, 9)]),
];
/// Publications of the consumer price index: year, then month and day.
const CPI: [(i16, &[(i8, i8)]); 4] = [
    (
        2022,
        &[
            (1, 12),
            (2, 10),
            (3, 10),
            (4, 12),
            (5, 11),
            (6, 10),
            (7, 13),
            (8, 10),
            (9, 13),
            (10, 13),
            (11, 10),
            (12, 13),
        ],
    ),
    (
        2023,
        &[
            (1, 12),
            (2, 14),
            (3, 14),
            (4, 12),
            (5, 10),
            (6, 13),
            (7, 12),
            (8, 10),
            (9, 13),
            (10, 12),
            (11, 14),
            (12, 12),
        ],
    ),
    (
        2024,
        &[
            (1, 11),
            (2, 13),
            (3, 12),
            (4, 10),
            (5, 15),
            (6, 12),
            (7, 11),
            (8, 14),
            (9, 11),
            (10, 10),
            (11, 13),
            (12, 11),
        ],
    ),
    (2025, &[(1, 15), (2, 12), (3, 12), (4, 10), (5, 13), (6, 11), (7, 15), (8, 12), (9, 11), (10, 24), (12, 18)]),
];
/// Quarterly reports of NVIDIA, after the close.
const LATE_EARNINGS: [(i16, &[(i8, i8)]); 3] = [
    (2023, &[(5, 24), (8, 23), (11, 21)]),
    (2024, &[(2, 21), (5, 22), (8, 28), (11, 20)]),
    (2025, &[(2, 26), (5, 28), (8, 27), (11, 19)]),
];

/// Dates of events that are published long before and that the S&P's options price in: section `[market.pricing.events]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventCalendar {
    /// Dates on which the Federal Open Market Committee announces its rate, at 14:00.
    #[schemars(with = "Vec<String>")]
    pub fomc: Vec<Date>,
    /// Dates on which US consumer prices are published, before the open. The day before matters: its VIX1D already
    /// covers the release.
    #[schemars(with = "Vec<String>")]
    pub cpi: Vec<Date>,
    /// Dates with an earnings report after the close that moves the index. Options on the funds can be exercised until
    /// the evening and carry it.
    #[schemars(with = "Vec<String>")]
    pub late_earnings: Vec<Date>,
}

impl Default for EventCalendar {
    /// The dates published at the time of writing, up to 2026 at the latest.
    ///
    /// # Source
    /// Calendars of the Federal Reserve and of the Bureau of Labor Statistics; NVIDIA's investor relations.
    fn default() -> Self {
        Self {
            fomc: dates(FOMC.iter().map(|(year, days)| (*year, &days[..]))),
            cpi: dates(CPI.into_iter()),
            late_earnings: dates(LATE_EARNINGS.into_iter()),
        }
    }
}

fn dates<'a>(years: impl Iterator<Item = (i16, &'a [(i8, i8)])>) -> Vec<Date> {
    years.flat_map(|(year, days)| days.iter().map(move |&(month, day)| jiff::civil::date(year, month, day))).collect()
}

/// The events of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events {
    pub(crate) fomc: bool,
    pub(crate) cpi_eve: bool,
    pub(crate) late_earnings: bool,
}

impl EventCalendar {
    /// Returns the events of a session.
    pub(crate) fn on(&self, date: Date) -> Events {
        let next = calendar::next_session(date).map(|next| next.date);
        Events {
            fomc: self.fomc.contains(&date),
            cpi_eve: next.is_some_and(|next| self.cpi.contains(&next)),
            late_earnings: self.late_earnings.contains(&date),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_is_a_session_and_the_day_before_prices_is_one_too() {
        let events = EventCalendar::default();
        for date in events.fomc.iter().chain(&events.late_earnings) {
            assert!(calendar::session(*date).is_some(), "{date} is no session");
        }
        assert_eq!((events.fomc.len(), events.cpi.len()), (40, 47));
        let date = |text: &str| text.parse::<Date>().unwrap();
        // Prices published on Tuesday the 13th affect Monday the 12th.
        assert!(events.on(date("2025-05-12")).cpi_eve && !events.on(date("2025-05-13")).cpi_eve);
        assert!(events.on(date("2024-12-18")).fomc && events.on(date("2024-11-20")).late_earnings);
    }
}
