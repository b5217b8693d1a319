//! Histories from the cache: volatility indices as far as the plan has them, and several programs at once.

use jiff::{ToSpan as _, civil::Date};
use market_data::{
    BarFormat, Bars, DateRange, calendar,
    source::{
        cache::{Cache, Kind, SessionRecord},
        fetch::{FetchOptions, FetchSummary, HistoryRequest},
        files,
        vendor::{Adjustment, VendorError},
    },
};

use crate::{
    util,
    vendor::{
        errors::always,
        fake_vendor::{
            Fault,
            market::{self, Instrument},
        },
        fetch_fixture::{FetchFixture, RecordingProgress, dates, expected},
    },
};

/// Every date.
const ALL: DateRange = DateRange { first: Date::MIN, last: Date::MAX };
const DAY_MS: i64 = 86_400_000;

/// Fetches SPY and the volatility indices, like a program that has just started.
fn fetch_history(
    fixture: &FetchFixture,
    range: DateRange,
    progress: &RecordingProgress,
) -> Result<FetchSummary, VendorError> {
    let (symbols, options) = (util::symbols(&["SPY"]), FetchOptions::default());
    let request = HistoryRequest { symbols, dates: range, volatility: true, options };
    fixture.fetcher(&fixture.massive(progress), &fixture.cache(), progress).fetch_history(&request, &mut |_| ())
}

/// Returns the daily closes of VIX at the vendor.
fn closes(first: Date, last: Date) -> Vec<(Date, f64)> {
    let index = Instrument::parse("I:VIX").unwrap();
    let close = |date| market::day_bar(&index, date).map(|bar| (date, bar.c));
    calendar::sessions(first, last).iter().filter_map(|session| close(session.date)).collect()
}

/// Writes the bars and closes of a history as files.
fn write_files(folder: &std::path::Path, range: DateRange) {
    for name in ["SPY", "VIX1D", "VIX"] {
        let mut text = String::from("timestamp,open,high,low,close,volume\n");
        for session in calendar::sessions(range.first, range.last) {
            for row in expected(name, session.date).iter() {
                let (ms, volume) = (row.ts_ns / 1_000_000, row.volume.unwrap_or(0.0));
                text += &format!("{ms},{},{},{},{},{volume}\n", row.open, row.high, row.low, row.close);
            }
        }
        std::fs::write(folder.join(format!("{name}_1m.csv")), text).unwrap();
    }
    let days = closes(range.first.saturating_sub(10.days()), range.last);
    let lines: Vec<String> = days.iter().map(|(date, close)| format!("{date},{close}\n")).collect();
    std::fs::write(folder.join("VIX_1d.csv"), format!("date,close\n{}", lines.concat())).unwrap();
}

#[test]
fn a_history_from_the_cache_equals_one_from_files() {
    let fixture = FetchFixture::new(|_| ());
    let range = dates("2025-10-20", "2025-12-01");
    let progress = RecordingProgress::default();
    let done = fetch_history(&fixture, range, &progress).unwrap();
    fixture.assert_exact(&["SPY", "VIX1D", "VIX"], range);
    assert_eq!(done.sessions, 3 * calendar::sessions(range.first, range.last).len());

    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), range);
    let symbols = util::symbols(&["SPY"]);
    let of_files = files::load(folder.path(), &symbols).unwrap();
    let quiet = RecordingProgress::default();
    let of_cache = fixture.cache().history(&fixture.massive(&quiet), &symbols, range, &BarFormat::default()).unwrap();
    let prices = |bars: &Bars| [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()].map(<[f64]>::to_vec);
    assert_eq!((of_cache.bars.len(), of_files.bars.len()), (1, 1));
    for (one, other) in of_cache.bars.iter().zip(&of_files.bars) {
        assert_eq!((one.symbol(), one.ts_ns(), prices(one)), (other.symbol(), other.ts_ns(), prices(other)));
    }
    assert_eq!(of_cache.volatility, of_files.volatility);
    assert!(!of_cache.synthetic && of_cache.files.len() == 3 * 3 + 1);
    assert_eq!(quiet.calls(), 0, "a history makes no request");

    let again = RecordingProgress::default();
    fetch_history(&fixture, range, &again).unwrap();
    assert_eq!((again.calls(), again.notes()), (0, String::new()));
}

#[test]
fn a_refusal_is_noted_and_not_repeated_for_a_week() {
    let fixture = FetchFixture::new(|rules| rules.indices = false);
    let range = dates("2025-10-20", "2025-10-31");
    let first = RecordingProgress::default();
    fetch_history(&fixture, range, &first).unwrap();
    fixture.assert_exact(&["SPY"], range);
    for what in ["no VIX1D by the minute: ", "no VIX by the minute: ", "no VIX by the day: "] {
        assert!(first.notes().contains(what), "{}", first.notes());
    }
    assert_eq!(first.calls(), 4);
    for (days, calls) in [(0, 0), (6, 0), (2, 3), (1, 0)] {
        fixture.clock.jump(days * DAY_MS);
        let later = RecordingProgress::default();
        fetch_history(&fixture, range, &later).unwrap();
        assert_eq!((later.calls(), later.notes.lock().unwrap().len()), (calls, 3), "{days} days later");
    }
    fixture.assert_key_not_leaked();
    fixture.clock.jump(8 * DAY_MS);
    fixture.server.set_rules(|rules| rules.indices = true);
    fetch_history(&fixture, range, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY", "VIX1D", "VIX"], range);
    let progress = RecordingProgress::default();
    fetch_history(&fixture, range, &progress).unwrap();
    assert_eq!((progress.calls(), progress.notes()), (0, String::new()), "a new plan is detected");
}

#[test]
fn a_refusal_is_saved_although_the_connection_fails_later() {
    let fixture = FetchFixture::new(|rules| rules.indices = false);
    let range = dates("2025-10-20", "2025-10-24");
    // After SPY and VIX1D, the connection fails for the six attempts at VIX.
    fixture.server.set_faults((2..8).map(|at| (at, Fault::CloseAtOnce)).collect());
    let interrupted = RecordingProgress::default();
    fetch_history(&fixture, range, &interrupted).unwrap();
    assert!(interrupted.notes().contains("no VIX by the minute: Massive did not answer"), "{}", interrupted.notes());
    let again = RecordingProgress::default();
    fetch_history(&fixture, range, &again).unwrap();
    assert_eq!(again.calls(), 1, "VIX by the minute, without the refused requests: {}", again.notes());
}

#[test]
fn on_a_free_plan_the_daily_closes_end_where_the_plan_ends() {
    let fixture = FetchFixture::new(|rules| {
        (rules.calls_per_minute, rules.history_days, rules.end_of_day) = (5, Some(730), true);
    });
    let fixture = FetchFixture { calls_per_minute: 5, ..fixture };
    // Two years to today: the day before the first session, and today's close, are not in the plan.
    let range = dates("2024-11-21", "2026-11-20");
    let progress = RecordingProgress::default();
    fetch_history(&fixture, range, &progress).unwrap();
    assert!(!progress.notes().contains("no VIX"), "{}", progress.notes());
    let vix = &util::symbols(&["VIX"])[0];
    let (days, _) = fixture.cache().load_daily("massive", vix, ALL).unwrap().expect("the closes are cached");
    let all = closes("2024-11-21".parse().unwrap(), "2026-11-19".parse().unwrap());
    let (date, close) = all.into_iter().unzip();
    assert_eq!(days, market_data::DailySeries::new("expected", date, close).unwrap());
    assert!(fixture.server.requests().iter().all(|request| request.status != 429));
}

#[test]
fn dropped_rows_of_an_index_are_noted() {
    let fixture = FetchFixture::new(|rules| rules.faults = vec![(1, Fault::BadPrice)]);
    let progress = RecordingProgress::default();
    let options = FetchOptions { drop_bad: true, ..FetchOptions::default() };
    let range = dates("2025-10-20", "2025-10-24");
    let request = HistoryRequest { symbols: util::symbols(&["SPY"]), dates: range, volatility: true, options };
    fixture
        .fetcher(&fixture.massive(&progress), &fixture.cache(), &progress)
        .fetch_history(&request, &mut |_| ())
        .unwrap();
    assert!(progress.notes().contains("left out: VIX1D: open"), "{}", progress.notes());
}

#[test]
fn sessions_without_bars_are_noted() {
    let fixture = FetchFixture::new(|rules| rules.faults = vec![(0, Fault::EmptyResults), (1, Fault::EmptyResults)]);
    let progress = RecordingProgress::default();
    fetch_history(&fixture, dates("2025-10-20", "2025-10-24"), &progress).unwrap();
    assert_eq!(progress.notes(), "5 sessions have no bars; recorded as empty");
}

#[test]
fn concurrent_programs_repeat_no_request() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 5_000);
    let range = dates("2025-09-02", "2025-11-28");
    let start = std::sync::Barrier::new(4);
    let program = || {
        let progress = RecordingProgress::default();
        start.wait();
        fetch_history(&fixture, range, &progress).unwrap();
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(program))));
    fixture.assert_exact(&["SPY", "VIX1D", "VIX"], range);
    let mut minutes: Vec<String> =
        fixture.requested().into_iter().filter(|address| address.contains("/minute/")).collect();
    let calls = minutes.len();
    minutes.sort();
    minutes.dedup();
    assert_eq!(minutes.len(), calls, "no request is repeated");
    let closes = closes(range.first.saturating_sub(10.days()), range.last);
    let (date, close) = closes.into_iter().unzip();
    let (days, _) =
        Cache::new(fixture.folder.path()).load_daily("massive", &util::symbols(&["VIX"])[0], ALL).unwrap().unwrap();
    assert_eq!(days, market_data::DailySeries::new("expected", date, close).unwrap());
}

#[test]
fn bars_on_the_clock_of_new_york_are_refused_and_not_stored() {
    let fixture = FetchFixture::new(|rules| rules.faults = always(&Fault::NewYorkClock));
    let range = dates("2025-10-06", "2025-10-17");
    let error = fetch_history(&fixture, range, &RecordingProgress::default()).unwrap_err().to_string();
    for part in ["sent minute bars of SPY from 2025-10-06", "as times of America/New_York", "none of them is stored"] {
        assert!(error.contains(part), "{error}");
    }
    let progress = RecordingProgress::default();
    assert_eq!(fixture.cache().span(&fixture.massive(&progress), &util::symbols(&["SPY"])).unwrap(), None);
}

#[test]
fn a_cached_price_off_by_a_factor_is_refused_or_noted() {
    let fixture = FetchFixture::new(|_| ());
    let range = dates("2025-10-06", "2025-10-06");
    let mut rows = expected("SPY", range.first).to_vec();
    rows[100].close = rows[100].open / 100.0;
    rows[100].low = rows[100].close;
    let symbols = util::symbols(&["SPY"]);
    let series = fixture.cache().series("massive", Adjustment::Split, Kind::Minute, &symbols[0]);
    series.store(vec![(range.first, SessionRecord::default(), rows)]).unwrap();
    let progress = RecordingProgress::default();
    let read = |format: &BarFormat| fixture.cache().history(&fixture.massive(&progress), &symbols, range, format);
    let error = read(&BarFormat::default()).unwrap_err().to_string();
    assert!(error.contains("massive/split/minute/SPY: row 101, 2025-10-06"), "{error}");
    assert!(error.contains("1/100 times the open") && error.contains("fetch again, or take another vendor"), "{error}");
    let allowed = BarFormat { allow_suspicious: true, ..BarFormat::default() };
    assert!(read(&allowed).unwrap().notes[0].contains("1/100 times the open"));
}
