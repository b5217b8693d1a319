//! Standardisation of tape features with moments of the training sessions; part of the model, never refitted on other
//! data.

use std::ops::Range;

use crate::AgentError;

/// Clip range of normalised features in standard deviations, as in `VecNormalize` of Stable-Baselines3.
pub(crate) const CLIP: f32 = 10.0;
/// Standard deviation, as a share of the mean, below which a feature counts as constant.
const CONSTANT: f64 = 1e-6;

/// Mean and scale of every tape feature. Account columns are not normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalizer {
    /// Mean of each feature. `[F]`
    pub mean: Vec<f32>,
    /// Standard deviation of each feature, 1 for a constant one. `[F]`
    pub scale: Vec<f32>,
}

impl Normalizer {
    /// Returns a normaliser with mean 0 and scale 1 (it still clips).
    pub fn identity(features: usize) -> Self {
        Self { mean: vec![0.0; features], scale: vec![1.0; features] }
    }

    /// Returns the moments of the visible rows of a tape `[T, features]`; a row in two ranges counts twice.
    ///
    /// # Errors
    /// [`AgentError::Tape`] when a visible value is not finite.
    ///
    /// # Panics
    /// If a range ends after the tape.
    pub fn fit(tape: &[f32], features: usize, visible_rows: &[Range<usize>]) -> Result<Self, AgentError> {
        let rows: usize = visible_rows.iter().map(Range::len).sum();
        if features == 0 || rows == 0 {
            return Ok(Self::identity(features));
        }
        let mut sum = vec![0.0; features];
        for (row, values) in visible(tape, features, visible_rows) {
            for (column, (total, &value)) in sum.iter_mut().zip(values).enumerate() {
                if !value.is_finite() {
                    return Err(AgentError::Tape { feature: format!("number {column}"), row, value });
                }
                *total += f64::from(value);
            }
        }
        let mean: Vec<f64> = sum.iter().map(|total| total / rows as f64).collect();
        let mut squares = vec![0.0; features];
        for (_, values) in visible(tape, features, visible_rows) {
            for ((total, &value), mean) in squares.iter_mut().zip(values).zip(&mean) {
                *total += (f64::from(value) - mean).powi(2);
            }
        }
        let scale = squares.iter().zip(&mean).map(|(total, mean)| {
            let deviation = (total / rows as f64).sqrt();
            if deviation > CONSTANT * mean.abs().max(1.0) { deviation as f32 } else { 1.0 }
        });
        Ok(Self { scale: scale.collect(), mean: mean.iter().map(|&mean| mean as f32).collect() })
    }

    /// Returns the standardised and clipped copy of a tape `[T, F]`.
    ///
    /// # Panics
    /// If the tape has another number of features.
    pub fn apply(&self, tape: &[f32]) -> Vec<f32> {
        let features = self.mean.len();
        assert!(features > 0 || tape.is_empty(), "a tape without features is empty");
        assert!(tape.is_empty() || tape.len().is_multiple_of(features), "the tape is [T, {features}]");
        let columns = self.mean.iter().zip(&self.scale).cycle();
        tape.iter().zip(columns).map(|(&x, (&mean, &scale))| ((x - mean) / scale).clamp(-CLIP, CLIP)).collect()
    }
}

fn visible<'a>(
    tape: &'a [f32],
    features: usize,
    rows: &'a [Range<usize>],
) -> impl Iterator<Item = (usize, &'a [f32])> + 'a {
    rows.iter().cloned().flatten().map(move |row| (row, &tape[row * features..(row + 1) * features]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_from_visible_rows_only() {
        let tape = [1.0, 7.0, 3.0, 7.0, 1000.0, -5.0, 5.0, 7.0];
        let normalizer = Normalizer::fit(&tape, 2, &[0..2, 3..4]).unwrap();
        let deviation = (8.0f32 / 3.0).sqrt();
        assert_eq!(normalizer, Normalizer { mean: vec![3.0, 7.0], scale: vec![deviation, 1.0] });
        let normal = normalizer.apply(&tape);
        assert_eq!(normal[..4], [-2.0 / deviation, 0.0, 0.0, 0.0]);
        assert_eq!(normal[4..6], [CLIP, -CLIP], "rows outside the training range are clipped");
    }

    #[test]
    fn a_non_finite_value_is_reported_with_row_and_feature() {
        let error = Normalizer::fit(&[0.0, 1.0, 2.0, f32::NAN], 2, &[0..1, 1..2]).unwrap_err().to_string();
        assert_eq!(error, "feature number 1 is NaN in tape row 1; repair the data before training");
    }
}
