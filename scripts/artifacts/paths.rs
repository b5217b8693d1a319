//! Paths of a run's results, below `run.out_dir`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    artifacts::files::{free_name, set_aside},
    config::RunSection,
    output::output_file::{check_writable, create_parent},
};

/// The files and folders of one model name.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The trained model; its `.json` lies beside it.
    pub model: PathBuf,
    /// Folder of checkpoints, shared by all models.
    pub checkpoints: PathBuf,
    /// Log with the text of the screen.
    pub log: PathBuf,
    /// Configuration, manifest, metrics and chart of the run.
    pub run: PathBuf,
    name: String,
}

/// Formats a number of steps as in log names: 100k, 1M, 2500.
pub fn short_steps(steps: u64) -> String {
    match steps {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}

/// Returns the file of a model named with or without its extension.
pub fn model_path(named: &Path) -> PathBuf {
    if named.extension().is_some_and(|extension| extension == "safetensors") {
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
            log: root.join("logs/training").join(format!("{name}_{}.log", short_steps(run.timesteps))),
            run: root.join("runs").join(name),
            name: name.clone(),
        }
    }

    /// Returns the lock of the run, which one process holds while it trains.
    pub fn lock(&self) -> PathBuf {
        self.run.with_file_name(format!(".{}.lock", self.name))
    }

    /// Checks that the folders can be written or created; creates none.
    ///
    /// # Errors
    /// When one cannot; the message names it.
    pub fn check_writable(&self) -> anyhow::Result<()> {
        let parents = [&self.model, &self.log, &self.run].into_iter().filter_map(|path| path.parent());
        parents.chain([self.checkpoints.as_path()]).try_for_each(check_writable)
    }

    /// Creates the folders.
    ///
    /// # Errors
    /// When one cannot be created; the message names it.
    pub fn create_folders(&self) -> anyhow::Result<()> {
        [&self.model, &self.log, &self.run, &self.checkpoint(0)].into_iter().try_for_each(|path| create_parent(path))
    }

    /// Writes a file of the run folder under a temporary name, which is then renamed.
    ///
    /// # Errors
    /// When the file cannot be written; an earlier one is intact then.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(ppo_agent::write_atomically(&self.run.join(name), bytes.as_ref())?)
    }

    /// Sets the results of an earlier run of this name aside, and returns their new paths; nothing is deleted. Logs stay in their
    /// folder. Model and checkpoints move into the old run folder: `--resume latest` must not find checkpoints of another run, and a
    /// failed run must not leave an earlier model under its name.
    ///
    /// # Errors
    /// When something cannot be renamed.
    pub fn set_earlier_aside(&self) -> anyhow::Result<Vec<PathBuf>> {
        let checkpoints = self.checkpoints()?.into_iter().map(|(_, path)| (path, "checkpoints"));
        let model = [self.model.clone(), self.model.with_extension("json")].map(|path| (path, "models"));
        let found: Vec<_> = checkpoints.chain(model).filter(|(path, _)| path.exists()).collect();
        let mut run = set_aside(&self.run)?;
        if !found.is_empty() {
            move_into(run.get_or_insert_with(|| free_name(&self.run)), found)?;
        }
        let mut aside = Vec::new();
        for log in self.logs()? {
            aside.extend(set_aside(&log)?);
        }
        aside.extend(run);
        Ok(aside)
    }

    /// Sets what a run did after `steps` aside, as for a new run: later checkpoints and the model move into a copy of the run
    /// folder, beside a copy of the log. Returns the new paths.
    ///
    /// # Errors
    /// When something cannot be copied or renamed.
    pub fn set_later_aside(&self, steps: u64, log: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let run = free_name(&self.run);
        let copy = |from: &Path, to: &Path| {
            fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))
        };
        create_folder(&run)?;
        for file in list(&self.run)?.into_iter().filter(|path| path.is_file()) {
            copy(&file, &run.join(file.file_name().unwrap_or_default()))?;
        }
        let mut aside = Vec::new();
        if log.exists() {
            let name = free_name(log);
            copy(log, &name)?;
            aside.push(name);
        }
        let later =
            self.checkpoints()?.into_iter().filter(|(at, _)| *at > steps).map(|(_, path)| (path, "checkpoints"));
        let model = [self.model.clone(), self.model.with_extension("json")].map(|path| (path, "models"));
        move_into(&run, later.chain(model).filter(|(path, _)| path.exists()))?;
        aside.push(run);
        Ok(aside)
    }

    /// Removes checkpoints that are older than the newest `keep` up to `steps`, except the one at `best`. Later ones, which another
    /// start of the run left, count for nothing. A `keep` of 0 keeps all.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn prune(&self, keep: usize, steps: u64, best: Option<u64>) -> anyhow::Result<()> {
        if keep == 0 {
            return Ok(());
        }
        let found = self.checkpoints()?.into_iter().filter(|(at, _)| *at <= steps);
        // The oldest first: a program that is killed here has lost no newer one.
        let old: Vec<_> = found.skip(keep).filter(|(at, _)| Some(*at) != best).map(|(_, path)| path).collect();
        let remove = |path: &PathBuf| fs::remove_file(path).with_context(|| format!("removing {}", path.display()));
        old.iter().rev().try_for_each(remove)
    }

    /// Removes the temporary files that a killed process of this run left.
    ///
    /// # Errors
    /// When a folder cannot be read, or a file cannot be removed.
    pub fn remove_leftovers(&self) -> anyhow::Result<()> {
        let logs = self.log.parent().unwrap_or(Path::new(".")).to_owned();
        let models = self.model.parent().unwrap_or(Path::new(".")).to_owned();
        for folder in [&self.run, &models, &self.checkpoints, &logs] {
            for path in list(folder)? {
                let Some(target) = target_of_temporary(&path) else { continue };
                let ours = folder == &self.run
                    || target == self.model
                    || target == self.model.with_extension("json")
                    || self.steps_of(&target).is_some()
                    || self.is_log(&target);
                if ours {
                    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Returns the logs of this model name for any number of steps, sorted by name.
    fn logs(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut logs = list(self.log.parent().unwrap_or(Path::new(".")))?;
        logs.retain(|path| self.is_log(path));
        logs.sort();
        Ok(logs)
    }

    fn is_log(&self, path: &Path) -> bool {
        let label = |name: &str| -> Option<String> {
            Some(name.strip_prefix(&self.name)?.strip_prefix('_')?.strip_suffix(".log")?.to_owned())
        };
        let label = path.file_name().and_then(|name| label(name.to_str()?)).unwrap_or_default();
        let digits = label.strip_suffix(['k', 'M']).unwrap_or(&label);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
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
        let files = list(&self.checkpoints)?;
        let mut found: Vec<_> = files.into_iter().filter_map(|path| Some((self.steps_of(&path)?, path))).collect();
        found.sort_by(|a, b| b.cmp(a));
        Ok(found)
    }

    fn steps_of(&self, path: &Path) -> Option<u64> {
        checkpoint_name(path).filter(|(name, _)| *name == self.name).map(|(_, steps)| steps)
    }
}

/// Returns the model name and the steps in the file name of a checkpoint; `None` for any other file.
pub fn checkpoint_name(path: &Path) -> Option<(String, u64)> {
    let (name, steps) = path.file_name()?.to_str()?.strip_suffix("_steps.safetensors")?.rsplit_once('_')?;
    let digits = !steps.is_empty() && steps.chars().all(|c| c.is_ascii_digit());
    digits.then(|| Some((name.to_owned(), steps.parse().ok()?))).flatten()
}

/// Moves files into folders of a run that is set aside.
fn move_into<'a>(run: &Path, files: impl IntoIterator<Item = (PathBuf, &'a str)>) -> anyhow::Result<()> {
    for (path, folder) in files {
        let aside = run.join(folder).join(path.file_name().unwrap_or_default());
        create_parent(&aside)?;
        fs::rename(&path, aside).with_context(|| format!("moving {}", path.display()))?;
    }
    Ok(())
}

fn create_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir(path).with_context(|| format!("creating {}", path.display()))
}

/// Returns the file that a temporary file (`.<name>.<16 digits>.tmp`) was to become; `None` for any other file.
fn target_of_temporary(path: &Path) -> Option<PathBuf> {
    let (name, number) = path.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let hexadecimal = number.len() == 16 && number.chars().all(|c| c.is_ascii_hexdigit());
    hexadecimal.then(|| path.with_file_name(name))
}

/// Returns the entries of a folder; none if it does not exist.
pub(crate) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    entries().with_context(|| format!("listing {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_named_by_their_steps() {
        assert_eq!(
            [100_000, 500_000, 1_000_000, 2_500, 1_500_000].map(short_steps),
            ["100k", "500k", "1M", "2500", "1500k"]
        );
    }

    #[test]
    fn a_model_is_named_with_or_without_its_extension() {
        for name in ["models/a.1", "models/a.1.safetensors"] {
            assert_eq!(model_path(Path::new(name)), Path::new("models/a.1.safetensors"));
        }
    }

    #[test]
    fn an_earlier_run_is_set_aside_with_its_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunSection { out_dir: folder.path().to_owned(), model_name: "m".to_owned(), ..RunSection::default() };
        let paths = Paths::of(&run);
        paths.check_writable().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a check leaves nothing");
        paths.create_folders().unwrap();
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
        for name in ["m_100k.log", "m_2M.log", "m_2500.log", "m1_100k.log", "m_2_100k.log", "m_k.log"] {
            fs::write(folder.path().join("logs/training").join(name), "x").unwrap();
        }
        for name in ["m.safetensors", "m.json", "m1.json"] {
            fs::write(folder.path().join("models").join(name), "x").unwrap();
        }
        let aside = paths.set_earlier_aside().unwrap();
        let moved =
            ["logs/training/m_100k.log.1", "logs/training/m_2500.log.1", "logs/training/m_2M.log.1", "runs/m.1"];
        assert_eq!(aside, moved.map(|path| folder.path().join(path)));
        let run = folder.path().join("runs/m.1");
        assert!(run.join("models/m.safetensors").exists() && run.join("models/m.json").exists());
        assert!(folder.path().join("models/m1.json").exists());
        let aside = [run];
        assert!(aside[0].join("checkpoints/m_100_steps.safetensors").exists());
        assert!(paths.checkpoints.join("other_7_steps.safetensors").exists());
        assert!(paths.checkpoints().unwrap().is_empty());
    }

    /// The paths of a run `m` in a folder, with these empty files.
    fn run_with(folder: &Path, files: &[&str]) -> Paths {
        let run = RunSection { out_dir: folder.to_owned(), model_name: "m".to_owned(), ..RunSection::default() };
        for file in files.iter().map(|file| folder.join(file)) {
            create_parent(&file).unwrap();
            fs::write(file, "x").unwrap();
        }
        Paths::of(&run)
    }

    #[test]
    fn the_newest_checkpoints_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let name = |steps: u64| format!("models/checkpoints/m_{steps}_steps.safetensors");
        let names: Vec<String> = [100, 20, 30, 40, 50, 60].map(name).into();
        let paths = run_with(folder.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        fs::write(paths.checkpoints.join("m_1_9_steps.safetensors"), "another model's").unwrap();
        let steps = || paths.checkpoints().unwrap().into_iter().map(|found| found.0).collect::<Vec<_>>();
        paths.prune(0, 60, None).unwrap();
        assert_eq!(steps(), [100, 60, 50, 40, 30, 20]);
        paths.prune(2, 60, Some(20)).unwrap();
        assert_eq!(steps(), [100, 60, 50, 20], "the later one is of another start, the best is protected");
        assert!(paths.checkpoints.join("m_1_9_steps.safetensors").exists());
    }

    #[test]
    fn what_came_after_a_checkpoint_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["10_steps", "20_steps"].map(|name| format!("models/checkpoints/m_{name}.safetensors"));
        let files = [&names[0], &names[1], "models/m.safetensors", "models/m.json", "runs/m/metrics.jsonl", "m.log"];
        let paths = run_with(folder.path(), &files);
        let log = folder.path().join("m.log");
        let aside = paths.set_later_aside(10, &log).unwrap();
        assert_eq!(aside, ["m.log.1", "runs/m.1"].map(|path| folder.path().join(path)));
        let there = |path: &str| folder.path().join(path).exists();
        let moved = ["checkpoints/m_20_steps.safetensors", "models/m.safetensors", "models/m.json", "metrics.jsonl"];
        assert!(moved.iter().all(|path| there(&format!("runs/m.1/{path}"))));
        assert!(there(&names[0]) && !there(&names[1]) && !there("models/m.json"));
        assert!(there("runs/m/metrics.jsonl") && log.exists(), "the run goes on with these");
    }

    #[test]
    fn temporary_files_of_this_run_alone_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let temporary = |name: &str| name.replace('@', ".0123456789abcdef.tmp");
        let ours = [
            "runs/m/.config.toml@",
            "models/.m.safetensors@",
            "models/.m.json@",
            "models/checkpoints/.m_20_steps.safetensors@",
            "logs/training/.m_100k.log@",
        ];
        let others =
            ["models/.n.json@", "models/checkpoints/.m_2_9_steps.safetensors@", "runs/m/.mine.tmp", "runs/m/a"];
        let files: Vec<String> = ours.iter().chain(&others).map(|name| temporary(name)).collect();
        let paths = run_with(folder.path(), &files.iter().map(String::as_str).collect::<Vec<_>>());
        paths.remove_leftovers().unwrap();
        let left: Vec<bool> = files.iter().map(|file| folder.path().join(file).exists()).collect();
        assert_eq!(left, [[false; 5].as_slice(), &[true; 4]].concat());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let paths = Paths::of(&RunSection { out_dir: file, ..RunSection::default() });
        assert!(paths.check_writable().unwrap_err().to_string().contains("cannot write to the folder"));
    }
}
