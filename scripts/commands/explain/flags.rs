//! Flags of `zerodte explain`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::civil::DateTime;

use crate::{
    config::{
        RunConfig,
        flags::{ConfigFlags, DataFlags, FlagHelp, FlagTable, OF_A_MODEL, ReportFlags, described},
        layers::Layer,
    },
    output::exit_code::UsageError,
};

/// `--symbol` and `--at` name the session.
const ONE_SESSION: &FlagTable = &[
    ("symbols", FlagHelp::Hidden),
    ("start_date", FlagHelp::Hidden),
    ("end_date", FlagHelp::Hidden),
    ("intraday_days", FlagHelp::Hidden),
];

/// Flags of `zerodte explain`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(OF_A_MODEL)), mut_args(described(ONE_SESSION)))]
pub struct ExplainFlags {
    /// Model file, with its .json beside it
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The underlying
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// The bar at whose close the decision was taken: its start in New York, such as 2025-03-04T10:31
    #[arg(long, value_name = "TIME")]
    pub at: String,
    /// Samples actions instead of taking the most likely one, as a backtest of this session alone does
    #[arg(long)]
    pub stochastic: bool,
    /// Seed of the sampling [default: the model's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Draws the session as SVG: price with setups, entries and exits, what the policy would buy, premiums, equity
    #[command(flatten)]
    pub data: DataFlags,
    /// Files to write.
    #[command(flatten)]
    pub output: ExplainOutput,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Files that an explanation writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ExplainOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Draws the session as SVG: price with setups, entries and exits, what the policy would buy, premiums, equity
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

impl ExplainFlags {
    /// Returns the time that `--at` names.
    ///
    /// # Errors
    /// When it is not a minute of a date, exit code 2.
    pub fn moment(&self) -> Result<DateTime, UsageError> {
        let minute = |at: &DateTime| (at.second(), at.subsec_nanosecond()) == (0, 0);
        self.at.parse().ok().filter(minute).ok_or_else(|| {
            UsageError::one(format!(
                "--at {}: write it as a minute in New York time, such as 2025-03-04T10:31",
                self.at
            ))
        })
    }

    /// Lays files, flags and assignments over the configuration that the model was trained with, for the
    /// requested session.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let date = Some(self.moment()?.date());
        let (symbols, intraday_days) = (Some(self.symbol.clone()), Some(0));
        let others = [
            ("--symbols", self.data.symbols.is_some()),
            ("--start-date", self.data.start_date.is_some()),
            ("--end-date", self.data.end_date.is_some()),
            ("--intraday-days", self.data.intraday_days.is_some()),
        ];
        let given = others.into_iter().filter(|(_, given)| *given);
        notes.extend(given.map(|(name, _)| format!("{name} is ignored here: --symbol and --at select the session")));
        let data = DataFlags { symbols, start_date: date, end_date: date, intraday_days, ..self.data.clone() };
        let mut layer = Layer::new("flags");
        data.put(&mut layer, notes);
        let seed = self.seed.map(i64::try_from).transpose().context("--seed is too large")?;
        layer.put_some("run.seed", seed);
        Ok(self.config.resolve(trained, layer)?)
    }
}
