//! The other vendors: Alpaca, Yahoo and the flat files of Massive, each with exactly the rows that it has.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{
    DateRange, calendar,
    source::{
        fetch::{FetchOptions, Fetched},
        vendor::{
            Pace, Row, Secret, Vendor, VendorError,
            alpaca::{Alpaca, Feed},
            massive::flat_files::{Class, FlatFiles},
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

/// A client of Alpaca at the desk's server.
fn alpaca<'a>(desk: &'a FetchFixture, witness: &'a RecordingProgress) -> Alpaca<'a> {
    let (key, secret) = (Secret::new("an-identifier").unwrap(), Secret::new(TEST_KEY).unwrap());
    let keys = [(&key, "APCA_API_KEY_ID"), (&secret, "APCA_API_SECRET_KEY")];
    let pace = Pace::new(200, &desk.cache().calls("alpaca"));
    Alpaca::new(desk.server.url().parse().unwrap(), Some(keys), Feed::Sip, pace, &desk.clock, witness)
}

/// A client of Yahoo at the desk's server.
fn yahoo_at<'a>(desk: &'a FetchFixture, witness: &'a RecordingProgress) -> Yahoo<'a> {
    let pace = Pace::new(30, &desk.cache().calls("yahoo"));
    Yahoo::new(desk.server.url().parse().unwrap(), pace, &desk.clock, witness)
}

fn fetched(
    desk: &FetchFixture,
    vendor: &dyn Vendor,
    names: &[&str],
    range: DateRange,
    witness: &RecordingProgress,
) -> Result<Fetched, VendorError> {
    let symbols = util::symbols(names);
    desk.fetcher(vendor, &desk.cache(), witness).fetch(&symbols, range, FetchOptions::default(), &mut |_| ())
}

fn session_dates(range: DateRange) -> Vec<Date> {
    calendar::sessions(range.first, range.last).iter().map(|session| session.date).collect()
}

/// Returns the rows of Alpaca, whose mean prices have six digits.
fn of_alpaca(ticker: &str, range: DateRange) -> Vec<Row> {
    let bars = session_dates(range).into_iter().flat_map(|date| market::regular(ticker, date));
    let mean = |bar: &market::Bar| ((bar.h + bar.l + bar.o) / 3.0 * 1e6).round() / 1e6;
    bars.map(|bar| Row { vwap: Some(mean(&bar)), ..row_of(&bar, false) }).collect()
}

#[test]
fn alpaca_gives_its_rows_over_many_pages_up_to_today() {
    let desk = FetchFixture::new(|rules| rules.page_limit = 2_500);
    let range = dates("2026-07-01", "2026-11-20");
    let witness = RecordingProgress::default();
    let done = fetched(&desk, &alpaca(&desk, &witness), &["QQQ", "SPY"], range, &witness).unwrap();
    assert_eq!((done.sessions, done.empty), (2 * session_dates(range).len(), 0));
    for name in ["QQQ", "SPY"] {
        assert_eq!(desk.rows("alpaca", name, range), of_alpaca(name, range), "{name}");
    }
    assert!(desk.server.requests().iter().all(|request| request.status == 200 && request.authorised));
    desk.assert_key_kept();
    let calls = witness.calls();
    fetched(&desk, &alpaca(&desk, &witness), &["QQQ", "SPY"], range, &witness).unwrap();
    assert_eq!(witness.calls(), calls, "nothing is asked twice");
}

#[test]
fn an_empty_page_of_alpaca_is_asked_again() {
    let range = dates("2025-06-02", "2025-06-06");
    for at in 0..3 {
        let desk =
            FetchFixture::new(|rules| (rules.page_limit, rules.faults) = (2_000, vec![(at, Fault::NullResults)]));
        let witness = RecordingProgress::default();
        fetched(&desk, &alpaca(&desk, &witness), &["SPY"], range, &witness).unwrap();
        assert_eq!(desk.rows("alpaca", "SPY", range), of_alpaca("SPY", range), "{at}");
    }
}

#[test]
fn alpaca_has_no_index_and_says_what_instead() {
    let desk = FetchFixture::new(|_| ());
    let witness = RecordingProgress::default();
    let week = dates("2025-06-02", "2025-06-06");
    let error = fetched(&desk, &alpaca(&desk, &witness), &["SPY", "SPX"], week, &witness).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no minute bars of SPX") && text.contains("leave it out of --symbols"), "{text}");
    assert!(desk.asked().is_empty(), "and asks nobody");
    desk.server.set_rules(|rules| rules.key = "another".to_owned());
    let text = fetched(&desk, &alpaca(&desk, &witness), &["SPY"], week, &witness).unwrap_err().to_string();
    assert!(text.contains("APCA_API_KEY_ID and APCA_API_SECRET_KEY (unauthorized.)"), "{text}");
}

#[test]
fn yahoo_gives_thirty_days_without_its_nulls_and_markers() {
    let desk = FetchFixture::new(|_| ());
    let (range, reach) = (dates("2026-10-01", "2026-11-20"), dates("2026-10-22", "2026-11-20"));
    let witness = RecordingProgress::default();
    let done = fetched(&desk, &yahoo_at(&desk, &witness), &["SPY", "SPX"], range, &witness).unwrap();
    let lost = session_dates(range).len() - session_dates(reach).len();
    let note = format!("{} sessions are older than yahoo reaches; left out", 2 * lost);
    assert!(witness.notes().contains(&note), "{}", witness.notes());
    assert_eq!(done.sessions, 2 * session_dates(reach).len());
    for (name, ticker, spelled) in [("SPY", "SPY", "SPY"), ("SPX", "I:SPX", "^GSPC")] {
        let all = session_dates(reach).into_iter().flat_map(|date| market::regular(ticker, date));
        let bars: Vec<market::Bar> = all.filter(|bar| !yahoo::is_null(spelled, bar.t_ms)).collect();
        let rows = desk.rows("yahoo", name, range);
        let prices = |row: &Row| (row.ts_ns, [row.open, row.high, row.low, row.close]);
        let expected: Vec<_> = bars.iter().map(|bar| prices(&row_of(bar, false))).collect();
        assert_eq!(rows.iter().map(prices).collect::<Vec<_>>(), expected, "{name}");
        // The first row of an answer has no volume, and no row has the fractions.
        let other = rows.iter().zip(&bars).filter(|(row, bar)| row.volume != Some(bar.v.floor())).count();
        assert!(other <= 5, "{name}: {other} volumes differ");
    }
    let calls = witness.calls();
    assert!(fetched(&desk, &yahoo_at(&desk, &witness), &["SPY", "SPX"], range, &witness).is_ok());
    assert_eq!(witness.calls(), calls, "nothing is asked twice");
}

#[test]
fn yahoo_reaches_its_thirtieth_day_late_in_the_evening_too() {
    let desk = FetchFixture::new(|_| ());
    // 23:59 in New York, with an hour more behind it since daylight saving ended.
    desk.clock.jump((6 * 60 + 59) * 60_000);
    let witness = RecordingProgress::default();
    let range = dates("2026-10-22", "2026-11-20");
    let done = fetched(&desk, &yahoo_at(&desk, &witness), &["SPY"], range, &witness).unwrap();
    assert_eq!(done.sessions, session_dates(range).len());
}

/// The flat files at the desk's server.
fn files<'a>(desk: &'a FetchFixture, witness: &'a RecordingProgress) -> FlatFiles<'a> {
    let (access, secret) = (Secret::new("an-identifier").unwrap(), Secret::new(TEST_KEY).unwrap());
    FlatFiles::new(desk.server.url().parse().unwrap(), Some((&access, &secret)), &[], &desk.clock, witness).unwrap()
}

/// Returns the rows that a flat file has of a ticker; it has no mean prices.
fn filed(ticker: &str, date: Date) -> Vec<Row> {
    let bars = market::bars_of(&Instrument::parse(ticker).unwrap(), date);
    bars.iter().map(|bar| Row { vwap: None, ..row_of(bar, ticker.starts_with("I:")) }).collect()
}

#[test]
fn a_flat_file_gives_the_rows_of_the_tickers_wanted() {
    let desk = FetchFixture::new(|_| ());
    let witness = RecordingProgress::default();
    let date: Date = "2025-06-03".parse().unwrap();
    for (class, wanted) in [
        (Class::Stocks, vec!["QQQ", "SPY"]),
        (Class::Indices, vec!["I:SPX", "I:VIX1D"]),
        (Class::Options, vec!["O:SPY250603C00600000", "O:SPXW250603P06000000"]),
    ] {
        let day = files(&desk, &witness).day(class, date, &|ticker| wanted.contains(&ticker)).unwrap().unwrap();
        let expected: BTreeMap<String, Vec<Row>> = wanted
            .iter()
            .map(|ticker| ((*ticker).to_owned(), filed(ticker, date)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        assert_eq!(day.rows, expected, "{class:?}");
        assert_eq!(day.sha256.len(), 64);
    }
    assert_eq!(files(&desk, &witness).day(Class::Stocks, "2025-07-04".parse().unwrap(), &|_| true).unwrap(), None);
    desk.assert_key_kept();
}

#[test]
fn a_flat_file_that_is_refused_or_cut() {
    let day = |faults: Vec<(usize, Fault)>, allowed: bool| {
        let desk = FetchFixture::new(|rules| (rules.faults, rules.flat_files) = (faults, allowed));
        let witness = RecordingProgress::default();
        let day = files(&desk, &witness).day(Class::Stocks, "2025-06-03".parse().unwrap(), &|ticker| ticker == "SPY");
        desk.assert_key_kept();
        (day, witness.calls())
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
