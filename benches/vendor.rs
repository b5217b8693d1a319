//! Cost of a fetch and of a start from the cache, without the network: parsing a full page, and reading back a year.

use std::{fmt::Write as _, hint::black_box};

use criterion::{Criterion, Throughput};
use jiff::civil::date;
use market_data::{
    DateRange, Symbol, calendar,
    source::{
        cache::{Cache, Kind, SessionRecord},
        vendor::{Adjustment, Row, Rows, massive::parse_aggregates},
    },
};

/// Nanoseconds of a minute.
const MINUTE_NS: i64 = 60_000_000_000;
/// Rows of a full page.
const PAGE: usize = 50_000;

/// Parses a full page of bars and checks its rows.
pub(crate) fn page(criterion: &mut Criterion) {
    // Four hours before the open to four after the close, as the vendor sends it.
    let rows = rows(PAGE, 330 * MINUTE_NS, 240 * MINUTE_NS);
    let body = body(&rows);
    let mut group = criterion.benchmark_group("vendor_page");
    group.throughput(Throughput::Bytes(body.len() as u64)).sample_size(20);
    group.bench_function("massive", |bencher| {
        bencher.iter(|| {
            let mut checked = Rows::default();
            checked.add(&parse_aggregates(black_box(&body)).expect("a sound body"), false).expect("sound rows");
            assert_eq!(checked.kept.len() + checked.outside, PAGE);
            assert!(checked.kept.len() > PAGE / 3);
        });
    });
}

/// Reads a year of one symbol from the cache, digests and checks included.
pub(crate) fn cached_year(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the cache");
    let symbol = Symbol::new("SPY").expect("a symbol");
    let series = Cache::new(folder.path()).series("massive", Adjustment::Split, Kind::Minute, &symbol);
    let year = DateRange { first: date(2025, 1, 1), last: date(2025, 12, 31) };
    let count = calendar::sessions(year.first, year.last).iter().map(calendar::Session::minutes).sum();
    let rows = rows(count, 0, 0);
    let sessions = rows.chunk_by(|a, b| calendar::exchange_date(a.ts_ns) == calendar::exchange_date(b.ts_ns));
    let session = |rows: &[Row]| (calendar::exchange_date(rows[0].ts_ns), SessionRecord::default(), rows.to_vec());
    series.store(sessions.map(session).collect()).expect("a cache that can be written");
    let mut group = criterion.benchmark_group("vendor_cache");
    group.throughput(Throughput::Elements(count as u64)).sample_size(20);
    group.bench_function("year", |bencher| {
        bencher.iter(|| {
            let (bars, _) = series.bars(black_box(year)).expect("a cache that can be read");
            assert_eq!(bars.len(), count);
        });
    });
}

/// Returns this number of minutes from the first of 2025 on, including the given time before the open and after the
/// close.
fn rows(count: usize, before: i64, after: i64) -> Vec<Row> {
    let sessions = calendar::sessions(date(2025, 1, 1), date(2026, 12, 31));
    let minutes = sessions
        .iter()
        .flat_map(|session| (session.open_ns - before..session.close_ns + after).step_by(MINUTE_NS as usize));
    let row = |(at, ts_ns): (usize, i64)| {
        let open = 600.0 + (at % 997) as f64 / 64.0;
        let (volume, vwap, trades) = (Some(at as f64 + 0.25), Some(open + 0.01), Some(7.0));
        Row { ts_ns, open, high: open + 0.5, low: open - 0.5, close: open + 0.125, volume, vwap, trades }
    };
    minutes.take(count).enumerate().map(row).collect()
}

fn body(rows: &[Row]) -> Vec<u8> {
    let mut text = r#"{"ticker":"SPY","status":"OK","results":["#.to_owned();
    for (at, row) in rows.iter().enumerate() {
        let Row { ts_ns, open, high, low, close, volume, vwap, trades } = row;
        let comma = if at > 0 { "," } else { "" };
        let (volume, vwap, trades) = (volume.unwrap_or(0.0), vwap.unwrap_or(0.0), trades.unwrap_or(0.0));
        let t = ts_ns / 1_000_000;
        let _ = write!(
            text,
            r#"{comma}{{"v":{volume},"vw":{vwap},"o":{open},"c":{close},"h":{high},"l":{low},"t":{t},"n":{trades}}}"#
        );
    }
    text.push_str("]}");
    text.into_bytes()
}
