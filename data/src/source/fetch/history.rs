//! Histories from the cache after a fetch: bars of the symbols, and the volatility indices.

use jiff::{ToSpan as _, civil::Date};

use super::{FetchOptions, FetchSummary, Fetcher, Plan, last_final, refusals::Refusals};
use crate::{
    BarFormat, DataError, DateRange, FileRecord, History, Symbol, Volatility, calendar,
    columns::ColumnInputs,
    source::{
        cache::{Cache, Kind},
        files::trust::Trust,
        vendor::{Refusal, Vendor, VendorError},
    },
};

/// Every date.
const ALL: DateRange = DateRange { first: Date::MIN, last: Date::MAX };

/// Maximum number of missing last sessions for a run whose vendor cannot be reached.
const MAX_MISSING_SESSIONS: usize = 5;

/// Calendar days of daily closes before the first session: a long weekend, and a margin.
const DAILY_MARGIN_DAYS: i64 = 10;

/// Contents of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRequest {
    /// The symbols.
    pub symbols: Vec<Symbol>,
    /// The sessions, warm-up sessions included.
    pub dates: DateRange,
    /// True if the volatility indices are included.
    pub volatility: bool,
    /// Options of the fetch.
    pub options: FetchOptions,
}

impl Fetcher<'_> {
    /// Fetches the missing sessions of a history.
    ///
    /// The volatility indices are included if the plan has them. If it has not, a note reports it and the refusal is cached
    /// for a week. A vendor that cannot be reached is a note as well, as far as the indices are concerned.
    ///
    /// # Errors
    /// Refused requests and malformed responses of the bars themselves, or a cache that cannot be written.
    pub fn fetch_history(
        &self,
        request: &HistoryRequest,
        planned: &mut dyn FnMut(&Plan),
    ) -> Result<FetchSummary, VendorError> {
        let HistoryRequest { symbols, dates, options, .. } = request;
        let mut fetched = self.fetch(symbols, *dates, *options, planned)?;
        self.note_omissions(&fetched);
        if request.volatility {
            let mut refusals = Refusals::read(&self.refusals_file());
            let more = self.volatility(request, &mut refusals, planned);
            // Refusals are saved even after another error.
            refusals.write(&self.refusals_file())?;
            let more = more?;
            (fetched.sessions, fetched.rows) = (fetched.sessions + more.sessions, fetched.rows + more.rows);
        }
        Ok(fetched)
    }

    /// Adds notes on sessions and rows that were left out.
    fn note_omissions(&self, fetched: &FetchSummary) {
        for (symbol, lost) in &fetched.refused {
            self.progress.note(format!("{symbol}: {lost} sessions are older than the history of this plan; left out"));
        }
        for fault in &fetched.bad {
            self.progress.note(format!("left out: {fault}"));
        }
        if fetched.empty > 0 {
            self.progress.note(format!("{} sessions have no bars; recorded as empty", fetched.empty));
        }
    }

    /// Fetches minute bars of VIX1D and VIX and daily closes of VIX, each if available.
    fn volatility(
        &self,
        request: &HistoryRequest,
        refusals: &mut Refusals,
        planned: &mut dyn FnMut(&Plan),
    ) -> Result<FetchSummary, VendorError> {
        let mut total = FetchSummary::default();
        for name in ["VIX1D", "VIX"] {
            let symbol = Symbol::new(name).map_err(DataError::from)?;
            if request.symbols.contains(&symbol) {
                continue;
            }
            let one = std::slice::from_ref(&symbol);
            let wanted = self.plan(one, request.dates, request.options).is_ok_and(|plan| !plan.windows.is_empty());
            let mut ask = || self.fetch(one, request.dates, request.options, planned);
            if let Some(fetched) =
                self.unless_refused(refusals, &format!("{name} by the minute"), request, wanted, &mut ask)?
            {
                refusals.take_floors(&Refusals::read(&self.refusals_file()));
                self.note_omissions(&fetched);
                (total.sessions, total.rows) = (total.sessions + fetched.sessions, total.rows + fetched.rows);
            }
        }
        let vix = Symbol::new("VIX").map_err(DataError::from)?;
        let wanted = self.vendor.check(&vix).is_ok() && !self.covered(&vix, request.dates)?;
        self.unless_refused(refusals, "VIX by the day", request, wanted, &mut || self.daily(&vix, request.dates))?;
        Ok(total)
    }

    /// Makes a request if it is `wanted`, unless the plan refused it within a week. A refusal becomes a note.
    fn unless_refused<T>(
        &self,
        refusals: &mut Refusals,
        what: &str,
        request: &HistoryRequest,
        wanted: bool,
        ask: &mut dyn FnMut() -> Result<T, VendorError>,
    ) -> Result<Option<T>, VendorError> {
        let now_ms = self.clock.now_ms();
        if !wanted {
            return Ok(None);
        }
        if let Some((asked, message)) = refusals.refused(what, now_ms).filter(|_| !request.options.retry_empty) {
            self.progress.note(format!("no {what}: refused on {asked}: {message}"));
            return Ok(None);
        }
        match ask() {
            Ok(done) => {
                refusals.allow(what);
                Ok(Some(done))
            }
            Err(
                error @ (VendorError::Refused { .. } | VendorError::NotFound { .. } | VendorError::Unsupported { .. }),
            ) => {
                self.progress.note(format!("no {what}: {error}"));
                // A refusal of some dates does not apply to others.
                if !matches!(error.refusal(), Some(Refusal::Timeframe | Refusal::Today)) {
                    refusals.refuse(what, error.to_string(), now_ms);
                }
                Ok(None)
            }
            Err(error) if error.is_unreachable() && !request.symbols.is_empty() => {
                self.progress.note(format!("no {what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the dates of the daily closes for some sessions, including the days before a long weekend.
    fn daily_dates(&self, dates: DateRange) -> DateRange {
        let last = last_final(self.clock.now_ms()).unwrap_or(dates.last).min(dates.last);
        DateRange { first: dates.first.saturating_sub(DAILY_MARGIN_DAYS.days()), last }
    }

    /// Returns true if the cached daily closes cover some sessions up to the last.
    fn covered(&self, symbol: &Symbol, dates: DateRange) -> Result<bool, DataError> {
        let DateRange { first, last } = self.daily_dates(dates);
        let asked = self.cache.daily_asked_from(self.vendor.name(), symbol)?;
        if asked.is_none_or(|asked| asked > first) {
            return Ok(false);
        }
        let Some((days, _)) = self.cache.load_daily(self.vendor.name(), symbol, DateRange { first, last })? else {
            return Ok(false);
        };
        let sessions = calendar::sessions(first, last);
        Ok(sessions.last().is_none_or(|last| days.contains(last.date)))
    }

    fn daily(&self, symbol: &Symbol, dates: DateRange) -> Result<(), VendorError> {
        let DateRange { mut first, mut last } = self.daily_dates(dates);
        // The file holds one range, so that cached dates are requested again in the same call.
        if let Some(asked) = self.cache.daily_asked_from(self.vendor.name(), symbol)? {
            first = first.min(asked);
        }
        if let Some((days, _)) = self.cache.load_daily(self.vendor.name(), symbol, ALL)?
            && let Some(held) = days.span()
        {
            last = last.max(held.last);
        }
        let mut days = self.daily_within_plan(symbol, DateRange { first, last })?;
        days.retain(|(date, close)| *date <= last && close.is_finite() && *close > 0.0);
        days.sort_by_key(|(date, _)| *date);
        days.dedup_by_key(|(date, _)| *date);
        if days.is_empty() { Ok(()) } else { self.cache.store_daily(self.vendor.name(), symbol, &days, first) }
    }

    /// Requests daily closes, limited to the dates that the plan includes.
    fn daily_within_plan(&self, symbol: &Symbol, mut dates: DateRange) -> Result<Vec<(Date, f64)>, VendorError> {
        let today = self.today();
        let mut floors = self.vendor.floors(today).into_iter();
        loop {
            let error = match self.vendor.daily_closes(symbol, dates) {
                Err(error) if error.refusal().is_some() => error,
                done => return done,
            };
            match error.refusal() {
                Some(Refusal::Today) if dates.last >= today.saturating_sub(3.days()) && dates.first < dates.last => {
                    dates.last = dates.last.saturating_sub(1.day());
                }
                // The message is the same for dates that are too recent and dates that are too old.
                Some(Refusal::Timeframe) if dates.last >= today && dates.first < today => {
                    dates.last = today.saturating_sub(1.day());
                }
                Some(Refusal::Timeframe) => match floors.find(|floor| dates.first < *floor && *floor <= dates.last) {
                    Some(floor) => dates.first = floor,
                    None if dates.last >= today.saturating_sub(3.days()) && dates.first < dates.last => {
                        dates.last = dates.last.saturating_sub(1.day());
                    }
                    None => return Err(error),
                },
                _ => return Err(error),
            }
        }
    }

    /// Returns the part of `dates` that the cache holds of all symbols, if only a few of the last sessions are missing. A run
    /// can use it when the vendor cannot be reached.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn cached_range(&self, symbols: &[Symbol], dates: DateRange) -> Result<Option<DateRange>, DataError> {
        let refusals = Refusals::read(&self.refusals_file());
        let mut last = dates.last;
        for symbol in symbols {
            let cached = self.series(symbol).sessions(dates)?;
            let reach = self.vendor.first_date(self.today()).max(refusals.last_floor(symbol)).unwrap_or(Date::MIN);
            let sessions = calendar::sessions(dates.first.max(reach), dates.last);
            let whole = sessions.iter().take_while(|session| cached.contains_key(&session.date)).last();
            let Some(whole) = whole else { return Ok(None) };
            last = last.min(whole.date);
        }
        let missing = calendar::sessions(last.saturating_add(1.day()), dates.last).len();
        Ok((missing <= MAX_MISSING_SESSIONS).then_some(DateRange { first: dates.first, last }))
    }
}

impl Cache {
    /// Returns the cached history of some dates under the checks of files. Makes no request. A symbol without bars is an empty
    /// series. Cached times are instants, so that of `format` only [`BarFormat::allow_suspicious`] counts.
    ///
    /// # Errors
    /// A cache that cannot be read, times that contradict the exchange's day, prices off by a factor.
    pub fn history(
        &self,
        vendor: &dyn Vendor,
        symbols: &[Symbol],
        dates: DateRange,
        format: &BarFormat,
    ) -> Result<History, DataError> {
        let format = BarFormat { allow_suspicious: format.allow_suspicious, ..BarFormat::default() };
        let mut trust = Trust::of_vendor(format);
        let mut files: Vec<FileRecord> = Vec::new();
        let mut series = |symbol: &Symbol, dates: DateRange| {
            let series = self.series(vendor.name(), vendor.adjustment(), Kind::Minute, symbol);
            let (bars, read) = series.bars(dates)?;
            files.extend(read);
            Ok::<_, DataError>(bars)
        };
        let bars = symbols.iter().map(|symbol| series(symbol, dates)).collect::<Result<Vec<_>, _>>()?;
        // Indices may be ahead of the symbols: minutes after the symbols' last bar do not belong to this history.
        let last = bars.iter().filter_map(|bars| bars.ts_ns().last()).max();
        let dates = DateRange { last: last.map_or(dates.last, |&last| calendar::exchange_date(last)), ..dates };
        let mut index =
            |name: &str| Ok::<_, DataError>(Some(series(&Symbol::new(name)?, dates)?).filter(|bars| !bars.is_empty()));
        let (vix1d, vix) = (index("VIX1D")?, index("VIX")?);
        bars.iter().try_for_each(|bars| trust.bars(bars.origin(), bars, true))?;
        [&vix1d, &vix].into_iter().flatten().try_for_each(|bars| trust.index(bars.origin(), bars, true))?;
        let before = DateRange { first: dates.first.saturating_sub(DAILY_MARGIN_DAYS.days()), last: dates.last };
        let daily = self.load_daily(vendor.name(), &Symbol::new("VIX")?, before)?;
        let daily = daily.map(|(days, file)| trust.closes(&file.path, &days).map(|()| (days, file))).transpose()?;
        let daily = daily.map(|(days, file)| {
            files.push(file);
            days
        });
        let volatility = Volatility::new(vix1d.as_ref(), vix.as_ref(), daily);
        let columns = ColumnInputs::default();
        Ok(History { bars, volatility, files, synthetic: false, notes: trust.into_notes(), columns })
    }

    /// Returns the dates of the first and last cached session of any of the symbols.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn span(&self, vendor: &dyn Vendor, symbols: &[Symbol]) -> Result<Option<DateRange>, DataError> {
        let mut all: Option<DateRange> = None;
        for symbol in symbols {
            if let Some(span) = self.series(vendor.name(), vendor.adjustment(), Kind::Minute, symbol).span()? {
                let joint = all.unwrap_or(span);
                all = Some(DateRange { first: joint.first.min(span.first), last: joint.last.max(span.last) });
            }
        }
        Ok(all)
    }
}

/// Returns the first date of a fetch that includes `warmup` sessions before `first`.
#[must_use]
pub fn with_warmup(first: Date, warmup: usize) -> Date {
    let back = i64::try_from(warmup * 2 + 10).unwrap_or(i64::MAX);
    let before = calendar::sessions(first.saturating_sub(back.days()), first.saturating_sub(1.day()));
    before[before.len().saturating_sub(warmup)..].first().map_or(first, |session| session.date)
}
