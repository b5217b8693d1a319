//! `zerodte man`: manual pages, made from the flags.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use crate::{
    commands::ToolFlags,
    config::flag_help,
    output::{console::Console, output_file::OutputFolder},
};

/// Flags of `zerodte man`.
#[derive(Debug, Clone, Args)]
pub struct ManFlags {
    /// Writes one page per command to this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
}

/// Prints the page of the program, or writes all pages.
///
/// # Errors
/// When screen or folder cannot be written.
pub fn run(flags: &ManFlags, console: &mut Console) -> anyhow::Result<()> {
    let command = flag_help::describe(ToolFlags::command());
    let Some(folder) = OutputFolder::requested("", flags.out.as_ref())? else {
        return Ok(console.say(String::from_utf8_lossy(&page("zerodte", command)?).trim_end())?);
    };
    for (name, command) in with_commands("zerodte", &command) {
        folder.file(&format!("{name}.1")).write(page(&name, command)?)?;
    }
    Ok(console.say(format!("Written: {}", folder.path().display()))?)
}

/// Returns a command and all of its subcommands, each with the name of its page, such as zerodte-forecast-train.
fn with_commands(name: &str, command: &Command) -> Vec<(String, Command)> {
    let below = command.get_subcommands().flat_map(|sub| with_commands(&format!("{name}-{}", sub.get_name()), sub));
    std::iter::once((name.to_owned(), command.clone())).chain(below).collect()
}

/// Returns the page of a command; `name` is that of the page.
fn page(name: &str, command: Command) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.bin_name(name.replace('-', " "))).title(name).render(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let command = flag_help::describe(ToolFlags::command());
        let pages = with_commands("zerodte", &command);
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            ["zerodte", "zerodte-train", "zerodte-forecast-train"].iter().all(|name| names.contains(name)),
            "{names:?}"
        );
        for (name, command) in pages {
            let page = String::from_utf8(page(&name, command).unwrap()).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
    }
}
