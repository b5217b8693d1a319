//! The bars of one symbol paired with its options.

use market_data::{OptionHistory, SymbolSessions};

/// The bars and the option data of one symbol.
pub(crate) struct Pair {
    pub(crate) sessions: SymbolSessions,
    pub(crate) options: OptionHistory,
    /// True for generated bars.
    pub(crate) synthetic: bool,
}
