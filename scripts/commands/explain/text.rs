//! Text form of an explanation.

use super::report::{Choice, Column, Contract, Explanation, Holding, Underlying};
use crate::output::table::{columns, dollars_and_cents, percent, thousands};

impl Explanation {
    /// Returns the explanation as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.heading();
        lines.extend(["".to_owned(), self.action_table(), "".to_owned(), self.contract_table(), "".to_owned()]);
        let terms = self.reward_terms.iter().map(|(name, value)| format!("{name} {value:+.4}")).collect::<Vec<_>>();
        let terms = if terms.is_empty() { "nothing".to_owned() } else { terms.join(", ") };
        lines.extend([
            format!("Prices      {}", self.prices_text()),
            format!("Order       {}", self.order),
            format!("Reward      {:+.4} in this step: {terms}", self.reward),
            format!("Afterwards  {}", self.afterwards),
            format!(
                "Session     {} positions, net P&L {}",
                self.session_trades,
                dollars_and_cents((self.session_net_pnl_usd * 100.0).round() as i64)
            ),
            String::new(),
            column_table("market", &self.observation),
        ]);
        if !self.account.is_empty() {
            lines.extend([String::new(), column_table("account", &self.account)]);
        }
        lines
    }

    /// Returns the basis of the prices; where real options are replayed, also those of the position.
    fn prices_text(&self) -> String {
        match (&self.trade, self.prices) {
            (Some(trade), "real options") => format!("real options; this position: {}", trade.prices.name()),
            (_, prices) => prices.to_owned(),
        }
    }

    fn heading(&self) -> Vec<String> {
        let Underlying { open, high, low, close, volume, vwap, filled } = &self.underlying;
        let chase = match (self.setup.bull_chase, self.setup.bear_chase) {
            (true, _) => "overbought and rejected",
            (_, true) => "oversold and rejected",
            _ => "no exhausted bar",
        };
        let account = self.position.as_ref().map_or_else(
            || "flat".to_owned(),
            |held| {
                let Holding { right, strike, contracts, bought, entry, entry_price, unrealised } = held;
                format!(
                    "holds {contracts} of {bought} {right}s {strike} bought at {entry} at {entry_price:.2}, gain {}",
                    percent(Some(f64::from(*unrealised)))
                )
            },
        );
        let volume = if *volume > 0.0 { thousands(volume.round() as i64) } else { "none".to_owned() };
        vec![
            format!("{} on {} {}, decided at the close of the bar {}", self.model, self.symbol, self.date, self.bar),
            String::new(),
            format!(
                "Bar         open {open:.2}  high {high:.2}  low {low:.2}  close {close:.2}  volume {volume}  VWAP {vwap:.2}{}",
                if *filled { "  (no trade in this minute)" } else { "" }
            ),
            format!(
                "Setup       {}: {} of 4 bullish and {} of 4 bearish conditions, {chase}",
                self.setup.class, self.setup.bull, self.setup.bear
            ),
            format!("Account     {account}"),
            format!(
                "Decision    {} ({}); the critic values the rest of the session at {:+.3}",
                self.action,
                if self.actions.iter().filter(|choice| choice.legal).count() > 1 { self.behaviour } else { "forced" },
                self.value
            ),
        ]
    }

    fn action_table(&self) -> String {
        let row = |choice: &Choice| {
            let chosen = if choice.action == self.action { "chosen" } else { "" };
            let probability =
                if choice.legal { percent(Some(f64::from(choice.probability))) } else { "illegal".to_owned() };
            vec![choice.action.to_owned(), probability, chosen.to_owned()]
        };
        columns(&["action", "probability", "choice"], &self.actions.iter().map(row).collect::<Vec<_>>())
    }

    fn contract_table(&self) -> String {
        let price = |price: Option<f64>| price.map_or_else(|| "-".to_owned(), |price| format!("{price:.2}"));
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.4}"));
        let row = |c: &Contract| {
            vec![
                format!("{} {}", c.right, c.strike),
                price(c.at_close.bid),
                price(c.at_close.ask),
                price(c.next_open.bid),
                price(c.next_open.ask),
                percent(c.implied_vol),
                number(c.delta),
                number(c.gamma),
                number(c.theta_per_minute),
                number(c.vega_per_point),
            ]
        };
        let open = [format!("bid {}", self.next_open), format!("ask {}", self.next_open)];
        let heading = [
            "contract",
            "bid close",
            "ask close",
            &open[0],
            &open[1],
            "implied vol",
            "delta",
            "gamma",
            "theta/min",
            "vega/pt",
        ];
        columns(&heading, &self.contracts.iter().map(row).collect::<Vec<_>>())
    }
}

fn column_table(heading: &str, of: &[Column]) -> String {
    let width = of.iter().map(|column| column.name.len()).max().unwrap_or(0).max(heading.len());
    let row = |column: &Column| format!("{:<width$}  {:>8.4}  {}", column.name, column.value, column.meaning);
    let head = format!("{heading:<width$}  {:>8}  meaning", "value");
    std::iter::once(head).chain(of.iter().map(row)).collect::<Vec<_>>().join("\n")
}
