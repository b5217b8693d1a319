//! A history from the cache, filled up before: bars of the symbols, and what is published about volatility.

use jiff::{ToSpan as _, civil::Date};

use super::{FetchOptions, Fetched, Fetcher, Plan, last_final, refusals::Refusals};
use crate::{
    DataError, DateRange, FileRecord, History, Symbol, Volatility, calendar,
    source::{
        cache::{Cache, Kind},
        vendor::{Refusal, Vendor, VendorError},
    },
};

/// Every date.
const ALL: DateRange = DateRange { first: Date::MIN, last: Date::MAX };

/// Sessions at the end that a run may go without when the vendor cannot be asked.
const MISSING_AT_MOST: usize = 5;

/// Calendar days before the first session whose daily closes are wanted: a long weekend, and some to spare.
const CLOSES_BEFORE: i64 = 10;

/// What a history is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    /// The symbols.
    pub symbols: Vec<Symbol>,
    /// The sessions, those that warm indicators up included.
    pub dates: DateRange,
    /// Whether the volatility indices are wanted.
    pub volatility: bool,
    /// How to fetch.
    pub wishes: FetchOptions,
}

impl Fetcher<'_> {
    /// Fetches what is missing of a history, and tells what was done.
    ///
    /// The volatility indices are taken along as far as the plan of the key has them; where it has not, that is a note, and
    /// the next runs do not ask again for a week. Nor does a history fail for them when the vendor cannot be asked.
    ///
    /// # Errors
    /// What the vendor refuses or garbles of the bars themselves, or a cache that cannot be written.
    pub fn gather(&self, needs: &Needs, planned: &mut dyn FnMut(&Plan)) -> Result<Fetched, VendorError> {
        let Needs { symbols, dates, wishes, .. } = needs;
        let mut fetched = self.fetch(symbols, *dates, *wishes, planned)?;
        self.tell(&fetched);
        if needs.volatility {
            let mut noes = Refusals::read(&self.noes());
            let more = self.volatility(needs, &mut noes, planned);
            // What was refused is remembered even where something else went wrong.
            noes.write(&self.noes())?;
            let more = more?;
            (fetched.sessions, fetched.rows) = (fetched.sessions + more.sessions, fetched.rows + more.rows);
        }
        Ok(fetched)
    }

    /// Notes what was left out.
    fn tell(&self, fetched: &Fetched) {
        for (symbol, lost) in &fetched.refused {
            self.progress
                .note(format!("{symbol}: {lost} sessions are older than the plan of this key reaches; left out"));
        }
        for fault in &fetched.bad {
            self.progress.note(format!("left out: {fault}"));
        }
        if fetched.empty > 0 {
            self.progress.note(format!("{} sessions came without a bar, which is believed from now on", fetched.empty));
        }
    }

    /// Fetches VIX1D and VIX by the minute and VIX by the day, each if it can be had.
    fn volatility(
        &self,
        needs: &Needs,
        noes: &mut Refusals,
        planned: &mut dyn FnMut(&Plan),
    ) -> Result<Fetched, VendorError> {
        let mut total = Fetched::default();
        for name in ["VIX1D", "VIX"] {
            let symbol = Symbol::new(name)?;
            if needs.symbols.contains(&symbol) {
                continue;
            }
            let one = std::slice::from_ref(&symbol);
            let wanted = self.plan(one, needs.dates, needs.wishes).is_ok_and(|plan| !plan.windows.is_empty());
            let mut ask = || self.fetch(one, needs.dates, needs.wishes, planned);
            if let Some(fetched) =
                self.unless_refused(noes, &format!("{name} by the minute"), needs, wanted, &mut ask)?
            {
                noes.take_floors(&Refusals::read(&self.noes()));
                self.tell(&fetched);
                (total.sessions, total.rows) = (total.sessions + fetched.sessions, total.rows + fetched.rows);
            }
        }
        let vix = Symbol::new("VIX")?;
        let wanted = self.vendor.check(&vix).is_ok() && !self.covered(&vix, needs.dates)?;
        self.unless_refused(noes, "VIX by the day", needs, wanted, &mut || self.daily(&vix, needs.dates))?;
        Ok(total)
    }

    /// Asks, if it is `wanted`, unless it was refused within a week. A refusal is noted.
    fn unless_refused<T>(
        &self,
        noes: &mut Refusals,
        what: &str,
        needs: &Needs,
        wanted: bool,
        ask: &mut dyn FnMut() -> Result<T, VendorError>,
    ) -> Result<Option<T>, VendorError> {
        let now_ms = self.clock.now_ms();
        if !wanted {
            return Ok(None);
        }
        if let Some((asked, said)) = noes.refused(what, now_ms).filter(|_| !needs.wishes.retry_empty) {
            self.progress.note(format!("no {what}: refused at {asked}: {said}"));
            return Ok(None);
        }
        match ask() {
            Ok(done) => {
                noes.allow(what);
                Ok(Some(done))
            }
            Err(
                error @ (VendorError::Refused { .. } | VendorError::NotFound { .. } | VendorError::Unsupported { .. }),
            ) => {
                self.progress.note(format!("no {what}: {error}"));
                // That some dates are refused says nothing about others.
                if !matches!(error.refusal(), Some(Refusal::Timeframe | Refusal::Today)) {
                    noes.refuse(what, error.to_string(), now_ms);
                }
                Ok(None)
            }
            Err(error) if error.is_out_of_touch() && !needs.symbols.is_empty() => {
                self.progress.note(format!("no {what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the dates of the daily closes that some sessions need: the day before the first may be a long weekend away.
    fn daily_dates(&self, dates: DateRange) -> DateRange {
        let last = last_final(self.clock.now_ms()).unwrap_or(dates.last).min(dates.last);
        DateRange { first: dates.first.saturating_sub(CLOSES_BEFORE.days()), last }
    }

    /// Says whether the daily closes of some sessions were asked for, and came up to the last.
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
        Ok(sessions.last().is_none_or(|last| days.holds(last.date)))
    }

    fn daily(&self, symbol: &Symbol, dates: DateRange) -> Result<(), VendorError> {
        let DateRange { mut first, mut last } = self.daily_dates(dates);
        // One file, one range: what is there already is asked for again, in the same call.
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

    /// Asks for daily closes, moved where the plan of the key ends: no later than its yesterday, no earlier than it reaches.
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
                // Too recent, or too old: the words are the same.
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

    /// Returns the part of `dates` that the cache holds of all symbols, if only some of the last sessions are missing: what a
    /// run can go on with when the vendor cannot be asked.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn kept(&self, symbols: &[Symbol], dates: DateRange) -> Result<Option<DateRange>, DataError> {
        let noes = Refusals::read(&self.noes());
        let mut last = dates.last;
        for symbol in symbols {
            let there = self.shelf(symbol).sessions(dates)?;
            let reach = self.vendor.first_date(self.today()).max(noes.last_floor(symbol)).unwrap_or(Date::MIN);
            let sessions = calendar::sessions(dates.first.max(reach), dates.last);
            let whole = sessions.iter().take_while(|session| there.contains_key(&session.date)).last();
            let Some(whole) = whole else { return Ok(None) };
            last = last.min(whole.date);
        }
        let missing = calendar::sessions(last.saturating_add(1.day()), dates.last).len();
        Ok((missing <= MISSING_AT_MOST).then_some(DateRange { first: dates.first, last }))
    }
}

impl Cache {
    /// Returns the history of some dates as far as the cache holds it. Asks nobody.
    ///
    /// # Errors
    /// A cache that cannot be read. A symbol without a bar is an empty series.
    pub fn history(&self, vendor: &dyn Vendor, symbols: &[Symbol], dates: DateRange) -> Result<History, DataError> {
        let mut files: Vec<FileRecord> = Vec::new();
        let mut series = |symbol: &Symbol, dates: DateRange| {
            let shelf = self.shelf(vendor.name(), vendor.adjustment(), Kind::Minute, symbol);
            let (bars, read) = shelf.bars(dates)?;
            files.extend(read);
            Ok::<_, DataError>(bars)
        };
        let bars = symbols.iter().map(|symbol| series(symbol, dates)).collect::<Result<Vec<_>, _>>()?;
        // Indices may be ahead of the symbols: what comes after their last bar is none of this history.
        let last = bars.iter().filter_map(|bars| bars.ts_ns().last()).max();
        let dates = DateRange { last: last.map_or(dates.last, |&last| calendar::exchange_date(last)), ..dates };
        let mut index =
            |name: &str| Ok::<_, DataError>(Some(series(&Symbol::new(name)?, dates)?).filter(|bars| !bars.is_empty()));
        let (vix1d, vix) = (index("VIX1D")?, index("VIX")?);
        let before = DateRange { first: dates.first.saturating_sub(CLOSES_BEFORE.days()), last: dates.last };
        let daily = self.load_daily(vendor.name(), &Symbol::new("VIX")?, before)?;
        let daily = daily.map(|(days, file)| {
            files.push(file);
            days
        });
        let volatility = Volatility::new(vix1d.as_ref(), vix.as_ref(), daily);
        Ok(History { bars, volatility, files, synthetic: false, notes: Vec::new() })
    }

    /// Returns the dates from the first to the last session that the cache holds of any of the symbols.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn span(&self, vendor: &dyn Vendor, symbols: &[Symbol]) -> Result<Option<DateRange>, DataError> {
        let mut all: Option<DateRange> = None;
        for symbol in symbols {
            if let Some(span) = self.shelf(vendor.name(), vendor.adjustment(), Kind::Minute, symbol).span()? {
                let joint = all.unwrap_or(span);
                all = Some(DateRange { first: joint.first.min(span.first), last: joint.last.max(span.last) });
            }
        }
        Ok(all)
    }
}

/// Returns the first date to fetch so that `warmup` sessions lie before `first`.
#[must_use]
pub fn with_warmup(first: Date, warmup: usize) -> Date {
    let back = i64::try_from(warmup * 2 + 10).unwrap_or(i64::MAX);
    let before = calendar::sessions(first.saturating_sub(back.days()), first.saturating_sub(1.day()));
    before[before.len().saturating_sub(warmup)..].first().map_or(first, |session| session.date)
}
