//! Pairs of forecasts and realised outcomes, grouped by session.

use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::{GoodnessOfFit, Sums as _, total};

/// Kind of a forecast target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// The forward return, in basis points.
    Return,
    /// The realised volatility ahead, in basis points.
    Volatility,
    /// The probability that the price rises.
    Direction,
}

impl TargetKind {
    /// All kinds, in the order of a forecaster's outputs.
    pub const ALL: [Self; 3] = [Self::Return, Self::Volatility, Self::Direction];
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Return => "return",
            Self::Volatility => "volatility",
            Self::Direction => "direction",
        })
    }
}

/// Forecasts and realised outcomes of one target. Pairs with a NaN outcome do not count: the target was not available.
#[derive(Debug, Clone, Copy)]
pub struct Outcomes<'a> {
    /// Forecasts. `[N]`
    pub predicted: &'a [f32],
    /// Realised outcomes; for a direction 1 for a rise and 0 for a fall. `[N]`
    pub actual: &'a [f32],
    /// Session number, ascending in time; all symbols of a date form one block. `[N]`
    pub block: &'a [u32],
    /// Mean of the target over the training samples, the constant forecast.
    pub train_mean: f64,
}

/// Pairs with a known outcome and a finite forecast.
pub(in crate::forecast) struct Pairs {
    /// Forecast and outcome.
    pub(in crate::forecast) values: Vec<(f32, f32)>,
    /// Index of each pair's session among those present.
    session: Vec<usize>,
    pub(in crate::forecast) sessions: usize,
    /// Non-finite forecasts; their pairs are excluded.
    pub(in crate::forecast) not_finite: u64,
    pub(in crate::forecast) train_mean: f64,
}

impl Pairs {
    /// Selects the pairs; `None` without a known outcome.
    ///
    /// # Panics
    /// If the lengths differ, or an outcome is infinite.
    pub(in crate::forecast) fn of(outcomes: &Outcomes<'_>) -> Option<Self> {
        let Outcomes { predicted, actual, block, train_mean } = *outcomes;
        assert!(predicted.len() == actual.len() && actual.len() == block.len(), "an outcome and a block per forecast");
        assert!(!actual.iter().any(|y| y.is_infinite()), "an outcome is infinite");
        let known: Vec<usize> = (0..actual.len()).filter(|&i| !actual[i].is_nan()).collect();
        let finite: Vec<usize> = known.iter().copied().filter(|&i| predicted[i].is_finite()).collect();
        let mut dates: Vec<u32> = finite.iter().map(|&i| block[i]).collect();
        dates.sort_unstable();
        dates.dedup();
        (!known.is_empty()).then(|| Self {
            values: finite.iter().map(|&i| (predicted[i], actual[i])).collect(),
            session: finite.iter().map(|&i| dates.partition_point(|&date| date < block[i])).collect(),
            sessions: dates.len(),
            not_finite: (known.len() - finite.len()) as u64,
            train_mean,
        })
    }

    /// Returns the goodness of fit; all zero without a finite forecast.
    pub(in crate::forecast) fn fit(&self) -> GoodnessOfFit {
        GoodnessOfFit::of(self.values.iter().copied()).unwrap_or_default()
    }

    /// Sums one row per pair, given its index, forecast and outcome, by session.
    pub(in crate::forecast) fn sums<const K: usize>(&self, row: impl Fn(usize, f64, f64) -> [f64; K]) -> Vec<[f64; K]> {
        let mut sums = vec![[0.0; K]; self.sessions];
        for (i, (&(p, y), &session)) in self.values.iter().zip(&self.session).enumerate() {
            sums[session].add(&row(i, f64::from(p), f64::from(y)));
        }
        sums
    }

    /// Returns the mean of a function of forecast and outcome; 0 without a finite forecast.
    pub(in crate::forecast) fn mean(&self, number: impl Fn(f64, f64) -> f64) -> f64 {
        let [sum] = total(&self.sums(|_, p, y| [number(p, y)]));
        sum / self.values.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_outcomes_are_excluded_and_non_finite_forecasts_counted() {
        let outcomes = Outcomes {
            predicted: &[1.0, f32::NAN, f32::INFINITY, 4.0, f32::NAN],
            actual: &[2.0, 3.0, 4.0, 5.0, f32::NAN],
            block: &[900, 20, 20, 7, 7],
            train_mean: 0.0,
        };
        let pairs = Pairs::of(&outcomes).unwrap();
        assert_eq!((pairs.values.as_slice(), pairs.not_finite), ([(1.0, 2.0), (4.0, 5.0)].as_slice(), 2));
        assert_eq!((pairs.session.as_slice(), pairs.sessions), ([1, 0].as_slice(), 2), "in the order of dates");
        assert_eq!(pairs.sums(|i, p, y| [i as f64, p, y]), [[1.0, 4.0, 5.0], [0.0, 1.0, 2.0]]);
        assert_eq!(pairs.mean(|p, y| y - p), 1.0);
        let unknown = Outcomes { actual: &[f32::NAN; 5], ..outcomes };
        assert!(Pairs::of(&unknown).is_none());
        let broken = Pairs::of(&Outcomes { predicted: &[f32::NAN; 5], ..outcomes }).unwrap();
        assert_eq!((broken.not_finite, broken.fit(), broken.mean(|p, _| p)), (4, GoodnessOfFit::default(), 0.0));
    }

    #[test]
    #[should_panic(expected = "an outcome is infinite")]
    fn an_infinite_outcome_panics() {
        Pairs::of(&Outcomes { predicted: &[0.0], actual: &[f32::INFINITY], block: &[0], train_mean: 0.0 });
    }

    #[test]
    fn kinds_display_as_they_serialise() {
        for kind in [TargetKind::Return, TargetKind::Volatility, TargetKind::Direction] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
