//! Conservation of cash: a year of random trading on every symbol, recomputed from the trades alone.

use market_data::{DataConfig, Dataset, Window, source::files};
use market_env::{AtTheBell, EnvConfig, ExitMode, FillRule, Market, MarketConfig, Trade, VecEnv as _};

use crate::util::{Batch, Dice, all_days, dataset, punch_holes, real_bars, symbols};

/// Recomputes the result of a trade from its entry and its sales, in whole cents.
pub(crate) fn agrees_with_its_sales(trade: &Trade) {
    let premium = |price: f64, contracts: u32| (price * 100.0).round() as i64 * 100 * i64::from(contracts);
    let sold: u32 = trade.sales.iter().map(|sale| sale.contracts).sum();
    let fees = trade.entry_fees_cents + trade.sales.iter().map(|sale| sale.fees_cents).sum::<i64>();
    let received: i64 = trade.sales.iter().map(|sale| premium(sale.price, sale.contracts)).sum();
    let last = trade.sales.last().unwrap();
    assert_eq!((sold, fees), (trade.contracts, trade.fees_cents), "{trade:?}");
    assert_eq!(received - premium(trade.entry_price, trade.contracts) - fees, trade.net_pnl_cents, "{trade:?}");
    assert_eq!((last.ts_ns, &last.reason), (trade.exit_ts_ns, &trade.reason));
}

/// Settings under which every kind of order and every exit reason occurs.
fn rough() -> EnvConfig {
    let mut config = EnvConfig::default();
    (config.execution.fill, config.execution.delay_bars) = (FillRule::NextQuote, 2);
    (config.execution.slippage, config.execution.impact, config.execution.participation) = (0.01, 0.5, 0.3);
    (config.exits.mode, config.exits.at_the_bell, config.exits.trail_sell) = (ExitMode::Rules, AtTheBell::Settle, 0.8);
    (config.guards.daily_loss_limit, config.guards.max_trades, config.guards.cooldown_after_stop) = (0.1, 30, 3);
    config
}

/// Plays every session once with random legal actions; returns the number of trades.
fn trade_at_random(market: &std::sync::Arc<Market>, config: &EnvConfig, seed: u64) -> usize {
    let mut batch = Batch::replay(market, all_days(market), config);
    let mut dice = Dice(seed);
    while !batch.env.finished() {
        let actions: Vec<u8> = batch.lanes.mask.iter().map(|&mask| dice.legal(mask)).collect();
        batch.step(&actions);
    }
    let (episodes, trades) = (batch.episodes(), batch.trades());
    trades.iter().for_each(agrees_with_its_sales);
    for episode in &episodes {
        let of_session = trades.iter().filter(|trade| trade.lane == episode.lane).map(|trade| trade.net_pnl_cents);
        assert_eq!(episode.net_pnl_cents, of_session.sum::<i64>(), "final cash less capital is the sum of the trades");
    }
    let fees = |sum: i64, trade: &Trade| sum + trade.fees_cents;
    assert_eq!(trades.iter().fold(0, fees), batch.env.ledger().fees_cents);
    trades.len()
}

/// Asserts that every fill of a trade lies in a minute with a bar; settlements lie at the close.
fn fills_on_bars(trade: &Trade, data: &Dataset) {
    let days =
        data.symbols.iter().filter(|symbol| symbol.symbol.as_str() == trade.symbol).flat_map(|symbol| &symbol.days);
    let day = days.into_iter().find(|day| day.session.date == trade.date).unwrap();
    let slot = |ts_ns: i64| ((ts_ns - day.session.open_ns) / 60_000_000_000) as usize;
    assert!(!day.filled[slot(trade.entry_ts_ns)], "an entry without a bar: {trade:?}");
    for sale in trade.sales.iter().filter(|sale| !sale.reason.is_settlement()) {
        assert!(!day.filled[slot(sale.ts_ns)], "a {} without a bar: {trade:?}", sale.reason);
    }
}

#[test]
fn nothing_fills_in_a_minute_without_a_bar() {
    let mut data = dataset(&["SPY", "SPX"], 90, 6, 0.0);
    punch_holes(&mut data, 30, 3);
    let market = std::sync::Arc::new(Market::build(&data.symbols, &MarketConfig::default()).unwrap());
    for config in [EnvConfig::default(), rough()] {
        let mut batch = Batch::replay(&market, all_days(&market), &config);
        let mut dice = Dice(4);
        while !batch.env.finished() {
            let actions: Vec<u8> = batch.lanes.mask.iter().map(|&mask| dice.legal(mask)).collect();
            batch.step(&actions);
        }
        let (trades, ledger) = (batch.trades(), batch.env.ledger().clone());
        assert!(trades.len() > 300, "{} trades", trades.len());
        trades.iter().for_each(|trade| fills_on_bars(trade, &data));
        trades.iter().for_each(agrees_with_its_sales);
        let played = |day: &u32| market.days()[*day as usize].bars as usize - config.exits.flat_before_close as usize;
        let sessions = data.symbols.iter().flat_map(|symbol| &symbol.days[symbol.warmup..]);
        let holes = sessions
            .zip(all_days(&market))
            .map(|(day, index)| day.filled[1..played(&index)].iter().filter(|filled| **filled).count() as u64);
        assert_eq!(ledger.minutes_without_bar, holes.sum::<u64>());
        assert!(ledger.halted_orders > 50 && ledger.minutes_without_bar > 1_000, "{ledger:?}");
    }
}

#[test]
fn a_year_of_random_trading_conserves_cash_on_every_symbol() {
    let bars = real_bars();
    for (name, seed) in [("SPY", 1), ("QQQ", 2), ("IWM", 3), ("SPX", 4)] {
        let data = match &bars {
            Some(folder) => {
                let history = files::load(folder, &symbols(&[name])).unwrap();
                let date = jiff::civil::date;
                let window = Window { from: Some(date(2024, 1, 1)), to: Some(date(2024, 12, 31)), intraday_days: None };
                Dataset::build(&history, &window, &DataConfig::default()).unwrap()
            }
            None => dataset(&[name], 365, seed, 0.0),
        };
        // Every session, also those of IWM before its contracts of Tuesdays and Thursdays.
        let config = MarketConfig { use_greeks: false, listed_only: false, ..MarketConfig::default() };
        let market = std::sync::Arc::new(Market::build(&data.symbols, &config).unwrap());
        assert!(market.days().len() > 240, "{name}: {} sessions", market.days().len());
        let trades = [EnvConfig::default(), rough()].map(|config| trade_at_random(&market, &config, seed));
        assert!(trades[0] > 10_000 && trades[1] > 1_000, "{name}: {trades:?} trades");
    }
}
