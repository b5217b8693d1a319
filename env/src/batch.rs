//! The batched environment: many accounts, each living one symbol-session at a time.
//!
//! Buffers between lanes and learner are struct-of-arrays and belong to the caller. A lane's own state is one small
//! struct, because a step touches all of it; lanes are stepped in blocks of fixed size, in parallel, so that sums never
//! depend on the number of threads.

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Account, ActionMask, Day, EXIT_REASONS, EnvConfig, EnvError, Episode, Ledger, Market, ObsOut, ObsSpec, Position,
    RewardTerms, Setup, StepOut, Trade, VecEnv,
    account::Fees,
    action::{ACTION_NAMES, Action, FLAT_MASK, FORCED_MASK, HOLDING_MASK},
    contract::MULTIPLIER,
    draw::Deck,
    exits::{ExitMode, ExitOrder, ExitReason, ExitState},
    option::Right,
    reward::FlatDecision,
    tape::right_bit,
};

/// The lane's own columns of an observation; all zero when flat.
///
/// `side` is +1 for a call and -1 for a put. `delta` to `vega` are the option tape's bounded greeks. `unrealised` and
/// `peak` are gains on the cost basis within -1 and 3, `minutes_held` is in hours up to 4, and `size_left` is the part of
/// the bought contracts still held.
pub const ACCOUNT_COLUMNS: [&str; 9] =
    ["side", "delta", "gamma", "theta", "vega", "unrealised", "peak", "hours_held", "size_left"];
const COLUMNS: usize = ACCOUNT_COLUMNS.len();
/// Lanes per block.
const BLOCK: usize = 256;
const GAIN_BOUND: f64 = 3.0;

/// One account in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Lane {
    day: u32,
    /// The bar at whose close the next decision is taken.
    bar: u32,
    episode: u32,
    /// A replay's lane that has played its session.
    finished: bool,
    account: Account,
    /// Liquidation value of the whole account at the last mark, in cents.
    equity: i64,
    /// The rules' order for the next open.
    order: Option<ExitOrder>,
    /// Bar at whose open the position was bought, and what the setup said.
    entry_bar: u32,
    entry_setup: Setup,
    steps: u32,
    held_steps: u32,
    trades: u32,
    fees: i64,
    reward: f64,
}

impl Lane {
    fn open(day: u32, episode: u32, capital: f64) -> Self {
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
            steps: 0,
            held_steps: 0,
            trades: 0,
            fees: 0,
            reward: 0.0,
        }
    }
}

/// Lanes stepped by one thread, with their own sums.
#[derive(Debug, Clone)]
struct Block {
    first_lane: u32,
    lanes: Vec<Lane>,
    ledger: Ledger,
    episodes: Vec<Episode>,
    trades: Vec<Trade>,
}

/// What every lane needs and none changes.
#[derive(Debug, Clone)]
struct Rules {
    market: Arc<Market>,
    config: EnvConfig,
    /// Where training lanes get their next session; a replay has none.
    deck: Option<Deck>,
}

/// Many accounts replaying sessions of one market.
#[derive(Debug, Clone)]
pub struct BatchEnv {
    rules: Rules,
    days: Vec<u32>,
    spec: ObsSpec,
    blocks: Vec<Block>,
    ledger: Ledger,
}

#[derive(Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    ledgers: Vec<Ledger>,
}

impl BatchEnv {
    /// Creates a training environment: every lane draws session after session, for ever, from a stream of its own.
    ///
    /// # Errors
    /// No lanes, no days, or a configuration fault.
    pub fn new(
        market: Arc<Market>,
        days: Vec<u32>,
        config: EnvConfig,
        lanes: usize,
        seed: u64,
    ) -> Result<Self, EnvError> {
        let deck = Deck::new(&market, &days, config.draw, seed);
        Self::with_lanes(market, days, config, lanes, Some(deck))
    }

    /// Creates a replay: one lane per session, each played exactly once; closed positions are recorded.
    ///
    /// # Errors
    /// No days, or a configuration fault.
    pub fn replay(market: Arc<Market>, days: Vec<u32>, config: EnvConfig) -> Result<Self, EnvError> {
        let lanes = days.len();
        Self::with_lanes(market, days, config, lanes, None)
    }

    fn with_lanes(
        market: Arc<Market>,
        days: Vec<u32>,
        config: EnvConfig,
        lanes: usize,
        deck: Option<Deck>,
    ) -> Result<Self, EnvError> {
        let mut faults = config.check();
        if days.is_empty() {
            return Err(EnvError::NoDays);
        }
        if lanes == 0 {
            return Err(EnvError::NoLanes);
        }
        let shortest = days.iter().map(|&d| market.days()[d as usize].bars).min().unwrap_or(0);
        if shortest < config.exits.flat_before_close + 2 {
            faults.push(format!(
                "env.exits.flat_before_close: {} minutes leave nothing of a session of {shortest} minutes",
                config.exits.flat_before_close
            ));
        }
        if !faults.is_empty() {
            return Err(EnvError::Config(faults));
        }
        let spec = ObsSpec {
            features: Market::feature_names(),
            frames: market.frames(),
            account: ACCOUNT_COLUMNS.map(str::to_owned).to_vec(),
            actions: ACTION_NAMES.map(str::to_owned).to_vec(),
        };
        let rules = Rules { market, config, deck };
        let blocks = (0..lanes).step_by(BLOCK).map(|first| Block::new(first, lanes, &days, &rules)).collect();
        Ok(Self { rules, days, spec, blocks, ledger: Ledger::default() })
    }

    /// Returns the market that is replayed.
    pub fn market(&self) -> &Arc<Market> {
        &self.rules.market
    }

    /// Returns the sessions that are played, as indices into the market's days.
    pub fn days(&self) -> &[u32] {
        &self.days
    }

    /// Moves the positions that a replay closed since the last call into `out`, in lane order within a step.
    pub fn drain_trades(&mut self, out: &mut Vec<Trade>) {
        for block in &mut self.blocks {
            out.append(&mut block.trades);
        }
    }

    fn observe(&self, out: &mut ObsOut<'_>) {
        let lanes = self.blocks.iter().flat_map(|block| &block.lanes);
        let rows = out.row.iter_mut().zip(out.account.chunks_exact_mut(COLUMNS)).zip(out.mask.iter_mut());
        for (lane, ((row, account), mask)) in lanes.zip(rows) {
            self.rules.observe(lane, row, account, mask);
        }
    }

    fn sum_ledgers(&mut self) {
        self.ledger = Ledger::default();
        for block in &self.blocks {
            self.ledger.add(&block.ledger);
        }
    }
}

impl VecEnv for BatchEnv {
    fn lanes(&self) -> usize {
        self.blocks.iter().map(|block| block.lanes.len()).sum()
    }

    fn spec(&self) -> &ObsSpec {
        &self.spec
    }

    fn tape(&self) -> &[f32] {
        self.rules.market.features()
    }

    fn visible_rows(&self) -> Vec<Range<usize>> {
        self.days.iter().map(|&day| self.rules.market.days()[day as usize].rows()).collect()
    }

    fn reset(&mut self, mut out: ObsOut<'_>) {
        let lanes = self.lanes();
        for block in &mut self.blocks {
            *block = Block::new(block.first_lane as usize, lanes, &self.days, &self.rules);
        }
        self.sum_ledgers();
        self.observe(&mut out);
    }

    fn step(&mut self, actions: &[u8], out: StepOut<'_>) {
        let StepOut { next, reward, terminated, truncated, .. } = out;
        assert_eq!(actions.len(), self.lanes(), "one action per lane");
        truncated.fill(false);
        let rules = &self.rules;
        if let [block] = self.blocks.as_mut_slice() {
            block.step(rules, actions, next.row, next.account, next.mask, reward, terminated);
        } else {
            let work = (
                self.blocks.par_iter_mut(),
                actions.par_chunks(BLOCK),
                next.row.par_chunks_mut(BLOCK),
                next.account.par_chunks_mut(BLOCK * COLUMNS),
                next.mask.par_chunks_mut(BLOCK),
                reward.par_chunks_mut(BLOCK),
                terminated.par_chunks_mut(BLOCK),
            );
            work.into_par_iter().for_each(|(block, actions, row, account, mask, reward, terminated)| {
                block.step(rules, actions, row, account, mask, reward, terminated);
            });
        }
        self.sum_ledgers();
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn finished(&self) -> bool {
        self.blocks.iter().flat_map(|block| &block.lanes).all(|lane| lane.finished)
    }

    fn drain_episodes(&mut self, out: &mut Vec<Episode>) {
        for block in &mut self.blocks {
            out.append(&mut block.episodes);
        }
    }

    fn state(&self) -> String {
        let state = State {
            lanes: self.blocks.iter().flat_map(|block| block.lanes.clone()).collect(),
            ledgers: self.blocks.iter().map(|block| block.ledger.clone()).collect(),
        };
        serde_json::to_string(&state).expect("numbers and enums always become JSON")
    }

    fn restore(&mut self, state: &str, mut out: ObsOut<'_>) -> Result<(), String> {
        let state: State = serde_json::from_str(state).map_err(|e| format!("not a state of this environment: {e}"))?;
        if state.lanes.len() != self.lanes() || state.ledgers.len() != self.blocks.len() {
            return Err(format!("the state has {} lanes, this environment {}", state.lanes.len(), self.lanes()));
        }
        if let Some(lane) = state.lanes.iter().find(|lane| !self.rules.holds(lane, &self.days)) {
            return Err(format!("the state plays bar {} of session {}, which is not here", lane.bar, lane.day));
        }
        let mut lanes = state.lanes.into_iter();
        for (block, ledger) in self.blocks.iter_mut().zip(state.ledgers) {
            block.lanes.iter_mut().zip(&mut lanes).for_each(|(old, new)| *old = new);
            block.ledger = ledger;
        }
        self.sum_ledgers();
        self.observe(&mut out);
        Ok(())
    }
}

impl Block {
    fn new(first: usize, lanes: usize, days: &[u32], rules: &Rules) -> Self {
        let open = |lane: usize| {
            let day = rules.deck.as_ref().map_or_else(|| days[lane], |deck| deck.draw(lane as u32, 0));
            Lane::open(day, 0, rules.config.account.capital)
        };
        let lanes: Vec<Lane> = (first..(first + BLOCK).min(lanes)).map(open).collect();
        let episodes = Vec::with_capacity(lanes.len());
        Self { first_lane: first as u32, lanes, ledger: Ledger::default(), episodes, trades: Vec::new() }
    }

    #[expect(clippy::too_many_arguments, reason = "one slice per column of the rollout buffer")]
    fn step(
        &mut self,
        rules: &Rules,
        actions: &[u8],
        row: &mut [u32],
        account: &mut [f32],
        mask: &mut [ActionMask],
        reward: &mut [f32],
        terminated: &mut [bool],
    ) {
        let account = account.chunks_exact_mut(COLUMNS);
        let outputs = row.iter_mut().zip(account).zip(mask).zip(reward).zip(terminated);
        let lanes = self.lanes.iter_mut().zip(self.first_lane..).zip(actions);
        for (((lane, number), &action), ((((row, account), mask), reward), terminated)) in lanes.zip(outputs) {
            let mut play = Play { rules, number, ledger: &mut self.ledger, trades: &mut self.trades };
            (*reward, *terminated) = play.step(lane, action);
            if *terminated {
                self.episodes.push(rules.summary(lane, number));
                rules.next_session(lane, number);
            }
            rules.observe(lane, row, account, mask);
        }
    }
}

impl Rules {
    /// Returns the bar at whose open everything is sold.
    fn last_bar(&self, day: &Day) -> u32 {
        day.bars - self.config.exits.flat_before_close
    }

    fn mask(&self, lane: &Lane) -> ActionMask {
        match (lane.account.position, lane.order, self.config.exits.mode) {
            (None, ..) if !lane.finished => FLAT_MASK,
            (Some(_), None, ExitMode::Agent) => HOLDING_MASK,
            _ => FORCED_MASK,
        }
    }

    fn day(&self, lane: &Lane) -> &Day {
        &self.market.days()[lane.day as usize]
    }

    fn fees<'a>(&'a self, day: &'a Day) -> Fees<'a> {
        Fees { spec: &day.spec, costs: &self.config.costs }
    }

    fn observe(&self, lane: &Lane, row: &mut u32, account: &mut [f32], mask: &mut ActionMask) {
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

    fn next_session(&self, lane: &mut Lane, number: u32) {
        match &self.deck {
            Some(deck) => {
                let episode = lane.episode.wrapping_add(1);
                *lane = Lane::open(deck.draw(number, episode), episode, self.config.account.capital);
            }
            None => lane.finished = true,
        }
    }

    fn summary(&self, lane: &Lane, number: u32) -> Episode {
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
    fn holds(&self, lane: &Lane, days: &[u32]) -> bool {
        if !days.contains(&lane.day) {
            return false;
        }
        let day = self.day(lane);
        let contract = lane.account.position.map_or(0, |position| position.contract);
        lane.bar < self.last_bar(day) && self.market.holds_contract(day, contract)
    }
}

/// Gain of a liquidation value on the position's cost basis.
fn gain(value: i64, position: &Position) -> f64 {
    (value - position.cost_basis) as f64 / position.cost_basis as f64
}

/// One lane's step, with the sums it adds to.
struct Play<'a> {
    rules: &'a Rules,
    number: u32,
    ledger: &'a mut Ledger,
    trades: &'a mut Vec<Trade>,
}

impl Play<'_> {
    /// Plays the decision at the close of `lane.bar` through to the close of the next bar. Returns the reward and whether
    /// the session is over.
    fn step(&mut self, lane: &mut Lane, action: u8) -> (f32, bool) {
        if lane.finished {
            return (0.0, false);
        }
        let (rules, mask) = (self.rules, self.rules.mask(lane));
        let action = Action::from_index(action)
            .filter(|_| mask.allows(action))
            .unwrap_or_else(|| panic!("action {action} is not legal in lane {} (mask {:#08b})", self.number, mask.0));
        let day = rules.day(lane);
        let next = lane.bar + 1;
        let mut terms = if lane.account.position.is_some() {
            self.count_held(lane, action, mask);
            RewardTerms::default()
        } else {
            self.enter(lane, day, action)
        };
        let entry_cost = lane.account.position.map_or(1, |position| position.entry_cost);
        if lane.held_since(next) {
            self.exit(lane, day, action, next);
        }
        let over = next + 1 == rules.last_bar(day);
        if over {
            self.flatten(lane, day, next + 1);
        }
        terms.pnl = rules.config.reward.money(self.mark(lane, day, next), entry_cost);
        lane.bar = next;
        lane.steps += 1;
        let reward = terms.total();
        lane.reward += f64::from(reward);
        self.count_terms(&terms);
        self.ledger.steps += 1;
        self.ledger.sessions += u64::from(over);
        (reward, over)
    }

    /// Carries out a flat account's decision at the next open, and returns its shaping.
    fn enter(&mut self, lane: &mut Lane, day: &Day, action: Action) -> RewardTerms {
        let signal = self.rules.market.signal(day.first_row + lane.bar);
        self.ledger.flat_actions[signal.setup as usize][action.index()] += 1;
        let right = match action {
            Action::BuyCall => Some(Right::Call),
            Action::BuyPut => Some(Right::Put),
            _ => None,
        };
        let filled = right.is_some_and(|right| {
            let contract = 2 * signal.at_the_money + right_bit(right);
            let quote = self.rules.market.quote(day, contract, lane.bar + 1).open;
            let config = &self.rules.config;
            let fill = lane.account.buy(action, contract, quote, &config.account, self.rules.fees(day));
            self.ledger.refused_orders += u64::from(fill.is_none());
            fill.is_some_and(|fill| {
                lane.entry_bar = lane.bar + 1;
                lane.entry_setup = signal.setup;
                lane.fees += fill.fees;
                self.ledger.opened += 1;
                self.ledger.fees_cents += fill.fees;
                self.ledger.premium_cents += fill.premium;
                true
            })
        });
        let terms = self.rules.config.reward.shape(&FlatDecision {
            action,
            filled,
            setup: signal.setup,
            bull_chase: signal.bull_chase,
            bear_chase: signal.bear_chase,
        });
        self.count_triggers(action, filled, &signal);
        terms
    }

    /// Carries out the rules' order, or else the policy's, at the open of bar `next`.
    fn exit(&mut self, lane: &mut Lane, day: &Day, action: Action, next: u32) {
        let by_agent = |sell| Some(ExitOrder { sell, reason: ExitReason::Agent });
        let order = lane.order.or(match action {
            Action::Trim50 => by_agent(0.5),
            Action::Trim70 => by_agent(0.7),
            Action::Exit => by_agent(1.0),
            _ => None,
        });
        let Some(order) = order else { return };
        if self.sell(lane, day, order, next) {
            lane.order = None;
        } else {
            self.ledger.refused_orders += 1;
        }
    }

    /// Sells at the open of a bar; returns whether there was a bid.
    fn sell(&mut self, lane: &mut Lane, day: &Day, order: ExitOrder, bar: u32) -> bool {
        let Some(position) = &lane.account.position else { return true };
        let quote = self.rules.market.quote(day, position.contract, bar).open;
        let Some(fill) = lane.account.sell(order.sell, quote, self.rules.fees(day)) else { return false };
        lane.fees += fill.fees;
        self.ledger.fees_cents += fill.fees;
        if let Some(position) = &mut lane.account.position {
            position.tier += u8::from(order.reason == ExitReason::TakeProfit);
        }
        if let Some(closed) = lane.account.close() {
            self.record(lane, day, &closed, order.reason, bar);
        }
        true
    }

    /// Sells everything before the bell; what finds no bid expires without value.
    fn flatten(&mut self, lane: &mut Lane, day: &Day, bar: u32) {
        let order = ExitOrder { sell: 1.0, reason: ExitReason::EndOfDay };
        if !self.sell(lane, day, order, bar)
            && let Some(expired) = lane.account.expire()
        {
            self.record(lane, day, &expired, ExitReason::ExpiredWorthless, bar);
        }
        lane.order = None;
    }

    /// Marks the account at the close of bar `next`, lets the rules look at it, and returns the change since the last mark.
    fn mark(&mut self, lane: &mut Lane, day: &Day, next: u32) -> i64 {
        let value = match lane.account.position {
            None => 0,
            Some(position) => {
                let quote = self.rules.market.quote(day, position.contract, next).close;
                lane.account.liquidation(quote, self.rules.fees(day))
            }
        };
        let change = lane.account.cash + value - lane.equity;
        lane.equity += change;
        self.ledger.net_pnl_cents += change;
        if let Some(position) = &mut lane.account.position {
            let gain = gain(value, position);
            position.peak = position.peak.max(gain);
            let state =
                ExitState { gain, peak: position.peak, minutes_held: next + 1 - lane.entry_bar, tier: position.tier };
            lane.order = lane.order.or_else(|| self.rules.config.exits.order(state));
        }
        change
    }

    fn count_held(&mut self, lane: &mut Lane, action: Action, mask: ActionMask) {
        lane.held_steps += 1;
        self.ledger.held_steps += 1;
        if mask.is_forced() {
            self.ledger.forced_steps += 1;
        } else {
            self.ledger.held_actions[action.index()] += 1;
        }
    }

    fn count_triggers(&mut self, action: Action, filled: bool, signal: &crate::market::Signal) {
        let (with_setup, chase) = match action {
            Action::BuyCall => (signal.setup == Setup::BullStrong, signal.bull_chase),
            Action::BuyPut => (signal.setup == Setup::BearStrong, signal.bear_chase),
            _ => (false, false),
        };
        self.ledger.good_buy += u64::from(filled && with_setup);
        self.ledger.bad_chase += u64::from(filled && chase);
        self.ledger.missed_opportunity += u64::from(action == Action::Hold && signal.setup != Setup::Weak);
    }

    fn count_terms(&mut self, terms: &RewardTerms) {
        for (i, value) in terms.values().into_iter().enumerate() {
            self.ledger.reward_terms[i] += f64::from(value);
            self.ledger.reward_terms_abs[i] += f64::from(value.abs());
        }
    }

    fn record(&mut self, lane: &mut Lane, day: &Day, closed: &Position, reason: ExitReason, bar: u32) {
        let net_pnl_cents = closed.net_pnl();
        let net_return = net_pnl_cents as f64 / closed.entry_cost as f64;
        lane.trades += 1;
        self.ledger.exits[reason as usize] += 1;
        self.ledger.wins += u64::from(net_pnl_cents > 0);
        self.ledger.trade_return += net_return;
        if self.rules.deck.is_some() {
            return;
        }
        self.trades.push(Trade {
            lane: self.number,
            symbol: day.symbol.to_string(),
            date: day.date,
            side: closed.side,
            strike: day.strike(closed.contract),
            entry_ts_ns: day.bar_ns(lane.entry_bar),
            exit_ts_ns: day.bar_ns(bar),
            contracts: closed.bought,
            entry_price: f64::from(closed.entry_price) / 100.0,
            exit_price: closed.sold_premium as f64 / (MULTIPLIER * i64::from(closed.bought)) as f64 / 100.0,
            fees_cents: closed.fees,
            net_pnl_cents,
            net_return,
            reason: EXIT_REASONS[reason as usize].to_owned(),
            setup: lane.entry_setup,
        });
    }
}

impl Lane {
    /// Returns whether the position was already held at the close before bar `next` opened.
    fn held_since(&self, next: u32) -> bool {
        self.account.position.is_some() && self.entry_bar < next
    }
}
