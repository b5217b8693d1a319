//! The summary of one finished session of one account, and the record of one closed position.

use jiff::civil::Date;

use crate::{account::exits::ExitReason, action::Action};

/// One lane's finished session.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Episode {
    /// The lane that played it.
    pub lane: u32,
    /// Index of the played day in its market.
    pub day: u32,
    /// Decisions taken.
    pub steps: u32,
    /// Sum of rewards, shaping included.
    pub reward: f64,
    /// Change of cash, all costs included, in cents.
    pub net_pnl_cents: i64,
    /// Commissions and exchange fees, in cents.
    pub fees_cents: i64,
    /// Positions opened and closed.
    pub trades: u32,
    /// Decisions taken in a position.
    pub held_steps: u32,
}

/// The net return of a position that a training lane closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedTrade {
    /// Index of the played day in its market.
    pub day: u32,
    /// Net P&L as a fraction of premium and fees paid at the entry.
    pub net_return: f64,
}

/// One sale of a position's contracts: an order's fill at a bar's open, or the settlement at the session's end.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sale {
    /// Start of the bar at whose open it filled, or the session's close for a settlement, UTC nanoseconds.
    pub ts_ns: i64,
    /// Contracts sold.
    pub contracts: u32,
    /// Price received, in dollars per share, after slippage and impact, before fees.
    pub price: f64,
    /// Fees of this sale, in cents.
    pub fees_cents: i64,
    /// The reason of the sale.
    pub reason: ExitReason,
}

/// Origin of the prices at which a position was opened and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceOrigin {
    /// Prices of the pricing model or of the surface that follows real prints; no quote stood behind all of them.
    #[default]
    Modelled,
    /// The contract's own real quotes, at the entry and at every sale.
    Real,
}

impl PriceOrigin {
    /// Both origins.
    pub const ALL: [Self; 2] = [Self::Modelled, Self::Real];

    /// Returns the name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Modelled => "modelled",
            Self::Real => "real",
        }
    }
}

/// One position from its entry to its last contract. Its cash flows can be derived from this record alone.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Trade {
    /// The lane that traded.
    pub lane: u32,
    /// The symbol of the underlying.
    pub symbol: String,
    /// The session's date in New York.
    pub date: Date,
    /// [`Action::BuyCall`] or [`Action::BuyPut`].
    pub side: Action,
    /// The contract's strike, in dollars.
    pub strike: f64,
    /// The contract's expiry.
    pub expiry: Date,
    /// Start of the bar at whose open the entry filled, UTC nanoseconds.
    pub entry_ts_ns: i64,
    /// Start of the bar at whose open the last contract was sold, or the session's close for a settlement, UTC nanoseconds.
    pub exit_ts_ns: i64,
    /// Contracts bought.
    pub contracts: u32,
    /// Premium paid, in dollars per share.
    pub entry_price: f64,
    /// Fees of the entry, in cents.
    pub entry_fees_cents: i64,
    /// Every sale, in order; their contracts add up to those bought.
    pub sales: Vec<Sale>,
    /// Contract-weighted mean of the sales' prices, in dollars per share.
    pub exit_price: f64,
    /// Fees of both sides, in cents.
    pub fees_cents: i64,
    /// Proceeds less cost less fees, in cents.
    pub net_pnl_cents: i64,
    /// `net_pnl_cents` as a fraction of premium and fees paid at the entry.
    pub net_return: f64,
    /// The reason of the last sale.
    pub reason: ExitReason,
    /// Setup class at the decision of the entry.
    pub setup: crate::Setup,
    /// Origin of its prices.
    #[serde(default)]
    pub prices: PriceOrigin,
}

impl Trade {
    /// Returns the minutes from the entry's fill to the last exit's.
    pub fn minutes_held(&self) -> i64 {
        (self.exit_ts_ns - self.entry_ts_ns) / 60_000_000_000
    }
}
