//! Bars assigned to the sessions of the calendar: none is filled or rejected; bars outside sessions are counted.

use std::fmt;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::{
    Bars, DateRange, SessionBars,
    calendar::{self, MINUTE_NS, Session, session_time},
};

/// Minutes of a full session.
pub const FULL: usize = 390;

/// A minute of a session, displayed as time in New York.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The session.
    pub date: Date,
    /// Minutes after 09:30.
    pub minute: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, session_time(self.minute))
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A bar and its minute after the open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Minutes after 09:30.
    pub minute: usize,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Shares traded.
    pub volume: f64,
}

/// A session of the calendar and the bars that lie in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// The session.
    pub session: Session,
    /// Bars in ascending order of minutes.
    pub bars: Vec<Bar>,
    /// Minutes of bars from the early close to 16:00; empty on a full day.
    pub afternoon: Vec<usize>,
}

impl Day {
    /// Returns the bars of a session without its filled slots.
    pub(crate) fn of(day: &SessionBars) -> Self {
        let bar = |minute: usize| Bar {
            minute,
            open: day.open[minute],
            high: day.high[minute],
            low: day.low[minute],
            close: day.close[minute],
            volume: day.volume[minute],
        };
        let bars = (0..day.filled.len()).filter(|&minute| !day.filled[minute]).map(bar).collect();
        Self { session: day.session, bars, afternoon: Vec::new() }
    }

    /// Returns the date of the session.
    #[must_use]
    pub fn date(&self) -> Date {
        self.session.date
    }

    /// Returns a minute of this session.
    #[must_use]
    pub fn at(&self, minute: usize) -> At {
        At { date: self.date(), minute }
    }

    /// Returns true for a half day.
    #[must_use]
    pub fn is_half(&self) -> bool {
        self.session.minutes() < 300
    }

    /// Returns the pairs of bars in consecutive minutes.
    pub fn pairs(&self) -> impl Iterator<Item = (&Bar, &Bar)> {
        self.bars.windows(2).map(|pair| (&pair[0], &pair[1])).filter(|(a, b)| a.minute + 1 == b.minute)
    }

    /// Returns the bars by minute, `None` for missing ones.
    #[must_use]
    pub fn slots(&self) -> Vec<Option<Bar>> {
        let mut slots = vec![None; self.session.minutes()];
        self.bars.iter().for_each(|bar| slots[bar.minute] = Some(*bar));
        slots
    }
}

/// Bars outside sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// Before the open of a session.
    pub before_open: usize,
    /// At or after the close of a session; an index often has one that starts at the close.
    pub after_close: usize,
    /// On weekends and holidays.
    pub no_session: usize,
    /// Not on a whole minute: a run rejects such bars.
    pub off_minute: usize,
}

impl Outside {
    /// Returns the total.
    #[must_use]
    pub fn total(&self) -> usize {
        self.before_open + self.after_close + self.no_session + self.off_minute
    }
}

/// Assigns bars to the sessions from the first to the last date, and counts those outside.
#[must_use]
pub fn cut(bars: &Bars, range: &DateRange) -> (Vec<Day>, Outside) {
    let sessions = calendar::sessions(range.first, range.last);
    let day = |session| Day { session, bars: Vec::new(), afternoon: Vec::new() };
    let mut days: Vec<Day> = sessions.into_iter().map(day).collect();
    let mut outside = Outside::default();
    let mut next = 0;
    for (row, &ts) in bars.ts_ns().iter().enumerate() {
        let date = calendar::exchange_date(ts);
        if !range.contains(date) {
            continue;
        }
        while days.get(next).is_some_and(|day| day.date() < date) {
            next += 1;
        }
        match days.get_mut(next).filter(|day| day.date() == date) {
            Some(day) => place(day, bars, row, &mut outside),
            None => outside.no_session += 1,
        }
    }
    (days, outside)
}

fn place(day: &mut Day, bars: &Bars, row: usize, outside: &mut Outside) {
    let ts = bars.ts_ns()[row];
    let Ok(after_open) = usize::try_from(ts - day.session.open_ns) else {
        outside.before_open += 1;
        return;
    };
    let minute = after_open / MINUTE_NS as usize;
    if ts % MINUTE_NS != 0 {
        outside.off_minute += 1;
    } else if ts >= day.session.close_ns {
        outside.after_close += 1;
        if minute < FULL {
            day.afternoon.push(minute);
        }
    } else {
        let (open, high, low) = (bars.open()[row], bars.high()[row], bars.low()[row]);
        day.bars.push(Bar { minute, open, high, low, close: bars.close()[row], volume: bars.volume()[row] });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BarColumns, Symbol};

    /// A bar that opens, closes and stays at one price.
    pub(crate) fn flat(minute: usize, price: f64) -> Bar {
        Bar { minute, open: price, high: price, low: price, close: price, volume: 100.0 }
    }

    /// A session with such bars, and no other.
    pub(crate) fn day(date: &str, bars: Vec<Bar>) -> Day {
        let session = calendar::session(date.parse().unwrap()).unwrap();
        Day { session, bars, afternoon: Vec::new() }
    }

    #[test]
    fn every_bar_is_in_a_session_or_counted() {
        let friday = calendar::session("2025-11-28".parse().unwrap()).unwrap();
        let at = |minute: i64| friday.open_ns + minute * MINUTE_NS;
        let weekend = at(24 * 60);
        let ts_ns = vec![at(-900), at(-1), at(0), at(5), at(6) + 1, at(210), at(390), weekend];
        let price = vec![10.0; ts_ns.len()];
        let (open, high, low, close, volume) =
            (price.clone(), price.clone(), price.clone(), price.clone(), price.clone());
        let columns = BarColumns { ts_ns, open, high, low, close, volume };
        let bars = Bars::new(Symbol::new("SPY").unwrap(), "test", columns).unwrap();
        let range = DateRange { first: friday.date, last: "2025-11-30".parse().unwrap() };
        let (days, outside) = cut(&bars, &range);
        assert_eq!(days[0].bars.iter().map(|bar| bar.minute).collect::<Vec<_>>(), [0, 5]);
        assert_eq!((days.len(), days[0].is_half(), &days[0].afternoon[..]), (1, true, &[210][..]));
        let expected = Outside { before_open: 1, after_close: 2, no_session: 1, off_minute: 1 };
        assert_eq!((outside, outside.total()), (expected, 5), "the bar of the day before is out of range");
        assert_eq!(days[0].at(91).to_string(), "2025-11-28T11:01");
    }
}
