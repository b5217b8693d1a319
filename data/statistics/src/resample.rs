//! Index rows of block bootstraps of dates: stationary and circular.

use rand::RngExt as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Rows of dates drawn with replacement, in blocks of neighbours. All series of the same dates use the same rows, so that
/// their dependence is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resamples {
    dates: usize,
    /// `[B, n]`.
    indices: Vec<u32>,
}

/// Shape of the blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blocks {
    /// Blocks of random length with this mean, 1 or more.
    ///
    /// # Source
    /// Politis & Romano 1994, "The stationary bootstrap".
    Stationary(f64),
    /// Blocks of this length, 1 or more, that wrap from the last date to the first.
    ///
    /// # Source
    /// Politis & Romano 1992, "A circular block-resampling procedure".
    Circular(usize),
}

impl Blocks {
    /// Draws one row of `n` dates from `uniform`, a source of numbers from 0 up to 1.
    fn row(self, n: usize, uniform: &mut impl FnMut() -> f64) -> Vec<u32> {
        let start = |uniform: &mut dyn FnMut() -> f64| ((uniform() * n as f64) as usize).min(n - 1);
        let mut row: Vec<u32> = Vec::with_capacity(n);
        let mut last = 0;
        for place in 0..n {
            let new_block = match self {
                _ if place == 0 => true,
                Self::Stationary(length) => uniform() < 1.0 / length,
                Self::Circular(length) => place % length == 0,
            };
            last = if new_block { start(uniform) } else { (last + 1) % n };
            row.push(last as u32);
        }
        row
    }
}

/// Returns the numbers of resample `row`: a stream of their own, so that any number of threads draws the same.
pub(crate) fn stream(seed: u64, row: usize) -> impl FnMut() -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(row as u64);
    move || rng.random()
}

impl Resamples {
    /// Draws `count` rows of `dates`. Row `b` is a function of (`seed`, `b`) alone.
    ///
    /// # Panics
    /// If there is no date, or a block is shorter than one date.
    pub fn draw(dates: usize, count: usize, blocks: Blocks, seed: u64) -> Self {
        assert!(dates > 0, "there is no date to draw");
        let sound = match blocks {
            Blocks::Stationary(length) => length >= 1.0,
            Blocks::Circular(length) => length >= 1,
        };
        assert!(sound, "{blocks:?} is shorter than one date");
        let rows = (0..count).flat_map(|row| blocks.row(dates, &mut stream(seed, row)));
        Self { dates, indices: rows.collect() }
    }

    /// Returns the rows, each with as many places as there are dates.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.indices.chunks_exact(self.dates)
    }

    /// Returns the number of rows.
    pub fn count(&self) -> usize {
        self.indices.len() / self.dates
    }

    /// Returns the number of dates.
    pub fn dates(&self) -> usize {
        self.dates
    }

    /// Returns a statistic of every resample of a series; undefined ones are left out.
    ///
    /// # Panics
    /// If the series has another number of dates.
    pub fn statistics(&self, pnl: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>) -> Vec<f64> {
        assert_eq!(pnl.len(), self.dates, "a value per date");
        let mut values = vec![0.0; self.dates];
        self.rows()
            .filter_map(|row| {
                values.iter_mut().zip(row).for_each(|(value, &date)| *value = pnl[date as usize]);
                statistic(&values)
            })
            .collect()
    }
}

/// Returns the quantile of numbers in ascending order by nearest rank: the one at `round(share · (B - 1))`. `None` for no
/// number.
pub fn nearest_rank(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// Sorts numbers in ascending order.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::goldens::SplitMix;

    /// Rows drawn in sequence from one generator, as those of the reference.
    pub(crate) fn golden(dates: usize, count: usize, blocks: Blocks, seed: u64) -> Resamples {
        let mut generator = SplitMix(seed);
        let indices = (0..count).flat_map(|_| blocks.row(dates, &mut || generator.uniform())).collect();
        Resamples { dates, indices }
    }

    /// The thousand rows of the reference.
    pub(crate) fn golden_rows() -> Resamples {
        golden(60, 1000, Blocks::Stationary(3.0), 2026)
    }

    #[test]
    fn index_rows_are_exactly_those_of_the_reference() {
        let row = |blocks| golden(10, 1, blocks, 7).indices;
        assert_eq!(row(Blocks::Stationary(3.0)), [3, 9, 0, 1, 4, 1, 2, 9, 0, 1]);
        assert_eq!(row(Blocks::Circular(3)), [3, 4, 5, 0, 1, 2, 9, 0, 1, 5]);
        let rows = golden_rows();
        assert_eq!((rows.count(), rows.dates(), rows.rows().len()), (1000, 60, 1000));
        let (first, last) = (rows.rows().next().unwrap(), rows.rows().last().unwrap());
        assert_eq!(first[..12], [51, 52, 53, 54, 55, 56, 57, 58, 59, 20, 21, 16]);
        assert_eq!(last[55..], [2, 29, 30, 49, 50]);
    }

    #[test]
    fn a_row_depends_on_its_seed_and_place_alone() {
        let draw = |count, seed| Resamples::draw(30, count, Blocks::Stationary(2.0), seed);
        let (few, many) = (draw(3, 1), draw(9, 1));
        assert_eq!(few.rows().last(), many.rows().nth(2));
        assert_ne!(few, draw(3, 2));
        assert_ne!(few.rows().next(), few.rows().nth(1));
    }

    #[test]
    fn blocks_have_their_mean_length() {
        for length in [1.0, 4.0] {
            let drawn = Resamples::draw(100, 400, Blocks::Stationary(length), 3);
            let follows = |pair: &&[u32]| (pair[0] + 1) % 100 == pair[1];
            let joined: usize = drawn.rows().map(|row| row.windows(2).filter(follows).count()).sum();
            // A new block also follows by chance, once in a hundred.
            let expected = 1.0 - (1.0 / length) * 0.99;
            assert!((joined as f64 / 39_600.0 - expected).abs() < 0.01, "{joined} of 39600 for {length}");
        }
    }

    #[test]
    fn nearest_ranks_are_members() {
        let values = sorted(vec![3.0, 1.0, 2.0, 4.0]);
        assert_eq!([0.0, 0.4, 0.5, 1.0].map(|share| nearest_rank(&values, share)), [1.0, 2.0, 3.0, 4.0].map(Some));
        assert_eq!(nearest_rank(&[], 0.5), None);
    }
}
