//! `zerodte registry`: lists the trials that were made, counts the looks at dates, and checks the chain of rows.

use std::{path::PathBuf, str::FromStr};

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use market_data::{DataStamp, DateRange};

use crate::{
    artifacts::registry::{Content, FILE, Registry, Row},
    output::{
        console::Console,
        exit_code::UsageError,
        table::{columns, thousands},
    },
};

/// Subcommands of `zerodte registry`.
#[derive(Debug, Clone, Subcommand)]
pub enum RegistryTool {
    /// Lists the rows: trainings, looks at test dates, backtests and evaluations.
    List(RegistryFlags),
    /// Counts the configurations that have looked at dates: the number of trials of a correction.
    Count(CountFlags),
    /// Checks that no row was deleted, edited or moved; exit code 1 if one was.
    Verify(RegistryFlags),
}

/// Registry to read.
#[derive(Debug, Clone, Args)]
pub struct RegistryFlags {
    /// The file
    #[arg(long, value_name = "FILE", default_value = FILE)]
    pub registry: PathBuf,
}

/// Flags of `zerodte registry count`.
#[derive(Debug, Clone, Args)]
pub struct CountFlags {
    /// The registry.
    #[command(flatten)]
    pub registry: RegistryFlags,
    /// Dates, first and last, such as 2025-07-01..2025-12-31 [default: all]
    #[arg(long, value_name = "FIRST..LAST")]
    pub dates: Option<Dates>,
    /// Counts looks at made-up bars instead of those at a market's
    #[arg(long)]
    pub synthetic: bool,
}

/// A range of dates as the flag writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates(DateRange);

impl FromStr for Dates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || -> Option<DateRange> {
            let (first, last) = text.split_once("..")?;
            Some(DateRange { first: first.parse().ok()?, last: last.parse().ok()? })
        };
        let range = parse().filter(|range| range.first <= range.last);
        range.map(Self).ok_or_else(|| "write it as 2025-07-01..2025-12-31, the earlier date first".to_owned())
    }
}

/// Runs a subcommand.
///
/// # Errors
/// A registry that does not exist or cannot be read, or, for `verify`, a fault.
pub fn run(tool: &RegistryTool, console: &mut Console) -> anyhow::Result<()> {
    match tool {
        RegistryTool::List(flags) => list(flags, console),
        RegistryTool::Count(flags) => count(flags, console),
        RegistryTool::Verify(flags) => verify(flags, console),
    }
}

impl RegistryFlags {
    fn read(&self) -> anyhow::Result<Content> {
        let registry = Registry::at(&self.registry);
        if !registry.exists() {
            let path = self.registry.display();
            let advice = "a training, backtest or evaluation writes it beside models/; name it with --registry";
            return Err(UsageError::one(format!("there is no registry {path}: {advice}")).into());
        }
        registry.read()
    }
}

fn list(flags: &RegistryFlags, console: &mut Console) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = flags.read()?.rows.iter().map(cells).collect();
    Ok(console.say(columns(&["time", "kind", "outcome", "name", "settings", "looked at"], &rows))?)
}

fn cells(row: &Row) -> Vec<String> {
    let seed = row.seed.map_or_else(String::new, |seed| format!(" ({seed})"));
    let looked = row.looked_at.map_or_else(|| "-".to_owned(), |at| format!("{}..{}", at.first, at.last));
    let settings: String = row.config.chars().take(8).collect();
    let time: String = row.time.chars().take(16).collect();
    vec![
        time,
        row.kind.word().to_owned(),
        row.outcome.word().to_owned(),
        format!("{}{seed}", row.name),
        settings,
        looked,
    ]
}

fn count(flags: &CountFlags, console: &mut Console) -> anyhow::Result<()> {
    let content = flags.registry.read()?;
    let data = DataStamp::of(flags.synthetic);
    let all = DateRange { first: Date::MIN, last: Date::MAX };
    let lookers = content.lookers(flags.dates.map_or(all, |dates| dates.0), data).len();
    let dates = flags.dates.map_or_else(|| "any date".to_owned(), |dates| dates.0.to_string());
    let noun = if lookers == 1 { "configuration has" } else { "configurations have" };
    console.say(format!("N = {lookers}: {lookers} {noun} looked at {dates} ({data} bars)"))?;
    for ((kind, outcome), rows) in content.counts() {
        console.say(format!("{:>7} {kind} {outcome}", thousands(rows as i64)))?;
    }
    Ok(())
}

fn verify(flags: &RegistryFlags, console: &mut Console) -> anyhow::Result<()> {
    let content = flags.read()?;
    if let Some(line) = content.torn {
        console.say(format!("Line {line} is the beginning of a row: a program was killed while writing it"))?;
    }
    console.say_all(&content.faults)?;
    let path = flags.registry.display();
    if !content.faults.is_empty() {
        bail!("{path} was changed after it was written: {} faults", content.faults.len());
    }
    Ok(console.say(format!("{} rows of {path} are whole and in order", thousands(content.rows.len() as i64)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_dates_has_two_dots() {
        let range: Dates = "2025-07-01..2025-07-31".parse().unwrap();
        assert_eq!(range.0.to_string(), "2025-07-01 to 2025-07-31");
        for text in ["2025-07-01", "2025-07-31..2025-07-01", "..", "2025-07-01..x"] {
            assert!(text.parse::<Dates>().unwrap_err().starts_with("write it as"), "{text}");
        }
    }
}
