//! Checkpoint for a bit-exact resume, in one checksummed file.

use std::{collections::VecDeque, path::Path};

use market_env::ObsSpec;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::{
    AdamState, AgentError, Normalizer, Policy, PolicyConfig, PpoConfig,
    policy::layout::Layout,
    storage::{atomic_file::write_atomically, tensor_file},
};

/// Metadata key of the state; the number changes when its meaning does.
const KEY: &str = "ppo-agent checkpoint 1";

/// State of a training between two iterations.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(crate) policy: Policy,
    pub(crate) adam: AdamState,
    pub(crate) config: PpoConfig,
    pub(crate) progress: Progress,
    pub(crate) env_state: String,
    /// Recurrent state of the lanes; zero where the next observation begins an episode. `[N, S]`
    pub(crate) memory: Vec<f32>,
}

/// Everything except the tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    spec: ObsSpec,
    policy: PolicyConfig,
    ppo: PpoConfig,
    progress: Progress,
    adam_step: u64,
    env_state: String,
    /// Stamp of the data.
    stamp: String,
}

/// JSON text of the state, and a hash over it and all tensors that detects damage and edits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    sha256: String,
    state: String,
}

impl Checkpoint {
    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the configuration of the training.
    pub fn config(&self) -> &PpoConfig {
        &self.config
    }

    /// Returns the seed of the run.
    pub fn seed(&self) -> u64 {
        self.progress.seed
    }

    /// Returns the lane-steps taken.
    pub fn timesteps(&self) -> u64 {
        self.progress.timesteps
    }

    /// Returns the iterations completed.
    pub fn iteration(&self) -> u64 {
        self.progress.iteration
    }

    /// Returns the planned lane-steps, where schedules end; zero if unknown.
    pub fn total(&self) -> u64 {
        self.progress.total
    }

    /// Returns whether a file is marked as a checkpoint of this version; false for a file that cannot be read.
    pub fn is_marked(path: &Path) -> bool {
        let marked = |bytes: Vec<u8>| tensor_file::metadata(&bytes, KEY).is_ok_and(|envelope| envelope.is_some());
        tensor_file::read(path).is_ok_and(marked)
    }

    /// Writes the checkpoint with the stamp of its data; an older file of this name stays intact until the new one is
    /// complete.
    ///
    /// # Errors
    /// [`AgentError::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path, stamp: &str) -> Result<(), AgentError> {
        let refused = |reason| AgentError::Checkpoint { path: path.to_owned(), reason };
        let state = State {
            spec: self.policy.spec.clone(),
            policy: self.policy.config.clone(),
            ppo: self.config.clone(),
            progress: self.progress.clone(),
            adam_step: self.adam.step,
            env_state: self.env_state.clone(),
            stamp: stamp.to_owned(),
        };
        let state = serde_json::to_string(&state).map_err(|error| refused(error.to_string()))?;
        let tensors: Vec<tensor_file::Named<'_>> =
            self.tensors().into_iter().map(|(name, data)| (name.into(), vec![data.len()], data)).collect();
        let envelope = Envelope { sha256: self.digest(&state), state };
        let envelope = serde_json::to_string(&envelope).map_err(|error| refused(error.to_string()))?;
        let bytes = tensor_file::to_safetensors(&tensors, (KEY, envelope)).map_err(refused)?;
        write_atomically(path, &bytes)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`AgentError::Io`] when the file cannot be read; [`AgentError::Checkpoint`] when it is damaged, edited, or not a
    /// checkpoint of this version.
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let bytes = tensor_file::read(path)?;
        Self::parse(&bytes).map_err(|reason| AgentError::Checkpoint { path: path.to_owned(), reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let envelope = tensor_file::metadata(bytes, KEY)?.ok_or_else(|| format!("it is not marked `{KEY}`"))?;
        let Envelope { sha256, state: text } = serde_json::from_str(&envelope).map_err(|error| error.to_string())?;
        let state: State = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let layout = Layout::new(&state.spec, &state.policy);
        tensor_file::check_holds(bytes, layout.len())?;
        tensor_file::check_holds(bytes, state.ppo.n_envs.saturating_mul(layout.state()))?;
        let normalizer = Normalizer::identity(state.spec.features.len());
        let policy = Policy::untrained(&state.spec, &state.policy, normalizer).map_err(|error| error.to_string())?;
        let mut adam = AdamState::new(policy.params.len());
        adam.step = state.adam_step;
        let (config, progress, env_state) = (state.ppo, state.progress, state.env_state);
        let memory = vec![0.0; config.n_envs * policy.layout.state()];
        let mut checkpoint = Self { policy, adam, config, progress, env_state, memory };
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        for (name, data) in checkpoint.tensors_mut().into_iter().filter(|(_, data)| !data.is_empty()) {
            tensor_file::tensor(&tensors, name, &[data.len()], data)?;
        }
        if checkpoint.digest(&text) != sha256 {
            return Err("its checksum does not match; the file was damaged or edited".into());
        }
        Ok(checkpoint)
    }

    fn tensors(&self) -> [(&'static str, &[f32]); 6] {
        let normalizer = &self.policy.normalizer;
        [
            ("params", &self.policy.params),
            ("adam.m", &self.adam.m),
            ("adam.v", &self.adam.v),
            ("normalizer.mean", &normalizer.mean),
            ("normalizer.scale", &normalizer.scale),
            ("memory", &self.memory),
        ]
    }

    fn tensors_mut(&mut self) -> [(&'static str, &mut Vec<f32>); 6] {
        let normalizer = &mut self.policy.normalizer;
        [
            ("params", &mut self.policy.params),
            ("adam.m", &mut self.adam.m),
            ("adam.v", &mut self.adam.v),
            ("normalizer.mean", &mut normalizer.mean),
            ("normalizer.scale", &mut normalizer.scale),
            ("memory", &mut self.memory),
        ]
    }

    fn digest(&self, state: &str) -> String {
        let data = self.tensors().map(|(_, data)| tensor_file::bytes(data));
        let mut parts = vec![state.as_bytes()];
        parts.extend(data.iter().map(Vec::as_slice));
        tensor_file::sha256(&parts)
    }
}

/// Counters of a training; with the seed they replace any random state.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) seed: u64,
    /// Planned lane-steps, where schedules end; zero if unknown: schedules stay at their start.
    pub(crate) total: u64,
    pub(crate) timesteps: u64,
    pub(crate) iteration: u64,
    pub(crate) n_updates: u64,
    /// Reward and length of the last episodes.
    pub(crate) recent: VecDeque<(f64, u32)>,
    /// Entropy coefficient of the next update if adapted or set manually; `None` follows the schedule.
    #[serde(default)]
    pub(crate) ent_coef: Option<f64>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::games::best_row;

    #[test]
    fn a_checkpoint_round_trips_and_damage_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step_100.safetensors");
        let mut trainer = best_row::trainer(3);
        trainer.iterate(&mut ()).unwrap();
        let checkpoint = trainer.checkpoint().unwrap();
        checkpoint.save(&path, "SYNTHETIC").unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        assert!(Checkpoint::is_marked(&path) && !Checkpoint::is_marked(&folder.path().join("none")));

        let whole = fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&whole).contains("SYNTHETIC"));
        let refusal = || Checkpoint::load(&path).unwrap_err().to_string();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(refusal().starts_with("cannot use the checkpoint"), "{}", refusal());
        let mut damaged = whole.clone();
        let last = damaged.len() - 2;
        damaged[last] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(refusal().ends_with("its checksum does not match; the file was damaged or edited"), "{}", refusal());
        let foreign =
            tensor_file::to_safetensors(&[("params".into(), vec![1], &[1.0])], ("format", "pt".into())).unwrap();
        fs::write(&path, foreign).unwrap();
        assert!(!Checkpoint::is_marked(&path));
        assert!(refusal().ends_with("it is not marked `ppo-agent checkpoint 1`"), "{}", refusal());
    }
}
