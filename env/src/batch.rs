//! The batched environment: many accounts, each in one symbol-session at a time.
//!
//! Buffers between lanes and learner are struct-of-arrays and belong to the caller. A lane's state is one small struct,
//! because a step uses all of it. Lanes are stepped in parallel in blocks of fixed size, so sums never depend on the number
//! of threads.

pub(crate) mod lane;
pub(crate) mod session_sampler;
pub(crate) mod step;

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    ActionMask, ClosedTrade, EnvConfig, EnvError, Episode, Ledger, Market, ObsOut, ObsSpec, RewardConfig, Sale,
    StepOut, Trade, VecEnv,
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
}

#[derive(Serialize, Deserialize)]
struct State {
    lanes: Vec<Lane>,
    ledgers: Vec<Ledger>,
    sales: Vec<Vec<Sale>>,
}

impl BatchEnv {
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
        Ok(Self { rules, days, spec, blocks, ledger: Ledger::default() })
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
        let (ledger, trades, closed) = (Ledger::default(), Vec::new(), Vec::new());
        Self { first_lane: first as u32, lanes, ledger, episodes, trades, closed, sales }
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
            let sales = self.sales.get_mut((number - self.first_lane) as usize);
            let record = match sales {
                Some(sales) => Record::Replay { sales, trades: &mut self.trades },
                None => Record::Training(&mut self.closed),
            };
            let mut play = LaneStep { rules, number, ledger: &mut self.ledger, record: Some(record) };
            (*reward, *terminated) = play.step(lane, action);
            if *terminated {
                self.episodes.push(rules.summary(lane, number));
                rules.next_session(lane, number);
            }
            rules.observe(lane, row, account, mask);
        }
    }
}
