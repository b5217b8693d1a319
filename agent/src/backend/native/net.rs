//! Networks in the layout of the SIMD kernels: weights `[inputs, outputs]`, rows padded to whole vectors with zeros.
//!
//! Padding stays zero: its weights start at zero, and so does their gradient at every step.

use std::ops::Range;

use super::kernel::{self, Columns, Rows, padded};
use crate::{
    Activation,
    policy::layout::{self, Linear},
};

/// Samples per forward pass: few enough that the activations of a layer stay in cache.
pub(super) const TILE: usize = 64;

/// One layer. Its ranges are relative to the start of its network.
#[derive(Debug, Clone)]
struct Layer {
    source: Linear,
    f: Option<Activation>,
    /// Outputs with padding.
    width: usize,
    /// Inputs with padding.
    input_width: usize,
    /// Weights `[inputs, width]`, then biases `[width]`.
    weight: Range<usize>,
    bias: Range<usize>,
    /// Transposed weights `[outputs, input_width]` of the backward pass.
    transposed: Range<usize>,
}

/// Sequence of layers; may be empty.
#[derive(Debug, Clone)]
pub(super) struct Net {
    layers: Vec<Layer>,
    /// Width of an input row.
    pub(super) inputs: usize,
    /// Number of its parameters, padding included.
    pub(super) len: usize,
    /// Length of its transposed weights.
    transposed_len: usize,
}

/// Activations and gradients of a network for one tile, layer by layer. `[TILE, width]` each.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    outputs: Vec<Vec<f32>>,
    deltas: Vec<Vec<f32>>,
    /// Gradient with respect to the input. `[TILE, input_width]`
    input_delta: Vec<f32>,
}

impl Net {
    pub(super) fn new(net: &layout::Net, inputs: usize, activation: Activation) -> Self {
        let (mut len, mut transposed_len, mut layers) = (0, 0, Vec::new());
        for source in &net.layers {
            let (width, input_width) = (padded(source.outputs), padded(source.inputs));
            let weight = len..len + source.inputs * width;
            let bias = weight.end..weight.end + width;
            let transposed = transposed_len..transposed_len + source.outputs * input_width;
            (len, transposed_len) = (bias.end, transposed.end);
            let f = source.activated.then_some(activation);
            layers.push(Layer { source: source.clone(), f, width, input_width, weight, bias, transposed });
        }
        Self { layers, inputs, len, transposed_len }
    }

    /// Number of layers with an activation function.
    pub(super) fn hidden(&self) -> usize {
        self.layers.iter().filter(|layer| layer.f.is_some()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Distance between two rows of its output.
    pub(super) fn width(&self) -> usize {
        self.layers.last().map_or(self.inputs, |layer| layer.width)
    }

    pub(super) fn workspace(&self) -> Workspace {
        let buffers = || self.layers.iter().map(|layer| vec![0.0; TILE * layer.width]).collect();
        let input_delta = self.layers.first().map_or(0, |layer| TILE * layer.input_width);
        Workspace { outputs: buffers(), deltas: buffers(), input_delta: vec![0.0; input_delta] }
    }

    /// Calls `each(packed, flat)` with the position of every parameter in the packed and in the flat vector.
    fn positions(&self, mut each: impl FnMut(usize, usize)) {
        for Layer { source, width, weight, bias, .. } in &self.layers {
            for (theirs, index) in source.weight().zip(0..) {
                let (output, input) = (index / source.inputs, index % source.inputs);
                each(weight.start + input * width + output, theirs);
            }
            bias.clone().zip(source.bias()).for_each(|(ours, theirs)| each(ours, theirs));
        }
    }

    /// Fills `packed` from the flat vector of all parameters (or their moments).
    pub(super) fn pack(&self, flat: &[f32], packed: &mut [f32]) {
        self.positions(|ours, theirs| packed[ours] = flat[theirs]);
    }

    /// Fills the flat vector from `packed`.
    pub(super) fn unpack(&self, packed: &[f32], flat: &mut [f32]) {
        self.positions(|ours, theirs| flat[theirs] = packed[ours]);
    }

    /// Returns the end of its parameters in the flat vector.
    #[cfg(all(test, feature = "torch"))]
    pub(super) fn flat_end(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.source.bias().end)
    }

    /// Returns the buffer for [`Net::transpose`].
    pub(super) fn transposed_buffer(&self) -> Vec<f32> {
        vec![0.0; self.transposed_len]
    }

    /// Transposes the weights for the backward pass, after every change of the parameters. `gradient_flows` is false
    /// when the gradient with respect to the network's input is not needed.
    pub(super) fn transpose(&self, packed: &[f32], transposed: &mut [f32], gradient_flows: bool) {
        for layer in self.layers.iter().skip(usize::from(!gradient_flows)) {
            let lines = transposed[layer.transposed.clone()].chunks_exact_mut(layer.input_width);
            for (output, line) in lines.enumerate() {
                let rows = packed[layer.weight.clone()].chunks_exact(layer.width);
                line.iter_mut().zip(rows).for_each(|(weight, row)| *weight = row[output]);
            }
        }
    }

    /// Computes the output of every layer; the last is the network's.
    pub(super) fn forward(&self, packed: &[f32], input: Rows<'_>, work: &mut Workspace) {
        let rows = input.data.len() / input.stride;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = work.outputs.split_at_mut(index);
            let input = before.last().map_or(input, |data| layer.input(data, rows));
            let (weight, bias) = (&packed[layer.weight.clone()], &packed[layer.bias.clone()]);
            kernel::forward(input, weight, bias, layer.f, &mut after[0][..rows * layer.width]);
        }
    }

    /// Accumulates the gradient of the loss with respect to every parameter, given the gradient of the output; computes
    /// the gradient of the input if `gradient_flows`.
    pub(super) fn backward(
        &self,
        transposed: &[f32],
        input: Rows<'_>,
        work: &mut Workspace,
        gradient: &mut [f32],
        gradient_flows: bool,
    ) {
        let rows = input.data.len() / input.stride;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (before, after) = work.deltas.split_at_mut(index);
            let delta = &after[0][..rows * layer.width];
            kernel::add_bias_gradient(delta, &mut gradient[layer.bias.clone()]);
            let below = index.checked_sub(1).map(|index| (&self.layers[index], work.outputs[index].as_slice()));
            let input = below.map_or(input, |(_, data)| layer.input(data, rows));
            let by_weight = &mut gradient[layer.weight.clone()];
            kernel::add_weight_gradient(Columns(input), delta, layer.width, by_weight);
            let delta = Rows { data: delta, stride: layer.width, columns: layer.source.outputs };
            let (f, y, out) = match (below, before.last_mut()) {
                (Some((layer, y)), Some(out)) => (layer.f, y, out),
                _ if gradient_flows => (None, [].as_slice(), &mut work.input_delta),
                _ => continue,
            };
            let (width, out) = (layer.input_width, &mut out[..rows * layer.input_width]);
            kernel::backward(delta, &transposed[layer.transposed.clone()], y, f, width, out);
        }
    }

    /// Sums the input gradients of the networks above into the output gradient of this one.
    pub(super) fn sum_input_deltas(&self, above: [&Workspace; 2], rows: usize, work: &mut Workspace) {
        let (Some(layer), Some(delta), Some(y)) = (self.layers.last(), work.deltas.last_mut(), work.outputs.last())
        else {
            return;
        };
        let [first, second] = above.map(|work| &work.input_delta[..rows * layer.width]);
        delta.iter_mut().zip(first.iter().zip(second)).for_each(|(delta, (a, b))| *delta = a + b);
        if let Some(f) = layer.f {
            kernel::multiply_by_derivative(f, y, &mut delta[..rows * layer.width]);
        }
    }
}

impl Layer {
    /// Returns the output `[rows, input_width]` of the layer below as the input of this one.
    fn input<'a>(&self, data: &'a [f32], rows: usize) -> Rows<'a> {
        Rows { data: &data[..rows * self.input_width], stride: self.input_width, columns: self.source.inputs }
    }
}

impl Workspace {
    /// Returns the output of the network. `[TILE, width]`
    pub(super) fn output(&self) -> &[f32] {
        self.outputs.last().map_or(&[], Vec::as_slice)
    }

    /// Appends the outputs of every hidden layer for the first `rows` rows, without padding. `[rows, units]` each
    pub(super) fn copy_hidden(&self, net: &Net, rows: usize, out: &mut [Vec<f32>]) {
        let hidden = net.layers.iter().zip(&self.outputs).filter(|(layer, _)| layer.f.is_some());
        for ((layer, data), out) in hidden.zip(out) {
            data.chunks_exact(layer.width).take(rows).for_each(|row| out.extend(&row[..layer.source.outputs]));
        }
    }

    /// Returns the output and the buffer of its gradient, whose padding must stay zero. `[TILE, width]`
    pub(super) fn output_and_delta(&mut self) -> (&[f32], &mut [f32]) {
        let delta = self.deltas.last_mut().map_or(&mut [][..], Vec::as_mut_slice);
        (self.outputs.last().map_or(&[], Vec::as_slice), delta)
    }
}

/// Shared trunk (may be empty), actor and critic.
#[derive(Debug, Clone)]
pub(super) struct Networks {
    pub(super) trunk: Net,
    pub(super) actor: Net,
    pub(super) critic: Net,
    pub(super) actions: usize,
}

impl Networks {
    pub(super) fn new(layout: &layout::Layout, activation: Activation) -> Self {
        let net = |net, inputs| Net::new(net, inputs, activation);
        let trunk = net(&layout.trunk, layout.inputs);
        let (actor, critic) = (net(&layout.actor, layout.trunk.outputs), net(&layout.critic, layout.trunk.outputs));
        Self { trunk, actor, critic, actions: layout.actions }
    }

    /// Splits a packed vector into the parts of the three networks.
    pub(super) fn parts<'a>(&self, packed: &'a [f32]) -> [&'a [f32]; 3] {
        let (trunk, rest) = packed.split_at(self.trunk.len);
        let (actor, critic) = rest.split_at(self.actor.len);
        [trunk, actor, critic]
    }

    pub(super) fn parts_mut<'a>(&self, packed: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let (trunk, rest) = packed.split_at_mut(self.trunk.len);
        let (actor, critic) = rest.split_at_mut(self.actor.len);
        [trunk, actor, critic]
    }

    pub(super) fn all(&self) -> [&Net; 3] {
        [&self.trunk, &self.actor, &self.critic]
    }

    /// Returns whether the gradient with respect to the input of each network is needed: of actor and critic, when
    /// there is a trunk.
    pub(super) fn gradient_flows(&self) -> [bool; 3] {
        [false, !self.trunk.is_empty(), !self.trunk.is_empty()]
    }

    pub(super) fn len(&self) -> usize {
        self.all().map(|net| net.len).iter().sum()
    }

    pub(super) fn pack(&self, flat: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.len()];
        for (net, part) in self.all().into_iter().zip(self.parts_mut(&mut packed)) {
            net.pack(flat, part);
        }
        packed
    }

    pub(super) fn unpack(&self, packed: &[f32], flat: &mut [f32]) {
        for (net, part) in self.all().into_iter().zip(self.parts(packed)) {
            net.unpack(part, flat);
        }
    }
}
