//! Training finds what is there to find, and nothing where there is nothing.

use std::sync::Arc;

use market_env::{Action, BatchEnv, EnvConfig, Ledger, Market, MarketConfig, RewardConfig, VecEnv as _};
use ppo_agent::{Behaviour, DeviceChoice, Evaluation, Normalizer, Policy, PolicyConfig, PpoConfig, Trainer, evaluate};

use crate::util::dataset;

/// Money alone, and no costs: what is left is what the market can be predicted by.
fn frictionless() -> (MarketConfig, EnvConfig) {
    let mut market = MarketConfig::default();
    market.pricing.spread_multiplier = 0.0;
    let mut env = EnvConfig::default();
    env.costs.fee_multiplier = 0.0;
    env.reward = RewardConfig {
        good_buy_call: 0.0,
        good_buy_put: 0.0,
        missed_opportunity: 0.0,
        hold_tax: 0.0,
        bad_chase: 0.0,
        ..RewardConfig::default()
    };
    (market, env)
}

/// Trains on the first three quarters of a synthetic market's sessions and replays the rest greedily.
fn train_and_replay(planted_edge: f64, market: &MarketConfig, env: &EnvConfig, seed: u64) -> (Evaluation, Ledger) {
    let dataset = dataset(&["SPY"], 150, 40, planted_edge);
    let market = Arc::new(Market::build(&dataset.symbols, market).unwrap());
    let days = market.days().len() as u32;
    let cut = days * 3 / 4;
    let config = PpoConfig {
        n_envs: 16,
        n_steps: 256,
        batch_size: 512,
        n_epochs: 6,
        learning_rate: 1e-3,
        ent_coef: 0.01,
        ..PpoConfig::default()
    };
    let train = BatchEnv::new(market.clone(), (0..cut).collect(), env.clone(), config.n_envs, seed).unwrap();
    let normalizer = Normalizer::fit(train.tape(), train.spec().features.len(), &train.visible_rows()).unwrap();
    let policy = Policy::new(train.spec(), &PolicyConfig::default(), normalizer, seed).unwrap();
    let mut trainer = Trainer::new(train, policy, config, 0, seed, DeviceChoice::Cpu).unwrap();
    while trainer.timesteps() < 250_000 {
        trainer.iterate(&mut ()).unwrap();
    }
    let mut replay = BatchEnv::replay(market, (cut + 1..days).collect(), env.clone()).unwrap();
    let evaluation = evaluate(trainer.policy(), &mut replay, Behaviour::Greedy, seed).unwrap();
    (evaluation, trainer.env().ledger().clone())
}

/// Net P&L per session, in dollars, and its standard error over sessions.
fn per_session(evaluation: &Evaluation) -> (f64, f64) {
    let pnl: Vec<f64> = evaluation.episodes.iter().map(|e| e.net_pnl_cents as f64 / 100.0).collect();
    let n = pnl.len() as f64;
    let mean = pnl.iter().sum::<f64>() / n;
    let variance = pnl.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn a_planted_edge_is_learned_and_pays_out_of_sample() {
    let (market, env) = frictionless();
    let (evaluation, _) = train_and_replay(0.3, &market, &env, 1);
    let (mean, error) = per_session(&evaluation);
    assert!(mean > 4.0 * error, "net P&L per session {mean:.0} ± {error:.0}");
    assert!(evaluation.ledger.opened > 100);
}

#[test]
fn without_an_edge_nothing_pays_and_costs_teach_to_hold() {
    let (free_market, free_env) = frictionless();
    let (evaluation, _) = train_and_replay(0.0, &free_market, &free_env, 1);
    let (mean, error) = per_session(&evaluation);
    assert!(mean < 3.0 * error, "no policy earns from noise: {mean:.0} ± {error:.0}");

    // The same market with its spread and fees: the best policy stays out.
    let env = EnvConfig { reward: free_env.reward, ..EnvConfig::default() };
    let (evaluation, _) = train_and_replay(0.0, &MarketConfig::default(), &env, 1);
    let ledger = &evaluation.ledger;
    let hold = ledger.flat(Action::Hold) as f64 / ledger.flat_steps() as f64;
    assert!(hold > 0.95, "HOLD on {:.1} % of flat bars", 100.0 * hold);
}

#[test]
fn no_scripted_policy_earns_shaped_reward_by_losing_money_on_noise() {
    // The old system's audit: on a market without information, the policies that the shaping could favour must not beat
    // HOLD by losing money. Entries on strong setups collect the bonus; costs must outweigh it in cash, visibly.
    let dataset = dataset(&["SPY"], 60, 7, 0.0);
    let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
    let days: Vec<u32> = (0..market.days().len() as u32).collect();
    let mut batch = crate::util::Batch::replay(&market, days, &EnvConfig::default());
    while !batch.env.finished() {
        let actions: Vec<u8> = batch
            .lanes
            .mask
            .iter()
            .zip(&batch.lanes.row)
            .map(|(mask, &row)| match market.setup(row as usize) {
                market_env::Setup::BullStrong if mask.allows(1) => 1,
                market_env::Setup::BearStrong if mask.allows(2) => 2,
                _ if mask.allows(5) => 5,
                _ => 0,
            })
            .collect();
        batch.step(&actions);
    }
    let ledger = batch.env.ledger();
    let [pnl, good_buy, ..] = ledger.reward_terms;
    assert!(ledger.good_buy == ledger.opened && ledger.missed_opportunity == 0);
    assert!(ledger.net_pnl_cents < 0 && pnl < 0.0, "buying every setup and leaving at once loses money");
    assert!(good_buy > 0.0 && good_buy + pnl < 0.0, "bonus {good_buy:.1} against money {pnl:.1}");
}
