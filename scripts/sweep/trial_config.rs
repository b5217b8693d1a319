//! A trial as the start of a training: `zerodte train --from-trial FOLDER:N`.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Context as _, ensure};

use super::{plan::SweepPlan, sampler::Sampler, trial::TrialResult};
use crate::config::{RunConfig, check_name};

/// A trial by its folder and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialName {
    /// Folder of the sweep.
    pub folder: PathBuf,
    /// Number, from 0.
    pub trial: usize,
}

impl FromStr for TrialName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(folder, _)| !folder.is_empty());
        let parsed = parts.and_then(|(folder, trial)| Some(Self { folder: folder.into(), trial: trial.parse().ok()? }));
        parsed.ok_or_else(|| "write it as FOLDER:NUMBER, such as sweep:17".to_owned())
    }
}

impl TrialName {
    /// Returns the configuration of the trial, with a model name of its own.
    ///
    /// # Errors
    /// When the folder holds no sweep, or one without this trial.
    pub fn config(&self) -> anyhow::Result<RunConfig> {
        let (folder, trial) = (&self.folder, self.trial);
        let read = || -> anyhow::Result<RunConfig> {
            let plan = SweepPlan::read(folder)?;
            let base = plan.config(folder)?;
            let found = (1..=plan.rungs.len()).map(|rung| TrialResult::read(folder, &plan.sha256()?, rung, trial));
            let found = found.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().next();
            let values = match found {
                Some(result) => result.values,
                None => {
                    let free = matches!(plan.sampler, Sampler::Sobol | Sampler::Random);
                    ensure!(free, "the sweep has no result of trial {trial}");
                    plan.space.values(&plan.sampler.point(&plan.space, plan.sampler_seed, trial, &[])?)
                }
            };
            let mut config = plan.space.config(&base, trial, &values)?;
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            config.run.model_name = format!("{name}-trial{trial}");
            if check_name(&config.run.model_name).is_err() {
                config.run.model_name = format!("trial{trial}");
            }
            Ok(config)
        };
        read().with_context(|| format!("--from-trial {}:{trial}", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_named_by_folder_and_number() {
        let name: TrialName = "C:/sweeps/first:17".parse().unwrap();
        assert_eq!((name.folder, name.trial), (PathBuf::from("C:/sweeps/first"), 17));
        for text in ["sweep", ":3", "sweep:", "sweep:-1", "sweep:x"] {
            assert!(text.parse::<TrialName>().is_err(), "{text}");
        }
    }
}
