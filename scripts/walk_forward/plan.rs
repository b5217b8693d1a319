//! Plan of a walk-forward test: everything that its result depends on, written before the first training.

use std::path::Path;

use anyhow::ensure;
use market_data::{DataStamp, DateRange, FileRecord, Fold, FoldSizes};
use ppo_agent::Behaviour;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{candidate::PlannedCandidate, choice::ChoiceRule};
use crate::{
    artifacts::{
        files::{manifest_entries, read_json, sha256_of},
        plan_file,
    },
    output::output_file::json_text,
};

/// Format mark of the plan's file.
const FORMAT: &str = "zerodte walk-forward 1";

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format mark.
    pub format: String,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Basis of the option prices.
    pub prices: String,
    /// Files that were read, with their hashes.
    pub files: Value,
    /// Symbols.
    pub symbols: Vec<String>,
    /// Session dates.
    pub dates: DateRange,
    /// Steps of every training.
    pub timesteps: u64,
    /// Candidates, in the order that breaks ties.
    pub candidates: Vec<PlannedCandidate>,
    /// Seeds; the policy that is judged is the mean of their trainings, each with its share of the capital.
    pub seeds: Vec<u64>,
    /// Sizes of the folds.
    pub sizes: FoldSizes,
    /// The folds.
    pub folds: Vec<Fold>,
    /// Rule that chooses a candidate in every fold.
    pub choice: ChoiceRule,
    /// Whether the chosen candidate is trained again on training and validation dates.
    pub refit: bool,
    /// Behaviour that is judged.
    pub behaviour: Behaviour,
    /// Whether every candidate plays the test dates, so that the choice between them can be judged. Each is a look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diagnose_selection: bool,
}

impl Plan {
    /// Returns the format mark.
    pub fn format() -> String {
        FORMAT.to_owned()
    }

    /// Returns the SHA-256 of the plan.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sha256(&self) -> anyhow::Result<String> {
        Ok(sha256_of(json_text(self)?))
    }

    /// Refuses files that are not those of the plan.
    ///
    /// # Errors
    /// A sentence with the keys that differ; a file that cannot be read again.
    pub fn check_files(&self, files: &[FileRecord]) -> anyhow::Result<()> {
        let now = Value::from(manifest_entries(files)?);
        ensure!(now == self.files, "the files of bars have changed since the plan was written");
        Ok(())
    }

    /// Returns the SHA-256 of the procedure: of everything but its name, its seeds and the files.
    ///
    /// # Errors
    /// As [`Plan::sha256`].
    pub fn procedure_sha256(&self) -> anyhow::Result<String> {
        let plan = Self { seeds: Vec::new(), files: Value::Null, ..self.clone() };
        plan.sha256()
    }

    /// Returns the SHA-256 of each candidate as a procedure of its own, in the order of the candidates.
    ///
    /// # Errors
    /// As [`Plan::sha256`].
    pub fn candidates_sha256(&self) -> anyhow::Result<Vec<String>> {
        let alone = |candidate: &PlannedCandidate| {
            let plan = Self { candidates: vec![candidate.clone()], diagnose_selection: false, ..self.clone() };
            plan.procedure_sha256()
        };
        self.candidates.iter().map(alone).collect()
    }

    /// Reads the plan of a folder.
    ///
    /// # Errors
    /// When the folder holds none, or it is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(plan_file::FILE);
        ensure!(path.exists(), "reading {}: name the folder of a walk-forward test", path.display());
        read_json(&path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        let day = |d| jiff::civil::date(2025, 6, d);
        let range = |first, last| DateRange { first: day(first), last: day(last) };
        Plan {
            format: Plan::format(),
            data: DataStamp::Synthetic,
            prices: "modelled".to_owned(),
            files: json!([]),
            symbols: vec!["SPY".to_owned()],
            dates: range(2, 30),
            timesteps: 1_000,
            candidates: vec![PlannedCandidate { name: "pnl".to_owned(), config_sha256: "ab".to_owned() }],
            seeds: vec![0, 1],
            sizes: FoldSizes { train: 5, validation: 2, test: 2, purge: 1, anchored: false },
            folds: vec![Fold { number: 1, train: range(2, 9), validation: range(11, 12), test: range(16, 17) }],
            choice: ChoiceRule::LowerBound,
            refit: false,
            behaviour: Behaviour::Greedy,
            diagnose_selection: false,
        }
    }

    #[test]
    fn another_plan_has_another_hash_and_other_seeds_are_the_same_procedure() {
        let plan = plan();
        let other = Plan { seeds: vec![0], ..plan.clone() };
        assert_ne!(plan.sha256().unwrap(), other.sha256().unwrap());
        assert_eq!(plan.procedure_sha256().unwrap(), other.procedure_sha256().unwrap());
        let refitted = Plan { refit: true, ..plan.clone() };
        assert_ne!(plan.procedure_sha256().unwrap(), refitted.procedure_sha256().unwrap());
    }

    #[test]
    fn a_candidate_alone_is_the_same_procedure_with_and_without_a_diagnosis() {
        let alone = plan();
        assert_eq!(alone.candidates_sha256().unwrap(), [alone.procedure_sha256().unwrap()]);
        let second = PlannedCandidate { name: "tune2".to_owned(), config_sha256: "cd".to_owned() };
        let both = Plan { candidates: vec![alone.candidates[0].clone(), second], diagnose_selection: true, ..alone };
        let hashes = both.candidates_sha256().unwrap();
        assert_eq!((hashes.len(), &hashes[0]), (2, &plan().procedure_sha256().unwrap()));
        assert!(!json_text(&plan()).unwrap().contains("diagnose"), "plans without it keep their hash");
    }
}
