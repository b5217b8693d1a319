//! Integer time stamps, whose unit is detected from their size.

/// The unit of an integer time stamp. Between 1973 and 5138 the sizes of the four units do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    /// Returns the unit in which `value` is a plausible time.
    pub(super) fn of(value: i64) -> Self {
        match value.unsigned_abs() {
            0..100_000_000_000 => Self::Seconds,
            100_000_000_000..100_000_000_000_000 => Self::Milliseconds,
            100_000_000_000_000..100_000_000_000_000_000 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    /// Returns nanoseconds, or `None` if `value` has another unit or is too large.
    pub(super) fn to_ns(self, value: i64) -> Option<i64> {
        let factor = match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        };
        if Self::of(value) == self { value.checked_mul(factor) } else { None }
    }

    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Seconds => "epoch seconds",
            Self::Milliseconds => "epoch milliseconds",
            Self::Microseconds => "epoch microseconds",
            Self::Nanoseconds => "epoch nanoseconds",
        }
    }
}

/// Converts integer time stamps of one unit to nanoseconds, and returns them with the detected unit.
///
/// # Errors
/// The index of the first value with another unit than the first one, or 0 if that consists of the digits of a date; and
/// the expected content.
pub(super) fn to_ns(values: &[i64]) -> Result<(Vec<i64>, &'static str), (usize, &'static str)> {
    let first = values.first().copied().unwrap_or(0);
    if is_date_in_digits(first) {
        return Err((0, NO_DIGITS));
    }
    let unit = Unit::of(first);
    let converted = values.iter().enumerate().map(|(at, value)| unit.to_ns(*value).ok_or((at, SAME_UNIT)));
    Ok((converted.collect::<Result<_, _>>()?, unit.note()))
}

const SAME_UNIT: &str = "the unit of row 1";
const NO_DIGITS: &str = "an epoch time, not the digits of a date; write 202503031430 as 2025-03-03 14:30 and name the \
                         zone with data.timestamp_zone";

/// Returns true for `YYYYMMDDhhmm` and `YYYYMMDDhhmmss` from 2003 to 2028. As epoch times they lie outside these years.
fn is_date_in_digits(value: i64) -> bool {
    let minutes = match value {
        200_301_010_000..=202_812_312_359 => value,
        20_030_101_000_000..=20_281_231_235_959 if value % 100 < 60 => value / 100,
        _ => return false,
    };
    let (minute, hour, day, month) =
        (minutes % 100, minutes / 100 % 100, minutes / 10_000 % 100, minutes / 1_000_000 % 100);
    minute < 60 && hour < 24 && (1..=31).contains(&day) && (1..=12).contains(&month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_in_four_units() {
        let ns = 1_748_870_400_000_000_000;
        for (value, note) in [
            (1_748_870_400, "epoch seconds"),
            (1_748_870_400_000, "epoch milliseconds"),
            (1_748_870_400_000_000, "epoch microseconds"),
            (ns, "epoch nanoseconds"),
        ] {
            assert_eq!(to_ns(&[value]), Ok((vec![ns], note)));
        }
        assert_eq!(to_ns(&[1_748_870_400_000, 1_748_870_460]), Err((1, SAME_UNIT)), "milliseconds, then seconds");
    }

    #[test]
    fn digits_of_a_date_are_no_epoch_time() {
        for digits in [202_503_031_430, 20_250_303_143_000] {
            assert_eq!(to_ns(&[digits]), Err((0, NO_DIGITS)));
        }
        for epoch in [202_513_031_430, 202_503_032_430, 202_503_031_460, 20_250_303_143_060] {
            assert!(!is_date_in_digits(epoch), "{epoch} has no such date");
        }
    }
}
