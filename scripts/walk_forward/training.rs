//! One training of a walk-forward test: a candidate, a fold's dates and a seed. It writes no file.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use market_data::DateRange;
use market_env::{BatchEnv, Ledger, VecEnv as _};
use ppo_agent::{
    AgentError, Cadence, DeviceChoice, Iteration, Listener, Policy, StepView, Trainer,
    health::{Monitor, Opportunity, Verdict},
};
use serde::{Deserialize, Serialize};
use statistics::share;

use super::candidate::Candidate;
use crate::{evaluation::baselines::Baselines, output::signals::StopRequests};

/// A trained policy with the record of its training.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    pub(super) policy: Policy,
    pub(super) record: TrainingRecord,
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
    let name = &candidate.name;
    trained(candidate, dates, seed, stop).with_context(|| format!("training {name} with seed {seed} on {dates}"))
}

fn trained(
    candidate: &Candidate,
    dates: &DateRange,
    seed: u64,
    stop: Option<&StopRequests>,
) -> anyhow::Result<Option<Trained>> {
    let (config, market) = (&candidate.config, &candidate.market);
    let (days, run) = (market.days_in(dates), &config.run);
    let env = BatchEnv::new(Arc::clone(market), days.clone(), config.env.clone(), config.ppo.n_envs, seed)?;
    let policy = Policy::for_env(&env, &config.policy, seed)?;
    let mut trainer = Trainer::new(env, policy, config.ppo.clone(), run.timesteps, seed, DeviceChoice::Cpu)?;
    let found = OnceLock::new();
    let opportunity = || found.get_or_init(|| Baselines::outlook_on(market, &days, &config.env, run.seed)).clone();
    let monitor = Monitor::new(market.rows().collect(), config.health.clone());
    let mut watch = Watch { monitor, cadence: Cadence::new(run.diagnostics_freq, 0), opportunity, verdict: None };
    let mut since = Ledger::default();
    let mut broken = false;
    while trainer.timesteps() < run.timesteps && !broken {
        if stop.and_then(StopRequests::noted).is_some() {
            return Ok(None);
        }
        since = trainer.env().ledger().clone();
        match trainer.iterate(&mut watch) {
            Ok(_) => {}
            Err(AgentError::NonFinite { .. }) => {
                (watch.verdict, broken) = (Some(Verdict::Exploding), true);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let last = trainer.env().ledger().since(&since);
    let record = TrainingRecord {
        candidate: candidate.name.clone(),
        seed,
        steps: trainer.timesteps(),
        hold: share(last.flat(market_env::Action::Hold), last.flat_steps()),
        strong_buy: share(last.strong_buys(), last.strong_states()),
        verdict: watch.verdict.map(|verdict| verdict.to_string()),
    };
    Ok(Some(Trained { policy: trainer.policy().clone(), record }))
}

/// Judges the intervals of a training by its decisions and updates. A run knows more: hidden units that are dormant, and the money of
/// random-legal trades.
struct Watch<F> {
    monitor: Monitor,
    cadence: Cadence,
    opportunity: F,
    verdict: Option<Verdict>,
}

impl<F: Fn() -> Opportunity> Listener for Watch<F> {
    fn on_step(&mut self, timesteps: u64, moment: &StepView<'_>) {
        self.monitor.on_step(moment);
        if self.monitor.due(self.cadence.crossed(timesteps)).is_some() {
            let report = self.monitor.close(moment.ledger, &mut || (self.opportunity)());
            self.verdict = Some(report.confirmed.0);
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
    }
}
