//! Configuration of the user's columns: entries of `data.own_columns` and `data.column_files`.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{Symbol, calendar::MINUTE_NS};

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;
/// Most sessions that a trailing statistic spans.
const MOST_SESSIONS: u32 = 60;

/// A length of time, such as `90s`, `15m`, `2h` or `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(i64);

impl Length {
    /// Units, the longest first.
    const UNITS: [(&str, i64); 4] =
        [("d", 1_440 * MINUTE_NS), ("h", 60 * MINUTE_NS), ("m", MINUTE_NS), ("s", SECOND_NS)];

    /// Returns the nanoseconds.
    #[must_use]
    pub fn ns(self) -> i64 {
        self.0
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = Self::UNITS.iter().find_map(|(unit, ns)| {
            let count: u32 = text.trim().strip_suffix(*unit)?.trim().parse().ok()?;
            i64::from(count).checked_mul(*ns)
        });
        parsed.map(Self).ok_or_else(|| format!("`{text}` is no length of time; write it as 90s, 15m, 2h or 1d"))
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Self::UNITS.iter().find(|(_, ns)| self.0 > 0 && self.0 % ns == 0);
        let (unit, ns) = whole.copied().unwrap_or(("s", SECOND_NS));
        write!(f, "{}{unit}", self.0 / ns)
    }
}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Form in which a column is observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// The value / scale, within ±10^6.
    #[default]
    Raw,
    /// Deviations from the mean of the sessions before, within ±10.
    Zscore,
    /// tanh(value / scale).
    Tanh,
    /// The change since the minute before in the session / scale, within ±10^6.
    Diff,
    /// sign · ln(1 + |value / scale|).
    Log,
    /// Place among the values of the sessions before: -1 below all, 1 above all.
    Rank,
}

impl Transform {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zscore => "zscore",
            Self::Tanh => "tanh",
            Self::Diff => "diff",
            Self::Log => "log",
            Self::Rank => "rank",
        }
    }
}

/// Transform, lag and their parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) transform: Transform,
    pub(super) lag: u32,
    pub(super) window: u32,
    pub(super) scale: f64,
}

impl Shape {
    /// Returns the name of the observed column: that of the values, the transform, and the lag unless it is 0. A model that was
    /// trained with another transform or lag is refused by this name.
    pub(super) fn named(&self, name: &str) -> String {
        let lag = if self.lag > 0 { format!(".lag{}", self.lag) } else { String::new() };
        format!("{name}.{}{lag}", self.transform.name())
    }

    fn check(&self, path: &str, faults: &mut Vec<String>) {
        if self.lag > 389 {
            faults.push(format!("{path}: lag {} is more than 389 minutes", self.lag));
        }
        if !(1..=MOST_SESSIONS).contains(&self.window) {
            faults.push(format!("{path}: window {} is not between 1 and {MOST_SESSIONS} sessions", self.window));
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            faults.push(format!("{path}: scale {} is not above 0", self.scale));
        }
    }
}

/// A numeric column of the bar files as a column of the observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnColumn {
    /// Name of the column in the bar files of every symbol. Its value is known at the end of its bar.
    pub name: String,
    /// Form in which it is observed.
    #[serde(default)]
    pub transform: Transform,
    /// Minutes by which it is observed later, 0 to 389; the first minutes of a session are then 0.
    #[serde(default)]
    pub lag: u32,
    /// Sessions before the current one whose values zscore and rank compare with, 1 to 60.
    #[serde(default = "window")]
    pub window: u32,
    /// Unit of raw, tanh, diff and log, above 0.
    #[serde(default = "scale")]
    pub scale: f64,
    /// Adds the column NAME.age: logarithm of the minutes since the last value was known, 0 to 1.
    #[serde(default)]
    pub age: bool,
}

fn window() -> u32 {
    20
}

fn scale() -> f64 {
    1.0
}

impl OwnColumn {
    /// Returns a column with the default parameters.
    #[must_use]
    pub fn new(name: &str, transform: Transform) -> Self {
        Self { name: name.to_owned(), transform, lag: 0, window: window(), scale: scale(), age: false }
    }

    pub(super) fn shape(&self) -> Shape {
        let &Self { transform, lag, window, scale, .. } = self;
        Shape { transform, lag, window, scale }
    }

    pub(super) fn check(&self, faults: &mut Vec<String>) {
        check_name("data.own_columns", &self.name, faults);
        self.shape().check(&format!("data.own_columns ({})", self.name), faults);
    }
}

/// A file of values with the times at which they were known. Exactly one of `known`, `delay` and `bar` says when that was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnFile {
    /// First part of the names of its columns, such as nq in nq.ret.zscore.
    pub name: String,
    /// The CSV or Parquet file.
    pub file: PathBuf,
    /// Its numeric columns that are observed.
    pub values: Vec<String>,
    /// Column of the time of the event that a row describes: an instant, or a date, which means its midnight in New York.
    #[serde(default = "event")]
    pub event: String,
    /// Column of the instant at which the row became known; it serves decisions after that instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Time from the event until the row was known, such as 15m; it serves decisions after that instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Length>,
    /// Length of the bar that starts at the event, such as 1m: the row is known at its end, and serves the decision of that
    /// instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar: Option<Length>,
    /// The only symbol for which the columns hold values; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// Time after which a value is stale and reads 0, such as 10m or 4d; absent: the last value stands until the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Length>,
    /// Adds the column NAME.age: logarithm of the minutes since the last value was known, 0 to 1.
    #[serde(default)]
    pub age: bool,
    /// Form in which the values are observed.
    #[serde(default)]
    pub transform: Transform,
    /// Minutes of the session by which they are observed later, 0 to 389.
    #[serde(default)]
    pub lag: u32,
    /// Sessions before the current one whose values zscore and rank compare with, 1 to 60.
    #[serde(default = "window")]
    pub window: u32,
    /// Unit of raw, tanh, diff and log, above 0.
    #[serde(default = "scale")]
    pub scale: f64,
}

fn event() -> String {
    "timestamp".to_owned()
}

impl ColumnFile {
    pub(super) fn shape(&self) -> Shape {
        let &Self { transform, lag, window, scale, .. } = self;
        Shape { transform, lag, window, scale }
    }

    /// Returns the name of the series of one of its values.
    pub(crate) fn column(&self, value: &str) -> String {
        format!("{}.{value}", self.name)
    }

    /// Returns whether the file holds values of a symbol.
    pub(super) fn serves(&self, symbol: &Symbol) -> bool {
        self.symbol.as_ref().is_none_or(|only| only == symbol)
    }

    pub(super) fn check(&self, faults: &mut Vec<String>) {
        let path = format!("data.column_files ({})", self.name);
        check_name("data.column_files", &self.name, faults);
        self.values.iter().for_each(|value| check_name(&path, value, faults));
        if self.values.is_empty() {
            faults.push(format!("{path}: values names no column"));
        }
        let given =
            usize::from(self.known.is_some()) + usize::from(self.delay.is_some()) + usize::from(self.bar.is_some());
        if given != 1 {
            let found = if given == 0 { "none is" } else { "more than one is" };
            faults.push(format!(
                "{path}: {found} given of known, delay and bar; give one: known = the column with the time of publication, \
                 delay = the time from event to publication, bar = the length of the bar that starts at the event"
            ));
        }
        if self.bar.is_some_and(|bar| bar.ns() == 0) {
            faults.push(format!("{path}: bar has no length"));
        }
        self.shape().check(&path, faults);
    }
}

fn check_name(path: &str, name: &str, faults: &mut Vec<String>) {
    if name.trim().is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        faults.push(format!("{path}: a name has 1 to 60 printable characters, unlike {name:?}"));
    }
}
