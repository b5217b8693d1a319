//! Files that a command writes at its end, in folders that were checked before its work began.

use std::{
    ffi::OsStr,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{Access, access},
    io::Errno,
};
use serde::Serialize;

use crate::output::console::Console;

/// Checks that a folder can be written or created, by the rights on the nearest existing folder; writes nothing.
///
/// # Errors
/// A sentence with the folder's path.
pub fn check_writable(folder: &Path) -> anyhow::Result<()> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    let checked = if existing.is_dir() { access(existing, rights) } else { Err(Errno::NOTDIR) };
    checked.with_context(|| format!("cannot write to the folder {}", folder.display()))
}

/// Creates the folder of a file.
///
/// # Errors
/// A sentence with the file's path.
pub fn create_parent(path: &Path) -> anyhow::Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .with_context(|| format!("creating a folder for {}", path.display()))
}

/// Creates the folder of a file and writes the file under a temporary name, which is then renamed.
///
/// # Errors
/// When the file cannot be written; an earlier one is intact then.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create_parent(path)?;
    Ok(ppo_agent::write_atomically(path, bytes)?)
}

/// Returns a value as indented JSON that ends with a newline.
///
/// # Errors
/// If the value has no JSON form.
pub(crate) fn json_text<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Files that every run folder has.
const RECORDS: [&str; 4] = ["config.toml", "health.jsonl", "manifest.json", "metrics.jsonl"];

/// Refuses a path where a report would destroy a model, the records of a run, or a file that no command wrote as `content`.
fn check_replaceable(content: &str, path: &Path) -> anyhow::Result<()> {
    let of_a_model = path.extension().is_some_and(|ending| ending == "safetensors")
        || path.extension().is_some_and(|ending| ending == "json") && path.with_extension("safetensors").exists();
    let of_a_run = path.file_name().is_some_and(|name| RECORDS.iter().any(|record| name == *record))
        && RECORDS.iter().all(|record| path.with_file_name(record).exists());
    if path.exists() && (of_a_model || of_a_run) {
        let owner = if of_a_model { "model" } else { "run" };
        bail!("{} belongs to a {owner}; choose another file", path.display());
    }
    if !is_ours(content, path)? {
        bail!("{} holds something else than this command writes; remove it or choose another file", path.display());
    }
    Ok(())
}

/// Returns whether a file is absent, empty, no regular file, or may be one that a command wrote as `content`; bars, settings and
/// logs of the user may not.
fn is_ours(content: &str, path: &Path) -> anyhow::Result<bool> {
    if fs::metadata(path).map_or(true, |found| !found.is_file() || found.len() == 0) {
        return Ok(true);
    }
    let mut start = Vec::new();
    let file = fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    file.take(64).read_to_end(&mut start).with_context(|| format!("reading {}", path.display()))?;
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| start.starts_with(beginning.as_bytes()));
    let lower = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().to_lowercase();
    let (name, ending) = (lower(path.file_stem()), lower(path.extension()));
    let is_a_series = name.ends_with("_1m") || name.ends_with("_1d");
    Ok(!is_a_series
        && match ending.as_str() {
            "json" => begins(&["{", "["]),
            "csv" => content != "Trades" || begins(&["symbol,date,expiry,side,"]),
            "parquet" => begins(&["PAR1"]),
            "svg" => begins(&["<"]),
            "toml" => content == "Parameters",
            "env" | "log" | "jsonl" | "rs" => false,
            _ => true,
        })
}

/// A file that a command will write.
#[derive(Debug)]
pub(crate) struct OutputFile {
    content: &'static str,
    path: PathBuf,
}

impl OutputFile {
    /// Checks that the file's folder can be written. `content` is the noun of the line that [`OutputFile::save`]
    /// prints, such as "Report"; it may be empty.
    ///
    /// # Errors
    /// A sentence naming the folder.
    pub(crate) fn checked(content: &'static str, path: &Path) -> anyhow::Result<Self> {
        // A dash means stdout, as for other programs.
        let path = if path == Path::new("-") { Path::new("/dev/stdout") } else { path };
        path.parent().map_or(Ok(()), check_writable)?;
        check_replaceable(content, path)?;
        Ok(Self { content, path: path.to_owned() })
    }

    /// Checks the folder of a file that a flag may name.
    ///
    /// # Errors
    /// As for [`OutputFile::checked`].
    pub(crate) fn requested(content: &'static str, path: Option<&PathBuf>) -> anyhow::Result<Option<Self>> {
        path.map(|path| Self::checked(content, path)).transpose()
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the line with the file's path.
    pub(crate) fn line(&self) -> String {
        let path = self.path.display();
        if self.content.is_empty() { format!("Written: {path}") } else { format!("{} written: {path}", self.content) }
    }

    /// Writes the file without printing its path.
    ///
    /// # Errors
    /// When it cannot be written; an earlier one is intact then.
    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        write_file(&self.path, bytes.as_ref())
    }

    /// Writes the file and prints its path.
    ///
    /// # Errors
    /// When it cannot be written; an earlier one is intact then.
    pub(crate) fn save(&self, bytes: impl AsRef<[u8]>, console: &mut Console) -> anyhow::Result<()> {
        self.write(bytes)?;
        Ok(console.say(self.line())?)
    }

    /// Writes a value as JSON and prints the path.
    ///
    /// # Errors
    /// As for [`OutputFile::save`].
    pub(crate) fn save_json<T: Serialize>(&self, value: &T, console: &mut Console) -> anyhow::Result<()> {
        self.save(json_text(value)?, console)
    }
}

/// A folder that a command will write files to.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    content: &'static str,
    path: PathBuf,
}

impl OutputFolder {
    /// Checks that the folder can be written or created. `content` is that of its files, as in [`OutputFile::checked`].
    ///
    /// # Errors
    /// A sentence naming the folder.
    pub(crate) fn checked(content: &'static str, path: &Path) -> anyhow::Result<Self> {
        check_writable(path)?;
        Ok(Self { content, path: path.to_owned() })
    }

    /// Checks a folder that a flag may name.
    ///
    /// # Errors
    /// As for [`OutputFolder::checked`].
    pub(crate) fn requested(content: &'static str, path: Option<&PathBuf>) -> anyhow::Result<Option<Self>> {
        path.map(|path| Self::checked(content, path)).transpose()
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a file of the folder.
    pub(crate) fn file(&self, name: &str) -> OutputFile {
        OutputFile { content: self.content, path: self.path.join(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_before_the_work_and_written_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/deep/report.json");
        let file = OutputFile::requested("Report", Some(&path)).unwrap().unwrap();
        assert!(!folder.path().join("new").exists(), "a check leaves nothing behind");
        file.write("{}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        assert_eq!(file.line(), format!("Report written: {}", path.display()));
        assert!(OutputFile::requested("Report", None).unwrap().is_none());
        fs::write(path.with_extension("safetensors"), "weights").unwrap();
        let sidecar = OutputFile::checked("", &path).unwrap_err().to_string();
        assert!(sidecar.ends_with("report.json belongs to a model; choose another file"), "{sidecar}");
        assert_eq!(OutputFile::checked("", Path::new("-")).unwrap().path(), Path::new("/dev/stdout"));
        let refusal = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            OutputFile::checked("Trades", &path).map(drop).map_err(|error| error.to_string())
        };
        for (name, text) in
            [("a.json", "{}"), ("a.csv", "symbol,date,expiry,side,x\n"), ("a.svg", "<svg>"), ("a.csv", "")]
        {
            refusal(name, text).unwrap();
        }
        for (name, text) in [
            ("b.json", "timesteps = 5"),
            ("bars.csv", "timestamp,open\n"),
            ("SPY_1m.parquet", "PAR1"),
            ("c.toml", "[run]\n"),
        ] {
            let error = refusal(name, text).unwrap_err();
            assert!(error.contains("holds something else than this command writes"), "{name}: {error}");
        }
        let below_a_file = OutputFile::checked("", &path.join("report.json")).unwrap_err().to_string();
        assert!(below_a_file.starts_with("cannot write to the folder "), "{below_a_file}");
    }

    #[test]
    fn files_of_a_folder_lie_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = OutputFolder::checked("", &folder.path().join("out")).unwrap();
        let file = out.file("table.md");
        file.write("| a |\n").unwrap();
        assert_eq!(file.line(), format!("Written: {}", folder.path().join("out/table.md").display()));
        assert!(folder.path().join("out/table.md").is_file());
    }
}
