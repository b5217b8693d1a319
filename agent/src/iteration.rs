//! What one iteration of training did, under the names of Stable-Baselines3.

/// Statistics of one iteration; its window is the iteration unless a field says otherwise.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Iteration {
    /// Iterations completed, this one included.
    pub iteration: u64,
    /// Lane-steps taken since the start.
    pub timesteps: u64,
    /// Passes over rollouts since the start, as Stable-Baselines3 counts updates.
    pub n_updates: u64,
    /// Mean reward of the last 100 episodes, shaping included; none before the first has ended.
    pub ep_rew_mean: Option<f64>,
    /// Mean decisions of the last 100 episodes; none before the first has ended.
    pub ep_len_mean: Option<f64>,
    /// Mean of the clipped surrogate loss.
    pub policy_gradient_loss: f64,
    /// Mean squared error of the critic, in squared reward units.
    pub value_loss: f64,
    /// Minus the mean entropy over all samples, forced states included, in nats.
    pub entropy_loss: f64,
    /// Whole loss of the last minibatch.
    pub loss: f64,
    /// Mean divergence of the new policy from the rollout's during the last pass, in nats (k3 estimate).
    pub approx_kl: f64,
    /// Share of samples whose probability ratio left the trust region.
    pub clip_fraction: f64,
    /// Half-width of the trust region.
    pub clip_range: f64,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Weight of the entropy bonus.
    pub ent_coef: f64,
    /// 1 - Var(target - value) / Var(target) of the rollout, with the values before the update; 0 when all targets are
    /// equal. The targets contain the values themselves, which flatters a critic at small discounts.
    pub explained_variance: f64,
    /// Mean of entropy / ln(legal actions) over unforced samples: 1 is uniform, 0 is decided.
    pub entropy_norm: f64,
    /// Mean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Standard deviation of the critic's values in the rollout.
    pub value_std: f64,
    /// Standard deviation of the critic's targets in the rollout.
    pub return_std: f64,
}

impl Iteration {
    /// Returns every number under its key: Stable-Baselines3's, then `policy/` and `critic/` of our own.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = Vec::with_capacity(20);
        metrics.extend(self.ep_len_mean.map(|mean| ("rollout/ep_len_mean", mean)));
        metrics.extend(self.ep_rew_mean.map(|mean| ("rollout/ep_rew_mean", mean)));
        metrics.extend([
            ("time/iterations", self.iteration as f64),
            ("time/total_timesteps", self.timesteps as f64),
            ("train/approx_kl", self.approx_kl),
            ("train/clip_fraction", self.clip_fraction),
            ("train/clip_range", self.clip_range),
            ("train/ent_coef", self.ent_coef),
            ("train/entropy_loss", self.entropy_loss),
            ("train/explained_variance", self.explained_variance),
            ("train/grad_norm", self.grad_norm),
            ("train/learning_rate", self.learning_rate),
            ("train/loss", self.loss),
            ("train/n_updates", self.n_updates as f64),
            ("train/policy_gradient_loss", self.policy_gradient_loss),
            ("train/value_loss", self.value_loss),
            ("policy/entropy_norm", self.entropy_norm),
            ("critic/pred_std", self.value_std),
            ("critic/target_std", self.return_std),
        ]);
        metrics
    }
}

/// Returns 1 - Var(target - value) / Var(target), and the standard deviations of values and targets.
pub(crate) fn critic_quality(value: &[f32], target: &[f32]) -> (f64, f64, f64) {
    let errors: Vec<f32> = target.iter().zip(value).map(|(target, value)| target - value).collect();
    let (unexplained, of_target) = (variance(&errors), variance(target));
    let explained = if of_target > 0.0 { 1.0 - unexplained / of_target } else { 0.0 };
    (explained, variance(value).sqrt(), of_target.sqrt())
}

fn variance(data: &[f32]) -> f64 {
    let count = data.len() as f64;
    let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    data.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explained_variance_knows_the_perfect_the_constant_and_the_wrong_critic() {
        let target = [1.0, 2.0, 3.0];
        assert_eq!(critic_quality(&target, &target).0, 1.0);
        assert_eq!(critic_quality(&[7.0; 3], &target).0, 0.0);
        assert_eq!(critic_quality(&[3.0, 2.0, 1.0], &target).0, -3.0);
        assert_eq!(critic_quality(&[1.0, 2.0, 3.0], &[5.0; 3]).0, 0.0, "nothing to explain");
    }
}
