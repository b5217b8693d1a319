//! The output of a source: bars, volatility, and a record of the files read.

use std::path::Path;

use crate::{Bars, Volatility};

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
}

impl FileRecord {
    /// Returns the record of a file whose rows are all used.
    #[must_use]
    pub fn new(path: &Path, rows: usize, note: String) -> Self {
        Self { path: path.display().to_string(), rows, note, digest: None }
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
}

/// Returns the label of the data on every artefact: `SYNTHETIC` or `market`.
pub fn stamp(synthetic: bool) -> &'static str {
    if synthetic { "SYNTHETIC" } else { "market" }
}
