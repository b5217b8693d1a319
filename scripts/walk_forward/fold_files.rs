//! Files of finished folds, in the folder of a walk-forward test.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use market_data::{DataStamp, Fold, Split};
use ppo_agent::ModelFile;
use serde::{Deserialize, Serialize};

use super::{
    candidate::Candidate,
    fold::{FoldResult, TestedFold},
};
use crate::{
    artifacts::{files, saved_model::ModelMeta, trades},
    output::output_file::{create_parent, json_text, write_file},
};

/// The folder, and the plan that its folds belong to.
#[derive(Debug)]
pub(super) struct FoldFiles<'a> {
    pub(super) folder: &'a Path,
    pub(super) plan_sha256: String,
    pub(super) seeds: &'a [u64],
    pub(super) data: DataStamp,
}

/// Content of `fold.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoldFile {
    /// SHA-256 of the plan.
    plan_sha256: String,
    result: FoldResult,
}

impl FoldFiles<'_> {
    fn folder_of(fold: &Fold) -> PathBuf {
        PathBuf::from("folds").join(format!("{:03}", fold.number))
    }

    /// Reads a fold that an earlier start of the same plan finished; `None` if there is none.
    ///
    /// # Errors
    /// When its files are damaged.
    pub(super) fn read(&self, fold: &Fold) -> anyhow::Result<Option<TestedFold>> {
        let folder = self.folder.join(Self::folder_of(fold));
        let path = folder.join("fold.json");
        if !path.exists() {
            return Ok(None);
        }
        let file: FoldFile = files::read_json(&path)?;
        if file.plan_sha256 != self.plan_sha256 || file.result.fold != *fold {
            return Ok(None);
        }
        let read = |seed: &u64| Ok(trades::read(&folder.join(trades_name(*seed)))?.trades);
        let trades = self.seeds.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Some(TestedFold { result: file.result, trades, judged: Vec::new() }))
    }

    /// Writes models and test trades of the chosen candidate, and `fold.json` last: a fold without it starts again.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn write(&self, tested: &mut TestedFold, candidates: &[Candidate]) -> anyhow::Result<()> {
        let TestedFold { result, trades, judged } = tested;
        let candidate = candidates.iter().find(|candidate| candidate.name == result.chosen());
        let (candidate, folder) =
            (candidate.context("the chosen candidate is one of the plan's")?, Self::folder_of(&result.fold));
        for ((trained, trained_on), traded) in judged.iter().zip(&*trades) {
            let seed = trained.record.seed;
            let Fold { validation, test, .. } = result.fold;
            let mut config = candidate.config.clone();
            config.run.seed = seed;
            let meta = ModelMeta {
                data: self.data,
                timesteps: trained.record.steps,
                config,
                split: Split { train: *trained_on, validation, test, gap: Vec::new() },
                trained_on: vec![*trained_on],
                forecaster: None,
            };
            let name = folder.join(format!("{}-seed{seed}.safetensors", candidate.name));
            let path = self.folder.join(&name);
            create_parent(&path)?;
            ModelFile { policy: trained.policy.clone(), meta: serde_json::to_value(meta)? }.save(&path)?;
            result.models.push((name, files::sha256(&path)?));
            let path = self.folder.join(&folder).join(trades_name(seed));
            write_file(&path, &trades::encode(&path, traded, self.data)?)?;
        }
        let file = FoldFile { plan_sha256: self.plan_sha256.clone(), result: result.clone() };
        write_file(&self.folder.join(folder).join("fold.json"), json_text(&file)?.as_bytes())
    }
}

/// Returns the name of the file with the test trades of a seed.
pub(super) fn trades_name(seed: u64) -> String {
    format!("trades-seed{seed}.parquet")
}
