//! Flags of `zerodte fetch`.

use std::fmt;

use clap::{Args, ValueEnum};
use market_data::source::fetch::FetchOptions;

use crate::{
    config::{
        DataSource, RunConfig,
        flags::{ConfigFlags, DataFlags, FlagHelp, FlagTable, OF_A_VENDOR, WITHOUT_OPTIONS, described},
        layers::Layer,
        vendor_names,
    },
    output::exit_code::UsageError,
};

/// Kinds of data to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FetchKind {
    /// Minute bars of the symbols.
    Bars,
    /// VIX1D and VIX by the minute, VIX by the day.
    Vix,
    /// Minute bars of same-day options around the money.
    Options,
    /// Contracts listed on each day.
    Contracts,
    /// The live chain of today's expiry.
    Chain,
    /// Implied volatility and greeks at the end of each day.
    Greeks,
}

impl fmt::Display for FetchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bars => "bars",
            Self::Vix => "vix",
            Self::Options => "options",
            Self::Contracts => "contracts",
            Self::Chain => "chain",
            Self::Greeks => "greeks",
        })
    }
}

/// Sessions are fetched once they are over.
const UP_TO_NOW: &FlagTable = &[("end_date", FlagHelp::Default("the last finished session"))];

/// Flags of `zerodte fetch`.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    mut_args(described(OF_A_VENDOR)),
    mut_args(described(WITHOUT_OPTIONS)),
    mut_args(described(UP_TO_NOW))
)]
pub struct FetchFlags {
    /// Data to fetch, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "bars,vix")]
    pub what: Vec<FetchKind>,
    /// Symbols, dates, source and folder.
    #[command(flatten)]
    pub data: DataFlags,
    /// Strikes to fetch on each side of the underlying's range of the day
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub strikes: u32,
    /// Calls per rolling minute; 0 = a paid plan of massive without a limit [default: 5 massive, 200 alpaca, 30 yahoo]
    #[arg(long, value_name = "N")]
    pub calls_per_minute: Option<u32>,
    /// Reads the flat files of a paid plan of massive (raw prices) instead of its API
    #[arg(long)]
    pub flat_files: bool,
    /// Fetches the last N sessions again, because vendors sometimes correct them
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", default_value_t = 0)]
    pub refresh: usize,
    /// Requests sessions without bars again
    #[arg(long)]
    pub retry_empty: bool,
    /// Skips and lists inconsistent rows instead of stopping at the first
    #[arg(long)]
    pub drop_bad_rows: bool,
    /// Prints the calls needed and their duration; sends no request
    #[arg(long)]
    pub dry_run: bool,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl FetchFlags {
    /// Returns the settings of the fetch.
    pub fn wishes(&self) -> FetchOptions {
        FetchOptions { refresh: self.refresh, retry_empty: self.retry_empty, drop_bad: self.drop_bad_rows }
    }

    /// Lays files, flags and assignments over the defaults, with massive as the source.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        if self.data.options.is_some() {
            return Err(UsageError::one("--options: use --what options to fetch them").into());
        }
        let mut base = RunConfig::default();
        base.run.data_source = DataSource::named("massive").unwrap_or(base.run.data_source);
        let mut layer = Layer::new("flags");
        self.data.put(&mut layer, notes);
        layer.put_some("data.massive.flat_files", self.flat_files.then_some(true));
        if let Some(calls) = self.calls_per_minute {
            let source = self.config.resolve(&base, layer.clone())?.run.data_source;
            layer.put(&format!("data.{source}.calls_per_minute"), i64::from(calls));
        }
        let config = self.config.resolve(&base, layer)?;
        if !config.run.data_source.is_vendor() {
            let text =
                format!("--data-source {}: nothing to fetch from it; use {}", config.run.data_source, vendor_names());
            return Err(UsageError::one(text).into());
        }
        Ok(config)
    }
}
