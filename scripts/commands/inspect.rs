//! `zerodte inspect`: data quality report on the bars of a symbol.
//!
//! The report covers the raw bars, before a run fills, rejects or skips any: missing minutes, repeated bars, price
//! outliers, and differences from a second source. Duplicate time stamps never reach this report: reading such a file
//! fails with an error that names the row.

mod compare;
mod coverage;
mod findings;
mod flags;
mod plot;
mod text;

use anyhow::Context as _;
use market_data::{
    Bars, DataError, DataStamp, Dataset, DateRange, FileRecord, History, calendar,
    quality::{self, Day},
};
use serde::Serialize;

use self::coverage as minutes;
use crate::{
    artifacts::files,
    config::{DataSource, RunConfig, context::CommandContext},
    inputs::{self, column_alarm::ColumnCheck},
    output::{console::Console, exit_code::UsageError, output_file::OutputFile},
};

pub use self::{
    compare::{Agreement, Comparison, Difference, Scaled},
    coverage::{Coverage, HalfDay, Run, Runs, SessionCoverage},
    flags::{Against, InspectFlags},
};
pub use market_data::quality::{At, Jump, Outliers, Outside, Print, Wick};

/// Inspects the bars of a symbol and prints the report.
///
/// # Errors
/// Unusable bars or configuration, or a file that cannot be written.
pub fn run(flags: &InspectFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolve = |notes: &mut Vec<String>| Ok((flags.resolve(notes)?, flags.resolve_against(notes)?));
    let Some((mut context, (config, against))) = CommandContext::open(&flags.config, console, resolve)? else {
        return Ok(());
    };
    if against.as_ref() == Some(&config) {
        return Err(UsageError::one("--against: same bars as the inspected ones; name a different source").into());
    }
    let json = flags.output.report.json("Report")?;
    let plot = OutputFile::requested("Plot", flags.output.plot.as_ref())?;
    let read = Read::load(&config)?;
    let other = against.as_ref().map(Read::load).transpose().context("reading the bars of --against")?;
    let report = InspectReport::new(&read, other.as_ref())?;
    context.say_notes()?;
    context.console.say_all(report.lines())?;
    if let Some(file) = json {
        file.save_json(&report, context.console)?;
    }
    if let Some(file) = plot {
        file.save(plot::draw(&report, &read.days)?, context.console)?;
    }
    Ok(())
}

/// The bars of one source, by session.
struct Read {
    symbol: String,
    source: String,
    data: DataStamp,
    files: Vec<FileRecord>,
    days: Vec<Day>,
    outside: Outside,
    columns: Option<ColumnCheck>,
}

impl Read {
    fn load(config: &RunConfig) -> anyhow::Result<Self> {
        let history = inputs::history(config)?;
        let bars = history.bars.first().context("the source returned no bars")?;
        let dates = sessions_asked_for(bars, config)?;
        let (days, outside) = quality::cut(bars, &dates);
        let columns = checked_columns(&history, config, &dates)?;
        Ok(Self {
            symbol: bars.symbol().to_string(),
            source: name(config),
            data: DataStamp::of(history.synthetic),
            files: history.files,
            days,
            outside,
            columns,
        })
    }
}

/// Tests the columns of the user, if the configuration names any.
fn checked_columns(history: &History, config: &RunConfig, dates: &DateRange) -> anyhow::Result<Option<ColumnCheck>> {
    let named = config.data.own_columns.len() + config.data.column_files.len() + config.market.cross.len();
    if named == 0 {
        return Ok(None);
    }
    let dataset = Dataset::build(history, &config.run.window(), &config.data)?;
    Ok(ColumnCheck::of(&dataset.symbols, dates))
}

/// Returns the name of a source in the form of `--against`.
fn name(config: &RunConfig) -> String {
    match config.run.data_source {
        DataSource::Synthetic => "synthetic".to_owned(),
        source => format!("{source}:{}", config.run.data_folder().display()),
    }
}

/// Returns the requested dates, limited to those between the first and the last bar.
fn sessions_asked_for(bars: &Bars, config: &RunConfig) -> anyhow::Result<DateRange> {
    let (Some(&first), Some(&last)) = (bars.ts_ns().first(), bars.ts_ns().last()) else {
        return Err(DataError::NoBars { origin: bars.origin().to_owned(), symbol: bars.symbol().clone() }.into());
    };
    let (first, last) = (calendar::exchange_date(first), calendar::exchange_date(last));
    let none = |asked: String| {
        let (symbol, origin) = (bars.symbol(), bars.origin());
        UsageError::one(format!("{origin}: no session of {symbol} {asked}; the bars go from {first} to {last}"))
    };
    let window = config.run.window();
    if let Some(from) = window.from.filter(|from| *from > last) {
        return Err(none(format!("from {from} on")).into());
    }
    let asked = window.dates(last)?;
    let range = DateRange { first: asked.first.max(first), last: asked.last.min(last) };
    if calendar::sessions(range.first, range.last).is_empty() {
        return Err(none(format!("from {} to {}", asked.first, asked.last)).into());
    }
    Ok(range)
}

/// Results of the inspection, in the form of the JSON report. Times are in New York.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InspectReport {
    /// `market`, or `SYNTHETIC` for generated bars.
    pub data: DataStamp,
    /// The symbol.
    pub symbol: String,
    /// Source of the bars.
    pub source: String,
    /// The first and the last session.
    pub dates: DateRange,
    /// Findings in sentences, starting with a summary.
    pub findings: Vec<String>,
    /// Files read, one line each, or one line for all months of a series.
    pub files: Vec<String>,
    /// Coverage of the session minutes.
    pub coverage: Coverage,
    /// Runs of missing minutes inside sessions.
    pub gaps: Runs,
    /// Runs of identical bars with volume or a range.
    pub stale: Runs,
    /// Runs of 15 minutes or more at a single price.
    pub frozen: Runs,
    /// Price outliers.
    pub outliers: Outliers,
    /// Half days and their coverage.
    pub half_days: Vec<HalfDay>,
    /// Comparison with the second source.
    pub comparison: Option<Comparison>,
    /// Test of the columns of the user for knowledge of the future, if the configuration names any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<ColumnCheck>,
}

impl InspectReport {
    fn new(read: &Read, other: Option<&Read>) -> anyhow::Result<Self> {
        let days = &read.days;
        let dates = days.first().zip(days.last()).map(|(first, last)| (first.date(), last.date()));
        let (first, last) = dates.context("there are no sessions")?;
        let mut report = Self {
            data: read.data,
            symbol: read.symbol.clone(),
            source: read.source.clone(),
            dates: DateRange { first, last },
            findings: Vec::new(),
            files: files::lines(&read.files),
            coverage: Coverage::of(days, read.outside),
            gaps: days.iter().flat_map(minutes::gaps).collect(),
            stale: days.iter().flat_map(minutes::stale).collect(),
            frozen: days.iter().flat_map(minutes::frozen).collect(),
            outliers: Outliers::of(days),
            half_days: days.iter().filter_map(HalfDay::of).collect(),
            comparison: other.map(|other| compared(read, other)).transpose()?,
            columns: read.columns.clone(),
        };
        report.findings = findings::of(&report);
        Ok(report)
    }
}

fn compared(a: &Read, b: &Read) -> anyhow::Result<Comparison> {
    let names = (a.source.clone(), b.source.clone());
    let none = || UsageError::one(format!("--against: {} and {} have no session in common", a.source, b.source)).into();
    Comparison::of(names, &a.days, &b.days).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use market_data::quality::Bar;

    use super::*;

    /// A bar that opens, closes and stays at one price.
    pub(super) fn flat(minute: usize, price: f64) -> Bar {
        Bar { minute, open: price, high: price, low: price, close: price, volume: 100.0 }
    }

    /// A session with such bars, and no other.
    pub(super) fn day(date: &str, bars: Vec<Bar>) -> Day {
        let session = calendar::session(date.parse().unwrap()).unwrap();
        Day { session, bars, afternoon: Vec::new() }
    }
}
