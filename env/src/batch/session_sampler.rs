//! Sampling of training sessions, with a random stream per lane and episode.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Market, config::Draw};

/// Sessions to draw from, in groups of equal probability.
#[derive(Debug, Clone)]
pub(crate) struct SessionSampler {
    groups: Vec<Vec<u32>>,
    seed: u64,
}

/// Upper bounds of the calm, normal and storm regimes, in VIX points; the crash regime lies above.
const REGIMES: [f64; 3] = [18.0, 25.0, 35.0];

impl SessionSampler {
    pub(crate) fn new(market: &Market, days: &[u32], draw: Draw, seed: u64) -> Self {
        let groups = match draw {
            Draw::Uniform => vec![days.to_vec()],
            Draw::RegimeBalanced => {
                let mut groups = vec![Vec::new(); REGIMES.len() + 1];
                for &day in days {
                    let vix = market.days()[day as usize].vix_at_open;
                    groups[REGIMES.iter().filter(|&&end| vix >= end).count()].push(day);
                }
                groups.retain(|group| !group.is_empty());
                groups
            }
        };
        Self { groups, seed }
    }

    /// Returns the session of a lane's episode. It depends on seed, lane and episode alone.
    pub(crate) fn draw(&self, lane: u32, episode: u32) -> u32 {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((u64::from(lane) << 32) | u64::from(episode));
        let group = &self.groups[rng.random_range(0..self.groups.len())];
        group[rng.random_range(0..group.len())]
    }
}
