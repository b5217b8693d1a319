//! Flags of `zerodte backtest`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::{
    config::{
        RunConfig,
        flags::{ALL_DATES, ConfigFlags, DataFlags, OF_A_MODEL, ReportFlags, described},
        layers::Layer,
    },
    evaluation::cost_sensitivity::Multiples,
};

/// Flags of `zerodte backtest`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(OF_A_MODEL)), mut_args(described(ALL_DATES)))]
pub struct BacktestFlags {
    /// Model file, with its .json beside it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Bars to use; the defaults are those of the model's training, except that all dates are replayed.
    #[command(flatten)]
    pub data: DataFlags,
    /// Samples actions instead of taking the most likely one
    #[arg(long)]
    pub stochastic: bool,
    /// Seed of the sampling [default: the model's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Re-derives the cash flow of every trade from the trade log alone (the file of --trades, if given) and compares
    /// it to the cent; exit code 1 if anything disagrees
    #[arg(long)]
    pub audit: bool,
    /// Replays the same sessions at these multiples of the spread, fees unchanged, and reports the break-even multiple
    /// [without a list: 0,0.5,1,2,3]
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = Multiples::DEFAULT)]
    pub cost_sensitivity: Option<Multiples>,
    /// Files to write.
    #[command(flatten)]
    pub output: BacktestOutput,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Files that a backtest writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct BacktestOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Writes every trade, as .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub trades: Option<PathBuf>,
    /// Writes a page of the result, one HTML file that a browser opens
    #[arg(long = "report", value_name = "FILE")]
    pub page: Option<PathBuf>,
}

impl BacktestFlags {
    /// Lays files, flags and assignments over the configuration that the model was trained with.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = trained.clone();
        (base.run.start_date, base.run.end_date, base.run.intraday_days) = (None, None, 0);
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let seed = self.seed.map(i64::try_from).transpose().context("--seed is too large")?;
        layer.put_some("run.seed", seed);
        Ok(self.config.resolve(&base, layer)?)
    }
}
