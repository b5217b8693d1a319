//! Asking for what is missing, several windows at a time where the plan allows it, and storing it page by page.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, ToSpan as _, civil::Date};

use super::{FetchOptions, Fetcher, Plan, SessionRun, refusals::Refusals};
use crate::{
    DateRange, Symbol,
    calendar::{self, MINUTE_NS},
    source::{
        cache::{CachedSeries, Lock, SessionRecord},
        vendor::{Page, Progress, Refusal, Row, Rows, VendorError},
    },
};

/// A recent session is taken for complete when its last bar starts within this long before the close.
const TAIL_NS: i64 = 5 * MINUTE_NS;
/// A session is recent for this long after its close: a vendor may be late with it.
const RECENT_NS: i64 = 3 * 24 * 60 * MINUTE_NS;

/// What a fetch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Sessions stored.
    pub sessions: usize,
    /// Of them, sessions without a bar.
    pub empty: usize,
    /// Rows stored.
    pub rows: usize,
    /// Rows outside trading hours, left out.
    pub outside: usize,
    /// Rows that contradict themselves, left out because that was asked for.
    pub bad: Vec<String>,
    /// Sessions that the plan of the key does not reach, by symbol.
    pub refused: BTreeMap<Symbol, usize>,
    /// Sessions that were complete before.
    pub complete: usize,
}

/// Everything that the threads of a fetch share.
struct Job<'a> {
    fetcher: Fetcher<'a>,
    shelves: BTreeMap<Symbol, CachedSeries>,
    wishes: FetchOptions,
    windows: Mutex<VecDeque<SessionRun>>,
    fetched: Mutex<Fetched>,
    /// The first dates that the plan reaches, as far as they were found out.
    floors: Mutex<BTreeMap<Symbol, Date>>,
    fault: Mutex<Option<VendorError>>,
}

impl Fetcher<'_> {
    /// Fetches the missing sessions of `dates` into the cache. `planned` hears what that takes before anybody is asked.
    ///
    /// # Errors
    /// What the vendor refuses or garbles, or a cache that cannot be written. What was stored before stays.
    pub fn fetch(
        &self,
        symbols: &[Symbol],
        dates: DateRange,
        wishes: FetchOptions,
        planned: &mut dyn FnMut(&Plan),
    ) -> Result<Fetched, VendorError> {
        let mut shelves = BTreeMap::new();
        for symbol in symbols {
            self.vendor.check(symbol)?;
            shelves.insert(symbol.clone(), self.shelf(symbol));
        }
        let _locks = lock(shelves.values(), self.progress)?;
        // Only now: another program may just have fetched what is missing.
        let plan = self.plan(symbols, dates, wishes)?;
        planned(&plan);
        if plan.out_of_reach > 0 {
            let (lost, name) = (plan.out_of_reach, self.vendor.name());
            let names = symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.progress.note(format!("{names}: {lost} sessions are older than {name} reaches; left out"));
        }
        let threads = self.vendor.parallel().min(plan.windows.len());
        let job = Job {
            fetcher: *self,
            shelves,
            wishes,
            windows: Mutex::new(plan.windows.into()),
            fetched: Mutex::new(Fetched { complete: plan.complete, ..Fetched::default() }),
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

    /// Remembers how far back the plan reaches, for the next runs.
    fn remember(&self, floors: BTreeMap<Symbol, Date>) -> Result<(), VendorError> {
        let mut noes = Refusals::read(&self.noes());
        for (symbol, floor) in floors {
            noes.set_floor(&symbol, floor, self.clock.now_ms());
        }
        noes.write(&self.noes())
    }
}

/// Locks series in one order, so that two programs never wait for each other.
pub(super) fn lock<'a>(
    shelves: impl Iterator<Item = &'a CachedSeries>,
    progress: &dyn Progress,
) -> Result<Vec<Lock>, VendorError> {
    let wait = |shelf: &CachedSeries| {
        let folder = shelf.folder().display().to_string();
        shelf.lock(|| progress.blocked(format!("another program is filling {folder}; waiting for it")))
    };
    shelves.map(wait).collect()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job<'_> {
    /// Takes windows until there is none, or something went wrong.
    fn work(&self) {
        loop {
            if held(&self.fault).is_some() {
                return;
            }
            let Some(asked) = held(&self.windows).pop_front() else { return };
            if let Err(error) = self.window(asked) {
                held(&self.fault).get_or_insert(error);
            }
        }
    }

    /// Asks for one window, moved where the plan of the key ends.
    fn window(&self, mut asked: SessionRun) -> Result<(), VendorError> {
        let (today, progress) = (self.fetcher.today(), self.fetcher.progress);
        let mut floors: VecDeque<Date> = self.fetcher.vendor.floors(today).into();
        loop {
            let known = held(&self.floors).get(&asked.symbol).copied();
            if let Some(floor) = known
                && !self.cut(&mut asked, floor)
            {
                return Ok(());
            }
            let error = match self.pages(&asked) {
                Err(error) if error.refusal().is_some() => error,
                done => return done,
            };
            // Dates that are too recent and dates that are too old are refused in the same words.
            let within = |floor: &Date| asked.dates.first < *floor && *floor <= asked.dates.last;
            let too_recent = match error.refusal() {
                Some(Refusal::Today) => true,
                Some(Refusal::Timeframe) => asked.dates.last >= today || !floors.iter().any(within),
                _ => false,
            };
            match error.refusal() {
                // The vendor's today is not ours where a clock is wrong.
                _ if too_recent && asked.dates.last >= today.saturating_sub(3.days()) => {
                    progress.note(format!("{error}; going on without it"));
                    let earlier = calendar::sessions(asked.dates.first, asked.dates.last.saturating_sub(1.day()));
                    let Some(last) = earlier.last() else { return Ok(()) };
                    (asked.dates.last, asked.sessions) = (last.date, earlier.len());
                }
                Some(Refusal::Timeframe) => {
                    let next = floors.iter().position(|floor| *floor > asked.dates.first);
                    let Some(floor) = next.and_then(|at| floors.drain(..=at).next_back()) else { return Err(error) };
                    let mut known = held(&self.floors);
                    let known = known.entry(asked.symbol.clone()).or_insert(floor);
                    *known = floor.max(*known);
                }
                _ => return Err(error),
            }
        }
    }

    /// Gives up the sessions before `floor`; says whether any is left.
    fn cut(&self, asked: &mut SessionRun, floor: Date) -> bool {
        if asked.dates.first >= floor {
            return true;
        }
        let left: Vec<Date> = calendar::sessions(floor, asked.dates.last).iter().map(|session| session.date).collect();
        let lost = asked.sessions - left.len().min(asked.sessions);
        *held(&self.fetched).refused.entry(asked.symbol.clone()).or_default() += lost;
        asked.sessions = left.len();
        left.first().inspect(|first| asked.dates.first = **first).is_some()
    }

    /// Asks for one window and stores its sessions as they become whole.
    fn pages(&self, asked: &SessionRun) -> Result<(), VendorError> {
        let mut filler = Filler::new(self, asked);
        self.fetcher.vendor.minute_bars(&asked.symbol, asked.dates, &mut |page| filler.page(page))?;
        if filler.rows.last_ns().is_none() {
            // Nothing at all may be a slip; nothing twice is an answer.
            filler = Filler { believes: true, ..Filler::new(self, asked) };
            self.fetcher.vendor.minute_bars(&asked.symbol, asked.dates, &mut |page| filler.page(page))?;
        }
        let rows = filler.rows;
        let mut fetched = held(&self.fetched);
        fetched.outside += rows.outside;
        fetched.bad.extend(rows.bad.into_iter().map(|fault| format!("{}: {fault}", asked.symbol)));
        Ok(())
    }
}

/// Collects the pages of a window.
struct Filler<'a> {
    job: &'a Job<'a>,
    asked: &'a SessionRun,
    /// Sessions not stored yet.
    sessions: VecDeque<calendar::Session>,
    rows: Rows,
    /// The dates asked for, in nanoseconds.
    span: Range<i64>,
    /// Hashes of the pages that the sessions not stored yet came in.
    bodies: Vec<String>,
    /// Whether an answer without any row is believed.
    believes: bool,
}

impl<'a> Filler<'a> {
    fn new(job: &'a Job<'a>, asked: &'a SessionRun) -> Self {
        let sessions = calendar::sessions(asked.dates.first, asked.dates.last).into();
        let span = calendar::span_ns(asked.dates);
        Self { job, asked, sessions, span, rows: Rows::default(), bodies: Vec::new(), believes: false }
    }

    fn page(&mut self, page: Page) -> Result<(), VendorError> {
        let Page { mut rows, sha256, last } = page;
        // A vendor may answer with more than was asked for.
        let count = rows.len();
        rows.retain(|row| self.span.contains(&row.ts_ns));
        self.rows.outside += count - rows.len();
        self.rows.add(&rows, self.job.wishes.drop_bad).map_err(|said| VendorError::BadRow {
            vendor: self.job.fetcher.vendor.name(),
            what: format!("minute bars of {} from {}", self.asked.symbol, self.asked.dates),
            said,
        })?;
        self.bodies.push(sha256);
        if self.rows.last_ns().is_some() || self.believes {
            self.store(last)?;
        }
        if self.job.fetcher.progress.stopped() { Err(VendorError::Stopped) } else { Ok(()) }
    }

    /// Stores the sessions after whose close a row has come, or all of them after the last page.
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
                // Not all of it has been published.
                continue;
            }
            totals = (totals.0 + rows.len(), totals.1 + usize::from(rows.is_empty()));
            let record =
                SessionRecord { fetched: fetched.clone(), bodies: self.bodies.clone(), ..SessionRecord::default() };
            stored.push((session.date, record, rows));
        }
        if whole > 0 {
            // The next session began in this page, or begins in the one after it.
            self.bodies.drain(..self.bodies.len().saturating_sub(1));
        }
        let sessions = stored.len();
        if let Some(shelf) = self.job.shelves.get(&self.asked.symbol).filter(|_| sessions > 0) {
            let rows: Vec<Row> = stored.iter().flat_map(|(_, _, rows)| rows).copied().collect();
            self.job.fetcher.check_joints(&self.asked.symbol, shelf, &rows)?;
            shelf.store(self.no_fewer(shelf, stored)?)?;
        }
        let mut fetched = held(&self.job.fetched);
        (fetched.sessions, fetched.rows) = (fetched.sessions + sessions, fetched.rows + totals.0);
        fetched.empty += totals.1;
        Ok(())
    }
}

impl Filler<'_> {
    /// Leaves out sessions that came back with clearly fewer rows than are kept of them.
    fn no_fewer(&self, shelf: &CachedSeries, new: Vec<Session>) -> Result<Vec<Session>, VendorError> {
        let there = shelf.sessions(self.asked.dates)?;
        let fewer = |(date, _, rows): &Session| {
            let kept = there.get(date).map_or(0, |record| record.rows);
            let fewer = rows.len() * 10 < kept * 9;
            if fewer {
                let (symbol, count) = (&self.asked.symbol, rows.len());
                let text = format!(
                    "{symbol}: {date} came back with {count} bars instead of {kept}; those that were there are kept"
                );
                self.job.fetcher.progress.note(text);
            }
            fewer
        };
        Ok(new.into_iter().filter(|session| !fewer(session)).collect())
    }
}

/// A session as it is stored.
type Session = (Date, SessionRecord, Vec<Row>);

/// The dates of a range without those after the last final session.
pub(super) fn until(dates: DateRange, last: Date) -> DateRange {
    DateRange { first: dates.first, last: dates.last.min(last) }
}
