//! The output of a source: bars, volatility, and a record of the files read.

use std::{fmt, path::Path};

use crate::{Bars, Symbol, Volatility, columns::ColumnInputs};

/// Record of a file that was read, for the manifest of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The path as it was opened.
    pub path: String,
    /// Data rows.
    pub rows: usize,
    /// Detected format, such as `timestamps: RFC 3339`.
    pub note: String,
    /// SHA-256 of the used rows, for a file that contains or may receive others; `None` if the file itself is hashed.
    pub digest: Option<String>,
    /// The folder whose files hold one series, if this is one of them.
    pub folder: Option<String>,
}

impl FileRecord {
    /// Returns the record of a file whose rows are all used.
    #[must_use]
    pub fn new(path: &Path, rows: usize, note: String) -> Self {
        Self { path: path.display().to_string(), rows, note, digest: None, folder: None }
    }
}

/// Output of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// One series per requested symbol, in that order.
    pub bars: Vec<Bars>,
    /// Published volatility.
    pub volatility: Volatility,
    /// The files read; none for synthetic bars.
    pub files: Vec<FileRecord>,
    /// True for synthetic bars, which every artefact of a run has to show.
    pub synthetic: bool,
    /// Notes on the origin of the bars, one sentence each.
    pub notes: Vec<String>,
    /// Inputs of columns beside the features; empty unless the configuration names some.
    pub columns: ColumnInputs,
}

impl History {
    /// Uses the bars of some of its own symbols as columns too; a symbol without bars is left out.
    #[must_use]
    pub fn with_cross(mut self, cross: &[Symbol]) -> Self {
        let find = |symbol: &Symbol| self.bars.iter().find(|bars| bars.symbol() == symbol).cloned();
        self.columns.cross = cross.iter().filter_map(find).collect();
        self
    }
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
