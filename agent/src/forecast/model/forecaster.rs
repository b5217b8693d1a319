//! Trained forecaster: inputs, targets, parameters; in memory and on disk.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::layout::ParamLayout;
use crate::{
    AgentError, Normalizer,
    forecast::{ForecastConfig, Target, TargetMoments},
    storage::{atomic_file::write_atomically, sidecar, tensor_file},
};

/// Format mark of the sidecar, and metadata key of the tensor file; the number changes with the meaning of either.
const FORMAT: &str = "ppo-agent forecaster 1";
/// Key of the metadata entry that is stamped on the tensor file too.
const STAMP: &str = "data";

/// Forecaster. `F` features, `M` targets, `P` parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster {
    pub(crate) config: ForecastConfig,
    pub(crate) features: Vec<String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) moments: TargetMoments,
    pub(crate) normalizer: Normalizer,
    pub(crate) params: Vec<f32>,
}

impl Forecaster {
    /// Returns the configuration of its network and of its training.
    pub fn config(&self) -> &ForecastConfig {
        &self.config
    }

    /// Returns the names of its input columns. `[F]`
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// Returns the targets of its outputs. `[M]`
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the moments of the targets over the training samples.
    pub fn moments(&self) -> &TargetMoments {
        &self.moments
    }

    /// Returns the moments that the tape is standardised with.
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// Returns all parameters, in the order of the tensors in its file. `[P]`
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    pub(crate) fn layout(&self) -> ParamLayout {
        ParamLayout::new(&self.config, self.features.len(), self.targets.len())
    }

    /// Returns shape and data of the tensor of this name, such as `encoder.0.weight`.
    pub(crate) fn tensor(&self, name: &str) -> Option<(Vec<usize>, &[f32])> {
        let entry = self.layout().entries.into_iter().find(|entry| entry.name == name)?;
        Some((entry.shape, &self.params[entry.range]))
    }

    /// Checks that a tape has the columns that the forecaster was trained on.
    ///
    /// # Errors
    /// [`AgentError::Spec`], naming the first column that differs.
    pub fn check_features(&self, names: &[String]) -> Result<(), AgentError> {
        let different = (0..self.features.len().max(names.len())).find(|&i| self.features.get(i) != names.get(i));
        let name = |names: &[String], i| names.get(i).map_or("nothing".to_owned(), |name: &String| format!("`{name}`"));
        different.map_or(Ok(()), |i| {
            let (ours, theirs) = (name(&self.features, i), name(names, i));
            Err(AgentError::Spec(format!("feature {i} is {ours} in the forecaster and {theirs} on the tape")))
        })
    }
}

/// Forecaster with the metadata saved beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecasterFile {
    /// The forecaster.
    pub forecaster: Forecaster,
    /// Free metadata: symbols, dates, the stamp of synthetic data.
    pub meta: serde_json::Value,
}

/// The sidecar's fields, in the order in which they are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sidecar {
    format: String,
    /// SHA-256 of the tensor file.
    weights_sha256: String,
    config: ForecastConfig,
    features: Vec<String>,
    targets: Vec<Target>,
    target_mean: Vec<f64>,
    target_std: Vec<f64>,
    meta: serde_json::Value,
}

impl ForecasterFile {
    /// Writes the tensors to `path` and the sidecar beside it with the extension `.json`. The text `data` of the
    /// metadata stamps both.
    ///
    /// # Errors
    /// [`AgentError::Io`] when a file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), AgentError> {
        let refused = |reason| AgentError::Model { path: path.to_owned(), reason };
        let Forecaster { config, features, targets, moments, normalizer, params } = &self.forecaster;
        let entries = self.forecaster.layout().entries;
        let mut tensors: Vec<tensor_file::Named<'_>> =
            entries.into_iter().map(|entry| (entry.name, entry.shape, &params[entry.range])).collect();
        tensors.push(("normalizer.mean".into(), vec![features.len()], &normalizer.mean));
        tensors.push(("normalizer.scale".into(), vec![features.len()], &normalizer.scale));
        let stamp = self.meta[STAMP].as_str().unwrap_or_default();
        let mut sidecar = Sidecar {
            format: FORMAT.into(),
            weights_sha256: String::new(),
            config: config.clone(),
            features: features.clone(),
            targets: targets.clone(),
            target_mean: moments.mean.clone(),
            target_std: moments.std.clone(),
            meta: self.meta.clone(),
        };
        let seal = sidecar::seal(stamp, &sidecar).map_err(refused)?;
        let weights = tensor_file::to_safetensors(&tensors, (FORMAT, seal)).map_err(refused)?;
        sidecar.weights_sha256 = tensor_file::sha256(&[&weights]);
        let text = serde_json::to_string_pretty(&sidecar).map_err(|error| refused(error.to_string()))?;
        write_atomically(path, &weights)?;
        write_atomically(&sidecar::path_of(path), (text + "\n").as_bytes())
    }

    /// Reads a forecaster from its tensor file `path` and the sidecar beside it.
    ///
    /// # Errors
    /// [`AgentError::Io`] when the file cannot be read; [`AgentError::Model`] when the sidecar is missing, belongs to another file or
    /// to another kind of model, or when a tensor is missing, has another shape, or is not finite.
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let weights = tensor_file::read(path)?;
        Self::parse(path, &weights).map_err(|reason| AgentError::Model { path: path.to_owned(), reason })
    }

    fn parse(path: &Path, weights: &[u8]) -> Result<Self, String> {
        let beside = sidecar::path_of(path);
        let value = sidecar::read(&beside)?;
        if value["format"] != FORMAT {
            let format = value["format"].as_str().unwrap_or("nothing");
            return Err(format!("its sidecar has the format `{format}` instead of `{FORMAT}`"));
        }
        let sidecar =
            Sidecar::deserialize(&value).map_err(|error| format!("its sidecar {}: {error}", beside.display()))?;
        sidecar::check(weights, FORMAT, &value)?;
        let faults = sidecar.config.check();
        if !faults.is_empty() {
            return Err(format!("its configuration is invalid: {}", faults.join("; ")));
        }
        let moments = [sidecar.target_mean.len(), sidecar.target_std.len()];
        if sidecar.targets.is_empty() || moments != [sidecar.targets.len(); 2] {
            return Err("the targets and the moments in its sidecar differ in number".into());
        }
        Ok(Self { forecaster: sidecar.forecaster(weights)?, meta: sidecar.meta })
    }
}

impl Sidecar {
    fn forecaster(&self, weights: &[u8]) -> Result<Forecaster, String> {
        let tensors = SafeTensors::deserialize(weights).map_err(|error| error.to_string())?;
        let features = self.features.len();
        let layout = ParamLayout::new(&self.config, features, self.targets.len());
        tensor_file::check_holds(weights, layout.len())?;
        let (mut normalizer, mut params) = (Normalizer::identity(features), vec![0.0; layout.len()]);
        tensor_file::tensor(&tensors, "normalizer.mean", &[features], &mut normalizer.mean)?;
        tensor_file::tensor(&tensors, "normalizer.scale", &[features], &mut normalizer.scale)?;
        for entry in layout.entries {
            tensor_file::tensor(&tensors, &entry.name, &entry.shape, &mut params[entry.range])?;
        }
        let moments = TargetMoments { mean: self.target_mean.clone(), std: self.target_std.clone() };
        let Self { config, features, targets, .. } = self.clone();
        Ok(Forecaster { config, features, targets, moments, normalizer, params })
    }
}

#[cfg(all(test, feature = "torch"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::forecast::failures::planted;

    #[test]
    fn a_forecaster_round_trips_bit_by_bit_and_wrong_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.safetensors");
        let file = ForecasterFile { forecaster: planted::untrained(), meta: json!({ "data": "SYNTHETIC" }) };
        file.save(&path).unwrap();
        assert_eq!(ForecasterFile::load(&path).unwrap(), file);
        let refusal = || ForecasterFile::load(&path).unwrap_err().to_string();

        let sidecar = path.with_extension("json");
        let text = std::fs::read_to_string(&sidecar).unwrap();
        std::fs::write(&sidecar, text.replace("forecaster 1", "model 1")).unwrap();
        assert!(refusal().contains("has the format `ppo-agent model 1` instead of"), "{}", refusal());
        std::fs::write(&sidecar, text.replace("\"hidden_size\": 8", "\"hidden_size\": 9")).unwrap();
        assert!(refusal().contains("its sidecar was edited"), "{}", refusal());
        std::fs::write(&sidecar, text.replace("weights_sha256\": \"", "weights_sha256\": \"0")).unwrap();
        assert!(refusal().contains("belongs to other weights"), "{}", refusal());
        std::fs::remove_file(&sidecar).unwrap();
        assert!(refusal().contains("its sidecar"), "{}", refusal());
    }

    #[test]
    fn a_tape_with_other_columns_is_refused() {
        let forecaster = planted::untrained();
        forecaster.check_features(&forecaster.features).unwrap();
        let mut names = forecaster.features.clone();
        names[1] = "rsi".into();
        let error = forecaster.check_features(&names).unwrap_err().to_string();
        assert!(error.ends_with("feature 1 is `x1` in the forecaster and `rsi` on the tape"), "{error}");
    }
}
