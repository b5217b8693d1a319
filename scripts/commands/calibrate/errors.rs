//! Pricing errors of the model: quantiles and bias, over all real prices and by bucket.

use market_data::Right;
use serde::Serialize;
use statistics::{Mean, mean, quantile};

/// A real price and the model's price of the same contract at the close of the same minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Print {
    /// Traded price or quote midpoint, in dollars per share.
    pub(crate) real: f64,
    /// Model price, in dollars per share.
    pub(crate) model: f64,
    /// Price by the fit alone, without the level of earlier sessions.
    pub(crate) fitted: f64,
    /// `strike / spot - 1`.
    pub(crate) distance: f64,
    /// `ln(strike / spot)` in standard deviations of the underlying until the close, by the model's volatility.
    pub(crate) deviations: f64,
    /// Minutes to the close.
    pub(crate) minutes_left: u16,
    pub(crate) right: Right,
    /// VIX1D as known at the bar, in points, on days that have it.
    pub(crate) vix1d: Option<f64>,
}

impl Print {
    /// Largest distance of a strike from spot that counts as near the money.
    pub(crate) const NEAR_MONEY: f64 = market_data::parity::NEAR_MONEY;
    /// Largest distance of a strike from spot that counts as at the money: half the distance of SPY's strikes.
    pub(crate) const AT_THE_MONEY: f64 = 0.0008;
    /// Smallest premium compared; below it a tick is a large part of the price.
    pub(crate) const LEAST_PREMIUM: f64 = 0.20;

    /// Returns whether the real price is large enough to be compared.
    pub(crate) fn is_worth_comparing(&self) -> bool {
        self.real >= Self::LEAST_PREMIUM
    }

    /// Returns whether the real or the modelled price is large enough to be compared. Far from the money, prices are
    /// about as large as their errors, and a limit on the real price alone would select the overpriced prints.
    pub(crate) fn is_worth_comparing_either_way(&self) -> bool {
        self.real > 0.0 && self.real.max(self.model) >= Self::LEAST_PREMIUM
    }

    /// Returns whether the print is worth comparing and near the money.
    pub(crate) fn is_near_money(&self) -> bool {
        self.is_worth_comparing() && self.distance.abs() < Self::NEAR_MONEY
    }

    /// Returns whether the print is worth comparing and at the money.
    pub(crate) fn is_at_the_money(&self) -> bool {
        self.is_worth_comparing() && self.distance.abs() <= Self::AT_THE_MONEY
    }

    /// Returns whether the option is at or out of the money.
    pub(crate) fn is_out_of_the_money(&self) -> bool {
        if self.right == Right::Call { self.distance >= 0.0 } else { self.distance <= 0.0 }
    }

    /// Returns the print against the price by the fit alone.
    pub(crate) fn of_the_fit(self) -> Self {
        Self { model: self.fitted, ..self }
    }

    /// Returns model minus real, in dollars.
    pub(crate) fn error_usd(&self) -> f64 {
        self.model - self.real
    }

    /// Returns model minus real, in percent of the real price.
    pub(crate) fn error_pct(&self) -> f64 {
        self.error_usd() / self.real * 100.0
    }
}

/// Errors of the model, model minus real; `pct` is percent of the real premium (6.1 = 6.1 %), `usd` dollars per share.
/// Without prints, every field but `count` is NaN, null in JSON.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ErrorStats {
    /// Prints.
    pub count: usize,
    /// Median of the absolute error.
    pub median_abs_pct: f64,
    /// 90th percentile of the absolute error.
    pub p90_abs_pct: f64,
    /// Median of the signed error.
    pub bias_pct: f64,
    /// Mean of the signed error; sensitive to a few cheap prints.
    pub mean_bias_pct: f64,
    /// Median of the absolute error in dollars.
    pub median_abs_usd: f64,
    /// 90th percentile of the absolute error in dollars.
    pub p90_abs_usd: f64,
    /// Mean of the signed error in dollars.
    pub bias_usd: f64,
}

impl ErrorStats {
    pub(crate) fn of<'a>(prints: impl Iterator<Item = &'a Print>) -> Self {
        let (mut pct, mut usd): (Vec<f64>, Vec<f64>) =
            prints.map(|print| (print.error_pct(), print.error_usd())).unzip();
        let (mean_bias_pct, bias_usd) = (mean(&pct), mean(&usd));
        let bias_pct = quantile(&mut pct, 0.5);
        pct.iter_mut().chain(&mut usd).for_each(|error| *error = error.abs());
        Self {
            count: pct.len(),
            median_abs_pct: quantile(&mut pct, 0.5),
            p90_abs_pct: quantile(&mut pct, 0.9),
            bias_pct,
            mean_bias_pct,
            median_abs_usd: quantile(&mut usd, 0.5),
            p90_abs_usd: quantile(&mut usd, 0.9),
            bias_usd,
        }
    }
}

/// Bias by session: prints of one session err together, so that sessions are what is counted.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SessionBias {
    /// Sessions with prints.
    pub sessions: usize,
    /// Mean over sessions of the median signed error, in percent of the real premium.
    pub mean_pct: f64,
    /// Lower end of its 95 % interval over sessions.
    pub low_pct: f64,
    /// Upper end.
    pub high_pct: f64,
}

impl SessionBias {
    /// Returns the bias of sessions, one list of prints each; `None` with fewer than two sessions.
    pub(crate) fn of<'a>(sessions: impl Iterator<Item = Vec<&'a Print>>) -> Option<Self> {
        let median = |prints: Vec<&Print>| {
            let mut errors: Vec<f64> = prints.into_iter().map(Print::error_pct).collect();
            (!errors.is_empty()).then(|| quantile(&mut errors, 0.5))
        };
        let medians: Vec<f64> = sessions.filter_map(median).collect();
        let mean = Mean::of(&medians)?;
        let (low_pct, high_pct) = mean.interval(0.95);
        Some(Self { sessions: medians.len(), mean_pct: mean.value, low_pct, high_pct })
    }
}

/// The errors of one bucket.
#[derive(Debug, Clone, Serialize)]
pub struct Bucket {
    /// Label of the bucket.
    pub bucket: String,
    /// Errors of its prints.
    #[serde(flatten)]
    pub errors: ErrorStats,
}

/// A partition of prints into buckets.
pub(crate) struct Breakdown {
    labels: fn() -> Vec<String>,
    of: fn(&Print) -> usize,
}

impl Breakdown {
    /// Returns the errors of every non-empty bucket.
    pub(crate) fn buckets<'a>(&self, prints: impl Iterator<Item = &'a Print>) -> Vec<Bucket> {
        let labels = (self.labels)();
        let mut members: Vec<Vec<&Print>> = vec![Vec::new(); labels.len()];
        prints.for_each(|print| members[(self.of)(print)].push(print));
        let held = labels.into_iter().zip(members).filter(|(_, members)| !members.is_empty());
        held.map(|(bucket, members)| Bucket { bucket, errors: ErrorStats::of(members.into_iter()) }).collect()
    }
}

/// By minutes to the close, in half hours.
pub(crate) const BY_HALF_HOUR: Breakdown = Breakdown {
    labels: || (0..13).map(|half| format!("{}-{}", 30 * half + 1, 30 * half + 30)).collect(),
    of: |print| usize::from(print.minutes_left - 1) / 30,
};
/// By minutes to the close, in two hours; the first bucket of the day spans two and a half.
pub(crate) const BY_TWO_HOURS: Breakdown = Breakdown {
    labels: || ["1-120", "121-240", "241-390"].map(str::to_owned).to_vec(),
    of: |print| (usize::from(print.minutes_left - 1) / 120).min(2),
};
/// By standardised moneyness; below zero the strike lies below spot.
pub(crate) const BY_MONEYNESS: Breakdown = Breakdown {
    labels: || between(&DEVIATIONS, "sd"),
    of: |print| DEVIATIONS.partition_point(|edge| *edge <= print.deviations),
};
/// By call and put.
pub(crate) const BY_RIGHT: Breakdown =
    Breakdown { labels: || ["call", "put"].map(str::to_owned).to_vec(), of: |print| print.right as usize };
/// By the level of VIX1D at the bar.
pub(crate) const BY_VIX1D: Breakdown = Breakdown {
    labels: || [between(&VIX1D, "points"), vec!["no VIX1D".to_owned()]].concat(),
    of: |print| print.vix1d.map_or(VIX1D.len() + 1, |level| VIX1D.partition_point(|edge| *edge <= level)),
};
/// By real premium.
pub(crate) const BY_PREMIUM: Breakdown =
    Breakdown { labels: || between(&PREMIUMS, "$"), of: |print| PREMIUMS.partition_point(|edge| *edge <= print.real) };

const DEVIATIONS: [f64; 7] = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];
const VIX1D: [f64; 4] = [10.0, 13.0, 17.0, 25.0];
pub(crate) const PREMIUMS: [f64; 4] = [0.5, 1.0, 2.0, 5.0];

/// Returns labels of the intervals between edges, which include their lower edge and exclude their upper one.
pub(crate) fn between(edges: &[f64], unit: &str) -> Vec<String> {
    let inner = edges.windows(2).map(|pair| format!("{} to {} {unit}", pair[0], pair[1]));
    let first = format!("below {} {unit}", edges[0]);
    let last = format!("from {} {unit}", edges[edges.len() - 1]);
    std::iter::once(first).chain(inner).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(real: f64, model: f64, minutes_left: u16) -> Print {
        let (right, vix1d) = (Right::Put, Some(13.0));
        Print { real, model, fitted: model, distance: 0.0, deviations: 0.3, minutes_left, right, vix1d }
    }

    #[test]
    fn errors_are_signed_in_bias_and_absolute_in_size() {
        let prints = [print(1.0, 1.2, 10), print(2.0, 1.0, 10), print(4.0, 4.4, 10)];
        let errors = ErrorStats::of(prints.iter());
        assert_eq!(errors.count, 3);
        let expected = [
            (errors.median_abs_pct, 20.0),
            (errors.mean_bias_pct, (20.0 - 50.0 + 10.0) / 3.0),
            (errors.bias_pct, 10.0),
            (errors.median_abs_usd, 0.4),
            (errors.bias_usd, -0.4 / 3.0),
            (errors.p90_abs_usd, 0.88),
        ];
        for (is, should) in expected {
            assert!((is - should).abs() < 1e-9, "got {is}, expected {should}");
        }
        let nothing = serde_json::to_value(ErrorStats::of([].iter())).unwrap();
        assert_eq!((nothing["count"].as_u64(), nothing["bias_pct"].is_null()), (Some(0), true));
    }

    #[test]
    fn a_cheap_print_that_the_model_finds_dear_counts_out_of_the_money_only() {
        let [cheap, both, neither, nothing] =
            [(0.1, 0.3), (0.3, 0.1), (0.1, 0.1), (0.0, 0.3)].map(|(r, m)| print(r, m, 9));
        let ways = |print: Print| (print.is_near_money(), print.is_worth_comparing_either_way());
        assert_eq!((ways(cheap), ways(both)), ((false, true), (true, true)));
        assert_eq!((ways(neither), ways(nothing)), ((false, false), (false, false)));
    }

    #[test]
    fn bias_counts_sessions_and_not_prints() {
        // One session 10 % too dear with three prints, one 30 % too dear with one: 20 % in the mean.
        let sessions = [vec![print(1.0, 1.1, 9), print(1.0, 1.1, 8), print(1.0, 1.1, 7)], vec![print(2.0, 2.6, 9)]];
        let bias = SessionBias::of(sessions.iter().map(|prints| prints.iter().collect())).unwrap();
        assert!((bias.mean_pct - 20.0).abs() < 1e-9 && bias.sessions == 2);
        assert!(bias.low_pct < 10.0 && bias.high_pct > 30.0, "two sessions say little: {bias:?}");
        assert!(SessionBias::of(std::iter::once(Vec::new())).is_none());
    }

    #[test]
    fn at_the_money_is_half_a_strike_of_spy() {
        let at = |distance| Print { distance, ..print(1.0, 1.0, 9) }.is_at_the_money();
        assert_eq!([0.0, 0.0008, -0.0008, 0.0009].map(at), [true, true, true, false]);
        assert!(!Print { distance: 0.0, ..print(0.1, 1.0, 9) }.is_at_the_money(), "too cheap to compare");
    }

    #[test]
    fn every_print_has_its_bucket() {
        let prints = [print(0.5, 0.5, 1), print(0.49, 0.5, 30), print(9.0, 9.0, 31), print(9.0, 9.0, 388)];
        let names = |by: Breakdown| -> Vec<(String, usize)> {
            by.buckets(prints.iter()).into_iter().map(|bucket| (bucket.bucket, bucket.errors.count)).collect()
        };
        let expected = |pairs: &[(&str, usize)]| {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(names(BY_HALF_HOUR), expected(&[("1-30", 2), ("31-60", 1), ("361-390", 1)]));
        assert_eq!(names(BY_TWO_HOURS), expected(&[("1-120", 3), ("241-390", 1)]));
        assert_eq!(names(BY_PREMIUM), expected(&[("below 0.5 $", 1), ("0.5 to 1 $", 1), ("from 5 $", 2)]));
        assert_eq!(names(BY_MONEYNESS), expected(&[("0 to 0.5 sd", 4)]));
        assert_eq!(names(BY_RIGHT), expected(&[("put", 4)]));
        assert_eq!(names(BY_VIX1D), expected(&[("13 to 17 points", 4)]));
    }
}
