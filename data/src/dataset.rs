//! Sessions of a run, built from bars: window, grid, warm-up and volatility per symbol.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan, civil::Date};

use crate::{
    Bars, DataConfig, DataError, DateRange, GridReport, MissingAt, SessionBars, Symbol, VOLATILITY_SESSIONS,
    VolColumns, VolSource,
    calendar::{self, Session},
    columns::{AddedColumns, Wanted},
    grid::{self, SessionOutcome},
    history::{FileRecord, History},
    quality::OutlierCount,
};

/// Sessions before the window that are kept as history. Volatility needs [`VOLATILITY_SESSIONS`], the level of option prices
/// 30, and daily forecasters 30 before each of up to 60 rows.
pub const HISTORY_SESSIONS: usize = 90;

/// Dates to replay; by default all dates of the bars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// First date.
    pub from: Option<Date>,
    /// Last date; the date of the last bar if absent.
    pub to: Option<Date>,
    /// Calendar days up to and including the last date; with `from`, the later start of the two holds.
    pub intraday_days: Option<u32>,
}

impl Window {
    /// Returns the dates from first to last, where `last_bar` is the date of the newest bar.
    ///
    /// # Errors
    /// [`DataError::EmptyRange`] if the first date lies after the last, [`DataError::WindowDays`] for an impossible
    /// number of days.
    pub fn dates(&self, last_bar: Date) -> Result<DateRange, DataError> {
        let last = self.to.unwrap_or(last_bar);
        let mut first = self.from.unwrap_or(calendar::FIRST_DATE);
        if let Some(days) = self.intraday_days {
            if !(1..=20_000).contains(&days) {
                return Err(DataError::WindowDays { days, last });
            }
            first = first.max(last.saturating_sub((i64::from(days) - 1).days()));
        }
        if first > last {
            return Err(DataError::EmptyRange { first, last });
        }
        Ok(DateRange { first, last })
    }
}

/// Sessions of one symbol, ascending by date, with their volatility.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolSessions {
    /// The symbol.
    pub symbol: Symbol,
    /// Number of leading entries of `days` that warm up indicators and volatility and are never traded.
    pub warmup: usize,
    /// The sessions, warm-up first.
    pub days: Vec<SessionBars>,
    /// Volatility, one entry per entry of `days`.
    pub vol: Vec<VolColumns>,
    /// Minutes filled, sessions refused, and bars left out.
    pub report: GridReport,
    /// Suspicious prices of the window and of the sessions that its volatility depends on.
    pub outliers: OutlierCount,
    /// Columns of the user, one entry per entry of `days`.
    pub added: AddedColumns,
}

impl SymbolSessions {
    /// Returns one sentence on the source of volatility in the traded sessions.
    pub fn volatility_report(&self) -> String {
        let mut sessions: BTreeMap<VolSource, usize> = BTreeMap::new();
        let traded = &self.vol[self.warmup..];
        traded.iter().for_each(|vol| *sessions.entry(vol.atm_source).or_default() += 1);
        let sources: Vec<String> = sessions.iter().map(|(source, count)| format!("{source} on {count}")).collect();
        let stale: usize = traded.iter().map(|vol| vol.stale_minutes).sum();
        let stale =
            if stale > 0 { format!("; {stale} minutes carry a value more than an hour old") } else { String::new() };
        format!("{}: volatility from {} sessions{stale}.", self.symbol, sources.join(", from "))
    }

    /// Returns one sentence on the traded sessions that have less history than they need, if there are any: the session
    /// before, and [`VOLATILITY_SESSIONS`] sessions where the volatility is realised.
    pub fn history_report(&self) -> Option<String> {
        let is_realised = |vol: &VolColumns| [vol.atm_source, vol.vix_source].contains(&VolSource::Realised);
        let needed = |day: &usize| if is_realised(&self.vol[*day]) { VOLATILITY_SESSIONS } else { 1 };
        let short: Vec<usize> = (self.warmup..self.days.len()).filter(|day| *day < needed(day)).collect();
        let date = |day: usize| self.days[day].session.date;
        let (first, last) = (*short.first()?, *short.last()?);
        Some(format!(
            "{}: {} sessions, {} to {}, have less history than the {} sessions that they need; the bars start on {}.",
            self.symbol,
            short.len(),
            date(first),
            date(last),
            needed(&first),
            date(0)
        ))
    }

    /// Returns the number of minutes without a bar in the traded sessions.
    pub fn minutes_without_bar(&self) -> usize {
        self.days[self.warmup..].iter().flat_map(|day| &day.filled).filter(|filled| **filled).count()
    }
}

/// Sessions of all symbols of a run.
///
/// ```
/// use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic};
///
/// let mut config = DataConfig::default();
/// config.synthetic.sessions_to = "2024-02-29".parse()?;
/// let history = synthetic::generate(&config.synthetic, &[Symbol::new("SPY")?, Symbol::new("QQQ")?])?;
/// let window = Window { from: Some("2024-02-01".parse()?), ..Window::default() };
/// let dataset = Dataset::build(&history, &window, &config)?;
/// assert_eq!((dataset.symbols.len(), dataset.dates.len()), (2, 20));
/// // Sessions of January warm the indicators up and are not traded.
/// let spy = &dataset.symbols[0];
/// assert_eq!(spy.days.len() - spy.warmup, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// One entry per symbol, in the requested order.
    pub symbols: Vec<SymbolSessions>,
    /// Dates on which at least one symbol is traded, ascending, without warm-up.
    pub dates: Vec<Date>,
    /// True for synthetic bars.
    pub synthetic: bool,
    /// The files read.
    pub files: Vec<FileRecord>,
    /// Notes on the origin of the bars, one sentence each.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Extracts the sessions of `window` from every series of `history`.
    ///
    /// The warm-up of a symbol consists of its last [`HISTORY_SESSIONS`] sessions before the window: more than anything in a session
    /// depends on, so that a session is the same in every window, and at least `warmup_sessions`. If the bars do not reach back as far as
    /// `warmup_sessions`, the first sessions of the window are used instead, so that a traded session always has warm
    /// indicators. The report covers the window and `warmup_sessions` sessions before it.
    ///
    /// # Errors
    /// An impossible window, bars off the whole minute, a symbol without a session in the window, or a column that the configuration
    /// names and the history lacks.
    pub fn build(history: &History, window: &Window, config: &DataConfig) -> Result<Self, DataError> {
        let mut spans = Vec::with_capacity(history.bars.len());
        for bars in &history.bars {
            grid::check_minutes(bars)?;
            spans.push(span(bars)?);
        }
        let last_bar = spans.iter().map(|span| span.last).max().ok_or(DataError::NoSymbols)?;
        let range = window.dates(last_bar)?;
        let symbols = history
            .bars
            .iter()
            .zip(&spans)
            .map(|(bars, span)| symbol_sessions(bars, *span, range, history, config))
            .collect::<Result<Vec<_>, _>>()?;
        let traded = symbols.iter().flat_map(|symbol| &symbol.days[symbol.warmup..]);
        let dates: BTreeSet<Date> = traded.map(|day| day.session.date).collect();
        let dates = dates.into_iter().collect();
        let (files, notes) = (history.files.clone(), history.notes.clone());
        Ok(Self { symbols, dates, synthetic: history.synthetic, files, notes })
    }
}

/// Returns the exchange dates of the first and the last bar.
fn span(bars: &Bars) -> Result<DateRange, DataError> {
    let (Some(first), Some(last)) = (bars.ts_ns().first(), bars.ts_ns().last()) else {
        return Err(DataError::NoBars { origin: bars.origin().to_owned(), symbol: bars.symbol().clone() });
    };
    Ok(DateRange { first: calendar::exchange_date(*first), last: calendar::exchange_date(*last) })
}

fn symbol_sessions(
    bars: &Bars,
    span: DateRange,
    range: DateRange,
    history: &History,
    config: &DataConfig,
) -> Result<SymbolSessions, DataError> {
    let mut report = GridReport::new(bars.symbol().clone());
    let (mut examined, mut days) = (Vec::new(), Vec::new());
    let reach = config.warmup_sessions.max(HISTORY_SESSIONS);
    for session in calendar::sessions(span.first, range.first.saturating_sub(1.day())).into_iter().rev() {
        if days.len() == reach {
            break;
        }
        match grid::extract(bars, session, &config.grid) {
            outcome if days.len() < config.warmup_sessions => {
                examined.push(session);
                days.extend(report.record(session.date, outcome));
            }
            SessionOutcome::Kept(day) => days.push(day),
            SessionOutcome::Refused { .. } | SessionOutcome::Absent => {}
        }
    }
    days.reverse();
    let warmup = days.len().max(config.warmup_sessions);
    for session in calendar::sessions(range.first.max(span.first), range.last.min(span.last)) {
        examined.push(session);
        days.extend(report.record(session.date, grid::extract(bars, session, &config.grid)));
    }
    if days.len() <= warmup {
        return Err(DataError::NoSessions {
            symbol: bars.symbol().clone(),
            first: range.first,
            last: range.last,
            bars_first: span.first,
            bars_last: span.last,
            causes: causes(&report, config.warmup_sessions),
        });
    }
    report.refused.sort_unstable();
    report.absent.sort_unstable();
    report.outside_hours = outside_hours(bars, &mut examined);
    // Those of the window and of the sessions that its volatility depends on.
    let outliers = OutlierCount::of(&days[warmup.saturating_sub(config.warmup_sessions.max(VOLATILITY_SESSIONS))..]);
    let vol = history.volatility.columns(&days);
    let wanted = Wanted { own: &config.own_columns, files: &config.column_files };
    let added = AddedColumns::of(bars.symbol(), &days, &history.columns, &wanted)?;
    Ok(SymbolSessions { symbol: bars.symbol().clone(), warmup, days, vol, report, outliers, added })
}

/// Counts the sessions of a report by the reason for which they are not used.
fn causes(report: &GridReport, warmup: usize) -> String {
    let refused = |is: fn(&MissingAt) -> bool| report.refused.iter().filter(|session| is(&session.at)).count();
    let counts = [
        (report.absent.len(), "without a bar"),
        (refused(|at| matches!(at, MissingAt::Open(_))), "refused because the first minutes are missing"),
        (refused(|at| matches!(at, MissingAt::Close(_))), "refused because the last minutes are missing"),
        (refused(|at| matches!(at, MissingAt::Inside)), "refused because minutes are missing inside"),
        (report.kept.min(warmup), "kept as warm-up"),
    ];
    let examined: usize = counts.iter().map(|(count, _)| count).sum();
    let parts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, cause)| format!("{count} {cause}"));
    match examined {
        0 => format!("none of them lies in a session of these dates ({warmup} sessions are reserved as warm-up)"),
        1 => format!("of 1 session, {}", parts.collect::<Vec<_>>().join(", ")),
        _ => format!("of {examined} sessions, {}", parts.collect::<Vec<_>>().join(", ")),
    }
}

/// Counts the bars on the dates from the first to the last session that start in none of the sessions.
fn outside_hours(bars: &Bars, sessions: &mut [Session]) -> usize {
    sessions.sort_unstable_by_key(|session| session.open_ns);
    let (Some(first), Some(last)) = (sessions.first(), sessions.last()) else { return 0 };
    let before = |instant: i64| bars.ts_ns().partition_point(|ts| *ts < instant);
    let all =
        before(calendar::midnight_ns(last.date.saturating_add(1.day()))) - before(calendar::midnight_ns(first.date));
    let inside: usize = sessions.iter().map(|session| before(session.close_ns) - before(session.open_ns)).sum();
    all - inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        BarColumns, MissingAt, RefusedSession, Volatility,
        calendar::MINUTE_NS,
        source::synthetic::{SyntheticConfig, generate},
    };

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn history(names: &[&str]) -> History {
        let config = SyntheticConfig {
            sessions_from: date("2025-06-02"),
            sessions_to: date("2025-07-03"),
            ..SyntheticConfig::default()
        };
        let symbols: Vec<Symbol> = names.iter().map(|name| Symbol::new(name).unwrap()).collect();
        generate(&config, &symbols).unwrap()
    }

    /// Returns `bars` without the rows that `keep` refuses, prices and volumes passed through `change`.
    fn altered(bars: &Bars, keep: impl Fn(i64) -> bool, change: impl Fn(i64, f64) -> f64) -> Bars {
        let rows: Vec<usize> = (0..bars.len()).filter(|row| keep(bars.ts_ns()[*row])).collect();
        let column = |values: &[f64]| rows.iter().map(|row| change(bars.ts_ns()[*row], values[*row])).collect();
        let columns = BarColumns {
            ts_ns: rows.iter().map(|row| bars.ts_ns()[*row]).collect(),
            open: column(bars.open()),
            high: column(bars.high()),
            low: column(bars.low()),
            close: column(bars.close()),
            volume: column(bars.volume()),
        };
        Bars::new(bars.symbol().clone(), bars.origin(), columns).unwrap()
    }

    #[test]
    fn window_counts_calendar_days_up_to_its_last_date() {
        let last_bar = date("2025-06-30");
        let window = Window { intraday_days: Some(60), ..Window::default() };
        assert_eq!(window.dates(last_bar).unwrap().to_string(), "2025-05-02 to 2025-06-30");
        let window = Window { from: Some(date("2025-06-20")), to: Some(date("2025-06-10")), intraday_days: None };
        let message = window.dates(last_bar).unwrap_err().to_string();
        assert!(message.contains("2025-06-20 to 2025-06-10 is empty"), "{message}");
        let window = Window { intraday_days: Some(0), ..Window::default() };
        assert!(matches!(window.dates(last_bar), Err(DataError::WindowDays { days: 0, .. })));
    }

    #[test]
    fn warm_up_precedes_the_window_or_shortens_it() {
        let history = history(&["SPY", "QQQ"]);
        let config = DataConfig { warmup_sessions: 2, ..DataConfig::default() };
        let window = Window { from: Some(date("2025-06-16")), ..Window::default() };
        let dataset = Dataset::build(&history, &window, &config).unwrap();
        let spy = &dataset.symbols[0];
        let dates: Vec<Date> = spy.days.iter().map(|day| day.session.date).collect();
        assert_eq!((spy.warmup, dates[0], dates[10]), (10, date("2025-06-02"), date("2025-06-16")));
        assert_eq!(spy.report.kept, 2 + 13, "the report leaves out the history beyond the warm-up sessions");
        assert_eq!((dataset.symbols.len(), dataset.dates.len(), dataset.dates[0]), (2, 13, date("2025-06-16")));
        assert_eq!(dataset.symbols[0].days.len(), dataset.symbols[0].vol.len());
        assert!(dataset.synthetic);

        let all = Dataset::build(&history, &Window::default(), &config).unwrap();
        assert_eq!((all.symbols[0].warmup, all.dates[0]), (2, date("2025-06-04")));

        let short = Window { to: Some(date("2025-06-03")), ..Window::default() };
        let message = Dataset::build(&history, &short, &config).unwrap_err().to_string();
        assert!(message.contains("SPY has no usable session"), "{message}");
        assert!(message.ends_with(": of 2 sessions, 2 kept as warm-up; choose other dates"), "{message}");
        let morning = |ts: i64| {
            calendar::session(calendar::exchange_date(ts)).is_some_and(|day| ts < day.open_ns + 100 * MINUTE_NS)
        };
        let mut cut = history.clone();
        cut.bars = vec![altered(&history.bars[0], morning, |_, price| price)];
        let message = Dataset::build(&cut, &short, &config).unwrap_err().to_string();
        let cause = "of 2 sessions, 2 refused because the last minutes are missing; choose other dates";
        assert!(message.ends_with(cause), "{message}");
    }

    #[test]
    fn a_session_is_the_same_in_every_window() {
        for published in [true, false] {
            let mut history = history(&["SPY"]);
            if !published {
                history.volatility = Volatility::default();
            }
            let build = |from: Option<&str>, warmup_sessions: usize| {
                let window = Window { from: from.map(date), ..Window::default() };
                let config = DataConfig { warmup_sessions, ..DataConfig::default() };
                Dataset::build(&history, &window, &config).unwrap().symbols.remove(0)
            };
            let all = build(None, 1);
            let last = all.days.len() - 1;
            for (from, warmup) in
                [("2025-06-03", 1), ("2025-06-05", 1), ("2025-06-16", 0), ("2025-06-16", 8), ("2025-07-03", 1)]
            {
                let late = build(Some(from), warmup);
                assert_eq!(late.days[late.warmup].session.date, date(from));
                let traded = late.days.len() - late.warmup;
                assert_eq!(
                    late.vol[late.warmup..],
                    all.vol[last + 1 - traded..],
                    "from {from}, published: {published}"
                );
                assert_eq!(late.days[late.warmup..], all.days[last + 1 - traded..]);
            }
            let report = all.history_report();
            let expected = "SPY: 5 sessions, 2025-06-03 to 2025-06-09, have less history than the 6 sessions that they need; \
                            the bars start on 2025-06-02.";
            assert_eq!(report.as_deref(), (!published).then_some(expected));
            assert_eq!(build(Some("2025-06-10"), 1).history_report(), None);
        }
    }

    #[test]
    fn refused_absent_and_outside_are_reported() {
        let mut history = history(&["SPY"]);
        let in_day = |ts: i64, day: &str| calendar::exchange_date(ts) == date(day);
        let noon = calendar::session(date("2025-06-11")).unwrap().open_ns + 150 * MINUTE_NS;
        let keep = |ts: i64| !(in_day(ts, "2025-06-10") || in_day(ts, "2025-06-11") && ts >= noon);
        let bars = altered(&history.bars[0], keep, |_, value| value);
        let after_hours = calendar::session(date("2025-07-03")).unwrap().close_ns;
        let price = [500.0];
        let columns = BarColumns {
            ts_ns: [bars.ts_ns(), &[after_hours]].concat(),
            open: [bars.open(), &price].concat(),
            high: [bars.high(), &price].concat(),
            low: [bars.low(), &price].concat(),
            close: [bars.close(), &price].concat(),
            volume: [bars.volume(), &price].concat(),
        };
        history.bars[0] = Bars::new(bars.symbol().clone(), bars.origin(), columns).unwrap();
        let dataset = Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap();
        let report = &dataset.symbols[0].report;
        assert_eq!(
            (&report.absent[..], &report.refused[..]),
            (
                &[date("2025-06-10")][..],
                &[RefusedSession { date: date("2025-06-11"), missing: 240, at: MissingAt::Close(149) }][..]
            )
        );
        assert_eq!((report.kept, report.filled_minutes, report.outside_hours), (21, 0, 1));
        assert!(!dataset.dates.contains(&date("2025-06-11")));
    }

    #[test]
    fn each_symbol_needs_bars() {
        let mut history = history(&["SPY"]);
        history.bars[0] = altered(&history.bars[0], |_| false, |_, value| value);
        let error = Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap_err();
        assert!(matches!(error, DataError::NoBars { .. }), "{error}");
    }

    /// Builds a data set in which `change` alters every input that is unknown at instant `now`.
    fn dataset_seen_at(now: i64, change: impl Fn(f64) -> f64, daily: bool) -> Dataset {
        let mut history = history(&["SPY"]);
        let later = |known_after: i64| {
            let change = &change;
            move |ts: i64, value: f64| if ts + known_after > now { change(value) } else { value }
        };
        // Any positive series can replace VIX here.
        let vix = altered(&history.bars[0], |_| true, |ts, value| later(MINUTE_NS)(ts, value / 30.0));
        let vix1d =
            altered(&history.bars[0], |ts| ts % (3 * MINUTE_NS) == 0, |ts, value| later(MINUTE_NS)(ts, value / 40.0));
        let days = calendar::sessions(date("2025-05-30"), date("2025-07-03"));
        let closes = days.iter().map(|day| later(0)(day.close_ns, day.date.day().into())).collect();
        let daily_vix = crate::DailySeries::new("test", days.iter().map(|day| day.date).collect(), closes).unwrap();
        history.volatility = match daily {
            true => Volatility::new(None, None, Some(daily_vix)),
            false => Volatility::new(Some(&vix1d), Some(&vix), Some(daily_vix)),
        };
        history.bars[0] = altered(&history.bars[0], |_| true, later(MINUTE_NS));
        Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// Changing all inputs that are unknown at the start of a slot changes no value up to that slot.
        #[test]
        fn values_do_not_depend_on_later_inputs(day in 1_usize..20, slot in 0_usize..210, factor in 0.2..5.0_f64, daily: bool) {
            let session = calendar::sessions(date("2025-06-02"), date("2025-07-03"))[day];
            let now = session.open_ns + slot as i64 * MINUTE_NS;
            let (real, altered) = (dataset_seen_at(now, |value| value, daily), dataset_seen_at(now, |value| value * factor, daily));
            let (real, altered) = (&real.symbols[0], &altered.symbols[0]);
            prop_assert_eq!(&real.days[..day], &altered.days[..day]);
            prop_assert_eq!(&real.vol[..day], &altered.vol[..day]);
            prop_assert_eq!(&real.days[day].close[..slot], &altered.days[day].close[..slot]);
            prop_assert_eq!(&real.vol[day].atm_vol[..=slot], &altered.vol[day].atm_vol[..=slot]);
            prop_assert_eq!(&real.vol[day].vix[..=slot], &altered.vol[day].vix[..=slot]);
            prop_assert_eq!(real.vol[day].vix_previous_close, altered.vol[day].vix_previous_close);
            // The test can fail: later values do change.
            prop_assert_ne!(&real.days[day].close[slot..], &altered.days[day].close[slot..]);
            prop_assert_ne!(&real.vol[day + 1..], &altered.vol[day + 1..]);
        }
    }
}
