//! Gradient clipping and Adam as single passes over flat slices, with an optimiser state that can be saved.

use pulp::Arch;

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
        let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
        let (rest1, rest2) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32);
        let weight_decay = weight_decay as f32;
        let (step_size, inverse_root, epsilon) = (step_size as f32, (1.0 / root) as f32, EPSILON as f32);
        let state = self.m.iter_mut().zip(&mut self.v);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((param, &gradient), (m, v)) in params.iter_mut().zip(gradient).zip(state) {
                    let gradient = gradient * scale + weight_decay * *param;
                    *m = *m * beta1 + gradient * rest1;
                    *v = *v * beta2 + gradient * gradient * rest2;
                    *param -= step_size * *m / (v.sqrt() * inverse_root + epsilon);
                }
            },
        );
    }
}

/// Returns the bias-corrected step size and the root of the second moment's correction.
pub(crate) fn step_size_and_root(step: u64, learning_rate: f64) -> (f64, f64) {
    let step = step as f64;
    (learning_rate / (1.0 - BETA1.powf(step)), (1.0 - BETA2.powf(step)).sqrt())
}

/// Returns the Euclidean norm; sums in double precision and a fixed order.
pub(crate) fn norm(gradient: &[f32]) -> f64 {
    let mut sums = [0.0f64; 32];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = gradient.as_chunks::<32>();
            for part in whole.iter().map(<[f32; 32]>::as_slice).chain([rest]) {
                sums.iter_mut().zip(part).for_each(|(sum, &g)| *sum += f64::from(g) * f64::from(g));
            }
        },
    );
    sums.iter().sum::<f64>().sqrt()
}

/// Returns the factor that brings a gradient of this norm to at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`.
pub(crate) fn clip_scale(norm: f64, max_norm: f64) -> f32 {
    (max_norm / (norm + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_gradient_is_cut_to_the_norm() {
        let gradient: Vec<f32> = (0..11).map(|_| 3.0).collect();
        assert!((norm(&gradient) - 99.0f64.sqrt()).abs() < 1e-12);
        assert!((f64::from(clip_scale(10.0, 0.5)) - 0.05).abs() < 1e-7);
        assert_eq!(clip_scale(0.4, 0.5), 1.0);
    }
}
