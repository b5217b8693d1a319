//! The normal distribution and its quantiles, and those of Student's t distribution.

use std::f64::consts::{PI, SQRT_2};

use statrs::{
    distribution::{ContinuousCDF as _, StudentsT},
    function::erf::erfc_inv,
};

/// Returns the probability that a standard normal number is at most `x`, to 1e-12.
///
/// ```
/// assert!((statistics::normal_probability(1.959963984540054) - 0.975).abs() < 1e-12);
/// ```
pub fn normal_probability(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// Returns the quantile of the standard normal distribution, to 1e-9. The ends of the interval, 0 and 1, give
/// infinities.
///
/// ```
/// assert!((statistics::normal_quantile(0.975) - 1.959963984540054).abs() < 1e-9);
/// ```
///
/// # Panics
/// If `probability` lies outside of 0 to 1.
pub fn normal_quantile(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "{probability} is not a probability");
    -SQRT_2 * erfc_inv(2.0 * probability)
}

/// Degrees of freedom from which [`expansion`] is more accurate than the inverse of the incomplete beta function.
const MANY_DEGREES: usize = 1000;

/// Returns the quantile of Student's t distribution, to 1e-9 of its value where both tails hold at least 1e-12. The
/// ends of the interval, 0 and 1, give infinities.
///
/// # Panics
/// If `probability` lies outside of 0 to 1, or `degrees_of_freedom` is 0.
pub fn student_quantile(probability: f64, degrees_of_freedom: usize) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "{probability} is not a probability");
    let tail = probability.min(1.0 - probability);
    let size = match degrees_of_freedom {
        _ if tail == 0.0 => f64::INFINITY,
        0 => panic!("Student's distribution has at least one degree of freedom"),
        1 => (PI * tail).tan().recip(),
        2..MANY_DEGREES => {
            let student = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).expect("the parameters are finite");
            -student.inverse_cdf(tail)
        }
        _ => expansion(-normal_quantile(tail), degrees_of_freedom as f64),
    };
    if probability < 0.5 { -size } else { size }
}

/// Returns Student's quantile from the normal quantile `x`, for many degrees of freedom `n`.
///
/// # Source
/// Abramowitz and Stegun (1964), 26.7.5.
fn expansion(x: f64, n: f64) -> f64 {
    let terms = [
        (x.powi(3) + x) / 4.0,
        (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / 96.0,
        (3.0 * x.powi(7) + 19.0 * x.powi(5) + 17.0 * x.powi(3) - 15.0 * x) / 384.0,
        (79.0 * x.powi(9) + 776.0 * x.powi(7) + 1482.0 * x.powi(5) - 1920.0 * x.powi(3) - 945.0 * x) / 92_160.0,
    ];
    terms.iter().zip(1..).fold(x, |sum, (term, power)| sum + term / n.powi(power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64, by: f64) {
        assert!((a - b).abs() <= by, "{a} is not {b}");
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
    }

    /// Computed with 40 digits (mpmath) for the nearest double of each probability.
    const NORMAL: [(f64, f64); 13] = [
        (1e-300, -37.047_096_299_361_2),
        (1e-100, -21.273_453_560_965_322),
        (1e-12, -7.034_483_825_301_132),
        (1e-6, -4.753_424_308_822_899),
        (0.3, -0.524_400_512_708_041),
        (0.5, 0.0),
        (0.6, 0.253_347_103_135_799_7),
        (0.9, 1.281_551_565_544_600_6),
        (0.975, 1.959_963_984_540_054),
        (0.99, 2.326_347_874_040_841),
        (0.995, 2.575_829_303_548_900_5),
        (0.999_6, 3.352_794_780_504_859),
        (0.999_999, 4.753_424_308_817_088),
    ];

    /// Computed with 40 digits (mpmath), as roots of the incomplete beta function.
    const STUDENT: [(f64, usize, f64); 14] = [
        (1e-12, 1, -318_309_886_183.790_7),
        (1e-12, 999, -7.124_319_732_760_654),
        (1e-12, 1_000, -7.124_228_925_314_409_5),
        (0.975, 9, 2.262_157_162_798_205),
        (0.99, 39, 2.425_841_409_735_630_4),
        (0.999_6, 4, 9.125_732_319_576_745),
        (0.999_6, 39, 3.635_640_916_432_342_4),
        (0.999_6, 1, 795.774_296_580_499_7),
        (0.95, 2, 2.919_985_580_353_724_2),
        (0.6, 3, 0.276_670_662_332_689_83),
        (0.999_999, 250, 4.867_928_470_355_432),
        (0.975, 1_000, 1.962_339_080_826_408),
        (0.51, 9, 0.025_774_047_507_690_512),
        (0.975, 100_000, 1.959_987_707_534_609_3),
    ];

    #[test]
    fn quantiles_are_exact_to_nine_decimal_places() {
        for (probability, expected) in NORMAL {
            near(normal_quantile(probability), expected, 1e-9);
        }
        for (probability, degrees, expected) in STUDENT {
            near(student_quantile(probability, degrees), expected, 1e-9 * expected.abs().max(1.0));
        }
    }

    #[test]
    fn probabilities_are_those_of_the_quantiles() {
        for (probability, quantile) in NORMAL {
            near(normal_probability(quantile), probability, 1e-12 * probability.max(1e-3));
        }
        assert_eq!((normal_probability(f64::NEG_INFINITY), normal_probability(f64::INFINITY)), (0.0, 1.0));
    }

    #[test]
    fn ends_are_infinite_and_other_numbers_no_probabilities() {
        for quantile in [normal_quantile, |probability| student_quantile(probability, 9)] {
            assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
            assert_eq!(quantile(0.5), 0.0);
        }
        for probability in [-0.1, 1.1, f64::NAN] {
            assert!(std::panic::catch_unwind(|| normal_quantile(probability)).is_err());
            assert!(std::panic::catch_unwind(|| student_quantile(probability, 9)).is_err());
        }
        assert!(std::panic::catch_unwind(|| student_quantile(0.9, 0)).is_err());
    }

    proptest! {
        #[test]
        fn the_normal_quantile_inverts_the_distribution_function(log_probability in -600.0_f64..-0.7) {
            let probability = log_probability.exp();
            let quantile = normal_quantile(probability);
            // The quantile moves by 1e-9 where the probability moves by 1e-9 of its density.
            let density = (-0.5 * quantile * quantile).exp() / (2.0 * PI).sqrt();
            prop_assert!((0.5 * libm::erfc(-quantile / SQRT_2) - probability).abs() <= 1e-9 * density);
        }

        #[test]
        fn the_normal_quantile_is_symmetric(k in 1_u32..1 << 20) {
            // A multiple of a power of two, of which the complement is exact.
            let probability = f64::from(k) / f64::from(1_u32 << 21);
            prop_assert!((normal_quantile(probability) + normal_quantile(1.0 - probability)).abs() <= 1e-12);
        }

        #[test]
        fn students_quantile_has_its_closed_forms(probability in 1e-6_f64..0.999_999) {
            let one = (PI * (probability - 0.5)).tan();
            let two = (2.0 * probability - 1.0) / (2.0 * probability * (1.0 - probability)).sqrt();
            prop_assert!((student_quantile(probability, 1) - one).abs() <= 1e-9 * one.abs().max(1.0));
            prop_assert!((student_quantile(probability, 2) - two).abs() <= 1e-9 * two.abs().max(1.0));
            prop_assert_eq!(student_quantile(1.0 - probability, 9), -student_quantile(1.0 - (1.0 - probability), 9));
            prop_assert!((student_quantile(probability, 1_000_000) - normal_quantile(probability)).abs() < 1e-3);
        }
    }
}
