//! Layout of a forecaster's parameters: names, shapes and initial values of the tensors in one flat vector.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

use crate::forecast::{Encoder, ForecastConfig, OutputInit};

/// Name, shape and position of a tensor in the flat vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) range: Range<usize>,
    init: Init,
}

/// Initialisation of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Init {
    /// Uniform between minus and plus the bound.
    Uniform(f64),
    Normal(f64),
    Constant(f32),
}

/// Layout of the flat parameter vector: the encoder, then the output layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParamLayout {
    pub(crate) entries: Vec<Entry>,
    /// Number of encoder entries.
    encoder: usize,
}

impl ParamLayout {
    /// Returns the layout for `features` inputs per frame and `outputs` outputs.
    pub(crate) fn new(config: &ForecastConfig, features: usize, outputs: usize) -> Self {
        let mut layout = Self { entries: Vec::new(), encoder: 0 };
        let units = config.hidden_size;
        match config.encoder {
            Encoder::Mlp => {
                let mut inputs = config.temporal_frames * features;
                for layer in 0..config.layers {
                    layout.linear(&format!("encoder.{layer}"), inputs, units, OutputInit::Default);
                    inputs = units;
                }
            }
            Encoder::Gru => {
                let mut inputs = features;
                for layer in 0..config.layers {
                    layout.gru(&format!("encoder.{layer}"), inputs, units);
                    inputs = units;
                }
            }
            Encoder::Attention => {
                layout.linear("encoder.input", features, units, OutputInit::Default);
                layout.push("encoder.position", vec![config.temporal_frames, units], Init::Normal(0.02));
                for layer in 0..config.layers {
                    layout.attention(&format!("encoder.{layer}"), units);
                }
                layout.norm("encoder.norm", units);
            }
        }
        layout.encoder = layout.entries.len();
        layout.linear("output", units, outputs, config.output_init);
        layout
    }

    fn push(&mut self, name: &str, shape: Vec<usize>, init: Init) {
        let first = self.len();
        let range = first..first + shape.iter().product::<usize>();
        self.entries.push(Entry { name: name.to_owned(), shape, range, init });
    }

    /// # Source
    /// The default of `torch.nn.Linear`: uniform within 1 / √inputs, weights and biases.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, init: OutputInit) {
        let bound = 1.0 / (inputs as f64).sqrt();
        let (weight, bias) = match init {
            OutputInit::Default => (Init::Uniform(bound), Init::Uniform(bound)),
            OutputInit::Std(std) => (Init::Normal(std), Init::Constant(0.0)),
        };
        self.push(&format!("{name}.weight"), vec![outputs, inputs], weight);
        self.push(&format!("{name}.bias"), vec![outputs], bias);
    }

    /// # Source
    /// The default of `torch.nn.GRU`: uniform within 1 / √units.
    fn gru(&mut self, name: &str, inputs: usize, units: usize) {
        let init = Init::Uniform(1.0 / (units as f64).sqrt());
        for (part, shape) in [
            ("weight_ih", vec![3 * units, inputs]),
            ("weight_hh", vec![3 * units, units]),
            ("bias_ih", vec![3 * units]),
            ("bias_hh", vec![3 * units]),
        ] {
            self.push(&format!("{name}.{part}"), shape, init);
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
        self.push(&format!("{name}.weight"), vec![units], Init::Constant(1.0));
        self.push(&format!("{name}.bias"), vec![units], Init::Constant(0.0));
    }

    /// Number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// Returns the range of the encoder parameters, which lie first.
    pub(crate) fn encoder(&self) -> Range<usize> {
        0..self.entries[self.encoder - 1].range.end
    }

    /// Draws the initial parameters.
    pub(crate) fn init(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut params = vec![0.0; self.len()];
        for entry in &self.entries {
            let slots = params[entry.range.clone()].iter_mut();
            match entry.init {
                Init::Constant(value) => slots.for_each(|slot| *slot = value),
                Init::Uniform(bound) => {
                    let draw = Uniform::new_inclusive(-bound, bound).expect("a bound is positive and finite");
                    slots.for_each(|slot| *slot = draw.sample(rng) as f32);
                }
                Init::Normal(std) => {
                    let draw = Normal::new(0.0, std).expect("a deviation is positive and finite");
                    slots.for_each(|slot| *slot = draw.sample(rng) as f32);
                }
            }
        }
        params
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_output_layer_is_initialised_as_configured() {
        let config =
            ForecastConfig { output_init: OutputInit::Std(0.01), hidden_size: 64, ..ForecastConfig::default() };
        let layout = ParamLayout::new(&config, 30, 50);
        let params = layout.init(&mut ChaCha8Rng::seed_from_u64(2));
        let entry = |name: &str| layout.entries.iter().find(|entry| entry.name == name).unwrap().range.clone();
        let weights = &params[entry("output.weight")];
        let std = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
        assert!((std - 0.01).abs() < 5e-4, "{std}");
        assert!(params[entry("output.bias")].iter().all(|&b| b == 0.0));
        assert_eq!(layout.encoder().end, entry("output.weight").start);
    }
}
