//! The interface of a learner: lanes stepped together, observations as an index into a tape plus a short account row.
//!
//! Letters: `N` lanes, `T` tape rows, `F` features per row, `W` frames per observation, `A` account columns, `K` actions.

pub(crate) mod episode;
pub(crate) mod ledger;

use std::ops::Range;

use crate::{ClosedTrade, Episode, Ledger, action::ActionMask};

/// The layout of an observation; two specs are interchangeable only when they are equal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObsSpec {
    /// Names of the tape's columns, in order (`F`).
    pub features: Vec<String>,
    /// Tape rows per observation (`W ≥ 1`): the rows `row + 1 - W ..= row`, oldest first.
    pub frames: usize,
    /// Names of the lane's own columns, in order (`A`).
    pub account: Vec<String>,
    /// Names of the actions, in order (`K ≤ 8`).
    pub actions: Vec<String>,
}

impl ObsSpec {
    /// Returns the number of inputs of a policy: `W · F + A`.
    pub fn inputs(&self) -> usize {
        self.frames * self.features.len() + self.account.len()
    }
}

/// One observation of every lane, in buffers that the caller owns.
#[derive(Debug)]
pub struct ObsOut<'a> {
    /// Newest tape row of the lane's observation. `[N]`
    pub row: &'a mut [u32],
    /// The lane's own columns. `[N, A]`
    pub account: &'a mut [f32],
    /// Legal actions, never empty. `[N]`
    pub mask: &'a mut [ActionMask],
}

/// The output of a step, in buffers that the caller owns: rows of a rollout buffer.
#[derive(Debug)]
pub struct StepOut<'a> {
    /// The next observation; after an episode's end, the first one of the lane's next episode.
    pub next: ObsOut<'a>,
    /// Reward of this step. `[N]`
    pub reward: &'a mut [f32],
    /// Terminated episodes: the value after the step is zero. `[N]`
    pub terminated: &'a mut [bool],
    /// Truncated episodes: the value of the final observation still counts. `[N]`
    pub truncated: &'a mut [bool],
    /// The observation at an episode's end. Written for truncated lanes, and by [`BatchEnv`](crate::BatchEnv) for terminated ones
    /// too; `mask` is ignored there.
    pub last: ObsOut<'a>,
}

/// Many environments stepped as one batch.
///
/// The result is deterministic in (construction, actions) and never depends on the number of threads.
///
/// A caller is generic over the environment; [`StepBuffers`] holds the current observation:
///
/// ```
/// # use std::sync::Arc;
/// # use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
/// # let mut config = DataConfig::default();
/// # config.synthetic.sessions_to = "2024-01-12".parse()?;
/// # let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?])?;
/// # let dataset = Dataset::build(&history, &Window::default(), &config)?;
/// use market_env::{BatchEnv, EnvConfig, Market, MarketConfig, StepBuffers, VecEnv};
///
/// /// Holds for some steps; returns the sum of all rewards.
/// fn hold(env: &mut impl VecEnv, steps: usize) -> f32 {
///     let actions = vec![0; env.lanes()];
///     let mut lanes = StepBuffers::reset(env);
///     (0..steps).map(|_| { lanes.step(env, &actions); lanes.reward.iter().sum::<f32>() }).sum()
/// }
///
/// # let market = Arc::new(Market::build(&dataset.symbols, &MarketConfig::default())?);
/// let mut env = BatchEnv::new(market, vec![0], EnvConfig::default(), 16, 1)?;
/// let reward = hold(&mut env, 100);
/// assert!(reward < 0.0, "HOLD is taxed, and strong setups are missed");
/// assert_eq!((env.ledger().steps, env.ledger().opened), (1600, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait VecEnv {
    /// Returns the number of lanes `N`.
    fn lanes(&self) -> usize;

    /// Returns the shape and the names of an observation.
    fn spec(&self) -> &ObsSpec;

    /// Returns the feature tape, row-major `[T, F]`; the same for the whole life of the environment.
    fn tape(&self) -> &[f32];

    /// Returns the tape rows that this environment's episodes can show: the rows on which a normaliser is fitted.
    fn visible_rows(&self) -> Vec<Range<usize>>;

    /// Starts a first episode in every lane and writes its first observation.
    fn reset(&mut self, out: ObsOut<'_>);

    /// Advances every lane by one action `[N]`. A lane whose episode ends starts its next one in the same call.
    ///
    /// # Panics
    /// If a slice has the wrong length, or an action is not legal in its lane.
    fn step(&mut self, actions: &[u8], out: StepOut<'_>);

    /// Returns the counters since construction.
    fn ledger(&self) -> &Ledger;

    /// Returns whether every lane is finished. Only a replay of given sessions ends; its finished lanes may only HOLD, earn
    /// nothing and count nothing.
    fn finished(&self) -> bool {
        false
    }

    /// Moves the episodes that ended since the last call into `out`, in lane order within a step.
    fn drain_episodes(&mut self, out: &mut Vec<Episode>);

    /// Moves the positions that were closed since the last call into `out`, in lane order within a step. A replay, which
    /// records whole trades, and an environment without trades have none.
    fn drain_closed(&mut self, _out: &mut Vec<ClosedTrade>) {}

    /// Returns the whole dynamic state as JSON; [`VecEnv::restore`] continues from it bit for bit.
    fn state(&self) -> String;

    /// Continues from a state that [`VecEnv::state`] returned, and writes the observation that was current then.
    ///
    /// # Errors
    /// A sentence, when the state does not fit this environment.
    fn restore(&mut self, state: &str, out: ObsOut<'_>) -> Result<(), String>;
}

/// Buffers of one step, for a caller that keeps no history: the current observation and the last step's output.
#[derive(Debug, Clone)]
pub struct StepBuffers {
    /// Newest tape row of each lane's observation. `[N]`
    pub row: Vec<u32>,
    /// The lanes' own columns. `[N, A]`
    pub account: Vec<f32>,
    /// Legal actions. `[N]`
    pub mask: Vec<ActionMask>,
    /// Reward of the last step. `[N]`
    pub reward: Vec<f32>,
    /// Lanes whose episode ended with the last step. `[N]`
    pub terminated: Vec<bool>,
    /// Lanes whose episode was cut after the last step. `[N]`
    pub truncated: Vec<bool>,
    last: (Vec<u32>, Vec<f32>, Vec<ActionMask>),
}

impl StepBuffers {
    /// Allocates the buffers of an environment, resets it, and holds its first observation.
    pub fn reset(env: &mut impl VecEnv) -> Self {
        let (n, columns) = (env.lanes(), env.spec().account.len());
        let observation = || (vec![0; n], vec![0.0; n * columns], vec![ActionMask(0); n]);
        let (row, account, mask) = observation();
        let (reward, ended) = (vec![0.0; n], vec![false; n]);
        let last = observation();
        let mut buffers = Self { row, account, mask, reward, terminated: ended.clone(), truncated: ended, last };
        env.reset(buffers.observation());
        buffers
    }

    /// Returns the buffers of the current observation, for the environment to write.
    pub fn observation(&mut self) -> ObsOut<'_> {
        ObsOut { row: &mut self.row, account: &mut self.account, mask: &mut self.mask }
    }

    /// Returns the observations at the ends of the last step's episodes, as [`StepOut::last`] holds them: tape rows `[N]` and
    /// account columns `[N, A]`, undefined for lanes without an end.
    pub fn last(&self) -> (&[u32], &[f32]) {
        (&self.last.0, &self.last.1)
    }

    /// Returns the buffers of a step, for the environment to write.
    pub fn output(&mut self) -> StepOut<'_> {
        let (row, account, mask) = &mut self.last;
        StepOut {
            next: ObsOut { row: &mut self.row, account: &mut self.account, mask: &mut self.mask },
            reward: &mut self.reward,
            terminated: &mut self.terminated,
            truncated: &mut self.truncated,
            last: ObsOut { row, account, mask },
        }
    }

    /// Advances the environment by one action per lane `[N]`.
    ///
    /// # Panics
    /// As [`VecEnv::step`].
    pub fn step(&mut self, env: &mut impl VecEnv, actions: &[u8]) {
        env.step(actions, self.output());
    }
}
