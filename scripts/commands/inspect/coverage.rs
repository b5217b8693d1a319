//! Coverage of session minutes: counts by session, gaps, runs of repeated bars, and half days.

use std::cmp::Reverse;

use jiff::civil::Date;
use market_data::quality::{At, Bar, Day, Outside};
use serde::Serialize;

/// Largest number of runs and sessions listed.
pub(crate) const LISTED: usize = 10;
/// Fewest consecutive identical bars of a stale run.
pub(crate) const STALE: usize = 3;
/// Fewest consecutive minutes at one price of a frozen run.
pub(crate) const FROZEN: usize = 15;

/// Consecutive minutes of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Run {
    /// First minute.
    pub start: At,
    /// Number of minutes.
    pub minutes: usize,
}

/// All runs of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// Number of runs.
    pub count: usize,
    /// Number of minutes in all runs.
    pub minutes: usize,
    /// Longest runs, in descending order.
    pub longest: Vec<Run>,
    /// All runs, by time.
    #[serde(skip)]
    pub(crate) all: Vec<Run>,
}

impl FromIterator<Run> for Runs {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        let all: Vec<Run> = runs.into_iter().collect();
        let mut longest = all.clone();
        longest.sort_by_key(|run| Reverse(run.minutes));
        longest.truncate(LISTED);
        Self { count: all.len(), minutes: all.iter().map(|run| run.minutes).sum(), longest, all }
    }
}

/// Coverage of a session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SessionCoverage {
    /// Date of the session.
    pub date: Date,
    /// Minutes of the session: 390, or 210 on a half day.
    pub expected: usize,
    /// Minutes with a bar.
    pub present: usize,
    /// Longest run without bars; absent if no bar or every bar is missing.
    pub longest_gap: Option<Run>,
}

impl SessionCoverage {
    fn of(day: &Day) -> Self {
        let longest_gap = gaps(day).into_iter().rev().max_by_key(|gap| gap.minutes);
        Self { date: day.date(), expected: day.session.minutes(), present: day.bars.len(), longest_gap }
    }

    /// Returns the minutes without a bar.
    pub fn missing(&self) -> usize {
        self.expected - self.present
    }
}

/// Coverage of the sessions from the first to the last bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Sessions of the calendar.
    pub sessions: usize,
    /// Sessions without a missing minute.
    pub complete: usize,
    /// Minutes of all sessions.
    pub expected: usize,
    /// Minutes with a bar.
    pub present: usize,
    /// Sessions without any bar.
    pub absent: Vec<Date>,
    /// Bars outside sessions.
    pub outside: Outside,
    /// Sessions with the most missing minutes, excluding absent ones.
    pub worst: Vec<SessionCoverage>,
    /// All sessions.
    pub by_session: Vec<SessionCoverage>,
}

impl Coverage {
    pub(crate) fn of(days: &[Day], outside: Outside) -> Self {
        let by_session: Vec<SessionCoverage> = days.iter().map(SessionCoverage::of).collect();
        let incomplete = by_session.iter().filter(|day| day.missing() > 0 && day.present > 0);
        let mut worst: Vec<SessionCoverage> = incomplete.copied().collect();
        worst.sort_by_key(|day| Reverse(day.missing() * 1000 / day.expected));
        worst.truncate(LISTED);
        Self {
            sessions: days.len(),
            complete: by_session.iter().filter(|day| day.missing() == 0).count(),
            expected: by_session.iter().map(|day| day.expected).sum(),
            present: by_session.iter().map(|day| day.present).sum(),
            absent: by_session.iter().filter(|day| day.present == 0).map(|day| day.date).collect(),
            outside,
            worst,
            by_session,
        }
    }
}

/// Returns the runs of missing minutes of a session with at least one bar.
pub(crate) fn gaps(day: &Day) -> Vec<Run> {
    if day.bars.is_empty() {
        return Vec::new();
    }
    let mut gaps = Vec::new();
    let mut next = 0;
    for minute in day.bars.iter().map(|bar| bar.minute).chain([day.session.minutes()]) {
        if minute > next {
            gaps.push(Run { start: day.at(next), minutes: minute - next });
        }
        next = minute + 1;
    }
    gaps
}

/// Returns the maximal runs of at least `least` consecutive minutes that `goes_on` links pairwise.
fn runs(day: &Day, least: usize, goes_on: impl Fn(&Bar, &Bar) -> bool) -> Vec<Run> {
    let chunks = day.bars.chunk_by(|a, b| a.minute + 1 == b.minute && goes_on(a, b));
    let long = chunks.filter(|chunk| chunk.len() >= least);
    long.map(|chunk| Run { start: day.at(chunk[0].minute), minutes: chunk.len() }).collect()
}

/// Returns the runs of identical bars with volume or a range, which indicate a repeating feed.
pub(crate) fn stale(day: &Day) -> Vec<Run> {
    let same = |a: &Bar, b: &Bar| {
        let traded = b.volume > 0.0 || b.high > b.low;
        traded && Bar { minute: b.minute, ..*a } == *b
    };
    runs(day, STALE, same)
}

/// Returns the runs of bars without range at a single price.
pub(crate) fn frozen(day: &Day) -> Vec<Run> {
    runs(day, FROZEN, |a, b| a.high == a.low && b.high == b.low && a.close == b.close)
}

/// Coverage of a half day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HalfDay {
    /// The session.
    pub date: Date,
    /// Minutes of the session.
    pub expected: usize,
    /// Minutes with a bar.
    pub present: usize,
    /// Bars from 13:00 to 16:00.
    pub afternoon_bars: usize,
    /// True if the bars continue through the afternoon as on a full day.
    pub goes_on: bool,
}

impl HalfDay {
    pub(crate) fn of(day: &Day) -> Option<Self> {
        let afternoon_bars = day.afternoon.len();
        day.is_half().then(|| Self {
            date: day.date(),
            expected: day.session.minutes(),
            present: day.bars.len(),
            afternoon_bars,
            // After an early close, extended hours have some bars, and a wrong calendar has nearly all of them.
            goes_on: afternoon_bars >= 150,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::inspect::tests::{day, flat};

    fn walk(minutes: impl Iterator<Item = usize>) -> Vec<Bar> {
        minutes.map(|minute| flat(minute, 100.0 + (minute % 7) as f64)).collect()
    }

    #[test]
    fn missing_minutes_are_counted_and_listed_longest_first() {
        let whole = day("2025-06-02", walk(0..390));
        let holes = day("2025-06-03", walk((2..380).filter(|minute| ![50, 100, 101, 102].contains(minute))));
        let absent = day("2025-06-04", Vec::new());
        let half = day("2025-11-28", walk(0..210));
        let days = [whole, holes, absent, half];
        let coverage = Coverage::of(&days, Outside::default());
        assert_eq!((coverage.sessions, coverage.complete, coverage.absent.len()), (4, 2, 1));
        assert_eq!((coverage.expected, coverage.present), (3 * 390 + 210, 390 + 374 + 210));
        assert_eq!(coverage.worst.len(), 1, "absent sessions do not count as incomplete");
        let worst = coverage.worst[0].longest_gap.unwrap();
        assert_eq!((worst.start.to_string().as_str(), worst.minutes), ("2025-06-03T15:50", 10));
        let gaps: Runs = days.iter().flat_map(gaps).collect();
        assert_eq!((gaps.count, gaps.minutes), (4, 16));
        assert_eq!(gaps.longest.iter().map(|gap| gap.minutes).collect::<Vec<_>>(), [10, 3, 2, 1]);
    }

    #[test]
    fn identical_bars_are_stale_and_one_price_is_frozen() {
        let mut bars = walk(0..60);
        (20..24).for_each(|minute| bars[minute] = Bar { minute, ..bars[20] });
        (30..50).for_each(|minute| bars[minute] = Bar { volume: 0.0, ..flat(minute, 90.0) });
        let day = day("2025-06-02", bars);
        let stale = stale(&day);
        assert_eq!((stale.len(), stale[0].start.minute, stale[0].minutes), (1, 20, 4));
        let frozen = frozen(&day);
        assert_eq!((frozen.len(), frozen[0].start.minute, frozen[0].minutes), (1, 30, 20));
    }

    #[test]
    fn a_half_day_that_goes_on_is_told_from_a_few_late_bars() {
        let mut friday = day("2025-11-28", walk(0..210));
        friday.afternoon = vec![210, 215];
        assert!(!HalfDay::of(&friday).unwrap().goes_on);
        friday.afternoon = (210..390).collect();
        assert_eq!(HalfDay::of(&friday).map(|half| (half.goes_on, half.present)), Some((true, 210)));
        assert_eq!(HalfDay::of(&day("2025-06-02", Vec::new())), None);
    }
}
