//! Checked rows from the cells of option files, one page per session and expiry.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use jiff::{ToSpan, civil::Date};

use super::columns::Columns;
use crate::{
    DataError, DateRange, FileRecord, OptionHistory, OptionSession, QuoteMinute, Right, Symbol, TradeMinute,
    bars::rfc3339,
    calendar::{self, MINUTE_NS, Session},
    source::files::{EXPECTED_DATE, EXPECTED_NUMBER, cells::bad_cell},
};

/// Roots of options besides the symbol of the underlying.
const OTHER_ROOTS: [(&str, &str); 1] = [("SPXW", "SPX")];
const EXPECTED_RIGHT: &str = "C or P";
const EXPECTED_EXPIRY: &str = "the date of the row or a later one";

/// Rows read so far.
pub(super) struct OptionRows<'a> {
    symbol: &'a Symbol,
    /// Instants of the requested dates, UTC nanoseconds.
    span: Range<i64>,
    pages: BTreeMap<(Date, Date), Page>,
    files: Vec<String>,
    outside: usize,
}

/// One session and expiry.
struct Page {
    session: Session,
    trades: Vec<FileRow<TradeMinute>>,
    quotes: Vec<FileRow<QuoteMinute>>,
}

/// A row with its file and row number, which errors name.
struct FileRow<T> {
    file: usize,
    row: usize,
    item: T,
}

impl<'a> OptionRows<'a> {
    pub(super) fn new(symbol: &'a Symbol, dates: &DateRange) -> Self {
        let span = calendar::span_ns(*dates);
        Self { symbol, span, pages: BTreeMap::new(), files: Vec::new(), outside: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Adds the rows of one file and returns its record; `None` if no row matches. The names of all underlyings in the file
    /// are added to `available`.
    pub(super) fn read(
        &mut self,
        columns: &Columns,
        available: &mut BTreeSet<String>,
    ) -> Result<Option<FileRecord>, DataError> {
        let (times, note) = columns.times()?;
        let mut ours = vec![false; times.len()];
        let mut last = String::new();
        columns.texts("underlying", |row, name| {
            if name != last {
                available.insert(name.to_owned());
                last = name.to_owned();
            }
            ours[row] = self.is_ours(name) && self.span.contains(&times[row]);
        })?;
        let kept = ours.iter().filter(|ours| **ours).count();
        if kept == 0 {
            return Ok(None);
        }
        self.files.push(columns.path().display().to_string());
        self.add(columns, &times, &ours)?;
        let note = format!("{kept} rows of {} in the dates; timestamps: {note}", self.symbol);
        Ok(Some(FileRecord::new(columns.path(), times.len(), note)))
    }

    fn is_ours(&self, underlying: &str) -> bool {
        let symbol = self.symbol.as_str();
        underlying == symbol || OTHER_ROOTS.contains(&(underlying, symbol))
    }

    fn add(&mut self, columns: &Columns, times: &[i64], ours: &[bool]) -> Result<(), DataError> {
        let file = self.files.len() - 1;
        let contracts = ContractColumns::read(columns)?;
        let trades = TradeColumns::read(columns)?;
        let quotes = QuoteColumns::read(columns)?;
        let mut lookup = SessionLookup::default();
        for at in (0..times.len()).filter(|at| ours[*at]) {
            let Some(session) = lookup.session(times[at]) else {
                self.outside += 1;
                continue;
            };
            let slot = ((times[at] - session.open_ns) / MINUTE_NS) as u16;
            let (expiry, strike, right) = contracts.row(at, session.date)?;
            let page = self.pages.entry((session.date, expiry));
            let page = page.or_insert_with(|| Page { session, trades: Vec::new(), quotes: Vec::new() });
            if let Some(trades) = &trades {
                page.trades.push(FileRow { file, row: at + 1, item: trades.row(at, slot, strike, right)? });
            }
            if let Some(quotes) = &quotes {
                page.quotes.push(FileRow { file, row: at + 1, item: quotes.row(at, slot, strike, right)? });
            }
        }
        Ok(())
    }

    /// Returns the sorted rows.
    pub(super) fn history(self, files: Vec<FileRecord>) -> Result<OptionHistory, DataError> {
        let mut sessions = Vec::with_capacity(self.pages.len());
        for ((_, expiry), page) in self.pages {
            let Page { session, trades, quotes } = page;
            let trades = sorted(trades, |row| (row.slot, row.strike, row.right), &self.files, &session, expiry)?;
            let quotes = sorted(quotes, |row| (row.slot, row.strike, row.right), &self.files, &session, expiry)?;
            sessions.push(OptionSession { session, expiry, trades, quotes });
        }
        Ok(OptionHistory { symbol: self.symbol.clone(), sessions, files, outside: self.outside })
    }
}

/// Sorts rows by minute and contract, and refuses duplicates.
fn sorted<T>(
    mut rows: Vec<FileRow<T>>,
    key: impl Fn(&T) -> (u16, f64, Right),
    files: &[String],
    session: &Session,
    expiry: Date,
) -> Result<Vec<T>, DataError> {
    let order = |a: &FileRow<T>, b: &FileRow<T>| {
        let ((slot, strike, right), other) = (key(&a.item), key(&b.item));
        slot.cmp(&other.0).then(strike.total_cmp(&other.1)).then(right.cmp(&other.2))
    };
    rows.sort_by(order);
    if let Some(pair) = rows.windows(2).find(|pair| order(&pair[0], &pair[1]).is_eq()) {
        let (slot, strike, right) = key(&pair[1].item);
        return Err(DataError::RepeatedContract {
            path: files[pair[1].file].clone(),
            row: pair[1].row,
            contract: format!("the {strike} {right} of {expiry}"),
            time: rfc3339(session.open_ns + i64::from(slot) * MINUTE_NS),
        });
    }
    Ok(rows.into_iter().map(|row| row.item).collect())
}

/// Session of an instant, cached for the following rows of the same day.
#[derive(Default)]
struct SessionLookup {
    day: Range<i64>,
    session: Option<Session>,
}

impl SessionLookup {
    fn session(&mut self, ts_ns: i64) -> Option<Session> {
        if !self.day.contains(&ts_ns) {
            let date = calendar::exchange_date(ts_ns);
            self.day = calendar::midnight_ns(date)..calendar::midnight_ns(date.saturating_add(1.day()));
            self.session = calendar::session(date);
        }
        self.session.filter(|session| (session.open_ns..session.close_ns).contains(&ts_ns))
    }
}

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

    /// Returns a number of zero or more; an empty cell is `None`.
    fn optional(&self, at: usize) -> Result<Option<f64>, DataError> {
        match self.values[at] {
            Some(value) if !(value.is_finite() && value >= 0.0) => {
                Err(self.fault(at, value, "is not a number of zero or more"))
            }
            value => Ok(value),
        }
    }

    fn number(&self, at: usize) -> Result<f64, DataError> {
        self.optional(at)?.ok_or_else(|| bad_cell(self.path, at + 1, self.name, "", EXPECTED_NUMBER))
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
struct ContractColumns<'a> {
    path: &'a Path,
    expiry: Vec<Option<Date>>,
    strike: NumberColumn<'a>,
    right: Vec<Result<Right, Box<str>>>,
}

impl<'a> ContractColumns<'a> {
    fn read(columns: &'a Columns) -> Result<Self, DataError> {
        let expiry = columns.dates("expiry")?;
        let strike = NumberColumn::read(columns, "strike")?;
        let mut right = Vec::with_capacity(expiry.len());
        columns.texts("right", |_, text| {
            right.push(match text {
                "C" => Ok(Right::Call),
                "P" => Ok(Right::Put),
                other => Err(other.into()),
            });
        })?;
        Ok(Self { path: columns.path(), expiry, strike, right })
    }

    /// Returns expiry, strike and right of a row on `date`.
    fn row(&self, at: usize, date: Date) -> Result<(Date, f64, Right), DataError> {
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
struct TradeColumns<'a> {
    /// Open, high, low, close; or the mid alone.
    prices: Vec<NumberColumn<'a>>,
    volume: Option<NumberColumn<'a>>,
    vwap: Option<NumberColumn<'a>>,
    spot: Option<NumberColumn<'a>>,
}

impl<'a> TradeColumns<'a> {
    fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
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

    fn row(&self, at: usize, slot: u16, strike: f64, right: Right) -> Result<TradeMinute, DataError> {
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
        let volume = number(&self.volume)?.unwrap_or(0.0);
        let spot = number(&self.spot)?;
        Ok(TradeMinute { slot, strike, right, open, high, low, close, vwap, volume, spot })
    }
}

/// Columns of quotes.
struct QuoteColumns<'a> {
    bid: NumberColumn<'a>,
    ask: NumberColumn<'a>,
    bid_size: Option<NumberColumn<'a>>,
    ask_size: Option<NumberColumn<'a>>,
}

impl<'a> QuoteColumns<'a> {
    fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
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

    fn row(&self, at: usize, slot: u16, strike: f64, right: Right) -> Result<QuoteMinute, DataError> {
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
