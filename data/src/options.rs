//! Trades and quotes of real options, one row per contract and minute.

use std::fmt;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileRecord, Symbol, calendar::Session};

/// Moment of its minute by which a row of an option file is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptionStamp {
    /// The start of the minute at whose end the price stood; an instant in the minute means the same.
    #[default]
    Start,
    /// The instant at which the price stood, so that 09:31:00 names the minute from 09:30.
    Instant,
}

impl OptionStamp {
    /// Moves the times of rows into the minute that they name, UTC nanoseconds.
    pub fn to_minutes(self, ts_ns: &mut [i64]) {
        if self == Self::Instant {
            ts_ns.iter_mut().for_each(|ts| *ts -= 1);
        }
    }
}

/// Time of day at which a contract settles on its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settles {
    /// At the close: it trades on its expiry.
    AtClose,
    /// At the open: the day before is its last trading day, and on its expiry it cannot be traded.
    AtOpen,
}

/// Type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Pays `max(S - K, 0)`.
    Call,
    /// Pays `max(K - S, 0)`.
    Put,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Call => "call",
            Self::Put => "put",
        })
    }
}

/// One traded minute of one contract. Prices are dollars per share, known at the end of the minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TradeMinute {
    /// Minute of the session, 0 = 09:30.
    pub slot: u16,
    /// Strike, in dollars.
    pub strike: f64,
    /// Call or put.
    pub right: Right,
    /// First print.
    pub open: f64,
    /// Highest print.
    pub high: f64,
    /// Lowest print.
    pub low: f64,
    /// Last print.
    pub close: f64,
    /// Mean print weighted by volume; `close` where the file has none.
    pub vwap: f64,
    /// Contracts traded; 0 where the file has no volume.
    pub volume: f64,
    /// The underlying's price as the file itself gives it, in dollars.
    pub spot: Option<f64>,
}

/// The quote that stood at the end of one minute of one contract, in dollars per share; a missing side is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuoteMinute {
    /// Minute of the session, 0 = 09:30.
    pub slot: u16,
    /// Strike, in dollars.
    pub strike: f64,
    /// Call or put.
    pub right: Right,
    /// Best bid; some feeds write 0 for no bid.
    pub bid: Option<f64>,
    /// Best offer, above zero.
    pub ask: Option<f64>,
    /// Contracts bid for.
    pub bid_size: Option<u32>,
    /// Contracts offered.
    pub ask_size: Option<u32>,
}

impl QuoteMinute {
    /// Returns true if both sides are present and the bid lies above the ask.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        self.bid.zip(self.ask).is_some_and(|(bid, ask)| bid > ask)
    }

    /// Returns bid and ask if both are present, the bid is above zero, and they do not cross.
    #[must_use]
    pub fn sides(&self) -> Option<(f64, f64)> {
        self.bid.zip(self.ask).filter(|(bid, ask)| *bid > 0.0 && bid <= ask)
    }
}

/// Trades and quotes of one session in one expiry and settlement. Rows ascend by slot, then strike, then right (call first), and no
/// contract has two rows of a kind in one minute.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionSession {
    /// The trading session.
    pub session: Session,
    /// The day on which the contracts expire.
    pub expiry: Date,
    /// Time of their settlement on that day.
    pub settles: Settles,
    /// The minutes with trades.
    pub trades: Vec<TradeMinute>,
    /// The minutes with quotes.
    pub quotes: Vec<QuoteMinute>,
}

impl OptionSession {
    /// Returns the trades of one minute.
    #[must_use]
    pub fn trades_at(&self, slot: u16) -> &[TradeMinute] {
        of_slot(&self.trades, slot, |row| row.slot)
    }

    /// Returns the quotes of one minute.
    #[must_use]
    pub fn quotes_at(&self, slot: u16) -> &[QuoteMinute] {
        of_slot(&self.quotes, slot, |row| row.slot)
    }
}

fn of_slot<T>(rows: &[T], slot: u16, of: impl Fn(&T) -> u16) -> &[T] {
    let first = rows.partition_point(|row| of(row) < slot);
    let count = rows[first..].partition_point(|row| of(row) == slot);
    &rows[first..first + count]
}

/// The traded and quoted minutes of one underlying's options.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionHistory {
    /// The underlying.
    pub symbol: Symbol,
    /// By date, then by expiry, then by settlement.
    pub sessions: Vec<OptionSession>,
    /// The option files with rows in use.
    pub files: Vec<FileRecord>,
    /// Rows of the underlying on the dates that are in no session.
    pub left_out: LeftOut,
}

/// Rows of option files that are left out, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LeftOut {
    /// Outside trading hours, such as minutes after the close.
    pub outside_hours: usize,
    /// Minutes without a trade: prices empty or 0, or a volume of 0.
    pub no_print: usize,
}

impl OptionHistory {
    /// Returns the session of `date` in the contracts that expire at the close of `expiry`.
    #[must_use]
    pub fn session(&self, date: Date, expiry: Date) -> Option<&OptionSession> {
        let key = |day: &OptionSession| (day.session.date, day.expiry, day.settles);
        let found = self.sessions.binary_search_by_key(&(date, expiry, Settles::AtClose), key);
        found.ok().map(|at| &self.sessions[at])
    }

    /// Returns the sessions of `date` in all expiries.
    #[must_use]
    pub fn on(&self, date: Date) -> &[OptionSession] {
        let first = self.sessions.partition_point(|day| day.session.date < date);
        let count = self.sessions[first..].partition_point(|day| day.session.date == date);
        &self.sessions[first..first + count]
    }

    /// Returns the number of traded minutes.
    #[must_use]
    pub fn trades(&self) -> usize {
        self.sessions.iter().map(|day| day.trades.len()).sum()
    }

    /// Returns the number of quoted minutes.
    #[must_use]
    pub fn quotes(&self) -> usize {
        self.sessions.iter().map(|day| day.quotes.len()).sum()
    }
}

impl fmt::Display for OptionHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (symbol, count, outside) = (&self.symbol, self.sessions.len(), self.left_out.outside_hours);
        write!(f, "{symbol} options: {} traded and {} quoted minutes", self.trades(), self.quotes())?;
        write!(f, " in {count} pairs of session and expiry.")?;
        if outside > 0 {
            write!(f, " {outside} rows outside trading hours left out.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar;

    fn trade(slot: u16) -> TradeMinute {
        let price = f64::from(slot);
        TradeMinute {
            slot,
            strike: 600.0,
            right: Right::Call,
            open: price,
            high: price,
            low: price,
            close: price,
            vwap: price,
            volume: 1.0,
            spot: None,
        }
    }

    #[test]
    fn minutes_and_sessions_are_found_by_their_keys() {
        let days: [Date; 2] = ["2025-06-02".parse().unwrap(), "2025-06-03".parse().unwrap()];
        let on = |date, expiry| OptionSession {
            session: calendar::session(date).unwrap(),
            expiry,
            settles: Settles::AtClose,
            trades: [0, 7, 7, 7, 9].map(trade).to_vec(),
            quotes: Vec::new(),
        };
        let history = OptionHistory {
            symbol: Symbol::new("SPY").unwrap(),
            sessions: vec![on(days[0], days[0]), on(days[0], days[1]), on(days[1], days[1])],
            files: Vec::new(),
            left_out: LeftOut { outside_hours: 3, no_print: 0 },
        };
        assert_eq!((history.on(days[0]).len(), history.on(days[1]).len()), (2, 1));
        assert_eq!(history.session(days[0], days[1]), Some(&history.sessions[1]));
        assert_eq!(history.session(days[1], days[0]), None);
        let counts = [0, 1, 7, 9, 389].map(|slot| history.sessions[0].trades_at(slot).len());
        assert_eq!(counts, [1, 0, 3, 1, 0]);
        assert!(history.sessions[0].quotes_at(7).is_empty());
        assert_eq!(
            history.to_string(),
            "SPY options: 15 traded and 0 quoted minutes in 3 pairs of session and expiry. 3 rows outside trading hours \
             left out."
        );
    }

    #[test]
    fn only_two_uncrossed_sides_make_a_market() {
        let quote = |bid, ask| QuoteMinute {
            slot: 0,
            strike: 600.0,
            right: Right::Put,
            bid,
            ask,
            bid_size: None,
            ask_size: None,
        };
        assert_eq!(quote(Some(1.0), Some(1.0)).sides(), Some((1.0, 1.0)), "locked");
        assert!(quote(Some(1.1), Some(1.0)).is_crossed());
        for (bid, ask) in [(Some(1.1), Some(1.0)), (None, Some(1.0)), (Some(1.0), None), (Some(0.0), Some(0.1))] {
            assert_eq!(quote(bid, ask).sides(), None, "{bid:?} {ask:?}");
        }
    }
}
