//! `zerodte reproduce-collapse`: trains the profiles of the old story on the same days, and shows what the policies did in every
//! interval next to the average that the old logs printed.

mod chart;
mod flags;
mod profile;
mod report;
mod runs;
mod text;

use std::path::Path;

use anyhow::Context as _;
use market_data::{DataStamp, DateRange};

use self::{
    runs::{TrainingPlan, train},
    text::{markdown, screen},
};
use crate::{
    config::RunConfig,
    inputs::Inputs,
    output::{
        clock::Stopwatch,
        console::Console,
        exit_code::UsageError,
        output_file::{check_writable, create_parent},
        table::thousands,
    },
};

pub use self::{
    flags::ReproduceFlags,
    profile::Profiles,
    report::{CollapseReport, Look, ProfileReport, RunReport, Shown, Spread, WindowFigures},
};

/// Trains, and writes table, figures and chart.
///
/// # Errors
/// [`UsageError`] for flags and profiles that do not fit each other; data that cannot be read; a training that stops; a file that
/// cannot be written.
pub fn run(flags: &ReproduceFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut notes = Vec::new();
    let profiles = flags.resolve(&mut notes)?;
    if flags.config.print_config {
        for (name, config) in &profiles {
            console.say(format!("# Profile {name}\n\n{}", config.to_annotated_toml()?))?;
        }
        return Ok(());
    }
    check_same_days(&profiles)?;
    check_writable(&flags.out)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(flags.num_threads);
    threads.build_global().context("starting the threads")?;
    notes.iter().try_for_each(|note| console.say(format!("Note: {note}")))?;
    let (stamp, dates, stories) = stories(profiles, console)?;

    let (watch, trainings) = (Stopwatch::start(), stories.len() as u64 * flags.seeds);
    let steps = thousands(flags.timesteps as i64);
    console.say(format!("Training {trainings} policies for {steps} steps each"))?;
    let curves = train(&stories, flags.seeds)?;
    console.say(format!("Trained in {:.1} seconds\n", watch.seconds()))?;
    let report = CollapseReport::of(stamp, dates, &stories, &curves);
    console.say(screen(&report))?;
    write(&flags.out, &report, console)
}

/// Refuses profiles that would be trained on other days than the first one.
fn check_same_days(profiles: &[(String, RunConfig)]) -> Result<(), UsageError> {
    let Some((first, base)) = profiles.first() else { return Ok(()) };
    let differs = |(name, config): &(String, RunConfig)| {
        let same = config.run == base.run && config.data == base.data;
        (!same).then(|| {
            format!("{name}: it changes run.* or data.*, so that it would not be compared on the days of {first}")
        })
    };
    UsageError::check(profiles.iter().filter_map(differs).collect())
}

/// Loads the days once and builds the market of every profile from them; returns the stamp and the training dates, too.
fn stories(
    profiles: Vec<(String, RunConfig)>,
    console: &mut Console,
) -> anyhow::Result<(DataStamp, DateRange, Vec<TrainingPlan>)> {
    let (_, base) = profiles.first().context("no profile is named")?;
    let inputs = Inputs::load(base)?;
    inputs.lines().into_iter().try_for_each(|line| console.say(line))?;
    let (stamp, train, base) = (inputs.stamp(), inputs.split(base)?.train, base.market.clone());
    let story = |(name, config): (String, RunConfig)| {
        let market = if config.market == base { inputs.market.clone() } else { inputs.market_under(&config.market)? };
        let days = market.days_in(&train);
        anyhow::Ok(TrainingPlan { name, config, market, days })
    };
    Ok((stamp, train, profiles.into_iter().map(story).collect::<Result<_, _>>()?))
}

fn write(folder: &Path, report: &CollapseReport, console: &mut Console) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    for (name, text) in
        [("collapse.md", markdown(report)), ("collapse.json", json), ("collapse.svg", chart::draw(report)?)]
    {
        let path = folder.join(name);
        create_parent(&path)?;
        ppo_agent::write_atomically(&path, text.as_bytes())?;
        console.say(format!("Written: {}", path.display()))?;
    }
    Ok(())
}
