//! Option files of a path: one file, or a folder with its files and those of its partitions (`expiry=2025-06-02/…`).

use std::path::{Path, PathBuf};

use crate::DataError;

/// Partitions within partitions that are searched.
const MOST_LEVELS: usize = 8;
/// Endings of files that may hold option minutes.
const ENDINGS: [&str; 3] = [".parquet", ".csv", ".csv.gz"];

/// A file that may hold option minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OptionFile {
    pub(super) path: PathBuf,
    /// True if the caller named the file itself.
    pub(super) named: bool,
    /// Columns that the names of the folders state, as `KEY=VALUE`.
    pub(super) keys: Vec<(String, String)>,
}

/// Returns the files to read, ascending by name.
pub(super) fn files_of(path: &Path) -> Result<Vec<OptionFile>, DataError> {
    if path.is_file() {
        return Ok(vec![OptionFile { path: path.to_owned(), named: true, keys: Vec::new() }]);
    }
    let mut files = Vec::new();
    search(path, &[], &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn search(folder: &Path, keys: &[(String, String)], files: &mut Vec<OptionFile>) -> Result<(), DataError> {
    let fault = |source| DataError::Folder { path: folder.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            if let Some((key, value)) = name.split_once('=').filter(|_| keys.len() < MOST_LEVELS) {
                let key = (key.to_owned(), value.to_owned());
                search(&path, &[keys, &[key]].concat(), files)?;
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            files.push(OptionFile { path, named: false, keys: keys.to_vec() });
        }
    }
    Ok(())
}
