//! An interval for any number made of sums, by resampling the sessions that its samples come from.

use std::fmt;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1000;
/// Blocks from which neighbours are joined: resampling more of them costs time and tells no more.
const MOST_BLOCKS: usize = 400;
/// Fewest blocks that say anything about their spread.
const FEWEST_BLOCKS: usize = 5;

/// An estimate and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The estimate.
    pub value: f64,
    /// 2.5 % of the resamples lie below.
    pub low: f64,
    /// 2.5 % of the resamples lie above.
    pub high: f64,
    /// Session blocks that were resampled.
    pub blocks: usize,
}

impl fmt::Display for Band {
    /// Writes the estimate and its interval, to four places unless a precision is given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(4);
        write!(f, "{:.places$} (95% interval {:.places$} to {:.places$})", self.value, self.low, self.high)
    }
}

/// What the samples of a block add up to.
pub(crate) trait Sums: Copy {
    /// The sums of no sample.
    const NOTHING: Self;

    /// Adds the sums of another block.
    fn add(&mut self, other: &Self);
}

impl<const K: usize> Sums for [f64; K] {
    const NOTHING: Self = [0.0; K];

    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(sum, part)| *sum += part);
    }
}

/// Adds blocks up, in their order.
pub(crate) fn total<'a, S: Sums + 'a>(blocks: impl IntoIterator<Item = &'a S>) -> S {
    blocks.into_iter().fold(S::NOTHING, |mut sum, block| {
        sum.add(block);
        sum
    })
}

/// Returns a statistic of all blocks and its percentile interval: samples of one session are alike, so that resampling
/// single ones would promise too much. Blocks are in the order of time; neighbours are joined where there are very many.
/// Nothing for fewer than five blocks, or where the statistic has no value.
///
/// # Source
/// Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8 (blocks) and 13 (percentiles).
pub(crate) fn interval<S: Sums>(blocks: &[S], statistic: impl Fn(&S) -> Option<f64>, seed: u64) -> Option<Band> {
    let value = statistic(&total(blocks))?;
    let joined: Vec<S> = blocks.chunks(blocks.len().div_ceil(MOST_BLOCKS).max(1)).map(total).collect();
    if joined.len() < FEWEST_BLOCKS {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resample = || statistic(&total((0..joined.len()).map(|_| &joined[rng.random_range(0..joined.len())])));
    let mut found: Vec<f64> = (0..RESAMPLES).filter_map(|_| resample()).collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found.get((share * found.len().saturating_sub(1) as f64).round() as usize).copied();
    Some(Band { value, low: at(0.025)?, high: at(0.975)?, blocks: blocks.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(&[sum, count]: &[f64; 2]) -> Option<f64> {
        (count > 0.0).then(|| sum / count)
    }

    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_says() {
        // Block means of -1 and 1 in turn: a standard error of 1 / sqrt(100), and a normal interval of 0.196 either way.
        let blocks: Vec<[f64; 2]> = (0..100).map(|i| [if i % 2 == 0 { 10.0 } else { -10.0 }, 10.0]).collect();
        let band = interval(&blocks, mean, 1).unwrap();
        assert_eq!((band.value, band.blocks), (0.0, 100));
        assert!((band.high - 0.196).abs() < 0.03 && (band.low + 0.196).abs() < 0.03, "{band}");
        assert_eq!(interval(&blocks, mean, 1), Some(band), "the same seed draws the same blocks");
        assert_ne!(interval(&blocks, mean, 2), Some(band));
    }

    #[test]
    fn joined_neighbours_lose_no_sample() {
        let blocks: Vec<[f64; 2]> = (0..1001).map(|i| [f64::from(i), 1.0]).collect();
        let band = interval(&blocks, mean, 1).unwrap();
        assert_eq!((band.value, band.blocks), (500.0, 1001));
        assert!(band.low < 500.0 && band.high > 500.0);
    }

    #[test]
    fn few_blocks_and_statistics_without_a_value_have_no_interval() {
        assert_eq!(interval(&[[1.0, 1.0]; 4], mean, 1), None);
        assert_eq!(interval(&[[0.0, 0.0]; 9], mean, 1), None);
        assert_eq!(interval(&[], mean, 1), None);
        let never_again = |sums: &[f64; 2]| (sums[1] == 15.0).then_some(1.0);
        let blocks = [1.0, 2.0, 3.0, 4.0, 5.0].map(|x| [x, x]);
        assert!(interval(&blocks, never_again, 1).is_some_and(|band| band.low == 1.0 && band.high == 1.0));
        let fourfold: Vec<[f64; 2]> = (0..40).map(|i| [0.0, f64::from(i).exp2()]).collect();
        let whole = 40f64.exp2() - 1.0;
        assert_eq!(interval(&fourfold, |sums| (sums[1] == whole).then_some(1.0), 1), None, "no resample has a value");
    }

    #[test]
    fn bands_are_written_to_four_places_or_as_asked() {
        let band = Band { value: 0.00412, low: -0.00101, high: 0.009, blocks: 9 };
        assert_eq!(band.to_string(), "0.0041 (95% interval -0.0010 to 0.0090)");
        assert_eq!(format!("{band:.1}"), "0.0 (95% interval -0.0 to 0.0)");
    }
}
