//! Flags of `zerodte audit-reward`.

use clap::Args;

use crate::config::{
    RunConfig,
    flags::{ALL_DATES, ConfigFlags, DataFlags, FlagHelp, FlagTable, ReportFlags, SourceFlags, described},
    layers::Layer,
};

/// Real bars are requested by their source or their folder.
const REAL_BARS: &FlagTable = &[
    (
        "data_source",
        FlagHelp::Sentence(
            "files: audits on real and made-up bars; synthetic: on made-up bars alone [default: synthetic]",
        ),
    ),
    ("data_dir", FlagHelp::Sentence("Folder of SYMBOL_1m.parquet or .csv files; means --data-source files")),
];

/// Flags of `zerodte audit-reward`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(ALL_DATES)), mut_args(described(REAL_BARS)))]
pub struct AuditRewardFlags {
    /// Bars to use; a profile alone never requests real ones.
    #[command(flatten)]
    pub data: DataFlags,
    /// The report.
    #[command(flatten)]
    pub output: ReportFlags,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl AuditRewardFlags {
    /// Lays files, flags and assignments over the defaults, with all dates.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        layer.put("run.data_source", if self.has_bars() { "files" } else { "synthetic" });
        if let Some(other) = self.data.source.data_source.as_deref().filter(|&name| name != "files") {
            layer.put("run.data_source", other);
        }
        Ok(self.config.resolve(&base, layer)?)
    }

    /// Returns true if real bars are requested.
    pub fn has_bars(&self) -> bool {
        let SourceFlags { data_source, data_dir } = &self.data.source;
        data_source.as_deref().map_or(data_dir.is_some(), |source| source != "synthetic")
    }
}
