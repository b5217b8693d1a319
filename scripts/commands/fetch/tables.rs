//! Reference data, chains and greeks: one CSV file per query, beside the bars in the cache.

use std::{fmt::Write as _, path::PathBuf};

use jiff::{Timestamp, civil::Date};
use market_data::{
    DateRange, Symbol, calendar,
    source::{
        cache::{Cache, Kind},
        vendor::{
            Adjustment, Clock as _, VendorError,
            massive::{
                Massive,
                options::{ChainRow, DayGreeks, Greeks, ListedContract},
            },
        },
    },
};

use super::FetchKind;
use crate::{
    inputs::vendor::usage,
    output::{clock::SystemClock, output_file::write_file},
};

/// Range of strikes that covers every contract.
const ALL_STRIKES: (f64, f64) = (0.0, 1e6);

/// Returns the folder of the options on a symbol.
pub(super) fn options_folder(cache: &Cache, vendor: &'static str, symbol: &Symbol) -> PathBuf {
    cache.series(vendor, Adjustment::Raw, Kind::Options, symbol).folder().to_owned()
}

fn path(cache: &Cache, kind: &str, symbol: &Symbol, name: &str) -> PathBuf {
    cache.folder("massive").join(kind).join(symbol.as_str()).join(format!("{name}.csv"))
}

/// Returns the minimum number of calls for a table.
pub(super) fn calls(what: FetchKind, cache: &Cache, symbol: &Symbol, dates: DateRange) -> usize {
    let days = calendar::sessions(dates.first, dates.last).into_iter().map(|session| session.date);
    let missing = |kind: &str| days.filter(|day| !path(cache, kind, symbol, &day.to_string()).exists()).count();
    match what {
        FetchKind::Contracts => missing("contracts"),
        FetchKind::Greeks => missing("greeks"),
        FetchKind::Chain => 1,
        FetchKind::Bars | FetchKind::Vix | FetchKind::Options => 0,
    }
}

/// Fetches the contracts that expire on each day and were listed then; cached days are skipped.
pub(super) fn contracts(
    massive: &Massive<'_>,
    cache: &Cache,
    symbol: &Symbol,
    days: impl Iterator<Item = Date>,
) -> anyhow::Result<String> {
    let (low, high) = ALL_STRIKES;
    let heading = "ticker,expiry,strike,right,shares_per_contract,exercise_style\n";
    each_day(cache, "contracts", symbol, days, heading, &mut |day| {
        Ok(massive.contracts(symbol, day, low, high)?.iter().map(listed).collect())
    })
}

/// Fetches implied volatility and greeks at the end of each day.
pub(super) fn greeks(
    massive: &Massive<'_>,
    cache: &Cache,
    symbol: &Symbol,
    days: impl Iterator<Item = Date>,
) -> anyhow::Result<String> {
    let heading = "ticker,date,implied_volatility,delta,gamma,theta,vega\n";
    each_day(cache, "greeks", symbol, days, heading, &mut |day| {
        Ok(massive.greeks(symbol, day)?.iter().map(day_greeks).collect())
    })
}

/// Fetches the live chain of today's expiry, or of the next session's; every call writes a new file.
pub(super) fn chain(massive: &Massive<'_>, cache: &Cache, symbol: &Symbol) -> anyhow::Result<String> {
    let now = SystemClock.now_ms();
    let today = calendar::exchange_date(now.saturating_mul(1_000_000));
    let today =
        calendar::session(today).or_else(|| calendar::next_session(today)).map_or(today, |session| session.date);
    let rows = massive.chain(symbol, today).map_err(usage)?;
    let time = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H%M%SZ");
    let file = path(cache, "chain", symbol, &time.to_string());
    let heading = "ticker,expiry,strike,right,bid,ask,bid_size,ask_size,implied_volatility,delta,gamma,theta,vega,\
                   open_interest,last,volume,underlying\n";
    let text: String = std::iter::once(heading.to_owned()).chain(rows.iter().map(chain_row)).collect();
    write_file(&file, text.as_bytes())?;
    Ok(format!("{symbol}: {} contracts that expire on {today} in {}", rows.len(), file.display()))
}

fn each_day(
    cache: &Cache,
    kind: &str,
    symbol: &Symbol,
    days: impl Iterator<Item = Date>,
    heading: &str,
    ask: &mut dyn FnMut(Date) -> Result<String, VendorError>,
) -> anyhow::Result<String> {
    let (mut asked, mut there) = (0, 0);
    for day in days {
        let file = path(cache, kind, symbol, &day.to_string());
        if file.exists() {
            there += 1;
            continue;
        }
        let rows = ask(day).map_err(usage)?;
        // An empty response is not cached: the data may be published later.
        if !rows.is_empty() {
            write_file(&file, format!("{heading}{rows}").as_bytes())?;
            asked += 1;
        }
    }
    let folder = path(cache, kind, symbol, "x");
    let folder = folder.parent().unwrap_or(&folder).display();
    Ok(format!("{symbol}: {kind} of {asked} days fetched, {there} already cached, in {folder}"))
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn right(listed: &ListedContract) -> &'static str {
    match listed.contract_type.as_str() {
        "call" => "C",
        "put" => "P",
        _ => "",
    }
}

fn listed(row: &ListedContract) -> String {
    let ListedContract { ticker, strike_price, expiration_date, .. } = row;
    let (shares, style) = (cell(row.shares_per_contract), row.exercise_style.as_deref().unwrap_or_default());
    format!("{ticker},{expiration_date},{strike_price},{},{shares},{style}\n", right(row))
}

fn four(greeks: &Greeks) -> String {
    let Greeks { delta, gamma, theta, vega } = greeks;
    format!("{},{},{},{}", cell(*delta), cell(*gamma), cell(*theta), cell(*vega))
}

fn day_greeks(row: &DayGreeks) -> String {
    let DayGreeks { ticker, date, implied_volatility, greeks } = row;
    format!("{ticker},{date},{},{}\n", cell(*implied_volatility), four(greeks))
}

fn chain_row(row: &ChainRow) -> String {
    let ChainRow { details, implied_volatility, open_interest, .. } = row;
    let quote = row.last_quote.unwrap_or_default();
    let (day, underlying) = (row.day.unwrap_or_default(), row.underlying_asset.unwrap_or_default());
    let mut text =
        format!("{},{},{},{},", details.ticker, details.expiration_date, details.strike_price, right(details));
    let quoted = [quote.bid, quote.ask, quote.bid_size, quote.ask_size].map(cell).join(",");
    let _ = write!(text, "{quoted},{},{},", cell(*implied_volatility), four(&row.greeks.unwrap_or_default()));
    let rest = [*open_interest, day.close, day.volume, underlying.price.or(underlying.value)].map(cell).join(",");
    let _ = writeln!(text, "{rest}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_cells_as_the_heading_whatever_is_absent() {
        let row: ChainRow = serde_json::from_str(
            r#"{"details":{"ticker":"O:SPY250602C00600000","strike_price":600,"contract_type":"call","expiration_date":"2025-06-02"},
                "greeks":{},"day":{},"underlying_asset":{"value":5900.5}}"#,
        )
        .unwrap();
        assert_eq!(chain_row(&row), "O:SPY250602C00600000,2025-06-02,600,C,,,,,,,,,,,,,5900.5\n");
        assert_eq!(listed(&row.details), "O:SPY250602C00600000,2025-06-02,600,C,,\n");
        let day: DayGreeks =
            serde_json::from_str(r#"{"ticker":"O:X","date":"2025-06-02","delta":0.5,"vega":null}"#).unwrap();
        assert_eq!(day_greeks(&day), "O:X,2025-06-02,,0.5,,,\n");
    }
}
