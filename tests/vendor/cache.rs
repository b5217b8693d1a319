//! Protection of the cache: no restated prices are mixed in, complete sessions are not overwritten, refusals are not repeated.

use jiff::{ToSpan as _, civil::Date};
use market_data::{
    DateRange,
    source::{
        cache::{Kind, SessionRecord},
        fetch::{FetchOptions, HistoryRequest},
        vendor::{
            Adjustment, Pace, Row, Secret, Vendor as _, VendorError,
            alpaca::{Alpaca, Feed},
        },
    },
};

use crate::{
    util,
    vendor::{
        fake_vendor::{Fault, TEST_KEY},
        fetch_fixture::{FetchFixture, RecordingProgress, dates, expected},
    },
};

const DAY_MS: i64 = 86_400_000;

fn one(date: &str) -> DateRange {
    dates(date, date)
}

/// Caches a session whose prices are `scale` times the vendor's.
fn cache_scaled(fixture: &FetchFixture, date: Date, scale: f64) {
    let scaled = |row: &Row| Row {
        open: row.open * scale,
        high: row.high * scale,
        low: row.low * scale,
        close: row.close * scale,
        ..*row
    };
    let rows: Vec<Row> = expected("SPY", date).iter().map(scaled).collect();
    let series = fixture.cache().series("massive", Adjustment::Split, Kind::Minute, &util::symbols(&["SPY"])[0]);
    series.store(vec![(date, SessionRecord::default(), rows)]).unwrap();
}

#[test]
fn restated_prices_are_never_mixed_with_cached_ones() {
    let fixture = FetchFixture::new(|_| ());
    let monday = "2026-11-16".parse().unwrap();
    for (scale, kept) in [(10.0, "0.1000 times"), (0.5, "2.0000 times")] {
        cache_scaled(&fixture, monday, scale);
        // Adjacent to the cached session, and across a gap.
        for range in ["2026-11-17 2026-11-19", "2026-11-11 2026-11-13", "2026-11-02 2026-11-04"] {
            let (first, last) = range.split_once(' ').unwrap();
            let range = dates(first, last);
            let error = fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap_err();
            assert!(matches!(error, VendorError::Restated { .. }), "{error}");
            let message = error.to_string();
            assert!(
                message.contains(kept) && message.contains("2026-11-16") && message.contains("move that folder"),
                "{message}"
            );
            assert!(fixture.complete("SPY", range).is_empty(), "nothing of it is cached");
        }
    }
    cache_scaled(&fixture, monday, 1.0);
    fixture.fetch(&["SPY"], dates("2026-11-11", "2026-11-19"), &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], dates("2026-11-11", "2026-11-19"));
}

#[test]
fn an_empty_response_does_not_replace_a_complete_session() {
    let fixture = FetchFixture::new(|_| ());
    fixture.fetch(&["SPY"], one("2026-11-09"), &RecordingProgress::default()).unwrap();
    fixture.server.set_faults(vec![(0, Fault::EmptyResults), (1, Fault::EmptyResults)]);
    let (progress, options) = (RecordingProgress::default(), FetchOptions { refresh: 1, ..FetchOptions::default() });
    fixture.fetch_with(&["SPY"], one("2026-11-09"), options, &progress).unwrap();
    let notes = progress.notes.lock().unwrap().join("\n");
    assert!(notes.contains("2026-11-09 was delivered with 0 bars instead of"), "{notes}");
    fixture.assert_exact(&["SPY"], one("2026-11-09"));
}

#[test]
fn the_first_date_of_a_plan_is_cached_for_a_week() {
    let fixture = FetchFixture::new(|rules| rules.history_days = Some(730));
    let range = dates("2024-11-01", "2024-12-31");
    let first = RecordingProgress::default();
    fixture.fetch(&["SPY"], range, &first).unwrap();
    assert!(first.calls() >= 2, "a refusal revealed it");
    let again = RecordingProgress::default();
    let (_, plan) = fixture.fetch_with(&["SPY"], range, FetchOptions::default(), &again).unwrap();
    assert_eq!((again.calls(), plan.calls), (0, 0));
    assert!(plan.out_of_reach >= 12, "{plan:?}");
    let options = FetchOptions { retry_empty: true, ..FetchOptions::default() };
    let (_, plan) = fixture.fetch_with(&["SPY"], range, options, &RecordingProgress::default()).unwrap();
    assert!(plan.calls > 0, "after a change of plan the request can be repeated at once");
    fixture.clock.jump(8 * DAY_MS);
    let later = RecordingProgress::default();
    fixture.fetch(&["SPY"], range, &later).unwrap();
    assert!(later.calls() > 0);
}

#[test]
fn a_refused_index_is_requested_again_on_demand() {
    let fixture = FetchFixture::new(|rules| rules.indices = false);
    let calls_of = |options| {
        let progress = RecordingProgress::default();
        let request =
            HistoryRequest { symbols: util::symbols(&["SPY"]), dates: one("2026-11-19"), volatility: true, options };
        fixture
            .fetcher(&fixture.massive(&progress), &fixture.cache(), &progress)
            .fetch_history(&request, &mut |_| ())
            .unwrap();
        progress.calls()
    };
    assert!(calls_of(FetchOptions::default()) > 3);
    assert_eq!(calls_of(FetchOptions::default()), 0, "not requested again");
    fixture.server.set_rules(|rules| rules.indices = true);
    assert_eq!(calls_of(FetchOptions::default()), 0, "for a week");
    assert!(calls_of(FetchOptions { retry_empty: true, ..FetchOptions::default() }) >= 3);
}

#[test]
fn a_run_without_its_vendor_may_miss_the_last_sessions_only() {
    let fixture = FetchFixture::new(|_| ());
    let symbols = util::symbols(&["SPY", "QQQ"]);
    let first: Date = "2026-10-01".parse().unwrap();
    let until = |last: Date| DateRange { first, last };
    let friday = "2026-11-20".parse().unwrap();
    fixture.fetch(&["SPY", "QQQ"], until(friday), &RecordingProgress::default()).unwrap();
    let progress = RecordingProgress::default();
    let massive = fixture.massive(&progress);
    let kept = |last: Date| {
        fixture.fetcher(&massive, &fixture.cache(), &progress).cached_range(&symbols, until(last)).unwrap()
    };
    assert_eq!(kept(friday.saturating_add(4.days())), Some(until(friday)), "two sessions are missing");
    assert_eq!(kept(friday.saturating_add(30.days())), None, "too many are");
    let uneven = DateRange { first, last: friday.saturating_add(4.days()) };
    for names in [["SPY", "IWM"], ["IWM", "SPY"]] {
        fixture.fetch(&["IWM"], until(friday.saturating_sub(9.days())), &RecordingProgress::default()).unwrap();
        let fetcher =
            fixture.fetcher(&massive, &fixture.cache(), &progress).cached_range(&util::symbols(&names), uneven);
        assert_eq!(fetcher.unwrap(), None, "{names:?}: nine sessions of one are missing, whichever is named first");
    }
    let earlier = DateRange { first: first.saturating_sub(7.days()), last: friday };
    assert_eq!(
        fixture.fetcher(&massive, &fixture.cache(), &progress).cached_range(&symbols, earlier).unwrap(),
        None,
        "a gap at the start"
    );
    assert_eq!(progress.calls(), 0);
}

#[test]
fn feeds_of_one_vendor_are_separate_series() {
    let fixture = FetchFixture::new(|_| ());
    let progress = RecordingProgress::default();
    let secret = Secret::new(TEST_KEY).unwrap();
    let keys = || Some([(&secret, "APCA_API_KEY_ID"), (&secret, "APCA_API_SECRET_KEY")]);
    let alpaca = |feed| {
        let pace = Pace::new(0, &fixture.cache().calls("alpaca"));
        Alpaca::new(fixture.server.url().parse().unwrap(), keys(), feed, pace, &fixture.clock, &progress)
    };
    let (sip, iex) = (alpaca(Feed::Sip), alpaca(Feed::Iex));
    let symbols = util::symbols(&["SPY"]);
    for vendor in [&iex, &sip] {
        let fetcher = fixture.fetcher(vendor, &fixture.cache(), &progress).fetch(
            &symbols,
            one("2026-11-18"),
            FetchOptions::default(),
            &mut |_| (),
        );
        assert_eq!(fetcher.unwrap().sessions, 1, "{} has to be fetched", vendor.name());
    }
}

#[test]
fn partial_files_of_a_killed_program_are_removed() {
    let fixture = FetchFixture::new(|_| ());
    fixture.fetch(&["SPY"], one("2026-11-18"), &RecordingProgress::default()).unwrap();
    let series = fixture.cache().series("massive", Adjustment::Split, Kind::Minute, &util::symbols(&["SPY"])[0]);
    let left = series.folder().join("2026-11.part-123-0");
    std::fs::write(&left, "half").unwrap();
    fixture.fetch(&["SPY"], one("2026-11-19"), &RecordingProgress::default()).unwrap();
    assert!(!left.exists());
    fixture.assert_exact(&["SPY"], dates("2026-11-18", "2026-11-19"));
}

#[test]
fn a_refusal_of_the_latest_session_sets_no_first_date() {
    let fixture = FetchFixture::new(|_| ());
    let words = r#"{"status":"NOT_AUTHORIZED","message":"Your plan doesn't include this data timeframe."}"#;
    let refused = || vec![(0, Fault::Body(403, words.to_owned()))];
    fixture.server.set_faults(refused());
    let progress = RecordingProgress::default();
    let week = dates("2026-11-16", "2026-11-20");
    assert_eq!(fixture.fetch(&["SPY"], week, &progress).unwrap().sessions, 4, "{}", progress.notes());
    assert!(progress.notes().contains("continuing without that day"), "{}", progress.notes());
    fixture.server.set_faults(refused());
    assert_eq!(fixture.fetch(&["SPY"], week, &RecordingProgress::default()).unwrap().sessions, 0, "the remaining one");
    fixture.server.set_faults(Vec::new());
    fixture.fetch(&["SPY"], week, &RecordingProgress::default()).unwrap();
    fixture.assert_exact(&["SPY"], week);
}

#[test]
fn cached_daily_closes_survive_a_plan_with_less_history() {
    let fixture = FetchFixture::new(|_| ());
    let vix = &util::symbols(&["VIX"])[0];
    let store = |days: &[(&str, f64)], from: &str| {
        let days: Vec<(Date, f64)> = days.iter().map(|(day, close)| (day.parse().unwrap(), *close)).collect();
        fixture.cache().store_daily("massive", vix, &days, from.parse().unwrap()).unwrap();
    };
    store(&[("2025-06-02", 18.0), ("2025-06-03", 19.0)], "2025-05-20");
    store(&[("2025-06-03", 19.5), ("2025-06-04", 20.0)], "2025-05-20");
    let (days, file) = fixture.cache().load_daily("massive", vix, dates("2025-06-01", "2025-06-30")).unwrap().unwrap();
    let dates: Vec<Date> = ["2025-06-02", "2025-06-03", "2025-06-04"].map(|day| day.parse().unwrap()).to_vec();
    assert_eq!(days, market_data::DailySeries::new("expected", dates, vec![18.0, 19.5, 20.0]).unwrap());
    assert_eq!(file.rows, 3);
}
