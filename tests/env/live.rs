//! A session in progress: what is known at every bar gives the observation, the mask and the money of a replay of the whole day.

use std::sync::Arc;

use jiff::civil::Date;
use market_data::{
    BarColumns, Bars, DataConfig, Dataset, History, Volatility, Window,
    calendar::{self, MINUTE_NS, Session},
    source::synthetic::{self, SyntheticConfig},
};
use market_env::{
    Action, EnvConfig, EnvError, ExecutionConfig, ExitConfig, ExitMode, LiveSession, Market, MarketConfig,
};

use crate::util::{Batch, Dice, symbols};

/// Bars and minutes of VIX1D up to the half day after Thanksgiving, with holes in that session.
fn history(first: Date) -> History {
    let config = SyntheticConfig {
        sessions_from: first,
        sessions_to: jiff::civil::date(2024, 11, 29),
        ..SyntheticConfig::default()
    };
    let mut history = synthetic::generate(&config, &symbols(&["SPY"])).unwrap();
    let half_day = calendar::session(config.sessions_to).unwrap();
    let missing = [60, 61, 100, 150].map(|minute| half_day.open_ns + minute * MINUTE_NS);
    let whole = history.bars.remove(0);
    let kept: Vec<usize> = (0..whole.len()).filter(|at| !missing.contains(&whole.ts_ns()[*at])).collect();
    let pick = |values: &[f64]| kept.iter().map(|at| values[*at]).collect();
    let columns = BarColumns {
        ts_ns: kept.iter().map(|at| whole.ts_ns()[*at]).collect(),
        open: pick(whole.open()),
        high: pick(whole.high()),
        low: pick(whole.low()),
        close: pick(whole.close()),
        volume: pick(whole.volume()),
    };
    let level: Vec<f64> = (0..kept.len()).map(|at| 12.0 + 0.3 * ((at * 7) % 11) as f64).collect();
    let vix1d = BarColumns {
        ts_ns: columns.ts_ns.clone(),
        open: level.clone(),
        high: level.clone(),
        low: level.clone(),
        volume: vec![0.0; level.len()],
        close: level,
    };
    let vix1d = Bars::new(symbols(&["VIX1D"]).remove(0), "levels", vix1d).unwrap();
    history.volatility = Volatility::new(Some(&vix1d), None, None);
    history.bars.push(Bars::new(whole.symbol().clone(), "holes", columns).unwrap());
    history
}

fn market_of(history: &History, session: &Session) -> Arc<Market> {
    let window = Window { from: Some(session.date), to: Some(session.date), intraday_days: None };
    let dataset = Dataset::build(history, &window, &DataConfig::default()).unwrap();
    Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap())
}

fn observed(batch: &Batch) -> Vec<f32> {
    let row = batch.lanes.row[0] as usize;
    let market = batch.env.market();
    let width = market.feature_names().len();
    let frames = &market.features()[(row + 1 - market.frames()) * width..(row + 1) * width];
    [frames, &batch.lanes.account[..]].concat()
}

/// Plays random legal actions of the whole day, and compares every bar with what is known when it has ended.
fn compare(first: Date, date: Date, config: &EnvConfig) -> u32 {
    let (history, session) = (history(first), calendar::session(date).unwrap());
    let mut whole = Batch::replay(&market_of(&history, &session), vec![0], config);
    let (mut dice, mut actions, mut bar) = (Dice(7), Vec::new(), 0);
    loop {
        let known = market_of(&history.known_after(&session, bar as usize).unwrap(), &session);
        let mut live = LiveSession::start(known, config.clone(), bar).unwrap();
        for action in &actions {
            live.step(*action).unwrap();
        }
        assert!(live.is_current() && live.bar() == bar);
        if whole.lanes.terminated[0] {
            assert!(live.is_over() && live.mask().is_forced(), "bar {bar}");
            break;
        }
        assert_eq!(live.observation(), observed(&whole), "bar {bar}");
        assert_eq!((live.mask(), live.is_over()), (whole.lanes.mask[0], false), "bar {bar}");
        let equity = market_env::VecEnv::ledger(&whole.env).net_pnl_cents;
        assert_eq!(live.net_pnl_cents(), equity, "bar {bar}");
        let action = dice.legal(whole.lanes.mask[0]);
        whole.step(&[action]);
        actions.push(Action::from_index(action).unwrap());
        bar += 1;
    }
    bar
}

#[test]
fn every_bar_of_a_half_day_is_that_of_the_whole_day() {
    let day = jiff::civil::date(2024, 11, 29);
    let rules = ExitConfig { mode: ExitMode::Rules, ..ExitConfig::default() };
    let late = ExecutionConfig { delay_bars: 1, ..ExecutionConfig::default() };
    for config in [
        EnvConfig::default(),
        EnvConfig { exits: rules, ..EnvConfig::default() },
        EnvConfig { execution: late, ..EnvConfig::default() },
    ] {
        let decisions = compare(jiff::civil::date(2024, 11, 11), day, &config);
        assert!((200..=209).contains(&decisions), "{decisions}");
    }
}

#[test]
fn every_bar_of_the_first_traded_session_is_that_of_the_whole_day() {
    // One session warms up, and the next is traded.
    let decisions = compare(jiff::civil::date(2024, 11, 26), jiff::civil::date(2024, 11, 27), &EnvConfig::default());
    assert!((380..=389).contains(&decisions), "{decisions}");
}

#[test]
fn illegal_actions_and_markets_without_a_session_are_refused() {
    let history = history(jiff::civil::date(2024, 11, 26));
    let session = calendar::session(jiff::civil::date(2024, 11, 29)).unwrap();
    let known = market_of(&history.known_after(&session, 5).unwrap(), &session);
    let mut live = LiveSession::start(known, EnvConfig::default(), 5).unwrap();
    let refused = live.step(Action::Exit).unwrap_err();
    assert_eq!(refused.to_string(), "EXIT is not legal; legal are HOLD, BUY_CALL, BUY_PUT");
    assert!(matches!(refused, EnvError::Illegal { .. }) && live.bar() == 0);
    for _ in 0..20 {
        live.step(Action::Hold).unwrap();
    }
    assert_eq!(live.bar(), 5, "the order at the newest bar is not filled yet");
}
