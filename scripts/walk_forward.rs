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
mod fold;
pub mod folds;
pub mod plan;
pub mod session_row;
mod training;

use std::path::{Path, PathBuf};

use market_data::DataStamp;
use market_env::Trade;
use rayon::prelude::*;

use self::{
    candidate::Candidate,
    fold::{FoldSettings, TestedFold, trades_name},
    plan::Plan,
    session_row::SessionRow,
};
use crate::{
    artifacts::trades,
    output::{output_file::write_file, signals::StopRequests},
};

pub use self::{fold::FoldResult, training::TrainingRecord};

/// A plan, the candidates that it names, and the folder of the result.
#[derive(Debug)]
pub struct WalkForward<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its candidates with their markets.
    pub candidates: &'a [Candidate],
    /// Folder of the result.
    pub folder: &'a Path,
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
    /// Returns the session rows of all folds.
    pub fn rows(&self) -> impl Iterator<Item = &SessionRow> {
        self.folds.iter().flat_map(|fold| &fold.rows)
    }
}

impl WalkForward<'_> {
    /// Runs every fold that the folder does not hold yet, and calls `finished` after each, in any order, with the number of folds
    /// that are done. Writes `sessions.parquet` and the trades of every seed at the end. Returns `None` once a signal was noted;
    /// the finished folds are kept.
    ///
    /// # Errors
    /// When a training or replay fails, or a file cannot be read or written.
    pub fn run(&self, finished: &(dyn Fn(&FoldResult) + Sync)) -> anyhow::Result<Option<WalkForwardResult>> {
        let settings = self.settings()?;
        let run = |fold: &folds::Fold| {
            let tested = match settings.finished(fold)? {
                Some(tested) => Some(tested),
                None => settings.run(fold)?,
            };
            if let Some((result, _)) = &tested {
                finished(result);
            }
            anyhow::Ok(tested)
        };
        let folds = self.plan.folds.par_iter().with_max_len(1).map(run).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(folds) = folds.into_iter().collect::<Option<Vec<TestedFold>>>() else { return Ok(None) };
        let result = stitch(folds, self.plan.seeds.len());
        self.write(&result)?;
        Ok(Some(result))
    }

    fn settings(&self) -> anyhow::Result<FoldSettings<'_>> {
        let Plan { seeds, choice, refit, behaviour, data, .. } = self.plan;
        Ok(FoldSettings {
            candidates: self.candidates,
            seeds,
            choice: *choice,
            refit: *refit,
            behaviour: *behaviour,
            data: *data,
            folder: self.folder.to_owned(),
            plan_sha256: self.plan.sha256()?,
            stop: self.stop.as_ref(),
        })
    }

    fn write(&self, result: &WalkForwardResult) -> anyhow::Result<()> {
        let rows: Vec<SessionRow> = result.rows().cloned().collect();
        write_file(&self.folder.join("sessions.parquet"), &session_row::parquet(&rows)?)?;
        for (seed, of_seed) in self.plan.seeds.iter().zip(&result.trades) {
            let path: PathBuf = self.folder.join(trades_name(*seed));
            write_file(&path, &trades::encode(&path, of_seed, self.stamp())?)?;
        }
        Ok(())
    }

    fn stamp(&self) -> DataStamp {
        self.plan.data
    }
}

/// Joins the folds in the order of time.
fn stitch(folds: Vec<TestedFold>, seeds: usize) -> WalkForwardResult {
    let (mut results, mut trades) = (Vec::new(), vec![Vec::new(); seeds]);
    for (result, of_fold) in folds {
        results.push(result);
        trades.iter_mut().zip(of_fold).for_each(|(all, more)| all.extend(more));
    }
    WalkForwardResult { folds: results, trades }
}
