//! Figures of a report: each is derived again from the trades where it follows from them, and counted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::DateRange;
use market_env::Trade;
use serde_json::{Map, Value, json};
use statistics::{daily_sharpe, max_drawdown, profit_factor, ratio};

use super::cash_flow::CashFlow;
use crate::{
    artifacts::saved_model::{count_dates_before, count_dates_in},
    evaluation::{performance::holding_minutes, price_counts::PriceCounts},
};

/// Figures by path, such as `daily_pnl_usd.2025-06-02`; the leaves of a JSON object.
pub(super) type Figures = BTreeMap<String, Value>;

/// Figures that a replay of the same sessions cannot give: the name of the model's file, other replays, and audits.
const NOT_OF_A_REPLAY: [&str; 3] = ["model", "cost_sensitivity", "audit"];

/// Returns the leaves of a report, without its signature.
pub(super) fn leaves(report: &Value) -> Figures {
    fn collect(value: &Value, path: &str, out: &mut Figures) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(entries) => entries.iter().for_each(|(key, value)| collect(value, &below(key), out)),
            Value::Array(items) => {
                items.iter().zip(1..).for_each(|(item, n): (_, u32)| collect(item, &below(&n.to_string()), out));
            }
            leaf => drop(out.insert(path.to_owned(), leaf.clone())),
        }
    }
    let mut found = Figures::new();
    collect(report, "", &mut found);
    found.remove(super::SIGNATURE);
    found
}

/// Returns the leaves of the report of a replay that the report of another one must have, too.
pub(super) fn of_replay(report: &Value) -> Figures {
    let of_itself = |path: &str| !NOT_OF_A_REPLAY.contains(&path.split('.').next().unwrap_or_default());
    leaves(report).into_iter().filter(|(path, _)| of_itself(path)).collect()
}

/// Returns whether two leaves are the same; numbers may differ in their last digits.
pub(super) fn equal(claimed: &Value, derived: &Value) -> bool {
    match (claimed.as_f64(), derived.as_f64()) {
        (Some(claimed), Some(derived)) => (claimed - derived).abs() <= 1e-9 * derived.abs().max(1.0),
        _ => claimed == derived,
    }
}

/// Dates of a report with their P&L in cents.
///
/// # Errors
/// When the report has none, or one is no date with a number.
pub(super) fn daily_pnl_cents(report: &Value) -> anyhow::Result<BTreeMap<Date, i64>> {
    let daily = report["daily_pnl_usd"].as_object().context("the report has no daily_pnl_usd")?;
    let day = |(date, pnl): (&String, &Value)| {
        let pnl = pnl.as_f64().with_context(|| format!("the P&L of {date} is not a number"))?;
        anyhow::Ok((date.parse()?, (pnl * 100.0).round() as i64))
    };
    daily.iter().map(day).collect()
}

/// Returns the figures of a report that follow from the trades, the dates that the report names, and the capital.
pub(super) fn of_trades(
    report: &Value,
    trades: &[Trade],
    flows: &[CashFlow],
    capital_cents: i64,
) -> anyhow::Result<Figures> {
    let mut daily: BTreeMap<Date, i64> = daily_pnl_cents(report)?.into_keys().map(|date| (date, 0)).collect();
    trades.iter().zip(flows).for_each(|(trade, flow)| *daily.entry(trade.date).or_default() += flow.net);
    let mut figures = Map::new();
    let mut put = |name: &str, value: Value| drop(figures.insert(name.to_owned(), value));
    put("capital_usd", json!(capital_cents as f64 / 100.0));
    put("prices", json!(PriceCounts::of(trades)));
    let minutes: Vec<i64> = trades.iter().map(Trade::minutes_held).collect();
    // Impossible times are findings of their own.
    put("holding_minutes", json!(holding_minutes(&minutes).ok().flatten()));
    put("exits", exits(report, trades));
    for (name, value) in of_money(flows).into_iter().chain(of_dates(report, &daily)) {
        put(name, value);
    }
    if let Some(sessions) = report["sessions"].as_f64() {
        put("trades_per_session", json!(ratio(trades.len() as f64, sessions)));
    }
    let usd = |cents: i64| cents as f64 / 100.0;
    put("daily_pnl_usd", daily.iter().map(|(date, cents)| (date.to_string(), json!(usd(*cents)))).collect());
    if report["audit"].is_object() {
        let sales: usize = trades.iter().map(|trade| trade.sales.len()).sum();
        let premium: i64 = flows.iter().map(|flow| flow.premium).sum();
        put("audit", json!({ "trades": trades.len(), "sales": sales, "premium_usd": usd(premium) }));
    }
    Ok(leaves(&Value::Object(figures)))
}

/// Returns counts, returns and sums.
fn of_money(flows: &[CashFlow]) -> Vec<(&'static str, Value)> {
    let (count, returns) = (flows.len() as f64, flows.iter().map(CashFlow::net_return).collect::<Vec<f64>>());
    let (net, fees) = flows.iter().fold((0, 0), |(net, fees), flow| (net + flow.net, fees + flow.fees));
    let usd = |cents: i64| cents as f64 / 100.0;
    vec![
        ("trades", json!(flows.len())),
        ("win_rate", json!(ratio(flows.iter().filter(|flow| flow.net > 0).count() as f64, count))),
        ("mean_trade_return", json!(ratio(returns.iter().sum(), count))),
        ("worst_trade_return", json!(returns.iter().copied().min_by(f64::total_cmp))),
        ("net_pnl_usd", json!(usd(net))),
        ("gross_pnl_usd", json!(usd(net + fees))),
        ("fees_usd", json!(usd(fees))),
        ("profit_factor", json!(profit_factor(flows.iter().map(|flow| usd(flow.net))))),
    ]
}

/// Returns the figures of the P&L by session date, and the position of the dates to those of the training.
fn of_dates(report: &Value, daily: &BTreeMap<Date, i64>) -> Vec<(&'static str, Value)> {
    let pnl: Vec<f64> = daily.values().map(|cents| *cents as f64 / 100.0).collect();
    let dates = || daily.keys().copied();
    let mut found = vec![
        ("session_dates", json!(daily.len())),
        ("max_drawdown_usd", json!((max_drawdown(&pnl) * 100.0).round() / 100.0)),
        ("daily_sharpe", json!(daily_sharpe(&pnl))),
        ("dates", json!({ "first": dates().next(), "last": dates().next_back() })),
    ];
    if let Ok(trained_on) = serde_json::from_value::<Vec<DateRange>>(report["trained_on"].clone()) {
        found.push(("in_sample_dates", json!(count_dates_in(dates(), &trained_on))));
        found.push(("dates_before_training", json!(count_dates_before(dates(), &trained_on))));
    }
    found
}

/// Returns the positions closed by reason; a reason of the report that no trade has counts as 0.
fn exits(report: &Value, trades: &[Trade]) -> Value {
    let claimed = report["exits"].as_object().into_iter().flat_map(|exits| exits.keys().cloned());
    let reasons: BTreeSet<String> = claimed.chain(trades.iter().map(|trade| trade.reason.name().to_owned())).collect();
    let count = |reason: &str| trades.iter().filter(|trade| trade.reason.name() == reason).count();
    reasons.iter().map(|reason| (reason.clone(), json!(count(reason)))).collect()
}
