//! Performance of a replay: pure statistics of its sessions and trades, printed and written as JSON.

use std::collections::BTreeMap;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use market_env::{ACTION_NAMES, ExitReason, Trade, action::Action};
use serde::Serialize;
use statistics::{daily_sharpe, max_drawdown, profit_factor, ratio};

use crate::{
    evaluation::replay::ReplayResult,
    output::table::{dollars, percent, thousands},
};

fn usd(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// Quantiles of the minutes from a position's entry to its last exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HoldingMinutes {
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Maximum.
    pub max: u64,
}

/// Returns the quantiles of holding times; `None` without a position.
///
/// # Errors
/// When a holding time is longer than ten sessions, which no replay can produce.
pub(crate) fn holding_minutes(minutes: &[i64]) -> anyhow::Result<Option<HoldingMinutes>> {
    if minutes.is_empty() {
        return Ok(None);
    }
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_900, 3).context("making the holding-time histogram")?;
    for &held in minutes {
        let held = u64::try_from(held).context("a position was closed before it was opened")?;
        histogram.record(held).with_context(|| format!("a position was held for {held} minutes"))?;
    }
    let at = |quantile| histogram.value_at_quantile(quantile);
    Ok(Some(HoldingMinutes { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: histogram.max() }))
}

/// The figures of one replay. Money is in dollars and after all costs unless it says otherwise; shares and returns are
/// fractions, and null where the denominator is zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Performance {
    /// Symbol-sessions replayed; each starts flat with the configured capital.
    pub sessions: u64,
    /// Dates on which at least one symbol was replayed.
    pub session_dates: usize,
    /// Positions opened and closed.
    pub trades: u64,
    /// Trades per symbol-session.
    pub trades_per_session: Option<f64>,
    /// Share of trades with a net gain.
    pub win_rate: Option<f64>,
    /// Mean net return of a trade, as a fraction of premium and fees paid at its entry.
    pub mean_trade_return: Option<f64>,
    /// Worst net return of a trade.
    pub worst_trade_return: Option<f64>,
    /// P&L after spread and fees.
    pub net_pnl_usd: f64,
    /// P&L after the spread, before fees.
    pub gross_pnl_usd: f64,
    /// Commissions and exchange fees.
    pub fees_usd: f64,
    /// Maximum drawdown of the cumulative P&L by session date.
    pub max_drawdown_usd: f64,
    /// Mean over sample standard deviation of the P&L of session dates, times √252. Dates without a trade count as 0;
    /// every session starts with the same capital, nothing is compounded.
    pub daily_sharpe: Option<f64>,
    /// Gains of winning trades over losses of losing ones.
    pub profit_factor: Option<f64>,
    /// Minutes that positions were held.
    pub holding_minutes: Option<HoldingMinutes>,
    /// Share of each action among the decisions of a flat account.
    pub flat_actions: BTreeMap<&'static str, f64>,
    /// Share of each action among the decisions in a position.
    pub held_actions: BTreeMap<&'static str, f64>,
    /// Share of BUY among the decisions of a flat account on a strong setup.
    pub strong_buy: Option<f64>,
    /// Share of minutes spent in a position.
    pub time_in_market: Option<f64>,
    /// Orders refused at the market: no quote, or not enough cash.
    pub refused_orders: u64,
    /// Orders filled in part.
    pub partial_orders: u64,
    /// Working orders that expired unfilled.
    pub unfilled_orders: u64,
    /// Minutes played without a bar; nothing fills in them.
    pub minutes_without_bar: u64,
    /// Orders due in such a minute: entries that were refused or waited, and sales that waited.
    pub halted_orders: u64,
    /// Positions closed, by reason.
    pub exits: BTreeMap<&'static str, u64>,
}

impl Performance {
    /// Computes the figures of a replay.
    ///
    /// # Errors
    /// When a trade is impossible, such as one that closed before it opened.
    pub fn of(result: &ReplayResult) -> anyhow::Result<Self> {
        let ReplayResult { ledger, sessions, trades } = result;
        let daily: Vec<f64> = result.daily_pnl().into_iter().map(|(_, pnl)| pnl).collect();
        let minutes: Vec<i64> = trades.iter().map(Trade::minutes_held).collect();
        let closed = trades.len() as f64;
        let flat_total = ledger.flat_steps() as f64;
        let held_total = ledger.held_actions.iter().sum::<u64>() as f64;
        let shares = |count: &dyn Fn(Action) -> u64, total: f64| {
            let all = Action::ALL.into_iter().filter(|&action| count(action) > 0);
            all.map(|action| (action.name(), count(action) as f64 / total)).collect::<BTreeMap<_, _>>()
        };
        let fees: i64 = sessions.iter().map(|(_, session)| session.fees_cents).sum();
        let net: i64 = sessions.iter().map(|(_, session)| session.net_pnl_cents).sum();
        Ok(Self {
            sessions: sessions.len() as u64,
            session_dates: daily.len(),
            trades: trades.len() as u64,
            trades_per_session: ratio(closed, sessions.len() as f64),
            win_rate: ratio(trades.iter().filter(|trade| trade.net_pnl_cents > 0).count() as f64, closed),
            mean_trade_return: ratio(trades.iter().map(|trade| trade.net_return).sum(), closed),
            worst_trade_return: trades.iter().map(|trade| trade.net_return).min_by(f64::total_cmp),
            net_pnl_usd: usd(net),
            gross_pnl_usd: usd(net + fees),
            fees_usd: usd(fees),
            max_drawdown_usd: (max_drawdown(&daily) * 100.0).round() / 100.0,
            daily_sharpe: daily_sharpe(&daily),
            profit_factor: profit_factor(trades.iter().map(|trade| usd(trade.net_pnl_cents))),
            holding_minutes: holding_minutes(&minutes)?,
            flat_actions: shares(&|action| ledger.flat(action), flat_total),
            held_actions: shares(&|action| ledger.held_actions[action.index()], held_total),
            strong_buy: ratio(ledger.strong_buys() as f64, ledger.strong_states() as f64),
            time_in_market: ratio(ledger.held_steps as f64, ledger.steps as f64),
            refused_orders: ledger.refused_orders,
            partial_orders: ledger.partial_orders,
            unfilled_orders: ledger.unfilled_orders,
            minutes_without_bar: ledger.minutes_without_bar,
            halted_orders: ledger.halted_orders,
            exits: ExitReason::ALL
                .map(ExitReason::name)
                .into_iter()
                .zip(ledger.exits)
                .filter(|(_, count)| *count > 0)
                .collect(),
        })
    }

    /// Headings of [`Performance::cells`].
    pub const HEADINGS: [&str; 12] = [
        "policy",
        "sessions",
        "trades",
        "per session",
        "win rate",
        "mean trade",
        "worst trade",
        "net P&L",
        "fees",
        "HOLD flat",
        "strong BUY",
        "in market",
    ];

    /// Returns one row of a comparison of policies.
    pub fn cells(&self, name: &str) -> Vec<String> {
        let hold = self.flat_actions.get(ACTION_NAMES[0]).copied();
        vec![
            name.to_owned(),
            self.sessions.to_string(),
            thousands(self.trades as i64),
            decimal(self.trades_per_session, 1),
            percent(self.win_rate),
            percent(self.mean_trade_return),
            percent(self.worst_trade_return),
            dollars(self.net_pnl_usd),
            dollars(self.fees_usd),
            percent(hold.or(Some(0.0))),
            percent(self.strong_buy),
            percent(self.time_in_market),
        ]
    }

    /// Returns the figures as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let shares = |shares: &BTreeMap<&str, f64>| {
            let by_number = ACTION_NAMES.iter().filter_map(|name| Some((name, shares.get(name)?)));
            let text: Vec<_> = by_number.map(|(name, share)| format!("{name} {}", percent(Some(*share)))).collect();
            if text.is_empty() { "none".to_owned() } else { text.join("  ") }
        };
        let exits: Vec<_> =
            self.exits.iter().map(|(reason, count)| format!("{reason} {}", thousands(*count as i64))).collect();
        let held = self.holding_minutes.map_or_else(
            || "-".to_owned(),
            |held| format!("p50 {}  p90 {}  p99 {}  max {} minutes", held.p50, held.p90, held.p99, held.max),
        );
        let mut lines = vec![
            format!("Sessions             {} on {} dates", thousands(self.sessions as i64), self.session_dates),
            format!(
                "Trades               {} ({} per session), win rate {}",
                thousands(self.trades as i64),
                decimal(self.trades_per_session, 1),
                percent(self.win_rate)
            ),
            format!(
                "Trade return         mean {}  worst {}",
                percent(self.mean_trade_return),
                percent(self.worst_trade_return)
            ),
            format!("Net P&L              {}", dollars(self.net_pnl_usd)),
            format!("Gross P&L            {} (fees {})", dollars(self.gross_pnl_usd), dollars(self.fees_usd)),
            format!("Max drawdown         {} (of cumulative P&L by session date)", dollars(self.max_drawdown_usd)),
            format!(
                "Daily Sharpe         {} (P&L by session date, x sqrt(252); each session starts with the configured capital)",
                decimal(self.daily_sharpe, 2)
            ),
            format!("Profit factor        {}", decimal(self.profit_factor, 2)),
            format!("Holding time         {held}"),
            format!("Actions when flat    {}", shares(&self.flat_actions)),
            format!("Actions when holding {}", shares(&self.held_actions)),
            format!("BUY on strong setups {}", percent(self.strong_buy)),
            format!("Time in market       {}", percent(self.time_in_market)),
            format!("Exits                {}", if exits.is_empty() { "none".to_owned() } else { exits.join("  ") }),
        ];
        lines.extend(self.orders_line());
        lines.extend(self.holes_line());
        lines
    }

    /// Returns the counts of minutes without a bar and of the orders that met them, if there are any.
    fn holes_line(&self) -> Option<String> {
        let [minutes, orders] = [self.minutes_without_bar, self.halted_orders].map(|count| thousands(count as i64));
        (self.minutes_without_bar + self.halted_orders > 0).then(|| {
            format!("Minutes without bar  {minutes}; {orders} orders were due in them and were refused or waited")
        })
    }

    /// Returns the counts of orders that were not filled in full at once, if there are any.
    fn orders_line(&self) -> Option<String> {
        let counts = [self.refused_orders, self.partial_orders, self.unfilled_orders];
        let [refused, partial, unfilled] = counts.map(|count| thousands(count as i64));
        counts.iter().any(|&count| count > 0).then(|| {
            format!("Orders               {refused} refused, {partial} filled in part, {unfilled} expired unfilled")
        })
    }
}

fn decimal(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use market_env::{Episode, Ledger, PriceOrigin, Setup};

    use super::*;

    #[test]
    fn holding_quantiles_are_those_of_the_trades() {
        let minutes: Vec<i64> = (1..=100).collect();
        let held = holding_minutes(&minutes).unwrap().unwrap();
        assert_eq!(held, HoldingMinutes { p50: 50, p90: 90, p99: 99, max: 100 });
        assert_eq!(holding_minutes(&[]).unwrap(), None);
        assert_eq!(holding_minutes(&[0]).unwrap().unwrap().max, 0);
        assert!(holding_minutes(&[-1]).is_err());
    }

    pub(crate) fn trade(net_pnl_cents: i64, net_return: f64, minutes: i64) -> Trade {
        Trade {
            lane: 0,
            symbol: "SPY".to_owned(),
            date: jiff::civil::date(2025, 6, 2),
            side: Action::BuyCall,
            strike: 590.0,
            expiry: jiff::civil::date(2025, 6, 2),
            entry_ts_ns: 1_748_871_060_000_000_000,
            exit_ts_ns: 1_748_871_060_000_000_000 + minutes * 60_000_000_000,
            contracts: 3,
            entry_price: 1.25,
            entry_fees_cents: 65,
            sales: Vec::new(),
            exit_price: 1.5,
            fees_cents: 130,
            net_pnl_cents,
            net_return,
            reason: ExitReason::Agent,
            setup: Setup::BullStrong,
            prices: PriceOrigin::Modelled,
        }
    }

    #[test]
    fn figures_add_up_by_hand() {
        let session = |pnl| Episode {
            lane: 0,
            day: 0,
            steps: 389,
            reward: 0.0,
            net_pnl_cents: pnl,
            fees_cents: 100,
            trades: 1,
            held_steps: 10,
        };
        let day = |d| jiff::civil::date(2025, 6, d);
        let sessions = vec![(day(3), session(-5_000)), (day(2), session(10_000)), (day(3), session(-1_000))];
        let mut ledger = Ledger { steps: 1_000, held_steps: 250, ..Ledger::default() };
        ledger.flat_actions[Setup::BullStrong as usize] = [1, 3, 0, 0, 0, 0];
        ledger.flat_actions[Setup::Weak as usize] = [5, 0, 1, 0, 0, 0];
        ledger.exits[0] = 2;
        let trades = vec![trade(10_000, 0.2, 4), trade(-6_000, -0.1, 8)];
        let result = ReplayResult { ledger, sessions, trades };
        assert_eq!(result.daily_pnl(), [(day(2), 100.0), (day(3), -60.0)]);
        let figures = Performance::of(&result).unwrap();
        assert_eq!((figures.net_pnl_usd, figures.gross_pnl_usd, figures.fees_usd), (40.0, 43.0, 3.0));
        assert_eq!((figures.max_drawdown_usd, figures.session_dates), (60.0, 2));
        assert_eq!((figures.win_rate, figures.worst_trade_return), (Some(0.5), Some(-0.1)));
        assert!((figures.mean_trade_return.unwrap() - 0.05).abs() < 1e-12);
        assert!((figures.profit_factor.unwrap() - 10.0 / 6.0).abs() < 1e-12);
        assert_eq!((figures.strong_buy, figures.time_in_market), (Some(0.75), Some(0.25)));
        assert_eq!(figures.flat_actions["HOLD"], 0.6);
        assert_eq!(figures.exits["agent"], 2);
        assert_eq!(figures.cells("greedy").len(), Performance::HEADINGS.len());
    }

    #[test]
    fn a_replay_without_a_trade_has_no_ratios_and_no_nan() {
        let figures = Performance::of(&ReplayResult::default()).unwrap();
        assert_eq!((figures.win_rate, figures.daily_sharpe, figures.profit_factor), (None, None, None));
        let json = serde_json::to_value(&figures).unwrap();
        assert!(json["win_rate"].is_null() && json["net_pnl_usd"] == 0.0);
        let extra = ["Orders", "Minutes without"];
        assert!(
            figures
                .lines()
                .iter()
                .all(|line| !line.contains("NaN") && !extra.iter().any(|word| line.starts_with(word)))
        );
    }

    #[test]
    fn orders_that_were_not_filled_in_full_are_counted_in_the_text() {
        let ledger = Ledger { refused_orders: 1_200, unfilled_orders: 1, ..Ledger::default() };
        let figures = Performance::of(&ReplayResult { ledger, ..ReplayResult::default() }).unwrap();
        let line = "Orders               1,200 refused, 0 filled in part, 1 expired unfilled";
        assert_eq!(figures.lines().last().unwrap(), line);
        let ledger = Ledger { minutes_without_bar: 1_030, halted_orders: 7, ..Ledger::default() };
        let figures = Performance::of(&ReplayResult { ledger, ..ReplayResult::default() }).unwrap();
        let line = "Minutes without bar  1,030; 7 orders were due in them and were refused or waited";
        assert_eq!(figures.lines().last().unwrap(), line);
    }
}
