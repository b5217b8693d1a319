//! File hashes, free names, and earlier results set aside.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use market_data::{FileRecord, input_file};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::output::table::thousands;

/// Returns the first of `path.1`, `path.2`, … that does not exist.
pub fn free_name(path: &Path) -> PathBuf {
    let numbered = |n: u32| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{n}"));
        path.with_file_name(name)
    };
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

/// Renames a file or folder to its next free numbered name, and returns that; `None` if there is nothing to rename.
///
/// # Errors
/// When it cannot be renamed.
pub fn set_aside(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let aside = free_name(path);
    fs::rename(path, &aside).with_context(|| format!("moving {} to {}", path.display(), aside.display()))?;
    Ok(Some(aside))
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256_of(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256(path: &Path) -> anyhow::Result<String> {
    let hash = || -> io::Result<String> {
        let (mut file, mut hasher, mut buffer) = (input_file::open(path)?, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hasher.finalize())),
                n => hasher.update(&buffer[..n]),
            }
        }
    };
    hash().with_context(|| format!("hashing {}", path.display()))
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read, is no regular file, or does not hold such a value; the message names it.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let read = || -> anyhow::Result<T> { Ok(serde_json::from_slice(&input_file::read(path)?)?) };
    read().with_context(|| format!("reading {}", path.display()))
}

/// Returns one line per file that was read; the months of a series and the files of a folder share one.
pub fn lines(records: &[FileRecord]) -> Vec<String> {
    let months = |file: &FileRecord| {
        let folder = Path::new(&file.path).parent()?.to_owned();
        file.digest.as_ref().map(|_| folder)
    };
    let folder = |file: &FileRecord| file.folder.as_ref().map(PathBuf::from).or_else(|| months(file));
    let series = records.chunk_by(|a, b| folder(a).is_some() && folder(a) == folder(b) && a.note == b.note);
    let line = |files: &[FileRecord]| {
        let rows = thousands(files.iter().map(|file| file.rows).sum::<usize>() as i64);
        let (first, last) = (&files[0], &files[files.len() - 1]);
        if let Some(folder) = &first.folder {
            return format!("{folder}, {} files: {rows} rows; {}", files.len(), first.note);
        }
        let name = Path::new(&last.path).file_stem().unwrap_or_default().to_string_lossy();
        let more = if files.len() > 1 { format!(" to {name}") } else { String::new() };
        format!("{}{more}: {rows} rows; {}", first.path, first.note)
    };
    series.map(line).collect()
}

/// Returns the manifest entries of the files that were read.
///
/// # Errors
/// When one of them cannot be read again.
pub fn manifest_entries(records: &[FileRecord]) -> anyhow::Result<Vec<Value>> {
    let file = |file: &FileRecord| {
        let sha256 = file.digest.clone().map_or_else(|| sha256(file.path.as_ref()), Ok)?;
        Ok(json!({ "path": file.path, "rows": file.rows, "note": file.note, "sha256": sha256 }))
    };
    records.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "two").unwrap();
        let expected = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
        assert_eq!(sha256(file.path()).unwrap(), expected);
    }

    #[test]
    fn earlier_results_are_numbered_never_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        assert_eq!(set_aside(&path).unwrap(), None);
        for n in 1..=2 {
            fs::create_dir(&path).unwrap();
            assert_eq!(set_aside(&path).unwrap(), Some(folder.path().join(format!("run.{n}"))));
        }
        assert!(!path.exists());
    }
}
