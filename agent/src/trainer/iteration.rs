//! Statistics of one training iteration, under the names of Stable-Baselines3.

use statistics::GoodnessOfFit;

/// Statistics of one iteration; its window is the iteration unless a field says otherwise.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Iteration {
    /// Iterations completed, this one included.
    pub iteration: u64,
    /// Lane-steps taken since the start.
    pub timesteps: u64,
    /// Passes over rollouts since the start, the update count of Stable-Baselines3.
    pub n_updates: u64,
    /// Mean reward of the last 100 episodes, shaping included; `None` before the first ends.
    pub ep_rew_mean: Option<f64>,
    /// Mean length of the last 100 episodes in decisions; `None` before the first ends.
    pub ep_len_mean: Option<f64>,
    /// Minibatches of the update.
    pub minibatches: u64,
    /// Mean of the clipped surrogate loss.
    pub policy_gradient_loss: f64,
    /// Mean squared error of the critic, in squared reward units.
    pub value_loss: f64,
    /// Negative mean entropy over all samples, forced states included, in nats.
    pub entropy_loss: f64,
    /// Total loss of the last minibatch.
    pub loss: f64,
    /// Mean KL divergence from the policy of the rollout during the last pass, in nats (k3 estimate).
    pub approx_kl: f64,
    /// Largest KL divergence of a minibatch over all passes, in nats.
    pub approx_kl_max: f64,
    /// Share of samples with a probability ratio outside the clip range.
    pub clip_fraction: f64,
    /// Clip range.
    pub clip_range: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Entropy coefficient.
    pub ent_coef: f64,
    /// Fit of the rollout's values, before the update, to the training targets of the critic. The targets contain the
    /// values themselves, which flatters the critic at small discounts.
    pub critic: GoodnessOfFit,
    /// Fit of the same values to the realised discounted returns, over steps whose episode terminated within the
    /// rollout; `None` without such an episode.
    pub critic_mc: Option<GoodnessOfFit>,
    /// Mean of entropy / ln(legal actions) over unforced samples: 1 is uniform, 0 deterministic.
    pub entropy_norm: f64,
    /// Mean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Norm of all parameters after the update.
    pub param_norm: f64,
    /// Norm of the parameter change in this iteration, relative to the norm before; shared trunk and actor together.
    pub actor_change: f64,
    /// Relative parameter change of shared trunk and critic together.
    pub critic_change: f64,
}

impl Iteration {
    /// Returns every statistic under its metric key: those of Stable-Baselines3, then `policy/` and `critic/`.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = Vec::with_capacity(32);
        metrics.extend(self.ep_len_mean.map(|mean| ("rollout/ep_len_mean", mean)));
        metrics.extend(self.ep_rew_mean.map(|mean| ("rollout/ep_rew_mean", mean)));
        if let Some(realised) = &self.critic_mc {
            metrics.extend([
                ("critic/calibration_slope_mc", realised.slope),
                ("critic/explained_variance_mc", realised.explained_variance),
            ]);
        }
        metrics.extend([
            ("time/iterations", self.iteration as f64),
            ("time/total_timesteps", self.timesteps as f64),
            ("train/approx_kl", self.approx_kl),
            ("train/approx_kl_max", self.approx_kl_max),
            ("train/clip_fraction", self.clip_fraction),
            ("train/clip_range", self.clip_range),
            ("train/ent_coef", self.ent_coef),
            ("train/entropy_loss", self.entropy_loss),
            ("train/explained_variance", self.critic.explained_variance),
            ("train/grad_norm", self.grad_norm),
            ("train/learning_rate", self.learning_rate),
            ("train/loss", self.loss),
            ("train/n_updates", self.n_updates as f64),
            ("train/param_change_actor", self.actor_change),
            ("train/param_change_critic", self.critic_change),
            ("train/param_norm", self.param_norm),
            ("train/policy_gradient_loss", self.policy_gradient_loss),
            ("train/value_loss", self.value_loss),
            ("policy/entropy_norm", self.entropy_norm),
            ("critic/calibration_slope", self.critic.slope),
            ("critic/pred_max", self.critic.pred_max),
            ("critic/pred_min", self.critic.pred_min),
            ("critic/pred_std", self.critic.pred_std),
            ("critic/target_std", self.critic.outcome_std),
            ("critic/variance_ratio", self.critic.variance_ratio),
        ]);
        metrics
    }
}
