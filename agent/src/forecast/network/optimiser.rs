//! Network and optimiser of the forecaster.

use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor, no_grad};

use super::net::Net;
use crate::{
    backend::torch::Adam,
    forecast::{ForecastConfig, model::layout::ParamLayout},
};

/// Network with an Adam optimiser and a learning-rate warm-up.
#[derive(Debug)]
pub(crate) struct Optimiser {
    pub(crate) layout: ParamLayout,
    pub(crate) net: Net,
    adam: Adam,
    config: ForecastConfig,
}

impl Optimiser {
    /// Draws the initial parameters.
    pub(crate) fn new(
        config: &ForecastConfig,
        features: usize,
        outputs: usize,
        rng: &mut ChaCha8Rng,
        device: Device,
    ) -> Result<Self, TchError> {
        let layout = ParamLayout::new(config, features, outputs);
        let params = Tensor::f_from_slice(&layout.init(rng))?.f_to(device)?;
        let adam = Adam { m: params.f_zeros_like()?, v: params.f_zeros_like()?, params, step: 0 };
        Ok(Self { net: Net::new(&adam.params, &layout, config)?, layout, adam, config: config.clone() })
    }

    /// Copies `first` over the leading parameters, such as those of a pretrained encoder.
    pub(crate) fn load_params(&mut self, first: &[f32]) -> Result<(), TchError> {
        let mut part = self.adam.params.f_narrow(0, 0, first.len() as i64)?;
        no_grad(|| part.f_copy_(&Tensor::f_from_slice(first)?.f_to(self.adam.params.device())?))
    }

    /// Returns the step size of the next minibatch.
    pub(crate) fn learning_rate(&self) -> f64 {
        let warm = (self.adam.step + 1) as f64 / self.config.warmup_steps.max(1) as f64;
        self.config.learning_rate * warm.min(1.0)
    }

    /// Takes one gradient step and returns the gradient norm before clipping.
    pub(crate) fn descend(&mut self, loss: &Tensor) -> Result<Tensor, TchError> {
        let gradient = self.net.gradient(loss)?;
        let rates = (self.learning_rate(), self.config.weight_decay);
        self.adam.descend(gradient, rates, self.config.max_grad_norm)
    }

    /// Returns a copy of all parameters. `[P]`
    pub(crate) fn params(&self) -> Result<Vec<f32>, TchError> {
        Vec::try_from(&self.adam.params)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_learning_rate_warms_up_linearly() {
        let config = ForecastConfig { warmup_steps: 4, learning_rate: 0.1, ..ForecastConfig::default() };
        let mut optimiser = Optimiser::new(&config, 2, 1, &mut ChaCha8Rng::seed_from_u64(1), Device::Cpu).unwrap();
        let rates: Vec<f64> = (0..6)
            .map(|step| {
                optimiser.adam.step = step;
                optimiser.learning_rate()
            })
            .collect();
        assert_eq!(rates, [0.025, 0.05, 0.1 * 0.75, 0.1, 0.1, 0.1]);
    }
}
