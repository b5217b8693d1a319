//! Masked categorical distribution on the device; the same logits give the same actions as
//! [`MaskedCategorical`](crate::ppo::distribution::MaskedCategorical).

use tch::{Device, Kind, TchError, Tensor};

use crate::ppo::distribution::MAX_ACTIONS;

/// Action numbers, and the bit of each in a mask. `[K]`
#[derive(Debug)]
pub(super) struct Actions {
    number: Tensor,
    bit: Tensor,
}

/// Distributions of several lanes.
#[derive(Debug)]
pub(super) struct Categorical {
    /// Zero for illegal actions. `[N, K]`
    prob: Tensor,
    /// Minus infinity for illegal actions. `[N, K]`
    log_prob: Tensor,
}

impl Actions {
    pub(super) fn new(count: usize, device: Device) -> Result<Self, TchError> {
        let number = Tensor::f_arange(count as i64, (Kind::Int64, device))?;
        let bits: Vec<u8> = (0..count).map(|action| 1 << action).collect();
        Ok(Self { number, bit: Tensor::f_from_slice(&bits)?.f_to(device)? })
    }

    /// Returns the illegal actions under the masks `[N]`. `[N, K]`
    pub(super) fn illegal(&self, mask: &Tensor) -> Result<Tensor, TchError> {
        mask.f_unsqueeze(1)?.f_bitwise_and_tensor(&self.bit)?.f_eq(0)
    }

    /// Samples actions by inverse CDF; uniforms `[N]` in double precision, in [0, 1).
    pub(super) fn sample(&self, of: &Categorical, uniform: &Tensor) -> Result<Tensor, TchError> {
        let cumulative = of.prob.f_cumsum(1, Kind::Double)?;
        let passed = cumulative.f_le_tensor(&uniform.f_unsqueeze(1)?)?.f_sum_dim_intlist(1i64, false, Kind::Int64)?;
        // If the cumulative sum rounds to less than the uniform, take the last action with a probability.
        let last = of.prob.f_gt(0.0)?.f_mul(&self.number)?.f_amax(1i64, false)?;
        passed.f_minimum(&last)
    }
}

impl Categorical {
    /// Returns the distributions over the legal logits `[N, K]`.
    pub(super) fn new(logits: &Tensor, illegal: &Tensor) -> Result<Self, TchError> {
        let logits = logits.f_masked_fill(illegal, f64::NEG_INFINITY)?;
        Ok(Self { prob: logits.f_softmax(1, None)?, log_prob: logits.f_log_softmax(1, None)? })
    }

    /// Downloads the probabilities of all lanes.
    pub(super) fn read(&self, out: &mut [[f32; MAX_ACTIONS]]) -> Result<(), TchError> {
        let probs = Vec::<f32>::try_from(self.prob.f_flatten(0, -1)?)?;
        let rows = probs.chunks_exact(probs.len() / out.len().max(1));
        out.iter_mut().zip(rows).for_each(|(out, row)| out[..row.len()].copy_from_slice(row));
        Ok(())
    }

    /// Returns the most probable actions, the first of equals.
    pub(super) fn greedy(&self) -> Result<Tensor, TchError> {
        self.prob.f_argmax(1, false)
    }

    /// Returns the log-probabilities of the actions. `[N]`
    pub(super) fn log_prob(&self, action: &Tensor) -> Result<Tensor, TchError> {
        self.log_prob.f_gather(1, &action.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)
    }
}

#[cfg(test)]
mod tests {
    use market_env::ActionMask;
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;
    use crate::ppo::distribution::MaskedCategorical;

    /// Returns the sampled and greedy actions of the same logits under these masks.
    fn choose(logits: &[f32], masks: &[u8], uniforms: &[f64]) -> (Vec<i64>, Vec<i64>, Vec<f32>) {
        let count = logits.len() / masks.len();
        let actions = Actions::new(count, Device::Cpu).unwrap();
        let illegal = actions.illegal(&Tensor::from_slice(masks)).unwrap();
        let of = Categorical::new(&Tensor::from_slice(logits).view([-1, count as i64]), &illegal).unwrap();
        let sampled = actions.sample(&of, &Tensor::from_slice(uniforms)).unwrap();
        let log_prob = of.log_prob(&sampled).unwrap();
        let host = |tensor: &Tensor| Vec::<i64>::try_from(tensor).unwrap();
        (host(&sampled), host(&of.greedy().unwrap()), Vec::try_from(&log_prob).unwrap())
    }

    #[test]
    fn device_and_host_choose_the_same_actions() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let masks: Vec<u8> = (0..3000).map(|_| rng.random_range(1..64)).collect();
        let uniforms: Vec<f64> = (0..3000).map(|_| rng.random()).collect();
        // Some logits lie so far apart that probabilities underflow in single precision.
        let logits: Vec<f32> = (0..3000 * 6)
            .map(|_| if rng.random_bool(0.1) { rng.random_range(-200.0..200.0) } else { rng.random_range(-2.0..2.0) })
            .collect();
        let (sampled, greedy, log_prob) = choose(&logits, &masks, &uniforms);
        for lane in 0..masks.len() {
            let host = MaskedCategorical::new(&logits[lane * 6..][..6], ActionMask(masks[lane]));
            let (ours, theirs) = (sampled[lane], i64::from(host.sample(uniforms[lane])));
            // The exponential of the device may differ from the host's in the last bit.
            let near = [-1e-6, 1e-6].map(|by| host.sample((uniforms[lane] + by).clamp(0.0, 1.0 - 1e-16)));
            assert!(ours == theirs || near.contains(&(ours as u8)), "lane {lane}: {ours} {theirs}");
            assert_eq!(greedy[lane], i64::from(host.greedy()), "lane {lane}");
            assert!((log_prob[lane] - host.log_prob(sampled[lane] as u8)).abs() < 1e-4, "lane {lane}");
        }
    }

    #[test]
    fn an_illegal_action_is_never_chosen() {
        let largest = 1.0 - f64::EPSILON / 2.0;
        // Equal probabilities whose sum rounds below one; a vanishing one behind them; a single one.
        let mut logits = [[0.0; 8], [0.0; 8], [5.0; 8]];
        logits[1][6] = -200.0;
        let (sampled, greedy, _) =
            choose(logits.as_flattened(), &[0b0011_1111, 0b0100_0111, 0b1000_0000], &[largest; 3]);
        assert_eq!((sampled, greedy), (vec![5, 2, 7], vec![0, 0, 7]));
    }
}
