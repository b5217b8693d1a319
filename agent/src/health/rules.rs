//! Verdict of one interval: rules applied one after the other, each with its evidence.

mod advice;
#[cfg(test)]
mod tests;

use market_env::{Action, Ledger};
use serde::{Deserialize, Serialize};
use statistics::ConfidenceInterval;

use self::advice::advice;
use super::{HealthConfig, Learner, Opportunity, OverfitGap, PolicyFigures, Verdict};
use crate::{
    AgentError, LayerActivity,
    format::{dollars, percent, thousands},
};

/// Normalised entropy below which a policy is deterministic: a zero KL divergence is then no sign of a frozen actor.
const MIN_NORMALISED_ENTROPY: f64 = 0.05;
/// Standard errors, for independent trades, beyond which a mean return is a gain or a loss. Trades of one session are
/// correlated, with about twice that error, hence 4 and not 2.
const CLEAR_T: f64 = 4.0;
/// Fewest trades of a usable mean return.
pub const FEW_TRADES: u64 = 30;
/// KL divergence of an update, in nats, beyond which it destroys the policy.
const KL_EXPLODING: f64 = 1.0;
/// KL divergence of an update, in nats, far outside the trust region.
const KL_DRIFTING: f64 = 0.1;
/// Variance across states at the level of rounding; an untrained policy has about a hundred times as much.
const MIN_POLICY_VARIANCE: f64 = 1e-8;
/// Growth of the variance across states per interval that shows that a policy starts to use its observation.
const MIN_VARIANCE_GROWTH: f64 = 1.5;
/// Value loss at the level of rounding.
const ROUNDING_LOSS: f64 = 1e-12;
/// Share of refused orders beyond which the actions of a policy have no consequence.
const MOSTLY_REFUSED: f64 = 0.5;
/// Share of dormant units beyond which a layer has lost its capacity to learn.
const MOSTLY_DORMANT: f64 = 0.6;

/// Verdict of one interval with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntervalVerdict {
    /// The verdict of this interval alone.
    pub verdict: Verdict,
    /// Sentences with the figures behind the verdict.
    pub evidence: Vec<String>,
    /// Remedies, where there are any.
    pub advice: Vec<String>,
}

impl IntervalVerdict {
    /// Returns the verdict of a training with a non-finite number; the error names it and the step.
    pub fn broken(error: &AgentError) -> Self {
        let verdict = Verdict::Exploding;
        let advice = advice(verdict).iter().map(|&text| text.to_owned()).collect();
        Self { verdict, evidence: vec![error.to_string()], advice }
    }
}

/// Reference figures of earlier intervals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingBaseline {
    /// Smallest mean value loss of an interval, and that of the first.
    loss: Option<f64>,
    first_loss: Option<f64>,
    /// Learning rate in the first interval.
    rate: Option<f64>,
    /// True once entries have clearly earned in some interval.
    earned: bool,
    /// Norm of the parameters after the first interval.
    norm: Option<f64>,
    /// Variance across states in the interval before.
    variance: Option<f64>,
    /// Mean value loss of the interval before.
    before: Option<f64>,
}

impl TrainingBaseline {
    /// Returns the relative change of the value loss since the interval before.
    pub(crate) fn loss_change(&self, learner: &Learner) -> Option<f64> {
        self.before.filter(|&before| before > 0.0).map(|before| learner.value_loss / before - 1.0)
    }

    /// Records the update statistics and the variance across states of an interval.
    pub(crate) fn note(&mut self, learner: &Learner, variance: Option<f64>, earned: bool) {
        self.earned |= earned;
        self.rate.get_or_insert(learner.learning_rate);
        self.first_loss.get_or_insert(learner.value_loss);
        self.variance = variance;
        self.before = Some(learner.value_loss);
        self.loss = Some(self.loss.map_or(learner.value_loss, |calm| calm.min(learner.value_loss)));
        self.norm.get_or_insert(learner.param_norm);
    }
}

/// Inputs of the rules.
pub(crate) struct RuleInputs<'a> {
    pub(crate) config: &'a HealthConfig,
    pub(crate) interval: &'a Ledger,
    pub(crate) dependence: Option<ConfidenceInterval>,
    pub(crate) policy: PolicyFigures,
    pub(crate) learner: Option<&'a Learner>,
    pub(crate) layers: &'a [LayerActivity],
    pub(crate) gap: Option<OverfitGap>,
    pub(crate) calm: TrainingBaseline,
}

type Found = Option<(Verdict, Vec<String>)>;

impl RuleInputs<'_> {
    /// Applies the rules. `opportunity` is evaluated only when the policy stays out.
    pub(crate) fn read(&self, opportunity: &mut dyn FnMut() -> Opportunity) -> IntervalVerdict {
        let found = self
            .exploding()
            .or_else(|| self.frozen())
            .or_else(|| self.too_little())
            .or_else(|| self.collapsed(opportunity))
            .or_else(|| self.blind())
            .or_else(|| self.unrewarded())
            .or_else(|| self.drifting());
        let (verdict, mut evidence) = found.unwrap_or((Verdict::Healthy, Vec::new()));
        evidence.push(self.shares());
        let advice = advice(verdict).iter().map(|&text| text.to_owned()).collect();
        IntervalVerdict { verdict, evidence, advice }
    }

    fn exploding(&self) -> Found {
        let learner = self.learner.filter(|learner| learner.iterations > 0)?;
        let factor = self.config.explode_factor;
        let mut evidence = Vec::new();
        // An interval with few trades has a small loss, which is no reference.
        let floor = self.calm.first_loss.map_or(0.0, |first| first / factor);
        if let Some(calm) = self.calm.loss.map(|calm| calm.max(floor)).filter(|&calm| calm > 0.0) {
            let growth = learner.value_loss / calm;
            let wrong = learner.explained_variance < -1.0;
            if growth > factor * factor || (growth > factor && wrong) {
                evidence.push(format!(
                    "the value loss of {:.3e} is {growth:.0} times the smallest of an earlier interval; explained variance {:.2}",
                    learner.value_loss, learner.explained_variance
                ));
            }
        }
        if learner.kl > KL_EXPLODING {
            evidence.push(format!("the mean KL divergence of an update is {:.2} nats", learner.kl));
        }
        if let Some(first) = self.calm.norm.filter(|&first| learner.param_norm > factor * first) {
            let growth = learner.param_norm / first;
            evidence.push(format!("the parameter norm has grown to {growth:.0} times that after the first interval"));
        }
        (!evidence.is_empty()).then_some((Verdict::Exploding, evidence))
    }

    fn frozen(&self) -> Found {
        let learner = self.learner.filter(|learner| learner.iterations > 0)?;
        let config = self.config;
        // A schedule that lowers the learning rate lowers the movement too.
        let planned = self.calm.rate.map_or(1.0, |first| learner.learning_rate / first);
        let mut evidence = Vec::new();
        let undecided = self.policy.entropy_norm.is_some_and(|entropy| entropy > MIN_NORMALISED_ENTROPY);
        // A deterministic actor has no gradient left: a collapse, or optimal.
        let actor = undecided.then_some(("actor", learner.actor_change));
        for (name, change) in actor.into_iter().chain([("critic", learner.critic_change)]) {
            if change < config.frozen_change * planned {
                evidence.push(format!(
                    "the {name} parameters change by {change:.1e} of their norm per iteration (threshold {:.0e})",
                    config.frozen_change
                ));
            }
        }
        // The KL divergence of a minibatch is measured before its own step: with one minibatch it is zero.
        if undecided && learner.minibatches > 1 && learner.kl < config.frozen_kl * planned * planned {
            evidence.push(format!(
                "the mean KL divergence of an update is {:.1e} nats, though the policy is not deterministic (entropy {:.2} of its maximum)",
                learner.kl,
                self.policy.entropy_norm.unwrap_or_default()
            ));
        }
        if learner.value_loss <= ROUNDING_LOSS && self.interval.opened > 0 {
            evidence
                .push(format!("the value loss is {:.1e}: the critic has nothing left to learn", learner.value_loss));
        }
        if learner.constant {
            evidence.push(format!(
                "the critic predicts the same value for every state: standard deviation {:.1e}, that of its targets {:.1e}",
                learner.pred_std, learner.target_std
            ));
        }
        if let Some(change) = learner.loss_change.filter(|_| !evidence.is_empty()) {
            evidence.push(format!("the value loss changed by {change:+.1e} of its size since the interval before"));
        }
        (!evidence.is_empty()).then_some((Verdict::Frozen, evidence))
    }

    fn too_little(&self) -> Found {
        let decisions = self.interval.flat_steps();
        (decisions < self.config.min_decisions).then(|| {
            let share = self.interval.held_steps as f64 / self.interval.steps.max(1) as f64;
            let text = format!(
                "only {} decisions of flat accounts: positions are open for {} of the time",
                thousands(decisions),
                percent(Some(share))
            );
            (Verdict::Inconclusive, vec![text])
        })
    }

    /// Returns the share of an action in the decisions of flat accounts.
    fn share(&self, action: Action) -> f64 {
        self.interval.flat(action) as f64 / self.interval.flat_steps().max(1) as f64
    }

    fn collapsed(&self, opportunity: &mut dyn FnMut() -> Opportunity) -> Found {
        let (hold, limit) = (self.share(Action::Hold), self.config.collapse_share);
        if hold >= limit && !self.earns() {
            if self.calm.earned {
                let evidence = "entries clearly earned in an earlier interval of this training".to_owned();
                return Some((Verdict::Collapsed(Action::Hold), vec![evidence]));
            }
            return Some(match opportunity() {
                Opportunity::Earns(who) => (Verdict::Collapsed(Action::Hold), vec![who]),
                Opportunity::Loses(why) => (Verdict::HoldIsOptimal, vec![why]),
                Opportunity::Unclear(why) => (Verdict::Inconclusive, vec![why]),
            });
        }
        let calls = self.share(Action::BuyCall) >= self.share(Action::BuyPut);
        let most = if calls { Action::BuyCall } else { Action::BuyPut };
        let limit = if self.loses() { self.config.farmed_share } else { limit };
        (1.0 - hold >= limit && !self.earns()).then(|| {
            let paid = self.trade_return().unwrap_or_else(|| "too few trades for a mean return".to_owned());
            (
                Verdict::Collapsed(most),
                vec![format!("flat accounts buy in {} of their decisions; {paid}", percent(Some(1.0 - hold)))],
            )
        })
    }

    fn earns(&self) -> bool {
        earns(self.interval)
    }

    /// Returns whether entries clearly lost money.
    fn loses(&self) -> bool {
        let (mean, error) = self.interval.mean_trade_return().unwrap_or_default();
        self.interval.closed() >= FEW_TRADES && mean < -CLEAR_T * error
    }

    fn trade_return(&self) -> Option<String> {
        let (mean, error) = self.interval.mean_trade_return().filter(|_| self.interval.closed() >= FEW_TRADES)?;
        let verb = if mean < 0.0 { "lose" } else { "earn" };
        Some(format!("entries {verb} {} (± {}) after costs", percent(Some(mean.abs())), percent(Some(error))))
    }

    fn blind(&self) -> Found {
        let variance = self.policy.variance.filter(|&variance| variance <= self.config.blind_variance)?;
        let warm = self.learner.is_some_and(|learner| learner.iteration > self.config.warm_up);
        // The variance of a slow start grows from interval to interval.
        let variance_grows = self
            .calm
            .variance
            .is_some_and(|before| before > MIN_POLICY_VARIANCE && variance > MIN_VARIANCE_GROWTH * before);
        (warm && !variance_grows).then(|| {
            let text = format!(
                "the variance of action probabilities across flat states is at most {variance:.1e} (threshold {:.0e})",
                self.config.blind_variance
            );
            (Verdict::StateBlind, vec![text])
        })
    }

    /// Returns a finding where trades were rewarded with nothing at all.
    fn unrewarded(&self) -> Found {
        (self.interval.opened > 0 && self.interval.reward_terms_abs.total() == 0.0).then(|| {
            let trades = thousands(self.interval.opened);
            let text = format!("every reward was zero, with {trades} trades: there is nothing to learn (env.reward)");
            (Verdict::Inconclusive, vec![text])
        })
    }

    /// Returns evidence that most orders were refused, if they were.
    fn refused(&self) -> Option<String> {
        let Ledger { refused_orders: refused, unaffordable_orders: poor, opened, .. } = *self.interval;
        let share = refused as f64 / (opened + refused).max(1) as f64;
        (opened + refused >= FEW_TRADES && share > MOSTLY_REFUSED).then(|| {
            let cause = if 2 * poor > refused {
                "the account cannot pay for one contract (env.account.capital)"
            } else {
                "there was no quote"
            };
            format!("{} of {} orders were refused: {cause}", percent(Some(share)), thousands(opened + refused))
        })
    }

    fn drifting(&self) -> Found {
        let config = self.config;
        let mut evidence = Vec::new();
        let (hold, earns) = (self.share(Action::Hold), self.earns());
        if hold >= config.drift_share {
            evidence.push(format!("HOLD is {} of flat decisions", percent(Some(hold))));
        }
        if 1.0 - hold >= config.drift_share && !earns {
            let paid = self.trade_return().map_or_else(String::new, |text| format!("; {text}"));
            evidence.push(format!("BUY is {} of flat decisions{paid}", percent(Some(1.0 - hold))));
        }
        if let Some(entropy) = self.policy.entropy_norm.filter(|&entropy| entropy < config.drift_entropy && !earns) {
            evidence.push(format!("entropy is {entropy:.3} of its maximum: there is little exploration left"));
        }
        if let Some(dependence) = self.dependence.filter(|dependence| dependence.high < 0.0 && !earns) {
            evidence.push(format!(
                "the BUY share is lower on strong setups than on weak ones: {} (95% interval {} to {})",
                percent(Some(dependence.value)),
                percent(Some(dependence.low)),
                percent(Some(dependence.high))
            ));
        }
        evidence.extend(self.paid_for_losses().into_iter().chain(self.refused()));
        if let Some(learner) = self.learner.filter(|learner| learner.kl > KL_DRIFTING) {
            evidence.push(format!("the mean KL divergence of an update is {:.3} nats", learner.kl));
        }
        for layer in self.layers.iter().filter(|layer| layer.dormant > MOSTLY_DORMANT) {
            evidence.push(format!("{} of the units of {} are dormant", percent(Some(layer.dormant)), layer.name));
        }
        if let Some(gap) = self.gap.filter(OverfitGap::rings) {
            evidence.push(format!("overfit at step {}: {gap}", thousands(gap.step)));
        }
        (!evidence.is_empty()).then_some((Verdict::Drifting, evidence))
    }

    /// Returns evidence that the shaping rewards losing entries, if it does.
    fn paid_for_losses(&self) -> Option<String> {
        let reward = self.interval.reward_terms.total();
        (reward > 0.0 && self.loses()).then(|| {
            let lost = dollars(-self.interval.net_pnl_cents);
            format!("the shaping rewards losses: reward {reward:+.1} for entries that lost {lost} (zerodte audit-reward shows the term)")
        })
    }

    /// Returns the action shares, part of the evidence of every verdict.
    fn shares(&self) -> String {
        let share = |action| percent(Some(self.share(action)));
        format!(
            "flat HOLD {} CALL {} PUT {} over {} decisions",
            share(Action::Hold),
            share(Action::BuyCall),
            share(Action::BuyPut),
            thousands(self.interval.flat_steps())
        )
    }
}

/// Returns whether entries clearly earned money.
pub(crate) fn earns(interval: &Ledger) -> bool {
    let (mean, error) = interval.mean_trade_return().unwrap_or_default();
    interval.closed() >= FEW_TRADES && mean > CLEAR_T * error
}
