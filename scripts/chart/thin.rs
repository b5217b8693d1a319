//! Thinning of long series to what a screen shows: of every column of pixels the extremes remain.

/// Points per column below which a series is drawn whole.
const PER_COLUMN: usize = 4;

/// Returns a line, by ascending position, with the lowest and the highest point of every column only, in their order, and its ends. A line
/// with few points, or one that runs back, is returned unchanged.
pub(crate) fn thin_line(points: Vec<(f64, f64)>, columns: usize) -> Vec<(f64, f64)> {
    if points.len() <= PER_COLUMN * columns || !points.is_sorted_by(|a, b| a.0 <= b.0) {
        return points;
    }
    let mut kept = vec![points[0]];
    for column in split(&points, columns, |point| point.0) {
        let lowest = (0..column.len()).min_by(|&a, &b| column[a].1.total_cmp(&column[b].1)).unwrap_or(0);
        let highest = (0..column.len()).max_by(|&a, &b| column[a].1.total_cmp(&column[b].1)).unwrap_or(0);
        kept.push(column[lowest.min(highest)]);
        kept.push(column[lowest.max(highest)]);
    }
    kept.push(points[points.len() - 1]);
    kept.dedup();
    kept
}

/// Returns a band (position, lower and upper edge) with one entry per column, which spans all of the column's.
pub(crate) fn thin_band(points: &[(f64, f64, f64)], columns: usize) -> Vec<(f64, f64, f64)> {
    if points.len() <= PER_COLUMN * columns || !points.is_sorted_by(|a, b| a.0 <= b.0) {
        return points.to_vec();
    }
    let span = |column: &[(f64, f64, f64)]| {
        let low = column.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        (column[0].0, low, column.iter().map(|point| point.2).fold(f64::NEG_INFINITY, f64::max))
    };
    split(points, columns, |point| point.0).map(span).collect()
}

/// Splits a series into the parts that share a column.
fn split<T>(points: &[T], columns: usize, x: impl Fn(&T) -> f64) -> impl Iterator<Item = &[T]> {
    let (first, last) = (points.first().map_or(0.0, &x), points.last().map_or(0.0, &x));
    let width = ((last - first) / columns as f64).max(f64::MIN_POSITIVE);
    let column = move |point: &T| ((x(point) - first) / width) as usize;
    points.chunk_by(move |a, b| column(a) == column(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_of_every_column_remain() {
        let wave = |i: u32| if i == 5_003 { 9.0 } else { f64::from(i % 7) };
        let points: Vec<_> = (0..20_000).map(|i| (f64::from(i), wave(i))).collect();
        let thin = thin_line(points.clone(), 100);
        assert!(thin.len() <= 2 * 101 + 2 && thin.is_sorted_by(|a, b| a.0 <= b.0), "{}", thin.len());
        assert!(thin.contains(&(5_003.0, 9.0)), "a single peak");
        assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[19_999]));
        let all = |value: f64| thin.iter().filter(|point| point.1 == value).count();
        assert!(all(0.0) >= 99 && all(6.0) >= 99, "{} and {}", all(0.0), all(6.0));
        assert_eq!(thin_line(points[..400].to_vec(), 100), points[..400]);
        let back: Vec<_> = points.iter().rev().copied().collect();
        assert_eq!(thin_line(back.clone(), 100), back);
    }

    #[test]
    fn a_band_spans_what_it_stands_for() {
        let points: Vec<_> = (0..1_000).map(f64::from).map(|x| (x, -x, if x == 555.0 { 9.0 } else { 1.0 })).collect();
        let thin = thin_band(&points, 10);
        assert_eq!(thin.len(), 11, "the last point opens a column of its own");
        assert_eq!(thin[5], (500.0, -599.0, 9.0));
        assert_eq!(thin_band(&points[..40], 10), points[..40]);
    }
}
