//! Claims of a backtest report that an audit checks.

use std::collections::BTreeMap;

use anyhow::ensure;
use jiff::civil::Date;
use serde_json::Value;

use super::{SIGNATURE, figures};
use crate::evaluation::replay::ReplayResult;

/// Totals of a session: net P&L and fees in cents, and number of trades.
pub(super) type SessionTotals = (i64, i64, u32);

/// Report of a replay, and what is known beside it.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    pub(super) report: Value,
    /// Totals by symbol and date, if the replay itself is at hand.
    pub(super) sessions: Option<BTreeMap<(String, Date), SessionTotals>>,
    /// Report of a second replay of the same sessions, if there was one.
    pub(super) again: Option<Value>,
}

impl Claims {
    /// Reads a report of `zerodte backtest --json`.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn of_report(report: Value) -> anyhow::Result<Self> {
        for key in ["trades", "net_pnl_usd", "fees_usd"] {
            ensure!(report[key].is_number(), "the report has no number {key}");
        }
        figures::daily_pnl_cents(&report)?;
        Ok(Self { report, ..Self::default() })
    }

    /// Adds the totals of every session of the replay; `symbol_of` returns the symbol of a day of its market.
    #[must_use]
    pub fn with_sessions(mut self, result: &ReplayResult, symbol_of: impl Fn(u32) -> String) -> Self {
        let end = |(date, session): &(Date, market_env::Episode)| {
            let key = (symbol_of(session.day), *date);
            (key, (session.net_pnl_cents, session.fees_cents, session.trades))
        };
        self.sessions = Some(result.sessions.iter().map(end).collect());
        self
    }

    /// Adds the report of a second replay of the same sessions.
    #[must_use]
    pub fn with_replay(self, report: Value) -> Self {
        Self { again: Some(report), ..self }
    }

    /// Returns whether the report is signed; `None` where the signature is not that of its figures.
    pub(super) fn is_signed(&self) -> Option<bool> {
        let Some(signature) = self.report[SIGNATURE].as_str() else { return Some(false) };
        (signature == signature_of(&self.report)).then_some(true)
    }
}

/// Returns the signature of a report: a hash of all of its figures.
pub fn signature_of(report: &Value) -> String {
    let mut report = report.clone();
    if let Some(entries) = report.as_object_mut() {
        entries.remove(SIGNATURE);
    }
    ppo_agent::content_sha256(&report)
}
