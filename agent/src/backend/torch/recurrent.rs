//! Recurrent cells: what lanes remember, where they forget it, and how a minibatch of sequences goes through a cell.

use tch::{Kind, TchError, Tensor};

use crate::PolicyKind;

/// What the lanes of a batch remember before its first step, and where they forget it. Networks without cells ignore it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// A `[b, U]` for every hidden state and cell state, in the order of the networks.
    pub(crate) parts: Vec<Tensor>,
    /// Steps whose observation begins an episode: a lane forgets before it sees that. `[L, b, 1]`; none begins without it.
    pub(crate) start: Option<Tensor>,
}

impl Past {
    /// Cuts memories `[b, S]` into their parts of `units` each.
    pub(crate) fn new(memory: &Tensor, units: i64, start: Option<Tensor>) -> Result<Self, TchError> {
        Ok(Self { parts: memory.f_split(units, 1)?, start })
    }

    /// The memories in one tensor. `[b, S]`
    pub(super) fn memory(&self) -> Result<Tensor, TchError> {
        Tensor::f_cat(&self.parts, 1)
    }
}

/// What the lanes of an environment remember at present.
#[derive(Debug)]
pub(super) struct Memory {
    /// `[N, S]`
    pub(super) now: Tensor,
    /// Units `U` of a cell.
    pub(super) units: i64,
}

impl Memory {
    /// The lanes before a step; `start` tells which of them forget, nobody without it. `[N]`
    pub(super) fn past(&self, start: Option<&[bool]>) -> Result<Past, TchError> {
        let upload = |start| Tensor::f_from_slice(start)?.f_to(self.now.device())?.f_view([1, -1, 1]);
        Past::new(&self.now, self.units, start.map(upload).transpose()?)
    }
}

/// A cell of PyTorch's `nn.LSTM` or `nn.GRU`.
#[derive(Debug)]
pub(crate) struct Cell {
    kind: PolicyKind,
    /// Input weights, recurrent weights and their two biases.
    tensors: [Tensor; 4],
    /// Position of its hidden state, and cell state if it has one, in [`Past::parts`].
    first: usize,
}

impl Cell {
    /// `parts` counts the parts of a memory that earlier cells own; this one's are added.
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

    /// Passes sequences `[L · b, inputs]`, time-major, through the cell; returns the hidden states `[L · b, U]` and
    /// advances the memory to the last.
    pub(crate) fn unroll(&self, input: &Tensor, past: &mut Past) -> Result<Tensor, TchError> {
        let Past { parts, start } = past;
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

/// How a rollout is cut into sequences: number `q · N + n` holds the steps `q · L` to `(q + 1) · L - 1` of lane `n`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequences {
    /// Steps `L` of a sequence; 1 for a policy without memory, whose samples are sequences of their own.
    pub(super) length: i64,
    pub(super) lanes: i64,
}

impl Sequences {
    /// Returns the sample numbers of some sequences, time-major. `[L · b]`
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
