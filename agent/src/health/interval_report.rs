//! Report of one diagnostics interval, the source of its log lines, metrics and verdict.

use market_env::{Action, Ledger, PerTerm, RewardTerm, Setup};
use statistics::{ConfidenceInterval, ratio};

use super::{IntervalVerdict, Verdict};
use crate::{
    LayerActivity,
    health::{
        interval_figures::{Learner, OverfitGap, PolicyFigures},
        log_block,
        trade_money::TradeMoney,
    },
};

/// Every figure of one diagnostics interval.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalReport {
    /// Lane-steps at the end of the interval.
    pub step: u64,
    /// Counters of the environment for this interval.
    pub interval: Ledger,
    /// Counters since step 0.
    pub total: Ledger,
    /// P(buy | strong) - P(buy | weak) with its confidence interval; `None` for too few sessions.
    pub dependence: Option<ConfidenceInterval>,
    /// Policy figures of the interval.
    pub policy: PolicyFigures,
    /// Policy figures since step 0.
    pub policy_total: PolicyFigures,
    /// Update statistics of the interval, or of the last interval with an update.
    pub learner: Option<Learner>,
    /// Activity of the hidden layers after the last iteration.
    pub layers: Vec<LayerActivity>,
    /// Training against validation returns, after a validation replay.
    pub gap: Option<OverfitGap>,
    /// Money of the interval's trades; `None` without trades or without a random-legal policy to compare with.
    pub money: Option<TradeMoney>,
    /// Counters of the random-legal policy on the training sessions.
    pub random: Option<Ledger>,
    /// Verdict of this interval alone.
    pub interval_verdict: IntervalVerdict,
    /// Confirmed verdict, and the step since which it holds.
    pub confirmed: (Verdict, u64),
}

impl IntervalReport {
    /// Returns the verdict to act on: the confirmed one, unless this interval alone shows no alarm, so that a
    /// recovering training is left alone.
    pub fn acting_verdict(&self) -> Verdict {
        if self.interval_verdict.verdict.is_alarm() { self.confirmed.0 } else { self.interval_verdict.verdict }
    }

    /// Returns the share of entries on strong setups in the direction of the setup.
    pub fn direction_accuracy(ledger: &Ledger) -> Option<f64> {
        let count = |setup: Setup, action: Action| ledger.flat_actions[setup as usize][action.index()] as f64;
        let right = count(Setup::BullStrong, Action::BuyCall) + count(Setup::BearStrong, Action::BuyPut);
        ratio(right, ledger.strong_buys() as f64)
    }

    /// Returns every figure under its metric key. The window is the interval unless the key says otherwise. No key is one of
    /// [`Iteration::metrics`](crate::Iteration::metrics), whose window is an iteration: a chart of a key has one window.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let mut metrics = log_block::metrics(&self.interval, &self.total);
        let mut put = |key: String, value: Option<f64>| metrics.extend(value.map(|value| (key, value)));
        for (space, setup) in [("bull", Setup::BullStrong), ("bear", Setup::BearStrong), ("weak", Setup::Weak)] {
            let all = self.interval.flat_steps_in(setup) as f64;
            for (name, action) in [("hold", Action::Hold), ("buy_call", Action::BuyCall), ("buy_put", Action::BuyPut)] {
                let count = self.interval.flat_actions[setup as usize][action.index()] as f64;
                put(format!("actions_{space}/frac_{name}"), ratio(count, all));
            }
        }
        put("actions_strong/state_dependence_low".into(), self.dependence.map(|interval| interval.low));
        put("actions_strong/state_dependence_high".into(), self.dependence.map(|interval| interval.high));
        put("actions_strong/direction_accuracy".into(), Self::direction_accuracy(&self.interval));
        put("actions_strong_cum/direction_accuracy".into(), Self::direction_accuracy(&self.total));
        put("policy/variance_across_states".into(), self.policy.variance);
        put("policy_interval/entropy_norm".into(), self.policy.entropy_norm);
        put("policy/max_prob_mean".into(), self.policy.max_prob);
        put("policy_cum/variance_across_states".into(), self.policy_total.variance);
        put("policy_cum/entropy_norm".into(), self.policy_total.entropy_norm);
        put("env/illegal_actions".into(), Some(self.policy.illegal as f64));
        put("env/opened".into(), Some(self.interval.opened as f64));
        put("env/completed".into(), Some(self.interval.closed() as f64));
        put("env/open_at_end".into(), Some((self.total.opened - self.total.closed()) as f64));
        let listed = |of: &(RewardTerm, Option<f64>)| of.0.is_core() || of.1.is_some_and(|share| share > 0.0);
        for (term, share) in reward_shares(&self.interval).iter().filter(listed) {
            put(format!("reward_terms_share/{}", term.name()), share);
        }
        put("reward/total".into(), Some(self.interval.reward_terms.total()));
        if let Some(learner) = &self.learner {
            put("critic_interval/explained_variance_mc".into(), learner.explained_variance_mc);
            put("critic_interval/variance_ratio".into(), Some(learner.variance_ratio));
            put("critic_interval/calibration_slope".into(), Some(learner.slope));
            put("critic_interval/pred_std".into(), Some(learner.pred_std));
            put("critic_interval/pred_min".into(), Some(learner.pred_range.0));
            put("critic_interval/pred_max".into(), Some(learner.pred_range.1));
        }
        if let Some(money) = &self.money {
            put("env/random_trade_return".into(), Some(money.random));
            put("env/over_random".into(), Some(money.difference()));
            put("env/over_random_low".into(), money.interval.map(|(low, _)| low));
            put("env/over_random_high".into(), money.interval.map(|(_, high)| high));
        }
        for layer in &self.layers {
            put(format!("net/dormant_frac_{}", layer.name), Some(layer.dormant));
            put(format!("net/effective_rank_{}", layer.name), Some(layer.effective_rank));
        }
        if let Some(gap) = &self.gap {
            put("eval/mean_trade_return".into(), Some(gap.validation));
            put("eval/random_trade_return".into(), Some(gap.validation_random));
            put("eval/overfit_gap".into(), Some(gap.gap()));
            put("eval/overfit_gap_z".into(), Some(gap.z()));
        }
        metrics
    }
}

/// Returns the share of each term in the sum of absolute rewards; `None` without any reward.
pub(crate) fn reward_shares(ledger: &Ledger) -> PerTerm<Option<f64>> {
    let (terms, all) = (ledger.reward_terms_abs, ledger.reward_terms_abs.total());
    PerTerm::from_fn(|term| ratio(terms[term], all))
}

#[cfg(test)]
mod tests {
    use market_env::RewardTerm;

    use super::*;
    use crate::health::monitor::tests::health;

    #[test]
    fn direction_counts_entries_on_strong_setups_only() {
        let mut ledger = Ledger::default();
        assert_eq!(IntervalReport::direction_accuracy(&ledger), None);
        ledger.flat_actions = [[5, 50, 50, 0, 0, 0], [10, 30, 10, 0, 0, 0], [10, 5, 15, 0, 0, 0]];
        assert_eq!(IntervalReport::direction_accuracy(&ledger), Some(45.0 / 60.0));
    }

    #[test]
    fn shares_of_the_reward_add_up() {
        let mut ledger = Ledger::default();
        assert_eq!(reward_shares(&ledger), PerTerm::default());
        ledger.reward_terms_abs[RewardTerm::Pnl] = 6.0;
        ledger.reward_terms_abs[RewardTerm::MissedOpportunity] = 4.0;
        let shares = reward_shares(&ledger);
        let [money, missed, tax] = [RewardTerm::Pnl, RewardTerm::MissedOpportunity, RewardTerm::HoldTax];
        assert_eq!([shares[money], shares[missed], shares[tax]], [Some(0.6), Some(0.4), Some(0.0)]);
    }

    #[test]
    fn an_alarm_acts_while_confirmed_and_present() {
        let mut health = health();
        let hold = Verdict::Collapsed(Action::Hold);
        let mut acting = |confirmed, alone| {
            (health.confirmed.0, health.interval_verdict.verdict) = (confirmed, alone);
            health.acting_verdict()
        };
        assert_eq!(acting(hold, hold), hold);
        assert_eq!(acting(hold, Verdict::Drifting), Verdict::Drifting, "it recovers");
        assert_eq!(acting(Verdict::Healthy, hold), Verdict::Healthy, "one interval is noise");
    }

    #[test]
    fn an_overfit_gap_is_in_standard_errors() {
        let (train_random, validation_random) = (-0.01, -0.03);
        let gap = OverfitGap {
            step: 1,
            train: 0.02,
            validation: -0.04,
            train_random,
            validation_random,
            error: 0.01,
            limit: 3.0,
        };
        assert!((gap.z() - 4.0).abs() < 1e-12 && gap.rings());
        let without_random: OverfitGap =
            serde_json::from_str(r#"{"step":1,"train":0.02,"validation":-0.04,"error":0.02}"#).unwrap();
        assert!((without_random.z() - 3.0).abs() < 1e-12, "marks of earlier versions are read");
    }
}
