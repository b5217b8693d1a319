//! Gradient clipping and Adam as single passes over flat slices, with an optimiser state that can be saved.

use pulp::{Arch, Scalar, Simd, WithSimd};

/// Decay of the first moment.
pub(crate) const BETA1: f64 = 0.9;
/// Decay of the second moment.
pub(crate) const BETA2: f64 = 0.999;
/// Added to the denominator; 1e-5 instead of 1e-8, as in every PPO implementation since OpenAI's.
pub(crate) const EPSILON: f64 = 1e-5;

/// Adam's moments and step count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdamState {
    /// First moment of each parameter's gradient. `[P]`
    pub(crate) m: Vec<f32>,
    /// Second moment of each parameter's gradient. `[P]`
    pub(crate) v: Vec<f32>,
    /// Gradient steps taken.
    pub(crate) step: u64,
}

impl AdamState {
    /// Returns the state before the first step of `params` parameters.
    pub(crate) fn new(params: usize) -> Self {
        Self { m: vec![0.0; params], v: vec![0.0; params], step: 0 }
    }

    /// Applies one step to the parameters, with the gradient `gradient * scale + weight_decay * parameter`.
    ///
    /// # Source
    /// Kingma & Ba 2015, algorithm 1, in the order of operations of `torch.optim.Adam`.
    pub(crate) fn step(
        &mut self,
        params: &mut [f32],
        gradient: &[f32],
        scale: f32,
        (learning_rate, weight_decay): (f64, f64),
    ) {
        self.step += 1;
        let (step_size, root) = step_size_and_root(self.step, learning_rate);
        let rates = Rates {
            scale,
            weight_decay: weight_decay as f32,
            step_size: step_size as f32,
            inverse_root: (1.0 / root) as f32,
        };
        let (m, v) = (&mut self.m[..params.len()], &mut self.v[..params.len()]);
        Arch::new().dispatch(Step { params, gradient, m, v, rates });
    }
}

/// Numbers of one step that all parameters share.
#[derive(Debug, Clone, Copy)]
struct Rates {
    scale: f32,
    weight_decay: f32,
    step_size: f32,
    inverse_root: f32,
}

/// One step of all parameters, vector by vector. `[P]` each
struct Step<'a> {
    params: &'a mut [f32],
    gradient: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    rates: Rates,
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { params, gradient, m, v, rates } = self;
        let ((params, params_rest), (gradient, gradient_rest)) =
            (S::as_mut_simd_f32s(params), S::as_simd_f32s(gradient));
        let ((m, m_rest), (v, v_rest)) = (S::as_mut_simd_f32s(m), S::as_mut_simd_f32s(v));
        for (((param, &gradient), m), v) in params.iter_mut().zip(gradient).zip(m).zip(v) {
            (*param, *m, *v) = rates.stepped(simd, [*param, gradient, *m, *v]);
        }
        for (((param, &gradient), m), v) in params_rest.iter_mut().zip(gradient_rest).zip(m_rest).zip(v_rest) {
            (*param, *m, *v) = rates.stepped(Scalar, [*param, gradient, *m, *v]);
        }
    }
}

impl Rates {
    /// Returns the parameters and both moments after the step. Products and sums stay apart: a fused multiply-add would
    /// round once less than `torch.optim.Adam`.
    #[inline(always)]
    fn stepped<S: Simd>(self, simd: S, [param, gradient, m, v]: [S::f32s; 4]) -> (S::f32s, S::f32s, S::f32s) {
        let decay = simd.mul_f32s(simd.splat_f32s(self.weight_decay), param);
        let gradient = simd.add_f32s(simd.mul_f32s(gradient, simd.splat_f32s(self.scale)), decay);
        let (beta1, beta2) = (simd.splat_f32s(BETA1 as f32), simd.splat_f32s(BETA2 as f32));
        let (rest1, rest2) = (simd.splat_f32s((1.0 - BETA1) as f32), simd.splat_f32s((1.0 - BETA2) as f32));
        let m = simd.add_f32s(simd.mul_f32s(m, beta1), simd.mul_f32s(gradient, rest1));
        let square = simd.mul_f32s(gradient, gradient);
        let v = simd.add_f32s(simd.mul_f32s(v, beta2), simd.mul_f32s(square, rest2));
        let root = simd.mul_f32s(simd.sqrt_f32s(v), simd.splat_f32s(self.inverse_root));
        let denominator = simd.add_f32s(root, simd.splat_f32s(EPSILON as f32));
        let step = simd.div_f32s(simd.mul_f32s(simd.splat_f32s(self.step_size), m), denominator);
        (simd.sub_f32s(param, step), m, v)
    }
}

/// Returns the bias-corrected step size and the root of the second moment's correction.
pub(crate) fn step_size_and_root(step: u64, learning_rate: f64) -> (f64, f64) {
    let step = step as f64;
    (learning_rate / (1.0 - BETA1.powf(step)), (1.0 - BETA2.powf(step)).sqrt())
}

/// Returns the Euclidean norm; sums in double precision and a fixed order.
pub(crate) fn norm(gradient: &[f32]) -> f64 {
    Arch::new().dispatch(Squares(gradient)).iter().sum::<f64>().sqrt()
}

/// Sums of squares of every 32nd number.
struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = [f64; 32];

    /// Whole parts have a fixed length, so that all sums stay in registers.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; 32] {
        let (whole, rest) = self.0.as_chunks::<32>();
        let mut sums = [0.0; 32];
        for part in whole {
            sums.iter_mut().zip(part).for_each(|(sum, &g)| *sum += f64::from(g) * f64::from(g));
        }
        sums.iter_mut().zip(rest).for_each(|(sum, &g)| *sum += f64::from(g) * f64::from(g));
        sums
    }
}

/// Returns the factor that brings a gradient of this norm to at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`.
pub(crate) fn clip_scale(norm: f64, max_norm: f64) -> f32 {
    (max_norm / (norm + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_step_as_single_numbers_do() {
        let numbers = |seed: usize| (0..43).map(|i| ((i * 7 + seed) % 13) as f32 * 0.3 - 1.0).collect::<Vec<f32>>();
        let (gradient, mut all, mut adam) = (numbers(1), numbers(2), AdamState::new(43));
        let (mut apart, mut own) = (all.clone(), vec![AdamState::new(1); 43]);
        for _ in 0..3 {
            adam.step(&mut all, &gradient, 0.7, (0.01, 0.1));
            for ((param, gradient), own) in apart.chunks_mut(1).zip(gradient.chunks(1)).zip(&mut own) {
                own.step(param, gradient, 0.7, (0.01, 0.1));
            }
        }
        assert_eq!(all, apart);
        assert_ne!(all, numbers(2));
    }

    #[test]
    fn a_large_gradient_is_cut_to_the_norm() {
        let gradient: Vec<f32> = (0..11).map(|_| 3.0).collect();
        assert!((norm(&gradient) - 99.0f64.sqrt()).abs() < 1e-12);
        assert!((f64::from(clip_scale(10.0, 0.5)) - 0.05).abs() < 1e-7);
        assert_eq!(clip_scale(0.4, 0.5), 1.0);
    }
}
