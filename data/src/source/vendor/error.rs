//! Errors of vendors: what failed, what was requested, and what to do about it.

use std::path::PathBuf;

use crate::{DataError, Symbol};

/// Reasons for which a data plan refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The plan does not include this kind of data.
    Entitlement,
    /// The dates are too old or too recent for the plan.
    Timeframe,
    /// The plan delivers a day only after it has ended.
    Today,
}

/// Errors of a request to a vendor, or of the cache behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VendorError {
    /// No key was found.
    #[error("{vendor} needs a key: set {} in the environment or in a file .env in the current folder", names.join(" or "))]
    NoKey {
        /// Display name of the vendor.
        vendor: &'static str,
        /// Variables that may hold the key.
        names: Vec<&'static str>,
    },
    /// A key with characters that no key contains.
    #[error("the key in {name} contains blanks or other characters that no key has; copy it again")]
    OddKey {
        /// The variable.
        name: &'static str,
    },
    /// The vendor rejects the key.
    #[error("{vendor} rejects the key in {name} ({message}); copy it again from the vendor's dashboard")]
    Unauthorised {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The variable or variables that hold the key.
        name: String,
        /// The vendor's message.
        message: String,
    },
    /// The plan does not include the requested data.
    #[error("{vendor} refuses {what}: {}. Its message: {message}", advice(*.refusal))]
    Refused {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The reason.
        refusal: Refusal,
        /// The vendor's message.
        message: String,
    },
    /// The requested data do not exist.
    #[error("{vendor} has no {what}: {message}; check the name")]
    NotFound {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The vendor's message.
        message: String,
    },
    /// The vendor rejects the form of the request.
    #[error(
        "{vendor} rejects the request for {what} as invalid (status {status}): {message}; the service may have changed"
    )]
    BadRequest {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The vendor's message.
        message: String,
    },
    /// Every attempt failed.
    #[error(
        "{vendor} did not answer the request for {what} in {attempts} attempts: {message}; try again later, completed \
         pages are cached"
    )]
    Unavailable {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// Number of attempts.
        attempts: u32,
        /// The last failure.
        message: String,
    },
    /// A response that cannot be parsed or contradicts the request.
    #[error(
        "{vendor} sent a malformed response to the request for {what}: {message}; try again later, completed pages are \
         cached"
    )]
    Malformed {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The fault.
        message: String,
    },
    /// A bar that contradicts itself or is out of order.
    #[error("{vendor} sent an invalid bar among the {what}: {message}")]
    BadRow {
        /// Name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The fault.
        message: String,
    },
    /// Bars whose times contradict the exchange's day.
    #[error("{vendor} sent {what}, but {message}; none of them is stored")]
    Misplaced {
        /// Name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The contradiction.
        message: String,
    },
    /// Prices that differ from the cached ones by a factor: the two must not be mixed.
    #[error(
        "{vendor} has restated the prices of {symbol}, as after a split: those of {date} are now {ratio:.4} times the \
         cached prices in {}; move that folder away and fetch again", folder.display()
    )]
    Restated {
        /// Name of the vendor.
        vendor: &'static str,
        /// The symbol.
        symbol: Symbol,
        /// The session that was compared.
        date: jiff::civil::Date,
        /// New prices over cached prices.
        ratio: f64,
        /// Folder of the cached series.
        folder: PathBuf,
    },
    /// A redirect or a next page on a host that must not receive the key.
    #[error("{vendor} redirected the request for {what} to {host}; refused, and no key was sent. Check {variable}")]
    ForeignHost {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The requested data.
        what: String,
        /// The other host.
        host: String,
        /// Variable that sets the address of the vendor.
        variable: &'static str,
    },
    /// A symbol that the vendor does not offer.
    #[error("{vendor} has no minute bars of {symbol}: {why}")]
    Unsupported {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The symbol.
        symbol: Symbol,
        /// The reason, and an alternative.
        why: &'static str,
    },
    /// An address that cannot be used.
    #[error(
        "{name}: {text:?} is not a usable address; use https, or http on this machine such as http://127.0.0.1:8080"
    )]
    Address {
        /// The variable.
        name: &'static str,
        /// The text as given.
        text: String,
    },
    /// The user stopped the fetch.
    #[error("stopped; completed sessions are cached, and the next run resumes after them")]
    Stopped,
    /// The cache cannot be written or locked.
    #[error("the cache {}: {doing} failed", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The operation.
        doing: &'static str,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The cache cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

fn advice(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Entitlement => {
            "the plan of this key does not include this kind of data (one plan covers one class: stocks, indices or options); \
             leave it out or change the plan"
        }
        Refusal::Timeframe => "these dates are older or more recent than the plan of this key allows; choose others",
        Refusal::Today => "the plan of this key delivers a day only after it has ended; choose earlier days",
    }
}

impl VendorError {
    /// Returns true if the vendor was not reached: no key, or no answer.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::Unavailable { .. })
    }

    /// Returns the reason if the data plan refused the request.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }
}
