//! Ranks, where equal numbers share theirs.

/// Returns the rank of each number, from 1; equal ones have the mean of theirs.
pub(super) fn ranks(values: &[f32]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tied in ascending(values).chunk_by(|&i, &j| values[i] == values[j]) {
        let shared = below as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = shared);
        below += tied.len();
    }
    ranks
}

/// Returns how well each number is placed against the other class: of one that is up, the share of those not up that lie
/// below it; of one that is not, the share of those up that lie above it. Equal ones count as half; not a number where the
/// other class is empty. Either class's mean placement is the area under the receiver operating characteristic.
///
/// # Source
/// DeLong, DeLong & Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
/// characteristic curves": the structural components, whose variance is that of the area.
pub(super) fn placements(values: &[f32], up: &[bool]) -> Vec<f64> {
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

/// Positions in ascending order of their values.
fn ascending(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
