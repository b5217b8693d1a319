//! Audit of a trade log: the cash flow of every trade, derived again and compared with the log; the figures of the report,
//! derived again from the trades; and, with bars and model, the trades of a second replay.
//!
//! What does not follow from the trades is protected by hashes: the report holds one of the trades and one of itself.
//! The arithmetic is independent of the environment's: whole cents in integers, fees in exact units of 10⁻¹⁰ dollars. The
//! audit shares only the record types and the published contract terms.

mod auditor;
mod cash_flow;
mod claims;
mod figures;
mod terms;

use market_data::DataStamp;
use market_env::Trade;
use serde::Serialize;

use self::{auditor::Auditor, cash_flow::CashFlow};
use crate::{
    artifacts::trades::TradeLog,
    output::table::{dollars_and_cents, thousands},
};

pub use claims::{Claims, signature_of};
pub use terms::Terms;

/// Most disagreements printed.
const MAX_PRINTED: usize = 20;

/// Key of a report with the hash of its other figures.
const SIGNATURE: &str = "sha256";
/// Key of a report with the hash of the trades.
const TRADES_HASH: &str = "trades_sha256";

/// Figures of a report that were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FigureCounts {
    /// Figures that were derived again.
    pub derived: usize,
    /// All figures of the report.
    pub all: usize,
    /// Whether the report is signed, which protects the figures that were not derived.
    pub signed: bool,
}

/// Result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Audit {
    /// Trades audited.
    pub trades: usize,
    /// Their sales.
    pub sales: usize,
    /// Premium paid, in dollars.
    pub premium_usd: f64,
    /// Figures of the report, if one was given.
    pub figures: Option<FigureCounts>,
    /// Trades of a second replay that were compared, if there was one.
    pub replayed: Option<usize>,
    /// Every disagreement, in the order of the log.
    pub disagreements: Vec<String>,
}

impl Audit {
    /// Audits a log against its terms and, if given, the claims of its report.
    pub fn of(log: &TradeLog, terms: &Terms, claims: Option<&Claims>) -> Self {
        let (trades, mut auditor) = (&log.trades, Auditor::new(terms));
        auditor.cells(log);
        let flows: Vec<CashFlow> = trades.iter().zip(1..).map(|(trade, row)| auditor.trade(row, trade)).collect();
        let sessions = auditor.sessions(trades, &flows);
        let figures = claims.map(|claims| {
            auditor.session_totals(&sessions, claims);
            auditor.report(log, &flows, claims)
        });
        let premium: i64 = flows.iter().map(|flow| flow.premium).sum();
        Self {
            trades: trades.len(),
            sales: trades.iter().map(|trade| trade.sales.len()).sum(),
            premium_usd: premium as f64 / 100.0,
            figures,
            replayed: None,
            disagreements: auditor.disagreements,
        }
    }

    /// Compares the log with the trades of a second replay of the same sessions, cell by cell.
    #[must_use]
    pub fn with_replay(mut self, log: &TradeLog, again: &[Trade], stamp: DataStamp) -> Self {
        let again = TradeLog::of(again.to_vec(), stamp);
        let (found, replayed) = (log.trades.len(), again.trades.len());
        if found != replayed {
            self.disagreements.push(format!("replay: the log has {found} trades, the same model makes {replayed}"));
        }
        for (row, (log, again)) in log.rows().zip(again.rows()).enumerate() {
            let differing = log.iter().zip(&again).filter(|((_, log), (_, again))| log != again);
            let sentences = differing.map(|((column, log), (_, again))| {
                format!("trade {}: {column} is {log}, in the replay {again}", row + 1)
            });
            self.disagreements.extend(sentences);
        }
        self.replayed = Some(replayed);
        self
    }

    /// Returns the lines on figures and replay, if there were any.
    fn more_lines(&self) -> Vec<String> {
        let figures = self.figures.map(|FigureCounts { derived, all, signed }| {
            let equal = if self.disagreements.is_empty() { ", all equal" } else { "" };
            let rest = match (all - derived, signed) {
                (0, _) => String::new(),
                (_, true) => "; the rest is signed".to_owned(),
                (_, false) => "; the rest is not signed".to_owned(),
            };
            format!("Report: {derived} of {all} figures derived again{equal}{rest}")
        });
        let replay = self.replayed.map(|count| {
            let outcome =
                if self.disagreements.is_empty() { "the same in every cell" } else { "compared in every cell" };
            format!("Replay: {} trades of the model on these bars, {outcome}", thousands(count as i64))
        });
        figures.into_iter().chain(replay).collect()
    }

    /// Returns the result as lines of text: a few if everything agrees, else the first disagreements too.
    pub fn lines(&self) -> Vec<String> {
        let summary = format!(
            "Audit: {} trades, {} sales, {} premium",
            thousands(self.trades as i64),
            thousands(self.sales as i64),
            dollars_and_cents((self.premium_usd * 100.0).round() as i64)
        );
        if self.disagreements.is_empty() {
            return std::iter::once(format!("{summary}, all agree to the cent")).chain(self.more_lines()).collect();
        }
        let count = self.disagreements.len();
        let shown = self.disagreements.iter().take(MAX_PRINTED).map(|found| format!("  {found}"));
        let more = (count > MAX_PRINTED).then(|| format!("  and {} more", thousands((count - MAX_PRINTED) as i64)));
        let first = format!("{summary}, {} disagreements:", thousands(count as i64));
        std::iter::once(first).chain(shown).chain(more).chain(self.more_lines()).collect()
    }

    /// Returns an error if anything disagreed.
    ///
    /// # Errors
    /// The number of disagreements.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let count = self.disagreements.len();
        anyhow::ensure!(count == 0, "the audit found {} disagreements", thousands(count as i64));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use market_data::calendar::MINUTE_NS;
    use market_env::{Action, ExitReason, PriceOrigin, Sale, Setup};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::RunConfig;

    const OPEN: i64 = 1_748_871_000_000_000_000;

    fn sale(minute: i64, contracts: u32, price: f64, fees_cents: i64, reason: ExitReason) -> Sale {
        Sale { ts_ns: OPEN + minute * MINUTE_NS, contracts, price, fees_cents, reason }
    }

    /// Ten calls bought at 1.25, four sold at 1.50, six stopped out at 1.05.
    fn trade(minute: i64) -> Trade {
        let sales = vec![
            sale(minute + 3, 4, 1.5, 280, ExitReason::TakeProfit),
            sale(minute + 5, 6, 1.05, 420, ExitReason::StopLoss),
        ];
        Trade {
            lane: 0,
            symbol: "SPY".to_owned(),
            date: jiff::civil::date(2025, 6, 2),
            side: Action::BuyCall,
            strike: 590.0,
            expiry: jiff::civil::date(2025, 6, 2),
            entry_ts_ns: OPEN + minute * MINUTE_NS,
            exit_ts_ns: OPEN + (minute + 5) * MINUTE_NS,
            contracts: 10,
            entry_price: 1.25,
            entry_fees_cents: 700,
            sales,
            exit_price: 1.23,
            fees_cents: 1_400,
            net_pnl_cents: -3_400,
            net_return: -3_400.0 / 125_700.0,
            reason: ExitReason::StopLoss,
            setup: Setup::BullStrong,
            prices: PriceOrigin::Modelled,
        }
    }

    fn log() -> Vec<Trade> {
        vec![trade(1), trade(10)]
    }

    fn report() -> Value {
        let mean = -3_400.0 / 125_700.0;
        json!({
            "trades": 2, "net_pnl_usd": -68.0, "fees_usd": 28.0, "win_rate": 0.0, "mean_trade_return": mean,
            "worst_trade_return": mean, "daily_pnl_usd": { "2025-06-02": -68.0, "2025-06-03": 0.0 },
        })
    }

    /// Seventy cents per contract, on sales too.
    fn terms() -> Terms {
        let mut config = RunConfig::default();
        let fees = &mut config.market.contracts.get_mut("SPY").unwrap().fees;
        (fees.sale_activity, fees.earlier_sale_activity) = (0.0, Vec::new());
        Terms::of(&config)
    }

    fn rows(trades: &[Trade]) -> TradeLog {
        TradeLog::of(trades.to_vec(), DataStamp::Market)
    }

    fn audit(trades: &[Trade], report: &Value) -> Vec<String> {
        let claims = Claims::of_report(report.clone()).unwrap();
        Audit::of(&rows(trades), &terms(), Some(&claims)).disagreements
    }

    #[test]
    fn a_sound_log_agrees_to_the_cent() {
        assert_eq!(audit(&log(), &report()), Vec::<String>::new());
        let audit = Audit::of(&rows(&log()), &terms(), None);
        assert_eq!(audit.lines(), ["Audit: 2 trades, 4 sales, $2,500.00 premium, all agree to the cent"]);
        audit.verdict().unwrap();
        let mut idle = report();
        for key in ["trades", "net_pnl_usd", "fees_usd"] {
            idle[key] = 0.into();
        }
        idle["daily_pnl_usd"] = json!({});
        for key in ["win_rate", "mean_trade_return", "worst_trade_return"] {
            idle[key] = Value::Null;
        }
        assert_eq!(self::audit(&[], &idle), Vec::<String>::new(), "nothing traded");
    }

    #[test]
    fn every_tampering_is_caught() {
        type Tampering = fn(&mut Vec<Trade>);
        let tamperings: [(&str, Tampering); 16] = [
            ("the net P&L is -$33.99, by the cash flow -$34.00", |log| log[0].net_pnl_cents += 1),
            ("the net P&L", |log| log[0].entry_price += 0.01),
            ("the net P&L", |log| log[0].sales[1].price -= 0.01),
            ("the entry price 1.253 is not a price in whole cents", |log| log[0].entry_price = 1.253),
            ("sale 1 of 4 at $1.50 pays fees of $2.81, by the schedule $2.80", |log| log[0].sales[0].fees_cents += 1),
            ("the sum of fees", |log| log[1].fees_cents -= 1),
            ("11 contracts were bought, 10 sold", |log| log[0].contracts += 1),
            ("10 contracts were bought, 9 sold", |log| log[0].sales[0].contracts -= 1),
            ("entry and sales are not in order", |log| {
                let Trade { entry_ts_ns, exit_ts_ns, .. } = &mut log[0];
                std::mem::swap(entry_ts_ns, exit_ts_ns);
            }),
            ("entry and sales are not in order", |log| log[0].sales.swap(0, 1)),
            ("the entry lies outside the session", |log| log[0].entry_ts_ns = OPEN - MINUTE_NS),
            ("a position was opened before the last was closed", |log| log[1] = trade(4)),
            ("exit time and reason", |log| log[0].exit_ts_ns += MINUTE_NS),
            ("the net return", |log| log[0].net_return *= 1.001),
            ("the strike is not on the grid", |log| log[0].strike += 0.5),
            ("report: trades is 2, derived again 1", |log| log.truncate(1)),
        ];
        for (expected, tamper) in tamperings {
            let mut log = log();
            tamper(&mut log);
            let found = audit(&log, &report());
            assert!(found.iter().any(|sentence| sentence.contains(expected)), "{expected}: {found:?}");
        }
        for key in ["trades", "net_pnl_usd", "fees_usd", "win_rate", "worst_trade_return", "mean_trade_return"] {
            let mut report = report();
            report[key] = json!(report[key].as_f64().unwrap() + 0.01 + f64::from(u8::from(key == "trades")));
            assert_eq!(audit(&log(), &report).len(), 1, "{key}");
        }
        let mut report = report();
        report["daily_pnl_usd"]["2025-06-03"] = json!(0.01);
        assert_eq!(audit(&log(), &report), ["report: daily_pnl_usd.2025-06-03 is 0.01, derived again 0.0"]);
    }

    #[test]
    fn a_signature_protects_the_figures_that_do_not_follow_from_trades() {
        let mut report = report();
        report["strong_buy"] = json!(0.5);
        report[TRADES_HASH] = rows(&log()).sha256().into();
        report[SIGNATURE] = signature_of(&report).into();
        let claims = Claims::of_report(report.clone()).unwrap();
        let found = Audit::of(&rows(&log()), &terms(), Some(&claims));
        assert_eq!(found.figures, Some(FigureCounts { derived: 9, all: 10, signed: true }));
        assert_eq!(found.lines()[1], "Report: 9 of 10 figures derived again, all equal; the rest is signed");
        report["strong_buy"] = json!(0.6);
        assert_eq!(audit(&log(), &report), ["report: its figures are not those that it was signed with"]);
        report["strong_buy"] = json!(0.5);
        let mut other = log();
        other[0].setup = Setup::Weak;
        assert!(audit(&other, &report)[0].starts_with("report: trades_sha256 is "), "{:?}", audit(&other, &report));
    }

    #[test]
    fn a_replay_is_compared_cell_by_cell() {
        let (log, mut again) = (rows(&log()), log());
        let of = |again: &[Trade]| Audit::of(&log, &terms(), None).with_replay(&log, again, DataStamp::Market);
        assert_eq!(of(&again).lines()[1], "Replay: 2 trades of the model on these bars, the same in every cell");
        again[1].setup = Setup::Weak;
        assert_eq!(of(&again).disagreements, ["trade 2: setup is bull_strong, in the replay weak"]);
        assert!(of(&again[..1]).disagreements[0].starts_with("replay: the log has 2 trades, the same model makes 1"));
        let synthetic = Audit::of(&log, &terms(), None).with_replay(&log, &again, DataStamp::Synthetic);
        assert_eq!(synthetic.disagreements[0], "trade 1: data is market, in the replay SYNTHETIC");
    }

    #[test]
    fn a_settlement_at_the_close_costs_nothing() {
        let mut settled = trade(1);
        settled.sales[1] = sale(390, 6, 1.05, 0, ExitReason::Settled);
        (settled.exit_ts_ns, settled.reason) = (OPEN + 390 * MINUTE_NS, ExitReason::Settled);
        (settled.fees_cents, settled.net_pnl_cents, settled.net_return) = (980, -2_980, -2_980.0 / 125_700.0);
        let found = |trade: &Trade| Audit::of(&rows(std::slice::from_ref(trade)), &terms(), None).disagreements;
        assert_eq!(found(&settled), Vec::<String>::new());
        settled.sales[1].fees_cents = 1;
        assert!(found(&settled)[0].contains("sale 2 of 6 at $1.05 pays fees of $0.01, by the schedule $0.00"));
    }

    #[test]
    fn many_disagreements_are_counted_and_the_first_twenty_shown() {
        let found = (0..1_234).map(|n| format!("trade {n}")).collect();
        let lines = Audit { disagreements: found, ..Audit::default() }.lines();
        assert_eq!((lines.len(), lines[21].as_str()), (22, "  and 1,214 more"));
        assert!(lines[0].ends_with("1,234 disagreements:"));
    }
}
