//! Fetches from Massive: whole histories on a free plan, restarts, concurrent calls, repeated requests.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use jiff::civil::date;
use market_data::{
    DateRange, calendar,
    source::{
        fetch::{self, FetchOptions, HistoryRequest},
        vendor::{Clock as _, VendorError},
    },
};

use crate::{
    util,
    vendor::{
        fake_vendor::{DEFAULT_NOW_MS, Fault},
        fetch_fixture::{FetchFixture, RecordingProgress, address, dates},
    },
};

/// Returns a vendor on a free plan, and a client with the matching limit of calls.
fn free_plan() -> FetchFixture {
    let fixture = FetchFixture::new(|rules| {
        (rules.calls_per_minute, rules.history_days, rules.end_of_day) = (5, Some(730), true);
    });
    FetchFixture { calls_per_minute: 5, ..fixture }
}

#[test]
fn two_years_on_a_free_plan_are_exact_and_within_the_rate_limit() {
    let fixture = free_plan();
    let names = ["SPY", "QQQ", "SPX"];
    let (all, reachable) = (dates("2024-08-01", "2026-11-20"), dates("2024-11-21", "2026-11-19"));
    let progress = RecordingProgress::default();
    let massive = fixture.massive(&progress);
    let symbols = util::symbols(&names);
    let best = fixture
        .fetcher(&massive, &fixture.cache(), &progress)
        .plan(&symbols, reachable, FetchOptions::default())
        .unwrap();
    let request = HistoryRequest { symbols, dates: all, volatility: false, options: FetchOptions::default() };
    let fetched = fixture.fetcher(&massive, &fixture.cache(), &progress).fetch_history(&request, &mut |_| ()).unwrap();

    fixture.assert_exact(&names, reachable);
    let outside = [dates("2024-08-01", "2024-11-20"), dates("2026-11-20", "2026-11-20")];
    assert!(names.iter().all(|name| outside.iter().all(|dates| fixture.complete(name, *dates).is_empty())));
    let half_day = dates("2025-11-28", "2025-11-28");
    assert!((200..=210).contains(&fixture.rows("massive", "SPY", half_day).len()), "a half day has 210 minutes");
    let log = fixture.server.requests();
    assert!(log.iter().all(|request| request.status != 429 && request.authorised), "never above the rate limit");
    assert_eq!(progress.calls(), log.len(), "every call is reported");
    assert!(log.len() <= best.calls + 3 * names.len(), "{} calls, {} at best", log.len(), best.calls);
    let minutes = (fixture.clock.now_ms() - DEFAULT_NOW_MS) as f64 / 60_000.0;
    eprintln!("two years of {names:?}: {} calls in {minutes:.1} simulated minutes, {} rows", log.len(), fetched.rows);
    assert!(minutes <= log.len() as f64 / 5.0 * 61.0 / 60.0 + 1.0, "no longer than needed: {minutes}");
    assert!(
        (minutes - fetch::minutes(best.calls, 5)).abs() < 3.0,
        "{minutes} minutes, estimated as {}",
        fetch::minutes(best.calls, 5)
    );
    let lost = calendar::sessions(all.first, date(2024, 11, 20)).len();
    for name in names {
        let note = format!("{name}: {lost} sessions are older than the history of this plan");
        assert!(progress.notes().contains(&note), "{note}: {}", progress.notes());
    }
    assert_eq!(progress.notes().matches("delivers a day only after it has ended").count(), 3, "{}", progress.notes());
    fixture.assert_key_not_leaked();

    let again = RecordingProgress::default();
    fixture.fetch(&names, reachable, &again).unwrap();
    assert_eq!((again.calls(), fixture.server.requests().len()), (0, log.len()), "no request is repeated");
    fixture.fetch(&names, all, &again).unwrap();
    assert!(again.calls() <= 2 * names.len(), "the first date of the plan is detected again: {}", again.calls());
}

/// Interrupts a fetch after every `step` calls until it completes; returns the number of starts.
fn fetch_with_interruptions(fixture: &FetchFixture, names: &[&str], dates: DateRange, step: usize) -> usize {
    for starts in 1..500 {
        match fixture.fetch(names, dates, &RecordingProgress::stopping(step)) {
            Ok(_) => return starts,
            Err(error) => assert!(matches!(error, VendorError::Stopped), "{error}"),
        }
    }
    panic!("the fetch does not complete");
}

#[test]
fn an_interrupted_fetch_resumes_where_it_stopped() {
    let names = ["SPY", "SPX"];
    let range = dates("2025-10-20", "2025-12-05");
    for (page_limit, step) in [(3_000, 1), (3_000, 2), (5_000, 3), (50_000, 1)] {
        let mut fixture = FetchFixture::new(|rules| rules.page_limit = page_limit);
        fixture.calls_per_minute = 5;
        let starts = fetch_with_interruptions(&fixture, &names, range, step);
        assert!(starts > 1, "it was interrupted");
        fixture.assert_exact(&names, range);
        let mut requests = fixture.requested();
        let calls = requests.len();
        requests.sort();
        requests.dedup();
        assert_eq!(requests.len(), calls, "no request is repeated at {page_limit} rows a page");
        let again = RecordingProgress::default();
        fixture.fetch(&names, range, &again).unwrap();
        assert_eq!(again.calls(), 0, "complete sessions are not requested");
    }
}

/// Holds the first requests until a number of them are in progress, and records that this happened.
#[derive(Debug, Default)]
struct Rendezvous {
    /// Number of requests that arrived, and true if enough of them were in progress at once.
    arrivals: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Rendezvous {
    fn meet(&self, enough: usize) {
        let mut arrivals = self.arrivals.lock().unwrap();
        arrivals.0 += 1;
        arrivals.1 |= arrivals.0 == enough;
        self.changed.notify_all();
        let patience = Duration::from_secs(5);
        // After a timeout all later requests pass.
        let (mut arrivals, waited) =
            self.changed.wait_timeout_while(arrivals, patience, |(count, met)| !*met && *count < enough).unwrap();
        arrivals.0 += if waited.timed_out() { enough } else { 0 };
    }

    fn met(&self) -> bool {
        self.arrivals.lock().unwrap().1
    }
}

#[test]
fn concurrent_calls_fetch_the_same_sessions_as_sequential_ones() {
    let names = ["SPY", "QQQ", "SPX"];
    let range = dates("2025-01-02", "2025-12-31");
    let fast = FetchFixture::new(|_| ());
    let clock = fast.clock.clone();
    let rendezvous = Arc::new(Rendezvous::default());
    let seen = rendezvous.clone();
    fast.server.set_rules(|rules| {
        rules.now_ms = Arc::new(move || {
            seen.meet(8);
            clock.jump(300);
            clock.now_ms()
        });
    });
    let slow = FetchFixture { calls_per_minute: 5, ..FetchFixture::new(|_| ()) };
    let [one, other] =
        [&fast, &slow].map(|fixture| fixture.fetch(&names, range, &RecordingProgress::default()).unwrap());
    assert_eq!(one, other);
    let sorted = |fixture: &FetchFixture| {
        let mut requests = fixture.requested();
        requests.sort();
        requests
    };
    assert_eq!(sorted(&fast), sorted(&slow), "the same requests");
    assert!(rendezvous.met(), "eight calls are in progress at once");
    names.iter().for_each(|name| assert_eq!(fast.rows("massive", name, range), slow.rows("massive", name, range)));
    fast.assert_exact(&names, range);
}

#[test]
fn a_refresh_requests_the_latest_sessions_only() {
    let fixture = FetchFixture::new(|_| ());
    let range = dates("2026-10-01", "2026-11-20");
    fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    let before = fixture.requested().len();
    let options = FetchOptions { refresh: 3, ..FetchOptions::default() };
    let (fetched, plan) = fixture.fetch_with(&["SPY"], range, options, &RecordingProgress::default()).unwrap();
    assert_eq!((fetched.sessions, plan.sessions()), (3, 3));
    let requests = &fixture.requested()[before..];
    assert!(requests.len() == 1 && requests[0].contains("/minute/2026-11-18/2026-11-20?"), "{requests:?}");
    fixture.assert_exact(&["SPY"], range);
}

#[test]
fn empty_sessions_are_requested_again_on_demand() {
    let fixture = FetchFixture::new(|rules| rules.faults = vec![(0, Fault::EmptyResults), (1, Fault::NullResults)]);
    let range = dates("2025-06-02", "2025-06-06");
    let fetched = fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    assert_eq!((fetched.sessions, fetched.empty, fetched.rows), (5, 5, 0), "a second empty response is accepted");
    let progress = RecordingProgress::default();
    fixture.fetch(&["SPY"], range, &progress).unwrap();
    assert_eq!(progress.calls(), 0, "the empty sessions are recorded");
    let options = FetchOptions { retry_empty: true, ..FetchOptions::default() };
    fixture.fetch_with(&["SPY"], range, options, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], range);
}

#[test]
fn a_single_empty_response_is_not_accepted() {
    let range = dates("2025-06-02", "2025-06-20");
    for fault in [Fault::EmptyResults, Fault::NullResults] {
        // The first, a middle and the last page of one window of 14 sessions.
        for at in 0..6 {
            let fixture =
                FetchFixture::new(|rules| (rules.page_limit, rules.faults) = (3_000, vec![(at, fault.clone())]));
            fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
            fixture.assert_exact(&["SPY"], range);
        }
    }
}

#[test]
fn every_session_records_the_hashes_of_its_pages() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 100);
    let range = dates("2025-06-02", "2025-06-04");
    fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], range);
    let series = fixture.cache().series(
        "massive",
        market_data::source::vendor::Adjustment::Split,
        market_data::source::cache::Kind::Minute,
        &util::symbols(&["SPY"])[0],
    );
    for (date, record) in series.sessions(range).unwrap() {
        assert!(record.bodies.len() >= 4, "{date}: its 390 minutes lie in several pages: {:?}", record.bodies);
    }
    assert!(fixture.server.requests().iter().all(|request| address(request).contains("/SPY/")));
}
