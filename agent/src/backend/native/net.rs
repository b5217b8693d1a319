//! Networks in the form that the vector code wants: weights `[inputs, outputs]`, rows padded to whole vectors with zeros.
//!
//! Padding stays zero for ever: its weights start at zero, and so does their gradient at every step.

use std::ops::Range;

use super::kernel::{self, Columns, Rows, padded};
use crate::{
    Activation,
    policy::layout::{self, Linear},
};

/// Samples that go through a network together: few enough that a layer's numbers stay close to the processor.
pub(super) const TILE: usize = 64;

/// One layer. Its ranges count from the start of its network.
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
    /// The weights once more, `[outputs, input_width]`, for the way back.
    transposed: Range<usize>,
}

/// A chain of layers; perhaps none.
#[derive(Debug, Clone)]
pub(super) struct Net {
    layers: Vec<Layer>,
    /// Numbers per row that it reads.
    pub(super) inputs: usize,
    /// Number of its parameters, padding included.
    pub(super) len: usize,
    /// Length of its turned weights.
    turned_len: usize,
}

/// What a network computed for one tile, layer by layer. `[TILE, width]` each.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    outputs: Vec<Vec<f32>>,
    deltas: Vec<Vec<f32>>,
    /// Gradient by the input. `[TILE, input_width]`
    below: Vec<f32>,
}

impl Net {
    pub(super) fn new(net: &layout::Net, inputs: usize, activation: Activation) -> Self {
        let (mut len, mut turned_len, mut layers) = (0, 0, Vec::new());
        for source in &net.layers {
            let (width, input_width) = (padded(source.outputs), padded(source.inputs));
            let weight = len..len + source.inputs * width;
            let bias = weight.end..weight.end + width;
            let transposed = turned_len..turned_len + source.outputs * input_width;
            (len, turned_len) = (bias.end, transposed.end);
            let f = source.activated.then_some(activation);
            layers.push(Layer { source: source.clone(), f, width, input_width, weight, bias, transposed });
        }
        Self { layers, inputs, len, turned_len }
    }

    /// Number of layers that an activation follows.
    pub(super) fn hidden(&self) -> usize {
        self.layers.iter().filter(|layer| layer.f.is_some()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Distance of two rows of its output.
    pub(super) fn width(&self) -> usize {
        self.layers.last().map_or(self.inputs, |layer| layer.width)
    }

    pub(super) fn workspace(&self) -> Workspace {
        let buffers = || self.layers.iter().map(|layer| vec![0.0; TILE * layer.width]).collect();
        let below = self.layers.first().map_or(0, |layer| TILE * layer.input_width);
        Workspace { outputs: buffers(), deltas: buffers(), below: vec![0.0; below] }
    }

    /// Calls `each(ours, theirs)` for the positions of every parameter in our form and in the flat vector.
    fn positions(&self, mut each: impl FnMut(usize, usize)) {
        for Layer { source, width, weight, bias, .. } in &self.layers {
            for (theirs, index) in source.weight().zip(0..) {
                let (output, input) = (index / source.inputs, index % source.inputs);
                each(weight.start + input * width + output, theirs);
            }
            bias.clone().zip(source.bias()).for_each(|(ours, theirs)| each(ours, theirs));
        }
    }

    /// Fills `packed` from a flat vector of all networks' parameters (or their moments).
    pub(super) fn pack(&self, flat: &[f32], packed: &mut [f32]) {
        self.positions(|ours, theirs| packed[ours] = flat[theirs]);
    }

    /// The way back.
    pub(super) fn unpack(&self, packed: &[f32], flat: &mut [f32]) {
        self.positions(|ours, theirs| flat[theirs] = packed[ours]);
    }

    /// Where its parameters end in the flat vector.
    #[cfg(test)]
    pub(super) fn flat_end(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.source.bias().end)
    }

    /// Returns the room for [`Net::transpose`].
    pub(super) fn transposed(&self) -> Vec<f32> {
        vec![0.0; self.turned_len]
    }

    /// Turns the weights for the way back; to be called after every change of the parameters. `gradient_flows` is false when no
    /// gradient by this network's input is wanted.
    pub(super) fn transpose(&self, packed: &[f32], transposed: &mut [f32], gradient_flows: bool) {
        for layer in self.layers.iter().skip(usize::from(!gradient_flows)) {
            let lines = transposed[layer.transposed.clone()].chunks_exact_mut(layer.input_width);
            for (output, line) in lines.enumerate() {
                let rows = packed[layer.weight.clone()].chunks_exact(layer.width);
                line.iter_mut().zip(rows).for_each(|(weight, row)| *weight = row[output]);
            }
        }
    }

    /// Computes every layer's output; the last is the network's.
    pub(super) fn forward(&self, packed: &[f32], input: Rows<'_>, work: &mut Workspace) {
        let rows = input.data.len() / input.stride;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = work.outputs.split_at_mut(index);
            let input = before.last().map_or(input, |data| layer.input(data, rows));
            let (weight, bias) = (&packed[layer.weight.clone()], &packed[layer.bias.clone()]);
            kernel::forward(input, weight, bias, layer.f, &mut after[0][..rows * layer.width]);
        }
    }

    /// Adds the gradient of the loss by every parameter, given that by the output; leaves that by the input if `gradient_flows`.
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
                _ if gradient_flows => (None, [].as_slice(), &mut work.below),
                _ => continue,
            };
            let (width, out) = (layer.input_width, &mut out[..rows * layer.input_width]);
            kernel::backward(delta, &transposed[layer.transposed.clone()], y, f, width, out);
        }
    }

    /// Takes the gradients that the networks above left by their input, as this network's by its output.
    pub(super) fn collect(&self, above: [&Workspace; 2], rows: usize, work: &mut Workspace) {
        let (Some(layer), Some(delta), Some(y)) = (self.layers.last(), work.deltas.last_mut(), work.outputs.last())
        else {
            return;
        };
        let [first, second] = above.map(|work| &work.below[..rows * layer.width]);
        delta.iter_mut().zip(first.iter().zip(second)).for_each(|(delta, (a, b))| *delta = a + b);
        if let Some(f) = layer.f {
            kernel::derive(f, y, &mut delta[..rows * layer.width]);
        }
    }
}

impl Layer {
    /// The output `[rows, input_width]` of the layer below, as this one's input.
    fn input<'a>(&self, data: &'a [f32], rows: usize) -> Rows<'a> {
        Rows { data: &data[..rows * self.input_width], stride: self.input_width, columns: self.source.inputs }
    }
}

impl Workspace {
    /// The network's output. `[TILE, width]`
    pub(super) fn output(&self) -> &[f32] {
        self.outputs.last().map_or(&[], Vec::as_slice)
    }

    /// Copies the outputs of every hidden layer for some rows, without padding, behind what stands there. `[rows, units]` each
    pub(super) fn copy_hidden(&self, net: &Net, rows: usize, out: &mut [Vec<f32>]) {
        let hidden = net.layers.iter().zip(&self.outputs).filter(|(layer, _)| layer.f.is_some());
        for ((layer, data), out) in hidden.zip(out) {
            data.chunks_exact(layer.width).take(rows).for_each(|row| out.extend(&row[..layer.source.outputs]));
        }
    }

    /// The output, and the place for the gradient of the loss by it, whose padding must stay zero. `[TILE, width]`
    pub(super) fn output_and_delta(&mut self) -> (&[f32], &mut [f32]) {
        let delta = self.deltas.last_mut().map_or(&mut [][..], Vec::as_mut_slice);
        (self.outputs.last().map_or(&[], Vec::as_slice), delta)
    }
}

/// A shared trunk, perhaps empty, and the two networks behind it.
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

    /// Cuts a packed vector into the three networks' parts.
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

    /// Whether the gradient by a network's input is wanted: that of actor and critic, when there is a trunk below.
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
