//! Returns and realised volatility between any two closes of a path, from running sums.

/// A move of the price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Logarithmic return, in basis points.
    pub log_return: f32,
    /// Realised volatility, in basis points: the root of the sum of squared returns from close to close.
    ///
    /// # Source
    /// Andersen, Bollerslev, Diebold and Labys (2003), "Modeling and Forecasting Realized Volatility".
    pub volatility: f32,
}

/// Running sums of the returns from close to close, and of their squares, the first return being that from the open.
#[derive(Debug)]
pub(super) struct Path {
    sums: Vec<(f64, f64)>,
}

impl Path {
    pub(super) fn new(open: f64, closes: &[f64]) -> Self {
        let mut sums = Vec::with_capacity(closes.len() + 1);
        let (mut sum, mut squares, mut last) = (0.0, 0.0, open);
        sums.push((sum, squares));
        for &close in closes {
            let change = 1e4 * (close / last).ln();
            (sum, squares, last) = (sum + change, squares + change * change, close);
            sums.push((sum, squares));
        }
        Self { sums }
    }

    /// Number of closes.
    pub(super) fn len(&self) -> usize {
        self.sums.len() - 1
    }

    /// Returns the move from one close to a later one.
    pub(super) fn between(&self, from: usize, to: usize) -> Move {
        self.spanning(from + 1, to + 1)
    }

    /// Returns the move over the last `length` returns up to a close, or over the available ones, with the volatility scaled to
    /// `length`.
    pub(super) fn before(&self, at: usize, length: usize) -> Move {
        let first = (at + 1).saturating_sub(length);
        let held = (at + 1 - first) as f64;
        let Move { log_return, volatility } = self.spanning(first, at + 1);
        Move { log_return, volatility: (f64::from(volatility) * (length as f64 / held).sqrt()) as f32 }
    }

    fn spanning(&self, first: usize, last: usize) -> Move {
        let ((a, aa), (b, bb)) = (self.sums[first], self.sums[last]);
        Move { log_return: (b - a) as f32, volatility: (bb - aa).max(0.0).sqrt() as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_sums_of_returns_and_early_volatility_is_scaled() {
        let closes: Vec<f64> = [2.0, -1.0, 4.0]
            .iter()
            .scan(100.0, |price, bp| {
                *price *= f64::exp(bp / 1e4);
                Some(*price)
            })
            .collect();
        let path = Path::new(100.0, &closes);
        let near = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-4, "{a} is not {b}");
        near(path.between(0, 2).log_return, 3.0);
        near(path.between(0, 2).volatility, 17f64.sqrt());
        near(path.before(1, 2).log_return, 1.0);
        near(path.before(1, 8).log_return, 1.0);
        near(path.before(1, 8).volatility, (5.0 * 4.0f64).sqrt());
        assert_eq!(path.len(), 3);
    }
}
