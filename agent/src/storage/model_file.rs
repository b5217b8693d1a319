//! Model files: `<name>.safetensors` with the named tensors, and the sidecar `<name>.json` with their meaning.

use std::path::Path;

use market_env::ObsSpec;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::{
    AgentError, Normalizer, Policy, PolicyConfig,
    policy::layout::Layout,
    storage::{atomic_file::write_atomically, sidecar, tensor_file},
};

/// Format mark of the sidecar, and metadata key of the tensor file; the number changes with the meaning of either.
const FORMAT: &str = "ppo-agent model 1";
/// Key of the metadata entry that is stamped on the tensor file too.
const STAMP: &str = "data";

/// Trained policy with the metadata saved beside it.
///
/// ```
/// use ppo_agent::{ModelFile, Policy, PolicyConfig, games::cartpole::CartPole};
/// use serde_json::json;
///
/// let policy = Policy::for_env(&CartPole::new(1, 0), &PolicyConfig::default(), 7)?;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("untrained.safetensors");
/// ModelFile { policy, meta: json!({ "note": "never trained" }) }.save(&path)?;
///
/// let loaded = ModelFile::load(&path)?;
/// assert_eq!(loaded.meta["note"], "never trained");
/// assert_eq!(loaded.policy.spec().actions, ["LEFT", "RIGHT"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// The policy.
    pub policy: Policy,
    /// Free metadata: symbols, dates, configuration, the stamp of synthetic data.
    pub meta: serde_json::Value,
}

/// The sidecar's fields, in the order in which they are written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sidecar {
    format: String,
    /// SHA-256 of the specification's JSON; models with the same hash have the same inputs and actions.
    schema_sha256: String,
    /// SHA-256 of the tensor file.
    weights_sha256: String,
    policy: PolicyConfig,
    spec: ObsSpec,
    meta: serde_json::Value,
}

impl ModelFile {
    /// Writes the tensors to `path` and the sidecar beside it with the extension `.json`. The text `data` of the
    /// metadata stamps both, and each holds a hash of the other.
    ///
    /// # Errors
    /// [`AgentError::Io`] when a file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), AgentError> {
        let refused = |reason| AgentError::Model { path: path.to_owned(), reason };
        let Policy { spec, config, normalizer, layout, params } = &self.policy;
        let features = vec![spec.features.len()];
        let mut tensors: Vec<tensor_file::Named<'_>> =
            layout.tensors().into_iter().map(|(name, shape, range)| (name, shape, &params[range])).collect();
        tensors.push(("normalizer.mean".into(), features.clone(), &normalizer.mean));
        tensors.push(("normalizer.scale".into(), features, &normalizer.scale));
        let stamp = self.meta[STAMP].as_str().unwrap_or_default();
        let mut sidecar = Sidecar {
            format: FORMAT.into(),
            schema_sha256: schema_sha256(spec),
            weights_sha256: String::new(),
            policy: config.clone(),
            spec: spec.clone(),
            meta: self.meta.clone(),
        };
        let seal = sidecar::seal(stamp, &sidecar).map_err(refused)?;
        let weights = tensor_file::to_safetensors(&tensors, (FORMAT, seal)).map_err(refused)?;
        sidecar.weights_sha256 = tensor_file::sha256(&[&weights]);
        let mut text = serde_json::to_string_pretty(&sidecar).map_err(|error| refused(error.to_string()))?;
        text.push('\n');
        write_atomically(path, &weights)?;
        write_atomically(&sidecar::path_of(path), text.as_bytes())
    }

    /// Reads a model from its tensor file `path` and the sidecar beside it.
    ///
    /// # Errors
    /// [`AgentError::Io`] when the file cannot be read; [`AgentError::Model`] when the sidecar is missing, belongs to
    /// another file or was edited, or when a tensor is missing, has another shape, or is not finite.
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let weights = tensor_file::read(path)?;
        Self::parse(path, &weights).map_err(|reason| AgentError::Model { path: path.to_owned(), reason })
    }

    fn parse(path: &Path, weights: &[u8]) -> Result<Self, String> {
        let value = sidecar::read(&sidecar::path_of(path))?;
        let sidecar = parse_sidecar(path, &value)?;
        sidecar::check(weights, FORMAT, &value)?;
        let tensors = SafeTensors::deserialize(weights).map_err(|error| error.to_string())?;
        let features = sidecar.spec.features.len();
        let mut normalizer = Normalizer::identity(features);
        tensor_file::tensor(&tensors, "normalizer.mean", &[features], &mut normalizer.mean)?;
        tensor_file::tensor(&tensors, "normalizer.scale", &[features], &mut normalizer.scale)?;
        if let Some(column) = normalizer.scale.iter().position(|&scale| scale <= 0.0) {
            return Err(format!("the scale of feature `{}` is not above zero", sidecar.spec.features[column]));
        }
        tensor_file::check_holds(weights, Layout::new(&sidecar.spec, &sidecar.policy).len())?;
        let mut policy = Policy::untrained(&sidecar.spec, &sidecar.policy, normalizer).map_err(|e| e.to_string())?;
        for (name, shape, range) in policy.layout.tensors() {
            tensor_file::tensor(&tensors, &name, &shape, &mut policy.params[range])?;
        }
        Ok(Self { policy, meta: sidecar.meta })
    }
}

/// Reads the fields of the sidecar of a tensor file.
fn parse_sidecar(path: &Path, value: &serde_json::Value) -> Result<Sidecar, String> {
    // Check the format first: another format has other fields.
    if let Some(format) = value["format"].as_str().filter(|format| *format != FORMAT) {
        return Err(format!("its sidecar has the format `{format}` instead of `{FORMAT}`"));
    }
    let broken = |error| format!("its sidecar {}: {error}", sidecar::path_of(path).display());
    let sidecar: Sidecar = Sidecar::deserialize(value).map_err(broken)?;
    let schema = schema_sha256(&sidecar.spec);
    if sidecar.schema_sha256 != schema {
        return Err(format!("the columns in its sidecar were edited: their hash is {schema}"));
    }
    Ok(sidecar)
}

/// Returns the hash of a specification; equal hashes mean equal inputs and actions.
pub(crate) fn schema_sha256(spec: &ObsSpec) -> String {
    let json = serde_json::to_vec(spec).expect("names and numbers are always JSON");
    tensor_file::sha256(&[&json])
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use serde_json::json;

    use super::*;
    use crate::games::best_row;

    fn saved(folder: &Path) -> (ModelFile, PathBuf) {
        let meta = json!({ "symbols": ["SPY"], "data": "SYNTHETIC" });
        let model = ModelFile { policy: best_row::policy(5), meta };
        let path = folder.join("tune1.5.safetensors");
        model.save(&path).unwrap();
        (model, path)
    }

    fn refusal(path: &Path) -> String {
        ModelFile::load(path).unwrap_err().to_string()
    }

    #[test]
    fn a_model_round_trips_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (model, path) = saved(folder.path());
        assert_eq!(ModelFile::load(&path).unwrap(), model);
        assert!(String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("SYNTHETIC"), "both files are stamped");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn every_wrong_file_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let (model, path) = saved(folder.path());
        let sidecar = path.with_extension("json");
        let (weights, text) = (fs::read(&path).unwrap(), fs::read_to_string(&sidecar).unwrap());

        fs::write(&path, &weights[..weights.len() - 4]).unwrap();
        assert!(refusal(&path).contains("cannot use the model"), "{}", refusal(&path));
        fs::write(&path, b"PK\x03\x04 a zip of Stable-Baselines3").unwrap();
        refusal(&path);
        let foreign = tensor_file::to_safetensors(&[("w".into(), vec![1], &[1.0])], ("format", "pt".into())).unwrap();
        fs::write(&path, foreign).unwrap();
        assert!(refusal(&path).contains("not marked `ppo-agent model 1`"));

        let mut other = model.clone();
        other.policy.params[0] += 1.0;
        let other_path = folder.path().join("other.safetensors");
        other.save(&other_path).unwrap();
        fs::copy(&other_path, &path).unwrap();
        assert!(refusal(&path).contains("belongs to other weights"));

        fs::write(&path, &weights).unwrap();
        fs::write(&sidecar, text.replace("phase", "phases")).unwrap();
        assert!(refusal(&path).contains("columns in its sidecar were edited"), "{}", refusal(&path));
        fs::write(&sidecar, text.replace("model 1", "model 9")).unwrap();
        assert!(refusal(&path).contains("has the format `ppo-agent model 9`"));
        fs::remove_file(&sidecar).unwrap();
        assert!(refusal(&path).contains("its sidecar"));
    }

    #[test]
    fn an_edited_sidecar_is_refused_and_one_of_before_the_seal_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (model, path) = saved(folder.path());
        let sidecar = path.with_extension("json");
        let text = fs::read_to_string(&sidecar).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        fs::write(&sidecar, value.to_string()).unwrap();
        assert_eq!(ModelFile::load(&path).unwrap(), model, "blanks and the order of keys do not count");
        for (pointer, edit) in [
            ("/meta/symbols/0", json!("QQQ")),
            ("/meta/data", json!("market")),
            ("/meta", json!({ "symbols": ["SPY"], "data": "SYNTHETIC", "more": 1 })),
            ("/policy/backend", json!("tch")),
        ] {
            let mut edited = value.clone();
            *edited.pointer_mut(pointer).unwrap() = edit;
            fs::write(&sidecar, edited.to_string()).unwrap();
            assert!(refusal(&path).contains("its sidecar was edited"), "{pointer}: {}", refusal(&path));
        }
        assert!(sidecar::is_sealed(&path).unwrap());

        let bytes = fs::read(&path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.iter().map(|(name, view)| {
            let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            (name.to_owned(), view.shape().to_vec(), numbers.collect::<Vec<f32>>())
        });
        let data: Vec<_> = data.collect();
        let named: Vec<_> = data.iter().map(|(name, shape, data)| (name.clone(), shape.clone(), &data[..])).collect();
        let older = tensor_file::to_safetensors(&named, (FORMAT, "SYNTHETIC".to_owned())).unwrap();
        fs::write(&path, &older).unwrap();
        value["weights_sha256"] = json!(tensor_file::sha256(&[&older]));
        fs::write(&sidecar, value.to_string()).unwrap();
        assert_eq!(ModelFile::load(&path).unwrap(), model);
        assert!(!sidecar::is_sealed(&path).unwrap());

        value["policy"]["net_arch"] = json!(vec![4096; 1000]);
        fs::write(&sidecar, value.to_string()).unwrap();
        assert!(refusal(&path).contains("its networks need"), "{}", refusal(&path));
    }

    #[test]
    fn broken_tensors_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut policy = best_row::policy(5);
        policy.params[3] = f32::NAN;
        ModelFile { policy, meta: json!(null) }.save(&path).unwrap();
        assert!(refusal(&path).ends_with("tensor actor.0.weight holds NaN at position 3"), "{}", refusal(&path));

        let mut policy = best_row::policy(5);
        policy.config.net_arch = vec![9];
        ModelFile { policy, meta: json!(null) }.save(&path).unwrap();
        assert!(refusal(&path).contains("tensor actor.0.weight is [8, "), "{}", refusal(&path));

        let mut policy = best_row::policy(5);
        policy.normalizer.scale[1] = 0.0;
        ModelFile { policy, meta: json!(null) }.save(&path).unwrap();
        assert!(refusal(&path).contains("is not above zero"), "{}", refusal(&path));
    }
}
