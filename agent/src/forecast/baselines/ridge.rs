//! Ridge regression on the inputs of the forecaster: the baseline to beat, and a test for any linear signal.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::{
    AgentError, Normalizer,
    forecast::{
        ForecastData, Samples, TargetKind, TargetMoments,
        network::windows::{Tape, Windows},
    },
};

/// Candidate penalties, per training sample and standardised input; the last leaves little but the mean.
const PENALTIES: [f64; 9] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e6];

/// Linear model of the standardised frames, one output per target; a direction gets a linear probability.
#[derive(Debug)]
pub struct Ridge {
    normalizer: Normalizer,
    frames: usize,
    kinds: Vec<TargetKind>,
    /// `[k · F + 1, M]`
    coefficients: Tensor,
}

impl Ridge {
    /// Fits every target on its labelled training samples; the penalty of each minimises the squared error on the
    /// validation samples.
    ///
    /// # Errors
    /// As for [`crate::forecast::fit`].
    ///
    /// # Source
    /// Hoerl and Kennard (1970), by the normal equations; the intercept is not penalised.
    pub fn fit(data: &ForecastData, frames: usize) -> Result<Self, AgentError> {
        let normalizer = data.normalizer()?;
        let moments = TargetMoments::of(&data.train, &data.targets)?;
        tch::set_num_threads(1);
        let solve = || Self::coefficients(data, &normalizer, frames, &moments);
        let coefficients =
            no_grad(solve).map_err(|source| AgentError::Torch { action: "fit a linear forecast", source })?;
        Ok(Self { normalizer, frames, kinds: data.targets.iter().map(|target| target.kind).collect(), coefficients })
    }

    fn coefficients(
        data: &ForecastData,
        normalizer: &Normalizer,
        frames: usize,
        moments: &TargetMoments,
    ) -> Result<Tensor, TchError> {
        let tape = Tape::new(&normalizer.apply(&data.tape), data.features.len(), frames, Device::Cpu)?;
        let (train, validation) =
            (Windows::new(&data.train, Device::Cpu)?, Windows::new(&data.validation, Device::Cpu)?);
        let mut columns: Vec<Option<Tensor>> = data.targets.iter().map(|_| None).collect();
        // Targets of one horizon are known for the same samples and share their normal equations.
        for (index, target) in data.targets.iter().enumerate() {
            if columns[index].is_some() {
                continue;
            }
            let group: Vec<i64> =
                (0..).zip(&data.targets).filter(|(_, t)| t.horizon == target.horizon).map(|(i, _)| i).collect();
            let equations = NormalEquations::of(&tape, &train, &group)?;
            let validation = NormalEquations::of(&tape, &validation, &group)?;
            for (position, &column) in (0..).zip(&group) {
                let means = moments.mean[column as usize];
                columns[column as usize] = Some(equations.best(&validation, position, means)?);
            }
        }
        Tensor::f_stack(&columns.into_iter().flatten().collect::<Vec<_>>(), 1)
    }

    /// Returns the forecasts of samples, in the units of the targets, directions as probabilities. `[N, M]`
    ///
    /// # Errors
    /// [`AgentError::Torch`], most often for lack of memory.
    pub fn predict(&self, tape: &[f32], samples: &Samples) -> Result<Vec<f32>, AgentError> {
        tch::set_num_threads(1);
        let run = || {
            let tape = Tape::new(&self.normalizer.apply(tape), self.normalizer.mean.len(), self.frames, Device::Cpu)?;
            let windows = Windows::new(samples, Device::Cpu)?;
            let mut forecasts = Vec::new();
            for picks in windows.chunks()? {
                let product = design(&tape, &windows, &picks)?.f_matmul(&self.coefficients)?;
                forecasts.extend(Vec::<f32>::try_from(product.f_to_kind(Kind::Float)?.f_flatten(0, -1)?)?);
            }
            Ok(forecasts)
        };
        let mut forecasts =
            no_grad(run).map_err(|source| AgentError::Torch { action: "make a linear forecast", source })?;
        for row in forecasts.chunks_exact_mut(self.kinds.len()) {
            let directions = row.iter_mut().zip(&self.kinds).filter(|(_, kind)| **kind == TargetKind::Direction);
            directions.for_each(|(forecast, _)| *forecast = forecast.clamp(0.01, 0.99));
        }
        Ok(forecasts)
    }
}

/// Returns the frames side by side, and a one for the intercept. `[B, k · F + 1]` in double precision
fn design(tape: &Tape, windows: &Windows, picks: &Tensor) -> Result<Tensor, TchError> {
    let frames = tape.frames(windows, picks)?.f_flatten(1, 2)?.f_to_kind(Kind::Double)?;
    let ones = Tensor::f_ones([frames.size()[0], 1], (Kind::Double, Device::Cpu))?;
    Tensor::f_cat(&[frames, ones], 1)
}

/// Normal equations over the samples with known targets.
struct NormalEquations {
    /// `[D, D]`
    inputs: Tensor,
    /// `[D, C]`
    targets: Tensor,
    count: f64,
}

impl NormalEquations {
    fn of(tape: &Tape, windows: &Windows, group: &[i64]) -> Result<Self, TchError> {
        let group = Tensor::f_from_slice(group)?;
        let size = tape.inputs() + 1;
        let zeros = |columns: i64| Tensor::f_zeros([size, columns], (Kind::Double, Device::Cpu));
        let (mut inputs, mut targets, mut count) = (zeros(size)?, zeros(group.size()[0])?, 0.0);
        for picks in windows.chunks()? {
            let actual = windows.actual(&picks)?.f_index_select(1, &group)?;
            let known = actual.f_select(1, 0)?.f_isnan()?.f_logical_not()?;
            let x = design(tape, windows, &picks)?.f_index(&[Some(&known)])?;
            let y = actual.f_index(&[Some(&known)])?.f_to_kind(Kind::Double)?;
            let transposed = x.f_tr()?;
            count += x.size()[0] as f64;
            let _ = inputs.f_add_(&transposed.f_matmul(&x)?)?;
            let _ = targets.f_add_(&transposed.f_matmul(&y)?)?;
        }
        Ok(Self { inputs, targets, count })
    }

    /// Returns the coefficients of a target with the penalty that is best on the validation samples. `[D]`
    fn best(&self, validation: &Self, position: i64, mean: f64) -> Result<Tensor, TchError> {
        let size = self.inputs.size()[0];
        let penalised = Tensor::f_ones([size], (Kind::Double, Device::Cpu))?;
        let _ = penalised.f_narrow(0, size - 1, 1)?.f_fill_(1e-9)?;
        let right = self.targets.f_select(1, position)?.f_unsqueeze(1)?;
        let mut best: Option<(f64, Tensor)> = None;
        for penalty in PENALTIES {
            let left = self.inputs.f_add(&penalised.f_diag(0)?.f_mul_scalar(penalty * self.count.max(1.0))?)?;
            let solution = Tensor::f_linalg_solve(&left, &right, true)?.f_squeeze_dim(1)?;
            let error = validation.squared_error(&solution, position)?;
            if best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, solution));
            }
        }
        let constant = || {
            let constant = Tensor::f_zeros([size], (Kind::Double, Device::Cpu))?;
            let _ = constant.f_narrow(0, size - 1, 1)?.f_fill_(mean)?;
            Ok(constant)
        };
        best.map_or_else(constant, |(_, solution)| Ok(solution))
    }

    /// Returns the squared error of coefficients, less the constant sum of squared outcomes.
    fn squared_error(&self, coefficients: &Tensor, position: i64) -> Result<f64, TchError> {
        let of_inputs = coefficients.f_dot(&self.inputs.f_mv(coefficients)?)?;
        let of_targets = coefficients.f_dot(&self.targets.f_select(1, position)?.f_contiguous()?)?;
        Ok(of_inputs.double_value(&[]) - 2.0 * of_targets.double_value(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Outcomes, RegressionScores, failures::planted};

    #[test]
    fn a_linear_signal_is_found_and_noise_gives_the_mean() {
        let mut planted = planted::noise(3000, 1);
        let tape = planted.data.tape.clone();
        // The return is linear in two frames and unknown for every third sample; its direction stays noise.
        let law = |samples: &mut Samples| {
            for i in 0..samples.len() {
                let (row, last) =
                    (samples.row[i] as usize, samples.row[i].saturating_sub(1).max(samples.first_row[i]) as usize);
                let value = 3.0 + 2.0 * tape[8 * row] - tape[8 * last + 1];
                let known = !i.is_multiple_of(3);
                samples.actual[2 * i] = if known { value } else { f32::NAN };
                samples.actual[2 * i + 1] = if known { samples.actual[2 * i + 1] } else { f32::NAN };
            }
        };
        law(&mut planted.data.train);
        law(&mut planted.data.validation);
        law(&mut planted.test);
        let ridge = Ridge::fit(&planted.data, 2).unwrap();
        let forecasts = ridge.predict(&planted.data.tape, &planted.test).unwrap();
        for (forecast, actual) in forecasts.chunks_exact(2).zip(planted.test.actual.chunks_exact(2)) {
            assert!(actual[0].is_nan() || (forecast[0] - actual[0]).abs() < 0.01, "{forecast:?} is not {actual:?}");
            assert!((0.3..0.7).contains(&forecast[1]), "a coin: {forecast:?}");
        }
    }

    #[test]
    fn a_linear_model_misses_an_interaction() {
        let planted = planted::interaction(8000, 1);
        let forecasts = Ridge::fit(&planted.data, 1).unwrap().predict(&planted.data.tape, &planted.test).unwrap();
        let predicted: Vec<f32> = forecasts.iter().step_by(2).copied().collect();
        let actual = planted.test.column(0);
        let outcomes = Outcomes { predicted: &predicted, actual: &actual, block: &planted.test.block, train_mean: 0.0 };
        let r2 = RegressionScores::of(TargetKind::Return, &outcomes).unwrap().r2;
        assert!(r2.abs() < 0.005, "{r2}");
    }
}
