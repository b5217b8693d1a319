//! Interventions between the iterations of a training: shaping that fades, moves of the controller, replayed moves of an earlier
//! run, and the stop on a verdict.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use market_data::input_file;
use market_env::{BatchEnv, RewardConfig};
use ppo_agent::{
    EntropySchedule, Trainer,
    health::{Controller, HealthConfig, Move, Response},
};

use crate::{
    artifacts::{health_rows::MoveRow, paths::Paths},
    config::RunConfig,
    output::exit_code::{TrainingStopped, UsageError},
    training::reporter::Reporter,
};

/// Interventions in one training.
#[derive(Debug)]
pub struct Interventions {
    controller: Controller,
    health: HealthConfig,
    schedule: EntropySchedule,
    total: u64,
    /// Moves of an earlier run still to be replayed, the next one last; `None` if the controller decides.
    replayed: Option<Vec<MoveRow>>,
}

impl Interventions {
    /// Starts with the settings of a run, or with the controller of a resumed run and its step.
    ///
    /// # Errors
    /// [`UsageError`] when the moves to replay cannot be read, or one of them cannot be made.
    pub fn new(config: &RunConfig, resumed: Option<(Controller, u64)>) -> anyhow::Result<Self> {
        let (controller, step) = resumed.map_or_else(
            || (Controller::new(config.ppo.ent_coef, config.env.reward.clone()), None),
            |(controller, step)| (controller, Some(step)),
        );
        let own = |path: &PathBuf| path.starts_with(Paths::of(&config.run).run);
        if config.run.replay_moves.as_ref().is_some_and(own) {
            let fault = "run.replay_moves: the run sets that folder aside; choose another run.model_name";
            return Err(UsageError::one(fault).into());
        }
        let read = |path| read_moves(path, Controller::new(config.ppo.ent_coef, config.env.reward.clone()));
        let mut replayed = config.run.replay_moves.as_deref().map(read).transpose()?;
        if let Some(moves) = &mut replayed {
            // The moves up to its step are part of a checkpoint.
            moves.retain(|row| step.is_none_or(|step| row.step > step));
            moves.reverse();
        }
        let (health, schedule) = (config.health.clone(), config.ppo.ent_schedule);
        Ok(Self { controller, health, schedule, total: config.run.timesteps, replayed })
    }

    /// Returns the controller's state, which a resumed run needs.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Sets the reward weights of the next iteration.
    ///
    /// # Errors
    /// When the environment refuses the weights.
    pub fn prepare(&self, trainer: &mut Trainer<BatchEnv>) -> anyhow::Result<()> {
        let reward = reward_at(self.controller.reward(), trainer.timesteps(), self.total);
        Ok(trainer.env_mut().set_reward(reward)?)
    }

    /// Responds to the verdicts of an iteration; `used` is the entropy weight of its update.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn follow(
        &mut self,
        trainer: &mut Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        used: f64,
    ) -> anyhow::Result<ControlFlow<TrainingStopped>> {
        let called = reporter.take_verdicts();
        if self.replayed.is_some() {
            self.replay(trainer, reporter)?;
            return Ok(ControlFlow::Continue(()));
        }
        let auto = self.schedule == EntropySchedule::Auto;
        if auto {
            self.note_entropy(trainer, reporter, used)?;
        }
        for verdict in called {
            self.controller.set_ent_coef(trainer.ent_coef());
            match self.controller.respond(verdict, &self.health, auto) {
                Response::Continue => {}
                Response::Moves(moves) => {
                    moves.iter().try_for_each(|made| apply(made, trainer, reporter, true))?;
                }
                Response::Stop => {
                    let evidence = reporter.last_health().map_or_else(Vec::new, |row| row.evidence.clone());
                    return Ok(ControlFlow::Break(TrainingStopped::ByVerdict {
                        verdict,
                        step: trainer.timesteps(),
                        evidence,
                    }));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Records an automatic change of the entropy weight.
    fn note_entropy(&self, trainer: &Trainer<BatchEnv>, reporter: &mut Reporter<'_>, used: f64) -> anyhow::Result<()> {
        let (to, target) = (trainer.ent_coef(), trainer.config().ent_target);
        if to == used {
            return Ok(());
        }
        let side = if to > used { "below" } else { "above" };
        let reason = format!("auto: the normalised entropy lies {side} its target {target}");
        let made = Move { key: "ppo.ent_coef".to_owned(), from: used, to, reason };
        reporter.record_move(trainer.timesteps(), &made, false)
    }

    /// Makes the earlier run's moves up to the current step.
    fn replay(&mut self, trainer: &mut Trainer<BatchEnv>, reporter: &mut Reporter<'_>) -> anyhow::Result<()> {
        let Some(moves) = &mut self.replayed else { return Ok(()) };
        while let Some(row) = moves.pop_if(|row| row.step <= trainer.timesteps()) {
            let made = row.to_move();
            self.controller.apply(&made).map_err(|fault| UsageError::one(format!("--replay-moves: {fault}")))?;
            apply(&made, trainer, reporter, true)?;
        }
        Ok(())
    }
}

/// Makes a move and records it; reward weights are set before the next iteration.
fn apply(made: &Move, trainer: &mut Trainer<BatchEnv>, reporter: &mut Reporter<'_>, loud: bool) -> anyhow::Result<()> {
    if made.key == "ppo.ent_coef" {
        trainer.set_ent_coef(made.to);
    }
    reporter.record_move(trainer.timesteps(), made, loud)
}

/// Reads the moves of an earlier run and tries each on `controller`, so that a faulty one is reported before training starts.
fn read_moves(path: &Path, mut controller: Controller) -> anyhow::Result<Vec<MoveRow>> {
    let name = path.display();
    let text = input_file::read_text(path)
        .map_err(|error| UsageError::one(format!("--replay-moves: cannot read {name}: {error}")))?;
    let mut earlier = 0;
    let mut read = |line: &str| -> Result<MoveRow, String> {
        let row: MoveRow = serde_json::from_str(line).map_err(|error| error.to_string())?;
        controller.apply(&row.to_move())?;
        let before = std::mem::replace(&mut earlier, row.step);
        if row.step < before { Err(format!("step {} follows step {before}", row.step)) } else { Ok(row) }
    };
    let row = |(line, number): (&str, u32)| {
        read(line).map_err(|fault| UsageError::one(format!("--replay-moves: {name}, line {number}: {fault}")).into())
    };
    text.lines().zip(1..).map(row).collect()
}

/// Returns the reward weights of the iteration that starts at a step: shaping fades over the planned length. They depend on the
/// step alone, so that a resumed run has the same rewards as an uninterrupted one.
fn reward_at(base: &RewardConfig, timesteps: u64, total: u64) -> RewardConfig {
    base.at(timesteps as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_run_does_not_replay_the_folder_that_it_sets_aside() {
        let mut config = RunConfig::default();
        config.run.replay_moves = Some(Paths::of(&config.run).run.join("moves.jsonl"));
        let refusal = Interventions::new(&config, None).unwrap_err();
        assert!(
            refusal.downcast_ref::<UsageError>().is_some() && refusal.to_string().contains("sets that folder aside")
        );
    }

    #[test]
    fn shaping_fades_over_the_planned_steps() {
        let base = RewardConfig { shaping_final: 0.0, ..RewardConfig::documented() };
        assert_eq!(reward_at(&base, 0, 10_000), base);
        assert_eq!(reward_at(&base, 7_500, 10_000).good_buy_call, 0.025);
        assert_eq!(reward_at(&base, 10_240, 10_000).missed_opportunity, 0.0);
    }

    #[test]
    fn moves_of_a_file_are_read_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moves.jsonl");
        let read = |path: &Path| read_moves(path, Controller::new(0.06, RewardConfig::documented()));
        let row = r#"{"data":"market","step":40960,"key":"ppo.ent_coef","from":0.06,"to":0.08,"reason":"why"}"#;
        fs::write(&path, format!("{row}\n")).unwrap();
        assert_eq!(read(&path).unwrap()[0].to, 0.08);
        let faults = [
            ("nonsense".to_owned(), "line 2: expected"),
            (row.replace("ppo.ent_coef", "ppo.gamma"), "line 2: `ppo.gamma` is not a setting of the controller"),
            (row.replace("0.08", "-0.08"), "line 2: ppo.ent_coef cannot be -0.08"),
            (row.replace("40960", "2048"), "line 2: step 2048 follows step 40960"),
        ];
        for (line, words) in faults {
            fs::write(&path, format!("{row}\n{line}\n")).unwrap();
            let fault = read(&path).unwrap_err();
            assert!(fault.downcast_ref::<UsageError>().is_some() && fault.to_string().contains(words), "{fault}");
        }
        assert!(read(&folder.path().join("no")).unwrap_err().to_string().contains("cannot read"));
    }
}
