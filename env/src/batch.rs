//! The batched environment: many accounts, each in one symbol-session at a time.
//!
//! Buffers between lanes and learner are struct-of-arrays and belong to the caller. A lane's state is one small struct,
//! because a step uses all of it. Lanes are stepped in parallel in blocks of fixed size, so sums never depend on the number
//! of threads.

pub(crate) mod lane;
mod own_terms;
pub(crate) mod session_sampler;
pub(crate) mod step;

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    ClosedTrade, EnvConfig, EnvError, Episode, Ledger, Market, ObsOut, ObsSpec, PerTerm, RewardConfig, Sale, StepOut,
    Trade, VecEnv,
    action::ACTION_NAMES,
    batch::{
        lane::{ACCOUNT_COLUMNS, COLUMNS, Lane, Rules},
        session_sampler::SessionSampler,
        step::{LaneStep, Record},
    },
};

/// Lanes per block.
const BLOCK: usize = 256;

/// Lanes stepped by one thread, with their own sums.
#[derive(Debug, Clone)]
struct Block {
    first_lane: u32,
    lanes: Vec<Lane>,
    ledger: Ledger,
    episodes: Vec<Episode>,
    /// Positions that a replay closed.
    trades: Vec<Trade>,
    /// Positions that training lanes closed.
    closed: Vec<ClosedTrade>,
    /// Sales of each lane's open position in a replay; training records nothing.
    sales: Vec<Vec<Sale>>,
    /// Reward of the last step by term, once [`BatchEnv::keep_reward_terms`] asked for it.
    terms: Vec<PerTerm<f32>>,
}

/// Many accounts replaying sessions of one market.
///
/// A replay plays every given session once, and records its trades:
///
/// ```
/// # use std::sync::Arc;
/// # use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
/// # let mut config = DataConfig::default();
/// # config.synthetic.sessions_to = "2024-01-12".parse()?;
/// # let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// # let dataset = Dataset::build(&history, &Window::default(), &config)?;
/// use market_env::{Action, BatchEnv, EnvConfig, Market, MarketConfig, StepBuffers, VecEnv};
///
/// # let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
/// let mut env = BatchEnv::replay(market, vec![0, 1], EnvConfig::default())?;
/// let mut lanes = StepBuffers::reset(&mut env);
/// while !env.finished() {
///     let put = Action::BuyPut.index() as u8;
///     let actions: Vec<u8> = lanes.mask.iter().map(|mask| if mask.allows(put) { put } else { 0 }).collect();
///     lanes.step(&mut env, &actions);
/// }
/// let (mut sessions, mut trades) = (Vec::new(), Vec::new());
/// env.drain_episodes(&mut sessions);
/// env.drain_trades(&mut trades);
/// let of_sessions: i64 = sessions.iter().map(|session| session.net_pnl_cents).sum();
/// let of_trades: i64 = trades.iter().map(|trade| trade.net_pnl_cents).sum();
/// assert_eq!((sessions.len(), of_sessions), (2, of_trades), "the trades account for every cent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchEnv {
    rules: Rules,
    days: Vec<u32>,
    spec: ObsSpec,
    blocks: Vec<Block>,
    ledger: Ledger,
    one_thread: bool,
}

/// The output of a step for the lanes of one block.
struct BlockOut<'a> {
    next: ObsOut<'a>,
    reward: &'a mut [f32],
    terminated: &'a mut [bool],
    last: ObsOut<'a>,
}

#[derive(Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    ledgers: Vec<Ledger>,
    sales: Vec<Vec<Sale>>,
}

impl BatchEnv {
    /// Bytes of one lane's state, all of which a step reads and writes.
    pub const LANE_BYTES: usize = std::mem::size_of::<Lane>();

    /// Creates a training environment: every lane draws sessions without end from its own random stream.
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
        let deck = SessionSampler::new(&market, &days, config.draw, seed);
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
        deck: Option<SessionSampler>,
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
            features: market.feature_names(),
            frames: market.frames(),
            account: ACCOUNT_COLUMNS.map(str::to_owned).to_vec(),
            actions: ACTION_NAMES.map(str::to_owned).to_vec(),
        };
        let rules = Rules::new(market, config, deck);
        let blocks = (0..lanes).step_by(BLOCK).map(|first| Block::new(first, lanes, &days, &rules)).collect();
        Ok(Self { rules, days, spec, blocks, ledger: Ledger::default(), one_thread: false })
    }

    /// Returns the replayed market.
    pub fn market(&self) -> &Arc<Market> {
        &self.rules.market
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns the configuration.
    pub fn config(&self) -> &EnvConfig {
        &self.rules.config
    }

    /// Replaces the reward from the next step on. Lanes and counters stay as they are.
    ///
    /// # Errors
    /// A faulty weight; the old reward then stays.
    pub fn set_reward(&mut self, reward: RewardConfig) -> Result<(), EnvError> {
        let mut faults = Vec::new();
        reward.check(&mut faults);
        if !faults.is_empty() {
            return Err(EnvError::Config(faults));
        }
        self.rules.config.reward = reward;
        Ok(())
    }

    /// Returns the played sessions, as indices into the market's days.
    pub fn days(&self) -> &[u32] {
        &self.days
    }

    /// Moves the positions that a replay closed since the last call into `out`, in lane order within a step.
    pub fn drain_trades(&mut self, out: &mut Vec<Trade>) {
        for block in &mut self.blocks {
            out.append(&mut block.trades);
        }
    }

    /// Steps all lanes on the calling thread from now on, without rayon. The results are the same.
    pub fn use_one_thread(&mut self) {
        self.one_thread = true;
    }

    /// Keeps the reward of every step by term from now on, for [`BatchEnv::reward_terms`].
    pub fn keep_reward_terms(&mut self) {
        for block in &mut self.blocks {
            block.terms = vec![PerTerm::default(); block.lanes.len()];
        }
    }

    /// Returns the reward of the last step by term, one entry per lane; none unless [`BatchEnv::keep_reward_terms`] was called.
    pub fn reward_terms(&self) -> impl Iterator<Item = &PerTerm<f32>> {
        self.blocks.iter().flat_map(|block| &block.terms)
    }

    /// Advances the lanes marked in `active` `[N]` by one action each, and leaves the others as they are: they earn nothing,
    /// count nothing, and show their current observation. Their actions are ignored.
    ///
    /// # Panics
    /// As [`VecEnv::step`].
    pub fn step_some(&mut self, actions: &[u8], active: &[bool], out: StepOut<'_>) {
        assert_eq!(active.len(), self.lanes(), "one mark per lane");
        self.advance(actions, out, |lane| active[lane]);
    }

    /// Starts the next session in the lanes marked in `chosen` `[N]`, which give up the rest of their current one, and writes the
    /// observation of every lane. A replay's lanes have no next session and finish.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn reset_some(&mut self, chosen: &[bool], mut out: ObsOut<'_>) {
        assert_eq!(chosen.len(), self.lanes(), "one mark per lane");
        let lanes = self.blocks.iter_mut().flat_map(|block| &mut block.lanes).zip(0..);
        for ((lane, number), _) in lanes.zip(chosen).filter(|(_, chosen)| **chosen) {
            self.rules.next_session(lane, number);
        }
        self.observe(&mut out);
    }

    /// Advances the lanes for which `active` holds.
    fn advance(&mut self, actions: &[u8], out: StepOut<'_>, active: impl Fn(usize) -> bool + Sync) {
        let StepOut { next, reward, terminated, truncated, last } = out;
        assert_eq!(actions.len(), self.lanes(), "one action per lane");
        truncated.fill(false);
        let rules = &self.rules;
        if let [block] = self.blocks.as_mut_slice() {
            block.step(rules, actions, BlockOut { next, reward, terminated, last }, active);
        } else {
            let outputs =
                chunks(next).zip(reward.chunks_mut(BLOCK)).zip(terminated.chunks_mut(BLOCK)).zip(chunks(last));
            let work = self.blocks.iter_mut().zip(actions.chunks(BLOCK)).zip(outputs);
            let step = |((block, actions), (((next, reward), terminated), last)): ((&mut Block, _), _)| {
                block.step(rules, actions, BlockOut { next, reward, terminated, last }, &active);
            };
            if self.one_thread {
                work.for_each(step);
            } else {
                work.collect::<Vec<_>>().into_par_iter().for_each(step);
            }
        }
        self.sum_ledgers();
    }

    fn observe(&mut self, out: &mut ObsOut<'_>) {
        let lanes = self.blocks.iter_mut().flat_map(|block| &mut block.lanes);
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

/// Splits an observation into those of the blocks.
fn chunks(out: ObsOut<'_>) -> impl Iterator<Item = ObsOut<'_>> {
    let ObsOut { row, account, mask } = out;
    let parts = row.chunks_mut(BLOCK).zip(account.chunks_mut(BLOCK * COLUMNS)).zip(mask.chunks_mut(BLOCK));
    parts.map(|((row, account), mask)| ObsOut { row, account, mask })
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
            let terms = std::mem::take(&mut block.terms);
            *block = Block::new(block.first_lane as usize, lanes, &self.days, &self.rules);
            block.terms = terms;
        }
        self.sum_ledgers();
        self.observe(&mut out);
    }

    fn step(&mut self, actions: &[u8], out: StepOut<'_>) {
        self.advance(actions, out, |_| true);
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

    fn drain_closed(&mut self, out: &mut Vec<ClosedTrade>) {
        for block in &mut self.blocks {
            out.append(&mut block.closed);
        }
    }

    fn state(&self) -> String {
        let state = State {
            lanes: self.blocks.iter().flat_map(|block| block.lanes.clone()).collect(),
            ledgers: self.blocks.iter().map(|block| block.ledger.clone()).collect(),
            sales: self.blocks.iter().flat_map(|block| block.sales.clone()).collect(),
        };
        serde_json::to_string(&state).expect("numbers and enums always become JSON")
    }

    fn restore(&mut self, state: &str, mut out: ObsOut<'_>) -> Result<(), String> {
        let state: State = serde_json::from_str(state).map_err(|e| format!("not a state of this environment: {e}"))?;
        if state.lanes.len() != self.lanes() || state.ledgers.len() != self.blocks.len() {
            return Err(format!("the state has {} lanes, this environment {}", state.lanes.len(), self.lanes()));
        }
        if state.sales.len() != self.blocks.iter().map(|block| block.sales.len()).sum::<usize>() {
            return Err("the state of a replay does not fit a training environment, nor the reverse".to_owned());
        }
        if let Some(lane) = state.lanes.iter().find(|lane| !self.rules.holds(lane, &self.days)) {
            return Err(format!(
                "the state is at bar {} of session {}, which this environment does not have",
                lane.bar, lane.day
            ));
        }
        let (mut lanes, mut sales) = (state.lanes.into_iter(), state.sales.into_iter());
        for (block, ledger) in self.blocks.iter_mut().zip(state.ledgers) {
            block.lanes.iter_mut().zip(&mut lanes).for_each(|(old, new)| *old = new);
            block.sales.iter_mut().zip(&mut sales).for_each(|(old, new)| *old = new);
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
            rules.open(day, 0)
        };
        let lanes: Vec<Lane> = (first..(first + BLOCK).min(lanes)).map(open).collect();
        let episodes = Vec::with_capacity(lanes.len());
        let sales = vec![Vec::new(); if rules.deck.is_some() { 0 } else { lanes.len() }];
        Self {
            first_lane: first as u32,
            lanes,
            ledger: Ledger::default(),
            episodes,
            trades: Vec::new(),
            closed: Vec::new(),
            sales,
            terms: Vec::new(),
        }
    }

    /// Advances the lanes for which `active` holds; `[N]` slices hold the lanes of this block.
    fn step(&mut self, rules: &Rules, actions: &[u8], out: BlockOut<'_>, active: impl Fn(usize) -> bool) {
        let BlockOut { next, reward, terminated, last } = out;
        for (index, (lane, &action)) in self.lanes.iter_mut().zip(actions).enumerate() {
            let (number, own) = (self.first_lane + index as u32, index * COLUMNS..(index + 1) * COLUMNS);
            let (mut terms, mut over, all_terms) = (PerTerm::default(), false, lane.own.is_some());
            if active(number as usize) {
                let record = match self.sales.get_mut(index) {
                    Some(sales) => Record::Replay { sales, trades: &mut self.trades },
                    None => Record::Training(&mut self.closed),
                };
                let mut play = LaneStep { rules, number, ledger: &mut self.ledger, record: Some(record) };
                (terms, over) = play.step(lane, action);
            }
            if over {
                rules.observe(lane, &mut last.row[index], &mut last.account[own.clone()], &mut last.mask[index]);
                self.episodes.push(rules.summary(lane, number));
                rules.next_session(lane, number);
            }
            rules.observe(lane, &mut next.row[index], &mut next.account[own], &mut next.mask[index]);
            (reward[index], terminated[index]) = (terms.reward(all_terms), over);
            if let Some(kept) = self.terms.get_mut(index) {
                *kept = terms;
            }
        }
    }
}
