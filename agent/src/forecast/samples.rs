//! Samples of a forecaster: the end of each window, and the realised targets.

use std::ops::Range;

use crate::{
    AgentError, Normalizer,
    forecast::{Target, TargetKind},
};

/// Positions on a feature tape with their realised targets. `N` samples, `M` targets.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Newest tape row of each sample. `[N]`
    pub row: Vec<u32>,
    /// Oldest tape row of each window; a longer window repeats it. `[N]`
    pub first_row: Vec<u32>,
    /// Realised targets in their own units, directions 1 for up and 0 for down or unchanged; NaN where unknown. `[N,
    /// M]`
    pub actual: Vec<f32>,
    /// Date number of each sample; all samples of one date form one block. `[N]`
    pub block: Vec<u32>,
}

impl Samples {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Returns the realised values of one target. `[N]`
    pub fn column(&self, target: usize) -> Vec<f32> {
        let targets = self.actual.len() / self.len().max(1);
        self.actual.iter().skip(target).step_by(targets.max(1)).copied().collect()
    }

    /// Returns the last tape rows of the windows as ranges, for a normaliser.
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

/// Mean and standard deviation of every target over the training samples: the scale of the loss, and the constant
/// forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetMoments {
    /// Mean; for a direction the share of rises. `[M]`
    pub mean: Vec<f64>,
    /// Standard deviation. `[M]`
    pub std: Vec<f64>,
}

impl TargetMoments {
    /// Computes the moments of the known values.
    ///
    /// # Errors
    /// [`AgentError::Forecast`] for a target with fewer than two known values or without variance.
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
                    "{target} has {count} known training values, all equal; drop this target or add data"
                )));
            }
            mean.push(center);
            std.push(variance.sqrt());
        }
        Ok(Self { mean, std })
    }
}

/// Feature tape with training and validation samples.
#[derive(Debug, Clone)]
pub struct ForecastData {
    /// Names of the tape's columns. `[F]`
    pub features: Vec<String>,
    /// Raw feature tape. `[T, F]`
    pub tape: Vec<f32>,
    /// The targets. `[M]`
    pub targets: Vec<Target>,
    /// Training samples.
    pub train: Samples,
    /// Validation samples, for early stopping.
    pub validation: Samples,
}

impl ForecastData {
    /// Fits the normaliser on the last rows of the training windows.
    pub(crate) fn normalizer(&self) -> Result<Normalizer, AgentError> {
        Normalizer::fit(&self.tape, self.features.len(), &self.train.rows())
    }

    /// Returns the positions of the targets of the wanted kinds.
    pub(crate) fn positions(targets: &[Target], wanted: impl Fn(TargetKind) -> bool) -> Vec<i64> {
        (0..).zip(targets).filter(|(_, target)| wanted(target.kind)).map(|(index, _)| index).collect()
    }
}
