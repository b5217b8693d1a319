//! A finished walk-forward test, from the files of its folder.

use std::path::Path;

use anyhow::Context as _;

use super::{WalkForwardResult, fold_files::FoldFiles, plan::Plan};

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
