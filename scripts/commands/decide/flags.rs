//! Flags of `zerodte decide`.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;

use crate::config::{
    RunConfig,
    flags::{ConfigFlags, DataFlags, OF_A_MODEL, OF_ONE_SESSION, ReportFlags, WITHOUT_OPTIONS, described},
    layers::Layer,
};

/// Flags of `zerodte decide`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_args(described(OF_A_MODEL)),
    mut_args(described(OF_ONE_SESSION)),
    mut_args(described(WITHOUT_OPTIONS))
)]
pub struct DecideFlags {
    /// Model file, with its .json beside it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The underlying
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// The bar at whose close to decide: its start in New York, such as 2025-03-04T10:31, or now for the newest bar [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// What was done since the open: flat, or actions with their bars, such as BUY_CALL@10:31,TRIM_50@10:50 [default: what the
    /// model decided]
    #[arg(long, value_name = "LIST")]
    pub position: Option<String>,
    /// Source and folder of the bars.
    #[command(flatten)]
    pub data: DataFlags,
    /// The report.
    #[command(flatten)]
    pub output: ReportFlags,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl DecideFlags {
    /// Lays files, flags and assignments over the configuration that the model was trained with, for one session.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, date: Date, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut layer = Layer::new("flags");
        self.data.of_one_session(&self.symbol, date, notes).put(&mut layer, notes);
        Ok(self.config.resolve(trained, layer)?)
    }
}
