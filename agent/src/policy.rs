//! Policy: observation specification, normaliser, and network parameters in one flat vector.

pub(crate) mod flops;
pub(crate) mod layout;
pub(crate) mod normalizer;

use market_env::{ObsSpec, VecEnv};

use crate::{AgentError, Backend, Normalizer, PolicyConfig, Precision, policy::layout::Layout, random::RandomStreams};

/// Masked categorical policy and its critic, over one normalised observation.
///
/// ```
/// use ppo_agent::{Policy, PolicyConfig, games::cartpole::CartPole};
///
/// let config = PolicyConfig { net_arch: vec![32, 16], ..PolicyConfig::default() };
/// let policy = Policy::for_env(&CartPole::new(1, 0), &config, 7)?;
/// assert_eq!((policy.spec().inputs(), policy.spec().actions.len()), (4, 2));
/// // Two separate networks, 4-32-16-2 and 4-32-16-1, with biases.
/// assert_eq!(policy.params().len(), (160 + 528 + 34) + (160 + 528 + 17));
/// # Ok::<(), ppo_agent::AgentError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) spec: ObsSpec,
    pub(crate) config: PolicyConfig,
    pub(crate) normalizer: Normalizer,
    pub(crate) layout: Layout,
    pub(crate) params: Vec<f32>,
}

impl Policy {
    /// Returns an untrained policy: orthogonal weights (gain √2, recurrent cell 1, policy head 0.01, value head 1), biases
    /// zero.
    ///
    /// The small policy head makes the initial policy nearly uniform, so that a skewed first action mix reveals a bug.
    ///
    /// # Errors
    /// [`AgentError::Config`] with every fault of the configuration; [`AgentError::Spec`] when the specification has no
    /// inputs, not 1 to 8 actions, or not as many features as the normaliser.
    ///
    /// # Source
    /// Huang et al. 2022, "The 37 Implementation Details of PPO", detail 2.
    pub fn new(spec: &ObsSpec, config: &PolicyConfig, normalizer: Normalizer, seed: u64) -> Result<Self, AgentError> {
        let mut policy = Self::untrained(spec, config, normalizer)?;
        policy.layout.init(&mut RandomStreams::new(seed).init(), &mut policy.params);
        Ok(policy)
    }

    /// Returns an untrained policy for an environment, with the normaliser fitted on the rows visible in its episodes.
    ///
    /// # Errors
    /// As [`Policy::new`], and [`AgentError::Tape`] for a non-finite value on the tape.
    pub fn for_env(env: &impl VecEnv, config: &PolicyConfig, seed: u64) -> Result<Self, AgentError> {
        let normalizer = Normalizer::fit(env.tape(), env.spec().features.len(), &env.visible_rows())?;
        Self::new(env.spec(), config, normalizer, seed)
    }

    /// Returns the parameters of one tensor, such as `critic.1.bias`, for manual initialisation; `None` for an unknown
    /// name.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let (_, _, range) = self.layout.tensors().into_iter().find(|(known, ..)| known == name)?;
        Some(&mut self.params[range])
    }

    /// Returns a policy with all parameters zero, to be loaded from a file.
    pub(crate) fn untrained(spec: &ObsSpec, config: &PolicyConfig, normalizer: Normalizer) -> Result<Self, AgentError> {
        let faults = config.check();
        if !faults.is_empty() {
            return Err(AgentError::Config(faults));
        }
        let actions = spec.actions.len();
        if !(1..=8).contains(&actions) || spec.inputs() == 0 {
            let inputs = spec.inputs();
            return Err(AgentError::Spec(format!(
                "it has {inputs} inputs and {actions} actions; at least 1 input and 1 to 8 actions are required"
            )));
        }
        let (features, moments) = (spec.features.len(), normalizer.mean.len());
        if moments != features || normalizer.scale.len() != features {
            return Err(AgentError::Spec(format!("it has {features} features, but the normaliser has {moments}")));
        }
        let layout = Layout::new(spec, config);
        let params = vec![0.0; layout.len()];
        Ok(Self { spec: spec.clone(), config: config.clone(), normalizer, layout, params })
    }

    /// Returns the specification of observations and actions.
    pub fn spec(&self) -> &ObsSpec {
        &self.spec
    }

    /// Returns the configuration of the networks.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Returns the policy with another backend: a model is not tied to the backend of its training.
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.config.backend = backend;
        self
    }

    /// Returns the policy with another precision of computation; its parameters stay in single precision.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.config.precision = precision;
        self
    }

    /// Returns whether the policy has recurrent cells.
    pub(crate) fn is_recurrent(&self) -> bool {
        self.layout.state() > 0
    }

    /// Returns the normaliser of the observations.
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// Returns all parameters: shared trunk, actor, critic; per layer the weights `[outputs, inputs]`, then the biases.
    /// `[P]`
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Returns the standardised copy of an environment's feature tape `[T, F]`.
    ///
    /// # Panics
    /// If the tape has another number of features.
    pub(crate) fn normalized_tape(&self, tape: &[f32]) -> Vec<f32> {
        self.normalizer.apply(tape)
    }

    /// Checks that an environment has the observations and actions of this policy.
    ///
    /// # Errors
    /// [`AgentError::Spec`] with the first difference.
    pub fn check_spec(&self, env: &ObsSpec) -> Result<(), AgentError> {
        let columns = |kind: &str, ours: &[String], theirs: &[String]| {
            let index = (0..ours.len().max(theirs.len())).find(|&i| ours.get(i) != theirs.get(i))?;
            let name = |names: &[String]| names.get(index).map_or("nothing".into(), |name| format!("`{name}`"));
            Some(format!("{kind} {index} is {} in the policy and {} in the environment", name(ours), name(theirs)))
        };
        let frames = || {
            let (ours, theirs) = (self.spec.frames, env.frames);
            (ours != theirs).then(|| format!("the policy has {ours} frames and the environment has {theirs}"))
        };
        let difference = columns("feature", &self.spec.features, &env.features)
            .or_else(|| columns("account column", &self.spec.account, &env.account))
            .or_else(|| columns("action", &self.spec.actions, &env.actions))
            .or_else(frames);
        difference.map_or(Ok(()), |difference| Err(AgentError::Spec(difference)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ObsSpec {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        ObsSpec {
            features: names(&["ret", "rsi14"]),
            frames: 3,
            account: names(&["pnl"]),
            actions: names(&["HOLD", "BUY"]),
        }
    }

    #[test]
    fn a_tensor_is_found_by_its_name() {
        let mut policy = Policy::new(&spec(), &PolicyConfig::default(), Normalizer::identity(2), 1).unwrap();
        policy.tensor_mut("critic.2.bias").unwrap()[0] = 7.0;
        assert_eq!(policy.params().last(), Some(&7.0), "the critic's head lies last");
        assert_eq!(policy.tensor_mut("actor.1.weight").unwrap().len(), 64 * 64);
        assert!(policy.tensor_mut("actor.9.bias").is_none());
    }

    #[test]
    fn the_first_difference_of_two_specs_is_reported() {
        let policy = Policy::new(&spec(), &PolicyConfig::default(), Normalizer::identity(2), 1).unwrap();
        policy.check_spec(&spec()).unwrap();
        let mut other = spec();
        other.features[1] = "rsi2".into();
        other.frames = 4;
        let error = policy.check_spec(&other).unwrap_err().to_string();
        assert!(error.ends_with("feature 1 is `rsi14` in the policy and `rsi2` in the environment"), "{error}");
        let mut other = spec();
        other.actions.push("EXIT".into());
        let error = policy.check_spec(&other).unwrap_err().to_string();
        assert!(error.ends_with("action 2 is nothing in the policy and `EXIT` in the environment"), "{error}");
    }
}
