//! Deterministic exit rules: stop, take-profit tiers, trailing stop, time stop, end of day.
//!
//! The rules use the liquidation value at a bar's close, and their orders fill at the next open, like a policy's. They are a
//! function of the position's history alone, so they work with a policy or without one.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The owner of exits: the policy or the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitMode {
    /// The policy trims and exits; the stop and the end of day apply too.
    #[default]
    Agent,
    /// The rules alone; the policy only chooses entries.
    Rules,
}

/// Treatment of a position at the end of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtTheBell {
    /// Every position is sold before the bell.
    #[default]
    Flat,
    /// Cash-settled contracts run to their settlement at the close. A contract that would deliver shares is sold all
    /// the same.
    Settle,
}

/// One take-profit tier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeProfit {
    /// Gain on the cost basis that triggers this tier (0.3 = 30 %), above 0 and rising from tier to tier. Mode rules
    /// only.
    pub gain: f64,
    /// Part of the remaining contracts that this tier sells, above 0, at most 1.
    pub sell: f64,
}

/// Rules that close positions. Take-profit, trailing stop and time stop apply with `mode = "rules"` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExitConfig {
    /// Source of the exit decisions.
    pub mode: ExitMode,
    /// Loss on the cost basis that sells everything (0.15 = 15 %), above 0, at most 1. Measured at bar closes and
    /// filled at the next open, so a fast market ends below it.
    pub stop_loss: f64,
    /// Minutes before the session's close at whose open everything is sold, 1 to 120.
    pub flat_before_close: u32,
    /// Treatment of positions that are open when the session ends.
    pub at_the_bell: AtTheBell,
    /// Take-profit tiers, by rising gain.
    pub take_profit: Vec<TakeProfit>,
    /// Gain on the cost basis from which the trailing stop is armed, above 0. Mode rules only.
    pub trail_from: f64,
    /// Fall of the gain from its peak, in points of the cost basis, that triggers the armed trailing stop; above 0.
    /// Mode rules only.
    pub trail_drop: f64,
    /// Part of the remaining contracts that the trailing stop sells, once per position; above 0, at most 1. The rest,
    /// the runner, is left to the other rules.
    pub trail_sell: f64,
    /// Minutes after which a position is sold; 0 = never. Mode rules only.
    pub max_minutes: u32,
}

impl Default for ExitConfig {
    fn default() -> Self {
        Self {
            mode: ExitMode::Agent,
            stop_loss: 0.15,
            flat_before_close: 5,
            at_the_bell: AtTheBell::Flat,
            take_profit: vec![
                TakeProfit { gain: 0.30, sell: 0.5 },
                TakeProfit { gain: 0.60, sell: 0.6 },
                TakeProfit { gain: 1.20, sell: 1.0 },
            ],
            trail_from: 0.40,
            trail_drop: 0.18,
            trail_sell: 1.0,
            max_minutes: 60,
        }
    }
}

/// The reason of a sale. Files hold its [`ExitReason::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// The policy trimmed or left.
    Agent,
    /// The stop.
    StopLoss,
    /// A take-profit tier.
    TakeProfit,
    /// The trailing stop.
    TrailingStop,
    /// The longest holding time.
    TimeStop,
    /// The sale before the bell.
    EndOfDay,
    /// Expiry out of the money.
    ExpiredWorthless,
    /// The session's loss limit.
    DailyLoss,
    /// Cash settlement in the money.
    Settled,
}

impl ExitReason {
    /// All reasons, in the order of [`crate::Ledger::exits`].
    pub const ALL: [Self; 9] = [
        Self::Agent,
        Self::StopLoss,
        Self::TakeProfit,
        Self::TrailingStop,
        Self::TimeStop,
        Self::EndOfDay,
        Self::ExpiredWorthless,
        Self::DailyLoss,
        Self::Settled,
    ];
    /// Number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns the reason's name in logs and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::StopLoss => "stop_loss",
            Self::TakeProfit => "take_profit",
            Self::TrailingStop => "trailing_stop",
            Self::TimeStop => "time_stop",
            Self::EndOfDay => "end_of_day",
            Self::ExpiredWorthless => "expired_worthless",
            Self::DailyLoss => "daily_loss",
            Self::Settled => "settled",
        }
    }

    /// Returns whether the contracts were settled at the session's end: no order was filled, and no fee was due.
    pub const fn is_settlement(self) -> bool {
        matches!(self, Self::ExpiredWorthless | Self::Settled)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ExitReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let reason = Self::ALL.into_iter().find(|reason| reason.name() == text);
        reason.ok_or_else(|| format!("{text:?} is no exit reason; the reasons are {}", known()))
    }
}

/// The spelling of reasons in a checkpoint's waiting orders, which is older than the one of [`ExitReason::name`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "ExitReason")]
enum ReasonInCheckpoint {
    Agent,
    StopLoss,
    TakeProfit,
    TrailingStop,
    TimeStop,
    EndOfDay,
    ExpiredWorthless,
    DailyLoss,
    Settled,
}

/// A sale that the rules or the policy decided on, with its reason.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ExitDecision {
    /// Part of the remaining contracts.
    pub(crate) sell: f64,
    /// The reason.
    pub(crate) reason: ExitReason,
}

impl ExitDecision {
    /// Returns the decision to sell everything.
    pub(crate) const fn all(reason: ExitReason) -> Self {
        Self { sell: 1.0, reason }
    }
}

/// The state of a position at a bar's close, as the rules use it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ExitState {
    /// Liquidation value against the remaining cost basis, as a gain.
    pub(crate) gain: f64,
    /// Highest such gain since the entry.
    pub(crate) peak: f64,
    /// Minutes since the entry's fill.
    pub(crate) minutes_held: u32,
    /// Take-profit tiers already sold.
    pub(crate) tier: u8,
    /// True once the trailing stop has sold its part.
    pub(crate) trailed: bool,
}

/// A sale order that works at every open from `due` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExitOrder {
    /// Contracts still to sell.
    pub(crate) contracts: u32,
    #[serde(with = "ReasonInCheckpoint")]
    pub(crate) reason: ExitReason,
    /// First bar at whose open it can fill.
    pub(crate) due: u32,
}

impl ExitOrder {
    /// Sizes a decision: a part of the contracts held, at least one.
    pub(crate) fn of(decision: ExitDecision, held: u32, due: u32) -> Self {
        // The tolerance makes 0.7 of 90 exactly 63, not 62.999…
        let contracts = ((f64::from(held) * decision.sell + 1e-9) as u32).clamp(1, held.max(1));
        Self { contracts, reason: decision.reason, due }
    }

    /// Returns the order to work next: the waiting one, unless the new one sells more for another reason. A rule repeats
    /// its decision at every close until its order is filled; the repeats concern the same contracts.
    pub(crate) fn more_urgent(waiting: Option<Self>, new: Self) -> Self {
        let stands = |waiting: &Self| waiting.contracts >= new.contracts || waiting.reason == new.reason;
        waiting.filter(stands).unwrap_or(new)
    }
}

impl ExitConfig {
    /// Returns the rules' decision at this close, if any. The stop takes precedence.
    #[inline]
    pub(crate) fn decide(&self, state: &ExitState) -> Option<ExitDecision> {
        if state.gain <= -self.stop_loss {
            return Some(ExitDecision::all(ExitReason::StopLoss));
        }
        if self.mode == ExitMode::Agent {
            return None;
        }
        if let Some(tier) = self.take_profit.get(usize::from(state.tier)).filter(|tier| state.gain >= tier.gain) {
            return Some(ExitDecision { sell: tier.sell, reason: ExitReason::TakeProfit });
        }
        if !state.trailed && state.peak >= self.trail_from && state.peak - state.gain >= self.trail_drop {
            return Some(ExitDecision { sell: self.trail_sell, reason: ExitReason::TrailingStop });
        }
        if self.max_minutes > 0 && state.minutes_held >= self.max_minutes {
            return Some(ExitDecision::all(ExitReason::TimeStop));
        }
        None
    }

    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        if !(self.stop_loss > 0.0 && self.stop_loss <= 1.0) {
            faults.push(format!("env.exits.stop_loss: {} is not in (0, 1]", self.stop_loss));
        }
        if !(1..=120).contains(&self.flat_before_close) {
            faults.push(format!("env.exits.flat_before_close: {} is not in 1..=120 minutes", self.flat_before_close));
        }
        let rising = self.take_profit.windows(2).all(|pair| pair[0].gain < pair[1].gain);
        let sound = self.take_profit.iter().all(|t| t.gain > 0.0 && t.sell > 0.0 && t.sell <= 1.0);
        if !rising || !sound || self.take_profit.len() > 100 {
            faults.push("env.exits.take_profit: gains must be positive and rise, sell must be in (0, 1]".to_owned());
        }
        if !(self.trail_sell > 0.0 && self.trail_sell <= 1.0) {
            faults.push(format!("env.exits.trail_sell: {} is not in (0, 1]", self.trail_sell));
        }
        for (name, value) in [("trail_from", self.trail_from), ("trail_drop", self.trail_drop)] {
            if !(value.is_finite() && value > 0.0) {
                faults.push(format!("env.exits.{name}: {value} is not a positive number"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: ExitState = ExitState { gain: 0.0, peak: 0.0, minutes_held: 1, tier: 0, trailed: false };

    fn decide(mode: ExitMode, state: ExitState) -> Option<(ExitReason, f64)> {
        let config = ExitConfig { mode, trail_sell: 0.8, ..ExitConfig::default() };
        config.decide(&state).map(|decision| (decision.reason, decision.sell))
    }

    #[test]
    fn the_stop_holds_in_both_modes_and_comes_first() {
        for mode in [ExitMode::Agent, ExitMode::Rules] {
            let late = ExitState { gain: -0.15, peak: 2.0, minutes_held: 500, ..FRESH };
            assert_eq!(decide(mode, late), Some((ExitReason::StopLoss, 1.0)));
            assert_eq!(decide(mode, ExitState { gain: -0.149, ..FRESH }), None);
        }
    }

    #[test]
    fn only_the_rules_take_profits_trail_and_watch_the_clock() {
        let risen = ExitState { gain: 0.30, peak: 0.49, tier: 1, ..FRESH };
        for (state, expected) in [
            (ExitState { gain: 0.30, peak: 0.30, ..FRESH }, Some((ExitReason::TakeProfit, 0.5))),
            (ExitState { gain: 0.70, peak: 0.70, tier: 1, ..FRESH }, Some((ExitReason::TakeProfit, 0.6))),
            (ExitState { gain: 0.30, peak: 0.30, tier: 1, ..FRESH }, None),
            (risen, Some((ExitReason::TrailingStop, 0.8))),
            (ExitState { trailed: true, ..risen }, None),
            (ExitState { peak: 0.39, gain: 0.1, tier: 1, ..FRESH }, None),
            (ExitState { minutes_held: 60, ..FRESH }, Some((ExitReason::TimeStop, 1.0))),
            (ExitState { minutes_held: 60, trailed: true, ..risen }, Some((ExitReason::TimeStop, 1.0))),
        ] {
            assert_eq!(decide(ExitMode::Rules, state), expected, "{state:?}");
            assert_eq!(decide(ExitMode::Agent, state), None, "{state:?}");
        }
    }

    #[test]
    fn a_sale_is_sized_when_it_is_ordered() {
        let part = |sell, held| ExitOrder::of(ExitDecision { sell, reason: ExitReason::Agent }, held, 0).contracts;
        assert_eq!([part(0.7, 90), part(0.5, 3), part(0.5, 1), part(1.0, 7)], [63, 1, 1, 7]);
    }

    #[test]
    fn a_stop_replaces_a_waiting_partial_sale() {
        let partial = ExitOrder { contracts: 5, reason: ExitReason::TakeProfit, due: 4 };
        let stop = ExitOrder { contracts: 10, reason: ExitReason::StopLoss, due: 6 };
        assert_eq!(ExitOrder::more_urgent(Some(partial), stop), stop);
        assert_eq!(ExitOrder::more_urgent(Some(stop), partial), stop);
        assert_eq!(ExitOrder::more_urgent(Some(stop), ExitOrder { due: 9, ..stop }), stop);
        assert_eq!(ExitOrder::more_urgent(None, partial), partial);
        let again = ExitOrder { contracts: 9, due: 5, ..partial };
        assert_eq!(ExitOrder::more_urgent(Some(partial), again), partial, "half of what is left is not ordered on top");
    }

    #[test]
    fn reasons_read_back_and_index_the_ledger() {
        for (index, reason) in ExitReason::ALL.into_iter().enumerate() {
            assert_eq!((reason as usize, reason.name().parse()), (index, Ok(reason)));
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
        }
        let error = "stop".parse::<ExitReason>().unwrap_err();
        assert!(error.starts_with("\"stop\" is no exit reason; the reasons are agent, stop_loss, "), "{error}");
    }

    #[test]
    fn a_waiting_order_is_spelled_as_in_earlier_checkpoints() {
        let order = ExitOrder { contracts: 5, reason: ExitReason::TakeProfit, due: 4 };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(text, r#"{"contracts":5,"reason":"TakeProfit","due":4}"#);
        assert_eq!(serde_json::from_str::<ExitOrder>(&text).unwrap(), order);
    }
}
