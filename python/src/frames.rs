//! Columns of data frames, which `zerodte._frames` reads, as bars.

use jiff::civil::Date;
use market_data::{
    BarColumns, Symbol,
    source::columns::{GivenBars, GivenCloses},
};
use numpy::PyReadonlyArray1;
use pyo3::{intern, prelude::*, types::PyDict};

use crate::error;

/// Everything that a market is built from.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) bars: Vec<GivenBars>,
    pub(crate) vix1d: Option<GivenBars>,
    pub(crate) vix: Option<GivenBars>,
    pub(crate) vix_daily: Option<GivenCloses>,
}

/// Bars as `zerodte._frames` returns them.
#[derive(FromPyObject)]
struct Bars<'py> {
    symbol: String,
    origin: String,
    /// Nanoseconds, then open, high, low, close and volume.
    ts_ns: PyReadonlyArray1<'py, i64>,
    open: PyReadonlyArray1<'py, f64>,
    high: PyReadonlyArray1<'py, f64>,
    low: PyReadonlyArray1<'py, f64>,
    close: PyReadonlyArray1<'py, f64>,
    /// None without such a column.
    volume: Option<PyReadonlyArray1<'py, f64>>,
    states_zone: bool,
    /// Further columns by name.
    own: Vec<(String, PyReadonlyArray1<'py, f64>)>,
}

/// Daily closes as `zerodte._frames` returns them; dates as texts.
#[derive(FromPyObject)]
struct Closes {
    origin: String,
    date: Vec<String>,
    close: Vec<f64>,
}

/// What `zerodte._frames` returns.
#[derive(FromPyObject)]
struct Read<'py> {
    bars: Vec<Bars<'py>>,
    vix1d: Option<Bars<'py>>,
    vix: Option<Bars<'py>>,
    vix_daily: Option<Closes>,
}

/// Reads frames in memory, with the further columns `own` of the bars.
///
/// # Errors
/// `ValueError` for a column that is missing or of another type.
pub(crate) fn of_memory(
    bars: &Bound<'_, PyDict>,
    vix1d: Option<Bound<'_, PyAny>>,
    vix: Option<Bound<'_, PyAny>>,
    vix_daily: Option<Bound<'_, PyAny>>,
    own: Vec<String>,
) -> PyResult<Given> {
    let module = bars.py().import(intern!(bars.py(), "zerodte._frames"))?;
    module
        .call_method1(intern!(bars.py(), "of_memory"), (bars, vix1d, vix, vix_daily, own))?
        .extract::<Read<'_>>()?
        .given()
}

/// Reads a folder of files, with the further columns `own` of the bars.
///
/// # Errors
/// As [`of_memory`], and `FileNotFoundError` or `ImportError`.
pub(crate) fn of_folder(folder: &Bound<'_, PyAny>, symbols: Vec<String>, own: Vec<String>) -> PyResult<Given> {
    let module = folder.py().import(intern!(folder.py(), "zerodte._frames"))?;
    module.call_method1(intern!(folder.py(), "of_folder"), (folder, symbols, own))?.extract::<Read<'_>>()?.given()
}

impl Read<'_> {
    fn given(self) -> PyResult<Given> {
        let Self { bars, vix1d, vix, vix_daily } = self;
        Ok(Given {
            bars: bars.into_iter().map(Bars::given).collect::<PyResult<_>>()?,
            vix1d: vix1d.map(Bars::given).transpose()?,
            vix: vix.map(Bars::given).transpose()?,
            vix_daily: vix_daily.map(Closes::given).transpose()?,
        })
    }
}

impl Bars<'_> {
    fn given(self) -> PyResult<GivenBars> {
        let symbol = Symbol::new(&self.symbol).map_err(error::value)?;
        let column = |values: &PyReadonlyArray1<'_, f64>| values.as_array().to_vec();
        let volume = self
            .volume
            .as_ref()
            .map(column)
            .filter(|volume| !symbol.is_index() || volume.iter().any(|v| v.is_finite()));
        let volume = match volume {
            Some(volume) => volume,
            None if symbol.is_index() => vec![0.0; self.ts_ns.as_array().len()],
            None => return Err(error::value(format!("{}: no column volume, which {symbol} needs", self.origin))),
        };
        Ok(GivenBars {
            symbol,
            columns: BarColumns {
                ts_ns: self.ts_ns.as_array().to_vec(),
                open: column(&self.open),
                high: column(&self.high),
                low: column(&self.low),
                close: column(&self.close),
                volume,
            },
            own: self.own.iter().map(|(name, values)| (name.clone(), column(values))).collect(),
            origin: self.origin,
            states_zone: self.states_zone,
        })
    }
}

impl Closes {
    fn given(self) -> PyResult<GivenCloses> {
        let Self { origin, date, close } = self;
        let parsed = |(row, text): (usize, &String)| {
            text.parse::<Date>().map_err(|_| {
                error::value(format!(
                    "{origin}: row {}, column date: {text:?}; expected a date such as 2025-06-30",
                    row + 1
                ))
            })
        };
        let date = date.iter().enumerate().map(parsed).collect::<PyResult<_>>()?;
        Ok(GivenCloses { date, origin, close })
    }
}
