//! Download of missing sessions: several windows at once if the plan allows it, stored page by page.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, ToSpan as _, civil::Date};

use super::{FetchOptions, Fetcher, Plan, SessionRun, refusals::Refusals};
use crate::{
    BarColumns, Bars, DateRange, Symbol,
    calendar::{self, MINUTE_NS},
    source::{
        cache::{CachedSeries, Lock, SessionRecord},
        files::trust,
        vendor::{Page, Progress, Refusal, Row, Rows, VendorError},
    },
};

/// A recent session counts as complete if its last bar starts within this time before the close.
const TAIL_NS: i64 = 5 * MINUTE_NS;
/// Time after the close for which a session is recent: a vendor may publish it late.
const RECENT_NS: i64 = 3 * 24 * 60 * MINUTE_NS;

/// Outcome of a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// Sessions stored.
    pub sessions: usize,
    /// Stored sessions without a bar.
    pub empty: usize,
    /// Rows stored.
    pub rows: usize,
    /// Rows outside trading hours, left out.
    pub outside: usize,
    /// Faults of rows left out under [`FetchOptions::drop_bad`].
    pub bad: Vec<String>,
    /// Number of sessions before the first date of the plan, by symbol.
    pub refused: BTreeMap<Symbol, usize>,
    /// Sessions that were complete before the fetch.
    pub complete: usize,
}

/// State shared by the threads of a fetch.
struct Job<'a> {
    fetcher: Fetcher<'a>,
    all_series: BTreeMap<Symbol, CachedSeries>,
    options: FetchOptions,
    windows: Mutex<VecDeque<SessionRun>>,
    fetched: Mutex<FetchSummary>,
    /// First dates that the plan reaches, as far as refusals revealed them.
    floors: Mutex<BTreeMap<Symbol, Date>>,
    fault: Mutex<Option<VendorError>>,
}

impl Fetcher<'_> {
    /// Fetches the missing sessions of `dates` into the cache. `planned` receives the plan before the first request.
    ///
    /// # Errors
    /// Refused requests, malformed responses, or a cache that cannot be written. Sessions stored before the error remain.
    pub fn fetch(
        &self,
        symbols: &[Symbol],
        dates: DateRange,
        options: FetchOptions,
        planned: &mut dyn FnMut(&Plan),
    ) -> Result<FetchSummary, VendorError> {
        let mut all_series = BTreeMap::new();
        for symbol in symbols {
            self.vendor.check(symbol)?;
            all_series.insert(symbol.clone(), self.series(symbol));
        }
        if !self.plan(symbols, dates, options)?.windows.is_empty() {
            // Before a lock creates the folder.
            self.vendor.check_key()?;
        }
        let _locks = lock(all_series.values(), self.progress)?;
        // Planned under the lock: another program may just have fetched these sessions.
        let plan = self.plan(symbols, dates, options)?;
        planned(&plan);
        if plan.out_of_reach > 0 {
            let (lost, name) = (plan.out_of_reach, self.vendor.name());
            let names = symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.progress.note(format!("{names}: {lost} sessions are older than the history of {name}; left out"));
        }
        let threads = self.vendor.parallel().min(plan.windows.len());
        let job = Job {
            fetcher: *self,
            all_series,
            options,
            windows: Mutex::new(plan.windows.into()),
            fetched: Mutex::new(FetchSummary { complete: plan.complete, ..FetchSummary::default() }),
            floors: Mutex::default(),
            fault: Mutex::new(None),
        };
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| job.work()))));
        self.remember(job.floors.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        match job.fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault),
            None => Ok(job.fetched.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Saves the first dates of the plan for later runs.
    fn remember(&self, floors: BTreeMap<Symbol, Date>) -> Result<(), VendorError> {
        let mut refusals = Refusals::read(&self.refusals_file());
        for (symbol, floor) in floors {
            refusals.set_floor(&symbol, floor, self.clock.now_ms());
        }
        refusals.write(&self.refusals_file())
    }
}

/// Locks several series in a fixed order, so that two programs cannot deadlock.
pub(super) fn lock<'a>(
    all_series: impl Iterator<Item = &'a CachedSeries>,
    progress: &dyn Progress,
) -> Result<Vec<Lock>, VendorError> {
    let wait = |series: &CachedSeries| {
        let folder = series.folder().display().to_string();
        series.lock(|| progress.blocked(format!("another program is writing to {folder}; waiting for it")))
    };
    all_series.map(wait).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job<'_> {
    /// Fetches windows until none is left or one fails.
    fn work(&self) {
        loop {
            if locked(&self.fault).is_some() {
                return;
            }
            let Some(run) = locked(&self.windows).pop_front() else { return };
            if let Err(error) = self.fetch_window(run) {
                locked(&self.fault).get_or_insert(error);
            }
        }
    }

    /// Fetches one window, shortened to the dates that the plan includes.
    fn fetch_window(&self, mut run: SessionRun) -> Result<(), VendorError> {
        let (today, progress) = (self.fetcher.today(), self.fetcher.progress);
        let mut floors: VecDeque<Date> = self.fetcher.vendor.floors(today).into();
        loop {
            let known = locked(&self.floors).get(&run.symbol).copied();
            if let Some(floor) = known
                && !self.trim_before(&mut run, floor)
            {
                return Ok(());
            }
            let error = match self.download(&run) {
                Err(error) if error.refusal().is_some() => error,
                done => return done,
            };
            // The message is the same for dates that are too recent and dates that are too old.
            let within = |floor: &Date| run.dates.first < *floor && *floor <= run.dates.last;
            let too_recent = match error.refusal() {
                Some(Refusal::Today) => true,
                Some(Refusal::Timeframe) => run.dates.last >= today || !floors.iter().any(within),
                _ => false,
            };
            match error.refusal() {
                // With a wrong clock the vendor's today differs from ours.
                _ if too_recent && run.dates.last >= today.saturating_sub(3.days()) => {
                    progress.note(format!("{error}; continuing without that day"));
                    let earlier = calendar::sessions(run.dates.first, run.dates.last.saturating_sub(1.day()));
                    let Some(last) = earlier.last() else { return Ok(()) };
                    (run.dates.last, run.sessions) = (last.date, earlier.len());
                }
                Some(Refusal::Timeframe) => {
                    let next = floors.iter().position(|floor| *floor > run.dates.first);
                    let Some(floor) = next.and_then(|at| floors.drain(..=at).next_back()) else { return Err(error) };
                    let mut known = locked(&self.floors);
                    let known = known.entry(run.symbol.clone()).or_insert(floor);
                    *known = floor.max(*known);
                }
                _ => return Err(error),
            }
        }
    }

    /// Drops the sessions before `floor`. Returns true if any is left.
    fn trim_before(&self, run: &mut SessionRun, floor: Date) -> bool {
        if run.dates.first >= floor {
            return true;
        }
        let left: Vec<Date> = calendar::sessions(floor, run.dates.last).iter().map(|session| session.date).collect();
        let lost = run.sessions - left.len().min(run.sessions);
        *locked(&self.fetched).refused.entry(run.symbol.clone()).or_default() += lost;
        run.sessions = left.len();
        left.first().inspect(|first| run.dates.first = **first).is_some()
    }

    /// Downloads one window and stores its sessions as they become complete.
    fn download(&self, run: &SessionRun) -> Result<(), VendorError> {
        let mut download = WindowDownload::new(self, run);
        self.fetcher.vendor.minute_bars(&run.symbol, run.dates, &mut |page| download.page(page))?;
        if download.rows.last_ns().is_none() {
            // One empty response may be a mistake; a second one is accepted.
            download = WindowDownload { accept_empty: true, ..WindowDownload::new(self, run) };
            self.fetcher.vendor.minute_bars(&run.symbol, run.dates, &mut |page| download.page(page))?;
        }
        let rows = download.rows;
        let mut fetched = locked(&self.fetched);
        fetched.outside += rows.outside;
        fetched.bad.extend(rows.bad.into_iter().map(|fault| format!("{}: {fault}", run.symbol)));
        Ok(())
    }
}

/// Download of one window, page by page.
struct WindowDownload<'a> {
    job: &'a Job<'a>,
    run: &'a SessionRun,
    /// Sessions not stored yet.
    sessions: VecDeque<calendar::Session>,
    rows: Rows,
    /// The requested dates, in nanoseconds.
    span: Range<i64>,
    /// Hashes of the pages with the sessions not stored yet.
    bodies: Vec<String>,
    /// True if a response without rows is accepted.
    accept_empty: bool,
}

impl<'a> WindowDownload<'a> {
    fn new(job: &'a Job<'a>, run: &'a SessionRun) -> Self {
        let sessions = calendar::sessions(run.dates.first, run.dates.last).into();
        let span = calendar::span_ns(run.dates);
        Self { job, run, sessions, span, rows: Rows::default(), bodies: Vec::new(), accept_empty: false }
    }

    fn page(&mut self, page: Page) -> Result<(), VendorError> {
        let Page { mut rows, sha256, last } = page;
        // A response may contain more than the requested dates.
        let count = rows.len();
        rows.retain(|row| self.span.contains(&row.ts_ns));
        self.rows.outside += count - rows.len();
        let (vendor, what) = (self.job.fetcher.vendor.name(), self.what());
        let added = self.rows.add(&rows, self.job.options.drop_bad);
        added.map_err(|message| VendorError::BadRow { vendor, what: what.clone(), message })?;
        if let Some(message) = self.misplaced(&rows)? {
            return Err(VendorError::Misplaced { vendor, what, message });
        }
        self.bodies.push(sha256);
        if self.rows.last_ns().is_some() || self.accept_empty {
            self.store(last)?;
        }
        if self.job.fetcher.progress.stopped() { Err(VendorError::Stopped) } else { Ok(()) }
    }

    /// Returns what was requested, for errors.
    fn what(&self) -> String {
        format!("minute bars of {} from {}", self.run.symbol, self.run.dates)
    }

    /// Returns how the times of a page contradict the exchange's day. Only here the bars outside trading hours are still known.
    fn misplaced(&self, rows: &[Row]) -> Result<Option<String>, VendorError> {
        let mut rows: Vec<Row> = rows.iter().copied().filter(|row| row.fault().is_none()).collect();
        rows.dedup();
        let mut columns = BarColumns::default();
        columns.extend(&rows);
        let bars = Bars::new(self.run.symbol.clone(), &self.what(), columns)?;
        Ok(trust::delivered_misplaced(&bars))
    }

    /// Stores the sessions whose close lies before the last row, or all of them after the last page.
    fn store(&mut self, last: bool) -> Result<(), VendorError> {
        let reached = if last { i64::MAX } else { self.rows.last_ns().unwrap_or(i64::MIN) };
        let whole = self.sessions.iter().take_while(|session| session.close_ns <= reached).count();
        let now_ms = self.job.fetcher.clock.now_ms();
        let fetched = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let late = now_ms.saturating_mul(1_000_000).saturating_sub(RECENT_NS);
        let mut stored = Vec::with_capacity(whole);
        let mut totals = (0, 0);
        for session in self.sessions.drain(..whole) {
            let count = self.rows.kept.partition_point(|row| row.ts_ns < session.close_ns);
            let rows: Vec<Row> = self.rows.kept.drain(..count).collect();
            let tail = rows.last().is_some_and(|row| row.ts_ns >= session.close_ns - TAIL_NS);
            if session.close_ns > late && !tail {
                // The session is not fully published yet.
                continue;
            }
            totals = (totals.0 + rows.len(), totals.1 + usize::from(rows.is_empty()));
            let record =
                SessionRecord { fetched: fetched.clone(), bodies: self.bodies.clone(), ..SessionRecord::default() };
            stored.push((session.date, record, rows));
        }
        if whole > 0 {
            // The next session starts in this page or in the following one.
            self.bodies.drain(..self.bodies.len().saturating_sub(1));
        }
        let sessions = stored.len();
        if let Some(series) = self.job.all_series.get(&self.run.symbol).filter(|_| sessions > 0) {
            let rows: Vec<Row> = stored.iter().flat_map(|(_, _, rows)| rows).copied().collect();
            self.job.fetcher.check_restatement(&self.run.symbol, series, &rows)?;
            series.store(self.without_truncated(series, stored)?)?;
        }
        let mut fetched = locked(&self.job.fetched);
        (fetched.sessions, fetched.rows) = (fetched.sessions + sessions, fetched.rows + totals.0);
        fetched.empty += totals.1;
        Ok(())
    }
}

impl WindowDownload<'_> {
    /// Leaves out sessions with clearly fewer rows than the cached ones.
    fn without_truncated(&self, series: &CachedSeries, new: Vec<Session>) -> Result<Vec<Session>, VendorError> {
        let cached = series.sessions(self.run.dates)?;
        let fewer = |(date, _, rows): &Session| {
            let kept = cached.get(date).map_or(0, |record| record.rows);
            let fewer = rows.len() * 10 < kept * 9;
            if fewer {
                let (symbol, count) = (&self.run.symbol, rows.len());
                let text = format!(
                    "{symbol}: {date} was delivered with {count} bars instead of {kept}; the cached ones are kept"
                );
                self.job.fetcher.progress.note(text);
            }
            fewer
        };
        Ok(new.into_iter().filter(|session| !fewer(session)).collect())
    }
}

/// A session to be stored.
type Session = (Date, SessionRecord, Vec<Row>);

/// Returns the dates of a range up to the last final session.
pub(super) fn until(dates: DateRange, last: Date) -> DateRange {
    DateRange { first: dates.first, last: dates.last.min(last) }
}
