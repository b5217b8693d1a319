//! Means with their standard errors, variances and ratios.

use std::{borrow::Borrow, fmt};

use serde::Serialize;

use crate::student_quantile;

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Standard error of the mean.
    pub error: f64,
    /// Independent observations: the number of groups, if the values come in groups.
    pub observations: usize,
}

impl Mean {
    /// Returns the mean of independent values, or `None` for fewer than two.
    pub fn of(values: &[f64]) -> Option<Self> {
        Self::of_groups(values.iter().map(|&value| vec![value]))
    }

    /// Returns the mean of all values, with a standard error that allows for dependence within a group. Returns `None`
    /// for fewer than two groups with values.
    ///
    /// # Source
    /// Liang and Zeger (1986), for a mean: with residuals `e` of `n` values in `G` groups, the variance is
    /// `G / (G - 1) · Σ_g (Σ_{i in g} e_i)² / n²`.
    pub fn of_groups(groups: impl IntoIterator<Item = Vec<f64>>) -> Option<Self> {
        Self::of_sums(groups.into_iter().map(|group| [group.iter().sum(), group.len() as f64]))
    }

    /// As [`Mean::of_groups`], from the sum and the number of the values of each group; a group without a value is left out.
    ///
    /// ```
    /// use statistics::Mean;
    /// assert_eq!(Mean::of_sums([[5.0, 2.0], [4.0, 1.0]]), Mean::of_groups([vec![1.0, 4.0], vec![4.0]]));
    /// ```
    pub fn of_sums(groups: impl IntoIterator<Item = [f64; 2]>) -> Option<Self> {
        let sums: Vec<[f64; 2]> = groups.into_iter().filter(|&[_, count]| count > 0.0).collect();
        let (total, n) = sums.iter().fold((0.0, 0.0), |(total, n), [sum, count]| (total + sum, n + count));
        let (value, groups) = (total / n, sums.len() as f64);
        let squares: f64 = sums.iter().map(|[sum, count]| (sum - count * value).powi(2)).sum();
        let error = (groups / (groups - 1.0) * squares).sqrt() / n;
        (sums.len() > 1).then_some(Self { value, error, observations: sums.len() })
    }

    /// Returns the mean divided by its standard error: 0 for a mean of 0, infinite for any other mean of equal values.
    pub fn t(&self) -> f64 {
        if self.value == 0.0 { 0.0 } else { self.value / self.error }
    }

    /// Returns the two-sided confidence interval of this level, 0 to 1, by Student's distribution.
    ///
    /// ```
    /// let mean = statistics::Mean::of(&[1.0, 2.0, 3.0]).unwrap();
    /// let (low, high) = mean.interval(0.95);
    /// // Student's 97.5 % quantile with two degrees of freedom is 4.3027, the standard error 1 / √3.
    /// assert!((low - (2.0 - 4.302_652_73 / 3_f64.sqrt())).abs() < 1e-8 && (low + high - 4.0).abs() < 1e-12);
    /// ```
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.observations - 1) * self.error;
        (self.value - half, self.value + half)
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ± {:.2}", self.value, self.error)
    }
}

/// Returns the mean of the values; NaN for none.
///
/// ```
/// assert_eq!(statistics::mean([1.0, 2.0, 6.0]), 3.0);
/// assert_eq!(statistics::mean(&vec![1.0, 2.0]), 1.5);
/// ```
pub fn mean<T: Borrow<f64>>(values: impl IntoIterator<Item = T>) -> f64 {
    let mut count = 0_usize;
    let sum: f64 = values.into_iter().inspect(|_| count += 1).map(|value| *value.borrow()).sum();
    sum / count as f64
}

/// Returns the mean squared deviation from the mean (divisor `n`); NaN for no value.
pub fn variance(values: &[f64]) -> f64 {
    squared_deviations(values) / values.len() as f64
}

/// Returns the unbiased estimate of the variance (divisor `n - 1`); NaN for fewer than two values.
pub fn sample_variance(values: &[f64]) -> f64 {
    squared_deviations(values) / (values.len() as f64 - 1.0)
}

fn squared_deviations(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Returns a part as a fraction of the whole, or `None` if the whole is not above zero.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Returns a count as a fraction of the whole, or `None` if the whole is zero.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    ratio(part as f64, whole as f64)
}

/// Returns the value, or `None` if it is infinite or NaN.
pub fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, by: f64) {
        assert!((a - b).abs() <= by, "{a} is not {b}");
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_its_groups() {
        let plain = Mean::of(&[1.0, 2.0, 4.0, 5.0]).unwrap();
        near(plain.value, 3.0, 1e-12);
        near(plain.error, (10.0_f64 / 3.0 / 4.0).sqrt(), 1e-12);
        // The same values twice, as two symbols that always move together, are no new evidence.
        let twice = Mean::of_groups([1.0, 2.0, 4.0, 5.0].map(|x| vec![x, x])).unwrap();
        assert_eq!((twice, plain.observations), (plain, 4));
        // By hand: mean 3, group residuals -1 and 1, variance 2 · 2 / 9.
        let uneven = Mean::of_groups([vec![1.0, 4.0], vec![4.0], vec![]]).unwrap();
        near(uneven.error, (4.0_f64 / 9.0).sqrt(), 1e-12);
        assert_eq!((Mean::of(&[1.0]), Mean::of_groups([vec![1.0, 2.0]])), (None, None));
        assert_eq!(Mean::of(&[0.0, 0.0]).unwrap().t(), 0.0);
        assert_eq!(Mean::of(&[-2.0, -2.0]).unwrap().t(), f64::NEG_INFINITY);
    }

    #[test]
    fn means_and_variances_are_those_of_numpy() {
        let values = [2.0, 4.0, 1.0, 7.0, 3.0];
        near(mean(values), 3.4, 1e-15);
        near(variance(&values), 4.24, 1e-12);
        near(sample_variance(&values), 5.3, 1e-12);
        assert!(mean::<f64>([]).is_nan() && variance(&[]).is_nan() && sample_variance(&[1.0]).is_nan());
    }

    #[test]
    fn undefined_ratios_and_numbers_are_none() {
        assert_eq!(
            (ratio(1.0, 4.0), ratio(1.0, 0.0), ratio(1.0, -1.0), ratio(1.0, f64::NAN)),
            (Some(0.25), None, None, None)
        );
        assert_eq!((share(1, 4), share(0, 4), share(0, 0)), (Some(0.25), Some(0.0), None));
        assert_eq!((finite(1.0), finite(f64::INFINITY), finite(f64::NAN)), (Some(1.0), None, None));
    }
}
