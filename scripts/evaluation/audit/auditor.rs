//! Audit arithmetic: per trade, per session and in total.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use market_data::{
    calendar::{self, MINUTE_NS},
    quotation::quoted,
};
use market_env::{Action, Trade};
use serde_json::Value;

use super::{
    FigureCounts, TRADES_HASH,
    cash_flow::CashFlow,
    claims::{Claims, SessionTotals},
    figures,
    terms::{Fill, FillKind, Terms},
};
use crate::{artifacts::trades::TradeLog, output::table::dollars_and_cents};

/// Shares per contract: a price in cents times this is the contract's premium in cents.
const SHARES: i64 = 100;

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
        let place = place_of(row, trade);
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

    /// Checks the cells of the log that follow from others of their row.
    pub(super) fn cells(&mut self, log: &TradeLog) {
        for (row, (trade, minutes)) in log.trades.iter().zip(&log.minutes_held).enumerate() {
            let (held, place) = (trade.minutes_held(), place_of(row + 1, trade));
            self.require(*minutes == held, &place, || {
                format!("the minutes held are {minutes}, by entry and exit {held}")
            });
        }
        let mixed = log.data.windows(2).position(|pair| pair[0] != pair[1]);
        self.require(mixed.is_none(), "log", || {
            format!("its rows have two data stamps, first in row {}", mixed.unwrap_or(0) + 2)
        });
    }

    /// Compares the totals of every session with those of the replay, if they are at hand.
    pub(super) fn session_totals(&mut self, totals: &TotalsBySession, claims: &Claims) {
        for ((symbol, date), &(pnl, fees, trades)) in claims.sessions.iter().flatten() {
            let place = format!("session {symbol} {date}");
            let end = totals.get(&(symbol.clone(), *date)).copied().unwrap_or((0, 0, 0));
            let capital = self.terms.capital_cents;
            self.cents(&place, "the final cash", capital + pnl, capital + end.0);
            self.cents(&place, "the sum of fees", fees, end.1);
            self.require(trades == end.2, &place, || format!("it counts {trades} trades, the log has {}", end.2));
        }
    }

    /// Derives the figures of the report again and compares them; returns their numbers.
    pub(super) fn report(&mut self, log: &TradeLog, flows: &[CashFlow], claims: &Claims) -> FigureCounts {
        let (place, report) = ("report", &claims.report);
        let derived = figures::of_trades(report, &log.trades, flows, self.terms.capital_cents);
        let mut derived = derived.unwrap_or_default();
        if report[TRADES_HASH].is_string() {
            derived.insert(TRADES_HASH.to_owned(), log.sha256().into());
        }
        if let Some(stamp) = log.data.first() {
            derived.insert("data".to_owned(), stamp.as_str().into());
        }
        derived.extend(claims.again.iter().flat_map(figures::of_replay));
        let claimed = figures::leaves(report);
        let compared: Vec<_> =
            derived.iter().filter_map(|(path, value)| Some((path, claimed.get(path)?, value))).collect();
        for (path, claimed, derived) in &compared {
            self.require(figures::equal(claimed, derived), place, || {
                format!("{path} is {}, derived again {derived}", quoted(&claimed.to_string()))
            });
        }
        // A date or a reason that only the trades have; a report of an earlier version may lack whole figures.
        let of_report = |path: &str| report.get(path.split('.').next().unwrap_or_default()).is_some();
        for (path, value) in derived.iter().filter(|(path, value)| !claimed.contains_key(*path) && !is_nothing(value)) {
            self.require(!of_report(path), place, || format!("{path} is missing, derived again {value}"));
        }
        self.listed_symbols(report, &log.trades);
        let signed = claims.is_signed();
        self.require(signed.is_some(), place, || "its figures are not those that it was signed with".to_owned());
        FigureCounts { derived: compared.len(), all: claimed.len(), signed: signed == Some(true) }
    }

    /// Checks that the report lists the symbols of the trades.
    fn listed_symbols(&mut self, report: &Value, trades: &[Trade]) {
        let Some(listed) = report["symbols"].as_array() else { return };
        let unknown: BTreeSet<&str> = trades.iter().map(|trade| trade.symbol.as_str()).collect();
        for symbol in unknown.into_iter().filter(|symbol| !listed.iter().any(|name| name == symbol)) {
            self.require(false, "report", || format!("{} was traded but is not among its symbols", quoted(symbol)));
        }
    }
}

/// Returns the name of a trade in sentences; rows count from 1.
fn place_of(row: usize, trade: &Trade) -> String {
    format!("trade {row} ({} {} {} {})", quoted(&trade.symbol), trade.date, trade.side.name(), trade.strike)
}

/// Returns whether a figure that a report lacks says nothing.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_f64() == Some(0.0)
}
