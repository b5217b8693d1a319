//! Small statistics of sessions and trades: means with standard errors, the quantiles to judge them by, rank agreement.

use std::fmt;

use serde::Serialize;

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
    /// Independent observations behind it: groups, where values come in groups.
    pub observations: usize,
}

impl Mean {
    /// Returns the mean of independent values; nothing for fewer than two.
    pub fn of(values: &[f64]) -> Option<Self> {
        Self::of_groups(values.iter().map(|&value| vec![value]))
    }

    /// Returns the mean of all values, with a standard error that lets values of one group move together; nothing for fewer
    /// than two groups that have any.
    ///
    /// # Source
    /// Liang and Zeger (1986), for a mean: with residuals `e` of `n` values in `G` groups, the variance is
    /// `G / (G - 1) · Σ_g (Σ_{i in g} e_i)² / n²`.
    pub fn of_groups(groups: impl IntoIterator<Item = Vec<f64>>) -> Option<Self> {
        let sums: Vec<(f64, f64)> = groups
            .into_iter()
            .filter(|group| !group.is_empty())
            .map(|group| (group.iter().sum(), group.len() as f64))
            .collect();
        let (total, n) = sums.iter().fold((0.0, 0.0), |(total, n), (sum, count)| (total + sum, n + count));
        let (value, groups) = (total / n, sums.len() as f64);
        let squares: f64 = sums.iter().map(|(sum, count)| (sum - count * value).powi(2)).sum();
        let error = (groups / (groups - 1.0) * squares).sqrt() / n;
        (sums.len() > 1).then_some(Self { value, error, observations: sums.len() })
    }

    /// Returns the mean in standard errors; infinite where nothing varies and it is not zero.
    pub fn t(&self) -> f64 {
        if self.value == 0.0 { 0.0 } else { self.value / self.error }
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ± {:.2}", self.value, self.error)
    }
}

/// Returns the quantile of the normal distribution at a probability above 0.5, to 4.5e-4.
///
/// # Source
/// Abramowitz and Stegun (1964), 26.2.23.
pub fn normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * (1.0 - probability).ln()).sqrt();
    t - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
        / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t.powi(3))
}

/// Returns the quantile of Student's distribution at a probability above 0.5, to some 2 %; infinite for fewer than four
/// degrees of freedom, where the series does not hold and nothing can be said.
///
/// # Source
/// Abramowitz and Stegun (1964), 26.7.5.
pub fn student_quantile(probability: f64, degrees: usize) -> f64 {
    if degrees < 4 {
        return f64::INFINITY;
    }
    let (x, n) = (normal_quantile(probability), degrees as f64);
    let terms = [
        (x.powi(3) + x) / 4.0,
        (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / 96.0,
        (3.0 * x.powi(7) + 19.0 * x.powi(5) + 17.0 * x.powi(3) - 15.0 * x) / 384.0,
        (79.0 * x.powi(9) + 776.0 * x.powi(7) + 1482.0 * x.powi(5) - 1920.0 * x.powi(3) - 945.0 * x) / 92_160.0,
    ];
    terms.iter().zip(1..).fold(x, |sum, (term, power)| sum + term / n.powi(power))
}

/// Returns how far two rankings of the same things agree: 1 in everything, -1 in nothing, 0 as by chance. Ties count for
/// neither. Nothing when one of them ranks nothing.
///
/// # Source
/// Kendall (1945), "The treatment of ties in ranking problems": `tau_b`.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mut agree, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    let order = |x: &[f64], i: usize, j: usize| f64::from(i8::from(x[i] > x[j]) - i8::from(x[i] < x[j]));
    for j in 0..a.len().min(b.len()) {
        for i in 0..j {
            let (x, y) = (order(a, i, j), order(b, i, j));
            agree += x * y;
            of_a += x * x;
            of_b += y * y;
        }
    }
    (of_a > 0.0 && of_b > 0.0).then(|| agree / (of_a * of_b).sqrt())
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
    fn quantiles_are_those_of_tables() {
        for (probability, expected) in [(0.975, 1.959_964), (0.99, 2.326_348), (0.999_6, 3.352_795)] {
            near(normal_quantile(probability), expected, 4.5e-4);
        }
        for (probability, degrees, expected) in
            [(0.975, 9, 2.262_157), (0.99, 39, 2.425_841), (0.999_6, 4, 9.125_73), (0.999_6, 39, 3.635_64)]
        {
            near(student_quantile(probability, degrees), expected, 0.03 * expected);
        }
        assert!(student_quantile(0.99, 3).is_infinite());
    }

    #[test]
    fn rank_agreement_is_that_of_scipys_example() {
        // The example in the documentation of scipy.stats.kendalltau.
        let tau = kendall_tau_b(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0]).unwrap();
        near(tau, -0.471_404_520_791_031_6, 1e-12);
        assert_eq!(kendall_tau_b(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), Some(1.0));
        assert_eq!(kendall_tau_b(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(kendall_tau_b(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
