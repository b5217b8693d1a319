//! Why a vendor did not deliver, in words that say what to do about it.

use std::path::PathBuf;

use crate::{DataError, Symbol};

/// Which kind of no a plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The kind of data is not in the plan at all.
    Entitlement,
    /// The dates are too old or too recent for the plan.
    Timeframe,
    /// The plan gives a day only when it is over.
    Today,
}

/// Says why a vendor did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VendorError {
    /// No key was found.
    #[error("{vendor} needs a key: put {} into the environment or into a file .env in the current folder", names.join(" or "))]
    NoKey {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The variables that were looked for.
        names: Vec<&'static str>,
    },
    /// A key that cannot be one.
    #[error("the key in {name} holds blanks or characters that no key has; copy it again")]
    OddKey {
        /// The variable.
        name: &'static str,
    },
    /// The key is unknown.
    #[error("{vendor} does not know the key in {name} ({said}); copy it again from the vendor's dashboard")]
    Unauthorised {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The variable or variables that hold the key.
        name: String,
        /// The vendor's words.
        said: String,
    },
    /// The plan does not include what was asked for.
    #[error("{vendor} refuses {what}: {}; it said: {said}", why(*.refusal))]
    Refused {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// Which kind of no.
        refusal: Refusal,
        /// The vendor's words.
        said: String,
    },
    /// There is no such thing.
    #[error("{vendor} has no {what}: {said}; check the name")]
    NotFound {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// The vendor's words.
        said: String,
    },
    /// The vendor does not understand the request.
    #[error(
        "{vendor} does not understand the request for {what} (status {status}): {said}; the service may have changed"
    )]
    BadRequest {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// The vendor's words.
        said: String,
    },
    /// No answer, in spite of trying again.
    #[error(
        "{vendor} did not answer the request for {what} in {attempts} attempts: {said}; run again later, what came is kept"
    )]
    Unavailable {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong last.
        said: String,
    },
    /// An answer that makes no sense.
    #[error("{vendor} answered the request for {what} with nonsense: {said}; run again later, what came is kept")]
    Malformed {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        said: String,
    },
    /// A bar that contradicts itself, or stands in the wrong place.
    #[error("{vendor} sent a bar that cannot be among the {what}: {said}")]
    BadRow {
        /// Name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        said: String,
    },
    /// Prices that the vendor states otherwise than before: new ones must not stand beside the old.
    #[error(
        "{vendor} has restated the prices of {symbol}, as after a split: those of {date} are now {ratio:.4} times what is \
         kept in {}; move that folder away and fetch again", folder.display()
    )]
    Restated {
        /// Name of the vendor.
        vendor: &'static str,
        /// The symbol.
        symbol: Symbol,
        /// The session that was compared.
        date: jiff::civil::Date,
        /// New prices over old ones.
        ratio: f64,
        /// The folder of the series.
        folder: PathBuf,
    },
    /// An address on a host that the key must not be sent to.
    #[error(
        "{vendor} sent the request for {what} on to {host}, which is not the host that it was asked on; the key stays here, and the address of the vendor has to be looked at"
    )]
    ForeignHost {
        /// Display name of the vendor.
        vendor: &'static str,
        /// What was asked for.
        what: String,
        /// The other host.
        host: String,
    },
    /// A symbol that the vendor cannot have.
    #[error("{vendor} has no minute bars of {symbol}: {why}")]
    Unsupported {
        /// Display name of the vendor.
        vendor: &'static str,
        /// The symbol.
        symbol: Symbol,
        /// Why not, and what instead.
        why: &'static str,
    },
    /// The address of a vendor makes no sense.
    #[error("{name}: {text:?} is no address such as http://127.0.0.1:8080")]
    Address {
        /// The variable.
        name: &'static str,
        /// The text as given.
        text: String,
    },
    /// Stopped on request.
    #[error("stopped; what came is kept, and the next run goes on from there")]
    Stopped,
    /// The cache cannot be written or locked.
    #[error("the cache {}: {doing}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cache cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

fn why(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Entitlement => {
            "the plan of this key does not include this kind of data (one plan covers one class: stocks, indices or options); \
             leave it out or change the plan"
        }
        Refusal::Timeframe => "these dates are older or more recent than the plan of this key allows; ask for others",
        Refusal::Today => "the plan of this key gives a day only when it is over; ask for the days before",
    }
}

impl VendorError {
    /// Says whether the vendor could not be asked at all: no key, or no answer.
    #[must_use]
    pub fn is_out_of_touch(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::Unavailable { .. })
    }

    /// Returns which kind of no a plan said, if it was one.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }
}
