//! Price outliers: reversed jumps, lasting jumps, long wicks and overnight jumps.
//!
//! The scale is that of the session itself: the median absolute deviation of its minute returns times 1.4826, a robust
//! estimate of their standard deviation.

use jiff::civil::Date;
use serde::Serialize;
use statistics::quantile;

use super::days::{At, Bar, Day};
use crate::SessionBars;

/// Outlier threshold of returns and wicks, in robust standard deviations.
pub const DEVIATIONS: f64 = 12.0;
/// Largest number of minutes until a bad print is reversed.
const BACK_WITHIN: usize = 2;
/// Smallest share of a jump that is reversed.
const BACK: f64 = 0.75;
/// Smallest overnight ratio that looks like a split.
const SPLIT: f64 = 1.25;
/// Ratio of the standard deviation to the median absolute deviation of a normal distribution.
const NORMAL: f64 = 1.4826;
/// Lower bound of a session's scale, as a return; half the median session and one cent are lower bounds, too.
const FLOOR: f64 = 0.5e-4;
/// Fewest returns for a session's own scale.
const ENOUGH: usize = 30;

/// A close far from the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Print {
    /// The minute.
    pub at: At,
    /// Previous close.
    pub before: f64,
    /// The close.
    pub close: f64,
    /// Log return in basis points.
    pub return_bps: f64,
    /// The same distance in robust standard deviations of the session.
    pub deviations: f64,
}

/// A high or low far from the body of its bar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wick {
    /// The minute.
    pub at: At,
    /// The high or low.
    pub price: f64,
    /// Nearest end of the body, which spans the previous close and the close.
    pub body: f64,
    /// Distance in basis points.
    pub distance_bps: f64,
    /// The same distance in robust standard deviations of the session.
    pub deviations: f64,
}

/// An overnight jump between two consecutive sessions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Jump {
    /// Previous session.
    pub from: Date,
    /// The session.
    pub to: Date,
    /// Ratio of its first open to the previous close.
    pub ratio: f64,
}

/// Outliers of all sessions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outliers {
    /// Threshold, in robust standard deviations.
    pub limit_deviations: f64,
    /// Jumps reversed within two minutes, probably bad prints.
    pub reversed: Vec<Print>,
    /// Lasting jumps, probably news.
    pub lasting: Vec<Print>,
    /// Long wicks.
    pub wicks: Vec<Wick>,
    /// Overnight jumps of a quarter or more.
    pub overnight: Vec<Jump>,
    /// Bars in sessions.
    pub bars: usize,
    /// Bars without volume.
    pub zero_volume_bars: usize,
}

impl Outliers {
    /// Finds the outliers of consecutive sessions.
    #[must_use]
    pub fn of(days: &[Day]) -> Self {
        let (mut reversed, mut lasting, mut wicks) = (Vec::new(), Vec::new(), Vec::new());
        for (day, scale) in days.iter().zip(scales(days)) {
            let (back, stayed) = jumps(day, scale);
            wicks.extend(long_wicks(day, scale, &back));
            reversed.extend(back);
            lasting.extend(stayed);
        }
        let bars = || days.iter().flat_map(|day| &day.bars);
        Self {
            limit_deviations: DEVIATIONS,
            reversed,
            lasting,
            wicks,
            overnight: overnight(days),
            bars: bars().count(),
            zero_volume_bars: bars().filter(|bar| bar.volume == 0.0).count(),
        }
    }

    /// Returns the share of bars without volume.
    #[must_use]
    pub fn zero_volume_share(&self) -> f64 {
        self.zero_volume_bars as f64 / self.bars.max(1) as f64
    }

    /// Returns true if no bar has any volume, as for an index.
    #[must_use]
    pub fn is_without_volume(&self) -> bool {
        self.zero_volume_bars == self.bars
    }
}

/// Numbers of outliers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutlierCount {
    /// Jumps reversed within two minutes.
    pub suspicious_prints: usize,
    /// The first of them.
    pub first_suspicious: Option<At>,
    /// Highs and lows far from the body of their bar.
    pub long_wicks: usize,
    /// Jumps that last.
    pub lasting_jumps: usize,
    /// Overnight jumps of a quarter or more.
    pub overnight_jumps: usize,
}

impl OutlierCount {
    /// Counts the outliers of consecutive sessions; filled slots are no bars.
    #[must_use]
    pub fn of(sessions: &[SessionBars]) -> Self {
        let days: Vec<Day> = sessions.iter().map(Day::of).collect();
        let found = Outliers::of(&days);
        Self {
            suspicious_prints: found.reversed.len(),
            first_suspicious: found.reversed.first().map(|print| print.at),
            long_wicks: found.wicks.len(),
            lasting_jumps: found.lasting.len(),
            overnight_jumps: found.overnight.len(),
        }
    }

    /// Returns the sum of two counts, with the earlier first print.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            suspicious_prints: self.suspicious_prints + other.suspicious_prints,
            first_suspicious: self.first_suspicious.into_iter().chain(other.first_suspicious).min(),
            long_wicks: self.long_wicks + other.long_wicks,
            lasting_jumps: self.lasting_jumps + other.lasting_jumps,
            overnight_jumps: self.overnight_jumps + other.overnight_jumps,
        }
    }
}

/// Returns the robust standard deviation of the minute returns of every session.
fn scales(days: &[Day]) -> Vec<f64> {
    let own: Vec<Option<f64>> = days.iter().map(robust_deviation).collect();
    let mut known: Vec<f64> = own.iter().flatten().copied().collect();
    let usual = if known.is_empty() { FLOOR } else { quantile(&mut known, 0.5) };
    let scale = |(own, day): (Option<f64>, &Day)| {
        let cent = day.bars.first().map_or(0.0, |bar| 0.01 / bar.close);
        own.unwrap_or(usual).max(usual / 2.0).max(cent).max(FLOOR)
    };
    own.into_iter().zip(days).map(scale).collect()
}

fn robust_deviation(day: &Day) -> Option<f64> {
    let mut returns: Vec<f64> = day.pairs().map(|(a, b)| (b.close / a.close).ln()).collect();
    if returns.len() < ENOUGH {
        return None;
    }
    let middle = quantile(&mut returns, 0.5);
    returns.iter_mut().for_each(|value| *value = (*value - middle).abs());
    Some(NORMAL * quantile(&mut returns, 0.5))
}

/// Returns the reversed and the lasting jumps of a session. A reversal does not count as a jump.
fn jumps(day: &Day, scale: f64) -> (Vec<Print>, Vec<Print>) {
    let (mut reversed, mut lasting) = (Vec::new(), Vec::new());
    let mut minutes_done = 0;
    for (at, pair) in day.bars.windows(2).enumerate() {
        let (before, bar) = (&pair[0], &pair[1]);
        let jump = (bar.close / before.close).ln();
        let neighbours = before.minute + 1 == bar.minute;
        if !neighbours || bar.minute < minutes_done || jump.abs() <= DEVIATIONS * scale {
            continue;
        }
        let print = Print {
            at: day.at(bar.minute),
            before: before.close,
            close: bar.close,
            return_bps: jump * 1e4,
            deviations: (jump / scale).abs(),
        };
        match back_at(&day.bars[at + 2..], before.close, bar) {
            Some(minute) => {
                reversed.push(print);
                minutes_done = minute + 1;
            }
            None => lasting.push(print),
        }
    }
    (reversed, lasting)
}

/// Returns the minute at which a jump was reversed, if within [`BACK_WITHIN`].
fn back_at(later: &[Bar], before: f64, jumped: &Bar) -> Option<usize> {
    let jump = (jumped.close / before).ln();
    let soon = later.iter().take_while(|bar| bar.minute <= jumped.minute + BACK_WITHIN);
    let left = |bar: &Bar| (bar.close / before).ln() / jump;
    // Overshooting far beyond the old price does not count as a reversal.
    soon.filter(|bar| left(bar).abs() <= 1.0 - BACK).map(|bar| bar.minute).next()
}

/// Returns the bars with a high or low far from their close and from the previous close (the open without one). Bad
/// prints and the bars that reverse them are excluded.
fn long_wicks(day: &Day, scale: f64, reversed: &[Print]) -> Vec<Wick> {
    let listed = |minute: usize| {
        reversed.iter().any(|print| (print.at.minute..=print.at.minute + BACK_WITHIN).contains(&minute))
    };
    let mut wicks = Vec::new();
    for (i, bar) in day.bars.iter().enumerate().filter(|(_, bar)| !listed(bar.minute)) {
        let before = i.checked_sub(1).map(|i| &day.bars[i]).filter(|before| before.minute + 1 == bar.minute);
        let start = before.map_or(bar.open, |before| before.close);
        let (bottom, top) = (start.min(bar.close), start.max(bar.close));
        for (price, body, distance) in
            [(bar.high, top, (bar.high / top).ln()), (bar.low, bottom, (bottom / bar.low).ln())]
        {
            if distance > DEVIATIONS * scale {
                let (distance_bps, deviations) = (distance * 1e4, distance / scale);
                wicks.push(Wick { at: day.at(bar.minute), price, body, distance_bps, deviations });
            }
        }
    }
    wicks
}

fn overnight(days: &[Day]) -> Vec<Jump> {
    let traded: Vec<&Day> = days.iter().filter(|day| !day.bars.is_empty()).collect();
    let jump = |pair: &[&Day]| {
        let (last, first) = (pair[0].bars.last()?, pair[1].bars.first()?);
        let ratio = first.open / last.close;
        let jump = Jump { from: pair[0].date(), to: pair[1].date(), ratio };
        (ratio.ln().abs() > SPLIT.ln()).then_some(jump)
    };
    traded.windows(2).filter_map(jump).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::days::tests::{day, flat};

    /// A session that alternates by about two basis points a minute.
    fn walk() -> Vec<Bar> {
        (0..390).map(|minute| flat(minute, 500.0 + 0.1 * [0.0, 1.0, 3.0, 2.0, 1.0][minute % 5])).collect()
    }

    fn minutes(prints: &[Print]) -> Vec<usize> {
        prints.iter().map(|print| print.at.minute).collect()
    }

    #[test]
    fn a_jump_that_comes_back_is_told_from_one_that_stays() {
        let mut bars = walk();
        bars[50] = flat(50, 510.0);
        bars[100] = flat(100, 490.0);
        bars[101] = flat(101, 490.1);
        bars[200..].iter_mut().for_each(|bar| *bar = flat(bar.minute, bar.close + 8.0));
        let outliers = Outliers::of(&[day("2025-06-02", bars)]);
        assert_eq!(minutes(&outliers.reversed), [50, 100], "one bad minute, and two");
        assert_eq!(minutes(&outliers.lasting), [200], "news stays; reversals are no jumps");
        let bad = outliers.reversed[0];
        assert!((bad.return_bps - (510.0_f64 / 500.1).ln() * 1e4).abs() < 20.0 && bad.deviations > DEVIATIONS);
    }

    #[test]
    fn a_wick_is_measured_from_the_body_and_said_once() {
        let mut bars = walk();
        bars[30].low = 480.0;
        bars[60] = Bar { open: 520.0, high: 520.0, ..bars[60] };
        bars[90] = flat(90, 530.0);
        bars[91].high = 530.0;
        let outliers = Outliers::of(&[day("2025-06-02", bars)]);
        let wicks: Vec<(usize, f64)> = outliers.wicks.iter().map(|wick| (wick.at.minute, wick.price)).collect();
        assert_eq!(wicks, [(30, 480.0), (60, 520.0)], "a bad open is a wick; a bad close is not");
        assert_eq!(minutes(&outliers.reversed), [90]);
    }

    #[test]
    fn a_quiet_session_is_not_full_of_outliers() {
        let mut bars: Vec<Bar> = (0..390).map(|minute| flat(minute, 5000.0)).collect();
        bars[40].close = 5002.0;
        bars[40].high = 5002.0;
        let outliers = Outliers::of(&[day("2025-06-02", bars), day("2025-06-03", walk())]);
        assert!(outliers.reversed.is_empty() && outliers.lasting.is_empty(), "{outliers:?}");
        let jump = outliers.overnight[0];
        assert_eq!((jump.to.to_string().as_str(), jump.ratio), ("2025-06-03", 0.1));
    }

    #[test]
    fn a_run_counts_what_the_report_lists() {
        let mut bars = walk();
        bars[50] = flat(50, 510.0);
        bars[150].low = 480.0;
        bars[200..].iter_mut().for_each(|bar| *bar = flat(bar.minute, bar.close + 8.0));
        let column = |value: fn(&Bar) -> f64| bars.iter().map(value).collect::<Vec<f64>>();
        let mut session = SessionBars {
            session: day("2025-06-02", Vec::new()).session,
            open: column(|bar| bar.open),
            high: column(|bar| bar.high),
            low: column(|bar| bar.low),
            close: column(|bar| bar.close),
            volume: column(|bar| bar.volume),
            filled: vec![false; 390],
        };
        let first = Some(At { date: session.session.date, minute: 50 });
        let expected = OutlierCount {
            suspicious_prints: 1,
            first_suspicious: first,
            long_wicks: 1,
            lasting_jumps: 1,
            overnight_jumps: 0,
        };
        let found = Outliers::of(&[Day::of(&session)]);
        assert_eq!(OutlierCount::of(std::slice::from_ref(&session)), expected, "{:?}", found.wicks);
        assert_eq!(expected.plus(OutlierCount::default()), expected);
        session.filled[50] = true;
        assert_eq!(OutlierCount::of(&[session]).suspicious_prints, 0, "a filled slot is no print");
    }

    #[test]
    fn bars_without_volume_are_counted() {
        let mut bars = walk();
        bars[..39].iter_mut().for_each(|bar| bar.volume = 0.0);
        let outliers = Outliers::of(&[day("2025-06-02", bars)]);
        assert_eq!((outliers.zero_volume_share(), outliers.is_without_volume()), (0.1, false));
    }
}
