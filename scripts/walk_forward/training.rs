//! One training of a walk-forward test: a candidate, a fold's dates and a seed. It writes no file.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use market_data::DateRange;
use market_env::{BatchEnv, Ledger, VecEnv as _};
use ppo_agent::{
    AgentError, Cadence, Checkpoint, DeviceChoice, Iteration, Listener, Policy, StepView, Trainer,
    health::{Monitor, MonitorState, Opportunity, Verdict},
};
use serde::{Deserialize, Serialize};
use statistics::share;

use super::candidate::Candidate;
use crate::{evaluation::baselines::Baselines, output::signals::StopRequests};

/// A trained policy with the record of its training.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) policy: Policy,
    pub(crate) record: TrainingRecord,
}

/// Record of a training. Shares are fractions of the decisions of a flat account in its last iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Candidate.
    pub candidate: String,
    /// Seed.
    pub seed: u64,
    /// Lane-steps.
    pub steps: u64,
    /// Share of HOLD.
    pub hold: Option<f64>,
    /// Share of BUY on strong setups.
    pub strong_buy: Option<f64>,
    /// Last verdict; `None` for a training shorter than an interval.
    pub verdict: Option<String>,
}

/// Trains a candidate on the sessions of some dates; the result depends on candidate, dates and seed alone. Returns `None` once a
/// signal was noted.
///
/// # Errors
/// When the trainer refuses the configuration.
pub(super) fn train(
    candidate: &Candidate,
    dates: &DateRange,
    seed: u64,
    stop: Option<&StopRequests>,
) -> anyhow::Result<Option<Trained>> {
    let mut training = Training::start(candidate, dates, seed)?;
    let finished = training.run_to(candidate.config.run.timesteps, stop)?;
    Ok(finished.then(|| training.trained()))
}

/// A training of a candidate on the sessions of some dates, between two of its iterations.
#[derive(Debug)]
pub(crate) struct Training<'a> {
    candidate: &'a Candidate,
    seed: u64,
    trainer: Trainer<BatchEnv>,
    watch: Watch<'a>,
    /// Counters before the last iteration.
    since: Ledger,
    /// True after a number that is not finite: the training has ended.
    broken: bool,
}

/// State of a training beside its checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedWatch {
    monitor: MonitorState,
    verdict: Option<Verdict>,
    since: Ledger,
}

impl<'a> Training<'a> {
    /// Starts a training with untrained parameters.
    ///
    /// # Errors
    /// When the trainer refuses the configuration.
    pub(crate) fn start(candidate: &'a Candidate, dates: &DateRange, seed: u64) -> anyhow::Result<Self> {
        let begin = || -> anyhow::Result<Self> {
            let (config, env) = (&candidate.config, env(candidate, dates, seed)?);
            let policy = Policy::for_env(&env, &config.policy, seed)?;
            let total = config.run.timesteps;
            let trainer = Trainer::new(env, policy, config.ppo.clone(), total, seed, DeviceChoice::Cpu)?;
            let watch = Watch::new(candidate, dates, None, 0);
            Ok(Self { candidate, seed, trainer, watch, since: Ledger::default(), broken: false })
        };
        begin().with_context(|| format!("training {} with seed {seed} on {dates}", candidate.name))
    }

    /// Goes on from a checkpoint, bit by bit.
    ///
    /// # Errors
    /// When the checkpoint does not fit the configuration or the sessions.
    pub(crate) fn resume(
        candidate: &'a Candidate,
        dates: &DateRange,
        seed: u64,
        (checkpoint, saved): (Checkpoint, SavedWatch),
    ) -> anyhow::Result<Self> {
        let trainer = Trainer::resume(checkpoint, env(candidate, dates, seed)?, DeviceChoice::Cpu)?;
        let SavedWatch { monitor, verdict, since } = saved;
        let watch = Watch { verdict, ..Watch::new(candidate, dates, Some(monitor), trainer.timesteps()) };
        Ok(Self { candidate, seed, trainer, watch, since, broken: false })
    }

    /// Runs iterations until this many lane-steps are taken. Returns false once a signal was noted.
    ///
    /// # Errors
    /// When an iteration fails other than by a number that is not finite, which ends the training.
    pub(crate) fn run_to(&mut self, steps: u64, stop: Option<&StopRequests>) -> anyhow::Result<bool> {
        while self.trainer.timesteps() < steps && !self.broken {
            if stop.and_then(StopRequests::noted).is_some() {
                return Ok(false);
            }
            self.fade_shaping()?;
            self.since = self.trainer.env().ledger().clone();
            match self.trainer.iterate(&mut self.watch) {
                Ok(_) => {}
                Err(AgentError::NonFinite { .. }) => {
                    (self.watch.verdict, self.broken) = (Some(Verdict::Exploding), true);
                }
                Err(error) => return Err(error).with_context(|| format!("training {}", self.candidate.name)),
            }
        }
        Ok(true)
    }

    /// Sets the reward weights of the next iteration: shaping fades over the planned length, as in a run.
    fn fade_shaping(&mut self) -> anyhow::Result<()> {
        let config = &self.candidate.config;
        let progress = self.trainer.timesteps() as f64 / config.run.timesteps as f64;
        Ok(self.trainer.env_mut().set_reward(config.env.reward.at(progress))?)
    }

    /// Returns the state to go on from; `None` for a training that a number which is not finite has ended.
    ///
    /// # Errors
    /// When libtorch fails.
    pub(crate) fn state(&self) -> anyhow::Result<Option<(Checkpoint, SavedWatch)>> {
        if self.broken {
            return Ok(None);
        }
        let monitor = self.watch.monitor.state().clone();
        let saved = SavedWatch { monitor, verdict: self.watch.verdict, since: self.since.clone() };
        Ok(Some((self.trainer.checkpoint()?, saved)))
    }

    /// Returns the policy with the record of its training.
    pub(crate) fn trained(&self) -> Trained {
        let last = self.trainer.env().ledger().since(&self.since);
        let record = TrainingRecord {
            candidate: self.candidate.name.clone(),
            seed: self.seed,
            steps: self.trainer.timesteps(),
            hold: share(last.flat(market_env::Action::Hold), last.flat_steps()),
            strong_buy: share(last.strong_buys(), last.strong_states()),
            verdict: self.watch.verdict.map(|verdict| verdict.to_string()),
        };
        Trained { policy: self.trainer.policy().clone(), record }
    }
}

fn env(candidate: &Candidate, dates: &DateRange, seed: u64) -> anyhow::Result<BatchEnv> {
    let (config, market) = (&candidate.config, &candidate.market);
    let days = market.days_in(dates);
    Ok(BatchEnv::new(Arc::clone(market), days, config.env.clone(), config.ppo.n_envs, seed)?)
}

/// Judges the intervals of a training by its decisions and updates. A run knows more: hidden units that are dormant, and the money of
/// random-legal trades.
#[derive(Debug)]
struct Watch<'a> {
    candidate: &'a Candidate,
    days: Vec<u32>,
    monitor: Monitor,
    cadence: Cadence,
    opportunity: OnceLock<Opportunity>,
    verdict: Option<Verdict>,
}

impl<'a> Watch<'a> {
    fn new(candidate: &'a Candidate, dates: &DateRange, earlier: Option<MonitorState>, steps: u64) -> Self {
        let (market, config) = (&candidate.market, &candidate.config);
        let (rows, health) = (market.rows().collect(), config.health.clone());
        let monitor = match earlier {
            Some(state) => Monitor::resume(rows, health, state),
            None => Monitor::new(rows, health),
        };
        let cadence = Cadence::new(config.run.diagnostics_freq, steps);
        Self { candidate, days: market.days_in(dates), monitor, cadence, opportunity: OnceLock::new(), verdict: None }
    }
}

impl Listener for Watch<'_> {
    fn on_step(&mut self, timesteps: u64, moment: &StepView<'_>) {
        self.monitor.on_step(moment);
        if self.monitor.due(self.cadence.crossed(timesteps)).is_some() {
            let Candidate { config, market, .. } = self.candidate;
            let measure = || Baselines::outlook_on(market, &self.days, &config.env, config.run.seed);
            let report = self.monitor.close(moment.ledger, &mut || self.opportunity.get_or_init(measure).clone());
            self.verdict = Some(report.confirmed.0);
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
    }
}
