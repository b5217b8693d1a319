//! Record of a run: configuration and manifest of its folder, and the folder that a checkpoint belongs to.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use jiff::civil::Date;
use market_data::{DataStamp, DateRange, Split, input_file};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    artifacts::{
        paths::{checkpoint_name, list},
        saved_forecaster::ForecasterRecord,
    },
    config::RunConfig,
};

/// Configuration and manifest of a run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder.
    pub path: PathBuf,
    /// Configuration of its last start.
    pub config: RunConfig,
    /// Manifest of its last start, without results if it did not finish.
    pub manifest: Value,
}

impl RunFolder {
    /// Reads configuration and manifest.
    ///
    /// # Errors
    /// When one of them cannot be read; the message names it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let path = path.join(name);
            input_file::read_text(&path).with_context(|| format!("reading {}", path.display()))
        };
        let named = |name: &str| format!("reading {}", path.join(name).display());
        let config = toml::from_str(&text("config.toml")?).with_context(|| named("config.toml"))?;
        let manifest = serde_json::from_str(&text("manifest.json")?).with_context(|| named("manifest.json"))?;
        Ok(Self { path: path.to_owned(), config, manifest })
    }

    /// Returns the run folder of a checkpoint: `../../runs/<name>`, or the folder that was set aside with it.
    pub fn of_checkpoint(checkpoint: &Path) -> Option<PathBuf> {
        let (name, _) = checkpoint_name(checkpoint)?;
        // An absolute path, so that the folders above a relative one have names.
        let folder = std::path::absolute(checkpoint).ok()?.parent()?.to_owned();
        let above = folder.parent()?;
        let aside = above.join("config.toml").exists().then(|| above.to_owned());
        Some(aside.unwrap_or(above.parent()?.join("runs").join(name)))
    }

    /// Returns training dates of the run, and of the models that it started from.
    ///
    /// # Errors
    /// When the manifest lacks them.
    pub fn trained_on(&self) -> anyhow::Result<Vec<DateRange>> {
        self.entry("trained_on", &self.manifest["trained_on"])
    }

    /// Returns the origin of its bars.
    ///
    /// # Errors
    /// When the manifest lacks it.
    pub fn stamp(&self) -> anyhow::Result<DataStamp> {
        self.entry("data", &self.manifest["data"])
    }

    /// Returns the record of the forecaster of its columns, if it has any.
    ///
    /// # Errors
    /// When the manifest's record is malformed.
    pub fn forecaster(&self) -> anyhow::Result<Option<ForecasterRecord>> {
        self.entry("dataset.forecaster", &self.manifest["dataset"]["forecaster"])
    }

    /// Returns the dates of training, validation and test.
    ///
    /// # Errors
    /// When the manifest lacks them.
    pub fn split(&self) -> anyhow::Result<Split> {
        let dates = &self.manifest["dataset"]["dates"];
        let range = |part: &str| {
            let found: Vec<Date> = self.entry(&format!("dataset.dates.{part}"), &dates[part])?;
            let ends = found.first().copied().zip(found.last().copied());
            anyhow::Ok(ends.map(|(first, last)| DateRange { first, last }))
        };
        let train = range("train")?;
        let train =
            train.with_context(|| format!("{} has no train dates", self.path.join("manifest.json").display()))?;
        let held_out = |part| anyhow::Ok(range(part)?.unwrap_or(DateRange::none_after(train.last)));
        let gap = self.entry("dataset.dates.gap", &dates["gap"])?;
        Ok(Split { train, validation: held_out("validation")?, test: held_out("test")?, gap })
    }

    fn entry<T: DeserializeOwned>(&self, key: &str, value: &Value) -> anyhow::Result<T> {
        let named = || format!("reading {key} in {}", self.path.join("manifest.json").display());
        serde_json::from_value(value.clone()).with_context(named)
    }
}

/// Returns the newest checkpoint of a folder: a run folder, a run that was set aside, or a folder with the checkpoints of one run.
///
/// # Errors
/// When the folder holds none, or those of several runs.
pub fn newest_checkpoint(folder: &Path) -> anyhow::Result<PathBuf> {
    let (recorded, aside) = (folder.join("config.toml").exists(), folder.join("checkpoints"));
    let live = std::path::absolute(folder)?.join("../../models/checkpoints");
    let place = match (recorded, aside.is_dir()) {
        (false, _) => folder,
        (true, true) => &aside,
        (true, false) => &live,
    };
    let mut found: Vec<_> = list(place)?.into_iter().filter_map(|path| Some((checkpoint_name(&path)?, path))).collect();
    if place == live {
        let run = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        found.retain(|((name, _), _)| Some(name) == run.as_ref());
    }
    let names: BTreeSet<&String> = found.iter().map(|((name, _), _)| name).collect();
    ensure!(
        names.len() < 2,
        "{} holds checkpoints of several runs ({}); name one of its files, or a run folder",
        folder.display(),
        names.into_iter().cloned().collect::<Vec<_>>().join(", ")
    );
    let newest = found.into_iter().max_by_key(|((_, steps), _)| *steps);
    let Some((_, path)) = newest else { bail!("{} holds no checkpoint of a run", folder.display()) };
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::output_file::create_parent;

    #[test]
    fn the_folder_of_a_checkpoint_is_that_of_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            create_parent(&path).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let live = write("models/checkpoints/a_b_10_steps.safetensors");
        write("models/checkpoints/a_b_9_steps.safetensors");
        let aside = write("runs/a_b.1/checkpoints/a_b_20_steps.safetensors");
        write("runs/a_b.1/config.toml");
        write("runs/a_b/config.toml");
        let run = |path: &Path| RunFolder::of_checkpoint(path).unwrap();
        assert_eq!(run(&live), folder.path().join("runs/a_b"));
        assert_eq!(run(&aside), folder.path().join("runs/a_b.1"));
        assert_eq!(RunFolder::of_checkpoint(Path::new("models/a.safetensors")), None);

        let newest = |path: &str| newest_checkpoint(&folder.path().join(path)).unwrap().canonicalize().unwrap();
        assert_eq!(newest("models/checkpoints"), live.canonicalize().unwrap());
        assert_eq!(newest("runs/a_b"), live.canonicalize().unwrap());
        assert_eq!(newest("runs/a_b.1"), aside.canonicalize().unwrap());
        write("models/checkpoints/other_99_steps.safetensors");
        assert_eq!(newest("runs/a_b"), live.canonicalize().unwrap());
        let refusal = |path: &str| newest_checkpoint(&folder.path().join(path)).unwrap_err().to_string();
        assert!(refusal("models/checkpoints").contains("several runs (a_b, other)"));
        assert!(refusal("runs").ends_with("holds no checkpoint of a run"));
    }
}
