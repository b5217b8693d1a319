//! Sharpe ratio of a series with its sampling error, and the number of dates that an edge needs to show.

use crate::{mean, normal_probability, normal_quantile, sample_variance, variance};

/// Moments of a P&L series, one value per session date.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Number of dates.
    pub n: usize,
    /// Mean of a date.
    pub mean: f64,
    /// Sample standard deviation of a date (divisor `n - 1`).
    pub deviation: f64,
    /// Skew, `mean d³ / (mean d²)^1.5` of the deviations `d` from the mean.
    pub skew: f64,
    /// Raw kurtosis, `mean d⁴ / (mean d²)²`; 3 for a normal series.
    pub kurtosis: f64,
    /// Autocorrelation at lag 1, `Σ d_t d_{t-1} / Σ d²`.
    pub rho1: f64,
}

impl Moments {
    /// Returns the moments of a series, or `None` for fewer than two dates or a series without variance.
    pub fn of(pnl: &[f64]) -> Option<Self> {
        let (center, square) = (mean(pnl), variance(pnl));
        // The rounding of equal values leaves a variance of this order.
        if pnl.len() < 2 || square.is_nan() || square <= 1e-24 * center * center || square == 0.0 {
            return None;
        }
        let power = |exponent: i32| mean(pnl.iter().map(|x| (x - center).powi(exponent)));
        let lagged: f64 = pnl.windows(2).map(|pair| (pair[0] - center) * (pair[1] - center)).sum();
        Some(Self {
            n: pnl.len(),
            mean: center,
            deviation: sample_variance(pnl).sqrt(),
            skew: power(3) / square.powf(1.5),
            kurtosis: power(4) / (square * square),
            rho1: lagged / (square * pnl.len() as f64),
        })
    }

    /// Returns the Sharpe ratio per date, `mean / deviation`; it is not annualised.
    pub fn sharpe(&self) -> f64 {
        self.mean / self.deviation
    }

    /// Returns the variance of `√n` times the Sharpe ratio: `1 - g3·SR + (g4 - 1)/4·SR²`. For a normal series it is
    /// `1 + SR²/2`.
    fn scaled_variance(&self) -> f64 {
        let sharpe = self.sharpe();
        1.0 - self.skew * sharpe + (self.kurtosis - 1.0) / 4.0 * sharpe * sharpe
    }

    /// Returns the standard error of the Sharpe ratio of independent dates.
    ///
    /// # Source
    /// Mertens 2002, "Comments on variance of the IID estimator in Lo"; Opdyke 2007, "Comparing Sharpe ratios".
    ///
    /// ```
    /// let moments = statistics::Moments::of(&[120.0, -80.0, -95.0, 310.0, -60.0]).ok_or("no variance")?;
    /// assert!(moments.sharpe_error() > 0.0);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn sharpe_error(&self) -> f64 {
        (self.scaled_variance() / self.n as f64).sqrt()
    }

    /// Returns the standard error of the Sharpe ratio of dates with the autocorrelation `rho` at lag 1, falling
    /// geometrically.
    ///
    /// # Source
    /// López de Prado, Lipton & Zoonekynd 2025, "How to use the Sharpe ratio".
    pub fn sharpe_error_with(&self, rho: f64) -> f64 {
        let (b, c) = (rho / (1.0 - rho), rho * rho / (1.0 - rho * rho));
        let sharpe = self.sharpe();
        let variance = (1.0 + 2.0 * b) - (1.0 + b + c) * self.skew * sharpe
            + (1.0 + 2.0 * c) * (self.kurtosis - 1.0) / 4.0 * sharpe * sharpe;
        (variance / self.n as f64).sqrt()
    }

    /// Returns the probabilistic Sharpe ratio: the probability that the true Sharpe ratio per date exceeds `benchmark`.
    ///
    /// # Source
    /// Bailey & López de Prado 2012, "The Sharpe ratio efficient frontier".
    pub fn psr(&self, benchmark: f64) -> f64 {
        let n = self.n as f64 - 1.0;
        normal_probability((self.sharpe() - benchmark) * n.sqrt() / self.scaled_variance().sqrt())
    }

    /// Returns the minimum track record length: the dates from which the Sharpe ratio exceeds `benchmark` with this
    /// confidence, 0 to 1. Returns `None` if the ratio is not above the benchmark.
    ///
    /// # Source
    /// Bailey & López de Prado 2012.
    pub fn min_track_record(&self, benchmark: f64, confidence: f64) -> Option<f64> {
        let gap = self.sharpe() - benchmark;
        (gap > 0.0).then(|| 1.0 + self.scaled_variance() * (normal_quantile(confidence) / gap).powi(2))
    }
}

/// Returns the factor that annualises a Sharpe ratio per date where the dates are autocorrelated:
/// `q / √(q + 2 Σ_{k<q} (q - k) ρ_k)`, which is `√q` without autocorrelation. `rho` gives the autocorrelation at a lag.
///
/// # Source
/// Lo 2002, "The statistics of Sharpe ratios", eq. 20.
pub fn annualisation(dates_per_year: usize, rho: impl Fn(usize) -> f64) -> f64 {
    let q = dates_per_year as f64;
    let sum: f64 = (1..dates_per_year).map(|lag| (q - lag as f64) * rho(lag)).sum();
    q / (q + 2.0 * sum).sqrt()
}

/// Returns the standard errors that a mean must measure for a one-sided test at `level`, shared by `trials`
/// (Bonferroni), to find it with probability `power`. At 5 %, one trial and a power of 80 % it is 2.49.
///
/// # Panics
/// If `trials` is 0, or `level / trials` or `power` is no probability.
pub fn errors_for_power(level: f64, trials: usize, power: f64) -> f64 {
    assert!(trials > 0, "at least one trial was made");
    normal_quantile(1.0 - level / trials as f64) + normal_quantile(power)
}

/// Returns the session dates from which a true Sharpe ratio per date is found with a probability of 80 % by a one-sided
/// test at `level`, shared by `trials`.
///
/// ```
/// let annual_two = 2.0 / 252_f64.sqrt();
/// assert_eq!(statistics::dates_for_power(annual_two, 0.05, 1), 390.0);
/// ```
///
/// # Panics
/// As [`errors_for_power`].
pub fn dates_for_power(sharpe: f64, level: f64, trials: usize) -> f64 {
    (errors_for_power(level, trials, 0.8) / sharpe).powi(2).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::{A, near};

    /// A normal series of this length and Sharpe ratio.
    fn normal(n: usize, sharpe: f64) -> Moments {
        Moments { n, mean: sharpe, deviation: 1.0, skew: 0.0, kurtosis: 3.0, rho1: 0.0 }
    }

    #[test]
    fn moments_are_those_of_scipy() {
        let moments = Moments::of(&A).unwrap();
        near(moments.mean, 20.75, 1e-12);
        near(moments.deviation, 170.388_681_054_755, 1e-12);
        near(moments.skew, 1.643_524_809_846_51, 1e-12);
        near(moments.kurtosis, 4.896_613_180_592_15, 1e-12);
        near(moments.sharpe(), 0.121_780_389_821_387, 1e-12);
        near(moments.rho1, -0.329_942_033_714_715, 1e-12);
        for flat in [&[][..], &[1.0], &[3.0, 3.0], &[0.1; 7], &[0.0; 9]] {
            assert_eq!(Moments::of(flat), None, "{flat:?}");
        }
    }

    #[test]
    fn the_error_of_a_sharpe_ratio_is_that_of_the_papers() {
        let moments = Moments::of(&A).unwrap();
        near(moments.sharpe_error().powi(2), 0.040_714_902_635_6, 1e-9);
        near(moments.sharpe_error_with(moments.rho1).powi(2), 0.017_342_847_178_625_5, 1e-9);
        near(moments.sharpe_error_with(0.0), moments.sharpe_error(), 1e-12);
        near(normal(60, 0.1).sharpe_error(), (1.005_f64 / 60.0).sqrt(), 1e-12);
    }

    #[test]
    fn the_probabilistic_sharpe_ratio_and_the_track_record_are_those_of_the_papers() {
        let moments = Moments::of(&A).unwrap();
        near(moments.psr(0.0), 0.721_817_988_762_001, 1e-9);
        near(moments.psr(0.1), 0.541_894_809_440_633, 1e-9);
        near(moments.min_track_record(0.0, 0.95).unwrap(), 149.553_603_143_686, 1e-9);
        assert_eq!(moments.min_track_record(moments.sharpe(), 0.95), None);
        // The paper's table: an annual ratio of 2 against 1, daily, weekly and monthly, in years.
        let years = |per_year: f64| {
            let per_date = |annual: f64| annual / per_year.sqrt();
            normal(2, per_date(2.0)).min_track_record(per_date(1.0), 0.95).unwrap() / per_year
        };
        near(years(250.0) * 250.0, 682.796_95, 1e-8);
        for (per_year, expected) in [(250.0, 2.7312), (52.0, 2.8288), (12.0, 3.2398)] {
            near(years(per_year), expected, 5e-5);
        }
    }

    #[test]
    fn autocorrelation_changes_the_annual_factor() {
        for (rho, expected) in [(0.1_f64, 14.3648), (0.2, 12.9722), (0.0, 15.8745)] {
            near(annualisation(252, |lag| rho.powi(lag as i32)), expected, 5e-5 / expected);
        }
    }

    #[test]
    fn dates_for_power_are_those_of_the_table() {
        let table = [
            (1, [1559.0, 693.0, 390.0, 174.0, 98.0, 44.0]),
            (20, [3355.0, 1492.0, 839.0, 373.0, 210.0, 94.0]),
            (100, [4303.0, 1913.0, 1076.0, 479.0, 269.0, 120.0]),
            (1000, [5644.0, 2509.0, 1411.0, 628.0, 353.0, 157.0]),
        ];
        for (trials, expected) in table {
            let found = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0].map(|a| dates_for_power(a / 252_f64.sqrt(), 0.05, trials));
            assert_eq!(found, expected, "{trials} trials");
        }
    }
}
