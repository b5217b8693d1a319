//! Files that a user names: opened only if they are regular files, so that a named pipe or a device is refused instead of waited
//! for or read without end.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

/// Most bytes of a text that is read whole: a configuration, a sidecar, a report.
const LARGEST_TEXT: u64 = 16 << 20;
/// Most bytes of any file that is read whole, such as the weights of a model.
const LARGEST_FILE: u64 = 4 << 30;

/// Opens a regular file, or the one that a link leads to.
///
/// # Errors
/// Those of the operating system; for a folder, a named pipe, a socket or a device a sentence that says so.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    let other = [
        (kind.is_dir(), "a folder"),
        (kind.is_fifo(), "a named pipe"),
        (kind.is_socket(), "a socket"),
        (!kind.is_file(), "a device"),
    ];
    match other.iter().find(|(is, _)| *is) {
        Some((_, name)) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {name}; a regular file is needed")))
        }
        None => File::open(path),
    }
}

/// Reads a whole regular file of at most 4 GiB.
///
/// # Errors
/// As for [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let size = file.metadata()?.len();
    if size > LARGEST_FILE {
        return Err(too_large(LARGEST_FILE));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size as usize)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a text of at most 16 MiB.
///
/// # Errors
/// As for [`open`]; also a larger file, and bytes that are no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    let mut text = String::new();
    file.take(LARGEST_TEXT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_TEXT {
        return Err(too_large(LARGEST_TEXT));
    }
    Ok(text)
}

fn too_large(most: u64) -> io::Error {
    let text = format!("it is larger than {} MiB, the most that such a file has", most >> 20);
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket] = ["pipe", "socket"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = UnixListener::bind(&socket).unwrap();
        let refusal = |path: &Path| open(path).unwrap_err().to_string();
        assert_eq!(refusal(&pipe), "it is a named pipe; a regular file is needed");
        assert_eq!(refusal(&socket), "it is a socket; a regular file is needed");
        assert_eq!(refusal(Path::new("/dev/zero")), "it is a device; a regular file is needed");
        assert_eq!(refusal(folder.path()), "it is a folder; a regular file is needed");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!((read(&link).unwrap(), read_text(&link).unwrap()), (b"text".to_vec(), "text".to_owned()));
    }

    #[test]
    fn a_text_without_end_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        let error = read_text(file.path()).unwrap_err().to_string();
        assert_eq!(error, "it is larger than 16 MiB, the most that such a file has");
        let error = read(file.path()).unwrap_err().to_string();
        assert_eq!(error, "it is larger than 4096 MiB, the most that such a file has");
    }
}
