//! Choice of a model among the checkpoints of a run, by money on the validation dates.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use statistics::Mean;

/// Level of the two-sided interval whose lower end ranks the candidates.
const LEVEL: f64 = 0.95;

/// Money of one checkpoint on the validation dates, by its most likely actions and after all costs. The unit is a session date, all
/// symbols together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Timesteps of the checkpoint.
    pub step: u64,
    /// Mean net P&L of a date, in dollars.
    pub mean_usd: f64,
    /// Standard error of the mean over dates, in dollars.
    pub standard_error: f64,
    /// Lower end of the 95 % interval of the mean, in dollars.
    pub lower_bound: f64,
    /// Dates that were replayed.
    pub dates: usize,
}

impl Candidate {
    /// Computes the money of the checkpoint at `step` from the net P&L of every date, in dollars; `None` for fewer than two dates.
    pub fn of(step: u64, daily: &[(Date, f64)]) -> Option<Self> {
        let values: Vec<f64> = daily.iter().map(|(_, usd)| *usd).collect();
        let mean = Mean::of(&values)?;
        let lower_bound = mean.interval(LEVEL).0;
        Some(Self { step, mean_usd: mean.value, standard_error: mean.error, lower_bound, dates: values.len() })
    }

    /// Returns the candidate with the highest lower bound, the earliest of equals; `None` of none.
    pub fn best(candidates: &[Self]) -> Option<&Self> {
        candidates.iter().rev().max_by(|a, b| a.lower_bound.total_cmp(&b.lower_bound))
    }

    /// Returns how many candidates came after the best one.
    pub fn since_best(candidates: &[Self]) -> usize {
        let best = Self::best(candidates).map(|best| best.step);
        candidates.iter().rev().take_while(|candidate| Some(candidate.step) != best).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(step: u64, lower_bound: f64) -> Candidate {
        Candidate { step, mean_usd: 0.0, standard_error: 1.0, lower_bound, dates: 9 }
    }

    #[test]
    fn the_lower_bound_ranks_and_dates_are_the_unit() {
        let days = |values: [f64; 3]| [2, 3, 4].map(|d| jiff::civil::date(2025, 6, d)).into_iter().zip(values);
        let of = |step, values| Candidate::of(step, &days(values).collect::<Vec<_>>()).unwrap();
        let calm = of(1, [1.0, 2.0, 3.0]);
        // Student's 97.5 % quantile with two degrees of freedom is 4.3027, the standard error 1 / √3.
        assert!((calm.lower_bound - (2.0 - 4.302_652_73 / 3_f64.sqrt())).abs() < 1e-8, "{calm:?}");
        assert_eq!((calm.mean_usd, calm.dates), (2.0, 3));
        let wild = of(2, [-60.0, 20.0, 100.0]);
        assert!(wild.mean_usd > calm.mean_usd);
        assert_eq!(Candidate::best(&[calm, wild]), Some(&calm), "a higher mean that may be chance");
        assert_eq!(Candidate::of(1, &[(jiff::civil::date(2025, 6, 2), 5.0)]), None);
    }

    #[test]
    fn the_earliest_of_equals_is_best_and_those_after_it_are_counted() {
        let found = [candidate(1, -5.0), candidate(2, -3.0), candidate(3, -3.0), candidate(4, -4.0)];
        assert_eq!(Candidate::best(&found).map(|best| best.step), Some(2));
        let counts: Vec<usize> = (0..=4).map(|count| Candidate::since_best(&found[..count])).collect();
        assert_eq!(counts, [0, 0, 0, 1, 2]);
        assert_eq!(Candidate::best(&[]), None);
    }
}
