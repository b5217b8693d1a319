//! Folds of a walk-forward test: training, validation and test dates that move forward in time.
//!
//! ```text
//! fold 1   train ······· | validation ·· | test ·
//! fold 2        train ······· | validation ·· | test ·        (anchored: the training starts at the first date)
//! ```
//!
//! The test parts of all folds follow each other without a gap and without overlap, so that their sessions form one series.
//! Positions and labels end with their session, so nothing of a test date reaches an earlier part; the purged sessions between
//! the parts keep overnight effects from carrying over. No training follows its own test dates, so no embargo is needed.

use std::ops::Range;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{DataError, DateRange};

/// Fewest folds of a walk-forward test.
const MIN_FOLDS: usize = 3;
/// Fewest test dates of all folds together.
const MIN_TEST_DATES: usize = 60;
/// Fewest test dates of a last fold that is shorter than the others.
const MIN_LAST_FOLD: usize = 10;

/// Sizes of the folds, in session dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldSizes {
    /// Training dates of a fold.
    pub train: usize,
    /// Validation dates of a fold; they choose between the candidates.
    pub validation: usize,
    /// Test dates of a fold, and the step to the next fold.
    pub test: usize,
    /// Dates left out between two parts of a fold.
    pub purge: usize,
    /// True if the training of every fold starts at the first date, instead of moving its start forward.
    pub anchored: bool,
}

impl Default for FoldSizes {
    fn default() -> Self {
        Self { train: 250, validation: 40, test: 20, purge: 1, anchored: false }
    }
}

/// One fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Number, from 1.
    pub number: usize,
    /// Training dates.
    pub train: DateRange,
    /// Validation dates.
    pub validation: DateRange,
    /// Test dates.
    pub test: DateRange,
}

impl Fold {
    /// Returns training and validation dates as one range.
    pub fn train_and_validation(&self) -> DateRange {
        DateRange { first: self.train.first, last: self.validation.last }
    }
}

impl FoldSizes {
    /// Returns the dates before the first test date.
    fn lead(&self) -> usize {
        self.train + self.validation + 2 * self.purge
    }

    /// Cuts session dates, strictly ascending, into folds. A shorter last test part is kept from ten dates on.
    ///
    /// # Errors
    /// [`DataError::Folds`] with the number of missing dates, if there would be fewer than three folds or 60 test dates.
    pub fn cut(&self, dates: &[Date]) -> Result<Vec<Fold>, DataError> {
        let starts = (self.lead()..dates.len()).step_by(self.test);
        let tests = starts.map(|start| start..(start + self.test).min(dates.len()));
        let kept = tests.filter(|test| test.len() >= self.test.min(MIN_LAST_FOLD));
        let folds: Vec<Fold> = kept.zip(1..).map(|(test, number)| self.fold(dates, test, number)).collect();
        let tested = dates.len().saturating_sub(self.lead());
        if folds.len() >= MIN_FOLDS && tested >= MIN_TEST_DATES {
            return Ok(folds);
        }
        let needed = self.lead() + MIN_TEST_DATES.max(MIN_FOLDS * self.test);
        Err(DataError::Folds {
            dates: dates.len(),
            train: self.train,
            validation: self.validation,
            test: self.test,
            needed,
            more: needed.saturating_sub(dates.len()),
        })
    }

    fn fold(&self, dates: &[Date], test: Range<usize>, number: usize) -> Fold {
        let range = |part: Range<usize>| DateRange { first: dates[part.start], last: dates[part.end - 1] };
        let validated = test.start - self.purge;
        let validation = validated - self.validation..validated;
        let trained = validation.start - self.purge;
        let train = if self.anchored { 0..trained } else { trained - self.train..trained };
        Fold { number, train: range(train), validation: range(validation), test: range(test) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calendar;

    fn dates(count: usize) -> Vec<Date> {
        let all = calendar::sessions("2021-01-01".parse().unwrap(), "2026-12-31".parse().unwrap());
        all.iter().take(count).map(|session| session.date).collect()
    }

    fn sizes(anchored: bool) -> FoldSizes {
        FoldSizes { train: 100, validation: 20, test: 20, purge: 1, anchored }
    }

    #[test]
    fn test_parts_follow_each_other_and_the_last_one_may_be_shorter() {
        let dates = dates(122 + 3 * 20 + 12);
        let folds = sizes(false).cut(&dates).unwrap();
        assert_eq!(folds.len(), 4);
        let second = &folds[1];
        assert_eq!((second.train.first, second.train.last), (dates[20], dates[119]));
        assert_eq!((second.validation.first, second.validation.last), (dates[121], dates[140]));
        assert_eq!((second.test.first, second.test.last), (dates[142], dates[161]));
        assert_eq!((folds[3].test.first, folds[3].test.last), (dates[182], dates[193]));
        assert_eq!(sizes(true).cut(&dates).unwrap()[1].train.first, dates[0]);
        assert_eq!(sizes(false).cut(&dates[..191]).unwrap().len(), 3, "nine dates are no fold");
    }

    #[test]
    fn too_few_dates_end_in_a_sentence_with_the_number_that_is_missing() {
        let error = sizes(false).cut(&dates(150)).unwrap_err().to_string();
        assert!(error.contains("150 session dates are too few"), "{error}");
        assert!(error.contains("need 182, 32 more"), "{error}");
        assert!(sizes(false).cut(&dates(182)).is_ok() && sizes(false).cut(&dates(181)).is_err());
    }

    proptest! {
        #[test]
        fn no_part_sees_a_later_one(count in 60_usize..700, train in 1_usize..200, validation in 1_usize..60,
                                    test in 1_usize..60, purge in 0_usize..4, anchored: bool) {
            let dates = dates(count);
            let sizes = FoldSizes { train, validation, test, purge, anchored };
            if let Ok(folds) = sizes.cut(&dates) {
                for fold in &folds {
                    let left_out = |from: Date, to: Date| dates.iter().filter(|date| from < **date && **date < to).count();
                    prop_assert_eq!(left_out(fold.train.last, fold.validation.first), purge);
                    prop_assert_eq!(left_out(fold.validation.last, fold.test.first), purge);
                }
                for pair in folds.windows(2) {
                    prop_assert_eq!(dates.iter().find(|date| **date > pair[0].test.last), Some(&pair[1].test.first));
                }
            }
        }
    }
}
