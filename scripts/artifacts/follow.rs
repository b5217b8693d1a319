//! Follower of a text file that another program is writing: whole lines only, each returned once.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;
use market_data::{input_file, quotation::printable};

/// A growing file, and the position up to which it was read.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// Number of the file in its file system; it changes when the file is replaced.
    inode: u64,
    /// Bytes read, up to the end of a line.
    at: u64,
    changed: Option<Timestamp>,
}

/// Lines found by one poll.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NewLines {
    /// True if the file was truncated or replaced: earlier lines no longer hold, and these are the first ones.
    pub restarted: bool,
    /// The new lines, without their ends.
    pub lines: Vec<String>,
}

impl Follower {
    /// Starts before the first line of a file, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, inode: 0, at: 0, changed: None }
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file's modification time at the last poll.
    pub fn changed(&self) -> Option<Timestamp> {
        self.changed
    }

    /// Returns the lines completed since the last poll; none while the file does not exist.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub fn poll(&mut self) -> anyhow::Result<NewLines> {
        let found = match input_file::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(NewLines::default()),
            opened => opened.and_then(|file| self.read(file)),
        };
        found.with_context(|| format!("reading {}", self.path.display()))
    }

    fn read(&mut self, mut file: File) -> io::Result<NewLines> {
        let metadata = file.metadata()?;
        let replaced = self.inode != 0 && self.inode != metadata.ino();
        let restarted = replaced || metadata.len() < self.at;
        if restarted {
            self.at = 0;
        }
        self.inode = metadata.ino();
        self.changed = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.at))?;
        file.read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
        self.at += bytes.len() as u64;
        let lines = String::from_utf8_lossy(&bytes).lines().map(|line| printable(line).into_owned()).collect();
        Ok(NewLines { restarted, lines })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn whole_lines_are_returned_once_and_a_replaced_file_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let mut follower = Follower::new(path.clone());
        let mut poll = || {
            let NewLines { restarted, lines } = follower.poll().unwrap();
            (restarted, lines.join(","))
        };
        let expected = |restarted: bool, lines: &str| (restarted, lines.to_owned());
        assert_eq!(poll(), expected(false, ""), "it does not exist yet");
        fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(poll(), expected(false, "one,two"));
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"ee\n").unwrap();
        assert_eq!(poll(), expected(false, "three"));
        assert_eq!(poll(), expected(false, ""));
        fs::write(&path, "one\n").unwrap();
        assert_eq!(poll(), expected(true, "one"), "cut");
        ppo_agent::write_atomically(&path, b"uno\ndue\ntre\n").unwrap();
        assert_eq!(poll(), expected(true, "uno,due,tre"), "replaced by a longer one");
        assert!(follower.changed().is_some());
        let error = Follower::new(folder.path().to_owned()).poll().unwrap_err();
        assert!(error.to_string().starts_with("reading "), "{error:#}");
    }
}
