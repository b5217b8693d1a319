//! Error type of the crate; each variant carries the facts of its message.

use jiff::civil::Date;

use crate::{
    bar_format::{BarColumn, ClockTimes, Zone},
    quotation::quoted,
    symbol::{Symbol, SymbolError},
};

/// Errors of reading and checking data and of building sessions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A text that is not a symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A symbol that is requested twice.
    #[error("{symbol} is listed twice; name each symbol once")]
    DuplicateSymbol {
        /// The repeated symbol.
        symbol: Symbol,
    },
    /// An empty list of symbols.
    #[error("no symbols given; name at least one")]
    NoSymbols,
    /// Too few session dates for the folds of a walk-forward test.
    #[error(
        "{dates} session dates are too few for {train} training, {validation} validation and {test} test dates per fold: three \
         folds and 60 test dates need {needed}, {more} more. Use earlier bars, or smaller parts"
    )]
    Folds {
        /// Session dates.
        dates: usize,
        /// Training dates of a fold.
        train: usize,
        /// Validation dates of a fold.
        validation: usize,
        /// Test dates of a fold.
        test: usize,
        /// Session dates that are needed.
        needed: usize,
        /// Session dates that are missing.
        more: usize,
    },
    /// A column whose length differs from that of the time stamps.
    #[error("{origin}: column {column} has {len} rows, but timestamp has {expected}")]
    ColumnLength {
        /// File or generator.
        origin: String,
        /// Column name.
        column: &'static str,
        /// Rows of the column.
        len: usize,
        /// Rows of `timestamp`.
        expected: usize,
    },
    /// An invalid number.
    #[error("{origin}: row {row}, column {column}: {value} {rule}")]
    Value {
        /// File or generator.
        origin: String,
        /// Data row, counted from 1.
        row: usize,
        /// Column name.
        column: &'static str,
        /// The offending number.
        value: f64,
        /// The rule that it breaks.
        rule: String,
    },
    /// Time stamps that are not strictly ascending.
    #[error("{origin}: row {row}, column {column}: {time} {relation} row {}; rows must be strictly ascending", row - 1)]
    Order {
        /// File or generator.
        origin: String,
        /// Data row, counted from 1.
        row: usize,
        /// Column name.
        column: &'static str,
        /// The offending time, RFC 3339, or date.
        time: String,
        /// Relation to the previous row: "repeats" or "is earlier than".
        relation: &'static str,
    },
    /// A bar that does not start on a whole minute.
    #[error("{origin}: row {row}, column timestamp: {time} is not on a whole minute; one-minute bars are needed")]
    OffMinute {
        /// File or generator.
        origin: String,
        /// Data row, counted from 1.
        row: usize,
        /// The offending time, RFC 3339.
        time: String,
    },
    /// A file or generator without bars.
    #[error("{origin}: no bars of {symbol}; choose other dates or another source")]
    NoBars {
        /// File or generator.
        origin: String,
        /// The symbol whose bars are missing.
        symbol: Symbol,
    },
    /// A folder of bars that cannot be listed.
    #[error("cannot list the data folder {path}")]
    Folder {
        /// The folder as given.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A symbol without a file in the folder.
    #[error("no file {wanted} (nor .csv) in {folder}; it holds bars of: {}", listed_or_nothing(available))]
    MissingFile {
        /// The name looked for.
        wanted: String,
        /// The folder as given.
        folder: String,
        /// Symbols that the folder does hold, ascending.
        available: Vec<String>,
    },
    /// A symbol with two files.
    #[error("both {first} and {second} exist; keep one of them")]
    TwoFiles {
        /// The Parquet file.
        first: String,
        /// The CSV file.
        second: String,
    },
    /// A file that its reader refuses: truncated, or of another format than its name implies.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Error of the reader.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cache file that belongs to another series.
    #[error("{path} holds {adjustment} prices of {series}, which do not belong in this folder; move the file away")]
    Mixed {
        /// The file.
        path: String,
        /// Vendor and symbol in the record of the file.
        series: String,
        /// Adjustment in the record of the file.
        adjustment: String,
    },
    /// A required column that is missing.
    #[error("{path}: no column {column}; the file has: {}", listed_or_nothing(found))]
    MissingColumn {
        /// The file.
        path: String,
        /// The column looked for.
        column: &'static str,
        /// Columns of the file, in file order.
        found: Vec<String>,
    },
    /// A column of bars that no column of the file stands for.
    #[error("{path}: no column {column}; the file has: {}{}", listed_or_nothing(found), cure_of_missing(*column, found))]
    MissingBarColumn {
        /// The file.
        path: String,
        /// The column looked for.
        column: BarColumn,
        /// Columns of the file, in file order.
        found: Vec<String>,
    },
    /// Two columns that can both be one column of bars.
    #[error(
        "{path}: {first:?} and {second:?} can both be the column {column}; choose one: --columns \"{first}={column}\""
    )]
    AmbiguousColumn {
        /// The file.
        path: String,
        /// The column of bars.
        column: BarColumn,
        /// A column of the file.
        first: String,
        /// Another one.
        second: String,
    },
    /// A column that the configuration names and the file does not have.
    #[error(
        "{path}: no column {name:?}, which data.columns (--columns) names; the file has: {}",
        listed_or_nothing(found)
    )]
    UnknownColumn {
        /// The file.
        path: String,
        /// The name in the configuration.
        name: String,
        /// Columns of the file, in file order.
        found: Vec<String>,
    },
    /// A file with rows of several symbols, of which none or another one was chosen.
    #[error("{path}: {}; choose one with --symbol", rows_of(wanted.as_ref(), found))]
    SeveralSymbols {
        /// The file.
        path: String,
        /// The chosen symbol.
        wanted: Option<Symbol>,
        /// Symbols of the file, ascending.
        found: Vec<String>,
    },
    /// A row of a column with times of its own that breaks a rule.
    #[error("{path}: row {row}, column {}: {fault}", quoted(column))]
    ColumnRow {
        /// The file.
        path: String,
        /// Data row, counted from 1.
        row: usize,
        /// Name of the column.
        column: String,
        /// The fault and its remedy.
        fault: String,
    },
    /// A column of bars that the configuration names, and the source of the bars does not return.
    #[error(
        "the bars of {symbol} come without the column \"{}\", which data.own_columns or data.column_files names; files of bars \
         hold own columns, vendors and made-up bars do not",
        quoted(name)
    )]
    NoColumn {
        /// The symbol.
        symbol: Symbol,
        /// Name of the column.
        name: String,
    },
    /// A file without a column that the configuration names.
    #[error("{path}: no column \"{}\", which {key} names; the file has: {}", quoted(name), listed_or_nothing(found))]
    MissingOwnColumn {
        /// The file.
        path: String,
        /// The name in the configuration.
        name: String,
        /// The key of the configuration.
        key: String,
        /// Columns of the file.
        found: Vec<String>,
    },
    /// A folder of a series without a Parquet file.
    #[error("{path} is a folder without a Parquet file; put the bars of the symbol into it, or remove it")]
    EmptyFolder {
        /// The folder.
        path: String,
    },
    /// Two files of a series with bars of the same time.
    #[error("{second} begins before {first} ends; each minute belongs in one file")]
    Overlap {
        /// The file that begins first.
        first: String,
        /// The other one.
        second: String,
    },
    /// A file whose times contradict the exchange's day, or whose prices jump by a factor.
    #[error("{path}: {what}; {cure}. To read the file nevertheless: --set data.allow_suspicious=true")]
    Suspicious {
        /// The file.
        path: String,
        /// The fault.
        what: String,
        /// The remedy.
        cure: String,
    },
    /// Bars that are not one minute long.
    #[error("{path}: the bars are {} apart; bars of one minute are needed", length(*seconds))]
    Interval {
        /// The file.
        path: String,
        /// Usual distance of two bars.
        seconds: i64,
    },
    /// A time of a clock that stands for no instant, or for two.
    #[error(
        "{path}: row {row}, column timestamp: {time} {times} in {zone}, whose clock is changed on that day; write the \
         time with its offset"
    )]
    ClockTime {
        /// The file.
        path: String,
        /// Data row, counted from 1.
        row: usize,
        /// The time as it is on the clock.
        time: String,
        /// Number of times that the clock shows it.
        times: ClockTimes,
        /// The zone.
        zone: Zone,
    },
    /// A column of a wrong type.
    #[error("{path}: column {column} is {found}; expected {expected}")]
    ColumnType {
        /// The file.
        path: String,
        /// Column name.
        column: &'static str,
        /// Type in the file.
        found: String,
        /// Accepted types.
        expected: &'static str,
    },
    /// A cell that is empty or cannot be parsed.
    #[error("{path}: row {row}, column {column}: {}; expected {expected}", quoted_cell(text))]
    Cell {
        /// The file.
        path: String,
        /// Data row, counted from 1.
        row: usize,
        /// Column name.
        column: &'static str,
        /// The text of the cell; empty where the cell is null.
        text: String,
        /// Accepted content.
        expected: &'static str,
    },
    /// A contract with two rows of the same kind in one minute.
    #[error("{path}: row {row}: {contract} has another row in the minute {time}; keep one of them")]
    RepeatedContract {
        /// The file of the later row.
        path: String,
        /// Data row, counted from 1.
        row: usize,
        /// Expiry, strike and right.
        contract: String,
        /// The minute, RFC 3339.
        time: String,
    },
    /// Option files without a row of the underlying on the requested dates.
    #[error(
        "{path}: no option of {symbol} from {first} to {last}; the files hold options of: {}",
        listed_or_nothing(available)
    )]
    NoOptions {
        /// The folder or file as given.
        path: String,
        /// The underlying.
        symbol: Symbol,
        /// First requested date.
        first: Date,
        /// Last requested date.
        last: Date,
        /// Underlyings that the files do hold, on any date, ascending.
        available: Vec<String>,
    },
    /// Option files whose rows all lie outside trading hours.
    #[error(
        "{path}: all {rows} rows of {symbol} options lie outside trading hours; their times are probably on another clock \
         than UTC: write them as UTC or with an offset"
    )]
    OptionsOutsideHours {
        /// The folder or file as given.
        path: String,
        /// The underlying.
        symbol: Symbol,
        /// Rows of the underlying on the requested dates.
        rows: usize,
    },
    /// An empty range of dates.
    #[error("the date range {first} to {last} is empty; the first date must not be after the last")]
    EmptyRange {
        /// First requested date.
        first: Date,
        /// Last requested date.
        last: Date,
    },
    /// A window of zero days, or one that starts before the calendar of dates.
    #[error("a window of {days} calendar days before {last} is not possible; use 1 to 20000 days")]
    WindowDays {
        /// Requested days.
        days: u32,
        /// Last date of the window.
        last: Date,
    },
    /// A symbol without a usable session on the requested dates.
    #[error(
        "{symbol} has no usable session from {first} to {last}; its bars run from {bars_first} to {bars_last}: {causes}; \
         choose other dates"
    )]
    NoSessions {
        /// The symbol.
        symbol: Symbol,
        /// First requested date.
        first: Date,
        /// Last requested date.
        last: Date,
        /// Exchange date of the first bar.
        bars_first: Date,
        /// Exchange date of the last bar.
        bars_last: Date,
        /// The sessions that were looked at, counted by the reason for which each is not used.
        causes: String,
    },
    /// Too few sessions for a split.
    #[error(
        "{sessions} sessions are too few for a split {train:.2} / {validation:.2} / {test:.2} with a gap of {gap}; \
         at least {needed} are needed: extend the dates or change data.split"
    )]
    SplitTooShort {
        /// Available sessions.
        sessions: usize,
        /// Share of training.
        train: f64,
        /// Share of validation.
        validation: f64,
        /// Share of the test.
        test: f64,
        /// Sessions between two parts.
        gap: usize,
        /// Minimum number of sessions.
        needed: usize,
    },
    /// Invalid values of the configuration, all of them.
    #[error("{}", faults.join("; "))]
    Config {
        /// One sentence per fault, with the path of the field.
        faults: Vec<String>,
    },
}

/// Joins the first 20 names with commas, and counts the rest; "nothing" without a name.
pub(crate) fn listed_or_nothing(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| quoted(name)).collect();
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// Returns the way to name a column; an empty text for a file without columns.
fn cure_of_missing(column: BarColumn, found: &[String]) -> String {
    match found.first().map(String::as_str) {
        None => String::new(),
        Some("Price") => {
            "; a header of two lines, as yfinance writes it: download with multi_level_index=False".to_owned()
        }
        Some(_) => format!("; name the column that it is: --columns NAME={column}"),
    }
}

fn rows_of(wanted: Option<&Symbol>, found: &[String]) -> String {
    const SHOWN: usize = 10;
    let names = found.iter().take(SHOWN).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let more = if found.len() > SHOWN { format!(" and {} more", found.len() - SHOWN) } else { String::new() };
    match wanted {
        Some(symbol) => format!("no row of {symbol}; its rows are of {names}{more}"),
        None => format!("rows of several symbols, {names}{more}"),
    }
}

/// Returns a duration in its largest whole unit, such as "5 minutes".
fn length(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| seconds >= *size && seconds % size == 0).unwrap_or((1, "second"));
    let count = seconds / size;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn quoted_cell(text: &str) -> String {
    if text.is_empty() { "the cell is empty".to_owned() } else { format!("\"{}\"", quoted(text)) }
}
