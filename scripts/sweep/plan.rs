//! Plan of a sweep: everything that the result of a trial depends on. The number of trials is not part of it, so that a sweep can be
//! extended.

use std::path::Path;

use anyhow::ensure;
use jiff::civil::Date;
use market_data::{DataStamp, Split};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{sampler::Sampler, space::Space};
use crate::{
    artifacts::{
        files::{read_json, sha256_of},
        plan_file,
    },
    config::{
        RunConfig,
        layers::{Layer, resolve},
    },
    output::output_file::{json_text, write_file},
};

/// Format mark of the plan's file.
const FORMAT: &str = "zerodte sweep 1";
/// Name of the configuration that the trials vary.
const CONFIG: &str = "config.toml";

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepPlan {
    /// Format mark.
    pub format: String,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Basis of the option prices.
    pub prices: String,
    /// Files that were read, with their hashes.
    pub files: Value,
    /// Symbols.
    pub symbols: Vec<String>,
    /// Dates of training, validation and test.
    pub split: Split,
    /// Validation dates with a session, ascending.
    pub validation: Vec<Date>,
    /// Test dates with a session, ascending.
    pub test: Vec<Date>,
    /// The keys and their values.
    pub space: Space,
    /// Way of choosing points.
    pub sampler: Sampler,
    /// Seed of the points.
    pub sampler_seed: u32,
    /// Seeds of every trial: 0 to one less.
    pub seeds: u64,
    /// Steps at which trials are compared, ascending; the last ones are those of a whole training.
    pub rungs: Vec<u64>,
    /// SHA-256 of the configuration that the trials vary.
    pub config_sha256: String,
}

impl SweepPlan {
    /// Returns the format mark.
    pub fn format() -> String {
        FORMAT.to_owned()
    }

    /// Returns the SHA-256 of the plan.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sha256(&self) -> anyhow::Result<String> {
        Ok(sha256_of(json_text(self)?))
    }

    /// Returns the seed of resamples: the first digits of the plan's hash.
    ///
    /// # Errors
    /// As [`SweepPlan::sha256`].
    pub fn seed(&self) -> anyhow::Result<u64> {
        Ok(u64::from_str_radix(&self.sha256()?[..16], 16)?)
    }

    /// Returns the steps of a whole training.
    pub fn timesteps(&self) -> u64 {
        self.rungs.last().copied().unwrap_or_default()
    }

    /// Reads the plan of a folder.
    ///
    /// # Errors
    /// When the folder holds none, or it is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(plan_file::FILE);
        ensure!(path.exists(), "reading {}: name the folder of a sweep", path.display());
        let plan: Self = read_json(&path)?;
        ensure!(plan.format == FORMAT, "{} is marked {:?}, not {FORMAT:?}", path.display(), plan.format);
        Ok(plan)
    }

    /// Writes the configuration that the trials vary.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(folder: &Path, config: &RunConfig) -> anyhow::Result<()> {
        write_file(&folder.join(CONFIG), config.to_toml()?.as_bytes())
    }

    /// Reads the configuration that the trials vary.
    ///
    /// # Errors
    /// When the file cannot be read, or is not the one that was planned.
    pub fn config(&self, folder: &Path) -> anyhow::Result<RunConfig> {
        let path = folder.join(CONFIG);
        let config = resolve(&RunConfig::default(), &[Layer::file(&path)?], RunConfig::check)?;
        ensure!(
            sha256_of(config.to_toml()?) == self.config_sha256,
            "{} is not the configuration of the plan: it was changed afterwards",
            path.display()
        );
        Ok(config)
    }
}
