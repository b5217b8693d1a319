//! One epoch of a forecaster's training, in numbers.

use serde::{Deserialize, Serialize};

use crate::forecast::{RegressionScores, Scores};

/// One pass over the training samples, judged on all validation samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the pass, from 1.
    pub epoch: usize,
    /// Step size of its last minibatch.
    pub learning_rate: f64,
    /// Mean loss over its minibatches, units left out.
    pub train_loss: f64,
    /// Mean loss over the validation samples, nothing left out.
    pub validation_loss: f64,
    /// Mean norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// How far the parameters moved, over their norm.
    pub movement: f64,
    /// What early stopping watches, the larger the better.
    pub score: f64,
    /// The validation scores of each target; nothing where it is not known of any sample. `[M]`
    pub targets: Vec<Option<Scores>>,
}

impl Epoch {
    /// Returns the mean R² of the regression targets.
    pub fn mean_r2(&self) -> f64 {
        let (sum, count) = self.regressions().fold((0.0, 0.0), |(sum, count), scores| (sum + scores.r2, count + 1.0));
        sum / count
    }

    fn regressions(&self) -> impl Iterator<Item = &RegressionScores> {
        self.targets.iter().flatten().filter_map(Scores::regression)
    }

    /// Returns the line that the old logs had, for the first target, which is the return of the first horizon.
    pub fn line(&self) -> String {
        let Some(scores) = self.regressions().next() else { return format!("Epoch {}", self.epoch) };
        let (ratio, std) = (100.0 * scores.std_ratio, scores.fit.pred_std);
        format!("Epoch {} | R²: {:.3} | Var Ratio: {ratio:.1}% | Pred Std: {std:.2}", self.epoch, scores.r2)
    }

    /// The largest spread of forecasts among the regression targets, as a share of the target's.
    pub(crate) fn widest(&self) -> f64 {
        self.regressions().map(|scores| scores.std_ratio).fold(0.0, f64::max)
    }

    pub(crate) fn all_alike(&self, share: f64) -> bool {
        self.widest() < share
    }

    pub(crate) fn is_finite(&self) -> bool {
        let losses = [self.train_loss, self.validation_loss, self.score];
        losses.iter().all(|loss| loss.is_finite())
            && self.targets.iter().flatten().all(|scores| scores.not_finite() == 0)
    }
}
