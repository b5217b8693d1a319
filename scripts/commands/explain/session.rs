//! Replay of one session: every decision with its probabilities and value estimate, and every position.

use std::sync::Arc;

use anyhow::Context as _;
use market_data::{
    SessionBars, VolColumns,
    calendar::{MINUTE_NS, session_time},
};
use market_env::{
    Action, ActionMask, BatchEnv, Day, EnvConfig, ExitReason, Ledger, Market, QuotePair, Sale, Trade,
    features::indicator::SessionVwap,
};
use ppo_agent::{Behaviour, Policy, StepView, evaluate_watched, ppo::distribution::MAX_ACTIONS};

use crate::inputs::Inputs;

/// One decision, taken at the close of the bar of the same number, and the result of its step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The account's columns of the observation.
    pub(crate) account: Vec<f32>,
    pub(crate) mask: ActionMask,
    pub(crate) prob: [f32; MAX_ACTIONS],
    /// The critic's value estimate for the rest of the session.
    pub(crate) value: f32,
    pub(crate) action: Action,
    pub(crate) reward: f32,
    /// Counters of this step alone.
    pub(crate) ledger: Ledger,
}

/// A replayed session of one symbol. Its last bars have no step: no decision is taken just before the bell.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) market: &'a Market,
    pub(crate) day: &'a Day,
    pub(crate) bars: &'a SessionBars,
    pub(crate) vol: &'a VolColumns,
    /// Session VWAP at the close of every bar.
    pub(crate) vwap: Vec<f64>,
    /// One per decision; the index is the bar.
    pub(crate) steps: Vec<Step>,
    /// Positions, by entry.
    pub(crate) trades: Vec<Trade>,
    pub(crate) capital_cents: i64,
}

impl<'a> Session<'a> {
    /// Replays the only session of `inputs`, exactly as a backtest of it would.
    ///
    /// # Errors
    /// When there is not exactly one session, or the policy was trained for other observations.
    pub(crate) fn replay(
        policy: &Policy,
        inputs: &'a Inputs,
        config: &EnvConfig,
        behaviour: Behaviour,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let [day] = inputs.market.days() else {
            anyhow::bail!("{} sessions were loaded instead of one", inputs.market.days().len())
        };
        let sessions = inputs.dataset.symbols.first().context("there are no bars")?;
        let (bars, vol) = sessions.days.last().zip(sessions.vol.last()).context("there is no session")?;
        let mut env = BatchEnv::replay(Arc::clone(&inputs.market), vec![0], config.clone())?;
        let (mut steps, mut before) = (Vec::new(), Ledger::default());
        let mut record = |view: StepView<'_>| {
            steps.push(Step {
                account: view.account.to_vec(),
                mask: view.mask[0],
                prob: view.prob[0],
                value: view.value[0],
                action: Action::from_index(view.action[0]).unwrap_or(Action::Hold),
                reward: view.reward[0],
                ledger: view.ledger.since(&before),
            });
            before = view.ledger.clone();
        };
        evaluate_watched(policy, &mut env, behaviour, seed, &mut record)?;
        let mut trades = Vec::new();
        env.drain_trades(&mut trades);
        let mut average = SessionVwap::default();
        let columns = bars.high.iter().zip(&bars.low).zip(bars.close.iter().zip(&bars.volume));
        let vwap = columns.map(|((&high, &low), (&close, &volume))| average.push(high, low, close, volume)).collect();
        let capital_cents = (config.account.capital * 100.0).round() as i64;
        Ok(Self { market: &inputs.market, day, bars, vol, vwap, steps, trades, capital_cents })
    }

    /// Returns the bar that starts at an instant; the close counts as the bar after the last.
    pub(crate) fn bar_at(&self, ts_ns: i64) -> u32 {
        ((ts_ns - self.day.open_ns) / MINUTE_NS).max(0) as u32
    }

    /// Formats the start of a bar in New York time.
    pub(crate) fn clock(&self, bar: u32) -> String {
        session_time(bar as usize)
    }

    /// Returns the position held at the close of a bar.
    pub(crate) fn held_at(&self, bar: u32) -> Option<&Trade> {
        let instant = self.day.bar_ns(bar);
        self.trades.iter().find(|trade| trade.entry_ts_ns <= instant && instant < trade.exit_ts_ns)
    }

    /// Returns the position that the decision of a bar opened: the next one, unless another decision came first.
    pub(crate) fn opened_by(&self, bar: u32) -> Option<&Trade> {
        let bought = matches!(self.steps[bar as usize].action, Action::BuyCall | Action::BuyPut);
        let next = self.trades.iter().find(|trade| trade.entry_ts_ns > self.day.bar_ns(bar));
        next.filter(|trade| bought && self.undecided_until(bar, trade.entry_ts_ns))
    }

    /// Returns the sales of a position in the step after a decision, and the decision's own sale if it filled later. Sales at the
    /// session's end belong to its last step.
    pub(crate) fn sold_by<'t>(&self, bar: u32, trade: &'t Trade) -> Vec<&'t Sale> {
        let step = &self.steps[bar as usize];
        let (next, last) = (self.day.bar_ns(bar + 1), bar as usize + 1 == self.steps.len());
        let ordered = !matches!(step.action, Action::Hold);
        let later = trade.sales.iter().find(|sale| sale.ts_ns > next && sale.reason == ExitReason::Agent);
        let later = later.filter(|sale| ordered && !last && self.undecided_until(bar, sale.ts_ns));
        let now = trade.sales.iter().filter(|sale| sale.ts_ns == next || (last && sale.ts_ns > next));
        now.chain(later).collect()
    }

    /// Returns whether every decision between this one and a fill was forced.
    fn undecided_until(&self, bar: u32, fill_ns: i64) -> bool {
        let between = bar as usize + 1..self.bar_at(fill_ns) as usize;
        self.steps.get(between).is_none_or(|steps| steps.iter().all(|step| step.mask.is_forced()))
    }

    /// Returns the contracts of a position still held at the close of a bar.
    pub(crate) fn contracts_left(&self, trade: &Trade, bar: u32) -> u32 {
        let sold = trade.sales.iter().filter(|sale| sale.ts_ns <= self.day.bar_ns(bar)).map(|sale| sale.contracts);
        trade.contracts.saturating_sub(sold.sum())
    }

    /// Returns the quotes of the call or the put of a strike in a bar.
    pub(crate) fn quote(&self, side: Action, strike: f64, bar: u32) -> Option<QuotePair> {
        let (call, put) = self.market.quotes_at(self.day, strike, bar)?;
        Some(if side == Action::BuyCall { call } else { put })
    }

    /// Returns the account's liquidation value at every mark, in cents: the capital at the first close, then one per step.
    pub(crate) fn equity_cents(&self) -> Vec<i64> {
        let sum = |equity: &mut i64, step: &Step| {
            *equity += step.ledger.net_pnl_cents;
            Some(*equity)
        };
        let after = self.steps.iter().scan(self.capital_cents, sum);
        std::iter::once(self.capital_cents).chain(after).collect()
    }

    /// Returns the session's net P&L, in cents.
    pub(crate) fn net_pnl_cents(&self) -> i64 {
        self.steps.iter().map(|step| step.ledger.net_pnl_cents).sum()
    }
}
