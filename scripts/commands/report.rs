//! `zerodte report`: the page of a walk-forward test, from the files of its folder.

use std::path::PathBuf;

use clap::Args;

use crate::{
    output::{console::Console, output_file::OutputFile},
    report_page::folder,
};

/// Flags of `zerodte report`.
#[derive(Debug, Clone, Args)]
pub struct ReportPageFlags {
    /// Folder of a finished walk-forward test
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// File of the page [default: report.html in the FOLDER, report-SYNTHETIC.html for made-up bars]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

/// Writes the page and prints its path.
///
/// # Errors
/// A folder without a finished test, or a file that cannot be written.
pub fn run(flags: &ReportPageFlags, console: &mut Console) -> anyhow::Result<()> {
    let Some(path) = &flags.html else { return folder::rewrite(&flags.folder, console) };
    let file = OutputFile::checked("Page", path)?;
    file.save(folder::read(&flags.folder)?.html()?, console)
}
