//! `train_historical_model`: configuration, data, training, model, out-of-sample replay, in this order.

pub mod closing;
pub mod flags;
mod interval_line;
pub mod interventions;
mod looks;
mod page;
pub mod reporter;
pub mod resume;
mod save;
mod start;
pub mod training_chart;

use std::{ops::ControlFlow, path::Path};

use anyhow::Context as _;
use market_data::Split;
use market_env::{BatchEnv, Ledger, RewardConfig, VecEnv as _};
use ppo_agent::{
    AgentError, Behaviour, Trainer,
    health::{FEW_TRADES, Monitor, MonitorState, Opportunity, OverfitGap, Verdict},
};
use serde_json::Value;

use self::start::Start;
use crate::{
    artifacts::{health_rows::WrittenVerdict, paths::Paths, records::Row},
    config::{RunConfig, context::CommandContext, profiles},
    evaluation::{
        baselines::{Baselines, random_legal_return},
        held_out::{HeldOut, Tested},
        replay::replay,
    },
    inputs::Inputs,
    output::{
        clock,
        console::Console,
        exit_code::TrainingStopped,
        output_file::OutputFile,
        signals::StopRequests,
        synthetic,
        table::{percent, thousands},
        wrap::wrap_for_screen,
    },
    training::{
        closing::Closing,
        flags::TrainFlags,
        interventions::Interventions,
        reporter::{Reporter, ResumeState},
        resume::PriorRun,
    },
};

/// Runs a training.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for flags and configuration; anything else is a run that failed. ResumeState results are intact
/// either way.
pub fn run(flags: &TrainFlags, console: &mut Console) -> anyhow::Result<ControlFlow<TrainingStopped>> {
    let resolved = CommandContext::open(&flags.config, console, |notes| resolve(flags, notes))?;
    let Some((mut context, (config, prior))) = resolved else { return Ok(ControlFlow::Continue(())) };
    config.policy.check_backend(config.run.device)?;
    let report = page::requested(flags)?;
    let paths = Paths::of(&config.run);
    paths.check_writable()?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(config.run.num_threads);
    threads.build_global().context("starting the threads")?;
    let inputs = Inputs::load(&config)?;
    let config = pin_dates(config, &inputs);
    let split = inputs.split(&config)?;
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    let console = context.console;
    header(&config, &inputs, &split, console)?;
    let resume = prior.as_ref().zip(flags.resume.as_deref());
    let stop = Some(StopRequests::watch().context("watching for Ctrl-C")?);
    let show_test = flags.show_test.unwrap_or(true);
    let report = report.as_ref();
    let run = Run { config: &config, paths: &paths, inputs: &inputs, split: &split, resume, stop, show_test, report };
    let start = run.start(console)?;
    if flags.dry_run {
        console.say("DRY RUN: configuration, data, folders and model are sound; nothing was trained or written")?;
        return Ok(ControlFlow::Continue(()));
    }
    let finished = run.train(start, console);
    console.stop_bar();
    let end = finished.map(|finished| finished.end);
    console.log_end(&end);
    end
}

/// Runs a new training of a configuration, with all of its files, and returns its result.
///
/// # Errors
/// As for [`run`].
pub fn train(config: &RunConfig, inputs: &Inputs, console: &mut Console) -> anyhow::Result<Finished> {
    let (paths, split) = (Paths::of(&config.run), inputs.split(config)?);
    paths.check_writable()?;
    console.say_all(synthetic::notice(inputs.dataset.synthetic))?;
    header(config, inputs, &split, console)?;
    let run =
        Run { config, paths: &paths, inputs, split: &split, resume: None, stop: None, show_test: true, report: None };
    let start = run.start(console)?;
    run.train(start, console)
}

/// Replaces a vendor's "latest" by explicit dates, so that the run means the same ones tomorrow.
fn pin_dates(mut config: RunConfig, inputs: &Inputs) -> RunConfig {
    let (run, dates) = (&mut config.run, &inputs.dataset.dates);
    if run.data_source.is_vendor() {
        // Without a first date the run replays the whole cache and fetches nothing; keep it that way.
        if run.start_date.is_some() || run.intraday_days > 0 {
            run.start_date = dates.first().copied();
        }
        run.end_date = dates.last().copied();
    }
    config
}

/// Resolves the configuration; a resumed run starts from that of its run folder instead of the defaults.
fn resolve(flags: &TrainFlags, notes: &mut Vec<String>) -> anyhow::Result<(RunConfig, Option<PriorRun>)> {
    let named = flags.resolve(&flags.base(), notes)?;
    if flags.resume.is_none() {
        return Ok((named, None));
    }
    let prior = PriorRun::read(&named.run)?;
    notes.clear();
    let config = flags.resolve(&prior.config, notes)?;
    prior.check_config(&config)?;
    notes.extend(prior.revision_note());
    notes.extend(prior.engine_note(&config));
    Ok((config, Some(prior)))
}

/// Returns the line on the rewards of a training.
fn reward_line(reward: &RewardConfig) -> String {
    match profiles::of_reward(reward) {
        Some("pnl") => "Reward     pnl: money, with a little shaping that fades to zero".to_owned(),
        Some("anti_collapse") => {
            "Reward     anti_collapse, the documented one; the audit finds it can pay for losses".to_owned()
        }
        Some(name) => format!("Reward     {name}; zerodte audit-reward --config {name} checks it"),
        None => "Reward     your own; zerodte audit-reward --config FILE checks what it pays for".to_owned(),
    }
}

fn header(config: &RunConfig, inputs: &Inputs, split: &Split, console: &mut Console) -> anyhow::Result<()> {
    let run = &config.run;
    let symbols = run.symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    console.say(format!("Training {} on {symbols}: {} steps", run.model_name, thousands(run.timesteps as i64)))?;
    console.detail_all(inputs.lines())?;
    console.brief_all(inputs.short_lines())?;
    console.say(reward_line(&config.env.reward))?;
    for (name, dates) in [("Train", &split.train), ("Validation", &split.validation), ("Test", &split.test)] {
        let days = inputs.market.days_in(dates);
        let bars: u32 = days.iter().map(|&day| inputs.market.days()[day as usize].bars).sum();
        let (bull, bear) = inputs.market.strong_shares(&days);
        console.brief(format!("{name:<11}{dates}: {} sessions", days.len()))?;
        console.detail(format!(
            "{name:<11}{dates}: {} sessions, {} bars, strong setups {} (bull {}, bear {})",
            days.len(),
            thousands(i64::from(bars)),
            percent(Some(bull + bear)),
            percent(Some(bull)),
            percent(Some(bear)),
        ))?;
    }
    if let Some(line) = inputs.pricing_line(&config.market.pricing, &split.test) {
        console.detail(format!("Test: {line}"))?;
        console.brief_all(wrap_for_screen(&format!("Note: {line}")))?;
    }
    let cost = inputs.market.round_trip_cost(&inputs.market.days_in(&split.train), &config.env);
    console.detail(format!("A round trip at the money costs {} of the premium on average", percent(Some(cost))))?;
    Ok(())
}

/// One training run, its configuration checked and its data loaded.
struct Run<'a> {
    config: &'a RunConfig,
    paths: &'a Paths,
    inputs: &'a Inputs,
    split: &'a Split,
    /// The run to resume, and the requested checkpoint.
    resume: Option<(&'a PriorRun, &'a Path)>,
    /// Signals that end the training after an iteration.
    stop: Option<StopRequests>,
    /// Replay of the test dates at the end, which counts as a look.
    show_test: bool,
    /// Page of training and test.
    report: Option<&'a OutputFile>,
}

/// A finished training.
#[derive(Debug)]
pub struct Finished {
    /// Duration of the training in seconds, without loading and replays.
    pub seconds: f64,
    /// Last confirmed verdict; `None` for a run shorter than an interval.
    pub verdict: Option<WrittenVerdict>,
    /// Result on the test dates; `None` for a training that its verdict stopped.
    pub tested: Option<Tested>,
    /// Average cost of a round trip on the test dates, as a fraction of premium.
    pub cost: f64,
    /// Breaks off where a verdict ended the training early.
    pub end: ControlFlow<TrainingStopped>,
}

/// End of the learning.
struct Learned {
    seconds: f64,
    /// Last called verdict; `None` for a run shorter than an interval.
    verdict: Option<WrittenVerdict>,
    /// Breaks off where a verdict ended the training early.
    end: ControlFlow<TrainingStopped>,
    /// Diagnostics rows by step.
    rows: Vec<Row>,
}

impl Run<'_> {
    /// Trains, tests, and records the training in the registry however it ends.
    fn train(&self, start: Start, console: &mut Console) -> anyhow::Result<Finished> {
        let finished = self.train_and_test(start, console);
        let recorded = self.record(&finished);
        let finished = finished?;
        recorded?;
        Ok(finished)
    }

    fn train_and_test(&self, start: Start, console: &mut Console) -> anyhow::Result<Finished> {
        let Start { mut trainer, earlier, interventions, trained_on, mut manifest } = start;
        let learned = self.learn_and_chart(&mut trainer, earlier, interventions, &manifest, console);
        manifest["timesteps"] = trainer.timesteps().into();
        let Learned { seconds, verdict, end, rows } = match learned {
            Ok(learned) => learned,
            Err(error) => {
                if matches!(error.downcast_ref(), Some(AgentError::NonFinite { .. })) {
                    manifest["verdict"] = Verdict::Exploding.to_string().into();
                    manifest["finished"] = clock::timestamp().into();
                    self.write_manifest(&manifest)?;
                }
                return Err(error);
            }
        };
        self.save_model(&trainer, &trained_on)?;
        console.detail(if end.is_continue() { "TRAINING COMPLETE" } else { "TRAINING STOPPED" })?;
        console.say(format!("Model saved: {}", self.paths.model.display()))?;
        console.say(format!("Training time: {}", duration(seconds)))?;
        if let ControlFlow::Break(TrainingStopped::BySignal { .. }) = end {
            console.say(self.resume_hint())?;
        }
        let mut tested = None;
        if end.is_continue() {
            let held_out = HeldOut { policy: trainer.policy(), inputs: self.inputs, config: self.config, trained_on };
            manifest["validation"] = held_out.validation(self.split.validation, console)?;
            if self.show_test {
                let looks = self.look()?;
                let result = held_out.test(self.split.test, console)?;
                console.say(looks)?;
                manifest["out_of_sample"] = result.figures.clone();
                manifest["test_prices"] = serde_json::to_value(result.prices)?;
                self.write_page(&held_out, &result, rows, console)?;
                tested = Some(result);
            } else {
                console.say(self.unseen_line())?;
            }
        }
        manifest["verdict"] = serde_json::to_value(&verdict)?;
        manifest["training_seconds"] = seconds.into();
        manifest["finished"] = clock::timestamp().into();
        self.write_manifest(&manifest)?;
        console.row(&manifest)?;
        if let Some(verdict) = &verdict {
            console.detail(format!("Verdict: {verdict}"))?;
        }
        console.detail(format!("Run folder: {}", self.paths.run.display()))?;
        let market = &self.inputs.market;
        let cost = market.round_trip_cost(&market.days_in(&self.split.test), &self.config.env);
        if let Some(tested) = &tested {
            let (synthetic, verdict) = (self.inputs.dataset.synthetic, verdict.as_ref());
            Closing { paths: self.paths, synthetic, tested, cost, verdict }.print(console)?;
        }
        Ok(Finished { seconds, verdict, tested, cost, end })
    }

    /// Returns the command that goes on with the training.
    fn resume_hint(&self) -> String {
        let run = &self.config.run;
        let folder = match run.out_dir.as_os_str().to_str() {
            Some(".") => String::new(),
            _ => format!(" --out-dir {}", run.out_dir.display()),
        };
        format!("Go on with: zerodte train --model-name {}{folder} --resume latest", run.model_name)
    }

    /// Trains to the end, or until a verdict stops the run, and draws the chart.
    fn learn_and_chart(
        &self,
        trainer: &mut Trainer<BatchEnv>,
        mut earlier: Option<ResumeState>,
        mut interventions: Interventions,
        manifest: &Value,
        console: &mut Console,
    ) -> anyhow::Result<Learned> {
        let mark = earlier.as_mut().and_then(|earlier| earlier.mark.take());
        let (monitor, validated) = mark.map_or((None, None), |mark| (Some(mark.monitor), mark.validated));
        let mut reporter = self.open(trainer, earlier, monitor, console)?;
        self.write_manifest(manifest)?;
        let end = self.learn(trainer, &mut reporter, &mut interventions, validated)?;
        self.write_chart(&reporter)?;
        let verdict = reporter.last_health().map(|row| row.verdict.clone());
        Ok(Learned { seconds: reporter.seconds(), verdict, end, rows: reporter.rows().to_vec() })
    }

    fn learn(
        &self,
        trainer: &mut Trainer<BatchEnv>,
        reporter: &mut Reporter<'_>,
        interventions: &mut Interventions,
        validated: Option<Ledger>,
    ) -> anyhow::Result<ControlFlow<TrainingStopped>> {
        let run = &self.config.run;
        let mut saved = trainer.timesteps();
        let mut validated = validated.unwrap_or_else(|| trainer.env().ledger().clone());
        reporter.console().start_bar(run.timesteps, saved);
        while trainer.timesteps() < run.timesteps {
            interventions.prepare(trainer)?;
            let ent_coef = trainer.ent_coef();
            if let Err(error) = trainer.iterate(reporter) {
                if matches!(error, AgentError::NonFinite { .. }) {
                    reporter.record_failure(trainer.timesteps(), &error)?;
                }
                return Err(error.into());
            }
            reporter.check()?;
            let (steps, next) = (trainer.timesteps(), trainer.config().rollout_size() as u64);
            if (steps + next) / run.diagnostics_freq > steps / run.diagnostics_freq {
                reporter.on_activity(trainer.activity()?);
            }
            if let stop @ ControlFlow::Break(_) = interventions.follow(trainer, reporter, ent_coef)? {
                return Ok(stop);
            }
            let steps = trainer.timesteps();
            if steps / run.checkpoint_freq > saved / run.checkpoint_freq {
                if let Some(gap) = self.held_out_gap(trainer, &validated)? {
                    reporter.on_validation(gap);
                }
                validated = trainer.env().ledger().clone();
                self.save_checkpoint(trainer, reporter, interventions, &validated)?;
                saved = steps;
            }
            if let Some(signal) = self.stop.as_ref().and_then(StopRequests::noted) {
                if saved < steps {
                    self.save_checkpoint(trainer, reporter, interventions, &validated)?;
                }
                return Ok(ControlFlow::Break(TrainingStopped::BySignal { signal, step: steps }));
            }
        }
        reporter.console().stop_bar();
        Ok(ControlFlow::Continue(()))
    }

    /// Replays the validation dates, and compares the mean trade return with that in training since `validated`; `None` if either
    /// has too few trades.
    fn held_out_gap(&self, trainer: &Trainer<BatchEnv>, validated: &Ledger) -> anyhow::Result<Option<OverfitGap>> {
        let days = self.inputs.market.days_in(&self.split.validation);
        let (market, config) = (&self.inputs.market, self.config);
        let played = replay(trainer.policy(), market, &days, &config.env, Behaviour::Sampled, config.run.seed)?;
        let enough = |ledger: &Ledger| ledger.mean_trade_return().filter(|_| ledger.closed() >= FEW_TRADES);
        let pair = enough(&trainer.env().ledger().since(validated)).zip(enough(&played.ledger));
        Ok(pair.map(|((train, a), (validation, b))| OverfitGap {
            step: trainer.timesteps(),
            train,
            validation,
            error: a.hypot(b),
        }))
    }

    fn monitor(&self, earlier: Option<MonitorState>) -> Monitor {
        let (rows, config) = (self.inputs.market.rows().collect(), self.config.health.clone());
        match earlier {
            Some(state) => Monitor::resume(rows, config, state),
            None => Monitor::new(rows, config),
        }
    }

    /// Returns the mean net return of a trade of the random-legal policy on the training sessions; `None` for fewer than two
    /// trades.
    fn random_level(&self) -> anyhow::Result<Option<f64>> {
        let (market, run) = (&self.inputs.market, &self.config.run);
        Ok(random_legal_return(market, &market.days_in(&self.split.train), &self.config.env, run.seed)?)
    }

    /// Returns the opportunity on the training dates, measured at the first call.
    fn opportunity(&self) -> Box<dyn FnMut() -> Opportunity + '_> {
        let mut found = None;
        Box::new(move || {
            let measure = || {
                let days = self.inputs.market.days_in(&self.split.train);
                let baselines = Baselines::measure(&self.inputs.market, &days, &self.config.env, self.config.run.seed);
                baselines.map_or_else(|error| Opportunity::Unclear(error.to_string()), |found| found.outlook())
            };
            found.get_or_insert_with(measure).clone()
        })
    }
}

/// Formats a duration in seconds, minutes or hours.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} seconds"),
        s if s < 7200.0 => format!("{:.1} minutes", s / 60.0),
        s => format!("{:.2} hours", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.94), "59.9 seconds");
        assert_eq!(duration(600.0), "10.0 minutes");
        assert_eq!(duration(4860.0 * 2.0), "2.70 hours");
    }
}
