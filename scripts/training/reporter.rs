//! Listens to a training run: tables, diagnostics and verdicts on the console, rows in the records, scalars for TensorBoard.

use ppo_agent::{
    AgentError, Cadence, Iteration, LayerActivity, Listener, StepView,
    health::{Controller, IntervalVerdict, Monitor, Move, Opportunity, OverfitGap, Verdict},
};

use crate::{
    artifacts::{
        health_rows::{HealthRow, MoveRow},
        records::{Mark, Records, Row, Values},
        tensorboard::EventWriter,
    },
    output::{
        clock::Stopwatch,
        console::Console,
        table::{boxed, significant, thousands},
    },
};

/// Where a run's figures go while it trains.
pub struct Reporter<'a> {
    console: &'a mut Console,
    records: Records,
    events: EventWriter,
    cadence: Cadence,
    stopwatch: Stopwatch,
    started_at: u64,
    monitor: Monitor,
    /// What entries could earn on the sessions trained on; measured when it is first asked for.
    opportunity: Box<dyn FnMut() -> Opportunity + 'a>,
    /// The verdicts to act upon since they were last taken.
    called: Vec<Verdict>,
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

/// What a resumed run continues.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Diagnostics rows written before.
    pub rows: Vec<Row>,
    /// Where the running interval stood.
    pub mark: Option<Mark>,
    /// Steps taken before.
    pub steps: u64,
}

/// The parts that a reporter is made of.
pub struct Parts<'a> {
    /// The screen and the log.
    pub console: &'a mut Console,
    /// The files of the run folder.
    pub records: Records,
    /// TensorBoard's file.
    pub events: EventWriter,
    /// What adds up an interval's figures.
    pub monitor: Monitor,
    /// What entries could earn on the sessions trained on.
    pub opportunity: Box<dyn FnMut() -> Opportunity + 'a>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("records", &self.records).finish_non_exhaustive()
    }
}

impl<'a> Reporter<'a> {
    /// Starts listening. `freq` is the number of steps between diagnostics blocks, `rows` and `steps` are what a resumed run
    /// has behind it.
    pub fn new(parts: Parts<'a>, freq: u64, rows: Vec<Row>, steps: u64) -> Self {
        let Parts { console, records, events, monitor, opportunity } = parts;
        Self {
            console,
            records,
            events,
            cadence: Cadence::new(freq, steps),
            stopwatch: Stopwatch::start(),
            started_at: steps,
            monitor,
            opportunity,
            called: Vec::new(),
            rows,
            failure: None,
        }
    }

    /// Returns the console, between iterations.
    pub fn console(&mut self) -> &mut Console {
        self.console
    }

    /// Returns the diagnostics rows so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the verdicts to act upon that came since the last call, one per interval.
    pub fn take_called(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.called)
    }

    /// Returns the last row of `health.jsonl`.
    pub fn last_health(&self) -> Option<&HealthRow> {
        self.records.last_health()
    }

    /// Takes what the hidden units did after an iteration.
    pub fn on_activity(&mut self, layers: Vec<LayerActivity>) {
        self.monitor.on_activity(layers);
    }

    /// Takes a comparison of training with validation.
    pub fn on_validation(&mut self, gap: OverfitGap) {
        self.monitor.on_validation(gap);
    }

    /// Writes down a change of a setting.
    ///
    /// # Errors
    /// When log or file cannot be written.
    pub fn moved(&mut self, step: u64, made: &Move, loud: bool) -> anyhow::Result<()> {
        if loud {
            let (step, Move { key, from, to, reason }) = (thousands(step as i64), made);
            self.console.say(format!("Adapted   step {step}: {key} {from} to {to} ({reason})"))?;
        }
        let row = MoveRow::of(self.records.stamp(), step, made);
        self.records.moved(&row)
    }

    /// Writes the verdict on a training that ended with something that is not a number.
    ///
    /// # Errors
    /// When log or file cannot be written.
    pub fn broke(&mut self, step: u64, error: &AgentError) -> anyhow::Result<()> {
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
        };
        self.records.health(row)
    }

    /// Writes down where the running interval stands, for a run that resumes from the checkpoint at `step` in a file of
    /// this SHA-256.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_mark(&mut self, step: u64, sha256: String, controller: &Controller) -> anyhow::Result<()> {
        self.records.mark(step, sha256, self.monitor.state(), controller)
    }

    /// Returns the seconds since training began.
    pub fn seconds(&self) -> f64 {
        self.stopwatch.seconds()
    }

    /// Returns the first failure to write, which the listener's calls cannot.
    ///
    /// # Errors
    /// That failure.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn keep(&mut self, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn diagnose(&mut self, step: u64, moment: &StepView<'_>) -> anyhow::Result<()> {
        let health = self.monitor.close(moment.ledger, &mut self.opportunity);
        let text = health.text(step);
        // The block ends its last line itself.
        self.console.say(text.strip_suffix('\n').unwrap_or(&text))?;
        let values = health.metrics();
        self.events.scalars(step, &values)?;
        self.rows.push(self.records.diagnostics(step, &values)?);
        self.called.push(health.acting_verdict());
        self.records.health(HealthRow::of(self.records.stamp(), step, &health))
    }

    fn tabulate(&mut self, iteration: &Iteration) -> anyhow::Result<()> {
        let seconds = self.seconds();
        let fps = (iteration.timesteps - self.started_at) as f64 / seconds.max(1e-9);
        let values = iteration_values(iteration, fps, seconds);
        let cells = values.iter().filter(|(_, value)| value.is_finite());
        let cells: Vec<_> = cells.map(|(key, value)| (key.clone(), cell(key, *value))).collect();
        self.console.say(boxed(&cells))?;
        self.console.advance(iteration.timesteps, format!("{fps:.0} steps/s"));
        self.records.iteration(iteration.timesteps, &values)?;
        self.events.scalars(iteration.timesteps, &values)
    }
}

impl Listener for Reporter<'_> {
    fn on_step(&mut self, timesteps: u64, moment: &StepView<'_>) {
        self.monitor.on_step(moment);
        if let Some(step) = self.monitor.due(self.cadence.crossed(timesteps)) {
            let result = self.diagnose(step, moment);
            self.keep(result);
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        self.monitor.on_iteration(iteration);
        let result = self.tabulate(iteration);
        self.keep(result);
    }
}

/// Figures that an iteration may lack, before an episode has ended.
const PERHAPS: [&str; 4] =
    ["rollout/ep_len_mean", "rollout/ep_rew_mean", "critic/calibration_slope_mc", "critic/explained_variance_mc"];

/// Returns an iteration's figures with the clock's; what it lacks is not a number.
fn iteration_values(iteration: &Iteration, fps: f64, seconds: f64) -> Values {
    let mut values: Values = iteration.metrics().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for key in PERHAPS {
        if values.iter().all(|(known, _)| known != key) {
            values.push((key.to_owned(), f64::NAN));
        }
    }
    values.push(("time/fps".to_owned(), fps.floor()));
    values.push(("time/time_elapsed".to_owned(), seconds.floor()));
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

/// Counts are printed whole, measurements with three digits.
fn cell(key: &str, value: f64) -> String {
    let whole = ["time/fps", "time/iterations", "time/time_elapsed", "time/total_timesteps", "train/n_updates"];
    if whole.contains(&key) { format!("{value:.0}") } else { significant(value) }
}
