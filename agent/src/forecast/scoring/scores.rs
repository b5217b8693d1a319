//! Scores of forecasts in double precision, with optional 95 % confidence intervals over sessions.

use serde::{Deserialize, Serialize};
use statistics::{ConfidenceInterval, GoodnessOfFit};

use super::{
    measure::{auc, class_accuracy, rank_ic, sign_accuracy, skill, skill_over_train_mean, slope},
    outcomes::{Outcomes, Pairs, TargetKind},
};

/// Smallest probability in a logarithm.
const MIN_PROBABILITY: f64 = 1e-7;

/// Scores of regression forecasts, over pairs with a finite forecast; `not_finite` counts the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    /// Pairs scored.
    pub samples: u64,
    /// Session dates of the pairs.
    pub blocks: usize,
    /// Non-finite forecasts.
    pub not_finite: u64,
    /// Mean of the target over the training samples.
    pub train_mean: f64,
    /// Spread, slope and range of the forecasts.
    pub fit: GoodnessOfFit,
    /// 1 - Σ(outcome - forecast)² / Σ(outcome - mean outcome)²: R² against the mean of the scored outcomes, so bias is
    /// penalised, and a change of level since the training is no skill; 0 when all outcomes are equal.
    pub r2: f64,
    /// The same against `train_mean`: out-of-sample R² of a forecaster beside the constant forecast. A change of level
    /// since the training raises it towards 1 for any forecast of the new level.
    ///
    /// # Source
    /// Campbell & Thompson 2008, "Predicting excess stock returns out of sample: can anything beat the historical
    /// average?", eq. 1.
    #[serde(default)]
    pub r2_train_mean: f64,
    /// Standard deviation of the forecasts over that of the outcomes; its square is `fit.variance_ratio`.
    pub std_ratio: f64,
    /// Largest forecast less the smallest.
    pub pred_range: f64,
    /// Spearman rank correlation of forecasts and outcomes; 0 when either is constant.
    pub rank_ic: f64,
    /// For returns: share of the non-zero outcomes with the sign of the forecast, where a forecast of exactly 0 counts
    /// half; `None` when all outcomes are 0.
    pub directional_accuracy: Option<f64>,
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Mean of |outcome - forecast| / |outcome| over non-zero outcomes; 0 without any.
    pub mape: f64,
    /// Outcomes of 0, which `mape` excludes.
    pub mape_left_out: u64,
    /// Mean of forecast - outcome.
    pub bias: f64,
    /// Confidence intervals, if requested.
    pub intervals: Option<RegressionIntervals>,
}

/// Confidence intervals of regression scores; `None` for fewer than five sessions or an undefined score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegressionIntervals {
    /// Of `r2`.
    pub r2: Option<ConfidenceInterval>,
    /// Of `r2_train_mean`.
    #[serde(default)]
    pub r2_train_mean: Option<ConfidenceInterval>,
    /// Of `fit.slope`.
    pub slope: Option<ConfidenceInterval>,
    /// Of `rank_ic`.
    pub rank_ic: Option<ConfidenceInterval>,
    /// Of `directional_accuracy`.
    pub directional_accuracy: Option<ConfidenceInterval>,
}

impl RegressionScores {
    /// Scores forecasts without intervals, fast enough for every epoch; `None` without a known outcome.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn of(kind: TargetKind, outcomes: &Outcomes<'_>) -> Option<Self> {
        Pairs::of(outcomes).map(|pairs| Self::score(kind, &pairs))
    }

    /// Scores forecasts with intervals.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn with_intervals(kind: TargetKind, outcomes: &Outcomes<'_>) -> Option<Self> {
        let pairs = Pairs::of(outcomes)?;
        let intervals = RegressionIntervals {
            r2: skill(&pairs).interval(),
            r2_train_mean: skill_over_train_mean(&pairs).interval(),
            slope: slope(&pairs).interval(),
            rank_ic: rank_ic(&pairs).interval(),
            directional_accuracy: signed(kind).then(|| sign_accuracy(&pairs).interval()).flatten(),
        };
        Some(Self { intervals: Some(intervals), ..Self::score(kind, &pairs) })
    }

    fn score(kind: TargetKind, pairs: &Pairs) -> Self {
        let fit = pairs.fit();
        let zeros = pairs.values.iter().filter(|(_, y)| *y == 0.0).count();
        let relative = pairs.mean(|p, y| if y == 0.0 { 0.0 } else { (y - p).abs() / y.abs() });
        let others = (pairs.values.len() - zeros).max(1) as f64;
        Self {
            samples: fit.samples,
            blocks: pairs.sessions,
            not_finite: pairs.not_finite,
            train_mean: pairs.train_mean,
            fit,
            r2: skill(pairs).value().unwrap_or_default(),
            r2_train_mean: skill_over_train_mean(pairs).value().unwrap_or_default(),
            std_ratio: fit.variance_ratio.sqrt(),
            pred_range: fit.pred_max - fit.pred_min,
            rank_ic: rank_ic(pairs).value().unwrap_or_default(),
            directional_accuracy: signed(kind).then(|| sign_accuracy(pairs).value()).flatten(),
            mae: pairs.mean(|p, y| (y - p).abs()),
            rmse: pairs.mean(|p, y| (y - p).powi(2)).sqrt(),
            mape: relative * pairs.values.len() as f64 / others,
            mape_left_out: zeros as u64,
            bias: pairs.mean(|p, y| p - y),
            intervals: None,
        }
    }
}

/// Returns whether a target can have either sign; a volatility cannot.
fn signed(kind: TargetKind) -> bool {
    kind == TargetKind::Return
}

/// Scores of the probability of a rise, over pairs with a finite forecast; `not_finite` counts the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Pairs scored.
    pub samples: u64,
    /// Session dates of the pairs.
    pub blocks: usize,
    /// Non-finite forecasts.
    pub not_finite: u64,
    /// Share of rises among the training samples.
    pub train_mean: f64,
    /// Spread, slope and range of the probabilities.
    pub fit: GoodnessOfFit,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// 1 - `brier` / Brier score of `base_rate`, the analogue of R²; 0 when all outcomes are equal.
    pub brier_skill: f64,
    /// The same against the Brier score of the training share.
    #[serde(default)]
    pub brier_skill_train_mean: f64,
    /// Mean negative log-likelihood of the outcomes, with probabilities clamped to 1e-7.
    pub log_loss: f64,
    /// Probability that a rise has a higher forecast than a fall, ties counting half; 0.5 when either class is absent.
    pub auc: f64,
    /// Share of outcomes on the same side of one half as the probability, where exactly one half counts half.
    pub accuracy: f64,
    /// Share of rises.
    pub base_rate: f64,
    /// Standard deviation of the probabilities.
    pub pred_std: f64,
    /// Mean of probability - outcome.
    pub bias: f64,
    /// Confidence intervals, if requested.
    pub intervals: Option<ClassIntervals>,
}

/// Confidence intervals of probability scores; `None` for fewer than five sessions or an undefined score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassIntervals {
    /// Of `brier_skill`.
    pub brier_skill: Option<ConfidenceInterval>,
    /// Of `brier_skill_train_mean`.
    #[serde(default)]
    pub brier_skill_train_mean: Option<ConfidenceInterval>,
    /// Of `fit.slope`.
    pub slope: Option<ConfidenceInterval>,
    /// Of `auc`.
    pub auc: Option<ConfidenceInterval>,
    /// Of `accuracy`.
    pub accuracy: Option<ConfidenceInterval>,
}

impl ClassScores {
    /// Scores probabilities without intervals, fast enough for every epoch; `None` without a known outcome.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn of(outcomes: &Outcomes<'_>) -> Option<Self> {
        Pairs::of(outcomes).map(|pairs| Self::score(&pairs))
    }

    /// Scores probabilities with intervals.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn with_intervals(outcomes: &Outcomes<'_>) -> Option<Self> {
        let pairs = Pairs::of(outcomes)?;
        let intervals = ClassIntervals {
            brier_skill: skill(&pairs).interval(),
            brier_skill_train_mean: skill_over_train_mean(&pairs).interval(),
            slope: slope(&pairs).interval(),
            auc: auc(&pairs).interval(),
            accuracy: class_accuracy(&pairs).interval(),
        };
        Some(Self { intervals: Some(intervals), ..Self::score(&pairs) })
    }

    fn score(pairs: &Pairs) -> Self {
        let fit = pairs.fit();
        let negative_log_likelihood = |p: f64, y: f64| {
            let likelihood = if y > 0.5 { p } else { 1.0 - p };
            -likelihood.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY).ln()
        };
        Self {
            samples: fit.samples,
            blocks: pairs.sessions,
            not_finite: pairs.not_finite,
            train_mean: pairs.train_mean,
            fit,
            brier: pairs.mean(|p, y| (y - p).powi(2)),
            brier_skill: skill(pairs).value().unwrap_or_default(),
            brier_skill_train_mean: skill_over_train_mean(pairs).value().unwrap_or_default(),
            log_loss: pairs.mean(negative_log_likelihood),
            auc: auc(pairs).value().unwrap_or(0.5),
            accuracy: class_accuracy(pairs).value().unwrap_or_default(),
            base_rate: pairs.mean(|_, y| y),
            pred_std: fit.pred_std,
            bias: pairs.mean(|p, y| p - y),
            intervals: None,
        }
    }
}

/// Scores of a regression or a direction target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// Scores of a regression.
    Regression(RegressionScores),
    /// Scores of a probability.
    Class(ClassScores),
}

impl Scores {
    /// Scores forecasts of a target without intervals, fast enough for every epoch; `None` without a known outcome.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn of(kind: TargetKind, outcomes: &Outcomes<'_>) -> Option<Self> {
        match kind {
            TargetKind::Direction => ClassScores::of(outcomes).map(Self::Class),
            _ => RegressionScores::of(kind, outcomes).map(Self::Regression),
        }
    }

    /// Scores forecasts of a target with intervals.
    ///
    /// # Panics
    /// If lengths differ, or an outcome is infinite.
    pub fn with_intervals(kind: TargetKind, outcomes: &Outcomes<'_>) -> Option<Self> {
        match kind {
            TargetKind::Direction => ClassScores::with_intervals(outcomes).map(Self::Class),
            _ => RegressionScores::with_intervals(kind, outcomes).map(Self::Regression),
        }
    }

    /// Non-finite forecasts.
    pub fn not_finite(&self) -> u64 {
        match self {
            Self::Regression(scores) => scores.not_finite,
            Self::Class(scores) => scores.not_finite,
        }
    }

    /// Returns the regression scores.
    pub fn regression(&self) -> Option<&RegressionScores> {
        match self {
            Self::Regression(scores) => Some(scores),
            Self::Class(_) => None,
        }
    }

    /// Returns the share of the variance of the scored outcomes that the forecasts explain: R², or the Brier skill.
    pub fn r2(&self) -> f64 {
        match self {
            Self::Regression(scores) => scores.r2,
            Self::Class(scores) => scores.brier_skill,
        }
    }

    /// Returns the confidence interval of [`Self::r2`], if requested.
    pub fn r2_interval(&self) -> Option<ConfidenceInterval> {
        match self {
            Self::Regression(scores) => scores.intervals?.r2,
            Self::Class(scores) => scores.intervals?.brier_skill,
        }
    }

    /// Returns R² or the Brier skill against the training mean, the constant forecast.
    pub fn r2_train_mean(&self) -> f64 {
        match self {
            Self::Regression(scores) => scores.r2_train_mean,
            Self::Class(scores) => scores.brier_skill_train_mean,
        }
    }

    /// Returns the confidence interval of [`Self::r2_train_mean`], if requested.
    pub fn r2_train_mean_interval(&self) -> Option<ConfidenceInterval> {
        match self {
            Self::Regression(scores) => scores.intervals?.r2_train_mean,
            Self::Class(scores) => scores.intervals?.brier_skill_train_mean,
        }
    }

    /// Spread, slope and range of the forecasts.
    pub fn fit(&self) -> &GoodnessOfFit {
        match self {
            Self::Regression(scores) => &scores.fit,
            Self::Class(scores) => &scores.fit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outcomes with every pair as a session of its own.
    fn outcomes<'a>(predicted: &'a [f32], actual: &'a [f32], train_mean: f64) -> Outcomes<'a> {
        const DATES: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        Outcomes { predicted, actual, block: &DATES[..actual.len()], train_mean }
    }

    fn amount(predicted: &[f32], actual: &[f32], train_mean: f64) -> RegressionScores {
        RegressionScores::with_intervals(TargetKind::Return, &outcomes(predicted, actual, train_mean)).unwrap()
    }

    fn rise(predicted: &[f32], actual: &[f32], train_mean: f64) -> ClassScores {
        ClassScores::with_intervals(&outcomes(predicted, actual, train_mean)).unwrap()
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
    }

    #[test]
    fn errors_match_scikit_learns_examples() {
        // The example of r2_score, mean_absolute_error, mean_squared_error and mean_absolute_percentage_error.
        let scores = amount(&[2.5, 0.0, 2.0, 8.0], &[3.0, -0.5, 2.0, 7.0], 2.875);
        near(scores.r2, 0.948_608_137_044_967_9);
        near(scores.mae, 0.5);
        near(scores.rmse, 0.375_f64.sqrt());
        near(scores.mape, 0.327_380_952_380_952_4);
        near(scores.bias, 0.25);
        near(scores.pred_range, 8.0);
        assert_eq!((scores.samples, scores.blocks, scores.mape_left_out), (4, 4, 0));
        assert_eq!(scores.directional_accuracy, Some(0.875), "three right, a zero half");
        assert_eq!(scores.intervals.unwrap().r2, None, "four sessions");
    }

    #[test]
    fn probabilities_are_scored_as_in_scikit_learns_examples() {
        near(rise(&[0.1, 0.9, 0.8, 0.3], &[0.0, 1.0, 1.0, 0.0], 0.5).brier, 0.0375);
        near(rise(&[0.9, 0.1, 0.2, 0.65], &[1.0, 0.0, 0.0, 1.0], 0.5).log_loss, 0.216_161_874_682_4);
        let scores = rise(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0], 0.5);
        near(scores.auc, 0.75);
        near(scores.accuracy, 0.75);
        near(scores.brier_skill, 1.0 - (0.01 + 0.16 + 0.4225 + 0.04) / 4.0 / 0.25);
        near(scores.bias, -0.0875);
    }

    #[test]
    fn a_change_of_level_is_no_skill() {
        // Outcomes have a variance of 1.25 around a level that lies 4 above the training mean; forecasts follow the level and
        // explain a fifth of the rest: errors of 1 beside a variance of 1.25.
        let (p, y): (Vec<f32>, Vec<f32>) = (0..16)
            .map(|i| {
                let (known, noise) = (if i % 2 == 0 { 0.5 } else { -0.5 }, if i / 2 % 2 == 0 { 1.0 } else { -1.0 });
                (4.0 + known, 4.0 + known + noise)
            })
            .unzip();
        let scores = amount(&p, &y, 0.0);
        near(scores.r2, 0.2);
        // Against the training mean: 1 - 1 / (16 + 1.25).
        near(scores.r2_train_mean, 1.0 - 1.0 / 17.25);
        let intervals = scores.intervals.unwrap();
        assert!(intervals.r2.unwrap().high < 0.6 && intervals.r2_train_mean.unwrap().low > 0.9, "{intervals:?}");
    }

    #[test]
    fn rank_ic_matches_scipys_example_with_a_tie() {
        let ic = |p: &[f32], y: &[f32]| amount(p, y, 0.0).rank_ic;
        near(ic(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]), 0.820_782_681_668_123_3);
        near(ic(&[1.0, 10.0, 100.0], &[-3.0, -2.0, 90.0]), 1.0);
        near(ic(&[3.0, 2.0, 1.0], &[-3.0, -2.0, 90.0]), -1.0);
        assert_eq!(ic(&[0.3; 3], &[1.0, 2.0, 3.0]), 0.0);
    }

    #[test]
    fn perfect_constant_and_wrong_forecasts_score_differently() {
        let y = [1.0, -2.0, 3.0, -4.0, 5.0, 6.0];
        let perfect = amount(&y, &y, 0.5);
        assert_eq!((perfect.r2, perfect.rank_ic, perfect.directional_accuracy), (1.0, 1.0, Some(1.0)));
        assert_eq!((perfect.std_ratio, perfect.mae, perfect.mape), (1.0, 0.0, 0.0));
        let r2 = perfect.intervals.unwrap().r2.unwrap();
        assert_eq!((r2.low, r2.high, r2.blocks), (1.0, 1.0, 6));
        let mean = amount(&[0.5; 6], &y, 0.5);
        assert_eq!((mean.r2_train_mean, mean.std_ratio, mean.rank_ic), (0.0, 0.0, 0.0));
        near(mean.r2, -6.0 / 77.5);
        assert_eq!(mean.directional_accuracy, Some(4.0 / 6.0), "always up");
        assert!(amount(&[7.0; 6], &y, 0.5).r2 < -1.0, "bias is penalised");
        let wrong = amount(&y.map(|y| -y), &y, 0.0);
        assert_eq!((wrong.r2_train_mean, wrong.rank_ic, wrong.directional_accuracy), (-3.0, -1.0, Some(0.0)));
        near(wrong.r2, 1.0 - 364.0 / 77.5);
    }

    #[test]
    fn perfect_and_constant_probabilities_score_differently() {
        let y = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let perfect = rise(&y, &y, 0.5);
        assert_eq!((perfect.brier_skill, perfect.auc, perfect.accuracy), (1.0, 1.0, 1.0));
        near(perfect.log_loss, 1e-7);
        let auc = perfect.intervals.unwrap().auc.unwrap();
        assert_eq!((auc.low, auc.high), (1.0, 1.0));
        let constant = rise(&[0.5; 6], &y, 0.5);
        assert_eq!((constant.brier_skill_train_mean, constant.auc, constant.accuracy), (0.0, 0.5, 0.5));
        near(constant.brier_skill, 1.0 - 0.25 / (2.0 / 9.0));
        near(constant.log_loss, std::f64::consts::LN_2);
        near(constant.base_rate, 4.0 / 6.0);
        let wrong = rise(&y.map(|y| 1.0 - y), &y, 0.5);
        assert_eq!((wrong.auc, wrong.accuracy, wrong.brier), (0.0, 0.0, 1.0));
        assert!((wrong.log_loss - 16.118).abs() < 1e-3, "the logarithm is clamped");
        let one_class = rise(&[0.2, 0.9, 0.4, 0.5, 0.6], &[1.0; 5], 0.5);
        assert_eq!((one_class.auc, one_class.intervals.unwrap().auc), (0.5, None));
    }

    #[test]
    fn outcomes_of_zero_have_no_sign_and_no_relative_error() {
        let scores = amount(&[1.0, 3.0, -1.0, 5.0], &[2.0, 0.0, 0.0, -4.0], 0.0);
        assert_eq!((scores.mape, scores.mape_left_out), ((0.5 + 2.25) / 2.0, 2));
        assert_eq!(scores.directional_accuracy, Some(0.5));
        let zeros = amount(&[1.0, 2.0], &[0.0, 0.0], 0.0);
        assert_eq!((zeros.mape, zeros.mape_left_out, zeros.directional_accuracy), (0.0, 2, None));
        assert_eq!(zeros.r2, 0.0, "nothing to explain");
        let of = outcomes(&[1.0], &[2.0], 0.0);
        assert_eq!(RegressionScores::of(TargetKind::Volatility, &of).unwrap().directional_accuracy, None);
    }

    #[test]
    fn non_finite_forecasts_are_counted_and_not_scored() {
        let scores = amount(&[1.0, f32::NAN, 3.0, f32::NAN], &[1.0, 2.0, f32::NAN, f32::NAN], 0.0);
        assert_eq!((scores.samples, scores.not_finite, scores.r2_train_mean), (1, 1, 1.0));
        let broken = Scores::of(TargetKind::Return, &outcomes(&[f32::NAN; 2], &[1.0; 2], 0.0)).unwrap();
        assert_eq!((broken.r2(), broken.fit().samples), (0.0, 0));
        assert_eq!(Scores::of(TargetKind::Direction, &outcomes(&[0.5; 2], &[f32::NAN; 2], 0.0)), None);
    }

    #[test]
    fn scores_round_trip_through_json_and_do_not_depend_on_intervals() {
        let (p, y) = ([0.1, 0.7, 0.4, 0.9, 0.3, 0.6], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        for kind in [TargetKind::Return, TargetKind::Direction] {
            let scores = Scores::with_intervals(kind, &outcomes(&p, &y, 0.4)).unwrap();
            let text = serde_json::to_string(&scores).unwrap();
            assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
            let quick = Scores::of(kind, &outcomes(&p, &y, 0.4)).unwrap();
            assert_eq!((quick.r2(), quick.fit()), (scores.r2(), scores.fit()));
            assert_eq!(scores.r2_interval().unwrap().value, scores.r2());
            assert_eq!(quick.r2_interval(), None);
        }
    }
}
