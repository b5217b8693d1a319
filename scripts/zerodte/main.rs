//! Works on trained models, and shows what this program can do.

use std::process::ExitCode;

use zerodte_scripts::{
    artifacts::manifest,
    commands::{self, ToolFlags},
    config::flag_help,
    output::{console::Console, exit_code, panic_report},
};

fn main() -> ExitCode {
    panic_report::install(&manifest::VERSION);
    let flags = flag_help::parse::<ToolFlags>();
    exit_code::report(&commands::run(&flags.command, &mut Console::stdout()))
}
