//! Transfer of a forecaster's encoder into the first layers of a policy.

use crate::{
    AgentError, Policy, PolicyKind, Trunk,
    forecast::{Encoder, Forecaster},
};

impl Policy {
    /// Copies the encoder layers into the actor, or into the shared trunk, and returns their number. The units then
    /// return the encoder's outputs for every bar (except where a value is clipped); weights of columns outside the
    /// forecaster stay unchanged.
    ///
    /// # Errors
    /// [`AgentError::Spec`] with the difference, when the first layers of the two networks differ.
    pub fn adopt_encoder(&mut self, forecaster: &Forecaster) -> Result<usize, AgentError> {
        let refused = |why: String| {
            Err(AgentError::Spec(format!("the forecaster's encoder does not fit its first layers: {why}")))
        };
        let (ours, theirs) = (&self.config, &forecaster.config);
        if ours.kind != PolicyKind::Mlp || theirs.encoder != Encoder::Mlp {
            return refused("both must be `mlp` (policy.kind, forecast.encoder)".to_owned());
        }
        if ours.activation != theirs.activation {
            let (ours, theirs) = (ours.activation, theirs.activation);
            return refused(format!(
                "the policy's activation is {ours:?} (policy.activation), the encoder's {theirs:?} (forecast.activation)"
            ));
        }
        if self.spec.frames != theirs.temporal_frames {
            let (ours, theirs) = (self.spec.frames, theirs.temporal_frames);
            return refused(format!(
                "the policy has {ours} frame(s) (market.frames), the forecaster {theirs} (forecast.temporal_frames)"
            ));
        }
        if !self.spec.features.starts_with(&forecaster.features) {
            return refused("the tape of the policy does not begin with the features of the forecaster".to_owned());
        }
        let units = vec![theirs.hidden_size; theirs.layers];
        if !ours.net_arch.starts_with(&units) {
            return refused(format!("the policy's hidden layers are {:?}, the encoder's {units:?}", ours.net_arch));
        }
        let net = if ours.trunk == Trunk::Shared { "trunk" } else { "actor" };
        self.adopt_first(forecaster, net);
        for layer in 1..theirs.layers {
            for part in ["weight", "bias"] {
                let name = |net: &str| format!("{net}.{layer}.{part}");
                let (_, source) = forecaster.tensor(&name("encoder")).expect("an encoder has all its layers");
                self.tensor_mut(&name(net)).expect("the layers were compared").copy_from_slice(source);
            }
        }
        Ok(theirs.layers)
    }

    /// Copies the first layer. The policy standardises its inputs differently, so `w · (x - m) / s` is rewritten in
    /// terms of its own moments.
    fn adopt_first(&mut self, forecaster: &Forecaster, net: &str) {
        let (_, weight) = forecaster.tensor("encoder.0.weight").expect("an encoder has a first layer");
        let (_, bias) = forecaster.tensor("encoder.0.bias").expect("an encoder has a first layer");
        let (theirs, ours) = (&forecaster.normalizer, self.normalizer.clone());
        let (features, frames) = (forecaster.features.len(), self.spec.frames);
        let (wide, inputs) = (self.spec.features.len(), self.spec.inputs());
        let mut bias = bias.to_vec();
        let name = format!("{net}.0.weight");
        let target = self.tensor_mut(&name).expect("the layers were compared");
        for (unit, source) in weight.chunks_exact(frames * features).enumerate() {
            for frame in 0..frames {
                for feature in 0..features {
                    let w = source[frame * features + feature] / theirs.scale[feature];
                    target[unit * inputs + frame * wide + feature] = w * ours.scale[feature];
                    bias[unit] += w * (ours.mean[feature] - theirs.mean[feature]);
                }
            }
        }
        self.tensor_mut(&format!("{net}.0.bias")).expect("the layers were compared").copy_from_slice(&bias);
    }
}

#[cfg(all(test, feature = "torch"))]
mod tests {
    use market_env::ObsSpec;

    use super::*;
    use crate::{Normalizer, PolicyConfig, forecast::failures::planted};

    fn policy(forecaster: &Forecaster) -> Policy {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let spec = ObsSpec {
            features: [forecaster.features.clone(), names(&["forecast"])].concat(),
            frames: 2,
            account: names(&["held"]),
            actions: names(&["HOLD", "BUY"]),
        };
        let config = PolicyConfig { net_arch: vec![8, 8, 4], ..PolicyConfig::default() };
        let columns = spec.features.len();
        let normalizer = Normalizer {
            mean: (0..columns).map(|i| 0.1 * i as f32).collect(),
            scale: (0..columns).map(|i| 0.5 + 0.2 * i as f32).collect(),
        };
        Policy::new(&spec, &config, normalizer, 3).unwrap()
    }

    #[test]
    fn units_return_the_same_outputs_under_other_moments() {
        let forecaster = planted::untrained();
        let mut policy = policy(&forecaster);
        assert_eq!(policy.adopt_encoder(&forecaster).unwrap(), 2);
        let raw: Vec<f32> = (0..2 * 8).map(|i| (i as f32 * 0.7).sin()).collect();
        let (_, weight) = forecaster.tensor("encoder.0.weight").unwrap();
        let (_, bias) = forecaster.tensor("encoder.0.bias").unwrap();
        let theirs = &forecaster.normalizer;
        let ours = policy.normalizer.clone();
        let inputs = policy.spec.inputs();
        let own_weight = policy.tensor_mut("actor.0.weight").unwrap().to_vec();
        let own_bias = policy.tensor_mut("actor.0.bias").unwrap().to_vec();
        for unit in 0..8 {
            let of = |i: usize| (i / 8, i % 8);
            let expected: f32 =
                (0..16).map(|i| weight[unit * 16 + i] * (raw[i] - theirs.mean[i % 8]) / theirs.scale[i % 8]).sum();
            let found: f32 = (0..16)
                .map(|i| {
                    let (frame, feature) = of(i);
                    own_weight[unit * inputs + frame * 9 + feature] * (raw[i] - ours.mean[feature])
                        / ours.scale[feature]
                })
                .sum();
            assert!((expected + bias[unit] - found - own_bias[unit]).abs() < 1e-5, "unit {unit}");
        }
        let (_, second) = forecaster.tensor("encoder.1.weight").unwrap();
        assert_eq!(policy.tensor_mut("actor.1.weight").unwrap(), second);
    }

    #[test]
    fn different_networks_are_refused_with_the_difference() {
        let forecaster = planted::untrained();
        let refusal = |change: &dyn Fn(&mut Policy)| {
            let mut policy = policy(&forecaster);
            change(&mut policy);
            policy.adopt_encoder(&forecaster).unwrap_err().to_string()
        };
        assert!(refusal(&|p| p.spec.frames = 1).contains("has 1 frame(s)"));
        assert!(refusal(&|p| p.config.net_arch = vec![8]).contains("[8], the encoder's [8, 8]"));
        assert!(refusal(&|p| p.spec.features[0] = "y".into()).contains("does not begin with the features"));
        assert!(refusal(&|p| p.config.kind = PolicyKind::Gru).contains("mlp"));
    }
}
