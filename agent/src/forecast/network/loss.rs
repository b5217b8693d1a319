//! Loss of the forecaster: regression losses, the cross-entropy of directions, and the variance penalty against
//! collapse.

use tch::{Device, Kind, TchError, Tensor};

use crate::forecast::{
    ForecastConfig, HuberDelta, LossConfig, LossKind, Target, TargetKind, TargetMoments, TargetScale, VarianceTerm,
    samples::ForecastData,
};

/// Standard deviations above which a fixed Huber delta has no effect on any error.
const MAX_DELTA_STDS: f64 = 5.0;

/// Loss of outputs `[B, M]` against realised targets `[B, M]`, in raw or standardised units.
#[derive(Debug)]
pub(crate) struct Loss {
    config: LossConfig,
    /// Positions of the regression outputs, and of the direction logits.
    regressions: Tensor,
    directions: Tensor,
    /// Offset and scale of the regression targets. `[R]`
    center: Tensor,
    scale: Tensor,
    /// Training mean and standard deviation of the scaled targets. `[R]`
    target_moments: (Tensor, Tensor),
    /// Huber delta in scaled units. `[R]`
    delta: Tensor,
}

impl Loss {
    pub(crate) fn new(
        config: &ForecastConfig,
        targets: &[Target],
        moments: &TargetMoments,
        device: Device,
    ) -> Result<Self, TchError> {
        let regressions = ForecastData::positions(targets, |kind| kind != TargetKind::Direction);
        let directions = ForecastData::positions(targets, |kind| kind == TargetKind::Direction);
        let pick = |values: &[f64]| regressions.iter().map(|&i| values[i as usize]).collect::<Vec<f64>>();
        let (mean, std) = (pick(&moments.mean), pick(&moments.std));
        let standard = config.target_scale == TargetScale::Standardized;
        let (center, scale): (Vec<f64>, Vec<f64>) =
            if standard { (mean.clone(), std.clone()) } else { (vec![0.0; mean.len()], vec![1.0; std.len()]) };
        let delta: Vec<f64> = std.iter().zip(&scale).map(|(&std, scale)| config.loss.delta(std) / scale).collect();
        let scaled_mean: Vec<f64> = mean.iter().zip(&center).zip(&scale).map(|((m, c), s)| (m - c) / s).collect();
        let scaled_std: Vec<f64> = std.iter().zip(&scale).map(|(std, scale)| std / scale).collect();
        let row = |values: &[f64]| Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_to(device);
        let columns = |positions: &[i64]| Tensor::f_from_slice(positions)?.f_to(device);
        Ok(Self {
            config: config.loss.clone(),
            regressions: columns(&regressions)?,
            directions: columns(&directions)?,
            center: row(&center)?,
            scale: row(&scale)?,
            target_moments: (row(&scaled_mean)?, row(&scaled_std)?),
            delta: row(&delta)?,
        })
    }

    /// Returns the loss of a minibatch; unknown targets do not contribute.
    pub(crate) fn total(&self, outputs: &Tensor, actual: &Tensor) -> Result<Tensor, TchError> {
        let LossConfig { reg_weight, clf_weight, variance_term, variance_weight, .. } = self.config;
        let mut total = Tensor::f_zeros([0; 0], (Kind::Float, outputs.device()))?;
        let pairs = MaskedPairs::new(&outputs.f_index_select(1, &self.regressions)?, &self.scaled(actual)?)?;
        let regressions = !self.regressions.size().contains(&0);
        if reg_weight > 0.0 && regressions {
            total = total.f_add(&self.regression(&pairs)?.f_mul_scalar(reg_weight)?)?;
        }
        if clf_weight > 0.0 && !self.directions.size().contains(&0) {
            let up = MaskedPairs::new(
                &outputs.f_index_select(1, &self.directions)?,
                &actual.f_index_select(1, &self.directions)?,
            )?;
            total = total.f_add(&cross_entropy(&up)?.f_mul_scalar(clf_weight)?)?;
        }
        if variance_weight > 0.0 && variance_term != VarianceTerm::None && regressions {
            total = total.f_add(&self.variance_penalty(&pairs)?.f_mul_scalar(variance_weight)?)?;
        }
        Ok(total)
    }

    /// Returns the realised regression targets in the scale of the outputs. `[B, R]`
    fn scaled(&self, actual: &Tensor) -> Result<Tensor, TchError> {
        actual.f_index_select(1, &self.regressions)?.f_sub(&self.center)?.f_div(&self.scale)
    }

    /// Returns the forecasts in the units of the targets, directions as probabilities of a rise. `[B, M]`
    pub(crate) fn forecasts(&self, outputs: &Tensor) -> Result<Tensor, TchError> {
        let mut forecasts = outputs.f_sigmoid()?;
        let regressions = outputs.f_index_select(1, &self.regressions)?.f_mul(&self.scale)?.f_add(&self.center)?;
        forecasts.f_index_copy_(1, &self.regressions, &regressions)
    }

    fn regression(&self, pairs: &MaskedPairs) -> Result<Tensor, TchError> {
        let error = pairs.predicted.f_sub(&pairs.actual)?;
        let each = match self.config.kind {
            LossKind::Mse => error.f_square()?,
            LossKind::Mae => error.f_abs()?,
            LossKind::Huber => {
                let size = error.f_abs()?;
                let small = size.f_minimum(&self.delta)?;
                size.f_sub(&small.f_mul_scalar(0.5)?)?.f_mul(&small)?
            }
            LossKind::Quantile => {
                let q = self.config.quantile;
                error.f_mul_scalar(1.0 - q)?.f_maximum(&error.f_mul_scalar(-q)?)?
            }
        };
        let weight = if self.config.overweight == 1.0 { pairs.weight.shallow_clone() } else { self.weighted(pairs)? };
        mean_of_means(&each, &weight)
    }

    /// Returns the sample weights with overweighted samples far from the mean. `[B, R]`
    fn weighted(&self, pairs: &MaskedPairs) -> Result<Tensor, TchError> {
        let (mean, std) = &self.target_moments;
        let far = pairs.actual.f_sub(mean)?.f_abs()?.f_gt_tensor(std)?.f_to_kind(Kind::Float)?;
        pairs.weight.f_mul(&far.f_mul_scalar(self.config.overweight - 1.0)?.f_add_scalar(1.0)?)
    }

    fn variance_penalty(&self, pairs: &MaskedPairs) -> Result<Tensor, TchError> {
        let (predicted, actual) = (pairs.centered(&pairs.predicted)?, pairs.centered(&pairs.actual)?);
        let count = pairs.count()?;
        let variance = |x: &Tensor| x.f_square()?.f_sum_dim_intlist(0, false, Kind::Float)?.f_div(&count);
        // Few or equal outcomes have no variance to compare with: use a quarter of the training variance instead.
        let floor = self.target_moments.1.f_square()?.f_mul_scalar(0.25)?;
        let outcome = variance(&actual)?.f_maximum(&floor)?;
        let each = match self.config.variance_term {
            VarianceTerm::Variance => variance(&predicted)?.f_div(&outcome)?.f_rsub_scalar(1.0)?.f_square()?,
            VarianceTerm::Std => {
                variance(&predicted)?.f_div(&outcome)?.f_add_scalar(1e-12)?.f_sqrt()?.f_rsub_scalar(1.0)?.f_abs()?
            }
            _ => {
                let error = pairs.predicted.f_sub(&pairs.actual)?.f_mul(&pairs.weight)?;
                error.f_square()?.f_sum_dim_intlist(0, false, Kind::Float)?.f_div(&count)?.f_div(&outcome)?
            }
        };
        each.f_mean(Kind::Float)
    }
}

impl LossConfig {
    /// Returns the Huber delta for a target of standard deviation `std`, in its unit.
    pub fn delta(&self, std: f64) -> f64 {
        match self.huber_delta {
            HuberDelta::Auto => self.huber_k * std,
            HuberDelta::Fixed(delta) => delta,
        }
    }

    /// Returns a warning per target for which the Huber loss is a squared error in effect.
    pub fn warnings(&self, targets: &[Target], moments: &TargetMoments) -> Vec<String> {
        let HuberDelta::Fixed(delta) = self.huber_delta else { return Vec::new() };
        if self.kind != LossKind::Huber {
            return Vec::new();
        }
        let regressions = targets.iter().zip(&moments.std).filter(|(target, _)| target.kind != TargetKind::Direction);
        let large = regressions.filter(|(_, std)| delta > MAX_DELTA_STDS * **std);
        large
            .map(|(target, std)| {
                format!(
                    "the Huber delta {delta} is {:.0} standard deviations of {target} ({std:.4}): no error reaches it and the loss \
                     is a squared error; use huber_delta = auto",
                    delta / std
                )
            })
            .collect()
    }
}

/// Predictions and realised targets, with the weight 0 for unknown targets. `[B, C]`
struct MaskedPairs {
    predicted: Tensor,
    /// Realised target, zero where unknown.
    actual: Tensor,
    /// One where known, else zero.
    weight: Tensor,
}

impl MaskedPairs {
    fn new(predicted: &Tensor, actual: &Tensor) -> Result<Self, TchError> {
        let weight = actual.f_isnan()?.f_logical_not()?.f_to_kind(Kind::Float)?;
        Ok(Self { predicted: predicted.shallow_clone(), actual: actual.f_nan_to_num(0.0, None, None)?, weight })
    }

    /// Returns the known targets per column, at least one. `[C]`
    fn count(&self) -> Result<Tensor, TchError> {
        self.weight.f_sum_dim_intlist(0, false, Kind::Float)?.f_clamp_min(1.0)
    }

    /// Returns the values less their mean over the known targets, zero where unknown.
    fn centered(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mean = x.f_mul(&self.weight)?.f_sum_dim_intlist(0, false, Kind::Float)?.f_div(&self.count()?)?;
        x.f_sub(&mean)?.f_mul(&self.weight)
    }
}

/// Returns the mean over columns of the weighted mean of each.
fn mean_of_means(each: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let sums = |x: &Tensor| x.f_sum_dim_intlist(0, false, Kind::Float);
    sums(&each.f_mul(weight)?)?.f_div(&sums(weight)?.f_clamp_min(1e-6)?)?.f_mean(Kind::Float)
}

/// Returns the mean cross-entropy of logits, in nats, in the overflow-free form.
fn cross_entropy(up: &MaskedPairs) -> Result<Tensor, TchError> {
    let logits = &up.predicted;
    let each = logits
        .f_clamp_min(0.0)?
        .f_sub(&logits.f_mul(&up.actual)?)?
        .f_add(&logits.f_abs()?.f_neg()?.f_exp()?.f_log1p()?)?;
    mean_of_means(&each, &up.weight)
}

#[cfg(test)]
mod tests {
    use market_env::Horizon;
    use tch::Reduction;

    use super::*;

    const RETURN: Target = Target { kind: TargetKind::Return, horizon: Horizon::Bars(1) };
    const DIRECTION: Target = Target { kind: TargetKind::Direction, horizon: Horizon::Bars(1) };

    fn moments() -> TargetMoments {
        TargetMoments { mean: vec![0.5, 0.5], std: vec![2.0, 0.5] }
    }

    fn loss(change: impl Fn(&mut LossConfig)) -> Loss {
        let mut config = ForecastConfig { target_scale: TargetScale::Raw, ..ForecastConfig::default() };
        config.loss.clf_weight = 0.0;
        change(&mut config.loss);
        Loss::new(&config, &[RETURN, DIRECTION], &moments(), Device::Cpu).unwrap()
    }

    fn tensor(rows: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([rows.len() as i64, 2])
    }

    fn total(loss: &Loss, outputs: &[[f32; 2]], actual: &[[f32; 2]]) -> f64 {
        loss.total(&tensor(outputs), &tensor(actual)).unwrap().double_value(&[])
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }

    const OUT: [[f32; 2]; 4] = [[1.0, 0.3], [-2.0, -1.0], [0.5, 2.0], [0.0, 0.0]];
    const ACTUAL: [[f32; 2]; 4] = [[2.0, 1.0], [-2.5, 0.0], [f32::NAN, f32::NAN], [6.0, 1.0]];

    #[test]
    fn losses_match_their_formulas_and_unknown_targets_do_not_count() {
        near(total(&loss(|_| ()), &OUT, &ACTUAL), (1.0 + 0.25 + 36.0) / 3.0);
        near(total(&loss(|l| l.kind = LossKind::Mae), &OUT, &ACTUAL), (1.0 + 0.5 + 6.0) / 3.0);
        let quantile = loss(|l| (l.kind, l.quantile) = (LossKind::Quantile, 0.9));
        near(total(&quantile, &OUT, &ACTUAL), (0.9 + 0.05 + 5.4) / 3.0);
        let fixed = loss(|l| (l.kind, l.huber_delta) = (LossKind::Huber, HuberDelta::Fixed(0.8)));
        let (mine, theirs) = (Tensor::from_slice(&[1.0f32, -2.0, 0.0]), Tensor::from_slice(&[2.0f32, -2.5, 6.0]));
        near(total(&fixed, &OUT, &ACTUAL), mine.huber_loss(&theirs, Reduction::Mean, 0.8).double_value(&[]));
        let auto = loss(|l| l.kind = LossKind::Huber);
        near(total(&auto, &OUT, &ACTUAL), mine.huber_loss(&theirs, Reduction::Mean, 2.69).double_value(&[]));
    }

    #[test]
    fn directions_and_overweighting_are_added_as_configured() {
        let both = loss(|l| (l.reg_weight, l.clf_weight) = (0.0, 0.5));
        let (logits, up) = (Tensor::from_slice(&[0.3f32, -1.0, 0.0]), Tensor::from_slice(&[1.0f32, 0.0, 1.0]));
        let none = None::<&Tensor>;
        let expected = logits.binary_cross_entropy_with_logits(&up, none, none, Reduction::Mean).double_value(&[]);
        near(total(&both, &OUT, &ACTUAL), 0.5 * expected);
        // -2.5 and 6 lie more than one deviation of 2 from the mean of 0.5.
        near(total(&loss(|l| l.overweight = 3.0), &OUT, &ACTUAL), (1.0 + 3.0 * 0.25 + 3.0 * 36.0) / 7.0);
    }

    #[test]
    fn variance_terms_are_zero_at_the_right_spread_and_one_at_none() {
        let came = [[1.0, 0.0], [-1.0, 0.0], [3.0, 1.0], [-3.0, 0.0]];
        let flat = [[0.0; 2]; 4];
        let plain = total(&loss(|_| ()), &flat, &came);
        for term in [VarianceTerm::Variance, VarianceTerm::Std, VarianceTerm::R2] {
            let with = loss(|l| (l.variance_term, l.variance_weight) = (term, 0.5));
            let close = (total(&with, &flat, &came) - plain - 0.5).abs();
            assert!(close < 1e-4, "{term:?}: {close}");
            near(total(&with, &came, &came), 0.0);
        }
        let half = came.map(|[x, up]| [0.5 * x, up]);
        let extra = |term| {
            total(&loss(|l| (l.variance_term, l.variance_weight) = (term, 1.0)), &half, &came)
                - total(&loss(|_| ()), &half, &came)
        };
        near(extra(VarianceTerm::Variance), 0.75 * 0.75);
        near(extra(VarianceTerm::Std), 0.5);
        near(extra(VarianceTerm::R2), 0.25);
    }

    #[test]
    fn outputs_become_forecasts_in_the_targets_units() {
        let config = ForecastConfig::default();
        let loss = Loss::new(&config, &[RETURN, DIRECTION], &moments(), Device::Cpu).unwrap();
        let forecasts = Vec::<f32>::try_from(loss.forecasts(&tensor(&[[1.0, 0.0]])).unwrap().flatten(0, -1)).unwrap();
        assert_eq!(forecasts, [2.5, 0.5]);
        near(total(&loss, &[[0.75, 0.0]], &[[2.0, 1.0]]), 0.5 * std::f64::consts::LN_2);
    }

    #[test]
    fn a_huber_delta_that_no_error_reaches_is_warned_about() {
        let config = LossConfig { kind: LossKind::Huber, huber_delta: HuberDelta::Fixed(1.0), ..LossConfig::default() };
        let small = TargetMoments { mean: vec![0.0; 2], std: vec![0.018, 0.5] };
        let warnings = config.warnings(&[RETURN, DIRECTION], &small);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("the Huber delta 1 is 56 standard deviations of return_1 (0.0180)"),
            "{warnings:?}"
        );
        assert!(LossConfig { huber_delta: HuberDelta::Auto, ..config }.warnings(&[RETURN], &small).is_empty());
    }
}
