//! What can be wrong with the inputs of a market or an environment.

use market_data::Symbol;

/// A reason why no market or environment can be built.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// There is no contract specification for a symbol.
    #[error("no option contract is known for {symbol} (known: {known}); add a [market.contracts.{symbol}] section")]
    UnknownContract {
        /// The symbol asked for.
        symbol: Symbol,
        /// The symbols that have one.
        known: String,
    },
    /// Bars and volatility of a symbol do not belong together.
    #[error("{symbol}: {days} sessions of bars but {volatility} of volatility")]
    Misaligned {
        /// The symbol.
        symbol: Symbol,
        /// Sessions of bars.
        days: usize,
        /// Sessions of volatility columns.
        volatility: usize,
    },
    /// Real options are to be replayed, and there are none.
    #[error("{symbol}: the option files hold no row that expires when `market.expiry` says on any session asked for")]
    NoOptions {
        /// The symbol.
        symbol: Symbol,
    },
    /// Nothing to play.
    #[error("there is no session to replay in the given dates")]
    NoDays,
    /// There is nothing that a forecaster could learn.
    #[error("no target of the horizons {horizons} is known of any session: the dates are too few")]
    NoTargets {
        /// The horizons asked for.
        horizons: String,
    },
    /// The environment would have no lane.
    #[error("the number of lanes must be at least 1")]
    NoLanes,
    /// The configuration is contradictory; each fault with its path.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
}
