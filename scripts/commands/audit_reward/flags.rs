//! Flags of `zerodte audit-reward`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{
    RunConfig,
    flags::{ConfigFlags, DataFlags},
    layers::Layer,
};

/// Flags of `zerodte audit-reward`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_arg("start_date", |arg| arg.help("First session date, YYYY-MM-DD [default: the first bar's]")),
    mut_arg("intraday_days", |arg| arg.help(
        "Calendar days of minute bars up to the last date, 0 = all; with --start-date the later start holds [default: 0]"
    )),
    mut_arg("data_source", |arg| arg.help(
        "files: audits on real bars besides the made-up ones; synthetic: on those alone [default: synthetic]"
    )),
    mut_arg("data_dir", |arg| arg.help("Folder of SYMBOL_1m.parquet or .csv files; means --data-source files")),
)]
pub struct AuditRewardFlags {
    /// Which bars to use; a profile alone never asks for real ones.
    #[command(flatten)]
    pub data: DataFlags,
    /// Writes the audit as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl AuditRewardFlags {
    /// Lays files, flags and assignments over the defaults, but for all dates.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        layer.put("run.data_source", if self.has_bars() { "files" } else { "synthetic" });
        if let Some(other) = self.data.data_source.as_deref().filter(|&name| name != "files") {
            layer.put("run.data_source", other);
        }
        Ok(self.config.resolve(&base, layer)?)
    }

    /// Returns whether there are real bars to audit on.
    pub fn has_bars(&self) -> bool {
        self.data.data_source.as_deref().map_or(self.data.data_dir.is_some(), |source| source != "synthetic")
    }
}
