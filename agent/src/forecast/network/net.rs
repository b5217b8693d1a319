//! The network: an encoder over the frames of a sample, and one linear layer behind it.
//!
//! All parameters lie in one flat vector, of which every tensor is a view, as the policies' do.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};
use tch::{Kind, TchError, Tensor};

use super::dropout::Dropout;
use crate::{
    Activation, PolicyKind,
    backend::torch::{Cell, Past},
    forecast::{Encoder, ForecastConfig, OutputInit},
};

/// A tensor of the flat vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) range: Range<usize>,
    start: Start,
}

/// How a tensor is filled before training.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    /// Uniform within plus and minus this.
    Uniform(f64),
    Normal(f64),
    Constant(f32),
}

/// Where every tensor lies: the encoder's first, then the heads'.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blueprint {
    pub(crate) entries: Vec<Entry>,
    /// Entries that belong to the encoder.
    encoder: usize,
}

impl Blueprint {
    /// Lays out the network of some inputs per frame and some outputs.
    pub(crate) fn new(config: &ForecastConfig, features: usize, outputs: usize) -> Self {
        let mut plan = Self { entries: Vec::new(), encoder: 0 };
        let units = config.hidden_size;
        match config.encoder {
            Encoder::Mlp => {
                let mut inputs = config.temporal_frames * features;
                for layer in 0..config.layers {
                    plan.linear(&format!("encoder.{layer}"), inputs, units, OutputInit::Default);
                    inputs = units;
                }
            }
            Encoder::Gru => {
                let mut inputs = features;
                for layer in 0..config.layers {
                    plan.gru(&format!("encoder.{layer}"), inputs, units);
                    inputs = units;
                }
            }
            Encoder::Attention => {
                plan.linear("encoder.input", features, units, OutputInit::Default);
                plan.push("encoder.position", vec![config.temporal_frames, units], Start::Normal(0.02));
                for layer in 0..config.layers {
                    plan.attention(&format!("encoder.{layer}"), units);
                }
                plan.norm("encoder.norm", units);
            }
        }
        plan.encoder = plan.entries.len();
        plan.linear("output", units, outputs, config.output_init);
        plan
    }

    fn push(&mut self, name: &str, shape: Vec<usize>, start: Start) {
        let first = self.len();
        let range = first..first + shape.iter().product::<usize>();
        self.entries.push(Entry { name: name.to_owned(), shape, range, start });
    }

    /// # Source
    /// The default of `torch.nn.Linear`: uniform within 1 / √inputs, weights and biases.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, init: OutputInit) {
        let bound = 1.0 / (inputs as f64).sqrt();
        let (weight, bias) = match init {
            OutputInit::Default => (Start::Uniform(bound), Start::Uniform(bound)),
            OutputInit::Std(std) => (Start::Normal(std), Start::Constant(0.0)),
        };
        self.push(&format!("{name}.weight"), vec![outputs, inputs], weight);
        self.push(&format!("{name}.bias"), vec![outputs], bias);
    }

    /// # Source
    /// The default of `torch.nn.GRU`: uniform within 1 / √units.
    fn gru(&mut self, name: &str, inputs: usize, units: usize) {
        let start = Start::Uniform(1.0 / (units as f64).sqrt());
        for (part, shape) in [
            ("weight_ih", vec![3 * units, inputs]),
            ("weight_hh", vec![3 * units, units]),
            ("bias_ih", vec![3 * units]),
            ("bias_hh", vec![3 * units]),
        ] {
            self.push(&format!("{name}.{part}"), shape, start);
        }
    }

    fn attention(&mut self, name: &str, units: usize) {
        self.norm(&format!("{name}.norm1"), units);
        self.linear(&format!("{name}.qkv"), units, 3 * units, OutputInit::Default);
        self.linear(&format!("{name}.mix"), units, units, OutputInit::Default);
        self.norm(&format!("{name}.norm2"), units);
        self.linear(&format!("{name}.up"), units, 2 * units, OutputInit::Default);
        self.linear(&format!("{name}.down"), 2 * units, units, OutputInit::Default);
    }

    fn norm(&mut self, name: &str, units: usize) {
        self.push(&format!("{name}.weight"), vec![units], Start::Constant(1.0));
        self.push(&format!("{name}.bias"), vec![units], Start::Constant(0.0));
    }

    /// Number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// The encoder's parameters, which lie first.
    pub(crate) fn encoder(&self) -> Range<usize> {
        0..self.entries[self.encoder - 1].range.end
    }

    /// Draws all parameters.
    pub(crate) fn init(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut params = vec![0.0; self.len()];
        for entry in &self.entries {
            let slots = params[entry.range.clone()].iter_mut();
            match entry.start {
                Start::Constant(value) => slots.for_each(|slot| *slot = value),
                Start::Uniform(bound) => {
                    let draw = Uniform::new_inclusive(-bound, bound).expect("a bound is positive and finite");
                    slots.for_each(|slot| *slot = draw.sample(rng) as f32);
                }
                Start::Normal(std) => {
                    let draw = Normal::new(0.0, std).expect("a deviation is positive and finite");
                    slots.for_each(|slot| *slot = draw.sample(rng) as f32);
                }
            }
        }
        params
    }
}

/// The network as tensors that see the flat vector change.
#[derive(Debug)]
pub(crate) struct Net {
    config: ForecastConfig,
    /// One leaf of the gradient per entry of the blueprint.
    leaves: Vec<Tensor>,
}

impl Net {
    /// Lays the tensors over the flat vector. `[P]`
    pub(crate) fn new(params: &Tensor, plan: &Blueprint, config: &ForecastConfig) -> Result<Self, TchError> {
        let leaf = |entry: &Entry| {
            let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
            let part = params.f_narrow(0, entry.range.start as i64, entry.range.len() as i64)?;
            part.f_view(shape.as_slice())?.f_detach()?.f_set_requires_grad(true)
        };
        let leaves = plan.entries.iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { config: config.clone(), leaves })
    }

    /// Returns the outputs of some samples `[B, M]` from their frames `[B, k, F]`; units are left out only in training.
    pub(crate) fn forward(&self, frames: &Tensor, dropout: &mut Dropout<'_>) -> Result<Tensor, TchError> {
        let mut parts = Parts { leaves: self.leaves.iter() };
        let features = match self.config.encoder {
            Encoder::Mlp => self.mlp(frames, &mut parts, dropout)?,
            Encoder::Gru => self.gru(frames, &mut parts, dropout)?,
            Encoder::Attention => self.attention(frames, &mut parts, dropout)?,
        };
        parts.linear(&features)
    }

    fn mlp(&self, frames: &Tensor, parts: &mut Parts<'_>, dropout: &mut Dropout<'_>) -> Result<Tensor, TchError> {
        let mut x = frames.f_flatten(1, 2)?;
        for _ in 0..self.config.layers {
            x = dropout.apply(self.activate(&parts.linear(&x)?)?)?;
        }
        Ok(x)
    }

    fn gru(&self, frames: &Tensor, parts: &mut Parts<'_>, dropout: &mut Dropout<'_>) -> Result<Tensor, TchError> {
        let size = frames.size();
        let (batch, steps, units) = (size[0], size[1], self.config.hidden_size as i64);
        let mut x = frames.f_transpose(0, 1)?.f_flatten(0, 1)?;
        for _ in 0..self.config.layers {
            let tensors = [parts.next(), parts.next(), parts.next(), parts.next()];
            let blank = Tensor::f_zeros([batch, units], (Kind::Float, frames.device()))?;
            let mut past = Past::new(&blank, units, None)?;
            x = dropout
                .apply(Cell::new(PolicyKind::Gru, tensors.map(Tensor::shallow_clone), &mut 0).unroll(&x, &mut past)?)?;
        }
        x.f_narrow(0, (steps - 1) * batch, batch)
    }

    /// # Source
    /// Vaswani et al. 2017, with the normalisation before each part (Xiong et al. 2020).
    fn attention(&self, frames: &Tensor, parts: &mut Parts<'_>, dropout: &mut Dropout<'_>) -> Result<Tensor, TchError> {
        let mut x = parts.linear(frames)?.f_add(parts.next())?;
        for _ in 0..self.config.layers {
            let mixed = self.mixed(&parts.norm(&x)?, parts)?;
            x = x.f_add(&dropout.apply(mixed)?)?;
            let up = parts.norm(&x)?;
            let up = self.activate(&parts.linear(&up)?)?;
            x = x.f_add(&dropout.apply(parts.linear(&up)?)?)?;
        }
        parts.norm(&x.f_select(1, self.config.temporal_frames as i64 - 1)?)
    }

    /// Multi-head self-attention among the frames. `[B, k, H]`
    fn mixed(&self, x: &Tensor, parts: &mut Parts<'_>) -> Result<Tensor, TchError> {
        let size = x.size();
        let heads = self.config.heads as i64;
        let split =
            parts.linear(x)?.f_view([size[0], size[1], 3, heads, size[2] / heads])?.f_permute([2, 0, 3, 1, 4])?;
        let part = |index| split.f_select(0, index);
        let none = None::<&Tensor>;
        let seen =
            Tensor::f_scaled_dot_product_attention(&part(0)?, &part(1)?, &part(2)?, none, 0.0, false, None, false)?;
        parts.linear(&seen.f_transpose(1, 2)?.f_flatten(2, 3)?)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.config.activation {
            Activation::Tanh => x.f_tanh(),
            Activation::Relu => x.f_relu(),
        }
    }

    /// Returns the gradient of a loss by all parameters. `[P]`
    pub(crate) fn gradient(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        let parts = Tensor::f_run_backward(&[loss], &self.leaves, false, false)?;
        let flat = parts.iter().map(|part| part.f_flatten(0, -1)).collect::<Result<Vec<_>, _>>()?;
        Tensor::f_cat(&flat, 0)
    }
}

/// The tensors in the order in which a forward pass needs them, which is that of the blueprint.
struct Parts<'a> {
    leaves: std::slice::Iter<'a, Tensor>,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> &'a Tensor {
        self.leaves.next().expect("a blueprint has a tensor for every part of the pass")
    }

    fn linear(&mut self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (self.next(), self.next());
        x.f_linear(weight, Some(bias))
    }

    fn norm(&mut self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (self.next(), self.next());
        x.f_layer_norm(weight.size(), Some(weight), Some(bias), 1e-5, false)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn config(encoder: Encoder) -> ForecastConfig {
        ForecastConfig {
            encoder,
            hidden_size: 8,
            layers: 2,
            heads: 2,
            temporal_frames: 4,
            activation: Activation::Tanh,
            ..ForecastConfig::default()
        }
    }

    fn net(config: &ForecastConfig) -> (Blueprint, Tensor) {
        let plan = Blueprint::new(config, 3, 5);
        let params = Tensor::from_slice(&plan.init(&mut ChaCha8Rng::seed_from_u64(1)));
        (plan, params)
    }

    #[test]
    fn every_encoder_sees_every_frame_and_has_a_gradient_by_every_parameter() {
        for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
            let config = config(encoder);
            let (plan, params) = net(&config);
            let net = Net::new(&params, &plan, &config).unwrap();
            let frames = Tensor::linspace(-1.0, 1.0, 6 * 4 * 3, (Kind::Float, tch::Device::Cpu)).view([6, 4, 3]);
            let output = net.forward(&frames, &mut Dropout::none()).unwrap();
            assert_eq!(output.size(), [6, 5]);
            for frame in 0..4 {
                let changed = frames.copy();
                let _ = changed.select(1, frame).fill_(0.7);
                let other = net.forward(&changed, &mut Dropout::none()).unwrap();
                assert!(
                    (&other - &output).abs().max().double_value(&[]) > 1e-4,
                    "{encoder:?} does not see frame {frame}"
                );
            }
            let gradient = net.gradient(&output.square().sum(Kind::Float)).unwrap();
            let gradient = Vec::<f32>::try_from(gradient).unwrap();
            assert_eq!(gradient.len(), plan.len());
            for entry in &plan.entries {
                // Keys shift all scores of a query alike, so that their bias has no effect.
                let moved = gradient[entry.range.clone()].iter().any(|g| g.abs() > 1e-9);
                assert!(moved, "{encoder:?}: {} has no gradient", entry.name);
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
            let config = config(encoder);
            let (plan, params) = net(&config);
            let net = Net::new(&params, &plan, &config).unwrap();
            let frames = Tensor::linspace(-1.0, 1.0, 2 * 4 * 3, (Kind::Float, tch::Device::Cpu)).view([2, 4, 3]);
            let loss = || net.forward(&frames, &mut Dropout::none()).unwrap().square().sum(Kind::Double);
            let gradient = Vec::<f32>::try_from(net.gradient(&loss()).unwrap()).unwrap();
            for index in (0..plan.len()).step_by(plan.len() / 40) {
                let at = |by: f64| {
                    tch::no_grad(|| {
                        let _ = params.narrow(0, index as i64, 1).g_add_scalar_(by);
                        loss().double_value(&[])
                    })
                };
                let up = at(1e-2);
                let down = at(-2e-2);
                let _ = at(1e-2);
                let numeric = (up - down) / 2e-2;
                assert!(
                    (numeric - f64::from(gradient[index])).abs() < 2e-3 + 0.02 * numeric.abs(),
                    "{encoder:?} {index}: {numeric} {}",
                    gradient[index]
                );
            }
        }
    }

    #[test]
    fn an_output_layer_starts_as_asked() {
        let config = ForecastConfig { output_init: OutputInit::Std(0.01), hidden_size: 64, ..config(Encoder::Mlp) };
        let plan = Blueprint::new(&config, 30, 50);
        let params = plan.init(&mut ChaCha8Rng::seed_from_u64(2));
        let entry = |name: &str| plan.entries.iter().find(|entry| entry.name == name).unwrap().range.clone();
        let weights = &params[entry("output.weight")];
        let std = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
        assert!((std - 0.01).abs() < 5e-4, "{std}");
        assert!(params[entry("output.bias")].iter().all(|&b| b == 0.0));
        assert_eq!(plan.encoder().end, entry("output.weight").start);
    }
}
