//! Self-supervised pretraining: the encoder learns to reconstruct masked frames from the visible ones.
//!
//! The network is the forecaster's with one output per input of the window. Masked frames are zero, which is the mean
//! of a standardised feature; only they count in the loss. The encoder parameters are kept.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor, no_grad};

use super::{
    dropout::Dropout,
    net::Net,
    optimiser::Optimiser,
    windows::{Tape, Windows},
};
use crate::{
    forecast::{ForecastConfig, PretrainEpoch},
    random::RandomStreams,
};

/// Pretrains an encoder; returns its best parameters and every epoch.
pub(crate) fn pretrain(
    config: &ForecastConfig,
    (tape, train, validation): (&Tape, &Windows, &Windows),
    features: usize,
    streams: RandomStreams,
    on_epoch: &mut dyn FnMut(&PretrainEpoch),
) -> Result<(Vec<f32>, Vec<PretrainEpoch>), TchError> {
    let frames = config.temporal_frames;
    let config = &ForecastConfig { output_init: crate::forecast::OutputInit::Default, ..config.clone() };
    let mut optimiser =
        Optimiser::new(config, features, frames * features, &mut streams.pretraining(0), tape.device())?;
    let mut epochs: Vec<PretrainEpoch> = Vec::new();
    let (mut best, mut kept) = ((f64::INFINITY, 0), optimiser.params()?);
    let mut order: Vec<u32> = vec![0; train.len()];
    for epoch in 1..=config.pretrain.epochs {
        let rng = &mut streams.pretraining(epoch as u64);
        streams.shuffle(u64::MAX, epoch as u64, &mut order);
        let mut sum = 0.0;
        for picks in order.chunks(config.batch_size) {
            let masked = MaskedFrames::new(tape, train, &indices(picks, tape)?, config, rng)?;
            let loss = masked.error(&optimiser.net, rng, config.dropout)?;
            sum += loss.double_value(&[]) * picks.len() as f64;
            let _ = optimiser.descend(&loss)?;
        }
        let [error, mean, nearest] =
            no_grad(|| validation_errors(config, (tape, validation), &optimiser.net, streams))?;
        let row = PretrainEpoch { epoch, train: sum / train.len() as f64, validation: error, mean, nearest };
        on_epoch(&row);
        epochs.push(row);
        if error < best.0 - config.min_delta {
            (best, kept) = ((error, epoch), optimiser.params()?);
        }
        if epoch - best.1 >= config.pretrain.patience {
            break;
        }
    }
    kept.truncate(optimiser.layout.encoder().end);
    Ok((kept, epochs))
}

/// Returns the validation errors of the network, the mean and the nearest frame, under the same masks every time.
fn validation_errors(
    config: &ForecastConfig,
    (tape, windows): (&Tape, &Windows),
    net: &Net,
    streams: RandomStreams,
) -> Result<[f64; 3], TchError> {
    let rng = &mut streams.pretraining(u64::MAX);
    let mut sums = [0.0; 3];
    for picks in windows.chunks()? {
        let masked = MaskedFrames::new(tape, windows, &picks, config, rng)?;
        let count = picks.size()[0] as f64;
        let errors = [
            masked.error(net, rng, 0.0)?,
            masked.reconstruction_error(&masked.frames.f_zeros_like()?)?,
            masked.reconstruction_error(&masked.nearest)?,
        ];
        sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error.double_value(&[]) * count);
    }
    Ok(sums.map(|sum| sum / windows.len() as f64))
}

/// Frames of a minibatch with a random mask.
struct MaskedFrames {
    /// `[B, k, F]`
    frames: Tensor,
    /// One where a frame is masked, else zero. `[B, k, 1]`
    hidden: Tensor,
    /// Every frame replaced by the nearest visible one. `[B, k, F]`
    nearest: Tensor,
}

impl MaskedFrames {
    fn new(
        tape: &Tape,
        windows: &Windows,
        picks: &Tensor,
        config: &ForecastConfig,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, TchError> {
        let frames = tape.frames(windows, picks)?;
        let (batch, steps) = (frames.size()[0], config.temporal_frames);
        let count = ((config.pretrain.masked * steps as f64).round() as usize).clamp(1, steps - 1);
        let (mut hidden, mut nearest) = (Vec::new(), Vec::new());
        for _ in 0..batch {
            let mask = random_mask(steps, count, rng);
            let distance = |from: usize, to: usize| from.abs_diff(to);
            let shown = |to: usize| (0..steps).filter(|&from| !mask[from]).min_by_key(|&from| distance(from, to));
            nearest.extend((0..steps).map(|step| shown(step).unwrap_or(step) as i64));
            hidden.extend(mask.iter().map(|&hidden| f32::from(u8::from(hidden))));
        }
        let shape = [batch, steps as i64, 1];
        let nearest = Tensor::f_from_slice(&nearest)?.f_view(shape)?.f_to(tape.device())?.f_expand_as(&frames)?;
        Ok(Self {
            hidden: Tensor::f_from_slice(&hidden)?.f_view(shape)?.f_to(tape.device())?,
            nearest: frames.f_gather(1, &nearest, false)?,
            frames,
        })
    }

    fn error(&self, net: &Net, rng: &mut ChaCha8Rng, dropout: f64) -> Result<Tensor, TchError> {
        let input = self.frames.f_mul(&self.hidden.f_rsub_scalar(1.0)?)?;
        self.reconstruction_error(&net.forward(&input, &mut Dropout::new(dropout, rng))?.f_view_as(&self.frames)?)
    }

    /// Returns the mean squared error of a reconstruction over the masked frames.
    fn reconstruction_error(&self, reconstruction: &Tensor) -> Result<Tensor, TchError> {
        let squares = reconstruction.f_sub(&self.frames)?.f_square()?.f_mul(&self.hidden)?.f_sum(Kind::Float)?;
        let features = self.frames.size()[2] as f64;
        squares.f_div(&self.hidden.f_sum(Kind::Float)?.f_mul_scalar(features)?)
    }
}

/// Draws `count` masked frames of `steps`.
fn random_mask(steps: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let mut mask: Vec<bool> = (0..steps).map(|step| step < count).collect();
    for last in (1..steps).rev() {
        mask.swap(last, rng.random_range(0..=last));
    }
    mask
}

fn indices(picks: &[u32], tape: &Tape) -> Result<Tensor, TchError> {
    let picks: Vec<i64> = picks.iter().map(|&pick| i64::from(pick)).collect();
    Tensor::f_from_slice(&picks)?.f_to(tape.device())
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::{
        DeviceChoice,
        forecast::{Encoder, PretrainConfig, failures::planted, fit},
    };

    #[test]
    fn the_mask_hides_the_configured_count_and_may_hide_any_frame() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut hidden = [0; 5];
        for _ in 0..1000 {
            let mask = random_mask(5, 2, &mut rng);
            assert_eq!(mask.iter().filter(|&&hidden| hidden).count(), 2);
            hidden.iter_mut().zip(mask).for_each(|(count, mask)| *count += usize::from(mask));
        }
        assert!(hidden.iter().all(|count| (330..470).contains(count)), "{hidden:?}");
    }

    #[test]
    fn autocorrelated_features_are_reconstructed_and_patience_stops_pretraining() {
        let planted = planted::noise(4000, 1);
        let pretrain = PretrainConfig { enabled: true, masked: 0.34, epochs: 40, patience: 2 };
        for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
            let config = ForecastConfig {
                encoder,
                pretrain: pretrain.clone(),
                hidden_size: 32,
                dropout: 0.0,
                max_epochs: 1,
                batch_size: 64,
                learning_rate: 3e-3,
                ..ForecastConfig::default()
            };
            let rows = fit(&planted.data, &config, 1, DeviceChoice::Cpu, &mut ()).unwrap().baseline.pretraining;
            let best = rows.iter().map(|row| row.validation).fold(f64::INFINITY, f64::min);
            let (first, last) = (&rows[0], &rows[rows.len() - 1]);
            // Half of the features are autocorrelated, half are noise: the best error is a little above one half.
            assert!(best < 0.75 && best < first.nearest && first.mean > 0.9, "{encoder:?}: {best}, {first:?}");
            assert!(last.epoch == 40 || last.validation > best, "{encoder:?}: {last:?}");
        }
    }
}
