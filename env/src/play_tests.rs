//! Tests of orders from decision to fill, on a small made-up market from which a test can remove quotes.

use std::{ops::Range, sync::Arc};

use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};

use crate::{
    Action, AtTheBell, BatchEnv, EnvConfig, ExitMode, ExitReason, Expiry, FLAT_MASK, FORCED_MASK, FillRule,
    HOLDING_MASK, Market, MarketConfig, RewardConfig, Setup, StepBuffers, TakeProfit, Trade, VecEnv,
};

const CALL: u8 = Action::BuyCall as u8;
const EXIT: u8 = Action::Exit as u8;

/// One session of a symbol.
fn market(symbol: &str) -> Market {
    market_without(symbol, 0..0)
}

/// One session of a symbol without the bars of some minutes.
fn market_without(symbol: &str, holes: Range<usize>) -> Market {
    let mut config = DataConfig::default();
    config.synthetic.sessions_to = config.synthetic.sessions_from.saturating_add(jiff::Span::new().days(1));
    let history = synthetic::generate(&config.synthetic, &[Symbol::new(symbol).unwrap()]).unwrap();
    let mut dataset = Dataset::build(&history, &Window::default(), &config).unwrap();
    for slot in holes {
        let day = dataset.symbols[0].days.last_mut().unwrap();
        let last = day.close[slot - 1];
        [&mut day.open, &mut day.high, &mut day.low, &mut day.close].into_iter().for_each(|price| price[slot] = last);
        day.filled[slot] = true;
    }
    Market::build(&dataset.symbols, &MarketConfig::default()).unwrap()
}

/// The contract at the money of the market's only session at a bar's close: call, then put.
fn at_the_money(market: &Market, bar: u32) -> u32 {
    u32::from(market.signal(market.days()[0].first_row + bar).contracts[0])
}

/// A replay of the market's only session.
struct Session {
    env: BatchEnv,
    lanes: StepBuffers,
    bar: u32,
}

impl Session {
    fn new(market: Market, config: EnvConfig) -> Self {
        let mut env = BatchEnv::replay(Arc::new(market), vec![0], config).unwrap();
        let lanes = StepBuffers::reset(&mut env);
        Self { env, lanes, bar: 0 }
    }

    /// Takes one action and returns the reward.
    fn act(&mut self, action: u8) -> f32 {
        self.lanes.step(&mut self.env, &[action]);
        self.bar += 1;
        self.lanes.reward[0]
    }

    /// Continues under another configuration.
    fn under(self, config: EnvConfig) -> Self {
        let mut env = BatchEnv::replay(self.env.market().clone(), vec![0], config).unwrap();
        let mut lanes = StepBuffers::reset(&mut env);
        env.restore(&self.env.state(), lanes.observation()).unwrap();
        Self { env, lanes, bar: self.bar }
    }

    /// Holds until the decision at the close of a bar.
    fn hold_until(&mut self, bar: u32) {
        while self.bar < bar {
            self.act(0);
        }
    }

    fn mask(&self) -> crate::ActionMask {
        self.lanes.mask[0]
    }

    /// Holds to the end and returns the trades.
    fn finish(mut self) -> Vec<Trade> {
        while !self.env.finished() {
            self.act(0);
        }
        let mut trades = Vec::new();
        self.env.drain_trades(&mut trades);
        trades
    }
}

/// A configuration without exit rules that could sell before the test does.
fn patient() -> EnvConfig {
    let mut config = EnvConfig::default();
    config.exits.stop_loss = 1.0;
    config
}

#[test]
fn without_a_quote_an_entry_is_refused_or_waits_for_its_own_strike() {
    let decided = 30;
    for fill in [FillRule::NextOpen, FillRule::NextQuote] {
        let mut market = market("SPY");
        let contract = at_the_money(&market, decided);
        (decided + 1..decided + 4).for_each(|bar| market.forget_open_quote(0, contract, bar));
        let (strike, setup) =
            (market.days()[0].strike(contract), market.setup((decided + market.days()[0].first_row) as usize));
        let mut config = patient();
        config.execution.fill = fill;
        (config.reward.good_buy_call, config.reward.bad_chase, config.reward.pnl_scale) = (0.25, 0.0, 0.0);
        let mut session = Session::new(market, config);
        session.hold_until(decided);
        assert_eq!(session.act(CALL), 0.0, "nothing is paid for an order");
        if fill == FillRule::NextOpen {
            assert_eq!((session.mask(), session.env.ledger().refused_orders), (FLAT_MASK, 1));
            continue;
        }
        for _ in 0..3 {
            assert_eq!((session.mask(), session.lanes.account[0]), (FORCED_MASK, 0.0));
            let reward = session.act(0);
            let filled = session.bar == decided + 4;
            let bonus = if filled && setup == Setup::BullStrong { 0.25 } else { 0.0 };
            assert_eq!(reward, bonus, "the decision's signal pays when it fills");
        }
        assert_eq!((session.mask(), session.env.ledger().opened), (HOLDING_MASK, 1));
        assert_eq!(session.env.ledger().flat_steps(), u64::from(decided) + 1, "waiting is no decision");
        let open_ns = session.env.market().days()[0].open_ns;
        let trade = session.finish().remove(0);
        assert_eq!((trade.strike, (trade.entry_ts_ns - open_ns) / 60_000_000_000), (strike, 34));
    }
}

#[test]
fn an_entry_that_never_finds_a_quote_ends_unfilled() {
    let mut market = market("SPY");
    let (contract, bars) = (at_the_money(&market, 300), market.days()[0].bars);
    (301..bars).for_each(|bar| market.forget_open_quote(0, contract, bar));
    let mut config = patient();
    (config.execution.fill, config.guards.no_entry_before_close) = (FillRule::NextQuote, 60);
    let mut session = Session::new(market, config);
    session.hold_until(300);
    session.act(CALL);
    session.hold_until(329);
    assert_eq!((session.mask(), session.env.ledger().unfilled_orders), (FORCED_MASK, 1), "entries end at bar 330");
    assert!(session.finish().is_empty());
}

#[test]
fn every_order_reaches_the_market_later_by_the_delay() {
    let mut config = patient();
    config.execution.delay_bars = 3;
    let mut session = Session::new(market("SPY"), config);
    session.hold_until(10);
    session.act(CALL);
    while session.env.ledger().opened == 0 {
        assert_eq!(session.mask(), FORCED_MASK);
        session.act(0);
    }
    assert_eq!((session.bar, session.mask()), (14, HOLDING_MASK), "decided at 10, filled at the open of 11 + 3");
    session.act(EXIT);
    while session.env.ledger().closed() == 0 {
        assert_eq!(session.mask(), FORCED_MASK);
        session.act(0);
    }
    assert_eq!((session.bar, session.mask()), (18, FLAT_MASK), "decided at 14");
}

#[test]
fn the_policys_remainder_is_its_own_and_a_rules_order_goes_on() {
    for mode in [ExitMode::Agent, ExitMode::Rules] {
        let mut config = patient();
        (config.exits.mode, config.exits.max_minutes, config.exits.trail_from) = (mode, 5, 1e6);
        config.exits.take_profit = vec![TakeProfit { gain: 1e6, sell: 1.0 }];
        (config.account.risk_fraction, config.account.max_contracts) = (0.9, 90);
        let mut session = Session::new(market("SPY"), config.clone());
        session.hold_until(10);
        session.act(CALL);
        // From here on an order may take 20 contracts.
        config.execution.participation = 0.1;
        let mut session = session.under(config);
        let partial_before = session.env.ledger().partial_orders;
        session.hold_until(15);
        let (decision, last) = (15, session.env.market().days()[0].bars - 5);
        let open_ns = session.env.market().days()[0].open_ns;
        if mode == ExitMode::Agent {
            session.act(EXIT);
            assert_eq!(session.mask(), HOLDING_MASK);
        } else {
            session.act(0);
            assert_eq!(session.mask(), FORCED_MASK);
        }
        assert_eq!(session.env.ledger().partial_orders, partial_before + 1);
        let trade = session.finish().remove(0);
        assert_eq!((trade.contracts, trade.sales.len()), (90, 5));
        for (i, sale) in trade.sales.iter().enumerate() {
            let (i, at) = (i as u32, ((sale.ts_ns - open_ns) / 60_000_000_000) as u32);
            let expected = match mode {
                ExitMode::Agent if i == 0 => (decision + 1, "agent"),
                ExitMode::Agent => (last + i - 1, "end_of_day"),
                ExitMode::Rules => (decision + 1 + i, "time_stop"),
            };
            assert_eq!((at, sale.reason.name()), expected);
            assert_eq!(sale.contracts, (trade.contracts - 20 * i).min(20));
        }
    }
}

#[test]
fn what_cannot_be_sold_before_the_bell_is_tried_until_it_and_then_settles() {
    for (symbol, back_at, reason) in
        [("SPY", None, "settled"), ("SPY", Some(388), "end_of_day"), ("SPX", None, "settled")]
    {
        let mut market = market(symbol);
        let (bars, settlement) = (market.days()[0].bars, market.days()[0].settlement_cents);
        // The contract that ends in the money: the call or the put at the money of bar 200.
        let call = at_the_money(&market, 200);
        let in_the_money = u32::from(market.days()[0].intrinsic_cents(call) == 0);
        let contract = call + in_the_money;
        let worth = market.days()[0].intrinsic_cents(contract);
        assert_eq!(worth, (f64::from(settlement) - market.days()[0].strike(contract) * 100.0).abs() as u32);
        assert!(worth > 0, "the session moved");
        for bar in bars - 5..bars {
            if back_at.is_none_or(|back| bar < back) {
                market.forget_open_quote(0, contract, bar);
            }
        }
        let mut session = Session::new(market, patient());
        session.hold_until(200);
        session.act(CALL + in_the_money as u8);
        let last = session.env.market().days()[0].open_ns + 60_000_000_000 * i64::from(back_at.unwrap_or(bars));
        let capital = 10_000_000;
        while !session.env.finished() {
            session.act(0);
        }
        let (mut episodes, mut trades) = (Vec::new(), Vec::new());
        session.env.drain_episodes(&mut episodes);
        session.env.drain_trades(&mut trades);
        let sale = trades[0].sales.last().unwrap();
        assert_eq!((trades[0].reason.name(), sale.ts_ns), (reason, last), "{symbol}");
        if reason == "settled" {
            assert_eq!((sale.price, sale.fees_cents), (f64::from(worth) / 100.0, 0));
            assert_eq!(session.env.ledger().unfilled_orders, 1);
        }
        assert_eq!(episodes[0].net_pnl_cents, trades[0].net_pnl_cents);
        assert!(episodes[0].net_pnl_cents > -capital);
    }
}

#[test]
fn only_cash_settled_contracts_run_to_the_close() {
    for (symbol, reasons) in [("SPY", &["end_of_day"][..]), ("SPX", &["settled", "expired_worthless"])] {
        let mut config = patient();
        config.exits.at_the_bell = AtTheBell::Settle;
        let mut session = Session::new(market(symbol), config);
        session.hold_until(300);
        session.act(CALL);
        let trades = session.finish();
        assert!(reasons.contains(&trades[0].reason.name()), "{symbol}: {}", trades[0].reason);
    }
}

#[test]
fn a_lost_day_is_sold_and_closed() {
    let mut config = patient();
    config.guards.daily_loss_limit = 1e-6;
    let mut session = Session::new(market("SPY"), config);
    session.hold_until(10);
    session.act(CALL);
    assert_eq!(session.mask(), FORCED_MASK, "the spread alone loses a millionth of the capital");
    let steps = session.env.ledger().flat_steps();
    session.act(0);
    assert_eq!(session.mask(), FORCED_MASK, "and the day is over");
    assert_eq!(session.act(0), 0.0, "what is forced is neither taxed nor counted");
    assert_eq!(session.env.ledger().flat_steps(), steps);
    assert_eq!(session.finish()[0].reason, ExitReason::DailyLoss);
}

#[test]
fn a_new_reward_holds_from_the_next_step_and_touches_nothing_else() {
    let mut session = Session::new(market("SPY"), patient());
    let taxed = RewardConfig { hold_tax: -0.5, missed_opportunity: -0.25, ..RewardConfig::documented() };
    session.hold_until(5);
    let (state, ledger) = (session.env.state(), session.env.ledger().clone());
    let faulty = RewardConfig { bad_chase: f32::NAN, ..taxed.clone() };
    assert!(session.env.set_reward(faulty).unwrap_err().to_string().starts_with("env.reward.bad_chase"));
    assert_eq!(session.env.config(), &patient(), "a fault changes nothing");
    session.env.set_reward(taxed.clone()).unwrap();
    assert_eq!((session.env.state(), session.env.ledger(), &session.env.config().reward), (state, &ledger, &taxed));
    let setup = session.env.market().setup((session.bar + session.env.market().days()[0].first_row) as usize);
    assert_eq!(session.act(0), if setup == Setup::Weak { -0.5 } else { -0.25 });
}

/// The bar of an instant in the market's only session.
fn bar_of(session: &Session, ts_ns: i64) -> u32 {
    ((ts_ns - session.env.market().days()[0].open_ns) / 60_000_000_000) as u32
}

/// The quote at which an order fills at the open of a bar, in dollars: bid and ask.
fn open_quote(market: &Market, contract: u32, bar: u32) -> (f64, f64) {
    let open = market.quote(&market.days()[0], contract, bar).open;
    (f64::from(open.bid) / 100.0, f64::from(open.ask.unwrap().get()) / 100.0)
}

#[test]
fn an_entry_into_a_hole_is_refused_or_filled_at_the_next_bar() {
    for fill in [FillRule::NextOpen, FillRule::NextQuote] {
        let market = market_without("SPY", 31..34);
        let contract = at_the_money(&market, 30);
        let (strike, ask) = (market.days()[0].strike(contract), open_quote(&market, contract, 34).1);
        let mut config = patient();
        config.execution.fill = fill;
        let mut session = Session::new(market, config);
        session.hold_until(30);
        assert_eq!(session.mask(), FLAT_MASK, "nothing tells of the hole before it");
        session.act(CALL);
        let ledger = session.env.ledger();
        assert_eq!((ledger.opened, ledger.halted_orders, ledger.minutes_without_bar), (0, 1, 1));
        if fill == FillRule::NextOpen {
            assert_eq!((session.mask(), ledger.refused_orders), (FLAT_MASK, 1));
            continue;
        }
        session.hold_until(34);
        let ledger = session.env.ledger();
        assert_eq!((ledger.opened, ledger.halted_orders, ledger.minutes_without_bar), (1, 1, 3), "one order, one hole");
        let open_ns = session.env.market().days()[0].open_ns;
        let trade = session.finish().remove(0);
        assert_eq!(
            ((trade.entry_ts_ns - open_ns) / 60_000_000_000, trade.strike, trade.entry_price),
            (34, strike, ask)
        );
    }
}

#[test]
fn sales_and_stops_wait_for_the_bar_after_a_hole() {
    for by_rule in [false, true] {
        let market = market_without("SPY", 12..17);
        let contract = at_the_money(&market, 10);
        let bid = open_quote(&market, contract, 17).0;
        let mut config = patient();
        if by_rule {
            // The spread alone loses more.
            config.exits.stop_loss = 1e-6;
        }
        let mut session = Session::new(market, config);
        session.hold_until(10);
        session.act(CALL);
        session.act(if by_rule { 0 } else { EXIT });
        while session.bar < 17 {
            let ledger = session.env.ledger();
            assert_eq!((session.mask(), ledger.closed(), ledger.halted_orders), (FORCED_MASK, 0, 1));
            session.act(0);
        }
        let ledger = session.env.ledger();
        assert_eq!((ledger.closed(), ledger.refused_orders, ledger.minutes_without_bar), (1, 0, 5));
        let mut trades = Vec::new();
        session.env.drain_trades(&mut trades);
        let expected = if by_rule { ExitReason::StopLoss } else { ExitReason::Agent };
        assert_eq!(
            (trades[0].reason, bar_of(&session, trades[0].exit_ts_ns), trades[0].exit_price),
            (expected, 17, bid)
        );
    }
}

#[test]
fn the_sale_before_the_bell_waits_for_a_bar_and_settles_without_one() {
    let bars = market("SPY").days()[0].bars as usize;
    for (holes, reason, at) in [
        (bars - 7..bars - 3, ExitReason::EndOfDay, bars - 3),
        (bars - 4..bars - 1, ExitReason::EndOfDay, bars - 5),
        (bars - 5..bars, ExitReason::Settled, bars),
    ] {
        let (market, config) = (market_without("SPY", holes.clone()), patient());
        let day = &market.days()[0];
        // The contract that ends in the money: the call or the put at the money of bar 200.
        let call = at_the_money(&market, 200);
        let in_the_money = u32::from(day.intrinsic_cents(call) == 0);
        assert!(day.intrinsic_cents(call + in_the_money) > 0, "the session moved");
        let mut session = Session::new(market, config);
        session.hold_until(200);
        session.act(CALL + in_the_money as u8);
        while !session.env.finished() {
            session.act(0);
        }
        let mut trades = Vec::new();
        session.env.drain_trades(&mut trades);
        let (trade, ledger) = (&trades[0], session.env.ledger());
        assert_eq!((trade.reason, bar_of(&session, trade.exit_ts_ns) as usize), (reason, at), "{holes:?}");
        let waited = u64::from(holes.contains(&(bars - 5)));
        assert_eq!((ledger.halted_orders, ledger.unfilled_orders), (waited, u64::from(reason == ExitReason::Settled)));
    }
}

#[test]
fn the_round_trip_cost_leaves_holes_out() {
    let config = EnvConfig::default();
    let cost = |market: &Market| market.round_trip_cost(&[0], &config);
    let whole = market("SPY");
    let bars = whole.days()[0].bars as usize;
    assert!(cost(&whole) > 0.0);
    assert_eq!(cost(&market_without("SPY", 1..bars)), 0.0, "no entry fills anywhere");
}

/// Builds a market of November 2022, when SPY's contracts of Tuesdays and Thursdays were new.
fn november_2022(config: &MarketConfig) -> Market {
    let mut data = DataConfig::default();
    data.synthetic.sessions_from = jiff::civil::date(2022, 10, 3);
    data.synthetic.sessions_to = jiff::civil::date(2022, 11, 23);
    let history = synthetic::generate(&data.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
    let window = Window { from: Some(jiff::civil::date(2022, 11, 7)), ..Window::default() };
    let dataset = Dataset::build(&history, &window, &data).unwrap();
    Market::build(&dataset.symbols, config).unwrap()
}

#[test]
fn sessions_without_a_listed_contract_are_left_out_or_trade_the_nearest_expiry() {
    let listed = november_2022(&MarketConfig::default());
    let days = |market: &Market| market.days().iter().map(|day| day.date.day()).collect::<Vec<_>>();
    // Tuesdays the 8th and 15th and Thursday the 10th; the 17th and the 22nd are the first of their kind.
    assert_eq!(days(&listed), [7, 9, 11, 14, 16, 17, 18, 21, 22, 23]);
    let unlisted: Vec<i8> = listed.unlisted().iter().map(|(_, date)| date.day()).collect();
    assert_eq!(unlisted, [8, 10, 15]);

    let all = november_2022(&MarketConfig { listed_only: false, ..MarketConfig::default() });
    assert_eq!((all.days().len(), all.unlisted().len()), (13, 0));
    // Features run through the sessions that are left out.
    let features = |market: &Market| {
        let day = market.days().iter().find(|day| day.date.day() == 9).unwrap();
        day.rows().flat_map(|row| market.row(row).to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!(features(&listed), features(&all));

    let nearest = november_2022(&MarketConfig { expiry: Expiry::Nearest, ..MarketConfig::default() });
    let expiries: Vec<(i8, i8)> = nearest.days().iter().map(|day| (day.date.day(), day.expiry.day())).collect();
    assert_eq!(expiries[..5], [(7, 7), (8, 9), (9, 9), (10, 11), (11, 11)]);
    let open_cost = |market: &Market, at: usize| {
        let day = &market.days()[at];
        let contract = u32::from(market.signal(day.first_row).contracts[0]);
        market.quote(day, contract, 1).open.ask.unwrap().get()
    };
    assert!(open_cost(&nearest, 1) > open_cost(&all, 1), "a night more costs more");
    assert_eq!(open_cost(&nearest, 0), open_cost(&all, 0));
}

#[test]
fn a_market_of_dates_before_the_listing_is_refused() {
    let mut data = DataConfig::default();
    data.synthetic.sessions_from = jiff::civil::date(2022, 10, 3);
    data.synthetic.sessions_to = jiff::civil::date(2022, 11, 8);
    let history = synthetic::generate(&data.synthetic, &[Symbol::new("SPY").unwrap()]).unwrap();
    let window = Window { from: Some(jiff::civil::date(2022, 11, 8)), ..Window::default() };
    let dataset = Dataset::build(&history, &window, &data).unwrap();
    let error = Market::build(&dataset.symbols, &MarketConfig::default()).unwrap_err().to_string();
    assert!(error.contains("no session from SPY 2022-11-08 to SPY 2022-11-08") && error.contains("nearest"), "{error}");
}
