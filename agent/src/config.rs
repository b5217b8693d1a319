//! The free choices of the policy and of PPO. One set of defaults, checked once; every fault is reported with its path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hyper-parameters of PPO, under the names of Stable-Baselines3.
///
/// The defaults are those of the human-momentum runs this project succeeds, except for eight lanes instead of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PpoConfig {
    /// Lanes: environments stepped together, 1 or more. 8 decorrelates a rollout and costs nothing on two cores.
    pub n_envs: usize,
    /// Steps per lane and iteration, 1 or more. 512 is about 1.3 sessions of 390 minutes.
    pub n_steps: usize,
    /// Samples per minibatch, 1 or more; a last smaller minibatch is used too. 64: as in the old runs.
    pub batch_size: usize,
    /// Passes over the samples of an iteration, 1 or more. 10: as in the old runs.
    pub n_epochs: usize,
    /// Step size of Adam, above 0. 3e-5: as in the old runs; larger ones forgot the setups.
    pub learning_rate: f64,
    /// Schedule of the learning rate; linear ends at zero.
    pub lr_schedule: Schedule,
    /// Discount per decision, 0 to 1. 0.92 is a horizon of about 12 minutes, the life of a momentum trade.
    pub gamma: f64,
    /// Lambda of the generalised advantage estimate, 0 to 1: its mix of bias and variance. 0.95 is the common choice.
    pub gae_lambda: f64,
    /// Clip range of the probability ratio, above 0. 0.2 is the paper's value.
    pub clip_range: f64,
    /// Clip range of a value's change, in reward units, above 0. Absent: no clipping, which was never shown to help.
    pub clip_range_vf: Option<f64>,
    /// Weight of the entropy bonus, 0 or more. 0.06 cures the collapse into HOLD; 0.02 collapses.
    pub ent_coef: f64,
    /// Schedule of the entropy weight; linear ends at `ent_coef_final`.
    pub ent_schedule: EntropySchedule,
    /// Entropy weight at the end of a linear schedule, 0 or more. 0.02 leaves room to commit once the setups are
    /// learned.
    pub ent_coef_final: f64,
    /// Normalised entropy that the schedule `auto` aims at, 0 to 1: mean of entropy / ln(legal actions) over states
    /// with a choice. 0.7 is where the runs that neither collapse nor stay blind spend their training.
    pub ent_target: f64,
    /// Smallest entropy weight of the schedule `auto`, 0 or more. Below 0.005 the bonus vanishes beside a reward of
    /// 0.1.
    pub ent_coef_min: f64,
    /// Largest entropy weight of the schedule `auto`, `ent_coef_min` or more. Above 0.2 noise pays better than any
    /// setup.
    pub ent_coef_max: f64,
    /// Largest relative change of the entropy weight of `auto` in one iteration, above 0, at most 1; reached 0.1 away
    /// from the target. 0.05 is slow enough that the policy follows the weight instead of swinging with it.
    pub ent_rate: f64,
    /// Weight of the value loss, 0 or more. 0.5: Stable-Baselines3's.
    pub vf_coef: f64,
    /// Largest norm of the whole gradient, above 0. 0.5: Stable-Baselines3's.
    pub max_grad_norm: f64,
    /// Pull of every parameter towards zero, added to its clipped gradient as in `torch.optim.Adam`, 0 or more. 0,
    /// since Adam scales gradients: even a small pull outweighs a small gradient and can freeze a training.
    pub weight_decay: f64,
    /// KL divergence, in nats, above 0; an iteration's passes stop above 1.5 times it. Absent: no limit. A GPU must
    /// then be waited for after every minibatch instead of after every pass.
    pub target_kl: Option<f64>,
    /// Standardisation of the advantages within each minibatch. True: the bonus sizes then do not set the step size.
    pub normalize_advantage: bool,
    /// Steps of the sequences that an lstm or gru learns from, 1 or more; divides `n_steps` and `batch_size`. Gradients
    /// flow back this far. 16 puts four sequences into the usual minibatch. An mlp ignores it.
    pub sequence_length: usize,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            n_envs: 8,
            n_steps: 512,
            batch_size: 64,
            n_epochs: 10,
            learning_rate: 3e-5,
            lr_schedule: Schedule::Constant,
            gamma: 0.92,
            gae_lambda: 0.95,
            clip_range: 0.2,
            clip_range_vf: None,
            ent_coef: 0.06,
            ent_schedule: EntropySchedule::Constant,
            ent_coef_final: 0.02,
            ent_target: 0.7,
            ent_coef_min: 0.005,
            ent_coef_max: 0.2,
            ent_rate: 0.05,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            weight_decay: 0.0,
            target_kl: None,
            normalize_advantage: true,
            sequence_length: 16,
        }
    }
}

impl PpoConfig {
    /// Returns the samples of one rollout: `T · N`.
    pub fn rollout_size(&self) -> usize {
        self.n_steps.saturating_mul(self.n_envs)
    }

    /// Returns the bytes of the rollout buffer and of the orders of its samples, for lanes with `columns` columns of their own.
    pub fn rollout_bytes(&self, columns: usize) -> u64 {
        // Row, log-probability, value, reward, last value, advantage, target and two orders of 4 bytes; five of one byte.
        let sample = 4 * (columns as u64 + 9) + 5;
        (self.rollout_size() as u64).saturating_mul(sample)
    }

    /// Returns every fault, each with its path; empty when the configuration can be used.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value) in [
            ("n_envs", self.n_envs),
            ("n_steps", self.n_steps),
            ("batch_size", self.batch_size),
            ("n_epochs", self.n_epochs),
            ("sequence_length", self.sequence_length),
        ] {
            if value == 0 {
                faults.push(format!("ppo.{name}: must be 1 or more"));
            }
        }
        if self.rollout_size() > u32::MAX as usize {
            faults.push(format!("ppo.n_steps: a rollout of {} samples is too large", self.rollout_size()));
        } else if self.batch_size > self.rollout_size() {
            let size = self.rollout_size();
            faults.push(format!("ppo.batch_size: {} is more than the {size} samples of a rollout", self.batch_size));
        }
        let positive = [
            ("learning_rate", Some(self.learning_rate)),
            ("clip_range", Some(self.clip_range)),
            ("clip_range_vf", self.clip_range_vf),
            ("max_grad_norm", Some(self.max_grad_norm)),
            ("target_kl", self.target_kl),
        ];
        faults.extend(positive.into_iter().filter_map(|(name, value)| above_zero(name, value?)));
        let unit = [
            ("gamma", self.gamma),
            ("gae_lambda", self.gae_lambda),
            ("ent_target", self.ent_target),
            ("ent_rate", self.ent_rate),
        ];
        faults.extend(unit.into_iter().filter_map(|(name, value)| within_unit(name, value)));
        let weights = [
            ("ent_coef", self.ent_coef),
            ("ent_coef_final", self.ent_coef_final),
            ("ent_coef_min", self.ent_coef_min),
            ("vf_coef", self.vf_coef),
            ("weight_decay", self.weight_decay),
        ];
        faults.extend(weights.into_iter().filter_map(|(name, value)| zero_or_more(name, value)));
        if !(self.ent_coef_max >= self.ent_coef_min && self.ent_coef_max.is_finite()) {
            let (most, least) = (self.ent_coef_max, self.ent_coef_min);
            faults.push(format!("ppo.ent_coef_max: {most} is less than ppo.ent_coef_min {least}"));
        }
        faults
    }

    /// Returns the entropy weight of `auto` after an update with `ent_coef` whose unforced states had this normalised entropy.
    ///
    /// # Source
    /// The target-entropy rule of soft actor-critic (Haarnoja et al. 2018) on a logarithmic scale, with a bounded step.
    pub fn adapted_ent_coef(&self, ent_coef: f64, entropy_norm: f64) -> f64 {
        let error = ((self.ent_target - entropy_norm) / 0.1).clamp(-1.0, 1.0);
        let moved = ent_coef.max(self.ent_coef_min) * (self.ent_rate * error).exp();
        moved.clamp(self.ent_coef_min, self.ent_coef_max)
    }

    /// Returns the faults that only matter to a recurrent policy, which learns from whole sequences.
    pub fn check_sequences(&self) -> Vec<String> {
        let length = self.sequence_length.max(1);
        let whole = [("n_steps", self.n_steps), ("batch_size", self.batch_size)];
        let torn = whole.into_iter().filter(|(_, count)| !count.is_multiple_of(length));
        torn.map(|(name, count)| format!("ppo.sequence_length: {length} does not divide ppo.{name} {count}")).collect()
    }
}

fn above_zero(name: &str, value: f64) -> Option<String> {
    (!(value > 0.0 && value.is_finite())).then(|| format!("ppo.{name}: {value} is not above 0"))
}

fn within_unit(name: &str, value: f64) -> Option<String> {
    (!(0.0..=1.0).contains(&value)).then(|| format!("ppo.{name}: {value} does not lie between 0 and 1"))
}

fn zero_or_more(name: &str, value: f64) -> Option<String> {
    (!(value >= 0.0 && value.is_finite())).then(|| format!("ppo.{name}: {value} is not 0 or more"))
}

/// What a policy remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// No memory beyond the frames of the observation.
    #[default]
    Mlp,
    /// A long short-term memory cell before the hidden layers.
    Lstm,
    /// A gated recurrent unit before the hidden layers.
    Gru,
}

/// What follows every hidden layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// The hyperbolic tangent, PPO's usual choice.
    #[default]
    Tanh,
    /// The rectifier, `max(x, 0)`.
    Relu,
}

/// Whether actor and critic share what comes before their last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trunk {
    /// Two networks; the critic's large errors cannot disturb the actor.
    #[default]
    Separate,
    /// One network with two heads.
    Shared,
}

/// What the matrix products of linear layers are computed in. Parameters, recurrent cells, losses and optimiser are always in
/// single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision, 24 bits.
    #[default]
    F32,
    /// Brain float: the range of f32 with 8 bits.
    Bf16,
}

/// The shape of the networks and what computes them, under the names of Stable-Baselines3 where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Memory of the policy. The default has none: the frames and the account row hold what the features need.
    pub kind: PolicyKind,
    /// Units of each hidden layer, 1 to 4096, the same for actor and critic. 64-64: Stable-Baselines3's.
    #[serde(alias = "hidden")]
    pub net_arch: Vec<usize>,
    /// Activation after every hidden layer. tanh is bounded, so an outlier cannot blow a policy up.
    pub activation: Activation,
    /// Hidden layers of actor and critic. The default is that of Stable-Baselines3.
    pub trunk: Trunk,
    /// Units of the cell of an lstm or gru, 1 to 4096, before the hidden layers. 64: as many as a hidden layer has.
    pub recurrent_size: usize,
    /// Code that computes the networks.
    pub backend: Backend,
    /// Number format of the matrix products in training. f32 is exact; bf16 pays on a GPU with wide networks.
    /// libtorch's own third way is TF32, with `TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1` in the environment.
    pub precision: Precision,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            kind: PolicyKind::Mlp,
            net_arch: vec![64, 64],
            activation: Activation::Tanh,
            trunk: Trunk::Separate,
            recurrent_size: 64,
            backend: Backend::Auto,
            precision: Precision::F32,
        }
    }
}

impl PolicyConfig {
    /// Returns every fault, each with its path; empty when the configuration can be used.
    pub fn check(&self) -> Vec<String> {
        let wrong = |units: usize| units == 0 || units > 4096;
        let layers = self.net_arch.iter().filter(|&&units| wrong(units));
        let mut faults: Vec<String> =
            layers.map(|units| format!("policy.net_arch: {units} does not lie between 1 and 4096")).collect();
        if wrong(self.recurrent_size) {
            faults.push(format!("policy.recurrent_size: {} does not lie between 1 and 4096", self.recurrent_size));
        }
        if self.precision != Precision::F32 && self.backend == Backend::Native {
            faults
                .push("policy.precision: the native code computes in f32 only; say f32, or backend auto or tch".into());
        }
        faults
    }
}

/// Implementation that computes the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// libtorch on a GPU and for bf16; else the native code, several times faster on a CPU.
    #[default]
    Auto,
    /// Hand-written passes on the CPU; the same bits for any number of threads.
    Native,
    /// libtorch, on the CPU or a GPU.
    Tch,
}

/// Course of a coefficient over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays at its first value.
    #[default]
    Constant,
    /// Moves in a straight line to its last value.
    Linear,
}

impl Schedule {
    /// Returns the coefficient at `progress`, the share of all timesteps that lies behind (0 to 1).
    pub fn at(self, first: f64, last: f64, progress: f64) -> f64 {
        match self {
            Self::Constant => first,
            Self::Linear => first + (last - first) * progress.clamp(0.0, 1.0),
        }
    }
}

/// Course of the entropy weight over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntropySchedule {
    /// Stays at its first value.
    #[default]
    Constant,
    /// Moves in a straight line to its last value.
    Linear,
    /// Follows the policy's entropy. The weight grows while the normalised entropy lies below its target and shrinks
    /// while it lies above, slowly and within bounds.
    Auto,
}

impl EntropySchedule {
    /// Returns the weight at `progress`, the share of all timesteps that lies behind; the first one where it adapts.
    pub fn at(self, first: f64, last: f64, progress: f64) -> f64 {
        match self {
            Self::Constant | Self::Auto => first,
            Self::Linear => Schedule::Linear.at(first, last, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_with_its_path() {
        assert_eq!(PpoConfig::default().check(), Vec::<String>::new());
        let config = PpoConfig {
            n_epochs: 0,
            batch_size: 5000,
            gamma: 1.5,
            learning_rate: f64::NAN,
            target_kl: Some(0.0),
            vf_coef: -1.0,
            ..PpoConfig::default()
        };
        let faults = config.check().join("\n");
        let expected = [
            "ppo.n_epochs: must be 1 or more",
            "ppo.batch_size: 5000 is more than the 4096 samples of a rollout",
            "ppo.learning_rate: NaN is not above 0",
            "ppo.target_kl: 0 is not above 0",
            "ppo.gamma: 1.5 does not lie between 0 and 1",
            "ppo.vf_coef: -1 is not 0 or more",
        ];
        assert_eq!(faults, expected.join("\n"));
        let policy = PolicyConfig {
            net_arch: vec![64, 0],
            kind: PolicyKind::Gru,
            recurrent_size: 5000,
            backend: Backend::Native,
            precision: Precision::Bf16,
            ..PolicyConfig::default()
        };
        let expected = [
            "policy.net_arch: 0 does not lie between 1 and 4096",
            "policy.recurrent_size: 5000 does not lie between 1 and 4096",
            "policy.precision: the native code computes in f32 only; say f32, or backend auto or tch",
        ];
        assert_eq!(policy.check(), expected);
    }

    #[test]
    fn the_entropy_weight_follows_the_target_slowly_and_within_bounds() {
        let config = PpoConfig::default();
        let (up, down) = (config.adapted_ent_coef(0.06, 0.1), config.adapted_ent_coef(0.06, 0.99));
        assert!((up / 0.06 - 0.05f64.exp()).abs() < 1e-12 && (down / 0.06 - (-0.05f64).exp()).abs() < 1e-12);
        assert_eq!(config.adapted_ent_coef(0.06, config.ent_target), 0.06);
        assert_eq!((config.adapted_ent_coef(0.2, 0.0), config.adapted_ent_coef(0.005, 1.0)), (0.2, 0.005));
        assert!(config.adapted_ent_coef(0.0, 0.5) > 0.0, "a weight of zero could never grow");
    }

    #[test]
    fn sequences_must_fill_rollout_and_minibatch() {
        assert_eq!(PpoConfig::default().check_sequences(), Vec::<String>::new());
        let config = PpoConfig { sequence_length: 48, ..PpoConfig::default() };
        let expected = [
            "ppo.sequence_length: 48 does not divide ppo.n_steps 512",
            "ppo.sequence_length: 48 does not divide ppo.batch_size 64",
        ];
        assert_eq!(config.check_sequences(), expected);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<PpoConfig>(r#"{"ent_coeff": 0.1}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `ent_coeff`"), "{error}");
    }

    #[test]
    fn a_line_joins_both_ends_and_stops_there() {
        assert_eq!(Schedule::Constant.at(3e-5, 0.0, 0.7), 3e-5);
        assert_eq!([0.0, 0.25, 1.0, 1.5].map(|p| Schedule::Linear.at(0.08, 0.04, p)), [0.08, 0.07, 0.04, 0.04]);
    }
}
