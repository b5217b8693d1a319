//! Watchdog that stops a training without prospects, with the reason and a remedy.
//!
//! It compares whole epochs, over all validation samples and all targets: the forecasts of one unpredictable target may
//! shrink, but if those of all targets do, nothing is learned.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::forecast::Epoch;

/// Consecutive epochs of evidence for a frozen or collapsed training.
const WINDOW: usize = 5;
/// Standard deviation of the forecasts, as a share of the target's, below which they count as constant; an R² of one in
/// ten thousand has ten times as much variance.
const MIN_SPREAD: f64 = 0.003;
/// Relative change of the training loss below which it counts as constant.
const MIN_LOSS_CHANGE: f64 = 3e-4;
/// Relative parameter change below which the parameters count as constant.
const MIN_MOVEMENT: f64 = 1e-6;
/// Multiple of the constant predictor's loss above which a rising loss counts as exploding.
const EXPLODING_FACTOR: f64 = 10.0;

/// Kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A loss or a forecast is not finite.
    NotFinite,
    /// The validation loss explodes.
    Exploding,
    /// The parameters are constant, or the loss is while all forecasts are.
    Frozen,
    /// The forecasts of every target are nearly constant.
    Collapsed,
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite",
            Self::Exploding => "exploding",
            Self::Frozen => "frozen",
            Self::Collapsed => "collapsed",
        })
    }
}

/// Reason for stopping a training early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogAlarm {
    /// Kind of failure.
    #[serde(rename = "trouble")]
    pub kind: AlarmKind,
    /// Evidence with its figures.
    pub reason: String,
    /// Remedy.
    pub advice: String,
}

impl fmt::Display for WatchdogAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.kind, self.reason, self.advice)
    }
}

/// Reference figures for the checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watchdog {
    /// Validation loss of the training means.
    pub(crate) constant_loss: f64,
    /// True if ridge regression has skill on the validation samples; `None` if unknown.
    pub(crate) learnable: Option<bool>,
    pub(crate) weight_decay: f64,
}

impl Watchdog {
    /// Checks all epochs so far.
    pub(crate) fn check(&self, epochs: &[Epoch]) -> Option<WatchdogAlarm> {
        let last = epochs.last()?;
        if !last.is_finite() {
            let reason = format!(
                "epoch {} has a training loss of {} and a validation loss of {}",
                last.epoch, last.train_loss, last.validation_loss
            );
            let advice = "lower forecast.learning_rate or forecast.max_grad_norm, and check the tape for outliers";
            return Some(WatchdogAlarm { kind: AlarmKind::NotFinite, reason, advice: advice.to_owned() });
        }
        self.exploding(epochs).or_else(|| self.frozen(epochs)).or_else(|| self.collapsed(epochs))
    }

    fn exploding(&self, epochs: &[Epoch]) -> Option<WatchdogAlarm> {
        let [.., first, second, third] = epochs else { return None };
        let losses = [first, second, third].map(|epoch| epoch.validation_loss);
        let bound = EXPLODING_FACTOR * self.constant_loss.max(1e-9);
        (losses[1] > bound && losses[2] > bound && losses.is_sorted()).then(|| WatchdogAlarm {
            kind: AlarmKind::Exploding,
            reason: format!(
                "the validation loss rose to {:.4} within three epochs, {:.0} times that of the training mean ({:.4})",
                losses[2],
                losses[2] / self.constant_loss,
                self.constant_loss
            ),
            advice: "lower forecast.learning_rate".to_owned(),
        })
    }

    fn frozen(&self, epochs: &[Epoch]) -> Option<WatchdogAlarm> {
        let recent = epochs.get(epochs.len().checked_sub(WINDOW)?..)?;
        let (first, last) = (recent.first()?, recent.last()?);
        let params_are_still = recent[1..].iter().all(|epoch| epoch.movement < MIN_MOVEMENT);
        let is_flat = |pair: &[Epoch]| {
            (pair[1].train_loss - pair[0].train_loss).abs() < MIN_LOSS_CHANGE * pair[0].train_loss.abs()
        };
        let loss_is_flat = recent.windows(2).all(is_flat) && last.is_collapsed(MIN_SPREAD);
        if !params_are_still && !loss_is_flat {
            return None;
        }
        let moved =
            format!("the training loss went from {:.4} to {:.4} in {WINDOW} epochs", first.train_loss, last.train_loss);
        let (reason, advice) = if params_are_still {
            (
                format!("{moved}, and the parameters moved by only {:.1e} of their norm", last.movement),
                "raise forecast.learning_rate; with relu, lower it and restart: all units may be dead".to_owned(),
            )
        } else {
            (
                format!("{moved}; the validation loss of the training mean is {:.4}", self.constant_loss),
                self.no_learning_advice(),
            )
        };
        Some(WatchdogAlarm { kind: AlarmKind::Frozen, reason, advice })
    }

    fn collapsed(&self, epochs: &[Epoch]) -> Option<WatchdogAlarm> {
        let recent = epochs.get(epochs.len().checked_sub(WINDOW)?..)?;
        let last = recent.last()?;
        recent.iter().all(|epoch| epoch.is_collapsed(MIN_SPREAD)).then(|| WatchdogAlarm {
            kind: AlarmKind::Collapsed,
            reason: format!(
                "for {WINDOW} epochs the standard deviation of all forecasts was below {:.1} % of their targets' (now {:.3} %)",
                100.0 * MIN_SPREAD,
                100.0 * last.max_std_ratio()
            ),
            advice: self.no_learning_advice(),
        })
    }

    /// Returns the remedy for a training that learns nothing.
    fn no_learning_advice(&self) -> String {
        match self.learnable {
            Some(false) => {
                "ridge regression finds no signal in these inputs either: there may be nothing to learn, or only a nonlinear signal \
                 with a weak gradient at small weights; lower forecast.weight_decay to test for it"
                    .to_owned()
            }
            Some(true) if self.weight_decay > 0.0 => format!(
                "ridge regression finds a signal in these inputs: lower forecast.weight_decay ({}), which outweighs the gradient",
                self.weight_decay
            ),
            _ => "lower forecast.weight_decay and forecast.dropout, or raise forecast.learning_rate".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Outcomes, Scores, TargetKind};

    const WATCHDOG: Watchdog = Watchdog { constant_loss: 1.0, learnable: Some(true), weight_decay: 1e-3 };

    /// An epoch whose forecasts of two targets have these shares of the standard deviation.
    fn epoch(number: usize, losses: (f64, f64), movement: f64, std_ratios: [f32; 2]) -> Epoch {
        let actual: Vec<f32> = (0..100).map(|i| ((i * 37) % 100) as f32 - 50.0).collect();
        let block: Vec<u32> = (0..100).map(|i| i / 10).collect();
        let scores = |spread: f32| {
            let predicted: Vec<f32> = actual.iter().map(|y| spread * y).collect();
            Scores::of(
                TargetKind::Return,
                &Outcomes { predicted: &predicted, actual: &actual, block: &block, train_mean: 0.0 },
            )
        };
        Epoch {
            epoch: number,
            learning_rate: 1e-3,
            train_loss: losses.0,
            validation_loss: losses.1,
            gradient_norm: 1.0,
            movement,
            score: 0.0,
            targets: std_ratios.map(scores).to_vec(),
        }
    }

    fn alarm(epochs: &[Epoch]) -> Option<AlarmKind> {
        WATCHDOG.check(epochs).map(|alarm| alarm.kind)
    }

    fn epochs(count: usize, loss: fn(usize) -> (f64, f64), movement: f64, std_ratios: [f32; 2]) -> Vec<Epoch> {
        (1..=count).map(|number| epoch(number, loss(number), movement, std_ratios)).collect()
    }

    #[test]
    fn a_non_finite_loss_stops_at_once() {
        assert_eq!(alarm(&[epoch(1, (f64::NAN, 1.0), 0.1, [0.5; 2])]), Some(AlarmKind::NotFinite));
        assert_eq!(alarm(&[epoch(1, (1.0, 1.0), 0.1, [f32::NAN, 0.5])]), Some(AlarmKind::NotFinite));
    }

    #[test]
    fn a_rising_loss_is_exploding_and_a_falling_one_is_not() {
        let rising = epochs(3, |n| (1.0, 10.0 * n as f64), 0.1, [0.5; 2]);
        assert_eq!(alarm(&rising), Some(AlarmKind::Exploding));
        let falling: Vec<Epoch> = rising.into_iter().rev().collect();
        assert_eq!(alarm(&falling), None, "large first weights are no explosion");
    }

    #[test]
    fn constant_parameters_or_a_constant_loss_are_frozen() {
        let params_are_still = |n| (1.0 - 0.01 * n as f64, 1.0);
        assert_eq!(alarm(&epochs(6, params_are_still, 1e-8, [0.5; 2])), Some(AlarmKind::Frozen), "parameters");
        let loss_is_flat = epochs(6, |n| (0.34742 - 1.5e-5 * n as f64, 0.347), 0.1, [0.002, 0.001]);
        assert_eq!(alarm(&loss_is_flat), Some(AlarmKind::Frozen), "the loss");
        let advice = WATCHDOG.check(&loss_is_flat).unwrap().to_string();
        assert!(
            advice.contains("from 0.3474 to 0.3473 in 5 epochs")
                && advice.contains("lower forecast.weight_decay (0.001)"),
            "{advice}"
        );
        assert_eq!(alarm(&loss_is_flat[2..]), None, "four epochs in a row may be chance");
    }

    #[test]
    fn one_shrinking_target_is_fine_and_all_of_them_are_a_collapse() {
        let moving = |n| (1.0 - 0.01 * n as f64, 1.0);
        assert_eq!(alarm(&epochs(9, moving, 0.1, [0.001, 0.3])), None);
        assert_eq!(alarm(&epochs(5, moving, 0.1, [0.001, 0.002])), Some(AlarmKind::Collapsed));
        assert_eq!(alarm(&epochs(9, moving, 0.1, [0.034, 0.06])), None, "an R² of 0.004 has six percent of the spread");
        let blind = Watchdog { learnable: Some(false), ..WATCHDOG };
        let advice = blind.check(&epochs(5, moving, 0.1, [0.0; 2])).unwrap().advice;
        assert!(advice.contains("there may be nothing to learn"), "{advice}");
    }
}
