//! Lock of a run: one process at a time trains under a model name in an output folder.
//!
//! The file `runs/.<name>.lock` names process and host. While the process lives, the operating system holds a lock on it; the
//! file of a process that was killed is taken over. A lock of another host may not be visible here, so its file is respected.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::output::{clock, output_file::create_parent};

/// Attempts to lock a file that others keep removing.
const ATTEMPTS: u32 = 100;

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    file: File,
    /// Folders that were created for it, the innermost first.
    created: Vec<PathBuf>,
}

/// Content of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    since: String,
}

impl Owner {
    fn this_process() -> Self {
        Self { pid: std::process::id(), host: host(), since: clock::timestamp() }
    }

    /// Returns the owner that a lock file names; `None` for a file that is empty or torn.
    fn read(mut file: &File) -> Option<Self> {
        let mut text = String::new();
        file.take(10_000).read_to_string(&mut text).ok()?;
        file.rewind().ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Returns the name of this machine.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}

impl RunLock {
    /// Locks the run `name` with the file `path`; its folder is created.
    ///
    /// # Errors
    /// A sentence with process, host and remedy when another process trains the run, or may do so on another host; or when the
    /// file cannot be written.
    pub fn acquire(path: &Path, name: &str) -> anyhow::Result<Self> {
        let missing = path.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_owned);
        let created = missing.filter(|folder| !folder.as_os_str().is_empty()).collect();
        create_parent(path)?;
        for _ in 0..ATTEMPTS {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = open.with_context(|| format!("opening the lock {}", path.display()))?;
            check_free(&file, path, name)?;
            // The last owner may have removed the file since it was opened; then the lock guards nothing.
            if is_at(&file, path) {
                let lock = Self { path: path.to_owned(), file, created };
                lock.write().with_context(|| format!("writing the lock {}", path.display()))?;
                return Ok(lock);
            }
        }
        bail!("the lock {} is removed again and again by another program", path.display())
    }

    /// Refuses a run that another process trains; writes nothing.
    ///
    /// # Errors
    /// As for [`RunLock::acquire`].
    pub fn check(path: &Path, name: &str) -> anyhow::Result<()> {
        // Without a file, or without the right to open it, nothing is locked that could be told here.
        File::open(path).map_or(Ok(()), |file| check_free(&file, path, name))
    }

    fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string(&Owner::this_process())? + "\n";
        self.file.set_len(0)?;
        Ok((&self.file).write_all(text.as_bytes())?)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // A file that stays is taken over by the next run.
            let _ = fs::remove_file(&self.path);
        }
        for folder in &self.created {
            // Fails for a folder that holds something, as it should.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Locks an open lock file, or returns why it belongs to another process.
fn check_free(file: &File, path: &Path, name: &str) -> anyhow::Result<()> {
    let locked = file.try_lock();
    let owner = Owner::read(file);
    let here = host();
    let (what, advice) = match (&locked, &owner) {
        (Err(TryLockError::WouldBlock), Some(owner)) if owner.host == here => {
            (text(owner), format!("wait for it, end it with kill {}, or choose another --model-name", owner.pid))
        }
        (Err(TryLockError::WouldBlock), Some(owner)) => {
            (text(owner), "wait for it, end it there, or choose another --model-name".to_owned())
        }
        (Err(TryLockError::WouldBlock), None) => {
            ("another process".to_owned(), "wait for it, or choose another --model-name".to_owned())
        }
        (_, Some(owner)) if owner.host != here => {
            let advice = format!(
                "this is {here}, where that cannot be checked; if it has ended there, remove {}, otherwise choose another \
                 --model-name",
                path.display()
            );
            (text(owner), advice)
        }
        // File systems without locks: the process decides.
        (Err(TryLockError::Error(_)), Some(owner)) if Path::new("/proc").join(owner.pid.to_string()).exists() => {
            let advice = format!("wait for it, or remove {} if it is another program", path.display());
            (text(owner), advice)
        }
        _ => return Ok(()),
    };
    bail!("the run {name} is in training by {what}: {advice}")
}

fn text(owner: &Owner) -> String {
    format!("process {} on host {} since {}", owner.pid, owner.host, owner.since)
}

/// Returns whether an open file is the one at a path.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |found: fs::Metadata| (found.dev(), found.ino());
    let (open, there) = (file.metadata().map(number), fs::symlink_metadata(path).map(number));
    open.ok().zip(there.ok()).is_some_and(|(open, there)| open == there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_locked_once_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/runs/.smoke.lock");
        RunLock::check(&path, "smoke").unwrap();
        let lock = RunLock::acquire(&path, "smoke").unwrap();
        let refusals = [RunLock::acquire(&path, "smoke").map(drop), RunLock::check(&path, "smoke")];
        for refusal in refusals.map(|refusal| refusal.unwrap_err().to_string()) {
            let start = format!("the run smoke is in training by process {} on host {}", std::process::id(), host());
            assert!(refusal.starts_with(&start) && refusal.contains("choose another --model-name"), "{refusal}");
        }
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "file and folders are removed");
        drop(RunLock::acquire(&path, "smoke").unwrap());
    }

    #[test]
    fn the_file_of_a_dead_process_is_taken_over_but_not_that_of_another_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".smoke.lock");
        let write = |host: &str| {
            let owner = Owner { pid: 1, host: host.to_owned(), since: "then".to_owned() };
            fs::write(&path, serde_json::to_string(&owner).unwrap()).unwrap();
        };
        write(&host());
        let lock = RunLock::acquire(&path, "smoke").unwrap();
        assert_eq!(Owner::read(&File::open(&path).unwrap()).unwrap().pid, std::process::id());
        drop(lock);
        fs::write(&path, "{\"pi").unwrap();
        drop(RunLock::acquire(&path, "smoke").unwrap());
        write("elsewhere");
        let refusal = RunLock::acquire(&path, "smoke").unwrap_err().to_string();
        let words = ["process 1 on host elsewhere since then", "if it has ended there, remove "];
        assert!(words.iter().all(|word| refusal.contains(word)), "{refusal}");
        assert!(path.exists());
    }
}
