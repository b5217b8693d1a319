//! `zerodte calibrate`: compares modelled option prices and spreads with real trades and quotes.

mod charts;
mod errors;
mod fit;
mod fit_command;
pub mod flags;
mod level;
mod lines;
mod measure;
mod pair;
mod report;
mod spread;

use market_data::{Dataset, DateRange, SymbolSessions, calendar};
use market_env::EnvError;

use self::flags::CalibrateFlags;
use self::measure::Measured;
use crate::{
    commands::calibrate::pair::Pair,
    config::{RunConfig, context::CommandContext},
    inputs::{self, option_rows},
    output::{
        console::Console,
        exit_code::UsageError,
        output_file::{OutputFile, OutputFolder},
    },
};

pub use market_data::parity::ParityStats;

pub use self::{
    errors::{Bucket, ErrorStats, SessionBias},
    level::LevelReport,
    report::{CalibrationReport, FitAlone, OptionFile, OptionFiles, Parity, Spreads},
    spread::{QuoteCounts, SpreadBucket, SpreadStats},
};

/// Compares the model with real options and prints the report.
///
/// # Errors
/// Unusable bars, option files or configuration, or a file that cannot be written.
pub fn run(flags: &CalibrateFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(notes))?;
    let Some((mut context, mut config)) = resolved else { return Ok(()) };
    let fitted = OutputFile::requested("Parameters", flags.output.fit.as_ref())?;
    let json = flags.output.report.json("Report")?;
    let plots = OutputFolder::requested("Plot", flags.output.plot.as_ref())?;
    let pairs = load(&config)?;
    if let Some(file) = fitted {
        let (pricing, fit) = fit_command::fit_pricing(&pairs, &config, flags.output.half_life)?;
        file.write(fit_command::config_file(&pricing, &fit)?)?;
        context.console.say_all(fit.lines())?;
        context.console.say(file.line() + "\n")?;
        config.market.pricing = pricing;
    }
    let measured = pairs.iter().map(|pair| Measured::of(pair, &config.market)).collect::<Result<Vec<_>, EnvError>>()?;
    let report = CalibrationReport::new(&pairs, &measured, &config);
    context.say_notes()?;
    context.console.say_all(report.lines())?;
    if let Some(file) = json {
        file.save_json(&report, context.console)?;
    }
    if let Some(folder) = plots {
        for (name, svg) in charts::draw(&pairs, &measured, &config.market)? {
            folder.file(name).save(svg, context.console)?;
        }
    }
    Ok(())
}

fn load(config: &RunConfig) -> anyhow::Result<Vec<Pair>> {
    let path = config
        .run
        .options
        .as_ref()
        .ok_or_else(|| UsageError::one("--options: name the option files to compare with"))?;
    let dataset = inputs::sessions(config)?;
    let dates = option_dates(config, &dataset)?;
    let Dataset { symbols, synthetic, .. } = dataset;
    let pair = |sessions: SymbolSessions| {
        let stamp = config.data.options_stamp;
        let options = option_rows::load_options(path, &sessions.symbol, &dates, stamp)?;
        let earlier = option_rows::earlier_sessions(path, &sessions, dates.first, stamp)?;
        Ok(Pair { sessions, options, earlier, synthetic })
    };
    symbols.into_iter().map(pair).collect()
}

/// Returns the dates whose options are read, including dates without bars: their quotes still show spreads.
fn option_dates(config: &RunConfig, dataset: &Dataset) -> anyhow::Result<DateRange> {
    let window = config.run.window();
    let newest = match window.intraday_days {
        Some(_) => dataset.dates.last().copied(),
        None => Some(calendar::LAST_DATE),
    };
    let newest = newest.ok_or_else(|| UsageError::one("no session in the given dates"))?;
    Ok(window.dates(newest)?)
}
