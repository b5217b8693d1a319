//! Placebo markets that run in parts, one file each, for programs that share a folder.

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use anyhow::Context as _;

use super::{PlaceboTest, PlaceboWorlds};
use crate::{
    artifacts::{files, paths::list},
    output::output_file::{json_text, write_file},
    walk_forward::workers::run_in_order,
};

/// Folder of the files.
const FOLDER: &str = "placebo";

/// Returns results with those of the parts that belong to the same plan.
///
/// # Errors
/// When a file is damaged.
pub(super) fn with_parts(mut worlds: PlaceboWorlds, folder: &Path) -> anyhow::Result<PlaceboWorlds> {
    let files = list(&folder.join(FOLDER))?.into_iter();
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        let found: PlaceboWorlds = files::read_json(&path)?;
        if found.plan_sha256 == worlds.plan_sha256 {
            worlds.mean_per_date_usd.extend(found.mean_per_date_usd);
        }
    }
    Ok(worlds)
}

impl PlaceboTest<'_> {
    /// Runs the procedure on some markets, by their seeds, that the folder does not hold yet, and writes a file for each; the whole
    /// test joins them later. Returns false once a signal was noted.
    ///
    /// # Errors
    /// As [`PlaceboTest::run`].
    pub fn run_part(
        &self,
        folder: &Path,
        seeds: &BTreeSet<usize>,
        finished: &(dyn Fn(u64) + Sync),
    ) -> anyhow::Result<bool> {
        self.check()?;
        let known = PlaceboWorlds::read(folder, self.plan)?;
        let seeds = seeds.iter().map(|seed| *seed as u64);
        let seeds: Vec<u64> = seeds.filter(|seed| !known.mean_per_date_usd.contains_key(seed)).collect();
        run_in_order(self.threads, &seeds, |&seed| {
            let world = self.world(seed, 0.0).with_context(|| format!("placebo market {seed}"))?;
            let Some((result, _)) = world else {
                return Ok(ControlFlow::Break(()));
            };
            let part = PlaceboWorlds {
                plan_sha256: known.plan_sha256.clone(),
                mean_per_date_usd: [(seed, result.mean_per_date())].into(),
                ..PlaceboWorlds::default()
            };
            write_file(&folder.join(FOLDER).join(format!("{seed:05}.json")), json_text(&part)?.as_bytes())?;
            finished(seed);
            Ok(ControlFlow::Continue(()))
        })
    }
}
