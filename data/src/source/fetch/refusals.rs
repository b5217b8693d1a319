//! What a plan said no to, remembered for a week, so that the next runs do not ask in vain.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    Symbol,
    source::{cache::part_of, vendor::VendorError},
};

/// A refusal is believed for so many days, then tried again.
const BELIEVED_DAYS: i64 = 7;

/// What was refused, as a file keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Refusals {
    /// What is not in the plan: when it was asked for, and the words.
    kinds: BTreeMap<String, (Timestamp, String)>,
    /// Before which date there is nothing in the plan: when that was found out, and the date.
    floors: BTreeMap<Symbol, (Timestamp, Date)>,
}

impl Refusals {
    /// Reads what was refused; a file that cannot be understood refuses nothing.
    pub(super) fn read(file: &Path) -> Self {
        serde_json::from_str(&fs::read_to_string(file).unwrap_or_default()).unwrap_or_default()
    }

    /// Writes it, if there is anything to write or to take back.
    pub(super) fn write(&self, file: &Path) -> Result<(), VendorError> {
        if *self == Self::read(file) {
            return Ok(());
        }
        let fault = |source| VendorError::Cache { path: file.to_owned(), doing: "writing it", source };
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other).map_err(fault)?;
        let part = part_of(file);
        fs::create_dir_all(file.parent().unwrap_or(file)).map_err(fault)?;
        fs::write(&part, text).and_then(|()| fs::rename(&part, file)).map_err(fault)
    }

    /// Returns when this was refused and in which words, if that is still believed.
    pub(super) fn refused(&self, what: &str, now_ms: i64) -> Option<&(Timestamp, String)> {
        self.kinds.get(what).filter(|(asked, _)| believed(*asked, now_ms))
    }

    pub(super) fn refuse(&mut self, what: &str, words: String, now_ms: i64) {
        self.kinds.insert(what.to_owned(), (time(now_ms), words));
    }

    pub(super) fn allow(&mut self, what: &str) {
        self.kinds.remove(what);
    }

    /// Returns the first date of a symbol that the plan reaches, if one was found out and is still believed.
    pub(super) fn floor(&self, symbol: &Symbol, now_ms: i64) -> Option<Date> {
        self.floors.get(symbol).filter(|(asked, _)| believed(*asked, now_ms)).map(|(_, floor)| *floor)
    }

    /// Returns the first date of a symbol that the plan reached when it was last found out, however long ago.
    pub(super) fn last_floor(&self, symbol: &Symbol) -> Option<Date> {
        self.floors.get(symbol).map(|(_, floor)| *floor)
    }

    /// Takes over floors that were found out meanwhile.
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

fn believed(asked: Timestamp, now_ms: i64) -> bool {
    time(now_ms).duration_since(asked).as_hours().abs() < BELIEVED_DAYS * 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_believed_for_a_week_and_kept_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/refusals.json");
        let (spy, day) = (Symbol::new("SPY").unwrap(), 86_400_000);
        let mut noes = Refusals::read(&file);
        noes.write(&file).unwrap();
        assert!(!file.exists(), "nothing was refused");
        noes.refuse("VIX by the day", "no".to_owned(), 0);
        noes.set_floor(&spy, "2024-06-03".parse().unwrap(), 0);
        noes.write(&file).unwrap();
        let noes = Refusals::read(&file);
        assert_eq!(noes.refused("VIX by the day", 6 * day).map(|(_, words)| words.as_str()), Some("no"));
        assert_eq!((noes.refused("VIX by the day", 8 * day), noes.floor(&spy, 8 * day)), (None, None));
        assert_eq!(noes.floor(&spy, day), Some("2024-06-03".parse().unwrap()));
        fs::write(&file, "{").unwrap();
        assert_eq!(Refusals::read(&file), Refusals::default());
    }
}
