//! Start of a training: a new policy, a warm start, or a checkpoint to resume.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use market_data::DateRange;
use market_env::{ACCOUNT_COLUMNS, BatchEnv, LevelNoise, Levels, VecEnv as _};
use ppo_agent::{Policy, PolicyConfig, Trainer};
use serde_json::Value;

use super::Run;
use crate::{
    artifacts::{manifest, saved_model},
    output::{console::Console, memory, synthetic::training_notice, table::thousands},
    training::{
        interventions::Interventions,
        reporter::ResumeState,
        resume::{PriorRun, asks_for_newest, check_length},
    },
};

/// Starting point of a training.
pub(super) struct Start {
    pub(super) trainer: Trainer<BatchEnv>,
    /// State of a resumed run.
    pub(super) earlier: Option<ResumeState>,
    pub(super) interventions: Interventions,
    /// Training dates of this run, of its parent models and of its forecaster.
    pub(super) trained_on: Vec<DateRange>,
    pub(super) manifest: Value,
}

impl Run<'_> {
    /// Creates or loads everything that training needs; writes nothing.
    pub(super) fn start(&self, console: &mut Console) -> anyhow::Result<Start> {
        if let Some(forecast_columns) = &self.inputs.forecast_columns {
            forecast_columns.check_dates(self.split.train.first)?;
        }
        let rollout = self.config.ppo.rollout_bytes(ACCOUNT_COLUMNS.len());
        memory::require(rollout, "the rollout of ppo.n_steps x ppo.n_envs", "lower one of the two")?;
        self.check_validation()?;
        let dataset = self.inputs.manifest(self.split)?;
        let (trainer, earlier, trained_on) = match self.resume {
            Some((prior, which)) => {
                prior.check_data(&dataset)?;
                let (trainer, earlier) = self.resume_run(prior, which, console)?;
                (trainer, Some(earlier), prior.trained_on()?)
            }
            None => {
                let (trainer, parents) = self.start_fresh(console)?;
                let seen =
                    self.inputs.forecast_columns.iter().flat_map(|forecast_columns| forecast_columns.record().seen());
                (trainer, None, [self.split.train].into_iter().chain(parents).chain(seen).collect())
            }
        };
        let run = &self.config.run;
        console.detail(format!("{} lanes, seed {}, {}", self.config.ppo.n_envs, run.seed, trainer.engine()))?;
        let mut manifest =
            manifest::of_training(&run.model_name, run.seed, &trainer.engine(), self.inputs.stamp(), &dataset);
        manifest["trained_on"] = serde_json::to_value(&trained_on)?;
        let mark = earlier.as_ref().and_then(|earlier| earlier.mark.as_ref());
        let interventions = Interventions::new(self.config, mark.map(|mark| (mark.controller.clone(), mark.step)))?;
        Ok(Start { trainer, earlier, interventions, trained_on, manifest })
    }

    fn env(&self) -> anyhow::Result<BatchEnv> {
        let (inputs, config) = (self.inputs, self.config);
        let days = inputs.market.days_in(&self.split.train);
        let noisy = config.market.pricing.level_noise == LevelNoise::On && inputs.level_is_uncertain();
        let market = match inputs.dataset.dates.first().zip(inputs.dataset.dates.last()).filter(|_| noisy) {
            // The same sessions and rows, so that the days and the monitor's rows mean the same.
            Some((&first, &last)) => {
                let levels = Levels::Drawn { seed: config.run.seed };
                inputs.market_on(&DateRange { first, last }, &config.market, levels)?
            }
            None => Arc::clone(&inputs.market),
        };
        Ok(BatchEnv::new(market, days, config.env.clone(), config.ppo.n_envs, config.run.seed)?)
    }

    /// Starts at step 0, with new parameters or with those of a model, whose training dates are returned too.
    pub(super) fn start_fresh(&self, console: &mut Console) -> anyhow::Result<(Trainer<BatchEnv>, Vec<DateRange>)> {
        let (env, config) = (self.env()?, self.config);
        let (policy, parents) = match &config.run.load_model {
            Some(path) => self.warm_start(path, &env, console)?,
            None => (self.new_policy(&env, console)?, Vec::new()),
        };
        let run = &config.run;
        let trainer = Trainer::new(env, policy, config.ppo.clone(), run.timesteps, run.seed, run.device)?;
        Ok((trainer, parents))
    }

    /// Returns an untrained policy, with the forecaster's encoder in its actor if `run.forecaster_transfer` is set.
    fn new_policy(&self, env: &BatchEnv, console: &mut Console) -> anyhow::Result<Policy> {
        let config = self.config;
        let mut policy = Policy::for_env(env, &config.policy, config.run.seed)?;
        if let Some(forecast_columns) = self.inputs.forecast_columns.as_ref().filter(|_| config.run.forecaster_transfer)
        {
            let layers = policy.adopt_encoder(forecast_columns.forecaster()).context("run.forecaster_transfer")?;
            console.say(format!("The actor starts with {layers} layer(s) of the forecaster's encoder"))?;
        }
        Ok(policy)
    }

    fn warm_start(
        &self,
        path: &Path,
        env: &BatchEnv,
        console: &mut Console,
    ) -> anyhow::Result<(Policy, Vec<DateRange>)> {
        let (policy, meta) = saved_model::load(path)?;
        policy.check_spec(env.spec())?;
        saved_model::check_shape(policy.config(), &self.config.policy)
            .with_context(|| format!("--load-model {}", path.display()))?;
        for note in saved_model::unsealed_note(path)?
            .into_iter()
            .chain(meta.changed_inputs(self.config)?)
            .chain(meta.changed_forecaster(self.inputs.forecaster_record()))
        {
            console.say(format!("Note: {note}"))?;
        }
        console.say_all(training_notice("Note: the loaded model", meta.data))?;
        let PolicyConfig { backend, precision, .. } = self.config.policy;
        Ok((policy.with_backend(backend).with_precision(precision), meta.trained_on))
    }

    /// Continues from a checkpoint: the given one, or the newest usable one of this model.
    fn resume_run(
        &self,
        prior: &PriorRun,
        which: &Path,
        console: &mut Console,
    ) -> anyhow::Result<(Trainer<BatchEnv>, ResumeState)> {
        let newest = asks_for_newest(which);
        let paths = if newest {
            self.paths.checkpoints()?.into_iter().map(|(_, path)| path).collect()
        } else {
            vec![which.to_owned()]
        };
        for path in &paths {
            match self.resume_from(prior, path) {
                Ok((mut trainer, earlier, planned)) => {
                    let notes = check_length(self.config, planned, trainer.timesteps())?;
                    trainer.set_total(self.config.run.timesteps);
                    let steps = thousands(trainer.timesteps() as i64);
                    console.say(format!("Resumed from {} at step {steps}", path.display()))?;
                    console.say_all(notes.into_iter().map(|note| format!("Note: {note}")))?;
                    return Ok((trainer, earlier));
                }
                Err(error) if newest => console.say(format!("Skipped a checkpoint: {error:#}"))?,
                Err(error) => return Err(error),
            }
        }
        bail!(
            "--resume: there is no usable checkpoint of {} in {}",
            self.config.run.model_name,
            self.paths.checkpoints.display()
        )
    }

    /// Returns trainer and state of a checkpoint, and its planned number of steps.
    fn resume_from(&self, prior: &PriorRun, path: &Path) -> anyhow::Result<(Trainer<BatchEnv>, ResumeState, u64)> {
        let (checkpoint, mark) = prior.checkpoint(path)?;
        let planned = checkpoint.total();
        let trainer = Trainer::resume(checkpoint, self.env()?, self.config.run.device)?;
        let steps = trainer.timesteps();
        Ok((trainer, ResumeState { rows: Vec::new(), mark: Some(mark), steps }, planned))
    }
}
