//! What a step is worth: money first, then shaping against the collapse into HOLD, term by term.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Setup, action::Action};

/// Weights of the reward. All shaping is paid per decision, in units of reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// Reward per unit of P&L as a fraction of the position's entry cost. At 1 the shaping outweighs money and the
    /// policy slides into always-BUY; 3 is the measured balance.
    pub pnl_scale: f32,
    /// Reward of a call bought on a bull-strong setup. 0.1 weighs as much as a gain of 3.3 % of the entry cost at
    /// `pnl_scale` 3.
    pub good_buy_call: f32,
    /// Reward of a put bought on a bear-strong setup. 0.08 weighs as much as a gain of 2.7 % of the entry cost.
    pub good_buy_put: f32,
    /// Reward, negative, of a flat account that HOLDs on a strong setup. -0.05 is half the bonus of a call.
    pub missed_opportunity: f32,
    /// Reward, negative, of a flat account that HOLDs without a strong setup. Small beside the bonuses.
    pub hold_tax: f32,
    /// Reward, negative, of an entry that chases an exhausted bar.
    pub bad_chase: f32,
    /// Part of the shaping that is left at the end of a training, 0 to 1. 1 keeps all of it, 0 ends with money alone;
    /// every weight but `pnl_scale` moves there in a straight line.
    pub shaping_final: f32,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            pnl_scale: 3.0,
            good_buy_call: 0.10,
            good_buy_put: 0.08,
            missed_opportunity: -0.05,
            hold_tax: -0.001,
            bad_chase: -0.03,
            shaping_final: 1.0,
        }
    }
}

/// The reward of one step, term by term; a term that does not apply is zero.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RewardTerms {
    /// Scaled change of the account's liquidation value.
    pub pnl: f32,
    /// Entry in the direction of a strong setup.
    pub good_buy: f32,
    /// HOLD on a strong setup.
    pub missed_opportunity: f32,
    /// HOLD without one.
    pub hold_tax: f32,
    /// Entry into an exhausted bar.
    pub bad_chase: f32,
}

impl RewardTerms {
    /// Returns the terms in the order of [`crate::REWARD_TERMS`].
    pub fn values(&self) -> [f32; 5] {
        [self.pnl, self.good_buy, self.missed_opportunity, self.hold_tax, self.bad_chase]
    }

    /// Returns the reward: the sum of all terms.
    pub fn total(&self) -> f32 {
        self.values().iter().sum()
    }
}

/// What the decision of a flat account looked like when it was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlatDecision {
    /// What the policy chose.
    pub action: Action,
    /// Whether the entry filled; an order that does not earns nothing.
    pub filled: bool,
    /// Class of the bar that the policy saw.
    pub setup: Setup,
    /// Whether that bar was overbought and rejected.
    pub bull_chase: bool,
    /// Whether that bar was oversold and rejected.
    pub bear_chase: bool,
}

/// What a flat account's decision sets off, whatever the weights say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Triggers {
    /// A filled entry in the direction of a strong setup.
    pub good_buy: bool,
    /// HOLD on a strong setup.
    pub missed_opportunity: bool,
    /// HOLD without one.
    pub hold_tax: bool,
    /// A filled entry into an exhausted bar.
    pub bad_chase: bool,
}

impl FlatDecision {
    /// Returns what the decision sets off.
    pub fn triggers(&self) -> Triggers {
        let (with_setup, chase) = match self.action {
            Action::BuyCall => (self.setup == Setup::BullStrong, self.bull_chase),
            Action::BuyPut => (self.setup == Setup::BearStrong, self.bear_chase),
            _ => (false, false),
        };
        let hold = self.action == Action::Hold;
        Triggers {
            good_buy: self.filled && with_setup,
            missed_opportunity: hold && self.setup != Setup::Weak,
            hold_tax: hold && self.setup == Setup::Weak,
            bad_chase: self.filled && chase,
        }
    }
}

impl RewardConfig {
    /// Returns the weights when this part of a training is over, 0 to 1: every shaping weight times
    /// `1 + (shaping_final - 1) · progress`.
    #[must_use]
    pub fn at(&self, progress: f64) -> Self {
        let left = 1.0 + (f64::from(self.shaping_final) - 1.0) * progress.clamp(0.0, 1.0);
        let faded = |weight: f32| (f64::from(weight) * left) as f32;
        Self {
            pnl_scale: self.pnl_scale,
            good_buy_call: faded(self.good_buy_call),
            good_buy_put: faded(self.good_buy_put),
            missed_opportunity: faded(self.missed_opportunity),
            hold_tax: faded(self.hold_tax),
            bad_chase: faded(self.bad_chase),
            shaping_final: self.shaping_final,
        }
    }

    /// Returns the shaping terms of a flat account's decision.
    pub fn shape(&self, decision: &FlatDecision) -> RewardTerms {
        let triggers = decision.triggers();
        let good_buy = if decision.action == Action::BuyCall { self.good_buy_call } else { self.good_buy_put };
        let weigh = |triggered: bool, weight: f32| if triggered { weight } else { 0.0 };
        RewardTerms {
            pnl: 0.0,
            good_buy: weigh(triggers.good_buy, good_buy),
            missed_opportunity: weigh(triggers.missed_opportunity, self.missed_opportunity),
            hold_tax: weigh(triggers.hold_tax, self.hold_tax),
            bad_chase: weigh(triggers.bad_chase, self.bad_chase),
        }
    }

    /// Returns the money term: a change of liquidation value, in cents, against the position's entry cost, in cents.
    pub fn money(&self, change_cents: i64, entry_cost_cents: i64) -> f32 {
        if change_cents == 0 {
            return 0.0;
        }
        (f64::from(self.pnl_scale) * (change_cents as f64 / entry_cost_cents as f64)) as f32
    }

    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        for (name, value) in [
            ("pnl_scale", self.pnl_scale),
            ("good_buy_call", self.good_buy_call),
            ("good_buy_put", self.good_buy_put),
            ("missed_opportunity", self.missed_opportunity),
            ("hold_tax", self.hold_tax),
            ("bad_chase", self.bad_chase),
        ] {
            if !value.is_finite() {
                faults.push(format!("env.reward.{name}: {value} is not a finite number"));
            }
        }
        if !(0.0..=1.0).contains(&self.shaping_final) {
            faults.push(format!("env.reward.shaping_final: {} is not in 0..=1", self.shaping_final));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(action: Action, setup: Setup) -> FlatDecision {
        FlatDecision { action, filled: action != Action::Hold, setup, bull_chase: false, bear_chase: false }
    }

    #[test]
    fn only_the_direction_of_the_setup_earns_the_bonus() {
        let config = RewardConfig::default();
        let bonus = |action, setup| config.shape(&decision(action, setup)).good_buy;
        assert_eq!(bonus(Action::BuyCall, Setup::BullStrong), 0.10);
        assert_eq!(bonus(Action::BuyPut, Setup::BearStrong), 0.08);
        assert_eq!(bonus(Action::BuyPut, Setup::BullStrong), 0.0);
        assert_eq!(bonus(Action::BuyCall, Setup::BearStrong), 0.0);
        assert_eq!(bonus(Action::BuyCall, Setup::Weak), 0.0);
    }

    #[test]
    fn holding_is_missed_or_taxed_never_both() {
        let config = RewardConfig::default();
        let strong = config.shape(&decision(Action::Hold, Setup::BearStrong));
        let weak = config.shape(&decision(Action::Hold, Setup::Weak));
        assert_eq!((strong.missed_opportunity, strong.hold_tax), (-0.05, 0.0));
        assert_eq!((weak.missed_opportunity, weak.hold_tax), (0.0, -0.001));
    }

    #[test]
    fn a_refused_order_earns_nothing_and_a_chase_is_charged_by_direction() {
        let config = RewardConfig::default();
        let mut chase = FlatDecision { bull_chase: true, ..decision(Action::BuyCall, Setup::BullStrong) };
        assert_eq!(config.shape(&chase).total(), 0.10 - 0.03);
        chase.filled = false;
        assert_eq!(config.shape(&chase).total(), 0.0);
        let put = FlatDecision { bull_chase: true, ..decision(Action::BuyPut, Setup::Weak) };
        assert_eq!(config.shape(&put).bad_chase, 0.0);
    }

    #[test]
    fn shaping_fades_on_a_straight_line_and_money_never() {
        let config = RewardConfig { shaping_final: 0.0, ..RewardConfig::default() };
        let half = config.at(0.5);
        assert_eq!((half.pnl_scale, half.good_buy_call, half.hold_tax), (3.0, 0.05, -0.0005));
        assert_eq!((half.good_buy_put, half.missed_opportunity, half.bad_chase), (0.04, -0.025, -0.015));
        assert_eq!((config.at(0.0), config.at(1.0)), (config.clone(), config.at(7.0)));
        assert_eq!(RewardConfig { shaping_final: 0.5, ..config.clone() }.at(1.0).good_buy_call, 0.05);
        let stays = RewardConfig::default();
        assert_eq!(stays.at(0.7), stays, "to the last bit");
        let money = config.at(1.0);
        let decision = decision(Action::BuyCall, Setup::BullStrong);
        assert_eq!((money.shape(&decision).total(), money.pnl_scale), (0.0, 3.0));
    }

    #[test]
    fn money_is_a_fraction_of_the_entry_cost() {
        assert_eq!(RewardConfig::default().money(-1_500, 10_000), -0.45);
        assert_eq!(RewardConfig::default().money(0, 0), 0.0);
    }
}
