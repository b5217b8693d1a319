//! SIMD kernels: one matrix product with four uses, each with a fused epilogue.
//!
//! The sum of an element runs over its terms in order, by fused multiply-add, and never across the lanes of a vector.
//! The bits therefore depend neither on the processor's vector width nor on the grouping of rows.

use pulp::{Arch, Simd, WithSimd};

use super::vectors::{load, store, tanh_in_place};
use crate::Activation;

/// Writes `out = f(input · weight + bias)`: `input` is `[R, D]`, `weight` `[D, W]`, `bias` `[W]`, `out` `[R, W]`.
///
/// The hyperbolic tangent is a pass of its own: within the product it would take registers from the sums.
pub(super) fn forward(input: Rows<'_>, weight: &[f32], bias: &[f32], f: Option<Activation>, out: &mut [f32]) {
    let epilogue = Forward { bias, relu: f == Some(Activation::Relu) };
    Arch::new().dispatch(Product { left: input, right: weight, out: &mut *out, width: bias.len(), epilogue });
    if f == Some(Activation::Tanh) {
        tanh_in_place(out);
    }
}

/// Accumulates a product, `out += left · right`: `left` is `[R, D]`, `right` `[D, W]`, `out` `[R, W]`.
pub(super) fn add_product(left: Rows<'_>, right: &[f32], width: usize, out: &mut [f32]) {
    Arch::new().dispatch(Product { left, right, out, width, epilogue: Add });
}

/// Writes the gradient with respect to a layer's input before its activation function `f`, `out = (delta · weight) ∘
/// f'(y)`: `delta` is `[R, D]`, `weight` `[D, W]`, and `y = f(x)`, like `out`, `[R, W]`. Without `f` it is the gradient
/// with respect to the input itself.
pub(super) fn backward(
    delta: Rows<'_>,
    weight: &[f32],
    y: &[f32],
    f: Option<Activation>,
    width: usize,
    out: &mut [f32],
) {
    Arch::new().dispatch(Product { left: delta, right: weight, out, width, epilogue: Backward { y, f } });
}

/// Accumulates the weight gradient of a layer, `out += inputᵀ · delta`: `input` is `[R, D]`, `delta` `[R, W]`, `out`
/// `[D, W]`.
pub(super) fn add_weight_gradient(input: Columns<'_>, delta: &[f32], width: usize, out: &mut [f32]) {
    Arch::new().dispatch(Product { left: input, right: delta, out, width, epilogue: Add });
}

/// The left factor of a product, read `R` rows at a time.
trait LeftFactor: Copy {
    /// Rows of the factor.
    fn rows(self) -> usize;

    /// Returns a function from a column to that column of the `R` rows starting at `first`.
    fn band<const R: usize>(self, first: usize) -> impl Fn(usize) -> [f32; R];
}

/// Row-major matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// `[rows, stride]`
    pub(super) data: &'a [f32],
    /// Distance between two rows.
    pub(super) stride: usize,
    /// Columns in use, from the first on.
    pub(super) columns: usize,
}

/// Transpose of a row-major matrix: its columns are the rows of the factor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) Rows<'a>);

impl LeftFactor for Rows<'_> {
    #[inline(always)]
    fn rows(self) -> usize {
        self.data.len() / self.stride
    }

    #[inline(always)]
    fn band<const R: usize>(self, first: usize) -> impl Fn(usize) -> [f32; R] {
        let rows: [&[f32]; R] = std::array::from_fn(|r| &self.data[(first + r) * self.stride..][..self.columns]);
        #[inline(always)]
        move |column| std::array::from_fn(|r| rows[r][column])
    }
}

impl LeftFactor for Columns<'_> {
    #[inline(always)]
    fn rows(self) -> usize {
        self.0.columns
    }

    #[inline(always)]
    fn band<const R: usize>(self, first: usize) -> impl Fn(usize) -> [f32; R] {
        let Rows { data, stride, .. } = self.0;
        #[inline(always)]
        move |column| {
            let mut values = [0.0; R];
            values.copy_from_slice(&data[column * stride + first..][..R]);
            values
        }
    }
}

/// Epilogue of a matrix product: the initial value of each sum and the function applied to the result.
trait Epilogue: Copy {
    /// Returns the initial sums at position `at` of the output `out`, in this column.
    fn init<S: Simd>(self, simd: S, out: &[f32], at: usize, column: usize) -> S::f32s;

    /// Returns the numbers to store.
    fn apply<S: Simd>(self, simd: S, sum: S::f32s, at: usize) -> S::f32s;
}

#[derive(Clone, Copy)]
struct Forward<'a> {
    bias: &'a [f32],
    relu: bool,
}

#[derive(Clone, Copy)]
struct Backward<'a> {
    y: &'a [f32],
    f: Option<Activation>,
}

#[derive(Clone, Copy)]
struct Add;

impl Epilogue for Forward<'_> {
    #[inline(always)]
    fn init<S: Simd>(self, _: S, _: &[f32], _: usize, column: usize) -> S::f32s {
        load::<S>(self.bias, column)
    }

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, sum: S::f32s, _: usize) -> S::f32s {
        // `max` and `min` return their second operand for NaN, so NaN propagates.
        if self.relu { simd.max_f32s(simd.splat_f32s(0.0), sum) } else { sum }
    }
}

impl Epilogue for Backward<'_> {
    #[inline(always)]
    fn init<S: Simd>(self, simd: S, _: &[f32], _: usize, _: usize) -> S::f32s {
        simd.splat_f32s(0.0)
    }

    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, sum: S::f32s, at: usize) -> S::f32s {
        let Some(f) = self.f else { return sum };
        let y = load::<S>(self.y, at);
        let zero = simd.splat_f32s(0.0);
        match f {
            Activation::Tanh => simd.mul_f32s(sum, simd.sub_f32s(simd.splat_f32s(1.0), simd.mul_f32s(y, y))),
            Activation::Relu => simd.select_f32s(simd.greater_than_f32s(y, zero), sum, zero),
        }
    }
}

impl Epilogue for Add {
    #[inline(always)]
    fn init<S: Simd>(self, _: S, out: &[f32], at: usize, _: usize) -> S::f32s {
        load::<S>(out, at)
    }

    #[inline(always)]
    fn apply<S: Simd>(self, _: S, sum: S::f32s, _: usize) -> S::f32s {
        sum
    }
}

/// `out = epilogue(left · right)`: `left` is `[R, D]`, `right` `[D, width]`, `out` `[R, width]`.
struct Product<'a, L, F> {
    left: L,
    right: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    epilogue: F,
}

impl<L: LeftFactor, F: Epilogue> WithSimd for Product<'_, L, F> {
    type Output = ();

    /// Splits the output into tiles whose sums fit the vector registers.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.left.rows();
        let mut row = 0;
        // With one or two vectors per row, eight rows keep both FMA units busy.
        while S::F32_LANES * 2 >= self.width && row + 8 <= rows {
            self.band::<S, 8>(simd, row);
            row += 8;
        }
        while row + 4 <= rows {
            self.band::<S, 4>(simd, row);
            row += 4;
        }
        match rows - row {
            1 => self.band::<S, 1>(simd, row),
            2 => self.band::<S, 2>(simd, row),
            3 => self.band::<S, 3>(simd, row),
            _ => {}
        }
    }
}

impl<L: LeftFactor, F: Epilogue> Product<'_, L, F> {
    /// Computes `R` rows of the output, starting at `row`.
    #[inline(always)]
    fn band<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let wide = S::REGISTER_COUNT >= 32 && R <= 4;
        let mut column = 0;
        while column < self.width {
            let vectors = (self.width - column) / S::F32_LANES;
            let taken = match vectors {
                4.. if wide => self.tile::<S, R, 4>(simd, row, column),
                3 if wide => self.tile::<S, R, 3>(simd, row, column),
                2.. => self.tile::<S, R, 2>(simd, row, column),
                _ => self.tile::<S, R, 1>(simd, row, column),
            };
            column += taken * S::F32_LANES;
        }
    }

    /// Computes `R` rows of `V` vectors, kept in registers from start to end; returns `V`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, column: usize) -> usize {
        let Self { left, right, out, width, epilogue } = self;
        let position = |r: usize, v: usize| ((row + r) * *width + column + v * S::F32_LANES, column + v * S::F32_LANES);
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                let (at, column) = position(r, v);
                *sum = epilogue.init(simd, out, at, column);
            }
        }
        let left = left.band::<R>(row);
        for (index, right) in right.chunks_exact(*width).enumerate() {
            let mut factors = [simd.splat_f32s(0.0); V];
            factors.copy_from_slice(S::as_simd_f32s(&right[column..column + V * S::F32_LANES]).0);
            for (sums, x) in sums.iter_mut().zip(left(index)) {
                let x = simd.splat_f32s(x);
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = simd.mul_add_f32s(x, factor, *sum);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let (at, _) = position(r, v);
                let result = epilogue.apply(simd, sum, at);
                store::<S>(out, at, result);
            }
        }
        V
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    fn rows(data: &[f32], stride: usize, columns: usize) -> Rows<'_> {
        Rows { data, stride, columns }
    }

    /// Shapes with every remainder of rows and columns against the tile sizes.
    const SHAPES: [(usize, usize, usize); 8] =
        [(1, 4, 16), (3, 5, 32), (8, 6, 16), (13, 38, 64), (64, 64, 64), (66, 33, 80), (7, 1, 144), (9, 17, 48)];

    #[test]
    fn products_match_the_textbook() {
        for (rows_, depth, width) in SHAPES {
            let (input, weight, bias) = (numbers(rows_ * depth, 1), numbers(depth * width, 2), numbers(width, 3));
            let product = |row: usize, column: usize| -> f64 {
                let terms =
                    (0..depth).map(|k| f64::from(input[row * depth + k]) * f64::from(weight[k * width + column]));
                terms.sum()
            };
            let close = |ours: &[f32], expected: &dyn Fn(usize, usize) -> f64| {
                for (index, &ours) in ours.iter().enumerate() {
                    let expected = expected(index / width, index % width);
                    assert!((f64::from(ours) - expected).abs() < 1e-5, "{rows_}x{depth}x{width}: {ours} {expected}");
                }
            };
            let mut out = vec![7.0; rows_ * width];
            let left = rows(&input, depth, depth);
            forward(left, &weight, &bias, None, &mut out);
            close(&out, &|row, column| product(row, column) + f64::from(bias[column]));
            forward(left, &weight, &bias, Some(Activation::Tanh), &mut out);
            close(&out, &|row, column| (product(row, column) + f64::from(bias[column])).tanh());
            let y = out.clone();
            backward(left, &weight, &y, Some(Activation::Tanh), width, &mut out);
            close(&out, &|row, column| product(row, column) * (1.0 - f64::from(y[row * width + column]).powi(2)));
            forward(left, &weight, &bias, Some(Activation::Relu), &mut out);
            close(&out, &|row, column| (product(row, column) + f64::from(bias[column])).max(0.0));
            let y = out.clone();
            backward(left, &weight, &y, Some(Activation::Relu), width, &mut out);
            close(&out, &|row, column| if y[row * width + column] > 0.0 { product(row, column) } else { 0.0 });

            // The transposed factor: `depth` rows of `rows_` numbers.
            let transposed: Vec<f32> = (0..depth * rows_).map(|i| input[i % rows_ * depth + i / rows_]).collect();
            out.fill(0.5);
            add_weight_gradient(Columns(rows(&transposed, rows_, rows_)), &weight, width, &mut out);
            close(&out, &|row, column| product(row, column) + 0.5);
            out.fill(0.5);
            add_product(left, &weight, width, &mut out);
            close(&out, &|row, column| product(row, column) + 0.5);
        }
    }

    #[test]
    fn vector_width_changes_no_bit() {
        for (rows_, depth, width) in SHAPES {
            let (input, weight, bias) = (numbers(rows_ * depth, 1), numbers(depth * width, 2), numbers(width, 3));
            let (mut wide, mut narrow) = (vec![0.0; rows_ * width], vec![0.0; rows_ * width]);
            let left = rows(&input, depth, depth);
            forward(left, &weight, &bias, Some(Activation::Tanh), &mut wide);
            let epilogue = Forward { bias: &bias, relu: false };
            Product { left, right: &weight, out: &mut narrow, width, epilogue }.with_simd(Scalar);
            tanh_in_place(&mut narrow);
            assert_eq!(wide, narrow, "{rows_}x{depth}x{width}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_a_batch() {
        let (input, weight, bias) = (numbers(30 * 11, 1), numbers(11 * 48, 2), numbers(48, 3));
        let (mut all, mut one) = (vec![0.0; 30 * 48], vec![0.0; 48]);
        forward(rows(&input, 11, 11), &weight, &bias, Some(Activation::Tanh), &mut all);
        for (row, expected) in all.chunks_exact(48).enumerate() {
            forward(rows(&input[row * 11..(row + 1) * 11], 11, 11), &weight, &bias, Some(Activation::Tanh), &mut one);
            assert_eq!(one, expected);
        }
    }

    #[test]
    fn nan_propagates_through_activations() {
        for f in [Activation::Tanh, Activation::Relu] {
            let mut out = [0.0; 16];
            forward(rows(&[f32::NAN], 1, 1), &[1.0; 16], &[0.0; 16], Some(f), &mut out);
            assert!(out.iter().all(|y| y.is_nan()), "{f:?}: {out:?}");
        }
    }
}
