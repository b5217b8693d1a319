//! Faults in any order, and clocks that jump: what is stored is exact, or it is not stored.

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

/// A kind of fault by number; the last two are answers without a row.
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

/// One to four faults at early requests; at most one of them is an answer without a row, as two would be believed.
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

/// Tries the sequence of a seed; says whether it ended in an error at first.
fn try_out(fixture: &mut FetchFixture, seed: u64) -> bool {
    let range = dates("2025-06-26", "2025-07-03");
    fixture.folder = tempfile::tempdir().unwrap();
    let faults = sequence(&mut Dice(seed));
    fixture.server.set_faults(faults.clone());
    let said = fixture.fetch(&NAMES, range, &RecordingProgress::default()).err();
    if let Some(error) = &said {
        assert!(!format!("{error}{error:?}").contains(&TEST_KEY[..8]), "seed {seed}: {error}");
        NAMES.iter().for_each(|name| fixture.assert_nothing_wrong(name, range));
        fixture.server.set_faults(Vec::new());
        let again = fixture.fetch(&NAMES, range, &RecordingProgress::default());
        again.unwrap_or_else(|error| panic!("seed {seed}, {faults:?}: {error}"));
    }
    fixture.assert_exact(&NAMES, range);
    said.is_some()
}

#[test]
fn a_thousand_sequences_of_faults_store_nothing_wrong() {
    let errors = AtomicUsize::new(0);
    let work = |thread: u64| {
        let fixture = FetchFixture::new(|rules| rules.page_limit = 1_500);
        let mut fixture = FetchFixture { calls_per_minute: 3_000, patience: Duration::from_secs(5), ..fixture };
        for seed in (0..SEQUENCES).filter(|seed| seed % THREADS == thread) {
            errors.fetch_add(usize::from(try_out(&mut fixture, seed)), Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    let errors = errors.into_inner();
    eprintln!("{SEQUENCES} sequences of faults: {errors} ended in one error at first");
    assert!((100..900).contains(&errors), "some are survived and some are not: {errors}");
}

/// Lets the client's clock jump by `jump_ms` at its sixth call, while the server's goes on.
fn jump(jump_ms: i64) -> (FetchFixture, i64) {
    let mut fixture = FetchFixture::new(|rules| (rules.calls_per_minute, rules.page_limit) = (5, 4_000));
    fixture.calls_per_minute = 5;
    let (hand, offset, calls) = (fixture.clock.clone(), AtomicI64::new(0), AtomicUsize::new(0));
    let now_ms = move || {
        hand.jump(300);
        if calls.fetch_add(1, Ordering::SeqCst) == 5 {
            hand.jump(jump_ms);
            offset.store(jump_ms, Ordering::SeqCst);
        }
        hand.now_ms() - offset.load(Ordering::SeqCst)
    };
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(now_ms));
    let range = dates("2026-09-01", "2026-11-13");
    fixture.fetch(&["SPY", "SPX"], range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY", "SPX"], range);
    let spent = fixture.clock.now_ms() - DEFAULT_NOW_MS - jump_ms;
    (fixture, spent)
}

#[test]
fn a_clock_that_jumps_costs_a_minute_or_two() {
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
fn today_is_asked_for_when_it_is_final_and_stored_when_it_is_whole() {
    let range = dates("2026-11-18", "2026-11-20");
    let minutes = |minutes: i64| DEFAULT_NOW_MS + minutes * 60_000;
    // The clock of the vendor stands at 17:00; half past two, ten past four and twenty-five past four come before.
    for (now_ms, asked) in [(minutes(-150), "2026-11-19"), (minutes(-50), "2026-11-19"), (minutes(-35), "2026-11-20")] {
        let mut fixture = FetchFixture::new(|_| ());
        fixture.clock.0.store(now_ms, Ordering::SeqCst);
        fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
        assert!(fixture.requested()[0].contains(&format!("/2026-11-18/{asked}?")), "{:?}", fixture.requested());
        fixture.assert_exact(&["SPY"], dates("2026-11-18", asked));
        // A vendor that is late: its clock is an hour behind, so that the session is not all there.
        fixture.folder = tempfile::tempdir().unwrap();
        let late = SimulatedClock::at(now_ms - 3_600_000);
        fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || late.now_ms()));
        fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
        fixture.assert_exact(&["SPY"], dates("2026-11-18", "2026-11-19"));
        assert!(fixture.complete("SPY", dates("2026-11-20", "2026-11-20")).is_empty(), "part of a session is none");
    }
}

#[test]
fn a_clock_that_is_a_day_ahead_costs_a_day() {
    let (range, there) = (dates("2026-11-16", "2026-11-20"), dates("2026-11-16", "2026-11-18"));
    let fixture = FetchFixture::new(|rules| rules.end_of_day = true);
    let behind = SimulatedClock::at(DEFAULT_NOW_MS - 24 * 3_600_000);
    fixture.server.set_rules(|rules| rules.now_ms = Arc::new(move || behind.now_ms()));
    let progress = RecordingProgress::default();
    fixture.fetch(&["SPY"], range, &progress).unwrap();
    fixture.assert_exact(&["SPY"], there);
    assert!(fixture.complete("SPY", dates("2026-11-19", "2026-11-20")).is_empty());
    assert_eq!((progress.calls(), progress.notes().matches("going on without it").count()), (3, 2));
}

#[test]
fn a_vendor_that_is_a_day_late_is_asked_again() {
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
