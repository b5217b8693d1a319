//! A case ready for timing: threads, market, environment and networks, after a check of correctness.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use market_data::{DataConfig, Dataset, Symbol, Window, calendar, source::synthetic};
use market_env::{BatchEnv, EnvConfig, Market, MarketConfig, VecEnv};
use ppo_agent::games::cartpole::CartPole;
use serde_json::{Map, Value};

use super::{
    case::{Case, Game, Part, SYMBOLS},
    subject::{Learning, Stepping, Subject},
};
use crate::output::exit_code::UsageError;

/// Last session of the synthetic market; the others lie before it.
const LAST_SESSION: jiff::civil::Date = jiff::civil::date(2024, 11, 29);
const SEED: u64 = 1;

/// A case that has passed its check.
pub struct Bench {
    pool: rayon::ThreadPool,
    subject: Box<dyn Subject>,
    facts: Map<String, Value>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("threads", &self.threads()).field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Bench {
    /// Runs one round and returns the seconds that the timed part of it took.
    ///
    /// # Errors
    /// If the training stops, or a round of steps ends with other counters than the first.
    pub fn round(&mut self) -> anyhow::Result<f64> {
        self.pool.install(|| self.subject.round())
    }

    /// Returns the number of threads in use.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Returns facts that are known only after building: inputs, parameters, engine.
    pub fn facts(&self) -> &Map<String, Value> {
        &self.facts
    }
}

impl Case {
    /// Starts the threads, builds everything, and checks the timed work by running it: counters add up, losses are
    /// finite, parameters move, and one seed gives one result. The check is also the warm-up.
    ///
    /// # Errors
    /// A configuration that cannot run here, such as a GPU where there is none, or a check that failed.
    pub fn prepare(&self) -> anyhow::Result<Bench> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build().context("starting the threads")?;
        let (subject, facts) = pool.install(|| {
            let subject = self.subject()?;
            let facts = subject.facts();
            anyhow::Ok((subject, facts))
        })?;
        Ok(Bench { pool, subject, facts })
    }

    fn subject(&self) -> anyhow::Result<Box<dyn Subject>> {
        let lanes = self.ppo.n_envs;
        match self.game {
            Game::CartPole => self.subject_in(|| Ok(CartPole::new(lanes, SEED))),
            Game::Market { sessions, frames } => {
                let config = MarketConfig { frames, listed_only: false, ..MarketConfig::default() };
                let market = Arc::new(Market::build(&dataset(sessions)?.symbols, &config)?);
                let days: Vec<u32> = (0..market.days().len() as u32).collect();
                let env = || BatchEnv::new(Arc::clone(&market), days.clone(), EnvConfig::default(), lanes, SEED);
                self.subject_in(|| Ok(env()?))
            }
        }
    }

    fn subject_in<E: VecEnv + Send + 'static>(
        &self,
        env: impl Fn() -> anyhow::Result<E>,
    ) -> anyhow::Result<Box<dyn Subject>> {
        Ok(match self.part {
            Part::Limits => bail!("the limits of the processor are measured without rounds"),
            Part::Step => Box::new(Stepping::checked(env()?, self.ppo.n_steps)?),
            _ => Box::new(Learning::checked(self, env, SEED)?),
        })
    }
}

/// Generates the sessions of three symbols, the last of them on the Friday after Thanksgiving 2024.
///
/// # Errors
/// If the calendar does not reach back that far.
pub fn dataset(sessions: usize) -> anyhow::Result<Dataset> {
    let mut config = DataConfig::default();
    let all = calendar::sessions(calendar::FIRST_DATE, LAST_SESSION);
    let most = all.len() - config.warmup_sessions;
    ensure!(
        (1..=most).contains(&sessions),
        UsageError::one(format!("--sessions: {sessions} is not between 1 and {most}"))
    );
    config.synthetic.sessions_from = all[most - sessions].date;
    config.synthetic.sessions_to = LAST_SESSION;
    let symbols = SYMBOLS.into_iter().map(Symbol::new).collect::<Result<Vec<_>, _>>()?;
    let history = synthetic::generate(&config.synthetic, &symbols)?;
    Ok(Dataset::build(&history, &Window::default(), &config)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::bench::Workload;

    #[test]
    fn modurls_networks_have_its_number_of_parameters() {
        let bench = Case::from(Workload::Modurl).prepare().unwrap();
        let facts = bench.facts();
        assert_eq!((&facts["inputs"], &facts["network_parameters"]), (&json!(4), &json!(9_155)));
    }

    #[test]
    fn every_session_asked_for_is_traded() {
        for sessions in [1, 20] {
            let dataset = dataset(sessions).unwrap();
            assert_eq!((dataset.dates.len(), dataset.symbols.len()), (sessions, 3));
            assert_eq!(dataset.dates.last(), Some(&LAST_SESSION));
        }
        assert!(dataset(0).is_err() && dataset(1_000_000).is_err());
    }
}
