//! The trials of one rung: their points, their trainings on all threads, and their files.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use toml::Value;

use super::{
    Progress, Sweep, locked,
    sampler::{BATCH, Sampler},
    trial::{SeedResult, TrialResult},
};
use crate::{
    artifacts::registry::Ending,
    config::RunConfig,
    output::clock::Stopwatch,
    walk_forward::{candidate::Candidate, workers::run_in_order},
};

/// A trial to train.
#[derive(Debug, Clone)]
struct Spec {
    trial: usize,
    point: Vec<f64>,
    values: Vec<Value>,
    config: RunConfig,
}

/// Counters of a rung.
struct Counts {
    done: AtomicUsize,
    now: AtomicUsize,
    all: usize,
    watch: Stopwatch,
}

impl Sweep<'_> {
    /// Returns the results of trials at a rung, by number, and whether all of them are there; trains those that the folder does
    /// not hold.
    ///
    /// # Errors
    /// As [`Sweep::run`].
    pub(super) fn rung(
        &self,
        rung: usize,
        trials: &[usize],
        finished: &(dyn Fn(&Progress<'_>) + Sync),
    ) -> anyhow::Result<(Vec<TrialResult>, bool)> {
        let all = trials.len() * self.plan.seeds as usize;
        let counts = Counts { done: AtomicUsize::new(0), now: AtomicUsize::new(0), all, watch: Stopwatch::start() };
        let size = if self.plan.sampler == Sampler::Tpe { BATCH } else { trials.len().max(1) };
        let mut results: Vec<TrialResult> = Vec::new();
        for batch in trials.chunks(size) {
            let specs = batch.iter().map(|trial| self.spec(*trial, &results)).collect::<anyhow::Result<Vec<Spec>>>()?;
            let (found, complete) = self.batch(rung, &specs, &counts, finished)?;
            results.extend(found);
            if !complete {
                return Ok((results, false));
            }
        }
        Ok((results, true))
    }

    /// Returns a trial's point and configuration. `results` are those of earlier trials, by number.
    fn spec(&self, trial: usize, results: &[TrialResult]) -> anyhow::Result<Spec> {
        let plan = self.plan;
        let needed = plan.sampler.needed(trial);
        let earlier = results.iter().filter(|one| one.trial < needed);
        let earlier: Vec<(&[f64], f64)> = earlier.map(|one| (one.point.as_slice(), one.score().lower_usd)).collect();
        let point = plan.sampler.point(&plan.space, plan.sampler_seed, trial, &earlier)?;
        let values = plan.space.values(&point);
        let config = plan.space.config(self.base, trial, &values)?;
        Ok(Spec { trial, point, values, config })
    }

    /// Trains those of some trials that have no file, on all threads.
    fn batch(
        &self,
        rung: usize,
        specs: &[Spec],
        counts: &Counts,
        finished: &(dyn Fn(&Progress<'_>) + Sync),
    ) -> anyhow::Result<(Vec<TrialResult>, bool)> {
        let (mut known, mut jobs) = (Vec::new(), Vec::new());
        for spec in specs {
            match TrialResult::read(self.folder, &self.plan_sha256, rung, spec.trial)? {
                Some(result) => known.push(result),
                None => jobs.extend((0..self.plan.seeds).map(|seed| (spec, seed))),
            }
        }
        counts.done.fetch_add(known.len() * self.plan.seeds as usize, Ordering::Relaxed);
        if rung == self.plan.rungs.len() {
            self.record(known.iter(), Ending::Finished)?;
        }
        let (results, running) = (Mutex::new(known), Mutex::new(BTreeMap::<usize, Vec<SeedResult>>::new()));
        let all = run_in_order(self.terms.threads, &jobs, |&(spec, seed)| {
            let Some(trained) = self.train_spec(spec, rung, seed)? else { return Ok(ControlFlow::Break(())) };
            let (done, now) = (counts.done.fetch_add(1, Ordering::Relaxed), counts.now.fetch_add(1, Ordering::Relaxed));
            if let Some(result) = self.collected(&running, (spec, rung), trained)? {
                if rung == self.plan.rungs.len() {
                    self.record([&result].into_iter(), Ending::Finished)?;
                }
                result.write(self.folder)?;
                let seconds = counts.watch.seconds();
                let (rungs, all) = (self.plan.rungs.len(), counts.all);
                finished(&Progress { rung, rungs, done: done + 1, all, now: now + 1, seconds, trial: &result });
                locked(&results)?.push(result);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut results = std::mem::take(&mut *locked(&results)?);
        results.sort_by_key(|result| result.trial);
        Ok((results, all))
    }

    fn train_spec(&self, spec: &Spec, rung: usize, seed: u64) -> anyhow::Result<Option<SeedResult>> {
        if !self.may_begin() {
            return Ok(None);
        }
        self.train(&self.candidate(spec.trial, &spec.config)?, spec.trial, rung, seed)
    }

    /// Returns the configuration of a trial with its market.
    ///
    /// # Errors
    /// When the market cannot be built.
    pub(super) fn candidate(&self, trial: usize, config: &RunConfig) -> anyhow::Result<Candidate> {
        let market = self.markets.of(&config.market)?;
        Ok(Candidate { name: format!("trial {trial}"), config: config.clone(), market, wider: None })
    }

    /// Adds a training of a trial; returns the trial once the last of its seeds is there.
    fn collected(
        &self,
        running: &Mutex<BTreeMap<usize, Vec<SeedResult>>>,
        (spec, rung): (&Spec, usize),
        trained: SeedResult,
    ) -> anyhow::Result<Option<TrialResult>> {
        let mut running = locked(running)?;
        let of_trial = running.entry(spec.trial).or_default();
        of_trial.push(trained);
        if of_trial.len() < self.plan.seeds as usize {
            return Ok(None);
        }
        let mut seeds = running.remove(&spec.trial).unwrap_or_default();
        seeds.sort_by_key(|seed| seed.seed);
        let (point, values) = (spec.point.clone(), spec.values.clone());
        let plan_sha256 = self.plan_sha256.clone();
        Ok(Some(TrialResult { plan_sha256, trial: spec.trial, rung, point, values, seeds }))
    }
}
