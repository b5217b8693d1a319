//! Flags of `zerodte calibrate`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{
    RunConfig,
    flags::{ALL_DATES, ConfigFlags, DataFlags, FlagHelp, FlagTable, ReportFlags, described},
    layers::Layer,
};

/// Option files are required; their dates may lie beyond those of the bars.
const COMPARED: &FlagTable = &[
    ("options", FlagHelp::Required("Folder or file of option minutes to compare with: trades, quotes")),
    ("symbols", FlagHelp::Default("SPY")),
    ("start_date", FlagHelp::Default("the first available")),
    ("end_date", FlagHelp::Default("the last available")),
];

/// Flags of `zerodte calibrate`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(ALL_DATES)), mut_args(described(COMPARED)))]
pub struct CalibrateFlags {
    /// Bars of the underlyings, and their options.
    #[command(flatten)]
    pub data: DataFlags,
    /// Files to write.
    #[command(flatten)]
    pub output: CalibrateOutput,
    /// Other configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Files that a calibration writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct CalibrateOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Fits the volatility models to the prints of these dates, evaluates the model form walk-forward by month, writes
    /// the parameters as a configuration file and reports with them
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// With --fit: days after which a session weighs half as much as the last one
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..))]
    pub half_life: u32,
    /// Draws the errors and spreads as SVG files into this folder
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
}

impl CalibrateFlags {
    /// Layers files, flags and assignments over the defaults, with SPY and all dates.
    ///
    /// # Errors
    /// All faults together, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.symbols.truncate(1);
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        Ok(self.config.resolve(&base, layer)?)
    }
}
