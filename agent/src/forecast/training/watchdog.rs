//! Ends a training that cannot come to anything, with the reason and what to change.
//!
//! It looks at whole epochs and whole sets of predictions, and at all targets together: one unpredictable target whose forecasts shrink is
//! honest, all of them at once mean that nothing is learned.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::forecast::Epoch;

/// Epochs in a row that it takes.
const EPOCHS: usize = 5;
/// Spread of forecasts, as a share of the target's, below which a target's forecasts are all alike: an R² of one in ten thousand has ten
/// times as much in variance.
const ALIKE: f64 = 0.003;
/// Relative change of the training loss below which an epoch changed nothing.
const UNCHANGED: f64 = 3e-4;
/// Relative movement of the parameters below which they stand still.
const STILL: f64 = 1e-6;
/// Multiple of the constant predictor's loss from which a rising loss is an explosion.
const EXPLODED: f64 = 10.0;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A loss or a forecast is not a number.
    NotFinite,
    /// The loss runs away.
    Exploding,
    /// The parameters stand still, or the loss does while the forecasts of every target are alike.
    Frozen,
    /// The forecasts of every target are alike.
    Collapsed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "not finite",
            Self::Exploding => "exploding",
            Self::Frozen => "frozen",
            Self::Collapsed => "collapsed",
        })
    }
}

/// Why a training was ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// What went wrong.
    pub trouble: Trouble,
    /// The numbers that say so.
    pub reason: String,
    /// What to change.
    pub advice: String,
}

impl fmt::Display for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.trouble, self.reason, self.advice)
    }
}

/// What the watch compares epochs with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watchdog {
    /// Validation loss of the training means.
    pub(crate) constant_loss: f64,
    /// Whether a linear predictor of the same inputs has skill on the validation samples, if that is known.
    pub(crate) learnable: Option<bool>,
    pub(crate) weight_decay: f64,
}

impl Watchdog {
    /// Looks at all epochs so far.
    pub(crate) fn look(&self, epochs: &[Epoch]) -> Option<Emergency> {
        let last = epochs.last()?;
        if !last.is_finite() {
            let reason = format!(
                "in epoch {} the loss is {} and on validation {}",
                last.epoch, last.train_loss, last.validation_loss
            );
            let advice = "lower forecast.learning_rate or forecast.max_grad_norm, and check the tape for huge values";
            return Some(Emergency { trouble: Trouble::NotFinite, reason, advice: advice.to_owned() });
        }
        self.exploding(epochs).or_else(|| self.frozen(epochs)).or_else(|| self.collapsed(epochs))
    }

    fn exploding(&self, epochs: &[Epoch]) -> Option<Emergency> {
        let [.., first, second, third] = epochs else { return None };
        let losses = [first, second, third].map(|epoch| epoch.validation_loss);
        let bound = EXPLODED * self.constant_loss.max(1e-9);
        (losses[1] > bound && losses[2] > bound && losses.is_sorted()).then(|| Emergency {
            trouble: Trouble::Exploding,
            reason: format!(
                "the validation loss rose to {:.4} in three epochs, {:.0} times that of the training mean ({:.4})",
                losses[2],
                losses[2] / self.constant_loss,
                self.constant_loss
            ),
            advice: "lower forecast.learning_rate".to_owned(),
        })
    }

    fn frozen(&self, epochs: &[Epoch]) -> Option<Emergency> {
        let recent = epochs.get(epochs.len().checked_sub(EPOCHS)?..)?;
        let (first, last) = (recent.first()?, recent.last()?);
        let still = recent[1..].iter().all(|epoch| epoch.movement < STILL);
        let unchanged =
            |pair: &[Epoch]| (pair[1].train_loss - pair[0].train_loss).abs() < UNCHANGED * pair[0].train_loss.abs();
        let stays = recent.windows(2).all(unchanged) && last.all_alike(ALIKE);
        if !still && !stays {
            return None;
        }
        let moved =
            format!("the training loss went from {:.4} to {:.4} in {EPOCHS} epochs", first.train_loss, last.train_loss);
        let (reason, advice) = if still {
            (
                format!("{moved}, and the parameters moved by {:.1e} of their size", last.movement),
                "raise forecast.learning_rate; with relu, lower it and start again: its units may all be off"
                    .to_owned(),
            )
        } else {
            (
                format!("{moved}, where the training mean's validation loss is {:.4}", self.constant_loss),
                self.unlearned(),
            )
        };
        Some(Emergency { trouble: Trouble::Frozen, reason, advice })
    }

    fn collapsed(&self, epochs: &[Epoch]) -> Option<Emergency> {
        let recent = epochs.get(epochs.len().checked_sub(EPOCHS)?..)?;
        let last = recent.last()?;
        recent.iter().all(|epoch| epoch.all_alike(ALIKE)).then(|| Emergency {
            trouble: Trouble::Collapsed,
            reason: format!(
                "for {EPOCHS} epochs the forecasts of every target have less than {:.1} % of its spread (now {:.3} %)",
                100.0 * ALIKE,
                100.0 * last.widest()
            ),
            advice: self.unlearned(),
        })
    }

    /// What to change where nothing is learned.
    fn unlearned(&self) -> String {
        match self.learnable {
            Some(false) => {
                "a linear predictor finds nothing in these inputs either: there may be nothing to learn, or only what small weights do not \
                 feel; lower forecast.weight_decay to tell"
                    .to_owned()
            }
            Some(true) if self.weight_decay > 0.0 => format!(
                "a linear predictor does find something in these inputs: lower forecast.weight_decay ({}), it outweighs the gradient",
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

    const DOG: Watchdog = Watchdog { constant_loss: 1.0, learnable: Some(true), weight_decay: 1e-3 };

    /// An epoch whose forecasts of two targets have some share of their spread.
    fn epoch(number: usize, losses: (f64, f64), movement: f64, spreads: [f32; 2]) -> Epoch {
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
            targets: spreads.map(scores).to_vec(),
        }
    }

    fn trouble(epochs: &[Epoch]) -> Option<Trouble> {
        DOG.look(epochs).map(|emergency| emergency.trouble)
    }

    fn alike(count: usize, loss: fn(usize) -> (f64, f64), movement: f64, spreads: [f32; 2]) -> Vec<Epoch> {
        (1..=count).map(|number| epoch(number, loss(number), movement, spreads)).collect()
    }

    #[test]
    fn a_loss_that_is_no_number_ends_it_at_once() {
        assert_eq!(trouble(&[epoch(1, (f64::NAN, 1.0), 0.1, [0.5; 2])]), Some(Trouble::NotFinite));
        assert_eq!(trouble(&[epoch(1, (1.0, 1.0), 0.1, [f32::NAN, 0.5])]), Some(Trouble::NotFinite));
    }

    #[test]
    fn a_loss_that_runs_away_is_told_from_one_that_comes_down() {
        let up = alike(3, |n| (1.0, 10.0 * n as f64), 0.1, [0.5; 2]);
        assert_eq!(trouble(&up), Some(Trouble::Exploding));
        let down: Vec<Epoch> = up.into_iter().rev().collect();
        assert_eq!(trouble(&down), None, "large first weights are no explosion");
    }

    #[test]
    fn a_training_that_stands_still_is_frozen_whatever_stands_still() {
        let still = |n| (1.0 - 0.01 * n as f64, 1.0);
        assert_eq!(trouble(&alike(6, still, 1e-8, [0.5; 2])), Some(Trouble::Frozen), "parameters");
        let stays = alike(6, |n| (0.34742 - 1.5e-5 * n as f64, 0.347), 0.1, [0.002, 0.001]);
        assert_eq!(trouble(&stays), Some(Trouble::Frozen), "the loss");
        let advice = DOG.look(&stays).unwrap().to_string();
        assert!(
            advice.contains("from 0.3474 to 0.3473 in 5 epochs")
                && advice.contains("lower forecast.weight_decay (0.001)"),
            "{advice}"
        );
        assert_eq!(trouble(&stays[2..]), None, "four epochs in a row may be chance");
    }

    #[test]
    fn one_target_that_shrinks_is_honest_and_all_of_them_are_a_collapse() {
        let moving = |n| (1.0 - 0.01 * n as f64, 1.0);
        assert_eq!(trouble(&alike(9, moving, 0.1, [0.001, 0.3])), None);
        assert_eq!(trouble(&alike(5, moving, 0.1, [0.001, 0.002])), Some(Trouble::Collapsed));
        assert_eq!(
            trouble(&alike(9, moving, 0.1, [0.034, 0.06])),
            None,
            "an R² of 0.004 has six percent of the spread"
        );
        let blind = Watchdog { learnable: Some(false), ..DOG };
        let advice = blind.look(&alike(5, moving, 0.1, [0.0; 2])).unwrap().advice;
        assert!(advice.contains("there may be nothing to learn"), "{advice}");
    }
}
