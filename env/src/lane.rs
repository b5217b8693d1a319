//! One lane: an account in a session, what a policy sees of it, and which session comes next.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Account, ActionMask, Day, EnvConfig, Episode, Market, Position, Sale, Setup,
    account::Fees,
    action::{Action, FLAT_MASK, FORCED_MASK, HOLDING_MASK},
    draw::Deck,
    exits::{ExitMode, ExitOrder},
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

/// One account in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) day: u32,
    /// The bar at whose close the next decision is taken.
    pub(crate) bar: u32,
    pub(crate) episode: u32,
    /// A replay's lane that has played its session.
    pub(crate) finished: bool,
    pub(crate) account: Account,
    /// Liquidation value of the whole account at the last mark, in cents.
    pub(crate) equity: i64,
    /// The rules' order for the next open.
    pub(crate) order: Option<ExitOrder>,
    /// Bar at whose open the position was bought, and what the setup said.
    pub(crate) entry_bar: u32,
    pub(crate) entry_setup: Setup,
    /// What was sold of the position so far; training lanes keep no record.
    pub(crate) sales: Vec<Sale>,
    pub(crate) steps: u32,
    pub(crate) held_steps: u32,
    pub(crate) trades: u32,
    pub(crate) fees: i64,
    pub(crate) reward: f64,
}

impl Lane {
    pub(crate) fn open(day: u32, episode: u32, capital: f64) -> Self {
        let account = Account::new(capital);
        Self {
            day,
            bar: 0,
            episode,
            finished: false,
            account,
            equity: account.cash,
            order: None,
            entry_bar: 0,
            entry_setup: Setup::Weak,
            sales: Vec::new(),
            steps: 0,
            held_steps: 0,
            trades: 0,
            fees: 0,
            reward: 0.0,
        }
    }

    /// Returns whether the position was already held at the close before bar `next` opened.
    pub(crate) fn held_since(&self, next: u32) -> bool {
        self.account.position.is_some() && self.entry_bar < next
    }
}

/// What every lane needs and none changes.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) market: Arc<Market>,
    pub(crate) config: EnvConfig,
    /// Where training lanes get their next session; a replay has none.
    pub(crate) deck: Option<Deck>,
}

impl Rules {
    /// Returns the bar at whose open everything is sold.
    pub(crate) fn last_bar(&self, day: &Day) -> u32 {
        day.bars - self.config.exits.flat_before_close
    }

    pub(crate) fn mask(&self, lane: &Lane) -> ActionMask {
        match (lane.account.position, lane.order, self.config.exits.mode) {
            (None, ..) if !lane.finished => FLAT_MASK,
            (Some(_), None, ExitMode::Agent) => HOLDING_MASK,
            _ => FORCED_MASK,
        }
    }

    pub(crate) fn day(&self, lane: &Lane) -> &Day {
        &self.market.days()[lane.day as usize]
    }

    pub(crate) fn fees<'a>(&'a self, day: &'a Day) -> Fees<'a> {
        Fees { spec: &day.spec, costs: &self.config.costs }
    }

    pub(crate) fn observe(&self, lane: &Lane, row: &mut u32, account: &mut [f32], mask: &mut ActionMask) {
        let day = self.day(lane);
        *row = day.first_row + lane.bar;
        *mask = self.mask(lane);
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
                *lane = Lane::open(deck.draw(number, episode), episode, self.config.account.capital);
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
            trades: lane.trades,
            held_steps: lane.held_steps,
        }
    }

    /// Returns whether a restored lane can go on here.
    pub(crate) fn holds(&self, lane: &Lane, days: &[u32]) -> bool {
        if !days.contains(&lane.day) {
            return false;
        }
        let day = self.day(lane);
        let contract = lane.account.position.map_or(0, |position| position.contract);
        lane.bar < self.last_bar(day) && self.market.holds_contract(day, contract)
    }
}

/// Gain of a liquidation value on the position's cost basis.
pub(crate) fn gain(value: i64, position: &Position) -> f64 {
    (value - position.cost_basis) as f64 / position.cost_basis as f64
}
