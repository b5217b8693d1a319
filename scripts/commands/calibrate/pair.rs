//! The bars of one symbol paired with its options.

use jiff::civil::Date;
use market_data::{OptionHistory, OptionSession, SymbolSessions};

/// The bars and the option data of one symbol.
pub(crate) struct Pair {
    pub(crate) sessions: SymbolSessions,
    pub(crate) options: OptionHistory,
    /// Option sessions before the dates, which show the level of the first ones; ascending by date and expiry.
    pub(crate) earlier: Vec<OptionSession>,
    /// True for generated bars.
    pub(crate) synthetic: bool,
}

impl Pair {
    /// Returns the same-day options of a date, inside the dates or before them.
    pub(crate) fn same_day(&self, date: Date) -> Option<&OptionSession> {
        let earlier = || self.earlier.iter().find(|day| day.session.date == date && day.expiry == date);
        self.options.session(date, date).or_else(earlier)
    }
}
