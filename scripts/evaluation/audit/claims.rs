//! Claims of a backtest report that an audit checks.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::civil::Date;
use serde_json::Value;

use crate::evaluation::replay::ReplayResult;

/// Totals of a session: net P&L and fees in cents, and number of trades.
pub(super) type SessionTotals = (i64, i64, u32);

/// Totals claimed by the report of a replay.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    pub(super) trades: i64,
    pub(super) net_pnl_cents: i64,
    pub(super) fees_cents: i64,
    pub(super) win_rate: Option<f64>,
    pub(super) mean_trade_return: Option<f64>,
    pub(super) worst_trade_return: Option<f64>,
    pub(super) daily_pnl_cents: BTreeMap<Date, i64>,
    /// Totals by symbol and date, if the replay itself is at hand.
    pub(super) sessions: Option<BTreeMap<(String, Date), SessionTotals>>,
}

impl Claims {
    /// Reads a report of `zerodte backtest --json`.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn of_report(report: &Value) -> anyhow::Result<Self> {
        let number = |key: &str| report[key].as_f64().with_context(|| format!("the report has no number {key}"));
        let cents = |dollars: f64| (dollars * 100.0).round() as i64;
        let daily = report["daily_pnl_usd"].as_object().context("the report has no daily_pnl_usd")?;
        let day = |(date, pnl): (&String, &Value)| {
            anyhow::Ok((
                date.parse()?,
                cents(pnl.as_f64().with_context(|| format!("the P&L of {date} is not a number"))?),
            ))
        };
        Ok(Self {
            trades: number("trades")? as i64,
            net_pnl_cents: cents(number("net_pnl_usd")?),
            fees_cents: cents(number("fees_usd")?),
            win_rate: report["win_rate"].as_f64(),
            mean_trade_return: report["mean_trade_return"].as_f64(),
            worst_trade_return: report["worst_trade_return"].as_f64(),
            daily_pnl_cents: daily.iter().map(day).collect::<Result<_, _>>()?,
            sessions: None,
        })
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
}
