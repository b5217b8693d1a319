//! The strike grid of a session's tape. Its size is checked before anything is allocated, so prices in another unit, or one
//! with a slipped decimal, end in a sentence instead of filling the memory.

use market_data::{SessionBars, Symbol};

use crate::{ContractSpec, EnvError, option::quote::nearest_strike};

/// Most strikes of one session's tape. The widest session of SPX from 2018 to 2025 (2025-04-09, some 530 points) needs 107, and
/// the rule `delta` adds at most 200 on either side. The cells of 500 strikes and 390 minutes take 12.5 MB.
pub(crate) const MAX_STRIKES: u32 = 500;
/// Highest price, in strike steps. SPY stands near 600 steps, SPX near 1,200, and an index of 25,000 points with strikes 5
/// apart at 5,000; SPY in cents stands near 60,000.
const MAX_STEPS: f64 = 15_000.0;
/// Usual price, in strike steps, towards which a unit is guessed.
const USUAL_STEPS: f64 = 600.0;
/// Units of prices in vendors' files, per dollar.
const UNITS: [f64; 6] = [100.0, 1e3, 1e4, 1e6, 1e8, 1e9];
/// Factor from the session's median close beyond which one price is called wrong.
const OUTLIER_FACTOR: f64 = 3.0;

/// A range of strikes, in strike steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StrikeGrid {
    /// The lowest strike.
    pub(crate) lowest: u32,
    /// Number of strikes, 1 to [`MAX_STRIKES`].
    pub(crate) strikes: u32,
}

impl StrikeGrid {
    /// Returns the grid over a session's prices and the strikes that orders may choose.
    ///
    /// # Errors
    /// [`EnvError::StrikeReach`] if the chosen strikes make the grid too large.
    pub(crate) fn of(
        symbol: &Symbol,
        bars: &SessionBars,
        chosen: impl Iterator<Item = u32>,
        spec: &ContractSpec,
    ) -> Result<Self, EnvError> {
        let grid = Self::spanning(prices(bars).map(|price| nearest_strike(price, spec)).chain(chosen));
        if grid.strikes <= MAX_STRIKES {
            return Ok(grid);
        }
        Err(EnvError::StrikeReach {
            symbol: symbol.clone(),
            date: bars.session.date,
            strikes: grid.strikes,
            most: MAX_STRIKES,
        })
    }

    fn spanning(strikes: impl Iterator<Item = u32>) -> Self {
        let (lowest, highest) = strikes.fold((u32::MAX, 1), |(low, high), strike| (low.min(strike), high.max(strike)));
        Self { lowest, strikes: highest.saturating_sub(lowest).saturating_add(1) }
    }
}

/// Checks that a session's prices lie where strikes can be: within [`MAX_STRIKES`] of each other, and not far above the usual.
///
/// # Errors
/// [`EnvError::StrikeGrid`] with the session, its prices and the likely cause.
pub(crate) fn check_prices(symbol: &Symbol, bars: &SessionBars, spec: &ContractSpec) -> Result<(), EnvError> {
    let strikes = StrikeGrid::spanning(prices(bars).map(|price| nearest_strike(price, spec))).strikes;
    let mut closes = bars.close.clone();
    let middle = closes.len() / 2;
    let median = *closes.select_nth_unstable_by(middle, f64::total_cmp).1;
    let in_steps = median / spec.strike_step;
    if strikes <= MAX_STRIKES && in_steps <= MAX_STEPS {
        return Ok(());
    }
    let unit = || likely_unit(in_steps).map(unit_text);
    let cause = outlier_text(bars, median)
        .or_else(unit)
        .unwrap_or_else(|| "correct the bars of this session, or set strike_step in [market.contracts]".to_owned());
    let (low, high) = prices(bars).fold((f64::MAX, f64::MIN), |(low, high), price| (low.min(price), high.max(price)));
    let (symbol, date) = (symbol.clone(), bars.session.date);
    Err(EnvError::StrikeGrid { symbol, date, low, high, strikes, most: MAX_STRIKES, step: spec.strike_step, cause })
}

fn prices(bars: &SessionBars) -> impl Iterator<Item = f64> {
    bars.low.iter().chain(&bars.high).copied()
}

/// Names the price that lies furthest from the session's median close, if it lies by a factor apart.
fn outlier_text(bars: &SessionBars, median: f64) -> Option<String> {
    let apart = |price: f64| (price / median).max(median / price);
    let columns = [("low", &bars.low), ("high", &bars.high)];
    let all = columns.into_iter().flat_map(|(name, column)| {
        column.iter().enumerate().map(move |(minute, &price)| (apart(price), name, minute, price))
    });
    let (factor, name, minute, price) = all.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let clock = 9 * 60 + 30 + minute;
    (factor > OUTLIER_FACTOR).then(|| {
        format!(
            "the {name} of {:02}:{:02}, {price:.2}, is {factor:.0} times apart from the session's median of {median:.2}: \
             correct that bar",
            clock / 60,
            clock % 60
        )
    })
}

/// Returns the unit per dollar that brings a price, in strike steps, nearest to the usual; nothing if dollars do.
fn likely_unit(in_steps: f64) -> Option<f64> {
    let off = |unit: &f64| (in_steps / unit / USUAL_STEPS).ln().abs();
    let best = [1.0].into_iter().chain(UNITS).min_by(|a, b| off(a).total_cmp(&off(b)))?;
    (best > 1.0).then_some(best)
}

fn unit_text(unit: f64) -> String {
    let scale = 1.0 / unit;
    format!(
        "they look like prices in units of {scale} dollars: divide them by {unit}, or convert the file with \
         `zerodte import --price-scale {scale}`"
    )
}

#[cfg(test)]
mod tests {
    use market_data::calendar;

    use super::*;

    /// A session around a price, 1 % wide.
    fn session(price: f64) -> SessionBars {
        let session = calendar::session(jiff::civil::date(2025, 3, 19)).unwrap();
        let level = |factor: f64| vec![price * factor; session.minutes()];
        let (open, high, low, close) = (level(1.0), level(1.005), level(0.995), level(1.0));
        SessionBars { session, open, high, low, close, volume: level(0.0), filled: vec![false; session.minutes()] }
    }

    fn of(symbol: &str, bars: &SessionBars, chosen: &[u32]) -> Result<StrikeGrid, String> {
        let spec = ContractSpec::known(symbol).unwrap();
        let symbol = Symbol::new(symbol).unwrap();
        let grid = check_prices(&symbol, bars, &spec)
            .and_then(|()| StrikeGrid::of(&symbol, bars, chosen.iter().copied(), &spec));
        grid.map_err(|error| error.to_string())
    }

    #[test]
    fn a_grid_spans_the_prices_and_the_chosen_strikes() {
        assert_eq!(of("SPY", &session(600.0), &[]), Ok(StrikeGrid { lowest: 597, strikes: 7 }));
        assert_eq!(of("SPY", &session(600.0), &[590, 601]), Ok(StrikeGrid { lowest: 590, strikes: 14 }));
        assert_eq!(of("SPX", &session(6_000.0), &[]), Ok(StrikeGrid { lowest: 1_194, strikes: 13 }));
        let highest = 597 + MAX_STRIKES - 1;
        assert_eq!(of("SPY", &session(600.0), &[highest]).map(|grid| grid.strikes), Ok(MAX_STRIKES));
        let message = of("SPY", &session(600.0), &[highest + 1]).unwrap_err();
        assert!(
            message.starts_with("SPY 2025-03-19: market.strike reaches 501 strikes, a session has at most 500"),
            "{message}"
        );
    }

    #[test]
    fn prices_in_another_unit_are_named_with_the_unit() {
        for (symbol, price, unit) in [
            ("SPY", 57_000.0, "0.01"),
            ("IWM", 20_500.0, "0.01"),
            ("SPY", 5_700_000.0, "0.0001"),
            ("SPX", 59_000_000.0, "0.0001"),
            ("QQQ", 480e9, "0.000000001"),
        ] {
            let message = of(symbol, &session(price), &[]).unwrap_err();
            assert!(
                message.starts_with(&format!("{symbol} 2025-03-19: prices from {:.2} to", price * 0.995)),
                "{message}"
            );
            assert!(message.contains(&format!("in units of {unit} dollars")), "{message}");
            assert!(message.contains(&format!("--price-scale {unit}`")), "{message}");
        }
        // A calm day in cents stays below the largest grid and is refused all the same.
        let mut calm = session(57_000.0);
        (calm.low, calm.high) = (calm.close.clone(), calm.close.clone());
        assert!(of("SPY", &calm, &[]).unwrap_err().contains("in units of 0.01 dollars"));
    }

    #[test]
    fn one_slipped_decimal_is_named_with_its_minute() {
        let mut bars = session(570.0);
        bars.high[90] = 571_250.0;
        let message = of("SPY", &bars, &[]).unwrap_err();
        assert!(message.contains("the high of 11:00, 571250.00, is 1002 times apart"), "{message}");
        assert!(message.contains("from 567.15 to 571250.00 dollars span 570684 strikes of 1, "), "{message}");
    }
}
