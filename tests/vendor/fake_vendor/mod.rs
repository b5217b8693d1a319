//! Fake vendors on a local port: Massive, Alpaca and Yahoo with generated prices.
//!
//! The prices come from [`market`], so that a test can compute every expected response. [`Rules`] hold the plan, the server's
//! clock and the faults. The real clock is never read.

#![allow(dead_code, reason = "each program that includes this module uses a part of it")]

mod alpaca;
mod faults;
mod http;
pub(crate) mod market;
mod massive;
pub(crate) mod yahoo;

use std::{
    collections::VecDeque,
    fmt,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::{
    Timestamp, Zoned,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use market_data::calendar;

pub(crate) use faults::Fault;
use http::{Incoming, Reply};

/// The key that [`Rules::default`] accepts.
pub(crate) const TEST_KEY: &str = "test-key-0123456789";
/// Time of [`Rules::default`]: Friday 2026-11-20 17:00 in New York.
pub(crate) const DEFAULT_NOW_MS: i64 = 1_795_212_000_000;
/// Milliseconds of the rolling rate window.
const RATE_WINDOW_MS: i64 = 60_000;
/// Delay of a paid plan in minutes.
pub(crate) const DELAY_MINUTES: i64 = 15;

static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZoneDatabase::bundled().get("America/New_York").expect("the bundled time-zone database holds New York")
});

/// The server's clock: unix milliseconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Plan, clock and faults of the server.
#[derive(Clone)]
pub(crate) struct Rules {
    /// Key that is accepted as `Authorization: Bearer` and as `APCA-API-SECRET-KEY`.
    pub(crate) key: String,
    /// Calls in a rolling minute of the server's clock; 0 is no limit. A refused call does not count.
    pub(crate) calls_per_minute: usize,
    /// The server's clock, unix milliseconds, which determines today, the history and the rate window.
    pub(crate) now_ms: Clock,
    /// Days of history of the plan; an earlier start is refused.
    pub(crate) history_days: Option<i64>,
    /// Refuses bars of today, as the free plan does.
    pub(crate) end_of_day: bool,
    /// Index tickers are in the plan.
    pub(crate) indices: bool,
    /// Option tickers and contracts are in the plan.
    pub(crate) options: bool,
    /// Snapshots are in the plan.
    pub(crate) snapshots: bool,
    /// Option analytics are in the plan.
    pub(crate) analytics: bool,
    /// Flat files are in the plan.
    pub(crate) flat_files: bool,
    /// Maximum number of rows of a page, whatever the request allows.
    pub(crate) page_limit: usize,
    /// Faults by the number of the request, from 0; several faults of one request add up.
    pub(crate) faults: Vec<(usize, Fault)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            key: TEST_KEY.to_owned(),
            calls_per_minute: 0,
            now_ms: Arc::new(|| DEFAULT_NOW_MS),
            history_days: None,
            end_of_day: false,
            indices: true,
            options: true,
            snapshots: true,
            analytics: true,
            flat_files: true,
            page_limit: 50_000,
            faults: Vec::new(),
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Rules")
            .field("calls_per_minute", &self.calls_per_minute)
            .field("now_ms", &(self.now_ms)())
            .field("history_days", &self.history_days)
            .field("end_of_day", &self.end_of_day)
            .field("page_limit", &self.page_limit)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// A request received by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Path with its percent signs resolved.
    pub(crate) path: String,
    /// Query items with their percent signs resolved, in order.
    pub(crate) query: Vec<(String, String)>,
    /// True if it carried the key in a header, or a signature.
    pub(crate) authorised: bool,
    /// Status of the response; 0 if the connection was closed instead.
    pub(crate) status: u16,
    /// Time of arrival on the server's clock.
    pub(crate) at_ms: i64,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct FakeVendor {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl FakeVendor {
    /// Starts a server on a free local port.
    ///
    /// # Panics
    ///
    /// If no local port can be opened.
    pub(crate) fn start(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free local port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Mutex::new(State { rules, log: Vec::new(), counted: 0, calls: VecDeque::new() });
        let shared = Arc::new(Shared { state, url: format!("http://{address}"), stop: AtomicBool::new(false) });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { shared, address, accepting: Some(accepting) }
    }

    /// Returns the base URL, `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Returns every request so far, in the order of the responses.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// Replaces the faults; their numbers count from the next request on.
    pub(crate) fn set_faults(&self, faults: Vec<(usize, Fault)>) {
        let mut state = self.shared.state();
        state.rules.faults = faults;
        state.counted = 0;
    }

    /// Changes the rules from the next request on.
    pub(crate) fn set_rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.state().rules);
    }
}

impl Drop for FakeVendor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take().filter(|_| woken.is_ok()) {
            accepting.join().ok();
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    url: String,
    stop: AtomicBool,
}

#[derive(Debug)]
struct State {
    rules: Rules,
    log: Vec<Request>,
    counted: usize,
    calls: VecDeque<i64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Counts a request and returns its rules, faults and time, and true if it exceeds the rate limit.
    fn admit(&self) -> (Rules, Vec<Fault>, i64, bool) {
        let clock = Arc::clone(&self.state().rules.now_ms);
        let now_ms = clock();
        let mut state = self.state();
        let number = state.counted;
        state.counted += 1;
        let of_this = state.rules.faults.iter().filter(|(index, _)| *index == number);
        let faults: Vec<Fault> = of_this.map(|(_, fault)| fault.clone()).collect();
        while state.calls.front().is_some_and(|call| now_ms - call >= RATE_WINDOW_MS) {
            state.calls.pop_front();
        }
        let limit = state.rules.calls_per_minute;
        let refused = limit > 0 && state.calls.len() >= limit;
        if !refused {
            state.calls.push_back(now_ms);
        }
        (state.rules.clone(), faults, now_ms, refused)
    }

    /// Answers a request and logs it.
    fn answer(&self, request: &Incoming) -> Reply {
        let (rules, faults, now_ms, refused) = self.admit();
        let context = Context { rules: &rules, faults: &faults, now_ms, url: &self.url, request };
        let reply = context.reply(refused);
        let entry = Request {
            path: request.path.clone(),
            query: request.query.clone(),
            authorised: context.authorised(),
            status: reply.status,
            at_ms: now_ms,
        };
        self.state().log.push(entry);
        self.wait(faults::delay_ms(&faults));
        reply
    }

    fn wait(&self, ms: u64) {
        let mut left = ms;
        while left > 0 && !self.stopped() {
            let step = left.min(20);
            thread::sleep(Duration::from_millis(step));
            left -= step;
        }
    }
}

/// Inputs of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Rules at the time of the request.
    pub(crate) rules: &'a Rules,
    /// Faults of this request.
    pub(crate) faults: &'a [Fault],
    /// The server's clock.
    pub(crate) now_ms: i64,
    /// The server's own base URL.
    pub(crate) url: &'a str,
    /// The request.
    pub(crate) request: &'a Incoming,
}

impl Context<'_> {
    /// Returns the date in New York by the server's clock.
    pub(crate) fn today(&self) -> Date {
        calendar::exchange_date(self.now_ms * 1_000_000)
    }

    /// Returns true if this request has a fault.
    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// Returns true if the request carries the key of Massive.
    pub(crate) fn has_bearer(&self) -> bool {
        self.request.header("authorization") == Some(&format!("Bearer {}", self.rules.key))
    }

    /// Returns true if the request carries the key pair of Alpaca.
    pub(crate) fn has_key_pair(&self) -> bool {
        let id = self.request.header("apca-api-key-id").is_some_and(|id| !id.is_empty());
        id && self.request.header("apca-api-secret-key") == Some(&self.rules.key)
    }

    fn authorised(&self) -> bool {
        self.has_bearer() || self.has_key_pair() || self.request.item("X-Amz-Signature").is_some()
    }

    fn reply(&self, refused: bool) -> Reply {
        let instead = (self.request.method != "GET").then(|| Reply::new(405, "text/plain", "GET only"));
        if let Some(reply) = instead.or_else(|| faults::instead(self.faults)) {
            return reply;
        }
        let path = &self.request.path;
        let alpaca = path.starts_with("/v2/stocks/") || path.starts_with("/v1beta1/");
        let mut reply = match (alpaca, path.starts_with("/v8/"), refused) {
            (true, _, true) => alpaca::too_many(),
            (true, _, false) => alpaca::answer(self),
            (_, true, true) => yahoo::too_many(),
            (_, true, false) => yahoo::answer(self),
            (_, _, true) => faults::too_many(),
            _ if path.starts_with("/flatfiles/") => massive::flat_file(self),
            _ => massive::answer(self),
        };
        faults::edit_reply(self.faults, &mut reply);
        reply
    }
}

/// Returns an instant as a New York date and time.
pub(crate) fn new_york(ms: i64) -> Zoned {
    Timestamp::from_millisecond(ms).expect("the calendar's years are within jiff's").to_zoned(NEW_YORK.clone())
}

/// Returns midnight in New York at the start of a date, unix milliseconds.
pub(crate) fn midnight_ms(date: Date) -> i64 {
    date.to_zoned(NEW_YORK.clone()).map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond())
}

/// Returns the date some days later, or earlier.
pub(crate) fn plus_days(date: Date, days: i64) -> Date {
    date.saturating_add(jiff::Span::new().days(days))
}

/// Returns text as hexadecimal digits, because page tokens are opaque.
pub(crate) fn encode_token(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the text of a token of [`encode_token`].
pub(crate) fn decode_token(token: &str) -> Option<String> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(token.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?).ok()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        if shared.stopped() {
            break;
        }
        if let Ok(stream) = stream {
            let shared = Arc::clone(shared);
            connections.push(thread::spawn(move || serve(stream, &shared)));
        }
        connections.retain(|connection| !connection.is_finished());
    }
    for connection in connections {
        connection.join().ok();
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).ok();
    let mut rest = Vec::new();
    while let Some(request) = http::read(&mut stream, &mut rest, || shared.stopped()) {
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !http::write(&mut stream, &shared.answer(&request)) || last {
            return;
        }
    }
}
