//! Quotes and displayed sizes of a market by strike.

use super::{Day, Market};
use crate::{
    QuotePair,
    option::quote::{Size, nearest_strike},
};

impl Market {
    /// Returns the quotes of the call and the put of a strike in dollars, where the day's tape holds it.
    pub fn quotes_at(&self, day: &Day, strike: f64, bar: u32) -> Option<(QuotePair, QuotePair)> {
        let call = self.call_at(day, strike)?;
        Some((self.quote(day, call, bar), self.quote(day, call + 1, bar)))
    }

    /// Returns the displayed sizes of the call and the put of a strike in dollars, where the day's tape holds it.
    pub fn sizes_at(&self, day: &Day, strike: f64, bar: u32) -> Option<(Size, Size)> {
        let call = self.call_at(day, strike)?;
        Some((self.size(day, call, bar), self.size(day, call + 1, bar)))
    }

    /// Returns the index of a strike's call; its put is the next one.
    fn call_at(&self, day: &Day, strike: f64) -> Option<u32> {
        let call = 2 * nearest_strike(strike, &day.spec).checked_sub(day.lowest_strike)?;
        self.holds_contract(day, call + 1).then_some(call)
    }
}
