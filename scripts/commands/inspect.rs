//! `zerodte inspect`: what the bars of a symbol are worth before anything is trained on them.
//!
//! It looks at the bars as they came, before a run fills, refuses or leaves out anything: which minutes there are, which repeat,
//! which prices stand out, and how they compare with those of a second source. Two bars with the same time stamp cannot be
//! found here: such a file is refused when it is read, with the row named.

mod compare;
mod coverage;
mod days;
mod findings;
mod flags;
mod outliers;
mod plot;
mod text;

use anyhow::Context as _;
use market_data::{Bars, DataError, DataStamp, DateRange, FileRecord, calendar};
use serde::Serialize;

use self::{coverage as minutes, days::Day};
use crate::{
    artifacts::files,
    config::{DataSource, RunConfig, context::CommandContext},
    inputs,
    output::{console::Console, exit_code::UsageError, output_file::OutputFile},
};

pub use self::{
    compare::{Agreement, Comparison, Difference, Scaled},
    coverage::{Coverage, HalfDay, Run, Runs, SessionCoverage},
    days::{At, Outside},
    flags::{Against, InspectFlags},
    outliers::{Jump, Outliers, Print, Wick},
};

/// Looks at the bars of a symbol and says what it found.
///
/// # Errors
/// Bars or a configuration that cannot be used, or a file that cannot be written.
pub fn run(flags: &InspectFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolve = |notes: &mut Vec<String>| Ok((flags.resolve(notes)?, flags.resolve_against(notes)?));
    let Some((mut context, (config, against))) = CommandContext::open(&flags.config, console, resolve)? else {
        return Ok(());
    };
    if against.as_ref() == Some(&config) {
        return Err(UsageError::one("--against: these are the bars that are looked at; name other ones").into());
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
}

impl Read {
    fn load(config: &RunConfig) -> anyhow::Result<Self> {
        let history = inputs::history(config)?;
        let bars = history.bars.first().context("the source delivers no bars")?;
        let (days, outside) = days::cut(bars, &sessions_asked_for(bars, config)?);
        Ok(Self {
            symbol: bars.symbol().to_string(),
            source: name(config),
            data: DataStamp::of(history.synthetic),
            files: history.files,
            days,
            outside,
        })
    }
}

/// Names a source as `--against` takes it.
fn name(config: &RunConfig) -> String {
    match config.run.data_source {
        DataSource::Synthetic => "synthetic".to_owned(),
        source => format!("{source}:{}", config.run.data_dir.display()),
    }
}

/// Returns the dates that are asked for and lie between the first and the last bar.
fn sessions_asked_for(bars: &Bars, config: &RunConfig) -> anyhow::Result<DateRange> {
    let (Some(&first), Some(&last)) = (bars.ts_ns().first(), bars.ts_ns().last()) else {
        return Err(DataError::NoBars { origin: bars.origin().to_owned(), symbol: bars.symbol().clone() }.into());
    };
    let (first, last) = (calendar::exchange_date(first), calendar::exchange_date(last));
    let none = |asked: String| {
        let (symbol, origin) = (bars.symbol(), bars.origin());
        UsageError::one(format!(
            "{origin}: there is no session of {symbol} {asked}; the bars go from {first} to {last}"
        ))
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

/// What was found, as JSON holds it. Times are those of New York.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InspectReport {
    /// `market`, or `SYNTHETIC` for made-up bars.
    pub data: DataStamp,
    /// The symbol.
    pub symbol: String,
    /// Where the bars come from.
    pub source: String,
    /// The first and the last session.
    pub dates: DateRange,
    /// What to know, in sentences; the first sums up.
    pub findings: Vec<String>,
    /// The files read, one line each, or one for the months of a series.
    pub files: Vec<String>,
    /// Which minutes there are.
    pub coverage: Coverage,
    /// Runs of missing minutes inside sessions.
    pub gaps: Runs,
    /// Runs of identical bars with volume or a range.
    pub stale: Runs,
    /// Runs of a quarter of an hour or more without any movement.
    pub frozen: Runs,
    /// Prices that stand out.
    pub outliers: Outliers,
    /// Half days and what was found on them.
    pub half_days: Vec<HalfDay>,
    /// The second source beside the first.
    pub comparison: Option<Comparison>,
}

impl InspectReport {
    fn new(read: &Read, other: Option<&Read>) -> anyhow::Result<Self> {
        let days = &read.days;
        let dates = days.first().zip(days.last()).map(|(first, last)| (first.date(), last.date()));
        let (first, last) = dates.context("there is no session")?;
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
