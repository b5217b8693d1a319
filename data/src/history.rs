//! The output of a source: bars, volatility, and a record of the files read.

use std::path::Path;

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

/// The word that made-up data puts on every artefact, and its counterpart.
pub fn stamp(synthetic: bool) -> &'static str {
    if synthetic { "SYNTHETIC" } else { "market" }
}
