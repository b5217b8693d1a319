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
/// The index of the first value with another unit than the first one.
pub(super) fn to_ns(values: &[i64]) -> Result<(Vec<i64>, &'static str), usize> {
    let unit = Unit::of(values.first().copied().unwrap_or(0));
    let ns = values.iter().enumerate().map(|(at, value)| unit.to_ns(*value).ok_or(at)).collect::<Result<_, _>>()?;
    Ok((ns, unit.note()))
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
        assert_eq!(to_ns(&[1_748_870_400_000, 1_748_870_460]), Err(1), "milliseconds, then seconds");
    }
}
