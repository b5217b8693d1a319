//! Random number streams of the agent: counter-based, so that a run resumes from its counters alone.

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Purpose of a random stream; separate streams keep one purpose from shifting another.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Init = 1,
    Action = 2,
    Shuffle = 3,
    Episode = 4,
    Dropout = 5,
    Pretraining = 6,
    Planted = 7,
}

/// Random streams of one run: pure functions of (seed, purpose, iteration, position).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RandomStreams {
    seed: u64,
}

impl RandomStreams {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Returns the stream of the initial parameters.
    pub(crate) fn init(self) -> ChaCha8Rng {
        self.stream(Purpose::Init, 0, 0)
    }

    /// Fills one uniform in [0, 1) per lane; the number of a lane does not depend on the lane count.
    pub(crate) fn uniforms(self, iteration: u64, step: u64, out: &mut [f64]) {
        let mut rng = self.stream(Purpose::Action, iteration, step);
        out.iter_mut().for_each(|uniform| *uniform = rng.random());
    }

    /// Shuffles the sample numbers of a rollout (Fisher-Yates) for one pass over it.
    pub(crate) fn shuffle(self, iteration: u64, epoch: u64, order: &mut [u32]) {
        (0u32..).zip(order.iter_mut()).for_each(|(index, slot)| *slot = index);
        let mut rng = self.stream(Purpose::Shuffle, iteration, epoch);
        for last in (1..order.len()).rev() {
            order.swap(last, rng.random_range(0..=last));
        }
    }

    /// Returns the stream of the initial state of an episode in a reference environment.
    pub(crate) fn episode(self, lane: u64, episode: u64) -> ChaCha8Rng {
        self.stream(Purpose::Episode, lane, episode)
    }

    /// Returns the dropout stream of an epoch of a forecaster.
    pub(crate) fn dropout(self, epoch: u64) -> ChaCha8Rng {
        self.stream(Purpose::Dropout, epoch, 0)
    }

    /// Returns the stream of pretraining: initial parameters (pass 0), masks and dropout.
    pub(crate) fn pretraining(self, pass: u64) -> ChaCha8Rng {
        self.stream(Purpose::Pretraining, pass, 0)
    }

    /// Returns the stream of synthetic forecaster samples.
    pub(crate) fn planted(self, part: u64) -> ChaCha8Rng {
        self.stream(Purpose::Planted, part, 0)
    }

    fn stream(self, purpose: Purpose, iteration: u64, position: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([self.seed, purpose as u64, iteration, position]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniforms_do_not_depend_on_the_lane_count() {
        let (mut few, mut many) = ([0.0; 2], [0.0; 9]);
        RandomStreams::new(7).uniforms(3, 11, &mut few);
        RandomStreams::new(7).uniforms(3, 11, &mut many);
        assert_eq!(few, many[..2]);
        for (seed, iteration, step) in [(8, 3, 11), (7, 4, 11), (7, 3, 12)] {
            let mut other = [0.0; 2];
            RandomStreams::new(seed).uniforms(iteration, step, &mut other);
            assert_ne!(few, other);
        }
    }

    #[test]
    fn each_shuffle_is_a_distinct_permutation() {
        let (mut first, mut second) = ([0; 100], [0; 100]);
        RandomStreams::new(7).shuffle(0, 0, &mut first);
        RandomStreams::new(7).shuffle(0, 1, &mut second);
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..100));
        }
    }
}
