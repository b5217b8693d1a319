//! Calendar events that option prices reflect in advance.

mod table;

use jiff::civil::Date;
use market_data::{DateRange, calendar};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use table::Year;

/// Dates of events that are published beforehand and that the S&P's options price in: section `[market.pricing.events]`. The
/// built-in dates begin in 2018, those of earnings in 2021 and 2022.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventCalendar {
    /// Dates on which the Federal Open Market Committee announces its rate, at 14:00. The session before matters too: its
    /// VIX1D already covers the announcement.
    #[schemars(with = "Vec<String>")]
    pub fomc: Vec<Date>,
    /// Dates on which US consumer prices are published, before the open. The session before matters: its VIX1D already
    /// covers the release.
    #[schemars(with = "Vec<String>")]
    pub cpi: Vec<Date>,
    /// Dates on which the US jobs report is published, before the open. The session before matters.
    #[schemars(with = "Vec<String>")]
    pub jobs: Vec<Date>,
    /// Dates with a report of NVIDIA after the close. Options on the funds can be exercised until the evening and carry
    /// it; options on the index do not.
    #[schemars(with = "Vec<String>")]
    pub late_earnings: Vec<Date>,
    /// Dates with a report of Apple, Microsoft, Meta, Alphabet or Amazon after the close.
    #[schemars(with = "Vec<String>")]
    pub mega_cap_earnings: Vec<Date>,
}

impl Default for EventCalendar {
    /// The dates published at the time of writing.
    fn default() -> Self {
        Self {
            fomc: dates(table::FOMC),
            cpi: dates(table::CPI),
            jobs: dates(table::JOBS),
            late_earnings: dates(table::NVIDIA),
            mega_cap_earnings: dates(table::MEGA_CAPS),
        }
    }
}

fn dates(years: &[Year]) -> Vec<Date> {
    let of_year = |&(year, days): &Year| days.iter().map(move |&(month, day)| jiff::civil::date(year, month, day));
    years.iter().flat_map(of_year).collect()
}

/// What the evening after a session brings. The number is the index in [`crate::ContractSpec::evening_minutes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Evening {
    #[default]
    Ordinary = 0,
    /// A report of one of the largest companies.
    MegaCaps = 1,
    /// A report of NVIDIA.
    Nvidia = 2,
}

/// The events of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events {
    pub(crate) fomc: bool,
    pub(crate) fomc_eve: bool,
    pub(crate) cpi_eve: bool,
    pub(crate) jobs_eve: bool,
    pub(crate) evening: Evening,
}

impl EventCalendar {
    /// Returns the events of a session. A release on a day without a session belongs to the eve before that day.
    pub(crate) fn on(&self, date: Date) -> Events {
        let next = calendar::next_session(date).map_or(date, |next| next.date);
        let is_eve = |releases: &[Date]| releases.iter().any(|release| (date < *release) && (*release <= next));
        Events {
            fomc: self.fomc.contains(&date),
            fomc_eve: is_eve(&self.fomc),
            cpi_eve: is_eve(&self.cpi),
            jobs_eve: is_eve(&self.jobs),
            evening: if self.late_earnings.contains(&date) {
                Evening::Nvidia
            } else if self.mega_cap_earnings.contains(&date) {
                Evening::MegaCaps
            } else {
                Evening::Ordinary
            },
        }
    }

    /// Returns a sentence on the sessions of these dates that lie before or after the months of the tables, if any do.
    pub fn uncovered(&self, dates: &DateRange) -> Option<String> {
        let tables = [
            ("rate decisions", &self.fomc),
            ("consumer prices", &self.cpi),
            ("jobs reports", &self.jobs),
            ("NVIDIA's earnings", &self.late_earnings),
            ("other large companies' earnings", &self.mega_cap_earnings),
        ];
        let gaps = tables.into_iter().filter_map(|(name, table)| {
            let (first, last) = (table.iter().min()?.first_of_month(), table.iter().max()?.last_of_month());
            let before = (dates.first < first).then(|| format!("before {}", first.strftime("%Y-%m")));
            let after = (dates.last > last).then(|| format!("after {}", last.strftime("%Y-%m")));
            let gaps: Vec<String> = before.into_iter().chain(after).collect();
            (!gaps.is_empty()).then(|| format!("{name} {}", gaps.join(" and ")))
        });
        let gaps: Vec<String> = gaps.collect();
        (!gaps.is_empty()).then(|| {
            format!("Events that option prices do not know: {} (market.pricing.events adds dates)", gaps.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn per_year(dates: &[Date]) -> Vec<(i16, usize)> {
        let mut years: Vec<(i16, usize)> = Vec::new();
        for date in dates {
            match years.last_mut() {
                Some((year, count)) if *year == date.year() => *count += 1,
                _ => years.push((date.year(), 1)),
            }
        }
        years
    }

    #[test]
    fn tables_ascend_and_hold_the_known_number_of_dates_a_year() {
        let events = EventCalendar::default();
        for table in [&events.fomc, &events.cpi, &events.jobs, &events.late_earnings, &events.mega_cap_earnings] {
            assert!(table.windows(2).all(|pair| pair[0] < pair[1]), "{table:?}");
        }
        // The meeting of March 2020 was dropped; prices of October 2025 were never published, nor were its jobs alone.
        let all_but = |years: std::ops::RangeInclusive<i16>, usual: usize, odd: (i16, usize)| -> Vec<(i16, usize)> {
            years.map(|year| (year, if year == odd.0 { odd.1 } else { usual })).collect()
        };
        assert_eq!(per_year(&events.fomc), all_but(2018..=2027, 8, (2020, 7)));
        assert_eq!(per_year(&events.cpi), [all_but(2018..=2026, 12, (2025, 11)), vec![(2027, 1)]].concat());
        assert_eq!(per_year(&events.jobs), all_but(2018..=2026, 12, (2025, 11)));
        assert_eq!(per_year(&events.late_earnings), all_but(2021..=2026, 4, (2026, 3)));
    }

    #[test]
    fn rate_decisions_and_earnings_fall_on_sessions() {
        let events = EventCalendar::default();
        for date in events.fomc.iter().chain(&events.late_earnings).chain(&events.mega_cap_earnings) {
            assert!(calendar::session(*date).is_some(), "{date} is no session");
        }
        for release in events.cpi.iter().chain(&events.jobs) {
            let closed = ["2020-04-10", "2021-04-02", "2023-04-07", "2026-04-03"].map(date).contains(release);
            assert_eq!(calendar::session(*release).is_none(), closed, "{release}");
        }
    }

    #[test]
    fn eves_precede_releases_even_on_closed_days() {
        let events = EventCalendar::default();
        // Prices published on Tuesday the 13th affect Monday the 12th.
        assert!(events.on(date("2025-05-12")).cpi_eve && !events.on(date("2025-05-13")).cpi_eve);
        assert!(events.on(date("2024-12-17")).fomc_eve && !events.on(date("2024-12-18")).fomc_eve);
        assert!(events.on(date("2024-12-18")).fomc);
        // Jobs on Friday: the eve is Thursday. On Good Friday the exchange is closed, and Monday is no eve.
        assert!(events.on(date("2024-06-06")).jobs_eve && !events.on(date("2024-06-07")).jobs_eve);
        assert!(events.on(date("2023-04-06")).jobs_eve && !events.on(date("2023-04-10")).jobs_eve);
        assert!(events.on(date("2020-04-09")).cpi_eve);
        // The shutdowns moved releases.
        assert!(events.on(date("2025-10-23")).cpi_eve && !events.on(date("2025-10-14")).cpi_eve);
        assert!(events.on(date("2025-11-19")).jobs_eve && !events.on(date("2025-10-02")).jobs_eve);
        assert!(events.on(date("2026-02-12")).cpi_eve && events.on(date("2026-02-10")).jobs_eve);
    }

    #[test]
    fn the_largest_report_of_an_evening_counts() {
        let events = EventCalendar::default();
        assert_eq!(events.on(date("2024-11-20")).evening, Evening::Nvidia);
        assert_eq!(events.on(date("2025-01-29")).evening, Evening::MegaCaps);
        assert_eq!(events.on(date("2025-01-28")).evening, Evening::Ordinary);
    }

    #[test]
    fn dates_outside_the_tables_are_told() {
        let events = EventCalendar::default();
        let told = |first: &str, last: &str| events.uncovered(&DateRange { first: date(first), last: date(last) });
        let sentence = "Events that option prices do not know: NVIDIA's earnings before 2021-02, other large companies' \
                        earnings before 2022-01 (market.pricing.events adds dates)";
        assert_eq!(told("2021-01-29", "2026-04-30").as_deref(), Some(sentence));
        assert_eq!(told("2022-01-03", "2026-04-30"), None);
        let late = told("2026-04-01", "2027-02-01").unwrap();
        assert!(late.contains("consumer prices after 2027-01, jobs reports after 2026-12"), "{late}");
        assert!(!late.contains("rate decisions"), "{late}");
        let none = EventCalendar { late_earnings: Vec::new(), ..events };
        assert_eq!(
            none.uncovered(&DateRange { first: date("2022-01-03"), last: date("2026-08-31") }).unwrap(),
            "Events that option prices do not know: other large companies' earnings after 2026-04 (market.pricing.events adds \
             dates)",
            "an empty table is a choice"
        );
    }
}
