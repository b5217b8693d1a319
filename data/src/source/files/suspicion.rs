//! Prices that stop a run: in another unit, off by a factor, or at an impossible level of volatility.

use super::{placement::sessions, price_unit};
use crate::{Bars, DailySeries, calendar::MINUTE_NS, quality::At};

/// A reason not to trust a file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Suspicion {
    /// The fault, without the file's name.
    pub(in crate::source) what: String,
    /// The remedy.
    pub(in crate::source) cure: String,
}

/// Smallest ratio of two prices of one session that no market makes within a minute.
const FACTOR: f64 = 5.0;
/// Smallest ratio of an open to the last close of an earlier session; a split may make less.
const NIGHT_FACTOR: f64 = 8.0;

/// Returns what is wrong with the unit of the prices, if they are not in dollars throughout.
pub(super) fn unit(bars: &Bars) -> Option<Suspicion> {
    let unit = price_unit::of([bars.open(), bars.high(), bars.low(), bars.close()])?;
    let (close, times) = (bars.close()[0], 1.0 / unit);
    Some(Suspicion {
        what: format!("its prices are whole numbers such as {close}: dollars times {times:.0}"),
        cure: "turn them into dollars with `zerodte import FILE`".to_owned(),
    })
}

/// Returns the first price in a session that differs by a factor from the one before.
pub(super) fn jump(bars: &Bars) -> Option<Suspicion> {
    let (open, high, low, close) = (bars.open(), bars.high(), bars.low(), bars.close());
    let starts = bars.ts_ns();
    let before = |ns: i64| starts.partition_point(|&start| start < ns);
    let mut last: Option<f64> = None;
    for session in sessions(starts) {
        let (first, end) = (before(session.open_ns), before(session.close_ns));
        for row in first..end {
            let limit = if row == first { NIGHT_FACTOR } else { FACTOR };
            let night = last.map(|last| (("open", open[row]), ("the last close", last), limit));
            let inside = [("close", close[row]), ("high", high[row]), ("low", low[row])]
                .map(|price| (price, ("the open", open[row]), FACTOR));
            let mut pairs = night.into_iter().chain(inside);
            let off = pairs.find(|((_, price), (_, reference), limit)| is_off(*price, *reference, *limit));
            if let Some((price, reference, _)) = off {
                let minute = ((starts[row] - session.open_ns) / MINUTE_NS) as usize;
                return Some(factor(row, At { date: session.date, minute }, price, reference));
            }
            last = Some(close[row]);
        }
    }
    None
}

fn is_off(price: f64, reference: f64, limit: f64) -> bool {
    price > limit * reference || price * limit < reference
}

fn factor(row: usize, at: At, (column, price): (&str, f64), (other, reference): (&str, f64)) -> Suspicion {
    let ratio = price / reference;
    let times = if ratio >= 1.0 { format!("{ratio:.4}") } else { format!("1/{:.4}", 1.0 / ratio) };
    let times = times.trim_end_matches('0').trim_end_matches('.');
    Suspicion {
        what: format!(
            "row {}, {at} in New York: {column} {price} is {times} times {other} {reference}: a slipped decimal, another unit, or a \
             split in raw prices",
            row + 1
        ),
        cure: "correct the file".to_owned(),
    }
}

/// Returns the levels between which an index of volatility lies, in points.
fn levels(name: &str) -> (f64, f64) {
    // VIX1D fell to 5.0 on quiet days since its start in 2023.
    if name == "VIX1D" { (2.0, 300.0) } else { (5.0, 150.0) }
}

/// Returns what is wrong with the level of VIX or VIX1D by the minute; a single bad print has no effect on a run.
pub(super) fn level(bars: &Bars) -> Option<Suspicion> {
    let (lowest, highest) = levels(bars.symbol().as_str());
    let outside = |value: f64| !(lowest..=highest).contains(&value);
    let close = bars.close();
    let row = close.windows(2).position(|pair| outside(pair[0]) && outside(pair[1]))?;
    Some(wrong_level(row, close[row], (lowest, highest)))
}

/// Returns what is wrong with the level of VIX by the day.
pub(in crate::source) fn daily_level(series: &DailySeries) -> Option<Suspicion> {
    let (lowest, highest) = levels("VIX");
    let row = series.close().iter().position(|value| !(lowest..=highest).contains(value))?;
    Some(wrong_level(row, series.close()[row], (lowest, highest)))
}

fn wrong_level(row: usize, close: f64, (lowest, highest): (f64, f64)) -> Suspicion {
    Suspicion {
        what: format!("row {}: close {close} lies outside {lowest} to {highest} points", row + 1),
        cure: "write the index in points, such as 16.5, or move the file away".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BarColumns, Symbol, calendar};

    /// Two sessions at about 500, with a change of columns.
    fn bars(symbol: &str, change: impl FnOnce(&mut BarColumns)) -> Bars {
        let sessions = calendar::sessions("2025-06-02".parse().unwrap(), "2025-06-03".parse().unwrap());
        let ts_ns: Vec<i64> =
            sessions.iter().flat_map(|day| (0..390).map(|minute| day.open_ns + minute * calendar::MINUTE_NS)).collect();
        let price: Vec<f64> = (0..ts_ns.len()).map(|row| 500.0 + (row % 7) as f64 * 0.25).collect();
        let [open, high, low, close] = [0; 4].map(|_| price.clone());
        let mut columns = BarColumns { volume: vec![1.0; ts_ns.len()], ts_ns, open, high, low, close };
        change(&mut columns);
        Bars::new(Symbol::new(symbol).unwrap(), "test", columns).unwrap()
    }

    fn scale(columns: &mut BarColumns, rows: std::ops::Range<usize>, factor: f64) {
        for column in [&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close] {
            column[rows.clone()].iter_mut().for_each(|price| *price *= factor);
        }
    }

    #[test]
    fn a_price_off_by_a_factor_is_named_with_its_row() {
        assert_eq!(jump(&bars("SPY", |_| ())), None);
        let high = jump(&bars("SPY", |columns| columns.high[90] *= 1000.0)).unwrap();
        assert_eq!(
            high.what,
            "row 91, 2025-06-02T11:00 in New York: high 501500 is 1000 times the open 501.5: a slipped decimal, another unit, \
             or a split in raw prices"
        );
        let low = jump(&bars("SPY", |columns| columns.low[91] /= 10.0)).unwrap();
        assert!(low.what.contains("row 92") && low.what.contains("low 50 is 1/10 times the open 500"), "{}", low.what);
        let unit = jump(&bars("SPY", |columns| scale(columns, 400..780, 100.0))).unwrap();
        assert!(unit.what.contains("row 401, 2025-06-03T09:40"), "{}", unit.what);
        assert!(jump(&bars("SPY", |columns| scale(columns, 390..780, 0.1))).is_some(), "ten to one in a night");
        assert_eq!(jump(&bars("SPY", |columns| scale(columns, 390..780, 0.25))), None, "a split of four to one");
    }

    #[test]
    fn whole_numbers_in_another_unit_are_named() {
        assert_eq!(unit(&bars("SPY", |_| ())), None);
        let found = unit(&bars("SPY", |columns| scale(columns, 0..780, 10_000.0))).unwrap();
        assert_eq!(found.what, "its prices are whole numbers such as 5000000: dollars times 10000");
    }

    #[test]
    fn volatility_lies_between_its_levels() {
        let vix = |name: &str, factor: f64| level(&bars(name, |columns| scale(columns, 0..780, factor / 500.0)));
        assert_eq!((vix("VIX", 16.0), vix("VIX", 140.0), vix("VIX1D", 4.5)), (None, None, None));
        let fraction = vix("VIX", 0.16).unwrap().what;
        assert!(
            fraction.starts_with("row 1: close 0.16") && fraction.ends_with("lies outside 5 to 150 points"),
            "{fraction}"
        );
        assert!(vix("VIX", 1_600.0).is_some() && vix("VIX1D", 0.09).is_some());
        let one = bars("VIX", |columns| {
            scale(columns, 0..780, 16.0 / 500.0);
            scale(columns, 100..101, 100.0);
        });
        assert_eq!(level(&one), None, "a single bad print");
        let days = vec!["2025-06-02".parse().unwrap(), "2025-06-03".parse().unwrap()];
        let daily = |close| daily_level(&DailySeries::new("test", days.clone(), vec![17.0, close]).unwrap());
        assert_eq!(daily(18.0), None);
        assert_eq!(daily(0.18).unwrap().what, "row 2: close 0.18 lies outside 5 to 150 points");
    }
}
