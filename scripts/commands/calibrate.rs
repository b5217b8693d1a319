//! `zerodte calibrate`: how near the modelled option prices and spreads come to what options really traded at.

mod charts;
mod errors;
mod fit;
mod fit_command;
pub mod flags;
mod lines;
mod measure;
mod pair;
mod parity;
mod plot;
mod report;
mod spread;

use std::path::Path;

use market_data::{Dataset, DateRange, SymbolSessions, calendar};
use market_env::EnvError;

use self::flags::CalibrateFlags;
use self::measure::Measured;
use crate::{
    commands::calibrate::pair::Pair,
    config::RunConfig,
    inputs,
    output::{
        console::Console,
        exit_code::UsageError,
        output_file::{check_writable, create_parent},
    },
};

pub use self::{
    errors::{Bucket, ErrorStats},
    parity::ParityStats,
    report::{CalibrationReport, OptionFile, OptionFiles, Parity, Spreads},
    spread::{QuoteCounts, SpreadBucket, SpreadStats},
};

/// Compares the model with real options and prints the report.
///
/// # Errors
/// Bars, option files or a configuration that cannot be used, or a file that cannot be written.
pub fn run(flags: &CalibrateFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut notes = Vec::new();
    let mut config = flags.resolve(&mut notes)?;
    if flags.config.print_config {
        console.say(config.to_annotated_toml()?.trim_end())?;
        return Ok(());
    }
    for folder in [flags.json.as_deref().and_then(Path::parent), flags.plot.as_deref()].into_iter().flatten() {
        check_writable(folder)?;
    }
    let pairs = load(&config)?;
    if let Some(path) = &flags.fit {
        let (pricing, fit) = fit_command::fit_pricing(&pairs, &config)?;
        fit_command::write(path, &pricing, &fit)?;
        for line in fit.lines() {
            console.say(line)?;
        }
        console.say(format!("Parameters written: {}\n", path.display()))?;
        config.market.pricing = pricing;
    }
    let measured = pairs.iter().map(|pair| Measured::of(pair, &config.market)).collect::<Result<Vec<_>, EnvError>>()?;
    let report = CalibrationReport::new(&pairs, &measured, &config);
    for line in notes.iter().map(|note| format!("Note: {note}")).chain(report.lines()) {
        console.say(line)?;
    }
    if let Some(path) = &flags.json {
        create_parent(path)?;
        ppo_agent::write_atomically(path, (serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
        console.say(format!("Report written: {}", path.display()))?;
    }
    if let Some(folder) = &flags.plot {
        for (name, svg) in charts::draw(&pairs, &measured, &config.market)? {
            let path = folder.join(name);
            create_parent(&path)?;
            ppo_agent::write_atomically(&path, svg.as_bytes())?;
            console.say(format!("Plot written: {}", path.display()))?;
        }
    }
    Ok(())
}

fn load(config: &RunConfig) -> anyhow::Result<Vec<Pair>> {
    let path =
        config.run.options.as_ref().ok_or_else(|| UsageError::one("--options: name the files to compare with"))?;
    let dataset = inputs::sessions(config)?;
    let dates = option_dates(config, &dataset)?;
    let Dataset { symbols, synthetic, .. } = dataset;
    let pair = |sessions: SymbolSessions| {
        let options = inputs::load_options(path, &sessions.symbol, &dates)?;
        Ok(Pair { sessions, options, synthetic })
    };
    symbols.into_iter().map(pair).collect()
}

/// Returns the dates whose options are read: also those before and after the bars, whose quotes still show spreads.
fn option_dates(config: &RunConfig, dataset: &Dataset) -> anyhow::Result<DateRange> {
    let window = config.run.window();
    let newest = match window.intraday_days {
        Some(_) => dataset.dates.last().copied(),
        None => Some(calendar::LAST_DATE),
    };
    let newest = newest.ok_or_else(|| UsageError::one("there is no session in the given dates"))?;
    Ok(window.dates(newest)?)
}
