//! Gradient clipping and Adam in place on the flat vectors, in the order of `torch.optim.Adam`.

use tch::{TchError, Tensor, no_grad};

use crate::backend::adam::{BETA1, BETA2, EPSILON, step_size_and_root};

/// The parameters and their moments. `[P]`
#[derive(Debug)]
pub(crate) struct Adam {
    pub(crate) params: Tensor,
    pub(crate) m: Tensor,
    pub(crate) v: Tensor,
    pub(crate) step: u64,
}

impl Adam {
    /// Clips the gradient to `max_norm`, takes one step, and returns the norm before clipping. The norm stays on the
    /// device.
    pub(crate) fn descend(
        &mut self,
        mut gradient: Tensor,
        (learning_rate, weight_decay): (f64, f64),
        max_norm: f64,
    ) -> Result<Tensor, TchError> {
        self.step += 1;
        let (step_size, root) = step_size_and_root(self.step, learning_rate);
        no_grad(|| {
            let norm = gradient.f_norm()?;
            let scale = norm.f_add_scalar(1e-6)?.f_reciprocal_()?.f_mul_scalar_(max_norm)?.f_clamp_max_(1.0)?;
            let _ = gradient.f_mul_(&scale)?;
            if weight_decay > 0.0 {
                let _ = gradient.f_add_(&self.params.f_mul_scalar(weight_decay)?)?;
            }
            let _ = self.m.f_lerp_(&gradient, 1.0 - BETA1)?;
            let _ = self.v.f_mul_scalar_(BETA2)?.f_addcmul_(&gradient.f_mul_scalar(1.0 - BETA2)?, &gradient)?;
            let denominator = self.v.f_sqrt()?.f_div_scalar_(root)?.f_add_scalar_(EPSILON)?;
            let _ = self.params.f_addcdiv_(&self.m.f_mul_scalar(-step_size)?, &denominator)?;
            Ok(norm)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AdamState;

    #[test]
    fn steps_and_clipping_match_the_native_optimiser() {
        let mut host = AdamState::new(3);
        let mut params = [0.5f32, -0.25, 2.0];
        let tensor = |data: &[f32]| Tensor::from_slice(data);
        let mut adam = Adam { params: tensor(&params), m: tensor(&host.m), v: tensor(&host.v), step: 0 };
        for step in 0..6 {
            let gradient = [0.3, -1.0 + 0.4 * step as f32, 1e-4];
            let norm = adam.descend(tensor(&gradient), (0.01, 0.2), 0.7).unwrap().double_value(&[]);
            assert!((norm - crate::backend::adam::norm(&gradient)).abs() < 1e-6);
            host.step(&mut params, &gradient, crate::backend::adam::clip_scale(norm, 0.7), (0.01, 0.2));
        }
        let device = |tensor: &Tensor| Vec::<f32>::try_from(tensor).unwrap();
        for (name, ours, theirs) in
            [("params", &params[..], &adam.params), ("m", &host.m, &adam.m), ("v", &host.v, &adam.v)]
        {
            for (a, b) in ours.iter().zip(device(theirs)) {
                assert!((a - b).abs() <= 1e-6 * a.abs().max(1e-3), "{name}: {a} {b}");
            }
        }
        assert_eq!(adam.step, host.step);
    }
}
