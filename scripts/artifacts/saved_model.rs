//! Saved model and its sidecar: configuration, training dates, and the settings that its inputs depend on.

use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use market_data::{DataStamp, DateRange, Split, Symbol};
use ppo_agent::{Checkpoint, ModelFile, Policy, PolicyConfig, PolicyKind};
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::{
    artifacts::{
        files::sha256,
        paths::model_path,
        records::read_mark,
        run_folder::{RunFolder, newest_checkpoint},
        saved_forecaster::ForecasterRecord,
    },
    config::{
        RunConfig,
        layers::{Difference, differences},
    },
};

/// Training record in a model's sidecar.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelMeta {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Steps of training.
    pub timesteps: u64,
    /// The configuration it was trained with.
    pub config: RunConfig,
    /// The dates of training, validation and test.
    pub split: Split,
    /// Training dates of this run, then those of the models that it started from and of its forecaster.
    pub trained_on: Vec<DateRange>,
    /// Forecaster of its forecast columns, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecaster: Option<ForecasterRecord>,
}

/// Reads a model and its training record: a model file named with or without its extension, a checkpoint, or the newest checkpoint
/// of a run folder.
///
/// # Errors
/// When a file is missing or damaged, or is no model of this program.
pub fn load(named: &Path) -> anyhow::Result<(Policy, ModelMeta)> {
    let path = model_path(named);
    if !path.exists() && named.is_dir() {
        return of_checkpoint(&newest_checkpoint(named)?);
    }
    if Checkpoint::is_marked(&path) {
        return of_checkpoint(&path);
    }
    let ModelFile { policy, meta } = ModelFile::load(&path)?;
    let meta =
        serde_json::from_value(meta).with_context(|| format!("reading the training record of {}", named.display()))?;
    Ok((policy, meta))
}

/// Returns a note if the weights of a model do not vouch for its training record: models of earlier versions do not. A checkpoint has
/// no sidecar.
///
/// # Errors
/// When the file cannot be read.
pub fn unsealed_note(named: &Path) -> anyhow::Result<Option<String>> {
    let path = model_path(named);
    if !path.with_extension("json").exists() {
        return Ok(None);
    }
    let sealed = ppo_agent::is_sealed(&path)?;
    Ok((!sealed).then(|| {
        let name = named.display();
        format!("{name} is of an earlier version: an edit of its {name}.json would not be noticed; train again to bind the two")
    }))
}

/// Reads the policy of a checkpoint; its training record is that of the run folder, whose mark must name this very file.
fn of_checkpoint(path: &Path) -> anyhow::Result<(Policy, ModelMeta)> {
    let checkpoint = Checkpoint::load(path)?;
    let record = || {
        let folder = RunFolder::of_checkpoint(path)
            .context("the file name is not <model>_<steps>_steps.safetensors, so its run is unknown")?;
        let (mark, run) = (read_mark(&folder, checkpoint.timesteps())?, RunFolder::read(&folder)?);
        ensure!(mark.sha256 == sha256(path)?, "the run in {} wrote another one at this step", folder.display());
        Ok(ModelMeta {
            data: run.stamp()?,
            timesteps: checkpoint.timesteps(),
            split: run.split()?,
            trained_on: run.trained_on()?,
            forecaster: run.forecaster()?,
            config: run.config,
        })
    };
    let meta = record().with_context(|| {
        format!("{} is a checkpoint; its run folder must lie beside it, as the training left it", path.display())
    })?;
    Ok((checkpoint.policy().clone(), meta))
}

impl ModelMeta {
    /// Returns a sentence for every market setting that differs from the model's training, since the same input then means
    /// something else, and one for the symbols that the training had not. A setting without a value is the default of its symbol.
    ///
    /// # Errors
    /// When a configuration cannot be written as TOML.
    pub fn changed_inputs(&self, config: &RunConfig) -> anyhow::Result<Vec<String>> {
        let text = |value: Option<Value>| value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
        let inputs = ["market.", "data.own_columns", "data.column_files"];
        let of_inputs = |found: &Difference| inputs.iter().any(|key| found.key.starts_with(key));
        let found = differences(&self.config, config)?.into_iter().filter(of_inputs);
        let sentence = |found: Difference| {
            let (then, now) = (text(found.first), text(found.second));
            format!("the model was trained with {} = {then}, this run uses {now}", found.key)
        };
        let mut sentences: Vec<String> = found.map(sentence).collect();
        let quotes = |config: &RunConfig| if config.run.options.is_some() { "real options" } else { "modelled quotes" };
        if quotes(&self.config) != quotes(config) {
            let (then, now) = (quotes(&self.config), quotes(config));
            sentences.push(format!("the model was trained on {then}, this run replays {now}"));
        }
        sentences.extend(self.unseen_symbols(config));
        Ok(sentences)
    }

    /// Returns a sentence on the symbols that the model's training had not, if there are any.
    fn unseen_symbols(&self, config: &RunConfig) -> Option<String> {
        let known = &self.config.run.symbols;
        let unseen: Vec<&str> =
            config.run.symbols.iter().filter(|symbol| !known.contains(symbol)).map(Symbol::as_str).collect();
        let trained: Vec<&str> = known.iter().map(Symbol::as_str).collect();
        (!unseen.is_empty())
            .then(|| format!("the model never saw {}: it was trained on {}", unseen.join(", "), trained.join(", ")))
    }

    /// Returns a note if the forecasts come from another forecaster than in the model's training.
    pub fn changed_forecaster(&self, forecaster: Option<&ForecasterRecord>) -> Option<String> {
        let (then, now) = (self.forecaster.as_ref()?, forecaster?);
        let sentence = || {
            format!(
                "the forecaster {} is not the one that the model was trained with: its file has changed",
                now.path.display()
            )
        };
        (then.sha256 != now.sha256).then(sentence)
    }
}

/// Refuses networks of another shape than this run asks for; backend and precision may differ.
///
/// # Errors
/// A sentence with every difference.
pub fn check_shape(theirs: &PolicyConfig, ours: &PolicyConfig) -> anyhow::Result<()> {
    let mut ours = PolicyConfig { backend: theirs.backend, precision: theirs.precision, ..ours.clone() };
    if (theirs.kind, ours.kind) == (PolicyKind::Mlp, PolicyKind::Mlp) {
        // Neither has a recurrent cell.
        ours.recurrent_size = theirs.recurrent_size;
    }
    let text = |value: Option<Value>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let sentence = |found: Difference| {
        format!("its policy.{} is {}, this run asks for {}", found.key, text(found.first), text(found.second))
    };
    let found: Vec<String> = differences(theirs, &ours)?.into_iter().map(sentence).collect();
    ensure!(found.is_empty(), "{}", found.join("; "));
    Ok(())
}

/// Counts the dates that lie in any of the ranges.
pub fn count_dates_in(dates: impl IntoIterator<Item = Date>, ranges: &[DateRange]) -> usize {
    dates.into_iter().filter(|&date| ranges.iter().any(|range| range.contains(date))).count()
}

/// Counts the dates that lie in none of the ranges and before the start of one of them: a model trained on these ranges knows
/// what came after such a date.
pub fn count_dates_before(dates: impl IntoIterator<Item = Date>, ranges: &[DateRange]) -> usize {
    let last_start = ranges.iter().map(|range| range.first).max();
    let is_before = |date: &Date| last_start.is_some_and(|start| *date < start) && count_dates_in([*date], ranges) == 0;
    dates.into_iter().filter(is_before).count()
}

/// Joins date ranges with "and".
pub fn ranges_text(ranges: &[DateRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use ppo_agent::{Backend, Precision};

    use super::*;

    #[test]
    fn networks_of_another_shape_are_refused_with_every_difference() {
        let ours = PolicyConfig::default();
        let same =
            PolicyConfig { backend: Backend::Tch, precision: Precision::Bf16, recurrent_size: 7, ..ours.clone() };
        check_shape(&same, &ours).unwrap();
        let theirs = PolicyConfig { kind: PolicyKind::Gru, net_arch: vec![32], recurrent_size: 64, ..same };
        let error = check_shape(&theirs, &ours).unwrap_err().to_string();
        let expected = "its policy.kind is \"gru\", this run asks for \"mlp\"; its policy.net_arch is [32], this run asks \
                        for [64, 64]";
        assert_eq!(error, expected);
    }

    #[test]
    fn dates_of_every_training_count_once() {
        let day = |d| jiff::civil::date(2025, 6, d);
        let ranges = [DateRange { first: day(2), last: day(4) }, DateRange { first: day(4), last: day(5) }];
        assert_eq!(count_dates_in((1..=9).map(day), &ranges), 4);
        let before = |first, ranges: &[DateRange]| count_dates_before((first..=9).map(day), ranges);
        assert_eq!((before(1, &ranges), before(2, &ranges), before(1, &[])), (1, 0, 0));
        // Between the trainings of a model and of the one that it started from.
        let apart = [DateRange { first: day(2), last: day(3) }, DateRange { first: day(6), last: day(7) }];
        assert_eq!(before(2, &apart), 2);
        assert_eq!(ranges_text(&ranges), "2025-06-02 to 2025-06-04 and 2025-06-04 to 2025-06-05");
    }
}
