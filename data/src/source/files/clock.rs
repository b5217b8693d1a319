//! Times of a file, with or without a zone.

use std::path::Path;

use jiff::{Timestamp, civil::DateTime};

use super::{EXPECTED_TIME, cells::bad_cell};
use crate::{
    DataError, Zone,
    bar_format::{clock_ns, clock_time},
};

/// Expected form of a time without an offset.
const EXPECTED_OFFSET: &str = "RFC 3339 with an offset; for times without one, name their zone with \
                               data.timestamp_zone, such as America/New_York";

/// Times of a file, before a zone is applied to those that state none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileTimes {
    /// Nanoseconds since 1970-01-01 00:00: in UTC, or on a clock whose zone the file does not state.
    pub(super) ns: Vec<i64>,
    /// Detected format, such as "RFC 3339".
    pub(super) form: String,
    /// The clock; `None` if the file states the zone.
    pub(super) clock: Option<Clock>,
}

/// A clock whose zone the file does not state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clock {
    /// The first time, as in the file.
    pub(super) first: String,
    /// Whether it counts as UTC unless a zone is given.
    pub(super) utc_by_default: bool,
}

impl FileTimes {
    /// Returns UTC nanoseconds and the format. `zone` is the zone of times that state none.
    ///
    /// # Errors
    /// A time without zone where none is given, and one that the clock shows never or twice, both with their row.
    pub(super) fn into_utc(self, path: &Path, zone: Option<&Zone>) -> Result<(Vec<i64>, String), DataError> {
        let Self { ns, form, clock } = self;
        let Some(clock) = clock else { return Ok((ns, form)) };
        let utc = match zone {
            Some(zone) => utc(path, &ns, zone)?,
            None if clock.utc_by_default => ns,
            None => return Err(bad_cell(path, 1, "timestamp", &clock.first, EXPECTED_OFFSET)),
        };
        Ok((utc, format!("{form}, taken as {}", zone.map_or("UTC", Zone::as_str))))
    }
}

/// Turns times of a zone's clock into UTC nanoseconds.
///
/// # Errors
/// A time that the clock shows never or twice, with its row.
pub(super) fn utc(path: &Path, local_ns: &[i64], zone: &Zone) -> Result<Vec<i64>, DataError> {
    zone.to_utc(local_ns).map_err(|fault| DataError::ClockTime {
        path: path.display().to_string(),
        row: fault.at + 1,
        time: clock_time(local_ns[fault.at]).to_string(),
        times: fault.times,
        zone: zone.clone(),
    })
}

/// Reads texts as RFC 3339, or as times without offset if the first one has none.
///
/// # Errors
/// A text of another form than the first, with its row.
pub(super) fn of_texts<'a>(path: &Path, texts: impl Iterator<Item = &'a str> + Clone) -> Result<FileTimes, DataError> {
    let first = texts.clone().next().unwrap_or_default();
    let on_clock = rfc3339_ns(first).is_none() && clock_text_ns(first).is_some();
    let parse = if on_clock { clock_text_ns } else { rfc3339_ns };
    let expected = if on_clock { "a date and time without offset, as in row 1" } else { EXPECTED_TIME };
    let cell =
        |(at, text): (usize, &str)| parse(text).ok_or_else(|| bad_cell(path, at + 1, "timestamp", text, expected));
    let ns = texts.enumerate().map(cell).collect::<Result<_, _>>()?;
    let form = if on_clock { "date-time without a zone" } else { "RFC 3339" };
    let clock = on_clock.then(|| Clock { first: first.to_owned(), utc_by_default: false });
    Ok(FileTimes { ns, form: form.to_owned(), clock })
}

pub(super) fn rfc3339_ns(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// Reads a date and time without offset, such as `2025-06-02 09:30:00`. A date alone is none.
fn clock_text_ns(text: &str) -> Option<i64> {
    // The parser of jiff ignores an offset.
    let time = text.get(10..).filter(|rest| !rest.is_empty() && !rest.contains(['+', '-', 'Z', 'z', '[']));
    time.and_then(|_| clock_ns(text.parse::<DateTime>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(texts: &[&str], zone: Option<&str>) -> Result<(Vec<i64>, String), String> {
        let zone = zone.map(|zone| Zone::new(zone).unwrap());
        let read = of_texts(Path::new("FILE"), texts.iter().copied());
        read.and_then(|times| times.into_utc(Path::new("FILE"), zone.as_ref())).map_err(|error| error.to_string())
    }

    #[test]
    fn offsets_are_read_with_a_blank_and_with_a_t() {
        let expected = vec![1_748_871_000_000_000_000; 5];
        let texts = [
            "2025-06-02 09:30:00-04:00",
            "2025-06-02T09:30:00-0400",
            "2025-06-02 13:30:00+00:00",
            "2025-06-02T13:30:00Z",
            "2025-06-02T13:30Z",
        ];
        assert_eq!(times(&texts, None).unwrap(), (expected.clone(), "RFC 3339".to_owned()));
        assert_eq!(times(&texts, Some("Asia/Tokyo")).unwrap().0, expected, "a stated offset holds");
    }

    #[test]
    fn times_without_offset_need_a_zone() {
        let texts = ["2025-06-02 09:30:00", "2025-06-02T09:30", "20250602 09:30:00"];
        let (ns, form) = times(&texts, Some("America/New_York")).unwrap();
        assert_eq!(ns, [1_748_871_000_000_000_000; 3]);
        assert_eq!(form, "date-time without a zone, taken as America/New_York");
        let message = times(&texts, None).unwrap_err();
        assert!(
            message.starts_with("FILE: row 1, column timestamp: \"2025-06-02 09:30:00\"; expected RFC"),
            "{message}"
        );
        assert!(message.ends_with("data.timestamp_zone, such as America/New_York"), "{message}");
    }

    #[test]
    fn one_form_per_file() {
        let mixed = ["2025-06-02 09:30:00", "2025-06-02 09:31:00-04:00"];
        let message = times(&mixed, Some("America/New_York")).unwrap_err();
        assert!(message.starts_with("FILE: row 2, column timestamp: \"2025-06-02 09:31:00-04:00\""), "{message}");
        let mixed = ["2025-06-02 09:30:00-04:00", "2025-06-02 09:31:00"];
        assert!(times(&mixed, Some("America/New_York")).unwrap_err().starts_with("FILE: row 2, column timestamp"));
        for none in ["2025-06-02", "yesterday", ""] {
            let message = times(&[none], Some("America/New_York")).unwrap_err();
            assert!(message.contains("expected RFC 3339 with an offset, or epoch"), "{message}");
        }
    }

    #[test]
    fn the_nights_of_a_clock_change_are_named_with_their_row() {
        let message = |time| times(&["2025-03-07 09:30", time], Some("America/New_York")).unwrap_err();
        assert_eq!(
            message("2025-03-09 02:30"),
            "FILE: row 2, column timestamp: 2025-03-09T02:30:00 does not exist in America/New_York, whose clock is changed on \
             that day; write the time with its offset"
        );
        assert!(message("2025-11-02 01:30").contains("row 2, column timestamp: 2025-11-02T01:30:00 exists twice in"));
    }
}
