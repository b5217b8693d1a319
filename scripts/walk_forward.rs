//! Walk-forward test: trains on past dates, chooses on later ones, tests on the next ones, and moves on.
//!
//! Every candidate is trained with every seed on the training dates of a fold. The validation dates choose one candidate, and its
//! policies play the test dates once. The test parts of all folds form one series of session dates that no training and no choice
//! of theirs has seen.
//!
//! All trainings share one market and one process, one thread each. They write session rows instead of run folders; the models
//! of the chosen candidate are kept.

pub mod candidate;
pub mod choice;
pub mod described;
pub mod finished;
mod fold;
mod fold_files;
pub mod folds;
pub mod judgement;
pub mod placebo;
pub mod plan;
pub mod planted;
pub mod session_row;
pub(crate) mod training;
pub(crate) mod workers;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use market_data::Fold;
use market_env::Trade;

use self::{
    candidate::Candidate,
    fold::{FoldSettings, TestedFold, Validated},
    fold_files::{FoldFiles, trades_name},
    plan::Plan,
    session_row::{Part, SessionRow},
    workers::run_in_order,
};
use crate::{
    artifacts::trades,
    output::{output_file::write_file, signals::StopRequests},
};

pub use self::{fold::FoldResult, training::TrainingRecord};

/// A plan and the candidates that it names.
#[derive(Debug)]
pub struct WalkForward<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its candidates with their markets.
    pub candidates: &'a [Candidate],
    /// Threads, 0 = one per core; the result does not depend on it.
    pub threads: usize,
    /// Signals that end the test after the iterations that run.
    pub stop: Option<StopRequests>,
}

/// Result of a walk-forward test.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkForwardResult {
    /// The folds, in the order of time.
    pub folds: Vec<FoldResult>,
    /// Test trades of the chosen candidates, one list per seed, in the order of time.
    pub trades: Vec<Vec<Trade>>,
}

impl WalkForwardResult {
    /// Returns the mean P&L of a test date in dollars: all symbols together, mean over seeds.
    pub fn mean_per_date(&self) -> f64 {
        statistics::mean(choice::by_date_and_seed(self.rows().filter(|row| row.part == Part::Test)).concat())
    }

    /// Returns the session rows of all folds.
    pub fn rows(&self) -> impl Iterator<Item = &SessionRow> {
        self.folds.iter().flat_map(|fold| &fold.rows)
    }

    /// Joins the folds in the order of time.
    fn stitch(folds: Vec<TestedFold>, seeds: usize) -> Self {
        let (mut results, mut trades) = (Vec::new(), vec![Vec::new(); seeds]);
        for tested in folds {
            results.push(tested.result);
            trades.iter_mut().zip(tested.trades).for_each(|(all, more)| all.extend(more));
        }
        Self { folds: results, trades }
    }
}

impl WalkForward<'_> {
    /// Runs every fold in memory, without a diagnosis of the choice. Returns `None` once a signal was noted.
    ///
    /// # Errors
    /// When a training or replay fails.
    pub fn run_in_memory(&self) -> anyhow::Result<Option<WalkForwardResult>> {
        self.run_folds(&self.settings(false), |_| true, |_| Ok(None), |_| Ok(()))
    }

    /// Runs every fold that the folder does not hold yet, and calls `finished` after each. Writes `sessions.parquet` and the trades of
    /// every seed at the end. Returns `None` once a signal was noted; the finished folds are kept.
    ///
    /// # Errors
    /// When a training or replay fails, or a file cannot be read or written.
    pub fn run(
        &self,
        folder: &Path,
        finished: &(dyn Fn(&FoldResult) + Sync),
    ) -> anyhow::Result<Option<WalkForwardResult>> {
        let (seeds, data) = (&self.plan.seeds, self.plan.data);
        let Some(result) = self.run_in(folder, |_| true, finished)? else { return Ok(None) };
        let rows: Vec<SessionRow> = result.rows().cloned().collect();
        write_file(&folder.join("sessions.parquet"), &session_row::parquet(&rows)?)?;
        for (seed, of_seed) in seeds.iter().zip(&result.trades) {
            let path = folder.join(trades_name(*seed));
            write_file(&path, &trades::encode(&path, of_seed, data)?)?;
        }
        Ok(Some(result))
    }

    /// Runs some folds, by their numbers, that the folder does not hold yet; the whole test joins them later. Returns false once a
    /// signal was noted.
    ///
    /// # Errors
    /// As [`WalkForward::run`].
    pub fn run_part(
        &self,
        folder: &Path,
        folds: &BTreeSet<usize>,
        finished: &(dyn Fn(&FoldResult) + Sync),
    ) -> anyhow::Result<bool> {
        Ok(self.run_in(folder, |fold| folds.contains(&fold.number), finished)?.is_some())
    }

    fn run_in(
        &self,
        folder: &Path,
        wanted: impl Fn(&Fold) -> bool,
        finished: &(dyn Fn(&FoldResult) + Sync),
    ) -> anyhow::Result<Option<WalkForwardResult>> {
        let (seeds, data) = (&self.plan.seeds, self.plan.data);
        let files = FoldFiles { folder, plan_sha256: self.plan.sha256()?, seeds, data };
        let read = |fold: &Fold| {
            let found = files.read(fold)?;
            found.iter().for_each(|tested| finished(&tested.result));
            Ok(found)
        };
        let written = |tested: &mut TestedFold| {
            files.write(tested, self.candidates)?;
            finished(&tested.result);
            Ok(())
        };
        self.run_folds(&self.settings(self.plan.diagnose_selection), wanted, read, written)
    }

    fn run_folds(
        &self,
        settings: &FoldSettings<'_>,
        wanted: impl Fn(&Fold) -> bool,
        earlier: impl Fn(&Fold) -> anyhow::Result<Option<TestedFold>>,
        tested: impl Fn(&mut TestedFold) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<Option<WalkForwardResult>> {
        let board = Board::default();
        let mut jobs = Vec::new();
        for fold in self.plan.folds.iter().filter(|fold| wanted(fold)) {
            match earlier(fold)? {
                Some(tested) => board.put(tested)?,
                None => jobs.extend(settings.jobs().enumerate().map(|(number, job)| (fold, number, job))),
            }
        }
        let per_fold = settings.jobs().count();
        let all = run_in_order(self.threads, &jobs, |&(fold, number, job)| {
            let Some(validated) = settings.validate(fold, job)? else { return Ok(ControlFlow::Break(())) };
            if let Some(validated) = board.collect(fold.number, number, validated, per_fold)? {
                let Some(mut found) = settings.finish(fold, validated)? else { return Ok(ControlFlow::Break(())) };
                tested(&mut found)?;
                // Policies are not needed any more.
                found.judged.clear();
                board.put(found)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !all {
            return Ok(None);
        }
        Ok(Some(WalkForwardResult::stitch(board.folds()?, self.plan.seeds.len())))
    }

    fn settings(&self, diagnose: bool) -> FoldSettings<'_> {
        let Plan { seeds, choice, refit, behaviour, .. } = self.plan;
        FoldSettings {
            candidates: self.candidates,
            seeds,
            choice: *choice,
            refit: *refit,
            behaviour: *behaviour,
            diagnose,
            stop: self.stop.as_ref(),
        }
    }
}

/// Trainings of the folds that run, and the finished folds.
#[derive(Debug, Default)]
struct Board {
    running: Mutex<BTreeMap<usize, BTreeMap<usize, Validated>>>,
    finished: Mutex<BTreeMap<usize, TestedFold>>,
}

/// Returns the content of a lock.
fn locked<T>(lock: &Mutex<T>) -> anyhow::Result<MutexGuard<'_, T>> {
    lock.lock().map_err(|_| anyhow::anyhow!("another training panicked"))
}

impl Board {
    /// Adds a training of a fold; returns all of them, in their order, once the last one is there.
    fn collect(
        &self,
        fold: usize,
        number: usize,
        validated: Validated,
        all: usize,
    ) -> anyhow::Result<Option<Vec<Validated>>> {
        let mut running = locked(&self.running)?;
        let of_fold = running.entry(fold).or_default();
        of_fold.insert(number, validated);
        let complete = of_fold.len() == all;
        Ok(complete.then(|| running.remove(&fold).unwrap_or_default().into_values().collect()))
    }

    fn put(&self, tested: TestedFold) -> anyhow::Result<()> {
        locked(&self.finished)?.insert(tested.result.fold.number, tested);
        Ok(())
    }

    /// Returns the finished folds in the order of time.
    fn folds(self) -> anyhow::Result<Vec<TestedFold>> {
        Ok(std::mem::take(&mut *locked(&self.finished)?).into_values().collect())
    }
}
