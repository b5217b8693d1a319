//! Quotes of one contract: bid, ask and displayed size.

use std::num::NonZeroU32;

use crate::{ContractSpec, option::black_scholes::Right};

/// One side's best prices, in cents per share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// What a seller gets; nothing where nobody bids.
    pub bid: u32,
    /// What a buyer pays; `None` where nobody offers.
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

/// Returns which contract of a strike pays this way: the low bit of a contract index.
pub(crate) const fn right_bit(right: Right) -> u32 {
    match right {
        Right::Call => 0,
        Right::Put => 1,
    }
}

/// Contracts displayed at the best prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What a seller can sell at the bid.
    pub bid: u32,
    /// What a buyer can buy at the ask.
    pub ask: u32,
}
