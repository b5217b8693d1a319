//! Works on trained models, and shows what this program can do.

use std::process::ExitCode;

use clap::Parser as _;
use zerodte_scripts::{
    audit, audit_reward, backtest, bench, calibrate,
    console::Console,
    diagnose, doctor, explain, fetch,
    flags::{Tool, ToolFlags},
    forecast, inspect, reproduce, selftest, usage, watch,
};

fn main() -> ExitCode {
    let console = &mut Console::stdout();
    let done = match ToolFlags::parse().command {
        Tool::Audit(flags) => audit::run(&flags, console),
        Tool::AuditReward(flags) => audit_reward::run(&flags, console),
        Tool::Backtest(flags) => backtest::run(&flags, console),
        Tool::Calibrate(flags) => calibrate::run(&flags, console),
        Tool::Bench(flags) => bench::run(&flags, console),
        Tool::Diagnose(flags) => {
            return diagnose::run(&flags, console).map_or_else(|error| usage::report(&error), ExitCode::from);
        }
        Tool::Doctor(flags) => doctor::run(&flags, console),
        Tool::Explain(flags) => explain::run(&flags, console),
        Tool::Fetch(flags) => fetch::run(&flags, console),
        Tool::Forecast(tool) => forecast::run(&tool, console),
        Tool::Inspect(flags) => inspect::run(&flags, console),
        Tool::ReproduceCollapse(flags) => reproduce::run(&flags, console),
        Tool::Selftest(test) => selftest::run(&test, console),
        Tool::Watch(flags) => watch::run(&flags, console),
    };
    done.map_or_else(|error| usage::report(&error), |()| ExitCode::SUCCESS)
}
