//! Forecasts beside what came: which pairs count, and to which session each belongs.

use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::{GoodnessOfFit, Sums as _, total};

/// What is forecast.
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

/// Forecasts of one target beside what came, all of them. A pair whose outcome is not a number does not count: the target
/// was not available there.
#[derive(Debug, Clone, Copy)]
pub struct Outcomes<'a> {
    /// What was forecast.
    pub predicted: &'a [f32],
    /// What came; for a direction 1 where the price rose and 0 where it fell.
    pub actual: &'a [f32],
    /// Number of the session date, rising with time: all symbols of a date move together and are one block.
    pub block: &'a [u32],
    /// Mean of the target over the training samples: what a model without an input forecasts.
    pub train_mean: f64,
}

/// The pairs that count.
pub(in crate::forecast) struct Pairs {
    /// Forecast and outcome.
    pub(in crate::forecast) of: Vec<(f32, f32)>,
    /// Position of each pair's session among those present.
    session: Vec<usize>,
    pub(in crate::forecast) sessions: usize,
    /// Forecasts that are no finite number; their pairs are left out.
    pub(in crate::forecast) not_finite: u64,
    pub(in crate::forecast) train_mean: f64,
}

impl Pairs {
    /// Selects the pairs; nothing where no outcome is known.
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
            of: finite.iter().map(|&i| (predicted[i], actual[i])).collect(),
            session: finite.iter().map(|&i| dates.partition_point(|&date| date < block[i])).collect(),
            sessions: dates.len(),
            not_finite: (known.len() - finite.len()) as u64,
            train_mean,
        })
    }

    /// Compares forecasts with outcomes; all zero where no forecast is finite.
    pub(in crate::forecast) fn fit(&self) -> GoodnessOfFit {
        GoodnessOfFit::of(self.of.iter().copied()).unwrap_or_default()
    }

    /// Adds up one row per pair, given its position, forecast and outcome, by session.
    pub(in crate::forecast) fn sums<const K: usize>(&self, row: impl Fn(usize, f64, f64) -> [f64; K]) -> Vec<[f64; K]> {
        let mut sums = vec![[0.0; K]; self.sessions];
        for (i, (&(p, y), &session)) in self.of.iter().zip(&self.session).enumerate() {
            sums[session].add(&row(i, f64::from(p), f64::from(y)));
        }
        sums
    }

    /// Mean of a number of each forecast and outcome; 0 where no forecast is finite.
    pub(in crate::forecast) fn mean(&self, number: impl Fn(f64, f64) -> f64) -> f64 {
        let [sum] = total(&self.sums(|_, p, y| [number(p, y)]));
        sum / self.of.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_outcomes_are_left_out_and_broken_forecasts_counted() {
        let outcomes = Outcomes {
            predicted: &[1.0, f32::NAN, f32::INFINITY, 4.0, f32::NAN],
            actual: &[2.0, 3.0, 4.0, 5.0, f32::NAN],
            block: &[900, 20, 20, 7, 7],
            train_mean: 0.0,
        };
        let pairs = Pairs::of(&outcomes).unwrap();
        assert_eq!((pairs.of.as_slice(), pairs.not_finite), ([(1.0, 2.0), (4.0, 5.0)].as_slice(), 2));
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
    fn an_infinite_outcome_is_a_fault_of_the_data() {
        Pairs::of(&Outcomes { predicted: &[0.0], actual: &[f32::INFINITY], block: &[0], train_mean: 0.0 });
    }

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for kind in [TargetKind::Return, TargetKind::Volatility, TargetKind::Direction] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
