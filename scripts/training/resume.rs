//! Resuming of a run, allowed only with its own configuration, bars and checkpoints.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use market_data::DateRange;
use ppo_agent::{Backend, Checkpoint, DeviceChoice, EntropySchedule, PolicyKind, Schedule};
use serde_json::Value;

use crate::{
    artifacts::{
        files, manifest,
        paths::Paths,
        records::{self, Mark},
        run_folder::RunFolder,
    },
    config::{RunConfig, RunSection, layers::differences},
    output::{
        exit_code::UsageError,
        table::{significant, thousands},
    },
};

/// Settings that may differ on resuming: they do not change the results up to a step.
const MAY_DIFFER: [&str; 13] = [
    "run.timesteps",
    "run.checkpoint_freq",
    "run.diagnostics_freq",
    "run.num_threads",
    "run.device",
    "run.out_dir",
    "run.data_dir",
    "run.options",
    "run.keep_checkpoints",
    "run.keep",
    "run.stop_after_no_gain",
    "health.on_collapse",
    "health.patience",
];

/// Values of `--resume` that are no path: the newest checkpoint, and that or a new run.
const LATEST: &str = "latest";
const AUTO: &str = "auto";

/// Returns whether `--resume` asks for the newest checkpoint.
pub(super) fn asks_for_newest(which: &Path) -> bool {
    which == Path::new(LATEST) || which == Path::new(AUTO)
}

/// A run to resume, as its run folder records it.
#[derive(Debug, Clone)]
pub struct PriorRun {
    /// Configuration of its last start.
    pub config: RunConfig,
    folder: RunFolder,
}

impl PriorRun {
    /// Reads the run folder of a model name; `None` where `which` is `auto` and there is no checkpoint to go on from.
    ///
    /// # Errors
    /// [`UsageError`] when there is no such run; otherwise a file that cannot be read.
    pub fn find(run: &RunSection, which: &Path) -> anyhow::Result<Option<Self>> {
        let paths = Paths::of(run);
        let there = |name: &str| paths.run.join(name).exists();
        let auto = which == Path::new(AUTO);
        if auto && !(there("config.toml") && there("manifest.json")) {
            return Ok(None);
        }
        let path = paths.run.join("config.toml");
        if let Err(error) = path.metadata() {
            let (name, path) = (&run.model_name, path.display());
            return Err(
                UsageError::one(format!("--resume: there is no run of {name} to resume: {path}: {error}")).into()
            );
        }
        let folder = RunFolder::read(&paths.run)?;
        let prior = Self { config: folder.config.clone(), folder };
        let usable = |(_, path): &(u64, PathBuf)| prior.checkpoint(path).is_ok();
        if auto && !paths.checkpoints()?.iter().any(usable) {
            return Ok(None);
        }
        Ok(Some(prior))
    }

    /// Refuses a configuration that would make it another run.
    ///
    /// # Errors
    /// [`UsageError`] with every such key.
    pub fn check_config(&self, config: &RunConfig) -> anyhow::Result<()> {
        let changed = differences(&self.config, config)?.into_iter().map(|found| found.key);
        let changed = changed.filter(|key| !MAY_DIFFER.contains(&key.as_str()));
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
        let then = &self.folder.manifest["dataset"];
        ensure!(
            then["forecaster"]["sha256"] == dataset["forecaster"]["sha256"],
            "--resume: the forecaster is not the one that the run was started with; see {}",
            self.folder.path.join("manifest.json").display()
        );
        ensure!(
            then["dates"] == dataset["dates"] && hashes(then) == hashes(dataset),
            "--resume: the bars are not those that the run was started with; see {}",
            self.folder.path.join("manifest.json").display()
        );
        Ok(())
    }

    /// Returns the training dates of the run and of the models that it started from.
    ///
    /// # Errors
    /// When the manifest lacks them.
    pub fn trained_on(&self) -> anyhow::Result<Vec<DateRange>> {
        self.folder.trained_on()
    }

    /// Returns a note if another revision of the program started the run.
    pub fn revision_note(&self) -> Option<String> {
        let (then, now) = (self.folder.manifest["git_revision"].as_str(), manifest::revision());
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
        let mark = records::read_mark(&self.folder.path, checkpoint.timesteps());
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

    /// Returns whether the run has results after the step of the checkpoint `which` that it goes on from: it finished later, or has
    /// later checkpoints that the user passed over.
    ///
    /// # Errors
    /// When the folder of checkpoints cannot be read.
    pub fn went_beyond(&self, step: u64, which: &Path, paths: &Paths) -> anyhow::Result<bool> {
        let finished = self.folder.manifest["timesteps"].as_u64();
        let passed_over = !asks_for_newest(which) && paths.checkpoints()?.iter().any(|(later, _)| *later > step);
        Ok(passed_over || finished.is_some_and(|finished| finished > step))
    }

    /// Returns the log of the run's last start; its name depends on the planned number of steps.
    pub fn log(&self, run: &RunSection) -> PathBuf {
        Paths::of(&RunSection { timesteps: self.config.run.timesteps, ..run.clone() }).log
    }
}

/// Checks the length of a run that goes on at `steps`, and returns notes: on a run without steps left, and on every schedule that ends
/// at another step than the `planned` one.
///
/// # Errors
/// [`UsageError`] when the run is to be shorter than it is.
pub(super) fn check_length(config: &RunConfig, planned: u64, steps: u64) -> anyhow::Result<Vec<String>> {
    let (asked, rollout) = (config.run.timesteps, config.ppo.rollout_size() as u64);
    let done = thousands(steps as i64);
    if steps > asked.div_ceil(rollout) * rollout {
        let fault = format!(
            "--timesteps: {asked} is fewer than the {done} steps that the checkpoint already has; ask for more, or resume from an \
             earlier checkpoint"
        );
        return Err(UsageError::one(fault).into());
    }
    let mut notes = Vec::new();
    if steps >= asked {
        notes.push(format!(
            "the run has its {} steps already ({done}); nothing is trained, and its results are computed again",
            thousands(asked as i64)
        ));
    }
    if planned != asked && planned > 0 {
        notes.extend(schedule_notes(config, planned, steps));
    }
    Ok(notes)
}

/// Returns a sentence on every schedule whose value jumps because the run ends at another step than planned.
fn schedule_notes(config: &RunConfig, planned: u64, steps: u64) -> Vec<String> {
    let (ppo, now) = (&config.ppo, config.run.timesteps);
    let linear = ppo.ent_schedule == EntropySchedule::Linear;
    let shaping = f64::from(config.env.reward.shaping_final);
    let schedules = [
        ("the learning rate", ppo.lr_schedule == Schedule::Linear, ppo.learning_rate, 0.0),
        ("the entropy weight", linear, ppo.ent_coef, ppo.ent_coef_final),
        ("the weight of the shaping", shaping != 1.0, 1.0, shaping),
    ];
    let sentence = |(name, applies, first, last): (&str, bool, f64, f64)| {
        let at = |total: u64| significant(Schedule::Linear.at(first, last, steps as f64 / total as f64));
        applies.then(|| {
            format!(
                "{name} follows the length of the run, now {} steps instead of {}: at step {} it goes from {} to {}, so the result \
                 is not that of one run of this length",
                thousands(now as i64),
                thousands(planned as i64),
                thousands(steps as i64),
                at(planned),
                at(now)
            )
        })
    };
    schedules.into_iter().filter_map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_refused_or_its_effect_is_told() {
        let mut config = RunConfig::default();
        config.env.reward.shaping_final = 1.0;
        config.run.timesteps = 10_000;
        let told = |config: &RunConfig, steps| check_length(config, 10_000, steps);
        assert_eq!(told(&config, 8_192).unwrap(), Vec::<String>::new());
        // 10,000 steps are three iterations of 4,096.
        assert!(told(&config, 12_288).unwrap()[0].starts_with("the run has its 10,000 steps already (12,288)"));
        let refusal = told(&config, 16_384).unwrap_err();
        assert!(refusal.downcast_ref::<UsageError>().is_some());
        assert!(refusal.to_string().starts_with("--timesteps: 10000 is fewer than the 16,384 steps"), "{refusal}");

        config.run.timesteps = 20_000;
        assert_eq!(told(&config, 10_000).unwrap(), Vec::<String>::new(), "no schedule");
        config.ppo.lr_schedule = Schedule::Linear;
        config.ppo.ent_schedule = EntropySchedule::Linear;
        let notes = told(&config, 10_000).unwrap();
        let words = [("the learning rate", "from 0 to 1.5e-05"), ("the entropy weight", "from 0.02 to 0.04")];
        assert_eq!(notes.len(), 2, "{notes:?}");
        for (note, (name, values)) in notes.iter().zip(words) {
            assert!(note.starts_with(name) && note.contains(values), "{note}");
        }
    }
}
