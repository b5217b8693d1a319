//! The policy: what it sees, how it normalises it, and the parameters of its two networks in one flat vector.

use std::ops::Range;

use market_env::ObsSpec;

use crate::{
    AgentError, Backend, Normalizer, PolicyConfig,
    mlp::{Linear, Mlp},
    streams::Streams,
};

/// Where the parameters of actor and critic lie in one flat vector: the actor's first, then the critic's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) actor: Mlp,
    pub(crate) critic: Mlp,
    pub(crate) inputs: usize,
    pub(crate) actions: usize,
}

impl Layout {
    pub(crate) fn new(spec: &ObsSpec, hidden: &[usize]) -> Self {
        let (inputs, actions) = (spec.inputs(), spec.actions.len());
        Self { actor: Mlp::new(inputs, hidden, actions), critic: Mlp::new(inputs, hidden, 1), inputs, actions }
    }

    /// Number of parameters `P`.
    pub(crate) fn len(&self) -> usize {
        self.actor.len() + self.critic.len()
    }

    /// Every tensor's name, shape and range in the flat vector, in order.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, Range<usize>)> {
        let shift = |range: Range<usize>, start: usize| range.start + start..range.end + start;
        let of_net = |name: &'static str, net: &Mlp, start: usize| {
            let of_layer = |(index, layer): (usize, &Linear)| {
                let weight = (vec![layer.outputs, layer.inputs], shift(layer.weight(), start));
                let bias = (vec![layer.outputs], shift(layer.bias(), start));
                [("weight", weight), ("bias", bias)]
                    .map(|(part, (shape, range))| (format!("{name}.{index}.{part}"), shape, range))
            };
            net.layers.iter().enumerate().flat_map(of_layer).collect::<Vec<_>>()
        };
        let mut tensors = of_net("actor", &self.actor, 0);
        tensors.extend(of_net("critic", &self.critic, self.actor.len()));
        tensors
    }

    /// The first parameter that is not finite: its tensor's name and the value.
    pub(crate) fn non_finite(&self, params: &[f32]) -> Option<(String, f32)> {
        let index = params.iter().position(|x| !x.is_finite())?;
        let name = self.tensors().into_iter().find(|(_, _, range)| range.contains(&index))?.0;
        Some((name, params[index]))
    }
}

/// A masked categorical policy and its critic: two separate tanh networks over one normalised observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) spec: ObsSpec,
    pub(crate) config: PolicyConfig,
    pub(crate) normalizer: Normalizer,
    pub(crate) layout: Layout,
    pub(crate) params: Vec<f32>,
}

impl Policy {
    /// Returns an untrained policy: orthogonal weights (gain √2, policy head 0.01, value head 1), biases zero.
    ///
    /// The small policy head makes the first actions nearly uniform, so that a skewed first action mix is a fault.
    ///
    /// # Errors
    /// [`AgentError::Config`] with every fault of the configuration; [`AgentError::Spec`] when the specification has no
    /// inputs, not 1 to 8 actions, or not as many features as the normaliser.
    ///
    /// # Source
    /// Huang et al. 2022, "The 37 Implementation Details of PPO", detail 2.
    pub fn new(spec: &ObsSpec, config: &PolicyConfig, normalizer: Normalizer, seed: u64) -> Result<Self, AgentError> {
        let mut policy = Self::untrained(spec, config, normalizer)?;
        let mut rng = Streams::new(seed).init();
        let (actor, critic) = policy.params.split_at_mut(policy.layout.actor.len());
        policy.layout.actor.init(0.01, &mut rng, actor);
        policy.layout.critic.init(1.0, &mut rng, critic);
        Ok(policy)
    }

    /// Returns a policy whose parameters are all zero, to be filled from a file.
    pub(crate) fn untrained(spec: &ObsSpec, config: &PolicyConfig, normalizer: Normalizer) -> Result<Self, AgentError> {
        let faults = config.check();
        if !faults.is_empty() {
            return Err(AgentError::Config(faults));
        }
        let actions = spec.actions.len();
        if !(1..=8).contains(&actions) || spec.inputs() == 0 {
            let inputs = spec.inputs();
            return Err(AgentError::Spec(format!(
                "it has {inputs} inputs and {actions} actions (1 to 8 are possible)"
            )));
        }
        let (features, moments) = (spec.features.len(), normalizer.mean.len());
        if moments != features || normalizer.scale.len() != features {
            return Err(AgentError::Spec(format!("it has {features} features, the normaliser has {moments}")));
        }
        let layout = Layout::new(spec, &config.hidden);
        let params = vec![0.0; layout.len()];
        Ok(Self { spec: spec.clone(), config: config.clone(), normalizer, layout, params })
    }

    /// Returns what the policy sees and can do.
    pub fn spec(&self) -> &ObsSpec {
        &self.spec
    }

    /// Returns the configuration of the networks.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Returns the same policy, computed by another backend: where a model was trained does not bind where it is used.
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.config.backend = backend;
        self
    }

    /// Returns the moments that observations are standardised with.
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// Returns all parameters: actor, then critic; within a layer the weights `[outputs, inputs]`, then the biases. `[P]`
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Returns the standardised copy of an environment's feature tape `[T, F]`.
    ///
    /// # Panics
    /// If the tape has another number of features.
    pub fn normalized_tape(&self, tape: &[f32]) -> Vec<f32> {
        self.normalizer.apply(tape)
    }

    /// Checks that an environment shows exactly what this policy was trained on.
    ///
    /// # Errors
    /// [`AgentError::Spec`], naming the first name or number that differs.
    pub fn check_spec(&self, env: &ObsSpec) -> Result<(), AgentError> {
        let columns = |kind: &str, ours: &[String], theirs: &[String]| {
            let index = (0..ours.len().max(theirs.len())).find(|&i| ours.get(i) != theirs.get(i))?;
            let name = |names: &[String]| names.get(index).map_or("nothing".into(), |name| format!("`{name}`"));
            Some(format!("{kind} {index} is {} in the policy and {} in the environment", name(ours), name(theirs)))
        };
        let frames = || {
            let (ours, theirs) = (self.spec.frames, env.frames);
            (ours != theirs).then(|| format!("the policy sees {ours} frames, the environment shows {theirs}"))
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
    fn tensors_cover_the_flat_vector_in_order() {
        let policy = Policy::new(&spec(), &PolicyConfig::default(), Normalizer::identity(2), 1).unwrap();
        let tensors = policy.layout.tensors();
        let names: Vec<&str> = tensors.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names[..3], ["actor.0.weight", "actor.0.bias", "actor.1.weight"]);
        assert_eq!(names.len(), 12);
        let mut end = 0;
        for (name, shape, range) in &tensors {
            assert_eq!((range.start, range.len()), (end, shape.iter().product()), "{name}");
            end = range.end;
        }
        assert_eq!(end, policy.params().len());
        let mut params = policy.params.clone();
        params[tensors[9].2.start] = f32::NAN;
        assert_eq!(policy.layout.non_finite(&params).unwrap().0, "critic.1.bias");
        assert_eq!(policy.layout.non_finite(policy.params()), None);
    }

    #[test]
    fn the_first_difference_of_two_specs_is_named() {
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
