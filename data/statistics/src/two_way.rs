//! Two-way bootstrap over dates and seeds: the error of a new training on other dates.

use crate::{
    bootstrap::ConfidenceInterval,
    mean,
    resample::{Resamples, nearest_rank, sorted, stream},
    sample_variance,
};

/// P&L of one procedure by date and seed. In each fold of a walk-forward every seed is another training.
#[derive(Debug, Clone, PartialEq)]
pub struct DatesBySeeds {
    /// `[n][S]`, one row per date.
    pub pnl: Vec<Vec<f64>>,
    /// Fold of each date `[n]`, from 0; all 0 without folds.
    pub fold: Vec<usize>,
}

impl DatesBySeeds {
    /// Returns the table without folds of series `[S][n]`, one per seed.
    ///
    /// # Panics
    /// If the series differ in length.
    pub fn of_seeds(series: &[Vec<f64>]) -> Self {
        let n = series.first().map_or(0, Vec::len);
        assert!(series.iter().all(|x| x.len() == n), "every seed has the same dates");
        Self { pnl: (0..n).map(|t| series.iter().map(|x| x[t]).collect()).collect(), fold: vec![0; n] }
    }

    /// Returns the number of seeds.
    pub fn seeds(&self) -> usize {
        self.pnl.first().map_or(0, Vec::len)
    }

    /// Returns the means of resamples in which dates are drawn in blocks, and in every fold as many seeds as there are,
    /// with replacement; one draw of seeds for all dates of a fold.
    ///
    /// # Panics
    /// If `resamples` has another number of dates.
    ///
    /// # Source
    /// Owen 2007, "The pigeonhole bootstrap".
    pub fn resampled_means(&self, resamples: &Resamples, seed: u64) -> Vec<f64> {
        // A stream for the seeds that is apart from those of the dates.
        let draws = |row| stream(seed ^ 0x5EED_5EED_5EED_5EED, row);
        resamples.rows().enumerate().map(|(row, dates)| self.mean_of(dates, &mut draws(row))).collect()
    }

    fn mean_of(&self, dates: &[u32], uniform: &mut impl FnMut() -> f64) -> f64 {
        let (seeds, folds) = (self.seeds(), self.fold.iter().max().map_or(0, |last| last + 1));
        let mut draw = || ((uniform() * seeds as f64) as usize).min(seeds - 1);
        let drawn: Vec<Vec<usize>> = (0..folds).map(|_| (0..seeds).map(|_| draw()).collect()).collect();
        let of_date = |&date: &u32| {
            let row = &self.pnl[date as usize];
            drawn[self.fold[date as usize]].iter().map(|&seed| row[seed]).sum::<f64>() / seeds as f64
        };
        mean(dates.iter().map(of_date))
    }

    /// Returns the mean of all cells with its error and interval for a new training on other dates. Returns `None` for fewer
    /// than two seeds or no date.
    ///
    /// # Panics
    /// If `resamples` has another number of dates.
    pub fn new_training(&self, resamples: &Resamples, seed: u64) -> Option<NewTraining> {
        if self.seeds() < 2 {
            return None;
        }
        let value = mean(self.pnl.iter().flatten());
        let means = sorted(self.resampled_means(resamples, seed));
        let (low, high) = (nearest_rank(&means, 0.025)?, nearest_rank(&means, 0.975)?);
        let interval = ConfidenceInterval { value, low, high, blocks: self.pnl.len() };
        Some(NewTraining { interval, error: sample_variance(&means).sqrt() })
    }

    /// Returns the components of variance of the table without folds, or `None` for fewer than two dates or seeds.
    ///
    /// # Source
    /// Two-way analysis of variance with random effects and one observation per cell.
    pub fn components(&self) -> Option<Components> {
        let (n, seeds) = (self.pnl.len(), self.seeds());
        if n < 2 || seeds < 2 {
            return None;
        }
        let grand = mean(self.pnl.iter().flatten());
        let rows: Vec<f64> = self.pnl.iter().map(mean::<&f64>).collect();
        let columns: Vec<f64> = (0..seeds).map(|s| mean(self.pnl.iter().map(|row| row[s]))).collect();
        let squares = |means: &[f64]| means.iter().map(|x| (x - grand).powi(2)).sum::<f64>();
        let residual: f64 = (0..n)
            .flat_map(|t| (0..seeds).map(move |s| (t, s)))
            .map(|(t, s)| (self.pnl[t][s] - rows[t] - columns[s] + grand).powi(2))
            .sum();
        let (n, seeds) = (n as f64, seeds as f64);
        Some(Components {
            dates: n,
            seeds,
            of_date: seeds * squares(&rows) / (n - 1.0),
            of_seed: n * squares(&columns) / (seeds - 1.0),
            of_residual: residual / ((n - 1.0) * (seeds - 1.0)),
        })
    }
}

/// Mean P&L of a date in a new training on other dates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewTraining {
    /// The mean with its 95 % percentile interval.
    pub interval: ConfidenceInterval,
    /// Standard error of the mean.
    pub error: f64,
}

/// Mean squares of a table of dates by seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    dates: f64,
    seeds: f64,
    of_date: f64,
    of_seed: f64,
    of_residual: f64,
}

impl Components {
    /// Returns the variance of a date, of a seed, and of the rest; 0 for a negative estimate.
    pub fn variances(&self) -> [f64; 3] {
        let above = |square: f64, per: f64| ((square - self.of_residual) / per).max(0.0);
        [above(self.of_date, self.seeds), above(self.of_seed, self.dates), self.of_residual]
    }

    /// Returns the standard error of the grand mean: `√((MS_date + MS_seed - MS_residual) / (n S))`. Where the difference
    /// of the mean squares is negative, the larger of the first two takes its place.
    pub fn error(&self) -> f64 {
        let sum = (self.of_date + self.of_seed - self.of_residual).max(self.of_date.max(self.of_seed));
        (sum / (self.dates * self.seeds)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::{
        goldens::{SplitMix, near},
        resample::{Blocks, tests::golden},
    };

    fn table() -> DatesBySeeds {
        let value = |t: usize, s: usize| ((7 * t * t + 11 * t * s + 5 * s) % 13) as f64 - 6.0;
        DatesBySeeds {
            pnl: (0..12).map(|t| (0..3).map(|s| value(t, s)).collect()).collect(),
            fold: (0..12).map(|t| 2 * t / 12).collect(),
        }
    }

    #[test]
    fn dates_and_seeds_are_drawn_as_in_the_reference() {
        let (table, mut generator) = (table(), SplitMix(5));
        // One generator serves the dates and then the seeds of every resample.
        let mut means = Vec::new();
        for _ in 0..1000 {
            let dates = golden_row(&mut generator);
            means.push(table.mean_of(&dates, &mut || generator.uniform()));
        }
        near(mean(table.pnl.iter().flatten()), 0.416_666_666_7, 1e-9);
        for (found, expected) in means.iter().zip([-0.583_333_333_3, 0.888_888_888_9, 0.75]) {
            near(*found, expected, 1e-9);
        }
        let means = sorted(means);
        near(nearest_rank(&means, 0.025).unwrap(), -1.166_666_666_7, 1e-9);
        near(nearest_rank(&means, 0.975).unwrap(), 1.972_222_222_2, 1e-9);
    }

    /// Draws a row of twelve dates in blocks of one, as `Blocks::Stationary(1.0)` does.
    fn golden_row(generator: &mut SplitMix) -> Vec<u32> {
        let state = generator.0;
        let row = golden(12, 1, Blocks::Stationary(1.0), state).rows().next().unwrap().to_vec();
        // Twelve dates and eleven decisions on a new block.
        (0..23).for_each(|_| {
            generator.uniform();
        });
        row
    }

    #[test]
    fn components_are_those_of_the_analysis_of_variance() {
        // Date effects -1, 1; seed effects -2, 0, 2; residuals that sum to zero in rows and columns.
        let pnl = vec![vec![-3.0 + 0.5, -1.0 - 1.0, 1.0 + 0.5], vec![-1.0 - 0.5, 1.0 + 1.0, 3.0 - 0.5]];
        let components = DatesBySeeds { pnl, fold: vec![0; 2] }.components().unwrap();
        near(components.of_date, 3.0 * 2.0, 1e-12);
        near(components.of_seed, 2.0 * 8.0 / 2.0, 1e-12);
        near(components.of_residual, 3.0 / 2.0, 1e-12);
        let expected = [(6.0 - 1.5) / 3.0, (8.0 - 1.5) / 2.0, 1.5];
        components.variances().iter().zip(expected).for_each(|(found, expected)| near(*found, expected, 1e-12));
        near(components.error(), ((6.0 + 8.0 - 1.5) / 6.0_f64).sqrt(), 1e-12);
        assert_eq!(DatesBySeeds::of_seeds(&[vec![1.0, 2.0]]).components(), None);
    }

    #[test]
    fn a_new_training_is_covered_as_often_as_promised() {
        // Effects of dates 17, of seeds 3.5, and of both 17, in thousands: those of measured trainings.
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut covered = [0; 2];
        for world in 0..300 {
            let mut normal = |size: f64| -> f64 { size * Distribution::<f64>::sample(&StandardNormal, &mut rng) };
            let seeds: Vec<f64> = (0..8).map(|_| normal(3.5)).collect();
            let pnl: Vec<Vec<f64>> = (0..120)
                .map(|_| {
                    let date = normal(17.0);
                    seeds.iter().map(|seed| date + seed + normal(17.0)).collect()
                })
                .collect();
            let table = DatesBySeeds { pnl, fold: vec![0; 120] };
            let resamples = Resamples::draw(120, 399, Blocks::Stationary(1.0), world);
            let NewTraining { interval, error } = table.new_training(&resamples, world).unwrap();
            covered[0] += u32::from(interval.low <= 0.0 && 0.0 <= interval.high);
            let closed_form = table.components().unwrap().error();
            assert!((0.6..1.4).contains(&(error / closed_form)), "{error} against {closed_form}");
            let naive = 1.96 * (table.components().unwrap().of_residual / 960.0).sqrt();
            covered[1] += u32::from(interval.value.abs() <= naive);
        }
        assert!((276..=298).contains(&covered[0]), "{} of 300", covered[0]);
        assert!(covered[1] < 200, "independent cells would cover {} of 300", covered[1]);
    }
}
