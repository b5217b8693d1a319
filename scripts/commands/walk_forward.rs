//! `zerodte walk-forward`: the folds of [`crate::walk_forward`], on the screen and in a folder.

mod flags;

use std::{path::Path, sync::Mutex};

use anyhow::Context as _;
use market_data::DateRange;
use ppo_agent::Behaviour;

use crate::{
    artifacts::{
        files,
        plan_file::{self, Begin},
        registry::{Kind, Registry, Row},
    },
    config::{context::CommandContext, number_list::NumberList},
    evaluation::edge::{Looks, text},
    inputs::Inputs,
    output::{
        clock::Stopwatch,
        console::Console,
        exit_code::{Interrupted, Outcome, UsageError},
        output_file::OutputFolder,
        signals::StopRequests,
        table::{dollars, thousands},
    },
    report_page,
    walk_forward::{
        FoldResult, WalkForward, candidate::CandidateConfigs, described, judgement::Judgement, plan::Plan,
        session_row::Part,
    },
};

pub use self::flags::WalkForwardFlags;

/// Runs a walk-forward test.
///
/// # Errors
/// [`crate::output::exit_code::UsageError`] for flags, candidates and too few dates; data that cannot be read; a folder with
/// another plan; a training that fails; a file that cannot be written.
pub fn run(flags: &WalkForwardFlags, console: &mut Console) -> anyhow::Result<Outcome> {
    let resolved = CommandContext::open(&flags.config, console, |notes| Ok(flags.resolve(notes)?))?;
    let Some((mut context, configs)) = resolved else { return Ok(Outcome::Finished) };
    let folder = OutputFolder::checked("", &flags.output.out)?;
    let inputs = Inputs::load(configs.shared())?;
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    let console = context.console;
    let plan = plan(flags, &configs, &inputs)?;
    let faults = flags.only.iter().filter_map(|only| only.fault("fold", 1, plan.folds.len()));
    UsageError::check(faults.collect())?;
    console.say_all(heading(&plan, &inputs))?;
    if flags.dry_run {
        console.say_all(plan.folds.iter().map(|fold| {
            format!("fold {:>3}  train {}, validation {}, test {}", fold.number, fold.train, fold.validation, fold.test)
        }))?;
        console.say("DRY RUN: nothing was trained or written")?;
        return Ok(Outcome::Finished);
    }
    let candidates = configs.with_markets(&inputs, true)?;
    plan_file::write_or_check(&plan, folder.path(), Begin::of(flags.resume, flags.only.is_some()))?;
    configs.write(folder.path())?;
    let stop = StopRequests::watch().context("watching for Ctrl-C")?;
    let watch = Stopwatch::start();
    let test =
        WalkForward { plan: &plan, candidates: &candidates, threads: flags.num_threads, stop: Some(stop.clone()) };
    if let Some(only) = &flags.only {
        return run_part(&test, folder.path(), only, console);
    }
    let screen = Mutex::new((&mut *console, 0));
    let result = test.run(folder.path(), &|fold| {
        if let Ok(mut screen) = screen.lock() {
            screen.1 += 1;
            let line = fold_line(fold, screen.1, plan.folds.len());
            let _ = screen.0.say(line);
        }
    })?;
    let Some(result) = result else { return Ok(interrupted(&stop)) };
    let trainings: usize = result.folds.iter().map(|fold| fold.trainings.len()).sum();
    console.say(format!("{} trainings in {:.0} seconds\n", thousands(trainings as i64), watch.seconds()))?;
    let config = &candidates[0].config;
    let judgement = Judgement {
        plan: &plan,
        candidates: &candidates,
        result: &result,
        config: &config.evaluation,
        matched_draws: flags.matched_draws,
    };
    let looks = look(&Registry::in_folder(&config.run.out_dir), &judgement, folder.path())?;
    let mut evaluation = judgement.evaluate(looks)?;
    let facts = described::facts(&plan, &candidates, &result, &inputs)?;
    evaluation.set_details(described::details(&result, &evaluation, &facts));
    console.say_all(text::lines(&evaluation))?;
    folder.file("evaluation.json").save_json(&evaluation, console)?;
    report_page::folder::write(folder.path(), &facts, console)?;
    evaluation.verdict.word.require(flags.require)?;
    Ok(Outcome::Finished)
}

/// Runs some folds. They show no money, since nobody has looked before the parts are joined.
fn run_part(
    test: &WalkForward<'_>,
    folder: &Path,
    only: &NumberList,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let screen = Mutex::new(&mut *console);
    let all = test.run_part(folder, &only.0, &|fold| {
        if let Ok(mut screen) = screen.lock() {
            let _ = screen.say(format!("fold {:>3}  {}  done", fold.fold.number, fold.fold.test));
        }
    })?;
    if let Some(stop) = test.stop.as_ref().filter(|_| !all) {
        return Ok(interrupted(stop));
    }
    console.say(format!("{} folds are done; join them with --resume, without --only", only.0.len()))?;
    Ok(Outcome::Finished)
}

fn interrupted(stop: &StopRequests) -> Outcome {
    let signal = stop.noted().unwrap_or_default();
    Outcome::Interrupted(Interrupted { signal, go_on: "go on with the same command and --resume" })
}

/// Records the look of the procedure at its test dates, and those of its candidates in a diagnosis of the choice. Returns the number of configurations that have looked at some of them;
/// `None` where there was no registry before.
fn look(registry: &Registry, judgement: &Judgement<'_>, folder: &Path) -> anyhow::Result<Option<Looks>> {
    let (existed, plan) = (registry.exists(), judgement.plan);
    let (first, last) = (&plan.folds[0], &plan.folds[plan.folds.len() - 1]);
    let dates = DateRange { first: first.test.first, last: last.test.last };
    let procedure = plan.procedure_sha256()?;
    let row = Row::new(Kind::WalkForward, folder.display().to_string(), &procedure, plan.data);
    registry.append(Row { looked_at: Some(dates), steps: Some(plan.timesteps), ..row })?;
    let candidates = if plan.diagnose_selection { plan.candidates_sha256()? } else { Vec::new() };
    for (candidate, config) in plan.candidates.iter().zip(&candidates) {
        let name = format!("{}: {}, diagnosis", folder.display(), candidate.name);
        let row = Row::new(Kind::WalkForward, name, config, plan.data);
        registry.append(Row { looked_at: Some(dates), steps: Some(plan.timesteps), ..row })?;
    }
    let content = registry.read()?;
    let lookers = content.lookers(dates, plan.data);
    let own = candidates.iter().map(String::as_str).chain([procedure.as_str()]).collect();
    Ok(existed.then(|| Looks::of(&lookers, &own)))
}

fn plan(flags: &WalkForwardFlags, configs: &CandidateConfigs, inputs: &Inputs) -> anyhow::Result<Plan> {
    let dates = &inputs.dataset.dates;
    let sizes = flags.sizes.sizes();
    let folds = sizes.cut(dates).map_err(|fault| UsageError::one(fault.to_string()))?;
    let run = &configs.shared().run;
    let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else {
        anyhow::bail!("there is no session to train on")
    };
    Ok(Plan {
        format: Plan::format(),
        data: inputs.stamp(),
        prices: inputs.prices().to_owned(),
        files: files::manifest_entries(&inputs.dataset.files)?.into(),
        symbols: run.symbols.iter().map(ToString::to_string).collect(),
        dates: DateRange { first, last },
        timesteps: run.timesteps,
        candidates: configs.planned()?,
        seeds: flags.seeds.0.clone(),
        sizes,
        folds,
        choice: flags.select,
        refit: flags.refit,
        behaviour: if flags.stochastic { Behaviour::Sampled } else { Behaviour::Greedy },
        diagnose_selection: flags.diagnose_selection,
    })
}

fn heading(plan: &Plan, inputs: &Inputs) -> Vec<String> {
    let (first, last) = (&plan.folds[0], &plan.folds[plan.folds.len() - 1]);
    let names: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    let seeds = plan.seeds.len();
    let mut lines = vec![format!("Walk-forward on {}: {} folds", plan.symbols.join(", "), plan.folds.len())];
    lines.extend(inputs.short_lines());
    lines.extend([
        format!("Test       {} to {}, no training or choice sees them before", first.test.first, last.test.last),
        format!("Compete    {} with {seeds} seeds, {} steps each", names.join(", "), thousands(plan.timesteps as i64)),
        format!("Choice     {}", plan.choice),
    ]);
    lines.extend(
        plan.diagnose_selection
            .then(|| format!("Diagnosis  {} looks at the test dates, one per candidate", names.len())),
    );
    lines.extend([
        String::new(),
        format!("{:>7}  {:<24}  {:<16}  {:>12}  {:>12}", "done", "test dates", "chosen", "validation", "test"),
    ]);
    lines
}

/// Returns the line of a finished fold: P&L per date, all symbols together, mean over seeds.
fn fold_line(fold: &FoldResult, done: usize, all: usize) -> String {
    let (validation, test) = (fold.per_date(Part::Validation), fold.per_date(Part::Test));
    let usd = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), dollars);
    let done = format!("{done}/{all}");
    format!("{done:>7}  {}  {:<16}  {:>12}  {:>12}", fold.fold.test, fold.chosen(), usd(validation), usd(test))
}
