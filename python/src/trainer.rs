//! The class `Trainer`: PPO in Rust on an environment of a market.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use market_data::DataStamp;
use market_env::{BatchEnv, RewardConfig, VecEnv as _};
use ppo_agent::{
    Cadence, Checkpoint, DeviceChoice, Iteration, Listener, Policy, StepView, Trainer,
    health::{HealthConfig, IntervalReport, Monitor, MonitorState, Opportunity, checklist},
    write_atomically,
};
use pyo3::{intern, prelude::*, types::PyDict};
use rayon::ThreadPool;
use serde_json::{Value, json};

use crate::{
    error,
    market::PyMarket,
    policy::{PyPolicy, model_path},
    settings::{Settings, object},
    threads,
};

/// Trains a policy by PPO, in Rust and without the GIL.
///
/// Parameters
/// ----------
/// market : Market
/// days : str or sequence of int
///     Sessions to train on, as for `BatchEnv`.
/// config : dict or path of a TOML file, optional
///     Replaces parts of the market's configuration; the sections `env`, `policy`, `ppo` and `health` are read. `ppo.n_envs` is
///     the number of lanes.
/// seed : int
///     The same seed, configuration, market and number of steps give the same policy, bit for bit, with any number of threads.
/// total : int
///     Planned steps, at which schedules and the fading of shaping end; 0 leaves them at their start.
/// diagnostics_every : int
///     Steps between two verdicts.
/// num_threads : int
///     0 stands for one per core.
///
/// Raises
/// ------
/// ValueError
///     A faulty configuration, or one that needs libtorch, such as `bf16`: GPUs are those of the program.
#[pyclass(name = "Trainer", module = "zerodte")]
#[derive(Debug)]
pub(crate) struct PyTrainer {
    market: Py<PyMarket>,
    settings: Settings,
    days: Vec<u32>,
    stamp: DataStamp,
    threads: usize,
    /// An engine is not shared between threads; methods with `&mut self` need no lock.
    trainer: Mutex<Trainer<BatchEnv>>,
    watch: Watch,
}

/// Listener that keeps metrics and verdict.
#[derive(Debug)]
struct Watch {
    monitor: Monitor,
    cadence: Cadence,
    iterations: Vec<Iteration>,
    report: Option<IntervalReport>,
}

impl Listener for Watch {
    fn on_step(&mut self, timesteps: u64, view: &StepView<'_>) {
        self.monitor.on_step(view);
        if self.monitor.due(self.cadence.crossed(timesteps)).is_some() {
            let unclear = || Opportunity::Unclear("the package measures no baselines while it trains".to_owned());
            self.report = Some(self.monitor.close(view.ledger, &mut { unclear }));
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
        self.iterations.push(iteration.clone());
    }
}

#[pymethods]
impl PyTrainer {
    #[new]
    #[pyo3(signature = (market, *, days=None, config=None, seed=0, total=0, diagnostics_every=5000, num_threads=0))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        market: Py<PyMarket>,
        days: Option<&Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
        seed: u64,
        total: u64,
        diagnostics_every: u64,
        num_threads: usize,
    ) -> PyResult<Self> {
        let settings = market.get().settings.with(config)?;
        let days = market.get().days(days.unwrap_or(intern!(py, "train").as_any()))?;
        let pool = threads::pool(num_threads)?;
        let of = market.get();
        let trainer = py.detach(|| {
            pool.install(|| {
                let env = environment(of, &days, &settings, settings.ppo.n_envs, seed)?;
                let policy = Policy::for_env(&env, &settings.policy, seed).map_err(error::agent)?;
                Trainer::new(env, policy, settings.ppo.clone(), total, seed, DeviceChoice::Cpu).map_err(error::agent)
            })
        })?;
        let monitor = Monitor::new(rows(of), settings.health.clone());
        Self::with(market.clone_ref(py), settings, days, num_threads, trainer, monitor, diagnostics_every)
    }

    /// Continues a training from a checkpoint, bit for bit as if it had not stopped.
    ///
    /// Parameters
    /// ----------
    /// path : path
    ///     A file that `checkpoint` wrote.
    /// market, days, config, diagnostics_every, num_threads
    ///     As for the trainer that wrote it; networks, algorithm and seed are those of the checkpoint.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     The file cannot be read.
    /// ValueError
    ///     The file is damaged, or market or sessions are not those of the checkpoint.
    #[staticmethod]
    #[pyo3(signature = (path, market, *, days=None, config=None, diagnostics_every=5000, num_threads=0))]
    fn resume(
        py: Python<'_>,
        path: PathBuf,
        market: Py<PyMarket>,
        days: Option<&Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
        diagnostics_every: u64,
        num_threads: usize,
    ) -> PyResult<Self> {
        let mut settings = market.get().settings.with(config)?;
        let days = market.get().days(days.unwrap_or(intern!(py, "train").as_any()))?;
        let checkpoint = Checkpoint::load(&path).map_err(error::agent)?;
        (settings.ppo, settings.policy) = (checkpoint.config().clone(), checkpoint.policy().config().clone());
        let (of, pool) = (market.get(), threads::pool(num_threads)?);
        let monitor = resumed_monitor(of, settings.health.clone(), &health_path(&path))?;
        let trainer = py.detach(|| {
            pool.install(|| {
                let env = environment(of, &days, &settings, settings.ppo.n_envs, checkpoint.seed())?;
                Trainer::resume(checkpoint, env, DeviceChoice::Cpu).map_err(error::agent)
            })
        })?;
        Self::with(market.clone_ref(py), settings, days, num_threads, trainer, monitor, diagnostics_every)
    }

    /// Trains for at least some steps, in whole iterations, and returns the metrics of each as a dict, under the names of
    /// Stable-Baselines3.
    ///
    /// Ctrl-C ends it within one iteration, with the training intact.
    ///
    /// Parameters
    /// ----------
    /// steps : int
    ///     Steps summed over lanes.
    /// callback : callable, optional
    ///     Called with the metrics after every iteration; False ends the training.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     A reward, loss or parameter is not finite; the policy is that of the iteration before.
    #[pyo3(signature = (steps, callback=None))]
    fn learn<'py>(
        &mut self,
        py: Python<'py>,
        steps: u64,
        callback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let pool = threads::pool(self.threads)?;
        let trainer = self.trainer.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (until, mut all) = (trainer.timesteps() + steps, Vec::new());
        while trainer.timesteps() < until {
            let (watch, reward) = (&mut self.watch, &self.settings.env.reward);
            py.detach(|| iterate(&pool, trainer, watch, reward))?;
            for iteration in self.watch.iterations.drain(..) {
                let metrics = PyDict::new(py);
                iteration.metrics().into_iter().try_for_each(|(key, value)| metrics.set_item(key, value))?;
                all.push(metrics);
            }
            py.check_signals()?;
            let last = all.last().map(Bound::as_any);
            if let Some((callback, metrics)) = callback.zip(last)
                && callback.call1((metrics,))?.extract().is_ok_and(|goes_on: bool| !goes_on)
            {
                break;
            }
        }
        Ok(all)
    }

    /// Returns the last verdict on the training as a dict, or None before the first: `verdict`, `since` (step), `step`, `alarm`,
    /// `evidence`,
    /// `advice`, `checklist` and `metrics`. The words are explained in docs/reading-a-run.md.
    fn verdict<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(report) = &self.watch.report else { return Ok(None) };
        let IntervalReport { step, interval_verdict, confirmed: (confirmed, since), .. } = report;
        let metrics: serde_json::Map<String, Value> =
            report.metrics().into_iter().map(|(key, value)| (key, json!(value))).collect();
        let verdict = json!({
            "verdict": confirmed.to_string(),
            "since": since,
            "step": step,
            "alarm": report.acting_verdict().is_alarm(),
            "interval": interval_verdict.verdict.to_string(),
            "evidence": interval_verdict.evidence,
            "advice": interval_verdict.advice,
            "checklist": checklist(report),
            "metrics": metrics,
        });
        object(py, &verdict).map(Some)
    }

    /// Writes the complete state of the training, for `resume`: `path`, and beside it the state of the diagnostics with the
    /// ending
    /// `.health.json`.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     A file cannot be written; files of these names stay intact then.
    fn checkpoint(&mut self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let trainer = self.trainer.get_mut().unwrap_or_else(PoisonError::into_inner);
        let health = serde_json::to_string(self.watch.monitor.state()).map_err(error::runtime)?;
        let stamp = self.stamp.as_str();
        let checkpoint = trainer.checkpoint().map_err(error::agent)?;
        py.detach(|| {
            write_atomically(&health_path(&path), health.as_bytes())?;
            checkpoint.save(&path, stamp)
        })
        .map_err(error::agent)
    }

    /// Writes the model with the record of its training, which `zerodte backtest --model` reads too.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     A file cannot be written.
    fn save(&mut self, path: PathBuf) -> PyResult<()> {
        let PyPolicy { policy, meta } = self.policy()?;
        ppo_agent::ModelFile { policy, meta }.save(&model_path(path)).map_err(error::agent)
    }

    /// The policy after the last iteration.
    #[getter]
    fn policy(&mut self) -> PyResult<PyPolicy> {
        let meta = self.meta()?;
        let trainer = self.trainer.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok(PyPolicy { policy: trainer.policy().clone(), meta })
    }

    /// Steps taken, summed over lanes.
    #[getter]
    fn timesteps(&mut self) -> u64 {
        self.trainer.get_mut().unwrap_or_else(PoisonError::into_inner).timesteps()
    }

    /// Returns the counters of the training: actions, trades, exits, reward by term, money in cents.
    fn ledger<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, self.trainer.get_mut().unwrap_or_else(PoisonError::into_inner).env().ledger())
    }

    fn __repr__(&mut self) -> String {
        let steps = self.timesteps();
        format!("Trainer({} lanes, {} sessions, {steps} steps)", self.settings.ppo.n_envs, self.days.len())
    }
}

impl PyTrainer {
    fn with(
        market: Py<PyMarket>,
        settings: Settings,
        days: Vec<u32>,
        threads: usize,
        trainer: Trainer<BatchEnv>,
        monitor: Monitor,
        diagnostics_every: u64,
    ) -> PyResult<Self> {
        if diagnostics_every == 0 {
            return Err(error::value("diagnostics_every: 0 is not above 0"));
        }
        let cadence = Cadence::new(diagnostics_every, trainer.timesteps());
        let watch = Watch { monitor, cadence, iterations: Vec::new(), report: None };
        let stamp = market.get().stamp;
        Ok(Self { market, settings, days, stamp, threads, trainer: Mutex::new(trainer), watch })
    }

    /// Returns the training record that the program writes into a model's sidecar.
    fn meta(&mut self) -> PyResult<Value> {
        let market = self.market.get();
        let mut config = serde_json::to_value(&self.settings).map_err(error::value)?;
        config["run"] = json!({ "symbols": market.symbols });
        let days = self.days.iter().map(|&day| market.market.days()[day as usize].date);
        let (first, last) = (days.clone().min(), days.max());
        let split = market.parts().ok();
        Ok(json!({
            "data": self.stamp,
            "timesteps": self.timesteps(),
            "config": config,
            "split": split,
            "trained_on": [{ "first": first, "last": last }],
        }))
    }
}

/// Trains one iteration. Shaping fades over the planned steps, as in the program.
fn iterate(
    pool: &ThreadPool,
    trainer: &mut Trainer<BatchEnv>,
    watch: &mut Watch,
    reward: &RewardConfig,
) -> PyResult<()> {
    let weights = reward.at(trainer.progress_share());
    trainer.env_mut().set_reward(weights).map_err(error::env)?;
    pool.install(|| {
        trainer.iterate(watch)?;
        watch.monitor.on_activity(trainer.activity()?);
        Ok(())
    })
    .map_err(error::agent)
}

fn environment(market: &PyMarket, days: &[u32], settings: &Settings, lanes: usize, seed: u64) -> PyResult<BatchEnv> {
    BatchEnv::new(Arc::clone(&market.market), days.to_vec(), settings.env.clone(), lanes, seed).map_err(error::env)
}

fn rows(market: &PyMarket) -> Arc<[(market_env::Setup, u32)]> {
    market.market.rows().collect()
}

/// Returns the monitor of a checkpoint; one of the program's checkpoints has none beside it, and then a new one begins.
fn resumed_monitor(market: &PyMarket, config: HealthConfig, path: &Path) -> PyResult<Monitor> {
    if !path.exists() {
        return Ok(Monitor::new(rows(market), config));
    }
    let state: MonitorState = serde_json::from_str(&std::fs::read_to_string(path)?)
        .map_err(|fault| error::value(format!("{}: {fault}", path.display())))?;
    Ok(Monitor::resume(rows(market), config, state))
}

/// Returns the path of the state of the diagnostics beside a checkpoint.
fn health_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension("health.json")
}
