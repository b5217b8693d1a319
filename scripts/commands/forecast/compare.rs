//! `zerodte forecast compare`: compares finished runs, as Markdown and as a chart; optionally archives each run.

mod archive;
mod finished;
mod plot;
mod text;

use self::finished::{Finished, check};
use super::ForecastCompareFlags;
use crate::output::{console::Console, output_file::OutputFolder};

/// Compares runs, writes the comparison and prints it as text.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for duplicate names or missing folders; otherwise a file that is
/// missing, invalid or cannot be written.
pub(super) fn run(flags: &ForecastCompareFlags, console: &mut Console) -> anyhow::Result<()> {
    let folders = check(flags)?;
    let runs = folders.iter().map(|folder| Finished::read(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    let out = OutputFolder::checked("", &flags.output.out)?;
    let archives = OutputFolder::requested("", flags.output.zip.as_ref())?;
    let (comparison, picture) = (text::of(&runs)?, plot::draw(&runs)?);
    console.say(text::screen(&comparison))?;
    out.file("comparison.md").save(text::markdown(&comparison), console)?;
    out.file("comparison.svg").save(picture, console)?;
    let Some(folder) = archives else { return Ok(()) };
    runs.iter().try_for_each(|run| archive::write(run, &folder, console))
}
