//! Massive, formerly Polygon.io: minute bars of stocks and indices, option reference, chains and greeks, flat files.
//!
//! The key is sent in the header `Authorization` and nowhere else. Bars are adjusted for splits. A free key allows five
//! calls a minute and no bars of today. A refusal of the plan is an error with one of three reasons ([`Refusal`](super::Refusal)).

pub mod flat_files;
pub mod options;

use std::{collections::BTreeSet, time::Duration};

use jiff::{ToSpan as _, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    Client, Clock, Http, Json, JsonBar, OptionVendor, Pace, Page, PageHandler, Progress, Row, Secret, Vendor,
    VendorError, check_calls,
};
use crate::{DateRange, Symbol, calendar};

/// Name in flags, in the configuration and in folders of a cache.
pub const NAME: &str = "massive";
/// Address of the service.
pub const BASE: &str = "https://api.massive.com";
/// Variable that replaces the address.
pub const BASE_VARIABLE: &str = "MASSIVE_API_BASE_URL";
/// Variables that hold the key, the preferred one first.
pub const KEYS: [&str; 2] = ["MASSIVE_API_KEY", "POLYGON_API_KEY"];
/// The present and the former host, which serve the same paths.
const KNOWN_HOSTS: [&str; 2] = ["api.massive.com", "api.polygon.io"];
/// Symbols that Massive lists as indices.
const INDICES: [&str; 10] = ["SPX", "NDX", "RUT", "DJI", "XSP", "VIX", "VIX1D", "VIX9D", "VIX3M", "VVIX"];
/// Maximum number of rows of a page.
const PAGE_LIMIT: usize = 50_000;
/// Maximum number of pages of one request; more of them repeat.
const MAX_PAGES: usize = 500;
/// Name in error messages.
const DISPLAY_NAME: &str = "Massive";

/// Settings of requests to Massive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MassiveConfig {
    /// Calls to Massive per rolling minute, up to 10000; 0 = no limit, several calls at once. 5 is the free plan's
    /// limit; 0 suits a paid plan.
    pub calls_per_minute: u32,
    /// Bars of stocks and indices from the flat files of a paid plan, with raw prices, instead of the REST service.
    pub flat_files: bool,
}

impl Default for MassiveConfig {
    fn default() -> Self {
        Self { calls_per_minute: 5, flat_files: false }
    }
}

impl MassiveConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        check_calls(NAME, self.calls_per_minute, 0)
    }
}

/// JSON body of aggregates. Fields that some plan or asset class omits are optional.
#[derive(Debug, Deserialize)]
struct Aggregates {
    ticker: Option<String>,
    status: Option<String>,
    results: Option<Vec<JsonBar<i64>>>,
    next_url: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

/// A page of a list: reference data and snapshots.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Listing<T> {
    results: Option<Vec<T>>,
    next_url: Option<String>,
}

/// Client of the service, with one key.
#[derive(Debug)]
pub struct Massive<'a> {
    client: Client<'a>,
}

/// Parses a body of aggregates. Rows keep their order.
///
/// # Errors
/// One sentence on a body that is not such JSON, or that reports a failure.
pub fn parse_aggregates(body: &[u8]) -> Result<Vec<Row>, String> {
    let body: Aggregates = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    body.check("")?;
    body.rows()
}

impl Aggregates {
    /// Refuses a body that reports a failure or holds bars of another ticker; an empty `ticker` accepts any.
    fn check(&self, ticker: &str) -> Result<(), String> {
        if let Some(status) = self.status.as_deref().filter(|status| !matches!(*status, "OK" | "DELAYED")) {
            let message = self.message.as_ref().or(self.error.as_ref()).map_or("no message", String::as_str);
            return Err(format!("status {status}: {message}"));
        }
        if let Some(found) = self.ticker.as_deref().filter(|found| !ticker.is_empty() && *found != ticker) {
            return Err(format!("the bars are those of {found:?}"));
        }
        self.rows().map(drop)
    }

    fn is_empty(&self) -> bool {
        self.results.iter().flatten().next().is_none()
    }

    fn rows(&self) -> Result<Vec<Row>, String> {
        let row = |bar: &JsonBar<i64>| {
            let ts_ns = bar.t.checked_mul(1_000_000).ok_or_else(|| format!("the time {} is out of range", bar.t))?;
            Ok(bar.row(ts_ns))
        };
        self.results.iter().flatten().map(row).collect()
    }
}

impl<'a> Massive<'a> {
    /// Returns a client of the service at `base` with a key and the variable that holds it. Without a key every call fails.
    #[must_use]
    pub fn new(
        base: Url,
        key: Option<(&Secret, &str)>,
        pace: Pace,
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        let client =
            Client::new(DISPLAY_NAME, base, BASE_VARIABLE, Http::new(Duration::from_secs(30)), pace, clock, progress);
        let client = match key {
            Some((key, name)) => client.with_key("Authorization", Secret::bearer(key), name),
            None => client.without_key(KEYS),
        };
        Self { client }
    }

    /// Waits for a response no longer than `patience` instead of half a minute.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.client = self.client.with_http(Http::new(patience));
        self
    }

    /// Returns the ticker of a symbol: `I:SPX` for an index, else the symbol itself.
    #[must_use]
    pub fn ticker(symbol: &Symbol) -> String {
        if is_index(symbol) { format!("I:{symbol}") } else { symbol.to_string() }
    }

    /// Requests aggregates of `ticker` and passes every page to `on_page`.
    fn aggregates(
        &self,
        what: &str,
        ticker: &str,
        span: &str,
        dates: DateRange,
        on_page: &mut PageHandler<'_>,
    ) -> Result<(), VendorError> {
        let path = format!("/v2/aggs/ticker/{ticker}/range/1/{span}/{}/{}", dates.first, dates.last);
        let limit = PAGE_LIMIT.to_string();
        let first = self.client.url(&path, &[("adjusted", "true"), ("sort", "asc"), ("limit", &limit)]);
        let prefix = format!("/v2/aggs/ticker/{ticker}/");
        let mut pages = Pages::new(&self.client, what, prefix, first);
        while let Some(url) = pages.next.take() {
            let first = pages.seen.len() == 1;
            // A single page without a bar is valid; the caller decides about it.
            let empty = |body: &Aggregates| body.is_empty() && !(first && body.next_url.is_none());
            let check = |body: &Aggregates| body.check(ticker);
            let Json { value, sha256 } = self.client.json_not_empty(what, &url, check, empty)?;
            pages.follow(value.next_url.as_deref())?;
            let rows = value.rows().map_err(|message| self.client.malformed(what, &message))?;
            on_page(Page { rows, sha256, last: pages.next.is_none() })?;
        }
        Ok(())
    }

    /// Requests all pages of a list.
    fn list<T: DeserializeOwned>(&self, what: &str, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>, VendorError> {
        let mut pages = Pages::new(&self.client, what, path.to_owned(), self.client.url(path, query));
        let mut rows = Vec::new();
        while let Some(url) = pages.next.take() {
            let page = self.client.json(what, &url, |_: &Listing<T>| Ok(()))?.value;
            pages.follow(page.next_url.as_deref())?;
            rows.extend(page.results.into_iter().flatten());
        }
        Ok(rows)
    }

    /// Returns the time of the server, milliseconds since 1970. Every plan allows this request.
    ///
    /// # Errors
    /// As for any request; an invalid key is detected here.
    pub fn server_time(&self) -> Result<i64, VendorError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Status {
            server_time: jiff::Timestamp,
        }
        let url = self.client.url("/v1/marketstatus/now", &[]);
        let status = self.client.json("the time of the market", &url, |_: &Status| Ok(()))?;
        Ok(status.value.server_time.as_millisecond())
    }

    /// Counts the minute bars of a ticker on some dates, as a test of the plan.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    pub fn probe(&self, ticker: &str, dates: DateRange) -> Result<usize, VendorError> {
        let mut rows = 0;
        self.aggregates(&format!("minute bars of {ticker}"), ticker, "minute", dates, &mut |page| {
            rows += page.rows.len();
            Ok(())
        })?;
        Ok(rows)
    }
}

/// Returns the first dates of the plans, which reach back ten, five or two years.
fn plan_floors(today: Date) -> Vec<Date> {
    [10, 5, 2].map(|years| today.saturating_sub(years.years()).saturating_add(1.day())).to_vec()
}

fn is_index(symbol: &Symbol) -> bool {
    INDICES.contains(&symbol.as_str())
}

/// Sequence of pages along `next_url`: on the vendor's host, under the requested path, and never twice the same address.
struct Pages<'a> {
    client: &'a Client<'a>,
    what: &'a str,
    prefix: String,
    seen: BTreeSet<String>,
    next: Option<Url>,
}

impl<'a> Pages<'a> {
    fn new(client: &'a Client<'a>, what: &'a str, prefix: String, first: Url) -> Self {
        Self { client, what, prefix, seen: BTreeSet::from([first.to_string()]), next: Some(first) }
    }

    fn follow(&mut self, next_url: Option<&str>) -> Result<(), VendorError> {
        let Some(address) = next_url.filter(|address| !address.is_empty()) else { return Ok(()) };
        let url = self.client.rebase(self.what, address, &KNOWN_HOSTS)?;
        let path = url.path().replace("%3A", ":").replace("%3a", ":");
        if !path.starts_with(&self.prefix) {
            return Err(self.client.malformed(self.what, &format!("the next page has the unexpected path {path:?}")));
        }
        if !self.seen.insert(url.to_string()) || self.seen.len() > MAX_PAGES {
            return Err(self.client.malformed(self.what, "its pages form a loop"));
        }
        self.next = Some(url);
        Ok(())
    }
}

impl Vendor for Massive<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn options(&self) -> Option<&dyn OptionVendor> {
        Some(self)
    }

    fn check(&self, _: &Symbol) -> Result<(), VendorError> {
        Ok(())
    }

    fn check_key(&self) -> Result<(), VendorError> {
        self.client.check_key()
    }

    fn window_days(&self, symbol: &Symbol) -> i32 {
        // One page holds 52 days of 960 minutes, or 123 days of an index.
        if is_index(symbol) { 175 } else { 70 }
    }

    fn calls(&self, symbol: &Symbol, sessions: usize) -> usize {
        let minutes = if is_index(symbol) { 400 } else { 960 };
        (sessions * minutes).div_ceil(PAGE_LIMIT).max(1)
    }

    fn floors(&self, today: Date) -> Vec<Date> {
        plan_floors(today)
    }

    fn parallel(&self) -> usize {
        if self.client.calls_per_minute() == 0 { 8 } else { 1 }
    }

    fn calls_per_minute(&self) -> u32 {
        self.client.calls_per_minute()
    }

    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, on_page: &mut PageHandler<'_>) -> Result<(), VendorError> {
        let ticker = Self::ticker(symbol);
        self.aggregates(&format!("minute bars of {ticker} from {dates}"), &ticker, "minute", dates, on_page)
    }

    fn daily_closes(&self, symbol: &Symbol, dates: DateRange) -> Result<Vec<(Date, f64)>, VendorError> {
        let ticker = Self::ticker(symbol);
        let mut days = Vec::new();
        // Stocks stamp midnight in New York, indices one hour later: the date there is the session's for both.
        let mut on_page = |page: Page| {
            days.extend(page.rows.iter().map(|row| (calendar::exchange_date(row.ts_ns), row.close)));
            Ok(())
        };
        self.aggregates(&format!("daily closes of {ticker} from {dates}"), &ticker, "day", dates, &mut on_page)?;
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_stocks_and_indices_are_parsed() {
        let stock = r#"{"ticker":"SPY","adjusted":true,"queryCount":2,"resultsCount":2,"status":"DELAYED","request_id":7,
            "results":[{"v":6319.407237,"vw":600.37,"o":600.06,"c":600.53,"h":600.84,"l":599.22,"t":1748871000000,"n":454},
                       {"v":7.0661926525697e+07,"o":600,"c":600,"h":600,"l":600,"t":1748871060000}],
            "next_url":"https://api.massive.com/v2/aggs/ticker/SPY/range/1/minute/1748871120000/2025-06-02?cursor=abc"}"#;
        let rows = parse_aggregates(stock.as_bytes()).unwrap();
        assert_eq!(
            (rows[0].volume, rows[0].trades, rows[0].ts_ns),
            (Some(6_319.407_237), Some(454.0), 1_748_871_000_000_000_000)
        );
        assert_eq!((rows[1].volume, rows[1].vwap, rows[1].open), (Some(70_661_926.525_697), None, 600.0));
        let index = r#"{"ticker":"I:SPX","status":"OK","count":1,"results":[{"o":6000.1,"c":6000.5,"h":6001,"l":6000,"t":1748871000000}]}"#;
        assert_eq!(parse_aggregates(index.as_bytes()).unwrap()[0].volume, None);
        for empty in
            [r#"{"status":"OK","resultsCount":0}"#, r#"{"results":[]}"#, r#"{"results":null,"status":"DELAYED"}"#]
        {
            assert_eq!(parse_aggregates(empty.as_bytes()), Ok(Vec::new()), "{empty}");
        }
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for (body, part) in [
            (r#"{"status":"ERROR","error":"Could not parse"}"#, "status ERROR: Could not parse"),
            (r#"{"status":"NOT_AUTHORIZED","message":"You are not entitled"}"#, "You are not entitled"),
            (r#"{"results":[{"o":1,"h":1,"l":1,"t":1748871000000}]}"#, "missing field `c`"),
            (r#"{"results":[{"o":1,"h":1,"l":1,"c":1,"t":9223372036854775807}]}"#, "is out of range"),
            (r#"{"results":[{"o":"1""#, "string"),
            ("<html>", "expected value"),
            ("", "EOF"),
        ] {
            let error = parse_aggregates(body.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn symbols_are_converted_to_tickers() {
        let ticker = |text: &str| Massive::ticker(&Symbol::new(text).unwrap());
        assert_eq!(["SPY", "SPX", "VIX", "VIX1D", "BRK.B"].map(ticker), ["SPY", "I:SPX", "I:VIX", "I:VIX1D", "BRK.B"]);
    }
}
