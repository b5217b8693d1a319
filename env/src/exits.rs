//! The deterministic layer that closes positions: stop, take-profit tiers, trailing stop, time stop, end of day.
//!
//! Rules look at the liquidation value at a bar's close, and their order fills at the next open, like everybody's.

use serde::{Deserialize, Serialize};

/// Who decides on exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitMode {
    /// The policy trims and exits; the stop and the end of day hold all the same.
    #[default]
    Agent,
    /// The rules alone: a policy only chooses entries.
    Rules,
}

/// One take-profit tier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeProfit {
    /// Gain on the cost basis that triggers it (0.3 = 30 %).
    pub gain: f64,
    /// Part of the remaining contracts that is sold, 0 to 1.
    pub sell: f64,
}

/// When positions are closed. Take-profit, trailing stop and time stop apply with `mode = "rules"` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExitConfig {
    /// Who decides on exits.
    pub mode: ExitMode,
    /// Loss on the cost basis that sells everything (0.15 = 15 %). Measured at bar closes and filled at the next open, so a
    /// fast market ends below it.
    pub stop_loss: f64,
    /// Minutes before the session's close at whose open everything is sold, at least 1.
    pub flat_before_close: u32,
    /// Take-profit tiers, by rising gain.
    pub take_profit: Vec<TakeProfit>,
    /// Gain from which the trailing stop is armed.
    pub trail_from: f64,
    /// Fall of the gain from its peak, in points of the cost basis, that sells everything once armed.
    pub trail_drop: f64,
    /// Minutes after which a position is sold, 0 for never.
    pub max_minutes: u32,
}

impl Default for ExitConfig {
    fn default() -> Self {
        Self {
            mode: ExitMode::Agent,
            stop_loss: 0.15,
            flat_before_close: 5,
            take_profit: vec![
                TakeProfit { gain: 0.30, sell: 0.5 },
                TakeProfit { gain: 0.60, sell: 0.6 },
                TakeProfit { gain: 1.20, sell: 1.0 },
            ],
            trail_from: 0.40,
            trail_drop: 0.18,
            max_minutes: 60,
        }
    }
}

/// Why a rule sells; the numbers index [`crate::EXIT_REASONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum ExitReason {
    Agent = 0,
    StopLoss = 1,
    TakeProfit = 2,
    TrailingStop = 3,
    TimeStop = 4,
    EndOfDay = 5,
    ExpiredWorthless = 6,
}

/// A rule's order for the next open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExitOrder {
    /// Part of the remaining contracts to sell.
    pub(crate) sell: f64,
    pub(crate) reason: ExitReason,
}

impl ExitOrder {
    /// Returns the order to work next: a waiting one that found no bid, unless the new one sells more.
    pub(crate) fn more_urgent(waiting: Option<Self>, new: Option<Self>) -> Option<Self> {
        match (waiting, new) {
            (Some(waiting), Some(new)) if new.sell > waiting.sell => Some(new),
            (waiting, new) => waiting.or(new),
        }
    }
}

/// What the rules know of a position at a bar's close.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExitState {
    /// Liquidation value against the remaining cost basis, as a gain.
    pub(crate) gain: f64,
    /// Highest such gain since the entry.
    pub(crate) peak: f64,
    pub(crate) minutes_held: u32,
    /// Take-profit tiers already sold.
    pub(crate) tier: u8,
}

impl ExitConfig {
    /// Returns the order that the rules give at this close, if any. The stop comes first.
    #[inline]
    pub(crate) fn order(&self, state: ExitState) -> Option<ExitOrder> {
        let all = |reason| Some(ExitOrder { sell: 1.0, reason });
        if state.gain <= -self.stop_loss {
            return all(ExitReason::StopLoss);
        }
        if self.mode == ExitMode::Agent {
            return None;
        }
        if let Some(tier) = self.take_profit.get(usize::from(state.tier)).filter(|tier| state.gain >= tier.gain) {
            return Some(ExitOrder { sell: tier.sell, reason: ExitReason::TakeProfit });
        }
        if state.peak >= self.trail_from && state.peak - state.gain >= self.trail_drop {
            return all(ExitReason::TrailingStop);
        }
        if self.max_minutes > 0 && state.minutes_held >= self.max_minutes {
            return all(ExitReason::TimeStop);
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

    fn reason(mode: ExitMode, gain: f64, peak: f64, minutes_held: u32, tier: u8) -> Option<ExitReason> {
        let config = ExitConfig { mode, ..ExitConfig::default() };
        config.order(ExitState { gain, peak, minutes_held, tier }).map(|order| order.reason)
    }

    #[test]
    fn the_stop_holds_in_both_modes_and_comes_first() {
        for mode in [ExitMode::Agent, ExitMode::Rules] {
            assert_eq!(reason(mode, -0.15, 2.0, 500, 0), Some(ExitReason::StopLoss));
            assert_eq!(reason(mode, -0.149, 0.0, 0, 0), None);
        }
    }

    #[test]
    fn a_stop_replaces_a_waiting_partial_sale() {
        let partial = ExitOrder { sell: 0.5, reason: ExitReason::TakeProfit };
        let stop = ExitOrder { sell: 1.0, reason: ExitReason::StopLoss };
        assert_eq!(ExitOrder::more_urgent(Some(partial), Some(stop)), Some(stop));
        assert_eq!(ExitOrder::more_urgent(Some(stop), Some(partial)), Some(stop));
        assert_eq!(ExitOrder::more_urgent(Some(partial), None), Some(partial));
        assert_eq!(ExitOrder::more_urgent(None, Some(partial)), Some(partial));
    }

    #[test]
    fn only_the_rules_take_profits_trail_and_watch_the_clock() {
        assert_eq!(reason(ExitMode::Agent, 5.0, 5.0, 500, 0), None);
        assert_eq!(reason(ExitMode::Rules, 0.30, 0.30, 1, 0), Some(ExitReason::TakeProfit));
        assert_eq!(reason(ExitMode::Rules, 0.30, 0.30, 1, 1), None, "the first tier is sold");
        assert_eq!(reason(ExitMode::Rules, 0.30, 0.49, 1, 1), Some(ExitReason::TrailingStop));
        assert_eq!(reason(ExitMode::Rules, 0.10, 0.10, 60, 0), Some(ExitReason::TimeStop));
    }
}
