//! Recurrent cells: the state of the lanes, its resets, and the unrolling of a minibatch of sequences.

use tch::{Kind, TchError, Tensor};

use crate::PolicyKind;

/// State of the lanes before the first step of a batch, and the steps at which it is reset. Empty for networks without
/// cells.
#[derive(Debug, Default)]
pub(crate) struct RecurrentState {
    /// Hidden and cell states `[b, U]`, in the order of the networks.
    pub(crate) parts: Vec<Tensor>,
    /// Steps whose observation begins an episode: the state is reset before that step. `[L, b, 1]`; `None` for no
    /// resets.
    pub(crate) start: Option<Tensor>,
}

impl RecurrentState {
    /// Splits states `[b, S]` into parts of `units` columns.
    pub(crate) fn new(memory: &Tensor, units: i64, start: Option<Tensor>) -> Result<Self, TchError> {
        Ok(Self { parts: memory.f_split(units, 1)?, start })
    }

    /// Returns the states in one tensor. `[b, S]`
    pub(super) fn memory(&self) -> Result<Tensor, TchError> {
        Tensor::f_cat(&self.parts, 1)
    }
}

/// Recurrent state of the lanes of an environment.
#[derive(Debug)]
pub(super) struct LaneState {
    /// `[N, S]`
    pub(super) states: Tensor,
    /// Units `U` of a cell.
    pub(super) units: i64,
}

impl LaneState {
    /// Returns the state before a step; `start` marks the lanes whose state is reset, `None` for no lane. `[N]`
    pub(super) fn past(&self, start: Option<&[bool]>) -> Result<RecurrentState, TchError> {
        let upload = |start| Tensor::f_from_slice(start)?.f_to(self.states.device())?.f_view([1, -1, 1]);
        RecurrentState::new(&self.states, self.units, start.map(upload).transpose()?)
    }
}

/// Cell equal to `nn.LSTM` or `nn.GRU` of PyTorch.
#[derive(Debug)]
pub(crate) struct Cell {
    kind: PolicyKind,
    /// Input weights, recurrent weights and their two biases.
    tensors: [Tensor; 4],
    /// Index of its hidden state (followed by the cell state of an LSTM) in [`RecurrentState::parts`].
    first: usize,
}

impl Cell {
    /// Builds a cell; `parts` counts the state tensors of earlier cells and is advanced by those of this one.
    pub(crate) fn new(kind: PolicyKind, tensors: [Tensor; 4], parts: &mut usize) -> Self {
        let cell = Self { kind, tensors, first: *parts };
        *parts += cell.parts();
        cell
    }

    fn parts(&self) -> usize {
        if self.kind == PolicyKind::Lstm { 2 } else { 1 }
    }

    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Unrolls the cell over sequences `[L · b, inputs]`, time-major; returns the hidden states `[L · b, U]` and
    /// advances the state to the last step.
    pub(crate) fn unroll(&self, input: &Tensor, past: &mut RecurrentState) -> Result<Tensor, TchError> {
        let RecurrentState { parts, start } = past;
        let parts = &mut parts[self.first..self.first + self.parts()];
        let (lanes, inputs) = (parts[0].size()[0], input.size()[1]);
        let steps = input.f_view([-1, lanes, inputs])?.f_unbind(0)?;
        let start = start.as_ref().map(|start| start.f_unbind(0)).transpose()?;
        let mut hidden = Vec::with_capacity(steps.len());
        for (time, input) in steps.iter().enumerate() {
            if let Some(start) = &start {
                for part in &mut *parts {
                    *part = part.f_masked_fill(&start[time], 0.0)?;
                }
            }
            self.step(input, parts)?;
            hidden.push(parts[0].shallow_clone());
        }
        Tensor::f_cat(&hidden, 0)
    }

    fn step(&self, input: &Tensor, parts: &mut [Tensor]) -> Result<(), TchError> {
        let [w_ih, w_hh, b_ih, b_hh] = &self.tensors;
        match parts {
            [hidden, cell] => {
                (*hidden, *cell) = input.f_lstm_cell(&[&*hidden, &*cell], w_ih, w_hh, Some(b_ih), Some(b_hh))?;
            }
            parts => parts[0] = input.f_gru_cell(&parts[0], w_ih, w_hh, Some(b_ih), Some(b_hh))?,
        }
        Ok(())
    }
}

/// Division of a rollout into sequences: number `q · N + n` holds the steps `q · L` to `(q + 1) · L - 1` of lane `n`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequences {
    /// Steps `L` per sequence; 1 for an MLP policy, where every sample is a sequence.
    pub(super) length: i64,
    pub(super) lanes: i64,
}

impl Sequences {
    /// Returns the sample numbers of sequences, time-major. `[L · b]`
    pub(super) fn samples(self, sequences: &Tensor) -> Result<Tensor, TchError> {
        if self.length == 1 {
            return Ok(sequences.shallow_clone());
        }
        let Self { length, lanes } = self;
        let first = sequences.f_divide_scalar_mode(lanes, "floor")? * ((length - 1) * lanes) + sequences;
        let later = Tensor::f_arange(length, (Kind::Int, sequences.device()))? * lanes;
        (later.f_unsqueeze(1)? + first.f_unsqueeze(0)?).f_flatten(0, -1)
    }
}
