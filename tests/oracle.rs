//! A slow, obvious account stepped beside the batch: same money, same rewards, same masks, to the cent.

use market_data::{Dataset, SessionBars};
use market_env::{EnvConfig, ExitMode, FEATURES, Market, Setup, Trade, VecEnv};

use crate::util::{Batch, Dice, all_days, dataset, market, real_bars};

/// Money in dollars and one rule after the other, written from the rule book rather than from the batch.
struct Oracle<'a> {
    market: &'a Market,
    bars: &'a SessionBars,
    config: &'a EnvConfig,
    day: usize,
    bar: usize,
    cash: f64,
    value: f64,
    held: Option<Held>,
    /// Part to sell at the next open because a rule says so, and whether it is a take-profit tier.
    rule: Option<(f64, bool)>,
}

struct Held {
    call: bool,
    strike: f64,
    contracts: u32,
    bought: u32,
    cost: f64,
    basis: f64,
    since: usize,
    peak: f64,
    tier: usize,
}

impl<'a> Oracle<'a> {
    fn new(market: &'a Market, dataset: &'a Dataset, config: &'a EnvConfig, day: usize) -> Self {
        let (symbol, date) = (&market.days()[day].symbol, market.days()[day].date);
        let sessions = dataset.symbols.iter().find(|s| s.symbol == *symbol).unwrap();
        let bars = sessions.days.iter().find(|bars| bars.session.date == date).unwrap();
        let cash = config.account.capital;
        Self { market, bars, config, day, bar: 0, cash, value: cash, held: None, rule: None }
    }

    fn fee(&self, contracts: u32) -> f64 {
        (self.market.days()[self.day].spec.fee * f64::from(contracts) * 100.0).round() / 100.0
    }

    fn feature(&self, name: &str) -> f32 {
        let column = FEATURES.iter().position(|(n, _)| *n == name).unwrap();
        let row = self.market.days()[self.day].rows().start + self.bar;
        self.market.features()[row * FEATURES.len() + column]
    }

    /// Bid and ask in dollars, by strike, at the open or the close of a bar.
    fn quote(&self, call: bool, strike: f64, bar: usize, at_open: bool) -> (f64, f64) {
        let (c, p) = self.market.quotes_at(&self.market.days()[self.day], strike, bar as u32).unwrap();
        let pair = if call { c } else { p };
        let quote = if at_open { pair.open } else { pair.close };
        (f64::from(quote.bid) / 100.0, quote.ask.map_or(0.0, |ask| f64::from(ask.get()) / 100.0))
    }

    fn legal(&self) -> Vec<u8> {
        match (&self.held, self.rule, self.config.exits.mode) {
            (None, ..) => vec![0, 1, 2],
            (Some(_), None, ExitMode::Agent) => vec![0, 3, 4, 5],
            _ => vec![0],
        }
    }

    fn sell(&mut self, part: f64, bar: usize) -> bool {
        let held = self.held.as_ref().unwrap();
        let bid = self.quote(held.call, held.strike, bar, true).0;
        if bid == 0.0 {
            return false;
        }
        let permille = (part * 1000.0).round() as u32;
        let sold = (held.contracts * permille / 1000).max(1);
        self.cash += bid * 100.0 * f64::from(sold) - self.fee(sold);
        let held = self.held.as_mut().unwrap();
        held.basis *= 1.0 - f64::from(sold) / f64::from(held.contracts);
        held.contracts -= sold;
        if held.contracts == 0 {
            self.held = None;
        }
        true
    }

    /// Plays one decision and returns the reward and whether the session is over.
    fn step(&mut self, action: u8) -> (f64, bool) {
        let (shaping, next) = (self.config.reward.clone(), self.bar + 1);
        let setup = self.market.setup(self.market.days()[self.day].rows().start + self.bar);
        let mut reward = 0.0;
        let mut cost = 0.0;
        if let Some(held) = &self.held {
            cost = held.cost;
            let order = match (self.rule, action) {
                (Some((part, _)), _) => Some(part),
                (None, 3) => Some(0.5),
                (None, 4) => Some(0.7),
                (None, 5) => Some(1.0),
                _ => None,
            };
            if let Some(part) = order
                && self.sell(part, next)
            {
                if let (Some((_, true)), Some(held)) = (self.rule, self.held.as_mut()) {
                    held.tier += 1;
                }
                self.rule = None;
            }
        } else if action == 0 {
            reward += f64::from(if setup == Setup::Weak { shaping.hold_tax } else { shaping.missed_opportunity });
        } else {
            let call = action == 1;
            let step = self.market.days()[self.day].spec.strike_step;
            let strike = (self.bars.close[self.bar] / step).round() * step;
            let ask = self.quote(call, strike, next, true).1;
            let one = ask * 100.0 + self.fee(1);
            let contracts = ((self.cash * self.config.account.risk_fraction / one).floor()).max(1.0) as u32;
            let total = ask * 100.0 * f64::from(contracts) + self.fee(contracts);
            if ask > 0.0 && total <= self.cash {
                self.cash -= total;
                cost = total;
                let (bought, basis) = (contracts, total);
                let fresh = Held { call, strike, contracts, bought, cost, basis, since: next, peak: 0.0, tier: 0 };
                self.held = Some(fresh);
                reward += f64::from(match (call, setup) {
                    (true, Setup::BullStrong) => shaping.good_buy_call,
                    (false, Setup::BearStrong) => shaping.good_buy_put,
                    _ => 0.0,
                });
                let chase = self.feature(if call { "bull_chase" } else { "bear_chase" }) == 1.0;
                reward += if chase { f64::from(shaping.bad_chase) } else { 0.0 };
            }
        }
        let last = self.bars.close.len() - self.config.exits.flat_before_close as usize;
        let over = next + 1 == last;
        if over && self.held.is_some() && !self.sell(1.0, last) {
            self.held = None;
        }
        let before = self.value;
        self.value = self.cash + self.liquidation(next);
        if cost > 0.0 {
            reward += f64::from(shaping.pnl_scale) * (self.value - before) / cost;
        }
        self.watch(next);
        self.bar = next;
        (reward, over)
    }

    fn liquidation(&self, bar: usize) -> f64 {
        self.held.as_ref().map_or(0.0, |held| {
            let bid = self.quote(held.call, held.strike, bar, false).0;
            (bid * 100.0 * f64::from(held.contracts) - self.fee(held.contracts)).max(0.0)
        })
    }

    fn watch(&mut self, bar: usize) {
        let value = self.liquidation(bar);
        let (exits, waiting) = (&self.config.exits, self.rule);
        let Some(held) = self.held.as_mut() else {
            self.rule = None;
            return;
        };
        let gain = (value - held.basis) / held.basis;
        held.peak = held.peak.max(gain);
        let rules = exits.mode == ExitMode::Rules;
        let new = if gain <= -exits.stop_loss {
            Some((1.0, false))
        } else if !rules {
            None
        } else if held.tier < exits.take_profit.len() && gain >= exits.take_profit[held.tier].gain {
            Some((exits.take_profit[held.tier].sell, true))
        } else if (held.peak >= exits.trail_from && held.peak - gain >= exits.trail_drop)
            || bar + 1 - held.since >= exits.max_minutes as usize
        {
            Some((1.0, false))
        } else {
            None
        };
        self.rule = match (waiting, new) {
            (Some(old), Some(new)) if new.0 > old.0 => Some(new),
            (Some(old), _) => Some(old),
            (None, new) => new,
        };
    }

    fn columns(&self) -> [f64; 4] {
        self.held.as_ref().map_or([0.0; 4], |held| {
            let gain = (self.value - self.cash - held.basis) / held.basis;
            [
                if held.call { 1.0 } else { -1.0 },
                gain.min(3.0),
                ((self.bar + 1 - held.since) as f64 / 60.0).min(4.0),
                f64::from(held.contracts) / f64::from(held.bought),
            ]
        })
    }
}

/// Plays every day of a replay with random legal actions, patient ones, so that positions live, and compares each step.
fn compare(dataset: &Dataset, market: &std::sync::Arc<Market>, config: &EnvConfig, seed: u64) -> u64 {
    let days = all_days(market);
    let mut batch = Batch::replay(market, days.clone(), config);
    let mut oracles: Vec<_> = days.iter().map(|&d| Oracle::new(market, dataset, config, d as usize)).collect();
    let mut done = vec![false; days.len()];
    let mut dice = Dice(seed);
    let mut compared = 0;
    while !batch.env.finished() {
        let actions: Vec<u8> = batch
            .lanes
            .mask
            .iter()
            .map(|&mask| if mask.allows(3) && dice.roll(4) > 0 { 0 } else { dice.legal(mask) })
            .collect();
        for (lane, oracle) in oracles.iter().enumerate().filter(|(lane, _)| !done[*lane]) {
            let legal: Vec<u8> = (0..8).filter(|&a| batch.lanes.mask[lane].allows(a)).collect();
            assert_eq!(legal, oracle.legal(), "mask of lane {lane} at bar {}", oracle.bar);
        }
        batch.step(&actions);
        for (lane, oracle) in oracles.iter_mut().enumerate() {
            if done[lane] {
                assert_eq!(batch.lanes.reward[lane], 0.0, "a finished lane earns nothing");
                continue;
            }
            let (reward, over) = oracle.step(actions[lane]);
            assert!(
                (f64::from(batch.lanes.reward[lane]) - reward).abs() < 1e-5,
                "reward of lane {lane} at {}",
                oracle.bar
            );
            assert_eq!(batch.lanes.terminated[lane], over);
            if !over {
                let [side, _, _, _, _, gain, _, hours, left] = batch.lane_account(lane).try_into().unwrap();
                for (ours, theirs) in [side, gain, hours, left].into_iter().zip(oracle.columns()) {
                    assert!((f64::from(ours) - theirs).abs() < 1e-5, "account of lane {lane}: {ours} and {theirs}");
                }
            }
            done[lane] = over;
            compared += 1;
        }
    }
    let mut episodes = Vec::new();
    batch.env.drain_episodes(&mut episodes);
    assert_eq!(episodes.len(), days.len(), "each session is played once");
    for episode in &episodes {
        let earned = oracles[episode.lane as usize].cash - config.account.capital;
        assert!((episode.net_pnl_cents as f64 / 100.0 - earned).abs() < 1e-6);
    }
    let mut trades = Vec::new();
    batch.env.drain_trades(&mut trades);
    let total: i64 = trades.iter().map(|trade| trade.net_pnl_cents).sum();
    assert_eq!(total, episodes.iter().map(|e| e.net_pnl_cents).sum::<i64>(), "trades add up to the sessions' cash");
    assert_eq!(total, batch.env.ledger().net_pnl_cents);
    trades.iter().for_each(agrees_with_its_sales);
    assert!(trades.len() > days.len(), "the comparison saw trades");
    compared
}

/// Derives a trade's result anew from its entry and its sales.
fn agrees_with_its_sales(trade: &Trade) {
    let premium = |price: f64, contracts: u32| (price * 100.0).round() as i64 * 100 * i64::from(contracts);
    let sold: u32 = trade.sales.iter().map(|sale| sale.contracts).sum();
    let fees = trade.entry_fees_cents + trade.sales.iter().map(|sale| sale.fees_cents).sum::<i64>();
    let received: i64 = trade.sales.iter().map(|sale| premium(sale.price, sale.contracts)).sum();
    let last = trade.sales.last().unwrap();
    assert_eq!((sold, fees), (trade.contracts, trade.fees_cents), "{trade:?}");
    assert_eq!(received - premium(trade.entry_price, trade.contracts) - fees, trade.net_pnl_cents, "{trade:?}");
    assert_eq!((last.ts_ns, &last.reason), (trade.exit_ts_ns, &trade.reason));
}

fn rules() -> EnvConfig {
    let mut config = EnvConfig::default();
    config.exits.mode = ExitMode::Rules;
    config
}

#[test]
fn the_batch_equals_a_slow_account_on_synthetic_sessions() {
    let dataset = dataset(&["SPY", "SPX"], 12, 5, 0.3);
    let market = market(&dataset);
    assert!(market.days().iter().any(|day| day.bars == 210), "the half day after Thanksgiving is in");
    for (seed, config) in [(1, EnvConfig::default()), (2, rules())] {
        assert!(compare(&dataset, &market, &config, seed) > 5_000);
    }
}

#[test]
fn a_poor_account_is_refused_and_earns_no_bonus() {
    let dataset = dataset(&["SPX"], 5, 5, 0.0);
    let market = market(&dataset);
    let mut config = EnvConfig::default();
    config.account.capital = 300.0;
    compare_refusals(&dataset, &market, &config);
}

fn compare_refusals(dataset: &Dataset, market: &std::sync::Arc<Market>, config: &EnvConfig) {
    let mut batch = Batch::replay(market, all_days(market), config);
    let mut oracle = Oracle::new(market, dataset, config, 0);
    for _ in 0..60 {
        let actions = vec![if batch.lanes.mask[0].allows(1) { 1 } else { 0 }; batch.lanes.row.len()];
        let actions: Vec<u8> =
            actions.iter().zip(&batch.lanes.mask).map(|(&a, m)| if m.allows(a) { a } else { 0 }).collect();
        batch.step(&actions);
        let (reward, _) = oracle.step(actions[0]);
        assert!((f64::from(batch.lanes.reward[0]) - reward).abs() < 1e-5);
    }
    assert!(batch.env.ledger().refused_orders > 0);
}

#[test]
fn the_batch_equals_a_slow_account_on_real_sessions() {
    let Some(folder) = real_bars() else { return };
    let history = market_data::source::files::load(&folder, &crate::util::symbols(&["SPY", "SPX"])).unwrap();
    let window = market_data::Window { intraday_days: Some(14), ..Default::default() };
    let dataset = Dataset::build(&history, &window, &market_data::DataConfig::default()).unwrap();
    let market = market(&dataset);
    assert!(compare(&dataset, &market, &EnvConfig::default(), 3) > 5_000);
    assert!(compare(&dataset, &market, &rules(), 4) > 5_000);
}
