//! Training of a forecaster: epochs, their scores on all validation samples, and the best epoch.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::{
    Epoch, FitBaseline, FitListener, Fitted, ForecastConfig, ForecastData, Forecaster, Outcomes, Ridge, Scores,
    StopMetric, StopReason, Target, TargetKind, TargetMoments,
    history::watchdog::Watchdog,
    network::{
        dropout::Dropout,
        loss::Loss,
        optimiser::Optimiser,
        pretrain::pretrain,
        windows::{Tape, Windows},
    },
    scores,
};
use crate::{AgentError, DeviceChoice, backend::torch, random::RandomStreams};

/// Trains a forecaster. The same data, configuration and seed give the same bits on one device.
///
/// # Errors
/// [`AgentError::Config`] with every fault; [`AgentError::Forecast`] for missing samples or constant targets;
/// [`AgentError::Tape`] for a non-finite feature; [`AgentError::Device`] and [`AgentError::Torch`].
pub fn fit(
    data: &ForecastData,
    config: &ForecastConfig,
    seed: u64,
    device: DeviceChoice,
    listener: &mut dyn FitListener,
) -> Result<Fitted, AgentError> {
    let faults = config.check();
    if !faults.is_empty() {
        return Err(AgentError::Config(faults));
    }
    for (name, samples) in [("training", &data.train), ("validation", &data.validation)] {
        if samples.is_empty() {
            return Err(AgentError::Forecast(format!("there are no {name} samples")));
        }
    }
    let training = Training::new(data, config, seed, torch::device(device)?)?;
    training.run(listener)
}

/// State of a training, with its data on the device.
struct Training<'a> {
    data: &'a ForecastData,
    config: &'a ForecastConfig,
    streams: RandomStreams,
    forecaster: Forecaster,
    tape: Tape,
    train: Windows,
    validation: Windows,
    loss: Loss,
}

impl<'a> Training<'a> {
    fn new(data: &'a ForecastData, config: &'a ForecastConfig, seed: u64, device: Device) -> Result<Self, AgentError> {
        let (targets, normalizer) = (&data.targets, data.normalizer()?);
        let moments = TargetMoments::of(&data.train, targets)?;
        // One thread: concurrent trainings share the cores, and single-threaded sums do not depend on their number.
        tch::set_num_threads(1);
        let features = data.features.len();
        let build = || {
            let tape = Tape::new(&normalizer.apply(&data.tape), features, config.temporal_frames, device)?;
            let (train, validation) = (Windows::new(&data.train, device)?, Windows::new(&data.validation, device)?);
            Ok((tape, train, validation, Loss::new(config, targets, &moments, device)?))
        };
        let (tape, train, validation, loss) = build().map_err(failed("copy the samples to the device"))?;
        let forecaster = Forecaster {
            config: config.clone(),
            features: data.features.clone(),
            targets: targets.clone(),
            moments,
            normalizer,
            params: Vec::new(),
        };
        Ok(Self { data, config, streams: RandomStreams::new(seed), forecaster, tape, train, validation, loss })
    }

    fn run(mut self, listener: &mut dyn FitListener) -> Result<Fitted, AgentError> {
        let (mut optimiser, baseline) = self.baseline(listener)?;
        listener.on_baseline(&baseline);
        let watchdog = self.watchdog(&baseline);
        let mut epochs: Vec<Epoch> = Vec::new();
        let (mut best, mut end) = ((f64::NEG_INFINITY, 0), StopReason::MaxEpochs);
        self.forecaster.params = optimiser.params().map_err(failed("copy the parameters back"))?;
        for epoch in 1..=self.config.max_epochs {
            let row = self.epoch(&mut optimiser, epoch).map_err(failed("train a forecaster"))?;
            listener.on_epoch(&row);
            // An epoch with non-finite forecasts has no comparable score.
            let score = if row.is_finite() { row.score } else { f64::NEG_INFINITY };
            epochs.push(row);
            if score > best.0 + self.config.min_delta {
                best = (score, epoch);
                self.forecaster.params = optimiser.params().map_err(failed("copy the parameters back"))?;
            }
            if let Some(alarm) = watchdog.check(&epochs) {
                end = StopReason::Watchdog(alarm);
                break;
            }
            if epoch - best.1 >= self.config.patience {
                end = StopReason::Patience;
                break;
            }
        }
        Ok(Fitted { forecaster: self.forecaster, baseline, epochs, best: best.1, end })
    }

    fn baseline(&self, listener: &mut dyn FitListener) -> Result<(Optimiser, FitBaseline), AgentError> {
        let (features, targets) = (self.data.features.len(), &self.data.targets);
        let (mut rng, device) = (self.streams.init(), self.tape.device());
        let mut build = || {
            let mut optimiser = Optimiser::new(self.config, features, targets.len(), &mut rng, device)?;
            let mut pretraining = Vec::new();
            if self.config.pretrain.enabled {
                let samples = (&self.tape, &self.train, &self.validation);
                let (encoder, epochs) =
                    pretrain(self.config, samples, features, self.streams, &mut |row| listener.on_pretraining(row))?;
                optimiser.load_params(&encoder)?;
                pretraining = epochs;
            }
            Ok((optimiser, pretraining, no_grad(|| self.constant_loss(targets))?))
        };
        let (optimiser, pretraining, constant_loss) = build().map_err(failed("set up a forecaster"))?;
        let linear = Ridge::fit(self.data, self.config.temporal_frames)?;
        let forecasts = linear.predict(&self.data.tape, &self.data.validation)?;
        let linear = scores(targets, &self.data.validation, &forecasts, &self.forecaster.moments, Scores::of);
        let warnings = self.config.loss.warnings(targets, &self.forecaster.moments);
        Ok((optimiser, FitBaseline { constant_loss, linear, warnings, pretraining }))
    }

    fn watchdog(&self, baseline: &FitBaseline) -> Watchdog {
        let mut skills = baseline.linear.iter().flatten().filter_map(Scores::regression).map(|scores| scores.r2);
        // Ridge regression that explains more than noise on some target.
        let learnable = skills.any(|r2| r2 > MIN_LINEAR_R2);
        Watchdog {
            constant_loss: baseline.constant_loss,
            learnable: Some(learnable),
            weight_decay: self.config.weight_decay,
        }
    }

    /// Returns the validation loss of the training means as outputs.
    fn constant_loss(&self, targets: &[Target]) -> Result<f64, TchError> {
        let TargetMoments { mean, .. } = &self.forecaster.moments;
        let raw = self.config.target_scale == super::TargetScale::Raw;
        let constant = |(target, &mean): (&Target, &f64)| match target.kind {
            TargetKind::Direction => (mean / (1.0 - mean)).ln(),
            _ if raw => mean,
            _ => 0.0,
        };
        let row: Vec<f32> = targets.iter().zip(mean).map(|pair| constant(pair) as f32).collect();
        let row = Tensor::f_from_slice(&row)?.f_to(self.tape.device())?;
        self.mean_loss(|picks| row.f_expand([picks.size()[0], targets.len() as i64], false)).map(|(loss, _)| loss)
    }

    /// Returns the mean validation loss of outputs, and the forecasts that they stand for.
    fn mean_loss(&self, outputs: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<(f64, Vec<f32>), TchError> {
        let (mut sum, mut forecasts) = (0.0, Vec::new());
        for picks in self.validation.chunks()? {
            let outputs = outputs(&picks)?;
            let loss = self.loss.total(&outputs, &self.validation.actual(&picks)?)?;
            sum += loss.double_value(&[]) * picks.size()[0] as f64;
            forecasts.extend(Vec::<f32>::try_from(self.loss.forecasts(&outputs)?.f_flatten(0, -1)?)?);
        }
        Ok((sum / self.validation.len() as f64, forecasts))
    }

    fn epoch(&self, optimiser: &mut Optimiser, epoch: usize) -> Result<Epoch, TchError> {
        let before = optimiser.params()?;
        let (train_loss, gradient_norm, learning_rate) = self.train_epoch(optimiser, epoch)?;
        let movement = movement(&before, &optimiser.params()?);
        let net = &optimiser.net;
        let outputs = |picks: &Tensor| net.forward(&self.tape.frames(&self.validation, picks)?, &mut Dropout::none());
        let (validation_loss, forecasts) = no_grad(|| self.mean_loss(outputs))?;
        let targets =
            scores(&self.data.targets, &self.data.validation, &forecasts, &self.forecaster.moments, score_epoch);
        let mut row =
            Epoch { epoch, learning_rate, train_loss, validation_loss, gradient_norm, movement, score: 0.0, targets };
        row.score = match self.config.early_stopping {
            StopMetric::R2 => row.mean_r2(),
            StopMetric::Loss => -validation_loss,
            StopMetric::Combined => 2.0 * row.mean_r2() - validation_loss,
        };
        Ok(row)
    }

    /// Runs one pass over the training samples; returns mean loss, mean gradient norm and last learning rate.
    fn train_epoch(&self, optimiser: &mut Optimiser, epoch: usize) -> Result<(f64, f64, f64), TchError> {
        let mut order = vec![0; self.train.len()];
        self.streams.shuffle(0, epoch as u64, &mut order);
        let order: Vec<i64> = order.into_iter().map(i64::from).collect();
        let order = Tensor::f_from_slice(&order)?.f_to(self.tape.device())?;
        let batches = order.f_split(self.config.batch_size as i64, 0)?;
        let mut rng = self.streams.dropout(epoch as u64);
        let zero = || Tensor::f_zeros([1], (Kind::Float, self.tape.device()));
        let (mut losses, mut norms, mut rate) = (zero()?, zero()?, 0.0);
        for picks in &batches {
            let frames = self.tape.frames(&self.train, picks)?;
            let outputs = optimiser.net.forward(&frames, &mut Dropout::new(self.config.dropout, &mut rng))?;
            let loss = self.loss.total(&outputs, &self.train.actual(picks)?)?;
            rate = optimiser.learning_rate();
            let norm = optimiser.descend(&loss)?;
            let _ = no_grad(|| losses.f_add_(&loss))?;
            let _ = norms.f_add_(&norm)?;
        }
        let count = batches.len() as f64;
        Ok((losses.double_value(&[0]) / count, norms.double_value(&[0]) / count, rate))
    }
}

/// Scores a target after every epoch; returns get intervals, since a directional accuracy means little without one.
fn score_epoch(kind: TargetKind, outcomes: &Outcomes<'_>) -> Option<Scores> {
    if kind == TargetKind::Return { Scores::with_intervals(kind, outcomes) } else { Scores::of(kind, outcomes) }
}

/// Validation R² above which ridge regression counts as having skill.
const MIN_LINEAR_R2: f64 = 0.001;

/// Returns the norm of the parameter change, relative to the parameter norm.
fn movement(before: &[f32], after: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let moved = norm(&mut before.iter().zip(after).map(|(a, b)| f64::from(b - a)));
    moved / norm(&mut before.iter().map(|&a| f64::from(a))).max(f64::MIN_POSITIVE)
}

fn failed(action: &'static str) -> impl FnOnce(TchError) -> AgentError {
    move |source| AgentError::Torch { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Samples, failures::planted};

    fn trained(change: impl Fn(&mut ForecastConfig)) -> (planted::PlantedData, Fitted) {
        let planted = planted::heavy_tailed(3000, 2);
        let mut config = ForecastConfig {
            max_epochs: 12,
            patience: 4,
            batch_size: 64,
            learning_rate: 3e-3,
            ..ForecastConfig::default()
        };
        change(&mut config);
        let fitted = fit(&planted.data, &config, 5, DeviceChoice::Cpu, &mut ()).unwrap();
        (planted, fitted)
    }

    #[test]
    fn the_best_epoch_is_returned_and_patience_counts_from_it() {
        for metric in [StopMetric::R2, StopMetric::Loss, StopMetric::Combined] {
            let (planted, fitted) = trained(|config| config.early_stopping = metric);
            let best = &fitted.epochs[fitted.best - 1];
            let forecasts = fitted.forecaster.predict(&planted.data.tape, &planted.data.validation).unwrap();
            let again = scores(
                &planted.data.targets,
                &planted.data.validation,
                &forecasts,
                fitted.forecaster.moments(),
                score_epoch,
            );
            assert_eq!(again, best.targets, "{metric:?}");
            assert!(fitted.epochs.iter().all(|epoch| epoch.score <= best.score + 1e-5));
            let expected = match metric {
                StopMetric::R2 => best.mean_r2(),
                StopMetric::Loss => -best.validation_loss,
                StopMetric::Combined => 2.0 * best.mean_r2() - best.validation_loss,
            };
            assert_eq!(best.score, expected);
            match fitted.end {
                StopReason::Patience => assert_eq!(fitted.epochs.len() - fitted.best, 4),
                _ => assert_eq!(fitted.epochs.len(), 12),
            }
        }
    }

    #[test]
    fn a_seed_repeats_every_bit() {
        let run = |seed| {
            let planted = planted::noise(1000, 1);
            let config = ForecastConfig { max_epochs: 2, ..ForecastConfig::default() };
            fit(&planted.data, &config, seed, DeviceChoice::Cpu, &mut ()).unwrap().forecaster
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).params(), run(2).params());
    }

    #[test]
    fn only_training_samples_set_the_scale() {
        let planted = planted::heavy_tailed(2000, 3);
        let mut changed = planted.data.clone();
        let later = changed.validation.row[0] as usize * changed.features.len();
        changed.tape[later..].iter_mut().for_each(|x| *x *= 50.0);
        changed.validation.actual.iter_mut().for_each(|y| *y *= 50.0);
        let config = ForecastConfig { max_epochs: 1, temporal_frames: 1, ..ForecastConfig::default() };
        let of = |data| fit(data, &config, 1, DeviceChoice::Cpu, &mut ()).unwrap().forecaster;
        let (a, b) = (of(&planted.data), of(&changed));
        assert_eq!((a.normalizer(), a.moments()), (b.normalizer(), b.moments()));
    }

    #[test]
    fn missing_samples_and_constant_targets_are_refused() {
        let refused = |change: &dyn Fn(&mut ForecastData)| {
            let mut data = planted::noise(400, 1).data;
            change(&mut data);
            fit(&data, &ForecastConfig::default(), 1, DeviceChoice::Cpu, &mut ()).unwrap_err().to_string()
        };
        assert!(refused(&|data| data.validation = Samples::default()).contains("there are no validation samples"));
        assert!(
            refused(&|data| data.train.actual.fill(1.0)).contains("return_1 has 280 known training values, all equal")
        );
        assert!(refused(&|data| data.tape[5] = f32::NAN).contains("feature number 5 is NaN"));
    }
}
