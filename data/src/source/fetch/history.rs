//! A history from the cache, filled up before: bars of the symbols, and what is published about volatility.

use std::{collections::BTreeMap, fs, path::PathBuf};

use jiff::{Timestamp, ToSpan as _, civil::Date};
use serde::{Deserialize, Serialize};

use super::{Fetched, Plan, Wishes, fetch, last_final, plan};
use crate::{
    DataError, DateRange, FileRecord, History, Symbol, Volatility, calendar,
    source::{
        cache::{Cache, Kind, part_of},
        vendor::{Clock, Progress, Refusal, Vendor, VendorError},
    },
};

/// A refusal is believed for so many days, then tried again.
const BELIEVED_DAYS: i64 = 7;

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
    pub wishes: Wishes,
}

/// What a plan refused: symbol, when it was asked, and the words.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Refusals(BTreeMap<String, (Timestamp, String)>);

/// Fetches what is missing of a history, and tells what was done.
///
/// The volatility indices are taken along as far as the plan of the key has them; where it has not, that is a note, and the
/// next runs do not ask again for a week.
///
/// # Errors
/// What the vendor refuses or garbles of the bars themselves, or a cache that cannot be written.
pub fn gather(
    vendor: &dyn Vendor,
    cache: &Cache,
    needs: &Needs,
    clock: &dyn Clock,
    progress: &dyn Progress,
    planned: &mut dyn FnMut(&Plan),
) -> Result<Fetched, VendorError> {
    let Needs { symbols, dates, wishes, .. } = needs;
    let mut fetched = fetch(vendor, cache, symbols, *dates, *wishes, clock, progress, planned)?;
    tell(&fetched, progress);
    if needs.volatility {
        let more = volatility(vendor, cache, needs, clock, progress, planned)?;
        (fetched.sessions, fetched.rows) = (fetched.sessions + more.sessions, fetched.rows + more.rows);
    }
    Ok(fetched)
}

/// Notes what was left out.
fn tell(fetched: &Fetched, progress: &dyn Progress) {
    for (symbol, lost) in &fetched.refused {
        progress.note(format!("{symbol}: {lost} sessions are older than the plan of this key reaches; left out"));
    }
    for fault in &fetched.bad {
        progress.note(format!("left out: {fault}"));
    }
    if fetched.empty > 0 {
        progress.note(format!("{} sessions came without a bar, which is believed from now on", fetched.empty));
    }
}

/// Fetches VIX1D and VIX by the minute and VIX by the day, each if it can be had.
fn volatility(
    vendor: &dyn Vendor,
    cache: &Cache,
    needs: &Needs,
    clock: &dyn Clock,
    progress: &dyn Progress,
    planned: &mut dyn FnMut(&Plan),
) -> Result<Fetched, VendorError> {
    let file = cache.folder(vendor.name()).join("refusals.json");
    let mut refusals = Refusals::read(&file);
    let done = volatility_unless_refused(&mut refusals, vendor, cache, needs, clock, progress, planned);
    // What was refused is remembered even where something else went wrong.
    refusals.write(&file)?;
    done
}

fn volatility_unless_refused(
    refusals: &mut Refusals,
    vendor: &dyn Vendor,
    cache: &Cache,
    needs: &Needs,
    clock: &dyn Clock,
    progress: &dyn Progress,
    planned: &mut dyn FnMut(&Plan),
) -> Result<Fetched, VendorError> {
    let mut total = Fetched::default();
    for name in ["VIX1D", "VIX"] {
        let symbol = Symbol::new(name)?;
        if needs.symbols.contains(&symbol) {
            continue;
        }
        let mut ask =
            || fetch(vendor, cache, std::slice::from_ref(&symbol), needs.dates, needs.wishes, clock, progress, planned);
        let missing = plan(vendor, cache, std::slice::from_ref(&symbol), needs.dates, clock.now_ms(), needs.wishes);
        let wanted = missing.is_ok_and(|plan| !plan.windows.is_empty());
        if let Some(fetched) =
            refusals.unless_refused(&format!("{name} by the minute"), wanted, clock, progress, &mut ask)?
        {
            tell(&fetched, progress);
            (total.sessions, total.rows) = (total.sessions + fetched.sessions, total.rows + fetched.rows);
        }
    }
    let vix = Symbol::new("VIX")?;
    let wanted = vendor.check(&vix).is_ok() && !covered(vendor, cache, &vix, needs.dates, clock)?;
    let mut ask = || daily(vendor, cache, &vix, needs.dates, clock);
    refusals.unless_refused("VIX by the day", wanted, clock, progress, &mut ask)?;
    Ok(total)
}

/// Returns the dates of the daily closes that some sessions need: the day before the first may be a long weekend away.
fn daily_dates(dates: DateRange, now_ms: i64) -> DateRange {
    let last = last_final(now_ms).unwrap_or(dates.last).min(dates.last);
    DateRange { first: dates.first.saturating_sub(CLOSES_BEFORE.days()), last }
}

fn covered(
    vendor: &dyn Vendor,
    cache: &Cache,
    symbol: &Symbol,
    dates: DateRange,
    clock: &dyn Clock,
) -> Result<bool, DataError> {
    let DateRange { first, last } = daily_dates(dates, clock.now_ms());
    let Some((days, _)) = cache.load_daily(vendor.name(), symbol, DateRange { first, last })? else { return Ok(false) };
    let sessions = calendar::sessions(first, last);
    let ends = sessions.first().zip(sessions.last());
    Ok(ends.is_none_or(|(first, last)| days.holds(first.date) && days.holds(last.date)))
}

fn daily(
    vendor: &dyn Vendor,
    cache: &Cache,
    symbol: &Symbol,
    dates: DateRange,
    clock: &dyn Clock,
) -> Result<(), VendorError> {
    let DateRange { mut first, mut last } = daily_dates(dates, clock.now_ms());
    // One file, one range: what is there already is asked for again, in the same call.
    if let Some((days, _)) = cache.load_daily(vendor.name(), symbol, DateRange { first: Date::MIN, last: Date::MAX })?
        && let Some(held) = days.span()
    {
        (first, last) = (first.min(held.first), last.max(held.last));
    }
    let mut days = daily_within_plan(vendor, symbol, DateRange { first, last }, clock)?;
    days.retain(|(date, close)| *date <= last && close.is_finite() && *close > 0.0);
    days.sort_by_key(|(date, _)| *date);
    days.dedup_by_key(|(date, _)| *date);
    if days.is_empty() { Ok(()) } else { cache.store_daily(vendor.name(), symbol, &days) }
}

/// Asks for daily closes, moved where the plan of the key ends: no later than its yesterday, no earlier than it reaches.
fn daily_within_plan(
    vendor: &dyn Vendor,
    symbol: &Symbol,
    mut dates: DateRange,
    clock: &dyn Clock,
) -> Result<Vec<(Date, f64)>, VendorError> {
    let today = calendar::exchange_date(clock.now_ms().saturating_mul(1_000_000));
    let mut floors = vendor.floors(today).into_iter();
    loop {
        let error = match vendor.daily_closes(symbol, dates) {
            Err(error) if error.refusal().is_some() => error,
            done => return done,
        };
        match error.refusal() {
            Some(Refusal::Today) if dates.last >= today.saturating_sub(3.days()) && dates.first < dates.last => {
                dates.last = dates.last.saturating_sub(1.day());
            }
            Some(Refusal::Timeframe) => match floors.find(|floor| dates.first < *floor && *floor <= dates.last) {
                Some(floor) => dates.first = floor,
                None => return Err(error),
            },
            _ => return Err(error),
        }
    }
}

impl Refusals {
    /// Reads what was refused; a file that cannot be understood refuses nothing.
    fn read(file: &PathBuf) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, file: &PathBuf) -> Result<(), VendorError> {
        if self.0.is_empty() && !file.exists() {
            return Ok(());
        }
        let fault = |source| VendorError::Cache { path: file.clone(), doing: "writing it", source };
        let text = serde_json::to_string_pretty(&self.0).map_err(std::io::Error::other).map_err(fault)?;
        let part = part_of(file);
        fs::create_dir_all(file.parent().unwrap_or(file)).map_err(fault)?;
        fs::write(&part, text).and_then(|()| fs::rename(&part, file)).map_err(fault)
    }

    /// Asks, if it is `wanted`, unless it was refused within a week. A refusal is noted.
    fn unless_refused<T>(
        &mut self,
        what: &str,
        wanted: bool,
        clock: &dyn Clock,
        progress: &dyn Progress,
        ask: &mut dyn FnMut() -> Result<T, VendorError>,
    ) -> Result<Option<T>, VendorError> {
        let now = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
        if !wanted {
            return Ok(None);
        }
        if let Some((asked, said)) = self.0.get(what)
            && now.duration_since(*asked).as_hours().abs() < BELIEVED_DAYS * 24
        {
            progress.note(format!("no {what}: refused at {asked}: {said}"));
            return Ok(None);
        }
        match ask() {
            Ok(done) => {
                self.0.remove(what);
                Ok(Some(done))
            }
            Err(
                error @ (VendorError::Refused { .. } | VendorError::NotFound { .. } | VendorError::Unsupported { .. }),
            ) => {
                progress.note(format!("no {what}: {error}"));
                self.0.insert(what.to_owned(), (now, error.to_string()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Cache {
    /// Returns the history of some dates as far as the cache holds it. Asks nobody.
    ///
    /// # Errors
    /// A cache that cannot be read. A symbol without a bar is an empty series.
    pub fn history(&self, vendor: &dyn Vendor, symbols: &[Symbol], dates: DateRange) -> Result<History, DataError> {
        let mut files: Vec<FileRecord> = Vec::new();
        let mut series = |symbol: &Symbol| {
            let shelf = self.shelf(vendor.name(), vendor.adjustment(), Kind::Minute, symbol);
            let (bars, read) = shelf.bars(dates)?;
            files.extend(read);
            Ok::<_, DataError>(bars)
        };
        let bars = symbols.iter().map(&mut series).collect::<Result<Vec<_>, _>>()?;
        let index = |name: &str, series: &mut dyn FnMut(&Symbol) -> Result<crate::Bars, DataError>| {
            Ok::<_, DataError>(Some(series(&Symbol::new(name)?)?).filter(|bars| !bars.is_empty()))
        };
        let (vix1d, vix) = (index("VIX1D", &mut series)?, index("VIX", &mut series)?);
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
