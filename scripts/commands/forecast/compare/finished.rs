//! Finished run of a forecaster, read from its folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use market_data::input_file;
use ppo_agent::forecast::Target;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    commands::forecast::{
        ForecastCompareFlags, Judged, Metrics,
        evaluation::ALL,
        files::{EPOCHS, METRICS, PREDICTIONS},
    },
    config::RunConfig,
    output::exit_code::UsageError,
};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";

/// A run of `zerodte forecast train`.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    /// Name of its folder.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) config: RunConfig,
    pub(super) metrics: Metrics,
    /// Number of epochs, including diverged ones.
    pub(super) epochs: usize,
    /// Duration of the training in seconds, if recorded.
    pub(super) seconds: Option<f64>,
}

/// Returns the folders to compare.
///
/// # Errors
/// All faults together: fewer than two runs, missing folders, duplicate names, archives that would contain themselves.
pub(super) fn check(flags: &ForecastCompareFlags) -> Result<Vec<PathBuf>, UsageError> {
    let mut faults = Vec::new();
    if flags.runs.len() < 2 {
        faults.push("a comparison needs two runs or more".to_owned());
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for run in &flags.runs {
        match fs::canonicalize(run) {
            Ok(folder) if folder.is_dir() => folders.push(folder),
            _ => faults.push(format!("{}: no such run folder", run.display())),
        }
    }
    for (i, folder) in folders.iter().enumerate() {
        if folders[..i].iter().any(|other| other.file_name() == folder.file_name()) {
            faults.push(format!("{}: another run has the same name; rename one of the folders", folder.display()));
        }
        let zip = flags.output.zip.as_ref().and_then(|zip| std::path::absolute(zip).ok());
        if zip.is_some_and(|zip| zip.starts_with(folder)) {
            faults.push(format!("--zip lies in {}, whose archive would contain itself", folder.display()));
        }
    }
    UsageError::check(faults).map(|()| folders)
}

impl Finished {
    /// Reads a run.
    ///
    /// # Errors
    /// When a file is missing or invalid; the message names it.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let files = [CONFIG, EPOCHS, METRICS, PREDICTIONS, MANIFEST];
        let missing: Vec<&str> = files.into_iter().filter(|name| !folder.join(name).is_file()).collect();
        let lacking = missing.join(", ");
        ensure!(missing.is_empty(), "{} lacks {lacking}: is it a finished run of a forecaster?", folder.display());
        let manifest: Value = json(&folder.join(MANIFEST))?;
        Ok(Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            config: read(&folder.join(CONFIG), |text| Ok(toml::from_str(text)?))?,
            metrics: metrics(&folder.join(METRICS))?,
            epochs: read(&folder.join(EPOCHS), |text| Ok(text.lines().count().saturating_sub(1)))?,
            seconds: manifest["training_seconds"].as_f64(),
            folder: folder.to_owned(),
        })
    }

    pub(super) fn is_synthetic(&self) -> bool {
        self.metrics.data.is_synthetic()
    }

    /// Returns the evaluation of a target over all symbols pooled, if there is one.
    pub(super) fn judged(&self, target: Target) -> Option<&Judged> {
        let of_all = |row: &&Judged| row.symbol == ALL && row.target == target && !row.predictors.is_empty();
        self.metrics.test.rows.iter().find(of_all)
    }

    /// Returns the path of the test forecasts.
    pub(super) fn predictions(&self) -> PathBuf {
        self.folder.join(PREDICTIONS)
    }
}

/// Reads metrics. JSON has no NaN, so the epochs of a diverged training cannot be parsed and are skipped.
fn metrics(path: &Path) -> anyhow::Result<Metrics> {
    let mut metrics: Value = json(path)?;
    if let Some(epochs) = metrics.get_mut("epochs").and_then(Value::as_array_mut) {
        epochs.retain(|epoch| epoch.as_object().is_none_or(|figures| !figures.values().any(Value::is_null)));
    }
    serde_json::from_value(metrics).with_context(|| format!("{} cannot be used", path.display()))
}

fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    read(path, |text| Ok(serde_json::from_str(text)?))
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let parsed = || parse(&input_file::read_text(path)?);
    parsed().with_context(|| format!("{} cannot be used", path.display()))
}

/// Returns the targets that at least two runs were evaluated on, in the order of the runs' configurations.
pub(super) fn common_targets(runs: &[Finished]) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for target in runs.iter().flat_map(|run| run.config.forecast.targets()) {
        let judged = runs.iter().filter(|run| run.judged(target).is_some()).count();
        if judged >= 2 && !found.contains(&target) {
            found.push(target);
        }
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use market_data::{DataStamp, DateRange};
    use ppo_agent::forecast::{FitBaseline, Gate, GateVerdict, Outcomes, Scores, StopReason, TargetKind};

    use super::*;
    use crate::commands::forecast::{Judgement, Predicted, chart, flags::ComparisonOutput};

    /// A run whose forecasts of `return_5` are a share of the realised values.
    pub(in super::super) fn finished(name: &str, share: f32) -> Finished {
        let config = RunConfig::default();
        let pairs = chart::tests::pairs(share);
        let block: Vec<u32> = (0..pairs.actual.len() as u32).map(|i| i / 50).collect();
        let outcomes = Outcomes { predicted: &pairs.forecast, actual: &pairs.actual, block: &block, train_mean: 0.0 };
        let row = Judged {
            symbol: ALL.to_owned(),
            target: config.forecast.targets()[0],
            gate: Gate { verdict: GateVerdict::Healthy, evidence: Vec::new(), advice: None },
            r2_last_value: None,
            predictors: vec![Predicted {
                predictor: "forecaster".to_owned(),
                scores: Scores::with_intervals(TargetKind::Return, &outcomes).unwrap(),
            }],
        };
        let dates = DateRange { first: jiff::civil::date(2025, 1, 2), last: jiff::civil::date(2025, 3, 31) };
        let data = DataStamp::Synthetic;
        let metrics = Metrics {
            data,
            best_epoch: 2,
            end: StopReason::MaxEpochs,
            outset: FitBaseline {
                constant_loss: 1.0,
                linear: vec![None; 3],
                warnings: Vec::new(),
                pretraining: Vec::new(),
            },
            epochs: chart::tests::some_epochs(3),
            test: Judgement { data, dates, rows: vec![row] },
        };
        Finished { name: name.to_owned(), folder: PathBuf::new(), config, metrics, epochs: 3, seconds: Some(12.34) }
    }

    #[test]
    fn faults_of_the_arguments_are_named_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one/a", "two/a"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let flags = |runs: &[&str], zip: Option<PathBuf>| ForecastCompareFlags {
            runs: runs.iter().map(|name| path(name)).collect(),
            output: ComparisonOutput { out: path("out"), zip },
        };
        let zip = fs::canonicalize(path("one/a")).unwrap().join("zips");
        let faults = check(&flags(&["one/a", "two/a", "none"], Some(zip))).unwrap_err().to_string();
        for part in ["another run has the same name", "none: no such run folder", "contain itself"] {
            assert!(faults.contains(part), "{part} is missing in {faults}");
        }
        assert!(check(&flags(&["one/a"], None)).unwrap_err().to_string().contains("two runs or more"));
    }

    #[test]
    fn what_a_folder_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), "").unwrap();
        let error = Finished::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("lacks epochs.csv, metrics.json, predictions.parquet, manifest.json"), "{error}");
        for name in [EPOCHS, METRICS, PREDICTIONS, MANIFEST] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        let error = format!("{:#}", Finished::read(folder.path()).unwrap_err());
        assert!(error.contains("metrics.json cannot be used: missing field `data`"), "{error}");
        let mut blown = finished("a", 0.5).metrics;
        blown.epochs[2].train_loss = f64::NAN;
        fs::write(folder.path().join(METRICS), serde_json::to_string(&blown).unwrap()).unwrap();
        assert_eq!(Finished::read(folder.path()).unwrap().metrics.epochs, blown.epochs[..2]);
    }
}
