//! Filling the cache: which sessions are missing, in which windows to ask for them, and what a history needs.
//!
//! A session that is complete in the cache is never asked for again unless that is wished. After every page the sessions
//! that are whole are stored, so that an interruption costs one page at most. Sessions are those of the exchange calendar:
//! minutes before the open and after the close, on half days too, are left out and counted.

mod history;
mod options;
mod run;

use std::collections::BTreeSet;

use jiff::{ToSpan as _, civil::Date};

pub use self::{
    history::{Needs, gather, with_warmup},
    options::{OptionPlan, fetch_options, plan_options},
    run::{Fetched, fetch},
};
use super::{
    cache::{Cache, Kind, Shelf},
    vendor::{Vendor, VendorError},
};
use crate::{DateRange, Symbol, calendar};

/// A session is final this long after its close: delayed plans lag by a quarter of an hour.
const SETTLED_NS: i64 = 20 * calendar::MINUTE_NS;

/// How to fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Asks again for so many of the latest sessions, which vendors sometimes correct.
    pub refresh: usize,
    /// Asks again for sessions that came without a bar, as after a change of plan.
    pub retry_empty: bool,
    /// Leaves rows out that contradict themselves, and names them, instead of stopping at them.
    pub drop_bad: bool,
}

/// Consecutive missing sessions of one symbol, asked for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The symbol.
    pub symbol: Symbol,
    /// From the first to the last missing session.
    pub dates: DateRange,
    /// How many sessions that are.
    pub sessions: usize,
}

/// What is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to ask for, by symbol, then by date.
    pub windows: Vec<Asked>,
    /// Sessions that are in the cache already, summed over symbols.
    pub complete: usize,
    /// Sessions that no plan of the vendor reaches.
    pub out_of_reach: usize,
    /// Calls that it takes, at best.
    pub calls: usize,
}

impl Plan {
    /// Returns how many sessions are missing.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.windows.iter().map(|window| window.sessions).sum()
    }

    /// Returns the minutes that the calls take at so many per minute; 0 = no limit, then well below one.
    #[must_use]
    pub fn minutes(&self, calls_per_minute: u32) -> f64 {
        minutes(self.calls, calls_per_minute)
    }
}

/// Returns the minutes that calls take: the first ones are free, the others come minute by minute.
#[must_use]
pub fn minutes(calls: usize, calls_per_minute: u32) -> f64 {
    match calls_per_minute {
        0 => calls as f64 / (50.0 * 60.0),
        limit => (calls.saturating_sub(1) / limit as usize) as f64 * 61.0 / 60.0,
    }
}

/// Returns the date of the last session that is final at an instant, UTC milliseconds.
#[must_use]
pub fn last_final(now_ms: i64) -> Option<Date> {
    let today = calendar::exchange_date(now_ms.saturating_mul(1_000_000));
    let recent = calendar::sessions(today.saturating_sub(10.days()), today);
    let settled = |session: &&calendar::Session| (session.close_ns + SETTLED_NS) / 1_000_000 <= now_ms;
    recent.iter().rev().find(settled).map(|session| session.date)
}

/// Finds out which sessions of `dates` are missing, as of `now_ms`. Asks nobody.
///
/// # Errors
/// A symbol that the vendor cannot have, or a cache that cannot be read.
pub fn plan(
    vendor: &dyn Vendor,
    cache: &Cache,
    symbols: &[Symbol],
    dates: DateRange,
    now_ms: i64,
    wishes: Wishes,
) -> Result<Plan, VendorError> {
    let mut plan = Plan::default();
    for symbol in symbols {
        vendor.check(symbol)?;
        let shelf = cache.shelf(vendor.name(), vendor.adjustment(), Kind::Minute, symbol);
        plan.add(vendor, symbol, &shelf, dates, now_ms, wishes)?;
    }
    Ok(plan)
}

impl Plan {
    fn add(
        &mut self,
        vendor: &dyn Vendor,
        symbol: &Symbol,
        shelf: &Shelf,
        dates: DateRange,
        now_ms: i64,
        wishes: Wishes,
    ) -> Result<(), VendorError> {
        let Some(last) = last_final(now_ms).map(|last| last.min(dates.last)) else { return Ok(()) };
        let sessions: Vec<Date> = calendar::sessions(dates.first, last).iter().map(|session| session.date).collect();
        let there = shelf.sessions(dates)?;
        let known = there.iter().filter(|(_, record)| record.rows > 0 || !wishes.retry_empty).map(|(date, _)| *date);
        let mut known: BTreeSet<Date> = known.collect();
        for date in sessions.iter().rev().take(wishes.refresh) {
            known.remove(date);
        }
        let today = calendar::exchange_date(now_ms.saturating_mul(1_000_000));
        let reach = vendor.first_date(today).unwrap_or(Date::MIN);
        let mut open = None::<Asked>;
        for date in sessions {
            if known.contains(&date) || date < reach {
                if known.contains(&date) {
                    self.complete += 1
                } else {
                    self.out_of_reach += 1
                }
                self.windows.extend(open.take());
                continue;
            }
            let room = |asked: &Asked| date < asked.dates.first.saturating_add(vendor.window_days(symbol).days());
            match &mut open {
                Some(asked) if room(asked) => (asked.dates.last, asked.sessions) = (date, asked.sessions + 1),
                other => {
                    self.windows.extend(other.take());
                    *other = Some(Asked {
                        symbol: symbol.clone(),
                        dates: DateRange { first: date, last: date },
                        sessions: 1,
                    });
                }
            }
        }
        self.windows.extend(open);
        let ours = self.windows.iter().filter(|window| window.symbol == *symbol);
        self.calls += ours.map(|window| vendor.calls(symbol, window.sessions)).sum::<usize>();
        Ok(())
    }
}
