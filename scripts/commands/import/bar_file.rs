//! Bars as a Parquet file with the project's own columns.

use market_data::Bars;
use polars_core::prelude::{
    Column, DataFrame, IntoColumn as _, IntoSeries as _, NamedFrom as _, Series, TimeUnit, TimeZone,
};
use polars_io::prelude::ParquetWriter;

/// Returns the bytes of a Parquet file: `timestamp` as a UTC date-time in microseconds, prices and volume as doubles.
///
/// # Errors
/// When the table cannot be encoded.
pub(super) fn parquet(bars: &Bars) -> anyhow::Result<Vec<u8>> {
    let times: Vec<i64> = bars.ts_ns().iter().map(|ns| ns / 1_000).collect();
    let times = Series::new("timestamp".into(), times);
    let times = times.i64()?.clone().into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let numbers = |name: &str, values: &[f64]| Series::new(name.into(), values).into_column();
    let columns: Vec<Column> = vec![
        times.into_series().into_column(),
        numbers("open", bars.open()),
        numbers("high", bars.high()),
        numbers("low", bars.low()),
        numbers("close", bars.close()),
        numbers("volume", bars.volume()),
    ];
    let mut table = DataFrame::new_infer_height(columns)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut table)?;
    Ok(bytes)
}
