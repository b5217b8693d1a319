//! Resuming of a run, allowed only with its own configuration, bars and checkpoints.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use market_data::{DateRange, input_file};
use ppo_agent::{Backend, Checkpoint, DeviceChoice, PolicyKind};
use serde_json::Value;

use crate::{
    artifacts::{
        files, manifest,
        paths::Paths,
        records::{self, Mark},
    },
    config::{RunConfig, RunSection, layers::differences},
    output::exit_code::UsageError,
};

/// Settings of `run` that may differ on resuming: they do not change the results up to a step.
const MAY_DIFFER: [&str; 8] =
    ["timesteps", "checkpoint_freq", "diagnostics_freq", "num_threads", "device", "out_dir", "data_dir", "options"];

/// A run to resume, as its run folder records it.
#[derive(Debug, Clone)]
pub struct PriorRun {
    /// Configuration of its last start.
    pub config: RunConfig,
    folder: PathBuf,
    manifest: Value,
}

impl PriorRun {
    /// Reads the run folder of a model name.
    ///
    /// # Errors
    /// [`UsageError`] when there is no such run; otherwise a file that cannot be read.
    pub fn read(run: &RunSection) -> anyhow::Result<Self> {
        let folder = Paths::of(run).run;
        let path = folder.join("config.toml");
        let text = input_file::read_text(&path).map_err(|error| {
            UsageError::one(format!(
                "--resume: there is no run of {} to resume: {}: {error}",
                run.model_name,
                path.display()
            ))
        })?;
        let config = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        let path = folder.join("manifest.json");
        let text = input_file::read_text(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { config, folder, manifest })
    }

    /// Refuses a configuration that would make it another run.
    ///
    /// # Errors
    /// [`UsageError`] with every such key.
    pub fn check_config(&self, config: &RunConfig) -> anyhow::Result<()> {
        let changed = differences(&self.config, config)?.into_iter().map(|found| found.key);
        let changed = changed.filter(|key| !MAY_DIFFER.iter().any(|name| key.strip_prefix("run.") == Some(name)));
        let faults = changed.map(|key| format!("--resume: {key} differs from the run's; start a new run for that"));
        Ok(UsageError::check(faults.collect())?)
    }

    /// Refuses other bars or another forecaster than the run was started with; `dataset` is the manifest's entry on the data.
    ///
    /// # Errors
    /// When dates or hashes differ.
    pub fn check_data(&self, dataset: &Value) -> anyhow::Result<()> {
        let hashes = |dataset: &Value| -> Vec<Value> {
            let files = dataset["files"].as_array().into_iter().flatten();
            files.map(|file| file["sha256"].clone()).collect()
        };
        let then = &self.manifest["dataset"];
        ensure!(
            then["forecaster"]["sha256"] == dataset["forecaster"]["sha256"],
            "--resume: the forecaster is not the one that the run was started with; see {}",
            self.folder.join("manifest.json").display()
        );
        ensure!(
            then["dates"] == dataset["dates"] && hashes(then) == hashes(dataset),
            "--resume: the bars are not those that the run was started with; see {}",
            self.folder.join("manifest.json").display()
        );
        Ok(())
    }

    /// Returns the training dates of the run and of the models that it started from.
    ///
    /// # Errors
    /// When the manifest lacks them.
    pub fn trained_on(&self) -> anyhow::Result<Vec<DateRange>> {
        let ranges = serde_json::from_value(self.manifest["trained_on"].clone());
        ranges.with_context(|| format!("reading trained_on in {}", self.folder.join("manifest.json").display()))
    }

    /// Returns a note if another revision of the program started the run.
    pub fn revision_note(&self) -> Option<String> {
        let (then, now) = (self.manifest["git_revision"].as_str(), manifest::revision());
        let text = |revision: Option<&str>| revision.unwrap_or("an unknown revision").to_owned();
        (then != now).then(|| format!("the run was started by revision {}, this is {}", text(then), text(now)))
    }

    /// Returns a note if a libtorch run resumes on another device or number of threads: its sums may round differently.
    pub fn engine_note(&self, config: &RunConfig) -> Option<String> {
        let (then, now) = (&self.config.run, &config.run);
        let policy = &config.policy;
        let on_a_gpu = [then, now].iter().any(|run| matches!(run.device, DeviceChoice::Cuda(_)));
        let by_libtorch = policy.kind != PolicyKind::Mlp || policy.backend == Backend::Tch || on_a_gpu;
        let other = then.device != now.device || then.num_threads != now.num_threads;
        (by_libtorch && other).then(|| {
            "device or threads are not those that the run was started with; libtorch's results may differ from an \
             uninterrupted run's in the last digits"
                .to_owned()
        })
    }

    /// Reads a checkpoint of this run, and its mark.
    ///
    /// # Errors
    /// When it cannot be read, or was written by another run.
    pub fn checkpoint(&self, path: &Path) -> anyhow::Result<(Checkpoint, Mark)> {
        let checkpoint = Checkpoint::load(path)?;
        let mark = records::read_mark(&self.folder, checkpoint.timesteps());
        let ours = mark.and_then(|mark| {
            let config = &self.config;
            let same = checkpoint.seed() == config.run.seed
                && checkpoint.config() == &config.ppo
                && checkpoint.policy().config() == &config.policy
                && mark.sha256 == files::sha256(path)?;
            if same { Ok(mark) } else { bail!("the run wrote another one at step {}", mark.step) }
        });
        let mark = ours.with_context(|| {
            format!("{} is not a checkpoint of this run, {}", path.display(), self.config.run.model_name)
        })?;
        Ok((checkpoint, mark))
    }

    /// Returns the log of the run's last start; its name depends on the planned number of steps.
    pub fn log(&self, run: &RunSection) -> PathBuf {
        Paths::of(&RunSection { timesteps: self.config.run.timesteps, ..run.clone() }).log
    }
}
