//! Scores as functions of per-session sums, which makes them cheap to resample by session.

use statistics::{ConfidenceInterval, bootstrap_interval, placements, ranks, ratio, total};

use super::outcomes::Pairs;

/// Seed of every interval: all scores of a target use the same resamples.
const SEED: u64 = 0;

/// Score with the contribution of each session.
pub(in crate::forecast) struct Measure<const K: usize> {
    sums: Vec<[f64; K]>,
    score: fn(&[f64; K]) -> Option<f64>,
}

impl<const K: usize> Measure<K> {
    /// Returns the score of all pairs, or `None` if it is undefined.
    pub(in crate::forecast) fn value(&self) -> Option<f64> {
        (self.score)(&total(&self.sums))
    }

    /// Returns the score with its interval.
    pub(in crate::forecast) fn interval(&self) -> Option<ConfidenceInterval> {
        bootstrap_interval(&self.sums, self.score, SEED)
    }
}

/// Returns the share of the variance of the outcomes around their own mean that the forecasts explain.
pub(in crate::forecast) fn skill(pairs: &Pairs) -> Measure<4> {
    let centre = pairs.mean(|_, y| y);
    let sums = pairs.sums(|_, p, y| [1.0, y - centre, (y - centre).powi(2), (y - p).powi(2)]);
    Measure { sums, score: |&[n, y, yy, errors]| explained(n, y, yy, errors) }
}

/// Returns the share of the variance around the mean, given count, sum and squares of the outcomes, that errors leave out.
pub(in crate::forecast) fn explained(n: f64, y: f64, yy: f64, errors: f64) -> Option<f64> {
    let around_mean = yy - y * y / n;
    ratio(around_mean - errors, around_mean)
}

/// Returns the share of the squared error of the training mean that the forecasts save.
pub(in crate::forecast) fn skill_over_train_mean(pairs: &Pairs) -> Measure<2> {
    let squares = |_, p: f64, y: f64| [(y - p).powi(2), (y - pairs.train_mean).powi(2)];
    Measure { sums: pairs.sums(squares), score: |&[model, mean]| ratio(mean - model, mean) }
}

/// Returns the slope of the regression of outcomes on forecasts.
pub(in crate::forecast) fn slope(pairs: &Pairs) -> Measure<6> {
    let fit = pairs.fit();
    let mean_y = pairs.mean(|_, y| y);
    let sums = pairs.sums(|_, p, y| moments(p - fit.pred_mean, y - mean_y));
    Measure { sums, score: |sums| covariances(sums).and_then(|[pp, _, py]| ratio(py, pp)) }
}

/// Returns the rank correlation. Ranks are computed once over all pairs and kept in every resample; at the small
/// correlations of returns, ranking anew would hardly change the interval.
pub(in crate::forecast) fn rank_ic(pairs: &Pairs) -> Measure<6> {
    let (predicted, actual): (Vec<f32>, Vec<f32>) = pairs.values.iter().copied().unzip();
    let (p, y) = (ranks(&predicted), ranks(&actual));
    let middle = (p.len() + 1) as f64 / 2.0;
    let sums = pairs.sums(|i, _, _| moments(p[i] - middle, y[i] - middle));
    Measure { sums, score: |sums| covariances(sums).and_then(|[pp, yy, py]| ratio(py, (pp * yy).sqrt())) }
}

/// Returns the share of non-zero outcomes with the sign of the forecast; a forecast of exactly 0 counts half.
pub(in crate::forecast) fn sign_accuracy(pairs: &Pairs) -> Measure<2> {
    hits(pairs, 0.0, |y| y)
}

/// Returns the share of outcomes on the same side of one half as the probability; a probability of exactly one half
/// counts half.
pub(in crate::forecast) fn class_accuracy(pairs: &Pairs) -> Measure<2> {
    hits(pairs, 0.5, |y| y - 0.5)
}

fn hits(pairs: &Pairs, threshold: f64, side: fn(f64) -> f64) -> Measure<2> {
    let right = |p: f64, y: f64| match (p - threshold) * side(y) {
        agree if agree > 0.0 => 1.0,
        0.0 => 0.5,
        _ => 0.0,
    };
    let sums = pairs.sums(|_, p, y| if side(y) == 0.0 { [0.0; 2] } else { [right(p, y), 1.0] });
    Measure { sums, score: |&[right, count]| ratio(right, count) }
}

/// Returns the area under the ROC curve: the probability that a rise has a higher forecast than a fall. A resample
/// moves it by the mean placement of either class (DeLong).
pub(in crate::forecast) fn auc(pairs: &Pairs) -> Measure<4> {
    let (predicted, up): (Vec<f32>, Vec<bool>) = pairs.values.iter().map(|&(p, y)| (p, y > 0.5)).unzip();
    let placed = placements(&predicted, &up);
    let won: f64 = placed.iter().zip(&up).filter(|&(_, &up)| up).map(|(won, _)| won).sum();
    let area = won / up.iter().filter(|&&up| up).count() as f64;
    let row = |i: usize, _, _| if up[i] { [1.0, placed[i], 0.0, 0.0] } else { [0.0, 0.0, 1.0, placed[i] - area] };
    let score = |&[ups, won, downs, beyond]: &[f64; 4]| Some(ratio(won, ups)? + ratio(beyond, downs)?);
    Measure { sums: pairs.sums(row), score }
}

/// Returns count, sums, squares and product of a pair.
fn moments(x: f64, y: f64) -> [f64; 6] {
    [1.0, x, y, x * x, y * y, x * y]
}

/// Returns the centred sums of squares and products: of x, of y, of both.
fn covariances(&[n, x, y, xx, yy, xy]: &[f64; 6]) -> Option<[f64; 3]> {
    (n > 0.0).then(|| [xx - x * x / n, yy - y * y / n, xy - x * y / n])
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::forecast::Outcomes;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        StandardNormal.sample(rng)
    }

    fn covers(interval: Option<ConfidenceInterval>, truth: f64) -> bool {
        interval.is_some_and(|interval| interval.low <= truth && truth <= interval.high)
    }

    #[test]
    fn regression_intervals_have_nominal_coverage() {
        // y = p / 2 + noise, their variances 1 and 7/8, each with a part that a whole session shares, and loud sessions
        // beside quiet ones. The slope is 1/2, and R² is 1 - (1/4 + 7/8) / (1/4 + 7/8) = 0.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut covered = [0; 3];
        for _ in 0..400 {
            let (mut p, mut y, mut block) = (vec![], vec![], vec![]);
            for date in 0..80 {
                let loud = (7.0_f64 / 8.0 * if date % 2 == 0 { 0.5 } else { 1.5 }).sqrt();
                let (view, shock) = (normal(&mut rng), normal(&mut rng));
                for _ in 0..20 {
                    let forecast = 0.6 * view + 0.8 * normal(&mut rng);
                    p.push(forecast as f32);
                    y.push((0.5 * forecast + loud * (0.6 * shock + 0.8 * normal(&mut rng))) as f32);
                    block.push(date);
                }
            }
            let outcomes = Outcomes { predicted: &p, actual: &y, block: &block, train_mean: 0.0 };
            let pairs = Pairs::of(&outcomes).unwrap();
            covered[0] += u32::from(covers(skill_over_train_mean(&pairs).interval(), 0.0));
            covered[1] += u32::from(covers(slope(&pairs).interval(), 0.5));
            covered[2] += u32::from(covers(skill(&pairs).interval(), 0.0));
        }
        assert!(covered.iter().all(|covered| (362..=395).contains(covered)), "{covered:?} of 400");
    }

    #[test]
    fn probability_intervals_have_nominal_coverage() {
        // Normal forecasts whose means lie 0.3583 deviations apart: the area is Φ(0.3583 / √2) = 0.6.
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let covered = (0..400).filter(|_| {
            let up: Vec<f32> = (0..1200).map(|_| f32::from(u8::from(rng.random_bool(0.4)))).collect();
            let p: Vec<f32> = up.iter().map(|up| 0.3583 * up + normal(&mut rng) as f32).collect();
            let block: Vec<u32> = (0..1200).map(|i| i / 20).collect();
            let outcomes = Outcomes { predicted: &p, actual: &up, block: &block, train_mean: 0.4 };
            covers(auc(&Pairs::of(&outcomes).unwrap()).interval(), 0.6)
        });
        let covered = covered.count();
        assert!((365..=395).contains(&covered), "{covered} of 400");
    }
}
