//! The record of a followed session: one heading, then one row per minute. It grows by whole lines, so that a program that was killed
//! goes on where it stopped.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use market_data::{BarColumns, Bars, Symbol, calendar::Session};
use market_env::Action;
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::line_file::{LineFile, whole_lines},
    config::RunConfig,
    evaluation::decision::Decision,
};

/// Heading of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heading {
    /// Always `shadow`.
    pub kind: String,
    /// The model file, as it was named.
    pub model: PathBuf,
    /// SHA-256 of the model file, in hexadecimal.
    pub model_sha256: String,
    /// The underlying.
    pub symbol: Symbol,
    /// The session.
    pub date: Date,
    /// The configuration, vendor included.
    pub config: RunConfig,
}

/// One minute of a session: its bar as it came, and the decision at its close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of the bar in the session, from 0.
    pub bar: u32,
    /// Start of the bar in New York, such as 10:31.
    pub time: String,
    /// Open, high, low, close and volume; null for a minute without a bar.
    pub prices: Option<[f64; 5]>,
    /// Seconds from the end of the bar to the decision.
    pub delay_s: f64,
    /// The action, HOLD where no decision could be taken.
    pub action: Action,
    /// The decision; null where none could be taken, because no bar of the session was known or too many were missing.
    pub decision: Option<Recorded>,
}

/// A decision as a row holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Probability of every action. `[K]`
    pub probabilities: Vec<f32>,
    /// Names of the legal actions.
    pub legal: Vec<String>,
    /// The critic's value estimate.
    pub value: f32,
    /// The observation. `[W·F + A]`
    pub observation: Vec<f32>,
    /// True once the session is over.
    pub over: bool,
}

impl Recorded {
    /// Returns a decision as a row holds it.
    pub fn of(decision: &Decision) -> Self {
        Self {
            probabilities: decision.probabilities.clone(),
            legal: decision.legal().into_iter().map(str::to_owned).collect(),
            value: decision.value,
            observation: decision.observation.clone(),
            over: decision.over,
        }
    }
}

impl Heading {
    /// Returns the heading of a new record.
    pub fn new(model: &Path, model_sha256: String, symbol: Symbol, date: Date, config: RunConfig) -> Self {
        Self { kind: "shadow".to_owned(), model: model.to_owned(), model_sha256, symbol, date, config }
    }
}

/// Reads a record.
///
/// # Errors
/// A file that is missing or no record.
pub fn read(path: &Path) -> anyhow::Result<(Heading, Vec<Row>)> {
    whole_lines(path).and_then(|text| parse(&text)).with_context(|| format!("reading {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<(Heading, Vec<Row>)> {
    let mut lines = text.lines();
    let heading: Heading = serde_json::from_str(lines.next().unwrap_or_default())
        .context("line 1 is not the heading of a record of zerodte shadow")?;
    let row = |(at, line): (usize, &str)| serde_json::from_str(line).with_context(|| format!("line {}", at + 2));
    let rows: Vec<Row> = lines.enumerate().map(row).collect::<Result<_, _>>()?;
    let gap = rows.iter().zip(0u32..).position(|(row, bar)| row.bar != bar);
    ensure!(gap.is_none(), "line {} is not the next minute", gap.unwrap_or_default() + 2);
    Ok((heading, rows))
}

/// A record that is being written.
#[derive(Debug)]
pub struct ShadowFile {
    file: LineFile,
    rows: Vec<Row>,
}

impl ShadowFile {
    /// Opens a record: a new one, or one to be continued.
    ///
    /// # Errors
    /// A file that cannot be written, or a record of another model, session or configuration.
    pub fn open(path: PathBuf, heading: &Heading) -> anyhow::Result<Self> {
        if !path.exists() {
            let mut file = LineFile::create(path)?;
            file.write(&line(heading)?)?;
            return Ok(Self { file, rows: Vec::new() });
        }
        let (known, rows) = read(&path)?;
        let differing = [
            ("model", known.model_sha256 != heading.model_sha256),
            ("symbol", known.symbol != heading.symbol),
            ("session", known.date != heading.date),
            ("configuration", known.config != heading.config),
        ];
        if let Some((part, _)) = differing.into_iter().find(|(_, differs)| *differs) {
            anyhow::bail!("{} is the record of another {part}; name another file with --out", path.display());
        }
        let file = LineFile::resume(path, |text| Ok(text.to_owned()))?;
        Ok(Self { file, rows })
    }

    /// Returns the rows so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Adds the row of the next minute.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, row: Row) -> anyhow::Result<()> {
        self.file.write(&line(&row)?)?;
        self.rows.push(row);
        Ok(())
    }

    /// Returns whether the record holds the whole session: its end, or all of its minutes.
    pub fn is_complete(&self, session: &Session) -> bool {
        let over = self.rows.last().and_then(|row| row.decision.as_ref()).is_some_and(|decision| decision.over);
        over || self.rows.len() >= session.minutes()
    }

    /// Returns the recorded bars of the session.
    ///
    /// # Errors
    /// Prices that are none.
    pub fn bars(&self, symbol: &Symbol, session: &Session) -> anyhow::Result<Bars> {
        let mut columns = BarColumns::default();
        for (row, [open, high, low, close, volume]) in self.rows.iter().filter_map(|row| Some((row, row.prices?))) {
            columns.ts_ns.push(session.open_ns + i64::from(row.bar) * market_data::calendar::MINUTE_NS);
            columns.open.push(open);
            columns.high.push(high);
            columns.low.push(low);
            columns.close.push(close);
            columns.volume.push(volume);
        }
        Ok(Bars::new(symbol.clone(), "recorded bars", columns)?)
    }
}

fn line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}
