//! Flat files: one compressed table of all tickers per day and asset class, parsed while it downloads. Prices are not
//! adjusted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use jiff::{Timestamp, ToSpan as _, civil::Date};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Massive, NAME, is_index, plan_floors};
use crate::{
    DateRange, Symbol, calendar,
    source::vendor::{
        Adjustment, Clock, Contract, Http, OptionMinutes, OptionVendor, Page, PageHandler, Progress, Refusal, Row,
        Secret, Vendor, VendorError, hex,
    },
};

/// Address of the files.
pub const BASE: &str = "https://files.massive.com";
/// Variable that replaces the address.
pub const BASE_VARIABLE: &str = "MASSIVE_S3_BASE_URL";
/// Pairs of variables that hold access key and secret key, which differ from the key of the service.
pub const KEYS: [(&str, &str); 2] = [
    ("MASSIVE_S3_ACCESS_KEY", "MASSIVE_S3_SECRET_KEY"),
    ("MASSIVE_FLATFILES_ACCESS_KEY_ID", "MASSIVE_FLATFILES_SECRET_ACCESS_KEY"),
];
const ATTEMPTS: u32 = 5;
const DISPLAY_NAME: &str = "Massive";

/// Asset class of the tickers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetClass {
    /// US stocks and ETFs.
    Stocks,
    /// Indices, `I:SPX`.
    Indices,
    /// Options, `O:SPY…`.
    Options,
}

impl AssetClass {
    fn folder(self) -> &'static str {
        match self {
            Self::Stocks => "us_stocks_sip",
            Self::Indices => "us_indices",
            Self::Options => "us_options_opra",
        }
    }
}

/// Minute bars of the wanted tickers from one day's file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlatDay {
    /// Rows by ticker, ascending.
    pub rows: BTreeMap<String, Vec<Row>>,
    /// SHA-256 of the compressed file.
    pub sha256: String,
}

/// A day: not read yet, without a file, or read.
type DaySlot = Arc<Mutex<Option<Option<FlatDay>>>>;

/// Client of the files, with one pair of keys.
pub struct FlatFiles<'a> {
    bucket: Bucket,
    credentials: Option<Credentials>,
    http: Http,
    /// Tickers kept from a day's file.
    wanted: BTreeSet<String>,
    /// Days that were read.
    read: Mutex<BTreeMap<(AssetClass, Date), DaySlot>>,
    clock: &'a dyn Clock,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for FlatFiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlatFiles").field("bucket", &self.bucket.name()).finish_non_exhaustive()
    }
}

/// Parses a table of minute aggregates and returns the rows of wanted tickers, ascending by time.
///
/// # Errors
/// A table that is truncated, lacks a column, or has a cell that is not a number.
pub fn parse_table(table: impl Read, wanted: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, Vec<Row>>, String> {
    let mut reader = csv::Reader::from_reader(table);
    let header = reader.byte_headers().map_err(|error| error.to_string())?.clone();
    let place = |name: &str| header.iter().position(|column| column == name.as_bytes());
    let needed = |name: &str| place(name).ok_or_else(|| format!("the table has no column {name}"));
    let (ticker, start) = (needed("ticker")?, needed("window_start")?);
    let prices = [needed("open")?, needed("high")?, needed("low")?, needed("close")?];
    let (volume, trades) = (place("volume"), place("transactions"));
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        let Ok(name) = std::str::from_utf8(&record[ticker]) else { continue };
        if !wanted(name) {
            continue;
        }
        let cell = |at: usize| std::str::from_utf8(&record[at]).unwrap_or_default().trim();
        let invalid = |at: usize| format!("{:?} in a row of {name} is not a number", cell(at));
        let number = |at: usize| cell(at).parse::<f64>().map_err(|_| invalid(at));
        let [open, high, low, close] = prices.map(number);
        let row = Row {
            ts_ns: cell(start).parse().map_err(|_| invalid(start))?,
            open: open?,
            high: high?,
            low: low?,
            close: close?,
            volume: volume.map(number).transpose()?,
            vwap: None,
            trades: trades.map(number).transpose()?,
        };
        rows.entry(name.to_owned()).or_default().push(row);
    }
    rows.values_mut().for_each(|rows| rows.sort_by_key(|row| row.ts_ns));
    Ok(rows)
}

impl<'a> FlatFiles<'a> {
    /// Returns a client of the files at `base` with a pair of keys, which keeps the bars of `symbols`. Without the keys
    /// every call fails.
    ///
    /// # Errors
    /// [`VendorError::Address`] for an address that is not one of a file store.
    pub fn new(
        base: Url,
        keys: Option<(&Secret, &Secret)>,
        symbols: &[Symbol],
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> Result<Self, VendorError> {
        let text = base.to_string();
        let bucket = Bucket::new(base, UrlStyle::Path, "flatfiles", "us-east-1")
            .map_err(|_| VendorError::Address { name: BASE_VARIABLE, text })?;
        let credentials = keys.map(|(access, secret)| Credentials::new(access.reveal(), secret.reveal()));
        let wanted = symbols.iter().map(Massive::ticker).chain(["I:VIX1D", "I:VIX"].map(str::to_owned)).collect();
        let http = Http::new(Duration::from_secs(60));
        Ok(Self { bucket, credentials, http, wanted, read: Mutex::default(), clock, progress })
    }

    /// Returns the wanted rows of one day; `None` without a file, as on a holiday or before it is published.
    ///
    /// # Errors
    /// Refused requests, or a file that is truncated or malformed in every attempt.
    pub fn day(
        &self,
        class: AssetClass,
        date: Date,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<FlatDay>, VendorError> {
        self.check_key()?;
        let key = format!("{}/minute_aggs_v1/{}.csv.gz", class.folder(), date.strftime("%Y/%m/%Y-%m-%d"));
        let mut message = String::new();
        for attempt in 1..=ATTEMPTS {
            if self.progress.stopped() {
                return Err(VendorError::Stopped);
            }
            let read = self.http.stream(&self.signed(&key));
            self.progress.called();
            match read {
                Ok((200, body)) => match read_day(body, wanted) {
                    Ok(day) => return Ok(Some(day)),
                    Err(error) => message = error,
                },
                Ok((404, _)) => return Ok(None),
                Ok((status @ (401 | 403), body)) => {
                    return Err(VendorError::Refused {
                        vendor: DISPLAY_NAME,
                        what: format!("the flat file {key}"),
                        refusal: self.refusal(date),
                        message: format!("status {status}, {} (or the pair of flat-file keys is wrong)", code(body)),
                    });
                }
                Ok((status, _)) => message = format!("status {status}"),
                Err(error) => message = error,
            }
            let wait = Duration::from_secs(1 << attempt);
            self.progress.waiting(wait, &message);
            self.clock.sleep(wait);
        }
        Err(VendorError::Unavailable {
            vendor: DISPLAY_NAME,
            what: format!("the flat file {key}"),
            attempts: ATTEMPTS,
            message,
        })
    }

    /// Returns the reason of a refusal: the plan does not reach an old day, or includes no files if the day is recent.
    fn refusal(&self, date: Date) -> Refusal {
        let today = calendar::exchange_date(self.clock.now_ms().saturating_mul(1_000_000));
        let oldest = plan_floors(today).into_iter().max();
        if oldest.is_some_and(|floor| date < floor) { Refusal::Timeframe } else { Refusal::Entitlement }
    }

    fn signed(&self, key: &str) -> Url {
        let now = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
        self.bucket.get_object(self.credentials.as_ref(), key).sign_with_time(Duration::from_secs(900), &now)
    }
}

impl FlatFiles<'_> {
    /// Returns the rows of one ticker on a day, and the hash of the file, which is read once for all wanted tickers.
    fn ticker(&self, class: AssetClass, date: Date, ticker: &str) -> Result<Option<(Vec<Row>, String)>, VendorError> {
        let slot =
            Arc::clone(self.read.lock().unwrap_or_else(PoisonError::into_inner).entry((class, date)).or_default());
        // Other threads that need the same day wait here.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |day: &FlatDay| self.wanted.contains(ticker) || day.rows.contains_key(ticker);
        if !slot.as_ref().is_some_and(|day| day.as_ref().is_none_or(known)) {
            *slot = Some(self.day(class, date, &|name| name == ticker || self.wanted.contains(name))?);
        }
        let day = slot.as_ref().and_then(Option::as_ref);
        Ok(day.map(|day| (day.rows.get(ticker).cloned().unwrap_or_default(), day.sha256.clone())))
    }
}

/// Days after which a missing file is considered final.
const LATE_DAYS: i64 = 5;

impl Vendor for FlatFiles<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn options(&self) -> Option<&dyn OptionVendor> {
        Some(self)
    }

    fn adjustment(&self) -> Adjustment {
        Adjustment::Raw
    }

    fn check(&self, _: &Symbol) -> Result<(), VendorError> {
        Ok(())
    }

    fn check_key(&self) -> Result<(), VendorError> {
        match &self.credentials {
            Some(_) => Ok(()),
            None => Err(VendorError::NoKey { vendor: DISPLAY_NAME, names: vec![KEYS[0].0, KEYS[0].1] }),
        }
    }

    fn window_days(&self, _: &Symbol) -> i32 {
        31
    }

    fn calls(&self, _: &Symbol, sessions: usize) -> usize {
        sessions
    }

    fn floors(&self, today: Date) -> Vec<Date> {
        plan_floors(today)
    }

    fn parallel(&self) -> usize {
        4
    }

    fn calls_per_minute(&self) -> u32 {
        0
    }

    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, on_page: &mut PageHandler<'_>) -> Result<(), VendorError> {
        let class = if is_index(symbol) { AssetClass::Indices } else { AssetClass::Stocks };
        let ticker = Massive::ticker(symbol);
        let today = calendar::exchange_date(self.clock.now_ms().saturating_mul(1_000_000));
        for session in calendar::sessions(dates.first, dates.last) {
            let page = match self.ticker(class, session.date, &ticker)? {
                Some((rows, sha256)) => Page { rows, sha256, last: session.date == dates.last },
                // A file is published at eleven the next morning; later days have none either.
                None if session.date >= today.saturating_sub(LATE_DAYS.days()) => return Ok(()),
                None => Page { rows: Vec::new(), sha256: String::new(), last: session.date == dates.last },
            };
            on_page(page)?;
        }
        Ok(())
    }

    fn daily_closes(&self, symbol: &Symbol, _: DateRange) -> Result<Vec<(Date, f64)>, VendorError> {
        let why = "the flat files contain no daily closes; minute bars of VIX are used instead";
        Err(VendorError::Unsupported { vendor: DISPLAY_NAME, symbol: symbol.clone(), why })
    }
}

impl OptionVendor for FlatFiles<'_> {
    fn batch(&self) -> usize {
        // One file holds all contracts of a day.
        100_000
    }

    fn option_minutes(&self, contracts: &[Contract], date: Date) -> Result<OptionMinutes, VendorError> {
        let places: BTreeMap<String, usize> =
            contracts.iter().map(|contract| format!("O:{contract}")).zip(0..).collect();
        let day = self.day(AssetClass::Options, date, &|name| places.contains_key(name))?;
        let Some(day) = day else {
            let (vendor, what) = (DISPLAY_NAME, format!("flat file of options on {date}"));
            return Err(VendorError::NotFound {
                vendor,
                what,
                message: "the file is published at eleven the next morning".to_owned(),
            });
        };
        let rows =
            day.rows.into_iter().flat_map(|(ticker, rows)| rows.into_iter().map(move |row| (ticker.clone(), row)));
        let rows = rows.filter_map(|(ticker, row)| Some((*places.get(&ticker)?, row))).collect();
        Ok(OptionMinutes { rows, bodies: vec![day.sha256] })
    }
}

fn read_day(body: impl Read, wanted: &dyn Fn(&str) -> bool) -> Result<FlatDay, String> {
    let mut hashed = HashingReader { inner: body, hasher: Sha256::new() };
    let rows = parse_table(MultiGzDecoder::new(&mut hashed), wanted)?;
    // Bytes after the table belong to the hash as well.
    io::copy(&mut hashed, &mut io::sink()).map_err(|error| error.to_string())?;
    Ok(FlatDay { rows, sha256: hex(&hashed.hasher.finalize()) })
}

/// Returns the code of an error in XML, as S3 writes it.
fn code(body: impl Read) -> String {
    let mut text = String::new();
    let _ = body.take(4_096).read_to_string(&mut text);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or_else(|| "no reason given".to_owned(), |(code, _)| code.chars().take(60).collect())
}

/// Reader that hashes the bytes that pass through it.
struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_only_wanted_tickers_are_kept() {
        let stocks = "ticker,volume,open,close,high,low,window_start,transactions\n\
                      A,1,1,1,1,1,1748871000000000000,1\nSPY,17798.430378,600.29,600.5,600.63,600.1,1748871060000000000,129\n\
                      SPY,4930,600,600.2,600.63,600,1748871000000000000,57\n";
        let rows = parse_table(stocks.as_bytes(), &|ticker| ticker == "SPY").unwrap();
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["SPY"]);
        let spy = &rows["SPY"];
        assert_eq!(
            (spy[0].ts_ns, spy[1].volume, spy[1].close),
            (1_748_871_000_000_000_000, Some(17_798.430_378), 600.5)
        );
        let index = "ticker,open,close,high,low,window_start\nI:SPX,5930.1,5931.2,5931.9,5929.8,1748871000000000000\n";
        let rows = parse_table(index.as_bytes(), &|_| true).unwrap();
        assert_eq!((rows["I:SPX"][0].volume, rows["I:SPX"][0].high), (None, 5_931.9));
    }

    #[test]
    fn malformed_tables_are_refused() {
        let parse = |text: &str| parse_table(text.as_bytes(), &|_| true).unwrap_err();
        assert_eq!(parse("a,b\n1,2\n"), "the table has no column ticker");
        let header = "ticker,open,close,high,low,window_start\n";
        assert_eq!(parse(&format!("{header}SPY,1,x,1,1,5\n")), "\"x\" in a row of SPY is not a number");
        assert!(parse(&format!("{header}SPY,1,1\n")).contains("found record with 3 fields"));
    }
}
