//! Zone and stamp of bars, detected from their place in the exchange's day.
//!
//! Two signs are used. Bars of regular hours begin at the open and end before the close, so a reading of the times is right if
//! bars begin and end at these edges of the sessions. Where bars lie before and after the session too, the volume of the
//! minute after the open is many times that of the minute before. The close tells nothing then: extended hours end at 20:00 in
//! New York, which as UTC is 16:00 there in summer.

use jiff::ToSpan as _;

use crate::{BarStamp, Zone, calendar, calendar::MINUTE_NS};

/// Zones that a file without zone may be in. Of two that give the same instants the first counts.
pub const ZONES: [&str; 6] =
    ["America/New_York", "UTC", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin"];
/// The two stamps.
pub(super) const STAMPS: [BarStamp; 2] = [BarStamp::Start, BarStamp::End];
/// Smallest share of edges at which a reading is accepted. One of two edges may lack bars, as the first minute of an index.
const MIN_EDGES: f64 = 0.4;
/// Share of bars outside sessions from which a file has extended hours.
const EXTENDED: f64 = 0.1;
/// Smallest mean logarithm of the ratio of volumes at the open: a doubling.
const MIN_JUMP: f64 = std::f64::consts::LN_2;

/// One reading of a file's times, and its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Zone of the clock; `None` for times that are instants.
    pub zone: Option<Zone>,
    /// Stamp of the bars.
    pub stamp: BarStamp,
    /// The sign that decided.
    pub evidence: Evidence,
}

/// The sign by which a reading was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evidence {
    /// Bars begin at the open and end before the close; share of these edges, 0 to 1.
    Edges(f64),
    /// The volume rises at the open; geometric mean of the ratio.
    Volume(f64),
    /// No sign; the reading is the first one.
    None,
}

/// Returns the best reading of `ns`, nanoseconds that ascend: instants in UTC where a zone is `None`, else times on the clock
/// of the zone. The first readings win ties; a zone in which one of the times is no instant is left out.
///
/// # Panics
/// If `zones` or `stamps` are empty.
#[must_use]
pub fn place(ns: &[i64], volume: &[f64], zones: &[Option<Zone>], stamps: &[BarStamp]) -> Placement {
    let mut readings = Vec::new();
    for zone in zones {
        let times = match zone {
            None => ns.to_vec(),
            Some(clock) => match clock.to_utc(ns) {
                Ok(times) => times,
                Err(_) => continue,
            },
        };
        for &stamp in stamps {
            let mut starts = times.clone();
            stamp.to_starts(&mut starts);
            readings.push(Reading { zone: zone.as_ref(), stamp, fit: Fit::of(&starts, volume) });
        }
    }
    if let Some(reading) = best(&readings, |fit| fit.edges, MIN_EDGES) {
        return reading.placement(Evidence::Edges(reading.fit.edges));
    }
    match best(&readings, |fit| fit.jump, MIN_JUMP) {
        Some(reading) => reading.placement(Evidence::Volume(reading.fit.jump.exp())),
        None => Placement { zone: zones[0].clone(), stamp: stamps[0], evidence: Evidence::None },
    }
}

/// One reading of the times, and its agreement with the sessions.
struct Reading<'a> {
    zone: Option<&'a Zone>,
    stamp: BarStamp,
    fit: Fit,
}

impl Reading<'_> {
    fn placement(&self, evidence: Evidence) -> Placement {
        Placement { zone: self.zone.cloned(), stamp: self.stamp, evidence }
    }
}

/// Returns the first reading with the largest value, if that is at least `least`.
fn best<'r, 'z>(readings: &'r [Reading<'z>], value: fn(&Fit) -> f64, least: f64) -> Option<&'r Reading<'z>> {
    let enough = readings.iter().filter(|reading| value(&reading.fit) >= least);
    enough.reduce(|best, reading| if value(&reading.fit) > value(&best.fit) { reading } else { best })
}

/// Agreement of a reading with the sessions of the exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// Number of sessions with bars on their date.
    pub(super) days: u32,
    /// Share of opens and closes at which the bars begin and end.
    pub(super) edges: f64,
    /// Mean logarithm of the volume ratio of the minutes after and before the open.
    pub(super) jump: f64,
}

impl Fit {
    /// Compares bars with the sessions of their dates, by their starts in UTC and their volumes.
    pub(super) fn of(starts: &[i64], volume: &[f64]) -> Self {
        let (mut days, mut edges, mut jump) = (0_u32, 0_u32, 0.0);
        let volume_at = |ns: i64| starts.binary_search(&ns).map_or(0.0, |at| volume[at]);
        let has = |ns: i64| starts.binary_search(&ns).is_ok();
        let extended = SessionCount::of(starts).outside as f64 > EXTENDED * starts.len() as f64;
        for session in sessions(starts) {
            let open = session.open_ns;
            if on_date_of(starts, &session).is_empty() {
                continue;
            }
            days += 1;
            edges += u32::from(has(open) && !has(open - MINUTE_NS));
            edges += u32::from(!extended && has(session.close_ns - MINUTE_NS) && !has(session.close_ns));
            jump += ((1.0 + volume_at(open)) / (1.0 + volume_at(open - MINUTE_NS))).ln();
        }
        let count = f64::from(days.max(1));
        Self { days, edges: f64::from(edges) / (2.0 * count), jump: jump / count }
    }
}

/// Returns the starts on the date of a session.
pub(super) fn on_date_of<'a>(starts: &'a [i64], session: &calendar::Session) -> &'a [i64] {
    let before = |ns: i64| starts.partition_point(|&start| start < ns);
    let next = calendar::midnight_ns(session.date.saturating_add(1.day()));
    &starts[before(calendar::midnight_ns(session.date))..before(next)]
}

/// Returns the sessions from the date of the first to that of the last start.
pub(super) fn sessions(starts: &[i64]) -> Vec<calendar::Session> {
    let ends = starts.first().zip(starts.last());
    ends.map_or_else(Vec::new, |(&first, &last)| {
        calendar::sessions(calendar::exchange_date(first), calendar::exchange_date(last))
    })
}

/// Numbers of sessions and bars in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// Sessions with at least one bar.
    pub sessions: usize,
    /// Sessions with a bar in every minute.
    pub complete: usize,
    /// Bars outside the hours of sessions.
    pub outside: usize,
}

impl SessionCount {
    /// Counts bars by their starts, UTC nanoseconds that ascend.
    #[must_use]
    pub fn of(starts: &[i64]) -> Self {
        let mut count = Self { outside: starts.len(), ..Self::default() };
        for session in sessions(starts) {
            let before = |ns: i64| starts.partition_point(|&start| start < ns);
            let inside = before(session.close_ns) - before(session.open_ns);
            count.outside -= inside;
            count.sessions += usize::from(inside > 0);
            count.complete += usize::from(inside == session.minutes());
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the starts of the minutes from `first` to `last`, counted from the open, of four sessions around a change of the
    /// clock, and their volumes: large inside the session.
    fn bars(first: i64, last: i64) -> (Vec<i64>, Vec<f64>) {
        bars_from("2025-03-06", "2025-03-11", first, last)
    }

    fn bars_from(from: &str, to: &str, first: i64, last: i64) -> (Vec<i64>, Vec<f64>) {
        let sessions = calendar::sessions(from.parse().unwrap(), to.parse().unwrap());
        let minutes = |session: &calendar::Session| {
            let open = session.open_ns;
            (first..=last).map(move |minute| open + minute * MINUTE_NS)
        };
        let starts: Vec<i64> = sessions.iter().flat_map(minutes).collect();
        let inside = |ns: &i64| sessions.iter().any(|session| (session.open_ns..session.close_ns).contains(ns));
        let volume = starts.iter().map(|ns| if inside(ns) { 5_000.0 } else { 40.0 }).collect();
        (starts, volume)
    }

    /// Turns UTC nanoseconds into times on the clock of a zone.
    fn on_clock(starts: &[i64], zone: &str) -> Vec<i64> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let offset = |ns: i64| {
            let instant = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            i64::from(zone.to_offset(instant).seconds()) * 1_000_000_000
        };
        starts.iter().map(|&ns| ns + offset(ns)).collect()
    }

    fn detected(ns: &[i64], volume: &[f64]) -> (String, BarStamp, Evidence) {
        let zones: Vec<_> = ZONES.iter().map(|name| Some(Zone::new(name).unwrap())).collect();
        let found = place(ns, volume, &zones, &[BarStamp::Start, BarStamp::End]);
        (found.zone.unwrap().to_string(), found.stamp, found.evidence)
    }

    #[test]
    fn edges_of_regular_hours_tell_zone_and_stamp() {
        let (starts, volume) = bars(0, 389);
        for zone in ["America/New_York", "UTC", "America/Chicago", "America/Los_Angeles"] {
            let clock = on_clock(&starts, zone);
            assert_eq!(detected(&clock, &volume), (zone.to_owned(), BarStamp::Start, Evidence::Edges(1.0)));
            let ends: Vec<i64> = clock.iter().map(|ns| ns + MINUTE_NS).collect();
            assert_eq!(detected(&ends, &volume), (zone.to_owned(), BarStamp::End, Evidence::Edges(1.0)));
        }
    }

    #[test]
    fn the_volume_tells_them_in_extended_hours() {
        let (starts, volume) = bars(-330, 629);
        for zone in ["America/New_York", "UTC", "America/Chicago"] {
            for (stamp, shift) in [(BarStamp::Start, 0), (BarStamp::End, MINUTE_NS)] {
                let times: Vec<i64> = on_clock(&starts, zone).iter().map(|ns| ns + shift).collect();
                let (found, found_stamp, evidence) = detected(&times, &volume);
                assert_eq!((found.as_str(), found_stamp), (zone, stamp));
                assert!(matches!(evidence, Evidence::Volume(ratio) if ratio > 100.0), "{evidence:?}");
            }
        }
        let without = vec![0.0; starts.len()];
        assert_eq!(detected(&starts, &without).2, Evidence::None, "nothing tells them apart");
    }

    #[test]
    fn extended_hours_that_end_at_the_close_in_another_zone_are_told_by_their_volume() {
        let (starts, volume) = bars_from("2025-06-02", "2025-06-05", -330, 629);
        let clock = on_clock(&starts, "America/New_York");
        assert_eq!(calendar::session("2025-06-03".parse().unwrap()).unwrap().close_ns, clock[1_919] + MINUTE_NS);
        assert_eq!(detected(&clock, &volume).0, "America/New_York");
        assert_eq!(detected(&clock, &vec![0.0; clock.len()]).2, Evidence::None, "without volume nothing is guessed");
    }

    #[test]
    fn an_index_without_its_first_minute_has_start_stamps() {
        let (starts, _) = bars(1, 389);
        let volume = vec![0.0; starts.len()];
        assert_eq!(
            detected(&on_clock(&starts, "UTC"), &volume),
            ("UTC".to_owned(), BarStamp::Start, Evidence::Edges(0.5))
        );
    }

    #[test]
    fn instants_need_a_stamp_only() {
        let (starts, volume) = bars(1, 390);
        let found = place(&starts, &volume, &[None], &[BarStamp::Start, BarStamp::End]);
        assert_eq!((found.zone, found.stamp), (None, BarStamp::End));
    }

    #[test]
    fn sessions_and_bars_outside_are_counted() {
        let (mut starts, _) = bars(-2, 390);
        assert_eq!(SessionCount::of(&starts), SessionCount { sessions: 4, complete: 4, outside: 12 });
        starts.remove(100);
        assert_eq!(SessionCount::of(&starts), SessionCount { sessions: 4, complete: 3, outside: 12 });
        assert_eq!(SessionCount::of(&[]), SessionCount::default());
    }
}
