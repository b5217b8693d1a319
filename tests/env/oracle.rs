//! Oracle: a slow, simple account is stepped beside the batch; money, rewards and masks must agree to the cent under any settings.

mod account;

use std::{collections::BTreeMap, sync::Arc};

use market_data::Dataset;
use market_env::{AtTheBell, EnvConfig, Episode, ExitMode, FillRule, GuardConfig, Market, MarketConfig, Trade, VecEnv};
use proptest::{prelude::*, sample::select};

use self::account::Oracle;
use crate::{
    env::conservation::agrees_with_its_sales,
    util::{Batch, Dice, all_days, dataset, market, punch_holes, real_bars},
};

/// Plays every day of a replay with random legal actions, mostly HOLD so that positions last, and compares each step.
/// Returns the number of steps and of trades.
fn compare(dataset: &Dataset, market: &Arc<Market>, config: &EnvConfig, seed: u64) -> (u64, usize) {
    compare_in_turn(dataset, market, [config; 2], seed)
}

/// Bars after which [`compare_in_turn`] changes the settings.
const TURN: usize = 25;

/// Compares under two settings in turn, such as a small and a large share of the displayed size. The batch passes from one to the
/// other as a saved state.
fn compare_in_turn(dataset: &Dataset, market: &Arc<Market>, configs: [&EnvConfig; 2], seed: u64) -> (u64, usize) {
    let (days, config) = (all_days(market), configs[0]);
    let mut played = Played::default();
    let mut batch = Batch::replay(market, days.clone(), config);
    let mut oracles: Vec<_> = days.iter().map(|&d| Oracle::new(market, dataset, config, d as usize)).collect();
    let mut done = vec![false; days.len()];
    let mut dice = Dice(seed);
    let mut compared = 0;
    for bar in 0.. {
        if batch.env.finished() {
            break;
        }
        if bar % TURN == 0 {
            let (state, config) = (batch.env.state(), configs[bar / TURN % 2]);
            played.collect(&mut batch);
            batch = Batch::replay(market, days.clone(), config);
            batch.restore(&state).unwrap();
            oracles.iter_mut().for_each(|oracle| oracle.config = config);
        }
        let actions: Vec<u8> = batch
            .lanes
            .mask
            .iter()
            .map(|&mask| if mask.allows(3) && dice.roll(8) > 0 { 0 } else { dice.legal(mask) })
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
            let ours = f64::from(batch.lanes.reward[lane]);
            assert!((ours - reward).abs() < 1e-5, "reward of lane {lane} at {}: {ours}, {reward}", oracle.bar);
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
    played.collect(&mut batch);
    compare_ends(&batch, &played, &oracles, config);
    (compared, played.trades.len())
}

/// Episodes and trades that have ended so far.
#[derive(Default)]
struct Played {
    episodes: Vec<Episode>,
    trades: Vec<Trade>,
}

impl Played {
    fn collect(&mut self, batch: &mut Batch) {
        self.episodes.append(&mut batch.episodes());
        self.trades.append(&mut batch.trades());
    }
}

/// Compares the results after the last session.
fn compare_ends(batch: &Batch, played: &Played, oracles: &[Oracle<'_>], config: &EnvConfig) {
    let Played { episodes, trades } = played;
    assert_eq!(episodes.len(), oracles.len(), "each session is played once");
    for episode in episodes {
        let earned = oracles[episode.lane as usize].cash - config.account.capital;
        assert!((episode.net_pnl_cents as f64 / 100.0 - earned).abs() < 1e-6);
    }
    trades.iter().for_each(agrees_with_its_sales);
    let (total, ledger) = (trades.iter().map(|trade| trade.net_pnl_cents).sum::<i64>(), batch.env.ledger());
    assert_eq!(total, episodes.iter().map(|e| e.net_pnl_cents).sum::<i64>(), "trades add up to the sessions' cash");
    assert_eq!(total, ledger.net_pnl_cents);
    let orders = [ledger.refused_orders, ledger.partial_orders, ledger.unfilled_orders, ledger.halted_orders];
    let of_kind = |kind: usize| oracles.iter().map(|oracle| oracle.orders[kind]).sum::<u64>();
    assert_eq!(orders, [0, 1, 2, 3].map(of_kind), "refused, partial, unfilled and halted orders");
    assert_eq!(ledger.minutes_without_bar, oracles.iter().map(|oracle| oracle.holes).sum::<u64>());
    let mut exits = BTreeMap::new();
    trades.iter().for_each(|trade| *exits.entry(trade.reason.name()).or_insert(0) += 1);
    let mut expected = BTreeMap::new();
    oracles.iter().flat_map(|o| &o.exits).for_each(|(&reason, count)| *expected.entry(reason).or_insert(0) += count);
    assert_eq!(exits, expected);
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
        let (steps, trades) = compare(&dataset, &market, &config, seed);
        assert!(steps > 5_000 && trades > market.days().len());
    }
}

/// Zero (off), or any number up to a bound.
fn off_or(bound: u32) -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..=bound]
}

prop_compose! {
    fn guards()(
        daily_loss_limit in prop_oneof![Just(0.0), 0.005..0.1],
        max_trades in off_or(8), cooldown in off_or(10), cooldown_after_stop in off_or(30),
        cooldown_after_trail in off_or(30), no_entry_after_open in off_or(60), no_entry_before_close in off_or(120),
        vix_ceiling in prop_oneof![Just(0.0), 10.0..30.0],
    ) -> GuardConfig {
        GuardConfig {
            daily_loss_limit, max_trades, cooldown, cooldown_after_stop, cooldown_after_trail, no_entry_after_open,
            no_entry_before_close, vix_ceiling,
        }
    }
}

prop_compose! {
    fn environments()(
        guards in prop_oneof![Just(GuardConfig::default()), guards()],
        fill in select(vec![FillRule::NextOpen, FillRule::NextQuote]),
        delay_bars in off_or(4),
        (slippage, impact) in (prop_oneof![Just(0.0), 0.0..0.05], prop_oneof![Just(0.0), 0.0..2.0]),
        participation in select(vec![1.0, 0.5, 0.1, 0.01]),
        mode in select(vec![ExitMode::Agent, ExitMode::Rules]),
        at_the_bell in select(vec![AtTheBell::Flat, AtTheBell::Settle]),
        (stop_loss, trail_from, trail_drop) in (0.05..0.9, 0.02..0.5, 0.02..0.3),
        (trail_sell, max_minutes) in (select(vec![1.0, 0.8, 0.3]), off_or(120)),
        (flat_before_close, factor) in (1u32..40, 0.1..1.0),
        (capital, risk_fraction) in (select(vec![900.0, 20_000.0, 100_000.0]), 0.02..1.0),
        fee_multiplier in select(vec![0.0, 1.0, 2.0]),
    ) -> EnvConfig {
        let mut config = EnvConfig { guards, ..EnvConfig::default() };
        (config.execution.fill, config.execution.delay_bars) = (fill, delay_bars);
        (config.execution.slippage, config.execution.impact) = (slippage, impact);
        config.execution.participation = participation;
        (config.exits.mode, config.exits.at_the_bell, config.exits.stop_loss) = (mode, at_the_bell, stop_loss);
        (config.exits.trail_from, config.exits.trail_drop, config.exits.trail_sell) = (trail_from, trail_drop, trail_sell);
        (config.exits.max_minutes, config.exits.flat_before_close) = (max_minutes, flat_before_close);
        config.exits.take_profit.iter_mut().for_each(|tier| tier.gain *= factor);
        (config.account.capital, config.account.risk_fraction) = (capital, risk_fraction);
        config.costs.fee_multiplier = fee_multiplier;
        config
    }
}

prop_compose! {
    fn markets()(
        spread in select(vec![0.0, 1.0, 15.0]), size in select(vec![1u32, 30, 1_000]),
        minimum in select(vec![0.0, 1.0, 25.0]), rate in select(vec![0.0, 27.8e-6]),
    ) -> MarketConfig {
        let mut config = MarketConfig::default();
        config.pricing.spread_multiplier = spread;
        for spec in config.contracts.values_mut() {
            spec.quoted_size = size;
            (spec.fees.minimum_commission, spec.fees.sale_value_rate) = (minimum, rate);
            spec.fees.earlier_sale_value_rate.clear();
        }
        config
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_batch_equals_a_slow_account_under_any_settings(
        env in environments(), tape in markets(), holes in select(vec![0, 4, 12]), seed in any::<u64>(),
    ) {
        prop_assert_eq!(env.check(), Vec::<String>::new());
        let mut dataset = dataset(&["SPY", "SPX"], 5, seed % 7, 0.3);
        punch_holes(&mut dataset, holes, seed);
        let market = Arc::new(Market::build(&dataset.symbols, &tape).unwrap());
        let mut thin = env.clone();
        thin.execution.participation *= 0.3;
        let (steps, _) = compare_in_turn(&dataset, &market, [&env, &thin], seed);
        prop_assert!(steps > 1_000);
    }
}

#[test]
fn the_batch_equals_a_slow_account_on_sessions_with_holes() {
    let mut dataset = dataset(&["SPY", "SPX"], 12, 5, 0.3);
    punch_holes(&mut dataset, 12, 8);
    let market = market(&dataset);
    for (seed, mut config) in [(1, EnvConfig::default()), (2, rules())] {
        compare(&dataset, &market, &config, seed);
        config.execution.fill = FillRule::NextQuote;
        let (steps, trades) = compare(&dataset, &market, &config, seed);
        assert!(steps > 5_000 && trades > market.days().len());
    }
}

#[test]
fn an_order_above_the_cash_is_refused_and_earns_no_bonus() {
    let dataset = dataset(&["SPX"], 5, 5, 0.0);
    let market = market(&dataset);
    let mut config = EnvConfig::default();
    config.account.capital = 300.0;
    compare(&dataset, &market, &config, 5);
    let mut batch = Batch::replay(&market, all_days(&market), &config);
    let calls: Vec<u8> = batch.lanes.mask.iter().map(|mask| u8::from(mask.allows(1))).collect();
    batch.step(&calls);
    assert_eq!(batch.env.ledger().refused_orders, calls.len() as u64);
    assert!(batch.lanes.reward.iter().all(|&reward| reward == 0.0));
}

#[test]
fn the_batch_equals_a_slow_account_on_real_sessions() {
    let Some(folder) = real_bars() else { return };
    let history = market_data::source::files::load(&folder, &crate::util::symbols(&["SPY", "SPX"])).unwrap();
    let window = market_data::Window { intraday_days: Some(14), ..Default::default() };
    let dataset = Dataset::build(&history, &window, &market_data::DataConfig::default()).unwrap();
    let market = market(&dataset);
    for (seed, config) in [(3, EnvConfig::default()), (4, rules())] {
        let (steps, trades) = compare(&dataset, &market, &config, seed);
        assert!(steps > 5_000 && trades > market.days().len());
    }
}
