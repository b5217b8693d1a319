//! Properties of one file of a vendor: named by the user, stated by the file, or detected from its bars.

use std::path::{Path, PathBuf};

use market_data::{
    BarStamp, Bars, DataError, Symbol, Zone,
    source::files::{
        import::{VendorFile, symbol_of},
        placement::{Evidence, Placement, SessionCount, ZONES, place},
    },
};

use super::flags::Wanted;
use crate::output::exit_code::UsageError;

const STAMPS: [BarStamp; 2] = [BarStamp::Start, BarStamp::End];
/// Words of file names that are no symbols.
const NO_SYMBOLS: [&str; 12] =
    ["BAR", "BARS", "DATA", "DAY", "EXPORT", "HISTORY", "INTRADAY", "MINUTE", "MINUTES", "OHLC", "OHLCV", "PRICES"];

/// A file as it was detected, and its bars.
#[derive(Debug)]
pub(super) struct Detected {
    pub(super) path: PathBuf,
    pub(super) file: VendorFile,
    /// Zone, stamp and the evidence for them.
    pub(super) placement: Placement,
    /// Price unit in dollars.
    pub(super) unit: f64,
    pub(super) bars: Bars,
    pub(super) count: SessionCount,
}

impl Detected {
    /// Reads a file and detects what the user has not named.
    ///
    /// # Errors
    /// A file that cannot be read as minute bars, or whose symbol or zone cannot be found.
    pub(super) fn read(path: &Path, wanted: &Wanted) -> anyhow::Result<Self> {
        let file = VendorFile::read(path, &wanted.columns, wanted.symbol.as_ref()).map_err(usage)?;
        let symbol = symbol(path, &file, wanted)?;
        let placement = placed(path, &file, wanted)?;
        let unit = wanted.unit.or_else(|| file.price_unit()).unwrap_or(1.0);
        let bars = file.bars(&symbol, placement.zone.as_ref(), placement.stamp, unit)?;
        if bars.is_empty() {
            return Err(DataError::NoBars { origin: path.display().to_string(), symbol }.into());
        }
        let count = SessionCount::of(bars.ts_ns());
        Ok(Self { path: path.to_owned(), file, placement, unit, bars, count })
    }

    /// Returns the zone if it was detected and `wanted` does not name it.
    pub(super) fn guessed_zone(&self, wanted: &Wanted) -> Option<&Zone> {
        self.placement.zone.as_ref().filter(|_| wanted.zone.is_none())
    }

    /// Returns the stamp if it was detected, differs from the project's and `wanted` does not name it.
    pub(super) fn guessed_stamp(&self, wanted: &Wanted) -> Option<BarStamp> {
        Some(self.placement.stamp).filter(|stamp| wanted.stamp.is_none() && *stamp == BarStamp::End)
    }

    /// Returns the price unit if it was detected, is not the dollar and `wanted` does not name it.
    pub(super) fn guessed_unit(&self, wanted: &Wanted) -> Option<f64> {
        Some(self.unit).filter(|unit| wanted.unit.is_none() && *unit != 1.0)
    }
}

/// Turns errors that flags can correct into errors of usage.
fn usage(error: DataError) -> anyhow::Error {
    match error {
        DataError::MissingBarColumn { .. }
        | DataError::AmbiguousColumn { .. }
        | DataError::UnknownColumn { .. }
        | DataError::SeveralSymbols { .. } => UsageError::one(error.to_string()).into(),
        error => error.into(),
    }
}

/// Returns the symbol: the named one, that of the file's column, or that of its name.
fn symbol(path: &Path, file: &VendorFile, wanted: &Wanted) -> Result<Symbol, UsageError> {
    let stated = wanted.symbol.as_ref().or(file.symbol()).cloned();
    stated.or_else(|| symbol_in_name(path)).ok_or_else(|| {
        UsageError::one(format!(
            "{}: neither a column nor the file's name tells the symbol; add --symbol",
            path.display()
        ))
    })
}

/// Returns the symbol at the beginning of a file's name: SPY of `spy_1min.csv`.
fn symbol_in_name(path: &Path) -> Option<Symbol> {
    let stem = path.file_stem()?.to_str()?;
    let first = stem.split(['_', '-', ' ', '.']).next()?;
    symbol_of(first).ok().filter(|symbol| !NO_SYMBOLS.contains(&symbol.as_str()))
}

/// Finds zone and stamp.
fn placed(path: &Path, file: &VendorFile, wanted: &Wanted) -> Result<Placement, UsageError> {
    let zeros = vec![0.0; file.rows()];
    let volume = file.volume().unwrap_or(&zeros);
    let stamps = wanted.stamp.map_or_else(|| STAMPS.to_vec(), |stamp| vec![stamp]);
    if file.states_zone() {
        let found = place(file.times_ns(), volume, &[None], &stamps);
        if found.evidence == Evidence::None {
            check_marked(path, file, volume)?;
        }
        return Ok(found);
    }
    let all = || ZONES.iter().filter_map(|name| Zone::new(name).ok()).map(Some).collect();
    let zones: Vec<Option<Zone>> = wanted.zone.clone().map_or_else(all, |zone| vec![Some(zone)]);
    let found = place(file.times_ns(), volume, &zones, &stamps);
    if wanted.zone.is_none() && found.evidence == Evidence::None {
        let text = "the zone of its times is neither stated nor visible from its bars; name it, such as --timestamp-zone \
                    America/New_York";
        return Err(UsageError::one(format!("{}: {text}", path.display())));
    }
    Ok(found)
}

/// Refuses instants that fit the exchange's day only as times on a clock: a vendor marked local times as UTC.
fn check_marked(path: &Path, file: &VendorFile, volume: &[f64]) -> Result<(), UsageError> {
    let zones: Vec<Option<Zone>> =
        ZONES.iter().filter(|name| **name != "UTC").filter_map(|name| Zone::new(name).ok()).map(Some).collect();
    let found = place(file.times_ns(), volume, &zones, &STAMPS);
    match found.zone.filter(|_| found.evidence != Evidence::None) {
        None => Ok(()),
        Some(zone) => Err(UsageError::one(format!(
            "{}: its times are marked as UTC, but its bars lie in the exchange's day where times of {zone} would; write the \
             times without a zone, or with the right offset",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_begins_with_the_symbol() {
        let named = |name: &str| symbol_in_name(Path::new(name)).map(|symbol| symbol.to_string());
        for name in ["SPY.csv", "spy_1min.csv", "in/SPY_1m.parquet", "SPY 2025-06.csv", "^SPY.csv"] {
            assert_eq!(named(name).as_deref(), Some("SPY"), "{name}");
        }
        for name in ["bars.csv", "data_2025.csv", "2025-06-02.csv", ".csv"] {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
