//! Inputs of the networks for one tile of samples: observations, episode starts and recurrent states.

use super::{cell::Steps, kernel::Rows, memory::Memory};
use crate::ppo::rollout::{Inputs, ObsView, Rollout};

/// One tile. Its rows are single samples, or sequences side by side, time-major.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    /// `[rows, inputs]`
    input: Vec<f32>,
    /// Width of an input row.
    width: usize,
    rows: usize,
    /// Sequences side by side.
    lanes: usize,
    /// `[rows]`
    start: Vec<bool>,
    /// State of each sequence before its first step. `[lanes, size]`
    state: Vec<f32>,
    size: usize,
}

impl Tile {
    /// Allocates up to `rows` rows, each a sequence of its own if need be, with states of `size` numbers.
    pub(super) fn new(rows: usize, width: usize, size: usize) -> Self {
        let (input, state) = (vec![0.0; rows * width], vec![0.0; rows * size]);
        Self { input, width, rows: 0, lanes: 1, start: vec![false; rows], state, size }
    }

    /// Loads one step of the lanes from `first` on. `start` is `[b]`, `state` `[b, size]`.
    pub(super) fn load_step(
        &mut self,
        inputs: &Inputs,
        obs: ObsView<'_>,
        first: usize,
        (state, start): (&[f32], &[bool]),
    ) {
        (self.rows, self.lanes) = (start.len(), start.len());
        self.start[..start.len()].copy_from_slice(start);
        self.state[..state.len()].copy_from_slice(state);
        for (lane, input) in self.input.chunks_exact_mut(self.width).take(start.len()).enumerate() {
            inputs.write(obs, first + lane, input);
        }
    }

    /// Loads samples of the rollout: whole sequences, as [`Memory::samples`] numbers them.
    pub(super) fn load(&mut self, inputs: &Inputs, rollout: &Rollout, memory: &Memory, samples: &[u32]) {
        (self.rows, self.lanes) = (samples.len(), samples.len() / memory.length());
        let obs = rollout.obs.first(rollout.samples());
        for (&sample, input) in samples.iter().zip(self.input.chunks_exact_mut(self.width)) {
            inputs.write(obs, sample as usize, input);
        }
        if self.size > 0 {
            let starts = self.start.iter_mut().zip(samples);
            starts.for_each(|(start, &sample)| *start = rollout.start[sample as usize]);
            let states = self.state.chunks_exact_mut(self.size).zip(&samples[..self.lanes]);
            states.for_each(|(state, &sample)| state.copy_from_slice(memory.initial(sample as usize)));
        }
    }

    /// Returns the number of rows in use.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the inputs.
    pub(super) fn input(&self) -> Rows<'_> {
        Rows { data: &self.input[..self.rows * self.width], stride: self.width, columns: self.width }
    }

    /// Returns the episode starts and the states before the first step.
    pub(super) fn steps(&self) -> Steps<'_> {
        let (start, state) = (&self.start[..self.rows], &self.state[..self.lanes * self.size]);
        Steps { lanes: self.lanes, start, state, size: self.size }
    }
}
