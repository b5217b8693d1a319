//! `zerodte sweep`: the trials of [`crate::sweep`], on the screen and in a folder.

mod flags;
mod screen;

use std::{fs, path::Path, sync::Mutex};

use anyhow::Context as _;
use market_data::DateRange;

use crate::{
    artifacts::{
        files,
        plan_file::{self, Begin},
    },
    config::{RunConfig, context::CommandContext},
    evaluation::edge::{Beside, Evaluation, text},
    inputs::Inputs,
    output::{
        clock::Stopwatch,
        console::Console,
        exit_code::{Interrupted, Outcome, UsageError},
        output_file::{OutputFolder, write_file},
        signals::StopRequests,
    },
    report_page,
    sweep::{
        Sweep, SweepResult, Terms,
        final_test::Tested,
        plan::SweepPlan,
        space::Space,
        summary::{Luck, Summary},
        table,
    },
};

pub use self::flags::SweepFlags;

/// Trials whose settings are tried before the first training.
const TRIED: usize = 2_000;
/// Way to go on, as a clause.
const GO_ON: &str = "go on with the same command and --resume";

/// Runs a sweep.
///
/// # Errors
/// [`UsageError`] for flags and space; data that cannot be read; a folder with another plan; a training that fails; a file that
/// cannot be written.
pub fn run(flags: &SweepFlags, console: &mut Console) -> anyhow::Result<Outcome> {
    let resolved = CommandContext::open(&flags.config, console, |notes| Ok(flags.resolve(notes)?))?;
    let Some((mut context, base)) = resolved else { return Ok(Outcome::Finished) };
    base.policy.check_backend(base.run.device)?;
    let space = Space::read(&flags.space, &base)?;
    let trials = flags.trials(&space)?;
    let folder = OutputFolder::checked("", &flags.output.out)?;
    let inputs = Inputs::load(&base)?;
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    let console = context.console;
    let plan = plan(flags, (&base, space), &inputs)?;
    let numbers: Vec<usize> = match &flags.only {
        Some(only) => only.0.iter().copied().collect(),
        None => (0..trials).collect(),
    };
    check_settings(&plan, &base, &numbers)?;
    console.say_all(screen::heading(&plan, trials, &inputs))?;
    console.say_all(screen::luck(&Luck::of(trials, plan.validation.len())))?;
    if flags.dry_run {
        console.say_all(screen::trials(&plan, &numbers)?)?;
        console.say("DRY RUN: nothing was trained or written")?;
        return Ok(Outcome::Finished);
    }
    plan_file::write_or_check(&plan, folder.path(), Begin::of(flags.resume, flags.only.is_some()))?;
    write_inputs(flags, folder.path(), &base)?;
    let stop = StopRequests::watch().context("watching for Ctrl-C")?;
    let terms = Terms {
        threads: flags.num_threads,
        budget_minutes: flags.budget_minutes,
        watch: Stopwatch::start(),
        stop: stop.clone(),
        records: flags.only.is_none(),
    };
    let sweep = Sweep::new(&plan, folder.path(), (&base, &inputs), terms)?;
    let result = trained(&sweep, flags, &numbers, console)?;
    if let Some(signal) = stop.noted().filter(|_| !result.complete) {
        return Ok(Outcome::Interrupted(Interrupted { signal, go_on: GO_ON }));
    }
    if flags.only.is_some() {
        console.say(format!("{} trials are done; join them with --resume, without --only", numbers.len()))?;
        return Ok(Outcome::Finished);
    }
    if sweep.is_over_budget() {
        console.say(format!("The budget of {} minutes is spent; {GO_ON}", flags.budget_minutes.unwrap_or_default()))?;
    }
    let closing = Closing { sweep: &sweep, plan: &plan, base: &base, folder: &folder };
    if closing.close(&result, flags.show_test, console)? {
        return Ok(Outcome::Finished);
    }
    Ok(Outcome::Interrupted(Interrupted { signal: stop.noted().unwrap_or_default(), go_on: GO_ON }))
}

/// Trains the trials and shows the progress.
fn trained(
    sweep: &Sweep<'_>,
    flags: &SweepFlags,
    numbers: &[usize],
    console: &mut Console,
) -> anyhow::Result<SweepResult> {
    let shows = flags.only.is_none();
    let screen = Mutex::new((&mut *console, screen::Best::default()));
    let result = sweep.run(numbers, &|progress| {
        if let Ok(mut screen) = screen.lock() {
            let (console, best) = &mut *screen;
            // A screen that cannot be written must not end the trainings.
            let _ = best.line(progress, shows).map_or(Ok(()), |line| console.say(line));
        }
    })?;
    Ok(result)
}

/// Writes the configuration that the trials vary, and a copy of the space.
fn write_inputs(flags: &SweepFlags, folder: &Path, base: &RunConfig) -> anyhow::Result<()> {
    SweepPlan::write_config(folder, base)?;
    let text = fs::read(&flags.space).with_context(|| format!("reading {}", flags.space.display()))?;
    write_file(&folder.join("space.toml"), &text)
}

/// Tries the settings of trials; those that `tpe` chooses later are tried when they are known.
fn check_settings(plan: &SweepPlan, base: &RunConfig, numbers: &[usize]) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for &trial in numbers.iter().take(TRIED).filter(|trial| plan.sampler.needed(**trial) == 0) {
        let point = plan.sampler.point(&plan.space, plan.sampler_seed, trial, &[])?;
        let tried = plan.space.config(base, trial, &plan.space.values(&point));
        faults.extend(tried.err().map(|error| error.to_string()));
        if faults.len() == 5 {
            break;
        }
    }
    Ok(UsageError::check(faults)?)
}

fn plan(flags: &SweepFlags, (base, space): (&RunConfig, Space), inputs: &Inputs) -> anyhow::Result<SweepPlan> {
    let split = inputs.split(base)?;
    if let Some(columns) = &inputs.forecast_columns {
        columns.check_dates(split.train.first)?;
    }
    let within = |part: &DateRange| inputs.dataset.dates.iter().copied().filter(|date| part.contains(*date)).collect();
    Ok(SweepPlan {
        format: SweepPlan::format(),
        data: inputs.stamp(),
        prices: inputs.prices().to_owned(),
        files: files::manifest_entries(&inputs.dataset.files)?.into(),
        symbols: base.run.symbols.iter().map(ToString::to_string).collect(),
        validation: within(&split.validation),
        test: within(&split.test),
        split,
        space,
        sampler: flags.sampler,
        sampler_seed: flags.sampler_seed,
        seeds: flags.seeds,
        rungs: flags.prune.rungs(base.run.timesteps),
        config_sha256: files::sha256_of(base.to_toml()?),
    })
}

/// The end of a sweep: test, summary, table and page.
struct Closing<'a> {
    sweep: &'a Sweep<'a>,
    plan: &'a SweepPlan,
    base: &'a RunConfig,
    folder: &'a OutputFolder,
}

impl Closing<'_> {
    /// Writes the result; returns false once a signal was noted.
    fn close(&self, result: &SweepResult, test: Option<usize>, console: &mut Console) -> anyhow::Result<bool> {
        let (plan, folder) = (self.plan, self.folder);
        let summary = Summary::of(plan, result, &self.base.evaluation)?;
        console.say_all(screen::result(plan, result, &summary))?;
        let tested = match test.filter(|count| *count > 0 && summary.best.is_some()) {
            Some(count) => match self.test(result, count, console)? {
                Some(tested) => tested,
                None => return Ok(false),
            },
            None => Vec::new(),
        };
        folder.file("sweep.json").save_json(&summary, console)?;
        folder.file("trials.csv").save(table::csv(plan, result, &tested), console)?;
        let page = report_page::sweep::SweepPage { plan, result, summary: &summary, tested: &tested };
        folder.file(page.file_name()).save(page.html(), console)?;
        if let Some(best) = &summary.best {
            let place = folder.path().display();
            console.say(format!("Train it with: zerodte train --from-trial {place}:{}", best.trial))?;
        }
        Ok(true)
    }

    /// Tests the best trials and prints the verdict on the best one.
    fn test(&self, result: &SweepResult, count: usize, console: &mut Console) -> anyhow::Result<Option<Vec<Tested>>> {
        let Some((tested, looks)) = self.sweep.test(result, count)? else { return Ok(None) };
        let sessions = self.sweep.sessions(&tested, self.plan.prices == "modelled");
        let beside = Beside { judged: Some(0), looks: Some(looks), ..Beside::default() };
        let evaluation = Evaluation::of(&sessions, &beside, &self.base.evaluation, self.plan.seed()?)?;
        console.say("")?;
        console.say_all(text::lines(&evaluation))?;
        self.folder.file("evaluation.json").save_json(&evaluation, console)?;
        Ok(Some(tested))
    }
}
