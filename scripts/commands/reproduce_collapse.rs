//! `zerodte reproduce-collapse`: trains the profiles of the earlier collapses on the same days, and shows the actions
//! of every interval next to the cumulative average that the old logs printed.

mod chart;
mod flags;
mod profile;
mod report;
mod runs;
mod text;

use anyhow::Context as _;
use market_data::{DataStamp, DateRange};

use self::{
    runs::{TrainingPlan, train},
    text::{markdown, screen},
};
use crate::{
    config::{
        RunConfig,
        context::{CommandContext, PrintConfig, titled},
    },
    inputs::Inputs,
    output::{clock::Stopwatch, console::Console, exit_code::UsageError, output_file::OutputFolder, table::thousands},
};

pub use self::{
    flags::ReproduceFlags,
    profile::Profiles,
    report::{CollapseReport, Look, ProfileReport, RunReport, Shown, Spread, WindowFigures},
};

/// Trains the profiles, and writes table, figures and chart.
///
/// # Errors
/// [`UsageError`] for inconsistent flags and profiles; data that cannot be read; a training that stops; a file that
/// cannot be written.
pub fn run(flags: &ReproduceFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |notes| Ok(flags.resolve(notes)?))?;
    let Some((mut context, profiles)) = resolved else { return Ok(()) };
    check_same_days(&profiles)?;
    let folder = OutputFolder::checked("", &flags.output.out)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(flags.num_threads);
    threads.build_global().context("starting the threads")?;
    context.say_notes()?;
    let console = context.console;
    let (stamp, dates, stories) = stories(profiles, console)?;

    let (watch, trainings) = (Stopwatch::start(), stories.len() as u64 * flags.seeds);
    let steps = thousands(flags.timesteps as i64);
    console.say(format!("Training {trainings} policies for {steps} steps each"))?;
    let curves = train(&stories, flags.seeds)?;
    console.say(format!("Trained in {:.1} seconds\n", watch.seconds()))?;
    let report = CollapseReport::of(stamp, dates, &stories, &curves);
    console.say(screen(&report))?;
    folder.file("collapse.md").save(markdown(&report), console)?;
    folder.file("collapse.json").save_json(&report, console)?;
    folder.file("collapse.svg").save(chart::draw(&report)?, console)
}

impl PrintConfig for Vec<(String, RunConfig)> {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.iter().map(|(name, config)| titled(&format!("Profile {name}"), config)).collect()
    }
}

/// Refuses profiles that would be trained on other days than the first one.
fn check_same_days(profiles: &[(String, RunConfig)]) -> Result<(), UsageError> {
    let Some((first, base)) = profiles.first() else { return Ok(()) };
    let differs = |(name, config): &(String, RunConfig)| {
        let same = config.run == base.run && config.data == base.data;
        (!same).then(|| format!("{name}: it changes run.* or data.*, so its days would differ from those of {first}"))
    };
    UsageError::check(profiles.iter().filter_map(differs).collect())
}

/// Loads the days once and builds the market of every profile from them; also returns the stamp and the training dates.
fn stories(
    profiles: Vec<(String, RunConfig)>,
    console: &mut Console,
) -> anyhow::Result<(DataStamp, DateRange, Vec<TrainingPlan>)> {
    let (_, base) = profiles.first().context("no profile is named")?;
    let inputs = Inputs::load(base)?;
    console.say_all(inputs.lines())?;
    let (stamp, train, base) = (inputs.stamp(), inputs.split(base)?.train, base.market.clone());
    let story = |(name, config): (String, RunConfig)| {
        let market = if config.market == base { inputs.market.clone() } else { inputs.market_under(&config.market)? };
        let days = market.days_in(&train);
        anyhow::Ok(TrainingPlan { name, config, market, days })
    };
    Ok((stamp, train, profiles.into_iter().map(story).collect::<Result<_, _>>()?))
}
