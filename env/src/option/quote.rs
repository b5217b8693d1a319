//! Quotes of one contract: bid, ask and displayed size.

use std::num::NonZeroU32;

use crate::{ContractSpec, option::black_scholes::Right};

/// The best bid and ask of a contract, in cents per share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// Bid; 0 without one.
    pub bid: u32,
    /// Ask; `None` without one.
    pub ask: Option<NonZeroU32>,
}

/// Quotes of one contract at the two ends of one bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotePair {
    /// At the bar's open: orders decided at the last close fill here.
    pub open: Quote,
    /// At the bar's close: positions are marked here.
    pub close: Quote,
}

/// Returns the index of the strike nearest to a price, in strike steps.
pub(crate) fn nearest_strike(price: f64, spec: &ContractSpec) -> u32 {
    (price / spec.strike_step).round().max(1.0) as u32
}

/// Returns the low bit of a contract index: 0 for the call of a strike, 1 for its put.
pub(crate) const fn right_bit(right: Right) -> u32 {
    match right {
        Right::Call => 0,
        Right::Put => 1,
    }
}

/// Contracts displayed at the best prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Contracts at the bid.
    pub bid: u32,
    /// Contracts at the ask.
    pub ask: u32,
}
