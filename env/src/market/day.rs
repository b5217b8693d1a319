//! One symbol-session on the tapes.

use std::ops::Range;

use jiff::civil::Date;
use market_data::Symbol;

use crate::ContractSpec;

/// One symbol-session on the tapes.
///
/// The fields that every step reads lie in one cache line.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Day {
    /// Index of the session's first cell among all cells.
    pub(crate) first_cell: usize,
    /// Tape row of the first bar.
    pub(crate) first_row: u32,
    /// Minutes of the session.
    pub bars: u32,
    /// Index of the lowest strike, in strike steps.
    pub(crate) lowest_strike: u32,
    /// Number of strikes on the tape.
    pub(crate) strikes: u32,
    /// The session's open, UTC nanoseconds.
    pub open_ns: i64,
    /// The underlying's last price of the session, in cents: the settlement price.
    pub settlement_cents: u32,
    /// The underlying.
    pub symbol: Symbol,
    /// The session's date in New York.
    pub date: Date,
    /// The expiry of the contracts on its tape.
    pub expiry: Date,
    /// VIX known before the open, in points.
    pub vix_at_open: f64,
    /// Facts of the option contract.
    pub spec: ContractSpec,
    /// Standard deviation of the model's level error as a fraction of volatility: of its volatility source, and of the underlying.
    pub level_sd: [f64; 2],
}

impl Day {
    /// Returns the strike of a contract on this day's tape, in dollars.
    pub fn strike(&self, contract: u32) -> f64 {
        f64::from(self.lowest_strike + contract / 2) * self.spec.strike_step
    }

    /// Returns the start of a bar, UTC nanoseconds.
    pub fn bar_ns(&self, bar: u32) -> i64 {
        self.open_ns + i64::from(bar) * 60_000_000_000
    }

    /// Returns the tape rows of the session's bars.
    pub fn rows(&self) -> Range<usize> {
        self.first_row as usize..(self.first_row + self.bars) as usize
    }

    /// Returns the intrinsic value of a contract at the session's close, in cents per share.
    pub fn intrinsic_cents(&self, contract: u32) -> u32 {
        let strike = (self.strike(contract) * 100.0).round() as u32;
        match contract % 2 {
            0 => self.settlement_cents.saturating_sub(strike),
            _ => strike.saturating_sub(self.settlement_cents),
        }
    }

    /// Returns the index of a contract's first cell; the bar is the offset.
    pub(crate) fn cells(&self, contract: u32) -> usize {
        self.first_cell + (contract * self.bars) as usize
    }
}
