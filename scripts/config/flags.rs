//! Flag groups that commands share: data and configuration.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use market_data::source::vendor::VendorProfile;

use crate::{
    config::{
        RunConfig,
        layers::{Layer, resolve},
        source_help,
    },
    output::exit_code::UsageError,
};

/// What `--options` says where a model's configuration holds unless told otherwise.
pub(crate) const OPTIONS_OF_A_MODEL: &str =
    "Folder or file of option minutes to replay; none = quotes from the pricing model [default: the model's]";

/// Which bars to use.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct DataFlags {
    /// Symbols, separated by commas [default: SPY,QQQ]
    #[arg(long, value_name = "LIST")]
    pub symbols: Option<String>,
    /// First session date, YYYY-MM-DD; lifts the default limit of 60 days
    #[arg(long, value_name = "DATE")]
    pub start_date: Option<Date>,
    /// Last session date, YYYY-MM-DD [default: the last bar's]
    #[arg(long, value_name = "DATE")]
    pub end_date: Option<Date>,
    /// Calendar days of minute bars up to the last date, 0 = all; with --start-date the later start holds [default: 60]
    #[arg(long, value_name = "N")]
    pub intraday_days: Option<u32>,
    /// Source of the bars.
    #[arg(long, value_name = "SOURCE", help = source_help("files"))]
    pub data_source: Option<String>,
    /// Folder of SYMBOL_1m.parquet or .csv files; for a vendor, of what was fetched from it [default: bars]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder or file of option minutes to replay; none = quotes from the pricing model [default: none]
    #[arg(long, value_name = "PATH")]
    pub options: Option<PathBuf>,
}

/// Configuration beyond the flags.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigFlags {
    /// TOML file with any part of the configuration; flags win over it. May be given more than once
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Sets any configuration key, such as env.reward.hold_tax=-0.002; wins over flags. May be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the resolved configuration as TOML and exits
    #[arg(long)]
    pub print_config: bool,
}

impl DataFlags {
    /// Puts what was given on a layer; sentences about what was understood differently than typed are added to `notes`.
    pub(crate) fn put(&self, layer: &mut Layer, notes: &mut Vec<String>) {
        if let Some(list) = &self.symbols {
            let symbols = list.split(',').map(str::trim);
            layer.put("run.symbols", symbols.map(toml::Value::from).collect::<Vec<_>>());
        }
        layer.put_some("run.start_date", self.start_date.map(|date| date.to_string()));
        layer.put_some("run.end_date", self.end_date.map(|date| date.to_string()));
        // Who names the first day does not mean the last sixty.
        let days = self.intraday_days.or(self.start_date.map(|_| 0));
        layer.put_some("run.intraday_days", days.map(i64::from));
        let source = self.data_source.as_deref().map(|source| {
            let (name, note) = match source {
                "enriched" => (
                    "files",
                    "--data-source enriched named the old system's pickles; reading --data-dir as files".to_owned(),
                ),
                other => match VendorProfile::named(other) {
                    Some(vendor) if vendor.name != other => {
                        (vendor.name, format!("--data-source {other} is now called {}", vendor.name))
                    }
                    _ => return other,
                },
            };
            notes.push(note);
            name
        });
        layer.put_some("run.data_source", source);
        let text = |path: &PathBuf| path.display().to_string();
        layer.put_some("run.data_dir", self.data_dir.as_ref().map(text));
        layer.put_some("run.options", self.options.as_ref().map(text));
    }
}

impl ConfigFlags {
    /// Lays files, flags and assignments over `base`, and checks the result.
    ///
    /// # Errors
    /// Every fault at once.
    pub(crate) fn resolve(&self, base: &RunConfig, flags: Layer) -> Result<RunConfig, UsageError> {
        let mut layers = self.config.iter().map(|path| Layer::file(path)).collect::<Result<Vec<_>, _>>()?;
        layers.extend([flags, Layer::assignments(&self.set)?]);
        resolve(base, &layers, RunConfig::check)
    }
}
