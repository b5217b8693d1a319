//! Alpaca: free minute bars of stocks and options since 2016. It offers no indices, so neither SPX nor VIX.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Client, Clock, Contract, Http, Json, JsonBar, OptionMinutes, OptionVendor, Pace, Page, PageHandler, Progress, Row,
    Secret, Vendor, VendorError, check_calls,
};
use crate::{DateRange, Symbol, calendar};

/// Name in flags, in the configuration and in folders of a cache, for bars of all exchanges.
pub const NAME: &str = "alpaca";
/// Name in folders of a cache for bars of one exchange.
pub const IEX_NAME: &str = "alpaca-iex";
/// Address of the service.
pub const BASE: &str = "https://data.alpaca.markets";
/// Variable that replaces the address.
pub const BASE_VARIABLE: &str = "APCA_API_DATA_URL";
/// Pairs of variables that hold the key and its secret, the preferred pair first.
pub const KEYS: [(&str, &str); 3] = [
    ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"),
    ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"),
    ("ALPACA_KEY", "ALPACA_SECRET"),
];
const DISPLAY_NAME: &str = "Alpaca";
const PAGE_LIMIT: usize = 10_000;
const MAX_PAGES: usize = 2_000;
/// Age below which bars are not free.
const DELAY_MS: i64 = 16 * 60_000;
const NO_INDICES: &str =
    "it offers no indices; leave the symbol out of --symbols, or use --data-source massive or files";

/// Settings of requests to Alpaca.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlpacaConfig {
    /// Calls to Alpaca per rolling minute, 1 to 10000. 200 is the free plan's limit; the paid plan allows 10000.
    pub calls_per_minute: u32,
    /// Trades that the bars are made of.
    pub feed: Feed,
}

/// Trades that bars are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// Trades of all exchanges.
    Sip,
    /// Trades of one exchange, 2 to 3 % of the volume.
    Iex,
}

impl Default for AlpacaConfig {
    fn default() -> Self {
        Self { calls_per_minute: 200, feed: Feed::Sip }
    }
}

impl AlpacaConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        check_calls(NAME, self.calls_per_minute, 1)
    }
}

/// JSON body of a page.
#[derive(Debug, Deserialize)]
struct Bars {
    bars: Option<BTreeMap<String, Vec<JsonBar<Timestamp>>>>,
    next_page_token: Option<String>,
    message: Option<String>,
}

/// A page of bars.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BarsPage {
    /// Rows by symbol, ascending.
    pub rows: BTreeMap<String, Vec<Row>>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// Reads a page of bars.
///
/// # Errors
/// One sentence on a body that is not such JSON.
pub fn parse_bars(body: &[u8]) -> Result<BarsPage, String> {
    serde_json::from_slice::<Bars>(body).map_err(|error| error.to_string())?.rows()
}

impl Bars {
    fn is_empty(&self) -> bool {
        self.bars.iter().flatten().all(|(_, bars)| bars.is_empty())
    }

    fn rows(self) -> Result<BarsPage, String> {
        if let Some(message) = self.message.filter(|_| self.bars.is_none()) {
            return Err(format!("no bars, but the message {message:?}"));
        }
        let row = |bar: &JsonBar<Timestamp>| {
            let ts_ns =
                i64::try_from(bar.t.as_nanosecond()).map_err(|_| format!("the time {} is out of range", bar.t))?;
            Ok::<_, String>(bar.row(ts_ns))
        };
        let rows = |bars: Vec<JsonBar<Timestamp>>| bars.iter().map(row).collect::<Result<Vec<_>, _>>();
        let bars = self.bars.into_iter().flatten();
        let bars = bars.map(|(symbol, bars)| Ok::<_, String>((symbol, rows(bars)?))).collect::<Result<_, _>>()?;
        Ok(BarsPage { rows: bars, next: self.next_page_token.filter(|token| !token.is_empty()) })
    }
}

/// Client of the service, with one key.
#[derive(Debug)]
pub struct Alpaca<'a> {
    client: Client<'a>,
    feed: Feed,
}

impl<'a> Alpaca<'a> {
    /// Returns a client of the service at `base` with a key and its secret, each with the variable that holds it. Without
    /// them every call fails.
    #[must_use]
    pub fn new(
        base: Url,
        keys: Option<[(&Secret, &str); 2]>,
        feed: Feed,
        pace: Pace,
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> Self {
        let client =
            Client::new(DISPLAY_NAME, base, BASE_VARIABLE, Http::new(Duration::from_secs(30)), pace, clock, progress);
        let client = match keys {
            Some([(key, name), (secret, secret_name)]) => client
                .with_key("APCA-API-KEY-ID", key.clone(), name)
                .with_key("APCA-API-SECRET-KEY", secret.clone(), secret_name),
            None => client.without_key([KEYS[0].0, KEYS[0].1]),
        };
        Self { client, feed }
    }

    /// Waits for a response no longer than `patience` instead of half a minute.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.client = self.client.with_http(Http::new(patience));
        self
    }

    /// Requests bars and passes every page to `on_page`, its rows by symbol.
    fn bars(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, &str)],
        on_page: &mut dyn FnMut(BTreeMap<String, Vec<Row>>, String, bool) -> Result<(), VendorError>,
    ) -> Result<(), VendorError> {
        let limit = PAGE_LIMIT.to_string();
        let mut token = None::<String>;
        for _ in 0..MAX_PAGES {
            let mut query = query.to_vec();
            query.extend([("timeframe", "1Min"), ("limit", limit.as_str()), ("sort", "asc")]);
            query.extend(token.as_deref().map(|token| ("page_token", token)));
            // A single page without a bar is valid; the caller decides about it.
            let empty = |body: &Bars| body.is_empty() && (token.is_some() || body.next_page_token.is_some());
            let url = self.client.url(path, &query);
            let Json { value, sha256 } = self.client.json_not_empty(what, &url, |_: &Bars| Ok(()), empty)?;
            let BarsPage { rows, next } = value.rows().map_err(|message| self.client.malformed(what, &message))?;
            if next.is_some() && next == token {
                break;
            }
            on_page(rows, sha256, next.is_none())?;
            if next.is_none() {
                return Ok(());
            }
            token = next;
        }
        Err(self.client.malformed(what, "its pages form a loop"))
    }

    /// Returns the first and last instant of a request, none of them within the last quarter of an hour.
    fn span(&self, dates: DateRange) -> [String; 2] {
        let newest = self.client.clock().now_ms() - DELAY_MS;
        let first = calendar::midnight_ns(dates.first) / 1_000_000;
        let last = (calendar::midnight_ns(dates.last) / 1_000_000 + 24 * 3_600_000 - 1).min(newest).max(first);
        let time = |ms: i64| Timestamp::from_second(ms / 1_000).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        [time(first), time(last)]
    }
}

impl Vendor for Alpaca<'_> {
    fn name(&self) -> &'static str {
        // Bars of one exchange must not be mixed with bars of all.
        match self.feed {
            Feed::Sip => NAME,
            Feed::Iex => IEX_NAME,
        }
    }

    fn options(&self) -> Option<&dyn OptionVendor> {
        Some(self)
    }

    fn check(&self, symbol: &Symbol) -> Result<(), VendorError> {
        let index =
            matches!(symbol.as_str(), "SPX" | "NDX" | "RUT" | "DJI" | "XSP") || symbol.as_str().starts_with("VIX");
        if index {
            return Err(VendorError::Unsupported { vendor: DISPLAY_NAME, symbol: symbol.clone(), why: NO_INDICES });
        }
        Ok(())
    }

    fn check_key(&self) -> Result<(), VendorError> {
        self.client.check_key()
    }

    fn window_days(&self, _: &Symbol) -> i32 {
        90
    }

    fn calls(&self, _: &Symbol, sessions: usize) -> usize {
        (sessions * 960).div_ceil(PAGE_LIMIT).max(1)
    }

    fn parallel(&self) -> usize {
        4
    }

    fn calls_per_minute(&self) -> u32 {
        self.client.calls_per_minute()
    }

    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, on_page: &mut PageHandler<'_>) -> Result<(), VendorError> {
        self.check(symbol)?;
        let [start, end] = self.span(dates);
        let feed = if self.feed == Feed::Sip { "sip" } else { "iex" };
        let query =
            [("symbols", symbol.as_str()), ("start", &start), ("end", &end), ("adjustment", "split"), ("feed", feed)];
        let what = format!("minute bars of {symbol} from {dates}");
        self.bars(&what, "/v2/stocks/bars", &query, &mut |mut rows, sha256, last| {
            let ours = rows.remove(symbol.as_str()).unwrap_or_default();
            match rows.keys().next() {
                None => on_page(Page { rows: ours, sha256, last }),
                Some(other) => Err(self.client.malformed(&what, &format!("bars of {other:?}"))),
            }
        })
    }

    fn daily_closes(&self, symbol: &Symbol, _: DateRange) -> Result<Vec<(Date, f64)>, VendorError> {
        Err(VendorError::Unsupported { vendor: DISPLAY_NAME, symbol: symbol.clone(), why: NO_INDICES })
    }
}

impl OptionVendor for Alpaca<'_> {
    fn batch(&self) -> usize {
        100
    }

    fn option_minutes(&self, contracts: &[Contract], date: Date) -> Result<OptionMinutes, VendorError> {
        let tickers: Vec<String> = contracts.iter().map(ToString::to_string).collect();
        let list = tickers.join(",");
        let [start, end] = self.span(DateRange { first: date, last: date });
        let mut minutes = OptionMinutes::default();
        let what = format!("minute bars of {} options on {date}", tickers.len());
        let query = [("symbols", list.as_str()), ("start", &start), ("end", &end)];
        self.bars(&what, "/v1beta1/options/bars", &query, &mut |rows, sha256, _| {
            for (ticker, rows) in rows {
                let at = tickers.iter().position(|known| *known == ticker);
                let at = at.ok_or_else(|| self.client.malformed(&what, &format!("bars of {ticker:?}")))?;
                minutes.rows.extend(rows.into_iter().map(|row| (at, row)));
            }
            minutes.bodies.push(sha256);
            Ok(())
        })?;
        Ok(minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_empty_pages_are_parsed() {
        let body = r#"{"bars":{"SPY":[{"t":"2025-06-02T13:30:00Z","o":600,"h":600.84,"l":599.31,"c":600.61,"v":85998033,"n":732412,"vw":600.703516}]},
                       "next_page_token":"QUFQTA=="}"#;
        let BarsPage { rows, next } = parse_bars(body.as_bytes()).unwrap();
        assert_eq!((rows["SPY"][0].ts_ns, rows["SPY"][0].open), (1_748_871_000_000_000_000, 600.0));
        assert_eq!(next.as_deref(), Some("QUFQTA=="));
        for empty in [r#"{"bars":{},"next_page_token":null}"#, r#"{"bars":null}"#] {
            assert_eq!(parse_bars(empty.as_bytes()), Ok(BarsPage::default()));
        }
        assert!(parse_bars(br#"{"bars":{"SPY":[{"t":"noon","o":1,"h":1,"l":1,"c":1}]}}"#).is_err());
    }
}
