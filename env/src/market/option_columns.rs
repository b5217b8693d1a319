//! Columns of the option files: volatility and skew by the surface, balance of volume and quoted width near the money.
//!
//! All are known at the close of their bar. A file may hold contracts that were chosen by a later price, so that the list of its
//! contracts tells the future. Volatility and skew come from the surface, which prices every strike alike; volume counts only
//! at the two strikes around the price, in minutes in which a call and a put of both traded: with one of the strikes alone, the side
//! on which the list ends would be told. Quoted widths are treated alike. The distance to the strike with the most volume is no column: it follows the list.

use market_data::{OptionSession, QuoteMinute, Right, SessionBars};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ContractSpec, SessionPricer};

/// Minutes over which volume is summed, and between two values of its change.
const VOLUME_MINUTES: usize = 30;

/// A column of the option files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptionColumn {
    /// tanh of the annualised volatility at the money, by the surface of the prints so far.
    AtmVol,
    /// Volatility one deviation below the money less that one above, over that at the money; tanh of five times that.
    Skew,
    /// Put over call volume at the two strikes around the price in the last 30 minutes: tanh of half its logarithm.
    PutCall,
    /// The change of `put_call` over 30 minutes.
    PutCallChange,
    /// Quoted width at the two strikes around the price over its middle: the last one, tanh of ten times that; 0 in files without quotes.
    Width,
}

impl OptionColumn {
    /// Returns the name of the column of the observation.
    pub(crate) fn column(self) -> String {
        let name = match self {
            Self::AtmVol => "atm_vol",
            Self::Skew => "skew",
            Self::PutCall => "put_call",
            Self::PutCallChange => "put_call_change",
            Self::Width => "width",
        };
        format!("options.{name}")
    }
}

/// Returns the columns of a session, row-major `[bars, C]`. `pricer` holds the surface of the prints so far at every instant.
pub(crate) fn of_session(
    wanted: &[OptionColumn],
    pricer: &SessionPricer<'_>,
    bars: &SessionBars,
    rows: &OptionSession,
    spec: &ContractSpec,
) -> Vec<f32> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let step = spec.strike_step;
    let (balances, widths) = (balance(bars, rows, step), widths(bars, rows, step));
    let (balances, widths) = (&balances, &widths);
    let row = |t: usize| {
        let (atm, skew) = smile(pricer, bars, t);
        let before = t.checked_sub(VOLUME_MINUTES).map_or(0.0, |before| balances[before]);
        wanted.iter().map(move |column| match column {
            OptionColumn::AtmVol => atm.tanh() as f32,
            OptionColumn::Skew => (5.0 * skew).tanh() as f32,
            OptionColumn::PutCall => balances[t] as f32,
            OptionColumn::PutCallChange => (balances[t] - before) as f32,
            OptionColumn::Width => (10.0 * widths[t]).tanh() as f32,
        })
    };
    let mut columns = Vec::with_capacity(bars.close.len() * wanted.len());
    (0..bars.close.len()).for_each(|t| columns.extend(row(t)));
    columns
}

/// Returns the volatility at the money at the close of a bar, and its fall from one deviation below the money to one above, over it.
fn smile(pricer: &SessionPricer<'_>, bars: &SessionBars, t: usize) -> (f64, f64) {
    let spot = bars.close[t];
    let at = pricer.at_close(t, spot);
    let deviation = at.vol * at.years.sqrt();
    let [below, above] = [-deviation, deviation].map(|way| pricer.at_close(t, spot * way.exp()).vol);
    (at.vol, (below - above) / at.vol.max(1e-9))
}

/// Returns the balance of put and call volume at the close of every bar, -1 to 1.
fn balance(bars: &SessionBars, rows: &OptionSession, step: f64) -> Vec<f64> {
    let volume = |t: usize| {
        let trades = rows.trades_at(t as u16).iter().map(|trade| (trade.strike, trade.right, trade.volume));
        around(bars.close[t], step, trades).unwrap_or_default()
    };
    let volumes: Vec<[f64; 2]> = (0..bars.close.len()).map(volume).collect();
    let of = |t: usize| {
        let window = &volumes[(t + 1).saturating_sub(VOLUME_MINUTES)..=t];
        let [calls, puts] = [0, 1].map(|right| window.iter().map(|volume| volume[right]).sum::<f64>());
        (0.5 * ((1.0 + puts) / (1.0 + calls)).ln()).tanh()
    };
    (0..volumes.len()).map(of).collect()
}

/// Returns the sums of a value over the calls and over the puts of the two strikes around a price; `None` unless all four are there.
fn around(price: f64, step: f64, values: impl Iterator<Item = (f64, Right, f64)>) -> Option<[f64; 2]> {
    let below = (price / step).floor();
    let mut found = [[None; 2]; 2];
    for (strike, right, value) in values {
        let steps = strike / step - below;
        let side = [0.0, 1.0].into_iter().position(|side: f64| (steps - side).abs() < 1e-6);
        if let Some(side) = side {
            found[usize::from(right == Right::Put)][side] = Some(value);
        }
    }
    let sum = |[below, above]: [Option<f64>; 2]| Some(below? + above?);
    Some([sum(found[0])?, sum(found[1])?])
}

/// Returns the mean quoted width over its middle at the two strikes around the price, at the close of every bar: that of the last
/// minute in which all four contracts have quotes.
fn widths(bars: &SessionBars, rows: &OptionSession, step: f64) -> Vec<f64> {
    let mut last = 0.0;
    let of = |t: usize| {
        let width = |row: &QuoteMinute| {
            let (bid, ask) = row.sides()?;
            Some((row.strike, row.right, (ask - bid) / f64::midpoint(ask, bid)))
        };
        let quotes = rows.quotes_at(t as u16).iter().filter_map(width);
        if let Some([calls, puts]) = around(bars.close[t], step, quotes) {
            last = (calls + puts) / 4.0;
        }
        last
    };
    (0..bars.close.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use market_data::{
        DataConfig, Dataset, OptionHistory, Settles, Symbol, SymbolSessions, TradeMinute, Window, source::synthetic,
    };

    use super::*;
    use crate::{Market, MarketConfig, features::FEATURES};

    const ALL: [OptionColumn; 5] = [
        OptionColumn::AtmVol,
        OptionColumn::Skew,
        OptionColumn::PutCall,
        OptionColumn::PutCallChange,
        OptionColumn::Width,
    ];

    fn sessions(days: i64) -> SymbolSessions {
        let mut config = DataConfig::default();
        config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(days));
        let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
        Dataset::build(&history, &Window::default(), &config).unwrap().symbols.remove(0)
    }

    fn config() -> MarketConfig {
        MarketConfig { option_columns: ALL.to_vec(), use_greeks: false, listed_only: false, ..MarketConfig::default() }
    }

    /// A pseudo-random number of 0 to 1.
    fn dice(seed: u64) -> f64 {
        let mixed = (seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Prints of eight strikes around `centre`, with noise in price and volume; options out of the money trade three times as much.
    fn prints(symbol: &SymbolSessions, day: usize, centre: f64) -> OptionSession {
        let (bars, vol) = (&symbol.days[day], &symbol.vol[day]);
        let spec = MarketConfig::default().contract(&symbol.symbol).unwrap();
        let pricer = SessionPricer::new(bars, vol, &spec, &MarketConfig::default().pricing);
        let mut trades = Vec::new();
        for t in 0..bars.close.len() {
            for (index, strike) in (-4..4).map(|step| centre.round() + f64::from(step)).enumerate() {
                let (call, put) = pricer.at_close(t, strike).prices();
                for (right, price) in [(Right::Call, call), (Right::Put, put)] {
                    let seed = ((day * 400 + t) * 8 + index) as u64 * 2 + u64::from(right == Right::Put);
                    let price = (price * (0.95 + 0.1 * dice(seed))).max(0.01);
                    let outside = (right == Right::Call) == (strike > bars.close[t]);
                    let volume = (1.0 + 20.0 * dice(seed ^ 0xABCD)) * if outside { 3.0 } else { 1.0 };
                    let slot = t as u16;
                    let (open, high, low, close, vwap) = (price, price, price, price, price);
                    trades.push(TradeMinute { slot, strike, right, open, high, low, close, vwap, volume, spot: None });
                }
            }
        }
        let session = bars.session;
        OptionSession { session, expiry: session.date, settles: Settles::AtClose, trades, quotes: Vec::new() }
    }

    fn history(symbol: &SymbolSessions, centre: impl Fn(&SessionBars) -> f64) -> OptionHistory {
        let days = symbol.warmup..symbol.days.len();
        let sessions = days.map(|day| prints(symbol, day, centre(&symbol.days[day]))).collect();
        OptionHistory { symbol: symbol.symbol.clone(), sessions, files: Vec::new(), left_out: Default::default() }
    }

    fn market(symbol: &SymbolSessions, options: &OptionHistory) -> Market {
        let options = std::slice::from_ref(options);
        Market::replay_options(std::slice::from_ref(symbol), options, &config()).unwrap()
    }

    /// Returns the option columns of a session's bar.
    fn columns(market: &Market, day: usize, bar: usize) -> Vec<f32> {
        market.row(market.days()[day].rows().start + bar)[FEATURES.len()..].to_vec()
    }

    #[test]
    fn columns_are_named_bounded_and_alive() {
        let symbol = sessions(14);
        let market = market(&symbol, &history(&symbol, |bars| bars.open[0]));
        let names = market.feature_names();
        assert_eq!(names[FEATURES.len()], "options.atm_vol");
        assert_eq!(names.len(), FEATURES.len() + ALL.len());
        let rows: Vec<Vec<f32>> = (0..390).map(|bar| columns(&market, 0, bar)).collect();
        assert!(rows.iter().flatten().all(|value| value.is_finite() && value.abs() <= 2.0));
        for (index, name) in ["atm_vol", "skew", "put_call", "put_call_change"].iter().enumerate() {
            assert!(rows.iter().any(|row| row[index] != rows[100][index]), "{name} never moves");
        }
        let symbols = std::slice::from_ref(&symbol);
        let error = Market::build(symbols, &config()).unwrap_err().to_string();
        assert!(error.contains("market.option_columns: "), "{error}");
    }

    #[test]
    fn rows_of_later_minutes_and_later_contracts_change_nothing() {
        let symbol = sessions(14);
        let options = history(&symbol, |bars| bars.open[0]);
        let mut changed = options.clone();
        let last = 150;
        let trades = &mut changed.sessions[2].trades;
        // Every other contract vanishes after this minute, the rest is rewritten, and new contracts come.
        trades.retain(|trade| trade.slot <= last || trade.strike as i64 % 2 == 0);
        for trade in trades.iter_mut().filter(|trade| trade.slot > last) {
            (trade.vwap, trade.volume, trade.strike) = (trade.vwap * 1.4, trade.volume * 9.0, trade.strike + 2.0);
        }
        let (seen, altered) = (market(&symbol, &options), market(&symbol, &changed));
        for bar in 0..=usize::from(last) {
            assert_eq!(columns(&seen, 2, bar), columns(&altered, 2, bar), "bar {bar}");
        }
        let later = |market: &Market| (151..390).map(|bar| columns(market, 2, bar)).collect::<Vec<_>>();
        assert_ne!(later(&seen), later(&altered), "the test can fail");
    }

    /// Returns the correlation of a value at noon with the way to the close, over sessions.
    fn foresight(symbol: &SymbolSessions, value: impl Fn(usize, usize) -> f64) -> f64 {
        let noon = 150;
        let pairs: Vec<(f64, f64)> = (symbol.warmup..symbol.days.len())
            .map(|day| {
                let bars = &symbol.days[day];
                let noon = noon.min(bars.close.len() / 2);
                let way = (bars.close[bars.close.len() - 1] / bars.open[noon + 1]).ln();
                (value(day - symbol.warmup, noon), way)
            })
            .collect();
        statistics::correlation(&pairs).unwrap_or(0.0)
    }

    #[test]
    fn a_list_of_contracts_around_the_last_price_tells_nothing_through_the_columns() {
        let symbol = sessions(360);
        let last_price = |bars: &SessionBars| bars.close[bars.close.len() - 1];
        let options = history(&symbol, last_price);
        let market = market(&symbol, &options);
        let limit = 3.5 / (market.days().len() as f64).sqrt();
        for (index, column) in ALL.iter().enumerate() {
            let found = foresight(&symbol, |day, bar| f64::from(columns(&market, day, bar)[index]));
            assert!(found.abs() < limit, "{column:?}: {found:+.3} beyond {limit:.3}");
        }
        // The centre of the list and the balance of all its rows do tell the future.
        let trades = |day: usize, bar: usize| options.sessions[day].trades_at(bar as u16);
        let centre = |day: usize, bar: usize| {
            let spot = symbol.days[day + symbol.warmup].close[bar];
            statistics::mean(trades(day, bar).iter().map(|trade| trade.strike)) / spot
        };
        let all_rows = |day: usize, bar: usize| {
            let sum = |right| trades(day, bar).iter().filter(|t| t.right == right).map(|t| t.volume).sum::<f64>();
            (sum(Right::Put) / sum(Right::Call)).ln()
        };
        assert!(foresight(&symbol, centre) > 2.0 * limit, "{}", foresight(&symbol, centre));
        assert!(foresight(&symbol, all_rows) < -limit, "{}", foresight(&symbol, all_rows));
    }
}
