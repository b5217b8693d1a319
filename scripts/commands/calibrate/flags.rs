//! Flags of `zerodte calibrate`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{
    RunConfig,
    flags::{ConfigFlags, DataFlags},
    layers::Layer,
};

/// Flags of `zerodte calibrate`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_arg("options", |arg| arg.required(true).help("Folder or file of option minutes to compare with: trades, quotes")),
    mut_arg("symbols", |arg| arg.help("Symbols, separated by commas [default: SPY]")),
    mut_arg("start_date", |arg| arg.help("First session date, YYYY-MM-DD [default: the first there is]")),
    mut_arg("end_date", |arg| arg.help("Last session date, YYYY-MM-DD [default: the last there is]")),
    mut_arg("intraday_days", |arg| arg.help(
        "Calendar days up to the last date, 0 = all; with --start-date the later start holds [default: 0]"
    )),
)]
pub struct CalibrateFlags {
    /// The bars of the underlyings, and their options.
    #[command(flatten)]
    pub data: DataFlags,
    /// Fits the volatility models to the prints of these dates, judges the form month by month on months not fitted on,
    /// writes the parameters as a configuration file and reports with them
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draws the errors and spreads as SVG files into this folder
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl CalibrateFlags {
    /// Lays files, flags and assignments over the defaults, but for SPY and all dates.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.symbols.truncate(1);
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        Ok(self.config.resolve(&base, layer)?)
    }
}
