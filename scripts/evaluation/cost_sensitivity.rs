//! Cost sensitivity: the same sessions replayed at several multiples of the bid-ask spread.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use anyhow::Context as _;
use jiff::civil::Date;
use market_data::calendar::MINUTE_NS;
use market_env::{Action, Day, Market, Quote, Trade};
use serde::Serialize;
use statistics::ratio;

use crate::{
    evaluation::{performance::Performance, replay::ReplayResult},
    output::{
        exit_code::UsageError,
        table::{columns, dollars, percent, thousands},
    },
};

/// Largest multiple of the spread.
const MAX_MULTIPLE: f64 = 100.0;

/// Note above a cost-sensitivity table.
const NOTE: &str = "the policy sees the changed quotes and may trade differently; the fee schedule stays";

/// Note above the table where real options are replayed.
const NOTE_ON_REAL_QUOTES: &str = "the policy sees the changed quotes and may trade differently; the fee schedule stays; \
                                   real quotes are rounded outward to the tick even at 0x, and one-sided quotes stay as \
                                   they are";

/// Multiples of the spread, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiples(Vec<f64>);

impl Multiples {
    /// Default multiples, in the syntax of the flag.
    pub const DEFAULT: &str = "0,0.5,1,2,3";

    /// Returns the multiples, ascending.
    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

impl FromStr for Multiples {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |part: &str| part.trim().parse().ok().filter(|multiple| (0.0..=MAX_MULTIPLE).contains(multiple));
        let multiples: Option<Vec<f64>> = text.split(',').map(parse).collect();
        let mut multiples =
            multiples.ok_or(format!("write it as multiples of the spread from 0 to 100: {}", Self::DEFAULT))?;
        multiples.sort_by(f64::total_cmp);
        multiples.dedup();
        Ok(Self(multiples))
    }
}

/// Result at one multiple of the spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostLine {
    /// Multiple of the configured half-spreads.
    pub multiple: f64,
    /// Positions opened and closed.
    pub trades: u64,
    /// P&L after spread and fees.
    pub net_pnl_usd: f64,
    /// Commissions and exchange fees.
    pub fees_usd: f64,
    /// Mean cost of a trade in spreads and fees, as a fraction of its premium. The spread is the distance of every fill from the
    /// mid of its quote.
    pub cost_per_trade: Option<f64>,
    /// Mean net return of a trade, as a fraction of premium and fees paid at its entry.
    pub mean_trade_return: Option<f64>,
    /// Share of trades with a net gain.
    pub win_rate: Option<f64>,
    /// Daily Sharpe ratio, as in the report.
    pub daily_sharpe: Option<f64>,
    /// Net P&L of every date, ascending by date.
    #[serde(skip)]
    pub daily_usd: Vec<f64>,
}

/// The results at several multiples of the spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostSensitivity {
    /// One line per multiple, ascending.
    pub multiples: Vec<CostLine>,
    /// The multiple at which the net P&L falls to zero, on a straight line between its neighbours; null where none does.
    pub break_even: Option<f64>,
    /// Break-even multiple as a sentence.
    pub break_even_text: String,
    /// Note on reading the table.
    pub note: &'static str,
}

impl CostSensitivity {
    /// Replays at every multiple; `replay` returns the market and the result at a multiple.
    ///
    /// # Errors
    /// The first error of `replay`.
    pub fn of(
        multiples: &Multiples,
        mut replay: impl FnMut(f64) -> anyhow::Result<(Arc<Market>, ReplayResult)>,
    ) -> anyhow::Result<Self> {
        let mut note = NOTE;
        let line = |&multiple: &f64| {
            let (market, result) = replay(multiple)?;
            if market.real_options().is_some() {
                note = NOTE_ON_REAL_QUOTES;
            }
            let figures = Performance::of(&result)?;
            anyhow::Ok(CostLine {
                multiple,
                trades: figures.trades,
                net_pnl_usd: figures.net_pnl_usd,
                fees_usd: figures.fees_usd,
                cost_per_trade: cost_per_trade(&market, &result.trades)?,
                mean_trade_return: figures.mean_trade_return,
                win_rate: figures.win_rate,
                daily_sharpe: figures.daily_sharpe,
                daily_usd: result.daily_pnl().into_iter().map(|(_, usd)| usd).collect(),
            })
        };
        let multiples: Vec<CostLine> = multiples.values().iter().map(line).collect::<Result<_, _>>()?;
        let (break_even, break_even_text) = break_even(&multiples);
        Ok(Self { multiples, break_even, break_even_text, note })
    }

    /// Returns the table as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let heading =
            ["spread", "trades", "net P&L", "fees", "cost per trade", "mean trade", "win rate", "daily Sharpe"];
        let row = |line: &CostLine| {
            vec![
                format!("{}x", line.multiple),
                thousands(line.trades as i64),
                dollars(line.net_pnl_usd),
                dollars(line.fees_usd),
                percent(line.cost_per_trade),
                percent(line.mean_trade_return),
                percent(line.win_rate),
                line.daily_sharpe.map_or_else(|| "-".to_owned(), |sharpe| format!("{sharpe:.2}")),
            ]
        };
        vec![
            format!("\nCost sensitivity: {}", self.note),
            columns(&heading, &self.multiples.iter().map(row).collect::<Vec<_>>()),
            format!("Break-even spread: {}", self.break_even_text),
        ]
    }
}

/// Checks that there is a spread to multiply.
///
/// # Errors
/// When the configuration has no spread.
pub fn check_spread(spread_multiplier: f64) -> Result<(), UsageError> {
    if spread_multiplier > 0.0 {
        return Ok(());
    }
    Err(UsageError::one(
        "--cost-sensitivity: market.pricing.spread_multiplier is 0, so all multiples are the same; set it above 0",
    ))
}

/// Returns the multiple at which the net P&L first falls to zero, and a sentence about it.
fn break_even(lines: &[CostLine]) -> (Option<f64>, String) {
    let [first, .., last] = lines else {
        return (None, "unknown: it takes at least two multiples".to_owned());
    };
    if lines.iter().all(|line| line.trades == 0) {
        return (None, "none: it never trades".to_owned());
    }
    if first.net_pnl_usd <= 0.0 {
        let even = if first.multiple == 0.0 {
            "even without a spread".to_owned()
        } else {
            format!("even at {}x", first.multiple)
        };
        return (None, format!("none: it loses {even}"));
    }
    let falls = lines.windows(2).find(|pair| pair[1].net_pnl_usd <= 0.0);
    let Some([above, below]) = falls.and_then(|pair| pair.first_chunk()) else {
        return (None, format!("above {}x: it still earns {} there", last.multiple, dollars(last.net_pnl_usd)));
    };
    let part = above.net_pnl_usd / (above.net_pnl_usd - below.net_pnl_usd);
    let multiple = above.multiple + part * (below.multiple - above.multiple);
    (Some(multiple), format!("{multiple:.2}x, between {}x and {}x", above.multiple, below.multiple))
}

/// Returns the mean cost of the trades as a fraction of their premium; `None` without a trade.
fn cost_per_trade(market: &Market, trades: &[Trade]) -> anyhow::Result<Option<f64>> {
    let cost = |(spread, trade): (f64, &Trade)| {
        let premium = trade.entry_price * 100.0 * f64::from(trade.contracts);
        (spread + trade.fees_cents as f64 / 100.0) / premium
    };
    let sum: f64 = spread_costs(market, trades)?.into_iter().zip(trades).map(cost).sum();
    Ok(ratio(sum, trades.len() as f64))
}

/// Returns the spread that every trade paid, in dollars: the distance of its fills from the mid of their quotes. A settlement has no
/// quote and pays none.
///
/// # Errors
/// For a trade of a session that the market lacks.
pub fn spread_costs(market: &Market, trades: &[Trade]) -> anyhow::Result<Vec<f64>> {
    let days: BTreeMap<(&str, Date), &Day> =
        market.days().iter().map(|day| ((day.symbol.as_str(), day.date), day)).collect();
    let cost = |trade: &Trade| {
        let day = days.get(&(trade.symbol.as_str(), trade.date));
        let day =
            day.with_context(|| format!("a trade of {} on {} belongs to no session", trade.symbol, trade.date))?;
        Ok(spread_cost(market, day, trade))
    };
    trades.iter().map(cost).collect()
}

fn spread_cost(market: &Market, day: &Day, trade: &Trade) -> f64 {
    let middle = |ts_ns: i64| {
        let bar = u32::try_from((ts_ns - day.open_ns) / MINUTE_NS).ok().filter(|&bar| bar < day.bars)?;
        let (call, put) = market.quotes_at(day, trade.strike, bar)?;
        let Quote { bid, ask } = if trade.side == Action::BuyCall { call.open } else { put.open };
        Some(f64::from(bid + ask?.get()) / 200.0)
    };
    let paid = |ts_ns, price: f64, contracts: u32| {
        middle(ts_ns).map_or(0.0, |middle| (price - middle).abs() * 100.0 * f64::from(contracts))
    };
    let sales = trade.sales.iter().filter(|sale| !sale.reason.is_settlement());
    paid(trade.entry_ts_ns, trade.entry_price, trade.contracts)
        + sales.map(|sale| paid(sale.ts_ns, sale.price, sale.contracts)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
    use market_env::{ExitReason, MarketConfig, Sale, option::black_scholes::Right};

    use super::*;

    fn line(multiple: f64, net_pnl_usd: f64) -> CostLine {
        CostLine {
            multiple,
            trades: 10,
            net_pnl_usd,
            fees_usd: 7.0,
            cost_per_trade: Some(0.03),
            mean_trade_return: Some(0.01),
            win_rate: Some(0.5),
            daily_sharpe: None,
            daily_usd: Vec::new(),
        }
    }

    #[test]
    fn multiples_are_read_in_any_order_and_bad_ones_refused() {
        assert_eq!("3, 0,1,0.5,1".parse::<Multiples>().unwrap().values(), [0.0, 0.5, 1.0, 3.0]);
        assert_eq!(Multiples::DEFAULT.parse::<Multiples>().unwrap().values().len(), 5);
        for text in ["", "1,x", "-1", "nan", "101"] {
            assert!(text.parse::<Multiples>().unwrap_err().contains("0,0.5,1,2,3"), "{text:?}");
        }
    }

    #[test]
    fn the_break_even_lies_on_the_line_between_gain_and_loss() {
        let of = |lines: &[(f64, f64)]| break_even(&lines.iter().map(|&(m, pnl)| line(m, pnl)).collect::<Vec<_>>());
        let (multiple, text) = of(&[(0.0, 500.0), (1.0, 300.0), (2.0, -100.0), (3.0, 50.0)]);
        assert_eq!((multiple, text.as_str()), (Some(1.75), "1.75x, between 1x and 2x"));
        assert_eq!(of(&[(0.0, 100.0), (1.0, 0.0)]).0, Some(1.0));
        assert_eq!(of(&[(0.0, -1.0), (1.0, -5.0)]), (None, "none: it loses even without a spread".to_owned()));
        assert_eq!(of(&[(0.5, -1.0), (1.0, -5.0)]).1, "none: it loses even at 0.5x");
        assert_eq!(of(&[(0.0, 9.0), (3.0, 4.0)]).1, "above 3x: it still earns $4 there");
        assert!(of(&[(1.0, 9.0)]).1.starts_with("unknown"));
        let idle = [0.0, 1.0].map(|multiple| CostLine { trades: 0, ..line(multiple, 0.0) });
        assert_eq!(break_even(&idle).1, "none: it never trades");
    }

    #[test]
    fn a_round_trip_at_one_moment_costs_the_width_of_the_quote_and_the_fees() {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(9));
        let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        let dataset = Dataset::build(&history, &Window::default(), &config).unwrap();
        let market = Market::build(&dataset.symbols, &MarketConfig::default()).unwrap();
        let day = &market.days()[0];
        let strike = market.entry_strike(day, 100, Right::Call);
        let quote = market.quotes_at(day, strike, 101).unwrap().0.open;
        let (bid, ask) = (f64::from(quote.bid) / 100.0, f64::from(quote.ask.unwrap().get()) / 100.0);
        assert!(ask > bid && bid > 0.0);
        let sale = |price, reason| Sale { ts_ns: day.bar_ns(101), contracts: 3, price, fees_cents: 210, reason };
        let trade = |sale: Sale| Trade {
            date: day.date,
            strike,
            entry_ts_ns: day.bar_ns(101),
            entry_price: ask,
            fees_cents: 420,
            sales: vec![sale],
            ..crate::evaluation::performance::tests::trade(0, 0.0, 1)
        };
        let near = |trade: &Trade, cost: f64| {
            let found = cost_per_trade(&market, std::slice::from_ref(trade)).unwrap().unwrap();
            assert!((found - cost / (ask * 300.0)).abs() < 1e-12, "{found} {cost}");
        };
        near(&trade(sale(bid, ExitReason::Agent)), (ask - bid) * 300.0 + 4.20);
        near(&trade(sale(0.0, ExitReason::Settled)), (ask - bid) / 2.0 * 300.0 + 4.20);
        assert_eq!(cost_per_trade(&market, &[]).unwrap(), None);
        let stranger = Trade { symbol: "IWM".to_owned(), ..trade(sale(bid, ExitReason::Agent)) };
        assert!(cost_per_trade(&market, &[stranger]).unwrap_err().to_string().contains("belongs to no session"));
    }

    #[test]
    fn without_a_spread_there_is_nothing_to_multiply() {
        assert!(check_spread(0.0).is_err() && check_spread(0.1).is_ok());
    }
}
