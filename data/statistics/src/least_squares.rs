//! Weighted linear least squares by the normal equations, one observation at a time.

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
    /// Adds one observation: `basis · coefficients` shall be near `value`.
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

    /// Makes all observations so far count less.
    pub fn fade(&mut self, keep: f64) {
        self.matrix.iter_mut().flatten().chain(&mut self.moment).for_each(|sum| *sum *= keep);
    }

    /// Returns the coefficients, by Cholesky's factorisation. `prior` is a first guess and the weight that it has, for
    /// every coefficient; weights above zero make the solution unique.
    ///
    /// ```
    /// use market_env::NormalEquations;
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
