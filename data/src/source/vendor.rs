//! Vendors of market data: the interface, the clock, keys, pacing, retries, and the table of all vendors.
//!
//! A vendor turns a symbol and dates into pages of bars ([`Vendor`]). Storage and sessions are the caller's. The clock is
//! passed in ([`Clock`]), so that a test can let an hour pass at once.
//!
//! The parsers of all vendors can be fuzzed: `cargo +nightly fuzz run parsers --fuzz-dir data/fuzz`.

#[cfg(feature = "fetch")]
pub mod alpaca;
mod client;
mod contract;
mod error;
mod http;
#[cfg(all(test, feature = "fetch"))]
pub(crate) mod malformed_bodies;
#[cfg(feature = "fetch")]
pub mod massive;
mod rate_limit;
mod refusal_text;
#[cfg(feature = "fetch")]
mod registry;
mod rows;
mod secret;
#[cfg(feature = "fetch")]
pub mod yahoo;

use std::time::Duration;

use jiff::civil::Date;

#[cfg(feature = "fetch")]
pub use self::registry::{
    CredentialSource, KeyVariables, NamedKey, OpenVendor, VENDORS, VendorKeys, VendorProfile, VendorSetup,
};
pub use self::{
    client::{Client, Json},
    contract::{Contract, grid, root, strike_step},
    error::{Refusal, VendorError},
    http::{Http, Reply},
    rate_limit::Pace,
    rows::{Row, Rows},
    secret::Secret,
};
pub(crate) use self::{
    client::{hex, sha256},
    rows::JsonBar,
};
use crate::{DateRange, Symbol};

/// Current time, and waiting.
pub trait Clock: Sync {
    /// Returns milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
    /// Waits for `pause`.
    fn sleep(&self, pause: Duration);
}

/// Receiver of a fetch's progress; called from several threads at once.
pub trait Progress: Sync {
    /// Counts one request, successful or not.
    fn called(&self);
    /// Reports that the next request is `pause` away, and the reason.
    fn waiting(&self, pause: Duration, reason: &str);
    /// Adds a note for the user.
    fn note(&self, text: String);
    /// Reports at once that something blocks the fetch for now.
    fn blocked(&self, text: String) {
        self.note(text);
    }
    /// Returns true if the fetch is to stop at the next safe place.
    fn stopped(&self) -> bool {
        false
    }
}

/// Adjustment that makes prices of different years comparable. Series with different adjustments are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adjustment {
    /// Earlier prices and volumes are restated for splits, not for dividends.
    Split,
    /// Prices as traded.
    Raw,
}

impl Adjustment {
    /// Returns the name of the folder that holds such series.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Raw => "raw",
        }
    }
}

/// One response of a vendor: rows in ascending order.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The rows, minutes outside trading hours included.
    pub rows: Vec<Row>,
    /// SHA-256 of the body as received.
    pub sha256: String,
    /// True if no page follows.
    pub last: bool,
}

/// Callback that receives pages as they arrive.
pub type PageHandler<'a> = dyn FnMut(Page) -> Result<(), VendorError> + 'a;

/// A service that offers minute bars.
pub trait Vendor: Sync {
    /// Returns the name, which is also that of the vendor's folder in a cache.
    fn name(&self) -> &'static str;

    /// Returns the vendor as one of option bars, if it offers them.
    fn options(&self) -> Option<&dyn OptionVendor> {
        None
    }

    /// Returns the adjustment of the prices.
    fn adjustment(&self) -> Adjustment {
        Adjustment::Split
    }

    /// Refuses a symbol that the vendor does not offer.
    ///
    /// # Errors
    /// [`VendorError::Unsupported`].
    fn check(&self, symbol: &Symbol) -> Result<(), VendorError>;

    /// Refuses every request if a key is needed and missing, before anything is written.
    ///
    /// # Errors
    /// [`VendorError::NoKey`].
    fn check_key(&self) -> Result<(), VendorError>;

    /// Returns the maximum number of calendar days per request.
    fn window_days(&self, symbol: &Symbol) -> i32;

    /// Returns the minimum number of calls for a window of so many sessions.
    fn calls(&self, symbol: &Symbol, sessions: usize) -> usize;

    /// Returns the first date on offer as of `today`; `None` without such a limit.
    fn first_date(&self, _today: Date) -> Option<Date> {
        None
    }

    /// Returns the first dates that different plans may reach as of `today`, ascending. After a refusal they are tried in
    /// turn.
    fn floors(&self, _today: Date) -> Vec<Date> {
        Vec::new()
    }

    /// Returns the maximum number of concurrent calls.
    fn parallel(&self) -> usize;

    /// Returns the maximum number of calls per minute; 0 = no limit.
    fn calls_per_minute(&self) -> u32;

    /// Passes the minute bars of `dates` to `on_page`, page by page, ascending.
    ///
    /// # Errors
    /// Refused requests, malformed responses, and errors of `on_page`.
    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, on_page: &mut PageHandler<'_>) -> Result<(), VendorError>;

    /// Returns the daily closes of an index, ascending by date.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    fn daily_closes(&self, symbol: &Symbol, dates: DateRange) -> Result<Vec<(Date, f64)>, VendorError>;
}

/// Minute bars of several contracts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionMinutes {
    /// Rows, each with the index of its contract in the requested list. Prices are those of trades: a bar may sit on the
    /// bid or on the ask.
    pub rows: Vec<(usize, Row)>,
    /// SHA-256 of the bodies as received.
    pub bodies: Vec<String>,
}

/// A vendor that offers minute bars of options.
pub trait OptionVendor: Vendor {
    /// Returns the maximum number of contracts per call.
    fn batch(&self) -> usize;

    /// Returns the minute bars of some contracts on one date. A contract that did not trade, or does not exist, has none.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    fn option_minutes(&self, contracts: &[Contract], date: Date) -> Result<OptionMinutes, VendorError>;
}

/// Returns the fault of a vendor's call limit, if it has one.
#[cfg(feature = "fetch")]
fn check_calls(vendor: &str, calls_per_minute: u32, min: u32) -> Vec<String> {
    let fault = format!("data.{vendor}.calls_per_minute: {calls_per_minute} is not between {min} and 10000");
    if (min..=10_000).contains(&calls_per_minute) { Vec::new() } else { vec![fault] }
}
