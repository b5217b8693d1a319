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
    evaluation::edge::Power,
    inputs,
    output::{
        clock::Stopwatch,
        console::Console,
        exit_code::{Interrupted, Outcome, UsageError},
        output_file::OutputFolder,
        signals::StopRequests,
        table::{dollars, percent},
    },
    report_page,
    walk_forward::{
        candidate::CandidateConfigs,
        finished,
        placebo::{PlaceboTest, PlaceboWorlds},
        plan::Plan,
        planted::{self, PlantedEdge},
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
    /// Also measures the power: an edge of so many per cent per trade is planted into markets of its own
    #[arg(long, value_name = "PERCENT", value_parser = per_cent)]
    pub plant: Option<f64>,
    /// Markets with the planted edge
    #[arg(long, value_name = "N", default_value_t = 50, requires = "plant", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub planted_worlds: u64,
    /// Runs these markets alone, such as 3,5,7-9, writes their files and ends; the command without it joins the parts
    #[arg(long, value_name = "LIST", conflicts_with_all = ["worlds", "plant"])]
    pub only: Option<NumberList>,
    /// Threads, 0 = one per core, each with a market of its own; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_threads: usize,
}

/// Reads an edge in per cent as a fraction.
fn per_cent(text: &str) -> Result<f64, String> {
    let edge = text.trim().trim_end_matches('%').parse::<f64>().ok().filter(|edge| *edge > 0.0 && *edge <= 100.0);
    edge.map(|edge| edge / 100.0).ok_or_else(|| "expected per cent of a trade's premium, such as 1".to_owned())
}

/// Repeats the procedure on placebo markets, prints the rank and adds it to `evaluation.json`; with `--plant` also its power.
///
/// # Errors
/// A folder without a finished test, bars that have changed, a training that fails, a file that cannot be written.
pub fn run(flags: &PlaceboFlags, console: &mut Console) -> anyhow::Result<Outcome> {
    let folder = OutputFolder::checked("", &flags.like)?;
    let plan = Plan::read(&flags.like)?;
    let mut evaluation: Value = finished::evaluation(&flags.like)?;
    let real = evaluation["mean_per_date_usd"]["value"].as_f64().context("evaluation.json has no mean_per_date_usd")?;
    enough(flags, &plan)?;
    let configs = CandidateConfigs::read(&flags.like, &plan.candidates)?;
    let history = inputs::history(configs.shared())?;
    plan.check_files(&history.files)?;
    let faults = flags.only.iter().filter_map(|only| only.fault("market", 1, MOST_WORLDS));
    UsageError::check(faults.collect())?;
    let (stop, watch) = (StopRequests::watch().context("watching for Ctrl-C")?, Stopwatch::start());
    let (history, configs, threads) = (&history, &configs, flags.num_threads);
    let test = PlaceboTest { plan: &plan, configs, history, threads, stop: Some(stop.clone()) };
    let count = flags.only.as_ref().map_or(flags.worlds, |only| only.0.len() as u64);
    console.say(format!(
        "Placebo of {}: {count} markets with the sizes of {}'s minutes and random signs",
        flags.like.display(),
        plan.symbols.join("+")
    ))?;
    if let Some(only) = &flags.only {
        return run_part(&test, folder.path(), only, console);
    }
    let Some(worlds) = worlds(flags, &test, console)? else { return Ok(interrupted(&stop)) };
    console.say(format!("Finished in {:.0} seconds\n", watch.seconds()))?;
    console.say_all(lines(&worlds, real))?;
    evaluation["placebo"] = serde_json::to_value(worlds.rank(real))?;
    evaluation["power"] = serde_json::to_value(worlds.power())?;
    if let Some(why) = evaluation["why"].as_object_mut() {
        why.remove("placebo");
    }
    folder.file("evaluation.json").save_json(&evaluation, console)?;
    report_page::folder::rewrite(folder.path(), console)?;
    Ok(Outcome::Finished)
}

/// Refuses a power that no number of planted markets could show.
fn enough(flags: &PlaceboFlags, plan: &Plan) -> anyhow::Result<()> {
    let known = PlaceboWorlds::read(&flags.like, plan)?.mean_per_date_usd.len();
    let (worlds, least) = (known.max(flags.worlds as usize), planted::fewest_placebos());
    if flags.plant.is_some() && worlds < least {
        return Err(UsageError::one(format!(
            "--worlds {worlds}: a rank of 5 % needs {least} markets without direction, and --plant counts such ranks"
        ))
        .into());
    }
    Ok(())
}

/// Runs the placebo markets, then those with a planted edge; `None` once a signal was noted.
fn worlds(
    flags: &PlaceboFlags,
    test: &PlaceboTest<'_>,
    console: &mut Console,
) -> anyhow::Result<Option<PlaceboWorlds>> {
    let folder = flags.like.as_path();
    let run = |count: u64, console: &mut Console, run: &dyn Fn(Finished<'_>) -> Ran| {
        let screen = Mutex::new(console);
        run(&|done, usd| {
            if let Ok(mut screen) = screen.lock() {
                let _ = screen.say(format!("{done:>7}/{count}  {:>12} a date", dollars(usd)));
            }
        })
    };
    let found = run(flags.worlds, &mut *console, &|finished| test.run(folder, flags.worlds, finished))?;
    let (Some(_), Some(per_trade)) = (&found, flags.plant) else { return Ok(found) };
    let known = PlaceboWorlds::read(folder, test.plan)?;
    let edge = match known.planted.iter().find(|planted| planted.edge.per_trade == per_trade) {
        Some(planted) => planted.edge,
        None => PlantedEdge::of(per_trade, test.configs.shared(), test.history)?,
    };
    let count = flags.planted_worlds;
    let [asked, measured, strength] = [edge.per_trade, edge.measured, edge.strength].map(|share| percent(Some(share)));
    console.say(format!("Planted edge: {asked} per trade with strong setups, {measured} as measured"))?;
    console.say(format!("by a trend in {strength} of the minutes, on {count} markets"))?;
    run(count, console, &|finished| test.run_planted(folder, count, edge, finished))
}

/// Takes the number of finished markets, and the mean P&L of a date on the last one.
type Finished<'a> = &'a (dyn Fn(usize, f64) + Sync);

/// Result of markets.
type Ran = anyhow::Result<Option<PlaceboWorlds>>;

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
    let mut lines = vec![
        format!("real market    {} a date", dollars(real)),
        format!("placebos       {middle} [{low}, {high}], median and 95 % of {} markets", found.worlds),
        format!("rank           {} of {} placebos earn as much or more, p {:.3}", found.rank, found.worlds, found.p),
        sentence.to_owned(),
    ];
    lines.extend(worlds.power().iter().map(Power::sentence));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_read_in_per_cent() {
        assert_eq!([per_cent("1"), per_cent("0.5%"), per_cent("100")], [Ok(0.01), Ok(0.005), Ok(1.0)]);
        for text in ["", "0", "-1", "101", "nan", "a"] {
            assert!(per_cent(text).is_err(), "{text:?}");
        }
    }
}
