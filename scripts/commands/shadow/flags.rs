//! Flags of `zerodte shadow`.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;

use crate::{
    config::{
        RunConfig,
        flags::{ConfigFlags, DataFlags, OF_A_MODEL, OF_ONE_SESSION, ReportFlags, WITHOUT_OPTIONS, described},
        layers::Layer,
        vendor_names,
    },
    output::exit_code::UsageError,
};

/// Flags of `zerodte shadow`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_args(described(OF_A_MODEL)),
    mut_args(described(OF_ONE_SESSION)),
    mut_args(described(WITHOUT_OPTIONS))
)]
pub struct ShadowFlags {
    /// Model file, with its .json beside it; not with --compare
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// The underlying; not with --compare
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// Seconds after the end of each minute at which its bar is requested
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub delay: u32,
    /// Record of an earlier session: compares it with the replay of the same day, instead of following today's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "symbol", "out", "delay"])]
    pub compare: Option<PathBuf>,
    /// Vendor and cache of the bars.
    #[command(flatten)]
    pub data: DataFlags,
    /// The record of the decisions, one row per minute; an unfinished one is continued [default: shadow/SYMBOL-DATE.jsonl]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// The report of --compare.
    #[command(flatten)]
    pub output: ReportFlags,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl ShadowFlags {
    /// Returns the model and the symbol to follow.
    ///
    /// # Errors
    /// One of them is missing, exit code 2.
    pub fn subject(&self) -> Result<(&Path, &str), UsageError> {
        let missing = || UsageError::one("name --model and --symbol to follow today's session, or --compare FILE");
        self.model.as_deref().zip(self.symbol.as_deref()).ok_or_else(missing)
    }

    /// Lays files, flags and assignments over the configuration that the model was trained with, for one session of a vendor.
    ///
    /// # Errors
    /// Every fault at once, and a source that is no vendor, exit code 2.
    pub fn resolve(
        &self,
        trained: &RunConfig,
        symbol: &str,
        date: Date,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<RunConfig> {
        let mut layer = Layer::new("flags");
        self.data.of_one_session(symbol, date, notes).put(&mut layer, notes);
        let config = self.config.resolve(trained, layer)?;
        if config.run.data_source.is_vendor() {
            return Ok(config);
        }
        let text = format!(
            "--data-source {}: bars of a session in progress come from a vendor; use {}",
            config.run.data_source,
            vendor_names()
        );
        Err(UsageError::one(text).into())
    }
}
