//! `zerodte diagnose`: the verdict on a training, as text or JSON.

mod diagnosis;
mod text;

use std::path::PathBuf;

use clap::Args;

use crate::{commands::diagnose::diagnosis::Diagnosis, config::flags::PrintFlags, output::console::Console};

/// Flags of `zerodte diagnose`.
#[derive(Debug, Clone, Args)]
pub struct DiagnoseFlags {
    /// Run folder, such as runs/tune1, or any log with the MomentumDiagnostics block, also one of the old system
    #[arg(value_name = "RUN|LOG")]
    pub source: PathBuf,
    /// Form of what is printed.
    #[command(flatten)]
    pub output: PrintFlags,
}

/// Prints the diagnosis of a run folder or a log, and returns the exit code of its verdict.
///
/// # Errors
/// When the source is neither a run folder nor a log, or has no finished interval; when a file cannot be read.
pub fn run(flags: &DiagnoseFlags, console: &mut Console) -> anyhow::Result<u8> {
    let diagnosis = Diagnosis::of(&flags.source)?;
    console.say(if flags.output.json {
        serde_json::to_string(&diagnosis)?
    } else {
        text::lines(&diagnosis).join("\n")
    })?;
    Ok(diagnosis.exit_code)
}
