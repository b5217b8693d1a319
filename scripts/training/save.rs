//! Files of a training: run folder, model, manifest, chart.

use std::{fs, path::Path};

use anyhow::Context as _;
use market_data::DateRange;
use market_env::BatchEnv;
use ppo_agent::{
    ModelFile, Trainer,
    health::{Monitor, RandomLegal},
};
use serde_json::Value;

use super::Run;
use crate::{
    artifacts::{
        files,
        paths::Paths,
        records::{Records, read_history},
        saved_model,
        tensorboard::EventWriter,
    },
    inputs::Inputs,
    output::{
        console::{Console, cut_log},
        output_file::json_text,
        synthetic::title_mark,
    },
    training::{
        kept::Kept,
        reporter::{Reporter, ReporterParts, ResumeState},
        training_chart::TrainingChart,
    },
};

/// Copies the log of a start with another number of steps, so that the whole run is in one file.
pub(super) fn continue_log(earlier: &Path, log: &Path) -> anyhow::Result<()> {
    if earlier == log || !earlier.exists() {
        return Ok(());
    }
    files::set_aside(log)?;
    fs::copy(earlier, log).with_context(|| format!("copying {} to {}", earlier.display(), log.display()))?;
    Ok(())
}

impl Run<'_> {
    /// Opens the run folder, the log and the records; from here on the run writes files.
    pub(super) fn open<'c, 's>(
        &'s self,
        trainer: &Trainer<BatchEnv>,
        earlier: Option<ResumeState>,
        monitor: Monitor,
        random: &RandomLegal,
        console: &'c mut Console,
    ) -> anyhow::Result<Reporter<'c>>
    where
        's: 'c,
    {
        let Paths { log, run, .. } = self.paths;
        let (resumed, due) = (earlier.is_some(), monitor.state().due());
        self.paths.create_folders()?;
        self.paths.remove_leftovers()?;
        match self.resume {
            Some((prior, which)) => {
                if prior.went_beyond(trainer.timesteps(), which, self.paths)? {
                    for aside in self.paths.set_later_aside(trainer.timesteps(), &prior.log(&self.config.run))? {
                        console.say(format!("What the run did after this step is kept as {}", aside.display()))?;
                    }
                }
                continue_log(&prior.log(&self.config.run), log)?;
                if log.exists() {
                    cut_log(log, trainer.timesteps())?;
                }
            }
            None => {
                for aside in self.paths.set_earlier_aside()? {
                    console.say(format!("The earlier run of this name is kept as {}", aside.display()))?;
                }
                fs::create_dir(run).with_context(|| format!("creating {}", run.display()))?;
            }
        }
        console.attach(log, resumed)?;
        self.paths.write("config.toml", self.config.to_toml()?)?;
        let (mut earlier, data) = (earlier.unwrap_or_default(), self.inputs.stamp());
        let records = if resumed {
            let (records, rows) = Records::resume(run, data, earlier.steps, due)?;
            earlier.rows = rows;
            records
        } else {
            Records::create(run, data)?
        };
        let mut events =
            if resumed { EventWriter::resume(run, earlier.steps, due)? } else { EventWriter::create(run, None)? };
        if self.inputs.dataset.synthetic && !resumed {
            events.scalars(earlier.steps, &[(format!("data/{data}"), 1.0)])?;
        }
        let parts = ReporterParts {
            console,
            records,
            events,
            monitor,
            opportunity: self.opportunity(),
            random: random.ledger.mean_trade_return().map(|(mean, _)| mean),
        };
        Ok(Reporter::new(parts, &self.config.run, earlier.rows, earlier.steps))
    }

    pub(super) fn save_model(&self, kept: &Kept, trained_on: &[DateRange]) -> anyhow::Result<()> {
        let meta = saved_model::ModelMeta {
            data: self.inputs.stamp(),
            timesteps: kept.step,
            config: self.config.clone(),
            split: self.split.clone(),
            trained_on: trained_on.to_vec(),
            forecaster: self.inputs.forecast_columns.as_ref().map(|forecast_columns| forecast_columns.record().clone()),
        };
        let model = ModelFile { policy: kept.policy.clone(), meta: serde_json::to_value(meta)? };
        model.save(&self.paths.model)?;
        Ok(())
    }

    pub(super) fn write_manifest(&self, manifest: &Value) -> anyhow::Result<()> {
        self.paths.write("manifest.json", json_text(manifest)?)
    }

    /// Draws the run from its rows, and from its records on disk.
    pub(super) fn write_chart(&self, reporter: &Reporter<'_>) -> anyhow::Result<()> {
        let Inputs { market, .. } = self.inputs;
        let (env, days) = (&self.config.env, market.days_in(&self.split.train));
        let history = read_history(&self.paths.run)?;
        let chart = TrainingChart {
            title: self.title(),
            rows: reporter.rows(),
            verdicts: &history.verdicts,
            validation: &history.validation,
            cost: market.round_trip_cost(&days, env),
            random_legal: reporter.random(),
        };
        self.paths.write("training.svg", chart.draw()?)
    }

    fn title(&self) -> String {
        let run = &self.config.run;
        let symbols = run.symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let synthetic = title_mark(self.inputs.dataset.synthetic);
        format!("{} on {symbols}, {}{synthetic}", run.model_name, self.split.train)
    }
}
