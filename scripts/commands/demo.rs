//! `zerodte demo`: trains on two made-up markets, one with a pattern that pays and one without, and tests both policies on
//! later dates. It needs no data and takes a few seconds.

mod chart;
mod page;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::{
    config::{
        RunConfig,
        layers::{Layer, resolve},
        profiles,
    },
    evaluation::{held_out::Tested, money},
    inputs::Inputs,
    output::{
        console::{Console, Level},
        output_file::OutputFolder,
        synthetic,
        table::{percent, thousands},
        wrap::wrap_for_screen,
    },
    training,
};

/// Flags of `zerodte demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoFlags {
    /// Folder of the page, the pictures, the models and the logs
    #[arg(long, value_name = "DIR", default_value = "zerodte-demo", help_heading = "Output")]
    pub out: PathBuf,
}

/// One of the two markets.
struct DemoMarket {
    /// Name of its model.
    name: &'static str,
    title: &'static str,
    /// Drift per minute with the sign of the trend, in standard deviations of a minute.
    planted_edge: f64,
    lesson: &'static str,
}

const MARKETS: [DemoMarket; 2] = [
    DemoMarket {
        name: "with_pattern",
        title: "A market with a pattern: the shape of a bar shows the trend to come",
        planted_edge: 0.15,
        lesson: "Where there is an edge, the training finds it.",
    },
    DemoMarket {
        name: "without_pattern",
        title: "The same market without the pattern: nothing can be predicted",
        planted_edge: 0.0,
        lesson: "Where there is none, it learns to stay out and does not talk itself into one.",
    },
];

/// A market, and the training on it.
struct Demonstrated {
    market: &'static DemoMarket,
    config: RunConfig,
    /// Result on the test dates.
    tested: Tested,
    result: Vec<String>,
}

/// Trains on both markets, prints the results and writes the page.
///
/// # Errors
/// When a file cannot be written.
pub fn run(flags: &DemoFlags, console: &mut Console) -> anyhow::Result<()> {
    let folder = OutputFolder::checked("Page", &flags.out)?;
    console.say_all(synthetic::notice(true))?;
    console.say("Two policies learn from made-up minutes of SPY (some seconds), then are tested.")?;
    let [first, second] = &MARKETS;
    let (first, second) = rayon::join(|| demonstrate(first, flags), || demonstrate(second, flags));
    let shown = [first?, second?];
    for demonstrated in &shown {
        console.say(format!("\n{}", demonstrated.market.title))?;
        console.say_all(&demonstrated.result)?;
    }
    let (page, picture) = (folder.file("index.html"), folder.file("money.svg"));
    let svg = chart::draw(&shown)?;
    picture.write(&svg)?;
    page.write(page::html(&shown, &svg)?)?;
    console.say("")?;
    console.say_all(next(&page.path().display().to_string(), &picture.path().display().to_string()))?;
    Ok(())
}

fn demonstrate(market: &'static DemoMarket, flags: &DemoFlags) -> anyhow::Result<Demonstrated> {
    let config = config(market, flags)?;
    let inputs = Inputs::load(&config)?;
    let mut quiet = Console::stdout();
    quiet.set_level(Level::Quiet);
    let finished = training::train(&config, &inputs, &mut quiet)?;
    let tested = finished.tested.context("the training was stopped")?;
    let result = result(market, &config, &tested, finished.seconds, finished.cost)?;
    Ok(Demonstrated { market, config, tested, result })
}

fn config(market: &DemoMarket, flags: &DemoFlags) -> anyhow::Result<RunConfig> {
    let mut own = Layer::new("demo");
    own.put("run.model_name", market.name);
    own.put("run.out_dir", flags.out.display().to_string());
    own.put("data.synthetic.planted_edge", market.planted_edge);
    let profile = profiles::built_in("demo")?.context("the profile demo is missing")?;
    Ok(resolve(&RunConfig::default(), &[profile, own], RunConfig::check)?)
}

/// Returns the lines on a training: its size, the money of the policy and its baselines, and what that shows.
fn result(
    market: &DemoMarket,
    config: &RunConfig,
    tested: &Tested,
    seconds: f64,
    cost: f64,
) -> anyhow::Result<Vec<String>> {
    let of = |name| tested.of(name).with_context(|| format!("{name} was not tested"));
    let (policy, random) = (of("greedy")?, of("random-legal")?);
    let mut lines = vec![format!(
        "{} steps in {:.1} s; tested on {} dates; a round trip costs {} of the premium",
        thousands(config.run.timesteps as i64),
        seconds,
        policy.dates,
        percent(Some(cost)),
    )];
    lines.extend(money::table([
        ("this policy", policy),
        ("random entries", random),
        ("doing nothing", of("always-HOLD")?),
    ]));
    lines.extend(wrap_for_screen(&money::sentence(policy, random, cost, tested.opportunity.as_ref())));
    let learned = if market.planted_edge > 0.0 { policy.earns() } else { policy.stays_out };
    lines.push(
        if learned { market.lesson } else { "This is not what this market teaches; please report it." }.to_owned(),
    );
    Ok(lines)
}

fn next(page: &str, picture: &str) -> Vec<String> {
    let lines = [
        format!("Page: {page}   Picture: {picture}"),
        "Next".to_owned(),
        "  zerodte train --data-source yahoo --symbols SPY   30 days of real bars, no key".to_owned(),
        "  zerodte import SPY.csv                            bars of your own".to_owned(),
        "  zerodte train --config demo                       this training in full view".to_owned(),
    ];
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_markets_differ_in_the_pattern_alone() {
        let flags = DemoFlags { out: PathBuf::from("out") };
        let [mut with, without] = [0, 1].map(|i| config(&MARKETS[i], &flags).unwrap());
        assert_eq!((with.data.synthetic.planted_edge, without.data.synthetic.planted_edge), (0.15, 0.0));
        with.data.synthetic.planted_edge = 0.0;
        with.run.model_name = without.run.model_name.clone();
        assert_eq!(with, without);
    }
}
