//! Option contracts, their tickers, and the grid of strikes around a price range.

use std::fmt;

use jiff::civil::Date;

use crate::{Right, Symbol};

/// An option contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// The underlying.
    pub underlying: Symbol,
    /// Its last trading day.
    pub expiry: Date,
    /// Call or put.
    pub right: Right,
    /// Strike, in dollars.
    pub strike: f64,
}

impl fmt::Display for Contract {
    /// Writes the OCC ticker: root, expiry, right and strike in tenths of a cent.
    ///
    /// ```
    /// use market_data::{Right, Symbol, source::vendor::Contract};
    ///
    /// let (underlying, expiry) = (Symbol::new("SPX")?, "2025-06-02".parse().expect("a date"));
    /// let contract = Contract { underlying, expiry, right: Right::Put, strike: 5902.5 };
    /// assert_eq!(contract.to_string(), "SPXW250602P05902500");
    /// # Ok::<(), market_data::DataError>(())
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = if self.right == Right::Call { 'C' } else { 'P' };
        let thousandths = (self.strike * 1000.0).round() as u64;
        write!(f, "{}{}{right}{thousandths:08}", root(&self.underlying), self.expiry.strftime("%y%m%d"))
    }
}

/// Returns the root of same-day contracts: SPXW for those on SPX, which settle in the afternoon.
#[must_use]
pub fn root(underlying: &Symbol) -> &str {
    match underlying.as_str() {
        "SPX" => "SPXW",
        "NDX" => "NDXP",
        other => other,
    }
}

/// Returns the distance of strikes near the money, in dollars.
#[must_use]
pub fn strike_step(underlying: &Symbol) -> f64 {
    match underlying.as_str() {
        "SPX" => 5.0,
        "NDX" => 10.0,
        _ => 1.0,
    }
}

/// Returns the calls and puts of one expiry at all strikes within `around` steps of any price between `low` and `high`.
/// The grid depends on the prices of the underlying alone, never on the contracts that are listed or traded.
///
/// ```
/// use market_data::{Symbol, source::vendor::grid};
///
/// let contracts = grid(&Symbol::new("SPY")?, "2025-06-02".parse().expect("a date"), 599.3, 600.6, 1);
/// let strikes: Vec<f64> = contracts.iter().step_by(2).map(|contract| contract.strike).collect();
/// assert_eq!(strikes, [598.0, 599.0, 600.0, 601.0, 602.0]);
/// # Ok::<(), market_data::DataError>(())
/// ```
#[must_use]
pub fn grid(underlying: &Symbol, expiry: Date, low: f64, high: f64, around: u32) -> Vec<Contract> {
    let step = strike_step(underlying);
    let (first, last) = ((low / step).round() - f64::from(around), (high / step).round() + f64::from(around));
    let count = (last - first).max(0.0) as usize + 1;
    let strikes = (0..count).map(|at| (first + at as f64) * step).filter(|strike| *strike > 0.0);
    let both = |strike| {
        [Right::Call, Right::Put].map(|right| Contract { underlying: underlying.clone(), expiry, right, strike })
    };
    strikes.flat_map(both).collect()
}
