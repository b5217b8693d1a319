//! Flags of `zerodte explain`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;

use crate::config::{
    RunConfig,
    flags::{ConfigFlags, DataFlags, OF_A_MODEL, OF_ONE_SESSION, ReportFlags, described},
    layers::Layer,
};

/// Flags of `zerodte explain`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(OF_A_MODEL)), mut_args(described(OF_ONE_SESSION)))]
pub struct ExplainFlags {
    /// Model file, with its .json beside it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The underlying
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// The bar at whose close the decision was taken: its start in New York, such as 2025-03-04T10:31
    #[arg(long, value_name = "TIME")]
    pub at: String,
    /// Samples actions instead of taking the most likely one, as a backtest of this session alone does
    #[arg(long)]
    pub stochastic: bool,
    /// Seed of the sampling [default: the model's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Draws the session as SVG: price with setups, entries and exits, what the policy would buy, premiums, equity
    #[command(flatten)]
    pub data: DataFlags,
    /// Files to write.
    #[command(flatten)]
    pub output: ExplainOutput,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Files that an explanation writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ExplainOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Draws the session as SVG: price with setups, entries and exits, what the policy would buy, premiums, equity
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

impl ExplainFlags {
    /// Lays files, flags and assignments over the configuration that the model was trained with, for the
    /// requested session.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, date: Date, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut layer = Layer::new("flags");
        self.data.of_one_session(&self.symbol, date, notes).put(&mut layer, notes);
        let seed = self.seed.map(i64::try_from).transpose().context("--seed is too large")?;
        layer.put_some("run.seed", seed);
        Ok(self.config.resolve(trained, layer)?)
    }
}
