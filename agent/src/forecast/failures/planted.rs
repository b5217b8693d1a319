//! Synthetic samples with a known signal, on which the failures are reproduced.
//!
//! Every sample is a row of standard normal features, some of which are autocorrelated; blocks of fifty samples stand
//! for sessions. Targets have one horizon and arbitrary units.

use market_env::Horizon;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, StudentT};

use crate::{
    forecast::{ForecastData, Samples, Target, TargetKind},
    random::RandomStreams,
};

/// Features of a sample.
const FEATURES: usize = 8;
/// Samples of a block.
const BLOCK: usize = 50;
const HORIZON: Horizon = Horizon::Bars(1);

/// Training and validation samples, and later test samples.
#[derive(Debug, Clone)]
pub struct PlantedData {
    /// Training and validation data.
    pub data: ForecastData,
    /// Test samples.
    pub test: Samples,
}

/// Draws a target from the features of a sample.
type TargetSampler = fn(&[f32], &mut ChaCha8Rng) -> f64;

/// Returns a skewed target as in the third run: two thirds of the values lie close to 0.7, one third reach up to 1.95.
/// The features set the probability of a large value, which stays below one half, so the mean depends on them and the
/// median hardly does.
pub(crate) fn skewed(samples: usize, seed: u64) -> PlantedData {
    planted(samples, seed, &[TargetKind::Volatility], |x, rng| {
        let likely = 0.05 + 0.38 / (1.0 + f64::exp(-4.0 * f64::from(x[0] + x[1]) / 2f64.sqrt()));
        let noise: f64 = StandardNormal.sample(rng);
        let uniform: f64 = rand::RngExt::random(rng);
        let value = if uniform < likely { 1.4 + 0.3 * noise } else { 0.69 + 0.05 * noise };
        value.clamp(0.15, 1.95)
    })
}

/// Returns a daily return of standard deviation 0.018, and its direction. The product of two features explains four
/// percent of its variance; no single feature explains any, so small weights have next to no gradient.
pub(crate) fn interaction(samples: usize, seed: u64) -> PlantedData {
    planted(samples, seed, &[TargetKind::Return, TargetKind::Direction], |x, rng| {
        let noise: f64 = StandardNormal.sample(rng);
        0.018 * (0.2 * f64::from(x[0] * x[1]) + (1.0 - 0.2f64.powi(2)).sqrt() * noise)
    })
}

/// Returns a return of which three features explain four percent of the variance, with Student t tails of three degrees
/// of freedom.
pub fn heavy_tailed(samples: usize, seed: u64) -> PlantedData {
    planted(samples, seed, &[TargetKind::Return], |x, rng| {
        let tails = StudentT::new(3.0).expect("three degrees of freedom are positive");
        0.018 * (0.2 * signal(x) + (1.0 - 0.04f64).sqrt() * tails.sample(rng) / 3f64.sqrt())
    })
}

/// Returns a return and a direction of pure noise.
#[cfg(test)]
pub(crate) fn noise(samples: usize, seed: u64) -> PlantedData {
    planted(samples, seed, &[TargetKind::Return, TargetKind::Direction], |_, rng| 0.018 * f64::from(normal(rng)))
}

/// Returns the signal of three features, of variance 1.
fn signal(x: &[f32]) -> f64 {
    f64::from(x[0] - x[1] + x[2]) / 3f64.sqrt()
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}

/// Draws a tape and its targets: 70 % training, 15 % validation, the rest test.
fn planted(samples: usize, seed: u64, kinds: &[TargetKind], sampler: TargetSampler) -> PlantedData {
    let streams = RandomStreams::new(seed);
    let (mut features, mut targets) = (streams.planted(0), streams.planted(1));
    let mut tape: Vec<f32> = Vec::with_capacity(samples * FEATURES);
    for row in 0..samples {
        for column in 0..FEATURES {
            // The upper half of the columns is autocorrelated, as indicators are.
            let keep = if column < FEATURES / 2 || row == 0 { 0.0 } else { 0.9f32 };
            let last = if row == 0 { 0.0 } else { tape[(row - 1) * FEATURES + column] };
            tape.push(keep * last + (1.0 - keep * keep).sqrt() * normal(&mut features));
        }
    }
    let outcomes: Vec<f64> = tape.chunks_exact(FEATURES).map(|x| sampler(x, &mut targets)).collect();
    let part = |first: usize, last: usize| {
        let value = |&kind: &TargetKind, outcome: f64| match kind {
            TargetKind::Direction => f32::from(u8::from(outcome > 0.0)),
            TargetKind::Return | TargetKind::Volatility => outcome as f32,
        };
        Samples {
            row: (first as u32..last as u32).collect(),
            first_row: vec![first as u32; last - first],
            actual: outcomes[first..last].iter().flat_map(|&y| kinds.iter().map(move |kind| value(kind, y))).collect(),
            block: (first..last).map(|row| (row / BLOCK) as u32).collect(),
        }
    };
    let (train, validation) = (samples * 70 / 100, samples * 85 / 100);
    let data = ForecastData {
        features: (0..FEATURES).map(|i| format!("x{i}")).collect(),
        targets: kinds.iter().map(|&kind| Target { kind, horizon: HORIZON }).collect(),
        train: part(0, train),
        validation: part(train, validation),
        tape,
    };
    PlantedData { data, test: part(validation, samples) }
}

/// Returns a forecaster after one epoch on noise.
#[cfg(test)]
pub(crate) fn untrained() -> crate::forecast::Forecaster {
    let data = noise(400, 1).data;
    let config = crate::forecast::ForecastConfig {
        hidden_size: 8,
        max_epochs: 1,
        temporal_frames: 2,
        activation: crate::Activation::Tanh,
        ..crate::forecast::ForecastConfig::default()
    };
    crate::forecast::fit(&data, &config, 1, crate::DeviceChoice::Cpu, &mut ()).unwrap().forecaster
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skewed_target_has_a_mean_far_from_its_median() {
        let planted = skewed(4000, 1);
        let mut y = planted.data.train.column(0);
        y.sort_by(f32::total_cmp);
        let mean = y.iter().sum::<f32>() / y.len() as f32;
        let std = (y.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / y.len() as f32).sqrt();
        let median = y[y.len() / 2];
        // Cost in R² of the median as a forecast.
        let cost = ((mean - median) / std).powi(2);
        assert!((0.1..0.3).contains(&cost), "mean {mean}, median {median}, deviation {std}: {cost}");
    }

    #[test]
    fn a_seed_repeats_the_samples_and_splits_do_not_overlap() {
        let (a, b, other) = (interaction(1000, 3), interaction(1000, 3), interaction(1000, 4));
        assert_eq!((&a.data.tape, &a.test.actual), (&b.data.tape, &b.test.actual));
        assert_ne!(a.data.tape, other.data.tape);
        assert_eq!(
            (a.data.train.row.last(), a.data.validation.row.first(), a.test.len()),
            (Some(&699), Some(&700), 150)
        );
        assert!(a.test.first_row.iter().all(|&row| row == 850));
    }
}
