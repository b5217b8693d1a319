//! Listens to a training run: tables and diagnostics on the console, rows in the records, scalars for TensorBoard.

use market_env::Ledger;
use ppo_agent::{Cadence, Iteration, Listener, diagnostics};

use crate::{
    clock::Stopwatch,
    console::Console,
    records::{Mark, Records, Row, Values},
    table::{boxed, significant},
    tensorboard::EventWriter,
};

/// Where a run's figures go while it trains.
#[derive(Debug)]
pub struct Reporter<'a> {
    console: &'a mut Console,
    records: Records,
    events: EventWriter,
    cadence: Cadence,
    stopwatch: Stopwatch,
    started_at: u64,
    mark: Ledger,
    last: Option<Iteration>,
    rows: Vec<Row>,
    failure: Option<anyhow::Error>,
}

/// What a resumed run continues.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Diagnostics rows written before.
    pub rows: Vec<Row>,
    /// Where the running interval began.
    pub mark: Option<Mark>,
    /// Steps taken before.
    pub steps: u64,
}

impl<'a> Reporter<'a> {
    /// Starts listening. `freq` is the number of steps between diagnostics blocks.
    pub fn new(console: &'a mut Console, records: Records, events: EventWriter, freq: u64, earlier: Earlier) -> Self {
        let (mark, last) = earlier.mark.map_or_else(Default::default, |mark| (mark.ledger, mark.last));
        Self {
            console,
            records,
            events,
            cadence: Cadence::new(freq, earlier.steps),
            stopwatch: Stopwatch::start(),
            started_at: earlier.steps,
            mark,
            last,
            rows: earlier.rows,
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

    /// Writes down where the running interval began, for a run that resumes from the checkpoint at `step` in a file of
    /// this SHA-256.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_mark(&mut self, step: u64, sha256: String) -> anyhow::Result<()> {
        self.records.mark(step, sha256, &self.mark, self.last.as_ref())
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

    fn diagnose(&mut self, step: u64, ledger: &Ledger) -> anyhow::Result<()> {
        let interval = ledger.since(&self.mark);
        let blocks = [
            diagnostics::momentum_block(step, ledger),
            diagnostics::interval_block(&interval, ledger, self.last.as_ref()),
        ];
        for block in blocks {
            // The blocks end their last line themselves.
            self.console.say(block.strip_suffix('\n').unwrap_or(&block))?;
        }
        let values = diagnostics::metrics(&interval, ledger);
        self.events.scalars(step, &values)?;
        self.rows.push(self.records.diagnostics(step, &values)?);
        self.mark = ledger.clone();
        Ok(())
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
        self.events.scalars(iteration.timesteps, &values)?;
        self.last = Some(iteration.clone());
        Ok(())
    }
}

impl Listener for Reporter<'_> {
    fn on_step(&mut self, timesteps: u64, ledger: &Ledger) {
        if let Some(step) = self.cadence.crossed(timesteps) {
            let result = self.diagnose(step, ledger);
            self.keep(result);
        }
    }

    fn on_iteration(&mut self, iteration: &Iteration) {
        let result = self.tabulate(iteration);
        self.keep(result);
    }
}

/// Returns an iteration's figures with the clock's; a mean over episodes that have not ended yet is not a number.
fn iteration_values(iteration: &Iteration, fps: f64, seconds: f64) -> Values {
    let mut values: Values = iteration.metrics().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for key in ["rollout/ep_len_mean", "rollout/ep_rew_mean"] {
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
