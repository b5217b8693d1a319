//! Verdicts of the gate on forecasts of known quality.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::*;

/// Forecasts and outcomes, by session.
struct Trial {
    kind: TargetKind,
    predicted: Vec<f32>,
    actual: Vec<f32>,
    block: Vec<u32>,
    train_mean: f64,
}

impl Trial {
    /// Draws `sessions` sessions of `each` samples; `draw` maps normal numbers and the volatility factor of the session
    /// to a forecast and an outcome.
    fn new(
        kind: TargetKind,
        (sessions, each): (u32, u32),
        seed: u64,
        mut draw: impl FnMut(f64, &mut dyn FnMut() -> f64) -> (f64, f64),
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || StandardNormal.sample(&mut rng);
        let mut trial = Self { kind, predicted: vec![], actual: vec![], block: vec![], train_mean: 0.0 };
        for session in 0..sessions {
            let loud = [0.6, 0.8, 1.0, 1.4][session as usize % 4];
            for _ in 0..each {
                let (p, y) = draw(loud, &mut normal);
                trial.predicted.push(p as f32);
                trial.actual.push(y as f32);
                trial.block.push(session);
            }
        }
        trial
    }

    /// Returns of standard deviation 10 and forecasts with the share `spread` of it, calibrated by `slope`.
    fn of_returns(size: (u32, u32), seed: u64, spread: f64, slope: f64) -> Self {
        Self::new(TargetKind::Return, size, seed, |loud, normal| {
            let p = 10.0 * spread * normal();
            (p, slope * p + 10.0 * loud * normal())
        })
    }

    /// Unpredictable returns that are perfectly correlated within a session, with similar forecasts.
    fn of_moving_markets((sessions, each): (u32, u32), seed: u64, spread: f64) -> Self {
        let (mut drawn, mut view, mut shock) = (0, 0.0, 0.0);
        Self::new(TargetKind::Return, (sessions, each), seed, |loud, normal| {
            if drawn % each == 0 {
                (view, shock) = (normal(), normal());
            }
            drawn += 1;
            (10.0 * spread * (0.8 * view + 0.6 * normal()), 10.0 * loud * (0.6 * shock + 0.8 * normal()))
        })
    }

    /// Volatilities of mean 20 and standard deviation 5, of which calibrated forecasts explain `r2`.
    fn of_volatilities(seed: u64, r2: f64) -> Self {
        let mut trial = Self::new(TargetKind::Volatility, (60, 100), seed, |_, normal| {
            let p = 20.0 + 5.0 * r2.sqrt() * normal();
            (p, p + 5.0 * (1.0 - r2).sqrt() * normal())
        });
        trial.train_mean = 20.0;
        trial
    }

    fn predicting(mut self, change: impl Fn(f32) -> f32) -> Self {
        self.predicted.iter_mut().for_each(|p| *p = change(*p));
        self
    }

    fn scores(&self) -> Scores {
        let Self { predicted, actual, block, train_mean, .. } = self;
        let outcomes = Outcomes { predicted, actual, block, train_mean: *train_mean };
        Scores::with_intervals(self.kind, &outcomes).unwrap()
    }

    fn judged_beside(&self, reference: Option<&Reference>) -> Gate {
        let gate = Gate::of(self.kind, &self.scores(), reference, None, &GateConfig::default());
        assert!(!gate.evidence.is_empty());
        assert_eq!(serde_json::to_string(&gate.verdict).unwrap(), format!("\"{}\"", gate.verdict));
        gate
    }

    fn judged(&self) -> Gate {
        self.judged_beside(None)
    }

    fn verdict(&self) -> GateVerdict {
        self.judged().verdict
    }
}

const DAYS: (u32, u32) = (200, 100);

#[test]
fn an_honest_forecaster_of_returns_is_never_failed() {
    // Calibrated, with an R² of 0.004 and 6 % of the deviation: as good as the best that is published.
    let verdicts: Vec<GateVerdict> = (0..50).map(|seed| Trial::of_returns(DAYS, seed, 0.0633, 1.0).verdict()).collect();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, GateVerdict::Healthy | GateVerdict::NoSkill)));
    let healthy = verdicts.iter().filter(|verdict| **verdict == GateVerdict::Healthy).count();
    assert!(healthy >= 40, "{healthy} of 50 are healthy");
}

#[test]
fn forecasters_of_noise_are_hardly_ever_failed() {
    // Nothing is predictable: at most one in fifty may fail.
    for (spread, size) in [(0.001, DAYS), (0.01, DAYS), (0.06, DAYS), (0.06, (12, 300))] {
        let gates = (0..200).map(|seed| Trial::of_returns(size, 1000 + seed, spread, 0.0).judged());
        let (mut failed, mut skilled) = (0, 0);
        for verdict in gates.map(|gate| gate.verdict) {
            failed += u32::from(verdict.is_failure());
            skilled += u32::from(matches!(verdict, GateVerdict::Healthy | GateVerdict::Miscalibrated));
        }
        assert!(failed <= 4 && skilled <= 12, "spread {spread}: {failed} failed, {skilled} skilled of 200");
    }
}

#[test]
fn correlated_samples_of_a_session_count_as_one() {
    // Fifty correlated samples carry little more information than one; counting them as fifty would fail many models.
    for (sessions, spread) in [(200, 0.06), (40, 0.06), (20, 0.06), (20, 0.01)] {
        let verdict = |seed: u64| Trial::of_moving_markets((sessions, 50), 2000 + seed, spread).verdict();
        let failed = (0..200).filter(|&seed| verdict(seed).is_failure()).count();
        assert!(failed <= 4, "{sessions} sessions, spread {spread}: {failed} of 200");
    }
}

#[test]
fn forecasters_of_directions_are_judged_by_the_same_rules() {
    let direction = |seed: u64, spread: f64, slope: f64| {
        let mut trial = Trial::new(TargetKind::Direction, DAYS, seed, |_, normal| {
            let view = spread * normal();
            let (chance, drawn) = (0.5 + slope * view, uniform(normal()));
            (0.5 + view, f64::from(u8::from(drawn < chance)))
        });
        trial.train_mean = 0.5;
        trial
    };
    assert_eq!(direction(1, 0.05, 1.0).verdict(), GateVerdict::Healthy);
    assert_eq!(direction(2, 0.02, 0.0).verdict(), GateVerdict::NoSkill);
    assert_eq!(direction(3, 0.25, 0.0).verdict(), GateVerdict::WorseThanConstant);
    assert_eq!(direction(4, 0.2, 1.0).verdict(), GateVerdict::LeakSuspected);
    assert_eq!(direction(5, 0.001, 50.0).verdict(), GateVerdict::Collapsed);
    let failed = (0..200).filter(|&seed| direction(seed, 0.02, 0.0).verdict().is_failure()).count();
    assert!(failed <= 4, "{failed} of 200");
}

/// Maps a normal number to a uniform one, by the logistic approximation of the normal CDF (to 0.01).
fn uniform(normal: f64) -> f64 {
    1.0 / (1.0 + (-1.702 * normal).exp())
}

#[test]
fn similar_forecasts_at_batch_heads_are_no_collapse() {
    // A check of only the first hundred samples of each batch stopped good runs in a sister project.
    let (batch, looked_at) = (256, 100);
    let mut trial = Trial::of_volatilities(7, 0.4);
    for (i, (p, y)) in trial.predicted.iter_mut().zip(&mut trial.actual).enumerate() {
        if i % batch < looked_at {
            (*p, *y) = (20.0 + 1e-5 * (i % 2) as f32, *y - *p + 20.0);
        }
    }
    let looked_at = trial.predicted.chunks(batch).flat_map(|batch| &batch[..looked_at.min(batch.len())]);
    let seen: Vec<f64> = looked_at.map(|&p| f64::from(p)).collect();
    let variance = statistics::variance(&seen);
    assert!(variance.sqrt() < 1e-4, "the check of batch heads would fire: {}", variance.sqrt());
    assert_eq!(trial.verdict(), GateVerdict::Healthy);
}

#[test]
fn constant_forecasts_have_collapsed() {
    let returns = Trial::of_returns(DAYS, 1, 0.06, 1.0);
    let mut sorted = returns.actual.clone();
    sorted.sort_by(f32::total_cmp);
    let mean = returns.actual.iter().sum::<f32>() / sorted.len() as f32;
    for constant in [0.0, mean, sorted[sorted.len() / 2], 7.0] {
        let judged = Trial::of_returns(DAYS, 1, 0.06, 1.0).predicting(|_| constant).judged();
        assert_eq!(judged.verdict, GateVerdict::Collapsed);
        assert!(judged.evidence[0].starts_with("all forecasts are equal"), "{judged:?}");
    }
    let (few, rounded) = (Trial::of_returns((4, 50), 1, 0.06, 1.0), |p: f32| 5.0 + p.signum() * 1e-6);
    assert_eq!(few.verdict(), GateVerdict::Inconclusive);
    assert_eq!(few.predicting(rounded).verdict(), GateVerdict::Collapsed, "a constant needs no interval");
}

#[test]
fn the_third_run_has_collapsed() {
    // Accepted by a sister project: 3.4 % of the true deviation around a wrong level, R² -0.20.
    let mut trial = Trial::new(TargetKind::Volatility, (60, 100), 3, |_, normal| {
        (0.718 + 0.0166 * normal(), 0.937 + 0.4827 * normal())
    });
    trial.train_mean = 0.937;
    let judged = trial.judged();
    assert!((trial.scores().r2_train_mean() + 0.207).abs() < 0.02);
    assert_eq!(judged.verdict, GateVerdict::Collapsed, "{judged:?}");
    assert!(judged.evidence[1].starts_with("the forecasts are biased by -0.2"), "{judged:?}");
    assert!(judged.evidence[2].starts_with("their standard deviation is only 3.4%"), "{judged:?}");
    // With a calibrated spread the same bias is no collapse.
    let wide = trial.predicting(|p| 0.718 + (p - 0.718) * 10.0);
    assert_eq!(wide.verdict(), GateVerdict::WorseThanConstant);
}

#[test]
fn shrunk_forecasts_with_skill_have_collapsed() {
    let shrunk = |by: f32| Trial::of_volatilities(5, 0.4).predicting(|p| 20.0 + (p - 20.0) / by).verdict();
    assert_eq!(
        [1.0, 2.0, 30.0].map(shrunk),
        [GateVerdict::Healthy, GateVerdict::Miscalibrated, GateVerdict::Collapsed]
    );
    let returns = Trial::of_returns(DAYS, 5, 0.1, 1.0).predicting(|p| p / 30.0);
    assert_eq!(returns.verdict(), GateVerdict::Collapsed);
}

#[test]
fn a_model_without_skill_beside_a_skilled_reference_has_collapsed() {
    let skilled = Reference::of("ridge regression", &Trial::of_volatilities(6, 0.3).scores()).unwrap();
    let noise = Trial::of_returns((60, 100), 6, 0.01, 0.0);
    let blind = Trial { kind: TargetKind::Volatility, train_mean: 0.0, ..noise };
    let judged = blind.judged_beside(Some(&skilled));
    assert_eq!(judged.verdict, GateVerdict::Collapsed, "{judged:?}");
    assert!(judged.evidence[0].starts_with("ridge regression is clearly better than the model: R² 0."), "{judged:?}");
    assert!(judged.evidence[0].contains("against -0.0") || judged.evidence[0].contains("against 0.0"));
    // A reference without a clear lead is no evidence.
    let as_blind = Reference { r2: blind.scores().r2_interval().unwrap(), ..skilled.clone() };
    assert_eq!(blind.judged_beside(Some(&as_blind)).verdict, GateVerdict::NoSkill);
    assert_eq!(blind.verdict(), GateVerdict::NoSkill);
    assert_eq!(Trial::of_volatilities(8, 0.3).judged_beside(Some(&skilled)).verdict, GateVerdict::Healthy);
}

#[test]
fn implausible_scores_are_a_suspected_leak() {
    let leaking = Trial::of_returns(DAYS, 9, 0.65, 1.0);
    assert!(leaking.scores().r2() > 0.28);
    assert_eq!(leaking.verdict(), GateVerdict::LeakSuspected);
    assert_eq!(leaking.predicting(|p| p / 30.0).verdict(), GateVerdict::LeakSuspected, "at any scale");
    assert_eq!(Trial::of_volatilities(9, 0.6).verdict(), GateVerdict::Healthy, "usual for a volatility");
    assert_eq!(Trial::of_volatilities(9, 0.97).verdict(), GateVerdict::LeakSuspected);
}

#[test]
fn an_honest_forecaster_is_no_leak_after_a_change_of_level() {
    // Volatilities double after the training; forecasts follow and explain 20 % around the new level.
    let mut honest = Trial::of_volatilities(13, 0.2);
    honest.train_mean = 2.0;
    let scores = honest.scores();
    assert!((scores.r2() - 0.2).abs() < 0.03 && scores.r2_train_mean() > 0.93, "{scores:?}");
    assert_eq!(honest.verdict(), GateVerdict::Healthy, "{:?}", honest.judged());
    let mut blind = Trial::of_volatilities(14, 1e-4);
    blind.train_mean = 2.0;
    let judged = blind.judged();
    assert_eq!(judged.verdict, GateVerdict::NoSkill, "{judged:?}");
    assert!(judged.evidence[0].starts_with("better than the training mean by the level of these dates alone: R² "));
}

#[test]
fn a_volatility_that_its_last_value_forecasts_is_no_leak() {
    let calm = Trial::of_volatilities(9, 0.97);
    let over = |value: f64| statistics::ConfidenceInterval { value, low: value - 0.05, high: value + 0.05, blocks: 60 };
    let judged = |over_last| Gate::of(calm.kind, &calm.scores(), None, over_last, &GateConfig::default()).verdict;
    assert_eq!([judged(Some(over(0.3))), judged(Some(over(0.95)))], [GateVerdict::Healthy, GateVerdict::LeakSuspected]);
    assert_eq!(judged(None), GateVerdict::LeakSuspected);
}

#[test]
fn overdispersed_forecasts_fail() {
    let overfit = Trial::of_returns(DAYS, 10, 0.8, 0.0).judged();
    assert_eq!(overfit.verdict, GateVerdict::WorseThanConstant);
    assert!(overfit.evidence[1].starts_with("the forecasts are overdispersed"), "{overfit:?}");
    // If the level of the outcomes moves as forecast, the forecasts still beat the training mean.
    let mut moved = Trial::of_returns(DAYS, 10, 0.8, 0.2).predicting(|p| p + 6.4);
    moved.actual.iter_mut().for_each(|y| *y += 6.4);
    assert_eq!(moved.verdict(), GateVerdict::Overdispersed);
    let bold = Trial::of_volatilities(10, 0.5);
    let bold = bold.predicting(|p| 20.0 + (p - 20.0) * 1.9);
    assert!(!bold.verdict().is_failure(), "{:?}", bold.judged());
}

#[test]
fn a_single_non_finite_forecast_is_broken() {
    let mut trial = Trial::of_returns(DAYS, 11, 0.06, 1.0);
    trial.predicted[17] = f32::NAN;
    let judged = trial.judged();
    assert_eq!(
        (judged.verdict, judged.evidence[0].as_str()),
        (GateVerdict::Broken, "1 of 20,000 forecasts are not finite")
    );
    assert_eq!(trial.predicting(|_| f32::INFINITY).verdict(), GateVerdict::Broken);
}

#[test]
fn failures_have_advice_and_every_fault_of_the_configuration_has_its_path() {
    let judged = Trial::of_returns(DAYS, 12, 0.8, 0.0).judged();
    assert!(judged.verdict.is_failure() && judged.advice.is_some());
    assert_eq!(GateConfig::default().check(), Vec::<String>::new());
    let config = GateConfig { return_r2: f64::NAN, direction_auc: 0.5, min_sessions: 4, ..GateConfig::default() };
    assert_eq!(
        config.check(),
        [
            "gate.return_r2: NaN does not lie between 0 and 1",
            "gate.direction_auc: 0.5 does not lie between 0.5 and 1",
            "gate.min_sessions: must be 5 or more",
        ]
    );
}
