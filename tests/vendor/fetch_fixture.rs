//! Fixture of the fetcher tests: a simulated clock, a recorder of progress, and a fake vendor with a key and a cache.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::civil::Date;
use market_data::{
    DateRange, Symbol, calendar,
    source::{
        cache::{Cache, Kind},
        fetch::{FetchOptions, FetchSummary, Fetcher, Plan},
        vendor::{Adjustment, Clock, Pace, Progress, Row, Secret, Vendor, VendorError, massive::Massive},
    },
};
use tempfile::TempDir;

use crate::vendor::fake_vendor::{
    DEFAULT_NOW_MS, FakeVendor, Request, Rules, TEST_KEY,
    market::{self, Bar},
};

/// Milliseconds that every request takes on the simulated clock.
const REQUEST_MS: i64 = 300;

/// A clock that only sleeps and requests advance. Clones share the time.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedClock(pub(crate) Arc<AtomicI64>);

impl SimulatedClock {
    pub(crate) fn at(now_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now_ms)))
    }

    pub(crate) fn jump(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep(&self, pause: Duration) {
        self.jump(i64::try_from(pause.as_millis()).unwrap());
    }
}

/// Records the progress of a fetch, and stops it after a number of calls.
#[derive(Debug)]
pub(crate) struct RecordingProgress {
    pub(crate) calls: AtomicUsize,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) waits: Mutex<Vec<(Duration, String)>>,
    stop_after: usize,
}

impl Default for RecordingProgress {
    fn default() -> Self {
        Self::stopping(usize::MAX)
    }
}

impl RecordingProgress {
    pub(crate) fn stopping(stop_after: usize) -> Self {
        Self { calls: AtomicUsize::new(0), notes: Mutex::default(), waits: Mutex::default(), stop_after }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

impl Progress for RecordingProgress {
    fn called(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn waiting(&self, pause: Duration, reason: &str) {
        self.waits.lock().unwrap().push((pause, reason.to_owned()));
    }

    fn note(&self, text: String) {
        self.notes.lock().unwrap().push(text);
    }

    fn stopped(&self) -> bool {
        self.calls() >= self.stop_after
    }
}

/// A fake vendor and a cache that share a clock.
#[derive(Debug)]
pub(crate) struct FetchFixture {
    pub(crate) clock: SimulatedClock,
    pub(crate) server: FakeVendor,
    pub(crate) folder: TempDir,
    /// Limit of calls per minute in the client.
    pub(crate) calls_per_minute: u32,
    pub(crate) patience: Duration,
}

impl FetchFixture {
    /// Returns a vendor without limits, its rules changed by `change`, its clock at [`DEFAULT_NOW_MS`].
    pub(crate) fn new(change: impl FnOnce(&mut Rules)) -> Self {
        let clock = SimulatedClock::at(DEFAULT_NOW_MS);
        let shared_clock = clock.clone();
        let now_ms = move || shared_clock.0.fetch_add(REQUEST_MS, Ordering::SeqCst) + REQUEST_MS;
        let mut rules = Rules { now_ms: Arc::new(now_ms), ..Rules::default() };
        change(&mut rules);
        let folder = tempfile::tempdir().unwrap();
        let patience = Duration::from_secs(10);
        Self { clock, server: FakeVendor::start(rules), folder, calls_per_minute: 0, patience }
    }

    /// Returns a new object on the same folder, as after a restart.
    pub(crate) fn cache(&self) -> Cache {
        Cache::new(self.folder.path())
    }

    pub(crate) fn massive<'a>(&'a self, progress: &'a RecordingProgress) -> Massive<'a> {
        self.massive_at(&self.server.url(), progress)
    }

    /// Returns a client with another address.
    pub(crate) fn massive_at<'a>(&'a self, base: &str, progress: &'a RecordingProgress) -> Massive<'a> {
        let key = Secret::new(TEST_KEY).unwrap();
        let pace = Pace::new(self.calls_per_minute, &self.cache().calls("massive"));
        let massive = Massive::new(base.parse().unwrap(), Some((&key, "MASSIVE_API_KEY")), pace, &self.clock, progress);
        massive.with_patience(self.patience)
    }

    /// Returns a fetcher from a vendor into a cache.
    pub(crate) fn fetcher<'a>(
        &'a self,
        vendor: &'a dyn Vendor,
        cache: &'a Cache,
        progress: &'a RecordingProgress,
    ) -> Fetcher<'a> {
        Fetcher { vendor, cache, clock: &self.clock, progress }
    }

    /// Fetches from Massive, like a program that has just started.
    pub(crate) fn fetch(
        &self,
        names: &[&str],
        dates: DateRange,
        progress: &RecordingProgress,
    ) -> Result<FetchSummary, VendorError> {
        self.fetch_with(names, dates, FetchOptions::default(), progress).map(|(fetched, _)| fetched)
    }

    /// Fetches with options, and returns the plan as well.
    pub(crate) fn fetch_with(
        &self,
        names: &[&str],
        dates: DateRange,
        options: FetchOptions,
        progress: &RecordingProgress,
    ) -> Result<(FetchSummary, Plan), VendorError> {
        let massive = self.massive(progress);
        let mut plan = Plan::default();
        let symbols = crate::util::symbols(names);
        let mut planned = |made: &Plan| plan = made.clone();
        let fetched = self.fetcher(&massive, &self.cache(), progress).fetch(&symbols, dates, options, &mut planned)?;
        Ok((fetched, plan))
    }

    /// Returns the cached rows of a vendor.
    pub(crate) fn rows(&self, vendor: &'static str, name: &str, dates: DateRange) -> Vec<Row> {
        let series = self.cache().series(vendor, Adjustment::Split, Kind::Minute, &Symbol::new(name).unwrap());
        series.rows(dates).unwrap()
    }

    /// Returns the dates of the complete sessions in the cache.
    pub(crate) fn complete(&self, name: &str, dates: DateRange) -> Vec<Date> {
        let series = self.cache().series("massive", Adjustment::Split, Kind::Minute, &Symbol::new(name).unwrap());
        series.sessions(dates).unwrap().into_keys().collect()
    }

    /// Asserts that every session of `dates` is cached with exactly the rows of the vendor.
    pub(crate) fn assert_exact(&self, names: &[&str], dates: DateRange) {
        for name in names {
            let sessions: Vec<Date> = calendar::sessions(dates.first, dates.last).iter().map(|day| day.date).collect();
            assert_eq!(self.complete(name, dates), sessions, "{name}: complete sessions");
            self.assert_nothing_wrong(name, dates);
        }
    }

    /// Asserts that complete sessions have exactly the rows of the vendor, and that other sessions have none.
    pub(crate) fn assert_nothing_wrong(&self, name: &str, dates: DateRange) {
        let mut stored: BTreeMap<Date, Vec<Row>> = BTreeMap::new();
        for row in self.rows("massive", name, dates) {
            stored.entry(calendar::exchange_date(row.ts_ns)).or_default().push(row);
        }
        let complete = self.complete(name, dates);
        assert!(stored.keys().all(|date| complete.contains(date)), "{name}: rows of sessions that are not complete");
        for date in complete {
            let rows = stored.remove(&date).unwrap_or_default();
            assert_eq!(rows, *expected(name, date), "{name} {date}");
        }
    }

    /// Returns the requested addresses, as path and query.
    pub(crate) fn requested(&self) -> Vec<String> {
        self.server.requests().iter().map(address).collect()
    }

    /// Asserts that neither a file nor a requested address contains the key.
    pub(crate) fn assert_key_not_leaked(&self) {
        assert!(self.requested().iter().all(|address| !address.contains(TEST_KEY)), "{:?}", self.requested());
        assert_no_file_holds(self.folder.path(), TEST_KEY);
    }
}

/// Returns path and query of a request.
pub(crate) fn address(request: &Request) -> String {
    let items: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}?{}", request.path, items.join("&"))
}

/// Asserts that no file below a folder contains a text.
pub(crate) fn assert_no_file_holds(folder: &std::path::Path, text: &str) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            assert_no_file_holds(&path, text);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{}", path.display());
        }
    }
}

/// Returns the rows of a session at Massive, for a symbol of ours.
pub(crate) fn expected(name: &str, date: Date) -> Arc<Vec<Row>> {
    type Known = BTreeMap<(String, Date), Arc<Vec<Row>>>;
    static KNOWN: Mutex<Known> = Mutex::new(Known::new());
    let index = matches!(name, "SPX" | "NDX" | "VIX" | "VIX1D");
    let ticker = if index { format!("I:{name}") } else { name.to_owned() };
    let rows = || Arc::new(market::regular(&ticker, date).iter().map(|bar| row_of(bar, index)).collect());
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    known.entry((name.to_owned(), date)).or_insert_with(rows).clone()
}

/// Returns the row of a bar as sent by Massive.
pub(crate) fn row_of(bar: &Bar, index: bool) -> Row {
    let mean = ((bar.h + bar.l + bar.o) / 3.0 * 1e4).round() / 1e4;
    Row {
        ts_ns: bar.t_ms * 1_000_000,
        open: bar.o,
        high: bar.h,
        low: bar.l,
        close: bar.c,
        volume: (!index).then_some(bar.v),
        vwap: (!index && bar.n > 1).then_some(mean),
        trades: (!index).then(|| f64::from(bar.n)),
    }
}

/// Returns the dates from `first` to `last`.
pub(crate) fn dates(first: &str, last: &str) -> DateRange {
    DateRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}
