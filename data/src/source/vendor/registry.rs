//! Table of the vendors: names, variables of keys and addresses, and how each is opened.
//!
//! A new vendor is one file beside this one, its `mod` line in `vendor.rs`, its section in `config.rs` and its entry here.

use url::Url;

use super::{
    Clock, OptionVendor, Pace, Progress, Secret, Vendor, VendorError,
    alpaca::{self, Alpaca},
    massive::{
        self, Massive,
        flat_files::{self, FlatFiles},
    },
    yahoo::{self, Yahoo},
};
use crate::{DataConfig, Symbol, source::cache::Cache};

/// All vendors, in the order in which help texts list them.
pub static VENDORS: [VendorProfile; 3] = [MASSIVE, ALPACA, YAHOO];

const MASSIVE: VendorProfile = VendorProfile {
    name: massive::NAME,
    aliases: &["polygon", "intraday"],
    offers: "stocks, indices and options; a free key gives two years, without today",
    keys: &[
        VendorKeys { label: "key of massive", variables: KeyVariables::Single(&massive::KEYS) },
        VendorKeys { label: "keys of massive's flat files", variables: KeyVariables::Pair(&flat_files::KEYS) },
    ],
    folders: &[massive::NAME],
    open: open_massive,
};

const ALPACA: VendorProfile = VendorProfile {
    name: alpaca::NAME,
    aliases: &[],
    offers: "stocks since 2016 and options; a free key, no indices",
    keys: &[VendorKeys { label: "keys of alpaca", variables: KeyVariables::Pair(&alpaca::KEYS) }],
    folders: &[alpaca::NAME, alpaca::IEX_NAME],
    open: open_alpaca,
};

const YAHOO: VendorProfile = VendorProfile {
    name: yahoo::NAME,
    aliases: &["yfinance"],
    offers: "the last thirty days of stocks and indices; no key, no options",
    keys: &[],
    folders: &[yahoo::NAME],
    open: open_yahoo,
};

/// One vendor as a user sees it.
#[derive(Debug)]
pub struct VendorProfile {
    /// Name in flags, in the configuration and in folders of a cache.
    pub name: &'static str,
    /// Other names that are accepted in place of `name`.
    pub aliases: &'static [&'static str],
    /// Data on offer, in a few words.
    pub offers: &'static str,
    /// Keys of the vendor; none if it needs none.
    pub keys: &'static [VendorKeys],
    /// Folders of a cache that may hold its series.
    pub folders: &'static [&'static str],
    open: for<'a> fn(&VendorSetup<'_, 'a>) -> Result<OpenVendor<'a>, VendorError>,
}

/// A key and the variables that may hold it.
#[derive(Debug)]
pub struct VendorKeys {
    /// Label in reports.
    pub label: &'static str,
    /// The variables.
    pub variables: KeyVariables,
}

/// Variables of the environment that may hold a key, the preferred ones first.
#[derive(Debug, Clone, Copy)]
pub enum KeyVariables {
    /// One variable holds the key.
    Single(&'static [&'static str]),
    /// Two variables hold an identifier and its secret.
    Pair(&'static [(&'static str, &'static str)]),
}

/// Inputs for opening a vendor.
#[derive(Clone, Copy)]
pub struct VendorSetup<'s, 'a> {
    /// Configuration with a section per vendor.
    pub config: &'s DataConfig,
    /// Symbols of the run.
    pub symbols: &'s [Symbol],
    /// Cache whose folder also records the times of calls.
    pub cache: &'s Cache,
    /// Keys and addresses.
    pub credentials: &'s dyn CredentialSource,
    /// Clock that paces the calls.
    pub clock: &'a dyn Clock,
    /// Receiver of progress and notes.
    pub progress: &'a dyn Progress,
}

/// A source of keys and addresses, such as the environment.
pub trait CredentialSource {
    /// Returns the first key that is set, with its variable.
    ///
    /// # Errors
    /// [`VendorError::OddKey`] for a key with characters that no key has.
    fn key(&self, names: &[&'static str]) -> Result<Option<NamedKey>, VendorError>;

    /// Returns the first pair of which both keys are set, with their variables.
    ///
    /// # Errors
    /// [`VendorError::OddKey`] for a key with characters that no key has.
    fn key_pair(&self, names: &[(&'static str, &'static str)]) -> Result<Option<[NamedKey; 2]>, VendorError>;

    /// Returns the address that a variable sets, or else `default`.
    ///
    /// # Errors
    /// [`VendorError::Address`] for a text that is not an address, or an address to which a key must not be sent.
    fn address(&self, name: &'static str, default: &str) -> Result<Url, VendorError>;
}

/// A key and the variable that holds it.
pub type NamedKey = (Secret, &'static str);

/// A vendor that is ready for requests.
pub enum OpenVendor<'a> {
    /// Massive, which also lists contracts, chains and greeks.
    Massive(Box<Massive<'a>>),
    /// Any other service.
    Other(Box<dyn Vendor + 'a>),
}

impl std::fmt::Debug for OpenVendor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenVendor").field(&self.vendor().name()).finish()
    }
}

impl OpenVendor<'_> {
    /// Returns the vendor.
    #[must_use]
    pub fn vendor(&self) -> &dyn Vendor {
        match self {
            Self::Massive(vendor) => vendor.as_ref(),
            Self::Other(vendor) => vendor.as_ref(),
        }
    }

    /// Returns the vendor as one of option bars, if it offers them.
    #[must_use]
    pub fn options(&self) -> Option<&dyn OptionVendor> {
        self.vendor().options()
    }
}

impl VendorProfile {
    /// Returns the vendor with this name or alias.
    #[must_use]
    pub fn named(text: &str) -> Option<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.name == text || vendor.aliases.contains(&text))
    }

    /// Opens the vendor. Without a key every request fails, but the cache can be read.
    ///
    /// # Errors
    /// Keys and addresses that cannot be used.
    pub fn open<'a>(&self, setup: &VendorSetup<'_, 'a>) -> Result<OpenVendor<'a>, VendorError> {
        (self.open)(setup)
    }

    /// Returns the name, followed by the aliases in parentheses.
    #[must_use]
    pub fn name_with_aliases(&self) -> String {
        match self.aliases {
            [] => self.name.to_owned(),
            aliases => format!("{} (also: {})", self.name, aliases.join(", ")),
        }
    }
}

impl PartialEq for VendorProfile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for VendorProfile {}

fn pace(setup: &VendorSetup<'_, '_>, vendor: &str, calls_per_minute: u32) -> Pace {
    Pace::new(calls_per_minute, &setup.cache.calls(vendor))
}

fn open_massive<'a>(setup: &VendorSetup<'_, 'a>) -> Result<OpenVendor<'a>, VendorError> {
    let VendorSetup { config, credentials, clock, progress, .. } = *setup;
    if config.massive.flat_files {
        let base = credentials.address(flat_files::BASE_VARIABLE, flat_files::BASE)?;
        let pair = credentials.key_pair(&flat_files::KEYS)?;
        let pair = pair.as_ref().map(|[(access, _), (secret, _)]| (access, secret));
        return Ok(OpenVendor::Other(Box::new(FlatFiles::new(base, pair, setup.symbols, clock, progress)?)));
    }
    let base = credentials.address(massive::BASE_VARIABLE, massive::BASE)?;
    let key = credentials.key(&massive::KEYS)?;
    let [preferred, former] = massive::KEYS;
    if key.as_ref().is_some_and(|(_, name)| *name == former) {
        progress.note(format!("using the key in {former}; its newer name is {preferred}"));
    }
    let key = key.as_ref().map(|(key, name)| (key, *name));
    let pace = pace(setup, massive::NAME, config.massive.calls_per_minute);
    Ok(OpenVendor::Massive(Box::new(Massive::new(base, key, pace, clock, progress))))
}

fn open_alpaca<'a>(setup: &VendorSetup<'_, 'a>) -> Result<OpenVendor<'a>, VendorError> {
    let VendorSetup { config, credentials, clock, progress, .. } = *setup;
    let base = credentials.address(alpaca::BASE_VARIABLE, alpaca::BASE)?;
    let pair = credentials.key_pair(&alpaca::KEYS)?;
    let pair = pair.as_ref().map(|pair| pair.each_ref().map(|(key, name)| (key, *name)));
    let pace = pace(setup, alpaca::NAME, config.alpaca.calls_per_minute);
    Ok(OpenVendor::Other(Box::new(Alpaca::new(base, pair, config.alpaca.feed, pace, clock, progress))))
}

fn open_yahoo<'a>(setup: &VendorSetup<'_, 'a>) -> Result<OpenVendor<'a>, VendorError> {
    let VendorSetup { config, credentials, clock, progress, .. } = *setup;
    let base = credentials.address(yahoo::BASE_VARIABLE, yahoo::BASE)?;
    let pace = pace(setup, yahoo::NAME, config.yahoo.calls_per_minute);
    Ok(OpenVendor::Other(Box::new(Yahoo::new(base, pace, clock, progress))))
}

impl std::fmt::Debug for VendorSetup<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendorSetup")
            .field("config", self.config)
            .field("symbols", &self.symbols)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_aliases_are_unique_and_found() {
        let all: Vec<&str> =
            VENDORS.iter().flat_map(|vendor| vendor.aliases.iter().copied().chain([vendor.name])).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
        for (text, name) in
            [("massive", "massive"), ("polygon", "massive"), ("intraday", "massive"), ("yfinance", "yahoo")]
        {
            assert_eq!(VendorProfile::named(text).map(|vendor| vendor.name), Some(name));
        }
        assert_eq!(VendorProfile::named("files"), None);
    }

    #[test]
    fn every_vendor_has_a_section_of_the_configuration_and_a_folder_of_its_name() {
        let config = serde_json::to_value(DataConfig::default()).unwrap();
        for vendor in &VENDORS {
            assert!(config[vendor.name]["calls_per_minute"].is_u64(), "data.{}.calls_per_minute", vendor.name);
            assert_eq!(vendor.folders[0], vendor.name);
        }
    }
}
