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

/// What can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FetchKind {
    /// Minute bars of the symbols.
    Bars,
    /// VIX1D and VIX by the minute, VIX by the day.
    Vix,
    /// Minute bars of same-day options around the money.
    Options,
    /// The contracts that were listed for each day.
    Contracts,
    /// The live chain of today's expiry.
    Chain,
    /// Implied volatility and greeks of each day's end.
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
const UP_TO_NOW: &FlagTable = &[("end_date", FlagHelp::Default("the last session that is over"))];

/// Flags of `zerodte fetch`.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    mut_args(described(OF_A_VENDOR)),
    mut_args(described(WITHOUT_OPTIONS)),
    mut_args(described(UP_TO_NOW))
)]
pub struct FetchFlags {
    /// What to fetch, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "bars,vix")]
    pub what: Vec<FetchKind>,
    /// Which symbols and dates, from where to where.
    #[command(flatten)]
    pub data: DataFlags,
    /// Strikes on each side of the underlying's range of the day whose options are fetched
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub strikes: u32,
    /// Calls per rolling minute; 0 = a paid plan of massive without a limit [default: 5 massive, 200 alpaca, 30 yahoo]
    #[arg(long, value_name = "N")]
    pub calls_per_minute: Option<u32>,
    /// Reads the flat files of a paid plan of massive (raw prices) instead of its service
    #[arg(long)]
    pub flat_files: bool,
    /// Asks again for the last N sessions, which vendors sometimes correct
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", default_value_t = 0)]
    pub refresh: usize,
    /// Asks again for sessions that came without a bar
    #[arg(long)]
    pub retry_empty: bool,
    /// Leaves rows out that contradict themselves, and names them, instead of stopping at the first
    #[arg(long)]
    pub drop_bad_rows: bool,
    /// Says which calls are needed and how long they take; asks nobody
    #[arg(long)]
    pub dry_run: bool,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl FetchFlags {
    /// Returns how to fetch.
    pub fn wishes(&self) -> FetchOptions {
        FetchOptions { refresh: self.refresh, retry_empty: self.retry_empty, drop_bad: self.drop_bad_rows }
    }

    /// Lays files, flags and assignments over the defaults, but for massive as the source.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        if self.data.options.is_some() {
            return Err(UsageError::one("--options: say --what options to fetch them").into());
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
            let text = format!(
                "--data-source {}: nothing is fetched from it; name {}",
                config.run.data_source,
                vendor_names()
            );
            return Err(UsageError::one(text).into());
        }
        Ok(config)
    }
}
