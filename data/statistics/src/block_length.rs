//! Automatic length of the blocks of a block bootstrap.

use crate::mean;

/// Optimal mean length of stationary blocks, and length of circular ones, in dates; 1 or more is not guaranteed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockLength {
    /// For the stationary bootstrap.
    pub stationary: f64,
    /// For the circular bootstrap.
    pub circular: f64,
}

/// Fewest dates of which a length can be estimated.
const FEWEST: usize = 12;

impl BlockLength {
    /// Estimates the lengths that give the mean of a series the most accurate variance. Returns `None` for fewer than 12
    /// dates and for a series without variance.
    ///
    /// # Source
    /// Politis & White 2004, "Automatic block-length selection for the dependent bootstrap", with the correction of
    /// Patton, Politis & White 2009.
    pub fn of(pnl: &[f64]) -> Option<Self> {
        if pnl.len() < FEWEST || pnl.iter().all(|x| *x == pnl[0]) {
            return None;
        }
        let n = pnl.len() as f64;
        let center = mean(pnl);
        let deviations: Vec<f64> = pnl.iter().map(|x| x - center).collect();
        let (covariances, lags) = significant_covariances(&deviations);
        let window = |lag: usize| (2.0 * (1.0 - lag as f64 / lags as f64)).min(1.0);
        let sum = |of: &dyn Fn(usize) -> f64| (1..=lags).map(|lag| window(lag) * of(lag)).sum::<f64>();
        let slope = 2.0 * sum(&|lag| lag as f64 * covariances[lag]);
        let long_run = covariances[0] + 2.0 * sum(&|lag| covariances[lag]);
        let longest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
        let length = |factor: f64| (2.0 * slope * slope / (factor * long_run * long_run) * n).cbrt().min(longest);
        Some(Self { stationary: length(2.0), circular: length(4.0 / 3.0) })
    }

    /// Returns the mean length of stationary blocks for a series: the estimate, rounded, from 1 to an eighth of the dates.
    ///
    /// ```
    /// let pnl: Vec<f64> = (0..64).map(|i| f64::from(i * 37 % 64)).collect();
    /// let length = statistics::BlockLength::for_sessions(&pnl);
    /// assert!((1.0..=8.0).contains(&length));
    /// ```
    pub fn for_sessions(pnl: &[f64]) -> f64 {
        let longest = (pnl.len() / 8).max(1) as f64;
        Self::of(pnl).map_or(1.0, |length| length.stationary.round().clamp(1.0, longest))
    }
}

/// Returns the autocovariances at each lag, and the number of lags to use: twice the first lag after which a run of
/// autocorrelations is insignificant.
fn significant_covariances(deviations: &[f64]) -> (Vec<f64>, usize) {
    let n = deviations.len();
    let run = 5.max((n as f64).log10() as usize);
    let most = ((n as f64).sqrt().ceil() as usize + run).min(n - 2);
    let limit = 2.0 * ((n as f64).log10() / n as f64).sqrt();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (mut covariances, mut correlations) = (Vec::new(), Vec::new());
    for lag in 0..=most {
        let cross = product(&deviations[lag..], &deviations[..n - lag]);
        let (late, early) = (&deviations[lag + 1..], &deviations[..n - lag - 1]);
        covariances.push(cross / n as f64);
        correlations.push(cross.abs() / (product(late, late) * product(early, early)).sqrt());
    }
    let quiet = |start: &usize| correlations[*start..start + run].iter().all(|correlation| *correlation < limit);
    let first = (0..=most - run).find(quiet);
    (covariances, first.map_or(most, |first| (2 * first.max(1)).min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::{b, near};

    #[test]
    fn lengths_are_those_of_arch() {
        let series = b();
        for (column, stationary, circular) in [(5, 2.786_975, 3.190_29), (0, 1.219_133, 1.395_559)] {
            let found = BlockLength::of(&series[column]).unwrap();
            near(found.stationary, stationary, 5e-7);
            near(found.circular, circular, 5e-6);
        }
        assert_eq!((BlockLength::for_sessions(&series[5]), BlockLength::for_sessions(&series[0])), (3.0, 1.0));
    }

    #[test]
    fn dependence_needs_longer_blocks_within_limits() {
        let slow: Vec<f64> = (0..80).map(|i| f64::from(i / 20 % 2)).collect();
        assert_eq!(BlockLength::for_sessions(&slow), 10.0, "at most an eighth");
        for short in [&slow[..11], &[0.0; 40][..], &[]] {
            assert_eq!((BlockLength::of(short), BlockLength::for_sessions(short)), (None, 1.0));
        }
        assert!(BlockLength::of(&slow[15..27]).is_some());
    }
}
