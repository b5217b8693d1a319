//! Flags of `zerodte` and of its commands that have no module of flags of their own.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use super::{ConfigFlags, DataFlags};
use crate::{
    audit::AuditFlags, audit_reward::AuditRewardFlags, bench::BenchFlags, config::RunConfig, costs::Multiples,
    diagnose::DiagnoseFlags, doctor::DoctorFlags, explain::ExplainFlags, fetch::FetchFlags, forecast::ForecastTool,
    inspect::InspectFlags, layers::Layer, reproduce::ReproduceFlags, selftest::Selftest, watch::WatchFlags,
};

/// Works on trained models, and shows what this program can do.
#[derive(Debug, Clone, Parser)]
#[command(name = "zerodte", version)]
pub struct ToolFlags {
    /// What to do.
    #[command(subcommand)]
    pub command: Tool,
}

/// What `zerodte` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Checks a file of trades: re-derives every cash flow from it and compares it to the cent.
    Audit(AuditFlags),
    /// Plays policies that know nothing and flags those that a reward pays for losing money.
    AuditReward(AuditRewardFlags),
    /// Replays sessions in order with a model and reports what it would have earned.
    Backtest(BacktestFlags),
    /// Compares modelled option prices and spreads with real trades and quotes.
    Calibrate(CalibrateFlags),
    /// Measures how fast this machine steps, collects and learns, after checking that it does so correctly.
    Bench(BenchFlags),
    /// Says what a training was judged to be; exit code 3 collapsed or state-blind, 4 frozen, 5 exploding.
    Diagnose(DiagnoseFlags),
    /// Says what this machine and the keys on it can do: plan by asset class, cache, libtorch, GPU, disk.
    Doctor(DoctorFlags),
    /// Explains one decision of a model: what it saw, weighed and did, and what came of it.
    Explain(ExplainFlags),
    /// Fetches bars, volatility indices and options from a vendor into the cache.
    Fetch(FetchFlags),
    /// Trains and judges forecasters of returns, volatility and direction.
    #[command(subcommand)]
    Forecast(Box<ForecastTool>),
    /// Looks at the bars of a symbol: coverage, gaps, repeats, outliers, half days, and a second source beside them.
    Inspect(InspectFlags),
    /// Trains the profiles of the old story on the same days and shows what the average of a log hides.
    ReproduceCollapse(ReproduceFlags),
    /// Proves a promise of this program by running it.
    #[command(subcommand)]
    Selftest(Selftest),
    /// Shows what a training does at this moment, from its run folder or a log, be it one of the old system.
    Watch(WatchFlags),
}

/// What `--options` says where a model's configuration holds unless told otherwise.
pub(crate) const OPTIONS_OF_A_MODEL: &str =
    "Folder or file of option minutes to replay; none = quotes from the pricing model [default: the model's]";

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
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = Multiples::USUAL)]
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

/// Flags of `zerodte calibrate`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_arg("options", |arg| arg.required(true).help("Folder or file of option minutes to compare with: trades, quotes")),
    mut_arg("symbols", |arg| arg.help("Symbols, separated by commas [default: SPY]")),
    mut_arg("start_date", |arg| arg.help("First session date, YYYY-MM-DD [default: the first there is]")),
    mut_arg("end_date", |arg| arg.help("Last session date, YYYY-MM-DD [default: the last there is]")),
    mut_arg("intraday_days", |arg| arg.help(
        "Calendar days up to the last date, 0 = all; with --start-date the later start holds [default: 0]"
    )),
)]
pub struct CalibrateFlags {
    /// The bars of the underlyings, and their options.
    #[command(flatten)]
    pub data: DataFlags,
    /// Fits the volatility models to the prints of these dates, judges the form month by month on months not fitted on,
    /// writes the parameters as a configuration file and reports with them
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draws the errors and spreads as SVG files into this folder
    #[arg(long, value_name = "DIR")]
    pub plot: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl CalibrateFlags {
    /// Lays files, flags and assignments over the defaults, but for SPY and all dates.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.symbols.truncate(1);
        base.run.intraday_days = 0;
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        Ok(self.config.resolve(&base, layer)?)
    }
}
