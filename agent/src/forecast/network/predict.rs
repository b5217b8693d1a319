//! Forecasts of a trained forecaster.

use tch::{Device, Tensor, no_grad};

use super::{
    dropout::Dropout,
    loss::Loss,
    net::Net,
    windows::{Tape, Windows},
};
use crate::{
    AgentError,
    forecast::{Forecaster, Samples},
};

impl Forecaster {
    /// Returns the forecasts of samples, in the units of the targets, directions as probabilities of a rise. `[N, M]`
    ///
    /// The realised targets of the samples are not read.
    ///
    /// # Errors
    /// [`AgentError::Torch`], most often for lack of memory.
    pub fn predict(&self, tape: &[f32], samples: &Samples) -> Result<Vec<f32>, AgentError> {
        tch::set_num_threads(1);
        let device = Device::Cpu;
        let run = || {
            let tape =
                Tape::new(&self.normalizer.apply(tape), self.features.len(), self.config.temporal_frames, device)?;
            let net = Net::new(&Tensor::f_from_slice(&self.params)?, &self.layout(), &self.config)?;
            let loss = Loss::new(&self.config, &self.targets, &self.moments, device)?;
            let windows = Windows::new(samples, device)?;
            let mut forecasts = Vec::with_capacity(samples.len() * self.targets.len());
            for picks in windows.chunks()? {
                let outputs = net.forward(&tape.frames(&windows, &picks)?, &mut Dropout::none())?;
                forecasts.extend(Vec::<f32>::try_from(loss.forecasts(&outputs)?.f_flatten(0, -1)?)?);
            }
            Ok(forecasts)
        };
        no_grad(run).map_err(|source| AgentError::Torch { action: "forecast", source })
    }
}
