//! One fold of a walk-forward test: trainings of all candidates, the choice, and the test of the chosen one.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use market_data::{DataStamp, DateRange, Split};
use market_env::Trade;
use ppo_agent::{Behaviour, ModelFile, Policy};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::ratio;

use super::{
    candidate::Candidate,
    choice::{ChoiceRule, Score, by_date_and_seed, choose},
    folds::Fold,
    session_row::{Origin, Part, SessionRow, rows},
    training::{Trained, TrainingRecord, train},
};
use crate::{
    artifacts::{files, saved_model::ModelMeta, trades},
    evaluation::replay::{ReplayResult, replay},
    output::{
        output_file::{create_parent, json_text, write_file},
        signals::StopRequests,
    },
};

/// Settings of every fold.
#[derive(Debug)]
pub(super) struct FoldSettings<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) seeds: &'a [u64],
    pub(super) choice: ChoiceRule,
    pub(super) refit: bool,
    pub(super) behaviour: Behaviour,
    pub(super) data: DataStamp,
    /// Folder of the whole test.
    pub(super) folder: PathBuf,
    pub(super) plan_sha256: String,
    pub(super) stop: Option<&'a StopRequests>,
}

/// Result of one fold, as its file records it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldResult {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The fold.
    pub fold: Fold,
    /// Every candidate's money on the validation dates.
    pub scores: Vec<Score>,
    /// The trainings of all candidates and seeds, then those of the refit.
    pub trainings: Vec<TrainingRecord>,
    /// Validation rows of every candidate, then test rows of the chosen one.
    pub rows: Vec<SessionRow>,
    /// Models of the chosen candidate, one per seed: file within the folder, and SHA-256 of its weights.
    pub models: Vec<(PathBuf, String)>,
}

impl FoldResult {
    /// Returns the name of the chosen candidate.
    pub fn chosen(&self) -> &str {
        self.scores.iter().find(|score| score.chosen).map_or("", |score| &score.candidate)
    }

    /// Returns the mean P&L per date of the chosen candidate on a part, in dollars: all symbols together, mean over seeds. `None`
    /// without a session.
    pub fn per_date(&self, part: Part) -> Option<f64> {
        let chosen = self.chosen();
        let rows = self.rows.iter().filter(|row| row.part == part && row.candidate == chosen);
        let cells = by_date_and_seed(rows).concat();
        ratio(cells.iter().sum(), cells.len() as f64)
    }
}

/// A fold, computed or read from an earlier start, with the test trades of the chosen candidate by seed.
pub(super) type TestedFold = (FoldResult, Vec<Vec<Trade>>);

impl FoldSettings<'_> {
    fn folder_of(&self, fold: &Fold) -> PathBuf {
        PathBuf::from("folds").join(format!("{:03}", fold.number))
    }

    /// Returns the result of a fold that an earlier start of the same plan finished; `None` if there is none.
    ///
    /// # Errors
    /// When its files are damaged.
    pub(super) fn finished(&self, fold: &Fold) -> anyhow::Result<Option<TestedFold>> {
        let folder = self.folder.join(self.folder_of(fold));
        let path = folder.join("fold.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let result: FoldResult = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        if result.plan_sha256 != self.plan_sha256 || result.fold != *fold {
            return Ok(None);
        }
        let read = |seed: &u64| trades::read(&folder.join(trades_name(*seed)));
        Ok(Some((result, self.seeds.iter().map(read).collect::<anyhow::Result<_>>()?)))
    }

    /// Trains, chooses and tests one fold and writes its files; `None` once a signal was noted. The file `fold.json` comes last:
    /// a fold without it starts again.
    ///
    /// # Errors
    /// When a training or replay fails or a file cannot be written.
    pub(super) fn run(&self, fold: &Fold) -> anyhow::Result<Option<TestedFold>> {
        let jobs: Vec<(&Candidate, u64)> = self
            .candidates
            .iter()
            .flat_map(|candidate| self.seeds.iter().map(move |&seed| (candidate, seed)))
            .collect();
        let Some(trained) = self.train_all(&jobs, &fold.train)? else { return Ok(None) };
        let mut all_rows = self.replay_all(&jobs, &trained, fold)?;
        let names: Vec<String> = self.candidates.iter().map(|candidate| candidate.name.clone()).collect();
        let scores = choose(self.choice, &names, &all_rows);
        let chosen = scores.iter().position(|score| score.chosen).context("a plan has a candidate")?;
        let of_chosen = chosen * self.seeds.len()..(chosen + 1) * self.seeds.len();
        let mut trainings: Vec<TrainingRecord> = trained.iter().map(|trained| trained.record.clone()).collect();
        let (mut judged, mut trained_on) = (trained[of_chosen.clone()].to_vec(), fold.train);
        if self.refit {
            trained_on = fold.train_and_validation();
            let Some(again) = self.train_all(&jobs[of_chosen], &trained_on)? else { return Ok(None) };
            trainings.extend(again.iter().map(|trained| trained.record.clone()));
            judged = again;
        }
        let candidate = &self.candidates[chosen];
        let mut traded = Vec::new();
        for (trained, played) in judged.iter().zip(self.test(candidate, &judged, fold)?) {
            let origin =
                Origin { candidate: &candidate.name, seed: trained.record.seed, fold: fold.number, part: Part::Test };
            all_rows.extend(rows(origin, &played, &candidate.market));
            traded.push(played.trades);
        }
        let models = self.save(candidate, &judged, &trained_on, fold, &traded)?;
        let result = FoldResult {
            plan_sha256: self.plan_sha256.clone(),
            fold: *fold,
            scores,
            trainings,
            rows: all_rows,
            models,
        };
        let path = self.folder.join(self.folder_of(fold)).join("fold.json");
        write_file(&path, json_text(&result)?.as_bytes())?;
        Ok(Some((result, traded)))
    }

    /// Trains, one job per thread; `None` once a signal was noted.
    fn train_all(&self, jobs: &[(&Candidate, u64)], dates: &DateRange) -> anyhow::Result<Option<Vec<Trained>>> {
        jobs.par_iter().with_max_len(1).map(|(candidate, seed)| train(candidate, dates, *seed, self.stop)).collect()
    }

    /// Replays the validation dates with every trained policy.
    fn replay_all(
        &self,
        jobs: &[(&Candidate, u64)],
        trained: &[Trained],
        fold: &Fold,
    ) -> anyhow::Result<Vec<SessionRow>> {
        let replayed = |((candidate, seed), trained): (&(&Candidate, u64), &Trained)| {
            let played = self.replay(candidate, &trained.policy, *seed, &fold.validation)?;
            let origin = Origin { candidate: &candidate.name, seed: *seed, fold: fold.number, part: Part::Validation };
            anyhow::Ok(rows(origin, &played, &candidate.market))
        };
        let rows = jobs.par_iter().zip(trained).map(replayed).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(rows.concat())
    }

    /// Replays the test dates with the trained policies of the chosen candidate.
    fn test(&self, candidate: &Candidate, trained: &[Trained], fold: &Fold) -> anyhow::Result<Vec<ReplayResult>> {
        let play = |trained: &Trained| self.replay(candidate, &trained.policy, trained.record.seed, &fold.test);
        trained.par_iter().map(play).collect()
    }

    fn replay(
        &self,
        candidate: &Candidate,
        policy: &Policy,
        seed: u64,
        dates: &DateRange,
    ) -> anyhow::Result<ReplayResult> {
        let days = candidate.market.days_in(dates);
        replay(policy, &candidate.market, &days, &candidate.config.env, self.behaviour, seed)
    }

    /// Writes models and test trades of the chosen candidate.
    fn save(
        &self,
        candidate: &Candidate,
        trained: &[Trained],
        trained_on: &DateRange,
        fold: &Fold,
        traded: &[Vec<Trade>],
    ) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let folder = self.folder_of(fold);
        let mut models = Vec::new();
        for (trained, traded) in trained.iter().zip(traded) {
            let seed = trained.record.seed;
            let split = Split { train: *trained_on, validation: fold.validation, test: fold.test, gap: Vec::new() };
            let mut config = candidate.config.clone();
            config.run.seed = seed;
            let meta = ModelMeta {
                data: self.data,
                timesteps: trained.record.steps,
                config,
                split,
                trained_on: vec![*trained_on],
                forecaster: None,
            };
            let name = folder.join(format!("{}-seed{seed}.safetensors", candidate.name));
            let path = self.folder.join(&name);
            create_parent(&path)?;
            ModelFile { policy: trained.policy.clone(), meta: serde_json::to_value(meta)? }.save(&path)?;
            models.push((name, files::sha256(&path)?));
            let path = self.folder.join(&folder).join(trades_name(seed));
            write_file(&path, &trades::encode(&path, traded, self.data)?)?;
        }
        Ok(models)
    }
}

/// Returns the name of the file with the test trades of a seed.
pub(super) fn trades_name(seed: u64) -> String {
    format!("trades-seed{seed}.parquet")
}
