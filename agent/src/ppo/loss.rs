//! PPO loss of one sample and its gradient, as pure functions on numbers; the caller takes means over a minibatch.
//!
//! `loss = policy + ent_coef · (-entropy) + vf_coef · value`, with the conventions of Stable-Baselines3: each term is a
//! mean over all samples of the minibatch, forced states included (entropy 0, no policy gradient).

use market_env::ActionMask;

use crate::ppo::distribution::MaskedCategorical;

/// Coefficients of the loss during one update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossSettings {
    pub(crate) clip_range: f32,
    pub(crate) clip_range_vf: Option<f32>,
    pub(crate) ent_coef: f32,
    pub(crate) vf_coef: f32,
}

/// Settings of one update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpdateSettings {
    pub(crate) loss: LossSettings,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) weight_decay: f64,
    pub(crate) target_kl: Option<f64>,
    pub(crate) normalize_advantage: bool,
}

/// Decision of the rollout with its advantage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) mask: ActionMask,
    pub(crate) action: u8,
    /// Log-probability under the old policy.
    pub(crate) log_prob: f32,
    /// Advantage, standardised if configured.
    pub(crate) advantage: f32,
}

/// Sums over the samples of a minibatch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LossSums {
    pub(crate) policy: f64,
    pub(crate) value: f64,
    pub(crate) entropy: f64,
    pub(crate) kl: f64,
    pub(crate) clipped: f64,
    pub(crate) entropy_norm: f64,
    pub(crate) unforced: f64,
}

impl LossSums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.policy += other.policy;
        self.value += other.value;
        self.entropy += other.entropy;
        self.kl += other.kl;
        self.clipped += other.clipped;
        self.entropy_norm += other.entropy_norm;
        self.unforced += other.unforced;
    }
}

/// Sums of minibatch means over one pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EpochStats {
    /// Minibatches whose loss was computed.
    pub(crate) minibatches: f64,
    /// Minibatches whose gradient was applied.
    pub(crate) steps: f64,
    pub(crate) policy_loss: f64,
    pub(crate) value_loss: f64,
    pub(crate) entropy_loss: f64,
    pub(crate) approx_kl: f64,
    /// Largest mean of a minibatch.
    pub(crate) approx_kl_max: f64,
    pub(crate) clip_fraction: f64,
    pub(crate) grad_norm: f64,
    /// Normalised entropy summed over the unforced samples.
    pub(crate) entropy_norm: f64,
    pub(crate) unforced: f64,
    /// Loss of the last minibatch, as Stable-Baselines3 reports it.
    pub(crate) loss: f64,
    /// True if the KL divergence exceeded its target, which ends the update.
    pub(crate) stopped: bool,
}

impl EpochStats {
    /// Adds a minibatch of `size` samples.
    pub(crate) fn add(&mut self, sums: &LossSums, size: usize, settings: &LossSettings) {
        let size = size as f64;
        let (policy, value, entropy) = (sums.policy / size, sums.value / size, sums.entropy / size);
        self.minibatches += 1.0;
        self.policy_loss += policy;
        self.value_loss += value;
        self.entropy_loss -= entropy;
        self.approx_kl += sums.kl / size;
        self.approx_kl_max = self.approx_kl_max.max(sums.kl / size);
        self.clip_fraction += sums.clipped / size;
        self.entropy_norm += sums.entropy_norm;
        self.unforced += sums.unforced;
        self.loss = policy - f64::from(settings.ent_coef) * entropy + f64::from(settings.vf_coef) * value;
    }

    /// Adds the next pass of the same update; the KL divergence is that of the last pass, as in Stable-Baselines3.
    pub(crate) fn append(&mut self, later: &Self) {
        let before = *self;
        *self = Self {
            minibatches: before.minibatches + later.minibatches,
            steps: before.steps + later.steps,
            policy_loss: before.policy_loss + later.policy_loss,
            value_loss: before.value_loss + later.value_loss,
            entropy_loss: before.entropy_loss + later.entropy_loss,
            approx_kl: later.approx_kl / later.minibatches,
            approx_kl_max: before.approx_kl_max.max(later.approx_kl_max),
            clip_fraction: before.clip_fraction + later.clip_fraction,
            grad_norm: before.grad_norm + later.grad_norm,
            entropy_norm: before.entropy_norm + later.entropy_norm,
            unforced: before.unforced + later.unforced,
            loss: later.loss,
            stopped: later.stopped,
        };
    }
}

/// Returns the policy terms of one sample and writes `scale` times the gradient of its loss with respect to the logits
/// `[K]`.
///
/// # Source
/// Schulman et al. 2017, "Proximal Policy Optimization Algorithms", eq. 7 and 9; the KL estimate is Schulman's k3.
pub(crate) fn policy_terms(
    logits: &[f32],
    decision: Decision,
    settings: &LossSettings,
    scale: f32,
    gradient: &mut [f32],
) -> LossSums {
    let Decision { mask, action, log_prob, advantage } = decision;
    let distribution = MaskedCategorical::new(logits, mask);
    let log_ratio = distribution.log_prob(action) - log_prob;
    let ratio = log_ratio.exp();
    let clipped_ratio = ratio.clamp(1.0 - settings.clip_range, 1.0 + settings.clip_range);
    let unclipped_is_active = ratio * advantage <= clipped_ratio * advantage;
    let by_log_prob = if unclipped_is_active { -advantage * ratio } else { 0.0 };
    let entropy = distribution.entropy();
    for (index, (slot, &prob)) in gradient.iter_mut().zip(distribution.prob()).enumerate() {
        let chosen = if index == usize::from(action) { 1.0 } else { 0.0 };
        let log_prob = if prob > 0.0 { distribution.log_prob(index as u8) } else { 0.0 };
        let by_entropy = settings.ent_coef * prob * (log_prob + entropy);
        *slot = if mask.allows(index as u8) { scale * (by_log_prob * (chosen - prob) + by_entropy) } else { 0.0 };
    }
    let normalized = distribution.normalized_entropy();
    LossSums {
        policy: f64::from(-(ratio * advantage).min(clipped_ratio * advantage)),
        value: 0.0,
        entropy: f64::from(entropy),
        kl: f64::from(ratio - 1.0 - log_ratio),
        clipped: if (ratio - 1.0).abs() > settings.clip_range { 1.0 } else { 0.0 },
        entropy_norm: f64::from(normalized.unwrap_or(0.0)),
        unforced: if normalized.is_some() { 1.0 } else { 0.0 },
    }
}

/// Returns the squared error of one value and its derivative times `vf_coef · scale`.
///
/// With a value clip the prediction moves from the rollout's value by at most the clip range, with zero gradient
/// beyond.
pub(crate) fn value_terms(value: f32, old: f32, target: f32, settings: &LossSettings, scale: f32) -> (f64, f32) {
    let (prediction, slope) = match settings.clip_range_vf {
        Some(clip) if (value - old).abs() > clip => (old + (value - old).clamp(-clip, clip), 0.0),
        _ => (value, 1.0),
    };
    let error = prediction - target;
    (f64::from(error) * f64::from(error), settings.vf_coef * scale * slope * 2.0 * error)
}

/// Returns the mean of the advantages of a batch and the reciprocal of (unbiased standard deviation + 1e-8).
///
/// Returns (0, 1) without standardisation: for a single sample, or if `normalize` is false.
pub(crate) fn advantage_moments(advantage: &[f32], batch: &[u32], normalize: bool) -> (f32, f32) {
    if !normalize || batch.len() < 2 {
        return (0.0, 1.0);
    }
    let chosen = || batch.iter().map(|&sample| f64::from(advantage[sample as usize]));
    let mean = chosen().sum::<f64>() / batch.len() as f64;
    let variance = chosen().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (batch.len() - 1) as f64;
    (mean as f32, (1.0 / (variance.sqrt() + 1e-8)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LossSettings =
        LossSettings { clip_range: 0.2, clip_range_vf: Some(0.5), ent_coef: 0.0, vf_coef: 1.0 };

    #[test]
    fn the_clip_stops_gains_but_not_losses() {
        let decision = |log_prob: f32, advantage| Decision { mask: ActionMask(3), action: 0, log_prob, advantage };
        let gradient_of = |decision| {
            let mut gradient = [0.0; 2];
            let sums = policy_terms(&[0.0, 0.0], decision, &SETTINGS, 1.0, &mut gradient);
            (sums.policy as f32, sums.clipped, gradient[0])
        };
        // ratio = 0.5 / 0.25 = 2: a gain is cut at 1.2, a loss is not.
        assert_eq!(gradient_of(decision(0.25f32.ln(), 1.0)), (-1.2, 1.0, 0.0));
        assert_eq!(gradient_of(decision(0.25f32.ln(), -1.0)), (2.0, 1.0, 1.0));
        assert_eq!(gradient_of(decision(0.5f32.ln(), 1.0)), (-1.0, 0.0, -0.5));
    }

    #[test]
    fn a_forced_state_has_no_gradient() {
        let forced = Decision { mask: ActionMask::of(&[1]), action: 1, log_prob: 0.0, advantage: 3.0 };
        let mut gradient = [7.0; 3];
        let settings = LossSettings { ent_coef: 0.1, ..SETTINGS };
        let sums = policy_terms(&[0.3, 0.1, 9.0], forced, &settings, 1.0, &mut gradient);
        assert_eq!((gradient, sums.policy, sums.entropy, sums.unforced), ([0.0; 3], -3.0, 0.0, 0.0));
    }

    #[test]
    fn a_clipped_value_has_no_gradient() {
        assert_eq!(value_terms(1.25, 1.0, 2.0, &SETTINGS, 0.5), (0.5625, -0.75));
        assert_eq!(value_terms(3.0, 1.0, 2.0, &SETTINGS, 0.5), (0.25, 0.0));
    }

    #[test]
    fn moments_are_unbiased_and_a_single_sample_stays() {
        let advantage = [9.0, 1.0, 3.0, 5.0];
        let (mean, inverse) = advantage_moments(&advantage, &[1, 2, 3], true);
        assert!((mean - 3.0).abs() < 1e-6 && (inverse - 0.5).abs() < 1e-6);
        assert_eq!(advantage_moments(&advantage, &[1], true), (0.0, 1.0));
        assert_eq!(advantage_moments(&advantage, &[1, 2], false), (0.0, 1.0));
    }
}
