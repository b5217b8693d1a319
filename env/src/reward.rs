//! The reward of a step, term by term: money, and shaping against the collapse into HOLD.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Setup, action::Action};

/// Weights of the reward. All shaping is paid per decision, in units of reward.
///
/// The default pays money, with a little shaping that fades to zero: under it no policy without information has clearly more
/// reward than always-HOLD while it loses money. [`RewardConfig::documented`] has the weights of the Python system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// Reward per unit of P&L as a fraction of the position's entry cost. At 1 the shaping outweighs money and the
    /// policy slides into always-BUY; 3 is the measured balance.
    pub pnl_scale: f32,
    /// Reward of a call bought on a bull-strong setup. 0.03 weighs as much as a gain of 1 % of the entry cost at
    /// `pnl_scale` 3, a quarter of the cost of a round trip at the money.
    pub good_buy_call: f32,
    /// Reward of a put bought on a bear-strong setup, likewise.
    pub good_buy_put: f32,
    /// Reward, negative, of a flat account that HOLDs on a strong setup. Over the 150 or so strong bars of a session
    /// -0.0005 is less than one round trip costs, so buying only to avoid the charge does not pay.
    pub missed_opportunity: f32,
    /// Reward, negative, of a flat account that HOLDs without a strong setup.
    pub hold_tax: f32,
    /// Reward, negative, of an entry that chases an exhausted bar.
    pub bad_chase: f32,
    /// Part of the shaping that is left at the end of a training, 0 to 1. 1 keeps all of it, 0 ends with money alone;
    /// every weight but `pnl_scale` moves there in a straight line.
    pub shaping_final: f32,
    /// Reward, negative, of a growth of the session's largest drawdown, per unit of capital. The sum over a session is the weight
    /// times its largest drawdown. 0 = none.
    #[serde(skip_serializing_if = "is_zero")]
    pub drawdown: f32,
    /// Reward, negative, of every minute in a position, per unit of capital at risk: the entry cost of the contracts held. 0 = none.
    #[serde(skip_serializing_if = "is_zero")]
    pub holding: f32,
    /// Reward, negative, of the premium bought and sold, per unit of capital. The costs of trading are in `pnl` already. 0 = none.
    #[serde(skip_serializing_if = "is_zero")]
    pub turnover: f32,
    /// Reward, negative, of the half-spreads paid at the fills, per unit of capital. They are in `pnl` already. 0 = none.
    #[serde(skip_serializing_if = "is_zero")]
    pub spread: f32,
    /// Reward of the differential Sharpe ratio of a session's P&L, paid in its last step. 0 = none.
    #[serde(skip_serializing_if = "is_zero")]
    pub sharpe: f32,
}

/// Returns whether a weight is left out of a written configuration, which then equals one of a version without the key.
fn is_zero(weight: &f32) -> bool {
    *weight == 0.0
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            pnl_scale: 3.0,
            good_buy_call: 0.03,
            good_buy_put: 0.03,
            missed_opportunity: -0.0005,
            hold_tax: 0.0,
            bad_chase: -0.03,
            shaping_final: 0.0,
            drawdown: 0.0,
            holding: 0.0,
            turnover: 0.0,
            spread: 0.0,
            sharpe: 0.0,
        }
    }
}

impl RewardConfig {
    /// Returns the weights that the documents of the Python system give against the collapse into HOLD
    /// (`configs/anti_collapse.toml`). They keep a policy trading; they also pay some policies for losing money.
    pub const fn documented() -> Self {
        Self {
            pnl_scale: 3.0,
            good_buy_call: 0.10,
            good_buy_put: 0.08,
            missed_opportunity: -0.05,
            hold_tax: -0.001,
            bad_chase: -0.03,
            shaping_final: 1.0,
            drawdown: 0.0,
            holding: 0.0,
            turnover: 0.0,
            spread: 0.0,
            sharpe: 0.0,
        }
    }
}

/// One part of the reward.
///
/// A new term is a variant here with its name, a weight in [`RewardConfig`] and a condition in `FlatDecision::triggers`, or its
/// formula in `batch/own_terms.rs`;
/// ledgers, metrics, logs and reports list it by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewardTerm {
    /// Scaled change of the account's liquidation value.
    Pnl,
    /// Entry in the direction of a strong setup.
    GoodBuy,
    /// HOLD of a flat account on a strong setup.
    MissedOpportunity,
    /// HOLD of a flat account without a strong setup.
    HoldTax,
    /// Entry into an exhausted bar.
    BadChase,
    /// Growth of the session's largest drawdown.
    Drawdown,
    /// A minute in a position.
    Holding,
    /// Premium bought and sold.
    Turnover,
    /// Half-spreads paid at fills.
    Spread,
    /// Differential Sharpe ratio of the session.
    Sharpe,
}

impl RewardTerm {
    /// All terms, in the order of files and reports.
    pub const ALL: [Self; 10] = [
        Self::Pnl,
        Self::GoodBuy,
        Self::MissedOpportunity,
        Self::HoldTax,
        Self::BadChase,
        Self::Drawdown,
        Self::Holding,
        Self::Turnover,
        Self::Spread,
        Self::Sharpe,
    ];
    /// Number of terms.
    pub const COUNT: usize = Self::ALL.len();
    /// Number of the first terms, which every run lists. The others are off by default and listed where they paid something.
    pub(crate) const CORE: usize = 5;

    /// Returns whether every run lists the term.
    pub const fn is_core(self) -> bool {
        (self as usize) < Self::CORE
    }

    /// Returns the term's name in metrics, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pnl => "pnl",
            Self::GoodBuy => "good_buy",
            Self::MissedOpportunity => "missed_opportunity",
            Self::HoldTax => "hold_tax",
            Self::BadChase => "bad_chase",
            Self::Drawdown => "drawdown",
            Self::Holding => "holding",
            Self::Turnover => "turnover",
            Self::Spread => "spread",
            Self::Sharpe => "sharpe",
        }
    }
}

/// One value per reward term, serialised as an array in the order of [`RewardTerm::ALL`]: the first five terms, and the others up
/// to the last that is not the default. So a run without the others writes what it always wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerTerm<T>([T; RewardTerm::COUNT]);

impl<T: Serialize + Default + PartialEq> Serialize for PerTerm<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = self.0.iter().rposition(|value| *value != T::default());
        serializer.collect_seq(&self.0[..last.map_or(0, |last| last + 1).max(RewardTerm::CORE)])
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for PerTerm<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Vec::<T>::deserialize(deserializer)?;
        let known = RewardTerm::CORE..=RewardTerm::COUNT;
        if !known.contains(&values.len()) {
            return Err(de::Error::invalid_length(values.len(), &"a value per reward term"));
        }
        values.resize_with(RewardTerm::COUNT, T::default);
        let values: [T; RewardTerm::COUNT] =
            values.try_into().map_err(|_| <D::Error as de::Error>::custom("resized above"))?;
        Ok(Self(values))
    }
}

impl<T: Copy> PerTerm<T> {
    /// Makes the value of every term.
    pub fn from_fn(value: impl FnMut(RewardTerm) -> T) -> Self {
        Self(RewardTerm::ALL.map(value))
    }

    /// Returns the terms with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (RewardTerm, T)> {
        RewardTerm::ALL.into_iter().zip(self.0)
    }

    /// Returns the terms that every run lists, and the others whose value is not the default, in order.
    pub fn listed(&self) -> impl Iterator<Item = (RewardTerm, T)>
    where
        T: Default + PartialEq,
    {
        self.iter().filter(|(term, value)| term.is_core() || *value != T::default())
    }

    /// Returns the sum of all values.
    pub fn total(&self) -> T
    where
        T: std::iter::Sum,
    {
        self.0.into_iter().sum()
    }
}

impl<T> Index<RewardTerm> for PerTerm<T> {
    type Output = T;

    fn index(&self, term: RewardTerm) -> &T {
        &self.0[term as usize]
    }
}

impl<T> IndexMut<RewardTerm> for PerTerm<T> {
    fn index_mut(&mut self, term: RewardTerm) -> &mut T {
        &mut self.0[term as usize]
    }
}

impl PerTerm<f32> {
    /// Returns the reward of a step; `own` tells whether other terms than the first five may have paid.
    #[inline]
    pub(crate) fn reward(&self, own: bool) -> f32 {
        if own { self.total() } else { self.0[..RewardTerm::CORE].iter().sum() }
    }
}

/// A flat account's decision, with the facts that its shaping depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FlatDecision {
    /// The chosen action.
    pub(crate) action: Action,
    /// True for a filled entry; an unfilled order earns nothing.
    pub(crate) filled: bool,
    /// Setup class of the decision's bar.
    pub(crate) setup: Setup,
    /// True for an overbought, rejected bar.
    pub(crate) bull_chase: bool,
    /// True for an oversold, rejected bar.
    pub(crate) bear_chase: bool,
}

impl FlatDecision {
    /// Returns the shaping terms that apply to the decision, whatever their weights; never money and the terms of an account.
    pub(crate) fn triggers(&self) -> PerTerm<bool> {
        let (with_setup, chase) = match self.action {
            Action::BuyCall => (self.setup == Setup::BullStrong, self.bull_chase),
            Action::BuyPut => (self.setup == Setup::BearStrong, self.bear_chase),
            _ => (false, false),
        };
        let hold = self.action == Action::Hold;
        PerTerm::from_fn(|term| match term {
            RewardTerm::Pnl
            | RewardTerm::Drawdown
            | RewardTerm::Holding
            | RewardTerm::Turnover
            | RewardTerm::Spread
            | RewardTerm::Sharpe => false,
            RewardTerm::GoodBuy => self.filled && with_setup,
            RewardTerm::MissedOpportunity => hold && self.setup != Setup::Weak,
            RewardTerm::HoldTax => hold && self.setup == Setup::Weak,
            RewardTerm::BadChase => self.filled && chase,
        })
    }
}

impl RewardConfig {
    /// Returns the weights at `progress`, the share of the training that is done, 0 to 1: every shaping weight times
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
            drawdown: faded(self.drawdown),
            holding: faded(self.holding),
            turnover: faded(self.turnover),
            spread: faded(self.spread),
            sharpe: faded(self.sharpe),
        }
    }

    /// Returns the weights of the terms that are off by default, with their terms.
    pub fn own(&self) -> [(RewardTerm, f32); 5] {
        [
            (RewardTerm::Drawdown, self.drawdown),
            (RewardTerm::Holding, self.holding),
            (RewardTerm::Turnover, self.turnover),
            (RewardTerm::Spread, self.spread),
            (RewardTerm::Sharpe, self.sharpe),
        ]
    }

    /// Returns whether any of these weights is not 0.
    pub(crate) fn has_own(&self) -> bool {
        self.own().iter().any(|(_, weight)| *weight != 0.0)
    }

    /// Returns the shaping of a flat account's decision by term; terms that do not apply are zero.
    pub(crate) fn shape(&self, decision: &FlatDecision) -> PerTerm<f32> {
        let triggers = decision.triggers();
        PerTerm::from_fn(|term| if triggers[term] { self.weight(term, decision.action) } else { 0.0 })
    }

    /// Returns the weight of a term for an action.
    fn weight(&self, term: RewardTerm, action: Action) -> f32 {
        match term {
            RewardTerm::Pnl => self.pnl_scale,
            RewardTerm::GoodBuy if action == Action::BuyCall => self.good_buy_call,
            RewardTerm::GoodBuy => self.good_buy_put,
            RewardTerm::MissedOpportunity => self.missed_opportunity,
            RewardTerm::HoldTax => self.hold_tax,
            RewardTerm::BadChase => self.bad_chase,
            RewardTerm::Drawdown => self.drawdown,
            RewardTerm::Holding => self.holding,
            RewardTerm::Turnover => self.turnover,
            RewardTerm::Spread => self.spread,
            RewardTerm::Sharpe => self.sharpe,
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
        let &Self {
            pnl_scale,
            good_buy_call,
            good_buy_put,
            missed_opportunity,
            hold_tax,
            bad_chase,
            shaping_final,
            ..
        } = self;
        let own = self.own().map(|(term, weight)| (term.name(), weight));
        let weights = [
            ("pnl_scale", pnl_scale),
            ("good_buy_call", good_buy_call),
            ("good_buy_put", good_buy_put),
            ("missed_opportunity", missed_opportunity),
            ("hold_tax", hold_tax),
            ("bad_chase", bad_chase),
        ];
        for (name, value) in weights.into_iter().chain(own) {
            if !value.is_finite() {
                faults.push(format!("env.reward.{name}: {value} is not a finite number"));
            }
        }
        if !(0.0..=1.0).contains(&shaping_final) {
            faults.push(format!("env.reward.shaping_final: {shaping_final} is not in 0..=1"));
        }
    }
}

impl fmt::Display for RewardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pnl_scale, good_buy_call, good_buy_put, missed_opportunity, hold_tax, bad_chase, .. } = self;
        write!(
            f,
            "{pnl_scale} per unit of return; call {good_buy_call} and put {good_buy_put} on a strong setup, HOLD there \
             {missed_opportunity}, HOLD elsewhere {hold_tax}, chase {bad_chase}"
        )?;
        let mut own = self.own().into_iter().filter(|(_, weight)| *weight != 0.0);
        own.try_for_each(|(term, weight)| write!(f, ", {} {weight}", term.name()))
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
        let config = RewardConfig::documented();
        let bonus = |action, setup| config.shape(&decision(action, setup))[RewardTerm::GoodBuy];
        assert_eq!(bonus(Action::BuyCall, Setup::BullStrong), 0.10);
        assert_eq!(bonus(Action::BuyPut, Setup::BearStrong), 0.08);
        assert_eq!(bonus(Action::BuyPut, Setup::BullStrong), 0.0);
        assert_eq!(bonus(Action::BuyCall, Setup::BearStrong), 0.0);
        assert_eq!(bonus(Action::BuyCall, Setup::Weak), 0.0);
    }

    #[test]
    fn holding_is_missed_or_taxed_never_both() {
        let config = RewardConfig::documented();
        let strong = config.shape(&decision(Action::Hold, Setup::BearStrong));
        let weak = config.shape(&decision(Action::Hold, Setup::Weak));
        let of = |shaping: PerTerm<f32>| (shaping[RewardTerm::MissedOpportunity], shaping[RewardTerm::HoldTax]);
        assert_eq!(of(strong), (-0.05, 0.0));
        assert_eq!(of(weak), (0.0, -0.001));
    }

    #[test]
    fn a_refused_order_earns_nothing_and_a_chase_is_charged_by_direction() {
        let config = RewardConfig::documented();
        let mut chase = FlatDecision { bull_chase: true, ..decision(Action::BuyCall, Setup::BullStrong) };
        assert_eq!(config.shape(&chase).total(), 0.10 - 0.03);
        chase.filled = false;
        assert_eq!(config.shape(&chase).total(), 0.0);
        let put = FlatDecision { bull_chase: true, ..decision(Action::BuyPut, Setup::Weak) };
        assert_eq!(config.shape(&put)[RewardTerm::BadChase], 0.0);
    }

    #[test]
    fn shaping_fades_on_a_straight_line_and_money_never() {
        let config = RewardConfig { shaping_final: 0.0, ..RewardConfig::documented() };
        let half = config.at(0.5);
        assert_eq!((half.pnl_scale, half.good_buy_call, half.hold_tax), (3.0, 0.05, -0.0005));
        assert_eq!((half.good_buy_put, half.missed_opportunity, half.bad_chase), (0.04, -0.025, -0.015));
        assert_eq!((config.at(0.0), config.at(1.0)), (config.clone(), config.at(7.0)));
        assert_eq!(RewardConfig { shaping_final: 0.5, ..config.clone() }.at(1.0).good_buy_call, 0.05);
        let stays = RewardConfig::documented();
        assert_eq!(stays.at(0.7), stays, "to the last bit");
        let money = config.at(1.0);
        let decision = decision(Action::BuyCall, Setup::BullStrong);
        assert_eq!((money.shape(&decision).total(), money.pnl_scale), (0.0, 3.0));
    }

    #[test]
    fn terms_are_an_array_in_the_order_of_their_names() {
        let terms = PerTerm::from_fn(|term| term as u8);
        assert_eq!(serde_json::to_string(&terms).unwrap(), "[0,1,2,3,4,5,6,7,8,9]");
        let old = PerTerm::from_fn(|term| if term.is_core() { term as u8 } else { 0 });
        assert_eq!(serde_json::to_string(&old).unwrap(), "[0,1,2,3,4]", "as before the others existed");
        assert_eq!(serde_json::from_str::<PerTerm<u8>>("[0,1,2,3,4]").unwrap(), old);
        assert!(serde_json::from_str::<PerTerm<u8>>("[0,1,2]").is_err());
        let names: Vec<_> = terms.iter().map(|(term, _)| term.name()).collect();
        assert_eq!(names[..5], ["pnl", "good_buy", "missed_opportunity", "hold_tax", "bad_chase"]);
        assert_eq!(names[5..], ["drawdown", "holding", "turnover", "spread", "sharpe"]);
        assert_eq!(old.listed().count(), 5);
        assert!(terms.iter().all(|(term, number)| terms[term] == number && term as u8 == number));
    }

    #[test]
    fn money_is_a_fraction_of_the_entry_cost() {
        assert_eq!(RewardConfig::documented().money(-1_500, 10_000), -0.45);
        assert_eq!(RewardConfig::documented().money(0, 0), 0.0);
    }
}
