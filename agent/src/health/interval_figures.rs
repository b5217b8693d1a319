//! Figures of one diagnostics interval that the rules read: policy, learner, opportunity, overfit gap.

use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::mean;

use crate::{Iteration, format::percent};

/// Policy probabilities over every decision of an interval, averaged over all actions, chosen or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyFigures {
    /// Largest variance of any action's probability over flat states, at fixed parameters; 0 for a policy that ignores
    /// its observation.
    pub variance: Option<f64>,
    /// Mean of entropy / ln(legal actions) over states with a choice.
    pub entropy_norm: Option<f64>,
    /// Mean of the largest probability in flat states.
    pub max_prob: Option<f64>,
    /// Actions outside the mask; anything but 0 is a bug.
    pub illegal: u64,
}

/// Update statistics of an interval. Means and extremes are over its iterations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    /// Iterations in the interval; 0 if the figures are of an earlier interval.
    pub iterations: u64,
    /// Iterations since the start.
    pub iteration: u64,
    /// Minibatches of the last update.
    pub minibatches: u64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Mean approximate KL divergence of an update, in nats.
    pub kl: f64,
    /// Largest approximate KL divergence of a minibatch, in nats.
    pub kl_max: f64,
    /// Mean share of clipped samples.
    pub clip_fraction: f64,
    /// Mean squared error of the critic.
    pub value_loss: f64,
    /// Relative change of the value loss since the interval before.
    pub loss_change: Option<f64>,
    /// Mean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Norm of the parameters after the last update.
    pub param_norm: f64,
    /// Mean relative change of trunk and actor in an iteration.
    pub actor_change: f64,
    /// Mean relative change of trunk and critic in an iteration.
    pub critic_change: f64,
    /// Explained variance of the training targets of the critic.
    pub explained_variance: f64,
    /// Explained variance of the realised returns (Monte Carlo).
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
    /// True if the values were constant in every iteration.
    pub constant: bool,
    /// Entropy coefficient of the last update.
    pub ent_coef: f64,
}

impl Learner {
    /// Aggregates iterations; `None` without any.
    pub(crate) fn of(iterations: &[Iteration]) -> Option<Self> {
        let last = iterations.last()?;
        let mean_of = |figure: fn(&Iteration) -> f64| mean(iterations.iter().map(figure));
        let most = |figure: fn(&Iteration) -> f64| iterations.iter().map(figure).fold(f64::NEG_INFINITY, f64::max);
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

/// Evidence on the profit of entries on the training sessions, from any strategy: it shows whether staying out is
/// right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opportunity {
    /// A strategy without look-ahead earns here, so that staying out forgoes money. The text names it with its profit.
    Earns(String),
    /// Entries lose here, and no strategy was found that earns.
    Loses(String),
    /// The evidence is inconclusive.
    Unclear(String),
}

/// Trade returns on the training sessions and on the validation sessions, each beside those of random-legal trades of the
/// same sessions.
///
/// The dates differ between the two, and with them prices and costs. The random-legal policy carries that difference, so that
/// the rest is about the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverfitGap {
    /// Lane-steps at the time of the validation replay.
    pub step: u64,
    /// Mean net return per trade in training since the replay before.
    pub train: f64,
    /// Mean net return per trade on the validation dates, with sampled actions.
    pub validation: f64,
    /// Mean net return of random-legal trades of the same training sessions.
    #[serde(default)]
    pub train_random: f64,
    /// Mean net return of random-legal trades of the validation sessions.
    #[serde(default)]
    pub validation_random: f64,
    /// Standard error of the gap, by session date.
    pub error: f64,
    /// Standard errors beyond which the gap is no chance: 3 for many dates, more for few.
    #[serde(default = "many_dates")]
    pub limit: f64,
}

/// Returns the limit of a comparison over many dates.
fn many_dates() -> f64 {
    3.0
}

impl OverfitGap {
    /// Returns how much more than random-legal the policy earns per trade in training than on the validation dates.
    pub fn gap(&self) -> f64 {
        (self.train - self.train_random) - (self.validation - self.validation_random)
    }

    /// Returns the gap in standard errors; a large positive value means overfitting.
    pub fn z(&self) -> f64 {
        self.gap() / self.error.max(f64::MIN_POSITIVE)
    }

    /// Returns whether the policy earns clearly more in training than on the validation dates.
    pub fn rings(&self) -> bool {
        self.z() > self.limit
    }
}

impl fmt::Display for OverfitGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, train_random] = [self.train, self.train_random].map(|mean| percent(Some(mean)));
        let [validation, validation_random] = [self.validation, self.validation_random].map(|mean| percent(Some(mean)));
        write!(
            f,
            "a trade returns {train} in training (random-legal {train_random}), {validation} on the validation dates \
             (random-legal {validation_random}); gap {}, z {:.1} of {:.1}",
            percent(Some(self.gap())),
            self.z(),
            self.limit
        )
    }
}
