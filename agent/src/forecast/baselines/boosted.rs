//! Gradient-boosted trees on the inputs of the forecaster: the strongest baseline without tuning.

use forust_ml::{GradientBooster, Matrix, metric::Metric, objective::ObjectiveType};

use crate::{
    AgentError,
    forecast::{ForecastData, Samples, TargetKind, TargetMoments},
};

/// Most trees; fitting stops earlier after [`PATIENCE`] trees without improvement on the validation samples.
const MAX_TREES: usize = 400;
const PATIENCE: usize = 20;
/// Settings for noisy targets: small steps, shallow trees, large leaves.
const LEARNING_RATE: f32 = 0.05;
const MAX_DEPTH: usize = 4;
const MIN_LEAF_SAMPLES: f32 = 100.0;

/// Fits one target on its labelled training samples, with early stopping on the validation samples, and returns the
/// forecasts of `samples`: in the unit of the target, or the probability of a rise for a direction. `[N]`
///
/// # Errors
/// [`AgentError::Forecast`] when there is no labelled sample or the booster fails.
///
/// # Source
/// Friedman (2001), "Greedy function approximation: a gradient boosting machine".
pub fn boosted(
    data: &ForecastData,
    frames: usize,
    target: usize,
    samples: &Samples,
    seed: u64,
) -> Result<Vec<f32>, AgentError> {
    let direction = data.targets[target].kind == TargetKind::Direction;
    let moments = TargetMoments::of(&data.train, &data.targets)?;
    let (center, scale) = if direction { (0.0, 1.0) } else { (moments.mean[target], moments.std[target]) };
    let (train, validation) = (
        LabelledSamples::of(data, frames, target, &data.train),
        LabelledSamples::of(data, frames, target, &data.validation),
    );
    let scaled =
        |samples: &LabelledSamples| samples.outcomes.iter().map(|y| (y - center) / scale).collect::<Vec<f64>>();
    let (objective, metric, leaf) = if direction {
        // The second derivative of the cross-entropy is at most a quarter per sample.
        (ObjectiveType::LogLoss, Metric::LogLoss, 0.25 * MIN_LEAF_SAMPLES)
    } else {
        (ObjectiveType::SquaredLoss, Metric::RootMeanSquaredError, MIN_LEAF_SAMPLES)
    };
    let mut booster = GradientBooster::default()
        .set_objective_type(objective)
        .set_evaluation_metric(Some(metric))
        .set_initialize_base_score(true)
        .set_iterations(MAX_TREES)
        .set_early_stopping_rounds(Some(PATIENCE))
        .set_learning_rate(LEARNING_RATE)
        .set_max_depth(MAX_DEPTH)
        .set_max_leaves(1 << MAX_DEPTH)
        .set_min_leaf_weight(leaf)
        .set_parallel(false)
        .set_seed(seed);
    let (validation_targets, weights) = (scaled(&validation), vec![1.0; validation.outcomes.len()]);
    let evaluation = vec![(validation.matrix(), validation_targets.as_slice(), weights.as_slice())];
    booster
        .fit_unweighted(&train.matrix(), &scaled(&train), Some(evaluation))
        .map_err(|error| AgentError::Forecast(format!("gradient boosting of {}: {error}", data.targets[target])))?;
    let inputs = design(data, frames, samples, &(0..samples.len()));
    let forecasts = booster.predict(&Matrix::new(&inputs, samples.len(), frames * data.features.len()), false);
    let forecast = |output: f64| if direction { 1.0 / (1.0 + (-output).exp()) } else { center + scale * output };
    Ok(forecasts.into_iter().map(|output| forecast(output) as f32).collect())
}

/// Inputs and outcomes of the samples with a known outcome.
struct LabelledSamples {
    inputs: Vec<f64>,
    outcomes: Vec<f64>,
    columns: usize,
}

impl LabelledSamples {
    fn of(data: &ForecastData, frames: usize, target: usize, samples: &Samples) -> Self {
        let known: Vec<usize> = (0..samples.len()).filter(|&i| at(data, samples, i, target).is_finite()).collect();
        Self {
            inputs: design(data, frames, samples, &known.iter().copied()),
            outcomes: known.iter().map(|&i| f64::from(at(data, samples, i, target))).collect(),
            columns: frames * data.features.len(),
        }
    }

    fn matrix(&self) -> Matrix<'_, f64> {
        Matrix::new(&self.inputs, self.outcomes.len(), self.columns)
    }
}

fn at(data: &ForecastData, samples: &Samples, sample: usize, target: usize) -> f32 {
    samples.actual[sample * data.targets.len() + target]
}

/// Returns the frames of samples side by side, one column after the other. `[k · F, N]`
fn design(
    data: &ForecastData,
    frames: usize,
    samples: &Samples,
    picks: &(impl Iterator<Item = usize> + Clone),
) -> Vec<f64> {
    let features = data.features.len();
    let column = |(back, feature): (usize, usize)| {
        picks.clone().map(move |i| {
            let row = (samples.row[i] as usize).saturating_sub(back).max(samples.first_row[i] as usize);
            f64::from(data.tape[row * features + feature])
        })
    };
    let columns = (0..frames).rev().flat_map(|back| (0..features).map(move |feature| (back, feature)));
    columns.flat_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Outcomes, RegressionScores, failures::planted};

    #[test]
    fn trees_find_an_interaction_that_a_linear_model_misses() {
        let planted = planted::interaction(20_000, 1);
        let forecasts = boosted(&planted.data, 1, 0, &planted.test, 1).unwrap();
        assert_eq!(forecasts, boosted(&planted.data, 1, 0, &planted.test, 1).unwrap());
        let actual = planted.test.column(0);
        let outcomes = Outcomes { predicted: &forecasts, actual: &actual, block: &planted.test.block, train_mean: 0.0 };
        let r2 = RegressionScores::of(TargetKind::Return, &outcomes).unwrap().r2;
        assert!((0.01..0.06).contains(&r2), "{r2}");
        let nothing = planted::noise(20_000, 1);
        let forecasts = boosted(&nothing.data, 1, 0, &nothing.test, 1).unwrap();
        let actual = nothing.test.column(0);
        let outcomes = Outcomes { predicted: &forecasts, actual: &actual, block: &nothing.test.block, train_mean: 0.0 };
        let r2 = RegressionScores::of(TargetKind::Return, &outcomes).unwrap().r2;
        assert!(r2.abs() < 0.005, "finds a signal in noise: {r2}");
        let up = boosted(&planted.data, 1, 1, &planted.test, 1).unwrap();
        assert!(up.iter().all(|p| (0.0..=1.0).contains(p)) && up.iter().any(|p| *p > 0.6));
    }
}
