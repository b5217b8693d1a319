//! Files that are written whole or not at all.
//!
//! A regular file is written without a name, gets a temporary one beside its place when it is complete, and is renamed: a
//! reader sees the old file or the new one, and a killed program leaves nothing behind. Temporary names are unpredictable and
//! created exclusively, so that they never follow a link. What is no regular file, such as `/dev/stdout` or a pipe, is written
//! through; of a link the target is replaced.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, OpenOptions},
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::AgentError;

/// Permissions of a new file, less those that the process's mask removes.
const NEW_FILE: Mode = Mode::from_bits_truncate(0o666);

/// Writes a file so that a reader sees the old content or the new one.
///
/// # Errors
/// [`AgentError::Io`] when the file cannot be written; an earlier file of the same name stays intact.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    write(path, bytes).map_err(|source| AgentError::Io { action: "write", path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let place = target(path)?;
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary_name(&place);
    let kept = write_unnamed(folder, &temporary, bytes).or_else(|error| match error.kind() {
        // The file system, or a machine without /proc, has no unnamed files.
        io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory | io::ErrorKind::NotFound if folder.is_dir() => {
            write_named(&temporary, bytes)
        }
        _ => Err(error),
    });
    kept.and_then(|()| fs::rename(&temporary, &place)).inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Follows links, also one whose target does not exist yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(found) => Ok(found),
        Err(_) if path.is_symlink() => Ok(path.parent().unwrap_or(Path::new(".")).join(fs::read_link(path)?)),
        Err(_) => Ok(path.to_owned()),
    }
}

/// Returns an unpredictable name beside a file.
fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{:016x}.tmp", RandomState::new().build_hasher().finish()))
}

/// Writes a file without a name and then gives it one.
fn write_unnamed(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::from(rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, NEW_FILE)?);
    file.write_all(bytes)?;
    file.sync_all()?;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, source, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

fn write_named(name: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(name)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        for text in ["first", "second"] {
            write_atomically(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["report.json"]);
        let named = folder.path().join("named");
        write_named(&named, b"x").unwrap();
        assert!(write_named(&named, b"y").is_err(), "an existing name is never opened");
        let error = write_atomically(&folder.path().join("none/report.json"), b"x").unwrap_err().to_string();
        assert!(error.contains("none/report.json"), "{error}");
    }

    #[test]
    fn a_link_stays_a_link_and_its_target_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        symlink("target", &link).unwrap();
        for text in ["new", "again"] {
            write_atomically(&link, text.as_bytes()).unwrap();
            assert!(link.is_symlink() && fs::read_to_string(&target).unwrap() == text);
        }
    }

    #[test]
    fn a_device_is_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("null");
        symlink("/dev/null", &link).unwrap();
        write_atomically(&link, b"text").unwrap();
        assert!(link.is_symlink() && !fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(names(folder.path()), ["null"]);
    }
}
