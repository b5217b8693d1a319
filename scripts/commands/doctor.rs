//! `zerodte doctor`: checks the machine and its keys before a long fetch or run, with the reason of every failure.
//!
//! It sends a vendor at most five requests, one minute's worth of a free plan.

mod checks;
mod flags;
mod probe;

use market_data::source::cache::Cache;

use self::checks::Check;
use crate::{
    config::{RunConfig, context::CommandContext},
    inputs::vendor::{Meter, OpenVendor, open},
    output::{clock::SystemClock, console::Console},
};

pub use self::flags::DoctorFlags;

/// Runs all checks and prints a table.
///
/// # Errors
/// Invalid flags. A failed check is printed; it is not an error.
pub fn run(flags: &DoctorFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(notes))?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    let mut checks = vendor(flags, &config)?;
    let folder = config.run.data_folder();
    let cache = Cache::new(&folder);
    checks.extend(checks::cache(&cache, &folder));
    checks.push(checks::pricing_fit(&config.market.pricing, checks::newest(&cache)));
    checks.extend(checks::machine(&folder));
    context.say_notes()?;
    Ok(context.console.say(checks::table(&checks))?)
}

/// Probes the vendor for the rights of the key.
fn vendor(flags: &DoctorFlags, config: &RunConfig) -> anyhow::Result<Vec<Check>> {
    let (cache, meter) = (Cache::new(&config.run.data_folder()), Meter::new());
    let mut checks = checks::keys();
    if flags.offline {
        return Ok(checks);
    }
    let mut data = config.data.clone();
    data.massive.flat_files = false;
    let service = open(config.run.data_source, &data, &config.run.symbols, &cache, &SystemClock, &meter)?;
    meter.limit(service.vendor().calls_per_minute());
    checks.extend(match &service {
        OpenVendor::Massive(massive) => probe::massive(massive, &SystemClock, data.massive.calls_per_minute),
        other => probe::bars(other.vendor(), &SystemClock),
    });
    if config.run.data_source.is("massive") {
        checks.push(Check::fact("calls made", format!("{}", meter.called())));
    }
    Ok(checks)
}
