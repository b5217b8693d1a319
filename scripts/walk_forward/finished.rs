//! A finished walk-forward test, from the files of its folder.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;

use super::{WalkForwardResult, fold_files::FoldFiles, plan::Plan};
use crate::artifacts::files::read_json;

/// Reads folds and trades of a finished test.
///
/// # Errors
/// When a fold is missing, belongs to another plan, or is damaged.
pub fn read(folder: &Path, plan: &Plan) -> anyhow::Result<WalkForwardResult> {
    let files = FoldFiles { folder, plan_sha256: plan.sha256()?, seeds: &plan.seeds, data: plan.data };
    let fold = |fold| {
        let found = files.read(fold)?;
        let place =
            || format!("{}: fold {} is not finished; repeat the command with --resume", folder.display(), fold.number);
        found.with_context(place)
    };
    Ok(WalkForwardResult::stitch(plan.folds.iter().map(fold).collect::<anyhow::Result<_>>()?, plan.seeds.len()))
}

/// Reads `evaluation.json` of a folder.
///
/// # Errors
/// When the file is missing or damaged.
pub fn evaluation<T: DeserializeOwned>(folder: &Path) -> anyhow::Result<T> {
    let path = folder.join("evaluation.json");
    ensure!(path.exists(), "reading {}: finish the walk-forward test first", path.display());
    read_json(&path)
}
