//! Networks in the layout of the SIMD kernels: weights `[inputs, outputs]`, rows padded to whole vectors with zeros.
//!
//! Padding stays zero: its weights start at zero, and so does their gradient at every step.

use std::ops::Range;

use super::{
    cell::{Cell, CellWork, Steps},
    kernel::{self, Columns, Rows},
    vectors::{self, padded},
};
use crate::{
    Activation,
    policy::layout::{self, Linear},
};

/// Samples per forward pass of single steps: few enough that the activations of a layer stay in cache.
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

/// Optional recurrent cell followed by layers; may be empty.
#[derive(Debug, Clone)]
pub(super) struct Net {
    cell: Option<Cell>,
    layers: Vec<Layer>,
    /// Width of an input row.
    pub(super) inputs: usize,
    /// Number of its parameters, padding included.
    pub(super) len: usize,
    /// Length of its transposed weights: those of the cell, then those of the layers.
    transposed_len: usize,
}

/// Activations and gradients of a network for one tile, layer by layer. `[rows, width]` each.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    cell: Option<CellWork>,
    outputs: Vec<Vec<f32>>,
    deltas: Vec<Vec<f32>>,
    /// Gradient with respect to the input of the first layer, which is the output of the cell if there is one.
    /// `[rows, input_width]`
    input_delta: Vec<f32>,
}

impl Net {
    /// Lays out a network; the state of its cell begins at `offset` in that of a lane.
    pub(super) fn new(net: &layout::Net, inputs: usize, activation: Activation, offset: usize) -> Self {
        let cell = net.cell.as_ref().map(|source| Cell::new(source, offset));
        let (mut len, mut transposed_len) = cell.as_ref().map_or((0, 0), |cell| (cell.len(), cell.transposed_len()));
        let mut layers = Vec::new();
        for source in &net.layers {
            let (width, input_width) = (padded(source.outputs), padded(source.inputs));
            let weight = len..len + source.inputs * width;
            let bias = weight.end..weight.end + width;
            let transposed = transposed_len..transposed_len + source.outputs * input_width;
            (len, transposed_len) = (bias.end, transposed.end);
            let f = source.activated.then_some(activation);
            layers.push(Layer { source: source.clone(), f, width, input_width, weight, bias, transposed });
        }
        Self { cell, layers, inputs, len, transposed_len }
    }

    /// Number of layers with an activation function, the cell included.
    pub(super) fn hidden(&self) -> usize {
        usize::from(self.cell.is_some()) + self.layers.iter().filter(|layer| layer.f.is_some()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cell.is_none() && self.layers.is_empty()
    }

    /// Distance between two rows of its output.
    pub(super) fn width(&self) -> usize {
        self.layers.last().map_or(self.cell.as_ref().map_or(self.inputs, Cell::width), |layer| layer.width)
    }

    /// Allocates the buffers of a tile of `rows` rows.
    pub(super) fn workspace(&self, rows: usize) -> Workspace {
        let buffers = || self.layers.iter().map(|layer| vec![0.0; rows * layer.width]).collect();
        let of_cell = self.cell.as_ref().map_or(0, Cell::width);
        let input_delta = self.layers.first().map_or(of_cell, |layer| layer.input_width);
        Workspace {
            cell: self.cell.as_ref().map(|cell| cell.work(rows)),
            outputs: buffers(),
            deltas: buffers(),
            input_delta: vec![0.0; rows * input_delta],
        }
    }

    /// Returns whether the gradient with respect to the input of the first layer is needed: by the cell, or by the network
    /// below.
    fn passes_gradient(&self, gradient_flows: bool) -> bool {
        gradient_flows || self.cell.is_some()
    }

    /// Calls `each(packed, flat)` with the position of every parameter in the packed and in the flat vector.
    fn positions(&self, mut each: impl FnMut(usize, usize)) {
        self.cell.iter().for_each(|cell| cell.positions(&mut each));
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
    #[cfg(test)]
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
        if let Some(cell) = &self.cell {
            cell.transpose(packed, &mut transposed[..cell.transposed_len()]);
        }
        for layer in self.layers.iter().skip(usize::from(!self.passes_gradient(gradient_flows))) {
            let (from, to) = (&packed[layer.weight.clone()], &mut transposed[layer.transposed.clone()]);
            vectors::transpose(from, layer.width, to, layer.input_width);
        }
    }

    /// Computes the output of every layer; the last is the network's.
    pub(super) fn forward(&self, packed: &[f32], input: Rows<'_>, steps: Steps<'_>, work: &mut Workspace) {
        let rows = input.data.len() / input.stride;
        let Workspace { cell: of_cell, outputs, .. } = work;
        let input = match (&self.cell, of_cell) {
            (Some(cell), Some(work)) => {
                cell.forward(packed, input, steps, work);
                work.output(cell, rows)
            }
            _ => input,
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = outputs.split_at_mut(index);
            let input = before.last().map_or(input, |data| layer.input(data, rows));
            let (weight, bias) = (&packed[layer.weight.clone()], &packed[layer.bias.clone()]);
            kernel::forward(input, weight, bias, layer.f, &mut after[0][..rows * layer.width]);
        }
    }

    /// Accumulates the gradient of the loss with respect to every parameter, given the gradient of the output; computes
    /// the gradient of the input if `gradient_flows`, of a network without a cell.
    pub(super) fn backward(
        &self,
        transposed: &[f32],
        (input, steps): (Rows<'_>, Steps<'_>),
        work: &mut Workspace,
        gradient: &mut [f32],
        gradient_flows: bool,
    ) {
        let rows = input.data.len() / input.stride;
        let Workspace { cell: of_cell, outputs, deltas, input_delta } = work;
        let first = match (&self.cell, &*of_cell) {
            (Some(cell), Some(work)) => work.output(cell, rows),
            _ => input,
        };
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (before, after) = deltas.split_at_mut(index);
            let delta = &after[0][..rows * layer.width];
            vectors::add_bias_gradient(delta, &mut gradient[layer.bias.clone()]);
            let below = index.checked_sub(1).map(|index| (&self.layers[index], outputs[index].as_slice()));
            let input = below.map_or(first, |(_, data)| layer.input(data, rows));
            let by_weight = &mut gradient[layer.weight.clone()];
            kernel::add_weight_gradient(Columns(input), delta, layer.width, by_weight);
            let delta = Rows { data: delta, stride: layer.width, columns: layer.source.outputs };
            let (f, y, out) = match (below, before.last_mut()) {
                (Some((layer, y)), Some(out)) => (layer.f, y, out),
                _ if self.passes_gradient(gradient_flows) => (None, [].as_slice(), &mut *input_delta),
                _ => continue,
            };
            let (width, out) = (layer.input_width, &mut out[..rows * layer.input_width]);
            kernel::backward(delta, &transposed[layer.transposed.clone()], y, f, width, out);
        }
        if let (Some(cell), Some(work)) = (&self.cell, of_cell) {
            cell.backward(&transposed[..cell.transposed_len()], (input, steps), work, input_delta, gradient);
        }
    }

    /// Sums the input gradients of the networks above into the output gradient of this one.
    pub(super) fn sum_input_deltas(&self, above: [&Workspace; 2], rows: usize, work: &mut Workspace) {
        let size = rows * self.width();
        let [first, second] = above.map(|work| &work.input_delta[..size]);
        let delta = work.deltas.last_mut().unwrap_or(&mut work.input_delta);
        delta.iter_mut().zip(first.iter().zip(second)).for_each(|(delta, (a, b))| *delta = a + b);
        if let (Some(Layer { f: Some(f), .. }), Some(y)) = (self.layers.last(), work.outputs.last()) {
            vectors::multiply_by_derivative(*f, y, &mut delta[..size]);
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
    /// Returns the first `rows` rows of the output of a network; `input` if the network is empty.
    pub(super) fn output<'a>(&'a self, net: &Net, rows: usize, input: Rows<'a>) -> Rows<'a> {
        match (net.layers.last(), self.outputs.last(), &net.cell, &self.cell) {
            (Some(Layer { width, source, .. }), Some(data), ..) => {
                Rows { data: &data[..rows * width], stride: *width, columns: source.outputs }
            }
            (_, _, Some(cell), Some(work)) => work.output(cell, rows),
            _ => input,
        }
    }

    /// Appends the outputs of the cell and of every hidden layer for the first `rows` rows, without padding.
    /// `[rows, units]` each
    pub(super) fn copy_hidden(&self, net: &Net, rows: usize, out: &mut [Vec<f32>]) {
        let of_cell = net.cell.iter().zip(&self.cell).map(|(cell, work)| work.output(cell, rows));
        let hidden = net.layers.iter().zip(&self.outputs).filter(|(layer, _)| layer.f.is_some());
        let of_layers = hidden.map(|(layer, data)| Rows {
            data: &data[..rows * layer.width],
            stride: layer.width,
            columns: layer.source.outputs,
        });
        for (Rows { data, stride, columns }, out) in of_cell.chain(of_layers).zip(out) {
            data.chunks_exact(stride).for_each(|row| out.extend(&row[..columns]));
        }
    }

    /// Writes the state of the cell after a single step to that of the lanes. `[b, size]`
    pub(super) fn copy_state(&self, net: &Net, size: usize, states: &mut [f32]) {
        if let (Some(cell), Some(work)) = (&net.cell, &self.cell) {
            work.copy_state(cell, size, states);
        }
    }

    /// Returns the output of a network with layers, padding included: logits or values. `[rows, width]`
    pub(super) fn logits(&self) -> &[f32] {
        self.outputs.last().map_or(&[], Vec::as_slice)
    }

    /// Returns the output and the buffer of its gradient, whose padding must stay zero. `[rows, width]`
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
    /// Numbers of a recurrent state, over all cells.
    state: usize,
}

impl Networks {
    pub(super) fn new(layout: &layout::Layout, activation: Activation) -> Self {
        let mut offset = 0;
        let mut net = |net: &layout::Net, inputs| {
            let laid_out = Net::new(net, inputs, activation, offset);
            offset += net.cell.as_ref().map_or(0, layout::Cell::state);
            laid_out
        };
        let trunk = net(&layout.trunk, layout.inputs);
        let (actor, critic) = (net(&layout.actor, layout.trunk.outputs), net(&layout.critic, layout.trunk.outputs));
        Self { trunk, actor, critic, actions: layout.actions, state: layout.state() }
    }

    /// Returns the numbers of a lane's recurrent state, over all cells.
    pub(super) fn state(&self) -> usize {
        self.state
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
