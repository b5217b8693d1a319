//! Reader of trades files.

use std::{io, path::Path, str::FromStr};

use anyhow::{Context as _, anyhow, bail, ensure};
use jiff::{Timestamp, ToSpan as _, civil::Date};
use market_data::{DataStamp, input_file, quotation::quoted};
use market_env::{Action, ExitReason, PriceOrigin, Sale, Trade};
use polars_core::prelude::{AnyValue, DataFrame, TimeUnit};
use polars_io::prelude::{ParquetReader, SerReader as _};

use super::{EPOCH, SETUPS, TradeLog, TradesFormat};

/// Returns the rows in file order. Columns may stand in any order; unknown columns are ignored. Files written before the column
/// `prices` existed count as modelled.
///
/// # Errors
/// When the file cannot be read, lacks a column, or a cell is of the wrong kind.
pub fn read(path: &Path) -> anyhow::Result<TradeLog> {
    let log = match TradesFormat::of(path)? {
        TradesFormat::Parquet => open_parquet(path).and_then(|frame| read_rows(frame.height(), &frame)),
        TradesFormat::Csv => input_file::read(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(anyhow::Error::from)
            .and_then(|text| Csv::new(&text).and_then(|csv| read_rows(csv.rows.len(), &csv))),
    };
    log.with_context(|| format!("reading the trades of {}", path.display()))
}

fn open_parquet(path: &Path) -> anyhow::Result<DataFrame> {
    Ok(ParquetReader::new(input_file::open(path)?).finish()?)
}

fn read_rows(rows: usize, cells: &impl Cells) -> anyhow::Result<TradeLog> {
    let mut log = TradeLog { trades: Vec::new(), minutes_held: Vec::new(), data: Vec::new() };
    let mut read = |row| {
        log.trades.push(trade(cells, row)?);
        log.minutes_held.push(i64::from(cells.whole(row, "minutes_held")?));
        if cells.has("data") {
            log.data.push(data_stamp(&cells.text(row, "data")?)?);
        }
        anyhow::Ok(())
    };
    (0..rows).try_for_each(|row| read(row).with_context(|| format!("row {}", row + 1)))?;
    Ok(log)
}

fn data_stamp(text: &str) -> anyhow::Result<DataStamp> {
    let found = [DataStamp::Market, DataStamp::Synthetic].into_iter().find(|stamp| stamp.as_str() == text);
    found.with_context(|| format!("column data: \"{}\" is neither market nor SYNTHETIC", quoted(text)))
}

/// Typed cells of a table, by row and column.
trait Cells {
    fn has(&self, column: &str) -> bool;
    fn text(&self, row: usize, column: &str) -> anyhow::Result<String>;
    fn real(&self, row: usize, column: &str) -> anyhow::Result<f64>;
    fn whole(&self, row: usize, column: &str) -> anyhow::Result<u32>;
    fn date(&self, row: usize, column: &str) -> anyhow::Result<Date>;
    fn time_ns(&self, row: usize, column: &str) -> anyhow::Result<i64>;

    /// Returns an amount of dollars in cents.
    fn cents(&self, row: usize, column: &str) -> anyhow::Result<i64> {
        let cents = self.real(row, column)? * 100.0;
        ensure!((cents - cents.round()).abs() < 1e-4, "column {column}: {} is not in whole cents", cents / 100.0);
        Ok(cents.round() as i64)
    }
}

fn trade(cells: &impl Cells, row: usize) -> anyhow::Result<Trade> {
    let (side, setup) = (cells.text(row, "side")?, cells.text(row, "setup")?);
    let side = Action::ALL.into_iter().find(|action| action.name() == side);
    let setup = SETUPS.into_iter().find(|(name, _)| *name == setup);
    Ok(Trade {
        lane: cells.whole(row, "lane")?,
        symbol: cells.text(row, "symbol")?,
        date: cells.date(row, "date")?,
        side: side.context("column side: not the name of an action")?,
        strike: cells.real(row, "strike")?,
        expiry: cells.date(row, "expiry")?,
        entry_ts_ns: cells.time_ns(row, "entry_utc")?,
        exit_ts_ns: cells.time_ns(row, "exit_utc")?,
        contracts: cells.whole(row, "contracts")?,
        entry_price: cells.real(row, "entry_price")?,
        entry_fees_cents: cells.cents(row, "entry_fees_usd")?,
        sales: sales(&cells.text(row, "sales")?)?,
        exit_price: cells.real(row, "exit_price")?,
        fees_cents: cells.cents(row, "fees_usd")?,
        net_pnl_cents: cells.cents(row, "net_pnl_usd")?,
        net_return: cells.real(row, "net_return")?,
        reason: exit_reason(&cells.text(row, "reason")?, "reason")?,
        setup: setup.context("column setup: not the name of a setup class")?.1,
        prices: if cells.has("prices") { price_origin(&cells.text(row, "prices")?)? } else { PriceOrigin::Modelled },
    })
}

fn price_origin(text: &str) -> anyhow::Result<PriceOrigin> {
    let found = PriceOrigin::ALL.into_iter().find(|origin| origin.name() == text);
    found.with_context(|| format!("column prices: \"{}\" is neither modelled nor real", quoted(text)))
}

fn exit_reason(text: &str, column: &str) -> anyhow::Result<ExitReason> {
    quoted(text).parse().map_err(|error| anyhow!("column {column}: {error}"))
}

/// Reads what `sales_text` writes.
fn sales(text: &str) -> anyhow::Result<Vec<Sale>> {
    let sale = |text: &str| {
        let parts: Vec<&str> = text.split(' ').collect();
        let [time, contracts, "@", price, "fees", fees, reason] = parts[..] else {
            bail!("column sales: \"{}\" is not of the form `TIME CONTRACTS @ PRICE fees DOLLARS REASON`", quoted(text))
        };
        Ok(Sale {
            ts_ns: parsed(time, "sales", "a time").and_then(nanoseconds)?,
            contracts: parsed(contracts, "sales", "a whole number")?,
            price: parsed(price, "sales", "a number")?,
            fees_cents: (parsed::<f64>(fees, "sales", "a number")? * 100.0).round() as i64,
            reason: exit_reason(reason, "sales")?,
        })
    };
    text.split("; ").filter(|part| !part.is_empty()).map(sale).collect()
}

fn parsed<T: FromStr>(cell: &str, column: &str, kind: &str) -> anyhow::Result<T> {
    cell.parse().map_err(|_| anyhow!("column {column}: \"{}\" is not {kind}", quoted(cell)))
}

fn nanoseconds(time: Timestamp) -> anyhow::Result<i64> {
    i64::try_from(time.as_nanosecond()).with_context(|| format!("{time} is not between 1678 and 2262"))
}

/// A CSV file without quoting; no cell of a trades file holds a comma.
struct Csv<'a> {
    heading: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Csv<'a> {
    fn new(text: &'a str) -> anyhow::Result<Self> {
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let heading = lines.next().context("there is no heading")?;
        let rows: Vec<Vec<&str>> = lines.collect();
        let odd = rows.iter().position(|row| row.len() != heading.len());
        if let Some(row) = odd {
            bail!("row {} has {} cells under {} headings", row + 1, rows[row].len(), heading.len());
        }
        Ok(Self { heading, rows })
    }

    fn cell(&self, row: usize, column: &str) -> anyhow::Result<&'a str> {
        let at = self.heading.iter().position(|name| *name == column);
        Ok(self.rows[row][at.with_context(|| format!("there is no column {column}"))?])
    }
}

impl Cells for Csv<'_> {
    fn has(&self, column: &str) -> bool {
        self.heading.contains(&column)
    }

    fn text(&self, row: usize, column: &str) -> anyhow::Result<String> {
        Ok(self.cell(row, column)?.to_owned())
    }

    fn real(&self, row: usize, column: &str) -> anyhow::Result<f64> {
        let value: f64 = parsed(self.cell(row, column)?, column, "a number")?;
        ensure!(value.is_finite(), "column {column}: {value} is not a finite number");
        Ok(value)
    }

    fn whole(&self, row: usize, column: &str) -> anyhow::Result<u32> {
        parsed(self.cell(row, column)?, column, "a whole number")
    }

    fn date(&self, row: usize, column: &str) -> anyhow::Result<Date> {
        parsed(self.cell(row, column)?, column, "a date")
    }

    fn time_ns(&self, row: usize, column: &str) -> anyhow::Result<i64> {
        parsed(self.cell(row, column)?, column, "a time").and_then(nanoseconds)
    }
}

/// Converts a cell, or fails with its column and the expected kind.
fn cell_value<T>(
    frame: &DataFrame,
    (row, column): (usize, &str),
    kind: &str,
    convert: impl FnOnce(&AnyValue<'_>) -> Option<T>,
) -> anyhow::Result<T> {
    let cell = frame.column(column)?.get(row)?;
    convert(&cell).with_context(|| format!("column {column}: {} is not {kind}", quoted(&cell.to_string())))
}

impl Cells for DataFrame {
    fn has(&self, column: &str) -> bool {
        self.column(column).is_ok()
    }

    fn text(&self, row: usize, column: &str) -> anyhow::Result<String> {
        cell_value(self, (row, column), "a text", |cell| cell.get_str().map(str::to_owned))
    }

    fn real(&self, row: usize, column: &str) -> anyhow::Result<f64> {
        cell_value(self, (row, column), "a finite number", |cell| {
            cell.extract().filter(|value: &f64| value.is_finite())
        })
    }

    fn whole(&self, row: usize, column: &str) -> anyhow::Result<u32> {
        cell_value(self, (row, column), "a whole number", |cell| cell.extract())
    }

    fn date(&self, row: usize, column: &str) -> anyhow::Result<Date> {
        cell_value(self, (row, column), "a date", |cell| match cell {
            AnyValue::Date(days) => EPOCH.checked_add(days.days()).ok(),
            _ => None,
        })
    }

    fn time_ns(&self, row: usize, column: &str) -> anyhow::Result<i64> {
        cell_value(self, (row, column), "a time in nanoseconds", |cell| match cell {
            AnyValue::Datetime(ns, TimeUnit::Nanoseconds, _) => Some(*ns),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{encode, tests::trade},
        *,
    };

    #[test]
    fn both_formats_read_back_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let mut unsold = trade();
        (unsold.net_pnl_cents, unsold.fees_cents, unsold.net_return) = (123_456_789, 7, 1.0 / 3.0);
        unsold.sales.clear();
        for name in ["trades.csv", "trades.parquet"] {
            let path = folder.path().join(name);
            for trades in [vec![trade(), unsold.clone()], Vec::new()] {
                std::fs::write(&path, encode(&path, &trades, DataStamp::Market).unwrap()).unwrap();
                assert_eq!(read(&path).unwrap(), TradeLog::of(trades, DataStamp::Market), "{name}");
            }
        }
    }

    #[test]
    fn files_from_before_the_column_prices_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trades.csv");
        std::fs::write(&path, encode(&path, &[trade()], DataStamp::Market).unwrap()).unwrap();
        let older = std::fs::read_to_string(&path).unwrap().replace(",prices", "").replace(",real,", ",");
        std::fs::write(&path, older).unwrap();
        assert_eq!(read(&path).unwrap().trades, [Trade { prices: PriceOrigin::Modelled, ..trade() }]);
    }

    #[test]
    fn every_wrong_cell_is_named_with_its_row_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trades.csv");
        std::fs::write(&path, encode(&path, &[trade(), trade()], DataStamp::Market).unwrap()).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        for (from, to, words) in [
            ("BUY_PUT", "SELL", "column side"),
            ("5905", "x", "column strike: \"x\""),
            ("2025-06-03", "June", "column expiry"),
            (" @ 4.00", " for 4.00", "column sales"),
            ("take_profit", "profit", "column sales: \"profit\" is no exit reason; the reasons are agent, stop_loss"),
            (",stop_loss", ",stop", "column reason: \"stop\" is no exit reason"),
            ("entry_price", "price", "there is no column entry_price"),
            (",real,", ",invented,", "column prices: \"invented\" is neither modelled nor real"),
            (",market", "", "row 1 has 20 cells under 21 headings"),
        ] {
            std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains(words) && error.contains("row 1"), "{error}");
        }
        assert!(read(Path::new("no/such.parquet")).is_err() && read(Path::new("trades.txt")).is_err());
    }
}
