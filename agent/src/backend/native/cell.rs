//! Recurrent cell in the layout of the SIMD kernels: forward over sequences, and truncated backpropagation through them.
//!
//! Units are padded with zeros and cut into panels of [`LANES`] units, whose gates lie side by side: weights `[panels,
//! inputs, P]` and gates `[panels, rows, P]`, `P` the columns of a panel. Rows are time-major: row `t · b + s` is step `t`
//! of the sequence `s`. The inputs' part of the gates is one product over all rows; so are all weight gradients. A step of
//! the recurrence adds one product per panel, forward and back.

use std::ops::Range;

use super::{
    gates::{self, GRU_PANEL, GruBackward, GruForward, LSTM_PANEL, LstmBackward, LstmForward, Units},
    kernel::{self, Columns, Rows},
    vectors::{self, LANES, padded},
};
use crate::{PolicyKind, policy::layout};

/// Steps of a tile, and the states before them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps<'a> {
    /// Sequences `b` side by side.
    pub(super) lanes: usize,
    /// Rows whose observation begins an episode: the state is zero before that step. `[L · b]`
    pub(super) start: &'a [bool],
    /// State of each sequence before its first step. `[b, size]`
    pub(super) state: &'a [f32],
    /// Numbers per state, over the cells of all networks.
    pub(super) size: usize,
}

/// LSTM or GRU. Ranges are relative to the start of its network.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    source: layout::Cell,
    /// Units with padding.
    width: usize,
    /// Columns `P` of a panel.
    panel: usize,
    /// Weights `[panels, inputs, P]`, weights `[panels, units, P]`, and their biases `[panels, P]`.
    by_input: Range<usize>,
    by_hidden: Range<usize>,
    input_bias: Range<usize>,
    hidden_bias: Range<usize>,
    /// Place of its state in that of a lane.
    offset: usize,
}

/// Activations and gradients of a cell for one tile.
#[derive(Debug, Clone)]
pub(super) struct CellWork {
    /// Rows that the buffers hold.
    rows: usize,
    /// Biases of the inputs' part. `[panels, P]`
    bias: Vec<f32>,
    /// Gates, then the gradient of their sums. `[panels, rows, P]`
    gates: Vec<f32>,
    /// The same of a GRU's recurrent part; empty for an LSTM. `[panels, rows, P]`
    recurrent: Vec<f32>,
    /// States before every step, zero where an episode begins. `[rows, width]`, as below
    hidden_before: Vec<f32>,
    cell_before: Vec<f32>,
    hidden: Vec<f32>,
    /// Cell state of an LSTM and its hyperbolic tangent; unused by a GRU.
    cell: Vec<f32>,
    cell_tanh: Vec<f32>,
    /// Gradients with respect to the states after a step by the steps behind it. `[b, width]`
    pub(super) later_hidden: Vec<f32>,
    pub(super) later_cell: Vec<f32>,
}

impl Cell {
    /// Lays out a cell whose state begins at `offset` in that of a lane.
    pub(super) fn new(source: &layout::Cell, offset: usize) -> Self {
        let width = padded(source.units);
        let panel = if source.kind == PolicyKind::Lstm { LSTM_PANEL } else { GRU_PANEL };
        let panels = width / LANES;
        let mut end = 0;
        let mut next = |rows: usize| {
            let start = end;
            end += panels * rows * panel;
            start..end
        };
        let (by_input, by_hidden, input_bias, hidden_bias) =
            (next(source.inputs), next(source.units), next(1), next(1));
        Self { source: source.clone(), width, panel, by_input, by_hidden, input_bias, hidden_bias, offset }
    }

    /// Number of its parameters, padding included.
    pub(super) fn len(&self) -> usize {
        self.hidden_bias.end
    }

    /// Units without padding.
    pub(super) fn units(&self) -> usize {
        self.source.units
    }

    /// Distance between two rows of its output.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Length of the transposed recurrent weights. `[panels, P, width]`
    pub(super) fn transposed_len(&self) -> usize {
        self.panels() * self.panel * self.width
    }

    fn panels(&self) -> usize {
        self.width / LANES
    }

    fn is_lstm(&self) -> bool {
        self.source.kind == PolicyKind::Lstm
    }

    pub(super) fn work(&self, rows: usize) -> CellWork {
        let (gates, states) = (self.panels() * rows * self.panel, rows * self.width);
        let (of_lstm, of_gru) = if self.is_lstm() { (states, 0) } else { (0, gates) };
        CellWork {
            rows,
            bias: vec![0.0; self.input_bias.len()],
            gates: vec![0.0; gates],
            recurrent: vec![0.0; of_gru],
            hidden_before: vec![0.0; states],
            cell_before: vec![0.0; of_lstm],
            hidden: vec![0.0; states],
            cell: vec![0.0; of_lstm],
            cell_tanh: vec![0.0; of_lstm],
            later_hidden: vec![0.0; states],
            later_cell: vec![0.0; of_lstm],
        }
    }

    /// Calls `each(packed, flat)` with the position of every parameter in the packed and in the flat vector.
    pub(super) fn positions(&self, mut each: impl FnMut(usize, usize)) {
        let parts = [&self.by_input, &self.by_hidden, &self.input_bias, &self.hidden_bias];
        for (ours, (_, shape, theirs)) in parts.into_iter().zip(self.source.tensors()) {
            let columns = shape.get(1).copied().unwrap_or(1);
            for (theirs, index) in theirs.zip(0..) {
                let (row, column) = (index / columns, index % columns);
                let (gate, unit) = (row / self.source.units, row % self.source.units);
                let line = (unit / LANES * columns + column) * self.panel;
                each(ours.start + line + gate * LANES + unit % LANES, theirs);
            }
        }
    }

    /// Transposes the recurrent weights for the backward pass.
    pub(super) fn transpose(&self, packed: &[f32], transposed: &mut [f32]) {
        let from = packed[self.by_hidden.clone()].chunks_exact(self.units() * self.panel);
        for (from, to) in from.zip(transposed.chunks_exact_mut(self.panel * self.width)) {
            vectors::transpose(from, self.panel, to, self.width);
        }
    }

    /// Computes the hidden state of every row.
    pub(super) fn forward(&self, packed: &[f32], input: Rows<'_>, steps: Steps<'_>, work: &mut CellWork) {
        let rows = input.data.len() / input.stride;
        self.sum_biases(packed, work);
        for panel in 0..self.panels() {
            let weight = part(&packed[self.by_input.clone()], panel, self.source.inputs * self.panel);
            let bias = part(&work.bias, panel, self.panel);
            let out = &mut work.gates[panel * work.rows * self.panel..][..rows * self.panel];
            kernel::forward(input, weight, bias, None, out);
        }
        for first in (0..rows).step_by(steps.lanes) {
            self.enter(first, steps, work);
            let now = first..first + steps.lanes;
            (0..self.panels()).for_each(|panel| self.advance(packed, panel, &now, work));
        }
        // No gradient arrives from behind the last step.
        work.later_hidden[..steps.lanes * self.width].fill(0.0);
        if self.is_lstm() {
            work.later_cell[..steps.lanes * self.width].fill(0.0);
        }
    }

    /// The two biases of an LSTM's gate act as their sum; those of a GRU stay apart.
    fn sum_biases(&self, packed: &[f32], work: &mut CellWork) {
        work.bias.copy_from_slice(&packed[self.input_bias.clone()]);
        if self.is_lstm() {
            work.bias.iter_mut().zip(&packed[self.hidden_bias.clone()]).for_each(|(sum, bias)| *sum += bias);
        }
    }

    /// Copies the states before the step whose rows start at `first`, and zeroes those of episodes that begin.
    fn enter(&self, first: usize, steps: Steps<'_>, work: &mut CellWork) {
        let Steps { lanes, start, state, size } = steps;
        let (units, width) = (self.units(), self.width);
        for lane in 0..lanes {
            let row = first + lane;
            let (now, before) = (row * width..(row + 1) * width, row.saturating_sub(lanes) * width);
            let enter = |to: &mut [f32], from: &[f32], part: usize| {
                if start[row] {
                    to.fill(0.0);
                } else if first == 0 {
                    to[..units].copy_from_slice(&state[lane * size + self.offset + part * units..][..units]);
                } else {
                    to.copy_from_slice(&from[before..before + width]);
                }
            };
            enter(&mut work.hidden_before[now.clone()], &work.hidden, 0);
            if self.is_lstm() {
                enter(&mut work.cell_before[now], &work.cell, 1);
            }
        }
    }

    /// Computes one step of one panel.
    fn advance(&self, packed: &[f32], panel: usize, now: &Range<usize>, work: &mut CellWork) {
        let states = now.start * self.width..now.end * self.width;
        let weight = part(&packed[self.by_hidden.clone()], panel, self.units() * self.panel);
        let gates = self.gates(panel, work.rows, now);
        let before = Rows { data: &work.hidden_before[states.clone()], stride: self.width, columns: self.units() };
        let units = Units { width: self.width, first: panel * LANES };
        if self.is_lstm() {
            let gates = &mut work.gates[gates];
            kernel::add_product(before, weight, self.panel, gates);
            gates::run(LstmForward {
                gates,
                units,
                cell_before: &work.cell_before[states.clone()],
                cell: &mut work.cell[states.clone()],
                cell_tanh: &mut work.cell_tanh[states.clone()],
                hidden: &mut work.hidden[states],
            });
        } else {
            let bias = part(&packed[self.hidden_bias.clone()], panel, self.panel);
            kernel::forward(before, weight, bias, None, &mut work.recurrent[gates.clone()]);
            gates::run(GruForward {
                gates: &mut work.gates[gates.clone()],
                recurrent: &work.recurrent[gates],
                units,
                hidden_before: before.data,
                hidden: &mut work.hidden[states],
            });
        }
    }

    /// Returns the range of some rows of a panel's gates.
    fn gates(&self, panel: usize, rows: usize, now: &Range<usize>) -> Range<usize> {
        (panel * rows + now.start) * self.panel..(panel * rows + now.end) * self.panel
    }

    /// Accumulates the gradient of the loss with respect to every parameter, given that with respect to the hidden state of
    /// every row, `above`. The states before the first step are constants. `[rows, width]`
    pub(super) fn backward(
        &self,
        transposed: &[f32],
        (input, steps): (Rows<'_>, Steps<'_>),
        work: &mut CellWork,
        above: &[f32],
        gradient: &mut [f32],
    ) {
        let rows = input.data.len() / input.stride;
        for first in (0..rows).step_by(steps.lanes).rev() {
            let now = first..first + steps.lanes;
            (0..self.panels()).for_each(|panel| self.retreat(panel, &now, above, work));
            if first > 0 {
                self.leave(transposed, &now, steps, work);
            }
        }
        self.add_gradients(input, rows, work, gradient);
    }

    /// Computes the gradient of the gates of one step of one panel.
    fn retreat(&self, panel: usize, now: &Range<usize>, above: &[f32], work: &mut CellWork) {
        let states = now.start * self.width..now.end * self.width;
        let gates = self.gates(panel, work.rows, now);
        let units = Units { width: self.width, first: panel * LANES };
        let above = &above[states.clone()];
        if self.is_lstm() {
            gates::run(LstmBackward {
                gates: &mut work.gates[gates],
                units,
                cell_before: &work.cell_before[states.clone()],
                cell_tanh: &work.cell_tanh[states],
                above,
                later_hidden: &work.later_hidden,
                later_cell: &mut work.later_cell,
            });
        } else {
            gates::run(GruBackward {
                gates: &mut work.gates[gates.clone()],
                recurrent: &mut work.recurrent[gates],
                units,
                hidden_before: &work.hidden_before[states],
                above,
                later_hidden: &mut work.later_hidden,
            });
        }
    }

    /// Carries the gradient of a step's gates to the states before it; none passes the start of an episode.
    fn leave(&self, transposed: &[f32], now: &Range<usize>, steps: Steps<'_>, work: &mut CellWork) {
        let width = self.width;
        let later = &mut work.later_hidden[..steps.lanes * width];
        let of_gates = if self.is_lstm() { &work.gates } else { &work.recurrent };
        if self.is_lstm() {
            later.fill(0.0);
        }
        for panel in 0..self.panels() {
            let data = &of_gates[self.gates(panel, work.rows, now)];
            let delta = Rows { data, stride: self.panel, columns: self.panel };
            kernel::add_product(delta, part(transposed, panel, self.panel * width), width, later);
        }
        let starts = steps.start[now.clone()].iter().enumerate().filter(|(_, start)| **start);
        for (lane, _) in starts {
            later[lane * width..(lane + 1) * width].fill(0.0);
            if self.is_lstm() {
                work.later_cell[lane * width..(lane + 1) * width].fill(0.0);
            }
        }
    }

    /// Accumulates the gradients of weights and biases from those of the gates of all rows.
    fn add_gradients(&self, input: Rows<'_>, rows: usize, work: &CellWork, gradient: &mut [f32]) {
        let before = Rows { data: &work.hidden_before[..rows * self.width], stride: self.width, columns: self.units() };
        for panel in 0..self.panels() {
            let gates = self.gates(panel, work.rows, &(0..rows));
            let by_input = &work.gates[gates.clone()];
            let by_hidden = if self.is_lstm() { by_input } else { &work.recurrent[gates] };
            let mut add = |range: &Range<usize>, left: Rows<'_>, delta: &[f32]| {
                let size = left.columns * self.panel;
                let out = &mut gradient[range.start + panel * size..][..size];
                kernel::add_weight_gradient(Columns(left), delta, self.panel, out);
            };
            add(&self.by_input, input, by_input);
            add(&self.by_hidden, before, by_hidden);
            let bias = |range: &Range<usize>| range.start + panel * self.panel..range.start + (panel + 1) * self.panel;
            vectors::add_bias_gradient(by_input, &mut gradient[bias(&self.input_bias)]);
            if self.is_lstm() {
                gradient.copy_within(bias(&self.input_bias), bias(&self.hidden_bias).start);
            } else {
                vectors::add_bias_gradient(by_hidden, &mut gradient[bias(&self.hidden_bias)]);
            }
        }
    }
}

impl CellWork {
    /// Returns the hidden states of the first `rows` rows. `[rows, width]`
    pub(super) fn output<'a>(&'a self, cell: &Cell, rows: usize) -> Rows<'a> {
        Rows { data: &self.hidden[..rows * cell.width], stride: cell.width, columns: cell.units() }
    }

    /// Writes the states after a single step to those of the lanes. `[b, size]`
    pub(super) fn copy_state(&self, cell: &Cell, size: usize, states: &mut [f32]) {
        let units = cell.units();
        for (lane, state) in states.chunks_exact_mut(size).enumerate() {
            let row = lane * cell.width..lane * cell.width + units;
            let (hidden, rest) = state[cell.offset..].split_at_mut(units);
            hidden.copy_from_slice(&self.hidden[row.clone()]);
            if cell.is_lstm() {
                rest[..units].copy_from_slice(&self.cell[row]);
            }
        }
    }
}

/// Returns the part of one panel.
fn part(data: &[f32], panel: usize, size: usize) -> &[f32] {
    &data[panel * size..(panel + 1) * size]
}
