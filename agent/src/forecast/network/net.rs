//! Network of the forecaster: an encoder over the frames of a sample, and one linear output layer.
//!
//! All parameters lie in one flat vector; every tensor is a view of it.

use tch::{Kind, TchError, Tensor};

use super::dropout::Dropout;
use crate::{
    Activation, PolicyKind,
    backend::torch::{Cell, RecurrentState},
    forecast::{
        Encoder, ForecastConfig,
        model::layout::{Entry, ParamLayout},
    },
};

/// Network whose tensors are views of the flat vector.
#[derive(Debug)]
pub(crate) struct Net {
    config: ForecastConfig,
    /// One leaf of the autograd graph per entry of the layout.
    leaves: Vec<Tensor>,
}

impl Net {
    /// Builds the tensors as views of the flat vector. `[P]`
    pub(crate) fn new(params: &Tensor, layout: &ParamLayout, config: &ForecastConfig) -> Result<Self, TchError> {
        let leaf = |entry: &Entry| {
            let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
            let part = params.f_narrow(0, entry.range.start as i64, entry.range.len() as i64)?;
            part.f_view(shape.as_slice())?.f_detach()?.f_set_requires_grad(true)
        };
        let leaves = layout.entries.iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { config: config.clone(), leaves })
    }

    /// Returns the outputs `[B, M]` for frames `[B, k, F]`, with dropout during training only.
    pub(crate) fn forward(&self, frames: &Tensor, dropout: &mut Dropout<'_>) -> Result<Tensor, TchError> {
        let mut params = ParamCursor { leaves: self.leaves.iter() };
        let features = match self.config.encoder {
            Encoder::Mlp => self.mlp(frames, &mut params, dropout)?,
            Encoder::Gru => self.gru(frames, &mut params, dropout)?,
            Encoder::Attention => self.attention(frames, &mut params, dropout)?,
        };
        params.linear(&features)
    }

    fn mlp(
        &self,
        frames: &Tensor,
        params: &mut ParamCursor<'_>,
        dropout: &mut Dropout<'_>,
    ) -> Result<Tensor, TchError> {
        let mut x = frames.f_flatten(1, 2)?;
        for _ in 0..self.config.layers {
            x = dropout.apply(self.activate(&params.linear(&x)?)?)?;
        }
        Ok(x)
    }

    fn gru(
        &self,
        frames: &Tensor,
        params: &mut ParamCursor<'_>,
        dropout: &mut Dropout<'_>,
    ) -> Result<Tensor, TchError> {
        let size = frames.size();
        let (batch, steps, units) = (size[0], size[1], self.config.hidden_size as i64);
        let mut x = frames.f_transpose(0, 1)?.f_flatten(0, 1)?;
        for _ in 0..self.config.layers {
            let tensors = [params.next(), params.next(), params.next(), params.next()];
            let zeros = Tensor::f_zeros([batch, units], (Kind::Float, frames.device()))?;
            let mut state = RecurrentState::new(&zeros, units, None)?;
            x = dropout.apply(
                Cell::new(PolicyKind::Gru, tensors.map(Tensor::shallow_clone), &mut 0).unroll(&x, &mut state)?,
            )?;
        }
        x.f_narrow(0, (steps - 1) * batch, batch)
    }

    /// # Source
    /// Vaswani et al. 2017, with the normalisation before each part (Xiong et al. 2020).
    fn attention(
        &self,
        frames: &Tensor,
        params: &mut ParamCursor<'_>,
        dropout: &mut Dropout<'_>,
    ) -> Result<Tensor, TchError> {
        let mut x = params.linear(frames)?.f_add(params.next())?;
        for _ in 0..self.config.layers {
            let self_attention = self.self_attention(&params.norm(&x)?, params)?;
            x = x.f_add(&dropout.apply(self_attention)?)?;
            let up = params.norm(&x)?;
            let up = self.activate(&params.linear(&up)?)?;
            x = x.f_add(&dropout.apply(params.linear(&up)?)?)?;
        }
        params.norm(&x.f_select(1, self.config.temporal_frames as i64 - 1)?)
    }

    /// Returns multi-head self-attention over the frames. `[B, k, H]`
    fn self_attention(&self, x: &Tensor, params: &mut ParamCursor<'_>) -> Result<Tensor, TchError> {
        let size = x.size();
        let heads = self.config.heads as i64;
        let split =
            params.linear(x)?.f_view([size[0], size[1], 3, heads, size[2] / heads])?.f_permute([2, 0, 3, 1, 4])?;
        let part = |index| split.f_select(0, index);
        let none = None::<&Tensor>;
        let attended =
            Tensor::f_scaled_dot_product_attention(&part(0)?, &part(1)?, &part(2)?, none, 0.0, false, None, false)?;
        params.linear(&attended.f_transpose(1, 2)?.f_flatten(2, 3)?)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.config.activation {
            Activation::Tanh => x.f_tanh(),
            Activation::Relu => x.f_relu(),
        }
    }

    /// Returns the gradient of a loss with respect to all parameters. `[P]`
    pub(crate) fn gradient(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        let parts = Tensor::f_run_backward(&[loss], &self.leaves, false, false)?;
        let flat = parts.iter().map(|part| part.f_flatten(0, -1)).collect::<Result<Vec<_>, _>>()?;
        Tensor::f_cat(&flat, 0)
    }
}

/// Iterator over the tensors, in the order of the layout, which is the order of the forward pass.
struct ParamCursor<'a> {
    leaves: std::slice::Iter<'a, Tensor>,
}

impl<'a> ParamCursor<'a> {
    fn next(&mut self) -> &'a Tensor {
        self.leaves.next().expect("a layout has a tensor for every part of the pass")
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
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

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

    fn net(config: &ForecastConfig) -> (ParamLayout, Tensor) {
        let layout = ParamLayout::new(config, 3, 5);
        let params = Tensor::from_slice(&layout.init(&mut ChaCha8Rng::seed_from_u64(1)));
        (layout, params)
    }

    #[test]
    fn every_encoder_uses_every_frame_and_every_parameter_has_a_gradient() {
        for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
            let config = config(encoder);
            let (layout, params) = net(&config);
            let net = Net::new(&params, &layout, &config).unwrap();
            let frames = Tensor::linspace(-1.0, 1.0, 6 * 4 * 3, (Kind::Float, tch::Device::Cpu)).view([6, 4, 3]);
            let output = net.forward(&frames, &mut Dropout::none()).unwrap();
            assert_eq!(output.size(), [6, 5]);
            for frame in 0..4 {
                let changed = frames.copy();
                let _ = changed.select(1, frame).fill_(0.7);
                let other = net.forward(&changed, &mut Dropout::none()).unwrap();
                assert!((&other - &output).abs().max().double_value(&[]) > 1e-4, "{encoder:?} ignores frame {frame}");
            }
            let gradient = net.gradient(&output.square().sum(Kind::Float)).unwrap();
            let gradient = Vec::<f32>::try_from(gradient).unwrap();
            assert_eq!(gradient.len(), layout.len());
            for entry in &layout.entries {
                // The key bias shifts all scores of a query alike and has no effect.
                let moved = gradient[entry.range.clone()].iter().any(|g| g.abs() > 1e-9);
                assert!(moved, "{encoder:?}: {} has no gradient", entry.name);
            }
        }
    }

    #[test]
    fn the_gradient_matches_finite_differences() {
        for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
            let config = config(encoder);
            let (layout, params) = net(&config);
            let net = Net::new(&params, &layout, &config).unwrap();
            let frames = Tensor::linspace(-1.0, 1.0, 2 * 4 * 3, (Kind::Float, tch::Device::Cpu)).view([2, 4, 3]);
            let loss = || net.forward(&frames, &mut Dropout::none()).unwrap().square().sum(Kind::Double);
            let gradient = Vec::<f32>::try_from(net.gradient(&loss()).unwrap()).unwrap();
            for index in (0..layout.len()).step_by(layout.len() / 40) {
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
}
