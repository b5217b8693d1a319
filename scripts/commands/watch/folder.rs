//! Run folder, read while the run writes it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use market_data::{
    input_file,
    quotation::{printable, quoted},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::view::{IntervalSnapshot, LearnerStats, View, WindowStats};
use crate::artifacts::{
    follow::Follower,
    health_rows::{HEALTH, MOVES},
    records::{CSV, METRICS, Row, RowKind},
};

const CONFIG: &str = "config.toml";
const MANIFEST: &str = "manifest.json";

/// Growing files of a run folder.
#[derive(Debug)]
pub(crate) struct Folder {
    metrics: Follower,
    /// Source of the iterations if there are no metrics.
    progress: Follower,
    columns: Vec<String>,
    health: Follower,
    moves: Follower,
}

impl Folder {
    /// Opens a run folder, and reads the planned number of steps into the view.
    ///
    /// # Errors
    /// When it is no run folder.
    pub(crate) fn open(path: &Path, view: &mut View) -> anyhow::Result<Self> {
        let [config, metrics, progress, health, moves] =
            [CONFIG, METRICS, CSV, HEALTH, MOVES].map(|name| path.join(name));
        ensure!(
            [&config, &metrics, &progress].iter().any(|file| file.exists()),
            "{} is no run folder: it holds neither {CONFIG} nor {METRICS}",
            path.display()
        );
        let config: toml::Table =
            input_file::read_text(&config).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
        let planned = config.get("run").and_then(|run| run.get("timesteps")?.as_integer());
        view.planned = planned.and_then(|steps| u64::try_from(steps).ok());
        Ok(Self {
            metrics: Follower::new(metrics),
            progress: Follower::new(progress),
            columns: Vec::new(),
            health: Follower::new(health),
            moves: Follower::new(moves),
        })
    }

    /// Adds the lines written since the last poll to the view.
    ///
    /// # Errors
    /// When a file cannot be read, or holds malformed lines.
    pub(crate) fn poll(&mut self, view: &mut View) -> anyhow::Result<()> {
        let new = self.metrics.poll()?;
        if new.restarted {
            view.intervals.clear();
            view.step = 0;
        }
        for row in rows::<Row>(&self.metrics, &new.lines)? {
            add_row(&row, view);
        }
        self.progress(view)?;
        // After the metrics: a run writes the figures of an interval before its verdict.
        refresh(&mut self.health, &mut view.health)?;
        if let Some(row) = view.health.last() {
            // A training that ended with a non-finite number has a verdict, and perhaps no figures.
            (view.step, view.data) = (view.step.max(row.step), Some(row.data));
        }
        refresh(&mut self.moves, &mut view.moves)?;
        let files = [&self.metrics, &self.progress, &self.health, &self.moves];
        view.updated = files.iter().filter_map(|file| file.changed()).max();
        view.finished = self.finished();
        Ok(())
    }

    /// Reads the iterations of `progress.csv` that are newer than the view.
    fn progress(&mut self, view: &mut View) -> anyhow::Result<()> {
        let new = self.progress.poll()?;
        if new.restarted {
            self.columns.clear();
        }
        for line in new.lines {
            let cells = line.split(',').map(str::to_owned);
            if self.columns.is_empty() {
                self.columns = cells.collect();
                continue;
            }
            let row: BTreeMap<&String, String> = self.columns.iter().zip(cells).collect();
            let number = |key: &str| row.get(&key.to_owned())?.parse::<f64>().ok();
            let step = number("time/total_timesteps").unwrap_or(0.0) as u64;
            if step > view.step {
                view.step = step;
                let keys = self.columns.iter();
                keys.filter_map(|key| Some((key, number(key)?))).for_each(|(key, value)| view.learner.set(key, value));
            }
        }
        Ok(())
    }

    fn finished(&self) -> bool {
        let manifest = input_file::read_text(&self.metrics.path().with_file_name(MANIFEST)).ok();
        let manifest = manifest.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        manifest.is_some_and(|manifest| manifest["finished"].is_string())
    }
}

/// Appends the new rows of a file to `known`.
fn refresh<T: DeserializeOwned>(follower: &mut Follower, known: &mut Vec<T>) -> anyhow::Result<()> {
    let new = follower.poll()?;
    if new.restarted {
        known.clear();
    }
    known.extend(rows::<T>(follower, &new.lines)?);
    Ok(())
}

fn rows<T: DeserializeOwned>(follower: &Follower, lines: &[String]) -> anyhow::Result<Vec<T>> {
    let parse = |line: &String| {
        let row = serde_json::from_str(line).map(without_escapes).and_then(serde_json::from_value);
        row.with_context(|| format!("{}: malformed row {}", follower.path().display(), quoted(line)))
    };
    lines.iter().map(parse).collect()
}

/// Writes the control characters in the texts of a row as escapes: a terminal would follow them.
fn without_escapes(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(without_escapes).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (printable(&key).into_owned(), without_escapes(value))).collect()
        }
        other => other,
    }
}

/// Adds a row of `metrics.jsonl` to the view.
fn add_row(row: &Row, view: &mut View) {
    view.step = view.step.max(row.step);
    view.data = Some(row.data);
    match row.kind {
        RowKind::Iteration => {
            let finite = row.values.iter().filter_map(|(key, value)| Some((key, (*value)?)));
            finite.for_each(|(key, value)| view.learner.set(key, value));
        }
        RowKind::Diagnostics => {
            let first_step = view.last().map_or(0, |snapshot| snapshot.step) + 1;
            let learner: LearnerStats = view.learner;
            let interval = window_stats(row, "actions", "actions_strong", ["env/time_in_market", "money/net_pnl_usd"]);
            let total = window_stats(row, "actions_cum", "actions_strong_cum", ["", "money/total_net_pnl_usd"]);
            view.intervals.push(IntervalSnapshot { first_step, step: row.step, interval, total, learner });
        }
    }
}

/// Returns the figures of one window; the arguments name its groups and keys.
fn window_stats(row: &Row, actions: &str, strong: &str, [in_market, money]: [&str; 2]) -> WindowStats {
    let value = |key: &str| row.values.get(key).copied().flatten();
    let share = |action: &str| value(&format!("{actions}/frac_{action}"));
    let strong_buy = value(&format!("{strong}/buy"));
    let difference = value(&format!("{strong}/state_dependence"));
    WindowStats {
        hold: share("hold"),
        buy_call: share("buy_call"),
        buy_put: share("buy_put"),
        strong_buy,
        weak_buy: strong_buy.zip(difference).map(|(strong, difference)| strong - difference),
        in_market: value(in_market),
        net_pnl_usd: value(money),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use market_data::DataStamp;
    use market_env::{Ledger, Setup};
    use ppo_agent::health::log_block;

    use super::*;
    use crate::artifacts::records::Records;

    fn poll(folder: &mut Folder, view: &mut View) -> usize {
        folder.poll(view).unwrap();
        view.intervals.len()
    }

    #[test]
    fn a_run_is_read_while_it_is_written_and_while_files_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut view) = (folder.path(), View::default());
        let error = Folder::open(path, &mut view).unwrap_err().to_string();
        assert!(error.ends_with("is no run folder: it holds neither config.toml nor metrics.jsonl"), "{error}");
        fs::write(path.join(CONFIG), "[run]\ntimesteps = 10000\n").unwrap();
        let mut run = Folder::open(path, &mut view).unwrap();
        assert_eq!((poll(&mut run, &mut view), view.planned, view.updated), (0, Some(10_000), None));

        let mut records = Records::create(path, DataStamp::Market).unwrap();
        let values = [("policy/entropy_norm", 0.9), ("time/fps", 1200.0), ("time/total_timesteps", 4096.0)];
        records.write_iteration(4096, &values.map(|(key, value)| (key.to_owned(), value)).to_vec()).unwrap();
        let mut ledger = Ledger { steps: 100, held_steps: 25, net_pnl_cents: -150, ..Ledger::default() };
        ledger.flat_actions[Setup::Weak as usize] = [30, 10, 0, 0, 0, 0];
        ledger.flat_actions[Setup::BullStrong as usize] = [5, 15, 0, 0, 0, 0];
        records.write_diagnostics(5000, &log_block::metrics(&ledger, &ledger)).unwrap();
        let health = r#"{"data":"market","step":5000,"first_step":1,"verdict":"healthy","reading":"healthy","since":5000,"evidence":[]}"#;
        fs::write(path.join(HEALTH), format!("{health}\n{{\"data\":\"mark")).unwrap();
        assert_eq!((poll(&mut run, &mut view), view.health.len(), view.step), (1, 1, 5000));
        let snapshot = view.last().unwrap().clone();
        assert_eq!((snapshot.learner.entropy_norm, snapshot.learner.fps), (Some(0.9), Some(1200.0)));
        assert_eq!((snapshot.interval.hold, snapshot.interval.strong_buy), (Some(35.0 / 60.0), Some(0.75)));
        assert!((snapshot.interval.weak_buy.unwrap() - 0.25).abs() < 1e-12);
        assert_eq!((snapshot.interval.in_market, snapshot.interval.net_pnl_usd), (Some(0.25), Some(-1.5)));
        assert_eq!((snapshot.total.hold, snapshot.total.in_market), (snapshot.interval.hold, None));
        assert_eq!((view.verdict_at(5000).unwrap().verdict.to_string().as_str(), view.finished), ("healthy", false));

        // A resumed run cuts its files and goes on.
        let (mut records, _) = Records::resume(path, DataStamp::Market, 4096, None).unwrap();
        assert_eq!(poll(&mut run, &mut view), 0);
        records.write_diagnostics(5000, &log_block::metrics(&ledger, &ledger)).unwrap();
        fs::write(path.join(MANIFEST), r#"{"finished":null}"#).unwrap();
        assert_eq!((poll(&mut run, &mut view), view.finished), (1, false));
        fs::write(path.join(MANIFEST), r#"{"finished":"2026-11-27T05:00:00Z"}"#).unwrap();
        assert_eq!((poll(&mut run, &mut view), view.finished), (1, true));
        fs::write(path.join(MOVES), "{}\n").unwrap();
        assert!(run.poll(&mut view).unwrap_err().to_string().contains("malformed row {}"));
    }

    #[test]
    fn without_metrics_the_iterations_come_from_progress_csv() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "time/fps,time/total_timesteps,train/explained_variance,data\n80,4096,0.25,market\n90,8192,,market\n";
        fs::write(folder.path().join(CSV), text).unwrap();
        let mut view = View::default();
        let mut run = Folder::open(folder.path(), &mut view).unwrap();
        assert_eq!(poll(&mut run, &mut view), 0);
        let LearnerStats { fps, explained_variance, .. } = view.learner;
        assert_eq!((view.step, fps, explained_variance), (8192, Some(90.0), Some(0.25)));
    }
}
