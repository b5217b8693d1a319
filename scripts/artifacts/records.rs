//! Records of a run: `progress.csv` in the format of the Stable-Baselines3 logger, and `metrics.jsonl` with one row per iteration and per
//! diagnostics block. Only columns named `time/*` depend on the clock. `marks.jsonl` holds the state of the running
//! interval at every checkpoint, for resuming. `health.jsonl` holds the verdicts, `moves.jsonl` the changes made by the controller.
//! Every row carries the data stamp.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use market_data::DataStamp;
use ppo_agent::health::{Controller, MonitorState, OverfitGap, Verdict};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::artifacts::{
    candidate::Candidate,
    health_rows::{HEALTH, HealthRow, MOVES, MoveRow},
    line_file::{LineFile, whole_lines},
};

pub(crate) const CSV: &str = "progress.csv";
pub(crate) const METRICS: &str = "metrics.jsonl";
const MARKS: &str = "marks.jsonl";
/// Column of the stamp.
const STAMP: &str = "data";

/// Values by key, in the order in which they were made.
pub type Values = Vec<(String, f64)>;

/// Kind of a row of `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// One iteration of collection and update.
    Iteration,
    /// One interval of the diagnostics.
    Diagnostics,
}

/// A row of `metrics.jsonl`; a value that is not a finite number is written as null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Kind of the row.
    pub kind: RowKind,
    /// Origin of the bars.
    pub data: DataStamp,
    /// Timesteps taken when it was written.
    pub step: u64,
    /// The values, sorted by key.
    #[serde(flatten)]
    pub values: BTreeMap<String, Option<f64>>,
}

/// State of monitor and controller at a checkpoint: a line of `marks.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Timesteps of the checkpoint.
    pub step: u64,
    /// SHA-256 of the checkpoint's file, in hexadecimal; it identifies the checkpoint as this run's.
    pub sha256: String,
    /// Figures of the running interval so far, and the verdict called before.
    pub monitor: MonitorState,
    /// Current settings, and the controller's history.
    pub controller: Controller,
    /// Money on the validation dates, where a model is chosen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Candidate>,
    /// Verdict that ended the training here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Verdict>,
}

/// Content of a mark beside the monitor's state.
#[derive(Debug, Clone)]
pub struct MarkOf<'a> {
    /// Timesteps of the checkpoint.
    pub step: u64,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Current settings, and the controller's history.
    pub controller: &'a Controller,
    /// Money on the validation dates, where a model is chosen by it.
    pub money: Option<Candidate>,
    /// Verdict that ended the training here.
    pub stopped: Option<Verdict>,
}

/// The record files of one run, open for appending.
#[derive(Debug)]
pub struct Records {
    data: DataStamp,
    columns: Vec<String>,
    csv: LineFile,
    metrics: LineFile,
    marks: LineFile,
    health: LineFile,
    last_health: Option<HealthRow>,
    moves: LineFile,
    earlier_seconds: f64,
}

impl Records {
    /// Starts the files in an empty run folder; `data` is the stamp of every row.
    ///
    /// # Errors
    /// When they cannot be created.
    pub fn create(folder: &Path, data: DataStamp) -> anyhow::Result<Self> {
        let create = |name| LineFile::create(folder.join(name));
        let (csv, metrics, marks) = (create(CSV)?, create(METRICS)?, create(MARKS)?);
        let (health, moves) = (create(HEALTH)?, create(MOVES)?);
        Ok(Self {
            data: data.to_owned(),
            columns: Vec::new(),
            csv,
            metrics,
            marks,
            health,
            last_health: None,
            moves,
            earlier_seconds: 0.0,
        })
    }

    /// Continues the files of an earlier run after `step`, and returns the diagnostics rows that are kept. The row of the
    /// multiple `due`, whose interval was open at that step, was written later and is dropped.
    ///
    /// # Errors
    /// When they cannot be read, or hold malformed lines.
    pub fn resume(folder: &Path, data: DataStamp, step: u64, due: Option<u64>) -> anyhow::Result<(Self, Vec<Row>)> {
        let closed = |at: u64| at <= step && due.is_none_or(|due| at < due);
        let (mut columns, mut rows, mut last_health) = (Vec::new(), Vec::<Row>::new(), None);
        let mut earlier_seconds = 0.0;
        let csv = LineFile::resume(folder.join(CSV), |text| {
            let (kept, heading) = cut_csv(text, step);
            columns = heading;
            Ok(kept)
        })?;
        let metrics = LineFile::resume(folder.join(METRICS), |text| {
            rows = parse(text)?;
            rows.retain(|row| if row.kind == RowKind::Diagnostics { closed(row.step) } else { row.step <= step });
            earlier_seconds = rows.iter().rev().find_map(seconds_of).unwrap_or_default();
            rows.iter().map(json_line).collect()
        })?;
        let marks = LineFile::resume(folder.join(MARKS), |text| cut::<Mark>(text, step, |mark| mark.step))?;
        let health = LineFile::resume(folder.join(HEALTH), |text| {
            let mut rows = parse::<HealthRow>(text)?;
            rows.retain(|row| closed(row.step));
            let kept = rows.iter().map(json_line).collect();
            last_health = rows.pop();
            kept
        })?;
        let moves = LineFile::resume(folder.join(MOVES), |text| cut::<MoveRow>(text, step, |row| row.step))?;
        rows.retain(|row| row.kind == RowKind::Diagnostics);
        let data = data.to_owned();
        Ok((Self { data, columns, csv, metrics, marks, health, last_health, moves, earlier_seconds }, rows))
    }

    /// Writes the row of an iteration to `progress.csv` and `metrics.jsonl`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_iteration(&mut self, step: u64, values: &Values) -> anyhow::Result<()> {
        let mut line = String::new();
        if self.columns.is_empty() {
            self.columns = values.iter().map(|(key, _)| key.clone()).collect();
            self.columns.push(STAMP.to_owned());
            line = self.columns.join(",") + "\n";
        }
        let cell = |column: &String| {
            if column == STAMP {
                return self.data.to_string();
            }
            let value = values.iter().find(|(key, _)| key == column).map(|(_, value)| *value);
            value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default()
        };
        line += &(self.columns.iter().map(cell).collect::<Vec<_>>().join(",") + "\n");
        self.csv.write(&line)?;
        self.metrics.write(&json_line(&row(RowKind::Iteration, self.data, step, values))?)
    }

    /// Writes the row of a diagnostics interval to `metrics.jsonl` and returns it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_diagnostics(&mut self, step: u64, values: &Values) -> anyhow::Result<Row> {
        let row = row(RowKind::Diagnostics, self.data, step, values);
        self.metrics.write(&json_line(&row)?)?;
        Ok(row)
    }

    /// Writes the verdict on an interval.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_health(&mut self, row: HealthRow) -> anyhow::Result<()> {
        self.health.write(&json_line(&row)?)?;
        self.last_health = Some(row);
        Ok(())
    }

    /// Returns the last verdict written, by this run or by the one it resumes.
    pub fn last_health(&self) -> Option<&HealthRow> {
        self.last_health.as_ref()
    }

    /// Writes a change of a setting.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_move(&mut self, row: &MoveRow) -> anyhow::Result<()> {
        self.moves.write(&json_line(row)?)
    }

    /// Returns the seconds of training up to the resumed step; 0 for a new run.
    pub fn earlier_seconds(&self) -> f64 {
        self.earlier_seconds
    }

    /// Returns the stamp of every row.
    pub fn stamp(&self) -> DataStamp {
        self.data
    }

    /// Writes the mark for resuming from a checkpoint.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_mark(&mut self, monitor: &MonitorState, of: MarkOf<'_>) -> anyhow::Result<()> {
        let MarkOf { step, sha256, controller, money, stopped } = of;
        let (data, monitor, controller) = (self.data, monitor.clone(), controller.clone());
        self.marks.write(&json_line(&Mark { data, step, sha256, monitor, controller, money, stopped })?)
    }
}

/// Returns the mark that [`Records::write_mark`] wrote for the checkpoint at `step`.
///
/// # Errors
/// When the run folder has none for it.
pub fn read_mark(folder: &Path, step: u64) -> anyhow::Result<Mark> {
    let path = folder.join(MARKS);
    let marks = whole_lines(&path).and_then(|text| parse::<Mark>(&text));
    let mut marks = marks.with_context(|| format!("reading {}", path.display()))?.into_iter();
    marks.find(|mark| mark.step == step).with_context(|| format!("{} has no checkpoint at step {step}", path.display()))
}

/// Verdicts and validation replays of a run, by step, with those before it was resumed.
#[derive(Debug, Clone, Default)]
pub struct RunHistory {
    /// The verdict of every interval.
    pub verdicts: Vec<HealthRow>,
    /// Training against validation returns at every checkpoint with enough trades.
    pub validation: Vec<OverfitGap>,
    /// Money on the validation dates at every checkpoint that was compared by it.
    pub money: Vec<Candidate>,
}

/// Reads the history of a run from its folder.
///
/// # Errors
/// When a file cannot be read, or holds malformed lines.
pub fn read_history(folder: &Path) -> anyhow::Result<RunHistory> {
    let (health, marks) = (folder.join(HEALTH), folder.join(MARKS));
    let verdicts = whole_lines(&health).and_then(|text| parse(&text));
    let marks_read = whole_lines(&marks).and_then(|text| parse::<Mark>(&text));
    // A checkpoint between two comparisons repeats the earlier one.
    let gap = |mark: &Mark| mark.monitor.overfit_gap().filter(|gap| gap.step == mark.step);
    let marks = marks_read.with_context(|| format!("reading {}", marks.display()))?;
    Ok(RunHistory {
        verdicts: verdicts.with_context(|| format!("reading {}", health.display()))?,
        validation: marks.iter().filter_map(gap).collect(),
        money: marks.iter().filter_map(|mark| mark.money).collect(),
    })
}

/// Returns the seconds of training up to the row of an iteration: steps over their rate, since the seconds are whole.
fn seconds_of(row: &Row) -> Option<f64> {
    let value = |key: &str| row.values.get(key).copied().flatten();
    let by_rate = value("time/fps").filter(|&rate| rate > 0.0).map(|rate| row.step as f64 / rate);
    Some(by_rate.unwrap_or_default().max(value("time/time_elapsed")?))
}

/// Returns a row of values; `data` is the data stamp.
pub fn row(kind: RowKind, data: DataStamp, step: u64, values: &Values) -> Row {
    let finite = |value: &f64| Some(*value).filter(|value| value.is_finite());
    Row { kind, data, step, values: values.iter().map(|(key, value)| (key.clone(), finite(value))).collect() }
}

fn json_line(row: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(row)? + "\n")
}

fn parse<T: DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Returns the rows up to a step.
fn cut<T: Serialize + DeserializeOwned>(text: &str, step: u64, of: impl Fn(&T) -> u64) -> anyhow::Result<String> {
    parse::<T>(text)?.iter().filter(|row| of(row) <= step).map(json_line).collect()
}

fn cut_csv(text: &str, step: u64) -> (String, Vec<String>) {
    let mut lines = text.lines();
    let Some(heading) = lines.next() else { return (String::new(), Vec::new()) };
    let columns: Vec<String> = heading.split(',').map(str::to_owned).collect();
    let steps = columns.iter().position(|column| column == "time/total_timesteps");
    let keep = |line: &&str| {
        let cell = steps.and_then(|at| line.split(',').nth(at)?.parse::<f64>().ok());
        cell.is_some_and(|cell| cell <= step as f64)
    };
    let kept = std::iter::once(heading).chain(lines.filter(keep)).map(|line| format!("{line}\n"));
    (kept.collect(), columns)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use market_env::{ClosedTrade, Ledger, RewardConfig};
    use ppo_agent::health::{HealthConfig, Monitor, RandomLegal, TradeReturns};

    use super::*;

    fn values(step: u64) -> Values {
        vec![
            ("rollout/ep_rew_mean".to_owned(), if step == 1 { f64::NAN } else { -0.5 }),
            ("time/time_elapsed".to_owned(), 10.0 * step as f64),
            ("time/total_timesteps".to_owned(), step as f64),
        ]
    }

    fn write(records: &mut Records, step: u64) {
        records.write_diagnostics(step, &vec![("actions/frac_hold".to_owned(), 0.25)]).unwrap();
        records.write_iteration(step, &values(step)).unwrap();
    }

    fn mark_of(step: u64, controller: &Controller) -> MarkOf<'_> {
        MarkOf { step, sha256: format!("hash {step}"), controller, money: None, stopped: None }
    }

    #[test]
    fn the_history_holds_verdicts_and_the_checkpoints_with_enough_trades() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::create(folder.path(), DataStamp::Market).unwrap();
        // Forty sessions on as many dates, on which random trades return nothing.
        let random =
            Arc::new(RandomLegal { returns: vec![Some(0.0); 40], date: (0..40).collect(), ledger: Ledger::default() });
        let state = Monitor::new(Arc::from([]), HealthConfig::default()).state().clone();
        let returns = |mean: f64| {
            let mut returns = TradeReturns::default();
            (0..40).for_each(|day| returns.add(ClosedTrade { day, net_return: mean }, &random));
            returns
        };
        let mut state = serde_json::to_value(state).unwrap();
        state["since_validation"] = serde_json::to_value(returns(0.0)).unwrap();
        let controller = Controller::new(0.06, RewardConfig::default());
        for step in 1..=3 {
            let state = serde_json::from_value(state.clone()).unwrap();
            let mut monitor = Monitor::resume(Arc::from([]), HealthConfig::default(), state);
            if step != 2 {
                monitor.on_validation(step, &returns(-0.01 * step as f64));
            }
            records.write_mark(monitor.state(), mark_of(step, &controller)).unwrap();
        }
        let row = HealthRow {
            data: DataStamp::Market,
            step: 3,
            first_step: 1,
            verdict: "healthy".into(),
            reading: "healthy".into(),
            since: 3,
            evidence: Vec::new(),
            checklist: Vec::new(),
            advice: Vec::new(),
            money: None,
        };
        records.write_health(row.clone()).unwrap();
        let history = read_history(folder.path()).unwrap();
        assert_eq!(history.verdicts, [row]);
        assert_eq!(
            history.validation.iter().map(|gap| (gap.step, (100.0 * gap.validation).round())).collect::<Vec<_>>(),
            [(1, -1.0), (3, -3.0)]
        );
        fs::write(folder.path().join(HEALTH), "{}\n").unwrap();
        assert!(read_history(folder.path()).unwrap_err().to_string().contains(HEALTH));
    }

    #[test]
    fn rows_are_written_in_both_formats_and_cut_on_resume() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::create(folder.path(), DataStamp::Synthetic).unwrap();
        let monitor = Monitor::new(Arc::from([]), HealthConfig::default());
        let controller = Controller::new(0.06, RewardConfig::documented());
        for step in 1..=3 {
            write(&mut records, step);
            records.write_mark(monitor.state(), mark_of(step, &controller)).unwrap();
            let moved = MoveRow {
                data: DataStamp::Synthetic,
                step,
                key: "ppo.ent_coef".into(),
                from: 0.06,
                to: 0.08,
                reason: "why".into(),
            };
            records.write_move(&moved).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let whole = (read("progress.csv"), read("metrics.jsonl"));
        assert_eq!(
            whole.0,
            "rollout/ep_rew_mean,time/time_elapsed,time/total_timesteps,data\n,10,1,SYNTHETIC\n-0.5,20,2,SYNTHETIC\n-0.5,30,3,SYNTHETIC\n"
        );
        let third = r#"{"kind":"iteration","data":"SYNTHETIC","step":3,"rollout/ep_rew_mean":-0.5,"time/time_elapsed":30.0,"time/total_timesteps":3.0}"#;
        assert!(whole.1.trim_end().ends_with(third), "{}", whole.1);
        assert!(whole.1.contains("\"rollout/ep_rew_mean\":null"));

        fs::write(folder.path().join("metrics.jsonl"), whole.1.clone() + "{\"kind\":\"iter").unwrap();
        let (mut records, kept) = Records::resume(folder.path(), DataStamp::Synthetic, 2, None).unwrap();
        let mark_of_two = read_mark(folder.path(), 2).unwrap();
        assert_eq!((&mark_of_two.controller, mark_of_two.sha256.as_str()), (&controller, "hash 2"));
        assert_eq!(read(MOVES).lines().count(), 2);
        assert!(read_mark(folder.path(), 3).unwrap_err().to_string().contains("no checkpoint at step 3"));
        assert_eq!(kept.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(records.earlier_seconds(), 20.0, "the time goes on from the row of the resumed step");
        assert_eq!(kept[0].values["actions/frac_hold"], Some(0.25));
        write(&mut records, 3);
        assert_eq!((read("progress.csv"), read("metrics.jsonl")), whole);
    }
}
