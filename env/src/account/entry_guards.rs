//! Limits on entries: a session's trades, losses and hours, and cool-downs after exits.
//!
//! A guard restricts the action mask, so no policy can bypass it. It depends on no price.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::exits::ExitReason;

/// Limits on entries: section `[env.guards]`. Every one is off at zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Loss, as a fraction of the session's capital, that sells everything and ends the day; 0 to 1, 0 = off. Measured
    /// on the liquidation value at bar closes.
    pub daily_loss_limit: f64,
    /// Most positions opened in a session; 0 = no limit.
    pub max_trades: u32,
    /// Minutes from any exit to the next entry, 0 to 390.
    pub cooldown: u32,
    /// Minutes from a stop-loss exit to the next entry, 0 to 390.
    pub cooldown_after_stop: u32,
    /// Minutes from a trailing-stop exit to the next entry, 0 to 390.
    pub cooldown_after_trail: u32,
    /// Minutes after the open without entries, 0 to 390.
    pub no_entry_after_open: u32,
    /// Minutes before the close without entries, 0 to 390.
    pub no_entry_before_close: u32,
    /// VIX at the session's open, in points, above which nothing is bought that day; 0 = off.
    pub vix_ceiling: f64,
}

/// The facts of a session that limit its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GuardedSession {
    /// Minutes of the session.
    pub(crate) bars: u32,
    /// Bar at whose open every position is sold.
    pub(crate) last_bar: u32,
    /// VIX known before the open, in points.
    pub(crate) vix_at_open: f64,
}

/// One account's guard during one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guard {
    from: u32,
    until: u32,
    trades: u32,
}

impl GuardConfig {
    /// Starts the guard of a session.
    pub(crate) fn open(&self, session: &GuardedSession) -> Guard {
        let calm = self.vix_ceiling == 0.0 || session.vix_at_open <= self.vix_ceiling;
        let until = session.last_bar.min(session.bars.saturating_sub(self.no_entry_before_close));
        Guard { from: self.no_entry_after_open, until: if calm { until } else { 0 }, trades: 0 }
    }

    /// Returns the liquidation value, in cents, at which the day of an account with this capital is lost.
    pub fn floor_cents(&self, capital_cents: i64) -> i64 {
        // The first whole cent of loss that reaches the fraction; the tolerance makes 7 % of 100 exactly 7.
        let loss = (self.daily_loss_limit * capital_cents as f64 - 1e-6).ceil() as i64;
        if self.daily_loss_limit > 0.0 { capital_cents - loss } else { i64::MIN }
    }

    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        if !(0.0..=1.0).contains(&self.daily_loss_limit) {
            faults.push(format!("env.guards.daily_loss_limit: {} is not in 0..=1", self.daily_loss_limit));
        }
        if !(self.vix_ceiling.is_finite() && self.vix_ceiling >= 0.0) {
            faults.push(format!("env.guards.vix_ceiling: {} is not 0 or a number of points", self.vix_ceiling));
        }
        for (name, minutes) in [
            ("cooldown", self.cooldown),
            ("cooldown_after_stop", self.cooldown_after_stop),
            ("cooldown_after_trail", self.cooldown_after_trail),
            ("no_entry_after_open", self.no_entry_after_open),
            ("no_entry_before_close", self.no_entry_before_close),
        ] {
            if minutes > 390 {
                faults.push(format!("env.guards.{name}: {minutes} minutes are more than a session"));
            }
        }
    }
}

impl Guard {
    /// Returns whether an entry may reach the market at the open of a bar.
    #[inline]
    pub(crate) fn allows(&self, bar: u32) -> bool {
        self.from <= bar && bar < self.until
    }

    /// Records a position that was closed at the open of a bar.
    pub(crate) fn closed(&mut self, config: &GuardConfig, reason: ExitReason, bar: u32) {
        let special = match reason {
            ExitReason::StopLoss => config.cooldown_after_stop,
            ExitReason::TrailingStop => config.cooldown_after_trail,
            _ => 0,
        };
        self.from = self.from.max(bar + config.cooldown.max(special));
        self.trades += 1;
        if config.max_trades > 0 && self.trades >= config.max_trades {
            self.end();
        }
    }

    /// Ends the day's entries.
    pub(crate) fn end(&mut self) {
        self.until = 0;
    }

    /// Returns the first bar at whose open an entry may reach the market again, if the day has one.
    pub(crate) fn next_entry(&self) -> Option<u32> {
        (self.from < self.until).then_some(self.from)
    }

    /// Returns the positions that were opened and closed.
    pub(crate) fn trades(&self) -> u32 {
        self.trades
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: GuardedSession = GuardedSession { bars: 390, last_bar: 385, vix_at_open: 20.0 };

    /// First and last bar at which an entry may arrive.
    fn window(guard: &Guard) -> Option<(u32, u32)> {
        let mut open = (0..390).filter(|&bar| guard.allows(bar));
        open.next().map(|first| (first, open.next_back().unwrap_or(first)))
    }

    #[test]
    fn hours_and_a_calm_market_are_settled_at_the_open() {
        let hours = |after, before, ceiling| {
            let config = GuardConfig {
                no_entry_after_open: after,
                no_entry_before_close: before,
                vix_ceiling: ceiling,
                ..GuardConfig::default()
            };
            window(&config.open(&SESSION))
        };
        assert_eq!(hours(0, 0, 0.0), Some((0, 384)), "off: until everything is sold");
        assert_eq!(hours(5, 60, 20.0), Some((5, 329)));
        assert_eq!(hours(0, 3, 0.0), Some((0, 384)), "never after the sale before the bell");
        assert_eq!([hours(0, 0, 19.9), hours(200, 200, 0.0), hours(0, 390, 0.0)], [None; 3]);
    }

    #[test]
    fn each_exit_starts_its_own_cool_down() {
        let config =
            GuardConfig { cooldown: 2, cooldown_after_stop: 5, cooldown_after_trail: 3, ..GuardConfig::default() };
        let mut guard = config.open(&SESSION);
        for (reason, bar, next) in [
            (ExitReason::Agent, 10, 12),
            (ExitReason::StopLoss, 20, 25),
            (ExitReason::TakeProfit, 21, 25),
            (ExitReason::TrailingStop, 40, 43),
        ] {
            guard.closed(&config, reason, bar);
            assert_eq!(window(&guard).unwrap().0, next, "{reason:?}");
        }
    }

    #[test]
    fn trades_and_losses_end_the_day() {
        let config = GuardConfig { max_trades: 2, ..GuardConfig::default() };
        let mut guard = config.open(&SESSION);
        guard.closed(&config, ExitReason::Agent, 10);
        assert!(guard.allows(10));
        guard.closed(&config, ExitReason::Agent, 11);
        assert_eq!(window(&guard), None);

        let mut guard = config.open(&SESSION);
        guard.end();
        assert_eq!(window(&guard), None);
        let limited = GuardConfig { daily_loss_limit: 0.15, ..config.clone() };
        assert_eq!([limited.floor_cents(10_000_000), config.floor_cents(10_000_000)], [8_500_000, i64::MIN]);
    }
}
