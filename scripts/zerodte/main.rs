//! Works on trained models, and shows what this program can do.

use std::process::ExitCode;

use clap::Parser as _;
use zerodte_scripts::{
    commands::{self, ToolFlags},
    output::{console::Console, exit_code},
};

fn main() -> ExitCode {
    let flags = ToolFlags::parse();
    exit_code::report(&commands::run(&flags.command, &mut Console::stdout()))
}
