//! Report of a decision: the fields of the JSON file, and the text.

use std::{collections::BTreeMap, path::Path};

use jiff::civil::Date;
use market_data::{DataStamp, calendar::session_time};
use market_env::{ACCOUNT_COLUMNS, ACTION_NAMES, Day, LiveSession, Market, QuotePair, option::black_scholes::Right};
use serde::Serialize;

use super::position::Taken;
use crate::{
    evaluation::decision::Decision,
    inputs::Inputs,
    output::table::{columns, percent},
};

/// A decision, as `zerodte decide --json` writes it. Prices are in dollars per share; times of day are New York time and name the start
/// of a bar.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionReport {
    /// The model file.
    pub model: String,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones.
    pub data: DataStamp,
    /// The underlying.
    pub symbol: String,
    /// The session.
    pub date: Date,
    /// The bar at whose close the decision is taken.
    pub bar: String,
    /// The most probable legal action.
    pub action: &'static str,
    /// All actions, in order.
    pub actions: Vec<Choice>,
    /// The critic's estimate of the discounted reward until the end of the session.
    pub value: f32,
    /// True once the session is over: no decision is left.
    pub over: bool,
    /// Actions since the open other than HOLD.
    pub taken: Vec<TakenAction>,
    /// Contracts that an entry would buy, with their modelled quotes at the close of the bar.
    pub contracts: Vec<EntryContract>,
    /// The observation by column, before normalisation.
    pub observation: BTreeMap<String, f32>,
    /// Orders placed: always none.
    pub orders_placed: u32,
}

/// One action and its probability.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// Its name.
    pub action: &'static str,
    /// True if the mask allows it.
    pub legal: bool,
    /// Its probability, zero if it is not legal.
    pub probability: f32,
}

/// An action taken earlier in the session.
#[derive(Debug, Clone, Serialize)]
pub struct TakenAction {
    /// The bar at whose close it was taken.
    pub bar: String,
    /// Its name.
    pub action: &'static str,
}

/// A contract that an entry decided at this bar would buy.
#[derive(Debug, Clone, Serialize)]
pub struct EntryContract {
    /// `"call"` or `"put"`.
    pub right: &'static str,
    /// The strike.
    pub strike: f64,
    /// The expiry.
    pub expiry: Date,
    /// Modelled price for sellers; null without a quote.
    pub bid: Option<f64>,
    /// Modelled price for buyers; null without a quote.
    pub ask: Option<f64>,
}

/// Facts beside the decision.
pub(crate) struct ReportContext<'a> {
    pub(crate) model: &'a Path,
    pub(crate) symbol: &'a str,
    pub(crate) inputs: &'a Inputs,
    pub(crate) bar: u32,
    pub(crate) taken: Taken,
}

impl DecisionReport {
    /// Reports a decision of an account.
    pub(crate) fn of(decision: &Decision, live: &LiveSession, about: &ReportContext<'_>) -> Self {
        let market = &about.inputs.market;
        let day = &market.days()[market.days().len() - 1];
        let clock = |bar: u32| session_time(bar as usize);
        let choice = |((action, probability), number): ((&'static str, &f32), u8)| Choice {
            action,
            legal: decision.mask.allows(number),
            probability: *probability,
        };
        let spec = live.spec();
        let older = (spec.frames - 1) * spec.features.len();
        let names = spec.features.iter().chain(&spec.account).cloned();
        Self {
            model: about.model.display().to_string(),
            data: about.inputs.stamp(),
            symbol: about.symbol.to_owned(),
            date: day.date,
            bar: clock(about.bar),
            action: decision.action.name(),
            actions: ACTION_NAMES.into_iter().zip(&decision.probabilities).zip(0u8..).map(choice).collect(),
            value: decision.value,
            over: decision.over,
            taken: about
                .taken
                .iter()
                .map(|(bar, done)| TakenAction { bar: clock(*bar), action: done.name() })
                .collect(),
            contracts: contracts(market, day, about.bar),
            observation: names.zip(decision.observation[older..].iter().copied()).collect(),
            orders_placed: 0,
        }
    }

    /// Returns the report as lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} on {} {}, at the close of the bar {}", self.model, self.symbol, self.date, self.bar),
            String::new(),
            format!("So far      {}", self.so_far()),
            format!("Account     {}", self.account()),
            format!("Decision    {}", self.decision()),
            String::new(),
            self.action_table(),
        ];
        if !self.over {
            lines.extend([String::new(), self.contract_table()]);
        }
        lines.extend([String::new(), "No order was placed; orders are yours.".to_owned()]);
        lines
    }

    fn so_far(&self) -> String {
        let count = self.taken.len();
        let last = self.taken[count.saturating_sub(2)..].iter().map(|done| format!("{} at {}", done.action, done.bar));
        let last = last.collect::<Vec<_>>().join(", ");
        match count {
            0 => "HOLD since the open".to_owned(),
            1 | 2 => last,
            _ => format!("{count} actions, the last {last}"),
        }
    }

    fn account(&self) -> String {
        let column = |at: usize| self.observation.get(ACCOUNT_COLUMNS[at]).copied().unwrap_or_default();
        let side = match column(0) {
            0.0 => return "flat".to_owned(),
            side if side > 0.0 => "call",
            _ => "put",
        };
        format!("in a {side}, gain {} on its cost", percent(Some(f64::from(column(5)))))
    }

    fn decision(&self) -> String {
        let legal = self.actions.iter().filter(|choice| choice.legal).count();
        match (self.over, legal) {
            (true, _) => "none: the session is over".to_owned(),
            (_, 1) => format!("{} (forced)", self.action),
            _ => format!("{}; the critic values the rest of the session at {:+.3}", self.action, self.value),
        }
    }

    fn action_table(&self) -> String {
        let row = |choice: &Choice| {
            let probability =
                if choice.legal { percent(Some(f64::from(choice.probability))) } else { "illegal".to_owned() };
            vec![choice.action.to_owned(), probability]
        };
        columns(&["action", "probability"], &self.actions.iter().map(row).collect::<Vec<_>>())
    }

    fn contract_table(&self) -> String {
        let price = |price: Option<f64>| price.map_or_else(|| "-".to_owned(), |price| format!("{price:.2}"));
        let row = |of: &EntryContract| {
            vec![format!("{} {}", of.right, of.strike), of.expiry.to_string(), price(of.bid), price(of.ask)]
        };
        columns(&["entry", "expiry", "model bid", "model ask"], &self.contracts.iter().map(row).collect::<Vec<_>>())
    }
}

fn contracts(market: &Market, day: &Day, bar: u32) -> Vec<EntryContract> {
    let contract = |(right, name): (Right, &'static str)| {
        let strike = market.entry_strike(day, bar, right);
        let side = |(call, put): (QuotePair, QuotePair)| if right == Right::Call { call } else { put };
        let quote = market.quotes_at(day, strike, bar).map(|pair| side(pair).close);
        let dollars = |cents: u32| f64::from(cents) / 100.0;
        EntryContract {
            right: name,
            strike,
            expiry: day.expiry,
            bid: quote.filter(|quote| quote.bid > 0).map(|quote| dollars(quote.bid)),
            ask: quote.and_then(|quote| quote.ask).map(|ask| dollars(ask.get())),
        }
    };
    [(Right::Call, "call"), (Right::Put, "put")].into_iter().map(contract).collect()
}
