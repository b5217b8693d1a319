//! Faults of option prices against the bars of their underlying, with the likely cause.

use jiff::civil::Date;
use serde::Serialize;

use crate::{DateRange, Symbol};

/// Kind of the prices of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceKind {
    /// Middles of two-sided quotes.
    Quotes,
    /// Last trades of a minute.
    Trades,
}

impl PriceKind {
    /// Returns the kind's name, in the plural.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quotes => "quotes",
            Self::Trades => "trades",
        }
    }
}

/// Likely cause of a deviation from parity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// Prices fit the bar so many minutes later, below zero earlier.
    Minutes(i32),
    /// Prices fit the bar so many hours later, below zero earlier.
    Hours(i32),
    /// Prices fit bars that are multiplied by this number.
    Ratio(f64),
    /// Neither.
    Unknown,
}

/// Option prices that do not belong to the bars of their underlying.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionFault {
    /// Prices that deviate from put-call parity.
    #[error(
        "{file}: the {} of {symbol} options do not belong to these bars: put-call parity misses by {off_bp:.1} basis points of \
         spot on {date}, as on {count} of {judged} sessions; {}",
        kind.as_str(),
        cure(*cause, *fits_bp)
    )]
    Parity {
        /// The first option file.
        file: String,
        /// The underlying.
        symbol: Symbol,
        /// Kind of the prices.
        kind: PriceKind,
        /// First session that deviates for this cause.
        date: Date,
        /// Its median deviation, in basis points of spot.
        off_bp: f64,
        /// Its median deviation without the cause.
        fits_bp: f64,
        /// The likely cause.
        cause: Cause,
        /// Sessions that deviate for it.
        count: usize,
        /// Sessions with enough pairs of a call and a put.
        judged: usize,
    },
    /// Files without a price at a strike near the money.
    #[error(
        "{file}: no price of a {symbol} option near the money from {} to {}: on {date} {symbol} traded from {low} to {high}, and \
         the nearest strikes with a price are {}{}",
        dates.first,
        dates.last,
        listed(strikes),
        unit(strikes, *low, *high)
    )]
    FarFromTheMoney {
        /// The first option file.
        file: String,
        /// The underlying.
        symbol: Symbol,
        /// First and last session with rows of the traded expiry.
        dates: DateRange,
        /// A session.
        date: Date,
        /// The underlying's lowest price of that session, in dollars.
        low: f64,
        /// Its highest price.
        high: f64,
        /// Strikes of that session with a price, nearest first.
        strikes: Vec<f64>,
    },
    /// Files whose rows hold no price at all.
    #[error("{file}: none of the {rows} rows of {symbol} options in the dates holds a price; nothing can be replayed")]
    NoPrice {
        /// The first option file.
        file: String,
        /// The underlying.
        symbol: Symbol,
        /// Rows without a price.
        rows: usize,
    },
}

fn cure(cause: Cause, fits_bp: f64) -> String {
    let hours = |hours: i32| format!("{} hour{}", hours.abs(), if hours.abs() == 1 { "" } else { "s" });
    let side = |shift: i32| if shift < 0 { "earlier" } else { "later" };
    match cause {
        Cause::Minutes(-1) => format!(
            "against the bar one minute earlier it is {fits_bp:.1}: the rows name the instant of the price, not the start of its \
             minute. Read them with --options-stamp instant (data.options_stamp)"
        ),
        Cause::Minutes(shift) => format!(
            "against the bar {} later it is {fits_bp:.1}: the bars are named by their end (data.bar_stamp = \"end\"), or the \
             option rows by the start of their minute (--options-stamp start)",
            if shift == 1 { "one minute".to_owned() } else { format!("{shift} minutes") }
        ),
        Cause::Hours(shift) => format!(
            "against the bar {} {} it is {fits_bp:.1}: bars and options are on different clocks. Write both times in UTC or with an \
             offset, or name the zone of the bars (data.timestamp_zone)",
            hours(shift),
            side(shift)
        ),
        Cause::Ratio(ratio) => format!(
            "with the bars multiplied by {ratio:.4} it is {fits_bp:.1}: the bars are adjusted for dividends or splits. Strikes need \
             prices as they were traded"
        ),
        Cause::Unknown => {
            "no shift in time and no constant ratio explains it. Compare both files with another source".to_owned()
        }
    }
}

fn listed(strikes: &[f64]) -> String {
    strikes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the likely unit of strikes that are far from the prices.
fn unit(strikes: &[f64], low: f64, high: f64) -> &'static str {
    let ratio = strikes.first().map_or(1.0, |strike| strike / f64::midpoint(low, high));
    match ratio {
        ratio if (500.0..2_000.0).contains(&ratio) => {
            ". The strikes are in thousandths of a dollar: divide the column strike by 1000"
        }
        ratio if (50.0..200.0).contains(&ratio) => ". The strikes are in cents: divide the column strike by 100",
        ratio if !(0.7..1.45).contains(&ratio) => ". Bars and strikes may lie on two sides of a split",
        _ => "",
    }
}
