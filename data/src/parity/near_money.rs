//! Prices near the money: without any, a tape of real options would hold the model's prices alone.

use jiff::civil::Date;

use super::fault::OptionFault;
use crate::{DateRange, OptionHistory, OptionSession, SessionBars, SymbolSessions};

/// Distance from a session's range, as a fraction of price, within which a strike is near the money.
const REACH: f64 = 0.02;
/// Strikes that an error names.
const NAMED: usize = 3;

/// Checks that some session has a price near the money, in the contracts that expire on `expires(date)`.
///
/// # Errors
/// [`OptionFault::FarFromTheMoney`] or [`OptionFault::NoPrice`]. Sessions without rows of that expiry are no fault.
pub fn check_near_money(
    bars: &SymbolSessions,
    options: &OptionHistory,
    expires: impl Fn(Date) -> Option<Date>,
) -> Result<(), OptionFault> {
    let file = || options.files.first().map(|file| file.path.clone()).unwrap_or_default();
    if options.sessions.is_empty() {
        let rows = options.left_out.no_print;
        return Err(OptionFault::NoPrice { file: file(), symbol: options.symbol.clone(), rows });
    }
    let mut days: Vec<(&SessionBars, &OptionSession)> = Vec::new();
    for day in &bars.days[bars.warmup..] {
        let rows = expires(day.session.date).and_then(|expiry| options.session(day.session.date, expiry));
        days.extend(rows.filter(|rows| strikes(rows).next().is_some()).map(|rows| (day, rows)));
    }
    let (Some((first, rows)), Some((last, _))) = (days.first(), days.last()) else { return Ok(()) };
    if days.iter().any(|(day, rows)| has_near_money(day, rows)) {
        return Ok(());
    }
    let (low, high) = range(first);
    let mut nearest: Vec<f64> = strikes(rows).collect();
    nearest.sort_by(f64::total_cmp);
    nearest.dedup();
    nearest.sort_by(|a, b| distance(*a, low, high).total_cmp(&distance(*b, low, high)));
    nearest.truncate(NAMED);
    Err(OptionFault::FarFromTheMoney {
        file: file(),
        symbol: options.symbol.clone(),
        dates: DateRange { first: first.session.date, last: last.session.date },
        date: first.session.date,
        low,
        high,
        strikes: nearest,
    })
}

fn has_near_money(day: &SessionBars, rows: &OptionSession) -> bool {
    let (low, high) = range(day);
    let near = low * (1.0 - REACH)..=high * (1.0 + REACH);
    strikes(rows).any(|strike| near.contains(&strike))
}

/// Returns the strikes of all rows with a price.
fn strikes(rows: &OptionSession) -> impl Iterator<Item = f64> {
    let quoted = rows.quotes.iter().filter(|row| row.ask.is_some() || row.bid.is_some_and(|bid| bid > 0.0));
    rows.trades.iter().map(|row| row.strike).chain(quoted.map(|row| row.strike))
}

fn range(day: &SessionBars) -> (f64, f64) {
    let low = day.low.iter().copied().fold(f64::INFINITY, f64::min);
    (low, day.high.iter().copied().fold(0.0, f64::max))
}

fn distance(strike: f64, low: f64, high: f64) -> f64 {
    (strike - f64::midpoint(low, high)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::check::tests::{market, quotes};

    #[test]
    fn strikes_in_thousandths_are_named_and_far_ones_refused() {
        let bars = market();
        let good = quotes(&bars, 0, 1.0);
        check_near_money(&bars, &good, Some).unwrap();
        let scaled = |factor: f64| {
            let mut options = good.clone();
            options.sessions.iter_mut().flat_map(|day| &mut day.quotes).for_each(|row| row.strike *= factor);
            check_near_money(&bars, &options, Some).unwrap_err().to_string()
        };
        let message = scaled(1_000.0);
        assert!(message.contains("no price of a SPY option near the money from 20"), "{message}");
        assert!(message.ends_with("in thousandths of a dollar: divide the column strike by 1000"), "{message}");
        assert!(scaled(1.1).contains("the nearest strikes with a price are "), "ten percent is no unit");
        assert!(scaled(2.0).ends_with("two sides of a split"));
        let mut empty = good.clone();
        empty.sessions.clear();
        empty.left_out.no_print = 9;
        assert!(check_near_money(&bars, &empty, Some).unwrap_err().to_string().contains("none of the 9 rows"));
        // An expiry that the file does not hold is the replay's concern.
        check_near_money(&bars, &good, |_| None).unwrap();
    }
}
