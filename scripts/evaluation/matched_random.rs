//! Random entries that match a policy's: as many per session, on the same sides, in the same hours and setup classes, held as
//! long as its own.
//!
//! A policy that trades 16 times a session proves nothing by losing less than one that trades 88 times. The matched policy pays
//! the same costs; what remains between the two is the choice of minutes and sides.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use jiff::civil::Date;
use market_env::{Action, EnvConfig, EnvError, ExitMode, Market, Setup, Trade, baselines::play};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Minutes of a cell of the session, within which entries are exchanged.
const CELL_MINUTES: u32 = 60;

/// Sessions and the trades of some seeds of a policy on them.
#[derive(Debug, Clone)]
pub struct MatchedSegment<'a> {
    /// The market.
    pub market: &'a Arc<Market>,
    /// Account, costs and exits.
    pub config: &'a EnvConfig,
    /// Sessions, by their index in the market.
    pub days: Vec<u32>,
    /// Trades on these sessions, one list per seed.
    pub trades: Vec<&'a [Trade]>,
}

/// An entry of the policy.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Bar of the decision.
    bar: u32,
    side: Action,
    setup: Setup,
}

/// An entry of a random draw.
#[derive(Debug, Clone, Copy)]
struct PlannedEntry {
    bar: u32,
    side: Action,
    minutes: u32,
}

/// Entries of one seed, by session, with the holding times of all its trades.
struct Entries {
    of_session: Vec<Vec<Entry>>,
    minutes: Vec<u32>,
}

impl MatchedSegment<'_> {
    /// Returns the P&L of `draws` random policies in dollars: that of all sessions, mean over the seeds. A draw depends on `seed`, its
    /// number and the sessions alone.
    ///
    /// # Errors
    /// When the sessions cannot be replayed.
    pub fn draw(&self, draws: usize, seed: u64) -> Result<Vec<f64>, EnvError> {
        let entries: Vec<Entries> = self.trades.iter().map(|trades| self.entries(trades)).collect();
        let bars: Vec<BTreeMap<(u32, u8), Vec<u32>>> = self.days.iter().map(|&day| self.bars_by_cell(day)).collect();
        let jobs: Vec<(usize, usize)> =
            (0..draws).flat_map(|draw| (0..entries.len()).map(move |of_seed| (draw, of_seed))).collect();
        let pnl = |&(draw, of_seed): &(usize, usize)| self.play(&entries[of_seed], &bars, draw, of_seed, seed);
        let pnl = jobs.par_iter().map(pnl).collect::<Result<Vec<f64>, _>>()?;
        Ok(pnl.chunks(entries.len().max(1)).map(statistics::mean).collect())
    }

    fn entries(&self, trades: &[Trade]) -> Entries {
        let key =
            |&day: &u32| (self.market.days()[day as usize].date, self.market.days()[day as usize].symbol.to_string());
        let place: BTreeMap<(Date, String), usize> = self.days.iter().map(key).zip(0..).collect();
        let mut of_session = vec![Vec::new(); self.days.len()];
        let mut minutes = Vec::new();
        for trade in trades {
            let Some(&session) = place.get(&(trade.date, trade.symbol.clone())) else { continue };
            let day = &self.market.days()[self.days[session] as usize];
            // The order fills at the open of the bar after the decision.
            let filled = (trade.entry_ts_ns - day.open_ns) / 60_000_000_000;
            let bar = u32::try_from(filled - 1).unwrap_or(0);
            of_session[session].push(Entry { bar, side: trade.side, setup: trade.setup });
            minutes.push(u32::try_from(trade.minutes_held()).unwrap_or(1).max(1));
        }
        Entries { of_session, minutes }
    }

    /// Returns the bars of a session by hour and setup class.
    fn bars_by_cell(&self, day: u32) -> BTreeMap<(u32, u8), Vec<u32>> {
        let mut cells: BTreeMap<(u32, u8), Vec<u32>> = BTreeMap::new();
        for (bar, row) in (0..).zip(self.market.days()[day as usize].rows()) {
            cells.entry((bar / CELL_MINUTES, self.market.setup(row) as u8)).or_default().push(bar);
        }
        cells
    }

    /// Plays one random policy and returns its P&L in dollars.
    fn play(
        &self,
        entries: &Entries,
        bars: &[BTreeMap<(u32, u8), Vec<u32>>],
        draw: usize,
        of_seed: usize,
        seed: u64,
    ) -> Result<f64, EnvError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(((draw as u64) << 16) | of_seed as u64);
        // The last one comes first, so that the next one is popped.
        let mut plans: Vec<Vec<PlannedEntry>> = entries
            .of_session
            .iter()
            .zip(bars)
            .map(|(own, bars)| plan(own, bars, &entries.minutes, &mut rng))
            .collect();
        let mut exit_after = vec![u32::MAX; self.days.len()];
        let sells = self.config.exits.mode == ExitMode::Agent;
        let played = play(self.market, &self.days, self.config, |sight| {
            if !sight.is_flat() {
                let over = sells && sight.minutes_held() >= exit_after[sight.lane];
                return if over { Action::Exit } else { Action::Hold };
            }
            match plans[sight.lane].last().copied() {
                Some(next) if next.bar <= sight.bar && sight.allows(next.side) => {
                    plans[sight.lane].pop();
                    exit_after[sight.lane] = next.minutes;
                    next.side
                }
                _ => Action::Hold,
            }
        })?;
        Ok(played.ledger.net_pnl_cents as f64 / 100.0)
    }
}

/// Draws the entries of one session, latest first.
fn plan(
    own: &[Entry],
    bars: &BTreeMap<(u32, u8), Vec<u32>>,
    minutes: &[u32],
    rng: &mut ChaCha8Rng,
) -> Vec<PlannedEntry> {
    let draw = |entry: &Entry| {
        let cell = bars.get(&(entry.bar / CELL_MINUTES, entry.setup as u8));
        let bar = cell.map_or(entry.bar, |cell| cell[rng.random_range(0..cell.len())]);
        PlannedEntry { bar, side: entry.side, minutes: minutes[rng.random_range(0..minutes.len())] }
    };
    let mut planned: Vec<PlannedEntry> = own.iter().map(draw).collect();
    planned.sort_by_key(|entry| Reverse(entry.bar));
    planned
}

#[cfg(test)]
mod tests {
    use market_env::{
        MarketConfig,
        baselines::{EntryRule, ExitRule, Scripted},
    };

    use super::*;
    use crate::commands::bench;

    fn market() -> (Arc<Market>, Vec<u32>) {
        let dataset = bench::dataset(6).unwrap();
        let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
        let days = (0..market.days().len() as u32).collect();
        (market, days)
    }

    fn drawn(trades: Vec<&[Trade]>, draws: usize) -> Vec<f64> {
        let (market, days) = market();
        MatchedSegment { market: &market, config: &EnvConfig::default(), days, trades }.draw(draws, 5).unwrap()
    }

    #[test]
    fn a_coin_is_an_ordinary_member_of_its_own_matched_policies() {
        let (market, days) = market();
        let coin = Scripted::Trades(EntryRule::Coin, ExitRule::After(5));
        let played = coin.play(&market, &days, &EnvConfig::default(), 3).unwrap();
        let own = played.ledger.net_pnl_cents as f64 / 100.0;
        let found = drawn(vec![&played.trades], 60);
        let at_least = found.iter().filter(|pnl| **pnl >= own).count();
        assert!((2..=58).contains(&at_least), "{own} among {found:?}");
        assert_eq!(found, drawn(vec![&played.trades], 60), "the same seed, the same draws");
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn as_many_entries_cost_as_much_and_none_cost_nothing() {
        let (market, days) = market();
        let few = Scripted::Trades(EntryRule::Call, ExitRule::Never);
        let many = Scripted::Trades(EntryRule::Coin, ExitRule::After(1));
        let trades = |policy: Scripted| policy.play(&market, &days, &EnvConfig::default(), 3).unwrap().trades;
        let (few, many) = (trades(few), trades(many));
        assert!(many.len() > 20 * few.len());
        assert!(statistics::mean(drawn(vec![&many], 8)) < 0.0, "every minute pays the spread");
        assert_eq!(drawn(vec![&[]], 3), [0.0; 3]);
        let both = drawn(vec![&many, &[]], 3);
        assert_eq!(both, drawn(vec![&many], 3).iter().map(|pnl| pnl / 2.0).collect::<Vec<_>>()[..].to_vec());
    }
}
