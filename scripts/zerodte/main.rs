//! Works on trained models.

use std::process::ExitCode;

use clap::Parser as _;
use zerodte_scripts::{
    backtest,
    console::Console,
    flags::{Tool, ToolFlags},
    usage,
};

fn main() -> ExitCode {
    let Tool::Backtest(flags) = ToolFlags::parse().command;
    backtest::run(&flags, &mut Console::stdout()).map_or_else(|error| usage::report(&error), |()| ExitCode::SUCCESS)
}
