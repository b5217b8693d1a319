//! Sequences of faults and jumps of the clock: cached sessions are exact, or they are not cached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use market_data::source::vendor::Clock as _;

use crate::{
    util::Dice,
    vendor::{
        fake_vendor::{DEFAULT_NOW_MS, Fault, TEST_KEY},
        fetch_fixture::{FetchFixture, RecordingProgress, SimulatedClock, dates},
    },
};

const NAMES: [&str; 2] = ["SPY", "SPX"];
/// Fault sequences tried, and the threads that try them.
const SEQUENCES: u64 = 1_000;
const THREADS: u64 = 4;

/// Returns a kind of fault by number; the last two are responses without rows.
fn fault(kind: u32) -> Fault {
    let elsewhere = || "http://elsewhere.example".to_owned();
    match kind {
        0 => Fault::Status(429),
        1 => Fault::Status(500),
        2 => Fault::Status(502),
        3 => Fault::Status(503),
        4 => Fault::Html504,
        5 => Fault::EmptyBody429,
        6 => Fault::RetryAfter429(5),
        7 => Fault::CutBody,
        8 => Fault::CloseAtOnce,
        9 => Fault::Slow(2),
        10 => Fault::GarbageJson,
        11 => Fault::WrongTicker,
        12 => Fault::Duplicate,
        13 => Fault::Disorder,
        14 => Fault::RedirectElsewhere(elsewhere()),
        15 => Fault::NextUrlElsewhere(elsewhere()),
        16 => Fault::NextUrlLoop,
        17 => Fault::NextUrlWithKey,
        18 => Fault::BadPrice,
        19 => Fault::MissingField,
        20 => Fault::Delayed,
        21 => Fault::ScientificVolume,
        22 => Fault::Gzip,
        23 => Fault::EmptyResults,
        _ => Fault::NullResults,
    }
}

/// Returns one to four faults at early requests. At most one is a response without rows, because a second would be accepted.
fn sequence(dice: &mut Dice) -> Vec<(usize, Fault)> {
    let mut kinds = 25;
    let count = 1 + dice.roll(4);
    let mut one = || {
        let kind = dice.roll(kinds);
        kinds = if kind >= 23 { 23 } else { kinds };
        (dice.roll(10) as usize, fault(kind))
    };
    (0..count).map(|_| one()).collect()
}

/// Fetches under the sequence of a seed; returns true if the first fetch ended in an error.
fn fetch_under_faults(fixture: &mut FetchFixture, seed: u64) -> bool {
    let range = dates("2025-06-26", "2025-07-03");
    fixture.folder = tempfile::tempdir().unwrap();
    let faults = sequence(&mut Dice(seed));
    fixture.server.set_faults(faults.clone());
    let first_error = fixture.fetch(&NAMES, range, &RecordingProgress::default()).err();
    if let Some(error) = &first_error {
        assert!(!format!("{error}{error:?}").contains(&TEST_KEY[..8]), "seed {seed}: {error}");
        NAMES.iter().for_each(|name| fixture.assert_nothing_wrong(name, range));
        fixture.server.set_faults(Vec::new());
        let again = fixture.fetch(&NAMES, range, &RecordingProgress::default());
        again.unwrap_or_else(|error| panic!("seed {seed}, {faults:?}: {error}"));
    }
    fixture.assert_exact(&NAMES, range);
    first_error.is_some()
}

#[test]
fn a_thousand_sequences_of_faults_cache_no_wrong_row() {
    let errors = AtomicUsize::new(0);
    let work = |thread: u64| {
        let fixture = FetchFixture::new(|rules| rules.page_limit = 1_500);
        let mut fixture = FetchFixture { calls_per_minute: 3_000, patience: Duration::from_secs(5), ..fixture };
        for seed in (0..SEQUENCES).filter(|seed| seed % THREADS == thread) {
            errors.fetch_add(usize::from(fetch_under_faults(&mut fixture, seed)), Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    let errors = errors.into_inner();
    eprintln!("{SEQUENCES} sequences of faults: {errors} ended in one error at first");
    assert!((100..900).contains(&errors), "some sequences succeed and some fail: {errors}");
}

/// Moves the client's clock by `jump_ms` at its sixth call, while the server's clock continues.
fn jump(jump_ms: i64) -> (FetchFixture, i64) {
    let mut fixture = FetchFixture::new(|rules| (rules.calls_per_minute, rules.page_limit) = (5, 4_000));
    fixture.calls_per_minute = 5;
    let (shared_clock, offset, calls) = (fixture.clock.clone(), AtomicI64::new(0), AtomicUsize::new(0));
    let now_ms = move || {
        shared_clock.jump(300);
        if calls.fetch_add(1, Ordering::SeqCst) == 5 {
            shared_clock.jump(jump_ms);
            offset.store(jump_ms, Ordering::SeqCst);
        }
        shared_clock.now_ms() - offset.load(Ordering::SeqCst)
    };
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(now_ms));
    let range = dates("2026-09-01", "2026-11-13");
    fixture.fetch(&["SPY", "SPX"], range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY", "SPX"], range);
    let spent = fixture.clock.now_ms() - DEFAULT_NOW_MS - jump_ms;
    (fixture, spent)
}

#[test]
fn a_jump_of_the_clock_costs_two_minutes_at_most() {
    const HOUR: i64 = 3_600_000;
    let (steady, normal) = jump(0);
    assert!(steady.server.requests().iter().all(|request| request.status == 200));
    for jump_ms in [24 * HOUR, -HOUR, -24 * HOUR, 400 * 24 * HOUR] {
        let (fixture, spent) = jump(jump_ms);
        assert!(spent <= normal + 130_000, "{jump_ms}: {spent} ms instead of {normal}");
        let early = fixture.server.requests().iter().filter(|request| request.status == 429).count();
        assert!(early <= 5, "{jump_ms}: {early} calls too early");
    }
}

#[test]
fn today_is_requested_once_final_and_cached_once_complete() {
    let range = dates("2026-11-18", "2026-11-20");
    let minutes = |minutes: i64| DEFAULT_NOW_MS + minutes * 60_000;
    // The clock of the vendor stands at 17:00; half past two, ten past four and twenty-five past four come before.
    for (now_ms, last) in [(minutes(-150), "2026-11-19"), (minutes(-50), "2026-11-19"), (minutes(-35), "2026-11-20")] {
        let mut fixture = FetchFixture::new(|_| ());
        fixture.clock.0.store(now_ms, Ordering::SeqCst);
        fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
        assert!(fixture.requested()[0].contains(&format!("/2026-11-18/{last}?")), "{:?}", fixture.requested());
        fixture.assert_exact(&["SPY"], dates("2026-11-18", last));
        // A vendor that is late: its clock is an hour behind, so that the session is not all there.
        fixture.folder = tempfile::tempdir().unwrap();
        let late = SimulatedClock::at(now_ms - 3_600_000);
        fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || late.now_ms()));
        fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
        fixture.assert_exact(&["SPY"], dates("2026-11-18", "2026-11-19"));
        assert!(
            fixture.complete("SPY", dates("2026-11-20", "2026-11-20")).is_empty(),
            "a partial session is not cached"
        );
    }
}

#[test]
fn a_clock_one_day_ahead_loses_one_day() {
    let (range, there) = (dates("2026-11-16", "2026-11-20"), dates("2026-11-16", "2026-11-18"));
    let fixture = FetchFixture::new(|rules| rules.end_of_day = true);
    let behind = SimulatedClock::at(DEFAULT_NOW_MS - 24 * 3_600_000);
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || behind.now_ms()));
    let progress = RecordingProgress::default();
    fixture.fetch(&["SPY"], range, &progress).unwrap();
    fixture.assert_exact(&["SPY"], there);
    assert!(fixture.complete("SPY", dates("2026-11-19", "2026-11-20")).is_empty());
    assert_eq!((progress.calls(), progress.notes().matches("continuing without that day").count()), (3, 2));
}

#[test]
fn sessions_of_a_late_vendor_are_requested_again() {
    let fixture = FetchFixture::new(|_| ());
    let range = dates("2026-11-16", "2026-11-19");
    let late = SimulatedClock::at(DEFAULT_NOW_MS - 48 * 3_600_000);
    let true_time = fixture.clock.clone();
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || late.now_ms()));
    fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], dates("2026-11-16", "2026-11-18"));
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || true_time.now_ms()));
    fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], range);
}
