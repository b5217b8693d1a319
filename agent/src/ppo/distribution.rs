//! Masked categorical distribution: an illegal action has no probability, no gradient and no entropy.

use market_env::ActionMask;

/// Maximum number of actions.
pub const MAX_ACTIONS: usize = 8;

/// Natural logarithm of 0 to [`MAX_ACTIONS`].
const LN: [f32; MAX_ACTIONS + 1] = [
    f32::NEG_INFINITY,
    0.0,
    std::f32::consts::LN_2,
    1.098_612_3,
    2.0 * std::f32::consts::LN_2,
    1.609_438,
    1.791_759_5,
    1.945_910_1,
    3.0 * std::f32::consts::LN_2,
];

/// Distribution over the legal actions of one state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskedCategorical {
    mask: ActionMask,
    prob: [f32; MAX_ACTIONS],
    log_prob: [f32; MAX_ACTIONS],
}

impl MaskedCategorical {
    /// Returns the softmax of the legal logits `[K]`.
    ///
    /// # Panics
    /// If there are more than [`MAX_ACTIONS`] logits.
    pub(crate) fn new(logits: &[f32], mask: ActionMask) -> Self {
        let legal = || (0u8..).zip(logits).filter(|&(action, _)| mask.allows(action));
        let largest = legal().map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max);
        let (mut prob, mut log_prob) = ([0.0; MAX_ACTIONS], [f32::NEG_INFINITY; MAX_ACTIONS]);
        let mut sum = 0.0;
        for (action, &logit) in legal() {
            log_prob[usize::from(action)] = logit - largest;
            prob[usize::from(action)] = (logit - largest).exp();
            sum += prob[usize::from(action)];
        }
        let (inverse, log_sum) = (1.0 / sum, sum.ln());
        prob.iter_mut().for_each(|prob| *prob *= inverse);
        log_prob.iter_mut().for_each(|log_prob| *log_prob -= log_sum);
        Self { mask, prob, log_prob }
    }

    /// Returns the probability of each action; zero for illegal and missing ones.
    pub(crate) fn prob(&self) -> &[f32; MAX_ACTIONS] {
        &self.prob
    }

    /// Returns the log-probability of an action, minus infinity for an illegal one.
    pub(crate) fn log_prob(&self, action: u8) -> f32 {
        self.log_prob[usize::from(action)]
    }

    /// Returns the entropy over the legal actions, in nats: 0 for a forced state, at most `ln` of the legal count.
    pub(crate) fn entropy(&self) -> f32 {
        self.legal().map(|action| -self.prob[action] * self.log_prob[action]).sum()
    }

    /// Returns the entropy as a share of its maximum; `None` for a forced state.
    pub(crate) fn normalized_entropy(&self) -> Option<f32> {
        (!self.mask.is_forced()).then(|| self.entropy() / LN[self.mask.count() as usize])
    }

    /// Samples an action by inverse CDF; `uniform` lies in [0, 1).
    pub(crate) fn sample(&self, uniform: f64) -> u8 {
        let (mut cumulative, mut chosen) = (0.0, 0);
        for action in self.legal() {
            if self.prob[action] > 0.0 || cumulative == 0.0 {
                chosen = action;
            }
            cumulative += f64::from(self.prob[action]);
            if uniform < cumulative {
                break;
            }
        }
        chosen as u8
    }

    /// Returns the most probable action, the first of equals.
    pub(crate) fn greedy(&self) -> u8 {
        let better = |best: usize, action: usize| if self.prob[action] > self.prob[best] { action } else { best };
        self.legal().reduce(better).unwrap_or(0) as u8
    }

    fn legal(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MAX_ACTIONS).filter(|&action| self.mask.allows(action as u8))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_forced_state_has_no_entropy() {
        let forced = MaskedCategorical::new(&[3.0, -70.0, 9.0], ActionMask::of(&[1]));
        assert_eq!((forced.log_prob(1), forced.entropy(), forced.normalized_entropy()), (0.0, 0.0, None));
        assert_eq!((forced.sample(0.999), forced.greedy()), (1, 1));
        assert_eq!(forced.log_prob(0), f32::NEG_INFINITY);
    }

    #[test]
    fn sampling_inverts_the_cumulative_distribution() {
        let logits = [0.5f32.ln(), 99.0, 0.25f32.ln(), 0.25f32.ln()];
        let distribution = MaskedCategorical::new(&logits, ActionMask::of(&[0, 2, 3]));
        let sampled = [0.0, 0.499, 0.501, 0.749, 0.751, 0.9999].map(|uniform| distribution.sample(uniform));
        assert_eq!(sampled, [0, 0, 2, 2, 3, 3]);
        assert_eq!(distribution.greedy(), 0);
    }

    proptest! {
        #[test]
        fn only_legal_actions_are_drawn(
            logits in prop::collection::vec(-80.0f32..80.0, 1..=8),
            bits in 1u8..,
            uniform in 0.0f64..1.0,
        ) {
            let bits = bits & (u8::MAX >> (8 - logits.len()));
            prop_assume!(bits != 0);
            let mask = ActionMask(bits);
            let distribution = MaskedCategorical::new(&logits, mask);
            prop_assert!(mask.allows(distribution.sample(uniform)) && mask.allows(distribution.greedy()));
            prop_assert!(distribution.prob()[usize::from(distribution.sample(uniform))] > 0.0);
            let entropy = distribution.entropy();
            prop_assert!((0.0..=(mask.count() as f32).ln() + 1e-5).contains(&entropy), "{entropy}");
            prop_assert!((distribution.prob().iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
