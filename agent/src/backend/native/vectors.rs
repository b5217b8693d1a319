//! Passes over whole rows, vector by vector, and the pieces of such passes.
//!
//! As in the products, no sum runs across the lanes of a vector, so that the bits do not depend on its width.

use pulp::{Arch, Simd, WithSimd};

use crate::Activation;

/// Matrix rows are padded to a multiple of this: the width of the widest vector.
pub(super) const LANES: usize = 16;

/// Returns the padded length of a row of `columns` numbers.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// Accumulates the bias gradient of a layer, the column sums of `delta`: `delta` is `[R, W]`, `out` `[W]`.
pub(super) fn add_bias_gradient(delta: &[f32], out: &mut [f32]) {
    Arch::new().dispatch(ColumnSums { delta, out });
}

/// Multiplies `delta` by the derivative of the activation function at its output `y`.
pub(super) fn multiply_by_derivative(f: Activation, y: &[f32], delta: &mut [f32]) {
    let pairs = delta.iter_mut().zip(y);
    match f {
        Activation::Tanh => pairs.for_each(|(d, y)| *d *= 1.0 - y * y),
        Activation::Relu => pairs.for_each(|(d, &y)| *d = if y > 0.0 { *d } else { 0.0 }),
    }
}

/// Replaces every number by its hyperbolic tangent; the length is a multiple of [`LANES`].
pub(super) fn tanh_in_place(numbers: &mut [f32]) {
    Arch::new().dispatch(Tanh(numbers));
}

struct Tanh<'a>(&'a mut [f32]);

impl WithSimd for Tanh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for y in S::as_mut_simd_f32s(self.0).0 {
            *y = tanh(simd, *y);
        }
    }
}

/// `out += ` the column sums of `delta`: `delta` is `[R, W]`, `out` `[W]`.
struct ColumnSums<'a> {
    delta: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut column = 0;
        while column < self.out.len() {
            let taken = match (self.out.len() - column) / S::F32_LANES {
                4.. => self.columns::<S, 4>(simd, column),
                _ => self.columns::<S, 1>(simd, column),
            };
            column += taken * S::F32_LANES;
        }
    }
}

impl ColumnSums<'_> {
    /// Sums `V` vectors of columns, kept in registers; returns `V`.
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(&mut self, simd: S, column: usize) -> usize {
        let mut sums = [simd.splat_f32s(0.0); V];
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = load::<S>(self.out, column + v * S::F32_LANES);
        }
        for row in self.delta.chunks_exact(self.out.len()) {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add_f32s(*sum, load::<S>(row, column + v * S::F32_LANES));
            }
        }
        for (v, sum) in sums.into_iter().enumerate() {
            store::<S>(self.out, column + v * S::F32_LANES, sum);
        }
        V
    }
}

/// Writes the transpose of a matrix: `from` is `[R, width]`, `to` `[C, stride]` with `C <= width` and `R <= stride`.
pub(super) fn transpose(from: &[f32], width: usize, to: &mut [f32], stride: usize) {
    let columns = (to.len() / stride).min(width);
    let blocks = from.chunks_exact(LANES * width);
    let rest = blocks.remainder();
    for (block, rows) in blocks.enumerate() {
        // Sixteen rows fill a line of the cache.
        let rows: [&[f32]; LANES] = std::array::from_fn(|row| &rows[row * width..][..width]);
        for column in 0..columns {
            let line = &mut to[column * stride + block * LANES..][..LANES];
            line.iter_mut().zip(rows).for_each(|(x, row)| *x = row[column]);
        }
    }
    let first = from.len() / width / LANES * LANES;
    for (row, numbers) in rest.chunks_exact(width).enumerate() {
        let lines = to.chunks_exact_mut(stride).zip(numbers);
        lines.for_each(|(line, &x)| line[first + row] = x);
    }
}

/// Returns the vector at a position.
#[inline(always)]
pub(super) fn load<S: Simd>(data: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&data[at..at + S::F32_LANES]).0[0]
}

/// Writes the vector at a position.
#[inline(always)]
pub(super) fn store<S: Simd>(data: &mut [f32], at: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut data[at..at + S::F32_LANES]).0[0] = vector;
}

/// Returns the hyperbolic tangent within 5e-7.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (numerator, denominator) = tanh_fraction(simd, x);
    simd.div_f32s(numerator, denominator)
}

/// Returns the hyperbolic tangent as numerator and denominator; the denominator lies between 0.0048 and 1.7.
///
/// # Source
/// The rational minimax approximation of degree 13 over 6 that Eigen uses (`generic_fast_tanh_float`).
#[inline(always)]
pub(super) fn tanh_fraction<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    // `max` and `min` return their second operand for NaN, so NaN propagates.
    let x = simd.max_f32s(simd.splat_f32s(-9.0), simd.min_f32s(simd.splat_f32s(9.0), x));
    let x2 = simd.mul_f32s(x, x);
    let mut p = simd.splat_f32s(-2.760_768_5e-16);
    for coefficient in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = simd.mul_add_f32s(p, x2, simd.splat_f32s(coefficient));
    }
    let mut q = simd.splat_f32s(1.198_258_4e-6);
    for coefficient in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = simd.mul_add_f32s(q, x2, simd.splat_f32s(coefficient));
    }
    (simd.mul_f32s(x, p), q)
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|index| (index * 37 % 101) as f32 * 0.04 - 2.0).collect()
    }

    #[test]
    fn vector_width_changes_no_bit() {
        for (rows, width) in [(1, 16), (7, 48), (64, 64), (3, 144)] {
            let delta = numbers(rows * width);
            let (mut wide, mut narrow) = (numbers(width), numbers(width));
            add_bias_gradient(&delta, &mut wide);
            ColumnSums { delta: &delta, out: &mut narrow }.with_simd(Scalar);
            assert_eq!(wide, narrow, "column sums of {rows}x{width}");
            let sum = |column: usize| delta.iter().skip(column).step_by(width).sum::<f32>() + numbers(width)[column];
            assert!(wide.iter().enumerate().all(|(column, x)| (x - sum(column)).abs() < 1e-4), "{wide:?}");
            tanh_in_place(&mut wide);
            Tanh(&mut narrow).with_simd(Scalar);
            assert_eq!(wide, narrow, "tanh of {width}");
        }
    }

    #[test]
    fn a_transpose_swaps_rows_and_columns() {
        for (rows, columns, width, stride) in [(1, 1, 16, 16), (38, 64, 64, 48), (40, 6, 16, 40), (16, 3, 16, 16)] {
            let from = numbers(rows * width);
            let mut to = vec![0.0; columns * stride];
            transpose(&from, width, &mut to, stride);
            let expected = |at: usize| if at % stride < rows { from[at % stride * width + at / stride] } else { 0.0 };
            to.iter().enumerate().for_each(|(at, &x)| assert_eq!(x, expected(at), "{rows}x{width} at {at}"));
        }
    }

    #[test]
    fn tanh_is_close_to_libm_everywhere() {
        let worst = (-2_000_000..=2_000_000)
            .map(|i| i as f32 * 1e-5)
            .map(|x| (f64::from(tanh(Scalar, x)) - f64::from(x).tanh()).abs())
            .fold(0.0, f64::max);
        assert!(worst < 5e-7, "{worst}");
        assert_eq!(tanh(Scalar, 0.0), 0.0);
    }
}
