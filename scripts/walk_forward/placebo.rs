//! Placebo test of a procedure: the same folds, candidates, seeds and choice on markets without direction.
//!
//! No formula stands behind the result: it is the rank of the real result among those of the placebo markets.

mod parts;

use std::{ops::ControlFlow, path::Path, sync::Mutex};

use anyhow::{Context as _, anyhow, ensure};
use market_data::{History, placebo::with_planted_trend};
use serde::{Deserialize, Serialize};

use super::{
    WalkForward, WalkForwardResult,
    candidate::{Candidate, CandidateConfigs},
    plan::Plan,
    planted::{self, PlantedEdge, PlantedWorlds, Worlds},
    workers::run_in_order,
};
use crate::{
    artifacts::files,
    evaluation::edge::{Placebo, Power},
    inputs::Inputs,
    output::{
        output_file::{json_text, write_file},
        signals::StopRequests,
    },
};

/// Results of a procedure on placebo markets, as `placebo.json` holds them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceboWorlds {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// Mean P&L of a test date in dollars, by the seed of the market.
    pub mean_per_date_usd: Worlds,
    /// The same on markets with planted edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planted: Vec<PlantedWorlds>,
}

impl PlaceboWorlds {
    /// Returns the rank of a real result.
    pub fn rank(&self, real_usd: f64) -> Placebo {
        Placebo::of(real_usd, self.mean_per_date_usd.values())
    }

    /// Returns the power of the procedure for every planted edge.
    pub fn power(&self) -> Vec<Power> {
        self.planted.iter().map(|planted| planted.power(&self.mean_per_date_usd)).collect()
    }

    /// Reads the results of a folder that belong to the plan; empty if there are none.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn read(folder: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let (path, plan_sha256) = (folder.join("placebo.json"), plan.sha256()?);
        if path.exists() {
            let found: Self = files::read_json(&path)?;
            if found.plan_sha256 == plan_sha256 {
                return parts::with_parts(found, folder);
            }
        }
        parts::with_parts(Self { plan_sha256, ..Self::default() }, folder)
    }
}

/// A procedure to run on placebo markets.
#[derive(Debug)]
pub struct PlaceboTest<'a> {
    /// The plan of the real test.
    pub plan: &'a Plan,
    /// Its candidates.
    pub configs: &'a CandidateConfigs,
    /// The real bars.
    pub history: &'a History,
    /// Threads, 0 = one per core, each with its own markets.
    pub threads: usize,
    /// Signals that end the work.
    pub stop: Option<StopRequests>,
}

impl PlaceboTest<'_> {
    /// Runs the procedure on the markets of the seeds 1 to `worlds` that the folder does not hold yet, and calls `finished` after each
    /// with the number of markets that are done and the mean P&L of a date. Returns `None` once a signal was noted; the finished
    /// markets are kept.
    ///
    /// # Errors
    /// When a market cannot be built, a training fails or a file cannot be written.
    pub fn run(
        &self,
        folder: &Path,
        worlds: u64,
        finished: &(dyn Fn(usize, f64) + Sync),
    ) -> anyhow::Result<Option<PlaceboWorlds>> {
        self.fill(folder, (worlds, 0.0), |found| &mut found.mean_per_date_usd, finished)
    }

    /// Runs the procedure in the same way on markets with a planted edge.
    ///
    /// # Errors
    /// As for [`PlaceboTest::run`].
    pub fn run_planted(
        &self,
        folder: &Path,
        worlds: u64,
        edge: PlantedEdge,
        finished: &(dyn Fn(usize, f64) + Sync),
    ) -> anyhow::Result<Option<PlaceboWorlds>> {
        self.fill(
            folder,
            (worlds, edge.strength),
            |found| &mut planted::of_edge(&mut found.planted, edge).mean_per_date_usd,
            finished,
        )
    }

    fn fill(
        &self,
        folder: &Path,
        (worlds, strength): (u64, f64),
        of: impl for<'a> Fn(&'a mut PlaceboWorlds) -> &'a mut Worlds + Sync,
        finished: &(dyn Fn(usize, f64) + Sync),
    ) -> anyhow::Result<Option<PlaceboWorlds>> {
        self.check()?;
        let mut known = PlaceboWorlds::read(folder, self.plan)?;
        let seeds: Vec<u64> = (1..=worlds).filter(|seed| !of(&mut known).contains_key(seed)).collect();
        let known = Mutex::new(known);
        let all = run_in_order(self.threads, &seeds, |&seed| {
            let Some((result, _)) = self.world(seed, strength).with_context(|| format!("placebo market {seed}"))?
            else {
                return Ok(ControlFlow::Break(()));
            };
            let usd = result.mean_per_date();
            let mut known = known.lock().map_err(|_| anyhow!("another market panicked"))?;
            of(&mut known).insert(seed, usd);
            write_file(&folder.join("placebo.json"), json_text(&*known)?.as_bytes())?;
            finished(of(&mut known).len(), usd);
            Ok(ControlFlow::Continue(()))
        })?;
        let known = known.into_inner().map_err(|_| anyhow!("a market panicked"))?;
        if seeds.is_empty() {
            // All of them may come from parts.
            write_file(&folder.join("placebo.json"), json_text(&known)?.as_bytes())?;
        }
        Ok(all.then_some(known))
    }

    /// Refuses real options.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.configs.shared().run.options.is_none(),
            "real options do not match bars without direction: a placebo test needs a walk-forward test with modelled prices"
        );
        Ok(())
    }

    /// Returns the result of the procedure on the market of a seed, with a planted trend of this strength, and the candidates with
    /// that market; `None` once a signal was noted. One thread works on it.
    ///
    /// # Errors
    /// When the market cannot be built or a training fails.
    pub fn world(&self, seed: u64, strength: f64) -> anyhow::Result<Option<(WalkForwardResult, Vec<Candidate>)>> {
        let history = with_planted_trend(self.history, seed, strength)?;
        let inputs = Inputs::of_history(self.configs.shared(), &history)?;
        let candidates = self.configs.with_markets(&inputs, false)?;
        let test = WalkForward { plan: self.plan, candidates: &candidates, threads: 1, stop: self.stop.clone() };
        Ok(test.run_in_memory()?.map(|result| (result, candidates)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_counts_the_real_result_among_the_worlds() {
        let worlds = PlaceboWorlds {
            plan_sha256: String::new(),
            mean_per_date_usd: (1..=19).map(|seed| (seed, seed as f64)).collect(),
            planted: Vec::new(),
        };
        assert_eq!(worlds.rank(20.0), Placebo { worlds: 19, rank: 0, p: 0.05 });
        assert_eq!(worlds.rank(10.0).rank, 10);
        assert_eq!(worlds.rank(f64::NEG_INFINITY).p, 1.0);
    }
}
