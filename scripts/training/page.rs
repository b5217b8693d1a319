//! Page of a training: its course, and its test; the validation dates take the place of a test that was not made.

use market_data::{DateRange, Split};
use ppo_agent::Behaviour;

use super::{Run, flags::TrainFlags};
use crate::{
    artifacts::{
        records::{Row, read_history},
        registry::{Registry, identity::configuration_hash},
        saved_model::ranges_text,
    },
    evaluation::{edge::Looks, held_out::HeldOut, replay::replay},
    output::{
        console::Console,
        exit_code::{TrainingStopped, UsageError},
        output_file::OutputFile,
    },
    report_page::{Training, replayed::Replayed},
};

/// Checks the place of the page that the flags request.
///
/// # Errors
/// A folder that cannot be written, or test dates that stay unseen.
pub(super) fn requested(flags: &TrainFlags) -> anyhow::Result<Option<OutputFile>> {
    if flags.report.is_some() && flags.show_test == Some(false) {
        let text = "--report shows the test dates, which --final false leaves unseen: leave out one of them";
        return Err(UsageError::one(text).into());
    }
    OutputFile::requested("Page", flags.report.as_ref())
}

impl Run<'_> {
    /// Writes the page of a training that its verdict stopped, if one is requested: on its validation dates, since the test stays
    /// unseen. A training that a signal interrupted writes none, and says so.
    pub(super) fn page_of_stopped(
        &self,
        stopped: &TrainingStopped,
        held_out: &HeldOut<'_>,
        rows: Vec<Row>,
        console: &mut Console,
    ) -> anyhow::Result<()> {
        if self.report.is_some() && matches!(stopped, TrainingStopped::BySignal { .. }) {
            console.say("Page: not written, since the training was interrupted")?;
            return Ok(());
        }
        let Split { train, validation, .. } = self.split;
        self.write_page(held_out, if validation.is_empty() { *train } else { *validation }, rows, console)
    }

    /// Writes the page, if one is requested: the dates with the most likely actions, and the course of the training.
    pub(super) fn write_page(
        &self,
        held_out: &HeldOut<'_>,
        dates: DateRange,
        rows: Vec<Row>,
        console: &mut Console,
    ) -> anyhow::Result<()> {
        let Some(file) = self.report else { return Ok(()) };
        let (config, inputs) = (self.config, self.inputs);
        let (market, run) = (&inputs.market, &config.run);
        let days = market.days_in(&dates);
        let played = replay(held_out.policy, market, &days, &config.env, Behaviour::Greedy, run.seed)?;
        let symbols = run.symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let is_test = dates == self.split.test;
        let replayed = Replayed {
            title: format!("{} on {symbols}: training and {}", run.model_name, self.part(&dates)),
            name: &run.model_name,
            seed: run.seed,
            played: &played,
            inputs,
            config,
            in_sample_dates: held_out.in_sample(dates).0,
            looks: if is_test { self.looks()? } else { None },
            training: Some(Training { rows, verdicts: read_history(&self.paths.run)?.verdicts }),
            costs: None,
            provenance: vec![
                ("Run folder".to_owned(), self.paths.run.display().to_string()),
                ("Dates".to_owned(), format!("{}, {dates}", self.part(&dates))),
                ("Behaviour".to_owned(), "greedy".to_owned()),
                ("Trained on".to_owned(), ranges_text(&held_out.trained_on)),
                ("SHA-256 of the settings".to_owned(), configuration_hash(config)?),
            ],
        };
        file.save(replayed.page()?.html()?, console)
    }

    /// Returns the name of a part of the split.
    fn part(&self, dates: &DateRange) -> &'static str {
        if *dates == self.split.test {
            "test"
        } else if *dates == self.split.validation {
            "validation dates"
        } else {
            "its own training dates"
        }
    }

    /// Returns the looks at the test dates, this one included.
    fn looks(&self) -> anyhow::Result<Option<Looks>> {
        let (content, own) = (Registry::in_folder(&self.config.run.out_dir).read()?, configuration_hash(self.config)?);
        let lookers = content.lookers(self.split.test, self.inputs.stamp());
        Ok(Some(Looks::of(&lookers, &[own.as_str()].into())))
    }
}
