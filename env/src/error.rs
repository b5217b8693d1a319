//! Errors in the inputs of a market or an environment.

use jiff::civil::Date;
use market_data::Symbol;

/// A reason for not building a market or an environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// A symbol without a contract specification.
    #[error("no option contract is known for {symbol} (known: {known}); add a [market.contracts.{symbol}] section")]
    UnknownContract {
        /// The symbol asked for.
        symbol: Symbol,
        /// The symbols with a specification.
        known: String,
    },
    /// Memory for the option tapes that the system refuses.
    #[error("the system refuses the memory for the option tapes: {0}; choose fewer dates or symbols")]
    Memory(std::io::Error),
    /// Bars and volatility of a symbol differ in length.
    #[error("{symbol}: {days} sessions of bars but {volatility} of volatility")]
    Misaligned {
        /// The symbol.
        symbol: Symbol,
        /// Sessions of bars.
        days: usize,
        /// Sessions of volatility columns.
        volatility: usize,
    },
    /// A replay of real options without an option row.
    #[error(
        "{symbol}: the option files hold no row with the expiry of `market.expiry` in the given sessions; check run.options and market.expiry"
    )]
    NoOptions {
        /// The symbol.
        symbol: Symbol,
    },
    /// Prices of a session that need more strikes than its tape may have.
    #[error(
        "{symbol} {date}: prices from {low:.2} to {high:.2} dollars span {strikes} strikes of {step}, a session has at most \
         {most}; {cause}"
    )]
    StrikeGrid {
        /// The symbol.
        symbol: Symbol,
        /// The session.
        date: Date,
        /// Its lowest price.
        low: f64,
        /// Its highest price.
        high: f64,
        /// Strikes from the lowest to the highest price.
        strikes: u32,
        /// Most strikes of a session.
        most: u32,
        /// Dollars between two strikes.
        step: f64,
        /// The likely cause and its cure.
        cause: String,
    },
    /// A strike rule that reaches further than a session's tape may.
    #[error(
        "{symbol} {date}: market.strike reaches {strikes} strikes, a session has at most {most}; choose a smaller \
         market.strike.offset, or a larger market.contracts.{symbol}.strike_step"
    )]
    StrikeReach {
        /// The symbol.
        symbol: Symbol,
        /// The session.
        date: Date,
        /// Strikes from the lowest to the highest.
        strikes: u32,
        /// Most strikes of a session.
        most: u32,
    },
    /// No session in the given dates.
    #[error("there is no session to replay in the given dates")]
    NoDays,
    /// Sessions, none of which had a listed contract of the configured expiry.
    #[error(
        "no session from {} {} to {} {} had a contract of `market.expiry`: it was not listed yet; choose later dates, or market.expiry = \"nearest\"",
        .first.0, .first.1, .last.0, .last.1
    )]
    NoneListed {
        /// The first session left out.
        first: (Symbol, Date),
        /// The last one.
        last: (Symbol, Date),
    },
    /// No sample with a known target.
    #[error(
        "no session in the given dates has a known target for the horizons {horizons}; widen the dates or shorten the horizons"
    )]
    NoTargets {
        /// The horizons asked for.
        horizons: String,
    },
    /// An action that the mask of a session in progress excludes.
    #[error("{action} is not legal; legal are {legal}")]
    Illegal {
        /// Name of the action.
        action: &'static str,
        /// Names of the legal actions.
        legal: String,
    },
    /// An environment without a lane.
    #[error("the number of lanes must be at least 1")]
    NoLanes,
    /// Faults of the configuration, each with its path.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
}
