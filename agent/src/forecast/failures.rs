//! Reproductions of three failed forecaster trainings, each with its cure.
//!
//! The `selftest` and the unit tests run them, so that a regression of a cure is found.
//!
//! # Source
//! Three earlier projects: a forecaster of optical depth, third run (R² -0.20 with 3.4 % of the true spread; an earlier
//! run with larger initial weights had 40 %), a stock forecaster with a constant loss of 0.3474 under regularisation,
//! and one with a Huber delta of 1.0 for targets of standard deviation 0.018.

pub mod planted;

use self::planted::PlantedData;
use super::{
    Encoder, Fitted, ForecastConfig, Gate, HuberDelta, LossKind, OutputInit, Reference, Ridge, Scores, StopMetric,
    TargetScale, VarianceTerm, fit, scores,
};
use crate::{Activation, AgentError, DeviceChoice};

/// One training configuration of a failure.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Name.
    pub name: &'static str,
    /// Configuration.
    pub config: ForecastConfig,
}

/// Failure: samples and the configurations that were tried, the cure last.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Name.
    pub name: &'static str,
    /// The failure and its cause.
    pub description: &'static str,
    /// Samples.
    pub planted: PlantedData,
    /// Configurations in the order in which they were tried.
    pub attempts: Vec<Attempt>,
}

/// Returns all failures; `seed` draws their samples.
pub fn failures(seed: u64) -> Vec<Failure> {
    vec![third_run(seed), frozen(seed), huber_delta(seed)]
}

/// Returns runs 1 to 3 of the third-run analysis, its first remedy and its cure.
pub(crate) fn third_run(seed: u64) -> Failure {
    let mut run = ForecastConfig {
        temporal_frames: 7,
        encoder: Encoder::Attention,
        activation: Activation::Tanh,
        hidden_size: 32,
        target_scale: TargetScale::Raw,
        early_stopping: StopMetric::Loss,
        patience: 10,
        max_epochs: 40,
        batch_size: 64,
        ..ForecastConfig::default()
    };
    (run.loss.kind, run.loss.clf_weight) = (LossKind::Mae, 0.0);
    let with = |output_init, overweight, max_epochs| {
        let mut config = ForecastConfig { output_init, max_epochs, ..run.clone() };
        config.loss.overweight = overweight;
        config
    };
    let mut cure = ForecastConfig {
        temporal_frames: 3,
        early_stopping: StopMetric::R2,
        output_init: OutputInit::Default,
        ..run.clone()
    };
    cure.loss.kind = LossKind::Mse;
    let mut remedy = cure.clone();
    remedy.loss.variance_term = VarianceTerm::Variance;
    let attempts = vec![
        // The run with large initial weights was stopped early, before they had shrunk.
        Attempt { name: "run 1: output init 0.5, stopped early", config: with(OutputInit::Std(0.5), 1.0, 2) },
        Attempt { name: "run 2: output init 0.01", config: with(OutputInit::Std(0.01), 1.0, 40) },
        Attempt { name: "run 3: output init 0.1, overweight 1.5", config: with(OutputInit::Std(0.1), 1.5, 40) },
        Attempt { name: "first remedy: squared error, variance term 0.5, stops on R²", config: remedy },
        Attempt { name: "cure: squared error alone, stops on R²", config: cure },
    ];
    Failure {
        name: "third run",
        description: "the best forecast under the absolute error is the median, which hardly depends on the inputs: the loss looks fine, but \
                  the spread is gone and the mean is wrong; the variance term restores the spread, with overdispersed forecasts",
        planted: planted::skewed(6000, seed),
        attempts,
    }
}

/// Returns the training whose loss stayed constant under weight decay, dropout and a small step size.
pub(crate) fn frozen(seed: u64) -> Failure {
    let cure = ForecastConfig {
        temporal_frames: 1,
        activation: Activation::Tanh,
        target_scale: TargetScale::Raw,
        max_epochs: 60,
        ..ForecastConfig::default()
    };
    let broken = ForecastConfig { learning_rate: 5e-4, weight_decay: 1e-3, dropout: 0.4, ..cure.clone() };
    Failure {
        name: "frozen loss",
        description: "weight decay 0.001 at step size 0.0005 outweighs the gradient, which is weak at small weights: the loss stays at that of \
                  a coin, half of ln 2",
        planted: planted::interaction(30_000, seed),
        attempts: vec![
            Attempt { name: "weight decay 1e-3, step size 5e-4, dropout 0.4", config: broken },
            Attempt { name: "cure: weight decay 1e-4, step size 1e-3, dropout 0.3", config: cure },
        ],
    }
}

/// Returns the training with a Huber delta of 1.0 for targets of standard deviation 0.018.
pub(crate) fn huber_delta(seed: u64) -> Failure {
    let mut broken = ForecastConfig {
        temporal_frames: 1,
        target_scale: TargetScale::Raw,
        early_stopping: StopMetric::Loss,
        min_delta: 1e-4,
        patience: 5,
        max_epochs: 30,
        output_init: OutputInit::Std(0.01),
        ..ForecastConfig::default()
    };
    (broken.loss.kind, broken.loss.huber_delta, broken.loss.clf_weight) =
        (LossKind::Huber, HuberDelta::Fixed(1.0), 0.0);
    let mut smaller = broken.clone();
    smaller.loss.huber_delta = HuberDelta::Fixed(0.05);
    let mut cure = ForecastConfig { target_scale: TargetScale::Standardized, ..broken.clone() };
    cure.loss.huber_delta = HuberDelta::Auto;
    Failure {
        name: "Huber delta",
        description: "no error reaches the delta, the loss is about 0.00016 and no epoch improves it by `min_delta`: the training stops with \
                  its initial parameters",
        planted: planted::heavy_tailed(6000, seed),
        attempts: vec![
            Attempt { name: "delta 1.0, raw targets", config: broken },
            Attempt { name: "delta 0.05, raw targets", config: smaller },
            Attempt { name: "cure: delta auto, standardised targets", config: cure },
        ],
    }
}

impl Failure {
    /// Trains one configuration and scores it on the test samples.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn run(&self, attempt: &Attempt, seed: u64) -> Result<Outcome, AgentError> {
        let PlantedData { data, test } = &self.planted;
        let fitted = fit(data, &attempt.config, seed, DeviceChoice::Cpu, &mut ())?;
        let forecaster = &fitted.forecaster;
        let forecasts = forecaster.predict(&data.tape, test)?;
        let score =
            |forecasts: &[f32]| scores(&data.targets, test, forecasts, forecaster.moments(), Scores::with_intervals);
        let scores = score(&forecasts);
        let linear = Ridge::fit(data, attempt.config.temporal_frames)?.predict(&data.tape, test)?;
        let linear = score(&linear);
        let reference = linear[0].as_ref().and_then(|scores| Reference::of("a linear predictor", scores));
        let first = scores[0]
            .as_ref()
            .ok_or_else(|| AgentError::Forecast("the test samples have no known outcome".to_owned()))?;
        let gate = Gate::of(data.targets[0].kind, first, reference.as_ref(), None, &attempt.config.gate);
        Ok(Outcome { fitted, scores, gate })
    }
}

/// Result of one training.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Training history and forecaster.
    pub fitted: Fitted,
    /// Scores of its targets on the test samples.
    pub scores: Vec<Option<Scores>>,
    /// Verdict on the first target.
    pub gate: Gate,
}

#[cfg(all(test, feature = "torch"))]
mod tests {
    use super::*;
    use crate::forecast::{AlarmKind, StopReason};

    fn run(failure: &Failure) -> Vec<(f64, f64, Outcome)> {
        let outcome = |attempt| {
            let outcome = failure.run(attempt, 1).unwrap();
            let scores = outcome.scores[0].as_ref().and_then(Scores::regression).unwrap();
            (scores.r2, scores.std_ratio, outcome)
        };
        failure.attempts.iter().map(outcome).collect()
    }

    #[test]
    fn the_absolute_error_collapses_the_spread_and_the_squared_error_cures_it() {
        let outcomes = run(&third_run(1));
        let [first, second, third, remedy, cure] = outcomes.as_slice() else { panic!() };
        assert!(first.1 > 3.0 * second.1, "large initial weights: spread {} and {}", first.1, second.1);
        for (r2, spread, _) in [second, third] {
            assert!(*spread < 0.12 && *r2 < -0.08, "R² {r2}, spread {spread}");
        }
        assert!(second.1 < 0.06, "spread {}", second.1);
        assert!(remedy.1 > 0.5 && remedy.0 < 0.0, "the variance term: R² {}, spread {}", remedy.0, remedy.1);
        assert!(cure.0 > 0.05 && (0.2..0.5).contains(&cure.1), "R² {}, spread {}", cure.0, cure.1);
    }

    #[test]
    fn a_constant_loss_is_frozen_and_less_weight_decay_cures_it() {
        let outcomes = run(&frozen(1));
        let (broken, cure) = (&outcomes[0], &outcomes[1]);
        let StopReason::Watchdog(alarm) = &broken.2.fitted.end else { panic!("ended with {:?}", broken.2.fitted.end) };
        assert_eq!(alarm.kind, AlarmKind::Frozen, "{alarm}");
        let loss = |outcome: &Outcome| outcome.fitted.epochs.last().unwrap().train_loss;
        let coin = 0.5 * std::f64::consts::LN_2;
        assert!((loss(&broken.2) - coin).abs() < 5e-4, "{}", loss(&broken.2));
        assert!(loss(&cure.2) < coin - 1e-3, "{}", loss(&cure.2));
        assert!(broken.0 < 0.003 && cure.0 > 0.015, "R² {} and {}", broken.0, cure.0);
    }

    #[test]
    fn a_large_huber_delta_stops_at_the_initial_parameters_with_a_warning() {
        let outcomes = run(&huber_delta(1));
        let (broken, smaller, cure) = (&outcomes[0], &outcomes[1], &outcomes[2]);
        assert!(
            broken.2.fitted.baseline.warnings[0].contains("the Huber delta 1 is 5"),
            "{:?}",
            broken.2.fitted.baseline.warnings
        );
        assert!(cure.2.fitted.baseline.warnings.is_empty());
        for (r2, _, outcome) in [broken, smaller] {
            assert!(outcome.fitted.best == 1 && outcome.fitted.end == StopReason::Patience, "{:?}", outcome.fitted.end);
            assert!(cure.0 > r2 + 0.02, "R² {r2} and {}", cure.0);
        }
        assert!(cure.2.fitted.best > 1);
    }
}
