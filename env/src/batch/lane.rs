//! One lane: an account in a session, its observation, and its next session.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Account, ActionMask, Day, EnvConfig, Episode, Market, Position, Setup,
    account::{
        entry_guards::{Guard, GuardedSession},
        execution::{FillRule, Terms},
        exits::{AtTheBell, ExitMode, ExitOrder},
    },
    action::{Action, FLAT_MASK, FORCED_MASK, HOLDING_MASK},
    batch::{own_terms::OwnTerms, session_sampler::SessionSampler},
    option::contract::Settlement,
};

/// The lane's own columns of an observation; all zero when flat.
///
/// `side` is +1 for a call and -1 for a put. `delta` to `vega` are the option tape's bounded greeks. `unrealised` and
/// `peak` are gains on the cost basis within -1 and 3, `hours_held` goes up to 4, and `size_left` is the part of
/// the bought contracts still held.
pub const ACCOUNT_COLUMNS: [&str; 9] =
    ["side", "delta", "gamma", "theta", "vega", "unrealised", "peak", "hours_held", "size_left"];
pub(crate) const COLUMNS: usize = ACCOUNT_COLUMNS.len();
const GAIN_BOUND: f64 = 3.0;

/// An entry order that has not filled yet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryOrder {
    pub(crate) action: Action,
    /// The contract chosen at the decision.
    pub(crate) contract: u32,
    /// Bar of the decision.
    pub(crate) decided: u32,
}

/// One account in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) day: u32,
    /// Bar at whose close the next decision is taken.
    pub(crate) bar: u32,
    pub(crate) episode: u32,
    /// True once a replay's lane has played its session.
    pub(crate) finished: bool,
    /// Legal actions of the next decision, as in the last observation.
    pub(crate) mask: ActionMask,
    pub(crate) account: Account,
    /// Liquidation value of the whole account at the last mark, in cents.
    pub(crate) equity: i64,
    pub(crate) guard: Guard,
    /// The working entry order of a flat account.
    pub(crate) entry: Option<EntryOrder>,
    /// The working sale order of a position.
    pub(crate) order: Option<ExitOrder>,
    /// Bar at whose open the position was bought; below, its setup at the decision.
    pub(crate) entry_bar: u32,
    pub(crate) entry_setup: Setup,
    pub(crate) steps: u32,
    pub(crate) held_steps: u32,
    pub(crate) fees: i64,
    pub(crate) reward: f64,
    /// Record of the terms that are off by default; absent without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own: Option<Box<OwnTerms>>,
}

impl Lane {
    /// Returns whether the position was held before bar `next` opened.
    pub(crate) fn held_since(&self, next: u32) -> bool {
        self.account.position.is_some() && self.entry_bar < next
    }
}

/// The read-only context of all lanes.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) market: Arc<Market>,
    pub(crate) config: EnvConfig,
    /// Liquidation value at the daily loss limit, in cents.
    pub(crate) floor_cents: i64,
    /// Sampler of the training lanes' next sessions; a replay has none.
    pub(crate) deck: Option<SessionSampler>,
    /// The distinct terms of execution, and their index per day of the market.
    terms: Vec<Terms>,
    terms_of_day: Vec<u16>,
    /// True where an entry fills at the next open or is refused, on a tape of real options: the mask then excludes contracts
    /// without a quote there.
    quotes_are_known: bool,
}

impl Rules {
    pub(crate) fn new(market: Arc<Market>, config: EnvConfig, deck: Option<SessionSampler>) -> Self {
        let floor_cents = config.guards.floor_cents(Account::new(config.account.capital).cash);
        let mut terms: Vec<Terms> = Vec::new();
        let terms_of_day = market.days().iter().map(|day| {
            let of_day = Terms::new(&day.spec, &config.costs, &config.execution);
            let known = terms.iter().position(|known| *known == of_day);
            known.unwrap_or_else(|| {
                terms.push(of_day);
                terms.len() - 1
            }) as u16
        });
        let terms_of_day = terms_of_day.collect();
        let at_once = config.execution.fill == FillRule::NextOpen && config.execution.delay_bars == 0;
        let quotes_are_known = at_once && market.real_options().is_some();
        Self { market, config, floor_cents, deck, terms, terms_of_day, quotes_are_known }
    }

    /// Returns a lane at the first decision of a session.
    pub(crate) fn open(&self, day: u32, episode: u32) -> Lane {
        let account = Account::new(self.config.account.capital);
        let session = &self.market.days()[day as usize];
        let guard = self.config.guards.open(&GuardedSession {
            bars: session.bars,
            last_bar: self.last_bar(session),
            vix_at_open: session.vix_at_open,
        });
        Lane {
            day,
            bar: 0,
            episode,
            finished: false,
            mask: FORCED_MASK,
            account,
            equity: account.cash,
            guard,
            entry: None,
            order: None,
            entry_bar: 0,
            entry_setup: Setup::Weak,
            steps: 0,
            held_steps: 0,
            fees: 0,
            reward: 0.0,
            own: self.config.reward.has_own().then(|| Box::new(OwnTerms::open(account.cash, None))),
        }
    }

    /// Returns the bar at whose open every position is sold.
    pub(crate) fn last_bar(&self, day: &Day) -> u32 {
        day.bars - self.config.exits.flat_before_close
    }

    /// Returns whether a position held at the end of the session runs to its settlement.
    pub(crate) fn settles(&self, day: &Day) -> bool {
        let expires = day.expiry == day.date && day.spec.settlement == Settlement::Cash;
        expires && self.config.exits.at_the_bell == AtTheBell::Settle
    }

    /// Returns the bar at whose open an order reaches the market, from the bar of its decision.
    #[inline]
    pub(crate) fn arrival(&self, decided: u32) -> u32 {
        decided + 1 + self.config.execution.delay_bars
    }

    pub(crate) fn mask(&self, lane: &Lane) -> ActionMask {
        match lane.account.position {
            None if !lane.finished && lane.entry.is_none() && lane.guard.allows(self.arrival(lane.bar)) => {
                if self.quotes_are_known { self.buyable(lane) } else { FLAT_MASK }
            }
            Some(_) if lane.order.is_none() && self.config.exits.mode == ExitMode::Agent => HOLDING_MASK,
            _ => FORCED_MASK,
        }
    }

    /// Returns the mask of a flat account without the entries that would meet no quote.
    #[cold]
    fn buyable(&self, lane: &Lane) -> ActionMask {
        let row = self.day(lane).first_row + lane.bar;
        ActionMask(FORCED_MASK.0 | self.market.signal(row).buyable << 1)
    }

    pub(crate) fn day(&self, lane: &Lane) -> &Day {
        &self.market.days()[lane.day as usize]
    }

    pub(crate) fn terms(&self, lane: &Lane) -> &Terms {
        &self.terms[usize::from(self.terms_of_day[lane.day as usize])]
    }

    pub(crate) fn observe(&self, lane: &mut Lane, row: &mut u32, account: &mut [f32], mask: &mut ActionMask) {
        let day = self.day(lane);
        *row = day.first_row + lane.bar;
        lane.mask = self.mask(lane);
        *mask = lane.mask;
        let Some(position) = &lane.account.position else {
            account.fill(0.0);
            return;
        };
        let side = if position.side == Action::BuyCall { 1.0 } else { -1.0 };
        let [delta, gamma, theta, vega] = self.market.greeks(day, position.contract, lane.bar);
        let value = lane.equity - lane.account.cash;
        account.copy_from_slice(&[
            side,
            delta,
            gamma,
            theta,
            vega,
            gain(value, position).min(GAIN_BOUND) as f32,
            position.peak.min(GAIN_BOUND) as f32,
            ((lane.bar + 1 - lane.entry_bar) as f32 / 60.0).min(4.0),
            position.contracts as f32 / position.bought as f32,
        ]);
    }

    pub(crate) fn next_session(&self, lane: &mut Lane, number: u32) {
        match &self.deck {
            Some(deck) => {
                let episode = lane.episode.wrapping_add(1);
                let earlier = lane.own.take();
                *lane = self.open(deck.draw(number, episode), episode);
                if let Some(earlier) = earlier.filter(|_| lane.own.is_some()) {
                    lane.own = Some(Box::new(OwnTerms::open(lane.account.cash, Some(&earlier))));
                }
            }
            None => lane.finished = true,
        }
    }

    pub(crate) fn summary(&self, lane: &Lane, number: u32) -> Episode {
        Episode {
            lane: number,
            day: lane.day,
            steps: lane.steps,
            reward: lane.reward,
            net_pnl_cents: lane.account.cash - Account::new(self.config.account.capital).cash,
            fees_cents: lane.fees,
            trades: lane.guard.trades(),
            held_steps: lane.held_steps,
        }
    }

    /// Returns whether a restored lane can continue in this environment.
    pub(crate) fn holds(&self, lane: &Lane, days: &[u32]) -> bool {
        if !days.contains(&lane.day) {
            return false;
        }
        let day = self.day(lane);
        let held = lane.account.position.map(|position| position.contract);
        let contract = held.or(lane.entry.map(|entry| entry.contract)).unwrap_or(0);
        lane.bar < self.last_bar(day) && self.market.holds_contract(day, contract)
    }
}

/// Gain of a liquidation value on the position's cost basis.
pub(crate) fn gain(value: i64, position: &Position) -> f64 {
    (value - position.cost_basis) as f64 / position.cost_basis as f64
}
