//! Vendors of a run: opened with keys, addresses and a pace, and read through the cache in `run.data_dir`.

use market_data::{
    DataConfig, DateRange, History, Symbol, VOLATILITY_SESSIONS, Window, calendar,
    source::{
        cache::Cache,
        fetch::{FetchOptions, Fetcher, HistoryRequest, last_final, with_warmup},
        vendor::{Clock, Progress, VENDORS, VendorError, VendorSetup},
    },
};

use crate::{
    config::{DataSource, RunConfig, RunSection},
    inputs::credentials::Credentials,
    output::{clock::SystemClock, exit_code::UsageError},
};

pub use crate::output::progress::{Meter, estimate};
pub use market_data::source::vendor::OpenVendor;

/// Opens the vendor of a source. Without a key every request fails, but the cache can be read.
///
/// # Errors
/// [`UsageError`] for a source that is no vendor, and for keys and addresses that cannot be used.
pub fn open<'a>(
    source: DataSource,
    config: &DataConfig,
    symbols: &[Symbol],
    cache: &Cache,
    clock: &'a dyn Clock,
    progress: &'a dyn Progress,
) -> anyhow::Result<OpenVendor<'a>> {
    let DataSource::Vendor(vendor) = source else {
        let offers: Vec<String> = VENDORS.iter().map(|vendor| format!("{} ({})", vendor.name, vendor.offers)).collect();
        let text = format!("run.data_source: {source} is no vendor; use one of: {}", offers.join(", "));
        return Err(UsageError::one(text).into());
    };
    let credentials = &Credentials::read();
    vendor.open(&VendorSetup { config, symbols, cache, credentials, clock, progress }).map_err(usage)
}

/// Turns errors that the user can correct into errors of usage.
pub fn usage(error: VendorError) -> anyhow::Error {
    match error {
        VendorError::NoKey { .. }
        | VendorError::OddKey { .. }
        | VendorError::Address { .. }
        | VendorError::Unsupported { .. } => UsageError::one(error.to_string()).into(),
        VendorError::BadRow { .. } => anyhow::anyhow!("{error}; zerodte fetch --drop-bad-rows leaves such bars out"),
        error => error.into(),
    }
}

/// Returns the history of a run from the cache, after fetching the missing sessions.
///
/// A run without dates uses the whole cache and makes no request. A run without a last date, whose vendor cannot be reached,
/// uses the cached sessions if at most a few of the last ones are missing; a note reports it. Without a volatility index the
/// sessions before that determine realised volatility are fetched as well.
///
/// # Errors
/// Refused requests, malformed responses, a missing key, or a cache that cannot be read or written.
pub fn history(config: &RunConfig) -> anyhow::Result<History> {
    let run = &config.run;
    let (cache, meter) = (Cache::new(&run.data_folder()), Meter::new());
    let service = open(run.data_source, &config.data, &run.symbols, &cache, &SystemClock, &meter)?;
    let fetcher = Fetcher { vendor: service.vendor(), cache: &cache, clock: &SystemClock, progress: &meter };
    let dates = match requested(run, config.data.warmup_sessions)? {
        Some(dates) => fetch_missing(&fetcher, run, dates, &meter)?,
        None => cache.span(fetcher.vendor, &run.symbols)?.ok_or_else(|| {
            let folder = cache.folder(fetcher.vendor.name());
            let text =
                format!("{} holds no bars yet; give dates with --intraday-days or --start-date", folder.display());
            UsageError::one(text)
        })?,
    };
    let format = config.data.bar_format();
    let mut history = cache.history(fetcher.vendor, &run.symbols, dates, &format)?;
    if let Some(earlier) = requested(run, VOLATILITY_SESSIONS)?.filter(|_| history.volatility.is_empty()) {
        let longer = DateRange { first: earlier.first.min(dates.first), last: dates.last };
        match fetch_missing(&fetcher, run, longer, &meter) {
            Ok(_) => history = cache.history(fetcher.vendor, &run.symbols, longer, &format)?,
            Err(error) => meter.note(format!("realised volatility of the first sessions has less history: {error}")),
        }
    }
    history.notes.extend(meter.notes());
    Ok(history)
}

/// Fetches the missing sessions of some dates, and returns the dates that the run can use.
fn fetch_missing(
    fetcher: &Fetcher<'_>,
    run: &RunSection,
    dates: DateRange,
    meter: &Meter,
) -> anyhow::Result<DateRange> {
    let request =
        HistoryRequest { symbols: run.symbols.clone(), dates, volatility: true, options: FetchOptions::default() };
    meter.limit(fetcher.vendor.calls_per_minute());
    let fetched = fetcher.fetch_history(&request, &mut |plan| meter.plan(fetcher.vendor.name(), plan));
    meter.stop();
    match fetched {
        Ok(_) => Ok(dates),
        Err(error) if error.is_unreachable() => {
            // A last date that was given has to be met.
            let cached = fetcher.cached_range(&run.symbols, dates)?;
            let cached = cached.filter(|cached| run.end_date.is_none() || cached.last == dates.last);
            let Some(cached) = cached else { return Err(usage(error)) };
            meter.note(format!("the bars end on {}, the last cached session: {error}", cached.last));
            Ok(cached)
        }
        Err(error) => Err(usage(error)),
    }
}

/// Returns the session dates of a run, warm-up sessions included; `None` if it gives no dates.
fn requested(run: &RunSection, warmup: usize) -> anyhow::Result<Option<DateRange>> {
    let window = run.window();
    if window.from.is_none() && window.intraday_days.is_none() {
        return Ok(None);
    }
    requested_sessions(run, warmup).map(Some)
}

/// Returns the session dates of a run up to the last finished session, warm-up sessions included.
///
/// # Errors
/// An empty or impossible range of dates.
pub fn requested_sessions(run: &RunSection, warmup: usize) -> anyhow::Result<DateRange> {
    let window = run.window();
    let last = last_final(SystemClock.now_ms())
        .ok_or_else(|| UsageError::one("today's date is outside the calendar of sessions"))?;
    let window = Window { to: window.to.map(|to| to.min(last)), ..window };
    let DateRange { first, last } = window.dates(last)?;
    Ok(DateRange { first: with_warmup(first.max(calendar::FIRST_DATE), warmup), last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_back_from_the_last_finished_session() {
        let requested = |end_date| {
            let run = RunSection { end_date, intraday_days: 30, ..RunSection::default() };
            requested_sessions(&run, 1).unwrap()
        };
        let ahead = requested(Some(calendar::LAST_DATE));
        assert_eq!(ahead, requested(None), "a last date in the future means the last finished session");
        assert_eq!(ahead.last, last_final(SystemClock.now_ms()).unwrap());
        let past = requested(Some(jiff::civil::date(2025, 7, 3)));
        assert_eq!((past.first, past.last), (jiff::civil::date(2025, 6, 3), jiff::civil::date(2025, 7, 3)));
    }
}
