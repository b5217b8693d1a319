//! What all vendors have in common: the clock, keys, pacing, retries, and the one shape that their bars take.
//!
//! A vendor turns a symbol and dates into pages of bars ([`Vendor`]); it neither stores nor cuts sessions. The clock is
//! the caller's ([`Clock`]), so that a test can let an hour pass in a moment.
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
mod rows;
mod secret;
#[cfg(feature = "fetch")]
pub mod yahoo;

use std::time::Duration;

use jiff::civil::Date;

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
    rows::Letters,
};
use crate::{DateRange, Symbol};

/// The time of day and the passing of time.
pub trait Clock: Sync {
    /// Returns milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
    /// Returns after this long.
    fn sleep(&self, pause: Duration);
}

/// What a fetch tells while it is under way; from several threads at once.
pub trait Progress: Sync {
    /// A call was answered, whatever the answer.
    fn called(&self);
    /// The next call has to wait this long.
    fn waiting(&self, pause: Duration, why: &str);
    /// Something that the user has to know.
    fn note(&self, text: String);
    /// Something is in the way for now; told at once.
    fn blocked(&self, text: String) {
        self.note(text);
    }
    /// Whether to stop at the next safe place.
    fn stopped(&self) -> bool {
        false
    }
}

/// How prices of different years are made comparable. Series of two kinds are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adjustment {
    /// Earlier prices and volumes are restated for splits, not for dividends.
    Split,
    /// As traded.
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

/// One answer of a vendor: rows in ascending order, and where they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The rows, minutes outside trading hours included.
    pub rows: Vec<Row>,
    /// SHA-256 of the body as it was sent.
    pub sha256: String,
    /// Whether no page follows.
    pub last: bool,
}

/// Takes pages as they arrive.
pub type Take<'a> = dyn FnMut(Page) -> Result<(), VendorError> + 'a;

/// A service that sells or gives away minute bars.
pub trait Vendor: Sync {
    /// Returns its name, which is also that of its folder in a cache.
    fn name(&self) -> &'static str;

    /// Returns how its prices are adjusted.
    fn adjustment(&self) -> Adjustment {
        Adjustment::Split
    }

    /// Refuses a symbol that it cannot have.
    ///
    /// # Errors
    /// [`VendorError::Unsupported`].
    fn check(&self, symbol: &Symbol) -> Result<(), VendorError>;

    /// Returns the most calendar days to ask for at once.
    fn window_days(&self, symbol: &Symbol) -> i32;

    /// Returns how many calls a window of so many sessions takes, at best.
    fn calls(&self, symbol: &Symbol, sessions: usize) -> usize;

    /// Returns the first date that can be had at all, seen from `today`.
    fn first_date(&self, _today: Date) -> Option<Date> {
        None
    }

    /// Returns dates before which a plan may end, seen from `today`, the earliest first; tried in turn where a range is refused.
    fn floors(&self, _today: Date) -> Vec<Date> {
        Vec::new()
    }

    /// Returns how many calls may be under way at once.
    fn parallel(&self) -> usize;

    /// Returns how it paces its calls; 0 = as fast as they are answered.
    fn calls_per_minute(&self) -> u32;

    /// Hands over the minute bars of `dates` page by page, ascending.
    ///
    /// # Errors
    /// What the vendor refuses or garbles, or what `take` returns.
    fn minute_bars(&self, symbol: &Symbol, dates: DateRange, take: &mut Take<'_>) -> Result<(), VendorError>;

    /// Returns the daily closes of an index, ascending by date.
    ///
    /// # Errors
    /// What the vendor refuses or garbles.
    fn daily_closes(&self, symbol: &Symbol, dates: DateRange) -> Result<Vec<(Date, f64)>, VendorError>;
}

/// Minute bars of several contracts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionMinutes {
    /// Rows with the place of their contract in the list asked for. Prices are those of trades: a bar may sit on the bid or
    /// the ask.
    pub rows: Vec<(usize, Row)>,
    /// SHA-256 of the bodies as they were sent.
    pub bodies: Vec<String>,
}

/// A vendor that has minute bars of options.
pub trait OptionVendor: Vendor {
    /// Returns how many contracts one call may name.
    fn batch(&self) -> usize;

    /// Returns the minute bars of some contracts on one date. One that never traded has none, nor one that never was.
    ///
    /// # Errors
    /// What the vendor refuses or garbles.
    fn option_minutes(&self, contracts: &[Contract], date: Date) -> Result<OptionMinutes, VendorError>;
}
