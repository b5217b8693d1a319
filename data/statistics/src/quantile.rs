//! Quantiles and medians of samples.

/// Returns a quantile by linear interpolation between two values; NaN for no value. `share` lies between 0 (smallest)
/// and 1 (largest). Reorders `values`.
///
/// ```
/// assert_eq!(statistics::quantile(&mut [7.0, 1.0, 3.0, 2.0], 0.5), 2.5);
/// ```
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let below = (place.floor() as usize).min(last);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (place - below as f64)
}

/// Returns the median of numbers in ascending order; 0 for none.
pub fn median(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        let mut values = [7.0, 1.0, 3.0, 2.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 5.8), (1.0, 7.0)] {
            assert!((quantile(&mut values, share) - expected).abs() < 1e-12, "{share}");
        }
        assert_eq!(quantile(&mut [4.0], 0.9), 4.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!((median(&[]), median(&[3.0]), median(&[1.0, 2.0, 9.0]), median(&[1.0, 2.0])), (0.0, 3.0, 2.0, 1.5));
    }

    proptest! {
        #[test]
        fn the_median_is_the_middle_quantile(mut values in prop::collection::vec(-1e6_f64..1e6, 1..40)) {
            values.sort_by(f64::total_cmp);
            let median = median(&values);
            prop_assert!((quantile(&mut values, 0.5) - median).abs() <= 1e-9);
        }
    }
}
