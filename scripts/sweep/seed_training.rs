//! One training of a trial up to a rung, and the checkpoint from which the next rung goes on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use jiff::civil::Date;
use market_data::DateRange;
use ppo_agent::{Behaviour, Checkpoint};
use serde::{Deserialize, Serialize};

use super::{Sweep, trial::SeedResult};
use crate::{
    artifacts::{
        files::{read_json, sha256},
        paths::list,
    },
    evaluation::replay::replay,
    output::output_file::{create_parent, json_text, write_file},
    walk_forward::{
        candidate::Candidate,
        training::{SavedWatch, Trained, Training},
    },
};

/// Content of the file beside a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState {
    plan_sha256: String,
    checkpoint_sha256: String,
    watch: SavedWatch,
}

impl Sweep<'_> {
    /// Trains one seed of a trial up to the steps of a rung and plays the validation dates; `None` once a signal was noted.
    ///
    /// # Errors
    /// When training or replay fails, or a checkpoint cannot be written.
    pub(super) fn train(
        &self,
        candidate: &Candidate,
        trial: usize,
        rung: usize,
        seed: u64,
    ) -> anyhow::Result<Option<SeedResult>> {
        let dates = &self.plan.split.train;
        let mut training = match self.earlier(candidate, trial, rung, seed) {
            Some(training) => training,
            None => Training::start(candidate, dates, seed)?,
        };
        if !training.run_to(self.plan.rungs[rung - 1], Some(&self.terms.stop))? {
            return Ok(None);
        }
        if rung < self.plan.rungs.len() {
            self.save(&training, trial, rung, seed)?;
        }
        self.play(candidate, &training.trained(), &self.plan.validation).map(Some)
    }

    /// Plays dates, ascending, with a trained policy, by its most likely actions.
    ///
    /// # Errors
    /// When the sessions cannot be replayed.
    pub(super) fn play(&self, candidate: &Candidate, trained: &Trained, dates: &[Date]) -> anyhow::Result<SeedResult> {
        let (market, Trained { policy, record }) = (&candidate.market, trained);
        let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else { bail!("there is no date to play") };
        let days = market.days_in(&DateRange { first, last });
        let played = replay(policy, market, &days, &candidate.config.env, Behaviour::Greedy, record.seed)?;
        let (mut net_cents, mut trades) = (vec![0; dates.len()], vec![0; dates.len()]);
        for (date, session) in &played.sessions {
            let at = dates.binary_search(date).ok();
            let at = at.with_context(|| format!("{}: it plays {date}, which other trials do not", candidate.name))?;
            net_cents[at] += session.net_pnl_cents;
            trades[at] += session.trades;
        }
        let verdict = record.verdict.clone();
        Ok(SeedResult {
            seed: record.seed,
            steps: record.steps,
            hold: record.hold,
            strong_buy: record.strong_buy,
            verdict,
            net_cents,
            trades,
        })
    }

    fn checkpoint(&self, rung: usize, trial: usize, seed: u64) -> PathBuf {
        self.folder.join(format!("rung{rung}")).join(format!("{trial:05}-seed{seed}.safetensors"))
    }

    fn save(&self, training: &Training<'_>, trial: usize, rung: usize, seed: u64) -> anyhow::Result<()> {
        let Some((checkpoint, watch)) = training.state()? else { return Ok(()) };
        let path = self.checkpoint(rung, trial, seed);
        create_parent(&path)?;
        checkpoint.save(&path, self.plan.data.as_str())?;
        let saved = SavedState { plan_sha256: self.plan_sha256.clone(), checkpoint_sha256: sha256(&path)?, watch };
        write_file(&path.with_extension("json"), json_text(&saved)?.as_bytes())
    }

    /// Returns the training at its newest checkpoint before a rung. Without a sound one the training starts anew, to the same
    /// result.
    fn earlier<'c>(&self, candidate: &'c Candidate, trial: usize, rung: usize, seed: u64) -> Option<Training<'c>> {
        let resumed = |path: PathBuf| -> anyhow::Result<Option<Training<'c>>> {
            let saved: SavedState = read_json(&path.with_extension("json"))?;
            if saved.plan_sha256 != self.plan_sha256 || saved.checkpoint_sha256 != sha256(&path)? {
                return Ok(None);
            }
            let state = (Checkpoint::load(&path)?, saved.watch);
            Training::resume(candidate, &self.plan.split.train, seed, state).map(Some)
        };
        let paths = (1..rung).rev().map(|rung| self.checkpoint(rung, trial, seed)).filter(|path| path.exists());
        paths.into_iter().find_map(|path| resumed(path).ok().flatten())
    }

    /// Removes the checkpoints of a rung that belong to some trials.
    pub(super) fn remove_checkpoints(&self, rung: usize, of: impl Fn(usize) -> bool) -> anyhow::Result<()> {
        for path in list(&self.folder.join(format!("rung{rung}")))? {
            if trial_of_checkpoint(&path).is_some_and(&of) {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Returns the trial of a checkpoint or of the file beside it; `None` for a result.
fn trial_of_checkpoint(path: &Path) -> Option<usize> {
    path.file_name()?.to_str()?.split_once("-seed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_no_checkpoints() {
        let of = |name: &str| trial_of_checkpoint(Path::new(name));
        assert_eq!(of("sweep/rung1/00017-seed2.safetensors"), Some(17));
        assert_eq!(of("00003-seed0.json"), Some(3));
        assert_eq!(of("00003.json"), None);
    }
}
