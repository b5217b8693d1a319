//! Comparison of two sources on the same minutes: differences of closes, time offsets, and constant price factors.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_data::{
    DateRange,
    quality::{At, Bar, Day},
};
use serde::Serialize;
use statistics::{correlation, finite, quantile};

use super::coverage::LISTED;

/// Gain in correlation at an offset of one minute from which one source counts as late.
const CLEARLY: f64 = 0.05;
/// Distance of a price ratio from one, in basis points, that a spread between feeds does not reach.
const AWAY_BPS: f64 = 5.0;
/// Largest median deviation of the price ratio for a constant factor; one cent is tolerated, too.
const CONSTANT: f64 = 0.5e-4;
/// Fewest common minutes for a session's ratio.
const ENOUGH: usize = 30;

/// A minute with different closes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The minute.
    pub at: At,
    /// Close of the first source.
    pub a: f64,
    /// Close of the second source.
    pub b: f64,
    /// Ratio of the second close to the first, minus one, in basis points.
    pub bps: f64,
}

/// Correlation of the minute returns of two sources at offsets of up to one minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Correlation with the second source's returns of the previous minute: high if the second source is early.
    pub b_one_earlier: Option<f64>,
    /// Correlation on the same minute.
    pub same_minute: Option<f64>,
    /// Correlation with the second source's returns of the next minute: high if the second source is late.
    pub b_one_later: Option<f64>,
}

impl Agreement {
    /// Returns the delay of the second source in minutes, 1 or -1, if it is clear.
    pub fn b_late_by(&self) -> Option<i64> {
        let same = self.same_minute? + CLEARLY;
        let of = |value: Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
        let (early, late) = (of(self.b_one_earlier), of(self.b_one_later));
        (early.max(late) > same).then_some(if late > early { 1 } else { -1 })
    }
}

/// Sessions with a constant factor other than one between the prices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scaled {
    /// Number of sessions.
    pub sessions: usize,
    /// Smallest factor, second source over first.
    pub lowest: f64,
    /// Largest factor.
    pub highest: f64,
}

/// Two sources on the dates that both cover.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first source.
    pub a: String,
    /// The second.
    pub b: String,
    /// Dates that both cover.
    pub dates: DateRange,
    /// Sessions with at least one common minute.
    pub sessions: usize,
    /// Minutes in both sources.
    pub both: usize,
    /// Minutes only in the first source.
    pub only_a: usize,
    /// Minutes only in the second source.
    pub only_b: usize,
    /// Median of the absolute differences of the closes, in basis points.
    pub median_bps: Option<f64>,
    /// 99th percentile of these differences.
    pub p99_bps: Option<f64>,
    /// Share of closes that are equal to the cent.
    pub equal_to_the_cent: Option<f64>,
    /// The largest differences, largest first.
    pub largest: Vec<Difference>,
    /// Agreement of the minute returns.
    pub returns: Agreement,
    /// Sessions with prices that differ by a factor.
    pub scaled: Option<Scaled>,
    /// Median ratio of the second source's volume to the first's, over minutes with volume in both.
    pub volume_ratio: Option<f64>,
}

/// The same session of both sources, by minute.
struct Pair {
    date: Date,
    a: Vec<Option<Bar>>,
    b: Vec<Option<Bar>>,
}

impl Pair {
    /// Returns the minutes with a bar in both sources, and the bars.
    fn both(&self) -> impl Iterator<Item = (usize, Bar, Bar)> {
        let slots = self.a.iter().zip(&self.b).enumerate();
        slots.filter_map(|(minute, (a, b))| Some((minute, (*a)?, (*b)?)))
    }

    /// Returns the factor between the prices, if it is constant and differs from one.
    fn factor(&self) -> Option<f64> {
        let mut ratios: Vec<f64> = self.both().map(|(_, a, b)| b.close / a.close).collect();
        let cent = self.both().map(|(_, a, b)| 0.01 / a.close.min(b.close)).next()?;
        if ratios.len() < ENOUGH {
            return None;
        }
        let middle = quantile(&mut ratios, 0.5);
        ratios.iter_mut().for_each(|ratio| *ratio = (*ratio - middle).abs());
        let (away, spread) = ((middle - 1.0).abs(), quantile(&mut ratios, 0.5));
        (away > AWAY_BPS * 1e-4 && spread < CONSTANT.max(cent).min(0.1 * away)).then_some(middle)
    }
}

impl Comparison {
    /// Compares the sessions of two sources; returns `None` without a common session.
    pub(crate) fn of(names: (String, String), a: &[Day], b: &[Day]) -> Option<Self> {
        let dates =
            DateRange { first: a.first()?.date().max(b.first()?.date()), last: a.last()?.date().min(b.last()?.date()) };
        let by_date: BTreeMap<Date, &Day> = b.iter().map(|day| (day.date(), day)).collect();
        let pair = |a: &Day| Some(Pair { date: a.date(), a: a.slots(), b: by_date.get(&a.date())?.slots() });
        let pairs: Vec<Pair> = a.iter().filter_map(pair).collect();
        if pairs.is_empty() {
            return None;
        }
        let minutes = |of: fn(&Pair) -> &Vec<Option<Bar>>| pairs.iter().flat_map(of).flatten().count();
        let differences = differences(&pairs);
        let both = differences.len();
        let mut absolute: Vec<f64> = differences.iter().map(|difference| difference.bps.abs()).collect();
        let equal = differences.iter().filter(|difference| cents(difference.a) == cents(difference.b)).count();
        Some(Self {
            a: names.0,
            b: names.1,
            dates,
            sessions: pairs.iter().filter(|pair| pair.both().next().is_some()).count(),
            both,
            only_a: minutes(|pair| &pair.a) - both,
            only_b: minutes(|pair| &pair.b) - both,
            median_bps: finite(quantile(&mut absolute, 0.5)),
            p99_bps: finite(quantile(&mut absolute, 0.99)),
            equal_to_the_cent: finite(equal as f64 / both as f64),
            largest: largest(differences),
            returns: agreement(&pairs),
            scaled: scaled(&pairs),
            volume_ratio: volume_ratio(&pairs),
        })
    }
}

fn cents(price: f64) -> i64 {
    (price * 100.0).round() as i64
}

fn differences(pairs: &[Pair]) -> Vec<Difference> {
    let of_pair = |pair: &'_ Pair| {
        let date = pair.date;
        let difference = move |(minute, a, b): (usize, Bar, Bar)| {
            let (a, b) = (a.close, b.close);
            Difference { at: At { date, minute }, a, b, bps: (b / a - 1.0) * 1e4 }
        };
        pair.both().map(difference).collect::<Vec<_>>()
    };
    pairs.iter().flat_map(of_pair).collect()
}

fn largest(mut differences: Vec<Difference>) -> Vec<Difference> {
    differences.retain(|difference| difference.bps != 0.0);
    differences.sort_by(|a, b| b.bps.abs().total_cmp(&a.bps.abs()));
    differences.truncate(LISTED);
    differences
}

/// Returns the log return of every minute with a bar in the previous minute.
fn returns(slots: &[Option<Bar>]) -> Vec<Option<f64>> {
    let of = |pair: &[Option<Bar>]| Some((pair[1]?.close / pair[0]?.close).ln());
    slots.windows(2).map(of).collect()
}

fn agreement(pairs: &[Pair]) -> Agreement {
    let returns: Vec<_> = pairs.iter().map(|pair| (returns(&pair.a), returns(&pair.b))).collect();
    let at = |a_from: usize, b_from: usize| {
        let shifted = |(a, b): &(Vec<Option<f64>>, Vec<Option<f64>>)| {
            let pairs = a.iter().skip(a_from).zip(b.iter().skip(b_from));
            pairs.filter_map(|(a, b)| (*a).zip(*b)).collect::<Vec<_>>()
        };
        correlation(&returns.iter().flat_map(shifted).collect::<Vec<_>>())
    };
    Agreement { b_one_earlier: at(1, 0), same_minute: at(0, 0), b_one_later: at(0, 1) }
}

fn scaled(pairs: &[Pair]) -> Option<Scaled> {
    let factors: Vec<f64> = pairs.iter().filter_map(Pair::factor).collect();
    let lowest = factors.iter().copied().min_by(f64::total_cmp)?;
    let highest = factors.iter().copied().max_by(f64::total_cmp)?;
    Some(Scaled { sessions: factors.len(), lowest, highest })
}

fn volume_ratio(pairs: &[Pair]) -> Option<f64> {
    let bars = pairs.iter().flat_map(Pair::both);
    let traded = bars.filter(|(_, a, b)| a.volume > 0.0 && b.volume > 0.0);
    let mut ratios: Vec<f64> = traded.map(|(_, a, b)| b.volume / a.volume).collect();
    finite(quantile(&mut ratios, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::inspect::tests::{day, flat};

    /// A price path with a long period.
    fn price(minute: usize) -> f64 {
        500.0 + ((minute * minute * 7 + minute * 13) % 101) as f64 * 0.01
    }

    fn compared(b: Vec<Bar>) -> Comparison {
        let a = day("2025-06-02", (0..390).map(|minute| flat(minute, price(minute))).collect());
        Comparison::of(("A".to_owned(), "B".to_owned()), &[a], &[day("2025-06-02", b)]).unwrap()
    }

    #[test]
    fn minutes_and_closes_are_counted() {
        let mut b: Vec<Bar> = (0..385).map(|minute| flat(minute, price(minute))).collect();
        b[7] = Bar { volume: 50.0, ..flat(7, price(7) + 1.0) };
        b.remove(3);
        let found = compared(b);
        assert_eq!((found.both, found.only_a, found.only_b, found.sessions), (384, 6, 0, 1));
        assert_eq!((found.median_bps, found.largest.len(), found.largest[0].at.minute), (Some(0.0), 1, 7));
        assert!((found.largest[0].bps - 1e4 / price(7)).abs() < 1e-6);
        assert_eq!((found.equal_to_the_cent, found.volume_ratio), (Some(383.0 / 384.0), Some(1.0)));
        assert_eq!((found.returns.b_late_by(), found.scaled), (None, None));
    }

    #[test]
    fn a_source_that_is_a_minute_late_or_early_is_named() {
        let late = compared((1..390).map(|minute| flat(minute, price(minute - 1))).collect());
        assert_eq!(late.returns.b_late_by(), Some(1), "{:?}", late.returns);
        let early = compared((0..390).map(|minute| flat(minute, price(minute + 1))).collect());
        assert_eq!(early.returns.b_late_by(), Some(-1), "{:?}", early.returns);
    }

    #[test]
    fn an_adjusted_source_is_a_constant_times_the_raw_one() {
        let found = compared((0..390).map(|minute| flat(minute, price(minute) * 0.98)).collect());
        let scaled = found.scaled.unwrap();
        assert_eq!(scaled.sessions, 1);
        assert!((scaled.lowest - 0.98).abs() < 1e-9 && (scaled.highest - 0.98).abs() < 1e-9);
        let another = compared((0..390).map(|minute| flat(minute, 0.7 * price(389 - minute))).collect());
        assert_eq!(another.scaled, None, "another instrument");
    }

    #[test]
    fn sources_without_a_common_session_are_not_compared() {
        let (monday, tuesday) = (day("2025-06-02", vec![flat(0, 1.0)]), day("2025-06-03", vec![flat(0, 1.0)]));
        assert_eq!(Comparison::of(("A".to_owned(), "B".to_owned()), &[monday], &[tuesday]), None);
    }
}
