//! Flags of `zerodte doctor`.

use clap::Args;

use crate::{
    config::{
        DataSource, RunConfig,
        flags::{ConfigFlags, OF_A_VENDOR, SourceFlags, described},
        layers::Layer,
        vendor_names,
    },
    output::exit_code::UsageError,
};

/// Flags of `zerodte doctor`.
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args(described(OF_A_VENDOR)))]
pub struct DoctorFlags {
    /// The vendor to probe, and its cache.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Sends no request
    #[arg(long)]
    pub offline: bool,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl DoctorFlags {
    /// Lays files, flags and assignments over the defaults, with massive as the source.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.data_source = DataSource::named("massive").unwrap_or(base.run.data_source);
        let mut layer = Layer::new("flags");
        self.source.put(&mut layer, notes);
        let config = self.config.resolve(&base, layer)?;
        if !config.run.data_source.is_vendor() {
            let text = format!("--data-source {}: it is not a vendor; use {}", config.run.data_source, vendor_names());
            return Err(UsageError::one(text).into());
        }
        Ok(config)
    }
}
