//! What came of a decision, in words.

use market_data::DataStamp;
use market_env::{Action, ExitMode, MarketConfig, Sale, Trade};

use super::session::Session;
use crate::output::table::{dollars_and_cents, percent, thousands};

/// Who explains, and by what rules.
#[derive(Debug, Clone)]
pub(crate) struct ReportContext<'a> {
    pub(crate) model: String,
    pub(crate) data: DataStamp,
    pub(crate) behaviour: &'static str,
    pub(crate) in_sample: bool,
    pub(crate) market: &'a MarketConfig,
    pub(crate) exits: ExitMode,
}

pub(crate) fn right_name(side: Action) -> &'static str {
    if side == Action::BuyCall { "call" } else { "put" }
}

/// Says what came of the decision's order.
pub(super) fn order(session: &Session<'_>, bar: u32, context: &ReportContext<'_>) -> String {
    match session.steps[bar as usize].action {
        Action::BuyCall | Action::BuyPut => entry(session, bar),
        _ => exit(session, bar, context),
    }
}

fn entry(session: &Session<'_>, bar: u32) -> String {
    let Some(trade) = session.opened_by(bar) else {
        return "not filled: nothing to buy at the open, or not enough cash".to_owned();
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

fn exit(session: &Session<'_>, bar: u32, context: &ReportContext<'_>) -> String {
    let (step, held) = (&session.steps[bar as usize], session.held_at(bar));
    let sold = |trade| session.sold_by(bar, trade).into_iter().map(move |sale| sale_text(session, trade, sale));
    let sold: Vec<String> = held.into_iter().flat_map(sold).collect();
    match (sold.is_empty(), step.action) {
        (false, _) => sold.join("; "),
        (true, Action::Hold) if step.mask.is_forced() => idle(held.is_some(), context).to_owned(),
        (true, Action::Hold) => "none".to_owned(),
        (true, _) => "not filled: no bid".to_owned(),
    }
}

/// Says why nothing could be ordered.
fn idle(held: bool, context: &ReportContext<'_>) -> &'static str {
    match (held, context.exits) {
        (true, ExitMode::Rules) => "none; exits are left to the rules (env.exits.mode)",
        (true, ExitMode::Agent) => "none; a rule's order is at work",
        (false, _) => "none; an entry is on its way, or none is allowed now",
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

/// Says how the position at stake ended, or when the next one was opened.
pub(super) fn afterwards(session: &Session<'_>, bar: u32, at_stake: Option<&Trade>) -> String {
    let clock = |ts_ns| session.clock(session.bar_at(ts_ns));
    if let Some(trade) = at_stake {
        return format!(
            "the position ended at {} ({}) after {} minutes: net P&L {} ({})",
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
        None => "no position was opened any more".to_owned(),
    }
}
