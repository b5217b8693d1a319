//! Minute grid of a session: one slot per minute, from bars of any density.

use std::fmt;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Bars, DataError, Symbol,
    bars::rfc3339,
    calendar::{MINUTE_NS, Session, session_time},
};

/// One session of one symbol, one slot per minute: slot `i` is the bar that starts `i` minutes after the open.
///
/// All columns have `session.minutes()` entries. `open` is known at the start of the slot, the rest at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionBars {
    /// Date, open and close of the session.
    pub session: Session,
    /// First prices.
    pub open: Vec<f64>,
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Last prices.
    pub close: Vec<f64>,
    /// Shares traded; 0 in filled slots and for an index.
    pub volume: Vec<f64>,
    /// True for slots without a bar: all four prices are the last close before the slot.
    pub filled: Vec<bool>,
}

impl SessionBars {
    /// Returns the number of filled slots before the first bar, 0 or 1. They hold the last price of an earlier day, so a return
    /// from such a slot to the next one is that of a night, not of a minute.
    #[must_use]
    pub fn leading_filled(&self) -> usize {
        self.filled.iter().take_while(|filled| **filled).count()
    }
}

/// Limits of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GridConfig {
    /// Largest share of a session's minutes that may be filled, 0 to 1; a session with more is refused. 0.05 accepts a
    /// trading halt of a quarter of an hour and refuses a file that ends at noon. A session without its first two or its
    /// last two minutes is refused whatever the share.
    pub max_filled_fraction: f64,
}

impl Default for GridConfig {
    fn default() -> Self {
        Self { max_filled_fraction: 0.05 }
    }
}

impl GridConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        let share = self.max_filled_fraction;
        if (0.0..=1.0).contains(&share) {
            Vec::new()
        } else {
            vec![format!("data.grid.max_filled_fraction: {share} is not between 0 and 1")]
        }
    }
}

/// Largest number of slots without a bar before the first one, and after the last one: an index begins at 09:31.
const MAX_EDGE: usize = 1;

/// Place of the missing minutes for which a session is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingAt {
    /// Anywhere in the session.
    Inside,
    /// At the open; minutes after 09:30 of the first bar.
    Open(usize),
    /// At the close; minutes after 09:30 of the last bar.
    Close(usize),
}

/// A session refused for missing minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedSession {
    /// Its date.
    pub date: Date,
    /// Number of missing minutes.
    pub missing: usize,
    /// Their place.
    pub at: MissingAt,
}

impl fmt::Display for RefusedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, missing, at } = self;
        write!(f, "{date} ({missing} minutes")?;
        match at {
            MissingAt::Inside => write!(f, ")"),
            MissingAt::Open(minute) => write!(f, ", first bar {})", session_time(*minute)),
            MissingAt::Close(minute) => write!(f, ", last bar {})", session_time(*minute)),
        }
    }
}

/// Report on fitting the bars of one symbol to sessions, warm-up sessions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridReport {
    /// The symbol.
    pub symbol: Symbol,
    /// Sessions kept.
    pub kept: usize,
    /// Minutes filled in the kept sessions.
    pub filled_minutes: usize,
    /// Sessions kept whose first minute is filled.
    pub first_filled: usize,
    /// Sessions refused.
    pub refused: Vec<RefusedSession>,
    /// Sessions between the first and the last bar without any bar.
    pub absent: Vec<Date>,
    /// Bars left out because they start outside trading hours.
    pub outside_hours: usize,
}

impl GridReport {
    pub(crate) fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            kept: 0,
            filled_minutes: 0,
            first_filled: 0,
            refused: Vec::new(),
            absent: Vec::new(),
            outside_hours: 0,
        }
    }

    /// Records the outcome of one session, and returns the session if it is kept.
    pub(crate) fn record(&mut self, date: Date, outcome: SessionOutcome) -> Option<SessionBars> {
        match outcome {
            SessionOutcome::Kept(day) => {
                self.kept += 1;
                self.filled_minutes += day.filled.iter().filter(|filled| **filled).count();
                self.first_filled += usize::from(day.leading_filled() > 0);
                return Some(day);
            }
            SessionOutcome::Refused { missing, at } => self.refused.push(RefusedSession { date, missing, at }),
            SessionOutcome::Absent => self.absent.push(date),
        }
        None
    }
}

impl fmt::Display for GridReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { symbol, kept, filled_minutes, first_filled, refused, absent, outside_hours } = self;
        write!(f, "{symbol}: {kept} sessions kept, {filled_minutes} missing minutes filled")?;
        f.write_str(if *filled_minutes > 0 { ", in which no order fills." } else { "." })?;
        if *kept >= FEW_SESSIONS && first_filled == kept {
            write!(f, " No session has a bar at 09:30: the series begins at 09:31.")?;
        }
        if *outside_hours > 0 {
            write!(f, " {outside_hours} bars outside trading hours left out.")?;
        }
        if !refused.is_empty() {
            let days = listed(refused, RefusedSession::to_string);
            write!(f, " {} sessions refused for missing minutes: {days}.", refused.len())?;
        }
        if !absent.is_empty() {
            write!(f, " {} sessions without any bar: {}.", absent.len(), listed(absent, Date::to_string))?;
        }
        Ok(())
    }
}

/// Lists up to eight items and the number of the others.
fn listed<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(8).map(text).collect();
    let more = items.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Fewest sessions on which a regularity is stated.
const FEW_SESSIONS: usize = 3;

/// Outcome of extracting one session from the bars.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SessionOutcome {
    Kept(SessionBars),
    Refused { missing: usize, at: MissingAt },
    Absent,
}

/// Refuses bars that do not start on a whole minute.
pub(crate) fn check_minutes(bars: &Bars) -> Result<(), DataError> {
    let Some(at) = bars.ts_ns().iter().position(|ts| ts % MINUTE_NS != 0) else { return Ok(()) };
    Err(DataError::OffMinute { origin: bars.origin().to_owned(), row: at + 1, time: rfc3339(bars.ts_ns()[at]) })
}

/// Extracts one session from bars that start on whole minutes.
pub(crate) fn extract(bars: &Bars, session: Session, config: &GridConfig) -> SessionOutcome {
    let ts = bars.ts_ns();
    let first = ts.partition_point(|ts| *ts < session.open_ns);
    let end = first + ts[first..].partition_point(|ts| *ts < session.close_ns);
    if first == end {
        return SessionOutcome::Absent;
    }
    let missing = session.minutes() - (end - first);
    let slot = |ts: i64| ((ts - session.open_ns) / MINUTE_NS) as usize;
    let (first_slot, last_slot) = (slot(ts[first]), slot(ts[end - 1]));
    let at = if first_slot > MAX_EDGE || first == 0 && first_slot > 0 {
        MissingAt::Open(first_slot)
    } else if last_slot + 1 + MAX_EDGE < session.minutes() {
        MissingAt::Close(last_slot)
    } else if missing as f64 > config.max_filled_fraction * session.minutes() as f64 {
        MissingAt::Inside
    } else {
        return SessionOutcome::Kept(fill(bars, session, first));
    };
    SessionOutcome::Refused { missing, at }
}

/// Fills the slots of `session` with the bars from row `first` on; a slot without a bar takes the last close.
fn fill(bars: &Bars, session: Session, first: usize) -> SessionBars {
    let minutes = session.minutes();
    let column = || Vec::with_capacity(minutes);
    let (mut open, mut high, mut low, mut close, mut volume) = (column(), column(), column(), column(), column());
    let mut filled = Vec::with_capacity(minutes);
    let mut row = first;
    for start_ns in (session.open_ns..session.close_ns).step_by(MINUTE_NS as usize) {
        let missing = bars.ts_ns().get(row) != Some(&start_ns);
        filled.push(missing);
        if missing {
            let last = bars.close()[row - 1];
            for price in [&mut open, &mut high, &mut low, &mut close] {
                price.push(last);
            }
            volume.push(0.0);
        } else {
            open.push(bars.open()[row]);
            high.push(bars.high()[row]);
            low.push(bars.low()[row]);
            close.push(bars.close()[row]);
            volume.push(bars.volume()[row]);
            row += 1;
        }
    }
    SessionBars { session, open, high, low, close, volume, filled }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BarColumns, calendar};

    /// One-price bars that start at `minutes` after the open of 2025-06-02 and close at `100 + minute`.
    fn bars(minutes: impl Iterator<Item = i64>) -> Bars {
        let open_ns = session().open_ns;
        let minutes: Vec<i64> = minutes.collect();
        let price: Vec<f64> = minutes.iter().map(|minute| 1000.0 + *minute as f64).collect();
        let columns = BarColumns {
            ts_ns: minutes.iter().map(|minute| open_ns + minute * MINUTE_NS).collect(),
            open: price.clone(),
            high: price.clone(),
            low: price.clone(),
            close: price.clone(),
            volume: vec![7.0; price.len()],
        };
        Bars::new(Symbol::new("SPY").unwrap(), "test", columns).unwrap()
    }

    fn session() -> Session {
        calendar::session("2025-06-02".parse().unwrap()).unwrap()
    }

    fn kept(outcome: SessionOutcome) -> SessionBars {
        match outcome {
            SessionOutcome::Kept(day) => day,
            other => panic!("expected a kept session, found {other:?}"),
        }
    }

    #[test]
    fn missing_minutes_take_the_last_close_and_are_flagged() {
        let day =
            kept(extract(&bars((-5..395).filter(|m| ![0, 100, 101].contains(m))), session(), &GridConfig::default()));
        assert_eq!(day.close.len(), 390);
        assert_eq!(day.open[0], 999.0, "the bar before the open is the last known price");
        assert_eq!((day.low[101], day.volume[101], day.filled[101]), (1099.0, 0.0, true));
        assert_eq!((day.close[102], day.volume[102], day.filled[102]), (1102.0, 7.0, false));
        assert_eq!(day.filled.iter().filter(|filled| **filled).count(), 3);
        assert_eq!(day.close[389], 1389.0);
    }

    #[test]
    fn a_session_is_refused_beyond_the_limit_or_without_a_first_price() {
        let config = GridConfig::default();
        let without = |hole: std::ops::Range<i64>| {
            extract(&bars((-5..390).filter(move |minute| !hole.contains(minute))), session(), &config)
        };
        let refused = |missing, at| SessionOutcome::Refused { missing, at };
        assert!(matches!(without(100..119), SessionOutcome::Kept(_)), "19 of 390 minutes are within 5 %");
        assert_eq!(without(100..120), refused(20, MissingAt::Inside));
        assert_eq!(extract(&bars(1..390), session(), &config), refused(1, MissingAt::Open(1)), "no earlier price");
        assert_eq!(extract(&bars(-100..0), session(), &config), SessionOutcome::Absent);
    }

    #[test]
    fn a_session_is_refused_without_its_first_or_last_minutes() {
        let config = GridConfig::default();
        let with = |first, last| {
            extract(
                &bars((-5..390).filter(|minute| *minute < 0 || (first..=last).contains(minute))),
                session(),
                &config,
            )
        };
        let index = kept(with(1, 389));
        assert_eq!((index.leading_filled(), index.open[0], index.open[1]), (1, 999.0, 1001.0));
        assert_eq!(kept(with(0, 388)).leading_filled(), 0, "one minute without a trade before the close");
        assert_eq!(with(2, 389), SessionOutcome::Refused { missing: 2, at: MissingAt::Open(2) });
        assert_eq!(with(0, 387), SessionOutcome::Refused { missing: 2, at: MissingAt::Close(387) });
        let SessionOutcome::Refused { missing, at } = with(0, 371) else { panic!("a feed that ended at 15:41") };
        let refused = RefusedSession { date: session().date, missing, at };
        assert_eq!(refused.to_string(), "2025-06-02 (18 minutes, last bar 15:41)");
    }

    #[test]
    fn bars_off_the_whole_minute_are_named() {
        let mut columns = BarColumns { ts_ns: vec![0, 61_000_000_000], ..BarColumns::default() };
        for column in [&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close, &mut columns.volume]
        {
            *column = vec![1.0; 2];
        }
        let bars = Bars::new(Symbol::new("SPY").unwrap(), "SPY_1m.csv", columns).unwrap();
        let message = check_minutes(&bars).unwrap_err().to_string();
        assert!(
            message.starts_with("SPY_1m.csv: row 2, column timestamp: 1970-01-01T00:01:01Z is not on"),
            "{message}"
        );
    }

    #[test]
    fn the_report_consists_of_sentences() {
        let mut report = GridReport::new(Symbol::new("SPY").unwrap());
        let date = session().date;
        report.record(date, extract(&bars((0..390).filter(|m| *m != 9)), session(), &GridConfig::default()));
        report.record(date, SessionOutcome::Refused { missing: 40, at: MissingAt::Inside });
        report.record(date, SessionOutcome::Absent);
        report.outside_hours = 330;
        assert_eq!(
            report.to_string(),
            "SPY: 1 sessions kept, 1 missing minutes filled, in which no order fills. 330 bars outside trading hours left \
             out. 1 sessions refused for missing minutes: 2025-06-02 (40 minutes). 1 sessions without any bar: 2025-06-02."
        );
    }
}
