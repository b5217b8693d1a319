//! The learning: iterations, checkpoints, validations, and the reasons to end.

use std::{ops::ControlFlow, sync::Arc};

use market_env::BatchEnv;
use ppo_agent::{
    AgentError, Behaviour, Trainer,
    health::{OnCollapse, RandomLegal, TradeReturns, Verdict},
};

use super::{Run, interventions::Interventions, reporter::Reporter};
use crate::{
    artifacts::{candidate::Candidate, files, records::MarkOf},
    config::keep::Keep,
    evaluation::{random_legal, replay::replay},
    output::{exit_code::TrainingStopped, signals::StopRequests, table::thousands},
};

/// Course of a training up to its last checkpoint.
#[derive(Debug)]
pub(super) struct Course {
    /// Steps of the last checkpoint.
    saved: u64,
    /// Money of the checkpoints that were compared.
    pub(super) candidates: Vec<Candidate>,
    /// Verdict that ended the training at the last checkpoint.
    stopped: Option<Verdict>,
    /// Random-legal trades of the training and validation sessions.
    random: Arc<RandomLegal>,
}

impl Course {
    /// Starts at the steps of the trainer, with the verdict that stopped a resumed run at its mark.
    pub(super) fn new(
        trainer: &Trainer<BatchEnv>,
        stopped: Option<Verdict>,
        candidates: Vec<Candidate>,
        random: Arc<RandomLegal>,
    ) -> Self {
        Self { saved: trainer.timesteps(), candidates, stopped, random }
    }
}

impl Run<'_> {
    /// Trains to the end, which is a checkpoint, or until a verdict or a signal stops the run.
    pub(super) fn learn(
        &self,
        trainer: &mut Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        interventions: &mut Interventions,
        course: &mut Course,
    ) -> anyhow::Result<ControlFlow<TrainingStopped>> {
        let run = &self.config.run;
        reporter.console().start_bar(run.timesteps, trainer.timesteps());
        let mut end = self.ended_before(trainer.timesteps(), course, reporter);
        while end.is_continue() && trainer.timesteps() < run.timesteps && !self.gains_nothing(course, reporter)? {
            let used = self.iterate(trainer, reporter, interventions)?;
            end = interventions.follow(trainer, reporter, used)?;
            let steps = trainer.timesteps();
            if end.is_continue() && steps / run.checkpoint_freq > course.saved / run.checkpoint_freq {
                if !self.split.validation.is_empty() {
                    reporter.on_validation(steps, &self.validation_returns(trainer, &course.random)?);
                }
                let money = if run.compares() { self.candidate(trainer)? } else { None };
                self.save_checkpoint(trainer, reporter, interventions, course, money)?;
            }
            if let Some(signal) = self.stop.as_ref().and_then(StopRequests::noted).filter(|_| end.is_continue()) {
                end = ControlFlow::Break(TrainingStopped::BySignal { signal, step: steps });
            }
        }
        if let ControlFlow::Break(TrainingStopped::ByVerdict { verdict, .. }) = &end {
            course.stopped = Some(*verdict);
        }
        self.close(trainer, reporter, interventions, course, end.is_continue())?;
        reporter.console().stop_bar();
        Ok(end)
    }

    /// Returns the end of a run that its verdict had stopped at the resumed checkpoint, unless verdicts now have no consequence.
    fn ended_before(&self, step: u64, course: &mut Course, reporter: &Reporter<'_>) -> ControlFlow<TrainingStopped> {
        let stopped = course.stopped.take().filter(|_| self.config.health.on_collapse != OnCollapse::Warn);
        let evidence = || reporter.last_health().map_or_else(Vec::new, |row| row.evidence.clone());
        stopped.map_or(ControlFlow::Continue(()), |verdict| {
            ControlFlow::Break(TrainingStopped::ByVerdict { verdict, step, evidence: evidence() })
        })
    }

    /// Runs one iteration and returns the entropy weight of its update.
    fn iterate(
        &self,
        trainer: &mut Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        interventions: &Interventions,
    ) -> anyhow::Result<f64> {
        interventions.prepare(trainer)?;
        let used = trainer.ent_coef();
        if let Err(error) = trainer.iterate(reporter) {
            if matches!(error, AgentError::NonFinite { .. }) {
                reporter.record_failure(trainer.timesteps(), &error)?;
            }
            return Err(error.into());
        }
        reporter.check()?;
        let (steps, next) = (trainer.timesteps(), trainer.config().rollout_size() as u64);
        let cadence = self.config.run.diagnostics_freq;
        if (steps + next) / cadence > steps / cadence {
            reporter.on_activity(trainer.activity()?);
        }
        Ok(used)
    }

    /// Returns whether `run.stop_after_no_gain` ends the training, and says so.
    fn gains_nothing(&self, course: &Course, reporter: &mut Reporter<'_>) -> anyhow::Result<bool> {
        let (limit, since) = (self.config.run.stop_after_no_gain, Candidate::since_best(&course.candidates) as u64);
        let Some(best) = Candidate::best(&course.candidates).filter(|_| limit > 0 && since >= limit) else {
            return Ok(false);
        };
        let step = thousands(best.step as i64);
        reporter
            .console()
            .say(format!("Ended by --stop-after-no-gain: {since} validations without a gain since step {step}"))?;
        Ok(true)
    }

    /// Writes the checkpoint at the end; where the training is complete and the best model is kept, the last one competes.
    fn close(
        &self,
        trainer: &Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        interventions: &Interventions,
        course: &mut Course,
        complete: bool,
    ) -> anyhow::Result<()> {
        let steps = trainer.timesteps();
        let competes = complete && self.config.run.keep == Keep::Best;
        let missing = course.candidates.last().is_none_or(|candidate| candidate.step < steps);
        let money = if competes && missing { self.candidate(trainer)? } else { None };
        if course.saved < steps {
            self.save_checkpoint(trainer, reporter, interventions, course, money)
        } else {
            course.candidates.extend(money);
            Ok(())
        }
    }

    /// Writes a checkpoint with its mark, and removes those that are too old.
    fn save_checkpoint(
        &self,
        trainer: &Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        interventions: &Interventions,
        course: &mut Course,
        money: Option<Candidate>,
    ) -> anyhow::Result<()> {
        let steps = trainer.timesteps();
        let path = self.paths.checkpoint(steps);
        trainer.checkpoint()?.save(&path, self.inputs.stamp().as_str())?;
        reporter.save_mark(MarkOf {
            step: steps,
            sha256: files::sha256(&path)?,
            controller: interventions.controller(),
            money,
            stopped: course.stopped,
        })?;
        course.saved = steps;
        course.candidates.extend(money);
        let best = Candidate::best(&course.candidates).map(|best| best.step);
        self.paths.prune(self.config.run.keep_checkpoints, steps, best)
    }

    /// Replays the validation dates with the most likely actions, and returns the money; `None` for fewer than two dates.
    fn candidate(&self, trainer: &Trainer<BatchEnv>) -> anyhow::Result<Option<Candidate>> {
        let (market, config) = (&self.inputs.market, self.config);
        let days = market.days_in(&self.split.validation);
        let played = replay(trainer.policy(), market, &days, &config.env, Behaviour::Greedy, config.run.seed)?;
        Ok(Candidate::of(trainer.timesteps(), &played.daily_pnl()))
    }

    /// Replays the validation dates, and returns the trades beside random-legal ones.
    fn validation_returns(&self, trainer: &Trainer<BatchEnv>, random: &RandomLegal) -> anyhow::Result<TradeReturns> {
        let days = self.inputs.market.days_in(&self.split.validation);
        let (market, config) = (&self.inputs.market, self.config);
        random_legal::returns_of(trainer.policy(), market, &days, &config.env, random, config.run.seed)
    }
}
