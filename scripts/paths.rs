//! Where a run puts its results, below `run.out_dir`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    config::RunSection,
    files::{ensure_writable, free_name, set_aside},
};

/// The files and folders of one model name.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The trained model; its `.json` lies beside it.
    pub model: PathBuf,
    /// Folder of checkpoints, shared by all models.
    pub checkpoints: PathBuf,
    /// What the screen showed.
    pub log: PathBuf,
    /// Configuration, manifest, metrics and chart of the run.
    pub run: PathBuf,
    name: String,
}

/// Writes a number of steps as log names do: 100k, 1M, 2500.
pub fn steps_label(steps: u64) -> String {
    match steps {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}

/// Returns the file of a model that was named with or without its ending.
pub fn model_path(named: &Path) -> PathBuf {
    if named.extension().is_some_and(|ending| ending == "safetensors") {
        return named.to_owned();
    }
    let mut name = named.as_os_str().to_owned();
    name.push(".safetensors");
    PathBuf::from(name)
}

impl Paths {
    /// Returns the paths of a run.
    pub fn of(run: &RunSection) -> Self {
        let (root, name) = (&run.out_dir, &run.model_name);
        Self {
            model: root.join("models").join(format!("{name}.safetensors")),
            checkpoints: root.join("models/checkpoints"),
            log: root.join("logs/training").join(format!("{name}_{}.log", steps_label(run.timesteps))),
            run: root.join("runs").join(name),
            name: name.clone(),
        }
    }

    /// Creates the folders and proves that they can be written, before anything else is done.
    ///
    /// # Errors
    /// A sentence naming the folder that cannot.
    pub fn ensure_writable(&self) -> anyhow::Result<()> {
        let parents = [&self.model, &self.log, &self.run].into_iter().filter_map(|path| path.parent());
        parents.chain([self.checkpoints.as_path()]).try_for_each(ensure_writable)
    }

    /// Moves the log, the run folder and the checkpoints of an earlier run of this name aside; nothing is lost.
    /// Checkpoints go into the old run folder, so that `--resume latest` cannot meet those of another run.
    ///
    /// # Errors
    /// When something cannot be renamed.
    pub fn set_earlier_aside(&self) -> anyhow::Result<Vec<PathBuf>> {
        let checkpoints = self.checkpoints()?;
        let mut run = set_aside(&self.run)?;
        if !checkpoints.is_empty() {
            let folder = run.get_or_insert_with(|| free_name(&self.run)).join("checkpoints");
            fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
            for (_, path) in checkpoints {
                let aside = folder.join(path.file_name().unwrap_or_default());
                fs::rename(&path, aside).with_context(|| format!("moving {}", path.display()))?;
            }
        }
        Ok(set_aside(&self.log)?.into_iter().chain(run).collect())
    }

    /// Returns the path of the checkpoint after `steps`.
    pub fn checkpoint(&self, steps: u64) -> PathBuf {
        self.checkpoints.join(format!("{}_{steps}_steps.safetensors", self.name))
    }

    /// Returns the checkpoints of this model name with their steps, newest first.
    ///
    /// # Errors
    /// When the folder exists but cannot be read.
    pub fn checkpoints(&self) -> anyhow::Result<Vec<(u64, PathBuf)>> {
        if !self.checkpoints.exists() {
            return Ok(Vec::new());
        }
        let list = || fs::read_dir(&self.checkpoints)?.collect::<Result<Vec<_>, _>>();
        let entries = list().with_context(|| format!("listing {}", self.checkpoints.display()))?;
        let mut found: Vec<_> =
            entries.iter().map(fs::DirEntry::path).filter_map(|path| Some((self.steps_of(&path)?, path))).collect();
        found.sort_by(|a, b| b.cmp(a));
        Ok(found)
    }

    fn steps_of(&self, path: &Path) -> Option<u64> {
        let rest = path.file_name()?.to_str()?.strip_prefix(&self.name)?;
        rest.strip_prefix('_')?.strip_suffix("_steps.safetensors")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_named_by_their_steps() {
        assert_eq!(
            [100_000, 500_000, 1_000_000, 2_500, 1_500_000].map(steps_label),
            ["100k", "500k", "1M", "2500", "1500k"]
        );
    }

    #[test]
    fn a_model_is_named_with_or_without_its_ending() {
        for name in ["models/a.1", "models/a.1.safetensors"] {
            assert_eq!(model_path(Path::new(name)), Path::new("models/a.1.safetensors"));
        }
    }

    #[test]
    fn an_earlier_run_is_set_aside_with_its_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunSection { out_dir: folder.path().to_owned(), model_name: "m".to_owned(), ..RunSection::default() };
        let paths = Paths::of(&run);
        paths.ensure_writable().unwrap();
        assert!(paths.set_earlier_aside().unwrap().is_empty());
        fs::create_dir(&paths.run).unwrap();
        for name in [
            "m_50_steps.safetensors",
            "m_100_steps.safetensors",
            "m_2_9_steps.safetensors",
            "other_7_steps.safetensors",
        ] {
            fs::write(paths.checkpoints.join(name), "x").unwrap();
        }
        let steps: Vec<u64> = paths.checkpoints().unwrap().into_iter().map(|(steps, _)| steps).collect();
        assert_eq!(steps, [100, 50]);
        let aside = paths.set_earlier_aside().unwrap();
        assert_eq!(aside, [folder.path().join("runs/m.1")]);
        assert!(aside[0].join("checkpoints/m_100_steps.safetensors").exists());
        assert!(paths.checkpoints.join("other_7_steps.safetensors").exists());
        assert!(paths.checkpoints().unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let paths = Paths::of(&RunSection { out_dir: file, ..RunSection::default() });
        assert!(paths.ensure_writable().unwrap_err().to_string().contains("cannot write to the folder"));
    }
}
