//! Market data for replays: bars, exchange sessions, volatility and option minutes, each with the time at which it was known.
//!
//! The crate turns bars of any source into checked trading sessions. Its guarantees:
//!
//! - Times are UTC nanoseconds of the START of a bar; bars are strictly ascending and consistent ([`Bars`]).
//! - Sessions are those of the exchange calendar, with half days and daylight saving time ([`calendar`]).
//! - A session has one slot per minute; a minute without a bar is filled, flagged and counted ([`SessionBars`]).
//! - Suspicious prices are counted ([`quality`]); files that contradict the exchange's day are refused ([`source::files`]).
//! - Volatility at a bar uses only values published before the bar starts ([`Volatility`]).
//! - Option prints and quotes keep their minute and their contract, also crossed and one-sided quotes ([`OptionHistory`]).
//! - No source is replaced silently: synthetic bars carry `synthetic = true` to the end ([`History`], [`Dataset`]).
//!
//! It computes no indicators, prices no options and reads no clock.
//!
//! ```
//! use market_data::{DataConfig, Dataset, Symbol, Window, source::synthetic, split};
//!
//! let config = DataConfig::default();
//! let history = synthetic::generate(&config.synthetic, &[Symbol::new("spy")?])?;
//! let window = Window { intraday_days: Some(60), ..Window::default() };
//! let dataset = Dataset::build(&history, &window, &config)?;
//! let split = split(&dataset.dates, &config.split)?;
//! assert!(dataset.synthetic && split.train.last < split.validation.first);
//! # Ok::<(), market_data::DataError>(())
//! ```
#![cfg_attr(test, allow(clippy::print_stdout, reason = "tests print why they are skipped"))]

mod bar_format;
mod bars;
pub mod calendar;
pub mod columns;
mod config;
mod dataset;
mod dates;
mod error;
mod folds;
mod grid;
mod history;
pub mod input_file;
mod options;
pub mod parity;
pub mod placebo;
pub mod quality;
pub mod quotation;
pub mod source;
mod split;
mod symbol;
mod volatility;

pub use bar_format::{BarColumn, BarFormat, BarStamp, ClockFault, ClockTimes, Zone, ZoneError};
pub use bars::{BarColumns, Bars};
pub use config::DataConfig;
pub use dataset::{Dataset, HISTORY_SESSIONS, SymbolSessions, Window};
pub use dates::DateRange;
pub use error::DataError;
pub use folds::{Fold, FoldSizes};
pub use grid::{GridConfig, GridReport, MissingAt, RefusedSession, SessionBars};
pub use history::{DataStamp, FileRecord, History};
pub use options::{LeftOut, OptionHistory, OptionSession, OptionStamp, QuoteMinute, Right, Settles, TradeMinute};
pub use split::{Split, SplitConfig, split};
pub use symbol::{Symbol, SymbolError};
pub use volatility::{DailySeries, VOLATILITY_SESSIONS, VolColumns, VolSource, Volatility};
