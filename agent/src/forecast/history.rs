//! History of a training: figures known before the first epoch, epochs, reason for the end.

pub(crate) mod epoch;
pub(crate) mod watchdog;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Epoch, Forecaster, Outcomes, Samples, Scores, Target, TargetKind, TargetMoments, WatchdogAlarm};

/// Reason for the end of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The last epoch allowed.
    MaxEpochs,
    /// No improvement for `patience` epochs.
    Patience,
    /// The watchdog stopped it.
    #[serde(rename = "emergency")]
    Watchdog(WatchdogAlarm),
}

/// Reference figures measured before the first epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitBaseline {
    /// Validation loss of the training means, the loss of a forecaster without skill.
    pub constant_loss: f64,
    /// Validation scores of ridge regression on the same inputs. `[M]`
    pub linear: Vec<Option<Scores>>,
    /// Warnings about the loss.
    pub warnings: Vec<String>,
    /// Epochs of pretraining; empty without pretraining.
    pub pretraining: Vec<PretrainEpoch>,
}

/// One epoch of pretraining. Errors are mean squares of standardised features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PretrainEpoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Error over the masked frames of the training samples, during the epoch.
    pub train: f64,
    /// Error over the masked frames of the validation samples.
    pub validation: f64,
    /// Validation error of the feature means, the output of an untrained encoder.
    pub mean: f64,
    /// Validation error of the nearest visible frame.
    pub nearest: f64,
}

/// Trained forecaster with its training history.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The forecaster of the best epoch.
    pub forecaster: Forecaster,
    /// Reference figures measured before the first epoch.
    pub baseline: FitBaseline,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// Number of the best epoch; 0 if none improved on the initial score.
    pub best: usize,
    /// Reason for the end.
    pub end: StopReason,
}

/// Receives events of a training.
pub trait FitListener {
    /// Called after every epoch of pretraining.
    fn on_pretraining(&mut self, _epoch: &PretrainEpoch) {}
    /// Called before the first epoch.
    fn on_baseline(&mut self, _baseline: &FitBaseline) {}
    /// Called after every epoch.
    fn on_epoch(&mut self, _epoch: &Epoch) {}
}

impl FitListener for () {}

/// Scores forecasts `[N, M]` target by target, with [`Scores::of`] or [`Scores::with_intervals`].
pub fn scores(
    targets: &[Target],
    samples: &Samples,
    forecasts: &[f32],
    moments: &TargetMoments,
    score: fn(TargetKind, &Outcomes<'_>) -> Option<Scores>,
) -> Vec<Option<Scores>> {
    let of_target = |(index, target): (usize, &Target)| {
        let predicted: Vec<f32> = forecasts.iter().skip(index).step_by(targets.len()).copied().collect();
        let actual = samples.column(index);
        let train_mean = moments.mean[index];
        score(target.kind, &Outcomes { predicted: &predicted, actual: &actual, block: &samples.block, train_mean })
    };
    targets.par_iter().enumerate().map(of_target).collect()
}
