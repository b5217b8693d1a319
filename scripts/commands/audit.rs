//! `zerodte audit`: derives the cash flow of every trade and the figures of a report again, and with bars the trades themselves.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use market_data::input_file;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    artifacts::{
        saved_model,
        trades::{self, TradesFormat},
    },
    commands::backtest::{self, BacktestFlags},
    config::{
        RunConfig,
        context::CommandContext,
        flags::{ALL_DATES, ConfigFlags, DataFlags, OF_A_MODEL, described},
        layers::Layer,
    },
    evaluation::audit::{Audit, Claims, Terms},
    output::{console::Console, exit_code::UsageError},
};

/// Flags of `zerodte audit`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, mut_args(described(OF_A_MODEL)), mut_args(described(ALL_DATES)))]
pub struct AuditFlags {
    /// File of trades that a backtest wrote, .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub trades: PathBuf,
    /// Report of the same backtest (--json): its figures are derived again from the trades, the others must bear its
    /// signature
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Model whose fees and capital apply, with the --config and --set of the backtest [default: the default
    /// configuration]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Bars of a second replay: with --data-dir or --data-source the model trades the report's dates again, and every cell
    /// of the trades and every figure of the report must be the same.
    #[command(flatten)]
    pub data: DataFlags,
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

    /// Returns the flags of the backtest that is to be repeated; `None` unless bars are named.
    fn backtest(&self, report: Option<&Value>) -> anyhow::Result<Option<BacktestFlags>> {
        if self.data.source.data_dir.is_none() && self.data.source.data_source.is_none() {
            return Ok(None);
        }
        let model = self.model.clone();
        let model = model.ok_or_else(|| UsageError::one("--data-dir: the replay needs the model, too: add --model"))?;
        let played = report.map(Played::deserialize).transpose().context("reading the sessions of the report")?;
        let mut flags =
            BacktestFlags { model, data: self.data.clone(), config: self.config.clone(), ..Default::default() };
        if let Some(Played { behaviour, seed, symbols, dates }) = played {
            flags.stochastic = behaviour == "sampled";
            flags.seed = Some(seed);
            flags.data.symbols.get_or_insert(symbols.join(","));
            flags.data.start_date.get_or_insert(dates.first);
            flags.data.end_date.get_or_insert(dates.last);
        }
        Ok(Some(flags))
    }
}

/// Sessions and actions of the replay behind a report.
#[derive(Debug, Deserialize)]
struct Played {
    behaviour: String,
    seed: u64,
    symbols: Vec<String>,
    dates: Dates,
}

#[derive(Debug, Deserialize)]
struct Dates {
    first: Date,
    last: Date,
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
    let resolved = CommandContext::open(&flags.config, console, |notes| {
        notes.extend(flags.model.as_deref().map(saved_model::unsealed_note).transpose()?.flatten());
        flags.resolve(&trained)
    })?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    let report = flags.report.as_deref().map(read_report).transpose()?;
    let replay = flags.backtest(report.as_ref())?;
    let (log, terms) = (trades::read(&flags.trades)?, Terms::of(&config));
    let again = replay.map(|flags| backtest::replayed(&flags)).transpose()?;
    let mut claims = report.map(Claims::of_report).transpose().context("reading the report")?;
    if let Some((figures, ..)) = &again {
        claims = claims.map(|claims| anyhow::Ok(claims.with_replay(figures.value()?))).transpose()?;
    }
    let mut audit = Audit::of(&log, &terms, claims.as_ref());
    if let Some((_, trades, stamp)) = &again {
        audit = audit.with_replay(&log, trades, *stamp);
    }
    context.say_notes()?;
    context.console.say_all(audit.lines())?;
    audit.verdict()
}

fn read_report(path: &Path) -> anyhow::Result<Value> {
    let read = || anyhow::Ok(serde_json::from_str(&input_file::read_text(path)?)?);
    read().with_context(|| format!("reading the report {}", path.display()))
}
