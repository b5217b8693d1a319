//! One fold of a walk-forward test: trainings of all candidates, the choice, and the test of the chosen one. It writes no file.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use market_data::{DateRange, Fold};
use market_env::{Market, Trade};
use ppo_agent::Behaviour;
use serde::{Deserialize, Serialize};
use statistics::ratio;

use super::{
    candidate::Candidate,
    choice::{ChoiceRule, Score, by_date_and_seed, choose},
    session_row::{Origin, Part, SessionRow, rows},
    training::{Trained, TrainingRecord, train},
};
use crate::{
    evaluation::replay::{ReplayResult, replay},
    output::signals::StopRequests,
};

/// Settings of every fold.
#[derive(Debug)]
pub(super) struct FoldSettings<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) seeds: &'a [u64],
    pub(super) choice: ChoiceRule,
    pub(super) refit: bool,
    pub(super) behaviour: Behaviour,
    /// Whether every candidate plays the test dates.
    pub(super) diagnose: bool,
    pub(super) stop: Option<&'a StopRequests>,
}

/// Result of one fold, as its file records it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldResult {
    /// The fold.
    pub fold: Fold,
    /// Every candidate's money on the validation dates.
    pub scores: Vec<Score>,
    /// The trainings of all candidates and seeds, then those of the refit.
    pub trainings: Vec<TrainingRecord>,
    /// Validation rows of every candidate, those of a diagnosis of the choice, then test rows of the chosen one.
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

/// A tested fold.
#[derive(Debug)]
pub(super) struct TestedFold {
    pub(super) result: FoldResult,
    /// Test trades of the chosen candidate, one list per seed.
    pub(super) trades: Vec<Vec<Trade>>,
    /// Policies of the chosen candidate, one per seed, with their training dates; empty for a fold read from files.
    pub(super) judged: Vec<(Trained, DateRange)>,
}

/// A trained candidate with its rows of the validation dates.
#[derive(Debug)]
pub(super) struct Validated {
    trained: Trained,
    rows: Vec<SessionRow>,
}

impl FoldSettings<'_> {
    /// Returns the trainings of a fold: every candidate with every seed.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (&Candidate, u64)> {
        self.candidates.iter().flat_map(|candidate| self.seeds.iter().map(move |&seed| (candidate, seed)))
    }

    /// Trains a candidate and replays the validation dates; `None` once a signal was noted.
    ///
    /// # Errors
    /// When training or replay fails.
    pub(super) fn validate(
        &self,
        fold: &Fold,
        (candidate, seed): (&Candidate, u64),
    ) -> anyhow::Result<Option<Validated>> {
        let Some(trained) = train(candidate, &fold.train, seed, self.stop)? else { return Ok(None) };
        let played = self.replay(candidate, &candidate.market, &trained, &fold.validation)?;
        let origin = Origin { candidate: &candidate.name, seed, fold: fold.number, part: Part::Validation };
        Ok(Some(Validated { trained, rows: rows(origin, &played, &candidate.market) }))
    }

    /// Chooses a candidate and tests it; `validated` is in the order of [`FoldSettings::jobs`]. Returns `None` once a signal was
    /// noted.
    ///
    /// # Errors
    /// When a training or replay fails.
    pub(super) fn finish(&self, fold: &Fold, validated: Vec<Validated>) -> anyhow::Result<Option<TestedFold>> {
        let mut trainings: Vec<TrainingRecord> = validated.iter().map(|one| one.trained.record.clone()).collect();
        let mut all_rows: Vec<SessionRow> = validated.iter().flat_map(|one| one.rows.clone()).collect();
        let names: Vec<String> = self.candidates.iter().map(|candidate| candidate.name.clone()).collect();
        let scores = choose(self.choice, &names, &all_rows);
        let chosen = scores.iter().position(|score| score.chosen).context("a plan has a candidate")?;
        let candidate = &self.candidates[chosen];
        if self.diagnose {
            all_rows.extend(self.diagnosis(fold, &validated)?);
        }
        let of_chosen = validated.into_iter().skip(chosen * self.seeds.len()).take(self.seeds.len());
        let (mut judged, mut trained_on): (Vec<Trained>, _) = (of_chosen.map(|one| one.trained).collect(), fold.train);
        if self.refit {
            trained_on = fold.train_and_validation();
            let again = self.seeds.iter().map(|&seed| train(candidate, &trained_on, seed, self.stop));
            let Some(again) = again.collect::<anyhow::Result<Option<Vec<Trained>>>>()? else { return Ok(None) };
            trainings.extend(again.iter().map(|trained| trained.record.clone()));
            judged = again;
        }
        let mut trades = Vec::new();
        for trained in &judged {
            let played = self.test(fold, candidate, trained, &mut all_rows)?;
            trades.push(played.trades);
        }
        let result = FoldResult { fold: *fold, scores, trainings, rows: all_rows, models: Vec::new() };
        let judged = judged.into_iter().map(|trained| (trained, trained_on)).collect();
        Ok(Some(TestedFold { result, trades, judged }))
    }

    /// Replays the test dates with every candidate and seed.
    fn diagnosis(&self, fold: &Fold, validated: &[Validated]) -> anyhow::Result<Vec<SessionRow>> {
        let mut found = Vec::new();
        for ((candidate, seed), one) in self.jobs().zip(validated) {
            let played = self.replay(candidate, &candidate.market, &one.trained, &fold.test)?;
            let origin = Origin { candidate: &candidate.name, seed, fold: fold.number, part: Part::Diagnosis };
            found.extend(rows(origin, &played, &candidate.market));
        }
        Ok(found)
    }

    /// Replays the test dates, also at wider spreads where the candidate has such a market, and adds the rows.
    fn test(
        &self,
        fold: &Fold,
        candidate: &Candidate,
        trained: &Trained,
        all_rows: &mut Vec<SessionRow>,
    ) -> anyhow::Result<ReplayResult> {
        let mut replayed = |market: &Arc<Market>, part: Part| {
            let played = self.replay(candidate, market, trained, &fold.test)?;
            let origin = Origin { candidate: &candidate.name, seed: trained.record.seed, fold: fold.number, part };
            all_rows.extend(rows(origin, &played, market));
            anyhow::Ok(played)
        };
        let played = replayed(&candidate.market, Part::Test)?;
        if let Some(wider) = &candidate.wider {
            replayed(wider, Part::WiderSpread)?;
        }
        Ok(played)
    }

    fn replay(
        &self,
        candidate: &Candidate,
        market: &Arc<Market>,
        trained: &Trained,
        dates: &DateRange,
    ) -> anyhow::Result<ReplayResult> {
        let Trained { policy, record } = trained;
        replay(policy, market, &market.days_in(dates), &candidate.config.env, self.behaviour, record.seed)
    }
}
