//! Candidates of a walk-forward test: named configurations that compete for every fold.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use anyhow::ensure;
use market_env::Market;
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::files::sha256_of,
    config::{
        RunConfig,
        context::{PrintConfig, titled},
        flags::ConfigFlags,
        layers::{Layer, resolve},
        profiles,
    },
    evaluation::edge::WIDER_SPREAD,
    inputs::Inputs,
    output::{exit_code::UsageError, output_file::write_file},
};

/// Name of the only candidate where none is named: the configuration of the command.
const CONFIGURED: &str = "settings";

/// Names of candidates: built-in profiles, or TOML files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CandidateNames(Vec<String>);

impl FromStr for CandidateNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let distinct: BTreeSet<String> = names.iter().map(|name| stem(name)).collect();
        if distinct.len() < names.len() {
            return Err("a candidate is named twice".to_owned());
        }
        Ok(Self(names))
    }
}

/// Returns a candidate's name in tables and files.
fn stem(name: &str) -> String {
    Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl CandidateNames {
    /// Lays files, flags and assignments over every candidate, and checks the results. Without a name the only candidate is the
    /// configuration itself.
    ///
    /// # Errors
    /// Every fault at once, and candidates that differ in their data.
    pub fn configs(
        &self,
        base: &RunConfig,
        flags: &ConfigFlags,
        layer: &Layer,
    ) -> Result<CandidateConfigs, UsageError> {
        let resolved = |name: &String| {
            let profile = resolve(base, &[profiles::named(Path::new(name))?], |_| Vec::new())?;
            Ok((stem(name), flags.resolve(&profile, layer.clone())?))
        };
        if self.0.is_empty() {
            return Ok(CandidateConfigs(vec![(CONFIGURED.to_owned(), flags.resolve(base, layer.clone())?)]));
        }
        let configs = self.0.iter().map(resolved).collect::<Result<Vec<_>, UsageError>>()?;
        let (first, shared) = &configs[0];
        let differs = |(name, config): &(String, RunConfig)| {
            let same = config.run == shared.run && config.data == shared.data;
            (!same).then(|| format!("candidate {name}: it changes run.* or data.*, so it would not be compared with {first} on the same sessions"))
        };
        UsageError::check(configs.iter().filter_map(differs).collect())?;
        Ok(CandidateConfigs(configs))
    }
}

/// Names and configurations of the candidates; `run` and `data` are the same in all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateConfigs(pub Vec<(String, RunConfig)>);

impl CandidateConfigs {
    /// Reads the candidates of a plan from its folder.
    ///
    /// # Errors
    /// When a file cannot be read, or is not the one that was planned.
    pub fn read(folder: &Path, planned: &[PlannedCandidate]) -> anyhow::Result<Self> {
        let read = |planned: &PlannedCandidate| {
            let path = Self::path(folder, &planned.name);
            let config = resolve(&RunConfig::default(), &[Layer::file(&path)?], RunConfig::check)?;
            ensure!(
                sha256_of(config.to_toml()?) == planned.config_sha256,
                "{} is not the configuration of the plan: it was changed afterwards",
                path.display()
            );
            Ok((planned.name.clone(), config))
        };
        planned.iter().map(read).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Writes the candidates to the folder of a plan.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        self.0.iter().try_for_each(|(name, config)| write_file(&Self::path(folder, name), config.to_toml()?.as_bytes()))
    }

    fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join("candidates").join(format!("{name}.toml"))
    }
}

impl PrintConfig for CandidateConfigs {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.0.iter().map(|(name, config)| titled(&format!("Candidate {name}"), config)).collect()
    }
}

impl CandidateConfigs {
    /// Returns the first configuration, whose `run` and `data` are those of all.
    pub fn shared(&self) -> &RunConfig {
        &self.0[0].1
    }

    /// Returns the entries of a plan.
    ///
    /// # Errors
    /// When a configuration cannot be written as TOML.
    pub fn planned(&self) -> anyhow::Result<Vec<PlannedCandidate>> {
        let entry = |(name, config): &(String, RunConfig)| {
            anyhow::Ok(PlannedCandidate { name: name.clone(), config_sha256: sha256_of(config.to_toml()?) })
        };
        self.0.iter().map(entry).collect()
    }

    /// Builds the market of every candidate from the same bars; equal market settings share one. With `wider`, also the market at
    /// 1.5 times the spread.
    ///
    /// # Errors
    /// As [`Inputs::market_under`].
    pub fn with_markets(&self, inputs: &Inputs, wider: bool) -> anyhow::Result<Vec<Candidate>> {
        let first = self.shared().market.clone();
        let wider = |config: &RunConfig| {
            let mut market = config.market.clone();
            market.pricing.spread_multiplier *= WIDER_SPREAD;
            wider.then(|| inputs.market_under(&market)).transpose()
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for (name, config) in self.0.iter().cloned() {
            let known = candidates.iter().find(|known| known.config.market == config.market);
            let (market, wider) = match known {
                Some(known) => (Arc::clone(&known.market), known.wider.clone()),
                None if config.market == first => (Arc::clone(&inputs.market), wider(&config)?),
                None => (inputs.market_under(&config.market)?, wider(&config)?),
            };
            candidates.push(Candidate { name, config, market, wider });
        }
        Ok(candidates)
    }
}

/// One candidate and its market.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Name, unique within a plan.
    pub name: String,
    /// Its configuration.
    pub config: RunConfig,
    /// Its market over all dates.
    pub market: Arc<Market>,
    /// The same market at 1.5 times the spread; absent where it is not asked for.
    pub wider: Option<Arc<Market>>,
}

/// A candidate as the plan records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCandidate {
    /// Name.
    pub name: String,
    /// SHA-256 of the configuration as TOML.
    pub config_sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(names: &str) -> Result<CandidateConfigs, String> {
        let names: CandidateNames = names.parse()?;
        let (base, flags, layer) = (RunConfig::default(), ConfigFlags::default(), Layer::new("flags"));
        names.configs(&base, &flags, &layer).map_err(|error| error.to_string())
    }

    #[test]
    fn candidates_are_profiles_or_files_and_share_their_data() {
        let found = configs("pnl,anti_collapse").unwrap();
        assert_eq!(found.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pnl", "anti_collapse"]);
        assert_ne!(found.0[0].1.env.reward, found.0[1].1.env.reward);
        assert!(configs("pnl,pnl").unwrap_err().contains("named twice"));
        assert!(configs("tune3").unwrap_err().contains("did you mean tune2?"));
        let error = configs("pnl,smoke").unwrap_err();
        assert!(error.contains("candidate smoke: it changes run.* or data.*"), "{error}");
        let only = CandidateNames::default();
        let only = only.configs(&RunConfig::default(), &ConfigFlags::default(), &Layer::new("flags")).unwrap();
        assert_eq!(only.0[0].0, "settings");
    }
}
