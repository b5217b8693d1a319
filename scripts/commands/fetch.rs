//! `zerodte fetch`: downloads missing data from a vendor into the cache, at the pace that the plan allows.

mod flags;
mod tables;

use market_data::{
    DateRange, Symbol, calendar,
    source::{
        cache::Cache,
        fetch::{Fetcher, HistoryRequest, OptionPlan, Plan},
        vendor::{OptionVendor, Vendor},
    },
};

use crate::{
    config::{RunConfig, context::CommandContext},
    inputs::vendor::{Meter, OpenVendor, estimate, open, requested_sessions, usage},
    output::{clock::SystemClock, console::Console, exit_code::UsageError, table::thousands},
};

pub use self::flags::{FetchFlags, FetchKind};

/// Fetches the missing data, or prints the calls that this would take.
///
/// # Errors
/// Invalid flags, a missing key, a refused or malformed response, or a cache that cannot be written. Data fetched
/// earlier is kept.
pub fn run(flags: &FetchFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |notes| flags.resolve(notes))?;
    let Some((mut context, config)) = resolved else { return Ok(()) };
    let (cache, meter) = (Cache::new(&config.run.data_folder()), Meter::new());
    let service = open(config.run.data_source, &config.data, &config.run.symbols, &cache, &SystemClock, &meter)?;
    let dates = dates(&config)?;
    let job = Job { flags, config: &config, cache: &cache, service: &service, meter: &meter, dates };
    context.notes.extend(meter.notes());
    context.say_notes()?;
    let done = if flags.dry_run { job.estimate(context.console) } else { job.fetch(context.console) };
    meter.stop();
    context.notes.extend(meter.notes());
    context.say_notes()?;
    done
}

/// Returns the requested dates and the warm-up sessions of the indicators, up to the last finished session.
fn dates(config: &RunConfig) -> anyhow::Result<DateRange> {
    let window = config.run.window();
    if window.from.is_none() && window.intraday_days.is_none() {
        return Err(UsageError::one("name dates with --intraday-days or --start-date").into());
    }
    requested_sessions(&config.run, config.data.warmup_sessions)
}

/// One run of the command.
struct Job<'a> {
    flags: &'a FetchFlags,
    config: &'a RunConfig,
    cache: &'a Cache,
    service: &'a OpenVendor<'a>,
    meter: &'a Meter,
    dates: DateRange,
}

impl Job<'_> {
    fn vendor(&self) -> &dyn Vendor {
        self.service.vendor()
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { vendor: self.vendor(), cache: self.cache, clock: &SystemClock, progress: self.meter }
    }

    fn symbols(&self) -> &[Symbol] {
        &self.config.run.symbols
    }

    fn wants(&self, what: FetchKind) -> bool {
        self.flags.what.contains(&what)
    }

    fn option_vendor(&self) -> anyhow::Result<&dyn OptionVendor> {
        let none =
            || UsageError::one(format!("--what options: {} has no option bars here", self.config.run.data_source));
        Ok(self.service.options().ok_or_else(none)?)
    }

    /// Prints the missing data and the duration of the fetch; sends no request.
    fn estimate(&self, console: &mut Console) -> anyhow::Result<()> {
        let limit = self.vendor().calls_per_minute();
        let mut total = 0;
        let mut missing = Vec::new();
        if self.wants(FetchKind::Bars) {
            missing.extend(self.symbols().iter().cloned());
        }
        if self.wants(FetchKind::Vix) {
            let indices = [Symbol::new("VIX1D")?, Symbol::new("VIX")?];
            missing.extend(indices.into_iter().filter(|index| self.vendor().check(index).is_ok()));
        }
        for symbol in missing {
            let one = std::slice::from_ref(&symbol);
            let plan = self.fetcher().plan(one, self.dates, self.flags.wishes()).map_err(usage)?;
            total += plan.calls;
            console.say(bars_line(&symbol, &plan, limit))?;
        }
        for symbol in self.symbols() {
            if self.wants(FetchKind::Options) {
                let plan = self.option_plan(symbol)?;
                let unknown = self.least_contracts(&plan);
                total += plan.calls + unknown;
                console.say(options_line(symbol, &plan, unknown, limit))?;
            }
            for what in
                [FetchKind::Contracts, FetchKind::Chain, FetchKind::Greeks].into_iter().filter(|what| self.wants(*what))
            {
                let calls = tables::calls(what, self.cache, symbol, self.dates);
                total += calls;
                console.say(format!("{symbol:<8}{what}: {}", estimate(calls, limit)))?;
            }
        }
        console.say(format!("DRY RUN: no request was sent; {} in all", estimate(total, limit)))?;
        Ok(())
    }

    /// Returns the minimum number of calls for the days with unknown strikes.
    fn least_contracts(&self, plan: &OptionPlan) -> usize {
        let contracts = 2 * (2 * self.flags.strikes as usize + 1);
        let calls = self.service.options().map_or(0, |vendor| contracts.div_ceil(vendor.batch()));
        plan.without_spot.len() * calls
    }

    fn option_plan(&self, symbol: &Symbol) -> anyhow::Result<OptionPlan> {
        let vendor = self.option_vendor()?;
        self.fetcher().plan_options(vendor, symbol, self.dates, self.flags.strikes).map_err(usage)
    }

    fn fetch(&self, console: &mut Console) -> anyhow::Result<()> {
        let vendor = self.vendor();
        let symbols = if self.wants(FetchKind::Bars) { self.symbols().to_vec() } else { Vec::new() };
        let request = HistoryRequest {
            symbols,
            dates: self.dates,
            volatility: self.wants(FetchKind::Vix),
            options: self.flags.wishes(),
        };
        if self.wants(FetchKind::Bars) || self.wants(FetchKind::Vix) {
            self.meter.limit(vendor.calls_per_minute());
            let fetched = self
                .fetcher()
                .fetch_history(&request, &mut |plan| self.meter.plan(vendor.name(), plan))
                .map_err(usage)?;
            let (sessions, rows) = (thousands(fetched.sessions as i64), thousands(fetched.rows as i64));
            let there = thousands(fetched.complete as i64);
            console.say(format!("{sessions} sessions fetched, {rows} bars; {there} sessions were already cached"))?;
            if fetched.empty > 0 {
                console.say(format!("{} sessions have no bars; --retry-empty requests them again", fetched.empty))?;
            }
        }
        for symbol in self.symbols() {
            if self.wants(FetchKind::Options) {
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
        let stored = self.fetcher().fetch_options(vendor, symbol, self.dates, around, &mut planned).map_err(usage)?;
        let folder = tables::options_folder(self.cache, vendor.name(), symbol);
        console.say(format!("{symbol}: {} option minutes fetched", thousands(stored as i64)))?;
        if let (Some(first), Some(last)) = (without_spot.first(), without_spot.last()) {
            let count = without_spot.len();
            console.say(format!(
                "Note: {count} sessions from {first} to {last} have no bars of {symbol}, so their strikes are unknown"
            ))?;
        }
        console.say(format!("Replay them with --options {}", folder.display()))?;
        Ok(())
    }

    /// Fetches reference data, chains and greeks, as requested.
    fn tables(&self, symbol: &Symbol, console: &mut Console) -> anyhow::Result<()> {
        let wanted =
            [FetchKind::Contracts, FetchKind::Chain, FetchKind::Greeks].into_iter().filter(|what| self.wants(*what));
        for what in wanted {
            let OpenVendor::Massive(massive) = self.service else {
                let source = self.config.run.data_source;
                return Err(UsageError::one(format!("--what {what}: only massive has it, {source} does not")).into());
            };
            let sessions = calendar::sessions(self.dates.first, self.dates.last);
            let days = sessions.iter().map(|session| session.date);
            let written = match what {
                FetchKind::Chain => tables::chain(massive, self.cache, symbol)?,
                FetchKind::Greeks => tables::greeks(massive, self.cache, symbol, days)?,
                _ => tables::contracts(massive, self.cache, symbol, days)?,
            };
            console.say(written)?;
        }
        Ok(())
    }
}

fn bars_line(symbol: &Symbol, plan: &Plan, limit: u32) -> String {
    let (there, missing) = (thousands(plan.complete as i64), thousands(plan.sessions() as i64));
    let lost = match plan.out_of_reach {
        0 => String::new(),
        count => format!("; {} out of reach", thousands(count as i64)),
    };
    format!("{symbol:<8}{missing:>6} sessions missing, {there} cached{lost}: {}", estimate(plan.calls, limit))
}

fn options_line(symbol: &Symbol, plan: &OptionPlan, unknown: usize, limit: u32) -> String {
    let missing = plan.days.iter().map(|(_, contracts)| contracts.len()).sum::<usize>();
    let (missing, there) = (thousands(missing as i64), thousands(plan.complete as i64));
    let blind = match plan.without_spot.len() {
        0 => String::new(),
        count => format!("; {count} sessions need bars of {symbol} first, then {} or more", estimate(unknown, limit)),
    };
    format!("{symbol:<8}{missing:>6} contract days missing, {there} cached: {}{blind}", estimate(plan.calls, limit))
}
