//! Verdict of one interval: rules applied one after the other, each with its evidence.

use market_env::{Action, Ledger};
use serde::{Deserialize, Serialize};
use statistics::ConfidenceInterval;

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
/// Standard errors beyond which training and validation differ.
const OVERFIT_T: f64 = 3.0;
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
        if let Some(text) = self.paid_for_losses() {
            evidence.push(text);
        }
        if let Some(learner) = self.learner.filter(|learner| learner.kl > KL_DRIFTING) {
            evidence.push(format!("the mean KL divergence of an update is {:.3} nats", learner.kl));
        }
        for layer in self.layers.iter().filter(|layer| layer.dormant > MOSTLY_DORMANT) {
            evidence.push(format!("{} of the units of {} are dormant", percent(Some(layer.dormant)), layer.name));
        }
        if let Some(gap) = self.gap.filter(|gap| gap.z() > OVERFIT_T) {
            evidence.push(format!(
                "at step {} the mean trade return was {} in training and {} on the validation dates: z {:.1}",
                thousands(gap.step),
                percent(Some(gap.train)),
                percent(Some(gap.validation)),
                gap.z()
            ));
        }
        (!evidence.is_empty()).then_some((Verdict::Drifting, evidence))
    }

    /// Returns evidence that the shaping rewards losing entries, if it does.
    fn paid_for_losses(&self) -> Option<String> {
        let reward: f64 = self.interval.reward_terms.iter().sum();
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

/// Returns the remedies for a verdict.
fn advice(verdict: Verdict) -> &'static [&'static str] {
    match verdict {
        Verdict::Collapsed(Action::Hold) => &[
            "raise --ent-coef by 0.02 (0.06, 0.08, 0.10), or use --ent-coef auto",
            "raise env.reward.good_buy_* and lower env.reward.missed_opportunity, or use --on-collapse adapt",
        ],
        Verdict::Collapsed(_) => &[
            "the shaping outweighs money: lower env.reward.good_buy_*, raise env.reward.pnl_scale, or use configs/pnl.toml",
            "run zerodte audit-reward to find the term that rewards losing entries",
        ],
        Verdict::StateBlind => &[
            "raise --learning-rate, and check that the features vary (zerodte explain shows the inputs of a policy)",
            "lower --ent-coef if it outweighs the advantages",
        ],
        Verdict::Frozen => &[
            "set ppo.weight_decay to 0 and raise --learning-rate; a constant critic can come from vf_coef 0 or saturated units",
        ],
        Verdict::Exploding => {
            &["lower --learning-rate or ppo.max_grad_norm, set --target-kl, and check the rewards for outliers"]
        }
        Verdict::HoldIsOptimal => &[
            "no strategy was found that earns here, so more exploration would only cost money: find an edge or lower the costs first",
        ],
        Verdict::Drifting | Verdict::Healthy | Verdict::Inconclusive => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::monitor::tests::learner;

    struct Case {
        config: HealthConfig,
        interval: Ledger,
        policy: PolicyFigures,
        learner: Learner,
        calm: TrainingBaseline,
        opportunity: Opportunity,
    }

    fn flat(hold: u64, call: u64, put: u64) -> [[u64; 6]; 3] {
        [[hold, call, put, 0, 0, 0], [0; 6], [0; 6]]
    }

    impl Case {
        fn healthy() -> Self {
            let policy =
                PolicyFigures { variance: Some(1e-3), entropy_norm: Some(0.7), max_prob: Some(0.6), illegal: 0 };
            Self {
                config: HealthConfig::default(),
                interval: Ledger { flat_actions: flat(400, 300, 300), steps: 5000, ..Ledger::default() },
                policy,
                learner: learner(),
                calm: TrainingBaseline { loss: Some(0.04), norm: Some(20.0), ..TrainingBaseline::default() },
                opportunity: Opportunity::Unclear("nobody knows".into()),
            }
        }

        fn read(&self) -> IntervalVerdict {
            let figures = RuleInputs {
                config: &self.config,
                interval: &self.interval,
                dependence: None,
                policy: self.policy,
                learner: Some(&self.learner),
                layers: &[],
                gap: None,
                calm: self.calm,
            };
            figures.read(&mut || self.opportunity.clone())
        }

        fn verdict(change: impl FnOnce(&mut Self)) -> String {
            let mut case = Self::healthy();
            change(&mut case);
            let reading = case.read();
            assert!(!reading.evidence.is_empty());
            assert_eq!(reading.advice.is_empty(), advice(reading.verdict).is_empty());
            reading.verdict.to_string()
        }
    }

    #[test]
    fn every_verdict_has_its_rule() {
        assert_eq!(Case::verdict(|_| ()), "healthy");
        assert_eq!(Case::verdict(|case| case.interval.flat_actions = flat(930, 40, 30)), "drifting");
        assert_eq!(Case::verdict(|case| case.policy.entropy_norm = Some(0.1)), "drifting");
        assert_eq!(Case::verdict(|case| case.policy.variance = Some(1e-6)), "state_blind");
        assert_eq!(Case::verdict(|case| case.learner.actor_change = 1e-6), "frozen");
        assert_eq!(Case::verdict(|case| case.learner.constant = true), "frozen");
        assert_eq!(Case::verdict(|case| case.learner.kl = 1e-10), "frozen");
        let idle = |case: &mut Case| case.learner.value_loss = 0.0;
        assert_eq!(Case::verdict(idle), "healthy", "no trades, no loss");
        assert_eq!(Case::verdict(|case| (idle(case), case.interval.opened = 1).1), "frozen");
        assert_eq!(Case::verdict(|case| case.learner.param_norm = 700.0), "exploding");
        assert_eq!(Case::verdict(|case| case.learner.value_loss = 40.0), "exploding");
        assert_eq!(Case::verdict(|case| case.learner.kl = 60.0), "exploding");
        assert_eq!(Case::verdict(|case| case.interval.flat_actions = flat(10, 5, 5)), "inconclusive");
        assert_eq!(Case::verdict(|case| case.interval.flat_actions = flat(5, 700, 295)), "collapsed:BUY_CALL");
        assert_eq!(Case::verdict(|case| case.interval.flat_actions = flat(5, 0, 995)), "collapsed:BUY_PUT");
    }

    #[test]
    fn a_policy_that_holds_is_judged_by_what_entries_earn() {
        let holding = |opportunity: Opportunity| {
            Case::verdict(|case| (case.interval.flat_actions, case.opportunity) = (flat(995, 3, 2), opportunity))
        };
        assert_eq!(holding(Opportunity::Earns("somebody".into())), "collapsed:HOLD");
        assert_eq!(holding(Opportunity::Loses("everybody".into())), "hold_is_optimal");
        assert_eq!(holding(Opportunity::Unclear("noise".into())), "inconclusive");
    }

    #[test]
    fn always_buying_is_no_collapse_if_it_earns() {
        let always = |returns: f64| {
            Case::verdict(|case| {
                case.interval.flat_actions = flat(5, 700, 295);
                (case.interval.exits[0], case.interval.trade_return) = (900, 900.0 * returns);
                case.interval.trade_return_squares = 900.0 * 0.04;
            })
        };
        assert_eq!([always(0.05), always(0.0), always(-0.05)], ["healthy", "collapsed:BUY_CALL", "collapsed:BUY_CALL"]);
        let farming = |returns: f64| {
            Case::verdict(|case| {
                case.interval.flat_actions = flat(40, 200, 760);
                (case.interval.exits[0], case.interval.trade_return) = (900, 900.0 * returns);
                case.interval.trade_return_squares = 900.0 * 0.04;
            })
        };
        assert_eq!([farming(0.0), farming(-0.05)], ["drifting", "collapsed:BUY_PUT"]);
    }

    #[test]
    fn an_ending_schedule_and_a_single_minibatch_are_not_frozen() {
        let ending = |case: &mut Case, rate: f64| {
            (case.calm.rate, case.learner.learning_rate) = (Some(3e-5), rate);
            (case.learner.actor_change, case.learner.critic_change, case.learner.kl) = (1e-6, 1e-6, 1e-10);
        };
        assert_eq!(Case::verdict(|case| ending(case, 3e-5)), "frozen");
        assert_eq!(Case::verdict(|case| ending(case, 1e-6)), "healthy");
        assert_eq!(Case::verdict(|case| ending(case, 0.0)), "healthy");
        let single = |case: &mut Case| (case.learner.kl, case.learner.minibatches) = (0.0, 1);
        assert_eq!(Case::verdict(single), "healthy");
    }

    #[test]
    fn a_quiet_interval_is_no_reference_for_an_explosion() {
        let woken = |first: f64| {
            Case::verdict(|case| {
                (case.calm.loss, case.calm.first_loss) = (Some(1e-6), Some(first));
                case.learner.value_loss = 0.05;
            })
        };
        assert_eq!([woken(0.04), woken(1e-6)], ["healthy", "exploding"]);
    }

    #[test]
    fn holding_after_profitable_entries_is_a_collapse() {
        let stays = |earned: bool| {
            Case::verdict(|case| {
                (case.interval.flat_actions, case.calm.earned) = (flat(995, 3, 2), earned);
                case.opportunity = Opportunity::Loses("everybody".into());
            })
        };
        assert_eq!([stays(false), stays(true)], ["hold_is_optimal", "collapsed:HOLD"]);
    }

    #[test]
    fn shaping_that_rewards_losses_is_drifting() {
        let paid = |bonus: f64| {
            Case::verdict(|case| {
                (case.interval.exits[0], case.interval.trade_return) = (900, -45.0);
                (case.interval.trade_return_squares, case.interval.reward_terms) =
                    (36.0, [-135.0, bonus, 0.0, 0.0, 0.0]);
            })
        };
        assert_eq!([paid(140.0), paid(130.0)], ["drifting", "healthy"]);
    }

    #[test]
    fn a_deterministic_policy_is_not_frozen_and_a_young_one_is_not_blind() {
        let decided = |case: &mut Case| {
            (case.learner.kl, case.policy.entropy_norm) = (0.0, Some(0.001));
            case.interval.flat_actions = flat(995, 3, 2);
        };
        assert_eq!(Case::verdict(decided), "inconclusive");
        let young = |case: &mut Case| (case.policy.variance, case.learner.iteration) = (Some(1e-6), 3);
        assert_eq!(Case::verdict(young), "healthy");
        let waking = |case: &mut Case| (case.policy.variance, case.calm.variance) = (Some(1e-6), Some(5e-7));
        assert_eq!(Case::verdict(waking), "healthy");
        // An interval without an update has no evidence on the learner.
        let idle = |case: &mut Case| (case.learner.iterations, case.learner.actor_change) = (0, 0.0);
        assert_eq!(Case::verdict(idle), "healthy");
    }

    #[test]
    fn a_small_but_real_spread_of_the_critic_is_healthy() {
        // A false alarm of a sister project: a calibrated critic that explains 0.4 % has 6 % of the standard deviation
        // of its targets.
        let small = |case: &mut Case| {
            (case.learner.variance_ratio, case.learner.explained_variance) = (0.004, 0.004);
            (case.learner.pred_std, case.learner.target_std) = (0.0126, 0.2);
        };
        assert_eq!(Case::verdict(small), "healthy");
    }
}
