//! Fuzz target: passes any bytes to the parsers of all vendors, and the parsed rows to the checks. None may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use market_data::source::{
    vendor::{
        alpaca::parse_bars,
        massive::{flat_files::parse_table, parse_aggregates},
        Rows,
        yahoo::parse_chart,
    },
};

fuzz_target!(|body: &[u8]| {
    let mut kinds = vec![parse_aggregates(body).unwrap_or_default(), parse_chart(body).unwrap_or_default()];
    kinds.extend(parse_bars(body).unwrap_or_default().rows.into_values());
    kinds.extend(parse_table(body, &|_| true).unwrap_or_default().into_values());
    for rows in kinds {
        let mut kept = Rows::default();
        let _ = kept.add(&rows, true);
        assert!(kept.kept.windows(2).all(|pair| pair[0].ts_ns < pair[1].ts_ns));
        assert!(kept.kept.iter().all(|row| row.low > 0.0 && row.low <= row.high && row.high.is_finite()));
    }
});
