//! Level of volatility known at each bar.
//!
//! VIX and VIX1D are published minute by minute; the value of a bar is known when the bar ends. Without them, the VIX close
//! of the day before is used, and without that, the realised volatility of the symbol's own closes. The choice for a day
//! depends on the values known at its open, and is reported.
mod live;

use std::{collections::VecDeque, fmt};

use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    Bars, DataError, SessionBars,
    calendar::{self, MINUTE_NS, Session},
};

/// A value older than this many calendar days is not used; a holiday weekend spans four.
const MAX_AGE_DAYS: i32 = 4;
/// Pause between two published values from which it counts as a night.
const NIGHT_NS: i64 = 6 * 60 * MINUTE_NS;
/// Age of a value in mid-session from which it is reported.
const STALE_NS: i64 = 60 * MINUTE_NS;
/// Bounds of an annualised volatility; outside of them a print is wrong, or pricing degenerates.
const VOL_RANGE: (f64, f64) = (0.03, 3.0);
/// Number of earlier sessions in the realised volatility.
const REALISED_SESSIONS: usize = 5;
/// Sessions before a session that determine its columns, where volatility is realised: those of the realised volatility, and one
/// more for the volatility at the previous session's close.
pub const VOLATILITY_SESSIONS: usize = REALISED_SESSIONS + 1;
/// Minimum number of returns; with fewer, [`UNKNOWN_VOL`] is used.
const REALISED_MIN_RETURNS: usize = 30;
/// First VIX1D of a day as a fraction of the evening's last, at the median of 341 days from 2023-04 to 2024-08: the
/// evening's value still covers the night and the next day. Until the first print it stands for the day's own.
const VIX1D_OVERNIGHT: f64 = 0.79;
/// Annualised volatility assumed without data, near the long-run level of the S&P 500.
const UNKNOWN_VOL: f64 = 0.20;

/// Source of a day's volatility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolSource {
    /// Minute bars of the one-day VIX.
    Vix1dMinute,
    /// Minute bars of the VIX.
    VixMinute,
    /// The VIX close of an earlier day.
    VixDaily,
    /// Realised volatility of the symbol's own minute closes.
    Realised,
}

impl fmt::Display for VolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vix1dMinute => "VIX1D by the minute",
            Self::VixMinute => "VIX by the minute",
            Self::VixDaily => "VIX of the day before",
            Self::Realised => "realised volatility",
        })
    }
}

/// The volatility columns of one session: one entry per slot of its [`SessionBars`], and one more at the close.
#[derive(Debug, Clone, PartialEq)]
pub struct VolColumns {
    /// Annualised volatility as a fraction (0.12 = 12 %), known before the slot starts, between 0.03 and 3: the published
    /// index, which refers to the S&P 500, or the symbol's own realised volatility; see `atm_source`.
    ///
    /// VIX1D is first published at 09:31, so slots 0 and 1 hold 0.79 times the value of the evening before, in which the
    /// night was still ahead: the median step to the day's first value.
    pub atm_vol: Vec<f64>,
    /// VIX in points, known before the slot starts.
    pub vix: Vec<f64>,
    /// `vix` at the close of the previous session; on the first day, its first value of this day.
    pub vix_previous_close: f64,
    /// Source of `atm_vol` on this day.
    pub atm_source: VolSource,
    /// Source of `vix` on this day.
    pub vix_source: VolSource,
    /// Minutes after the session's first hour whose `atm_vol` was published more than an hour before, as after
    /// a feed stopped.
    pub stale_minutes: usize,
}

/// Daily closes of an index, strictly ascending by date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DailySeries {
    date: Vec<Date>,
    close: Vec<f64>,
}

impl DailySeries {
    /// Checks the columns and returns them as a series. `origin` is the file or generator that errors name.
    ///
    /// # Errors
    /// [`DataError::ColumnLength`], [`DataError::Order`] or [`DataError::Value`], naming the first bad row (from 1).
    pub fn new(origin: &str, date: Vec<Date>, close: Vec<f64>) -> Result<Self, DataError> {
        let origin = || origin.to_owned();
        if date.len() != close.len() {
            return Err(DataError::ColumnLength {
                origin: origin(),
                column: "close",
                len: close.len(),
                expected: date.len(),
            });
        }
        if let Some(at) = date.windows(2).position(|pair| pair[1] <= pair[0]) {
            let relation = if date[at] == date[at + 1] { "repeats" } else { "is earlier than" };
            return Err(DataError::Order {
                origin: origin(),
                row: at + 2,
                column: "date",
                time: date[at + 1].to_string(),
                relation,
            });
        }
        if let Some(at) = close.iter().position(|value| !(value.is_finite() && *value > 0.0)) {
            let rule = "is not a positive index level".to_owned();
            return Err(DataError::Value { origin: origin(), row: at + 1, column: "close", value: close[at], rule });
        }
        Ok(Self { date, close })
    }

    /// Returns the closes.
    pub(crate) fn close(&self) -> &[f64] {
        &self.close
    }

    /// Returns true if there is a close on this date.
    #[cfg(feature = "fetch")]
    pub(crate) fn contains(&self, date: Date) -> bool {
        self.date.binary_search(&date).is_ok()
    }

    /// Returns the dates of the first and the last close.
    #[cfg(feature = "fetch")]
    pub(crate) fn span(&self) -> Option<crate::DateRange> {
        self.date.first().zip(self.date.last()).map(|(&first, &last)| crate::DateRange { first, last })
    }

    /// Returns the last close of a day before `date`, unless it is stale.
    fn last_before(&self, date: Date) -> Option<f64> {
        let at = self.date.partition_point(|day| *day < date).checked_sub(1)?;
        (self.date[at] >= oldest_usable(date)).then_some(self.close[at])
    }
}

/// Published volatility: any of VIX1D by the minute, VIX by the minute, VIX by the day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volatility {
    vix1d: Option<IndexSeries>,
    vix: Option<IndexSeries>,
    vix_daily: Option<DailySeries>,
}

impl Volatility {
    /// Combines the available series; without any, every day uses realised volatility.
    #[must_use]
    pub fn new(vix1d: Option<&Bars>, vix: Option<&Bars>, vix_daily: Option<DailySeries>) -> Self {
        Self { vix1d: vix1d.map(IndexSeries::new), vix: vix.map(IndexSeries::new), vix_daily }
    }

    /// Returns true if no series is present, so that every day uses realised volatility.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vix1d.is_none() && self.vix.is_none() && self.vix_daily.is_none()
    }

    /// Returns the series without those that are preferred to `best`.
    #[must_use]
    pub fn at_best(&self, best: VolSource) -> Self {
        let keep = |source: VolSource| source >= best;
        Self {
            vix1d: self.vix1d.clone().filter(|_| keep(VolSource::Vix1dMinute)),
            vix: self.vix.clone().filter(|_| keep(VolSource::VixMinute)),
            vix_daily: self.vix_daily.clone().filter(|_| keep(VolSource::VixDaily)),
        }
    }

    /// Returns the columns of consecutive sessions of one symbol, each value known before its slot starts.
    ///
    /// The order of preference is VIX1D, VIX, VIX of the day before, realised for `atm_vol`; and VIX, VIX of the day
    /// before, VIX1D, realised for `vix`. Realised volatility is the root mean square of the one-minute log returns of
    /// the last five sessions in `days` and of the session so far, annualised with 252 days of 390 minutes; until there
    /// are 30 returns it is 0.20. A filled slot has no return, and the return of the slot after it starts at the slot's
    /// own open, so that no return spans a hole or a night.
    ///
    /// The columns of a session depend on at most [`VOLATILITY_SESSIONS`] sessions before it.
    #[must_use]
    pub fn columns(&self, days: &[SessionBars]) -> Vec<VolColumns> {
        let mut realised = Realised::default();
        let mut previous_close = None;
        days.iter().map(|day| self.day(day, &realised.session(day), &mut previous_close)).collect()
    }

    fn day(&self, day: &SessionBars, realised: &[f64], previous_close: &mut Option<f64>) -> VolColumns {
        let minutes = day.session.minutes();
        let minute = |series: &Option<IndexSeries>, carried| series.as_ref()?.session(&day.session, carried);
        let vix1d = || Some((minute(&self.vix1d, VIX1D_OVERNIGHT)?, VolSource::Vix1dMinute));
        let vix = || Some((minute(&self.vix, 1.0)?, VolSource::VixMinute));
        let daily = self.vix_daily.as_ref().and_then(|series| series.last_before(day.session.date));
        let daily = || Some((vec![daily?; minutes + 1], VolSource::VixDaily));
        let own = || (realised.iter().map(|vol| vol * 100.0).collect::<Vec<f64>>(), VolSource::Realised);
        let stale =
            |series: &Option<IndexSeries>| series.as_ref().map_or(0, |series| series.stale_minutes(&day.session));

        let (atm, atm_source) = vix1d().or_else(vix).or_else(daily).unwrap_or_else(own);
        let (vix, vix_source) = vix().or_else(daily).or_else(vix1d).unwrap_or_else(own);
        let vix_previous_close = previous_close.replace(vix[minutes]).unwrap_or(vix[0]);
        let atm_vol = atm.iter().map(|points| bounded(points / 100.0)).collect();
        let stale_minutes = match atm_source {
            VolSource::Vix1dMinute => stale(&self.vix1d),
            VolSource::VixMinute => stale(&self.vix),
            VolSource::VixDaily | VolSource::Realised => 0,
        };
        VolColumns { atm_vol, vix, vix_previous_close, atm_source, vix_source, stale_minutes }
    }
}

/// Values of an index by the minute, and the times at which they became known.
#[derive(Debug, Clone, Default, PartialEq)]
struct IndexSeries {
    known_ns: Vec<i64>,
    value: Vec<f64>,
}

impl IndexSeries {
    /// Returns the closes of `bars`, each as the median of itself and the two before, so that a single bad print has no effect.
    ///
    /// The median restarts after a night: VIX1D steps down from the close to the next open, once the night is over, and the
    /// first print of a day has to count at once.
    fn new(bars: &Bars) -> Self {
        let (start, close) = (bars.ts_ns(), bars.close());
        let mut morning = 0;
        let value = (0..close.len()).map(|at| {
            if at > 0 && start[at] - start[at - 1] >= NIGHT_NS {
                morning = at;
            }
            median_of_three(&close[morning..=at])
        });
        let value = value.collect();
        Self { known_ns: start.iter().map(|start| start + MINUTE_NS).collect(), value }
    }

    /// Returns the value known at the start of each minute of `session` and at its close: `minutes + 1` entries.
    ///
    /// A value of an earlier day is multiplied by `carried`. `None` if nothing usable is known at the open.
    fn session(&self, session: &Session, carried: f64) -> Option<Vec<f64>> {
        let mut last = self.known_ns.partition_point(|known| *known <= session.open_ns).checked_sub(1)?;
        if self.known_ns[last] <= calendar::midnight_ns(oldest_usable(session.date)) {
            return None;
        }
        let instants = (session.open_ns..=session.close_ns).step_by(MINUTE_NS as usize);
        let today = calendar::midnight_ns(session.date);
        let values = instants.map(|now| {
            while self.known_ns.get(last + 1).is_some_and(|known| *known <= now) {
                last += 1;
            }
            self.value[last] * if self.known_ns[last] > today { 1.0 } else { carried }
        });
        Some(values.collect())
    }

    /// Counts the minutes after the session's first hour at which the newest value is older than an hour.
    fn stale_minutes(&self, session: &Session) -> usize {
        let instants = (session.open_ns + STALE_NS..session.close_ns).step_by(MINUTE_NS as usize);
        let is_stale = |now: &i64| {
            let known = self.known_ns.partition_point(|known| known <= now);
            known == 0 || now - self.known_ns[known - 1] > STALE_NS
        };
        instants.filter(is_stale).count()
    }
}

/// Realised volatility that carries the last sessions along.
#[derive(Debug, Default)]
struct Realised {
    earlier: VecDeque<SquaredReturns>,
}

#[derive(Debug, Clone, Copy, Default)]
struct SquaredReturns {
    sum: f64,
    count: usize,
}

impl SquaredReturns {
    fn annualised(self) -> f64 {
        if self.count < REALISED_MIN_RETURNS {
            return UNKNOWN_VOL;
        }
        bounded((self.sum / self.count as f64 * calendar::TRADING_MINUTES_PER_YEAR).sqrt())
    }
}

impl Realised {
    /// Returns the annualised volatility known at the start of each slot of `day` and at its close.
    fn session(&mut self, day: &SessionBars) -> Vec<f64> {
        let mut known = SquaredReturns::default();
        for session in &self.earlier {
            known.sum += session.sum;
            known.count += session.count;
        }
        let mut today = SquaredReturns::default();
        let mut values = vec![known.annualised()];
        for slot in 0..day.close.len() {
            if !day.filled[slot] {
                let continues = slot > 0 && !day.filled[slot - 1];
                let before = if continues { day.close[slot - 1] } else { day.open[slot] };
                let squared = (day.close[slot] / before).ln().powi(2);
                for returns in [&mut known, &mut today] {
                    returns.sum += squared;
                    returns.count += 1;
                }
            }
            values.push(known.annualised());
        }
        self.earlier.push_back(today);
        if self.earlier.len() > REALISED_SESSIONS {
            self.earlier.pop_front();
        }
        values
    }
}

fn bounded(vol: f64) -> f64 {
    vol.clamp(VOL_RANGE.0, VOL_RANGE.1)
}

fn oldest_usable(date: Date) -> Date {
    date.saturating_sub(MAX_AGE_DAYS.days())
}

/// Returns the median of the last three values; of two, the first.
fn median_of_three(values: &[f64]) -> f64 {
    let last = values.len() - 1;
    let [a, b, c] = [values[last.saturating_sub(2)], values[last.saturating_sub(1)], values[last]];
    a.max(b).min(a.min(b).max(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BarColumns, Symbol};

    fn day(date: &str, close: impl Fn(usize) -> f64) -> SessionBars {
        let session = calendar::session(date.parse().unwrap()).unwrap();
        let close: Vec<f64> = (0..session.minutes()).map(close).collect();
        let (volume, filled) = (vec![0.0; close.len()], vec![false; close.len()]);
        let (open, high, low) = (close.clone(), close.clone(), close.clone());
        SessionBars { session, open, high, low, close, volume, filled }
    }

    /// Index bars that start at these instants.
    fn published(points: &[(i64, f64)]) -> Bars {
        let level: Vec<f64> = points.iter().map(|(_, level)| *level).collect();
        let columns = BarColumns {
            ts_ns: points.iter().map(|(start, _)| *start).collect(),
            open: level.clone(),
            high: level.clone(),
            low: level.clone(),
            close: level.clone(),
            volume: vec![0.0; level.len()],
        };
        Bars::new(Symbol::new("VIX").unwrap(), "test", columns).unwrap()
    }

    #[test]
    fn a_value_is_known_when_its_minute_has_ended() {
        let days = [day("2025-06-02", |_| 500.0)];
        let open = days[0].session.open_ns;
        let vix = published(&[
            (open - MINUTE_NS, 18.0),
            (open, 18.0),
            (open + 4 * MINUTE_NS, 19.0),
            (open + 5 * MINUTE_NS, 19.0),
        ]);
        let columns = Volatility::new(None, Some(&vix), None).columns(&days).remove(0);
        assert_eq!((columns.atm_source, columns.vix_source), (VolSource::VixMinute, VolSource::VixMinute));
        // The first 19 waits for a second one (median of three), which is known six minutes after the open.
        assert_eq!((columns.vix[5], columns.vix[6], columns.vix[389]), (18.0, 19.0, 19.0));
        assert_eq!((columns.atm_vol[5], columns.atm_vol[6]), (0.18, 0.19));
        assert_eq!(columns.vix_previous_close, 18.0, "the first day takes its own first value");
        let late = published(&[(open, 18.0)]);
        let columns = Volatility::new(None, Some(&late), None).columns(&days).remove(0);
        assert_eq!(columns.vix_source, VolSource::Realised, "no value was known at the open");
    }

    #[test]
    fn a_single_bad_print_has_no_effect() {
        let days = [day("2025-06-02", |_| 500.0)];
        let open = days[0].session.open_ns;
        let levels: Vec<(i64, f64)> =
            (-3..390).map(|at| (open + at * MINUTE_NS, if at == 100 { 80.0 } else { 12.0 })).collect();
        let columns = Volatility::new(Some(&published(&levels)), None, None).columns(&days).remove(0);
        assert!(columns.atm_vol.iter().all(|vol| *vol == 0.12));
    }

    #[test]
    fn the_first_print_after_a_night_counts_at_once() {
        let days = [day("2025-06-02", |_| 500.0), day("2025-06-03", |_| 500.0)];
        let at = |day: usize, minute: i64, level: f64| (days[day].session.open_ns + minute * MINUTE_NS, level);
        let levels = [at(0, 387, 18.0), at(0, 388, 18.0), at(0, 389, 18.0), at(1, 1, 12.0), at(1, 2, 12.0)];
        let columns = Volatility::new(Some(&published(&levels)), None, None).columns(&days).remove(1);
        let carried = VIX1D_OVERNIGHT * 18.0 / 100.0;
        assert_eq!(columns.atm_vol[..4], [carried, carried, 0.12, 0.12]);
    }

    #[test]
    fn sources_are_preferred_in_order_unless_stale() {
        let days = ["2025-05-30", "2025-06-02", "2025-06-03"].map(|date| day(date, |_| 500.0));
        let last_minute = |day: &SessionBars| day.session.close_ns - MINUTE_NS;
        let vix1d = published(&[(last_minute(&days[0]), 11.0)]);
        let old_vix = published(&[(last_minute(&days[0]) - 7 * 24 * 60 * MINUTE_NS, 30.0)]);
        let daily = DailySeries::new(
            "test",
            vec!["2025-05-29".parse().unwrap(), "2025-05-30".parse().unwrap(), "2025-06-02".parse().unwrap()],
            vec![17.0, 18.0, 19.0],
        );
        let columns = Volatility::new(Some(&vix1d), Some(&old_vix), Some(daily.unwrap())).columns(&days);
        let sources: Vec<_> = columns.iter().map(|day| (day.atm_source, day.vix_source)).collect();
        assert_eq!(sources[0], (VolSource::VixDaily, VolSource::VixDaily), "VIX1D starts after this open");
        assert_eq!(sources[1], (VolSource::Vix1dMinute, VolSource::VixDaily));
        let vix: Vec<f64> = columns.iter().map(|day| day.vix[0]).collect();
        assert_eq!(vix, [17.0, 18.0, 19.0], "the close of the day before");
        let previous: Vec<f64> = columns.iter().map(|day| day.vix_previous_close).collect();
        assert_eq!(previous, [17.0, 17.0, 18.0]);
        let later = [day("2025-06-10", |_| 500.0)];
        let columns = Volatility::new(Some(&vix1d), None, None).columns(&later).remove(0);
        assert_eq!(columns.atm_source, VolSource::Realised, "eleven days are too many");
    }

    #[test]
    fn realised_volatility_of_a_zigzag() {
        let step: f64 = 0.0005;
        let zigzag = |minute: usize| if minute.is_multiple_of(2) { 500.0 } else { 500.0 * step.exp() };
        let days = [day("2025-06-02", zigzag), day("2025-06-03", zigzag)];
        let columns = Volatility::default().columns(&days);
        assert_eq!(columns[0].atm_vol[..30], [0.20; 30], "fewer than 30 returns");
        // The first return, from the open to the first close, is zero here; all others are one step.
        let after = |steps: f64, returns: f64| step * (steps / returns * 252.0 * 390.0).sqrt();
        assert!((columns[0].atm_vol[30] - after(29.0, 30.0)).abs() < 1e-12);
        assert!((columns[1].atm_vol[0] - after(389.0, 390.0)).abs() < 1e-12);
        assert!((columns[1].vix_previous_close - 100.0 * columns[1].atm_vol[0]).abs() < 1e-12);
        assert_eq!(columns[1].vix_source, VolSource::Realised);
    }

    #[test]
    fn no_return_spans_a_filled_slot() {
        let step: f64 = 0.0005;
        let mut later = day("2025-06-03", |minute| if minute.is_multiple_of(2) { 550.0 } else { 550.0 * step.exp() });
        // The 09:30 bar is missing: its slot holds the close of the day before, 10 % lower.
        for price in [&mut later.open, &mut later.high, &mut later.low, &mut later.close] {
            price[0] = 500.0;
        }
        later.filled[0] = true;
        let columns = Volatility::default().columns(&[later]).remove(0);
        // 389 returns, of which the first starts at its own open and is zero here.
        let expected = step * (388.0 / 389.0 * 252.0 * 390.0_f64).sqrt();
        assert!((columns.atm_vol[390] - expected).abs() < 1e-12, "{} and {expected}", columns.atm_vol[390]);
    }

    #[test]
    fn columns_depend_on_six_earlier_sessions_at_most() {
        let dates = calendar::sessions("2025-06-02".parse().unwrap(), "2025-06-16".parse().unwrap());
        let price = |seed: usize, minute: usize| 500.0 + ((seed * 37 + minute * 101) % 89) as f64 / 50.0;
        let days: Vec<SessionBars> = (0..)
            .zip(&dates)
            .map(|(seed, session)| day(&session.date.to_string(), |minute| price(seed, minute)))
            .collect();
        let (all, last) = (Volatility::default().columns(&days), days.len() - 1);
        let from = |first: usize| Volatility::default().columns(&days[first..]).pop().unwrap();
        for first in 0..=last - VOLATILITY_SESSIONS {
            assert_eq!(from(first), all[last], "from session {first} on");
        }
        let short = from(last - VOLATILITY_SESSIONS + 1);
        assert_eq!(short.atm_vol, all[last].atm_vol, "five sessions suffice for the volatility itself");
        assert_ne!(short.vix_previous_close, all[last].vix_previous_close);
        assert_ne!(from(last - REALISED_SESSIONS + 1).atm_vol, all[last].atm_vol);
    }

    #[test]
    fn unordered_daily_closes_are_refused() {
        let dates = ["2025-06-03", "2025-06-02"].map(|date| date.parse().unwrap()).to_vec();
        let message = DailySeries::new("VIX_1d.csv", dates, vec![1.0, 2.0]).unwrap_err().to_string();
        assert!(message.starts_with("VIX_1d.csv: row 2, column date: 2025-06-02 is earlier than row 1"), "{message}");
    }

    #[test]
    fn a_feed_that_stops_at_noon_is_counted_as_stale() {
        let days = [day("2025-06-02", |_| 500.0)];
        let open = days[0].session.open_ns;
        let levels = |minutes: i64| (-3..minutes).map(|at| (open + at * MINUTE_NS, 12.0)).collect::<Vec<_>>();
        let stale =
            |minutes| Volatility::new(Some(&published(&levels(minutes))), None, None).columns(&days)[0].stale_minutes;
        // The last value of 150 is known at minute 150 and too old from minute 211 on.
        assert_eq!((stale(390), stale(150)), (0, 390 - 211));
    }
}
