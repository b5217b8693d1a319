//! Reproducible archive of a run and its model: the same files give the same bytes.

use std::{
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use market_data::input_file;
use zip::{CompressionMethod, DateTime, System, ZipWriter, write::SimpleFileOptions};

use super::finished::Finished;
use crate::output::{console::Console, output_file::OutputFolder, table::thousands};

/// Folder of the model in the archive, as in the folder of a run that was set aside.
const MODELS: &str = "models";
/// Size in bytes from which a file gets a ZIP64 entry.
const LARGE: usize = 1 << 31;

/// Archives a run as `NAME.zip` in a folder.
///
/// # Errors
/// When a file cannot be read, or the archive cannot be written.
pub(super) fn write(run: &Finished, folder: &OutputFolder, console: &mut Console) -> anyhow::Result<()> {
    let mut entries = files(&run.folder).with_context(|| format!("listing {}", run.folder.display()))?;
    match model(run) {
        Model::Inside => {}
        Model::Beside(files) => entries.extend(files),
        Model::Absent => {
            console.say(format!("Note: the model of {} was not found; its archive lacks the model", run.name))?
        }
    }
    entries.sort();
    let bytes = archive(&run.name, &entries)?;
    let file = folder.file(&format!("{}.zip", run.name));
    file.write(bytes)?;
    Ok(console.say(format!("{} ({} files)", file.line(), thousands(entries.len() as i64)))?)
}

/// Name of a file in the archive, and its path on disk.
type Entry = (String, PathBuf);

/// Returns all regular files below a folder; links are skipped.
fn files(folder: &Path) -> std::io::Result<Vec<Entry>> {
    let (mut found, mut open) = (Vec::new(), vec![(String::new(), folder.to_owned())]);
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, kind) = (format!("{prefix}{}", entry.file_name().to_string_lossy()), entry.file_type()?);
            if kind.is_dir() {
                open.push((format!("{name}/"), entry.path()));
            } else if kind.is_file() {
                found.push((name, entry.path()));
            }
        }
    }
    Ok(found)
}

enum Model {
    /// In the run folder, as in a run that was set aside.
    Inside,
    Beside(Vec<Entry>),
    Absent,
}

/// Finds the model of a run. A model next to a renamed run folder may belong to a later run.
fn model(run: &Finished) -> Model {
    let name = &run.config.run.model_name;
    let names = ["safetensors", "json"].map(|ending| format!("{MODELS}/{name}.{ending}"));
    let all_in = |folder: &Path| names.iter().all(|name| folder.join(name).is_file());
    match run.folder.ancestors().nth(2) {
        _ if all_in(&run.folder) => Model::Inside,
        Some(root) if *name == run.name && all_in(root) => {
            Model::Beside(names.into_iter().map(|name| (name.clone(), root.join(name))).collect())
        }
        _ => Model::Absent,
    }
}

/// Packs files into a folder of the archive.
fn archive(folder: &str, entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .system(System::Unix)
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, path) in entries {
        let bytes = input_file::read(path).with_context(|| format!("reading {}", path.display()))?;
        writer.start_file(format!("{folder}/{name}"), options.large_file(bytes.len() >= LARGE))?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_packed_in_order_and_alike() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["z.txt", "a/b/c.txt", "a.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("z.txt", folder.path().join("link")).unwrap();
        let mut entries = files(folder.path()).unwrap();
        entries.sort();
        let bytes = archive("run", &entries).unwrap();
        let read = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        assert_eq!(read.file_names().collect::<Vec<_>>(), ["run/a.txt", "run/a/b/c.txt", "run/z.txt"]);
        fs::write(folder.path().join("z.txt"), "z.txt").unwrap();
        assert_eq!(archive("run", &entries).unwrap(), bytes, "the time of writing does not matter");
    }
}
