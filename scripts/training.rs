//! `train_historical_model`: configuration, data, training, model, out-of-sample replay, in this order.

pub mod closing;
pub mod flags;
mod interval_line;
pub mod interventions;
mod kept;
mod learn;
mod looks;
mod notes;
mod page;
pub mod reporter;
pub mod resume;
mod save;
mod seeds;
mod start;
pub mod track;
pub mod training_chart;

use std::{ops::ControlFlow, path::Path, sync::Arc};

use anyhow::Context as _;
use market_data::{DateRange, Split};
use market_env::{BatchEnv, Ledger, RewardConfig};
use ppo_agent::{
    AgentError, Trainer,
    health::{Monitor, MonitorState, Opportunity, RandomLegal, Verdict},
};
use serde_json::Value;

use self::start::Start;
use crate::{
    artifacts::{
        candidate::Candidate,
        health_rows::WrittenVerdict,
        paths::Paths,
        records::{Row, read_history},
        run_lock::RunLock,
    },
    config::{RunConfig, context::CommandContext, profiles},
    evaluation::{
        baselines::Baselines,
        held_out::{HeldOut, Tested},
        random_legal,
    },
    inputs::{Inputs, column_alarm::ColumnCheck},
    output::{
        clock,
        console::Console,
        exit_code::{TrainingStopped, UsageError},
        output_file::OutputFile,
        signals::StopRequests,
        synthetic,
        table::{percent, thousands},
        wrap::wrap_for_screen,
    },
    training::{
        closing::Closing, flags::TrainFlags, interventions::Interventions, kept::Kept, learn::Course,
        reporter::ResumeState, resume::PriorRun, track::Tracker,
    },
};

/// Runs a training.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for flags and configuration; anything else is a run that failed. Earlier results are intact
/// either way.
pub fn run(flags: &TrainFlags, console: &mut Console) -> anyhow::Result<ControlFlow<TrainingStopped>> {
    if let Some(list) = &flags.seeds {
        return seeds::run(flags, &list.0, console);
    }
    let resolved = CommandContext::open(&flags.config, console, |notes| resolve(flags, None, notes))?;
    let Some((mut context, (config, prior))) = resolved else { return Ok(ControlFlow::Continue(())) };
    config.policy.check_backend(config.run.device)?;
    flags.track.map_or(Ok(()), Tracker::check)?;
    let report = page::requested(flags)?;
    let paths = Paths::of(&config.run);
    let _lock = lock(&paths, &config, flags.dry_run)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(config.run.num_threads);
    threads.build_global().context("starting the threads")?;
    let inputs = Inputs::load(&config)?;
    context.notes.extend(notes::notes(&config, &inputs.dataset.dates)?);
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
    if let Some(tracker) = flags.track.filter(|_| end.is_ok()) {
        tracker.mirror(&paths.run, console)?;
    }
    end
}

/// Checks the folders of a run and locks it; a dry run only checks that it is free.
fn lock(paths: &Paths, config: &RunConfig, dry_run: bool) -> anyhow::Result<Option<RunLock>> {
    paths.check_writable()?;
    let name = &config.run.model_name;
    if dry_run {
        return RunLock::check(&paths.lock(), name).map(|()| None);
    }
    RunLock::acquire(&paths.lock(), name).map(Some)
}

/// Runs a new training of a configuration, with all of its files, and returns its result.
///
/// # Errors
/// As for [`run`].
pub fn train(config: &RunConfig, inputs: &Inputs, console: &mut Console) -> anyhow::Result<Finished> {
    let (paths, split) = (Paths::of(&config.run), inputs.split(config)?);
    let _lock = lock(&paths, config, false)?;
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

/// Resolves the configuration, of one of several seeds if it is given; a resumed run starts from that of its run folder instead of
/// the defaults.
fn resolve(
    flags: &TrainFlags,
    seed: Option<u64>,
    notes: &mut Vec<String>,
) -> anyhow::Result<(RunConfig, Option<PriorRun>)> {
    let mut named = flags.resolve(&flags.base()?, notes)?;
    if let Some(seed) = seed {
        named.run.seed = seed;
        named.run.model_name += &format!("-seed{seed}");
        UsageError::check(named.check())?;
    }
    let Some(which) = &flags.resume else { return Ok((named, None)) };
    let Some(prior) = PriorRun::find(&named.run, which)? else {
        let name = &named.run.model_name;
        notes.push(format!("--resume auto: there is no checkpoint of {name} to go on from; a new run starts"));
        return Ok((named, None));
    };
    notes.clear();
    let mut config = flags.resolve(&prior.config, notes)?;
    if seed.is_some() {
        (config.run.seed, config.run.model_name) = (named.run.seed, named.run.model_name);
    }
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
    for line in ColumnCheck::of(&inputs.dataset.symbols, &split.train).iter().flat_map(ColumnCheck::lines) {
        console.say_all(wrap_for_screen(&line))?;
    }
    console.say_all(inputs.noise_line(&config.market.pricing))?;
    console.say(reward_line(&config.env.reward))?;
    for (name, dates) in [("Train", &split.train), ("Validation", &split.validation), ("Test", &split.test)] {
        if dates.is_empty() {
            console.say(format!("{name:<11}none: data.split.all_dates trains on every session"))?;
            continue;
        }
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
    /// Money of the checkpoints that were compared.
    candidates: Vec<Candidate>,
    /// Breaks off where a verdict or a signal ended the training early.
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
        let Learned { seconds, verdict, candidates, end, rows } = match learned {
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
        let kept = self.kept(&trainer, candidates)?;
        self.save_model(&kept, &trained_on)?;
        console.detail(if end.is_continue() { "TRAINING COMPLETE" } else { "TRAINING STOPPED" })?;
        console.say(format!("Model saved: {}", self.paths.model.display()))?;
        console.say_all(kept.sentence().iter().flat_map(|sentence| wrap_for_screen(sentence)))?;
        console.say(format!("Training time: {}", duration(seconds)))?;
        if let ControlFlow::Break(TrainingStopped::BySignal { .. }) = end {
            console.say(self.resume_hint())?;
        }
        let tested = match &end {
            ControlFlow::Continue(()) => self.test(&kept, trained_on, rows, &mut manifest, console)?,
            ControlFlow::Break(stopped) => {
                self.page_of_stopped(stopped, &self.held_out(&kept, trained_on), rows, console)?;
                None
            }
        };
        manifest["kept"] = kept.entry();
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
            let (synthetic, verdict, label) = (self.inputs.dataset.synthetic, verdict.as_ref(), &kept.label());
            Closing { paths: self.paths, synthetic, label, tested, cost, verdict }.print(console)?;
        }
        Ok(Finished { seconds, verdict, tested, cost, end })
    }

    /// Replays validation and test dates with the model, and puts the results into the manifest.
    fn test(
        &self,
        kept: &Kept,
        trained_on: Vec<DateRange>,
        rows: Vec<Row>,
        manifest: &mut Value,
        console: &mut Console,
    ) -> anyhow::Result<Option<Tested>> {
        let held_out = self.held_out(kept, trained_on);
        if self.split.test.is_empty() {
            console.say_all(wrap_for_screen(&self.nothing_held_out()))?;
            self.write_page(&held_out, self.split.train, rows, console)?;
            return Ok(None);
        }
        manifest["validation"] = held_out.validation(self.split.validation, console)?;
        if kept.sentence().is_some() {
            console.detail("The model was chosen on the validation dates; their figures flatter it")?;
        }
        if !self.show_test {
            console.say(self.unseen_line())?;
            return Ok(None);
        }
        let looks = self.look()?;
        let result = held_out.test(self.split.test, console)?;
        console.show(looks)?;
        manifest["out_of_sample"] = result.figures.clone();
        manifest["test_prices"] = serde_json::to_value(result.prices)?;
        manifest["over_random"] = serde_json::to_value(result.over_random)?;
        self.write_page(&held_out, self.split.test, rows, console)?;
        Ok(Some(result))
    }

    fn held_out<'k>(&'k self, kept: &'k Kept, trained_on: Vec<DateRange>) -> HeldOut<'k> {
        HeldOut { policy: &kept.policy, inputs: self.inputs, config: self.config, trained_on, label: kept.label() }
    }

    /// Returns the sentence that takes the place of a test.
    fn nothing_held_out(&self) -> String {
        format!(
            "Held out: none. All {} session dates were for training, so nothing says what the policy earns on others.",
            self.inputs.dataset.dates.len()
        )
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
        let random = Arc::new(self.random_legal()?);
        let (monitor, stopped) = mark.map_or((None, None), |mark| (Some(mark.monitor), mark.stopped));
        let monitor = self.monitor(monitor, &random);
        let mut reporter = self.open(trainer, earlier, monitor, &random, console)?;
        reporter.console().say_all(refused_note(&random.ledger).map(|note| format!("Note: {note}")))?;
        self.write_manifest(manifest)?;
        // A new run has no marks yet.
        let compared = read_history(&self.paths.run)?.money;
        let mut course = Course::new(trainer, stopped, compared, random);
        let end = self.learn(trainer, &mut reporter, &mut interventions, &mut course)?;
        self.write_chart(&reporter)?;
        let verdict = reporter.last_health().map(|row| row.verdict.clone());
        let rows = reporter.rows().to_vec();
        Ok(Learned { seconds: reporter.seconds(), verdict, candidates: course.candidates, end, rows })
    }

    fn monitor(&self, earlier: Option<MonitorState>, random: &Arc<RandomLegal>) -> Monitor {
        let (rows, config) = (self.inputs.market.rows().collect(), self.config.health.clone());
        let monitor = match earlier {
            Some(state) => Monitor::resume(rows, config, state),
            None => Monitor::new(rows, config),
        };
        monitor.with_random_legal(Arc::clone(random))
    }

    /// Replays the random-legal policy on the training and validation sessions.
    fn random_legal(&self) -> anyhow::Result<RandomLegal> {
        let (market, config) = (&self.inputs.market, self.config);
        let [train, validation] = [&self.split.train, &self.split.validation].map(|dates| market.days_in(dates));
        Ok(random_legal::measure(market, [&train, &validation], &config.env, config.run.seed)?)
    }

    /// Returns the opportunity on the training dates, measured at the first call.
    fn opportunity(&self) -> Box<dyn FnMut() -> Opportunity + '_> {
        let mut found = None;
        Box::new(move || {
            let measure = || {
                let days = self.inputs.market.days_in(&self.split.train);
                Baselines::outlook_on(&self.inputs.market, &days, &self.config.env, self.config.run.seed)
            };
            found.get_or_insert_with(measure).clone()
        })
    }
}

/// Returns a note if most orders of the random-legal policy are refused, so that no policy can trade.
fn refused_note(random: &Ledger) -> Option<String> {
    let orders = random.opened + random.refused_orders;
    (2 * random.refused_orders > orders).then(|| {
        let share = percent(Some(random.refused_orders as f64 / orders as f64));
        let cause = if 2 * random.unaffordable_orders > random.refused_orders {
            "too little cash for one contract"
        } else {
            "there is no quote"
        };
        format!("{share} of random orders are refused: {cause}")
    })
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
    fn an_account_without_cash_for_a_contract_is_named() {
        let of = |opened, refused_orders, unaffordable_orders| {
            refused_note(&Ledger { opened, refused_orders, unaffordable_orders, ..Ledger::default() })
        };
        assert_eq!([of(0, 0, 0), of(50, 50, 50)], [None, None]);
        let note = "94.0% of random orders are refused: too little cash for one contract";
        assert_eq!(of(6, 94, 94).as_deref(), Some(note));
        assert!(of(6, 94, 3).unwrap().ends_with("there is no quote"));
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.94), "59.9 seconds");
        assert_eq!(duration(600.0), "10.0 minutes");
        assert_eq!(duration(4860.0 * 2.0), "2.70 hours");
    }
}
