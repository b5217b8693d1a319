//! The file of trades: Parquet for machines, CSV for eyes, the same columns in both.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, bail};
use market_env::{Setup, Trade};
use polars::prelude::{Column, DataFrame, DataType, NamedFrom as _, ParquetWriter, Series, TimeUnit};

/// Forms of a trades file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradesFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
}

impl TradesFormat {
    /// Returns the form that a file's extension names.
    ///
    /// # Errors
    /// For any extension but `parquet` and `csv`.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => bail!("{}: a trades file ends in .parquet or .csv", path.display()),
        }
    }
}

/// Writes trades in the order given; `data` (`"SYNTHETIC"` or `"market"`) is a column of its own.
///
/// # Errors
/// When the file cannot be written; an earlier one is intact then.
pub fn write(path: &Path, trades: &[Trade], data: &str) -> anyhow::Result<()> {
    let bytes = match TradesFormat::of(path)? {
        TradesFormat::Parquet => parquet(trades, data).with_context(|| format!("writing {}", path.display()))?,
        TradesFormat::Csv => csv(trades, data).into_bytes(),
    };
    Ok(ppo_agent::write_atomically(path, &bytes)?)
}

fn setup_name(setup: Setup) -> &'static str {
    match setup {
        Setup::Weak => "weak",
        Setup::BullStrong => "bull_strong",
        Setup::BearStrong => "bear_strong",
    }
}

fn csv(trades: &[Trade], data: &str) -> String {
    let mut out = "symbol,date,side,strike,entry_utc,exit_utc,minutes_held,contracts,entry_price,exit_price,fees_usd,\
                   net_pnl_usd,net_return,reason,setup,data\n"
        .to_owned();
    let time =
        |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |t| t.to_string());
    for t in trades {
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{data}",
            t.symbol,
            t.date,
            t.side.name(),
            t.strike,
            time(t.entry_ts_ns),
            time(t.exit_ts_ns),
            t.minutes_held(),
            t.contracts,
            t.entry_price,
            t.exit_price,
            t.fees_cents as f64 / 100.0,
            t.net_pnl_cents as f64 / 100.0,
            t.net_return,
            t.reason,
            setup_name(t.setup)
        );
    }
    out
}

fn parquet(trades: &[Trade], data: &str) -> anyhow::Result<Vec<u8>> {
    fn text<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    fn real(name: &str, values: impl Iterator<Item = f64>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    fn whole(name: &str, values: impl Iterator<Item = i64>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    // Naive nanoseconds; the column's name says that they are UTC.
    let time = DataType::Datetime(TimeUnit::Nanoseconds, None);
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = trades.iter().map(|t| (t.date - epoch).get_days());
    let series = [
        text("symbol", trades.iter().map(|t| t.symbol.as_str())),
        Series::new("date".into(), days.collect::<Vec<i32>>()).cast(&DataType::Date)?,
        text("side", trades.iter().map(|t| t.side.name())),
        real("strike", trades.iter().map(|t| t.strike)),
        whole("entry_utc", trades.iter().map(|t| t.entry_ts_ns)).cast(&time)?,
        whole("exit_utc", trades.iter().map(|t| t.exit_ts_ns)).cast(&time)?,
        whole("minutes_held", trades.iter().map(Trade::minutes_held)),
        whole("contracts", trades.iter().map(|t| i64::from(t.contracts))),
        real("entry_price", trades.iter().map(|t| t.entry_price)),
        real("exit_price", trades.iter().map(|t| t.exit_price)),
        real("fees_usd", trades.iter().map(|t| t.fees_cents as f64 / 100.0)),
        real("net_pnl_usd", trades.iter().map(|t| t.net_pnl_cents as f64 / 100.0)),
        real("net_return", trades.iter().map(|t| t.net_return)),
        text("reason", trades.iter().map(|t| t.reason.as_str())),
        text("setup", trades.iter().map(|t| setup_name(t.setup))),
        text("data", trades.iter().map(|_| data)),
    ];
    let mut frame = DataFrame::new_infer_height(series.into_iter().map(Column::from).collect())?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Cursor};

    use market_env::action::Action;
    use polars::prelude::{ParquetReader, SerReader as _};

    use super::*;

    fn trade() -> Trade {
        Trade {
            lane: 1,
            symbol: "SPX".to_owned(),
            date: jiff::civil::date(2025, 6, 2),
            side: Action::BuyPut,
            strike: 5905.0,
            entry_ts_ns: 1_748_871_060_000_000_000,
            exit_ts_ns: 1_748_871_300_000_000_000,
            contracts: 2,
            entry_price: 4.1,
            exit_price: 3.9,
            fees_cents: 260,
            net_pnl_cents: -4_260,
            net_return: -0.05,
            reason: "stop_loss".to_owned(),
            setup: Setup::BearStrong,
        }
    }

    #[test]
    fn csv_holds_every_column() {
        let text = csv(&[trade()], "SYNTHETIC");
        let (heading, row) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(heading.split(',').count(), row.split(',').count());
        assert_eq!(
            row,
            "SPX,2025-06-02,BUY_PUT,5905,2025-06-02T13:31:00Z,2025-06-02T13:35:00Z,4,2,4.1,3.9,2.6,-42.6,-0.05,stop_loss,\
             bear_strong,SYNTHETIC"
        );
    }

    #[test]
    fn parquet_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trades.parquet");
        write(&path, &[trade(), trade()], "market").unwrap();
        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        assert_eq!(frame.shape(), (2, 16));
        assert_eq!(frame.column("net_pnl_usd").unwrap().f64().unwrap().get(1), Some(-42.6));
        assert_eq!(frame.column("date").unwrap().dtype(), &DataType::Date);
        assert_eq!(frame.column("reason").unwrap().str().unwrap().get(0), Some("stop_loss"));
        let empty = parquet(&[], "market").unwrap();
        assert_eq!(ParquetReader::new(Cursor::new(empty)).finish().unwrap().shape(), (0, 16));
        assert!(
            write(&folder.path().join("trades.xlsx"), &[], "market")
                .unwrap_err()
                .to_string()
                .contains(".parquet or .csv")
        );
    }
}
