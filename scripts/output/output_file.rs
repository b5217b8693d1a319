//! Files that a command writes on request.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::Context as _;

use crate::output::console::Console;

/// Proves that a folder can be written, or created, without leaving anything behind: probes the nearest one that exists.
///
/// # Errors
/// A sentence naming the folder.
pub fn check_writable(folder: &Path) -> anyhow::Result<()> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let probe = existing.join(format!(".write-probe-{}", std::process::id()));
    File::create(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .with_context(|| format!("cannot write to the folder {}", folder.display()))
}

/// Creates the folder that a file is to lie in.
///
/// # Errors
/// A sentence naming the file.
pub fn create_parent(path: &Path) -> anyhow::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all).with_context(|| format!("making a folder for {}", path.display()))
}

/// Writes a file that was asked for, and says so.
pub(crate) fn write(
    path: Option<&Path>,
    text: impl Fn() -> anyhow::Result<String>,
    console: &mut Console,
) -> anyhow::Result<()> {
    if let Some(path) = path {
        create_parent(path)?;
        ppo_agent::write_atomically(path, text()?.as_bytes())?;
        console.say(format!("Written: {}", path.display()))?;
    }
    Ok(())
}
