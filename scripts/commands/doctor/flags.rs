//! Flags of `zerodte doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::{
        DataSource, RunConfig,
        flags::{ConfigFlags, DataFlags},
        layers::Layer,
        vendor_names,
    },
    output::exit_code::UsageError,
};

/// Flags of `zerodte doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorFlags {
    /// Vendor to test.
    #[arg(long, value_name = "SOURCE", help = format!("Vendor to test: {} [default: massive]", vendor_names()))]
    pub data_source: Option<String>,
    /// Folder of the cache [default: bars]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Asks nobody
    #[arg(long)]
    pub offline: bool,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl DoctorFlags {
    /// Lays files, flags and assignments over the defaults, but for massive as the source.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.data_source = DataSource::named("massive").unwrap_or(base.run.data_source);
        let (data_source, data_dir) = (self.data_source.clone(), self.data_dir.clone());
        let mut layer = Layer::new("flags");
        DataFlags { data_source, data_dir, ..DataFlags::default() }.put(&mut layer, notes);
        let config = self.config.resolve(&base, layer)?;
        if !config.run.data_source.is_vendor() {
            let text = format!("--data-source {}: it is no vendor; name {}", config.run.data_source, vendor_names());
            return Err(UsageError::one(text).into());
        }
        Ok(config)
    }
}
