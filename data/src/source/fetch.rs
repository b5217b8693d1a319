//! Filling the cache: which sessions are missing, in which windows to ask for them, and what a history needs.
//!
//! A session that is complete in the cache is never asked for again unless that is wished. After every page the sessions
//! that are whole are stored, so that an interruption costs one page at most. Sessions are those of the exchange calendar:
//! minutes before the open and after the close, on half days too, are left out and counted.

mod download;
mod history;
mod options;
mod refusals;
mod restatement;

use std::{collections::BTreeSet, path::PathBuf};

use jiff::{ToSpan as _, civil::Date};

use self::refusals::Refusals;
use super::{
    cache::{Cache, CachedSeries, Kind},
    vendor::{Clock, Progress, Vendor, VendorError},
};
use crate::{DateRange, Symbol, calendar};

pub use self::{
    download::Fetched,
    history::{Needs, with_warmup},
    options::OptionPlan,
};

/// A session is final this long after its close: delayed plans lag by a quarter of an hour.
const SETTLED_NS: i64 = 20 * calendar::MINUTE_NS;

/// A vendor, the cache that is filled from it, and what a fetch needs besides.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// Who is asked.
    pub vendor: &'a dyn Vendor,
    /// Where the answers go.
    pub cache: &'a Cache,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("vendor", &self.vendor.name())
            .field("cache", self.cache)
            .finish_non_exhaustive()
    }
}

/// How to fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// Asks again for so many of the latest sessions, which vendors sometimes correct.
    pub refresh: usize,
    /// Asks again for sessions that came without a bar, and for what the plan refused: as after a change of plan.
    pub retry_empty: bool,
    /// Leaves rows out that contradict themselves, and names them, instead of stopping at them.
    pub drop_bad: bool,
}

/// Consecutive missing sessions of one symbol, asked for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRun {
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
    pub windows: Vec<SessionRun>,
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
}

/// Returns the minutes that calls take at so many per minute: the first ones are free, the others come minute by minute;
/// 0 = no limit, then well below one.
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

impl Fetcher<'_> {
    /// Finds out which sessions of `dates` are missing. Asks nobody.
    ///
    /// # Errors
    /// A symbol that the vendor cannot have, or a cache that cannot be read.
    pub fn plan(&self, symbols: &[Symbol], dates: DateRange, wishes: FetchOptions) -> Result<Plan, VendorError> {
        let mut plan = Plan::default();
        let noes = Refusals::read(&self.noes());
        for symbol in symbols {
            self.vendor.check(symbol)?;
            let floor = noes.floor(symbol, self.clock.now_ms()).filter(|_| !wishes.retry_empty);
            self.plan_symbol(&mut plan, symbol, dates, wishes, floor)?;
        }
        Ok(plan)
    }

    fn plan_symbol(
        &self,
        plan: &mut Plan,
        symbol: &Symbol,
        dates: DateRange,
        wishes: FetchOptions,
        floor: Option<Date>,
    ) -> Result<(), VendorError> {
        let Some(last) = last_final(self.clock.now_ms()).map(|last| last.min(dates.last)) else { return Ok(()) };
        let sessions: Vec<Date> = calendar::sessions(dates.first, last).iter().map(|session| session.date).collect();
        let there = self.shelf(symbol).sessions(dates)?;
        let known = there.iter().filter(|(_, record)| record.rows > 0 || !wishes.retry_empty).map(|(date, _)| *date);
        let mut known: BTreeSet<Date> = known.collect();
        for date in sessions.iter().rev().take(wishes.refresh) {
            known.remove(date);
        }
        let reach = self.vendor.first_date(self.today()).max(floor).unwrap_or(Date::MIN);
        let asked = sessions.iter().filter(|date| !known.contains(date));
        plan.out_of_reach += asked.filter(|date| **date < reach).count();
        plan.complete += sessions.iter().filter(|date| known.contains(date)).count();
        // Neighbours are asked for together, as many as the vendor gives at once.
        let missing = |date: &Date| !known.contains(date) && *date >= reach;
        for run in sessions.chunk_by(|a, b| missing(a) && missing(b)).filter(|run| missing(&run[0])) {
            let mut rest = run;
            while let Some(&first) = rest.first() {
                let end = first.saturating_add(self.vendor.window_days(symbol).days());
                let (window, later) = rest.split_at(rest.partition_point(|date| *date < end));
                let dates = DateRange { first, last: window[window.len() - 1] };
                plan.calls += self.vendor.calls(symbol, window.len());
                plan.windows.push(SessionRun { symbol: symbol.clone(), dates, sessions: window.len() });
                rest = later;
            }
        }
        Ok(())
    }

    fn shelf(&self, symbol: &Symbol) -> CachedSeries {
        self.cache.shelf(self.vendor.name(), self.vendor.adjustment(), Kind::Minute, symbol)
    }

    fn today(&self) -> Date {
        calendar::exchange_date(self.clock.now_ms().saturating_mul(1_000_000))
    }

    /// Returns the file that remembers what was refused.
    fn noes(&self) -> PathBuf {
        self.cache.folder(self.vendor.name()).join("refusals.json")
    }
}
