//! Ranks, rank statistics and correlation.

use crate::finite;

/// Returns the rank of each number, from 1. Equal numbers have the mean of their ranks.
pub fn ranks(values: &[f32]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tied in ascending(values).chunk_by(|&i, &j| values[i] == values[j]) {
        let shared = below as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = shared);
        below += tied.len();
    }
    ranks
}

/// Returns the placement of each number among those of the other class: for a number with `up`, the share of the
/// numbers without `up` that lie below it; for any other, the share of the numbers with `up` that lie above it. Equal
/// numbers count as half. NaN if the other class is empty. The mean placement of either class is the area under the
/// receiver operating characteristic.
///
/// # Panics
/// If `values` and `up` differ in length.
///
/// # Source
/// DeLong, DeLong & Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
/// characteristic curves": the structural components, whose variance is that of the area.
pub fn placements(values: &[f32], up: &[bool]) -> Vec<f64> {
    assert_eq!(values.len(), up.len(), "a class per number");
    let ups = up.iter().filter(|&&up| up).count();
    let downs = (up.len() - ups) as f64;
    let (mut above, mut below) = (ups as f64, 0.0);
    let mut placed = vec![0.0; values.len()];
    for tied in ascending(values).chunk_by(|&i, &j| values[i] == values[j]) {
        let ups_here = tied.iter().filter(|&&i| up[i]).count() as f64;
        let downs_here = tied.len() as f64 - ups_here;
        above -= ups_here;
        for &i in tied {
            let (won, others) =
                if up[i] { (below + downs_here / 2.0, downs) } else { (above + ups_here / 2.0, ups as f64) };
            placed[i] = won / others;
        }
        below += downs_here;
    }
    placed
}

/// Returns the positions of the values in ascending order.
fn ascending(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    order
}

/// Returns Kendall's rank correlation of two sequences: 1 for the same order, -1 for the opposite order, 0 on average
/// for unrelated ones. A tied pair counts neither for nor against. Returns `None` if all values of one sequence are
/// equal.
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

/// Returns the Mann-Whitney test statistic: by how many standard deviations of chance the first values are larger than
/// the second ones. NaN if either is empty.
///
/// # Source
/// Mann & Whitney 1947, the normal approximation of U, ties counted half.
pub fn mann_whitney_z(first: &[f64], second: &[f64]) -> f64 {
    let (n, m) = (first.len() as f64, second.len() as f64);
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| a.total_cmp(b)));
    let u: f64 = pairs.map(|order| f64::from(order as i8 + 1) / 2.0).sum();
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// Returns Pearson's correlation of pairs, or `None` if one side does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - x, pair.1 - y)).sum::<f64>();
    finite(sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, by: f64) {
        assert!((a - b).abs() <= by, "{a} is not {b}");
    }

    #[test]
    fn ranks_are_those_of_scipys_example() {
        // The example in the documentation of scipy.stats.rankdata.
        assert_eq!(ranks(&[0.0, 2.0, 3.0, 2.0]), [1.0, 2.5, 4.0, 2.5]);
        assert_eq!(ranks(&[5.0; 3]), [2.0; 3]);
        assert_eq!(ranks(&[0.0, -0.0, -1.0]), [2.5, 2.5, 1.0], "zeros are equal");
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn placements_count_the_other_class() {
        let placed = placements(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
        assert_eq!(placed, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(placements(&[0.3; 4], &[false, true, true, false]), [0.5; 4]);
        assert!(placements(&[0.3, 0.4], &[true; 2]).iter().all(|placed| placed.is_nan()));
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

    #[test]
    fn larger_numbers_are_significant() {
        const SIGNIFICANT: f64 = 2.326;
        let low: Vec<f64> = (0..20).map(f64::from).collect();
        let high: Vec<f64> = (0..20).map(|x| f64::from(x) + 9.0).collect();
        assert_eq!(mann_whitney_z(&low, &low), 0.0);
        assert!(mann_whitney_z(&high, &low) > SIGNIFICANT && mann_whitney_z(&low, &high) < -SIGNIFICANT);
        // U = 7.5 of 9 pairs: (7.5 - 4.5) / sqrt(9 · 7 / 12).
        let z = mann_whitney_z(&[2.0, 3.0, 4.0], &[1.0, 2.0, 3.5]);
        assert!((z - 3.0 / 5.25f64.sqrt() * 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn correlations_are_those_of_numpy() {
        let (x, y) = ([2.0, 4.0, 1.0, 7.0, 3.0], [1.0, 3.0, 2.0, 9.0, 1.5]);
        let pairs = |x: [f64; 5], y: [f64; 5]| x.into_iter().zip(y).collect::<Vec<_>>();
        near(correlation(&pairs(x, y)).unwrap(), 0.909_621_564_876_852_6, 1e-12);
        near(correlation(&pairs(x, x.map(|x| -2.0 * x))).unwrap(), -1.0, 1e-12);
        assert_eq!((correlation(&pairs(x, [1.0; 5])), correlation(&[])), (None, None));
    }
}
