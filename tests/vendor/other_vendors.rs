//! Fetches from Alpaca, from Yahoo and from the flat files of Massive, each with exactly the rows of the vendor.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{
    DateRange, calendar,
    source::{
        fetch::{FetchOptions, FetchSummary},
        vendor::{
            Pace, Row, Secret, Vendor, VendorError,
            alpaca::{Alpaca, Feed},
            massive::flat_files::{AssetClass, FlatFiles},
            yahoo::Yahoo,
        },
    },
};

use crate::{
    util,
    vendor::{
        fake_vendor::{
            Fault, TEST_KEY,
            market::{self, Instrument},
            yahoo,
        },
        fetch_fixture::{FetchFixture, RecordingProgress, dates, row_of},
    },
};

/// Returns a client of Alpaca at the fixture's server.
fn alpaca<'a>(fixture: &'a FetchFixture, progress: &'a RecordingProgress) -> Alpaca<'a> {
    let (key, secret) = (Secret::new("an-identifier").unwrap(), Secret::new(TEST_KEY).unwrap());
    let keys = [(&key, "APCA_API_KEY_ID"), (&secret, "APCA_API_SECRET_KEY")];
    let pace = Pace::new(200, &fixture.cache().calls("alpaca"));
    Alpaca::new(fixture.server.url().parse().unwrap(), Some(keys), Feed::Sip, pace, &fixture.clock, progress)
}

/// Returns a client of Yahoo at the fixture's server.
fn yahoo_at<'a>(fixture: &'a FetchFixture, progress: &'a RecordingProgress) -> Yahoo<'a> {
    let pace = Pace::new(30, &fixture.cache().calls("yahoo"));
    Yahoo::new(fixture.server.url().parse().unwrap(), pace, &fixture.clock, progress)
}

fn fetched(
    fixture: &FetchFixture,
    vendor: &dyn Vendor,
    names: &[&str],
    range: DateRange,
    progress: &RecordingProgress,
) -> Result<FetchSummary, VendorError> {
    let symbols = util::symbols(names);
    fixture.fetcher(vendor, &fixture.cache(), progress).fetch(&symbols, range, FetchOptions::default(), &mut |_| ())
}

fn session_dates(range: DateRange) -> Vec<Date> {
    calendar::sessions(range.first, range.last).iter().map(|session| session.date).collect()
}

/// Returns the rows at Alpaca, whose mean prices have six digits.
fn of_alpaca(ticker: &str, range: DateRange) -> Vec<Row> {
    let bars = session_dates(range).into_iter().flat_map(|date| market::regular(ticker, date));
    let mean = |bar: &market::Bar| ((bar.h + bar.l + bar.o) / 3.0 * 1e6).round() / 1e6;
    bars.map(|bar| Row { vwap: Some(mean(&bar)), ..row_of(&bar, false) }).collect()
}

#[test]
fn alpaca_delivers_many_pages_up_to_today() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 2_500);
    let range = dates("2026-07-01", "2026-11-20");
    let progress = RecordingProgress::default();
    let done = fetched(&fixture, &alpaca(&fixture, &progress), &["QQQ", "SPY"], range, &progress).unwrap();
    assert_eq!((done.sessions, done.empty), (2 * session_dates(range).len(), 0));
    for name in ["QQQ", "SPY"] {
        assert_eq!(fixture.rows("alpaca", name, range), of_alpaca(name, range), "{name}");
    }
    assert!(fixture.server.requests().iter().all(|request| request.status == 200 && request.authorised));
    fixture.assert_key_not_leaked();
    let calls = progress.calls();
    fetched(&fixture, &alpaca(&fixture, &progress), &["QQQ", "SPY"], range, &progress).unwrap();
    assert_eq!(progress.calls(), calls, "no request is repeated");
}

#[test]
fn an_empty_page_of_alpaca_is_requested_again() {
    let range = dates("2025-06-02", "2025-06-06");
    for at in 0..3 {
        let fixture =
            FetchFixture::new(|rules| (rules.page_limit, rules.faults) = (2_000, vec![(at, Fault::NullResults)]));
        let progress = RecordingProgress::default();
        fetched(&fixture, &alpaca(&fixture, &progress), &["SPY"], range, &progress).unwrap();
        assert_eq!(fixture.rows("alpaca", "SPY", range), of_alpaca("SPY", range), "{at}");
    }
}

#[test]
fn alpaca_refuses_indices_and_names_an_alternative() {
    let fixture = FetchFixture::new(|_| ());
    let progress = RecordingProgress::default();
    let week = dates("2025-06-02", "2025-06-06");
    let error = fetched(&fixture, &alpaca(&fixture, &progress), &["SPY", "SPX"], week, &progress).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no minute bars of SPX") && text.contains("leave the symbol out of --symbols"), "{text}");
    assert!(fixture.requested().is_empty(), "no request is made");
    fixture.server.set_rules(|rules| rules.key = "another".to_owned());
    let text = fetched(&fixture, &alpaca(&fixture, &progress), &["SPY"], week, &progress).unwrap_err().to_string();
    assert!(text.contains("APCA_API_KEY_ID and APCA_API_SECRET_KEY (unauthorized.)"), "{text}");
}

#[test]
fn yahoo_delivers_thirty_days_without_nulls_and_markers() {
    let fixture = FetchFixture::new(|_| ());
    let (range, reach) = (dates("2026-10-01", "2026-11-20"), dates("2026-10-22", "2026-11-20"));
    let progress = RecordingProgress::default();
    let done = fetched(&fixture, &yahoo_at(&fixture, &progress), &["SPY", "SPX"], range, &progress).unwrap();
    let lost = session_dates(range).len() - session_dates(reach).len();
    let note = format!("{} sessions are older than the history of yahoo; left out", 2 * lost);
    assert!(progress.notes().contains(&note), "{}", progress.notes());
    assert_eq!(done.sessions, 2 * session_dates(reach).len());
    for (name, ticker, spelled) in [("SPY", "SPY", "SPY"), ("SPX", "I:SPX", "^GSPC")] {
        let all = session_dates(reach).into_iter().flat_map(|date| market::regular(ticker, date));
        let bars: Vec<market::Bar> = all.filter(|bar| !yahoo::is_null(spelled, bar.t_ms)).collect();
        let rows = fixture.rows("yahoo", name, range);
        let prices = |row: &Row| (row.ts_ns, [row.open, row.high, row.low, row.close]);
        let expected: Vec<_> = bars.iter().map(|bar| prices(&row_of(bar, false))).collect();
        assert_eq!(rows.iter().map(prices).collect::<Vec<_>>(), expected, "{name}");
        // The first row of a response has no volume, and volumes are whole numbers.
        let other = rows.iter().zip(&bars).filter(|(row, bar)| row.volume != Some(bar.v.floor())).count();
        assert!(other <= 5, "{name}: {other} volumes differ");
    }
    let calls = progress.calls();
    assert!(fetched(&fixture, &yahoo_at(&fixture, &progress), &["SPY", "SPX"], range, &progress).is_ok());
    assert_eq!(progress.calls(), calls, "no request is repeated");
}

#[test]
fn yahoo_delivers_the_thirtieth_day_late_in_the_evening() {
    let fixture = FetchFixture::new(|_| ());
    // 23:59 in New York, with an hour more behind it since daylight saving ended.
    fixture.clock.jump((6 * 60 + 59) * 60_000);
    let progress = RecordingProgress::default();
    let range = dates("2026-10-22", "2026-11-20");
    let done = fetched(&fixture, &yahoo_at(&fixture, &progress), &["SPY"], range, &progress).unwrap();
    assert_eq!(done.sessions, session_dates(range).len());
}

/// Returns a client of the flat files at the fixture's server.
fn files<'a>(fixture: &'a FetchFixture, progress: &'a RecordingProgress) -> FlatFiles<'a> {
    let (access, secret) = (Secret::new("an-identifier").unwrap(), Secret::new(TEST_KEY).unwrap());
    FlatFiles::new(fixture.server.url().parse().unwrap(), Some((&access, &secret)), &[], &fixture.clock, progress)
        .unwrap()
}

/// Returns the rows that a flat file has of a ticker; it has no mean prices.
fn filed(ticker: &str, date: Date) -> Vec<Row> {
    let bars = market::bars_of(&Instrument::parse(ticker).unwrap(), date);
    bars.iter().map(|bar| Row { vwap: None, ..row_of(bar, ticker.starts_with("I:")) }).collect()
}

#[test]
fn a_flat_file_gives_the_rows_of_the_tickers_wanted() {
    let fixture = FetchFixture::new(|_| ());
    let progress = RecordingProgress::default();
    let date: Date = "2025-06-03".parse().unwrap();
    for (class, wanted) in [
        (AssetClass::Stocks, vec!["QQQ", "SPY"]),
        (AssetClass::Indices, vec!["I:SPX", "I:VIX1D"]),
        (AssetClass::Options, vec!["O:SPY250603C00600000", "O:SPXW250603P06000000"]),
    ] {
        let day = files(&fixture, &progress).day(class, date, &|ticker| wanted.contains(&ticker)).unwrap().unwrap();
        let expected: BTreeMap<String, Vec<Row>> = wanted
            .iter()
            .map(|ticker| ((*ticker).to_owned(), filed(ticker, date)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        assert_eq!(day.rows, expected, "{class:?}");
        assert_eq!(day.sha256.len(), 64);
    }
    assert_eq!(
        files(&fixture, &progress).day(AssetClass::Stocks, "2025-07-04".parse().unwrap(), &|_| true).unwrap(),
        None
    );
    fixture.assert_key_not_leaked();
}

#[test]
fn a_refused_or_truncated_flat_file_is_an_error() {
    let day = |faults: Vec<(usize, Fault)>, allowed: bool| {
        let fixture = FetchFixture::new(|rules| (rules.faults, rules.flat_files) = (faults, allowed));
        let progress = RecordingProgress::default();
        let day = files(&fixture, &progress)
            .day(AssetClass::Stocks, "2025-06-03".parse().unwrap(), &|ticker| ticker == "SPY");
        fixture.assert_key_not_leaked();
        (day, progress.calls())
    };
    let whole = day(Vec::new(), true).0.unwrap();
    for fault in [Fault::CutBody, Fault::GarbageJson, Fault::Status(503), Fault::CloseAtOnce] {
        let some = |count: usize| (0..count).map(|at| (at, fault.clone())).collect::<Vec<_>>();
        assert_eq!(day(some(2), true).0.unwrap(), whole, "{fault:?}");
        let (error, calls) = day(some(9), true);
        let text = error.unwrap_err().to_string();
        assert!(calls == 5 && text.contains("2025-06-03.csv.gz in 5 attempts"), "{calls}: {text}");
    }
    let (error, calls) = day(Vec::new(), false);
    let text = error.unwrap_err().to_string();
    assert!(calls == 1 && text.contains("AccessDenied") && text.contains("change the plan"), "{calls}: {text}");
}
