//! Points of a space: every trial is a function of space, seed and number, so that a sweep may be cut, resumed and extended.

use std::fmt;

use clap::ValueEnum;
use rand::RngExt as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, categorical_range, histogram_estimator, parzen_estimator, range};

use super::space::{Domain, Space};

/// Most trials of a sweep: the Sobol sequence has so many points.
pub const MOST_TRIALS: usize = 1 << 16;
/// Trials whose points the estimator of `tpe` draws from the same results, so that the number of threads changes no point.
pub(super) const BATCH: usize = 8;
/// First trials of `tpe`, which are points of the Sobol sequence.
const STARTUP: usize = 16;

/// Way of choosing points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// A scrambled Sobol sequence, which fills the space evenly.
    Sobol,
    /// Independent uniform points.
    Random,
    /// Every combination of lists and `steps`.
    Grid,
    /// Tree-structured Parzen estimators, one per key: later points lie where earlier ones scored well.
    Tpe,
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sobol => "Sobol sequence",
            Self::Random => "random points",
            Self::Grid => "grid",
            Self::Tpe => "tree-structured Parzen estimators",
        })
    }
}

impl Sampler {
    /// Returns the point of a trial, one coordinate in `[0, 1]` per key. `earlier` are points and scores, higher is better, of the
    /// trials that a point of `tpe` may depend on, in their order; other samplers ignore them.
    ///
    /// # Errors
    /// When an estimator refuses its input.
    pub fn point(self, space: &Space, seed: u32, trial: usize, earlier: &[(&[f64], f64)]) -> anyhow::Result<Vec<f64>> {
        let keys = 0..space.0.len();
        Ok(match self {
            Self::Tpe if trial >= STARTUP => return estimated(space, seed, trial, earlier),
            Self::Sobol | Self::Tpe => {
                keys.map(|key| f64::from(sobol_burley::sample(trial as u32, key as u32, seed))).collect()
            }
            Self::Random => {
                let mut rng = stream(seed, trial);
                keys.map(|_| rng.random()).collect()
            }
            Self::Grid => grid_point(space, trial),
        })
    }

    /// Returns the number of trials whose results the point of a trial depends on.
    pub fn needed(self, trial: usize) -> usize {
        if self == Self::Tpe && trial >= STARTUP { trial - trial % BATCH } else { 0 }
    }
}

fn stream(seed: u32, trial: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(seed));
    rng.set_stream(trial as u64);
    rng
}

/// Returns a point of the grid; the last key varies fastest.
fn grid_point(space: &Space, mut trial: usize) -> Vec<f64> {
    let mut point = vec![0.0; space.0.len()];
    for (at, parameter) in point.iter_mut().zip(&space.0).rev() {
        let levels = parameter.domain.levels().unwrap_or(1);
        *at = parameter.domain.grid_point(trial % levels);
        trial /= levels;
    }
    point
}

/// Returns the point that the estimators of all keys prefer.
fn estimated(space: &Space, seed: u32, trial: usize, earlier: &[(&[f64], f64)]) -> anyhow::Result<Vec<f64>> {
    let mut rng = stream(seed, trial);
    let mut coordinate = |(key, domain): (usize, &Domain)| -> anyhow::Result<f64> {
        let (estimator, values, scale) = match domain {
            Domain::Choice(values) => (histogram_estimator(), categorical_range(values.len())?, values.len() as f64),
            _ => (parzen_estimator(), range(0.0, 1.0)?, 1.0),
        };
        let mut optimiser = TpeOptimizer::new(estimator, values);
        for (point, score) in earlier {
            // It minimises; the upper end is not one of its values.
            let at = point[key].min(1.0 - f64::EPSILON) * scale;
            optimiser.tell(if scale > 1.0 { at.floor() } else { at }, -score)?;
        }
        let at = optimiser.ask(&mut rng)?;
        Ok(if scale > 1.0 { (at.floor() + 0.5) / scale } else { at })
    };
    space.0.iter().map(|parameter| &parameter.domain).enumerate().map(&mut coordinate).collect()
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::*;
    use crate::sweep::space::{Interval, Parameter};

    fn space(choices: i64) -> Space {
        let interval = Interval { low: 0.0, high: 1.0, whole: false, steps: Some(3) };
        let parameter = |key: &str, domain| Parameter { key: key.to_owned(), domain };
        let list = (0..choices).map(Value::Integer).collect();
        Space(vec![parameter("a", Domain::Range(interval)), parameter("b", Domain::Choice(list))])
    }

    fn points(sampler: Sampler, seed: u32, trials: std::ops::Range<usize>) -> Vec<Vec<f64>> {
        trials.map(|trial| sampler.point(&space(4), seed, trial, &[]).unwrap()).collect()
    }

    #[test]
    fn points_are_functions_of_seed_and_number_and_lie_inside() {
        for sampler in [Sampler::Sobol, Sampler::Random] {
            let all = points(sampler, 1, 0..64);
            assert_eq!(all[32..], points(sampler, 1, 32..64), "an extension repeats nothing and changes nothing");
            assert_ne!(all, points(sampler, 2, 0..64));
            assert!(all.iter().flatten().all(|at| (0.0..1.0).contains(at)));
        }
    }

    #[test]
    fn a_sobol_sequence_fills_every_part_of_the_space() {
        // 64 points, 8 x 8 cells: a net has one in each; random points leave about 37 % empty.
        let cells = |sampler: Sampler| {
            let cell = |point: &Vec<f64>| ((point[0] * 8.0) as usize, (point[1] * 8.0) as usize);
            points(sampler, 0, 0..64).iter().map(cell).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(cells(Sampler::Sobol), 64);
        assert!(cells(Sampler::Random) < 50);
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let space = space(4);
        assert_eq!(space.grid_size(), Some(12));
        let values = |trial| space.line(&space.values(&Sampler::Grid.point(&space, 0, trial, &[]).unwrap()));
        let all: std::collections::BTreeSet<String> = (0..12).map(values).collect();
        assert!(all.len() == 12 && all.contains("a=0.5, b=3"), "{all:?}");
    }

    #[test]
    fn estimators_find_the_better_part_of_a_space() {
        let (space, mut found) = (space(4), Vec::<(Vec<f64>, f64)>::new());
        let score = |point: &[f64]| -(point[0] - 0.8).abs() - if (point[1] * 4.0) as usize == 2 { 0.0 } else { 1.0 };
        for trial in 0..80 {
            let known: Vec<(&[f64], f64)> =
                found[..Sampler::Tpe.needed(trial)].iter().map(|(point, score)| (point.as_slice(), *score)).collect();
            let point = Sampler::Tpe.point(&space, 3, trial, &known).unwrap();
            assert_eq!(point, Sampler::Tpe.point(&space, 3, trial, &known).unwrap());
            found.push((point.clone(), score(&point)));
        }
        let mean =
            |part: &[(Vec<f64>, f64)]| statistics::mean(part.iter().map(|(_, score)| *score).collect::<Vec<_>>());
        assert!(mean(&found[64..]) > mean(&found[..16]) + 0.5, "{} {}", mean(&found[..16]), mean(&found[64..]));
        assert_eq!((Sampler::Tpe.needed(15), Sampler::Tpe.needed(23), Sampler::Sobol.needed(99)), (0, 16, 0));
    }
}
