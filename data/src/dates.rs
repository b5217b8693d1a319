//! Closed ranges of session dates.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A range of dates, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateRange {
    /// First date.
    pub first: Date,
    /// Last date.
    pub last: Date,
}

impl DateRange {
    /// Returns the range without a date that follows a date.
    #[must_use]
    pub fn none_after(date: Date) -> Self {
        Self { first: date.tomorrow().unwrap_or(Date::MAX), last: date }
    }

    /// Returns true for a range without a date.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// Returns true if `date` lies in the range.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        (self.first..=self.last).contains(&date)
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        write!(f, "{} to {}", self.first, self.last)
    }
}
