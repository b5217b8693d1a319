//! Files that grow by whole lines, and survive a program that is killed while it writes.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::output::console::read_whole_characters;

/// One file of records that grows by whole lines.
#[derive(Debug)]
pub(crate) struct LineFile {
    path: PathBuf,
    file: File,
}

impl LineFile {
    /// Creates an empty file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Reopens a file for appending after reducing its text with `keep`. Half a line left by a killed run is dropped.
    ///
    /// # Errors
    /// As `keep`; when the file cannot be read or written.
    pub(crate) fn resume(path: PathBuf, keep: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let kept =
            whole_lines(&path).and_then(|text| keep(&text)).with_context(|| format!("reading {}", path.display()))?;
        ppo_agent::write_atomically(&path, kept.as_bytes())?;
        let file =
            OpenOptions::new().append(true).open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Adds a line, which ends with its newline.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&mut self, line: &str) -> anyhow::Result<()> {
        self.file.write_all(line.as_bytes()).with_context(|| format!("writing {}", self.path.display()))
    }
}

/// Returns the whole lines of a file; half a line at its end is left out.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn whole_lines(path: &Path) -> anyhow::Result<String> {
    let mut text = read_whole_characters(path)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}
