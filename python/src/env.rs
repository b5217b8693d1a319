//! The class `BatchEnv`: lanes of one market stepped together, over numpy arrays.

use std::{collections::VecDeque, sync::Arc};

use market_env::{BatchEnv, Episode, ObsSpec, RewardTerm, StepBuffers, VecEnv as _};
use numpy::{PyArray1, PyArray2, PyArrayMethods as _, PyReadonlyArray1};
use ppo_agent::Normalizer;
use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};

use crate::{
    arrays::Buffers,
    error,
    lanes::{Autoreset, Illegal, Lanes},
    market::PyMarket,
    settings::{Settings, object},
    table, threads,
};

/// Finished sessions that are kept for `episodes()`.
const KEPT_EPISODES: usize = 100_000;

/// Many accounts, each replaying sessions of a market; one call steps all of them.
///
/// Letters in shapes: N lanes, K actions, I = W * F + A columns of an observation.
///
/// Parameters
/// ----------
/// market : Market
/// lanes : int
/// days : str or sequence of int
///     Sessions to draw from: `"train"`, `"validation"`, `"test"`, `"all"`, or indices into `market.sessions()`.
/// config : dict or path of a TOML file, optional
///     Replaces parts of the market's configuration; the section `env` is read.
/// seed : int
///     One seed for all lanes. The sessions of a lane depend on the seed and its number alone, not on the number of lanes.
/// autoreset : {"same_step", "next_step", "disabled"}
///     Behaviour after the end of a session; the transitions are the same in all three.
/// illegal : {"hold", "raise"}
///     An illegal action becomes HOLD and is counted in `illegal_total`, or raises `ValueError`.
/// normalize : bool
///     Standardises the features by their moments on these sessions, clipped at 10; the account's columns stay. A `Policy` of
///     this package holds its own normaliser and wants observations with False.
/// copy : bool
///     False returns the environment's own arrays, which the next step overwrites.
/// num_threads : int
///     1 steps on the calling thread; more pays from some thousand lanes. 0 stands for one per core.
/// reward : callable, optional
///     `reward(terms) -> float32 [N]` replaces the reward; `terms` are float32 [N, 10], with the columns of `reward_terms`.
///     Episodes and ledger keep the environment's own reward.
/// buffers : dict, optional
///     Arrays of the caller that steps write into, C-contiguous: any of `observations` (float32 [N, I]), `masks` (bool [N, K]),
///     `rewards` (float32 [N]), `terminated` (bool [N]).
///
/// Raises
/// ------
/// ValueError
///     A faulty argument, with its name.
#[pyclass(name = "BatchEnv", module = "zerodte")]
#[derive(Debug)]
pub(crate) struct PyBatchEnv {
    market: Py<PyMarket>,
    lanes: Lanes,
    buffers: Buffers,
    settings: Settings,
    days: Vec<u32>,
    seed: u64,
    threads: usize,
    copy: bool,
    reward: Option<Py<PyAny>>,
    /// Newest finished sessions, oldest first.
    episodes: VecDeque<Episode>,
    fresh: bool,
}

#[pymethods]
impl PyBatchEnv {
    #[new]
    #[pyo3(signature = (market, lanes=1, *, days=None, config=None, seed=0, autoreset="same_step", illegal="hold", normalize=false, copy=true, num_threads=1, reward=None, buffers=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        market: Py<PyMarket>,
        lanes: usize,
        days: Option<&Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
        seed: u64,
        autoreset: &str,
        illegal: &str,
        normalize: bool,
        copy: bool,
        num_threads: usize,
        reward: Option<Py<PyAny>>,
        buffers: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (autoreset, illegal) = (autoreset_named(autoreset)?, illegal_named(illegal)?);
        let of = market.get();
        let settings = of.settings.with(config)?;
        let days = of.days(days.unwrap_or(intern!(py, "train").as_any()))?;
        let mut env = env_of(of, &days, &settings, lanes, seed)?;
        prepare(&mut env, num_threads, reward.is_some());
        let tape = normalize.then(|| standardised(&env)).transpose()?;
        let spec = env.spec();
        let buffers = Buffers::new(py, [lanes, spec.inputs(), spec.actions.len()], buffers)?;
        let lanes = Lanes::new(env, autoreset, illegal, tape, seed);
        buffers.show(py, &lanes)?;
        let (episodes, threads) = (VecDeque::new(), num_threads);
        Ok(Self { market, lanes, buffers, settings, days, seed, threads, copy, reward, episodes, fresh: true })
    }

    /// Starts sessions and returns their first observations, float32 [N, I].
    ///
    /// Parameters
    /// ----------
    /// seed : int, optional
    ///     Starts all lanes anew from this seed, and the counters with them. Without a seed every lane goes on to its next
    ///     session.
    /// mask : bool array [N], optional
    ///     Resets these lanes only; the others keep their observation.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     A mask of another length or without a lane, or a mask and a seed.
    #[pyo3(signature = (seed=None, mask=None))]
    fn reset<'py>(
        &mut self,
        py: Python<'py>,
        seed: Option<u64>,
        mask: Option<PyReadonlyArray1<'_, bool>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        match (seed, mask) {
            (Some(_), Some(_)) => {
                return Err(error::value("reset: a seed starts all lanes anew; leave out seed or mask"));
            }
            (Some(seed), None) => self.reseed(py, seed)?,
            (None, None) if self.fresh => {}
            (None, None) => self.lanes.reset_some(&vec![true; self.lanes.waiting.len()]),
            (None, Some(mask)) => {
                let mask = mask.as_array().to_vec();
                if mask.len() != self.lanes.waiting.len() || !mask.contains(&true) {
                    return Err(error::value(format!(
                        "reset: the mask needs one entry per lane ({}), one of them True",
                        self.lanes.waiting.len()
                    )));
                }
                self.lanes.reset_some(&mask);
            }
        }
        self.buffers.show(py, &self.lanes)?;
        self.observations(py)
    }

    /// Advances every lane by one action and returns `(observations, rewards, terminated)`: float32 [N, I], float32 [N], bool
    /// [N].
    ///
    /// A session always ends by termination: the account is flat at the bell, and the value of what follows is zero. The GIL is
    /// released.
    ///
    /// Parameters
    /// ----------
    /// actions : int64 array [N]
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     An action that does not exist, an illegal one with `illegal="raise"`, a lane that waits for its reset with
    ///     `autoreset="disabled"`; no lane has moved then.
    /// RuntimeError
    ///     Another thread is stepping this environment.
    fn step<'py>(&mut self, py: Python<'py>, actions: PyReadonlyArray1<'_, i64>) -> PyResult<Bound<'py, PyTuple>> {
        let actions = actions.as_slice().map_err(|_| error::value("actions: a contiguous array is needed"))?;
        self.lanes.take(actions).map_err(error::value)?;
        let pool = if self.threads == 1 { None } else { Some(threads::pool(self.threads)?) };
        let waiting = self.reward.is_some().then(|| self.lanes.waiting.clone());
        self.buffers.step(py, &mut self.lanes, pool.as_deref())?;
        self.fresh = false;
        self.keep_episodes();
        if let (Some(reward), Some(waiting)) = (&self.reward, waiting) {
            self.buffers.replace_rewards(py, &self.lanes, reward.bind(py), &waiting)?;
        }
        let Buffers { rewards, terminated, .. } = &self.buffers;
        let shown =
            [self.observations(py)?.into_any(), self.shown(rewards.bind(py))?, self.shown(terminated.bind(py))?];
        PyTuple::new(py, shown)
    }

    /// Returns random legal actions, int64 [N], from a generator of its own; the seed of the environment starts it.
    fn sample<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_vec(py, self.lanes.sample())
    }

    /// The current observations, float32 [N, I]; a copy unless the environment was built with `copy=False`.
    #[getter]
    fn observations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        Ok(self.shown(self.buffers.observations.bind(py))?.cast_into::<PyArray2<f32>>()?)
    }

    /// The legal actions, bool [N, K], never without one; a copy unless the environment was built with `copy=False`.
    #[getter]
    fn masks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        Ok(self.shown(self.buffers.masks.bind(py))?.cast_into::<PyArray2<bool>>()?)
    }

    /// Number of lanes, N.
    #[getter]
    fn lanes(&self) -> usize {
        self.lanes.waiting.len()
    }

    /// The market.
    #[getter]
    fn market(&self, py: Python<'_>) -> Py<PyMarket> {
        self.market.clone_ref(py)
    }

    /// Names of an observation's columns, in order (I of them): the features of the frames from the oldest to the newest, then
    /// the account's. Features of older frames end in `[-1]`, `[-2]` and so on.
    #[getter]
    fn columns(&self) -> Vec<String> {
        columns(self.lanes.env.spec())
    }

    /// Names of the actions, in order (K of them).
    #[getter]
    fn actions(&self) -> Vec<String> {
        self.lanes.env.spec().actions.clone()
    }

    /// Indices of the sessions to draw from, int64, into `market.sessions()`.
    #[getter]
    fn days<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_vec(py, self.days.iter().map(|&day| i64::from(day)).collect())
    }

    /// The row of `market.tape` that is the newest minute of each observation, uint32 [N].
    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_slice(py, self.lanes.rows())
    }

    /// Lanes whose last action was illegal and became HOLD, bool [N].
    #[getter]
    fn illegal<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        PyArray1::from_slice(py, &self.lanes.replaced)
    }

    /// Illegal actions since the last seed.
    #[getter]
    fn illegal_total(&self) -> u64 {
        self.lanes.replaced_total
    }

    /// Names of the terms of the reward, in the order of the columns that a callable `reward` receives.
    #[classattr]
    fn reward_terms() -> Vec<&'static str> {
        RewardTerm::ALL.map(RewardTerm::name).to_vec()
    }

    /// The sessions that ended with the last step, as a dict: `lane` (int64 [E]), `final_observation` (float32 [E, I]), and the
    /// columns of
    /// `episodes()`.
    fn ended<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ended = &self.lanes.ended;
        let found = table::of_episodes(py, ended, &self.market.get().market)?;
        let finals = PyArray2::<f32>::zeros(py, [ended.len(), self.lanes.env.spec().inputs()], false);
        let lanes = ended.iter().map(|episode| episode.lane as usize);
        self.lanes.write_finals(
            lanes,
            finals.try_readwrite().map_err(error::runtime)?.as_slice_mut().map_err(error::runtime)?,
        );
        found.set_item(intern!(py, "final_observation"), finals)?;
        Ok(found)
    }

    /// Returns the sessions that ended since the last call as a dict of columns: `lane`, `day`, `symbol`, `date`, `steps`,
    /// `reward`,
    /// `net_pnl_cents`, `fees_cents`, `trades`, `held_steps`. The newest 100,000 are kept.
    fn episodes<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let ended: Vec<Episode> = self.episodes.drain(..).collect();
        table::of_episodes(py, &ended, &self.market.get().market)
    }

    /// Returns the counters since the last seed: actions, trades, exits, reward by term, money in cents.
    fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, self.lanes.env.ledger())
    }

    /// Returns the whole dynamic state; `restore` continues from it bit for bit.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.lanes.state(self.seed).map_err(error::runtime)?.as_bytes()))
    }

    /// Continues from a state that `state` returned for the same market, sessions, lanes and autoreset mode; the seed is that of
    /// the state.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     The state does not fit.
    fn restore(&mut self, py: Python<'_>, state: &[u8]) -> PyResult<()> {
        let text = std::str::from_utf8(state).map_err(|_| error::value("not a state of this environment"))?;
        let state = self.lanes.parse(text).map_err(error::value)?;
        if state.seed != self.seed {
            self.reseed(py, state.seed)?;
        }
        self.lanes.restore(state).map_err(error::value)?;
        self.fresh = false;
        self.buffers.show(py, &self.lanes)
    }

    fn __len__(&self) -> usize {
        self.lanes.waiting.len()
    }

    fn __repr__(&self) -> String {
        let symbols = self.market.get().symbols.join(", ");
        format!(
            "BatchEnv({} lanes, {} sessions of {symbols}, seed {})",
            self.lanes.waiting.len(),
            self.days.len(),
            self.seed
        )
    }
}

impl PyBatchEnv {
    fn reseed(&mut self, py: Python<'_>, seed: u64) -> PyResult<()> {
        let mut env = env_of(self.market.get(), &self.days, &self.settings, self.lanes.waiting.len(), seed)?;
        prepare(&mut env, self.threads, self.reward.is_some());
        py.detach(|| self.lanes.replace(env, seed));
        self.episodes.clear();
        (self.seed, self.fresh) = (seed, true);
        Ok(())
    }

    /// Returns an array of the environment's, or a copy where copies are wanted.
    fn shown<'py>(&self, own: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if self.copy { own.call_method0(intern!(own.py(), "copy")) } else { Ok(own.clone()) }
    }

    fn keep_episodes(&mut self) {
        self.episodes.extend(self.lanes.ended.iter().cloned());
        let surplus = self.episodes.len().saturating_sub(KEPT_EPISODES);
        self.episodes.drain(..surplus);
    }
}

/// Steps lanes by HOLD in Rust alone, on one thread: the speed to which `step` is compared.
#[pyfunction]
#[pyo3(name = "_hold_in_rust")]
pub(crate) fn hold_in_rust(py: Python<'_>, market: &PyMarket, lanes: usize, calls: usize) -> PyResult<()> {
    let mut env = env_of(market, &market.part("train")?, &market.settings, lanes, 0)?;
    env.use_one_thread();
    py.detach(|| {
        let (mut buffers, hold) = (StepBuffers::reset(&mut env), vec![0; lanes]);
        (0..calls).for_each(|_| buffers.step(&mut env, &hold));
    });
    Ok(())
}

/// Returns the names of an observation's columns, in order.
pub(crate) fn columns(spec: &ObsSpec) -> Vec<String> {
    let of_frame = |age: usize| {
        let ending = if age == 0 { String::new() } else { format!("[-{age}]") };
        spec.features.iter().map(move |name| format!("{name}{ending}"))
    };
    (0..spec.frames).rev().flat_map(of_frame).chain(spec.account.iter().cloned()).collect()
}

fn env_of(market: &PyMarket, days: &[u32], settings: &Settings, lanes: usize, seed: u64) -> PyResult<BatchEnv> {
    BatchEnv::new(Arc::clone(&market.market), days.to_vec(), settings.env.clone(), lanes, seed).map_err(error::env)
}

fn prepare(env: &mut BatchEnv, threads: usize, with_terms: bool) {
    if threads == 1 {
        env.use_one_thread();
    }
    if with_terms {
        env.keep_reward_terms();
    }
}

/// Returns the features standardised by their moments on the sessions of an environment.
fn standardised(env: &BatchEnv) -> PyResult<Vec<f32>> {
    let normalizer =
        Normalizer::fit(env.tape(), env.spec().features.len(), &env.visible_rows()).map_err(error::agent)?;
    Ok(normalizer.apply(env.tape()))
}

fn autoreset_named(name: &str) -> PyResult<Autoreset> {
    match name {
        "same_step" => Ok(Autoreset::SameStep),
        "next_step" => Ok(Autoreset::NextStep),
        "disabled" => Ok(Autoreset::Disabled),
        _ => Err(error::value(format!("autoreset: {name:?} is none of same_step, next_step and disabled"))),
    }
}

fn illegal_named(name: &str) -> PyResult<Illegal> {
    match name {
        "hold" => Ok(Illegal::Hold),
        "raise" => Ok(Illegal::Raise),
        _ => Err(error::value(format!("illegal: {name:?} is neither hold nor raise"))),
    }
}
