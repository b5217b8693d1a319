//! `zerodte fetch`: from a vendor into the cache, as much as is missing, at the pace that the plan allows.

mod flags;
mod tables;

use anyhow::Context as _;
use market_data::{
    DateRange, Symbol, calendar,
    source::{
        cache::Cache,
        fetch::{Needs, OptionPlan, Plan, fetch_options, last_final, plan, plan_options, with_warmup},
        vendor::{Clock as _, OptionVendor, Vendor},
    },
};

pub use self::flags::{FetchFlags, What};
use crate::{
    clock::System,
    config::RunConfig,
    console::Console,
    table::thousands,
    usage::Usage,
    vendor::{Meter, Service, estimate, fill, usage},
};

/// Fetches what is missing, or says what that would take.
///
/// # Errors
/// Flags that make no sense, a missing key, what the vendor refuses or garbles, or a cache that cannot be written. What came
/// before is kept.
pub fn run(flags: &FetchFlags, console: &mut Console) -> anyhow::Result<()> {
    let mut notes = Vec::new();
    let config = flags.resolve(&mut notes)?;
    if flags.config.print_config {
        console.say(config.to_annotated_toml()?.trim_end())?;
        return Ok(());
    }
    let (cache, meter) = (Cache::new(&config.run.data_dir), Meter::new());
    let service = Service::open(config.run.data_source, &config.data, &config.run.symbols, &cache, &System, &meter)?;
    let dates = dates(&config)?;
    let job = Job { flags, config: &config, cache: &cache, service: &service, meter: &meter, dates };
    notes.into_iter().chain(meter.notes()).try_for_each(|note| console.say(format!("Note: {note}")))?;
    let done = if flags.dry_run { job.estimate(console) } else { job.fetch(console) };
    meter.stop();
    meter.notes().into_iter().try_for_each(|note| console.say(format!("Note: {note}")))?;
    done
}

/// Returns the dates asked for, with the sessions that warm indicators up, up to the last that is over.
fn dates(config: &RunConfig) -> anyhow::Result<DateRange> {
    let window = config.run.window();
    let last = last_final(System.now_ms()).context("the calendar does not know today's date")?;
    let DateRange { first, last } = window.dates(window.to.map_or(last, |to| to.min(last)))?;
    if window.from.is_none() && window.intraday_days.is_none() {
        return Err(Usage::one("name dates with --intraday-days or --start-date").into());
    }
    Ok(DateRange { first: with_warmup(first, config.data.warmup_sessions), last })
}

/// One call of the command.
struct Job<'a> {
    flags: &'a FetchFlags,
    config: &'a RunConfig,
    cache: &'a Cache,
    service: &'a Service<'a>,
    meter: &'a Meter,
    dates: DateRange,
}

impl Job<'_> {
    fn vendor(&self) -> &dyn Vendor {
        self.service.vendor()
    }

    fn symbols(&self) -> &[Symbol] {
        &self.config.run.symbols
    }

    fn wants(&self, what: What) -> bool {
        self.flags.what.contains(&what)
    }

    fn option_vendor(&self) -> anyhow::Result<&dyn OptionVendor> {
        let none = || Usage::one(format!("--what options: {} has no option bars here", self.config.run.data_source));
        Ok(self.service.options().ok_or_else(none)?)
    }

    /// Says what is missing and how long it takes; asks nobody.
    fn estimate(&self, console: &mut Console) -> anyhow::Result<()> {
        let vendor = self.vendor();
        let limit = vendor.calls_per_minute();
        let mut total = 0;
        let mut say = |name: &str, plan: &Plan| {
            total += plan.calls;
            let (there, missing) = (thousands(plan.complete as i64), thousands(plan.sessions() as i64));
            console
                .say(format!("{name:<8}{missing:>6} sessions missing, {there} there: {}", estimate(plan.calls, limit)))
        };
        let planned = |symbol: &Symbol| {
            let one = std::slice::from_ref(symbol);
            plan(vendor, self.cache, one, self.dates, System.now_ms(), self.flags.wishes()).map_err(usage)
        };
        if self.wants(What::Bars) {
            for symbol in self.symbols() {
                say(symbol.as_str(), &planned(symbol)?)?;
            }
        }
        if self.wants(What::Vix) {
            for name in ["VIX1D", "VIX"] {
                if let Ok(plan) = planned(&Symbol::new(name)?) {
                    say(name, &plan)?;
                }
            }
        }
        if self.wants(What::Options) {
            for symbol in self.symbols() {
                let plan = self.option_plan(symbol)?;
                total += plan.calls;
                console.say(options_line(symbol, &plan, limit))?;
            }
        }
        console.say(format!("DRY RUN: nobody was asked; {} in all", estimate(total, limit)))?;
        Ok(())
    }

    fn option_plan(&self, symbol: &Symbol) -> anyhow::Result<OptionPlan> {
        let vendor = self.option_vendor()?;
        plan_options(vendor, self.cache, symbol, self.dates, self.flags.strikes, System.now_ms()).map_err(usage)
    }

    fn fetch(&self, console: &mut Console) -> anyhow::Result<()> {
        let vendor = self.vendor();
        let symbols = if self.wants(What::Bars) { self.symbols().to_vec() } else { Vec::new() };
        let needs =
            Needs { symbols, dates: self.dates, volatility: self.wants(What::Vix), wishes: self.flags.wishes() };
        if self.wants(What::Bars) || self.wants(What::Vix) {
            let fetched = fill(vendor, self.cache, &needs, self.meter)?;
            let (sessions, rows) = (thousands(fetched.sessions as i64), thousands(fetched.rows as i64));
            let there = thousands(fetched.complete as i64);
            console.say(format!("{sessions} sessions fetched, {rows} bars; {there} sessions were there already"))?;
            if fetched.empty > 0 {
                console.say(format!("{} sessions came without a bar; --retry-empty asks again", fetched.empty))?;
            }
        }
        for symbol in self.symbols() {
            if self.wants(What::Options) {
                self.fetch_options(symbol, console)?;
            }
            self.tables(symbol, console)?;
        }
        let folder = self.cache.folder(vendor.name());
        console.say(format!("In {} after {} calls", folder.display(), thousands(self.meter.called() as i64)))?;
        Ok(())
    }

    fn fetch_options(&self, symbol: &Symbol, console: &mut Console) -> anyhow::Result<()> {
        let vendor = self.option_vendor()?;
        self.meter.limit(vendor.calls_per_minute());
        let mut without_spot = Vec::new();
        let mut planned = |plan: &OptionPlan| {
            without_spot.clone_from(&plan.without_spot);
            if plan.calls > 0 {
                self.meter.expect(plan.calls, &format!("Fetching options on {symbol}"));
            }
        };
        let around = self.flags.strikes;
        let stored = fetch_options(vendor, self.cache, symbol, self.dates, around, &System, self.meter, &mut planned);
        let stored = stored.map_err(usage)?;
        let folder = tables::options_folder(self.cache, vendor.name(), symbol);
        console.say(format!("{symbol}: {} option minutes fetched", thousands(stored as i64)))?;
        if let (Some(first), Some(last)) = (without_spot.first(), without_spot.last()) {
            let count = without_spot.len();
            console.say(format!(
                "Note: {count} sessions from {first} to {last} have no bars of {symbol}, so nobody knows their strikes"
            ))?;
        }
        console.say(format!("Replay them with --options {}", folder.display()))?;
        Ok(())
    }

    /// Fetches reference data, chains and greeks, as far as they are wanted.
    fn tables(&self, symbol: &Symbol, console: &mut Console) -> anyhow::Result<()> {
        let wanted = [What::Contracts, What::Chain, What::Greeks].into_iter().filter(|what| self.wants(*what));
        for what in wanted {
            let Service::Massive(massive) = self.service else {
                let source = self.config.run.data_source;
                return Err(Usage::one(format!("--what {what}: only massive has it, {source} has not")).into());
            };
            let sessions = calendar::sessions(self.dates.first, self.dates.last);
            let days = sessions.iter().map(|session| session.date);
            let written = match what {
                What::Chain => tables::chain(massive, self.cache, symbol)?,
                What::Greeks => tables::greeks(massive, self.cache, symbol, days)?,
                _ => tables::contracts(massive, self.cache, symbol, days)?,
            };
            console.say(written)?;
        }
        Ok(())
    }
}

fn options_line(symbol: &Symbol, plan: &OptionPlan, limit: u32) -> String {
    let missing = plan.days.iter().map(|(_, contracts)| contracts.len()).sum::<usize>();
    let (missing, there) = (thousands(missing as i64), thousands(plan.complete as i64));
    let blind = match plan.without_spot.len() {
        0 => String::new(),
        count => format!("; {count} sessions need bars of {symbol} first"),
    };
    format!("{symbol:<8}{missing:>6} contract days missing, {there} there: {}{blind}", estimate(plan.calls, limit))
}
