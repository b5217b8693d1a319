//! The perfect-foresight ceiling: the highest P&L of a session for an account that trades with all its prices known.
//!
//! The account trades under the environment's own rules and costs, because the same step plays its positions: an entry
//! is decided at the close of a bar, buys the contract of that decision and fills at the next open's ask; it is sold at a later
//! open's bid, by choice or by the rules; one position at a time, fees, ticks, slippage and impact as configured, flat before
//! the bell. Dynamic programming backwards over the bars finds the best sequence of such positions.
//!
//! Assumptions:
//! - every entry is sized by the capital at the session's start, so gains are not compounded,
//! - a position is closed by one order, with no trim before it,
//! - `env.guards.max_trades` and the daily loss limit apply within one position, not over the session.
//!
//! For one contract at a time (`env.account.max_contracts = 1`, with capital for it) the ceiling is exact without those two
//! guards, and an upper bound with them. Compounding could make more dollars of the same positions; the sign of the ceiling
//! does not depend on it.

use std::{ops::AddAssign, sync::Arc};

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    BatchEnv, EnvConfig, EnvError, Ledger, Market,
    action::Action,
    baselines::direction,
    batch::{
        lane::{Lane, Rules},
        step::LaneStep,
    },
};

/// The best sequence of positions of a session, or of several sessions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ceiling {
    /// Net P&L after all costs, in cents; never negative, since staying flat is allowed.
    pub net_pnl_cents: i64,
    /// Premium and fees paid at its entries, in cents.
    pub entry_cost_cents: i64,
    /// Positions in it.
    pub trades: u64,
}

impl Ceiling {
    /// Returns the net P&L as a fraction of premium and fees paid at the entries; nothing without a trade.
    pub fn return_on_premium(&self) -> Option<f64> {
        (self.trades > 0).then(|| self.net_pnl_cents as f64 / self.entry_cost_cents as f64)
    }
}

impl AddAssign for Ceiling {
    fn add_assign(&mut self, other: Self) {
        self.net_pnl_cents += other.net_pnl_cents;
        self.entry_cost_cents += other.entry_cost_cents;
        self.trades += other.trades;
    }
}

/// The ceilings of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ceilings {
    /// Ceiling with entries at every bar that allows them.
    pub any: Ceiling,
    /// Ceiling with entries on strong setups alone, in the setup's direction.
    pub strong: Ceiling,
}

impl AddAssign for Ceilings {
    fn add_assign(&mut self, other: Self) {
        self.any += other.any;
        self.strong += other.strong;
    }
}

impl Ceilings {
    /// Returns the ceilings of each of these sessions.
    ///
    /// # Errors
    /// As [`BatchEnv::replay`].
    pub fn of(market: &Arc<Market>, days: &[u32], config: &EnvConfig) -> Result<Vec<Self>, EnvError> {
        let env = BatchEnv::replay(Arc::clone(market), days.to_vec(), config.clone())?;
        Ok(days.par_iter().map(|&day| Foresight::new(env.rules(), day).ceilings()).collect())
    }
}

/// One possible exit of a position.
#[derive(Debug, Clone, Copy)]
struct PositionOutcome {
    net_pnl_cents: i64,
    entry_cost_cents: i64,
    /// The bar of the next decision to enter.
    next: u32,
}

/// One session with all its prices known.
struct Foresight<'a> {
    rules: &'a Rules,
    day: u32,
    /// The bar after that of the last decision.
    end: u32,
    /// Counters of the steps, unused.
    counted: Ledger,
}

impl<'a> Foresight<'a> {
    fn new(rules: &'a Rules, day: u32) -> Self {
        let end = rules.last_bar(&rules.market.days()[day as usize]) - 1;
        Self { rules, day, end, counted: Ledger::default() }
    }

    fn ceilings(mut self) -> Ceilings {
        // The highest P&L of the decisions from each bar on.
        let mut best = vec![Ceilings::default(); self.end as usize + 1];
        for bar in (0..self.end).rev() {
            let mut here = best[bar as usize + 1];
            let flat = self.flat(bar);
            let with_setup = direction(self.rules.market.signal(self.rules.day(&flat).first_row + bar).setup);
            for (side, way_of_side) in [(Action::BuyCall, 1.0), (Action::BuyPut, -1.0)] {
                if !flat.mask.allows(side as u8) {
                    continue;
                }
                self.ways(flat.clone(), side, |way| {
                    let then = best[way.next as usize];
                    here.any.improve(way, then.any);
                    if with_setup == way_of_side {
                        here.strong.improve(way, then.strong);
                    }
                });
            }
            best[bar as usize] = here;
        }
        best[0]
    }

    /// Returns a flat account at the decision of a bar, with the capital of the open.
    fn flat(&self, bar: u32) -> Lane {
        let mut lane = self.rules.open(self.day, 0);
        lane.bar = bar;
        lane.mask = self.rules.mask(&lane);
        lane
    }

    /// Enters, and finds every possible exit of the position; none when the order does not fill.
    fn ways(&mut self, mut lane: Lane, side: Action, mut found: impl FnMut(PositionOutcome)) {
        let (before, mut entry_cost_cents) = (lane.account.cash, 0);
        let mut over = self.step(&mut lane, side);
        loop {
            entry_cost_cents = lane.account.position.map_or(entry_cost_cents, |position| position.entry_cost);
            let way = |lane: &Lane, next| PositionOutcome {
                net_pnl_cents: lane.account.cash - before,
                entry_cost_cents,
                next,
            };
            if over || is_flat(&lane) {
                if lane.guard.trades() > 0 {
                    found(way(&lane, self.next_decision(&lane)));
                }
                return;
            }
            if lane.mask.allows(Action::Exit as u8) {
                let left = self.leave(lane.clone());
                found(way(&left, self.next_decision(&left)));
            }
            over = self.step(&mut lane, Action::Hold);
        }
    }

    /// Sells the position at the first open that allows it.
    fn leave(&mut self, mut lane: Lane) -> Lane {
        loop {
            let sell = if lane.mask.allows(Action::Exit as u8) { Action::Exit } else { Action::Hold };
            if self.step(&mut lane, sell) || is_flat(&lane) {
                return lane;
            }
        }
    }

    /// Takes one step; returns whether the session is over.
    fn step(&mut self, lane: &mut Lane, action: Action) -> bool {
        let mut play = LaneStep { rules: self.rules, number: 0, ledger: &mut self.counted, record: None };
        let (_, over) = play.step(lane, action as u8);
        if !over {
            lane.mask = self.rules.mask(lane);
        }
        over
    }

    /// Returns the first bar at whose close a lane that has become flat may decide to enter again.
    fn next_decision(&self, lane: &Lane) -> u32 {
        let arrives = lane.guard.next_entry().unwrap_or(u32::MAX);
        arrives.saturating_sub(self.rules.arrival(0)).max(lane.bar).min(self.end)
    }
}

fn is_flat(lane: &Lane) -> bool {
    lane.account.position.is_none() && lane.entry.is_none()
}

impl Ceiling {
    /// Keeps a position and the best sequence after it, if their P&L is higher.
    fn improve(&mut self, way: PositionOutcome, then: Self) {
        if way.net_pnl_cents + then.net_pnl_cents > self.net_pnl_cents {
            *self = Self {
                net_pnl_cents: way.net_pnl_cents + then.net_pnl_cents,
                entry_cost_cents: way.entry_cost_cents + then.entry_cost_cents,
                trades: 1 + then.trades,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};

    use super::*;
    use crate::{
        ExitMode, MarketConfig, StepBuffers, VecEnv,
        baselines::{EntryRule, ExitRule, Scripted, play},
    };

    /// Made-up sessions around a half day, the shortest kind.
    fn market(symbol: &str) -> Arc<Market> {
        market_without(symbol, &[])
    }

    /// The same sessions without the bars of some minutes.
    fn market_without(symbol: &str, holes: &[usize]) -> Arc<Market> {
        let mut config = DataConfig::default();
        config.synthetic.sessions_from = jiff::civil::date(2024, 11, 20);
        config.synthetic.sessions_to = jiff::civil::date(2024, 12, 6);
        let history = synthetic::generate(&config.synthetic, &[Symbol::new(symbol).unwrap()]).unwrap();
        let mut dataset = Dataset::build(&history, &Window::default(), &config).unwrap();
        for day in &mut dataset.symbols[0].days {
            for &slot in holes {
                let last = day.close[slot - 1];
                for price in [&mut day.open, &mut day.high, &mut day.low, &mut day.close] {
                    price[slot] = last;
                }
                day.filled[slot] = true;
            }
        }
        Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap())
    }

    fn one_contract() -> EnvConfig {
        let mut config = EnvConfig::default();
        config.account.max_contracts = 1;
        config
    }

    /// Tries every sequence of actions; returns the most cents. Entries may be limited to strong setups.
    fn brute_force(env: &BatchEnv, lanes: &StepBuffers, strong: bool) -> i64 {
        if env.finished() {
            return env.ledger().net_pnl_cents;
        }
        let with_setup = direction(env.market().setup(lanes.row[0] as usize));
        let allowed = |action: Action| match action {
            Action::BuyCall => !strong || with_setup > 0.0,
            Action::BuyPut => !strong || with_setup < 0.0,
            // One contract is sold whole or not at all.
            action => matches!(action, Action::Hold | Action::Exit),
        };
        let legal = Action::ALL.into_iter().filter(|&action| lanes.mask[0].allows(action as u8) && allowed(action));
        let outcomes = legal.map(|action| {
            let (mut env, mut lanes) = (env.clone(), lanes.clone());
            lanes.step(&mut env, &[action as u8]);
            brute_force(&env, &lanes, strong)
        });
        outcomes.max().unwrap()
    }

    #[test]
    fn no_sequence_of_actions_beats_it_and_one_reaches_it() {
        let profitable = exact_ceilings(&market("SPY"));
        assert!(profitable >= 4, "{profitable} of 8 ceilings are above zero");
    }

    #[test]
    fn it_is_exact_on_sessions_with_holes() {
        // Holes at entries, at exits, and at the sale before the bell (bar 90).
        let profitable = exact_ceilings(&market_without("SPY", &[3, 22, 23, 24, 43, 62, 75, 89, 90, 91]));
        assert!(profitable > 0);
    }

    /// Compares the ceilings of the half day under several settings with the best of all sequences of actions; returns the number
    /// of ceilings above zero.
    fn exact_ceilings(market: &Arc<Market>) -> u32 {
        let half_day = market.days().iter().position(|day| day.bars == 210).unwrap() as u32;
        let mut profitable = 0;
        for (open, delay, cooldown, mode) in [
            (0, 0, 0, ExitMode::Agent),
            (40, 1, 0, ExitMode::Agent),
            (60, 0, 3, ExitMode::Agent),
            (20, 0, 0, ExitMode::Rules),
        ] {
            let mut config = one_contract();
            // Six bars in which entries arrive, and two hours less to end in.
            (config.guards.no_entry_after_open, config.guards.no_entry_before_close) = (open + 1, 210 - open - 7);
            (config.exits.flat_before_close, config.exits.mode) = (120, mode);
            (config.execution.delay_bars, config.guards.cooldown) = (delay, cooldown);
            let [found] = Ceilings::of(market, &[half_day], &config).unwrap()[..] else { unreachable!() };
            let mut env = BatchEnv::replay(market.clone(), vec![half_day], config).unwrap();
            let lanes = StepBuffers::reset(&mut env);
            let most = [brute_force(&env, &lanes, false), brute_force(&env, &lanes, true)];
            assert_eq!([found.any.net_pnl_cents, found.strong.net_pnl_cents], most, "from bar {open}: {found:?}");
            profitable += u32::from(most[0] > 0) + u32::from(most[1] > 0);
        }
        profitable
    }

    #[test]
    fn no_policy_earns_more_with_one_contract() {
        for symbol in ["SPY", "SPX"] {
            let (market, config) = (market(symbol), one_contract());
            let days: Vec<u32> = (0..market.days().len() as u32).collect();
            let ceilings = Ceilings::of(&market, &days, &config).unwrap();
            assert!(ceilings.iter().all(|of| of.strong.net_pnl_cents <= of.any.net_pnl_cents && of.any.trades > 10));
            for policy in Scripted::family(ExitMode::Agent) {
                for episode in policy.play(&market, &days, &config, 1).unwrap().episodes {
                    let most = ceilings[episode.lane as usize].any.net_pnl_cents;
                    assert!(episode.net_pnl_cents <= most, "{policy} earned {episode:?}, at most {most}");
                }
            }
            let strong = |seed| {
                Scripted::Trades(EntryRule::WithSetup, ExitRule::Gain(390)).play(&market, &days, &config, seed).unwrap()
            };
            for episode in strong(1).episodes {
                assert!(episode.net_pnl_cents <= ceilings[episode.lane as usize].strong.net_pnl_cents);
            }
        }
    }

    #[test]
    fn an_entry_that_nobody_may_make_gives_nothing() {
        let market = market("SPY");
        let mut config = one_contract();
        config.guards.no_entry_after_open = 390;
        let [none] = Ceilings::of(&market, &[0], &config).unwrap()[..] else { unreachable!() };
        assert_eq!((none, none.any.return_on_premium()), (Ceilings::default(), None));
        let played = play(&market, &[0], &config, |_| Action::BuyCall).unwrap();
        assert_eq!(played.ledger.opened, 0);
    }
}
