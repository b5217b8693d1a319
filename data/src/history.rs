//! The output of a source: bars, volatility, and a record of the files read.

use std::{fmt, path::Path};

use crate::{Bars, Volatility};

/// A file that was read, for the run's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The path as it was opened.
    pub path: String,
    /// Data rows.
    pub rows: usize,
    /// What was detected, such as `timestamps: RFC 3339`.
    pub note: String,
    /// SHA-256 of the rows that were used, where the file may hold and get others; else the file itself is hashed.
    pub digest: Option<String>,
}

impl FileRecord {
    /// Describes a file whose rows were all used.
    #[must_use]
    pub fn new(path: &Path, rows: usize, note: String) -> Self {
        Self { path: path.display().to_string(), rows, note, digest: None }
    }
}

/// Everything that a source delivers.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// One series per symbol asked for, in that order.
    pub bars: Vec<Bars>,
    /// What was published about volatility.
    pub volatility: Volatility,
    /// The files read; none for made-up bars.
    pub files: Vec<FileRecord>,
    /// Whether the bars are made up; every artefact of a run has to show it.
    pub synthetic: bool,
    /// What else there is to know about where they come from, one sentence each.
    pub notes: Vec<String>,
}

/// The origin of a run's bars, as every artefact shows it: `SYNTHETIC` or `market`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DataStamp {
    /// Bars of a market.
    #[serde(rename = "market")]
    Market,
    /// Made-up bars.
    #[serde(rename = "SYNTHETIC")]
    Synthetic,
}

impl DataStamp {
    /// Returns the stamp of made-up bars or of a market's.
    pub fn of(synthetic: bool) -> Self {
        if synthetic { Self::Synthetic } else { Self::Market }
    }

    /// Returns whether the bars are made up.
    pub fn is_synthetic(self) -> bool {
        self == Self::Synthetic
    }

    /// Returns the word that files and reports hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Synthetic => "SYNTHETIC",
        }
    }
}

impl fmt::Display for DataStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_reports_hold_the_same_word() {
        for (synthetic, word) in [(false, "market"), (true, "SYNTHETIC")] {
            let stamp = DataStamp::of(synthetic);
            assert_eq!((stamp.to_string().as_str(), stamp.is_synthetic()), (word, synthetic));
            assert_eq!(serde_json::to_string(&stamp).unwrap(), format!("\"{word}\""));
        }
    }
}
