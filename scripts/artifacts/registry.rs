//! `registry.jsonl`: one row per training, backtest and evaluation, so that looks at test dates can be counted.
//!
//! The file lies beside `models/`, `logs/` and `runs/`. It is append-only: every row carries the SHA-256 of the row before it,
//! so that a row that was deleted, edited or moved is found. Rows removed from the end leave no trace; a copy elsewhere shows
//! them. Writers lock the file, so any number of programs may append.

pub mod identity;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use market_data::{DataStamp, DateRange, input_file};
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::files::sha256_of,
    output::{clock, output_file::create_parent},
};

/// Name of the file in the folder of results.
pub const FILE: &str = "registry.jsonl";

/// Origin of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// End of a training.
    Training,
    /// Replay of the test dates at the end of a training.
    Look,
    /// A backtest.
    Backtest,
    /// An evaluation of reports.
    Evaluate,
    /// A procedure over folds.
    WalkForward,
    /// A trial of a sweep: its validation dates were looked at to choose.
    Trial,
}

impl Kind {
    /// Returns the word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Look => "look",
            Self::Backtest => "backtest",
            Self::Evaluate => "evaluate",
            Self::WalkForward => "walk_forward",
            Self::Trial => "trial",
        }
    }
}

/// End of what wrote a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It finished.
    Finished,
    /// It stopped with an error.
    Failed,
    /// It was interrupted by a signal.
    Interrupted,
    /// A training was stopped by its verdict.
    Stopped,
    /// A sweep gave it up.
    Pruned,
}

impl Ending {
    /// Returns the word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Pruned => "pruned",
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Time of writing, UTC.
    pub time: String,
    /// What wrote it.
    pub kind: Kind,
    /// Name of the model or of the evaluation.
    pub name: String,
    /// Hash of the settings that matter ([`identity::configuration_hash`]).
    pub config: String,
    /// Seed of the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Dates that were looked at; absent for a row that is no look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<DateRange>,
    /// Training dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<DateRange>,
    /// Steps of the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// End of the work.
    pub outcome: Ending,
    /// Sharpe ratio per date of what was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpe_per_date: Option<f64>,
    /// Session dates of that ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<usize>,
    /// Commit of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// SHA-256 of the line before; empty in the first row.
    #[serde(default)]
    pub previous: String,
}

impl Row {
    /// Returns a finished row of this kind, without a look, that is stamped when it is appended.
    pub fn new(kind: Kind, name: impl Into<String>, config: impl Into<String>, data: DataStamp) -> Self {
        Self {
            time: String::new(),
            kind,
            name: name.into(),
            config: config.into(),
            seed: None,
            data,
            looked_at: None,
            train: None,
            steps: None,
            outcome: Ending::Finished,
            sharpe_per_date: None,
            dates: None,
            revision: None,
            previous: String::new(),
        }
    }
}

/// The registry of a folder of results.
#[derive(Debug, Clone)]
pub struct Registry {
    path: PathBuf,
}

/// A line of the file: a row, or the reason why it is none.
type Line = Result<Row, String>;

/// Content of a registry.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Rows in their order.
    pub rows: Vec<Row>,
    /// Faults, each with the number of its line.
    pub faults: Vec<String>,
    /// Number of a last line that a killed program did not finish; it counts as no row and as no fault.
    pub torn: Option<usize>,
}

impl Registry {
    /// Returns the registry of a folder of results, `run.out_dir`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// Returns the registry for looks with a model: that of the folder in which `models/` lies, or else the model's folder.
    pub fn of_model(model: &Path) -> Self {
        let folder = model.parent().unwrap_or(Path::new(""));
        let root = if folder.ends_with("models") { folder.parent().unwrap_or(Path::new("")) } else { folder };
        Self::in_folder(root)
    }

    /// Returns a registry by its path.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the file exists.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Appends a row: time, revision and the hash of the row before are filled in. Other programs wait meanwhile.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written.
    pub fn append(&self, row: Row) -> anyhow::Result<()> {
        self.append_all(vec![row])
    }

    /// Appends rows at once, as [`Registry::append`] does one; no row between them is another program's.
    ///
    /// # Errors
    /// As [`Registry::append`].
    pub fn append_all(&self, rows: Vec<Row>) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            create_parent(&self.path)?;
            if self.exists() {
                input_file::open(&self.path)?;
            }
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.path)?;
            file.lock()?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let text = String::from_utf8_lossy(&text);
            let lines = whole_lines(&text);
            let mut previous = lines.iter().rev().find(|line| parse(line).is_ok()).map(sha256_of).unwrap_or_default();
            let revision = crate::artifacts::manifest::revision().map(str::to_owned);
            // A last line that a killed program did not finish is closed, not removed.
            let mut more = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" }.to_owned();
            for row in rows {
                let row = Row { time: clock::timestamp(), revision: revision.clone(), previous, ..row };
                let line = serde_json::to_string(&row)?;
                previous = sha256_of(&line);
                more += &(line + "\n");
            }
            file.write_all(more.as_bytes())?;
            Ok(file.sync_data()?)
        };
        write().with_context(|| format!("writing the registry {}", self.path.display()))
    }

    /// Reads all rows and checks that each carries the hash of the one before. A registry that does not exist is empty.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> anyhow::Result<Content> {
        if !self.exists() {
            return Ok(Content::default());
        }
        let read = || -> anyhow::Result<String> {
            let mut file = input_file::open(&self.path)?;
            file.lock_shared()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().with_context(|| format!("reading the registry {}", self.path.display()))?;
        Ok(Content::of(&text))
    }
}

/// Returns the sentence on the other configurations that have looked at some dates.
pub fn looks_line(dates: &str, others: usize) -> String {
    match others {
        0 => format!("no other configuration has looked at {dates} before"),
        1 => format!("1 other configuration has looked at {dates}"),
        others => format!("{others} other configurations have looked at {dates}"),
    }
}

/// Returns the lines that hold something.
fn whole_lines(text: &str) -> Vec<&str> {
    text.split('\n').filter(|line| !line.is_empty()).collect()
}

fn parse(line: &str) -> Line {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

impl Content {
    fn of(text: &str) -> Self {
        let (mut content, mut previous) = (Self::default(), String::new());
        let lines = whole_lines(text);
        for (number, line) in (1..).zip(&lines) {
            match parse(line) {
                Ok(row) => {
                    if row.previous != previous {
                        content.faults.push(broken_chain(number, &row, &lines));
                    }
                    previous = sha256_of(line);
                    content.rows.push(row);
                }
                Err(_) if number == lines.len() && !text.ends_with('\n') => content.torn = Some(number),
                // A line that a later program closed: the row after it carries the hash of the last whole row.
                Err(_) if is_torn(line) => {}
                Err(error) => content.faults.push(format!("line {number} is no row: {error}")),
            }
        }
        content
    }

    /// Returns the configurations that have looked at dates of a range, on bars of this origin.
    pub fn lookers(&self, dates: DateRange, data: DataStamp) -> BTreeSet<&str> {
        let overlap = |at: DateRange| at.first <= dates.last && dates.first <= at.last;
        let looked = |row: &&Row| row.data == data && row.looked_at.is_some_and(overlap);
        self.rows.iter().filter(looked).map(|row| row.config.as_str()).collect()
    }

    /// Returns the number of rows by kind and outcome, sorted.
    pub fn counts(&self) -> BTreeMap<(&'static str, &'static str), usize> {
        let mut counts = BTreeMap::new();
        self.rows.iter().for_each(|row| *counts.entry((row.kind.word(), row.outcome.word())).or_default() += 1);
        counts
    }
}

/// Returns whether a line is the beginning of a row: a program was killed while writing it.
fn is_torn(line: &str) -> bool {
    line.starts_with("{\"time\":") && !line.ends_with('}')
}

/// Names the reason of a wrong hash, as far as the other lines show it.
fn broken_chain(number: usize, row: &Row, lines: &[&str]) -> String {
    let place = lines.iter().position(|line| sha256_of(line) == row.previous);
    match place {
        _ if row.previous.is_empty() => {
            format!("line {number} claims to be the first row: rows before it were added or joined")
        }
        Some(at) => format!("line {number} follows line {} by its hash: rows were moved or added", at + 1),
        None if number == 1 => "line 1 follows a row that is missing: rows at the start were deleted".to_owned(),
        None => format!("line {} was edited, or a row between it and line {number} was deleted", number - 1),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::{sync::Arc, thread};

    use jiff::civil::date;

    use super::*;

    fn row(config: &str) -> Row {
        let dates = DateRange { first: date(2025, 7, 1), last: date(2025, 7, 31) };
        Row { looked_at: Some(dates), ..Row::new(Kind::Look, "m", config, DataStamp::Market) }
    }

    fn filled(configs: &[&str]) -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::in_folder(folder.path());
        configs.iter().for_each(|config| registry.append(row(config)).unwrap());
        (folder, registry)
    }

    /// Rewrites the lines of a registry, and returns the faults that are found.
    fn faults(change: impl Fn(Vec<String>) -> Vec<String>) -> Vec<String> {
        let (_folder, registry) = filled(&["a", "b", "c", "d"]);
        let text = fs::read_to_string(registry.path()).unwrap();
        let lines = change(text.lines().map(str::to_owned).collect());
        fs::write(registry.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        registry.read().unwrap().faults
    }

    #[test]
    fn rows_are_chained_and_looks_counted_by_configuration() {
        let (_folder, registry) = filled(&["a", "b", "a"]);
        registry.append(Row::new(Kind::Training, "m", "c", DataStamp::Market)).unwrap();
        registry.append(Row { data: DataStamp::Synthetic, ..row("d") }).unwrap();
        let content = registry.read().unwrap();
        assert!(content.faults.is_empty() && content.rows.len() == 5 && content.rows[0].previous.is_empty());
        let looks = |first, last| content.lookers(DateRange { first, last }, DataStamp::Market).len();
        assert_eq!(looks(date(2025, 7, 31), date(2025, 8, 30)), 2, "a range that touches the last date");
        assert_eq!(looks(date(2025, 8, 1), date(2025, 8, 30)), 0);
        assert_eq!(content.counts()[&("look", "finished")], 4);
        assert!(Registry::in_folder(Path::new("nowhere")).read().unwrap().rows.is_empty());
    }

    #[test]
    fn deleted_edited_and_moved_rows_are_named() {
        assert_eq!(faults(|lines| lines), Vec::<String>::new());
        let deleted = faults(|mut lines| {
            lines.remove(1);
            lines
        });
        assert_eq!(deleted, ["line 1 was edited, or a row between it and line 2 was deleted"]);
        let edited = faults(|mut lines| {
            lines[2] = lines[2].replace("\"c\"", "\"x\"");
            lines
        });
        assert_eq!(edited, ["line 3 was edited, or a row between it and line 4 was deleted"]);
        let moved = faults(|mut lines| {
            lines.swap(1, 2);
            lines
        });
        assert!(
            moved.len() >= 2 && moved[0] == "line 2 follows line 3 by its hash: rows were moved or added",
            "{moved:?}"
        );
        let beheaded = faults(|mut lines| lines.split_off(1));
        assert_eq!(beheaded, ["line 1 follows a row that is missing: rows at the start were deleted"]);
        let foreign = faults(|mut lines| {
            lines[1] = "{}".to_owned();
            lines
        });
        assert!(foreign[0].starts_with("line 2 is no row: missing field"), "{foreign:?}");
    }

    #[test]
    fn a_torn_last_line_is_recognised_and_does_not_stop_the_next_row() {
        let (_folder, registry) = filled(&["a", "b"]);
        let whole = fs::read_to_string(registry.path()).unwrap();
        fs::write(registry.path(), &whole[..whole.len() - 40]).unwrap();
        let content = registry.read().unwrap();
        assert_eq!((content.rows.len(), content.torn, content.faults.len()), (1, Some(2), 0));
        registry.append(row("c")).unwrap();
        let content = registry.read().unwrap();
        assert_eq!((content.rows.len(), content.torn, content.faults.len()), (2, None, 0), "{content:?}");
        // A row that lacks only its newline is whole.
        fs::write(registry.path(), whole.trim_end()).unwrap();
        registry.append(row("c")).unwrap();
        let content = registry.read().unwrap();
        assert!(content.rows.len() == 3 && content.faults.is_empty(), "{content:?}");
    }

    #[test]
    fn threads_append_without_losing_a_row() {
        let (_folder, registry) = filled(&[]);
        let registry = Arc::new(registry);
        let writer = |name: usize| {
            let registry = Arc::clone(&registry);
            thread::spawn(move || (0..20).for_each(|n| registry.append(row(&format!("{name}.{n}"))).unwrap()))
        };
        (0..4).map(writer).collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        let content = registry.read().unwrap();
        assert!(content.rows.len() == 80 && content.faults.is_empty(), "{:?}", content.faults);
    }

    #[test]
    fn the_registry_lies_beside_the_folder_of_models() {
        let of = |model: &str| Registry::of_model(Path::new(model)).path().display().to_string();
        assert_eq!(of("out/models/a.safetensors"), "out/registry.jsonl");
        assert_eq!(of("models/a"), "registry.jsonl");
        assert_eq!(of("old/a"), "old/registry.jsonl");
    }
}
