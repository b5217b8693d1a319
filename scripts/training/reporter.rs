//! Reporter of a training run: tables, diagnostics and verdicts on the console, rows in the records, scalars for TensorBoard.

use ppo_agent::{
    AgentError, Cadence, Iteration, LayerActivity, Listener, StepView,
    health::{IntervalVerdict, Monitor, Move, Opportunity, TradeReturns, Verdict},
};

use crate::{
    artifacts::{
        health_rows::{HealthRow, MoveRow},
        records::{Mark, MarkOf, Records, Row, Values},
        tensorboard::EventWriter,
    },
    config::RunSection,
    output::{
        clock::Stopwatch,
        console::{Console, MOVE},
        table::{boxed, significant, thousands},
    },
    training::{
        interval_line::{HEADING, Pace, interval_line},
        training_chart::TrainingChart,
    },
};

/// Listener that prints and records a run's figures while it trains.
pub struct Reporter<'a> {
    console: &'a mut Console,
    records: Records,
    events: EventWriter,
    cadence: Cadence,
    stopwatch: Stopwatch,
    /// Seconds of the training before this program resumed it.
    earlier_seconds: f64,
    started_at: u64,
    /// Steps of the whole training.
    total: u64,
    monitor: Monitor,
    /// Opportunity on the training sessions, measured at the first call.
    opportunity: Box<dyn FnMut() -> Opportunity + 'a>,
    /// Mean net return of a trade of the random-legal policy on the training sessions.
    random: Option<f64>,
    /// Verdicts since [`Reporter::take_verdicts`] was last called.
    verdicts: Vec<Verdict>,
    rows: Vec<Row>,
    failure: Option<anyhow::Error>,
}

impl std::fmt::Debug for Reporter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter")
            .field("started_at", &self.started_at)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// State that a resumed run continues from.
#[derive(Debug, Default)]
pub struct ResumeState {
    /// Diagnostics rows written before.
    pub rows: Vec<Row>,
    /// Mark of the checkpoint, with the state of the running interval.
    pub mark: Option<Mark>,
    /// Steps taken before.
    pub steps: u64,
}

/// Parts of a reporter.
pub struct ReporterParts<'a> {
    /// The screen and the log.
    pub console: &'a mut Console,
    /// The files of the run folder.
    pub records: Records,
    /// TensorBoard's file.
    pub events: EventWriter,
    /// Monitor of the running interval.
    pub monitor: Monitor,
    /// Opportunity on the training sessions, measured at the first call.
    pub opportunity: Box<dyn FnMut() -> Opportunity + 'a>,
    /// Mean net return of a trade of the random-legal policy on the training sessions.
    pub random: Option<f64>,
}

impl std::fmt::Debug for ReporterParts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReporterParts").field("records", &self.records).finish_non_exhaustive()
    }
}

impl<'a> Reporter<'a> {
    /// Creates a reporter of a run; `rows` and `steps` are those of a resumed run so far.
    pub fn new(parts: ReporterParts<'a>, run: &RunSection, rows: Vec<Row>, steps: u64) -> Self {
        let ReporterParts { console, records, events, monitor, opportunity, random } = parts;
        let earlier_seconds = records.earlier_seconds();
        Self {
            console,
            records,
            events,
            cadence: Cadence::new(run.diagnostics_freq, steps),
            stopwatch: Stopwatch::start(),
            earlier_seconds,
            started_at: steps,
            total: run.timesteps,
            monitor,
            opportunity,
            random,
            verdicts: Vec::new(),
            rows: rows.into_iter().map(of_the_chart).collect(),
            failure: None,
        }
    }

    /// Returns the console, between iterations.
    pub fn console(&mut self) -> &mut Console {
        self.console
    }

    /// Returns the diagnostics rows so far, with the values that the chart shows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the mean net return of a trade of the random-legal policy on the training sessions.
    pub fn random(&self) -> Option<f64> {
        self.random
    }

    /// Returns the verdicts since the last call, one per interval.
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.verdicts)
    }

    /// Returns the last row of `health.jsonl`.
    pub fn last_health(&self) -> Option<&HealthRow> {
        self.records.last_health()
    }

    /// Passes the activity of the hidden units to the monitor.
    pub fn on_activity(&mut self, layers: Vec<LayerActivity>) {
        self.monitor.on_activity(layers);
    }

    /// Passes a replay of the validation dates to the monitor.
    pub fn on_validation(&mut self, step: u64, validation: &TradeReturns) {
        self.monitor.on_validation(step, validation);
    }

    /// Records a change of a setting; if `loud`, prints it too.
    ///
    /// # Errors
    /// When log or file cannot be written.
    pub fn record_move(&mut self, step: u64, made: &Move, loud: bool) -> anyhow::Result<()> {
        if loud {
            let (step, Move { key, from, to, reason }) = (thousands(step as i64), made);
            self.console.say(format!("{MOVE}{step}: {key} {from} to {to} ({reason})"))?;
        }
        let row = MoveRow::of(self.records.stamp(), step, made);
        self.records.write_move(&row)
    }

    /// Records the verdict on a training that ended with a non-finite number.
    ///
    /// # Errors
    /// When log or file cannot be written.
    pub fn record_failure(&mut self, step: u64, error: &AgentError) -> anyhow::Result<()> {
        let reading = IntervalVerdict::broken(error);
        self.console.say(format!("Verdict   {} at step {}", reading.verdict, thousands(step as i64)))?;
        let row = HealthRow {
            data: self.records.stamp(),
            step,
            first_step: step.min(self.monitor.state().mark.steps + 1),
            verdict: reading.verdict.into(),
            reading: reading.verdict.into(),
            since: step,
            evidence: reading.evidence,
            checklist: Vec::new(),
            advice: reading.advice,
            money: None,
        };
        self.records.write_health(row)
    }

    /// Writes the mark of a checkpoint.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_mark(&mut self, of: MarkOf<'_>) -> anyhow::Result<()> {
        self.records.write_mark(self.monitor.state(), of)
    }

    /// Returns the seconds since training began.
    pub fn seconds(&self) -> f64 {
        self.stopwatch.seconds()
    }

    /// Returns the first write error, since the listener's methods cannot return it.
    ///
    /// # Errors
    /// That write error.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn keep_failure(&mut self, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn diagnose(&mut self, step: u64, view: &StepView<'_>) -> anyhow::Result<()> {
        let health = self.monitor.close(view.ledger, &mut self.opportunity);
        let text = health.text(step);
        // The block ends with a newline of its own.
        self.console.detail(text.strip_suffix('\n').unwrap_or(&text))?;
        if self.rows.is_empty() {
            self.console.brief(HEADING)?;
        }
        self.console.brief(interval_line(step, &health, self.pace(step)))?;
        let values = health.metrics();
        self.events.scalars(step, &values)?;
        let (row, verdict) =
            (self.records.write_diagnostics(step, &values)?, HealthRow::of(self.records.stamp(), step, &health));
        self.console.row(&row)?;
        self.console.row(&verdict)?;
        self.rows.push(of_the_chart(row));
        self.verdicts.push(health.acting_verdict());
        self.records.write_health(verdict)
    }

    fn pace(&self, step: u64) -> Pace {
        let steps_per_second = step.saturating_sub(self.started_at) as f64 / self.seconds().max(1e-9);
        Pace { steps_per_second, seconds_left: self.total.saturating_sub(step) as f64 / steps_per_second.max(1e-9) }
    }

    fn tabulate(&mut self, iteration: &Iteration) -> anyhow::Result<()> {
        let seconds = self.earlier_seconds + self.seconds();
        let fps = iteration.timesteps as f64 / seconds.max(1e-9);
        let values = iteration_values(iteration, fps, seconds);
        let cells = values.iter().filter(|(_, value)| value.is_finite());
        let cells: Vec<_> = cells.map(|(key, value)| (key.clone(), cell(key, *value))).collect();
        self.console.detail(boxed(&cells))?;
        self.console.advance(iteration.timesteps, format!("{fps:.0} steps/s"));
        self.records.write_iteration(iteration.timesteps, &values)?;
        self.events.scalars(iteration.timesteps, &values)
    }
}

impl Listener for Reporter<'_> {
    fn on_step(&mut self, timesteps: u64, view: &StepView<'_>) {
        self.monitor.on_step(view);
        if let Some(step) = self.monitor.due(self.cadence.crossed(timesteps)) {
            let result = self.diagnose(step, view);
            self.keep_failure(result);
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
        let result = self.tabulate(iteration);
        self.keep_failure(result);
    }
}

/// Drops the values that the chart does not show, since a long run has very many rows.
fn of_the_chart(mut row: Row) -> Row {
    row.values.retain(|key, _| TrainingChart::shows(key));
    row
}

/// Metrics that an iteration may lack, before an episode has ended.
const OPTIONAL_METRICS: [&str; 4] =
    ["rollout/ep_len_mean", "rollout/ep_rew_mean", "critic/calibration_slope_mc", "critic/explained_variance_mc"];

/// Returns an iteration's metrics and timings since step 0, over all programs that trained; missing ones are NaN.
fn iteration_values(iteration: &Iteration, fps: f64, seconds: f64) -> Values {
    let mut values: Values = iteration.metrics().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for key in OPTIONAL_METRICS {
        if values.iter().all(|(known, _)| known != key) {
            values.push((key.to_owned(), f64::NAN));
        }
    }
    values.push(("time/fps".to_owned(), fps.floor()));
    values.push(("time/time_elapsed".to_owned(), seconds.floor()));
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

/// Formats counts as whole numbers, measurements with three digits.
fn cell(key: &str, value: f64) -> String {
    let whole = ["time/fps", "time/iterations", "time/time_elapsed", "time/total_timesteps", "train/n_updates"];
    if whole.contains(&key) { format!("{value:.0}") } else { significant(value) }
}
