//! From the cells of option files to checked rows, one page per session and expiry.

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
    source::files::{A_DATE, A_NUMBER, cells::bad_cell},
};

/// Roots under which an underlying's options are listed besides its own name.
const OTHER_ROOTS: [(&str, &str); 1] = [("SPXW", "SPX")];
const A_RIGHT: &str = "C or P";
const A_LATER_DATE: &str = "the day of the row or a later one";

/// What was read so far.
pub(super) struct Rows<'a> {
    symbol: &'a Symbol,
    /// Instants of the dates asked for, UTC nanoseconds.
    span: Range<i64>,
    pages: BTreeMap<(Date, Date), Page>,
    files: Vec<String>,
    outside: usize,
}

/// One session and expiry.
struct Page {
    session: Session,
    trades: Vec<Located<TradeMinute>>,
    quotes: Vec<Located<QuoteMinute>>,
}

/// A row and where it stands, so that a repeated one can be named.
struct Located<T> {
    file: usize,
    row: usize,
    item: T,
}

impl<'a> Rows<'a> {
    pub(super) fn new(symbol: &'a Symbol, dates: &DateRange) -> Self {
        let span = calendar::span_ns(*dates);
        Self { symbol, span, pages: BTreeMap::new(), files: Vec::new(), outside: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Takes the rows of one file and says what it held, if there are any; the names of all underlyings in it are added to
    /// `held`.
    pub(super) fn read(
        &mut self,
        columns: &Columns,
        held: &mut BTreeSet<String>,
    ) -> Result<Option<FileRecord>, DataError> {
        let (times, note) = columns.times()?;
        let mut ours = vec![false; times.len()];
        let mut last = String::new();
        columns.texts("underlying", |row, name| {
            if name != last {
                held.insert(name.to_owned());
                last = name.to_owned();
            }
            ours[row] = self.is_ours(name) && self.span.contains(&times[row]);
        })?;
        let kept = ours.iter().filter(|ours| **ours).count();
        if kept == 0 {
            return Ok(None);
        }
        self.files.push(columns.path().display().to_string());
        self.take(columns, &times, &ours)?;
        let note = format!("{kept} rows of {} in the dates; timestamps: {note}", self.symbol);
        Ok(Some(FileRecord::new(columns.path(), times.len(), note)))
    }

    fn is_ours(&self, underlying: &str) -> bool {
        let symbol = self.symbol.as_str();
        underlying == symbol || OTHER_ROOTS.contains(&(underlying, symbol))
    }

    fn take(&mut self, columns: &Columns, times: &[i64], ours: &[bool]) -> Result<(), DataError> {
        let file = self.files.len() - 1;
        let contracts = Contracts::read(columns)?;
        let trades = Trades::read(columns)?;
        let quotes = Quotes::read(columns)?;
        let mut clock = Clock::default();
        for at in (0..times.len()).filter(|at| ours[*at]) {
            let Some(session) = clock.session(times[at]) else {
                self.outside += 1;
                continue;
            };
            let slot = ((times[at] - session.open_ns) / MINUTE_NS) as u16;
            let (expiry, strike, right) = contracts.row(at, session.date)?;
            let page = self.pages.entry((session.date, expiry));
            let page = page.or_insert_with(|| Page { session, trades: Vec::new(), quotes: Vec::new() });
            if let Some(trades) = &trades {
                page.trades.push(Located { file, row: at + 1, item: trades.row(at, slot, strike, right)? });
            }
            if let Some(quotes) = &quotes {
                page.quotes.push(Located { file, row: at + 1, item: quotes.row(at, slot, strike, right)? });
            }
        }
        Ok(())
    }

    /// Puts everything in order.
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

/// Sorts rows by minute and contract, and refuses a second row of the same.
fn sorted<T>(
    mut rows: Vec<Located<T>>,
    key: impl Fn(&T) -> (u16, f64, Right),
    files: &[String],
    session: &Session,
    expiry: Date,
) -> Result<Vec<T>, DataError> {
    let order = |a: &Located<T>, b: &Located<T>| {
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

/// The session of an instant, remembered for the rows that follow on the same day.
#[derive(Default)]
struct Clock {
    day: Range<i64>,
    session: Option<Session>,
}

impl Clock {
    fn session(&mut self, ts_ns: i64) -> Option<Session> {
        if !self.day.contains(&ts_ns) {
            let date = calendar::exchange_date(ts_ns);
            self.day = calendar::midnight_ns(date)..calendar::midnight_ns(date.saturating_add(1.day()));
            self.session = calendar::session(date);
        }
        self.session.filter(|session| (session.open_ns..session.close_ns).contains(&ts_ns))
    }
}

/// A column of numbers and where it comes from.
struct Numbers<'a> {
    path: &'a Path,
    name: &'static str,
    values: Vec<Option<f64>>,
}

impl<'a> Numbers<'a> {
    fn read(columns: &'a Columns, name: &'static str) -> Result<Self, DataError> {
        Ok(Self { path: columns.path(), name, values: columns.numbers(name)? })
    }

    fn read_if_any(columns: &'a Columns, name: &'static str) -> Result<Option<Self>, DataError> {
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
        self.optional(at)?.ok_or_else(|| bad_cell(self.path, at + 1, self.name, "", A_NUMBER))
    }

    fn count(&self, at: usize) -> Result<Option<u32>, DataError> {
        let Some(value) = self.optional(at)? else { return Ok(None) };
        if value.fract() != 0.0 || value > f64::from(u32::MAX) {
            return Err(self.fault(at, value, "is not a whole number of contracts"));
        }
        Ok(Some(value as u32))
    }
}

/// The columns that name the contract.
struct Contracts<'a> {
    path: &'a Path,
    expiry: Vec<Option<Date>>,
    strike: Numbers<'a>,
    right: Vec<Result<Right, Box<str>>>,
}

impl<'a> Contracts<'a> {
    fn read(columns: &'a Columns) -> Result<Self, DataError> {
        let expiry = columns.dates("expiry")?;
        let strike = Numbers::read(columns, "strike")?;
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
        let expiry = self.expiry[at].ok_or_else(|| cell("expiry", "", A_DATE))?;
        if expiry < date {
            return Err(cell("expiry", &expiry.to_string(), A_LATER_DATE));
        }
        let strike = self.strike.number(at)?;
        if strike == 0.0 {
            return Err(self.strike.fault(at, strike, "is no strike"));
        }
        let right = self.right[at].as_ref().map_err(|text| cell("right", text, A_RIGHT))?;
        Ok((expiry, strike, *right))
    }
}

/// The columns of trades; mids stand in for all four prices.
struct Trades<'a> {
    /// Open, high, low, close; or the mid alone.
    prices: Vec<Numbers<'a>>,
    volume: Option<Numbers<'a>>,
    vwap: Option<Numbers<'a>>,
    spot: Option<Numbers<'a>>,
}

impl<'a> Trades<'a> {
    fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
        let names: &[&'static str] = match (columns.has("close"), columns.has("mid")) {
            (true, _) => &["open", "high", "low", "close"],
            (_, true) => &["mid"],
            _ => return Ok(None),
        };
        Ok(Some(Self {
            prices: names.iter().map(|name| Numbers::read(columns, name)).collect::<Result<_, _>>()?,
            volume: Numbers::read_if_any(columns, "volume")?,
            vwap: Numbers::read_if_any(columns, "vwap")?,
            spot: Numbers::read_if_any(columns, "underlying_price")?,
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
        // What a vendor leaves out of a thin minute is an empty cell.
        let number = |column: &Option<Numbers<'_>>| column.as_ref().map_or(Ok(None), |column| column.optional(at));
        let vwap = number(&self.vwap)?.unwrap_or(close);
        let volume = number(&self.volume)?.unwrap_or(0.0);
        let spot = number(&self.spot)?;
        Ok(TradeMinute { slot, strike, right, open, high, low, close, vwap, volume, spot })
    }
}

/// The columns of quotes.
struct Quotes<'a> {
    bid: Numbers<'a>,
    ask: Numbers<'a>,
    bid_size: Option<Numbers<'a>>,
    ask_size: Option<Numbers<'a>>,
}

impl<'a> Quotes<'a> {
    fn read(columns: &'a Columns) -> Result<Option<Self>, DataError> {
        if !columns.has("bid") {
            return Ok(None);
        }
        Ok(Some(Self {
            bid: Numbers::read(columns, "bid")?,
            ask: Numbers::read(columns, "ask")?,
            bid_size: Numbers::read_if_any(columns, "bid_size")?,
            ask_size: Numbers::read_if_any(columns, "ask_size")?,
        }))
    }

    fn row(&self, at: usize, slot: u16, strike: f64, right: Right) -> Result<QuoteMinute, DataError> {
        let size = |column: &Option<Numbers<'_>>| column.as_ref().map_or(Ok(None), |column| column.count(at));
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
