//! `zerodte forecast train`: loads data, trains and saves a forecaster, and evaluates it out of sample.

use std::ops::ControlFlow;

use anyhow::Context as _;
use market_data::{DataStamp, Split};
use ppo_agent::{
    forecast::{Epoch, FitBaseline, FitListener, Fitted, ForecastData, ForecasterFile, PretrainEpoch, StopReason, fit},
    require_libtorch,
};
use serde::{Deserialize, Serialize};

use super::{
    chart,
    dataset::{ForecastDataset, SelectedSamples},
    evaluation::{Evaluator, Judgement},
    files,
    flags::ForecastTrainFlags,
};
use crate::{
    artifacts::{
        files::{lines as file_lines, set_aside},
        manifest,
        paths::Paths,
        run_lock::RunLock,
        saved_forecaster::ForecasterMeta,
    },
    config::{RunConfig, context::CommandContext},
    inputs::quality,
    output::{
        clock::{self, Stopwatch},
        console::Console,
        exit_code::ForecasterStopped,
        output_file::json_text,
        synthetic,
        table::thousands,
    },
};

/// Content of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Origin of the bars.
    pub data: DataStamp,
    /// Index of the epoch kept; 0 = no epoch had finite forecasts, and the initial parameters were kept.
    pub best_epoch: usize,
    /// Stop reason of the training.
    pub end: StopReason,
    /// Baselines computed before the first epoch.
    pub outset: FitBaseline,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// Evaluation on the test dates.
    pub test: Judgement,
}

/// Trains a forecaster; returns `Break` if the watchdog stopped the training.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for invalid flags or configuration; any other error is a failed run.
/// Earlier results stay intact in both cases.
pub(super) fn run(flags: &ForecastTrainFlags, console: &mut Console) -> anyhow::Result<ControlFlow<ForecasterStopped>> {
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(notes))?;
    let Some((mut context, config)) = resolved else { return Ok(ControlFlow::Continue(())) };
    require_libtorch("forecasters")?;
    let mut paths = Paths::of(&config.run);
    paths.log = paths.log.with_file_name(format!("{}_forecast.log", config.run.model_name));
    paths.check_writable()?;
    let _lock = RunLock::acquire(&paths.lock(), &config.run.model_name)?;
    let material = ForecastDataset::load(&config, &config.forecast)?;
    let split = material.split(&config).context("splitting the sessions by date")?;
    context.say_notes()?;
    context.say_synthetic(material.dataset.synthetic)?;
    let (data, test) = (material.data(&config.forecast, &split), material.pick(&split.test));
    let run =
        Run { config: &config, paths: &paths, material: &material, split: &split, data, test, boosted: flags.boosted };
    let console = context.console;
    run.header(console)?;
    let end = run.train(console);
    console.log_end(&end);
    end
}

struct Run<'a> {
    config: &'a RunConfig,
    paths: &'a Paths,
    material: &'a ForecastDataset,
    split: &'a Split,
    data: ForecastData,
    test: SelectedSamples,
    boosted: bool,
}

impl Run<'_> {
    fn stamp(&self) -> DataStamp {
        DataStamp::of(self.material.dataset.synthetic)
    }

    fn header(&self, console: &mut Console) -> anyhow::Result<()> {
        let (run, forecast) = (&self.config.run, &self.config.forecast);
        let join = |texts: Vec<String>| texts.join(", ");
        let symbols = join(run.symbols.iter().map(ToString::to_string).collect());
        let horizons = join(forecast.horizons.iter().map(ToString::to_string).collect());
        console.say(format!(
            "Training forecaster {} on {symbols}: returns, volatility and direction of {horizons}",
            run.model_name
        ))?;
        let dataset = &self.material.dataset;
        console.say_all(file_lines(&dataset.files).into_iter().map(|line| format!("  {line}")))?;
        dataset.symbols.iter().try_for_each(|symbol| console.say(format!("  {}", symbol.report)))?;
        console.say_all(quality::line(dataset).map(|line| format!("  Quality: {line}")))?;
        console.say_all(dataset.notes.iter().map(|note| format!("Note: {note}")))?;
        let parts = [
            ("Train", &self.split.train, self.data.train.len()),
            ("Validation", &self.split.validation, self.data.validation.len()),
            ("Test", &self.split.test, self.test.samples.len()),
        ];
        for (name, dates, samples) in parts {
            console.say(format!("{name:<11}{dates}: {} samples", thousands(samples as i64)))?;
        }
        Ok(())
    }

    fn train(&self, console: &mut Console) -> anyhow::Result<ControlFlow<ForecasterStopped>> {
        let device = self.config.run.device;
        device.check()?;
        self.open(console)?;
        let watch = Stopwatch::start();
        let fitted = {
            let mut told = EpochLog {
                console,
                paths: self.paths,
                data: &self.data,
                stamp: self.stamp(),
                epochs: Vec::new(),
                broken: None,
            };
            let fitted = fit(&self.data, &self.config.forecast, self.config.run.seed, device, &mut told)?;
            told.broken.map_or(Ok(fitted), Err)?
        };
        let seconds = watch.seconds();
        console.say(match &fitted.end {
            StopReason::MaxEpochs => {
                format!("Finished after {} epochs, the best was {}", fitted.epochs.len(), fitted.best)
            }
            StopReason::Patience => format!(
                "Stopped after {} epochs: {} without improvement; the best was {}",
                fitted.epochs.len(),
                self.config.forecast.patience,
                fitted.best
            ),
            StopReason::Watchdog(alarm) => format!("STOPPED after {} epochs: {alarm}", fitted.epochs.len()),
        })?;
        console.say(format!("Training time: {seconds:.1} seconds"))?;
        self.save(&fitted)?;
        console.say(format!("Forecaster saved: {}", self.paths.model.display()))?;
        let judgement = self.judge(&fitted, console)?;
        self.finish(&fitted, &judgement, seconds)?;
        console.say(format!("Run folder: {}", self.paths.run.display()))?;
        Ok(match fitted.end {
            StopReason::Watchdog(alarm) => ControlFlow::Break(ForecasterStopped(alarm)),
            StopReason::MaxEpochs | StopReason::Patience => ControlFlow::Continue(()),
        })
    }

    /// Creates the run folder and the log.
    fn open(&self, console: &mut Console) -> anyhow::Result<()> {
        self.paths.create_folders()?;
        let log = set_aside(&self.paths.log)?;
        for aside in self.paths.set_earlier_aside()?.into_iter().chain(log) {
            console.say(format!("Kept the earlier run of this name as {}", aside.display()))?;
        }
        std::fs::create_dir(&self.paths.run).with_context(|| format!("creating {}", self.paths.run.display()))?;
        console.attach(&self.paths.log, false)?;
        self.paths.write("config.toml", self.config.to_toml()?)
    }

    fn save(&self, fitted: &Fitted) -> anyhow::Result<()> {
        let emergency = match &fitted.end {
            StopReason::Watchdog(alarm) => Some(alarm.clone()),
            StopReason::MaxEpochs | StopReason::Patience => None,
        };
        let (data, config, split) = (self.stamp(), self.config.clone(), self.split.clone());
        let meta = ForecasterMeta { data, config, split, emergency };
        let file = ForecasterFile { forecaster: fitted.forecaster.clone(), meta: serde_json::to_value(meta)? };
        Ok(file.save(&self.paths.model)?)
    }

    fn judge(&self, fitted: &Fitted, console: &mut Console) -> anyhow::Result<Judgement> {
        let forecaster = &fitted.forecaster;
        let forecasts = forecaster.predict(&self.data.tape, &self.test.samples)?;
        let bytes = files::predictions(self.material, &self.test, &self.data.targets, &forecasts, self.stamp())?;
        self.paths.write(files::PREDICTIONS, bytes)?;
        let (material, data, seed) = (self.material, &self.data, self.config.run.seed);
        let gate = &self.config.forecast.gate;
        let court = Evaluator { material, data, forecaster, gate, boosted: self.boosted, seed };
        let judgement = court.judge(&self.test, &forecasts, self.split.test)?;
        let synthetic = synthetic::mark(self.material.dataset.synthetic, " (", ")");
        console.say(format!("\nOut of sample{synthetic}, {}, intervals over dates:", self.split.test))?;
        console.say_all(judgement.lines())?;
        Ok(judgement)
    }

    fn finish(&self, fitted: &Fitted, test: &Judgement, seconds: f64) -> anyhow::Result<()> {
        let Fitted { baseline: outset, epochs, best, end, .. } = fitted.clone();
        let metrics = Metrics { data: self.stamp(), best_epoch: best, end, outset, epochs, test: test.clone() };
        self.paths.write(files::METRICS, json_text(&metrics)?)?;
        let title = format!("{}{}", self.config.run.model_name, synthetic::title_mark(self.material.dataset.synthetic));
        let pairs = files::read_pairs(&self.paths.run.join(files::PREDICTIONS), &self.data.targets[0].to_string())?;
        self.paths.write("histogram.svg", chart::histogram(&title, &self.data.targets[0].to_string(), &pairs)?)?;
        self.paths.write("epochs.svg", chart::epochs(&title, &metrics.epochs, &self.data.targets)?)?;
        let mut manifest = manifest::of_forecaster(self.config, &self.material.dataset, self.split)?;
        manifest["training_seconds"] = seconds.into();
        manifest["finished"] = clock::timestamp().into();
        self.paths.write("manifest.json", json_text(&manifest)?)
    }
}

/// Prints each epoch and updates the table of epochs.
struct EpochLog<'a> {
    console: &'a mut Console,
    paths: &'a Paths,
    data: &'a ForecastData,
    stamp: DataStamp,
    epochs: Vec<Epoch>,
    /// First error in printing or writing.
    broken: Option<anyhow::Error>,
}

impl EpochLog<'_> {
    fn note(&mut self, done: anyhow::Result<()>) {
        if let (Err(error), None) = (done, &self.broken) {
            self.broken = Some(error);
        }
    }

    fn epoch(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        self.console.say(epoch.line())?;
        self.epochs.push(epoch.clone());
        let text = files::epochs_csv(&self.epochs, &self.data.targets, self.stamp);
        self.paths.write(files::EPOCHS, text)
    }

    fn pretraining(&mut self, row: &PretrainEpoch) -> anyhow::Result<()> {
        let PretrainEpoch { epoch, train, validation, mean, nearest } = row;
        Ok(self.console.say(format!(
            "Pretraining {epoch} | hidden frames: error {validation:.4} (train {train:.4}, mean {mean:.4}, nearest frame {nearest:.4})"
        ))?)
    }

    fn baseline(&mut self, baseline: &FitBaseline) -> anyhow::Result<()> {
        baseline.warnings.iter().try_for_each(|warning| self.console.say(format!("Warning: {warning}")))?;
        self.console.say(format!("The training mean has a validation loss of {:.4}", baseline.constant_loss))?;
        let found = self.data.targets.iter().zip(&baseline.linear);
        let found = found.filter_map(|(target, scores)| Some(format!("{target} {:.4}", scores.as_ref()?.r2())));
        Ok(self
            .console
            .say(format!("Validation R² of a linear predictor: {}", found.collect::<Vec<_>>().join(", ")))?)
    }
}

impl FitListener for EpochLog<'_> {
    fn on_pretraining(&mut self, epoch: &PretrainEpoch) {
        let done = self.pretraining(epoch);
        self.note(done);
    }

    fn on_baseline(&mut self, baseline: &FitBaseline) {
        let done = self.baseline(baseline);
        self.note(done);
    }

    fn on_epoch(&mut self, epoch: &Epoch) {
        let done = self.epoch(epoch);
        self.note(done);
    }
}
