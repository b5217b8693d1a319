//! Samples that a forecaster learns from or is judged on: where each window ends, and what came.

use std::ops::Range;

use crate::{
    AgentError, Normalizer,
    forecast::{Target, TargetKind},
};

/// A tape of features and some moments on it. `[T, F]` features, `N` samples, `M` targets.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Newest tape row of each sample. `[N]`
    pub row: Vec<u32>,
    /// Oldest tape row that each may show; a longer window repeats it. `[N]`
    pub first_row: Vec<u32>,
    /// What came, in the targets' own units, directions 1 for up and 0 for down or unchanged; not a number where it is not known.
    /// `[N, M]`
    pub actual: Vec<f32>,
    /// Number of the date of each sample: what happens on one date is one piece of evidence. `[N]`
    pub block: Vec<u32>,
}

impl Samples {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Returns what came of one target. `[N]`
    pub fn column(&self, target: usize) -> Vec<f32> {
        let targets = self.actual.len() / self.len().max(1);
        self.actual.iter().skip(target).step_by(targets.max(1)).copied().collect()
    }

    /// Returns the tape rows that the samples end at, as ranges for a normaliser.
    pub(crate) fn rows(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for &row in &self.row {
            let row = row as usize;
            match ranges.last_mut() {
                Some(last) if last.end == row => last.end += 1,
                _ => ranges.push(row..row + 1),
            }
        }
        ranges
    }
}

/// Mean and deviation of every target over the training samples: the scale that it is learned in, and the constant to beat.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetMoments {
    /// Mean; of a direction the share of ups. `[M]`
    pub mean: Vec<f64>,
    /// Standard deviation. `[M]`
    pub std: Vec<f64>,
}

impl TargetMoments {
    /// Measures them.
    ///
    /// # Errors
    /// [`AgentError::Forecast`] for a target that is known of fewer than two samples, or is the same in all.
    pub fn of(samples: &Samples, targets: &[Target]) -> Result<Self, AgentError> {
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for (index, target) in targets.iter().enumerate() {
            let known: Vec<f64> =
                samples.column(index).iter().filter(|y| y.is_finite()).map(|&y| f64::from(y)).collect();
            let center = statistics::mean(&known);
            let variance = statistics::variance(&known);
            if known.len() < 2 || variance <= 0.0 {
                let count = known.len();
                return Err(AgentError::Forecast(format!(
                    "{target} is known of {count} training samples and does not vary"
                )));
            }
            mean.push(center);
            std.push(variance.sqrt());
        }
        Ok(Self { mean, std })
    }
}

/// A normalised tape with the samples to learn from and those to stop by.
#[derive(Debug, Clone)]
pub struct ForecastData {
    /// Names of the tape's columns. `[F]`
    pub features: Vec<String>,
    /// The tape, as it was computed. `[T, F]`
    pub tape: Vec<f32>,
    /// The targets. `[M]`
    pub targets: Vec<Target>,
    /// What is learned from.
    pub train: Samples,
    /// What tells when to stop.
    pub validation: Samples,
}

impl ForecastData {
    /// Fits the normaliser on the rows that the training samples end at.
    pub(crate) fn normalizer(&self) -> Result<Normalizer, AgentError> {
        Normalizer::fit(&self.tape, self.features.len(), &self.train.rows())
    }

    /// Positions of the targets of some kinds.
    pub(crate) fn positions(targets: &[Target], wanted: impl Fn(TargetKind) -> bool) -> Vec<i64> {
        (0..).zip(targets).filter(|(_, target)| wanted(target.kind)).map(|(index, _)| index).collect()
    }
}
