//! Flags of `zerodte audit`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{RunConfig, flags::ConfigFlags},
    layers::Layer,
};

/// Flags of `zerodte audit`.
#[derive(Debug, Clone, Default, Args)]
pub struct AuditFlags {
    /// File of trades that a backtest wrote, .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub trades: PathBuf,
    /// Report of the same backtest (--json), whose totals must be those of the trades
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Model whose fees and capital hold, with the --config and --set of the backtest [default: the default configuration]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl AuditFlags {
    /// Lays files and assignments over the configuration that the model was trained with.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig) -> anyhow::Result<RunConfig> {
        Ok(self.config.resolve(trained, Layer::new("flags"))?)
    }
}
