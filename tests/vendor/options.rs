//! Options: the contracts around each day's price range, their minute bars, and the reference data.

use std::collections::BTreeSet;

use jiff::civil::Date;
use market_data::{
    DateRange, OptionStamp, Right, Symbol, calendar,
    source::{
        cache::{CachedSeries, Kind, OptionRow},
        fetch::FetchOptions,
        option_files::load_options,
        vendor::{
            Adjustment, Clock as _, Contract, OptionVendor, Pace, Row, Secret, VendorError,
            alpaca::{Alpaca, Feed},
            grid,
        },
    },
};

use crate::{
    util,
    vendor::{
        fake_vendor::{DEFAULT_NOW_MS, Fault, TEST_KEY, market},
        fetch_fixture::{FetchFixture, RecordingProgress, dates, expected, row_of},
    },
};

const AROUND: u32 = 1;

/// Returns the expected contracts of a day: calls and puts at every strike within `AROUND` steps of the day's range.
fn expected_contracts(name: &str, date: Date) -> BTreeSet<String> {
    let (root, step) = if name == "SPX" { ("SPXW", 5.0) } else { (name, 1.0) };
    let rows = expected(name, date);
    let low = rows.iter().map(|row| row.low).fold(f64::MAX, f64::min);
    let high = rows.iter().map(|row| row.high).fold(f64::MIN, f64::max);
    let first = (low / step).round() as i64 - i64::from(AROUND);
    let last = (high / step).round() as i64 + i64::from(AROUND);
    let day = date.strftime("%y%m%d");
    let ticker = |side: char, at: i64| format!("{root}{day}{side}{:08}", (at as f64 * step * 1_000.0) as u64);
    (first..=last).flat_map(|at| [ticker('C', at), ticker('P', at)]).collect()
}

fn series(fixture: &FetchFixture, vendor: &'static str, name: &str) -> CachedSeries {
    fixture.cache().series(vendor, Adjustment::Raw, Kind::Options, &Symbol::new(name).unwrap())
}

/// Asserts that the cache holds exactly the minutes of the expected contracts.
fn assert_exact(
    fixture: &FetchFixture,
    vendor: &'static str,
    name: &str,
    range: DateRange,
    change: impl Fn(Row) -> Row,
) {
    let mut rows: Vec<OptionRow> = Vec::new();
    for session in calendar::sessions(range.first, range.last) {
        for ticker in expected_contracts(name, session.date) {
            let contract = market::Contract::parse(&ticker).unwrap();
            let right = if contract.call { Right::Call } else { Right::Put };
            let bars = market::regular(&format!("O:{ticker}"), session.date);
            rows.extend(bars.iter().map(|bar| OptionRow {
                underlying: name.to_owned(),
                expiry: contract.expiry,
                strike: contract.strike,
                right,
                row: change(row_of(bar, false)),
            }));
        }
    }
    let key = |row: &OptionRow| (row.row.ts_ns, (row.strike * 1_000.0) as u64, row.right);
    rows.sort_by_key(key);
    let mut stored: Vec<OptionRow> = series(fixture, vendor, name).rows(range).unwrap();
    stored.sort_by_key(key);
    assert!(rows.len() > 1_000, "there are minutes to compare");
    assert_eq!(stored, rows, "{name}");
}

/// Fetches options of a symbol from Massive, like a program that has just started.
fn fetch_from(
    fixture: &FetchFixture,
    name: &str,
    range: DateRange,
    progress: &RecordingProgress,
) -> Result<usize, VendorError> {
    let massive = fixture.massive(progress);
    let symbol = Symbol::new(name).unwrap();
    fixture.fetcher(&massive, &fixture.cache(), progress).fetch_options(&massive, &symbol, range, AROUND, &mut |_| ())
}

#[test]
fn the_contracts_of_each_day_follow_from_its_range() {
    let fixture = FetchFixture::new(|_| ());
    let range = dates("2025-06-30", "2025-07-03");
    let progress = RecordingProgress::default();
    for name in ["SPY", "SPX"] {
        let symbol = Symbol::new(name).unwrap();
        let massive = fixture.massive(&progress);
        let before = fixture
            .fetcher(&massive, &fixture.cache(), &progress)
            .plan_options(&massive, &symbol, range, AROUND)
            .unwrap();
        assert_eq!(
            (before.days.len(), before.without_spot.len()),
            (0, 4),
            "without bars of the underlying the strikes are unknown"
        );
        fixture.fetch(&[name], range, &progress).unwrap();
        let plan = fixture
            .fetcher(&massive, &fixture.cache(), &progress)
            .plan_options(&massive, &symbol, range, AROUND)
            .unwrap();
        assert_eq!((plan.days.len(), plan.complete), (4, 0));
        for (date, contracts) in &plan.days {
            let tickers: BTreeSet<String> = contracts.iter().map(ToString::to_string).collect();
            assert_eq!(tickers, expected_contracts(name, *date), "{name} {date}");
        }
        assert_eq!(plan.calls, plan.days.iter().map(|(_, contracts)| contracts.len()).sum::<usize>());
    }
}

#[test]
fn option_minutes_survive_interruptions_and_are_requested_once() {
    // Several calls at once, then one page after the other.
    for (name, page_limit, calls_per_minute, stop) in [("SPY", 50_000, 0, 5), ("SPX", 70, 5, 9)] {
        let fixture = FetchFixture { calls_per_minute, ..FetchFixture::new(|rules| rules.page_limit = page_limit) };
        let range = dates("2025-07-02", "2025-07-03");
        fixture.fetch(&[name], range, &RecordingProgress::default()).unwrap();
        let mut starts = 0;
        while let Err(error) = fetch_from(&fixture, name, range, &RecordingProgress::stopping(stop)) {
            assert!(matches!(error, VendorError::Stopped), "{error}");
            starts += 1;
            assert!(starts < 100, "it ends");
        }
        assert!(starts > 1, "it was killed");
        assert_exact(&fixture, "massive", name, range, |row| row);
        if page_limit > 1_000 {
            let (mut requests, calls) = (fixture.requested(), fixture.requested().len());
            requests.sort();
            requests.dedup();
            assert_eq!(requests.len(), calls, "no request is repeated");
        }
        let again = RecordingProgress::default();
        assert_eq!((fetch_from(&fixture, name, range, &again).unwrap(), again.calls()), (0, 0));
        fixture.assert_key_not_leaked();
        let stored: Vec<OptionRow> = series(&fixture, "massive", name).rows(range).unwrap();
        let history = load_options(
            series(&fixture, "massive", name).folder(),
            &name.parse().unwrap(),
            &range,
            OptionStamp::Start,
        )
        .unwrap();
        assert_eq!((history.sessions.len(), history.trades(), history.quotes()), (2, stored.len(), 0), "{name}");
        let volume: f64 = history.sessions.iter().flat_map(|day| &day.trades).map(|trade| trade.volume).sum();
        assert_eq!(volume, stored.iter().filter_map(|row| row.row.volume).sum::<f64>());
    }
}

#[test]
fn a_strike_that_was_never_listed_is_requested_once() {
    let fixture = FetchFixture::new(|rules| rules.options = true);
    let range = dates("2025-07-03", "2025-07-03");
    fixture.fetch(&["SPY"], range, &RecordingProgress::default()).unwrap();
    let missing = Fault::Body(404, r#"{"status":"NOT_FOUND","message":"Option Ticker not found."}"#.to_owned());
    fixture.server.set_faults(vec![(3, missing)]);
    fetch_from(&fixture, "SPY", range, &RecordingProgress::default()).unwrap();
    let again = RecordingProgress::default();
    fetch_from(&fixture, "SPY", range, &again).unwrap();
    assert_eq!(again.calls(), 0);
    fixture.server.set_rules(|rules| rules.options = false);
    let later = dates("2025-07-01", "2025-07-03");
    fixture.fetch(&["SPY"], later, &RecordingProgress::default()).unwrap();
    let text = fetch_from(&fixture, "SPY", later, &RecordingProgress::default()).unwrap_err().to_string();
    assert!(text.contains("minute bars of O:SPY2507") && text.contains("leave it out or change the plan"), "{text}");
}

#[test]
fn one_call_of_alpaca_covers_many_contracts() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 1_000);
    let range = dates("2025-07-02", "2025-07-03");
    let progress = RecordingProgress::default();
    let (key, secret) = (Secret::new("an-identifier").unwrap(), Secret::new(TEST_KEY).unwrap());
    let keys = [(&key, "APCA_API_KEY_ID"), (&secret, "APCA_API_SECRET_KEY")];
    let pace = Pace::new(200, &fixture.cache().calls("alpaca"));
    let alpaca =
        Alpaca::new(fixture.server.url().parse().unwrap(), Some(keys), Feed::Sip, pace, &fixture.clock, &progress);
    let symbols = util::symbols(&["SPY"]);
    fixture
        .fetcher(&alpaca, &fixture.cache(), &progress)
        .fetch(&symbols, range, FetchOptions::default(), &mut |_| ())
        .unwrap();
    let ask = || {
        fixture.fetcher(&alpaca, &fixture.cache(), &progress).fetch_options(
            &alpaca,
            &symbols[0],
            range,
            AROUND,
            &mut |_| (),
        )
    };
    ask().unwrap();
    let mean = |row: &Row| ((row.high + row.low + row.open) / 3.0 * 1e6).round() / 1e6;
    assert_exact(&fixture, "alpaca", "SPY", range, |row| Row { vwap: Some(mean(&row)), ..row });
    let calls = progress.calls();
    assert_eq!((ask().unwrap(), progress.calls()), (0, calls));
}

#[test]
fn contracts_of_a_past_day_are_the_listed_ones() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 7);
    let progress = RecordingProgress::default();
    let date: Date = "2025-06-03".parse().unwrap();
    for (name, low, high) in [("SPY", 596.0, 604.0), ("SPX", 5_970.0, 6_050.0)] {
        let listed = fixture.massive(&progress).contracts(&name.parse().unwrap(), date, low, high).unwrap();
        let mut found: Vec<String> = listed.iter().map(|row| row.ticker.clone()).collect();
        let all = market::contracts(name, date);
        let inside = all.iter().filter(|contract| (low..=high).contains(&contract.strike));
        let mut expected: Vec<String> = inside.map(market::option_ticker).collect();
        found.sort();
        expected.sort();
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "{name}");
        assert!(listed.iter().all(|row| row.expiration_date == date && row.shares_per_contract == Some(100.0)));
    }
}

#[test]
fn missing_values_of_a_chain_are_none() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 20);
    let progress = RecordingProgress::default();
    let massive = fixture.massive(&progress);
    let date: Date = "2026-11-23".parse().unwrap();
    for name in ["SPY", "SPX"] {
        let chain = massive.chain(&name.parse().unwrap(), date).unwrap();
        assert_eq!(chain.len(), market::contracts(name, date).len(), "{name}");
        let without = chain.iter().filter(|row| row.greeks.is_none_or(|greeks| greeks.delta.is_none())).count();
        let silent = chain.iter().filter(|row| row.implied_volatility.is_none()).count();
        assert!(without > 0 && without < chain.len() / 3 && silent == without, "{name}: {without}, {silent}");
        let spot = chain[0].underlying_asset.unwrap();
        assert!((if name == "SPX" { spot.value } else { spot.price }).is_some_and(|spot| spot > 0.0));
        assert!(chain.iter().all(|row| row.last_quote.is_none() && row.open_interest.is_some()));
    }
    fixture.server.set_rules(|rules| rules.snapshots = false);
    let text = massive.chain(&"SPY".parse().unwrap(), date).unwrap_err().to_string();
    assert!(text.contains("the chain of SPY that expires on 2026-11-23"), "{text}");
}

#[test]
fn greeks_of_a_past_day_are_parsed() {
    let fixture = FetchFixture::new(|rules| rules.page_limit = 50);
    let progress = RecordingProgress::default();
    let date: Date = "2026-11-18".parse().unwrap();
    let greeks = fixture.massive(&progress).greeks(&"SPX".parse().unwrap(), date).unwrap();
    let of_both = ["2026-11-18", "2026-11-19"].map(|day| market::contracts("SPX", day.parse().unwrap()).len());
    assert_eq!(greeks.len(), of_both[0] + of_both[1]);
    assert!(greeks.iter().all(|row| row.date == date && row.implied_volatility == Some(market::VOLATILITY)));
    let call = greeks.iter().find(|row| row.ticker.contains("261119C")).unwrap();
    assert!(call.greeks.delta.is_some_and(|delta| (0.0..=1.0).contains(&delta)), "{call:?}");
    assert!(fixture.clock.now_ms() >= DEFAULT_NOW_MS);
}

#[test]
fn one_call_of_massive_covers_one_contract() {
    let fixture = FetchFixture::new(|_| ());
    let progress = RecordingProgress::default();
    let contracts: Vec<Contract> =
        grid(&"SPY".parse().unwrap(), "2025-06-03".parse().unwrap(), 600.0, 600.5, 0).into_iter().take(2).collect();
    let massive = fixture.massive(&progress);
    let minutes = massive.option_minutes(&contracts, contracts[0].expiry).unwrap();
    assert_eq!((massive.batch(), progress.calls(), minutes.bodies.len()), (1, 2, 2));
}
