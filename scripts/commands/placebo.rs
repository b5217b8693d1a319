//! `zerodte placebo`: the procedure of a walk-forward test on markets without direction, and the rank of the real result.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use statistics::quantile;

use crate::{
    config::number_list::NumberList,
    inputs,
    output::{
        clock::Stopwatch,
        console::Console,
        exit_code::{Interrupted, Outcome, UsageError},
        output_file::OutputFolder,
        signals::StopRequests,
        table::dollars,
    },
    report_page,
    walk_forward::{
        candidate::CandidateConfigs,
        finished,
        placebo::{PlaceboTest, PlaceboWorlds},
        plan::Plan,
    },
};

/// Most placebo markets.
const MOST_WORLDS: usize = 100_000;

/// Flags of `zerodte placebo`.
#[derive(Debug, Clone, Args)]
pub struct PlaceboFlags {
    /// Folder of a finished walk-forward test, whose procedure is repeated
    #[arg(long, value_name = "DIR")]
    pub like: PathBuf,
    /// Markets without direction; those that the folder holds already are not repeated
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MOST_WORLDS as u64))]
    pub worlds: u64,
    /// Runs these markets alone, such as 3,5,7-9, writes their files and ends; the command without it joins the parts
    #[arg(long, value_name = "LIST", conflicts_with = "worlds")]
    pub only: Option<NumberList>,
    /// Threads, 0 = one per core, each with a market of its own; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
}

/// Repeats the procedure on placebo markets, prints the rank and adds it to `evaluation.json`.
///
/// # Errors
/// A folder without a finished test, bars that have changed, a training that fails, a file that cannot be written.
pub fn run(flags: &PlaceboFlags, console: &mut Console) -> anyhow::Result<Outcome> {
    let folder = OutputFolder::checked("", &flags.like)?;
    let plan = Plan::read(&flags.like)?;
    let mut evaluation: Value = finished::evaluation(&flags.like)?;
    let real = evaluation["mean_per_date_usd"]["value"].as_f64().context("evaluation.json has no mean_per_date_usd")?;
    let configs = CandidateConfigs::read(&flags.like, &plan.candidates)?;
    let history = inputs::history(configs.shared())?;
    plan.check_files(&history.files)?;
    let faults = flags.only.iter().filter_map(|only| only.fault("market", 1, MOST_WORLDS));
    UsageError::check(faults.collect())?;
    console.say(format!(
        "Placebo of {}: {} markets with the sizes of {}'s minutes and random signs",
        flags.like.display(),
        flags.only.as_ref().map_or(flags.worlds, |only| only.0.len() as u64),
        plan.symbols.join("+")
    ))?;
    let (stop, watch) = (StopRequests::watch().context("watching for Ctrl-C")?, Stopwatch::start());
    let (history, configs, threads) = (&history, &configs, flags.num_threads);
    let test = PlaceboTest { plan: &plan, configs, history, threads, stop: Some(stop.clone()) };
    if let Some(only) = &flags.only {
        return run_part(&test, folder.path(), only, console);
    }
    let screen = Mutex::new(&mut *console);
    let worlds = test.run(&flags.like, flags.worlds, &|done, usd| {
        if let Ok(mut screen) = screen.lock() {
            let _ = screen.say(format!("{done:>7}/{}  {:>12} a date", flags.worlds, dollars(usd)));
        }
    })?;
    let Some(worlds) = worlds else { return Ok(interrupted(&stop)) };
    console.say(format!("Finished in {:.0} seconds\n", watch.seconds()))?;
    console.say_all(lines(&worlds, real))?;
    evaluation["placebo"] = serde_json::to_value(worlds.rank(real))?;
    if let Some(why) = evaluation["why"].as_object_mut() {
        why.remove("placebo");
    }
    folder.file("evaluation.json").save_json(&evaluation, console)?;
    report_page::folder::rewrite(folder.path(), console)?;
    Ok(Outcome::Finished)
}

/// Runs some markets. They show no result: the whole test joins them.
fn run_part(
    test: &PlaceboTest<'_>,
    folder: &Path,
    only: &NumberList,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let screen = Mutex::new(&mut *console);
    let all = test.run_part(folder, &only.0, &|seed| {
        if let Ok(mut screen) = screen.lock() {
            let _ = screen.say(format!("market {seed:>5}  done"));
        }
    })?;
    if let Some(stop) = test.stop.as_ref().filter(|_| !all) {
        return Ok(interrupted(stop));
    }
    console.say(format!("{} markets are done; join them with --worlds, without --only", only.0.len()))?;
    Ok(Outcome::Finished)
}

fn interrupted(stop: &StopRequests) -> Outcome {
    let signal = stop.noted().unwrap_or_default();
    Outcome::Interrupted(Interrupted { signal, go_on: "go on with the same command" })
}

fn lines(worlds: &PlaceboWorlds, real: f64) -> Vec<String> {
    let mut usd: Vec<f64> = worlds.mean_per_date_usd.values().copied().collect();
    let [low, middle, high] = [0.025, 0.5, 0.975].map(|share| dollars(quantile(&mut usd, share)));
    let found = worlds.rank(real);
    let sentence = if found.p <= 0.05 {
        "The real market gave this procedure something that its placebos did not."
    } else {
        "The real market gave this procedure nothing that markets without direction do not."
    };
    vec![
        format!("real market    {} a date", dollars(real)),
        format!("placebos       {middle} [{low}, {high}], median and 95 % of {} markets", found.worlds),
        format!("rank           {} of {} placebos earn as much or more, p {:.3}", found.rank, found.worlds, found.p),
        sentence.to_owned(),
    ]
}
