//! Flags of `zerodte forecast` and its subcommands.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    config::{
        RunConfig,
        flags::{
            ALL_DATES, ConfigFlags, DataFlags, FlagHelp, FlagTable, ReportFlags, RunOutputFlags, WITHOUT_OPTIONS,
            described,
        },
        layers::Layer,
    },
    output::exit_code::UsageError,
};

/// Subcommands of `zerodte forecast`.
#[derive(Debug, Clone, Subcommand)]
pub enum ForecastTool {
    /// Trains a forecaster of returns, volatility and direction, and evaluates it out of sample.
    Train(ForecastTrainFlags),
    /// Evaluates a forecaster on unseen dates and compares it with simple predictors.
    Eval(ForecastEvalFlags),
    /// Trains a grid of settings with several seeds and ranks them.
    Ablate(ForecastAblateFlags),
    /// Compares finished runs, as Markdown and as a chart.
    Compare(ForecastCompareFlags),
}

/// Settings of the forecaster and its training.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Forecaster")]
pub struct ForecasterFlags {
    /// Sets `forecast.horizons`, separated by commas
    #[arg(long, value_name = "LIST")]
    pub horizons: Option<String>,
    /// Sets `forecast.bars`.
    #[arg(long, value_name = "SIZE")]
    pub bars: Option<String>,
    /// Sets `forecast.encoder`.
    #[arg(long, value_name = "NAME")]
    pub encoder: Option<String>,
    /// Sets `forecast.temporal_frames`.
    #[arg(long, value_name = "N")]
    pub temporal_frames: Option<u64>,
    /// Sets `forecast.hidden_size`.
    #[arg(long, value_name = "N")]
    pub hidden_size: Option<u64>,
    /// Sets `forecast.layers`.
    #[arg(long, value_name = "N")]
    pub layers: Option<u64>,
    /// Sets `forecast.activation`.
    #[arg(long, value_name = "NAME")]
    pub activation: Option<String>,
    /// Sets `forecast.dropout`.
    #[arg(long, value_name = "X")]
    pub dropout: Option<f64>,
    /// Sets `forecast.loss.kind`.
    #[arg(long, value_name = "NAME")]
    pub loss: Option<String>,
    /// Sets `forecast.loss.huber_delta`.
    #[arg(long, value_name = "X|auto")]
    pub huber_delta: Option<String>,
    /// Sets `forecast.loss.reg_weight`.
    #[arg(long, value_name = "X")]
    pub reg_weight: Option<f64>,
    /// Sets `forecast.loss.clf_weight`.
    #[arg(long, value_name = "X")]
    pub clf_weight: Option<f64>,
    /// Sets `forecast.loss.variance_term`.
    #[arg(long, value_name = "NAME")]
    pub variance_term: Option<String>,
    /// Sets `forecast.loss.variance_weight`.
    #[arg(long, value_name = "X")]
    pub variance_weight: Option<f64>,
    /// Sets `forecast.loss.overweight`.
    #[arg(long, value_name = "X")]
    pub overweight: Option<f64>,
    /// Sets `forecast.output_init`.
    #[arg(long, value_name = "X|default")]
    pub output_init: Option<String>,
    /// Sets `forecast.learning_rate`.
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// Sets `forecast.weight_decay`.
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// Sets `forecast.batch_size`.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<u64>,
    /// Sets `forecast.max_epochs`.
    #[arg(long, value_name = "N")]
    pub max_epochs: Option<u64>,
    /// Sets `forecast.patience`.
    #[arg(long, value_name = "N")]
    pub patience: Option<u64>,
    /// Sets `forecast.early_stopping`.
    #[arg(long, value_name = "NAME")]
    pub early_stopping: Option<String>,
    /// Sets `forecast.pretrain.enabled`.
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub pretrain: Option<bool>,
}

impl ForecasterFlags {
    fn put(&self, layer: &mut Layer) -> Result<(), UsageError> {
        if let Some(list) = &self.horizons {
            let horizons = list.split(',').map(str::trim).map(toml::Value::from);
            layer.put("forecast.horizons", horizons.collect::<Vec<_>>());
        }
        for (key, value) in [
            ("bars", &self.bars),
            ("encoder", &self.encoder),
            ("activation", &self.activation),
            ("loss.kind", &self.loss),
            ("loss.huber_delta", &self.huber_delta),
            ("loss.variance_term", &self.variance_term),
            ("output_init", &self.output_init),
            ("early_stopping", &self.early_stopping),
        ] {
            layer.put_some(&format!("forecast.{key}"), value.clone());
        }
        for (key, value) in [
            ("temporal_frames", self.temporal_frames),
            ("hidden_size", self.hidden_size),
            ("layers", self.layers),
            ("batch_size", self.batch_size),
            ("max_epochs", self.max_epochs),
            ("patience", self.patience),
        ] {
            let Some(value) = value else { continue };
            let value =
                i64::try_from(value).map_err(|_| UsageError::one(format!("forecast.{key}: {value} is too large")))?;
            layer.put(&format!("forecast.{key}"), value);
        }
        for (key, value) in [
            ("dropout", self.dropout),
            ("loss.reg_weight", self.reg_weight),
            ("loss.clf_weight", self.clf_weight),
            ("loss.variance_weight", self.variance_weight),
            ("loss.overweight", self.overweight),
            ("learning_rate", self.learning_rate),
            ("weight_decay", self.weight_decay),
        ] {
            layer.put_some(&format!("forecast.{key}"), value);
        }
        layer.put_some("forecast.pretrain.enabled", self.pretrain);
        Ok(())
    }
}

/// Default name of a forecaster.
const NAMED: &FlagTable = &[("model_name", FlagHelp::Default("forecaster"))];

/// Flags of `zerodte forecast train`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(WITHOUT_OPTIONS)), mut_args(described(NAMED)))]
pub struct ForecastTrainFlags {
    /// Bars to use.
    #[command(flatten)]
    pub data: DataFlags,
    /// Sets `run.seed`.
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub seed: Option<u64>,
    /// Sets `run.device`.
    #[arg(long, help_heading = "Run")]
    pub device: Option<String>,
    /// Adds gradient-boosted trees to the predictors compared with the forecaster
    #[arg(long, help_heading = "Run")]
    pub boosted: bool,
    /// The forecaster.
    #[command(flatten)]
    pub forecaster: ForecasterFlags,
    /// Output paths.
    #[command(flatten)]
    pub output: RunOutputFlags,
    /// Other configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Base configuration of a forecaster's flags.
fn base() -> RunConfig {
    let mut base = RunConfig::default();
    base.run.model_name = "forecaster".to_owned();
    base
}

impl ForecastTrainFlags {
    /// Layers files, flags and assignments over the defaults and checks the result.
    ///
    /// # Errors
    /// All faults together, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        self.forecaster.put(&mut layer)?;
        layer.put_some("run.device", self.device.clone());
        self.output.put(&mut layer);
        layer.put_some("run.seed", self.seed.map(i64::try_from).transpose().context("--seed is too large")?);
        let config = self.config.resolve(&base(), layer)?;
        notes.extend(options_note(&config));
        Ok(config)
    }
}

/// Adds a note that options are ignored, if the configuration names some.
fn options_note(config: &RunConfig) -> Option<String> {
    let note = "run.options is ignored: a forecaster uses only the bars of the underlying";
    config.run.options.is_some().then(|| note.to_owned())
}

/// Files that an evaluation writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ForecastEvalOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Writes the report as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Writes every forecast, as .parquet
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
}

/// Defaults are those of the forecaster's training.
const OF_A_FORECASTER: &FlagTable = &[
    ("symbols", FlagHelp::Default("the forecaster's")),
    ("start_date", FlagHelp::Default("the first unseen date")),
    ("data_source", FlagHelp::Default("the forecaster's")),
    ("data_dir", FlagHelp::Default("the forecaster's")),
];

/// Flags of `zerodte forecast eval`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_args(described(ALL_DATES)),
    mut_args(described(WITHOUT_OPTIONS)),
    mut_args(described(OF_A_FORECASTER))
)]
pub struct ForecastEvalFlags {
    /// Forecaster file, with its .json next to it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Bars to use; defaults are those of the forecaster's training.
    #[command(flatten)]
    pub data: DataFlags,
    /// Adds gradient-boosted trees to the predictors compared with the forecaster
    #[arg(long)]
    pub boosted: bool,
    /// Files to write.
    #[command(flatten)]
    pub output: ForecastEvalOutput,
    /// Other configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl ForecastEvalFlags {
    /// Layers files, flags and assignments over the forecaster's training configuration.
    ///
    /// # Errors
    /// All faults together, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = trained.clone();
        (base.run.start_date, base.run.end_date, base.run.intraday_days) = (None, None, 0);
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let config = self.config.resolve(&base, layer)?;
        notes.extend(options_note(&config));
        Ok(config)
    }
}

/// Flags hidden from ablations, which save no model and run on the CPU.
const ONE_FOR_ALL: &FlagTable = &[
    ("model_name", FlagHelp::Hidden),
    ("out_dir", FlagHelp::Hidden),
    ("device", FlagHelp::Hidden),
    ("boosted", FlagHelp::Hidden),
];

/// Flags of `zerodte forecast ablate`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(ONE_FOR_ALL)))]
pub struct ForecastAblateFlags {
    /// Bars, and settings common to all runs.
    #[command(flatten)]
    pub train: ForecastTrainFlags,
    /// Values of one key of the section forecast, separated by commas, such as temporal_frames=1,3,5; trains every
    /// combination of all grids [default: frames, lambda, init, overweight, ssl and loss, one change at a time]
    #[arg(long, value_name = "KEY=LIST")]
    pub grid: Vec<String>,
    /// Seeds of every combination
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub seeds: u64,
    /// Parallel trainings, 0 = one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
    /// Folder to write to.
    #[command(flatten)]
    pub output: AblationOutput,
}

/// Folder of an ablation.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct AblationOutput {
    /// Folder for the table, as Markdown, CSV and JSON
    #[arg(long, value_name = "DIR", default_value = "ablation")]
    pub out: PathBuf,
}

/// Folders of a comparison.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ComparisonOutput {
    /// Folder for the comparison
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    pub out: PathBuf,
    /// Archives every run and its model as RUN.zip in this folder
    #[arg(long, value_name = "DIR")]
    pub zip: Option<PathBuf>,
}

/// Flags of `zerodte forecast compare`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true)]
pub struct ForecastCompareFlags {
    /// Run folders of forecasters
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Folders to write to.
    #[command(flatten)]
    pub output: ComparisonOutput,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::flag_help::tests::assert_flags_set_their_keys;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ForecastTrainFlags,
    }

    #[test]
    fn every_flag_sets_the_key_that_its_help_names() {
        let resolve = |line: &[String]| {
            // Daily bars need a horizon in sessions.
            let horizons = if line.contains(&"--bars".to_owned()) { "--horizons=1d" } else { "--horizons=5" };
            let words = ["train"].into_iter().chain(line.iter().map(String::as_str));
            let own = line.contains(&"--horizons".to_owned());
            let line = Line::try_parse_from(words.chain((!own).then_some(horizons))).unwrap();
            line.flags.resolve(&mut Vec::new()).unwrap()
        };
        assert_flags_set_their_keys(&<Line as clap::CommandFactory>::command(), resolve);
    }
}
