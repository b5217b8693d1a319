//! Trades file: Parquet or CSV with the same columns, both read back without loss.
//!
//! A row is a position. Its `sales` column lists every sale, so that all cash flows follow from the file alone. `prices` says
//! whether they were `modelled`, or `real` quotes of the contract.

mod read;

use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::civil::Date;
use market_data::DataStamp;
use market_env::{Sale, Setup, Trade};
use polars_core::prelude::{Column, DataFrame, DataType, NamedFrom as _, Series, TimeUnit};
use polars_io::prelude::ParquetWriter;

pub use read::read;

use crate::artifacts::files::sha256_of;

/// Columns of a trades file, in order.
const COLUMNS: [&str; 21] = [
    "symbol",
    "date",
    "expiry",
    "side",
    "strike",
    "entry_utc",
    "exit_utc",
    "minutes_held",
    "contracts",
    "entry_price",
    "exit_price",
    "entry_fees_usd",
    "fees_usd",
    "net_pnl_usd",
    "net_return",
    "reason",
    "setup",
    "sales",
    "lane",
    "prices",
    "data",
];

/// Rows of a trades file.
#[derive(Debug, Clone, PartialEq)]
pub struct TradeLog {
    /// The trades.
    pub trades: Vec<Trade>,
    /// The column `minutes_held`, which also follows from entry and exit.
    pub minutes_held: Vec<i64>,
    /// The column `data`; empty in files that lack it.
    pub data: Vec<DataStamp>,
}

impl TradeLog {
    /// Returns the rows that a file of these trades has.
    pub fn of(trades: Vec<Trade>, data: DataStamp) -> Self {
        let minutes_held = trades.iter().map(Trade::minutes_held).collect();
        Self { minutes_held, data: vec![data; trades.len()], trades }
    }

    /// Returns the rows as columns with their cells in a CSV file.
    pub fn rows(&self) -> impl Iterator<Item = Vec<(&'static str, String)>> {
        let stamp = |row: usize| self.data.get(row).copied().unwrap_or(DataStamp::Market);
        self.trades
            .iter()
            .enumerate()
            .map(move |(row, trade)| COLUMNS.into_iter().zip(cells(trade, stamp(row))).collect())
    }

    /// Returns the SHA-256 of the rows as a CSV file, whatever the format of theirs.
    pub fn sha256(&self) -> String {
        sha256(&self.trades, self.data.first().copied().unwrap_or(DataStamp::Market))
    }
}

/// Returns the SHA-256 of trades as a CSV file, in hexadecimal.
pub fn sha256(trades: &[Trade], data: DataStamp) -> String {
    sha256_of(csv(trades, data))
}

/// Day 0 of Parquet's dates.
pub(crate) const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// Returns a date in the form of Parquet's dates: days since 1970.
pub(crate) fn days_since_epoch(date: Date) -> i32 {
    (date - EPOCH).get_days()
}

/// Formats of a trades file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradesFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
}

impl TradesFormat {
    /// Returns the format named by a file's extension.
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

/// Returns the bytes of a file of trades, in the order given and in the form that its extension names; `data` (`"SYNTHETIC"` or
/// `"market"`) is a column of its own.
///
/// # Errors
/// For an extension that names no form, or trades that Parquet cannot hold.
pub fn encode(path: &Path, trades: &[Trade], data: DataStamp) -> anyhow::Result<Vec<u8>> {
    match TradesFormat::of(path)? {
        TradesFormat::Parquet => parquet(trades, data).with_context(|| format!("writing {}", path.display())),
        TradesFormat::Csv => Ok(csv(trades, data).into_bytes()),
    }
}

/// Names of the setup classes in files.
const SETUPS: [(&str, Setup); 3] =
    [("weak", Setup::Weak), ("bull_strong", Setup::BullStrong), ("bear_strong", Setup::BearStrong)];

pub(crate) fn setup_name(setup: Setup) -> &'static str {
    SETUPS.iter().find(|(_, known)| *known == setup).map_or("", |(name, _)| name)
}

/// Formats an instant as RFC 3339 in UTC.
fn utc(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |time| time.to_string())
}

/// Formats cents as dollars, exactly.
fn usd(cents: i64) -> String {
    let size = cents.unsigned_abs();
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, size / 100, size % 100)
}

/// Formats sales as one text: `2025-06-02T13:35:00Z 3 @ 1.52 fees 2.10 take_profit; …`.
fn sales_text(sales: &[Sale]) -> String {
    let text = |sale: &Sale| {
        let Sale { ts_ns, contracts, price, fees_cents, reason } = sale;
        format!("{} {contracts} @ {price:.2} fees {} {reason}", utc(*ts_ns), usd(*fees_cents))
    };
    sales.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// Returns the cells of a trade in a CSV file, in the order of [`COLUMNS`].
fn cells(trade: &Trade, data: DataStamp) -> [String; 21] {
    let t = trade;
    [
        t.symbol.clone(),
        t.date.to_string(),
        t.expiry.to_string(),
        t.side.name().to_owned(),
        t.strike.to_string(),
        utc(t.entry_ts_ns),
        utc(t.exit_ts_ns),
        t.minutes_held().to_string(),
        t.contracts.to_string(),
        format!("{:.2}", t.entry_price),
        t.exit_price.to_string(),
        usd(t.entry_fees_cents),
        usd(t.fees_cents),
        usd(t.net_pnl_cents),
        t.net_return.to_string(),
        t.reason.to_string(),
        setup_name(t.setup).to_owned(),
        sales_text(&t.sales),
        t.lane.to_string(),
        t.prices.name().to_owned(),
        data.to_string(),
    ]
}

fn csv(trades: &[Trade], data: DataStamp) -> String {
    let rows = trades.iter().map(|trade| cells(trade, data).join(","));
    let lines = std::iter::once(COLUMNS.join(",")).chain(rows);
    lines.map(|line| line + "\n").collect()
}

fn parquet(trades: &[Trade], data: DataStamp) -> anyhow::Result<Vec<u8>> {
    fn text<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    fn real(name: &str, values: impl Iterator<Item = f64>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    fn whole(name: &str, values: impl Iterator<Item = i64>) -> Series {
        Series::new(name.into(), values.collect::<Vec<_>>())
    }
    // Naive nanoseconds; the column's name marks them as UTC.
    let time = DataType::Datetime(TimeUnit::Nanoseconds, None);
    let date = |name: &str, dates: &mut dyn Iterator<Item = Date>| {
        Series::new(name.into(), dates.map(days_since_epoch).collect::<Vec<i32>>()).cast(&DataType::Date)
    };
    let sales: Vec<String> = trades.iter().map(|t| sales_text(&t.sales)).collect();
    let series = [
        text("symbol", trades.iter().map(|t| t.symbol.as_str())),
        date("date", &mut trades.iter().map(|t| t.date))?,
        date("expiry", &mut trades.iter().map(|t| t.expiry))?,
        text("side", trades.iter().map(|t| t.side.name())),
        real("strike", trades.iter().map(|t| t.strike)),
        whole("entry_utc", trades.iter().map(|t| t.entry_ts_ns)).cast(&time)?,
        whole("exit_utc", trades.iter().map(|t| t.exit_ts_ns)).cast(&time)?,
        whole("minutes_held", trades.iter().map(Trade::minutes_held)),
        whole("contracts", trades.iter().map(|t| i64::from(t.contracts))),
        real("entry_price", trades.iter().map(|t| t.entry_price)),
        real("exit_price", trades.iter().map(|t| t.exit_price)),
        real("entry_fees_usd", trades.iter().map(|t| t.entry_fees_cents as f64 / 100.0)),
        real("fees_usd", trades.iter().map(|t| t.fees_cents as f64 / 100.0)),
        real("net_pnl_usd", trades.iter().map(|t| t.net_pnl_cents as f64 / 100.0)),
        real("net_return", trades.iter().map(|t| t.net_return)),
        text("reason", trades.iter().map(|t| t.reason.name())),
        text("setup", trades.iter().map(|t| setup_name(t.setup))),
        text("sales", sales.iter().map(String::as_str)),
        whole("lane", trades.iter().map(|t| i64::from(t.lane))),
        text("prices", trades.iter().map(|t| t.prices.name())),
        text("data", trades.iter().map(|_| data.as_str())),
    ];
    let mut frame = DataFrame::new_infer_height(series.into_iter().map(Column::from).collect())?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use market_env::{ExitReason, PriceOrigin, action::Action};
    use polars_io::prelude::{ParquetReader, SerReader as _};

    use super::*;

    pub(super) fn trade() -> Trade {
        let sale = |ts_ns, price, reason| Sale { ts_ns, contracts: 1, price, fees_cents: 130, reason };
        Trade {
            lane: 1,
            symbol: "SPX".to_owned(),
            date: jiff::civil::date(2025, 6, 2),
            side: Action::BuyPut,
            strike: 5905.0,
            expiry: jiff::civil::date(2025, 6, 3),
            entry_ts_ns: 1_748_871_060_000_000_000,
            exit_ts_ns: 1_748_871_300_000_000_000,
            contracts: 2,
            entry_price: 4.1,
            entry_fees_cents: 240,
            sales: vec![
                sale(1_748_871_240_000_000_000, 4.0, ExitReason::TakeProfit),
                sale(1_748_871_300_000_000_000, 3.85, ExitReason::StopLoss),
            ],
            exit_price: 3.925,
            fees_cents: 500,
            net_pnl_cents: -4_000,
            net_return: -4_000.0 / 82_240.0,
            reason: ExitReason::StopLoss,
            setup: Setup::BearStrong,
            prices: PriceOrigin::Real,
        }
    }

    #[test]
    fn csv_holds_every_column() {
        let text = csv(&[trade()], DataStamp::Synthetic);
        let (heading, row) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(heading.split(',').count(), row.split(',').count());
        assert_eq!(
            row,
            "SPX,2025-06-02,2025-06-03,BUY_PUT,5905,2025-06-02T13:31:00Z,2025-06-02T13:35:00Z,4,2,4.10,3.925,2.40,5.00,\
             -40.00,-0.048638132295719845,stop_loss,bear_strong,2025-06-02T13:34:00Z 1 @ 4.00 fees 1.30 take_profit; \
             2025-06-02T13:35:00Z 1 @ 3.85 fees 1.30 stop_loss,1,real,SYNTHETIC"
        );
        assert_eq!([usd(0), usd(-5), usd(123_456)], ["0.00", "-0.05", "1234.56"]);
    }

    #[test]
    fn parquet_holds_every_column() {
        let frame = |trades: &[Trade]| {
            ParquetReader::new(Cursor::new(parquet(trades, DataStamp::Market).unwrap())).finish().unwrap()
        };
        let two = frame(&[trade(), trade()]);
        assert_eq!(two.shape(), (2, csv(&[], DataStamp::Market).split(',').count()));
        assert_eq!(two.column("net_pnl_usd").unwrap().f64().unwrap().get(1), Some(-40.0));
        assert_eq!(two.column("date").unwrap().dtype(), &DataType::Date);
        assert_eq!(two.column("reason").unwrap().str().unwrap().get(0), Some("stop_loss"));
        assert_eq!(frame(&[]).shape(), (0, two.width()));
        let error = encode(Path::new("trades.xlsx"), &[], DataStamp::Market).unwrap_err();
        assert!(error.to_string().contains(".parquet or .csv"), "{error}");
    }
}
