//! Flags of `zerodte reproduce-collapse`.

use std::path::PathBuf;

use clap::Args;

use super::profile::Profiles;
use crate::{
    config::{
        RunConfig,
        flags::{ConfigFlags, DataFlags},
        layers::Layer,
    },
    output::exit_code::UsageError,
};

/// Flags of `zerodte reproduce-collapse`.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct ReproduceFlags {
    /// Profiles to train, separated by commas: before_fixes, anti_collapse, tune2, always_buy, or .toml files
    #[arg(long, value_name = "LIST", default_value = Profiles::USUAL)]
    pub profiles: Profiles,
    /// Steps of every training, summed over lanes
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub timesteps: u64,
    /// Trainings of every profile, with the seeds 0, 1, ...
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// Threads, 0 = one per core, each with its own trainings; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
    /// Bars to use.
    #[command(flatten)]
    pub data: DataFlags,
    /// Output folder.
    #[command(flatten)]
    pub output: ReproduceOutput,
    /// Configuration beyond the flags, the same for every profile; overrides the profile.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Folder of the comparison.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ReproduceOutput {
    /// Folder for collapse.md, collapse.json and collapse.svg
    #[arg(long, value_name = "DIR", default_value = "collapse")]
    pub out: PathBuf,
}

impl ReproduceFlags {
    /// Lays files, flags and assignments over every profile, and checks the results.
    ///
    /// # Errors
    /// Every fault of a profile at once, exit code 2.
    pub(crate) fn resolve(&self, notes: &mut Vec<String>) -> Result<Vec<(String, RunConfig)>, UsageError> {
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let timesteps = i64::try_from(self.timesteps)
            .map_err(|_| UsageError::one(format!("--timesteps {}: too large", self.timesteps)))?;
        layer.put("run.timesteps", timesteps);
        layer.put("run.num_threads", self.num_threads as i64);
        let resolved = |(name, base): (String, RunConfig)| Ok((name, self.config.resolve(&base, layer.clone())?));
        let configs = self.profiles.configs()?.into_iter().map(resolved).collect::<Result<Vec<_>, UsageError>>()?;
        let shortest = configs.iter().map(|(_, config)| config.run.diagnostics_freq).max().unwrap_or(0);
        if self.timesteps < shortest {
            let fault = format!("--timesteps {}: the first interval takes {shortest} steps", self.timesteps);
            return Err(UsageError::one(fault));
        }
        Ok(configs)
    }
}
