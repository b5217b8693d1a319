//! The test of the best trials: each is trained again, bit by bit, and plays the test dates once.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::{
    Sweep, SweepResult, locked,
    trial::{Score, SeedResult, TrialResult, ranked},
};
use crate::{
    artifacts::{
        files::read_json,
        registry::{Kind, Row, identity::configuration_hash},
    },
    evaluation::{
        edge::Looks,
        sessions::{SessionSeries, Trial},
    },
    output::output_file::{json_text, write_file},
    walk_forward::{training::Training, workers::run_in_order},
};

/// A trial on the test dates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// Number.
    pub trial: usize,
    /// Test dates of every seed.
    pub seeds: Vec<SeedResult>,
}

impl Tested {
    /// Returns the trial's money on the test dates.
    pub fn score(&self) -> Score {
        self.as_result().score()
    }

    fn as_result(&self) -> TrialResult {
        TrialResult {
            plan_sha256: self.plan_sha256.clone(),
            trial: self.trial,
            rung: 0,
            point: Vec::new(),
            values: Vec::new(),
            seeds: self.seeds.clone(),
        }
    }

    fn path(folder: &Path, trial: usize) -> PathBuf {
        folder.join("test").join(format!("{trial:05}.json"))
    }

    /// Reads the tests that a folder holds for a plan, of these trials.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn read_all(folder: &Path, plan_sha256: &str, trials: &[&TrialResult]) -> anyhow::Result<Vec<Self>> {
        let paths = trials.iter().map(|trial| Self::path(folder, trial.trial)).filter(|path| path.exists());
        let read = paths.map(|path| read_json::<Self>(&path)).collect::<anyhow::Result<Vec<Self>>>()?;
        Ok(read.into_iter().filter(|tested| tested.plan_sha256 == plan_sha256).collect())
    }
}

impl Sweep<'_> {
    /// Tests the best trials that the folder holds no test of, after a look of each was recorded. Returns the tests of the best
    /// trials, the best first, and the looks at the test dates; `None` once a signal was noted.
    ///
    /// # Errors
    /// When a trial trained again has another result, or a training, replay or file fails.
    pub fn test(&self, result: &SweepResult, count: usize) -> anyhow::Result<Option<(Vec<Tested>, Looks)>> {
        let best: Vec<&TrialResult> = ranked(result.finished(self.plan)).into_iter().take(count).collect();
        let known = Tested::read_all(self.folder, &self.plan_sha256, &best)?;
        let missing: Vec<&TrialResult> =
            best.iter().copied().filter(|trial| known.iter().all(|known| known.trial != trial.trial)).collect();
        let looks = self.look(&missing, &best)?;
        let jobs: Vec<(&TrialResult, u64)> =
            missing.iter().flat_map(|trial| (0..self.plan.seeds).map(move |seed| (*trial, seed))).collect();
        let done = Mutex::new(BTreeMap::<usize, Vec<SeedResult>>::new());
        let all = run_in_order(self.terms.threads, &jobs, |&(trial, seed)| {
            let Some(tested) = self.test_seed(trial, seed)? else { return Ok(ControlFlow::Break(())) };
            let mut done = locked(&done)?;
            let of_trial = done.entry(trial.trial).or_default();
            of_trial.push(tested);
            if of_trial.len() == self.plan.seeds as usize {
                let mut seeds = of_trial.clone();
                seeds.sort_by_key(|seed| seed.seed);
                let tested = Tested { plan_sha256: self.plan_sha256.clone(), trial: trial.trial, seeds };
                write_file(&Tested::path(self.folder, trial.trial), json_text(&tested)?.as_bytes())?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !all {
            return Ok(None);
        }
        Ok(Some((Tested::read_all(self.folder, &self.plan_sha256, &best)?, looks)))
    }

    /// Records the looks of trials at the test dates before any of them is taken, and counts the looks of all configurations.
    fn look(&self, missing: &[&TrialResult], tested: &[&TrialResult]) -> anyhow::Result<Looks> {
        let hash =
            |trial: &TrialResult| configuration_hash(&self.plan.space.config(self.base, trial.trial, &trial.values)?);
        let row = |trial: &&TrialResult| {
            let name = format!("{}:{}", self.folder.display(), trial.trial);
            let row = Row::new(Kind::Look, name, hash(trial)?, self.plan.data);
            let (train, steps) = (Some(self.plan.split.train), Some(self.plan.timesteps()));
            anyhow::Ok(Row { looked_at: Some(self.plan.split.test), train, steps, ..row })
        };
        let rows = missing.iter().map(row).collect::<anyhow::Result<Vec<Row>>>()?;
        if !rows.is_empty() {
            self.registry.append_all(rows)?;
        }
        let own = tested.iter().map(|trial| hash(trial)).collect::<anyhow::Result<Vec<String>>>()?;
        let (content, own) = (self.registry.read()?, own.iter().map(String::as_str).collect());
        Ok(Looks::of(&content.lookers(self.plan.split.test, self.plan.data), &own))
    }

    /// Trains a seed of a trial again, compares its validation dates with the record, and plays the test dates.
    fn test_seed(&self, trial: &TrialResult, seed: u64) -> anyhow::Result<Option<SeedResult>> {
        let config = self.plan.space.config(self.base, trial.trial, &trial.values)?;
        let candidate = self.candidate(trial.trial, &config)?;
        let mut training = Training::start(&candidate, &self.plan.split.train, seed)?;
        if !training.run_to(self.plan.timesteps(), Some(&self.terms.stop))? {
            return Ok(None);
        }
        let trained = training.trained();
        let again = self.play(&candidate, &trained, &self.plan.validation)?;
        let recorded = trial.seeds.iter().find(|one| one.seed == seed).context("a trial has every seed")?;
        ensure!(
            again == *recorded,
            "trial {} with seed {seed}, trained again, has another result on the validation dates: the program or the data \
             have changed since",
            trial.trial
        );
        self.play(&candidate, &trained, &self.plan.test).map(Some)
    }

    /// Returns the tested trials as series of session dates, the best first.
    pub fn sessions(&self, tested: &[Tested], modelled_prices: bool) -> SessionSeries {
        let trial = |tested: &Tested| Trial {
            name: format!("trial {}", tested.trial),
            seeds: tested.seeds.iter().map(|seed| seed.seed).collect(),
            pnl_usd: tested.as_result().by_seed(),
            trades: tested.seeds.iter().flat_map(|seed| &seed.trades).map(|trades| u64::from(*trades)).sum(),
        };
        SessionSeries {
            dates: self.plan.test.clone(),
            folds: vec![0; self.plan.test.len()],
            symbols: self.plan.symbols.clone(),
            capital_usd: self.base.env.account.capital * self.plan.symbols.len() as f64,
            data: self.plan.data,
            modelled_prices,
            in_sample_dates: 0,
            trials: tested.iter().map(trial).collect(),
            baselines: Vec::new(),
        }
    }
}
