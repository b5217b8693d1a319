//! `zerodte audit`: re-derives the cash flow of every trade from a trade log and compares it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use market_data::input_file;

use crate::{
    artifacts::{
        saved_model,
        trades::{self, TradesFormat},
    },
    config::{RunConfig, context::CommandContext, flags::ConfigFlags, layers::Layer},
    evaluation::audit::{Audit, Claims, Terms},
    output::{console::Console, exit_code::UsageError},
};

/// Flags of `zerodte audit`.
#[derive(Debug, Clone, Default, Args)]
pub struct AuditFlags {
    /// File of trades that a backtest wrote, .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub trades: PathBuf,
    /// Report of the same backtest (--json), whose totals must match the trades
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Model whose fees and capital apply, with the --config and --set of the backtest [default: the default
    /// configuration]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl AuditFlags {
    /// Lays files and assignments over the configuration that the model was trained with.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, trained: &RunConfig) -> anyhow::Result<RunConfig> {
        Ok(self.config.resolve(trained, Layer::new("flags"))?)
    }
}

/// Audits a file of trades and prints the findings.
///
/// # Errors
/// A file that cannot be read, an invalid configuration, or any disagreement.
pub fn run(flags: &AuditFlags, console: &mut Console) -> anyhow::Result<()> {
    TradesFormat::of(&flags.trades).map_err(|error| UsageError::one(format!("--trades: {error}")))?;
    let trained = flags
        .model
        .as_deref()
        .map(saved_model::load)
        .transpose()?
        .map_or_else(RunConfig::default, |(_, meta)| meta.config);
    let resolved = CommandContext::open(&flags.config, console, |_| flags.resolve(&trained))?;
    let Some((context, config)) = resolved else { return Ok(()) };
    let report = |path: &PathBuf| -> anyhow::Result<Claims> {
        Claims::of_report(&serde_json::from_str(&input_file::read_text(path)?)?)
    };
    let claims = flags
        .report
        .as_ref()
        .map(|path| report(path).with_context(|| format!("reading the report {}", path.display())));
    let audit = Audit::of(&trades::read(&flags.trades)?, &Terms::of(&config), claims.transpose()?.as_ref());
    context.console.say_all(audit.lines())?;
    audit.verdict()
}
