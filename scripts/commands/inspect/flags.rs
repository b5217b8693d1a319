//! Flags of `zerodte inspect`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use crate::{
    config::{
        RunConfig,
        flags::{
            ALL_DATES, ConfigFlags, DataFlags, FlagHelp, FlagTable, ReportFlags, SourceFlags, WITHOUT_OPTIONS,
            described,
        },
        layers::Layer,
    },
    output::exit_code::UsageError,
};

/// The symbol is an argument instead of a flag.
const ONE_SYMBOL: &FlagTable = &[("symbols", FlagHelp::Hidden)];

/// Flags of `zerodte inspect`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    args_override_self = true,
    mut_args(described(ALL_DATES)),
    mut_args(described(WITHOUT_OPTIONS)),
    mut_args(described(ONE_SYMBOL))
)]
pub struct InspectFlags {
    /// Symbol whose bars are inspected
    #[arg(value_name = "SYMBOL")]
    pub symbol: String,
    /// Compares with the bars of a second source, minute by minute: files:DIR, or another source, such as alpaca or
    /// massive:DIR
    #[arg(long, value_name = "SOURCE[:DIR]")]
    pub against: Option<Against>,
    /// Source and dates of the bars.
    #[command(flatten)]
    pub data: DataFlags,
    /// Files to write.
    #[command(flatten)]
    pub output: InspectOutput,
    /// Other configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// Files that an inspection writes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct InspectOutput {
    /// The report.
    #[command(flatten)]
    pub report: ReportFlags,
    /// Draws every minute of every session as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// The second source of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// Name, in the form of `--data-source`.
    pub source: String,
    /// Folder of `files`.
    pub folder: Option<PathBuf>,
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (source, folder) = match text.split_once(':') {
            Some((source, folder)) => (source, Some(folder).filter(|folder| !folder.is_empty()).map(PathBuf::from)),
            None => (text, None),
        };
        match (source, &folder) {
            ("", _) => Err("name a source, such as files:DIR".to_owned()),
            ("files", None) => Err("name the folder of the second source, as files:DIR".to_owned()),
            ("synthetic", Some(_)) => Err("synthetic takes no folder".to_owned()),
            _ => Ok(Self { source: source.to_owned(), folder }),
        }
    }
}

impl InspectFlags {
    /// Layers files, flags and assignments over the defaults, with the one symbol and all dates.
    ///
    /// # Errors
    /// All faults together, exit code 2.
    pub fn resolve(&self, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let others = [("--symbols", self.data.symbols.is_some()), ("--options", self.data.options.is_some())];
        let given = others.into_iter().filter(|(_, given)| *given);
        notes.extend(given.map(|(name, _)| format!("{name} has no effect: only the bars of SYMBOL are inspected")));
        self.resolved(&self.data, notes)
    }

    /// Resolves the configuration of the second source, if one was given.
    ///
    /// # Errors
    /// All faults together, exit code 2.
    pub fn resolve_against(&self, notes: &mut Vec<String>) -> anyhow::Result<Option<RunConfig>> {
        let Some(Against { source, folder }) = &self.against else { return Ok(None) };
        let source = SourceFlags {
            data_source: Some(source.clone()),
            data_dir: folder.clone().or_else(|| self.data.source.data_dir.clone()),
        };
        let data = DataFlags { source, ..self.data.clone() };
        self.resolved(&data, notes).map(Some)
    }

    fn resolved(&self, data: &DataFlags, notes: &mut Vec<String>) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        base.run.intraday_days = 0;
        let data = DataFlags { symbols: Some(self.symbol.clone()), options: None, ..data.clone() };
        let mut layer = Layer::new("flags");
        data.put(&mut layer, notes);
        let config = self.config.resolve(&base, layer)?;
        if config.run.symbols.len() != 1 {
            return Err(UsageError::one(format!("SYMBOL {}: name one symbol, such as SPY", self.symbol)).into());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_source_is_a_name_or_files_with_a_folder() {
        let parsed: Against = "files:/tmp/a:b".parse().unwrap();
        assert_eq!((parsed.source.as_str(), parsed.folder), ("files", Some(PathBuf::from("/tmp/a:b"))));
        assert_eq!("synthetic".parse::<Against>().unwrap().folder, None);
        for (text, part) in
            [("files", "files:DIR"), ("files:", "files:DIR"), ("synthetic:x", "no folder"), (":x", "name a")]
        {
            assert!(text.parse::<Against>().unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn one_symbol_and_all_dates_are_asked_for() {
        let data = DataFlags { symbols: Some("QQQ".to_owned()), ..DataFlags::default() };
        let against = Some("synthetic".parse().unwrap());
        let mut flags = InspectFlags { symbol: "spy".to_owned(), data, against, ..InspectFlags::default() };
        let mut notes = Vec::new();
        let config = flags.resolve(&mut notes).unwrap();
        assert_eq!((config.run.symbols[0].as_str(), config.run.intraday_days), ("SPY", 0));
        assert!(notes[0].contains("--symbols has no effect"), "{notes:?}");
        let other = flags.resolve_against(&mut notes).unwrap().unwrap();
        assert_eq!(other.run.data_source, crate::config::DataSource::Synthetic);
        flags.symbol = "SPY,QQQ".to_owned();
        assert!(flags.resolve(&mut notes).unwrap_err().to_string().contains("one symbol"));
    }
}
