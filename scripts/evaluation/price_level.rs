//! Net P&L over draws of the level of the modelled prices.
//!
//! The model's level errs by the session. The same sessions are replayed at seven levels of all prices; a draw then gives every
//! session its own level, and with it a P&L between those of the two nearest replays. A part of the level is common to all sessions of
//! a draw, since errors persist over months. Draws come in pairs of opposite sign.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use market_data::{DateRange, Symbol};
use market_env::{EnvConfig, Levels, Market, MarketConfig};
use ppo_agent::{Behaviour, Policy};
use serde::Serialize;
use statistics::quantile;

use crate::{
    evaluation::replay::{ReplayResult, replay},
    inputs::Inputs,
    output::table::dollars,
};

/// Levels that are replayed, in standard deviations; that of the model itself, 0, is the point.
const DEVIATIONS: [f64; 7] = [-2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25];
/// Pairs of draws.
const PAIRS: u64 = 200;
/// Date that addresses the part of a draw that all sessions share.
const COMMON: Date = date(1, 1, 1);

/// Net P&L over draws of the price level, beside that at the model's own level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PriceLevel {
    /// Standard deviation of a session's level, in percent of volatility: root mean square over the sessions.
    pub sd_pct: f64,
    /// Share of its variance that all sessions of a draw have in common.
    pub persistence: f64,
    /// Number of draws.
    pub draws: usize,
    /// Net P&L at the model's own level, in dollars.
    pub net_pnl_usd: f64,
    /// Lower and upper end of 95 % of the draws.
    pub net_pnl_95_usd: [f64; 2],
    /// Share of the draws whose net P&L has the sign of the model's own.
    pub same_sign: f64,
    /// True where the interval holds zero: the sign of the result is not known.
    pub below_uncertainty: bool,
    /// Net P&L with every session at the same level, by standard deviations.
    pub levels: Vec<LevelLine>,
}

/// Replay with every session at the same level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LevelLine {
    /// Standard deviations of the level.
    pub deviations: f64,
    /// Positions opened and closed.
    pub trades: usize,
    /// Net P&L, in dollars.
    pub net_pnl_usd: f64,
}

/// A policy whose sessions are replayed at other levels.
#[derive(Debug, Clone, Copy)]
pub struct Replayed<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Bars and market.
    pub inputs: &'a Inputs,
    /// Market settings.
    pub market: &'a MarketConfig,
    /// Account settings.
    pub env: &'a EnvConfig,
    /// Seed of sampled actions and of the draws.
    pub seed: u64,
}

impl Replayed<'_> {
    /// Replays the sessions on some dates at every level, once per behaviour. `points` holds behaviours with their replays at the model's
    /// own level, on the market of the inputs. Returns one result per behaviour; `None` where prices have no uncertain level or
    /// nothing was traded.
    ///
    /// # Errors
    /// When the sessions cannot be replayed.
    pub fn price_levels(
        &self,
        dates: &DateRange,
        points: &[(Behaviour, &ReplayResult)],
    ) -> anyhow::Result<Vec<Option<PriceLevel>>> {
        if !self.inputs.level_is_uncertain() || points.iter().all(|(_, point)| point.trades.is_empty()) {
            return Ok(points.iter().map(|_| None).collect());
        }
        let mut tables: Vec<Table> = points.iter().map(|_| Table::default()).collect();
        for deviations in DEVIATIONS {
            let shifted = (deviations != 0.0)
                .then(|| self.inputs.market_on(dates, self.market, Levels::Shifted { deviations }))
                .transpose()?;
            for (table, (behaviour, point)) in tables.iter_mut().zip(points) {
                match &shifted {
                    None => table.add(deviations, &self.inputs.market, point),
                    Some(market) => {
                        let days: Vec<u32> = (0..market.days().len() as u32).collect();
                        let played = replay(self.policy, market, &days, self.env, *behaviour, self.seed)?;
                        table.add(deviations, market, &played);
                    }
                }
            }
        }
        let persistence = self.market.pricing.level_persistence;
        let of = |(table, (_, point)): (&Table, &(Behaviour, &ReplayResult))| {
            (!point.trades.is_empty()).then(|| table.drawn(persistence, self.seed))
        };
        Ok(tables.iter().zip(points).map(of).collect())
    }
}

/// Net P&L of every session at every level.
#[derive(Debug, Default)]
struct Table {
    levels: Vec<LevelLine>,
    sessions: BTreeMap<(Symbol, Date), Session>,
}

/// One session of the table.
#[derive(Debug)]
struct Session {
    /// Standard deviations of its level.
    sd: [f64; 2],
    /// Net P&L at the levels, in dollars.
    pnl: Vec<f64>,
}

impl Table {
    fn add(&mut self, deviations: f64, market: &Market, played: &ReplayResult) {
        let mut cents = 0;
        for (date, episode) in &played.sessions {
            let day = &market.days()[episode.day as usize];
            let pnl = episode.net_pnl_cents as f64 / 100.0;
            let session = self
                .sessions
                .entry((day.symbol.clone(), *date))
                .or_insert_with(|| Session { sd: day.level_sd, pnl: Vec::new() });
            session.pnl.push(pnl);
            cents += episode.net_pnl_cents;
        }
        let net_pnl_usd = cents as f64 / 100.0;
        self.levels.push(LevelLine { deviations, trades: played.trades.len(), net_pnl_usd });
    }

    fn drawn(&self, persistence: f64, seed: u64) -> PriceLevel {
        let net_pnl_usd = self.levels[DEVIATIONS.len() / 2].net_pnl_usd;
        let pair = |pair| [1.0, -1.0].map(|sign| self.total(pair, sign, persistence, seed));
        let mut totals: Vec<f64> = (0..PAIRS).flat_map(pair).collect();
        let same = totals.iter().filter(|total| **total * net_pnl_usd > 0.0).count();
        let net_pnl_95_usd = [0.025, 0.975].map(|share| quantile(&mut totals, share));
        let square = |sd: &[f64; 2]| sd.iter().map(|sd| sd * sd).sum::<f64>();
        let squares: Vec<f64> = self.sessions.values().map(|session| square(&session.sd)).collect();
        PriceLevel {
            sd_pct: 100.0 * statistics::mean(&squares).sqrt(),
            persistence,
            draws: totals.len(),
            net_pnl_usd,
            net_pnl_95_usd,
            same_sign: same as f64 / totals.len() as f64,
            below_uncertainty: net_pnl_95_usd[0] <= 0.0 && net_pnl_95_usd[1] >= 0.0,
            levels: self.levels.clone(),
        }
    }

    /// Returns the net P&L of all sessions in one draw.
    fn total(&self, pair: u64, sign: f64, persistence: f64, seed: u64) -> f64 {
        let levels = Levels::Drawn { seed: seed.wrapping_mul(PAIRS).wrapping_add(pair) };
        let of_session = |((symbol, date), Session { sd, pnl }): (&(Symbol, Date), &Session)| {
            let shift = |date| levels.shift(date, symbol.as_str(), *sd) / sd[0].hypot(sd[1]).max(f64::MIN_POSITIVE);
            between(sign * (persistence.sqrt() * shift(COMMON) + (1.0 - persistence).sqrt() * shift(*date)), pnl)
        };
        self.sessions.iter().map(of_session).sum()
    }
}

/// Returns the P&L at a level between those of [`DEVIATIONS`]; beyond them, that of the last.
fn between(deviations: f64, pnl: &[f64]) -> f64 {
    if pnl.len() != DEVIATIONS.len() {
        // A session that some replay lacks has no other level.
        return pnl.first().copied().unwrap_or_default();
    }
    let above = DEVIATIONS.partition_point(|level| *level <= deviations).clamp(1, DEVIATIONS.len() - 1);
    let (low, high) = (DEVIATIONS[above - 1], DEVIATIONS[above]);
    let part = ((deviations - low) / (high - low)).clamp(0.0, 1.0);
    pnl[above - 1] + part * (pnl[above] - pnl[above - 1])
}

impl PriceLevel {
    /// Returns the interval of the net P&L as a clause.
    pub fn interval(&self) -> String {
        let [low, high] = self.net_pnl_95_usd.map(dollars);
        format!("{low} to {high} in 95 % of {} draws", self.draws)
    }

    /// Returns a sentence where the result is smaller than the uncertainty of the price model.
    pub fn sentence(&self) -> Option<String> {
        let [low, high] = self.net_pnl_95_usd.map(dollars);
        let verb = if self.net_pnl_usd < 0.0 { "loss" } else { "gain" };
        self.below_uncertainty.then(|| {
            format!(
                "The {verb} of {} is smaller than the uncertainty of the modelled prices ({low} to {high}): prices of real options may \
                 turn it.",
                dollars(self.net_pnl_usd.abs())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use market_env::Episode;

    use super::*;

    fn table(slope: f64, sessions: i8) -> Table {
        let of = |day| {
            let pnl = DEVIATIONS.map(|level| 100.0 + slope * level).to_vec();
            (("SPY".parse().unwrap(), date(2025, 6, day)), Session { sd: [0.1, 0.0], pnl })
        };
        let line = |deviations| {
            let net_pnl_usd = f64::from(sessions) * (100.0 + slope * deviations);
            LevelLine { deviations, trades: 1, net_pnl_usd }
        };
        Table { levels: DEVIATIONS.map(line).to_vec(), sessions: (1..=sessions).map(of).collect() }
    }

    #[test]
    fn pnl_is_linear_between_levels_and_flat_beyond() {
        let pnl = DEVIATIONS.map(|level| 10.0 * level);
        for (level, expected) in [(0.3, 3.0), (-1.0, -10.0), (1.5, 15.0), (9.0, 22.5), (-9.0, -22.5)] {
            assert!((between(level, &pnl) - expected).abs() < 1e-9, "{level}");
        }
    }

    #[test]
    fn an_edge_below_the_uncertainty_is_called_so() {
        // Sixteen sessions that move together: 1,600 ± 1.96 · 16 · 80 = ± 2,509.
        let level = table(80.0, 16).drawn(1.0, 7);
        let [low, high] = level.net_pnl_95_usd;
        assert!((low + 909.0).abs() < 300.0 && (high - 4_109.0).abs() < 300.0, "{low} to {high}");
        assert!(level.below_uncertainty && level.sentence().unwrap().starts_with("The gain of $1,600 is smaller"));
        // Independent sessions: a quarter of that, 627.
        let level = table(80.0, 16).drawn(0.0, 7);
        let [low, high] = level.net_pnl_95_usd;
        assert!((low - 973.0).abs() < 150.0 && (high - 2_227.0).abs() < 150.0, "{low} to {high}");
        assert_eq!((level.sentence(), level.same_sign, level.draws), (None, 1.0, 400));
        assert!((level.sd_pct - 10.0).abs() < 1e-9);
        assert_eq!(level, table(80.0, 16).drawn(0.0, 7), "the same seed, the same draws");
    }

    #[test]
    fn sessions_of_all_replays_are_matched() {
        let market = crate::commands::bench::dataset(4)
            .map(|data| Market::build(&data.symbols, &MarketConfig::default()).unwrap());
        let market = market.unwrap();
        let episode = |day| Episode {
            lane: 0,
            day,
            steps: 1,
            reward: 0.0,
            net_pnl_cents: 5_000,
            fees_cents: 0,
            trades: 1,
            held_steps: 1,
        };
        let sessions = [2, 0, 1].map(|day| (market.days()[day as usize].date, episode(day)));
        let mut table = Table::default();
        DEVIATIONS.iter().for_each(|&level| {
            table.add(level, &market, &ReplayResult { sessions: sessions.to_vec(), ..ReplayResult::default() });
        });
        assert!(table.sessions.len() == 3 && table.sessions.values().all(|session| session.pnl == [50.0; 7]));
        assert_eq!(table.drawn(0.4, 1).net_pnl_95_usd, [150.0, 150.0]);
    }
}
