//! `zerodte forecast compare`: finished runs side by side, as Markdown and as a picture; on request each as one archive.

mod archive;
mod finished;
mod plot;
mod text;

use self::finished::{Finished, check};
use super::ForecastCompareFlags;
use crate::output::{
    console::Console,
    output_file::{check_writable, create_parent},
};

/// Compares and writes, and prints what is written as text.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for runs that cannot be told apart or are no folders; otherwise the file that is missing, broken or cannot be
/// written.
pub(super) fn run(flags: &ForecastCompareFlags, console: &mut Console) -> anyhow::Result<()> {
    let folders = check(flags)?;
    let runs = folders.iter().map(|folder| Finished::read(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    [Some(&flags.out), flags.zip.as_ref()].into_iter().flatten().try_for_each(|folder| check_writable(folder))?;
    let (comparison, picture) = (text::of(&runs)?, plot::draw(&runs)?);
    console.say(text::screen(&comparison))?;
    for (name, text) in [("comparison.md", text::markdown(&comparison)), ("comparison.svg", picture)] {
        let path = flags.out.join(name);
        create_parent(&path)?;
        ppo_agent::write_atomically(&path, text.as_bytes())?;
        console.say(format!("Written: {}", path.display()))?;
    }
    let Some(folder) = &flags.zip else { return Ok(()) };
    runs.iter().try_for_each(|run| archive::write(run, folder, console))
}
