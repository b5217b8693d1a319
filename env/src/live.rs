//! A session in progress: one account, played from the open to the newest bar by actions that are given.

use std::sync::Arc;

use crate::{Action, ActionMask, BatchEnv, EnvConfig, EnvError, Market, ObsSpec, StepBuffers, VecEnv};

/// An account in a session of which the bars so far are known. It places no orders: fills are those of a replay.
///
/// The market holds this session alone, of a history that [`History::known_after`](market_data::History::known_after) has cut at
/// the newest bar. Observation and mask at every bar are then those of a replay of the whole session.
///
/// ```
/// # use std::sync::Arc;
/// # use market_data::{DataConfig, Dataset, Symbol, Window, calendar, source::synthetic};
/// use market_env::{Action, EnvConfig, LiveSession, Market, MarketConfig};
///
/// # let mut config = DataConfig::default();
/// # config.synthetic.sessions_to = "2024-01-12".parse()?;
/// # let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// # let date = "2024-01-12".parse()?;
/// # let session = calendar::session(date).ok_or("no session")?;
/// # let window = Window { from: Some(date), ..Window::default() };
/// // The bars from 09:30 to 09:32 have ended.
/// let dataset = Dataset::build(&history.known_after(&session, 2)?, &window, &config)?;
/// let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
/// let mut live = LiveSession::start(market, EnvConfig::default(), 2)?;
/// live.step(Action::Hold)?;
/// live.step(Action::BuyCall)?;
/// assert!(live.is_current() && live.mask().allows(Action::Exit as u8));
/// assert!(live.step(Action::BuyPut).is_err(), "it holds a call, bought at the open of 09:32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LiveSession {
    env: BatchEnv,
    lane: StepBuffers,
    bar: u32,
    newest: u32,
    over: bool,
}

impl LiveSession {
    /// Starts at the close of the first bar; `newest` is the number of the newest bar.
    ///
    /// # Errors
    /// [`EnvError::NoDays`] for a market without the session, [`EnvError::Config`] for a faulty configuration.
    pub fn start(market: Arc<Market>, config: EnvConfig, newest: u32) -> Result<Self, EnvError> {
        let last = market.days().len().checked_sub(1).ok_or(EnvError::NoDays)?;
        let mut env = BatchEnv::replay(market, vec![last as u32], config)?;
        let lane = StepBuffers::reset(&mut env);
        Ok(Self { env, lane, bar: 0, newest, over: false })
    }

    /// Returns the number of the bar at whose close the account stands.
    pub fn bar(&self) -> u32 {
        self.bar
    }

    /// Returns whether the account stands at the newest bar, or has ended the session before.
    pub fn is_current(&self) -> bool {
        self.over || self.bar >= self.newest
    }

    /// Returns whether the session has ended: the account is flat, and no decision is left.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Returns the P&L after all costs of the bars played, in cents, an open position at its liquidation value.
    pub fn net_pnl_cents(&self) -> i64 {
        self.env.ledger().net_pnl_cents
    }

    /// Returns the layout of the observation.
    pub fn spec(&self) -> &ObsSpec {
        self.env.spec()
    }

    /// Returns the observation at the close of [`bar`](Self::bar): the frames from the oldest to the newest, then the account's
    /// columns, none of them normalised. `[W·F + A]`
    pub fn observation(&self) -> Vec<f32> {
        let (row, account) = match self.over {
            true => self.lane.last(),
            false => (&self.lane.row[..], &self.lane.account[..]),
        };
        let (width, end) = (self.env.spec().features.len(), row[0] as usize + 1);
        let frames = &self.env.tape()[(end - self.env.spec().frames) * width..end * width];
        [frames, account].concat()
    }

    /// Returns the legal actions; HOLD alone once the session is over.
    pub fn mask(&self) -> ActionMask {
        if self.over { ActionMask::of(&[Action::Hold as u8]) } else { self.lane.mask[0] }
    }

    /// Acts at the close of [`bar`](Self::bar), and moves to the next one. Nothing changes at the newest bar, whose order is not
    /// filled yet, and after the end.
    ///
    /// # Errors
    /// [`EnvError::Illegal`]; the account stands where it stood.
    pub fn step(&mut self, action: Action) -> Result<(), EnvError> {
        if !self.mask().allows(action as u8) {
            let legal = Action::ALL.iter().filter(|action| self.mask().allows(**action as u8));
            let legal = legal.map(|action| action.name()).collect::<Vec<_>>().join(", ");
            return Err(EnvError::Illegal { action: action.name(), legal });
        }
        if !self.is_current() {
            self.lane.step(&mut self.env, &[action as u8]);
            (self.bar, self.over) = (self.bar + 1, self.lane.terminated[0]);
        }
        Ok(())
    }
}
