//! Audit arithmetic: per trade, per session and in total.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::calendar::{self, MINUTE_NS};
use market_env::{Action, Trade};

use super::{
    claims::{Claims, SessionTotals},
    terms::{Fill, FillKind, Terms},
};
use crate::output::table::dollars_and_cents;

/// Shares per contract: a price in cents times this is the contract's premium in cents.
const SHARES: i64 = 100;

/// Cash flow of one trade, in cents.
#[derive(Debug, Clone, Copy)]
pub(super) struct CashFlow {
    pub(super) premium: i64,
    entry_fees: i64,
    fees: i64,
    net: i64,
}

impl CashFlow {
    fn net_return(&self) -> f64 {
        self.net as f64 / (self.premium + self.entry_fees) as f64
    }
}

/// Totals by symbol and date, derived from the trades.
pub(super) type TotalsBySession = BTreeMap<(String, Date), SessionTotals>;

/// Auditor of one log, with the disagreements found so far.
pub(super) struct Auditor<'a> {
    terms: &'a Terms,
    pub(super) disagreements: Vec<String>,
}

impl<'a> Auditor<'a> {
    pub(super) fn new(terms: &'a Terms) -> Self {
        Self { terms, disagreements: Vec::new() }
    }

    fn require(&mut self, holds: bool, place: &str, sentence: impl FnOnce() -> String) {
        if !holds {
            self.disagreements.push(format!("{place}: {}", sentence()));
        }
    }

    /// Compares an amount of the log with the derived one.
    fn cents(&mut self, place: &str, what: &str, log: i64, derived: i64) {
        let [log_text, derived_text] = [log, derived].map(dollars_and_cents);
        self.require(log == derived, place, || format!("{what} is {log_text}, by the cash flow {derived_text}"));
    }

    /// Compares a ratio of the log with the derived one.
    fn ratio(&mut self, place: &str, what: &str, log: f64, derived: f64) {
        let near = (log - derived).abs() <= 1e-9 * derived.abs().max(1.0);
        self.require(near, place, || format!("{what} is {log}, by the cash flow {derived}"));
    }

    /// Derives the cash flow of one trade and compares the record with it.
    pub(super) fn trade(&mut self, row: usize, trade: &Trade) -> CashFlow {
        let place = format!("trade {row} ({} {} {} {})", trade.symbol, trade.date, trade.side.name(), trade.strike);
        let entry = self.whole_cents(&place, "the entry price", trade.entry_price);
        let premium = entry * SHARES * i64::from(trade.contracts);
        self.fees(
            &place,
            trade,
            "the entry",
            Fill { kind: FillKind::Buy, price: entry, contracts: trade.contracts },
            trade.entry_fees_cents,
        );
        let (mut proceeds, mut fees, mut sold) = (0, trade.entry_fees_cents, 0);
        for (sale, number) in trade.sales.iter().zip(1..) {
            let what = format!("sale {number}");
            let price = self.whole_cents(&place, &format!("the price of {what}"), sale.price);
            let fill = Fill { kind: FillKind::of(sale), price, contracts: sale.contracts };
            self.fees(&place, trade, &what, fill, sale.fees_cents);
            proceeds += price * SHARES * i64::from(sale.contracts);
            fees += sale.fees_cents;
            sold += u64::from(sale.contracts);
        }
        let flow = CashFlow { premium, entry_fees: trade.entry_fees_cents, fees, net: proceeds - premium - fees };
        let bought = u64::from(trade.contracts);
        self.require(bought > 0 && sold == bought, &place, || format!("{bought} contracts were bought, {sold} sold"));
        self.cents(&place, "the sum of fees", trade.fees_cents, flow.fees);
        self.cents(&place, "the net P&L", trade.net_pnl_cents, flow.net);
        self.ratio(&place, "the net return", trade.net_return, flow.net_return());
        self.ratio(
            &place,
            "the exit price",
            trade.exit_price,
            proceeds as f64 / (SHARES * 100 * bought.max(1) as i64) as f64,
        );
        self.contract(&place, trade);
        self.times(&place, trade);
        flow
    }

    fn whole_cents(&mut self, place: &str, what: &str, price: f64) -> i64 {
        let cents = (price * 100.0).round();
        let whole = cents >= 0.0 && (price * 100.0 - cents).abs() < 1e-6;
        self.require(whole, place, || format!("{what} {price} is not a price in whole cents"));
        cents as i64
    }

    /// Checks that a fill's fees are the schedule's, rounded to the nearest cent.
    fn fees(&mut self, place: &str, trade: &Trade, what: &str, fill: Fill, fees_cents: i64) {
        let Some(exact) = self.terms.fees(&trade.symbol, trade.date, fill) else { return };
        self.require(exact.rounds_to(fees_cents), place, || {
            let [price, log, derived] = [fill.price, fees_cents, exact.cents()].map(dollars_and_cents);
            format!("{what} of {} at {price} pays fees of {log}, by the schedule {derived}", fill.contracts)
        });
    }

    fn contract(&mut self, place: &str, trade: &Trade) {
        let entry = matches!(trade.side, Action::BuyCall | Action::BuyPut);
        self.require(entry, place, || "this side opens no position".to_owned());
        self.require(trade.expiry >= trade.date, place, || format!("the contract had expired on {}", trade.expiry));
        let spec = self.terms.contracts.get(&trade.symbol);
        self.require(spec.is_some(), place, || "no fee schedule is known for this symbol".to_owned());
        let steps = spec.map_or(0.0, |spec| trade.strike / spec.strike_step);
        let on_grid = trade.strike > 0.0 && (steps - steps.round()).abs() < 1e-9;
        self.require(on_grid, place, || "the strike is not on the grid".to_owned());
    }

    /// Checks that entry and sales lie inside the session, on whole minutes, and in order.
    fn times(&mut self, place: &str, trade: &Trade) {
        let Some(session) = calendar::session(trade.date) else {
            self.disagreements.push(format!("{place}: there is no session on this date"));
            return;
        };
        let on_minute = |ts: i64| (ts - session.open_ns) % MINUTE_NS == 0;
        let entered = (session.open_ns..session.close_ns).contains(&trade.entry_ts_ns) && on_minute(trade.entry_ts_ns);
        self.require(entered, place, || "the entry lies outside the session's minutes".to_owned());
        let inside = trade.sales.iter().all(|sale| sale.ts_ns <= session.close_ns && on_minute(sale.ts_ns));
        self.require(inside, place, || "a sale lies outside the session's minutes".to_owned());
        let times: Vec<i64> =
            std::iter::once(trade.entry_ts_ns).chain(trade.sales.iter().map(|sale| sale.ts_ns)).collect();
        self.require(times.is_sorted_by(|a, b| a < b), place, || "entry and sales are not in order".to_owned());
        let last = trade.sales.last();
        let ended = last.is_some_and(|sale| sale.ts_ns == trade.exit_ts_ns && sale.reason == trade.reason);
        self.require(ended, place, || "exit time and reason are not those of the last sale".to_owned());
    }

    /// Checks every session's account: one position at a time, never more spent than the cash at hand.
    pub(super) fn sessions(&mut self, trades: &[Trade], flows: &[CashFlow]) -> TotalsBySession {
        let mut by_session: BTreeMap<(String, Date), Vec<(&Trade, &CashFlow)>> = BTreeMap::new();
        for (trade, flow) in trades.iter().zip(flows) {
            by_session.entry((trade.symbol.clone(), trade.date)).or_default().push((trade, flow));
        }
        let mut totals = TotalsBySession::new();
        for ((symbol, date), mut positions) in by_session {
            let place = format!("session {symbol} {date}");
            positions.sort_by_key(|(trade, _)| trade.entry_ts_ns);
            let disjoint = positions.windows(2).all(|pair| pair[0].0.exit_ts_ns < pair[1].0.entry_ts_ns);
            self.require(disjoint, &place, || "a position was opened before the last was closed".to_owned());
            let (mut cash, mut fees) = (self.terms.capital_cents, 0);
            for (_, flow) in &positions {
                let paid = flow.premium + flow.entry_fees;
                self.require(paid <= cash, &place, || {
                    format!("an entry of {} exceeds the cash of {}", dollars_and_cents(paid), dollars_and_cents(cash))
                });
                cash += flow.net;
                fees += flow.fees;
            }
            totals.insert((symbol, date), (cash - self.terms.capital_cents, fees, positions.len() as u32));
        }
        totals
    }

    /// Compares the totals with the report.
    pub(super) fn totals(&mut self, trades: &[Trade], flows: &[CashFlow], totals: &TotalsBySession, claims: &Claims) {
        let place = "report";
        let count = trades.len() as i64;
        self.require(claims.trades == count, place, || {
            format!("it counts {} trades, the log has {count}", claims.trades)
        });
        self.cents(place, "the net P&L", claims.net_pnl_cents, flows.iter().map(|flow| flow.net).sum());
        self.cents(place, "the sum of fees", claims.fees_cents, flows.iter().map(|flow| flow.fees).sum());
        let returns: Vec<f64> = flows.iter().map(CashFlow::net_return).collect();
        let n = returns.len() as f64;
        let wins = flows.iter().filter(|flow| flow.net > 0).count() as f64;
        let worst = returns.iter().copied().min_by(f64::total_cmp);
        let ratios = [
            ("the win rate", claims.win_rate, wins / n),
            ("the mean trade return", claims.mean_trade_return, returns.iter().sum::<f64>() / n),
            ("the worst trade return", claims.worst_trade_return, worst.unwrap_or(0.0)),
        ];
        for (what, claimed, derived) in ratios {
            if let Some(claimed) = claimed {
                self.ratio(place, what, claimed, derived);
            }
        }
        let mut daily: BTreeMap<Date, i64> = claims.daily_pnl_cents.keys().map(|&date| (date, 0)).collect();
        totals.iter().for_each(|((_, date), end)| *daily.entry(*date).or_default() += end.0);
        for (date, derived) in daily {
            let claimed = claims.daily_pnl_cents.get(&date).copied().unwrap_or(0);
            self.cents(place, &format!("the P&L of {date}"), claimed, derived);
        }
        for ((symbol, date), &(pnl, fees, trades)) in claims.sessions.iter().flatten() {
            let place = format!("session {symbol} {date}");
            let end = totals.get(&(symbol.clone(), *date)).copied().unwrap_or((0, 0, 0));
            let capital = self.terms.capital_cents;
            self.cents(&place, "the final cash", capital + pnl, capital + end.0);
            self.cents(&place, "the sum of fees", fees, end.1);
            self.require(trades == end.2, &place, || format!("it counts {trades} trades, the log has {}", end.2));
        }
    }
}
