//! Bars as checked columns.

use crate::{DataError, Symbol};

/// Largest rounding error of a price in dollars, half a hundredth of a cent.
const NOISE_USD: f64 = 5e-5;
/// Largest rounding error of a 32-bit price as a fraction of it.
const NOISE: f64 = 6e-8;

/// Unchecked columns of a bar series, all of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BarColumns {
    /// Start of the bar, nanoseconds since 1970-01-01 UTC.
    pub ts_ns: Vec<i64>,
    /// First price.
    pub open: Vec<f64>,
    /// Highest price.
    pub high: Vec<f64>,
    /// Lowest price.
    pub low: Vec<f64>,
    /// Last price, known at the end of the bar.
    pub close: Vec<f64>,
    /// Shares traded; 0 for an index.
    pub volume: Vec<f64>,
}

/// Checked bars of one symbol: ascending UTC starts, positive finite prices, `low <= open, close <= high`, volume >= 0.
///
/// ```
/// use market_data::{BarColumns, Bars, Symbol};
///
/// let columns = BarColumns {
///     ts_ns: vec![1_733_495_400_000_000_000, 1_733_495_460_000_000_000], // 2024-12-06, 09:30 and 09:31 in New York
///     open: vec![607.50, 607.62],
///     high: vec![607.70, 607.75],
///     low: vec![607.41, 607.55],
///     close: vec![607.62, 607.60],
///     volume: vec![120_000.0, 80_000.0],
/// };
/// let bars = Bars::new(Symbol::new("SPY")?, "two minutes", columns.clone())?;
/// assert_eq!((bars.len(), bars.close()[1]), (2, 607.60));
///
/// let repeated = BarColumns { ts_ns: vec![columns.ts_ns[0]; 2], ..columns };
/// let error = Bars::new(Symbol::new("SPY")?, "two minutes", repeated).unwrap_err();
/// assert!(error.to_string().contains("row 2"), "{error}");
/// # Ok::<(), market_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    symbol: Symbol,
    origin: String,
    columns: BarColumns,
}

impl Bars {
    /// Checks `columns` and returns them as bars. `origin` is the file or generator that errors name. A high or low that misses
    /// open or close by a rounding error is widened to it.
    ///
    /// # Errors
    /// [`DataError::ColumnLength`], [`DataError::Order`] or [`DataError::Value`], naming the first bad row (from 1) and
    /// its column.
    pub fn new(symbol: Symbol, origin: &str, mut columns: BarColumns) -> Result<Self, DataError> {
        check_lengths(origin, &columns)?;
        check_order(origin, &columns.ts_ns)?;
        for row in 0..columns.ts_ns.len() {
            widen(&mut columns, row);
            check_row(&columns, row).map_err(|(column, value, rule)| DataError::Value {
                origin: origin.to_owned(),
                row: row + 1,
                column,
                value,
                rule,
            })?;
        }
        Ok(Self { symbol, origin: origin.to_owned(), columns })
    }

    /// Returns these bars and later ones of the same symbol as one series; `None` if they are not all later.
    #[must_use]
    pub fn followed_by(&self, later: &Self) -> Option<Self> {
        let (a, b) = (&self.columns, &later.columns);
        if self.symbol != later.symbol || b.ts_ns.first().is_some_and(|first| a.ts_ns.last() >= Some(first)) {
            return None;
        }
        let joined = |a: &[f64], b: &[f64]| [a, b].concat();
        let columns = BarColumns {
            ts_ns: [a.ts_ns.as_slice(), &b.ts_ns].concat(),
            open: joined(&a.open, &b.open),
            high: joined(&a.high, &b.high),
            low: joined(&a.low, &b.low),
            close: joined(&a.close, &b.close),
            volume: joined(&a.volume, &b.volume),
        };
        let origin = format!("{}, {}", self.origin, later.origin);
        Some(Self { symbol: self.symbol.clone(), origin, columns })
    }

    /// Returns the columns.
    #[must_use]
    pub fn into_columns(self) -> BarColumns {
        self.columns
    }

    /// Returns the symbol.
    #[must_use]
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// Returns the file or generator of the bars.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the number of bars.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.ts_ns.len()
    }

    /// Returns true if there are no bars.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.ts_ns.is_empty()
    }

    /// Returns the starts of the bars, UTC nanoseconds, strictly ascending.
    #[must_use]
    pub fn ts_ns(&self) -> &[i64] {
        &self.columns.ts_ns
    }

    /// Returns the first prices.
    #[must_use]
    pub fn open(&self) -> &[f64] {
        &self.columns.open
    }

    /// Returns the highest prices.
    #[must_use]
    pub fn high(&self) -> &[f64] {
        &self.columns.high
    }

    /// Returns the lowest prices.
    #[must_use]
    pub fn low(&self) -> &[f64] {
        &self.columns.low
    }

    /// Returns the last prices.
    #[must_use]
    pub fn close(&self) -> &[f64] {
        &self.columns.close
    }

    /// Returns the volumes in shares.
    #[must_use]
    pub fn volume(&self) -> &[f64] {
        &self.columns.volume
    }
}

/// Formats a bar time for an error message.
pub(crate) fn rfc3339(ts_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ts_ns)).map_or_else(|_| ts_ns.to_string(), |time| time.to_string())
}

fn check_lengths(origin: &str, columns: &BarColumns) -> Result<(), DataError> {
    let BarColumns { ts_ns, open, high, low, close, volume } = columns;
    let expected = ts_ns.len();
    for (column, values) in [("open", open), ("high", high), ("low", low), ("close", close), ("volume", volume)] {
        if values.len() != expected {
            return Err(DataError::ColumnLength { origin: origin.to_owned(), column, len: values.len(), expected });
        }
    }
    Ok(())
}

/// Refuses times that do not ascend.
pub(crate) fn check_order(origin: &str, ts_ns: &[i64]) -> Result<(), DataError> {
    let Some(at) = ts_ns.windows(2).position(|pair| pair[1] <= pair[0]) else { return Ok(()) };
    let relation = if ts_ns[at + 1] == ts_ns[at] { "repeats" } else { "is earlier than" };
    Err(DataError::Order {
        origin: origin.to_owned(),
        row: at + 2,
        column: "timestamp",
        time: rfc3339(ts_ns[at + 1]),
        relation,
    })
}

/// Moves high and low to open and close where they miss these by less than a rounding error.
fn widen(columns: &mut BarColumns, row: usize) {
    let (open, close) = (columns.open[row], columns.close[row]);
    let (top, bottom) = (open.max(close), open.min(close));
    let (high, low) = (columns.high[row], columns.low[row]);
    let noise = NOISE_USD.max(NOISE * top);
    if !noise.is_finite() {
        return;
    }
    if high < top && top - high <= noise {
        columns.high[row] = top;
    }
    if low > bottom && low - bottom <= noise {
        columns.low[row] = bottom;
    }
}

/// Checks the prices and the volume of a row; the error holds column, value and fault.
fn check_row(columns: &BarColumns, row: usize) -> Result<(), (&'static str, f64, String)> {
    let (open, high, low, close) = (columns.open[row], columns.high[row], columns.low[row], columns.close[row]);
    for (column, price) in [("open", open), ("high", high), ("low", low), ("close", close)] {
        if !(price.is_finite() && price > 0.0) {
            return Err((column, price, "is not a positive price".to_owned()));
        }
    }
    let volume = columns.volume[row];
    if !(volume.is_finite() && volume >= 0.0) {
        return Err(("volume", volume, "is not a volume of zero or more".to_owned()));
    }
    for (name, price) in [("open", open), ("close", close)] {
        if high < price {
            return Err(("high", high, format!("is below {name} {price}")));
        }
        if low > price {
            return Err(("low", low, format!("is above {name} {price}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> BarColumns {
        BarColumns {
            ts_ns: vec![0, 60_000_000_000, 120_000_000_000],
            open: vec![10.0, 10.5, 10.2],
            high: vec![10.6, 10.5, 10.4],
            low: vec![9.9, 10.0, 10.2],
            close: vec![10.5, 10.2, 10.4],
            volume: vec![100.0, 0.0, 3.5],
        }
    }

    fn message(change: impl FnOnce(&mut BarColumns)) -> String {
        let mut invalid = columns();
        change(&mut invalid);
        Bars::new(Symbol::new("SPY").unwrap(), "SPY_1m.csv", invalid).unwrap_err().to_string()
    }

    #[test]
    fn valid_bars_pass_unchanged() {
        let bars = Bars::new(Symbol::new("SPY").unwrap(), "test", columns()).unwrap();
        assert_eq!((bars.len(), bars.close(), bars.volume()), (3, &[10.5, 10.2, 10.4][..], &[100.0, 0.0, 3.5][..]));
    }

    #[test]
    fn rounding_errors_widen_a_bar_and_no_more() {
        let with = |high: f64, low: f64| {
            let mut noisy = columns();
            (noisy.high[0], noisy.low[1]) = (high, low);
            Bars::new(Symbol::new("SPY").unwrap(), "test", noisy).map(|bars| (bars.high()[0], bars.low()[1]))
        };
        assert_eq!(
            with(10.5 - 1e-12, 10.2 + 4e-5).unwrap(),
            (10.5, 10.2),
            "open 10, close 10.5; open 10.5, close 10.2"
        );
        assert!(with(10.5 - 6e-5, 10.0).is_err() && with(10.6, 10.2 + 6e-5).is_err());
        let index = |close: f64| {
            let price = vec![close];
            let high = vec![f64::from(close as f32)];
            let (open, low, volume) = (price.clone(), price.clone(), vec![0.0]);
            let columns = BarColumns { ts_ns: vec![0], open, high, low, close: price, volume };
            Bars::new(Symbol::new("SPX").unwrap(), "test", columns)
        };
        assert_eq!(index(5_900.000_2).unwrap().high(), [5_900.000_2], "a 32-bit high below its close");
    }

    #[test]
    fn bars_are_joined_in_the_order_of_their_times() {
        let bars = |change: fn(&mut BarColumns)| {
            let mut columns = columns();
            change(&mut columns);
            Bars::new(Symbol::new("SPY").unwrap(), "file", columns).unwrap()
        };
        let first = bars(|_| ());
        let later = bars(|c| c.ts_ns.iter_mut().for_each(|ts| *ts += 180_000_000_000));
        let joined = first.followed_by(&later).unwrap();
        assert_eq!((joined.len(), joined.ts_ns()[3], joined.close()[5]), (6, 180_000_000_000, 10.4));
        assert_eq!(later.followed_by(&first), None);
        assert_eq!(first.followed_by(&first), None, "the same times");
    }

    #[test]
    fn each_fault_names_origin_row_and_column() {
        let cases = [
            (message(|c| c.open[1] = f64::NAN), "SPY_1m.csv: row 2, column open: NaN is not a positive price"),
            (message(|c| c.low[0] = -1.0), "SPY_1m.csv: row 1, column low: -1 is not a positive price"),
            (message(|c| c.high[2] = 10.3), "SPY_1m.csv: row 3, column high: 10.3 is below close 10.4"),
            (message(|c| c.low[2] = 10.3), "SPY_1m.csv: row 3, column low: 10.3 is above open 10.2"),
            (message(|c| c.volume[1] = -2.0), "row 2, column volume: -2 is not a volume of zero or more"),
            (message(|c| c.close[2] = f64::INFINITY), "row 3, column close: inf is not a positive price"),
            (message(|c| c.ts_ns[2] = c.ts_ns[1]), "row 3, column timestamp: 1970-01-01T00:01:00Z repeats row 2"),
            (
                message(|c| c.ts_ns[1] = -1),
                "row 2, column timestamp: 1969-12-31T23:59:59.999999999Z is earlier than row 1",
            ),
            (message(|c| c.high.truncate(2)), "column high has 2 rows, but timestamp has 3"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }
}
