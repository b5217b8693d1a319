//! Explanation of one decision: the fields of the JSON file, and their computation.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::DataStamp;
use market_env::{
    ACCOUNT_COLUMNS, ACTION_NAMES, Action, ExitReason, FEATURES, PriceOrigin, Quote, SessionPricer, Setup, Trade,
    option::black_scholes::{Greeks, Inputs, Right},
};
use serde::Serialize;

use super::{
    outcome_text::{self, ReportContext, right_name},
    session::{Session, Step},
};

/// Explanation of a decision, as `zerodte explain --json` writes it. Prices are in dollars per share, other money in dollars; times of day are New York
/// time and name the start of a bar.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The model file.
    pub model: String,
    /// `"SYNTHETIC"` for made-up bars, `"market"` for real ones.
    pub data: DataStamp,
    /// Basis of the option prices: `"modelled"` or `"real options"`.
    pub prices: &'static str,
    /// How actions were chosen: `"greedy"` or `"sampled"`.
    pub behaviour: &'static str,
    /// True if the date lies within the training dates of the model or of one that it started from.
    pub in_sample: bool,
    /// True if the date lies before the training dates: the model knows what came after it.
    pub before_training: bool,
    /// The underlying.
    pub symbol: String,
    /// The session.
    pub date: Date,
    /// The bar at whose close the decision was taken.
    pub bar: String,
    /// The start of the next bar: the earliest moment at which an order fills.
    pub next_open: String,
    /// The underlying's bar.
    pub underlying: Underlying,
    /// Setup score at its close.
    pub setup: SetupView,
    /// Position at its close; null when flat.
    pub position: Option<Holding>,
    /// The chosen action.
    pub action: &'static str,
    /// All actions, in order.
    pub actions: Vec<Choice>,
    /// The critic's value estimate for the rest of the session, in units of reward.
    pub value: f32,
    /// Contracts of the decision: the one held, or else those that an entry would buy.
    pub contracts: Vec<Contract>,
    /// Outcome of the decision's order, in one sentence.
    pub order: String,
    /// Reward of the step, from the close of the bar to the close of the next.
    pub reward: f32,
    /// Reward of the step by term; terms that do not apply are left out.
    pub reward_terms: BTreeMap<&'static str, f32>,
    /// End of the position at stake, or entry of the next one, in one sentence.
    pub afterwards: String,
    /// The position at stake.
    pub trade: Option<Outcome>,
    /// Positions of the whole session.
    pub session_trades: usize,
    /// Net P&L of the whole session.
    pub session_net_pnl_usd: f64,
    /// Market columns of the observation, newest frame.
    pub observation: Vec<Column>,
    /// Account columns of the observation; empty when flat, since all are zero then.
    pub account: Vec<Column>,
}

/// One bar of the underlying.
#[derive(Debug, Clone, Serialize)]
pub struct Underlying {
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Shares traded.
    pub volume: f64,
    /// Volume-weighted average price since the session's open.
    pub vwap: f64,
    /// True if the minute had no bar and carries the last close.
    pub filled: bool,
}

/// Setup score of a bar.
#[derive(Debug, Clone, Serialize)]
pub struct SetupView {
    /// `"weak"`, `"bull_strong"` or `"bear_strong"`.
    pub class: &'static str,
    /// Bullish conditions that hold, of 4.
    pub bull: u8,
    /// Bearish conditions that hold, of 4.
    pub bear: u8,
    /// Overbought and rejected.
    pub bull_chase: bool,
    /// Oversold and rejected.
    pub bear_chase: bool,
}

/// One action and its probability.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    /// Its name.
    pub action: &'static str,
    /// True if the mask allowed it.
    pub legal: bool,
    /// Its probability, zero if it was not legal.
    pub probability: f32,
}

/// Position held by the account.
#[derive(Debug, Clone, Serialize)]
pub struct Holding {
    /// `"call"` or `"put"`.
    pub right: &'static str,
    /// The strike.
    pub strike: f64,
    /// Contracts still held.
    pub contracts: u32,
    /// Contracts bought.
    pub bought: u32,
    /// Bar at whose open they were bought.
    pub entry: String,
    /// Price paid.
    pub entry_price: f64,
    /// Gain of the liquidation value on the cost basis, as the policy saw it.
    pub unrealised: f32,
}

/// Best prices of one contract; null without a quote.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Prices {
    /// Price for sellers.
    pub bid: Option<f64>,
    /// Price for buyers.
    pub ask: Option<f64>,
}

/// A contract of the decision.
#[derive(Debug, Clone, Serialize)]
pub struct Contract {
    /// `"call"` or `"put"`.
    pub right: &'static str,
    /// The strike.
    pub strike: f64,
    /// Quotes at the bar's close, the time of the decision.
    pub at_close: Prices,
    /// Quotes at the next open, the earliest fill.
    pub next_open: Prices,
    /// Implied volatility of the mid at the close, a fraction per year; null if there is none.
    pub implied_vol: Option<f64>,
    /// Change of price per dollar of the underlying at that volatility; with `market.use_greeks`, as the next three.
    pub delta: Option<f64>,
    /// Change of delta per dollar of the underlying.
    pub gamma: Option<f64>,
    /// Change of price per minute.
    pub theta_per_minute: Option<f64>,
    /// Change of price per point of volatility.
    pub vega_per_point: Option<f64>,
}

/// Result of a position.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Origin of its prices.
    pub prices: PriceOrigin,
    /// Bar at whose open it was bought.
    pub entry: String,
    /// Bar at whose open the last contract was sold.
    pub exit: String,
    /// Reason of the exit.
    pub reason: ExitReason,
    /// Contracts bought.
    pub contracts: u32,
    /// Price paid.
    pub entry_price: f64,
    /// Mean price of the sales.
    pub exit_price: f64,
    /// Fees of both sides.
    pub fees_usd: f64,
    /// P&L after all costs.
    pub net_pnl_usd: f64,
    /// P&L after all costs, as a fraction of premium and fees paid at the entry.
    pub net_return: f64,
}

/// One input of the policy.
#[derive(Debug, Clone, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its value, before normalisation.
    pub value: f32,
    /// Its meaning.
    pub meaning: &'static str,
}

/// Meaning of the account's columns, in the order of [`ACCOUNT_COLUMNS`].
const ACCOUNT_MEANINGS: [&str; ACCOUNT_COLUMNS.len()] = [
    "+1 in a call, -1 in a put",
    "the option's delta",
    "tanh(change of delta per 0.1 % of spot)",
    "tanh(10 times the part of the premium lost per minute)",
    "tanh(5 times the part of the premium gained per point of volatility)",
    "gain on the cost basis, -1 to 3",
    "highest gain on the cost basis at a close so far, up to 3",
    "hours since the entry, up to 4",
    "part of the bought contracts still held",
];

impl Explanation {
    /// Explains the decision at the close of a bar of a session.
    pub(crate) fn of(session: &Session<'_>, bar: u32, context: &ReportContext<'_>) -> Self {
        let step = &session.steps[bar as usize];
        let (held, opened) = (session.held_at(bar), session.opened_by(bar));
        let row = session.day.rows().start + bar as usize;
        let features = session.market.row(row);
        let t = bar as usize;
        let bars = session.bars;
        Self {
            model: context.model.clone(),
            data: context.data,
            prices: context.prices,
            behaviour: context.behaviour,
            in_sample: context.in_sample,
            before_training: context.before_training,
            symbol: session.day.symbol.to_string(),
            date: session.day.date,
            bar: session.clock(bar),
            next_open: session.clock(bar + 1),
            underlying: Underlying {
                open: bars.open[t],
                high: bars.high[t],
                low: bars.low[t],
                close: bars.close[t],
                volume: bars.volume[t],
                vwap: session.vwap[t],
                filled: bars.filled[t],
            },
            setup: setup(features, session.market.setup(row)),
            position: held.map(|trade| holding(session, trade, bar, step)),
            action: step.action.name(),
            actions: choices(step),
            value: step.value,
            contracts: contracts(session, bar, held, context),
            order: outcome_text::order_text(session, bar, context),
            reward: step.reward,
            reward_terms: terms(step),
            afterwards: outcome_text::afterwards_text(session, bar, held.or(opened)),
            trade: held.or(opened).map(|trade| outcome(session, trade)),
            session_trades: session.trades.len(),
            session_net_pnl_usd: session.net_pnl_cents() as f64 / 100.0,
            observation: observation(session, features),
            account: match held {
                Some(_) => labelled(
                    std::array::from_fn::<_, 9, _>(|i| (ACCOUNT_COLUMNS[i], ACCOUNT_MEANINGS[i])),
                    &step.account,
                ),
                None => Vec::new(),
            },
        }
    }
}

/// Returns the row's columns; those after the features are the user's and forecasts.
fn observation(session: &Session<'_>, features: &[f32]) -> Vec<Column> {
    let column = |(index, (name, &value)): (usize, (String, &f32))| {
        let beyond = if name.starts_with("forecast_") { "forecast of run.forecaster" } else { "column of the user" };
        let meaning = FEATURES.get(index).map_or(beyond, |(_, meaning)| *meaning);
        Column { name, value, meaning }
    };
    session.market.feature_names().into_iter().zip(features).enumerate().map(column).collect()
}

fn labelled<const N: usize>(names: [(&'static str, &'static str); N], values: &[f32]) -> Vec<Column> {
    names
        .into_iter()
        .zip(values)
        .map(|((name, meaning), &value)| Column { name: name.to_owned(), value, meaning })
        .collect()
}

fn feature(features: &[f32], name: &str) -> f32 {
    FEATURES.iter().zip(features).find(|((known, _), _)| *known == name).map_or(0.0, |(_, &value)| value)
}

fn setup(features: &[f32], class: Setup) -> SetupView {
    let (count, flag) = (|name| (feature(features, name) * 4.0).round() as u8, |name| feature(features, name) == 1.0);
    SetupView {
        class: crate::artifacts::trades::setup_name(class),
        bull: count("bull_score"),
        bear: count("bear_score"),
        bull_chase: flag("bull_chase"),
        bear_chase: flag("bear_chase"),
    }
}

fn choices(step: &Step) -> Vec<Choice> {
    let all = ACTION_NAMES.into_iter().zip(step.prob).zip(0u8..);
    all.map(|((action, probability), number)| Choice { action, legal: step.mask.allows(number), probability }).collect()
}

fn terms(step: &Step) -> BTreeMap<&'static str, f32> {
    let terms = step.ledger.reward_terms.iter().map(|(term, sum)| (term.name(), sum as f32));
    terms.filter(|(_, value)| *value != 0.0).collect()
}

fn holding(session: &Session<'_>, trade: &Trade, bar: u32, step: &Step) -> Holding {
    let unrealised = ACCOUNT_COLUMNS.iter().zip(&step.account).find(|(name, _)| **name == "unrealised");
    Holding {
        right: right_name(trade.side),
        strike: trade.strike,
        contracts: session.contracts_left(trade, bar),
        bought: trade.contracts,
        entry: session.clock(session.bar_at(trade.entry_ts_ns)),
        entry_price: trade.entry_price,
        unrealised: unrealised.map_or(0.0, |(_, &value)| value),
    }
}

fn outcome(session: &Session<'_>, trade: &Trade) -> Outcome {
    let clock = |ts_ns| session.clock(session.bar_at(ts_ns));
    Outcome {
        prices: trade.prices,
        entry: clock(trade.entry_ts_ns),
        exit: clock(trade.exit_ts_ns),
        reason: trade.reason,
        contracts: trade.contracts,
        entry_price: trade.entry_price,
        exit_price: trade.exit_price,
        fees_usd: trade.fees_cents as f64 / 100.0,
        net_pnl_usd: trade.net_pnl_cents as f64 / 100.0,
        net_return: trade.net_return,
    }
}

/// Returns the contract held, or the call and the put that an entry decided at this bar buys.
fn contracts(session: &Session<'_>, bar: u32, held: Option<&Trade>, context: &ReportContext<'_>) -> Vec<Contract> {
    let entry = |side, right| (side, session.market.entry_strike(session.day, bar, right));
    let about = match held {
        Some(trade) => vec![(trade.side, trade.strike)],
        None => vec![entry(Action::BuyCall, Right::Call), entry(Action::BuyPut, Right::Put)],
    };
    let market = &context.market;
    let pricer =
        SessionPricer::expiring(session.day.expiry, session.bars, session.vol, &session.day.spec, &market.pricing);
    let view = |(side, strike)| {
        let quote = |bar, at: fn(market_env::QuotePair) -> Quote| {
            session.quote(side, strike, bar).map_or(Prices { bid: None, ask: None }, |pair| prices(at(pair)))
        };
        let (at_close, right) = (quote(bar, |pair| pair.close), right_of(side));
        let inputs = pricer.at_close(bar as usize, strike);
        let implied_vol = at_close.middle().and_then(|middle| inputs.implied_vol(right, middle));
        let (of_call, of_put) = Inputs { vol: implied_vol.unwrap_or(inputs.vol), ..inputs }.greeks();
        let of = if right == Right::Call { of_call } else { of_put };
        let greek = |value: fn(&Greeks) -> f64| market.use_greeks.then(|| value(&of));
        Contract {
            right: right_name(side),
            strike,
            at_close,
            next_open: quote(bar + 1, |pair| pair.open),
            implied_vol,
            delta: greek(|greeks| greeks.delta),
            gamma: greek(|greeks| greeks.gamma),
            theta_per_minute: greek(|greeks| greeks.theta / market_data::calendar::TRADING_MINUTES_PER_YEAR),
            vega_per_point: greek(|greeks| greeks.vega / 100.0),
        }
    };
    about.into_iter().map(view).collect()
}

fn right_of(side: Action) -> Right {
    if side == Action::BuyCall { Right::Call } else { Right::Put }
}

impl Prices {
    fn middle(&self) -> Option<f64> {
        self.ask.map(|ask| (self.bid.unwrap_or(0.0) + ask) / 2.0)
    }
}

fn prices(quote: Quote) -> Prices {
    let cents = |cents: u32| f64::from(cents) / 100.0;
    Prices { bid: (quote.bid > 0).then(|| cents(quote.bid)), ask: quote.ask.map(|ask| cents(ask.get())) }
}
