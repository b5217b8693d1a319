//! Flags of `zerodte import`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use market_data::{BarColumn, BarStamp, DataConfig, Symbol, Zone};

use crate::{
    config::{
        RunConfig,
        flags::{ColumnFlags, ConfigFlags},
        layers::Layer,
    },
    output::exit_code::UsageError,
};

/// Flags of `zerodte import`.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true)]
pub struct ImportFlags {
    /// Files of minute bars, CSV or Parquet; files of one symbol are joined
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Symbol of the bars; chooses the rows of files with several [default: the file's column or name]
    #[arg(long, value_name = "SYMBOL", help_heading = "Data")]
    pub symbol: Option<Symbol>,
    /// Columns of the files.
    #[command(flatten)]
    pub columns: ColumnFlags,
    /// Sets `data.timestamp_zone` [default: detected]
    #[arg(long, value_name = "ZONE", help_heading = "Data")]
    pub timestamp_zone: Option<String>,
    /// Sets `data.bar_stamp` [default: detected]
    #[arg(long, value_name = "STAMP", help_heading = "Data")]
    pub bar_stamp: Option<String>,
    /// Unit of the prices in dollars, such as 0.0001; 1 = dollars [default: detected]
    #[arg(long, value_name = "DOLLARS", help_heading = "Data")]
    pub price_scale: Option<f64>,
    /// Writes what was detected without a confirmation by flags
    #[arg(long)]
    pub yes: bool,
    /// Folder of the imported bars
    #[arg(long, value_name = "DIR", default_value = "bars", help_heading = "Output")]
    pub out: PathBuf,
    /// Replaces files with other bars of the same symbol
    #[arg(long, help_heading = "Output")]
    pub replace: bool,
    /// Configuration beyond the flags.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Properties of the files that the user has named; the others are detected.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) symbol: Option<Symbol>,
    /// Meanings of columns by their names.
    pub(super) columns: BTreeMap<String, BarColumn>,
    pub(super) zone: Option<Zone>,
    pub(super) stamp: Option<BarStamp>,
    /// Price unit in dollars.
    pub(super) unit: Option<f64>,
}

impl ImportFlags {
    /// Lays files, flags and assignments over the defaults.
    ///
    /// # Errors
    /// Every fault at once, exit code 2.
    pub fn resolve(&self) -> anyhow::Result<RunConfig> {
        if let Some(scale) = self.price_scale.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
            return Err(UsageError::one(format!("--price-scale {scale}: name a positive number of dollars")).into());
        }
        let mut layer = Layer::new("flags");
        self.columns.put(&mut layer);
        layer.put_some("data.timestamp_zone", self.timestamp_zone.clone());
        layer.put_some("data.bar_stamp", self.bar_stamp.clone());
        Ok(self.config.resolve(&RunConfig::default(), layer)?)
    }

    /// Returns the properties that flags and configuration name.
    pub(super) fn wanted(&self, data: &DataConfig) -> Wanted {
        let stated = self.bar_stamp.is_some() || data.bar_stamp != BarStamp::default();
        Wanted {
            symbol: self.symbol.clone(),
            columns: data.columns.clone(),
            zone: data.timestamp_zone.clone(),
            stamp: stated.then_some(data.bar_stamp),
            unit: self.price_scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_what_is_not_detected() {
        let flags = ImportFlags { bar_stamp: Some("start".to_owned()), ..ImportFlags::default() };
        let wanted = flags.wanted(&flags.resolve().unwrap().data);
        assert_eq!(wanted, Wanted { stamp: Some(BarStamp::Start), ..Wanted::default() });
        let none = ImportFlags::default();
        assert_eq!(none.wanted(&none.resolve().unwrap().data), Wanted::default());
        for (flags, part) in [
            (
                ImportFlags { timestamp_zone: Some("New York".to_owned()), ..none.clone() },
                "write it as America/New_York",
            ),
            (ImportFlags { bar_stamp: Some("close".to_owned()), ..none.clone() }, "is not one of start, end"),
            (ImportFlags { price_scale: Some(-1.0), ..none.clone() }, "--price-scale -1"),
        ] {
            let message = flags.resolve().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
