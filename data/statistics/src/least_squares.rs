//! Linear least squares: weighted, with a prior, by the normal equations; and the line through pairs.

/// The normal equations of a regression with `N` coefficients.
#[derive(Debug, Clone, Copy)]
pub struct NormalEquations<const N: usize> {
    matrix: [[f64; N]; N],
    moment: [f64; N],
}

impl<const N: usize> Default for NormalEquations<N> {
    fn default() -> Self {
        Self { matrix: [[0.0; N]; N], moment: [0.0; N] }
    }
}

impl<const N: usize> NormalEquations<N> {
    /// Adds one observation, `basis · coefficients ≈ value`.
    #[inline]
    pub fn observe(&mut self, basis: &[f64; N], value: f64, weight: f64) {
        for (i, (row, moment)) in self.matrix.iter_mut().zip(&mut self.moment).enumerate() {
            let scaled = weight * basis[i];
            *moment += scaled * value;
            row.iter_mut().zip(basis).take(i + 1).for_each(|(sum, b)| *sum += scaled * b);
        }
    }

    /// Adds the observations of another set.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.matrix.iter_mut().flatten().zip(other.matrix.iter().flatten());
        pairs.chain(self.moment.iter_mut().zip(&other.moment)).for_each(|(sum, more)| *sum += more);
    }

    /// Multiplies the weights of all observations so far by `keep`.
    pub fn fade(&mut self, keep: f64) {
        self.matrix.iter_mut().flatten().chain(&mut self.moment).for_each(|sum| *sum *= keep);
    }

    /// Returns the coefficients, by Cholesky's factorisation. `prior` holds a guess and its weight for every
    /// coefficient; weights above zero make the solution unique.
    ///
    /// ```
    /// use statistics::NormalEquations;
    /// let mut line = NormalEquations::<2>::default();
    /// for (x, y) in [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)] {
    ///     line.observe(&[1.0, x], y, 1.0);
    /// }
    /// let [intercept, slope] = line.solve(&[(0.0, 1e-12); 2]);
    /// assert!((intercept - 1.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
    /// ```
    pub fn solve(&self, prior: &[(f64, f64); N]) -> [f64; N] {
        let mut lower = self.matrix;
        let mut z = self.moment;
        for (i, (guess, weight)) in prior.iter().enumerate() {
            lower[i][i] += weight;
            z[i] += weight * guess;
        }
        for i in 0..N {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let rest = lower[i][j] - dot;
                lower[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[j][j] };
            }
            z[i] = (z[i] - (0..i).map(|k| lower[i][k] * z[k]).sum::<f64>()) / lower[i][i];
        }
        for i in (0..N).rev() {
            z[i] = (z[i] - (i + 1..N).map(|k| lower[k][i] * z[k]).sum::<f64>()) / lower[i][i];
        }
        z
    }
}

/// Returns intercept and slope of the least-squares line through pairs of x and y, or `None` if all x are equal.
pub fn least_squares_line(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    if pairs.windows(2).all(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let count = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / count, y + pair.1 / count));
    let (xx, xy) =
        pairs.iter().fold((0.0, 0.0), |(xx, xy), pair| (xx + (pair.0 - x).powi(2), xy + (pair.0 - x) * (pair.1 - y)));
    let slope = xy / xx;
    slope.is_finite().then_some((y - slope * x, slope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_numpy() {
        let pairs = [(2.0, 1.0), (4.0, 3.0), (1.0, 2.0), (7.0, 9.0), (3.0, 1.5)];
        let (intercept, slope) = least_squares_line(&pairs).unwrap();
        assert!((slope - 1.292_452_83).abs() < 1e-8 && (intercept + 1.094_339_62).abs() < 1e-8, "{intercept} {slope}");
        let mut equations = NormalEquations::<2>::default();
        pairs.iter().for_each(|&(x, y)| equations.observe(&[1.0, x], y, 1.0));
        let [same_intercept, same_slope] = equations.solve(&[(0.0, 0.0); 2]);
        assert!((slope - same_slope).abs() < 1e-12 && (intercept - same_intercept).abs() < 1e-12);
        assert_eq!((least_squares_line(&[(1.0, 2.0), (1.0, 3.0)]), least_squares_line(&[])), (None, None));
    }

    #[test]
    fn faded_and_merged_observations_keep_their_weights() {
        let of = |observations: &[(f64, f64)]| {
            let mut equations = NormalEquations::<1>::default();
            observations.iter().for_each(|&(value, weight)| equations.observe(&[1.0], value, weight));
            equations
        };
        let (mut old, new) = (of(&[(1.0, 1.0), (3.0, 1.0)]), of(&[(8.0, 1.0)]));
        old.fade(0.5);
        old.add(&new);
        // Weights of 1/2, 1/2 and 1, and a prior of 5 with weight 2: (0.5 + 1.5 + 8 + 10) / 4.
        let [mean] = old.solve(&[(5.0, 2.0)]);
        assert!((mean - 5.0).abs() < 1e-12, "{mean}");
    }
}
