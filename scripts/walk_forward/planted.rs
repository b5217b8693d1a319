//! Edges planted into placebo markets, and the share of the markets in which a procedure finds them: its power.
//!
//! The edge of a planted trend is measured: the mean net return of the trades that go with strong setups for a quarter of an
//! hour, less that of the same market without the trend.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, ensure};
use market_data::{History, placebo::with_planted_trend};
use market_env::{
    ExitMode,
    baselines::{EntryRule, ExitRule, Scripted},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    config::RunConfig,
    evaluation::edge::{Placebo, Power},
    inputs::Inputs,
};

/// Mean P&L of a test date in dollars, by the seed of the market.
pub type Worlds = BTreeMap<u64, f64>;

/// Minutes for which the policy that measures an edge holds a position.
const HELD_MINUTES: u32 = 15;
/// Strength of the trend from which the first guess is scaled.
const PROBE: f64 = 0.1;
/// Seed of the market on which an edge is measured.
const SEED: u64 = 0;
/// Sessions of one piece of work.
const CHUNK: usize = 64;
/// Probability of a false alarm of the test whose power is stated.
const LEVEL: f64 = 0.05;

/// A planted trend and its edge, as fractions of premium and fees of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantedEdge {
    /// Edge that was asked for.
    pub per_trade: f64,
    /// Share of the minutes that follow the trend.
    pub strength: f64,
    /// Edge of this strength, as measured.
    pub measured: f64,
}

impl PlantedEdge {
    /// Finds the strength that gives an edge per trade.
    ///
    /// # Errors
    /// When a market cannot be built, no setup is strong, or the edge needs more than every minute.
    pub fn of(per_trade: f64, config: &RunConfig, history: &History) -> anyhow::Result<Self> {
        let bare = mean_return(config, history, 0.0)?;
        let edge = |strength: f64| anyhow::Ok(mean_return(config, history, strength)? - bare);
        let first = edge(PROBE)?;
        ensure!(first > 0.0, "a planted trend does not reach the trades that go with strong setups");
        let strength = checked(per_trade, per_trade * PROBE / first)?;
        let strength = checked(per_trade, strength * per_trade / edge(strength)?)?;
        Ok(Self { per_trade, strength, measured: edge(strength)? })
    }
}

fn checked(per_trade: f64, strength: f64) -> anyhow::Result<f64> {
    ensure!(
        strength > 0.0 && strength <= 1.0,
        "--plant {}: an edge of this size needs more than a trend in every minute",
        100.0 * per_trade
    );
    Ok(strength)
}

/// Returns the mean net return of trades with strong setups on the market of a strength.
fn mean_return(config: &RunConfig, history: &History, strength: f64) -> anyhow::Result<f64> {
    let market = Inputs::of_history(config, &with_planted_trend(history, SEED, strength)?)?.market;
    let exit = match config.env.exits.mode {
        ExitMode::Rules => ExitRule::ToRules,
        ExitMode::Agent => ExitRule::After(HELD_MINUTES),
    };
    let policy = Scripted::Trades(EntryRule::WithSetup, exit);
    let days: Vec<u32> = (0..market.days().len() as u32).collect();
    let played =
        days.par_chunks(CHUNK).map(|days| policy.play(&Arc::clone(&market), days, &config.env, config.run.seed));
    let mut returns = Vec::new();
    for replay in played.collect::<Result<Vec<_>, _>>()? {
        returns.extend(replay.trades.iter().map(|trade| trade.net_return));
    }
    (!returns.is_empty()).then(|| statistics::mean(&returns)).context("no trade goes with a strong setup")
}

/// Results of a procedure on markets with a planted edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantedWorlds {
    /// The edge.
    pub edge: PlantedEdge,
    /// Mean P&L of a test date in dollars, by the seed of the market.
    pub mean_per_date_usd: Worlds,
}

impl PlantedWorlds {
    /// Returns the share of these markets in which the rank among the placebo markets finds the edge.
    pub fn power(&self, placebos: &Worlds) -> Power {
        let finds = |usd: &&f64| Placebo::of(**usd, placebos.values()).p <= LEVEL;
        let found = self.mean_per_date_usd.values().filter(finds).count();
        let worlds = self.mean_per_date_usd.len();
        let share = statistics::ratio(found as f64, worlds as f64);
        Power { edge_per_trade: self.edge.per_trade, measured: self.edge.measured, worlds, found, share }
    }
}

/// Returns the fewest placebo markets among which a rank can reach the level.
pub fn fewest_placebos() -> usize {
    (1.0 / LEVEL).round() as usize - 1
}

/// Returns the results of an edge among those of a folder, or new ones.
pub(super) fn of_edge(all: &mut Vec<PlantedWorlds>, edge: PlantedEdge) -> &mut PlantedWorlds {
    let at = all.iter().position(|found| found.edge == edge).unwrap_or_else(|| {
        all.push(PlantedWorlds { edge, mean_per_date_usd: BTreeMap::new() });
        all.len() - 1
    });
    &mut all[at]
}

#[cfg(test)]
mod tests {
    use market_data::{Symbol, source::synthetic};

    use super::*;

    #[test]
    fn the_power_is_the_share_of_markets_that_beat_the_placebos() {
        let placebos: Worlds = (1..=19).map(|seed| (seed, seed as f64)).collect();
        let edge = PlantedEdge { per_trade: 0.01, strength: 0.02, measured: 0.011 };
        let planted = |usd: &[f64]| PlantedWorlds { edge, mean_per_date_usd: (1..).zip(usd.iter().copied()).collect() };
        let power = planted(&[20.0, 19.0, 30.0, -5.0]).power(&placebos);
        assert_eq!((power.worlds, power.found, power.share), (4, 2, Some(0.5)), "19 ties with a placebo");
        assert_eq!(planted(&[]).power(&placebos).share, None);
        let few: Worlds = (1..=18).map(|seed| (seed, 0.0)).collect();
        assert_eq!(planted(&[9.0]).power(&few).found, 0, "18 markets cannot reach 5 %");
        assert_eq!(fewest_placebos(), 19);
    }

    #[test]
    fn the_strength_of_a_trend_gives_the_edge_that_was_asked_for() {
        let mut config = RunConfig::default();
        config.run.symbols = vec![Symbol::new("SPY").unwrap()];
        config.data.synthetic.sessions_to = jiff::civil::date(2024, 3, 28);
        let history = synthetic::generate(&config.data.synthetic, &config.run.symbols).unwrap();
        let of = |per_trade| PlantedEdge::of(per_trade, &config, &history);
        let (small, large) = (of(0.02).unwrap(), of(0.06).unwrap());
        for edge in [small, large] {
            assert!((edge.measured / edge.per_trade - 1.0).abs() < 0.5, "{edge:?}");
        }
        assert!(large.strength > 1.5 * small.strength, "{small:?} {large:?}");
        assert!(of(5.0).unwrap_err().to_string().starts_with("--plant 500: an edge of this size needs more"));
    }
}
