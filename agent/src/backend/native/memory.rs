//! Recurrent state of the lanes, its copies at the starts of sequences, and the division of a rollout into sequences.

use crate::{backend::engine::Sizes, ppo::rollout::Rollout};

/// Recurrent state of all lanes; without numbers for an MLP policy, whose sequences are single samples.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Numbers `S` per lane, over the cells of all networks.
    size: usize,
    /// Lanes `N` of the environment.
    lanes: usize,
    /// Steps `L` per sequence.
    length: usize,
    /// Sequences per tile.
    tile: usize,
    /// State before the next step. `[N, S]`
    now: Vec<f32>,
    /// Lanes whose state is reset before the step. `[N]`
    start: Vec<bool>,
    /// State of each lane at the start of each sequence, before a reset. `[T / L, N, S]`
    initial: Vec<f32>,
}

/// State of some lanes before one step.
#[derive(Debug)]
pub(super) struct LaneStates<'a> {
    /// `[b, S]`
    pub(super) state: &'a mut [f32],
    /// `[b]`
    pub(super) start: &'a [bool],
}

impl Memory {
    /// Allocates states of `size` numbers; `tile` is the number of sequences per tile.
    pub(super) fn new(sizes: Sizes, size: usize, tile: usize) -> Self {
        let Sizes { steps, lanes, sequence: length, .. } = sizes;
        let (now, initial) = (vec![0.0; lanes * size], vec![0.0; steps / length * lanes * size]);
        Self { size, lanes, length, tile, now, start: vec![false; lanes], initial }
    }

    /// Returns the steps per sequence.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Returns the state of all lanes. `[N, S]`
    pub(super) fn now(&self) -> &[f32] {
        &self.now
    }

    /// Sets the state of all lanes. `[N, S]`
    pub(super) fn set(&mut self, state: &[f32]) {
        self.now.copy_from_slice(state);
    }

    /// Prepares one step of the rollout: stores the states where sequences start, and marks the lanes to reset.
    pub(super) fn begin_step(&mut self, rollout: &Rollout, time: usize) {
        if time.is_multiple_of(self.length) {
            let first = time / self.length * self.now.len();
            self.initial[first..first + self.now.len()].copy_from_slice(&self.now);
        }
        self.reset_at(Some(rollout.starts(time)));
    }

    /// Marks the lanes to reset before the next step; `None` for no lane.
    pub(super) fn reset_at(&mut self, start: Option<&[bool]>) {
        match start {
            Some(start) => self.start.copy_from_slice(start),
            None => self.start.fill(false),
        }
    }

    /// Returns the states of all lanes.
    pub(super) fn all(&mut self) -> LaneStates<'_> {
        LaneStates { state: &mut self.now, start: &self.start }
    }

    /// Returns the initial state of the sequence that starts with a sample. `[S]`
    pub(super) fn initial(&self, sample: usize) -> &[f32] {
        let sequence = sample / self.lanes / self.length * self.lanes + sample % self.lanes;
        &self.initial[sequence * self.size..(sequence + 1) * self.size]
    }

    /// Writes the sample numbers of sequences, tile by tile, each of them time-major; sequence `q · N + n` holds the steps
    /// `q · L` to `(q + 1) · L - 1` of lane `n`.
    pub(super) fn samples(&self, sequences: &[u32], out: &mut Vec<u32>) {
        out.clear();
        if self.length == 1 {
            out.extend_from_slice(sequences);
            return;
        }
        let (lanes, length) = (self.lanes as u32, self.length as u32);
        for tile in sequences.chunks(self.tile) {
            for time in 0..length {
                out.extend(tile.iter().map(|&number| (number / lanes * length + time) * lanes + number % lanes));
            }
        }
    }
}

impl<'a> LaneStates<'a> {
    /// Splits the lanes into chunks of `size`; `numbers` per lane.
    pub(super) fn chunks(self, size: usize, numbers: usize) -> Vec<LaneStates<'a>> {
        let mut rest = self.state;
        let chunk = |start: &'a [bool]| {
            let (state, later) = std::mem::take(&mut rest).split_at_mut(start.len() * numbers);
            rest = later;
            LaneStates { state, start }
        };
        self.start.chunks(size).map(chunk).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_unrolled_tile_by_tile() {
        let sizes = Sizes { steps: 6, lanes: 2, batch: 6, sequence: 3 };
        let memory = Memory::new(sizes, 1, 2);
        let mut samples = Vec::new();
        memory.samples(&[3, 0, 1], &mut samples);
        // Sequence 3 holds the steps 3 to 5 of lane 1, sequence 0 the first three of lane 0; sequence 1 is a tile alone.
        assert_eq!(samples, [7, 0, 9, 2, 11, 4, 1, 3, 5]);
    }

    #[test]
    fn a_sequence_starts_from_the_state_stored_before_it() {
        let sizes = Sizes { steps: 6, lanes: 2, batch: 6, sequence: 3 };
        let mut memory = Memory::new(sizes, 2, 2);
        let rollout = Rollout::new(6, 2, 0);
        for time in 0..6 {
            memory.set(&[time as f32, 1.0, time as f32, 2.0]);
            memory.begin_step(&rollout, time);
        }
        assert_eq!(memory.initial(1), [0.0, 2.0]);
        assert_eq!([memory.initial(6), memory.initial(7)], [[3.0, 1.0], [3.0, 2.0]]);
    }

    #[test]
    fn lanes_are_split_with_their_states() {
        let sizes = Sizes { steps: 1, lanes: 5, batch: 5, sequence: 1 };
        for numbers in [0, 3] {
            let mut memory = Memory::new(sizes, numbers, 1);
            let parts = memory.all().chunks(2, numbers);
            let found: Vec<_> = parts.iter().map(|part| (part.start.len(), part.state.len())).collect();
            assert_eq!(found, [(2, 2 * numbers), (2, 2 * numbers), (1, numbers)]);
        }
    }
}
