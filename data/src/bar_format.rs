//! Form of bar files: columns under other names, the zone of times without an offset, and the stamp of a bar.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::MINUTE_NS;

/// Meaning of a column of minute bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BarColumn {
    /// Time of the bar.
    Timestamp,
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Shares traded.
    Volume,
}

impl BarColumn {
    /// All columns, in the order of a bar file.
    pub const ALL: [Self; 6] = [Self::Timestamp, Self::Open, Self::High, Self::Low, Self::Close, Self::Volume];

    /// Returns the column's own name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
        }
    }
}

impl fmt::Display for BarColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Moment of its minute by which a bar is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BarStamp {
    /// The start: the first bar of a session is 09:30.
    #[default]
    Start,
    /// The end: the first bar of a session is 09:31.
    End,
}

impl BarStamp {
    /// Returns the stamp's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }

    /// Turns stamps into starts of bars, nanoseconds.
    pub fn to_starts(self, ts_ns: &mut [i64]) {
        if self == Self::End {
            ts_ns.iter_mut().for_each(|ts| *ts = ts.saturating_sub(MINUTE_NS));
        }
    }
}

impl fmt::Display for BarStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Error of a text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no zone of the IANA time-zone database; write it as {example}")]
pub struct ZoneError {
    /// The text as given.
    pub text: String,
    /// A zone with that city, or a common one.
    pub example: String,
}

/// A time zone of the IANA database, such as `America/New_York`. Its rules are compiled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Finds a zone by its name, in any case.
    ///
    /// # Errors
    /// [`ZoneError`] with a zone whose city has this name, if there is one.
    pub fn new(name: &str) -> Result<Self, ZoneError> {
        let known = TimeZoneDatabase::bundled();
        known.get(name.trim()).map(Self).map_err(|_| {
            let city = name.trim().replace([' ', '-'], "_");
            let of_city = |zone: &str| zone.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&city));
            let found = known.available().map(|zone| zone.as_str().to_owned()).find(|zone| of_city(zone));
            let example = found.unwrap_or_else(|| "America/New_York or UTC".to_owned());
            ZoneError { text: name.to_owned(), example }
        })
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the zone of a clock that is never changed, UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Returns the date and time that the clock of this zone shows at an instant, UTC nanoseconds.
    #[must_use]
    pub fn clock_at(&self, utc_ns: i64) -> DateTime {
        let instant =
            Timestamp::from_nanosecond(i128::from(utc_ns)).expect("64-bit nanoseconds are within jiff's years");
        self.0.to_datetime(instant)
    }

    /// Turns times of this zone's clock, nanoseconds since 1970-01-01 00:00 on that clock, into UTC nanoseconds.
    ///
    /// # Errors
    /// The first time that the clock shows never or twice, because it is set forward or back.
    pub fn to_utc(&self, local_ns: &[i64]) -> Result<Vec<i64>, ClockFault> {
        local_ns
            .iter()
            .enumerate()
            .map(|(at, &ns)| self.instant(ns).map_err(|times| ClockFault { at, times }))
            .collect()
    }

    /// Returns an instant, or how often the clock shows the time.
    fn instant(&self, local_ns: i64) -> Result<i64, ClockTimes> {
        match self.0.to_ambiguous_timestamp(clock_time(local_ns)).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                Ok(local_ns.saturating_sub(i64::from(offset.seconds()) * 1_000_000_000))
            }
            AmbiguousOffset::Gap { .. } => Err(ClockTimes::Never),
            AmbiguousOffset::Fold { .. } => Err(ClockTimes::Twice),
        }
    }
}

/// Returns the date and time of nanoseconds since 1970-01-01 00:00 on a clock.
pub(crate) fn clock_time(local_ns: i64) -> DateTime {
    let instant = Timestamp::from_nanosecond(i128::from(local_ns)).expect("64-bit nanoseconds are within jiff's years");
    Offset::UTC.to_datetime(instant)
}

/// Returns the nanoseconds since 1970-01-01 00:00 of a date and time on a clock; `None` outside the years 1678 to 2261.
pub(crate) fn clock_ns(time: DateTime) -> Option<i64> {
    i64::try_from(Offset::UTC.to_timestamp(time).ok()?.as_nanosecond()).ok()
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;

    fn try_from(text: String) -> Result<Self, ZoneError> {
        Self::new(&text)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.as_str().to_owned()
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// A time of a clock that stands for no instant, or for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFault {
    /// Index of the time.
    pub at: usize,
    /// Number of times that the clock shows it.
    pub times: ClockTimes,
}

/// Number of times that a clock shows a time on a day on which it is changed, where that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTimes {
    /// The clock is set forward past it.
    Never,
    /// The clock is set back to before it.
    Twice,
}

impl fmt::Display for ClockTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Never => "does not exist",
            Self::Twice => "exists twice",
        })
    }
}

/// Form of the minute bars in a file, as `[data]` states it; the default is a file with the project's own columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BarFormat {
    /// Meanings of columns, by their names in the file.
    pub columns: BTreeMap<String, BarColumn>,
    /// Zone of times without an offset.
    pub zone: Option<Zone>,
    /// Stamp of the bars.
    pub stamp: BarStamp,
    /// True to read files that contradict the exchange's day, or whose prices jump by a factor.
    pub allow_suspicious: bool,
    /// Names of further numeric columns that are read.
    pub own: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> i64 {
        let time: DateTime = text.parse().unwrap();
        i64::try_from(Offset::UTC.to_timestamp(time).unwrap().as_nanosecond()).unwrap()
    }

    fn utc(text: &str) -> i64 {
        i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn zones_are_names_of_the_database_in_any_case() {
        assert_eq!(Zone::new(" america/new_york ").unwrap().to_string(), "America/New_York");
        assert_eq!(Zone::new("utc").unwrap(), Zone::utc());
        for (text, example) in
            [("New York", "write it as America/New_York"), ("chicago", "America/Chicago"), ("ET", "New_York or UTC")]
        {
            let message = Zone::new(text).unwrap_err().to_string();
            assert!(message.contains(example), "{message}");
        }
        let zone: Zone = serde_json::from_str("\"America/Chicago\"").unwrap();
        assert_eq!(serde_json::to_string(&zone).unwrap(), "\"America/Chicago\"");
        assert!(serde_json::from_str::<Zone>("\"Mars/Phobos\"").is_err());
    }

    #[test]
    fn clock_times_follow_daylight_saving_and_its_two_nights_are_refused() {
        let zone = Zone::new("America/New_York").unwrap();
        let times = ["2025-03-07 09:30", "2025-03-10 09:30", "2025-11-03 09:30"].map(local);
        let expected = ["2025-03-07T14:30:00Z", "2025-03-10T13:30:00Z", "2025-11-03T14:30:00Z"].map(utc);
        assert_eq!(zone.to_utc(&times).unwrap(), expected);
        assert_eq!(zone.clock_at(expected[1]).to_string(), "2025-03-10T09:30:00");
        let fault = |text| zone.to_utc(&[times[0], local(text)]).unwrap_err();
        assert_eq!(fault("2025-03-09 02:30"), ClockFault { at: 1, times: ClockTimes::Never });
        assert_eq!(fault("2025-11-02 01:30"), ClockFault { at: 1, times: ClockTimes::Twice });
        assert_eq!(Zone::utc().to_utc(&times).unwrap(), times);
    }

    #[test]
    fn end_stamps_become_starts() {
        let mut times = [utc("2025-06-02T13:31:00Z")];
        BarStamp::Start.to_starts(&mut times);
        assert_eq!(times, [utc("2025-06-02T13:31:00Z")]);
        BarStamp::End.to_starts(&mut times);
        assert_eq!(times, [utc("2025-06-02T13:30:00Z")]);
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        for column in BarColumn::ALL {
            assert_eq!(serde_json::to_string(&column).unwrap(), format!("\"{column}\""));
        }
        for stamp in [BarStamp::Start, BarStamp::End] {
            assert_eq!(serde_json::to_string(&stamp).unwrap(), format!("\"{stamp}\""));
        }
    }
}
