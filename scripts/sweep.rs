//! Sweep: many configurations on one market, compared by their money on the validation dates.
//!
//! A trial is a point of a [`space`], trained with every seed; [`sampler`] chooses the points, [`halving`] gives up trials that are
//! clearly worse. All trainings share one market and one process, one thread each, and write one small file per trial instead of a
//! run folder. The best trial is the one with the highest mean P&L of a date less one standard error; [`summary`] says how much
//! of it the best of so many worthless trials would show, too.

pub mod final_test;
pub mod halving;
mod importance;
mod markets;
pub mod plan;
mod rung;
pub mod sampler;
mod seed_training;
pub mod space;
pub mod summary;
pub mod table;
pub mod trial;
pub mod trial_config;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use market_data::DateRange;

use self::{
    halving::{agreement, survivors},
    markets::Markets,
    plan::SweepPlan,
    trial::TrialResult,
};
use crate::{
    artifacts::registry::{Ending, Kind, Registry, Row, identity::configuration_hash},
    config::RunConfig,
    inputs::Inputs,
    output::{clock::Stopwatch, signals::StopRequests},
};

/// A plan with everything that its trainings need.
#[derive(Debug)]
pub struct Sweep<'a> {
    plan: &'a SweepPlan,
    plan_sha256: String,
    folder: &'a Path,
    base: &'a RunConfig,
    markets: Markets<'a>,
    registry: Registry,
    /// Rows of the registry that need not be written again: name, configuration and end.
    recorded: BTreeSet<(String, String, &'static str)>,
    terms: Terms,
    /// True once the time of the budget was over before a training began.
    over_budget: AtomicBool,
}

/// Machine and time of a sweep; no result depends on them.
#[derive(Debug)]
pub struct Terms {
    /// Threads, 0 = one per core, each with a training of its own.
    pub threads: usize,
    /// Minutes after which no training starts.
    pub budget_minutes: Option<f64>,
    /// Start of the budget.
    pub watch: Stopwatch,
    /// Signals that end the work.
    pub stop: StopRequests,
    /// False for a part of a sweep: it shows no result, and the sweep that joins the parts records the trials.
    pub records: bool,
}

/// Trials done so far in a rung.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Rung, from 1.
    pub rung: usize,
    /// Rungs.
    pub rungs: usize,
    /// Trainings of the rung that are done.
    pub done: usize,
    /// Trainings of the rung.
    pub all: usize,
    /// Trainings of the rung that this start of the program has done.
    pub now: usize,
    /// Seconds of the rung in this start of the program.
    pub seconds: f64,
    /// The trial that has just finished.
    pub trial: &'a TrialResult,
}

/// Results of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepResult {
    /// Trials of every rung, by number; a rung that was cut short is the last one.
    pub rungs: Vec<Vec<TrialResult>>,
    /// Pruned trials with the rung of their end.
    pub pruned: BTreeMap<usize, usize>,
    /// Kendall's τ between a rung and the one before.
    pub agreement: Vec<Option<f64>>,
    /// Trials that were asked for.
    pub trials: usize,
    /// True where every trial was pruned or trained to its end.
    pub complete: bool,
}

impl SweepResult {
    /// Returns every trial with a result, each at its last rung, by number.
    pub fn last(&self) -> Vec<&TrialResult> {
        let by_number: BTreeMap<usize, &TrialResult> =
            self.rungs.iter().flatten().map(|one| (one.trial, one)).collect();
        by_number.into_values().collect()
    }

    /// Returns the trials that were trained to their end, by number.
    pub fn finished(&self, plan: &SweepPlan) -> &[TrialResult] {
        self.rungs.get(plan.rungs.len() - 1).map_or(&[], Vec::as_slice)
    }
}

impl<'a> Sweep<'a> {
    /// Prepares a sweep in its folder.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn new(
        plan: &'a SweepPlan,
        folder: &'a Path,
        (base, inputs): (&'a RunConfig, &'a Inputs),
        terms: Terms,
    ) -> anyhow::Result<Self> {
        let registry = Registry::in_folder(&base.run.out_dir);
        let rows = if terms.records { registry.read()?.rows } else { Vec::new() };
        let rows = rows.into_iter().filter(|row| row.kind == Kind::Trial);
        let recorded = rows.map(|row| (row.name, row.config, row.outcome.word())).collect();
        Ok(Self {
            plan,
            plan_sha256: plan.sha256()?,
            folder,
            base,
            markets: Markets::new(base, inputs),
            registry,
            recorded,
            terms,
            over_budget: AtomicBool::new(false),
        })
    }

    /// Runs the trials that the folder does not hold yet, rung by rung, and calls `finished` after each. It ends early once a
    /// signal was noted or the budget is spent; finished trials are kept.
    ///
    /// # Errors
    /// For values that no training takes, a training or replay that fails, or a file that cannot be read or written.
    pub fn run(&self, trials: &[usize], finished: &(dyn Fn(&Progress<'_>) + Sync)) -> anyhow::Result<SweepResult> {
        let (mut alive, rungs) = (trials.to_vec(), self.plan.rungs.len());
        let mut found = SweepResult {
            rungs: Vec::new(),
            pruned: BTreeMap::new(),
            agreement: Vec::new(),
            trials: trials.len(),
            complete: false,
        };
        for rung in 1..=rungs {
            let (results, all) = self.rung(rung, &alive, finished)?;
            if let Some(before) = found.rungs.last() {
                found.agreement.push(agreement(before, &results));
            }
            found.rungs.push(results);
            if !all {
                return Ok(found);
            }
            self.remove_checkpoints(rung - 1, |_| true)?;
            if rung < rungs {
                let stay = survivors(&found.rungs[rung - 1]);
                let out: BTreeSet<usize> = alive.iter().copied().filter(|number| !stay.contains(number)).collect();
                let results = found.rungs[rung - 1].iter().filter(|one| out.contains(&one.trial));
                self.record(results, Ending::Pruned)?;
                self.remove_checkpoints(rung, |number| out.contains(&number))?;
                found.pruned.extend(out.into_iter().map(|number| (number, rung)));
                alive = stay;
            }
        }
        found.complete = true;
        Ok(found)
    }

    /// Returns whether the budget ended the work.
    pub fn is_over_budget(&self) -> bool {
        self.over_budget.load(Ordering::Relaxed)
    }

    /// Returns whether the next training may begin.
    fn may_begin(&self) -> bool {
        let spent = self.terms.budget_minutes.is_some_and(|minutes| self.terms.watch.seconds() >= 60.0 * minutes);
        self.over_budget.fetch_or(spent, Ordering::Relaxed);
        !spent && self.terms.stop.noted().is_none()
    }

    /// Records trials in the registry, except those that are there already.
    fn record<'r>(&self, results: impl Iterator<Item = &'r TrialResult>, outcome: Ending) -> anyhow::Result<()> {
        if !self.terms.records {
            return Ok(());
        }
        let rows = results.map(|result| self.row(result, outcome)).collect::<anyhow::Result<Vec<Row>>>()?;
        let new = |row: &Row| {
            let key = (row.name.clone(), row.config.clone(), row.outcome.word());
            !self.recorded.contains(&key)
        };
        let rows: Vec<Row> = rows.into_iter().filter(new).collect();
        if rows.is_empty() { Ok(()) } else { self.registry.append_all(rows) }
    }

    /// Returns the row of a trial: a look at the validation dates, among which it is chosen.
    fn row(&self, result: &TrialResult, outcome: Ending) -> anyhow::Result<Row> {
        let config = self.plan.space.config(self.base, result.trial, &result.values)?;
        let name = format!("{}:{}", self.folder.display(), result.trial);
        let row = Row::new(Kind::Trial, name, configuration_hash(&config)?, self.plan.data);
        let DateRange { first, last } = self.plan.split.validation;
        Ok(Row {
            looked_at: Some(DateRange { first, last }),
            train: Some(self.plan.split.train),
            steps: Some(self.plan.rungs[result.rung - 1]),
            outcome,
            sharpe_per_date: Some(result.sharpe()),
            dates: Some(self.plan.validation.len()),
            ..row
        })
    }
}

/// Returns the content of a lock.
fn locked<T>(lock: &Mutex<T>) -> anyhow::Result<std::sync::MutexGuard<'_, T>> {
    lock.lock().map_err(|_| anyhow::anyhow!("another training panicked"))
}
