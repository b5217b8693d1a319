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
    /// True trains on every session and holds none out: nothing then says what the policy earns on other dates. Every other key of
    /// the section is idle.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_dates: bool,
    /// Last date of the training; takes the place of the share `train`. Absent: by the shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub train_end: Option<Date>,
    /// Last date of the validation, after `train_end`. Absent: by the shares of what the training leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub validation_end: Option<Date>,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { train: 0.70, validation: 0.15, gap_sessions: 1, all_dates: false, train_end: None, validation_end: None }
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
        if self.all_dates && (self.train_end.is_some() || self.validation_end.is_some()) {
            faults.push(
                "data.split.all_dates: a training on all dates has no train_end and no validation_end".to_owned(),
            );
        }
        match (self.train_end, self.validation_end) {
            (None, Some(_)) => faults.push("data.split.validation_end: name data.split.train_end, too".to_owned()),
            (Some(train), Some(validation)) if validation <= train => faults
                .push(format!("data.split.validation_end: {validation} is not after data.split.train_end {train}")),
            _ => {}
        }
        if self.gap_sessions > 20 {
            faults.push(format!("data.split.gap_sessions: {} is more than 20", self.gap_sessions));
        }
        faults
    }

    /// Returns the sessions of training, validation and test with a training that ends on a date, or `None` if one of them would be
    /// empty.
    fn counts_from(&self, dates: &[Date], train_end: Date) -> Option<[usize; 3]> {
        let until = |last: Date| dates.partition_point(|date| *date <= last);
        let train = until(train_end);
        let rest = dates.len().checked_sub(train + 2 * self.gap_sessions)?;
        let by_share = || (rest as f64 * self.validation / (1.0 - self.train)).round() as usize;
        let validation = match self.validation_end {
            Some(last) => until(last).checked_sub(train + self.gap_sessions)?,
            None => by_share(),
        };
        let test = rest.checked_sub(validation)?;
        (train.min(validation).min(test) > 0).then_some([train, validation, test])
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
    /// Validation dates, for the choice between models; an empty range where all dates are for training.
    pub validation: DateRange,
    /// Test dates, used once at the end; an empty range where all dates are for training.
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
    if config.all_dates
        && let (Some(&first), Some(&last)) = (dates.first(), dates.last())
    {
        let none = DateRange::none_after(last);
        return Ok(Split { train: DateRange { first, last }, validation: none, test: none, gap: Vec::new() });
    }
    let gap = config.gap_sessions;
    let counts = match config.train_end {
        Some(train_end) => config.counts_from(dates, train_end).ok_or_else(|| too_near(dates, train_end, config)),
        None => config.counts(dates.len()).ok_or_else(|| too_short(dates.len(), config)),
    };
    let [train, validation, _] = counts?;
    let (second, third) = (train + gap, train + gap + validation + gap);
    let range = |part: &[Date]| DateRange { first: part[0], last: part[part.len() - 1] };
    Ok(Split {
        train: range(&dates[..train]),
        validation: range(&dates[second..second + validation]),
        test: range(&dates[third..]),
        gap: [&dates[train..second], &dates[second + validation..third]].concat(),
    })
}

/// Returns the error of dates that leave a part without a session.
fn too_near(dates: &[Date], train_end: Date, config: &SplitConfig) -> DataError {
    let bars =
        dates.first().zip(dates.last()).map_or_else(String::new, |(first, last)| format!(" of {first} to {last}"));
    let validation =
        config.validation_end.map_or_else(String::new, |end| format!(" and data.split.validation_end {end}"));
    let gap = config.gap_sessions;
    let left_out = if gap == 1 { "session" } else { "sessions" };
    let faults = vec![format!(
        "data.split.train_end {train_end}{validation}: with {gap} {left_out} left out between two parts, the {} session dates{bars} leave \
         training, validation or test without one; data.split.all_dates trains on all of them",
        dates.len()
    )];
    DataError::Config { faults }
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
    fn parts_end_on_the_dates_that_are_named() {
        let dates = dates(42);
        let ends = |train_end: Date, validation_end: Option<Date>| {
            split(&dates, &SplitConfig { train_end: Some(train_end), validation_end, ..SplitConfig::default() })
        };
        let both = ends(dates[19], Some(dates[29])).unwrap();
        assert_eq!((both.train.last, both.validation.first), (dates[19], dates[21]));
        assert_eq!((both.validation.last, both.test.first, both.test.last), (dates[29], dates[31], dates[41]));
        // A Saturday ends with the Friday before. Without a second date the rest, 27 sessions, is halved, as the default shares are
        // equal.
        let saturday = jiff::civil::date(2024, 1, 20);
        let alone = ends(saturday, None).unwrap();
        assert_eq!(alone.train.last, jiff::civil::date(2024, 1, 19));
        let sessions = |range: &DateRange| dates.iter().filter(|date| range.contains(**date)).count();
        assert_eq!((sessions(&alone.validation), sessions(&alone.test)), (13, 14));
        let error = ends(dates[40], None).unwrap_err().to_string();
        assert!(error.contains("data.split.train_end") && error.contains("42 session dates"), "{error}");
        assert!(ends(dates[19], Some(dates[5])).unwrap_err().to_string().contains("is not after data.split.train_end"));
        let config = SplitConfig { validation_end: Some(dates[5]), ..SplitConfig::default() };
        assert_eq!(config.check(), ["data.split.validation_end: name data.split.train_end, too"]);
    }

    #[test]
    fn all_dates_may_be_for_training() {
        let config = SplitConfig { all_dates: true, ..SplitConfig::default() };
        let dates = dates(42);
        let all = split(&dates, &config).unwrap();
        assert_eq!((all.train.first, all.train.last, all.gap.len()), (dates[0], dates[41], 0));
        assert!(all.validation.is_empty() && all.test.is_empty() && !all.train.is_empty());
        assert_eq!((all.test.to_string().as_str(), dates.iter().any(|date| all.test.contains(*date))), ("none", false));
        assert_eq!(split(&dates[..1], &config).unwrap().train.last, dates[0], "one session is enough");
        assert!(split(&[], &config).is_err());
        let both = SplitConfig { train_end: Some(dates[5]), ..config };
        assert!(both.check()[0].starts_with("data.split.all_dates: "), "{:?}", both.check());
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
        let config = SplitConfig { train: 0.9, validation: 0.1, gap_sessions: 30, ..SplitConfig::default() };
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
            let config = SplitConfig { train, validation: (1.0 - train) * rest, gap_sessions: gap, ..SplitConfig::default() };
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
