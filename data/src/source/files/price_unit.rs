//! Unit of prices, seen from their size.

/// Units of prices that are whole numbers, in dollars: cents, hundredths of a cent, billionths of a dollar.
const PRICE_UNITS: [f64; 3] = [0.01, 0.0001, 1e-9];
/// Smallest median price in dollars that is taken for a price in another unit, if all prices are whole numbers.
const LARGE_PRICE: f64 = 20_000.0;
/// Median price in dollars that a unit must lead to.
const USUAL_PRICES: std::ops::RangeInclusive<f64> = 10.0..=20_000.0;

/// Returns the unit of open, high, low and close in dollars if it is not the dollar: prices that are whole and large numbers.
pub(super) fn of(prices: [&[f64]; 4]) -> Option<f64> {
    let whole = prices.iter().all(|column| column.iter().all(|price| price.fract() == 0.0));
    let mut closes: Vec<f64> = if whole { prices[3].to_vec() } else { Vec::new() };
    if closes.is_empty() {
        return None;
    }
    let middle = closes.len() / 2;
    let median = *closes.select_nth_unstable_by(middle, f64::total_cmp).1;
    PRICE_UNITS.into_iter().find(|unit| median >= LARGE_PRICE && USUAL_PRICES.contains(&(median * unit)))
}
