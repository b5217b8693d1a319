//! Ticker symbols.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Indices by their tickers.
const INDICES: [&str; 18] = [
    "COMP", "DJI", "DJX", "MRUT", "NDX", "OEX", "RUT", "RVX", "SKEW", "SPX", "VIX", "VIX1D", "VIX3M", "VIX6M", "VIX9D",
    "VVIX", "VXN", "XSP",
];

/// Error of a text that is not a symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a symbol: expected 1 to 12 letters, digits, dots or dashes, starting with a letter")]
pub struct SymbolError {
    /// The text as given.
    pub text: String,
}

/// An upper-case ticker such as `SPY`; safe as part of a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(String);

impl Symbol {
    /// Parses a ticker. Lower case becomes upper case, and blanks around it are dropped.
    ///
    /// # Errors
    /// [`SymbolError`] unless the text is 1 to 12 ASCII letters, digits, dots or dashes that start with a letter.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        let ticker = text.trim().to_ascii_uppercase();
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let starts_with_letter = ticker.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if starts_with_letter && ticker.len() <= 12 && ticker.bytes().all(known) {
            Ok(Self(ticker))
        } else {
            Err(SymbolError { text: text.to_owned() })
        }
    }

    /// Returns true for an index of Cboe, S&P, Nasdaq, Russell or Dow Jones, which has no volume.
    #[must_use]
    pub fn is_index(&self) -> bool {
        INDICES.contains(&self.as_str())
    }

    /// Returns the ticker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Symbol {
    type Error = SymbolError;

    fn try_from(text: String) -> Result<Self, SymbolError> {
        Self::new(&text)
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickers_are_upper_cased_and_invalid_ones_refused() {
        assert_eq!(Symbol::new(" spy ").unwrap().as_str(), "SPY");
        assert_eq!("brk.b".parse::<Symbol>().unwrap().to_string(), "BRK.B");
        for invalid in ["", "  ", "../SPY", "SP Y", "I:SPX", "^VIX", "ŠPY", "ABCDEFGHIJKLM"] {
            assert!(Symbol::new(invalid).is_err(), "{invalid:?} passed");
        }
    }

    #[test]
    fn indices_are_no_funds() {
        let is_index = |name: &str| Symbol::new(name).unwrap().is_index();
        assert!(["SPX", "vix1d", "XSP"].into_iter().all(is_index));
        assert!(!["SPY", "IWM", "SPXL"].into_iter().any(is_index));
    }

    #[test]
    fn serde_is_a_plain_checked_string() {
        let symbol = Symbol::new("QQQ").unwrap();
        assert_eq!(serde_json::to_string(&symbol).unwrap(), "\"QQQ\"");
        assert_eq!(serde_json::from_str::<Symbol>("\"qqq\"").unwrap(), symbol);
        assert!(serde_json::from_str::<Symbol>("\"a/b\"").is_err());
    }
}
