//! Published bodies of vendors, if present: each parser accepts the valid ones and refuses errors.

use std::path::PathBuf;

use market_data::source::vendor::{
    alpaca::parse_bars,
    massive::{flat_files::parse_table, parse_aggregates},
    yahoo::parse_chart,
};

use crate::vendor::{
    fake_vendor::Fault,
    fetch_fixture::{FetchFixture, RecordingProgress},
};

/// Returns the recorded bodies by name; prints a reason if there are none.
fn bodies(wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/fixtures");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not present", folder.display());
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    named.filter(|(name, _)| wanted(name)).map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

#[test]
fn aggregates_are_parsed_and_errors_are_refused() {
    for (name, body) in bodies(|name| name.starts_with("aggs_") && name.ends_with(".json")) {
        let rows = parse_aggregates(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rows.is_empty(), name.contains("empty"), "{name}");
        let priced = rows.iter().all(|row| row.high >= row.low && row.low > 0.0 && row.ts_ns > 0);
        assert!(priced, "{name}: {rows:?}");
        assert_eq!(rows.iter().any(|row| row.volume.is_some()), !name.contains("index") && !rows.is_empty(), "{name}");
    }
    for (name, body) in bodies(|name| name.starts_with("err_")) {
        assert!(parse_aggregates(&body).is_err(), "{name}");
    }
}

#[test]
fn bars_and_charts_are_parsed_and_errors_are_refused() {
    for (name, body) in bodies(|name| name.starts_with("alpaca_")) {
        let rows = parse_bars(&body).map(|page| page.rows.values().map(Vec::len).sum::<usize>());
        assert_eq!(rows.is_err(), name.contains("_err_"), "{name}: {rows:?}");
        assert!(rows.is_err() || rows == Ok(if name.contains("empty") { 0 } else { 2 }), "{name}: {rows:?}");
    }
    for (name, body) in bodies(|name| name.starts_with("yahoo_")) {
        let rows = parse_chart(&body);
        assert_eq!(rows.is_err(), name.contains("_err_"), "{name}: {rows:?}");
    }
}

#[test]
fn tables_are_parsed() {
    for (name, body) in bodies(|name| name.starts_with("flatfile_")) {
        let rows = parse_table(&body[..], &|_| true).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rows.values().all(|rows| rows.windows(2).all(|pair| pair[0].ts_ns < pair[1].ts_ns)), "{name}");
        assert_eq!(rows.values().map(Vec::len).sum::<usize>(), if name.contains("index") { 1 } else { 2 }, "{name}");
    }
}

/// Serves recorded bodies, one per call, with their addresses on the fake server.
fn serving(names: &[&str]) -> Option<FetchFixture> {
    let recorded = bodies(|name| names.contains(&name));
    if recorded.is_empty() {
        return None;
    }
    let fixture = FetchFixture::new(|_| ());
    let body = |name: &&str| {
        let (_, body) = recorded.iter().find(|(found, _)| found == name).unwrap();
        String::from_utf8(body.clone()).unwrap().replace("https://api.massive.com", &fixture.server.url())
    };
    fixture.server.set_faults(names.iter().map(|name| Fault::Body(200, body(name))).enumerate().collect());
    Some(fixture)
}

#[test]
fn lists_of_contracts_and_chains_are_parsed() {
    let (symbol, date) = ("EVRI".parse().unwrap(), "2024-01-19".parse().unwrap());
    let pages = ["options_contracts_page1_official_mock.json", "options_contracts_page2_official_mock.json"];
    if let Some(fixture) = serving(&pages) {
        let progress = RecordingProgress::default();
        let rows = fixture.massive(&progress).contracts(&symbol, date, 0.0, 1e4);
        assert_eq!(progress.calls(), 2, "{rows:?}");
        assert!(rows.unwrap().iter().all(|row| row.ticker.starts_with("O:EVRI") && row.strike_price > 0.0));
    }
    for (name, ticker, count) in [("options_contracts_openapi.json", "AAPL", 2), ("contracts_empty.json", "AAPL", 0)] {
        let Some(fixture) = serving(&[name]) else { continue };
        let progress = RecordingProgress::default();
        let rows = fixture.massive(&progress).contracts(&ticker.parse().unwrap(), date, 0.0, 1e4).unwrap();
        assert_eq!(rows.len(), count, "{name}");
    }
    for name in ["options_chain_official_mock.json", "options_chain_openapi.json"] {
        let Some(fixture) = serving(&[name]) else { continue };
        let progress = RecordingProgress::default();
        let rows = fixture.massive(&progress).chain(&"AAPL".parse().unwrap(), date).unwrap();
        assert!(!rows.is_empty() && rows[0].details.strike_price > 0.0 && rows[0].greeks.is_some(), "{name}: {rows:?}");
    }
}
