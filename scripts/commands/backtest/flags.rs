//! Flags of `zerodte backtest`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::{
    config::{
        RunConfig,
        flags::{ConfigFlags, DataFlags, OPTIONS_OF_A_MODEL},
        layers::Layer,
    },
    evaluation::cost_sensitivity::Multiples,
};

/// Flags of `zerodte backtest`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_arg("symbols", |arg| arg.help("Symbols, separated by commas [default: the model's]")),
    mut_arg("start_date", |arg| arg.help("First session date, YYYY-MM-DD [default: the first bar's]")),
    mut_arg("intraday_days", |arg| arg.help(
        "Calendar days of minute bars up to the last date, 0 = all; with --start-date the later start holds [default: 0]"
    )),
    mut_arg("data_source", |arg| arg.help(
        "files, synthetic, massive (also: polygon, intraday), alpaca or yahoo [default: the model's]"
    )),
    mut_arg("data_dir", |arg| arg.help(
        "Folder of SYMBOL_1m.parquet or .csv files; for a vendor, of what was fetched from it [default: the model's]"
    )),
    mut_arg("options", |arg| arg.help(OPTIONS_OF_A_MODEL)),
)]
pub struct BacktestFlags {
    /// Model file, with its .json beside it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Which bars to use; what is not given is as in the model's training, except that all dates are replayed.
    #[command(flatten)]
    pub data: DataFlags,
    /// Samples actions instead of taking the most likely one
    #[arg(long)]
    pub stochastic: bool,
    /// Seed of the sampling [default: the model's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes every trade, as .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub trades: Option<PathBuf>,
    /// Re-derives the cash flow of every trade from the trade log alone (the file of --trades, where given) and compares
    /// it to the cent; exit code 1 where anything disagrees
    #[arg(long)]
    pub audit: bool,
    /// Replays the same sessions at these multiples of the spread, fees unchanged, and says at which the model breaks even
    /// [without a list: 0,0.5,1,2,3]
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = Multiples::DEFAULT)]
    pub cost_sensitivity: Option<Multiples>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl BacktestFlags {
    /// Lays files, flags and assignments over the configuration that the model was trained with.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = trained.clone();
        (base.run.start_date, base.run.end_date, base.run.intraday_days) = (None, None, 0);
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        let seed = self.seed.map(i64::try_from).transpose().context("--seed is too large")?;
        layer.put_some("run.seed", seed);
        Ok(self.config.resolve(&base, layer)?)
    }
}
