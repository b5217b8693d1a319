//! Bars against the exchange's day: the interval of the bars, and the zone and stamp of their times.
//!
//! A series is refused on strong evidence only: its bars contradict the sessions as they were read, and fit them in another
//! reading. A file with few bars or few sessions passes.

use super::{
    placement::{Evidence, Fit, Placement, STAMPS, ZONES, on_date_of, place, sessions},
    suspicion::Suspicion,
};
use crate::{BarFormat, BarStamp, Bars, DataError, Zone, bar_format::clock_ns, calendar, calendar::MINUTE_NS};

/// Fewest sessions with bars from which a reading is judged.
const FEW_SESSIONS: u32 = 3;
/// Fewest bars of a day on which an index is judged.
const FEW_BARS: usize = 30;
/// Fewest gaps between bars from which their interval is judged.
const FEW_GAPS: usize = 30;
/// Largest share of gaps of one minute in bars of another interval.
const STRAY_MINUTES: f64 = 0.02;
/// Largest share of session edges that a contradicted reading meets.
const NO_EDGES: f64 = 0.1;
/// Share of session edges that bars of regular hours meet under the right stamp.
const BOTH_EDGES: f64 = 0.8;
/// Largest and smallest mean logarithm of the volume ratio at the open, in the contradicted and in the better reading.
const JUMP: (f64, f64) = (0.7, 1.4);
/// Share of days on which an index is published at the open and at the close, in a contradicted and in a better reading.
const COVERED: (f64, f64) = (0.1, 0.8);
/// Number of bars by which readings are compared.
const ENOUGH: usize = 40_000;

/// Refuses bars whose usual distance is not one minute; few bars pass.
///
/// # Errors
/// [`DataError::Interval`].
pub(super) fn check_interval(origin: &str, ns: &[i64]) -> Result<(), DataError> {
    let mut gaps: Vec<i64> = ns.windows(2).take(ENOUGH).map(|pair| pair[1] - pair[0]).collect();
    let minutes = gaps.iter().filter(|gap| **gap == MINUTE_NS).count();
    if gaps.is_empty() || minutes as f64 > STRAY_MINUTES * gaps.len() as f64 {
        return Ok(());
    }
    let middle = gaps.len() / 2;
    let usual = *gaps.select_nth_unstable(middle).1;
    if usual == MINUTE_NS {
        return Ok(());
    }
    Err(DataError::Interval { path: origin.to_owned(), seconds: usual / 1_000_000_000 })
}

/// As [`check_interval`], for a series that may hold only a few bars.
pub(super) fn check_interval_of_many(bars: &Bars) -> Result<(), DataError> {
    if bars.len() > FEW_GAPS { check_interval(bars.origin(), bars.ts_ns()) } else { Ok(()) }
}

/// Returns what is wrong with the times of a fund's or an index's bars, if they contradict the exchange's day.
pub(super) fn misplaced(bars: &Bars, format: &BarFormat, states_zone: bool) -> Option<Suspicion> {
    let fit = Fit::of(bars.ts_ns(), bars.volume());
    if fit.days < FEW_SESSIONS || fit.edges >= NO_EDGES || fit.jump >= JUMP.0 {
        return None;
    }
    let clock = on_clock(bars, format, states_zone);
    let volume = &bars.volume()[..clock.len()];
    let found = place(&clock, volume, &zones(), &STAMPS);
    let strong = match found.evidence {
        Evidence::Edges(_) => true,
        Evidence::Volume(ratio) => ratio.ln() >= JUMP.1,
        Evidence::None => false,
    };
    let read_zone = zone_read(format, states_zone);
    let other_zone = found.zone.clone().filter(|zone| !same_clock(zone, &read_zone, &clock));
    match (strong, other_zone) {
        (false, _) => None,
        (true, Some(zone)) => Some(wrong_zone(bars, &read_zone, &zone, found.stamp, format, states_zone)),
        (true, None) if found.stamp != format.stamp && tells_stamp(found.evidence) => Some(wrong_stamp(bars, &found)),
        (true, None) => None,
    }
}

/// Returns whether a sign tells the two stamps apart: open and close agree, or the volume jumps. An index that begins at 09:31 and
/// goes on after 16:00 agrees at one of them only.
fn tells_stamp(evidence: Evidence) -> bool {
    match evidence {
        Evidence::Edges(share) => share >= BOTH_EDGES,
        Evidence::Volume(_) => true,
        Evidence::None => false,
    }
}

/// Returns what is wrong with the times of VIX or VIX1D, which are published from 03:15 or 09:30 to 16:15 in New York.
pub(super) fn index_misplaced(bars: &Bars, format: &BarFormat, states_zone: bool) -> Option<Suspicion> {
    let covered = Covered::of(bars.ts_ns());
    if covered.days < FEW_SESSIONS || covered.both() >= COVERED.0 {
        return None;
    }
    let clock = on_clock(bars, format, states_zone);
    let read_zone = zone_read(format, states_zone);
    let fits = |zone: &Zone| {
        let covered = zone.to_utc(&clock).map(|utc| Covered::of(&utc));
        covered.is_ok_and(|covered| covered.both() >= COVERED.1 && covered.late == 0)
    };
    let other = zones().into_iter().flatten().find(fits).filter(|zone| !same_clock(zone, &read_zone, &clock));
    match other {
        Some(zone) => Some(wrong_zone(bars, &read_zone, &zone, format.stamp, format, states_zone)),
        None if covered.afternoon == 0 => Some(Suspicion {
            what: format!(
                "no bar of {} after noon in New York on any of {} days: the zone of its times is wrong, or the feed ends early",
                bars.symbol(),
                covered.days
            ),
            cure: "name the zone, such as --set data.timestamp_zone=America/New_York, or move the file away".to_owned(),
        }),
        None => None,
    }
}

/// Days on which an index is published, among those with [`FEW_BARS`].
#[derive(Default)]
struct Covered {
    days: u32,
    /// Days with a bar in the first quarter of an hour of the session.
    open: u32,
    /// Days with a bar in its last quarter of an hour.
    close: u32,
    /// Days with a bar after noon.
    afternoon: u32,
    /// Days with a bar more than half an hour after the close.
    late: u32,
}

impl Covered {
    fn of(starts: &[i64]) -> Self {
        let mut covered = Self::default();
        let noon = 150 * MINUTE_NS;
        for session in sessions(starts) {
            let day = on_date_of(starts, &session);
            if day.len() < FEW_BARS {
                continue;
            }
            let has = |from: i64, to: i64| u32::from(day.iter().any(|start| (from..to).contains(start)));
            covered.days += 1;
            covered.open += has(session.open_ns, session.open_ns + 15 * MINUTE_NS);
            covered.close += has(session.close_ns - 15 * MINUTE_NS, session.close_ns);
            covered.afternoon += has(session.open_ns + noon, i64::MAX);
            covered.late += has(session.close_ns + 30 * MINUTE_NS, i64::MAX);
        }
        covered
    }

    /// Returns the share of days on which the index is published at the open and at the close.
    fn both(&self) -> f64 {
        f64::from(self.open.min(self.close)) / f64::from(self.days.max(1))
    }
}

fn zones() -> Vec<Option<Zone>> {
    ZONES.iter().filter_map(|name| Zone::new(name).ok()).map(Some).collect()
}

/// Returns the zone in which the times of a file were read.
fn zone_read(format: &BarFormat, states_zone: bool) -> Zone {
    format.zone.clone().filter(|_| !states_zone).unwrap_or_else(Zone::utc)
}

/// Returns the first times as the file's clock shows them, nanoseconds; those of a file that states its zone on the clock of UTC.
fn on_clock(bars: &Bars, format: &BarFormat, states_zone: bool) -> Vec<i64> {
    let shift = if format.stamp == BarStamp::End { MINUTE_NS } else { 0 };
    let stamps = bars.ts_ns().iter().take(ENOUGH).map(|start| start + shift);
    match format.zone.as_ref().filter(|_| !states_zone) {
        None => stamps.collect(),
        Some(zone) => stamps.map(|ns| clock_ns(zone.clock_at(ns)).unwrap_or(ns)).collect(),
    }
}

/// Returns true if two zones give the same instants.
fn same_clock(a: &Zone, b: &Zone, clock: &[i64]) -> bool {
    matches!((a.to_utc(clock), b.to_utc(clock)), (Ok(a), Ok(b)) if a == b)
}

fn wrong_zone(
    bars: &Bars,
    read: &Zone,
    zone: &Zone,
    stamp: BarStamp,
    format: &BarFormat,
    states_zone: bool,
) -> Suspicion {
    let (first, last) = usual_hours(bars);
    let name = zone.as_str();
    let ends = if stamp == format.stamp { String::new() } else { format!(" --set data.bar_stamp={stamp}") };
    if states_zone {
        return Suspicion {
            what: format!(
                "its times state their instant, but its bars then run from {first} to {last} in New York; they fit the exchange's \
                 day as times of {name} that were marked as UTC"
            ),
            cure: format!(
                "write the times without a zone and add --set data.timestamp_zone={name}{ends}, or write the right offset"
            ),
        };
    }
    Suspicion {
        what: format!(
            "its times have no zone and were read as {}; its bars then run from {first} to {last} in New York, and fit the \
             exchange's day as times of {name}",
            read.as_str()
        ),
        cure: format!("add --set data.timestamp_zone={name}{ends}"),
    }
}

fn wrong_stamp(bars: &Bars, found: &Placement) -> Suspicion {
    let stamp = found.stamp;
    let sign = match found.evidence {
        Evidence::Volume(_) => {
            let (right, read) = if stamp == BarStamp::End { ("09:31", "09:30") } else { ("09:29", "09:30") };
            format!("the volume jumps at {right} instead of {read}")
        }
        Evidence::Edges(_) | Evidence::None => {
            let (first, last) = usual_hours(bars);
            format!("its bars run from {first} to {last}")
        }
    };
    let cure = if stamp == BarStamp::End {
        "add --set data.bar_stamp=end, or turn this file alone with `zerodte import FILE --bar-stamp end`"
    } else {
        "leave out data.bar_stamp = \"end\", or import the files that are named by their end"
    };
    Suspicion { what: format!("{sign}, as in files whose bars are named by their {stamp}"), cure: cure.to_owned() }
}

/// Returns the usual times of the first and the last bar of a date in New York.
fn usual_hours(bars: &Bars) -> (String, String) {
    let starts = &bars.ts_ns()[..bars.len().min(ENOUGH)];
    let (mut first, mut last): (Vec<i64>, Vec<i64>) = sessions(starts)
        .iter()
        .filter_map(|session| {
            let day = on_date_of(starts, session);
            let minute = |start: i64| (start - calendar::midnight_ns(session.date)) / MINUTE_NS;
            Some((minute(*day.first()?), minute(*day.last()?)))
        })
        .unzip();
    (middle(&mut first), middle(&mut last))
}

/// Formats the median of minutes after midnight.
fn middle(minutes: &mut [i64]) -> String {
    minutes.sort_unstable();
    let minute = minutes.get(minutes.len() / 2).copied().unwrap_or_default();
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
