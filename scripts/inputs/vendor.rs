//! Vendors as a run asks them: with keys, addresses and a pace, and with the cache in `run.data_dir` in between.

use market_data::{
    DataConfig, DateRange, History, Symbol, Window, calendar,
    source::{
        cache::Cache,
        fetch::{FetchOptions, Fetcher, Needs, last_final, with_warmup},
        vendor::{
            Clock, OptionVendor, Pace, Progress, Vendor, VendorError,
            alpaca::{self, Alpaca},
            massive::{
                self, Massive,
                flat_files::{self, FlatFiles},
            },
            yahoo::{self, Yahoo},
        },
    },
};

use crate::{
    config::{DataSource, RunConfig, RunSection},
    inputs::credentials::{Credentials, address},
    output::{clock::SystemClock, exit_code::UsageError},
};

pub use crate::output::progress::{Meter, estimate};

/// A vendor that can be asked.
#[derive(Debug)]
pub enum Service<'a> {
    /// Massive's service.
    Massive(Massive<'a>),
    /// Massive's flat files.
    FlatFiles(FlatFiles<'a>),
    /// Alpaca.
    Alpaca(Alpaca<'a>),
    /// Yahoo's chart.
    Yahoo(Yahoo<'a>),
}

impl<'a> Service<'a> {
    /// Returns the vendor of a source. Without a key it can be asked nothing, but what is in the cache can be used.
    ///
    /// # Errors
    /// [`UsageError`] for a source that is no vendor, or keys and addresses that cannot be used.
    pub fn open(
        source: DataSource,
        data: &DataConfig,
        symbols: &[Symbol],
        cache: &Cache,
        clock: &'a dyn Clock,
        progress: &'a dyn Progress,
    ) -> anyhow::Result<Self> {
        let keys = Credentials::read();
        let pace = |vendor: &str, calls: u32| Pace::new(calls, &cache.calls(vendor));
        Ok(match source {
            DataSource::Massive if data.massive.flat_files => {
                let base = address("MASSIVE_S3_BASE_URL", flat_files::BASE).map_err(usage)?;
                let pair = keys.pair(&flat_files::KEYS).map_err(usage)?;
                let pair = pair.as_ref().map(|[(access, _), (secret, _)]| (access, secret));
                Self::FlatFiles(FlatFiles::new(base, pair, symbols, clock, progress)?)
            }
            DataSource::Massive => {
                let base = address("MASSIVE_API_BASE_URL", massive::BASE).map_err(usage)?;
                let key = keys.first(&massive::KEYS).map_err(usage)?;
                if key.as_ref().is_some_and(|(_, name)| *name == massive::KEYS[1]) {
                    progress.note(format!(
                        "using the key in {}; its newer name is {}",
                        massive::KEYS[1],
                        massive::KEYS[0]
                    ));
                }
                let key = key.as_ref().map(|(key, name)| (key, *name));
                Self::Massive(Massive::new(base, key, pace("massive", data.massive.calls_per_minute), clock, progress))
            }
            DataSource::Alpaca => {
                let base = address("APCA_API_DATA_URL", alpaca::BASE).map_err(usage)?;
                let pair = keys.pair(&alpaca::KEYS).map_err(usage)?;
                let pair = pair.as_ref().map(|pair| pair.each_ref().map(|(key, name)| (key, *name)));
                let pace = pace("alpaca", data.alpaca.calls_per_minute);
                Self::Alpaca(Alpaca::new(base, pair, data.alpaca.feed, pace, clock, progress))
            }
            DataSource::Yahoo => {
                let base = address("YAHOO_API_BASE_URL", yahoo::BASE).map_err(usage)?;
                Self::Yahoo(Yahoo::new(base, pace("yahoo", data.yahoo.calls_per_minute), clock, progress))
            }
            DataSource::Files | DataSource::Synthetic => {
                return Err(UsageError::one("run.data_source: name a vendor: massive, alpaca or yahoo").into());
            }
        })
    }

    /// Returns the vendor.
    pub fn vendor(&self) -> &dyn Vendor {
        match self {
            Self::Massive(vendor) => vendor,
            Self::FlatFiles(vendor) => vendor,
            Self::Alpaca(vendor) => vendor,
            Self::Yahoo(vendor) => vendor,
        }
    }

    /// Returns the vendor of option bars, if it has them.
    pub fn options(&self) -> Option<&dyn OptionVendor> {
        match self {
            Self::Massive(vendor) => Some(vendor),
            Self::FlatFiles(vendor) => Some(vendor),
            Self::Alpaca(vendor) => Some(vendor),
            Self::Yahoo(_) => None,
        }
    }
}

/// Turns what the user can put right into a fault of usage.
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

/// Returns the history that a run asks for: from the cache, after what is missing there was fetched.
///
/// Who names no date gets all that is in the cache, and nobody is asked. Who names no last date, and cannot ask, goes on with
/// what there is, if no more than a few of the last sessions are missing; a note says so.
///
/// # Errors
/// What the vendor refuses or garbles, a missing key, or a cache that cannot be read or written.
pub fn history(config: &RunConfig) -> anyhow::Result<History> {
    let run = &config.run;
    let (cache, meter) = (Cache::new(&run.data_dir), Meter::new());
    let service = Service::open(run.data_source, &config.data, &run.symbols, &cache, &SystemClock, &meter)?;
    let fetcher = Fetcher { vendor: service.vendor(), cache: &cache, clock: &SystemClock, progress: &meter };
    let dates = match asked_for(run, config.data.warmup_sessions)? {
        Some(dates) => filled(&fetcher, run, dates, &meter)?,
        None => cache.span(fetcher.vendor, &run.symbols)?.ok_or_else(|| {
            let folder = cache.folder(fetcher.vendor.name());
            let text =
                format!("{} holds no bars yet; name dates with --intraday-days or --start-date", folder.display());
            UsageError::one(text)
        })?,
    };
    let mut history = cache.history(fetcher.vendor, &run.symbols, dates)?;
    history.notes = meter.notes();
    Ok(history)
}

/// Fetches what is missing of some dates, and returns those that a run can have.
fn filled(fetcher: &Fetcher<'_>, run: &RunSection, dates: DateRange, meter: &Meter) -> anyhow::Result<DateRange> {
    let needs = Needs { symbols: run.symbols.clone(), dates, volatility: true, wishes: FetchOptions::default() };
    meter.limit(fetcher.vendor.calls_per_minute());
    let fetched = fetcher.gather(&needs, &mut |plan| meter.plan(fetcher.vendor.name(), plan));
    meter.stop();
    match fetched {
        Ok(_) => Ok(dates),
        Err(error) if error.is_out_of_touch() => {
            // Who names the last date means it.
            let kept = fetcher.kept(&run.symbols, dates)?;
            let kept = kept.filter(|kept| run.end_date.is_none() || kept.last == dates.last);
            let Some(kept) = kept else { return Err(usage(error)) };
            meter.note(format!("the bars end on {}, as they are kept: {error}", kept.last));
            Ok(kept)
        }
        Err(error) => Err(usage(error)),
    }
}

/// Returns the dates of the sessions that a run asks for, with those that warm indicators up; nothing if it names none.
fn asked_for(run: &RunSection, warmup: usize) -> anyhow::Result<Option<DateRange>> {
    let window = run.window();
    if window.from.is_none() && window.intraday_days.is_none() {
        return Ok(None);
    }
    sessions_asked_for(run, warmup).map(Some)
}

/// Returns the dates of the sessions that are asked for, up to the last that is over, with those that warm indicators up.
///
/// # Errors
/// Dates that make no sense.
pub fn sessions_asked_for(run: &RunSection, warmup: usize) -> anyhow::Result<DateRange> {
    let window = run.window();
    let last =
        last_final(SystemClock.now_ms()).ok_or_else(|| UsageError::one("the calendar does not know today's date"))?;
    let window = Window { to: window.to.map(|to| to.min(last)), ..window };
    let DateRange { first, last } = window.dates(last)?;
    Ok(DateRange { first: with_warmup(first.max(calendar::FIRST_DATE), warmup), last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_the_last_session_that_is_over() {
        let asked = |end_date| {
            let run = RunSection { end_date, intraday_days: 30, ..RunSection::default() };
            sessions_asked_for(&run, 1).unwrap()
        };
        let ahead = asked(Some(calendar::LAST_DATE));
        assert_eq!(ahead, asked(None), "a last date ahead means the last that there is");
        assert_eq!(ahead.last, last_final(SystemClock.now_ms()).unwrap());
        let past = asked(Some(jiff::civil::date(2025, 7, 3)));
        assert_eq!((past.first, past.last), (jiff::civil::date(2025, 6, 3), jiff::civil::date(2025, 7, 3)));
    }
}
