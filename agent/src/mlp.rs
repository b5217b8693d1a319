//! Multilayer perceptrons on slices of one flat parameter vector: layout, initialisation, forward and backward passes.
//!
//! A matrix is `[outputs, inputs]`, row-major, as in PyTorch, so that files and backends agree without transposing.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Where one linear layer lies in its network's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    start: usize,
}

impl Linear {
    /// Range of the weights `[outputs, inputs]` in the network's parameters.
    pub(crate) fn weight(&self) -> Range<usize> {
        self.start..self.start + self.outputs * self.inputs
    }

    /// Range of the biases `[outputs]` in the network's parameters.
    pub(crate) fn bias(&self) -> Range<usize> {
        let start = self.weight().end;
        start..start + self.outputs
    }
}

/// Linear layers with a tanh between each two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mlp {
    pub(crate) layers: Vec<Linear>,
}

impl Mlp {
    pub(crate) fn new(inputs: usize, hidden: &[usize], outputs: usize) -> Self {
        let mut layers: Vec<Linear> = Vec::with_capacity(hidden.len() + 1);
        let (mut inputs, mut start) = (inputs, 0);
        for &outputs in hidden.iter().chain([&outputs]) {
            layers.push(Linear { inputs, outputs, start });
            start += outputs * (inputs + 1);
            inputs = outputs;
        }
        Self { layers }
    }

    /// Number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias().end)
    }

    /// Fills the parameters: orthogonal weights with gain √2 in the hidden layers and `head_gain` in the last, biases zero.
    pub(crate) fn init(&self, head_gain: f64, rng: &mut ChaCha8Rng, params: &mut [f32]) {
        for (index, layer) in self.layers.iter().enumerate() {
            let gain = if index + 1 == self.layers.len() { head_gain } else { std::f64::consts::SQRT_2 };
            params[layer.bias()].fill(0.0);
            orthogonal(layer, gain, rng, &mut params[layer.weight()]);
        }
    }

    /// Computes every layer's output for `rows` rows of `input`; the last holds the network's.
    pub(crate) fn forward(&self, params: &[f32], input: &[f32], rows: usize, out: &mut Activations) {
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = out.layers.split_at_mut(index);
            let input = before.last().map_or(input, Vec::as_slice);
            let output = &mut after[0][..rows * layer.outputs];
            output.chunks_exact_mut(layer.outputs).for_each(|row| row.copy_from_slice(&params[layer.bias()]));
            let weight = view(&params[layer.weight()], layer.outputs, layer.inputs);
            general_mat_mul(
                1.0,
                &view(&input[..rows * layer.inputs], rows, layer.inputs),
                &weight.t(),
                1.0,
                &mut view_mut(output, rows, layer.outputs),
            );
            if index + 1 < self.layers.len() {
                output.iter_mut().for_each(|x| *x = tanh(*x));
            }
        }
    }

    /// Writes the gradient of the loss by every parameter, given that by the output in the last of `deltas`.
    pub(crate) fn backward(
        &self,
        params: &[f32],
        input: &[f32],
        rows: usize,
        activations: &Activations,
        deltas: &mut Activations,
        gradient: &mut [f32],
    ) {
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (before, after) = deltas.layers.split_at_mut(index);
            let delta = &after[0][..rows * layer.outputs];
            let bias = &mut gradient[layer.bias()];
            bias.fill(0.0);
            for row in delta.chunks_exact(layer.outputs) {
                bias.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
            }
            let delta = view(delta, rows, layer.outputs);
            let input = if index == 0 { input } else { &activations.layers[index - 1] };
            let input = &input[..rows * layer.inputs];
            let mut weight_gradient = view_mut(&mut gradient[layer.weight()], layer.outputs, layer.inputs);
            general_mat_mul(1.0, &delta.t(), &view(input, rows, layer.inputs), 0.0, &mut weight_gradient);
            if let Some(below) = before.last_mut() {
                let below = &mut below[..rows * layer.inputs];
                let weight = view(&params[layer.weight()], layer.outputs, layer.inputs);
                general_mat_mul(1.0, &delta, &weight, 0.0, &mut view_mut(below, rows, layer.inputs));
                below.iter_mut().zip(input).for_each(|(d, h)| *d *= 1.0 - h * h);
            }
        }
    }
}

/// One buffer `[rows, outputs]` per layer: its outputs, or the gradient of the loss by its outputs.
#[derive(Debug, Clone)]
pub(crate) struct Activations {
    layers: Vec<Vec<f32>>,
}

impl Activations {
    pub(crate) fn new(net: &Mlp, rows: usize) -> Self {
        Self { layers: net.layers.iter().map(|layer| vec![0.0; rows * layer.outputs]).collect() }
    }

    /// The network's output, or the gradient by it.
    pub(crate) fn last(&self) -> &[f32] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn last_mut(&mut self) -> &mut [f32] {
        self.layers.last_mut().map_or(&mut [], Vec::as_mut_slice)
    }
}

fn view(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), data).expect("the slice was cut to this shape")
}

fn view_mut(data: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("the slice was cut to this shape")
}

/// Returns the hyperbolic tangent within 5e-7; unlike libm's it has no branch, so that the compiler can vectorise it.
///
/// # Source
/// The rational minimax approximation of degree 13 over 6 that Eigen uses (`generic_fast_tanh_float`).
#[inline]
pub(crate) fn tanh(x: f32) -> f32 {
    let x = x.clamp(-9.0, 9.0);
    let x2 = x * x;
    let mut p = -2.760_768_5e-16;
    for coefficient in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = p * x2 + coefficient;
    }
    let mut q = 1.198_258_4e-6;
    for coefficient in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = q * x2 + coefficient;
    }
    x * p / q
}

/// Fills a layer's weights with orthonormal rows (or columns, if there are more outputs than inputs) times the gain.
///
/// Gram-Schmidt on Gaussian vectors, twice for precision.
///
/// # Source
/// Saxe, McClelland & Ganguli 2014, as in `torch.nn.init.orthogonal_`.
fn orthogonal(layer: &Linear, gain: f64, rng: &mut ChaCha8Rng, weight: &mut [f32]) {
    let (count, length) = (layer.outputs.min(layer.inputs), layer.outputs.max(layer.inputs));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| StandardNormal.sample(rng)).collect();
        for _ in 0..2 {
            for other in &basis {
                let overlap: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= overlap * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|a| *a /= norm);
        basis.push(vector);
    }
    for (index, value) in weight.iter_mut().enumerate() {
        let (row, column) = (index / layer.inputs, index % layer.inputs);
        let entry = if layer.outputs <= layer.inputs { basis[row][column] } else { basis[column][row] };
        *value = (gain * entry) as f32;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn tanh_is_close_to_libm_everywhere() {
        let worst = (-2_000_000..=2_000_000)
            .map(|i| i as f32 * 1e-5)
            .map(|x| (f64::from(tanh(x)) - f64::from(x).tanh()).abs())
            .fold(0.0, f64::max);
        assert!(worst < 5e-7, "{worst}");
        assert_eq!(tanh(0.0), 0.0);
        assert!(tanh(f32::NAN).is_nan(), "a missing number must not look like an activation");
    }

    #[test]
    fn rows_or_columns_are_orthonormal_times_the_gain() {
        for (inputs, outputs) in [(40, 64), (64, 64), (64, 6), (64, 1)] {
            let net = Mlp::new(inputs, &[], outputs);
            let mut params = vec![1.0; net.len()];
            net.init(0.5, &mut ChaCha8Rng::seed_from_u64(3), &mut params);
            let layer = &net.layers[0];
            let weight = view(&params[layer.weight()], outputs, inputs);
            let gram = if outputs <= inputs { weight.dot(&weight.t()) } else { weight.t().dot(&weight) };
            for ((i, j), &product) in gram.indexed_iter() {
                let expected = if i == j { 0.25 } else { 0.0 };
                assert!((product - expected).abs() < 1e-6, "{inputs}x{outputs} [{i},{j}] = {product}");
            }
            assert!(params[layer.bias()].iter().all(|&b| b == 0.0));
        }
    }
}
