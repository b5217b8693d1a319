//! A session is the same in every window: features, quotes and play, bit for bit, with and without a volatility index. Prices in
//! another unit end in a sentence.

use std::sync::Arc;

use jiff::civil::Date;
use market_data::{DataConfig, Dataset, History, Volatility, Window, source::synthetic};
use market_env::{EnvConfig, Market, MarketConfig, VecEnv as _};

use crate::util::{Batch, Dice, market, real_bars, symbols};

/// Synthetic bars around a half day.
fn made_up() -> History {
    let config = synthetic::SyntheticConfig {
        sessions_from: jiff::civil::date(2024, 11, 11),
        sessions_to: jiff::civil::date(2024, 12, 6),
        ..Default::default()
    };
    synthetic::generate(&config, &symbols(&["SPY", "SPX"])).unwrap()
}

fn build(history: &History, from: Date, to: Date) -> Dataset {
    let window = Window { from: Some(from), to: Some(to), intraday_days: None };
    Dataset::build(history, &window, &DataConfig::default()).unwrap()
}

/// Features, setups, quotes and random play of one session, as bits.
fn session_bits(market: &Arc<Market>, symbol: &str, date: Date) -> Vec<u64> {
    let index = market.days().iter().position(|day| day.symbol.as_str() == symbol && day.date == date).unwrap();
    let day = &market.days()[index];
    let mut bits = vec![day.vix_at_open.to_bits()];
    for row in day.rows() {
        bits.extend(market.row(row).iter().map(|x| u64::from(x.to_bits())));
        bits.push(market.setup(row) as u64);
    }
    for contract in 0.. {
        let strike = day.strike(contract);
        let Some(_) = market.quotes_at(day, strike, 0) else { break };
        bits.push(strike.to_bits());
        for quote in (0..day.bars).map(|bar| market.quote(day, contract, bar)) {
            bits.extend(
                [quote.open, quote.close]
                    .map(|quote| (u64::from(quote.bid) << 32) | quote.ask.map_or(0, |ask| u64::from(ask.get()))),
            );
        }
    }
    let (mut batch, mut dice) = (Batch::replay(market, vec![index as u32], &EnvConfig::default()), Dice(5));
    while !batch.env.finished() {
        let action = dice.legal(batch.lanes.mask[0]);
        batch.step(&[action]);
        bits.push(u64::from(batch.lanes.reward[0].to_bits()));
    }
    bits.push(batch.env.ledger().net_pnl_cents as u64);
    bits
}

/// Compares the last session of windows with several first dates.
fn last_sessions_agree(history: &History, first_dates: &[Date], last: Date) {
    let markets: Vec<_> = first_dates.iter().map(|&first| market(&build(history, first, last))).collect();
    for symbol in history.bars.iter().map(|bars| bars.symbol().as_str()) {
        let bits: Vec<_> = markets.iter().map(|market| session_bits(market, symbol, last)).collect();
        assert!(bits[0].len() > 10_000);
        for (other, first) in bits.iter().zip(first_dates) {
            assert!(*other == bits[0], "{symbol} {last} in a window from {first}");
        }
    }
}

#[test]
fn a_made_up_session_is_the_same_in_every_window() {
    let date = |month, day| jiff::civil::date(2024, month, day);
    let mut history = made_up();
    for _ in 0..2 {
        // The first session after the half day, and a later one.
        last_sessions_agree(&history, &[date(11, 12), date(11, 18), date(11, 29), date(12, 2)], date(12, 2));
        last_sessions_agree(&history, &[date(11, 12), date(11, 29), date(12, 5), date(12, 6)], date(12, 6));
        // The index is missing the second time.
        history.volatility = Volatility::default();
    }
}

#[test]
fn a_real_session_is_the_same_in_every_window() {
    let Some(folder) = real_bars() else { return };
    let mut history = market_data::source::files::load(&folder, &symbols(&["SPY", "SPX"])).unwrap();
    let date = |year, month, day| jiff::civil::date(year, month, day);
    for _ in 0..2 {
        let firsts = [date(2025, 1, 2), date(2025, 2, 10), date(2025, 3, 17), date(2025, 3, 20), date(2025, 3, 21)];
        last_sessions_agree(&history, &firsts, date(2025, 3, 21));
        history.volatility = Volatility::default();
    }
}

#[test]
fn prices_in_another_unit_end_in_a_sentence() {
    let history = made_up();
    let mut dataset = build(&history, jiff::civil::date(2024, 12, 2), jiff::civil::date(2024, 12, 6));
    let refusal =
        |dataset: &Dataset| Market::build(&dataset.symbols, &MarketConfig::default()).unwrap_err().to_string();
    let mut slipped = dataset.clone();
    slipped.symbols[0].days.last_mut().unwrap().high[90] *= 1000.0;
    let message = refusal(&slipped);
    assert!(message.starts_with("SPY 2024-12-06: prices from "), "{message}");
    assert!(message.contains("the high of 11:00, ") && message.contains("correct that bar"), "{message}");
    for day in dataset.symbols.iter_mut().flat_map(|symbol| &mut symbol.days) {
        for price in [&mut day.open, &mut day.high, &mut day.low, &mut day.close] {
            price.iter_mut().for_each(|price| *price *= 10_000.0);
        }
    }
    let message = refusal(&dataset);
    assert!(message.starts_with("SPY 2024-12-02: prices from "), "{message}");
    assert!(message.contains("in units of 0.0001 dollars: divide them by 10000"), "{message}");
}
