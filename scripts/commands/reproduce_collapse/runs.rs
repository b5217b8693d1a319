//! Trainings of every profile with every seed, several at a time, each recorded as counters at the end of every
//! interval.

use std::sync::Arc;

use anyhow::Context as _;
use market_env::{BatchEnv, Ledger, Market};
use ppo_agent::{Cadence, DeviceChoice, Listener, Policy, StepView, Trainer};
use rayon::prelude::*;

use crate::config::RunConfig;

/// One profile and its market.
#[derive(Debug)]
pub(crate) struct TrainingPlan {
    pub(crate) name: String,
    pub(crate) config: RunConfig,
    pub(crate) market: Arc<Market>,
    /// Number of training sessions.
    pub(crate) days: Vec<u32>,
}

/// One training, as the environment's counters at the end of every interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    pub(crate) seed: u64,
    /// Multiple of the interval's length, and the counters since step 0.
    pub(crate) totals: Vec<(u64, Ledger)>,
}

/// Trains every profile with every seed; returns one list of curves per profile, in the order of the seeds.
pub(crate) fn train(stories: &[TrainingPlan], seeds: u64) -> anyhow::Result<Vec<Vec<Curve>>> {
    let jobs: Vec<(&TrainingPlan, u64)> =
        stories.iter().flat_map(|story| (0..seeds).map(move |seed| (story, seed))).collect();
    let curve = |&(story, seed): &(&TrainingPlan, u64)| {
        story.train(story.config.run.seed + seed).with_context(|| format!("training {} with seed {seed}", story.name))
    };
    // One job per piece of work: the trainings of one profile may take longer than those of another.
    let curves = jobs.par_iter().with_max_len(1).map(curve).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(curves.chunks(seeds as usize).map(<[Curve]>::to_vec).collect())
}

impl TrainingPlan {
    fn train(&self, seed: u64) -> anyhow::Result<Curve> {
        let RunConfig { run, env, policy, ppo, .. } = &self.config;
        let env = BatchEnv::new(Arc::clone(&self.market), self.days.clone(), env.clone(), ppo.n_envs, seed)?;
        let policy = Policy::for_env(&env, policy, seed)?;
        let mut trainer = Trainer::new(env, policy, ppo.clone(), run.timesteps, seed, DeviceChoice::Cpu)?;
        let mut heard = IntervalLedgers { cadence: Cadence::new(run.diagnostics_freq, 0), totals: Vec::new() };
        while trainer.timesteps() < run.timesteps {
            trainer.iterate(&mut heard)?;
        }
        heard.totals.retain(|(step, _)| *step <= run.timesteps);
        Ok(Curve { seed, totals: heard.totals })
    }
}

/// Records the counters at the end of every interval.
struct IntervalLedgers {
    cadence: Cadence,
    totals: Vec<(u64, Ledger)>,
}

impl Listener for IntervalLedgers {
    fn on_step(&mut self, timesteps: u64, moment: &StepView<'_>) {
        self.totals.extend(self.cadence.crossed(timesteps).map(|step| (step, moment.ledger.clone())));
    }
}
