//! Self-supervised pretraining: the encoder learns to reconstruct frames that it is not shown from those that it is.
//!
//! The network is the forecaster's own with one output per number of the window. Hidden frames are zero, which is the mean of a
//! standardised feature; only they count in the loss. The encoder's parameters are what is kept.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor, no_grad};

use super::{dropout::Dropout, net::Net, optimiser::Optimiser};
use crate::{
    forecast::{
        ForecastConfig,
        data::windows::{Tape, Windows},
    },
    random::RandomStreams,
};

/// One pass of pretraining. Errors are mean squares of standardised features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PretrainEpoch {
    /// Number of the pass, from 1.
    pub epoch: usize,
    /// Error over the hidden frames of the training samples, while it was learned.
    pub train: f64,
    /// Error over those of the validation samples.
    pub validation: f64,
    /// Error there of the mean of each feature, which is what an encoder that learned nothing returns.
    pub mean: f64,
    /// Error there of the nearest frame that is shown.
    pub nearest: f64,
}

/// Learns to reconstruct; returns the encoder's parameters and every pass.
pub(crate) fn pretrain(
    config: &ForecastConfig,
    (tape, train, validation): (&Tape, &Windows, &Windows),
    features: usize,
    streams: RandomStreams,
    tell: &mut dyn FnMut(&PretrainEpoch),
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
            let shown = Shown::new(tape, train, &indices(picks, tape)?, config, rng)?;
            let loss = shown.error(&optimiser.net, rng, config.dropout)?;
            sum += loss.double_value(&[]) * picks.len() as f64;
            let _ = optimiser.descend(&loss)?;
        }
        let [found, mean, nearest] = no_grad(|| judge(config, (tape, validation), &optimiser.net, streams))?;
        let row = PretrainEpoch { epoch, train: sum / train.len() as f64, validation: found, mean, nearest };
        tell(&row);
        epochs.push(row);
        if found < best.0 - config.min_delta {
            (best, kept) = ((found, epoch), optimiser.params()?);
        }
        if epoch - best.1 >= config.pretrain.patience {
            break;
        }
    }
    kept.truncate(optimiser.plan.encoder().end);
    Ok((kept, epochs))
}

/// Errors over the validation samples, whose hidden frames are the same ones every time: of the network, the mean, the nearest.
fn judge(
    config: &ForecastConfig,
    (tape, windows): (&Tape, &Windows),
    net: &Net,
    streams: RandomStreams,
) -> Result<[f64; 3], TchError> {
    let rng = &mut streams.pretraining(u64::MAX);
    let mut sums = [0.0; 3];
    for picks in windows.chunks()? {
        let shown = Shown::new(tape, windows, &picks, config, rng)?;
        let count = picks.size()[0] as f64;
        let errors = [
            shown.error(net, rng, 0.0)?,
            shown.error_of(&shown.frames.f_zeros_like()?)?,
            shown.error_of(&shown.nearest)?,
        ];
        sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error.double_value(&[]) * count);
    }
    Ok(sums.map(|sum| sum / windows.len() as f64))
}

/// Frames of which some are hidden.
struct Shown {
    /// `[B, k, F]`
    frames: Tensor,
    /// One where a frame is hidden, else zero. `[B, k, 1]`
    hidden: Tensor,
    /// Every frame replaced by the nearest that is shown. `[B, k, F]`
    nearest: Tensor,
}

impl Shown {
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
            let mask = hide(steps, count, rng);
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
        self.error_of(&net.forward(&input, &mut Dropout::new(dropout, rng))?.f_view_as(&self.frames)?)
    }

    /// The mean square over the hidden frames of what was made of them.
    fn error_of(&self, made: &Tensor) -> Result<Tensor, TchError> {
        let squares = made.f_sub(&self.frames)?.f_square()?.f_mul(&self.hidden)?.f_sum(Kind::Float)?;
        let features = self.frames.size()[2] as f64;
        squares.f_div(&self.hidden.f_sum(Kind::Float)?.f_mul_scalar(features)?)
    }
}

/// Draws which frames are hidden.
fn hide(steps: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<bool> {
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
    fn as_many_frames_are_hidden_as_asked_and_every_one_may_be() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut hidden = [0; 5];
        for _ in 0..1000 {
            let mask = hide(5, 2, &mut rng);
            assert_eq!(mask.iter().filter(|&&hidden| hidden).count(), 2);
            hidden.iter_mut().zip(mask).for_each(|(count, mask)| *count += usize::from(mask));
        }
        assert!(hidden.iter().all(|count| (330..470).contains(count)), "{hidden:?}");
    }

    #[test]
    fn slow_features_are_reconstructed_better_than_by_the_nearest_frame_and_patience_ends_it() {
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
            let rows = fit(&planted.data, &config, 1, DeviceChoice::Cpu, &mut ()).unwrap().outset.pretraining;
            let best = rows.iter().map(|row| row.validation).fold(f64::INFINITY, f64::min);
            let (first, last) = (&rows[0], &rows[rows.len() - 1]);
            // Half of the features move slowly, half are noise that no other frame knows: the best error is a little above a half.
            assert!(best < 0.75 && best < first.nearest && first.mean > 0.9, "{encoder:?}: {best}, {first:?}");
            assert!(last.epoch == 40 || last.validation > best, "{encoder:?}: {last:?}");
        }
    }
}
