//! Groups of flags that commands share, each below its heading in the help: data, configuration and output.

use std::{path::PathBuf, str::FromStr};

use clap::{Arg, Args};
use jiff::civil::Date;
use market_data::source::vendor::VendorProfile;

use crate::{
    config::{
        RunConfig,
        layers::{Layer, resolve},
        profiles, vendor_list,
    },
    output::{console::Level, exit_code::UsageError, output_file::OutputFile},
};

/// Bars and options to use.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct DataFlags {
    /// Sets `run.symbols`, separated by commas
    #[arg(long, value_name = "LIST")]
    pub symbols: Option<String>,
    /// Sets `run.start_date` [default: the first within --intraday-days]
    #[arg(long, value_name = "DATE")]
    pub start_date: Option<Date>,
    /// Sets `run.end_date` [default: the last bar's]
    #[arg(long, value_name = "DATE")]
    pub end_date: Option<Date>,
    /// Sets `run.intraday_days`.
    #[arg(long, value_name = "N")]
    pub intraday_days: Option<u32>,
    /// Source and folder of the bars.
    #[command(flatten)]
    pub source: SourceFlags,
    /// Columns of the files of bars.
    #[command(flatten)]
    pub columns: ColumnFlags,
    /// Sets `run.options` [default: none]
    #[arg(long, value_name = "PATH")]
    pub options: Option<PathBuf>,
    /// Sets `data.options_stamp`.
    #[arg(long, value_name = "STAMP")]
    pub options_stamp: Option<String>,
}

/// Source and folder of bars.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct SourceFlags {
    /// Sets `run.data_source`
    #[arg(long, value_name = "SOURCE")]
    pub data_source: Option<String>,
    /// Sets `run.data_dir`.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Columns of files of bars.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct ColumnFlags {
    /// Sets `data.columns`, such as Datetime=timestamp,Open=open
    #[arg(long, value_name = "LIST")]
    pub columns: Option<ColumnList>,
}

/// Meanings of columns by their names, as the flag lists them: `Datetime=timestamp,Open=open`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnList(Vec<(String, String)>);

impl FromStr for ColumnList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = |text: &str| match text.rsplit_once('=') {
            Some((name, meaning)) if !name.is_empty() => Ok((name.to_owned(), meaning.trim().to_owned())),
            _ => Err(format!("{text:?}: write it as NAME=MEANING, such as Datetime=timestamp")),
        };
        text.split(',').map(pair).collect::<Result<_, _>>().map(Self)
    }
}

impl ColumnFlags {
    /// Puts the given flag on a layer.
    pub(crate) fn put(&self, layer: &mut Layer) {
        let table = |list: &ColumnList| list.0.iter().cloned().map(|(name, meaning)| (name, meaning.into())).collect();
        layer.put_some("data.columns", self.columns.as_ref().map(table).map(toml::Value::Table));
    }
}

/// Configuration beyond the flags.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigFlags {
    /// Built-in profile, such as pnl, or a TOML file with any part of the configuration; flags win over it. May be given
    /// more than once
    #[arg(long, value_name = "NAME|FILE")]
    pub config: Vec<PathBuf>,
    /// Sets any configuration key, such as env.reward.hold_tax=-0.002; wins over flags. May be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the resolved configuration as TOML and exits
    #[arg(long)]
    pub print_config: bool,
}

/// Names and folders of a training's output.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct RunOutputFlags {
    /// Sets `run.model_name`.
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// Sets `run.out_dir`.
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
}

/// Amount of text on the screen; the log file has all of it.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ScreenFlags {
    /// Prints the whole log: tables of every iteration, blocks of every interval
    #[arg(short, long, conflicts_with_all = ["quiet", "json"])]
    pub verbose: bool,
    /// Prints errors only
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    /// Prints rows as JSON, one per line, instead of text: figures and verdict of every interval, then the manifest
    #[arg(long)]
    pub json: bool,
}

impl ScreenFlags {
    /// Returns the level that the flags name, or the given one.
    pub fn level(self, otherwise: Level) -> Level {
        match self {
            Self { verbose: true, .. } => Level::Verbose,
            Self { quiet: true, .. } => Level::Quiet,
            Self { json: true, .. } => Level::Json,
            _ => otherwise,
        }
    }
}

/// File of a report.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ReportFlags {
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Format of the printed result.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct PrintFlags {
    /// Prints the result as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Help of a shared flag in one command, if it differs from that of a training.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FlagHelp {
    /// The same sentence with another default.
    Default(&'static str),
    /// Another sentence.
    Sentence(&'static str),
    /// Another sentence, and the command needs the flag.
    Required(&'static str),
    /// The names of the vendors.
    Vendors,
    /// The flag is parsed but hidden: the command's error names the replacement.
    Hidden,
}

/// Differences of a command's shared flags, each with the flag's name in code.
pub(crate) type FlagTable = [(&'static str, FlagHelp)];

/// Commands on a trained model: the defaults are those of its training.
pub(crate) const OF_A_MODEL: &FlagTable = &[
    ("symbols", FlagHelp::Default("the model's")),
    ("data_source", FlagHelp::Default("the model's")),
    ("data_dir", FlagHelp::Default("the model's")),
    ("options", FlagHelp::Default("the model's")),
    ("options_stamp", FlagHelp::Default("the model's")),
];
/// Commands that use all dates by default.
pub(crate) const ALL_DATES: &FlagTable =
    &[("start_date", FlagHelp::Default("the first bar's")), ("intraday_days", FlagHelp::Default("0"))];
/// Commands that send requests to a vendor.
pub(crate) const OF_A_VENDOR: &FlagTable = &[
    ("data_source", FlagHelp::Vendors),
    ("data_dir", FlagHelp::Sentence("Folder of the cache [default: bars]")),
    ("columns", FlagHelp::Hidden),
];
/// Commands that use bars alone.
pub(crate) const WITHOUT_OPTIONS: &FlagTable = &[("options", FlagHelp::Hidden), ("options_stamp", FlagHelp::Hidden)];

/// Commands on one session, which `--symbol` and a date name.
pub(crate) const OF_ONE_SESSION: &FlagTable = &[
    ("symbols", FlagHelp::Hidden),
    ("start_date", FlagHelp::Hidden),
    ("end_date", FlagHelp::Hidden),
    ("intraday_days", FlagHelp::Hidden),
];

/// Returns a function for `mut_args` of a command that sets the help of the shared flags from a table.
pub(crate) fn described(table: &'static FlagTable) -> impl Fn(Arg) -> Arg {
    move |arg| match table.iter().find(|(name, _)| arg.get_id() == *name).map(|(_, help)| *help) {
        None => arg,
        Some(FlagHelp::Default(default)) => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let sentence = help.split(" [default: ").next().unwrap_or_default();
            arg.help(format!("{sentence} [default: {default}]"))
        }
        Some(FlagHelp::Sentence(sentence)) => arg.help(sentence),
        Some(FlagHelp::Required(sentence)) => arg.help(sentence).required(true),
        Some(FlagHelp::Vendors) => arg.help(format!("Vendor: {} [default: massive]", vendor_list())),
        Some(FlagHelp::Hidden) => arg.hide(true),
    }
}

impl DataFlags {
    /// Puts the given flags on a layer; adds a sentence to `notes` for every reinterpreted flag.
    pub(crate) fn put(&self, layer: &mut Layer, notes: &mut Vec<String>) {
        if let Some(list) = &self.symbols {
            let symbols = list.split(',').map(str::trim);
            layer.put("run.symbols", symbols.map(toml::Value::from).collect::<Vec<_>>());
        }
        layer.put_some("run.start_date", self.start_date.map(|date| date.to_string()));
        layer.put_some("run.end_date", self.end_date.map(|date| date.to_string()));
        // A first date replaces the default limit of sixty days.
        let days = self.intraday_days.or(self.start_date.map(|_| 0));
        layer.put_some("run.intraday_days", days.map(i64::from));
        self.source.put(layer, notes);
        self.columns.put(layer);
        layer.put_some("run.options", self.options.as_ref().map(|path| path.display().to_string()));
        layer.put_some("data.options_stamp", self.options_stamp.clone());
    }
}

impl DataFlags {
    /// Returns the flags for one session of a symbol, and notes those that name others.
    pub(crate) fn of_one_session(&self, symbol: &str, date: Date, notes: &mut Vec<String>) -> Self {
        let others = [
            ("--symbols", self.symbols.is_some()),
            ("--start-date", self.start_date.is_some()),
            ("--end-date", self.end_date.is_some()),
            ("--intraday-days", self.intraday_days.is_some()),
        ];
        let given = others.into_iter().filter(|(_, given)| *given);
        notes.extend(given.map(|(name, _)| format!("{name} is ignored here: --symbol and --at select the session")));
        let (symbols, date, intraday_days) = (Some(symbol.to_owned()), Some(date), Some(0));
        Self { symbols, start_date: date, end_date: date, intraday_days, ..self.clone() }
    }
}

impl SourceFlags {
    /// As [`DataFlags::put`].
    pub(crate) fn put(&self, layer: &mut Layer, notes: &mut Vec<String>) {
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
        layer.put_some("run.data_dir", self.data_dir.as_ref().map(|path| path.display().to_string()));
    }
}

impl RunOutputFlags {
    /// Puts the given flags on a layer.
    pub(crate) fn put(&self, layer: &mut Layer) {
        layer.put_some("run.model_name", self.model_name.clone());
        layer.put_some("run.out_dir", self.out_dir.as_ref().map(|dir| dir.display().to_string()));
    }
}

impl ReportFlags {
    /// Checks the place of the report; `content` is its noun, as in [`OutputFile::checked`].
    ///
    /// # Errors
    /// A sentence naming the folder that cannot be written.
    pub(crate) fn json(&self, content: &'static str) -> anyhow::Result<Option<OutputFile>> {
        OutputFile::requested(content, self.json.as_ref())
    }
}

impl ConfigFlags {
    /// Lays files, flags and assignments over `base`, and checks the result.
    ///
    /// # Errors
    /// Every fault at once.
    pub(crate) fn resolve(&self, base: &RunConfig, flags: Layer) -> Result<RunConfig, UsageError> {
        let mut layers = self.config.iter().map(|path| profiles::named(path)).collect::<Result<Vec<_>, _>>()?;
        layers.extend([flags, Layer::assignments(&self.set)?]);
        resolve(base, &layers, RunConfig::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(list: &str) -> Result<RunConfig, String> {
        let flags = ColumnFlags { columns: Some(list.parse()?) };
        let mut layer = Layer::new("flags");
        flags.put(&mut layer);
        ConfigFlags::default().resolve(&RunConfig::default(), layer).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_listed_by_name_and_meaning() {
        let config = resolved("Datetime=timestamp,Adj. Close=close,a=b=open").unwrap();
        let names: Vec<String> = config.data.columns.iter().map(|(name, of)| format!("{name}: {of}")).collect();
        assert_eq!(names, ["Adj. Close: close", "Datetime: timestamp", "a=b: open"]);
        assert!(config.to_toml().unwrap().contains("[data.columns]\n\"Adj. Close\" = \"close\""));
        for (list, part) in [
            ("Datetime", "write it as NAME=MEANING"),
            ("=open", "write it as NAME=MEANING"),
            ("Datetime=timestmp", "\"timestmp\" is not one of timestamp, open, high, low, close, volume; did you mean"),
        ] {
            let message = resolved(list).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
