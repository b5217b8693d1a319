//! Yahoo's chart service: minute bars of the last thirty days, without a key and without any guarantee.

use std::time::Duration;

use jiff::{ToSpan as _, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Client, Clock, Http, Json, Pace, Page, PageHandler, Progress, Row, Vendor, VendorError, check_calls};
use crate::{DateRange, Symbol, calendar};

/// Name in flags, in the configuration and in folders of a cache.
pub const NAME: &str = "yahoo";
/// Address of the service.
pub const BASE: &str = "https://query2.finance.yahoo.com";
/// Variable that replaces the address.
pub const BASE_VARIABLE: &str = "YAHOO_API_BASE_URL";
const DISPLAY_NAME: &str = "Yahoo";

/// Settings of requests to Yahoo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct YahooConfig {
    /// Calls to Yahoo per rolling minute, 1 to 10000. Yahoo publishes no limit; 30 is cautious.
    pub calls_per_minute: u32,
}

impl Default for YahooConfig {
    fn default() -> Self {
        Self { calls_per_minute: 30 }
    }
}

impl YahooConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        check_calls(NAME, self.calls_per_minute, 1)
    }
}

#[derive(Debug, Deserialize)]
struct Body {
    chart: Chart,
}

#[derive(Debug, Deserialize)]
struct Chart {
    result: Option<Vec<Series>>,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    description: String,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    meta: Meta,
    /// Absent if there is no bar.
    timestamp: Option<Vec<i64>>,
    indicators: Indicators,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    symbol: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Indicators {
    #[serde(default)]
    quote: Vec<Quote>,
}

/// Columns of prices, with null cells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Quote {
    open: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
    close: Vec<Option<f64>>,
    volume: Vec<Option<f64>>,
}

/// Parses a chart. Rows with a null price and live values between two minutes are left out.
///
/// # Errors
/// One sentence on a body that is not such JSON, or whose columns differ in length.
pub fn parse_chart(body: &[u8]) -> Result<Vec<Row>, String> {
    serde_json::from_slice::<Body>(body).map_err(|error| error.to_string())?.rows("", 60)
}

impl Body {
    fn rows(self, symbol: &str, seconds: i64) -> Result<Vec<Row>, String> {
        if let Some(Fault { description }) = self.chart.error {
            return Err(format!("the request failed: {description}"));
        }
        let Some(series) = self.chart.result.unwrap_or_default().into_iter().next() else { return Ok(Vec::new()) };
        if let Some(found) = series.meta.symbol.filter(|found| !symbol.is_empty() && found != symbol) {
            return Err(format!("the chart is that of {found:?}"));
        }
        let times = series.timestamp.unwrap_or_default();
        let Some(quote) = series.indicators.quote.into_iter().next() else { return Ok(Vec::new()) };
        let lengths = [&quote.open, &quote.high, &quote.low, &quote.close].map(Vec::len);
        if !times.is_empty() && lengths != [times.len(); 4] {
            return Err(format!("{} times, but {lengths:?} prices", times.len()));
        }
        let row = |(at, time): (usize, &i64)| {
            let prices = [quote.open[at], quote.high[at], quote.low[at], quote.close[at]];
            let [Some(open), Some(high), Some(low), Some(close)] = prices else { return None };
            let volume = quote.volume.get(at).copied().flatten();
            let ts_ns = time.checked_mul(1_000_000_000).filter(|_| time % seconds == 0)?;
            Some(Row { ts_ns, open, high, low, close, volume, vwap: None, trades: None })
        };
        Ok(times.iter().enumerate().filter_map(row).collect())
    }
}

/// Client of the service.
#[derive(Debug)]
pub struct Yahoo<'a> {
    client: Client<'a>,
}

impl<'a> Yahoo<'a> {
    /// Returns a client of the service at `base`.
    #[must_use]
    pub fn new(base: Url, pace: Pace, clock: &'a dyn Clock, progress: &'a dyn Progress) -> Self {
        Self {
            client: Client::new(
                DISPLAY_NAME,
                base,
                BASE_VARIABLE,
                Http::new(Duration::from_secs(30)),
                pace,
                clock,
                progress,
            ),
        }
    }

    /// Waits for a response no longer than `patience` instead of half a minute.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.client = self.client.with_http(Http::new(patience));
        self
    }

    fn chart(&self, symbol: &Symbol, interval: &str, dates: DateRange) -> Result<(Vec<Row>, String), VendorError> {
        let ticker = ticker(symbol);
        let what = format!("{interval} bars of {ticker} from {dates}");
        let second = |ns: i64| (ns / 1_000_000_000).to_string();
        // The range starts at the open: midnight of the thirtieth day may already be out of reach.
        let open = calendar::session(dates.first).map_or(calendar::midnight_ns(dates.first), |session| session.open_ns);
        let (first, last) = (second(open), second(calendar::midnight_ns(dates.last.saturating_add(1.day()))));
        let query = [
            ("interval", interval),
            ("period1", &first),
            ("period2", &last),
            ("includePrePost", "false"),
            ("events", "div,splits"),
        ];
        let url = self.client.url(&format!("/v8/finance/chart/{ticker}"), &query);
        let Json { value, sha256 } = self.client.json(&what, &url, |_: &Body| Ok(()))?;
        let seconds = if interval == "1m" { 60 } else { 1 };
        let rows = value.rows(&ticker, seconds).map_err(|message| self.client.malformed(&what, &message))?;
        Ok((rows, sha256))
    }
}

fn ticker(symbol: &Symbol) -> String {
    match symbol.as_str() {
        "SPX" => "^GSPC".to_owned(),
        index @ ("NDX" | "RUT" | "DJI" | "VIX" | "VIX1D" | "VIX9D" | "VIX3M" | "VVIX") => format!("^{index}"),
        stock => stock.replace('.', "-"),
    }
}

impl Vendor for Yahoo<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, _: &Symbol) -> Result<(), VendorError> {
        Ok(())
    }

    fn check_key(&self) -> Result<(), VendorError> {
        self.client.check_key()
    }

    fn window_days(&self, _: &Symbol) -> i32 {
        7
    }

    fn calls(&self, _: &Symbol, _: usize) -> usize {
        1
    }

    fn first_date(&self, today: Date) -> Option<Date> {
        Some(today.saturating_sub(29.days()))
    }

    fn parallel(&self) -> usize {
        1
    }

    fn calls_per_minute(&self) -> u32 {
        self.client.calls_per_minute()
    }

    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, on_page: &mut PageHandler<'_>) -> Result<(), VendorError> {
        let (rows, sha256) = self.chart(symbol, "1m", dates)?;
        on_page(Page { rows, sha256, last: true })
    }

    fn daily_closes(&self, symbol: &Symbol, dates: DateRange) -> Result<Vec<(Date, f64)>, VendorError> {
        let (rows, _) = self.chart(symbol, "1d", dates)?;
        Ok(rows.iter().map(|row| (calendar::exchange_date(row.ts_ns), row.close)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_live_values_are_left_out() {
        let body = r#"{"chart":{"result":[{"meta":{"symbol":"SPY","tradingPeriods":[[{"start":1}]]},"timestamp":[1748871000,1748871060,1748871120,1748871137],
            "indicators":{"quote":[{"open":[1,null,2,2],"high":[1,1,2,2],"low":[1,1,2,2],"close":[1,1,2,2],"volume":[0,5,null,7]}]}}],"error":null}}"#;
        let rows = parse_chart(body.as_bytes()).unwrap();
        assert_eq!(rows.iter().map(|row| (row.close, row.volume)).collect::<Vec<_>>(), [(1.0, Some(0.0)), (2.0, None)]);
    }

    #[test]
    fn empty_and_malformed_charts() {
        let empty = r#"{"chart":{"result":[{"meta":{"symbol":"SPY"},"indicators":{"quote":[{}]}}],"error":null}}"#;
        assert_eq!(parse_chart(empty.as_bytes()), Ok(Vec::new()));
        let short = r#"{"chart":{"result":[{"timestamp":[60],"indicators":{"quote":[{"open":[1],"high":[1],"low":[1],"close":[]}]}}]}}"#;
        assert!(parse_chart(short.as_bytes()).unwrap_err().contains("1 times"));
        assert_eq!(parse_chart(br#"{"chart":{"result":null,"error":null}}"#), Ok(Vec::new()));
        assert!(parse_chart(b"Too Many Requests").is_err());
    }

    #[test]
    fn symbols_are_converted_to_tickers() {
        let name = |text: &str| ticker(&Symbol::new(text).unwrap());
        assert_eq!(["SPX", "VIX1D", "SPY", "BRK.B"].map(name), ["^GSPC", "^VIX1D", "SPY", "BRK-B"]);
    }
}
