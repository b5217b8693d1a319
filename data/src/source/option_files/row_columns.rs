//! Typed cells of option files: contracts, trades and quotes of a row.

use std::path::Path;

use jiff::civil::Date;

use super::columns::Columns;
use crate::{
    DataError, QuoteMinute, Right, TradeMinute,
    source::files::{EXPECTED_DATE, EXPECTED_NUMBER, cells::bad_cell},
};

const EXPECTED_RIGHT: &str = "C or P";
const EXPECTED_EXPIRY: &str = "the date of the row or a later one";

/// A column of numbers, with its file and name for errors.
struct NumberColumn<'a> {
    path: &'a Path,
    name: &'static str,
    values: Vec<Option<f64>>,
}

impl<'a> NumberColumn<'a> {
    fn read(columns: &'a Columns, name: &'static str) -> Result<Self, DataError> {
        Ok(Self { path: columns.path(), name, values: columns.numbers(name)? })
    }

    fn read_optional(columns: &'a Columns, name: &'static str) -> Result<Option<Self>, DataError> {
        columns.has(name).then(|| Self::read(columns, name)).transpose()
    }

    fn fault(&self, at: usize, value: f64, rule: impl Into<String>) -> DataError {
        let origin = self.path.display().to_string();
        DataError::Value { origin, row: at + 1, column: self.name, value, rule: rule.into() }
    }

    /// Returns true for an empty cell; some writers leave NaN in its place.
    fn is_empty(&self, at: usize) -> bool {
        self.values[at].is_none_or(f64::is_nan)
    }

    /// Returns a number of zero or more; an empty cell is `None`.
    fn optional(&self, at: usize) -> Result<Option<f64>, DataError> {
        if self.is_empty(at) { Ok(None) } else { self.number(at).map(Some) }
    }

    fn number(&self, at: usize) -> Result<f64, DataError> {
        match self.values[at] {
            None => Err(bad_cell(self.path, at + 1, self.name, "", EXPECTED_NUMBER)),
            Some(value) if value.is_finite() && value >= 0.0 => Ok(value),
            Some(value) => Err(self.fault(at, value, "is not a number of zero or more")),
        }
    }

    fn count(&self, at: usize) -> Result<Option<u32>, DataError> {
        let Some(value) = self.optional(at)? else { return Ok(None) };
        if value.fract() != 0.0 || value > f64::from(u32::MAX) {
            return Err(self.fault(at, value, "is not a whole number of contracts"));
        }
        Ok(Some(value as u32))
    }
}

/// Columns that identify the contract.
pub(super) struct ContractColumns<'a> {
    path: &'a Path,
    expiry: Vec<Option<Date>>,
    strike: NumberColumn<'a>,
    right: Vec<Result<Right, Box<str>>>,
}

impl<'a> ContractColumns<'a> {
    pub(super) fn read(columns: &'a Columns) -> Result<Self, DataError> {
        let expiry = columns.expiries()?;
        let strike = NumberColumn::read(columns, "strike")?;
        let mut right = Vec::with_capacity(expiry.len());
        columns.texts("right", |_, text| {
            right.push(match text {
                "C" | "c" | "call" | "Call" | "CALL" => Ok(Right::Call),
                "P" | "p" | "put" | "Put" | "PUT" => Ok(Right::Put),
                other => Err(other.into()),
            });
        })?;
        Ok(Self { path: columns.path(), expiry, strike, right })
    }

    /// Returns expiry, strike and right of a row on `date`.
    pub(super) fn row(&self, at: usize, date: Date) -> Result<(Date, f64, Right), DataError> {
        let cell = |column, text: &str, expected| bad_cell(self.path, at + 1, column, text, expected);
        let expiry = self.expiry[at].ok_or_else(|| cell("expiry", "", EXPECTED_DATE))?;
        if expiry < date {
            return Err(cell("expiry", &expiry.to_string(), EXPECTED_EXPIRY));
        }
        let strike = self.strike.number(at)?;
        if strike == 0.0 {
            return Err(self.strike.fault(at, strike, "is not a strike"));
        }
        let right = self.right[at].as_ref().map_err(|text| cell("right", text, EXPECTED_RIGHT))?;
        Ok((expiry, strike, *right))
    }
}

/// Columns of trades; a mid replaces all four prices.
pub(super) struct TradeColumns<'a> {
    /// Open, high, low, close; or the mid alone.
    prices: Vec<NumberColumn<'a>>,
    volume: Option<NumberColumn<'a>>,
    vwap: Option<NumberColumn<'a>>,
    spot: Option<NumberColumn<'a>>,
}

impl<'a> TradeColumns<'a> {
    pub(super) fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
        let names: &[&'static str] = match (columns.has("close"), columns.has("mid")) {
            (true, _) => &["open", "high", "low", "close"],
            (_, true) => &["mid"],
            _ => return Ok(None),
        };
        Ok(Some(Self {
            prices: names.iter().map(|name| NumberColumn::read(columns, name)).collect::<Result<_, _>>()?,
            volume: NumberColumn::read_optional(columns, "volume")?,
            vwap: NumberColumn::read_optional(columns, "vwap")?,
            spot: NumberColumn::read_optional(columns, "underlying_price")?,
        }))
    }

    /// Returns the trades of a row; `None` for a row that says that nothing traded: prices empty or zero, or a volume of
    /// zero.
    pub(super) fn row(
        &self,
        at: usize,
        slot: u16,
        strike: f64,
        right: Right,
    ) -> Result<Option<TradeMinute>, DataError> {
        if self.prices.iter().all(|price| price.is_empty(at)) {
            return Ok(None);
        }
        let [open, high, low, close] = match &self.prices[..] {
            [open, high, low, close] => [open.number(at)?, high.number(at)?, low.number(at)?, close.number(at)?],
            mid => [mid[0].number(at)?; 4],
        };
        for (name, price) in [("open", open), ("close", close)] {
            if high < price {
                return Err(self.prices[1].fault(at, high, format!("is below {name} {price}")));
            }
            if low > price {
                return Err(self.prices[2].fault(at, low, format!("is above {name} {price}")));
            }
        }
        // Vendors leave cells of illiquid minutes empty.
        let number = |column: &Option<NumberColumn<'_>>| column.as_ref().map_or(Ok(None), |column| column.optional(at));
        let vwap = number(&self.vwap)?.unwrap_or(close);
        let volume = number(&self.volume)?;
        let spot = number(&self.spot)?;
        let traded = volume != Some(0.0) && [open, high, low, close, vwap].iter().all(|price| *price > 0.0);
        let volume = volume.unwrap_or(0.0);
        Ok(traded.then_some(TradeMinute { slot, strike, right, open, high, low, close, vwap, volume, spot }))
    }
}

/// Columns of quotes.
pub(super) struct QuoteColumns<'a> {
    bid: NumberColumn<'a>,
    ask: NumberColumn<'a>,
    bid_size: Option<NumberColumn<'a>>,
    ask_size: Option<NumberColumn<'a>>,
}

impl<'a> QuoteColumns<'a> {
    pub(super) fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
        if !columns.has("bid") {
            return Ok(None);
        }
        Ok(Some(Self {
            bid: NumberColumn::read(columns, "bid")?,
            ask: NumberColumn::read(columns, "ask")?,
            bid_size: NumberColumn::read_optional(columns, "bid_size")?,
            ask_size: NumberColumn::read_optional(columns, "ask_size")?,
        }))
    }

    pub(super) fn row(&self, at: usize, slot: u16, strike: f64, right: Right) -> Result<QuoteMinute, DataError> {
        let size = |column: &Option<NumberColumn<'_>>| column.as_ref().map_or(Ok(None), |column| column.count(at));
        Ok(QuoteMinute {
            slot,
            strike,
            right,
            bid: self.bid.optional(at)?,
            ask: self.ask.optional(at)?.filter(|ask| *ask > 0.0),
            bid_size: size(&self.bid_size)?,
            ask_size: size(&self.ask_size)?,
        })
    }
}
