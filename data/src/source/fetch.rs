//! Fetching: missing sessions are planned as windows, downloaded, and stored in the cache.
//!
//! A session that is complete in the cache is not requested again, unless a refresh is asked for. Complete sessions are
//! stored after every page, so that an interruption costs at most one page. Sessions are those of the exchange calendar:
//! minutes before the open and after the close, also of half days, are left out and counted.

mod download;
mod history;
mod live;
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
    download::FetchSummary,
    history::{HistoryRequest, with_warmup},
    options::OptionPlan,
};

/// Delay after which a closed session is final: delayed plans lag by a quarter of an hour.
const SETTLED_NS: i64 = 20 * calendar::MINUTE_NS;

/// A vendor and the cache of its data.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// The vendor.
    pub vendor: &'a dyn Vendor,
    /// The cache.
    pub cache: &'a Cache,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Receiver of progress and notes.
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

/// Options of a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// Number of latest sessions to fetch again, because vendors sometimes correct them.
    pub refresh: usize,
    /// Fetches sessions without bars again, and repeats requests that the plan refused, as after a change of plan.
    pub retry_empty: bool,
    /// Leaves out contradictory rows and reports them, instead of stopping at the first.
    pub drop_bad: bool,
}

/// Consecutive missing sessions of one symbol, fetched by one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRun {
    /// The symbol.
    pub symbol: Symbol,
    /// Dates of the first and the last session.
    pub dates: DateRange,
    /// Number of sessions.
    pub sessions: usize,
}

/// Missing sessions, and the requests for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Requests, by symbol, then by date.
    pub windows: Vec<SessionRun>,
    /// Sessions that are in the cache, summed over symbols.
    pub complete: usize,
    /// Sessions before the first date that the vendor or the plan reaches.
    pub out_of_reach: usize,
    /// Minimum number of calls.
    pub calls: usize,
}

impl Plan {
    /// Returns the number of missing sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.windows.iter().map(|window| window.sessions).sum()
    }
}

/// Returns the minutes that calls take under a limit per minute: the first batch runs at once, each further batch a minute
/// later. A limit of 0 means no limit, at 50 calls a second.
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
    /// Returns the missing sessions of `dates`. Makes no request.
    ///
    /// # Errors
    /// A symbol that the vendor does not offer, or a cache that cannot be read.
    pub fn plan(&self, symbols: &[Symbol], dates: DateRange, options: FetchOptions) -> Result<Plan, VendorError> {
        let mut plan = Plan::default();
        let refusals = Refusals::read(&self.refusals_file());
        for symbol in symbols {
            self.vendor.check(symbol)?;
            let floor = refusals.floor(symbol, self.clock.now_ms()).filter(|_| !options.retry_empty);
            self.plan_symbol(&mut plan, symbol, dates, options, floor)?;
        }
        Ok(plan)
    }

    fn plan_symbol(
        &self,
        plan: &mut Plan,
        symbol: &Symbol,
        dates: DateRange,
        options: FetchOptions,
        floor: Option<Date>,
    ) -> Result<(), VendorError> {
        let Some(last) = last_final(self.clock.now_ms()).map(|last| last.min(dates.last)) else { return Ok(()) };
        let sessions: Vec<Date> = calendar::sessions(dates.first, last).iter().map(|session| session.date).collect();
        let cached = self.series(symbol).sessions(dates)?;
        let known = cached.iter().filter(|(_, record)| record.rows > 0 || !options.retry_empty).map(|(date, _)| *date);
        let mut known: BTreeSet<Date> = known.collect();
        for date in sessions.iter().rev().take(options.refresh) {
            known.remove(date);
        }
        let reach = self.vendor.first_date(self.today()).max(floor).unwrap_or(Date::MIN);
        let asked = sessions.iter().filter(|date| !known.contains(date));
        plan.out_of_reach += asked.filter(|date| **date < reach).count();
        plan.complete += sessions.iter().filter(|date| known.contains(date)).count();
        // Neighbouring sessions are fetched together, up to the longest window of the vendor.
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

    fn series(&self, symbol: &Symbol) -> CachedSeries {
        self.cache.series(self.vendor.name(), self.vendor.adjustment(), Kind::Minute, symbol)
    }

    fn today(&self) -> Date {
        calendar::exchange_date(self.clock.now_ms().saturating_mul(1_000_000))
    }

    /// Returns the file of refused requests.
    fn refusals_file(&self) -> PathBuf {
        self.cache.folder(self.vendor.name()).join("refusals.json")
    }
}
