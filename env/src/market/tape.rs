//! The option tape of one session: quotes of calls and puts on a strike grid, at the open and at the close of every bar.
//!
//! The environment never prices options: it replays these columns, whatever their origin.

use std::ops::AddAssign;

use serde::Serialize;

use crate::option::quote::QuotePair;

/// Greeks in the observation, all bounded: delta; delta's change per 0.1 % of spot; premium lost per minute, as a
/// fraction; premium gained per volatility point, as a fraction.
pub(crate) type GreekRow = [f32; 4];

/// Contracts on display at the bid and at the ask, or [`UNKNOWN_SIZE`].
pub(crate) type SizeRow = [u16; 2];

/// Marks an unknown size; the contract's usual size then applies.
pub(crate) const UNKNOWN_SIZE: u16 = u16::MAX;

/// Origin of the open quotes of real-option tapes, in contract-minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct QuoteOrigin {
    /// The contract's own standing quote, both sides.
    pub quoted: u64,
    /// The surface that follows prints and quotes of other strikes and minutes.
    pub surface: u64,
    /// The contract's own quote with one side; the missing side fills nothing.
    pub one_sided: u64,
    /// No fill: the bid lies above the ask.
    pub crossed: u64,
    /// No fill: the contract's own quote is stale.
    pub stale_quote: u64,
    /// No fill: the last print of any contract is stale.
    pub stale_surface: u64,
}

/// Rows of real options that no tape uses, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct UnusedRows {
    /// Trades that do not move the surface, and quotes at strikes off the tape: too far from the money, or too cheap.
    pub far: u64,
    /// Rows of expiries that are not traded.
    pub other_expiries: u64,
    /// Rows of contracts that settle at the open of their expiry.
    pub settle_at_open: u64,
}

impl AddAssign for UnusedRows {
    fn add_assign(&mut self, other: Self) {
        self.far += other.far;
        self.other_expiries += other.other_expiries;
        self.settle_at_open += other.settle_at_open;
    }
}

impl QuoteOrigin {
    /// Returns the contract-minutes of the tape.
    pub fn total(&self) -> u64 {
        self.quoted + self.surface + self.one_sided + self.crossed + self.stale_quote + self.stale_surface
    }
}

impl AddAssign for QuoteOrigin {
    fn add_assign(&mut self, other: Self) {
        self.quoted += other.quoted;
        self.surface += other.surface;
        self.one_sided += other.one_sided;
        self.crossed += other.crossed;
        self.stale_quote += other.stale_quote;
        self.stale_surface += other.stale_surface;
    }
}

/// The option tape of one session, contract-major: cell `contract · bars + bar`, contract `2 · strike + (0 call | 1 put)`.
#[derive(Debug)]
pub(crate) struct OptionTape {
    /// Index of the lowest strike, in strike steps.
    pub(crate) lowest: u32,
    /// Number of strikes.
    pub(crate) strikes: u32,
    pub(crate) quotes: Vec<QuotePair>,
    /// Empty when greeks are off.
    pub(crate) greeks: Vec<GreekRow>,
    /// Displayed bid and ask sizes at the open; empty on a modelled tape.
    pub(crate) sizes: Vec<SizeRow>,
    /// The call and the put that an order at the close of each bar buys.
    pub(crate) chosen: Vec<[u32; 2]>,
    /// Cells whose open quote is the contract's own; empty on a tape without quotes.
    pub(crate) own: Vec<bool>,
    /// Origin of the open quotes; all zero on a modelled tape.
    pub(crate) origin: QuoteOrigin,
    /// Rows of the session's expiry that the tape does not use.
    pub(crate) far_rows: u64,
    /// Columns of the option files, `[bars, C]`; empty without them.
    pub(crate) columns: Vec<f32>,
}

impl OptionTape {
    /// Returns the chosen contracts with an ask at the open of bar `t`, chosen at the close before: call in bit 0, put in bit 1.
    pub(crate) fn quoted(&self, t: usize) -> u8 {
        let bars = self.chosen.len();
        if t >= bars {
            return 0;
        }
        let offered = |contract: u32| u8::from(self.quotes[contract as usize * bars + t].open.ask.is_some());
        let [call, put] = self.chosen[t - 1];
        offered(call) | offered(put) << 1
    }
}
