//! Requests that the data plan refused, cached for a week.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    Symbol, input_file,
    source::{cache, vendor::VendorError},
};

/// Days for which a refusal is valid; then the request is tried again.
const VALID_DAYS: i64 = 7;

/// Refusals, as stored in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Refusals {
    /// Kinds of data outside the plan: time of the request, and message.
    kinds: BTreeMap<String, (Timestamp, String)>,
    /// First dates of the plan by symbol: time of the request, and date.
    floors: BTreeMap<Symbol, (Timestamp, Date)>,
}

impl Refusals {
    /// Reads the refusals; an unreadable file holds none.
    pub(super) fn read(file: &Path) -> Self {
        serde_json::from_str(&input_file::read_text(file).unwrap_or_default()).unwrap_or_default()
    }

    /// Writes the refusals if they differ from the file.
    pub(super) fn write(&self, file: &Path) -> Result<(), VendorError> {
        if *self == Self::read(file) {
            return Ok(());
        }
        let fault = |source| VendorError::Cache { path: file.to_owned(), doing: "writing", source };
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other).map_err(fault)?;
        fs::create_dir_all(file.parent().unwrap_or(file)).map_err(fault)?;
        cache::replace(file, |mut part| part.write_all(text.as_bytes())).map_err(fault)
    }

    /// Returns the time and message of a valid refusal.
    pub(super) fn refused(&self, what: &str, now_ms: i64) -> Option<&(Timestamp, String)> {
        self.kinds.get(what).filter(|(asked, _)| is_valid(*asked, now_ms))
    }

    pub(super) fn refuse(&mut self, what: &str, message: String, now_ms: i64) {
        self.kinds.insert(what.to_owned(), (time(now_ms), message));
    }

    pub(super) fn allow(&mut self, what: &str) {
        self.kinds.remove(what);
    }

    /// Returns the first date that the plan reaches for a symbol, if it is known and valid.
    pub(super) fn floor(&self, symbol: &Symbol, now_ms: i64) -> Option<Date> {
        self.floors.get(symbol).filter(|(asked, _)| is_valid(*asked, now_ms)).map(|(_, floor)| *floor)
    }

    /// Returns the first date that the plan reached for a symbol at the last refusal, however old.
    pub(super) fn last_floor(&self, symbol: &Symbol) -> Option<Date> {
        self.floors.get(symbol).map(|(_, floor)| *floor)
    }

    /// Copies the first dates of another record.
    pub(super) fn take_floors(&mut self, other: &Self) {
        self.floors.clone_from(&other.floors);
    }

    pub(super) fn set_floor(&mut self, symbol: &Symbol, floor: Date, now_ms: i64) {
        self.floors.insert(symbol.clone(), (time(now_ms), floor));
    }
}

fn time(now_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn is_valid(asked: Timestamp, now_ms: i64) -> bool {
    time(now_ms).duration_since(asked).as_hours().abs() < VALID_DAYS * 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_valid_for_a_week_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/refusals.json");
        let (spy, day) = (Symbol::new("SPY").unwrap(), 86_400_000);
        let mut refusals = Refusals::read(&file);
        refusals.write(&file).unwrap();
        assert!(!file.exists(), "nothing was refused");
        refusals.refuse("VIX by the day", "no".to_owned(), 0);
        refusals.set_floor(&spy, "2024-06-03".parse().unwrap(), 0);
        refusals.write(&file).unwrap();
        let refusals = Refusals::read(&file);
        assert_eq!(refusals.refused("VIX by the day", 6 * day).map(|(_, message)| message.as_str()), Some("no"));
        assert_eq!((refusals.refused("VIX by the day", 8 * day), refusals.floor(&spy, 8 * day)), (None, None));
        assert_eq!(refusals.floor(&spy, day), Some("2024-06-03".parse().unwrap()));
        fs::write(&file, "{").unwrap();
        assert_eq!(Refusals::read(&file), Refusals::default());
    }
}
