//! The random-legal policy on the sessions of a training, replayed once: what the calendar alone returns.

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::Date;
use market_env::{ClosedTrade, EnvConfig, EnvError, Ledger, Market, Trade, baselines::Scripted};
use ppo_agent::{
    Behaviour, Policy,
    health::{RandomLegal, TradeMoney, TradeReturns},
};
use rayon::prelude::*;

use crate::evaluation::replay::{ReplayResult, replay};

/// Sessions of one piece of work.
const CHUNK: usize = 64;

/// Replays the random-legal policy once on every training and validation session. Its choices depend on the seed, the session
/// and the bar alone.
///
/// # Errors
/// When the sessions cannot be replayed under these settings.
pub fn measure(
    market: &Arc<Market>,
    [train, validation]: [&[u32]; 2],
    config: &EnvConfig,
    seed: u64,
) -> Result<RandomLegal, EnvError> {
    let mut returns = vec![None; market.days().len()];
    let ledger = play(market, train, config, seed, &mut returns)?;
    play(market, validation, config, seed, &mut returns)?;
    Ok(RandomLegal { returns, date: date_numbers(market), ledger })
}

/// Replays sessions, sets their mean returns, and returns their counters.
fn play(
    market: &Arc<Market>,
    days: &[u32],
    config: &EnvConfig,
    seed: u64,
    returns: &mut [Option<f64>],
) -> Result<Ledger, EnvError> {
    let replay = |days: &[u32]| Scripted::RandomLegal.play(market, days, config, seed);
    let replays = days.par_chunks(CHUNK).map(replay).collect::<Result<Vec<_>, _>>()?;
    let mut ledger = Ledger::default();
    for (replay, days) in replays.iter().zip(days.chunks(CHUNK)) {
        ledger.add(&replay.ledger);
        let mut sums = vec![(0.0, 0.0); days.len()];
        for trade in &replay.trades {
            let (sum, count) = &mut sums[trade.lane as usize];
            (*sum, *count) = (*sum + trade.net_return, *count + 1.0);
        }
        for (&day, (sum, count)) in days.iter().zip(sums) {
            returns[day as usize] = statistics::ratio(sum, count);
        }
    }
    Ok(ledger)
}

/// Returns the number of each session's date.
fn date_numbers(market: &Market) -> Vec<u32> {
    let mut number: BTreeMap<Date, u32> = market.days().iter().map(|day| (day.date, 0)).collect();
    number.values_mut().zip(0..).for_each(|(number, n)| *number = n);
    market.days().iter().map(|day| number[&day.date]).collect()
}

/// Returns the money of a replay beside that of a random-legal replay of the same sessions; `None` without a trade in a session
/// that both traded.
pub fn compare(policy: &ReplayResult, random: &ReplayResult) -> Option<TradeMoney> {
    let mut sums = vec![(0.0, 0.0); random.sessions.len()];
    for trade in &random.trades {
        let (sum, count) = &mut sums[trade.lane as usize];
        (*sum, *count) = (*sum + trade.net_return, *count + 1.0);
    }
    let mut number: BTreeMap<Date, u32> = random.sessions.iter().map(|(date, _)| (*date, 0)).collect();
    number.values_mut().zip(0..).for_each(|(number, n)| *number = n);
    let mut date = vec![0; random.sessions.len()];
    random.sessions.iter().for_each(|(day, session)| date[session.lane as usize] = number[day]);
    let returns = sums.into_iter().map(|(sum, count)| statistics::ratio(sum, count)).collect();
    let random = RandomLegal { returns, date, ledger: Ledger::default() };
    let mut trades = TradeReturns::default();
    for &Trade { lane, net_return, .. } in &policy.trades {
        trades.add(ClosedTrade { day: lane, net_return }, &random);
    }
    trades.money()
}

/// Replays a policy, with sampled actions, on sessions that the random-legal policy played; returns its trades beside those.
///
/// # Errors
/// When the sessions cannot be replayed.
pub fn returns_of(
    policy: &Policy,
    market: &Arc<Market>,
    days: &[u32],
    config: &EnvConfig,
    random: &RandomLegal,
    seed: u64,
) -> anyhow::Result<TradeReturns> {
    let played = replay(policy, market, days, config, Behaviour::Sampled, seed)?;
    let mut returns = TradeReturns::default();
    for Trade { lane, net_return, .. } in &played.trades {
        returns.add(ClosedTrade { day: days[*lane as usize], net_return: *net_return }, random);
    }
    Ok(returns)
}

#[cfg(test)]
mod tests {
    use market_env::MarketConfig;

    use super::*;
    use crate::{commands::bench, evaluation::money};

    #[test]
    fn two_replays_are_compared_session_by_session() {
        let with_lanes = |returns: &[f64]| {
            let mut replay = money::tests::result(returns);
            replay.trades.iter_mut().zip(0..).for_each(|(trade, lane)| trade.lane = lane);
            replay
        };
        let found = compare(&with_lanes(&[0.02, 0.03, -0.04, -0.05]), &with_lanes(&[0.0, 0.01, -0.06, -0.07])).unwrap();
        assert_eq!((found.trades, found.dates), (4, 2));
        let (low, high) = found.interval.unwrap();
        assert!((found.difference() - 0.02).abs() < 1e-12 && high - low < 1e-9, "the same on every date: {found:?}");
        assert_eq!(compare(&with_lanes(&[]), &with_lanes(&[0.1, 0.2])), None);
    }

    #[test]
    fn every_session_has_the_mean_of_its_own_random_trades() {
        let dataset = bench::dataset(40).unwrap();
        let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
        let days: Vec<u32> = (0..market.days().len() as u32).collect();
        let (config, half) = (EnvConfig::default(), days.len() / 2);
        let found = measure(&market, [&days[..half], &days[half..]], &config, 3).unwrap();
        assert!(days.len() > CHUNK, "more than one piece of work");
        let whole = Scripted::RandomLegal.play(&market, &days, &config, 3).unwrap();
        for &day in &days {
            let of_day = whole.trades.iter().filter(|trade| trade.lane == day).map(|trade| trade.net_return);
            let of_day: Vec<f64> = of_day.collect();
            assert!((found.returns[day as usize].unwrap() - statistics::mean(&of_day)).abs() < 1e-12);
        }
        let trained = Scripted::RandomLegal.play(&market, &days[..half], &config, 3).unwrap().ledger;
        assert_eq!((found.ledger.opened, found.ledger.steps), (trained.opened, trained.steps));
        let same_date = |a: u32, b: u32| market.days()[a as usize].date == market.days()[b as usize].date;
        assert!(days.iter().all(|&day| same_date(day, 0) == (found.date[day as usize] == found.date[0])));
    }
}
