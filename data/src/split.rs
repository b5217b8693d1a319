//! Split of sessions into training, validation and test, in the order of time, with gaps between them.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DataError, dates::DateRange};

/// Shares of the sessions; the test part is the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// Share of the sessions for training, the earliest ones, 0.01 to 0.98.
    pub train: f64,
    /// Share of the sessions for validation, 0.01 to 0.98; the rest, at least 0.01, is the test part.
    pub validation: f64,
    /// Sessions left out between two parts, 0 to 20. One keeps overnight effects from carrying over.
    pub gap_sessions: usize,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { train: 0.70, validation: 0.15, gap_sessions: 1 }
    }
}

impl SplitConfig {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, share) in [("train", self.train), ("validation", self.validation)] {
            if !(0.01..=0.98).contains(&share) {
                faults.push(format!("data.split.{name}: {share} is not between 0.01 and 0.98"));
            }
        }
        if faults.is_empty() && self.train + self.validation > 0.99 {
            faults.push(format!(
                "data.split.validation: train {} and validation {} leave less than 0.01 for the test",
                self.train, self.validation
            ));
        }
        if self.gap_sessions > 20 {
            faults.push(format!("data.split.gap_sessions: {} is more than 20", self.gap_sessions));
        }
        faults
    }

    /// Returns the sessions of training, validation and test, or `None` if one of them would be empty.
    fn counts(&self, sessions: usize) -> Option<[usize; 3]> {
        let usable = sessions.checked_sub(2 * self.gap_sessions)?;
        let share = |part: f64| (part * usable as f64).round() as usize;
        let (train, validation) = (share(self.train), share(self.validation));
        let test = usable.checked_sub(train + validation)?;
        (train.min(validation).min(test) > 0).then_some([train, validation, test])
    }
}

/// The dates of the three parts, in the order of time, and the dates between them that no part uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Training dates.
    pub train: DateRange,
    /// Validation dates, for the choice between models.
    pub validation: DateRange,
    /// Test dates, used once at the end.
    pub test: DateRange,
    /// Sessions left out between the parts.
    pub gap: Vec<Date>,
}

/// Splits session dates by their order.
///
/// # Errors
/// [`DataError::SplitTooShort`] if a part would be empty, [`DataError::Config`] for invalid shares.
///
/// # Panics
/// If `dates` is not strictly ascending.
pub fn split(dates: &[Date], config: &SplitConfig) -> Result<Split, DataError> {
    assert!(dates.is_sorted_by(|earlier, later| earlier < later), "session dates must be strictly ascending");
    let faults = config.check();
    if !faults.is_empty() {
        return Err(DataError::Config { faults });
    }
    let gap = config.gap_sessions;
    let Some([train, validation, _]) = config.counts(dates.len()) else { return Err(too_short(dates.len(), config)) };
    let (second, third) = (train + gap, train + gap + validation + gap);
    let range = |part: &[Date]| DateRange { first: part[0], last: part[part.len() - 1] };
    Ok(Split {
        train: range(&dates[..train]),
        validation: range(&dates[second..second + validation]),
        test: range(&dates[third..]),
        gap: [&dates[train..second], &dates[second + validation..third]].concat(),
    })
}

fn too_short(sessions: usize, config: &SplitConfig) -> DataError {
    let needed = (sessions + 1..).find(|count| config.counts(*count).is_some()).expect("shares of 0.01 fill up by 100");
    DataError::SplitTooShort {
        sessions,
        train: config.train,
        validation: config.validation,
        test: 1.0 - config.train - config.validation,
        gap: config.gap_sessions,
        needed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calendar;

    fn dates(count: usize) -> Vec<Date> {
        let all = calendar::sessions("2024-01-01".parse().unwrap(), "2026-12-31".parse().unwrap());
        all.iter().take(count).map(|session| session.date).collect()
    }

    #[test]
    fn default_split_of_forty_two_sessions() {
        let dates = dates(42);
        let split = split(&dates, &SplitConfig::default()).unwrap();
        assert_eq!((split.train.first, split.train.last), (dates[0], dates[27]));
        assert_eq!((split.validation.first, split.validation.last), (dates[29], dates[34]));
        assert_eq!((split.test.first, split.test.last), (dates[36], dates[41]));
        assert_eq!(split.gap, [dates[28], dates[35]]);
        assert_eq!(split.train.to_string(), "2024-01-02 to 2024-02-09");
        let json = serde_json::to_string(&split).unwrap();
        assert_eq!(serde_json::from_str::<Split>(&json).unwrap(), split);
    }

    #[test]
    fn the_error_for_too_few_sessions_names_the_minimum() {
        let config = SplitConfig::default();
        let message = split(&dates(5), &config).unwrap_err().to_string();
        assert!(message.contains("5 sessions are too few"), "{message}");
        assert!(message.contains("at least 8 are needed"), "{message}");
        assert!(split(&dates(8), &config).is_ok());
    }

    #[test]
    fn shares_that_leave_no_test_are_faults() {
        let config = SplitConfig { train: 0.9, validation: 0.1, gap_sessions: 30 };
        let faults = config.check();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("data.split.validation: "), "{faults:?}");
        assert!(split(&dates(100), &config).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_ordered_disjoint_and_use_every_session(count in 1_usize..400, train in 0.05..0.9_f64,
                                                            rest in 0.1..0.9_f64, gap in 0_usize..5) {
            let dates = dates(count);
            let config = SplitConfig { train, validation: (1.0 - train) * rest, gap_sessions: gap };
            if let Ok(split) = split(&dates, &config) {
                prop_assert_eq!(split.gap.len(), 2 * gap);
                prop_assert!(split.train.last < split.validation.first && split.validation.last < split.test.first);
                let owners = |date: &Date| {
                    [split.train, split.validation, split.test].iter().filter(|part| part.contains(*date)).count()
                        + usize::from(split.gap.contains(date))
                };
                prop_assert!(dates.iter().all(|date| owners(date) == 1));
            }
        }
    }
}
