//! The one error type of the crate: each variant carries the facts that its sentence states.

use jiff::civil::Date;

use crate::Symbol;

/// Says why data could not be read, checked or cut into sessions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A ticker that is empty or holds characters which no ticker has.
    #[error("{text:?} is not a symbol: expected 1 to 12 letters, digits, dots or dashes, starting with a letter")]
    Symbol {
        /// The text as given.
        text: String,
    },
    /// The same symbol was asked for twice.
    #[error("{symbol} is listed twice; name each symbol once")]
    DuplicateSymbol {
        /// The repeated symbol.
        symbol: Symbol,
    },
    /// No symbol was asked for.
    #[error("no symbol was asked for; name at least one")]
    NoSymbols,
    /// A column shorter or longer than the time stamps.
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
    /// A number that no bar can hold.
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
        /// What is wrong with it.
        rule: String,
    },
    /// Time stamps that repeat or go back.
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
        /// How it stands to the row before: "repeats" or "is earlier than".
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
    /// A file or generator without a single bar.
    #[error("{origin}: no bars of {symbol}")]
    NoBars {
        /// File or generator.
        origin: String,
        /// The symbol whose bars are missing.
        symbol: Symbol,
    },
    /// The folder of bars cannot be listed.
    #[error("cannot list the data folder {path}")]
    Folder {
        /// The folder as given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A symbol for which the folder holds no file.
    #[error("no file {wanted} (nor .csv) in {folder}; it holds bars of: {}", or_none(held))]
    MissingFile {
        /// The name looked for.
        wanted: String,
        /// The folder as given.
        folder: String,
        /// Symbols that the folder does hold, ascending.
        held: Vec<String>,
    },
    /// A symbol with two files, of which only one can be right.
    #[error("both {first} and {second} exist; keep one of them")]
    TwoFiles {
        /// The Parquet file.
        first: String,
        /// The CSV file.
        second: String,
    },
    /// A file that its reader refuses: not the format its name says, or cut short.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cache file that belongs to another series.
    #[error("{path} holds {adjustment} prices of {series}, which do not belong there; move it away")]
    Mixed {
        /// The file.
        path: String,
        /// Vendor and symbol of the series that it belongs to.
        series: String,
        /// How its prices are adjusted.
        adjustment: String,
    },
    /// A required column that the file lacks.
    #[error("{path}: no column {column}; the file has: {}", or_none(found))]
    MissingColumn {
        /// The file.
        path: String,
        /// The column looked for.
        column: &'static str,
        /// The columns it has, in file order.
        found: Vec<String>,
    },
    /// A column of a type that cannot hold its values.
    #[error("{path}: column {column} is {found}; expected {expected}")]
    ColumnType {
        /// The file.
        path: String,
        /// Column name.
        column: &'static str,
        /// Type in the file.
        found: String,
        /// Types understood.
        expected: &'static str,
    },
    /// A cell that is empty or cannot be understood.
    #[error("{path}: row {row}, column {column}: {}; expected {expected}", shown(text))]
    Cell {
        /// The file.
        path: String,
        /// Data row, counted from 1.
        row: usize,
        /// Column name.
        column: &'static str,
        /// The text of the cell; empty where the cell is null.
        text: String,
        /// What would be understood.
        expected: &'static str,
    },
    /// A contract that has two rows of a kind in one minute.
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
    /// Option files without a row of the underlying on the dates asked for.
    #[error("{path}: no option of {symbol} from {first} to {last}; the files hold options of: {}", or_none(held))]
    NoOptions {
        /// The folder or file as given.
        path: String,
        /// The underlying.
        symbol: Symbol,
        /// First date asked for.
        first: Date,
        /// Last date asked for.
        last: Date,
        /// Underlyings that the files do hold, on any date, ascending.
        held: Vec<String>,
    },
    /// A date range that holds no day.
    #[error("the date range {first} to {last} is empty; the first date must not be after the last")]
    EmptyRange {
        /// First date asked for.
        first: Date,
        /// Last date asked for.
        last: Date,
    },
    /// A window of zero days, or one that reaches before the calendar of dates.
    #[error("a window of {days} calendar days before {last} is not possible; use 1 to 20000 days")]
    WindowDays {
        /// Days asked for.
        days: u32,
        /// Last date of the window.
        last: Date,
    },
    /// A symbol without a usable session in the dates asked for.
    #[error(
        "{symbol} has no usable session from {first} to {last}; its bars run from {bars_first} to {bars_last}, \
         {refused} days were refused for missing minutes and {warmup} are kept back to warm indicators up"
    )]
    NoSessions {
        /// The symbol.
        symbol: Symbol,
        /// First date asked for.
        first: Date,
        /// Last date asked for.
        last: Date,
        /// Exchange date of the first bar.
        bars_first: Date,
        /// Exchange date of the last bar.
        bars_last: Date,
        /// Days refused in the range.
        refused: usize,
        /// Days kept back as warm-up.
        warmup: usize,
    },
    /// A split that would leave a part without a session.
    #[error(
        "{sessions} sessions are too few for a split {train:.2} / {validation:.2} / {test:.2} with a gap of {gap}; \
         at least {needed} are needed"
    )]
    SplitTooShort {
        /// Sessions at hand.
        sessions: usize,
        /// Share of training.
        train: f64,
        /// Share of validation.
        validation: f64,
        /// Share of the test.
        test: f64,
        /// Sessions between two parts.
        gap: usize,
        /// Smallest number of sessions that works.
        needed: usize,
    },
    /// Configuration values that make no sense, all of them.
    #[error("{}", faults.join("; "))]
    Config {
        /// One sentence per fault, with the path of the field.
        faults: Vec<String>,
    },
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn shown(text: &str) -> String {
    if text.is_empty() { "the cell is empty".to_owned() } else { format!("{text:?}") }
}
