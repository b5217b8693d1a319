//! Property tests with malformed bodies: no parser panics, and no contradictory row is kept.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    Row, Rows,
    alpaca::parse_bars,
    massive::{flat_files::parse_table, parse_aggregates},
    yahoo::parse_chart,
};
use crate::calendar;

/// One valid body of each kind.
const VALID: [&str; 4] = [
    r#"{"ticker":"SPY","status":"OK","request_id":"0","next_url":"http://127.0.0.1/v2/aggs/ticker/SPY/","results":[
        {"v":6319.407237,"vw":600.37,"o":600.06,"c":600.53,"h":600.84,"l":599.22,"t":1748871000000,"n":454},
        {"v":7.06e+07,"o":600,"c":600,"h":600,"l":600,"t":1748871060000}]}"#,
    r#"{"bars":{"SPY":[{"t":"2025-06-02T13:30:00Z","o":600,"h":600.84,"l":599.31,"c":600.61,"v":85998033,"n":732,
        "vw":600.7}]},"next_page_token":"QUFQTA=="}"#,
    r#"{"chart":{"result":[{"meta":{"symbol":"SPY"},"timestamp":[1748871000,1748871060],"indicators":{"quote":[
        {"open":[1,null],"high":[1,1],"low":[1,1],"close":[1,1],"volume":[0,5]}]}}],"error":null}}"#,
    "ticker,volume,open,close,high,low,window_start,transactions\n\
     SPY,17798.430378,600.29,600.5,600.63,600.1,1748871060000000000,129\n\
     SPY,4930,600,600.2,600.63,600,1748871000000000000,57\n",
];
/// Texts that replace parts of a valid body.
const REPLACEMENTS: [&str; 12] =
    ["null", "-1", "1e999", "9223372036854775807", "\"\"", "[]", "{}", "NaN", "0", ",", "\u{0}", "\u{1f980}"];

/// Passes a body to every parser, and the parsed rows to the checks.
fn parse_all(body: &[u8]) {
    let mut kinds = vec![parse_aggregates(body).unwrap_or_default(), parse_chart(body).unwrap_or_default()];
    kinds.extend(parse_bars(body).unwrap_or_default().rows.into_values());
    kinds.extend(parse_table(body, &|_| true).unwrap_or_default().into_values());
    for rows in kinds {
        for drop_bad in [false, true] {
            check(&rows, drop_bad);
        }
    }
}

/// Adds rows page by page and asserts that the kept rows are in order and consistent.
fn check(rows: &[Row], drop_bad: bool) {
    let mut kept = Rows::default();
    for page in rows.chunks(3) {
        let _ = kept.add(page, drop_bad);
    }
    assert!(kept.kept.windows(2).all(|pair| pair[0].ts_ns < pair[1].ts_ns), "in order: {:?}", kept.kept);
    for row in &kept.kept {
        let Row { ts_ns, open, high, low, close, volume, .. } = *row;
        let prices = [open, high, low, close];
        assert!(prices.iter().all(|price| price.is_finite() && *price > 0.0), "{row:?}");
        assert!(low <= open.min(close) && open.max(close) <= high, "{row:?}");
        assert!(volume.is_none_or(|volume| volume.is_finite() && volume >= 0.0), "{row:?}");
        let session = calendar::session(calendar::exchange_date(ts_ns)).expect("rows are kept inside sessions only");
        assert!((session.open_ns..session.close_ns).contains(&ts_ns) && ts_ns % 60_000_000_000 == 0, "{row:?}");
    }
}

/// Prices and volumes, some of them invalid.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 9.0..11.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, 0.0, -1.0, 10.0, f64::MIN_POSITIVE]),
    ]
}

/// Rows around the open of a half day, most of them on whole minutes.
fn row() -> impl Strategy<Value = Row> {
    let time = prop_oneof![8 => (-3..230_i64).prop_map(|at| at * 60_000_000_000), 1 => any::<i64>()];
    (time, [number(), number(), number(), number()], prop::option::of(number())).prop_map(|(time, prices, volume)| {
        let open = calendar::session(jiff::civil::date(2025, 7, 3)).map_or(0, |session| session.open_ns);
        let [open_price, high, low, close] = prices;
        let (ts_ns, trades) = (time.saturating_add(open), None);
        Row { ts_ns, open: open_price, high, low, close, volume, vwap: None, trades }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_parser_panics_on_arbitrary_bytes(body in vec(any::<u8>(), 0..400)) {
        parse_all(&body);
    }

    #[test]
    fn no_parser_panics_on_a_corrupted_body(
        kind in 0..VALID.len(),
        changes in vec((any::<Index>(), any::<Index>(), 0..REPLACEMENTS.len(), 0..8_usize), 1..6),
    ) {
        let mut body = VALID[kind].as_bytes().to_vec();
        for (from, other, odd, length) in changes {
            let at = from.index(body.len().max(1)).min(body.len());
            let end = (at + length).min(body.len());
            let text = if odd == 0 { vec![other.index(256) as u8] } else { REPLACEMENTS[odd].as_bytes().to_vec() };
            body.splice(at..end, text);
        }
        parse_all(&body);
    }

    #[test]
    fn contradictory_and_unordered_rows_are_never_kept(
        mut rows in vec(row(), 0..40),
        sorted in any::<bool>(),
        drop_bad in any::<bool>(),
    ) {
        if sorted {
            rows.sort_by_key(|row| row.ts_ns);
        }
        check(&rows, drop_bad);
    }
}

#[test]
fn valid_bodies_are_parsed() {
    let rows = VALID.map(str::as_bytes);
    assert_eq!(parse_aggregates(rows[0]).map(|rows| rows.len()), Ok(2));
    assert_eq!(parse_bars(rows[1]).map(|page| page.rows.len()), Ok(1));
    assert_eq!(parse_chart(rows[2]).map(|rows| rows.len()), Ok(1));
    assert_eq!(parse_table(rows[3], &|_| true).map(|rows| rows["SPY"].len()), Ok(2));
}
