//! Sources of bars and option minutes: files, columns in memory, vendors through a cache, and a generator of synthetic bars.

#[cfg(feature = "fetch")]
pub mod cache;
#[cfg(feature = "load")]
pub mod column_files;
pub mod columns;
#[cfg(feature = "fetch")]
pub mod fetch;
#[cfg_attr(not(feature = "load"), path = "source/files/without_load.rs")]
pub mod files;
#[cfg(feature = "load")]
pub mod option_files;
pub mod synthetic;
#[cfg(feature = "fetch")]
pub mod vendor;

use std::collections::BTreeSet;

use crate::{DataError, Symbol};

/// Refuses an empty list of symbols and one that names a symbol twice.
fn check_symbols(symbols: &[Symbol]) -> Result<(), DataError> {
    if symbols.is_empty() {
        return Err(DataError::NoSymbols);
    }
    let mut seen = BTreeSet::new();
    match symbols.iter().find(|symbol| !seen.insert(*symbol)) {
        Some(symbol) => Err(DataError::DuplicateSymbol { symbol: symbol.clone() }),
        None => Ok(()),
    }
}
