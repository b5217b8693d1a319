//! Outcome of a decision, as sentences.

use market_data::DataStamp;
use market_env::{Action, ExitMode, MarketConfig, Sale, Trade};

use super::session::Session;
use crate::output::table::{dollars_and_cents, percent, thousands};

/// Model, data and rules behind an explanation.
#[derive(Debug, Clone)]
pub(crate) struct ReportContext<'a> {
    pub(crate) model: String,
    pub(crate) data: DataStamp,
    pub(crate) prices: &'static str,
    pub(crate) behaviour: &'static str,
    pub(crate) in_sample: bool,
    pub(crate) before_training: bool,
    pub(crate) market: &'a MarketConfig,
    pub(crate) exits: ExitMode,
}

pub(crate) fn right_name(side: Action) -> &'static str {
    if side == Action::BuyCall { "call" } else { "put" }
}

/// Returns the outcome of the decision's order as a sentence.
pub(super) fn order_text(session: &Session<'_>, bar: u32, context: &ReportContext<'_>) -> String {
    match session.steps[bar as usize].action {
        Action::BuyCall | Action::BuyPut => entry_text(session, bar),
        _ => exit_text(session, bar, context),
    }
}

fn entry_text(session: &Session<'_>, bar: u32) -> String {
    let Some(trade) = session.opened_by(bar) else {
        let reason = no_bar_reason(session, bar).unwrap_or("no offer at the open, or not enough cash");
        return format!("not filled: {reason}");
    };
    let premium = (trade.entry_price * 100.0).round() as i64 * 100 * i64::from(trade.contracts);
    format!(
        "bought {} at {:.2} at the open of {}: premium {}, fees {}",
        contracts_text(trade.contracts, trade),
        trade.entry_price,
        session.clock(session.bar_at(trade.entry_ts_ns)),
        dollars_and_cents(premium),
        dollars_and_cents(trade.entry_fees_cents),
    )
}

fn exit_text(session: &Session<'_>, bar: u32, context: &ReportContext<'_>) -> String {
    let (step, held) = (&session.steps[bar as usize], session.held_at(bar));
    let sold = |trade| session.sold_by(bar, trade).into_iter().map(move |sale| sale_text(session, trade, sale));
    let sold: Vec<String> = held.into_iter().flat_map(sold).collect();
    match (sold.is_empty(), step.action) {
        (false, _) => sold.join("; "),
        (true, Action::Hold) if step.mask.is_forced() => no_order_reason(held.is_some(), context).to_owned(),
        (true, Action::Hold) => "none".to_owned(),
        (true, _) => format!("not filled: {}", no_bar_reason(session, bar).unwrap_or("no bid")),
    }
}

/// Returns the reason why no order fills after a decision, if the next minute has no bar.
fn no_bar_reason(session: &Session<'_>, bar: u32) -> Option<&'static str> {
    session.bars.filled.get(bar as usize + 1)?.then_some("the next minute has no bar")
}

/// Returns the reason why no order was possible.
fn no_order_reason(held: bool, context: &ReportContext<'_>) -> &'static str {
    match (held, context.exits) {
        (true, ExitMode::Rules) => "none; exits are left to the rules (env.exits.mode)",
        (true, ExitMode::Agent) => "none; an exit order of the rules is working",
        (false, _) => "none; an entry order is working, or no entry is allowed now",
    }
}

fn contracts_text(count: u32, trade: &Trade) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {}{plural} {}", thousands(i64::from(count)), right_name(trade.side), trade.strike)
}

fn sale_text(session: &Session<'_>, trade: &Trade, sale: &Sale) -> String {
    let (what, price) = (contracts_text(sale.contracts, trade), sale.price);
    if sale.reason.is_settlement() {
        return format!("settled {what} at {price:.2} ({})", sale.reason);
    }
    let (at, fees) = (session.clock(session.bar_at(sale.ts_ns)), dollars_and_cents(sale.fees_cents));
    format!("sold {what} at {price:.2} at the open of {at} ({}), fees {fees}", sale.reason)
}

/// Returns the end of the position at stake, or the entry of the next one, as a sentence.
pub(super) fn afterwards_text(session: &Session<'_>, bar: u32, at_stake: Option<&Trade>) -> String {
    let clock = |ts_ns| session.clock(session.bar_at(ts_ns));
    if let Some(trade) = at_stake {
        return format!(
            "the position was closed at {} ({}) after {} minutes: net P&L {} ({})",
            clock(trade.exit_ts_ns),
            trade.reason,
            trade.minutes_held(),
            dollars_and_cents(trade.net_pnl_cents),
            percent(Some(trade.net_return)),
        );
    }
    match session.trades.iter().find(|trade| trade.entry_ts_ns > session.day.bar_ns(bar)) {
        Some(trade) => format!(
            "the next position was opened at {}: {} at {:.2}",
            clock(trade.entry_ts_ns),
            contracts_text(trade.contracts, trade),
            trade.entry_price
        ),
        None => "no later position was opened".to_owned(),
    }
}
