//! `zerodte completions`: completions of a shell, made from the flags.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{commands::ToolFlags, config::flag_help, output::console::Console};

/// Flags of `zerodte completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsFlags {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// When the screen cannot be written.
pub fn run(flags: &CompletionsFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut text = Vec::new();
    let mut command = flag_help::describe(ToolFlags::command());
    clap_complete::generate(flags.shell, &mut command, "zerodte", &mut text);
    Ok(console.say(String::from_utf8_lossy(&text).trim_end())?)
}
