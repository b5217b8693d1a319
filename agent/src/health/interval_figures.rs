//! Figures of one diagnostics interval that the rules judge: policy, learner, opportunity, overfit gap.

use serde::{Deserialize, Serialize};
use statistics::mean;

use crate::Iteration;

/// The policy's probabilities over every decision of an interval, chosen or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyFigures {
    /// Largest variance over flat states, of any action's probability, while the parameters stayed the same; 0 is a policy
    /// that does not look.
    pub variance: Option<f64>,
    /// Mean of entropy / ln(legal actions) over states with a choice.
    pub entropy_norm: Option<f64>,
    /// Mean of the largest probability in flat states.
    pub max_prob: Option<f64>,
    /// Actions that the mask forbade; anything but 0 is a fault of this program.
    pub illegal: u64,
}

/// The updates of an interval. Means are over its iterations, the extremes are of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    /// Iterations in the interval; 0 where the figures are of an earlier one.
    pub iterations: u64,
    /// Iterations since the start.
    pub iteration: u64,
    /// Minibatches of the last update.
    pub minibatches: u64,
    /// Adam's step size in the last update.
    pub learning_rate: f64,
    /// Mean divergence of an update, in nats.
    pub kl: f64,
    /// Largest divergence of a minibatch.
    pub kl_max: f64,
    /// Mean share of clipped samples.
    pub clip_fraction: f64,
    /// Mean squared error of the critic.
    pub value_loss: f64,
    /// Its change since the interval before, as a share of what it was.
    pub loss_change: Option<f64>,
    /// Mean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Norm of the parameters after the last update.
    pub param_norm: f64,
    /// Mean relative change of trunk and actor in an iteration.
    pub actor_change: f64,
    /// Mean relative change of trunk and critic in an iteration.
    pub critic_change: f64,
    /// Explained variance against the targets that the critic learns.
    pub explained_variance: f64,
    /// Explained variance against what really came.
    pub explained_variance_mc: Option<f64>,
    /// Var(value) / Var(target).
    pub variance_ratio: f64,
    /// Slope of targets on values.
    pub slope: f64,
    /// Standard deviation of the values.
    pub pred_std: f64,
    /// Smallest and largest value.
    pub pred_range: (f64, f64),
    /// Standard deviation of the targets.
    pub target_std: f64,
    /// Whether every iteration's values were one constant.
    pub constant: bool,
    /// Weight of the entropy bonus in the last update.
    pub ent_coef: f64,
}

impl Learner {
    /// Sums up some iterations; nothing for none.
    pub(crate) fn of(iterations: &[Iteration]) -> Option<Self> {
        let last = iterations.last()?;
        let mean_of = |of: fn(&Iteration) -> f64| mean(iterations.iter().map(of));
        let most = |of: fn(&Iteration) -> f64| iterations.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let realised: Vec<f64> =
            iterations.iter().filter_map(|i| Some(i.critic_mc.as_ref()?.explained_variance)).collect();
        Some(Self {
            iterations: iterations.len() as u64,
            iteration: last.iteration,
            minibatches: last.minibatches,
            learning_rate: last.learning_rate,
            kl: mean_of(|i| i.approx_kl),
            kl_max: most(|i| i.approx_kl_max),
            clip_fraction: mean_of(|i| i.clip_fraction),
            value_loss: mean_of(|i| i.value_loss),
            loss_change: None,
            grad_norm: mean_of(|i| i.grad_norm),
            param_norm: last.param_norm,
            actor_change: mean_of(|i| i.actor_change),
            critic_change: mean_of(|i| i.critic_change),
            explained_variance: mean_of(|i| i.critic.explained_variance),
            explained_variance_mc: (!realised.is_empty()).then(|| mean(&realised)),
            variance_ratio: mean_of(|i| i.critic.variance_ratio),
            slope: mean_of(|i| i.critic.slope),
            pred_std: mean_of(|i| i.critic.pred_std),
            pred_range: (-most(|i| -i.critic.pred_min), most(|i| i.critic.pred_max)),
            target_std: mean_of(|i| i.critic.outcome_std),
            constant: iterations.iter().all(|i| i.critic.is_constant()),
            ent_coef: last.ent_coef,
        })
    }
}

/// What entries earn on the sessions of the training, whoever makes them: whether a policy that stays out is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opportunity {
    /// Somebody who knows nothing of the future earns here: who stays out leaves it. The sentence says who, and how much.
    Earns(String),
    /// Entries lose here, and nobody was found who earns.
    Loses(String),
    /// The evidence does not tell.
    Unclear(String),
}

/// What the policy earns on the sessions that it learns from, beside those that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverfitGap {
    /// Lane-steps at which the validation dates were replayed.
    pub step: u64,
    /// Mean net return of a trade in training since the replay before.
    pub train: f64,
    /// The same on the validation dates, actions sampled as in training.
    pub validation: f64,
    /// Standard error of their difference.
    pub error: f64,
}

impl OverfitGap {
    /// Returns the difference, in standard errors; large and positive, the policy has learned its sessions by heart.
    pub fn z(&self) -> f64 {
        (self.train - self.validation) / self.error.max(f64::MIN_POSITIVE)
    }
}
