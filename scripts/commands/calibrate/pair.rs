//! One real price beside the modelled one.

use market_data::{OptionHistory, SymbolSessions};

/// The bars of one symbol and what its options did.
pub(crate) struct Pair {
    pub(crate) sessions: SymbolSessions,
    pub(crate) options: OptionHistory,
    /// Whether the bars are made up.
    pub(crate) synthetic: bool,
}
