//! The class `Market`: sessions with features and option prices, read-only and shared by environments.

use std::sync::Arc;

use jiff::civil::Date;
use market_data::{
    DataStamp, Dataset, DateRange, Fold, FoldSizes, History, Split, Symbol, Window, calendar,
    source::{
        columns::{self, GivenVolatility},
        synthetic,
    },
    split,
};
use market_env::{ACCOUNT_COLUMNS, ACTION_NAMES, Market, MarketConfig};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::{exceptions::PyTypeError, intern, prelude::*, types::PyDict};

use crate::{
    error,
    frames::{self, Given},
    settings::Settings,
    table::read_only,
    threads,
};

/// Sessions of one or more symbols: features, legal option contracts and their quotes, built once and then read-only.
///
/// Build one with `Market.synthetic`, `Market.from_bars` or `Market.from_files`. A market can be shared by any number of
/// environments and threads.
#[pyclass(name = "Market", module = "zerodte", frozen)]
#[derive(Debug)]
pub(crate) struct PyMarket {
    pub(crate) market: Arc<Market>,
    pub(crate) settings: Settings,
    pub(crate) stamp: DataStamp,
    pub(crate) symbols: Vec<String>,
    dates: Vec<Date>,
    notes: Vec<String>,
    /// False with columns of the user, which a configuration does not hold.
    rebuildable: bool,
}

/// Symbols and configuration of a made-up market.
type Recipe<'py> = (Vec<String>, Bound<'py, PyAny>);

#[pymethods]
impl PyMarket {
    /// Builds a made-up market, whose prices are a martingale unless `config["data"]["synthetic"]["planted_edge"]` is set.
    ///
    /// Parameters
    /// ----------
    /// symbols : list of str
    ///     SPY, QQQ, IWM and SPX have known contracts; others need `config["market"]["contracts"]`.
    /// start, end : str or datetime.date, optional
    ///     First and last date to trade; by default those of the configuration, 2024-01-02 to 2024-12-31. The first session only
    ///     warms the indicators up.
    /// config : dict or path of a TOML file, optional
    ///     Sections `data`, `market`, `env`, `policy`, `ppo`, `health`; what is left out keeps its default.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     A faulty configuration or symbol, with its path.
    #[staticmethod]
    #[pyo3(signature = (symbols=vec!["SPY".to_owned()], *, start=None, end=None, config=None))]
    fn synthetic(
        py: Python<'_>,
        symbols: Vec<String>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut settings = Settings::default().with(config)?;
        let synthetic = &mut settings.data.synthetic;
        synthetic.sessions_from = date(start)?.unwrap_or(synthetic.sessions_from);
        synthetic.sessions_to = date(end)?.unwrap_or(synthetic.sessions_to);
        let names: Vec<Symbol> =
            symbols.iter().map(|name| Symbol::new(name)).collect::<Result<_, _>>().map_err(error::value)?;
        py.detach(|| {
            threads::pool(0)?.install(|| {
                let history = synthetic::generate(&settings.data.synthetic, &names).map_err(error::data)?;
                Self::build(&history.with_cross(&settings.market.cross), &Window::default(), settings)
            })
        })
    }

    /// Builds a market from minute bars in memory.
    ///
    /// Parameters
    /// ----------
    /// bars : dict of str to frame
    ///     One pandas or polars frame, or dict of numpy arrays, per symbol, with open, high, low, close and volume (optional for
    ///     an index) in dollars and shares, one row per minute, in the order of time. Times are the start of a minute: a column
    ///     `timestamp` (or `datetime`, `date`, `time`, `ts_ns`), or the index of a pandas frame; aware times, naive times of the
    ///     zone
    ///     `config["data"]["timestamp_zone"]` (UTC unless given), or integers in nanoseconds since 1970.
    /// vix1d, vix : frame, optional
    ///     VIX1D and VIX by the minute, in points.
    /// vix_daily : frame, optional
    ///     Columns `date` and `close` of VIX. Without any of the three, volatility is that of the symbol's own closes.
    /// start, end : str or datetime.date, optional
    ///     First and last date to trade.
    /// days : int, optional
    ///     Calendar days up to the last date.
    /// config : dict or path of a TOML file, optional
    ///     As for `Market.synthetic`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     A bad row, times that contradict the exchange's day, a jump of the prices; the message names frame, row and column.
    #[staticmethod]
    #[pyo3(signature = (bars, *, vix1d=None, vix=None, vix_daily=None, start=None, end=None, days=None, config=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn from_bars(
        bars: &Bound<'_, PyDict>,
        vix1d: Option<Bound<'_, PyAny>>,
        vix: Option<Bound<'_, PyAny>>,
        vix_daily: Option<Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        days: Option<u32>,
        config: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let asked = Asked::of(start, end, days, config)?;
        let given = frames::of_memory(bars, vix1d, vix, vix_daily, own_columns(&asked.settings))?;
        Self::of_columns(bars.py(), given, asked, Ok)
    }

    /// Builds the market of one session as it is known at the close of its bar `minute`, for `zerodte.live`.
    #[staticmethod]
    #[pyo3(name = "_known_after", signature = (bars, date, minute, *, vix1d=None, vix=None, vix_daily=None, config=None))]
    fn known_after(
        bars: &Bound<'_, PyDict>,
        date: &Bound<'_, PyAny>,
        minute: usize,
        vix1d: Option<Bound<'_, PyAny>>,
        vix: Option<Bound<'_, PyAny>>,
        vix_daily: Option<Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let asked = Asked::of(Some(date), Some(date), None, config)?;
        let session = session_on(date)?;
        let given = frames::of_memory(bars, vix1d, vix, vix_daily, own_columns(&asked.settings))?;
        Self::of_columns(bars.py(), given, asked, |history| history.known_after(&session, minute).map_err(error::data))
    }

    /// Builds a market from a folder of Parquet or CSV files, such as the program reads: `SPY_1m.parquet`, and optionally
    /// `VIX1D_1m`,
    /// `VIX_1m` and `VIX_1d`.
    ///
    /// The files are read with polars, or with pandas where polars is not installed.
    ///
    /// Parameters
    /// ----------
    /// data_dir : path
    /// symbols : list of str
    /// start, end, days, config
    ///     As for `Market.from_bars`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     As for `Market.from_bars`; the message names the file.
    /// FileNotFoundError
    ///     A folder or file that is missing.
    /// ImportError
    ///     Neither polars nor pandas is installed.
    #[staticmethod]
    #[pyo3(signature = (data_dir, symbols, *, start=None, end=None, days=None, config=None))]
    fn from_files(
        data_dir: &Bound<'_, PyAny>,
        symbols: Vec<String>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        days: Option<u32>,
        config: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let asked = Asked::of(start, end, days, config)?;
        let given = frames::of_folder(data_dir, symbols, own_columns(&asked.settings))?;
        Self::of_columns(data_dir.py(), given, asked, Ok)
    }

    /// Returns a market with more feature columns.
    ///
    /// Parameters
    /// ----------
    /// names : list of str
    /// values : float32 array [T, len(names)]
    ///     One row per row of `tape`; `rows()` says which minute a row is. A value must be known at the close of its minute: the
    ///     package cannot check that.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     Another shape, a name that exists, or a value that is not finite.
    fn with_columns(&self, py: Python<'_>, names: Vec<String>, values: PyReadonlyArray2<'_, f32>) -> PyResult<Self> {
        let (rows, width) = (self.tape_rows(), names.len());
        let values = values.as_array();
        if values.dim() != (rows, width) {
            return Err(error::value(format!("values are {:?}, but must be [{rows}, {width}]", values.dim())));
        }
        let known = self.market.feature_names();
        if let Some(name) =
            names.iter().enumerate().find(|(at, name)| known.contains(name) || names[..*at].contains(name))
        {
            return Err(error::value(format!("the column {} exists already", name.1)));
        }
        if let Some(((row, column), value)) = values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(error::value(format!("row {row} of {} is {value}, which is not finite", names[column])));
        }
        let values: Vec<f32> = values.iter().copied().collect();
        let market = py.detach(|| Arc::new((*self.market).clone().with_columns(names, &values)));
        let Self { settings, stamp, symbols, dates, notes, .. } = self;
        Ok(Self {
            market,
            settings: settings.clone(),
            stamp: *stamp,
            symbols: symbols.clone(),
            dates: dates.clone(),
            notes: notes.clone(),
            rebuildable: false,
        })
    }

    /// The symbols, in order.
    #[getter]
    fn symbols(&self) -> Vec<String> {
        self.symbols.clone()
    }

    /// Names of the feature columns, in order (F of them).
    #[getter]
    fn features(&self) -> Vec<String> {
        self.market.feature_names()
    }

    /// Names of the account's own columns (A of them), which an observation holds after the features.
    #[getter]
    fn account(&self) -> Vec<&'static str> {
        ACCOUNT_COLUMNS.to_vec()
    }

    /// Names of the actions by number (K of them).
    #[getter]
    fn actions(&self) -> Vec<&'static str> {
        ACTION_NAMES.to_vec()
    }

    /// Minutes per observation (W).
    #[getter]
    fn frames(&self) -> usize {
        self.market.frames()
    }

    /// `"SYNTHETIC"` for made-up bars, else `"market"`.
    #[getter]
    fn stamp(&self) -> &'static str {
        self.stamp.as_str()
    }

    /// Notes on the origin of the bars, one sentence each.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// The whole configuration.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.settings.to_dict(py)
    }

    /// The features of all minutes, float32 [T, F], read-only; a copy.
    #[getter]
    fn tape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        read_only(py, self.market.features(), self.market.feature_names().len())
    }

    /// Returns the minute of every row of `tape`: `day` (int64 [T], an index into `sessions()`) and `ts_ns` (int64 [T], the start
    /// of the minute, nanoseconds since 1970 in UTC). The W - 1 rows before a session's first repeat that one.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (mut day, mut ts_ns) = (vec![0_i64; self.tape_rows()], vec![0_i64; self.tape_rows()]);
        for (index, session) in self.market.days().iter().enumerate() {
            let rows = session.rows();
            for row in rows.start + 1 - self.market.frames()..rows.end {
                day[row] = index as i64;
                ts_ns[row] = session.bar_ns(row.saturating_sub(rows.start) as u32);
            }
        }
        let table = PyDict::new(py);
        table.set_item("day", PyArray1::from_vec(py, day))?;
        table.set_item("ts_ns", PyArray1::from_vec(py, ts_ns))?;
        Ok(table)
    }

    /// Returns one row per session as a dict of columns: `symbol`, `date`, `expiry`, `bars`, `open_ns`, `first_row`,
    /// `vix_at_open`.
    fn sessions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (days, table) = (self.market.days(), PyDict::new(py));
        table.set_item("symbol", days.iter().map(|day| day.symbol.to_string()).collect::<Vec<_>>())?;
        table.set_item("date", days.iter().map(|day| day.date.to_string()).collect::<Vec<_>>())?;
        table.set_item("expiry", days.iter().map(|day| day.expiry.to_string()).collect::<Vec<_>>())?;
        table.set_item("bars", PyArray1::from_vec(py, days.iter().map(|day| i64::from(day.bars)).collect()))?;
        table.set_item("open_ns", PyArray1::from_vec(py, days.iter().map(|day| day.open_ns).collect()))?;
        table
            .set_item("first_row", PyArray1::from_vec(py, days.iter().map(|day| day.rows().start as i64).collect()))?;
        table.set_item("vix_at_open", PyArray1::from_vec(py, days.iter().map(|day| day.vix_at_open).collect()))?;
        Ok(table)
    }

    /// Returns the first and the last date of `train`, `validation` and `test`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     Too few sessions for the three parts.
    fn split(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let Split { train, validation, test, .. } = self.parts()?;
        let table = PyDict::new(py);
        for (name, part) in [("train", train), ("validation", validation), ("test", test)] {
            table.set_item(name, (part.first.to_string(), part.last.to_string()))?;
        }
        Ok(table.unbind())
    }

    /// Returns the folds of a walk-forward test, whose parts move forward in time; the test parts follow each other without a gap.
    ///
    /// Parameters
    /// ----------
    /// train, validation, test : int
    ///     Session dates of each part; `test` is also the step to the next fold.
    /// purge : int
    ///     Dates left out between two parts.
    /// anchored : bool
    ///     Every training starts at the first date.
    ///
    /// Returns
    /// -------
    /// list of dict
    ///     `number`, the indices of sessions (int64) of `train`, `validation` and `test`, and `dates`, the first and the last date of
    ///     each.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     Fewer than three folds or 60 test dates, or a part without a date.
    #[pyo3(signature = (train=250, validation=40, test=20, *, purge=1, anchored=false))]
    fn folds<'py>(
        &self,
        py: Python<'py>,
        train: usize,
        validation: usize,
        test: usize,
        purge: usize,
        anchored: bool,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        if train.min(validation).min(test) == 0 {
            return Err(error::value("folds: train, validation and test need at least one date each"));
        }
        let folds = FoldSizes { train, validation, test, purge, anchored }.cut(&self.dates).map_err(error::data)?;
        let fold = |fold: &Fold| {
            let (table, dates) = (PyDict::new(py), PyDict::new(py));
            table.set_item("number", fold.number)?;
            for (name, part) in [("train", fold.train), ("validation", fold.validation), ("test", fold.test)] {
                let days = self.market.days_in(&part).into_iter().map(i64::from).collect();
                table.set_item(name, PyArray1::from_vec(py, days))?;
                dates.set_item(name, (part.first.to_string(), part.last.to_string()))?;
            }
            table.set_item("dates", dates)?;
            Ok(table)
        };
        folds.iter().map(fold).collect()
    }

    /// Returns the indices of sessions, int64: of `"train"`, `"validation"`, `"test"` or `"all"`, or of a sequence, which is
    /// checked.
    #[pyo3(name = "days", signature = (part="all"))]
    fn days_named<'py>(&self, py: Python<'py>, part: &str) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let days = self.part(part)?;
        Ok(PyArray1::from_vec(py, days.into_iter().map(i64::from).collect()))
    }

    /// Pickles a market of the generator as its configuration, from which a worker builds it again.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Recipe<'py>)> {
        if !self.rebuildable {
            return Err(PyTypeError::new_err(
                "a market of the user's own bars or columns cannot be pickled: build it in the worker, or fork",
            ));
        }
        let rebuild = py.import(intern!(py, "zerodte._market"))?.getattr(intern!(py, "rebuild"))?;
        Ok((rebuild, (self.symbols.clone(), self.settings.to_dict(py)?)))
    }

    fn __len__(&self) -> usize {
        self.market.days().len()
    }

    fn __repr__(&self) -> String {
        let (days, symbols) = (self.market.days(), self.symbols.join(", "));
        let (first, last) = (self.dates[0], self.dates[self.dates.len() - 1]);
        format!("Market({symbols}: {} sessions, {first} to {last}, {})", days.len(), self.stamp)
    }
}

impl PyMarket {
    fn of_columns(
        py: Python<'_>,
        given: Given,
        asked: Asked,
        known: impl FnOnce(History) -> PyResult<History> + Send,
    ) -> PyResult<Self> {
        let Asked { settings, window } = asked;
        py.detach(|| {
            threads::pool(0)?.install(|| {
                let Given { bars, vix1d, vix, vix_daily } = given;
                let volatility = GivenVolatility { vix1d, vix, vix_daily };
                let history = columns::history(bars, volatility, &settings.data.bar_format()).map_err(error::data)?;
                Self::build(&known(history)?.with_cross(&settings.market.cross), &window, settings)
            })
        })
    }

    fn build(history: &History, window: &Window, settings: Settings) -> PyResult<Self> {
        let dataset = Dataset::build(history, window, &settings.data).map_err(error::data)?;
        // Made-up bars have made-up contracts.
        let listed_only = settings.market.listed_only && !dataset.synthetic;
        let config = MarketConfig { listed_only, ..settings.market.clone() };
        let market = Arc::new(Market::build(&dataset.symbols, &config).map_err(error::env)?);
        let mut notes = dataset.notes;
        for symbol in &dataset.symbols {
            notes.push(symbol.volatility_report());
            notes.extend(symbol.history_report());
        }
        Ok(Self {
            market,
            settings,
            stamp: DataStamp::of(dataset.synthetic),
            symbols: history.bars.iter().map(|bars| bars.symbol().to_string()).collect(),
            dates: dataset.dates,
            notes,
            rebuildable: dataset.synthetic,
        })
    }

    fn tape_rows(&self) -> usize {
        self.market.features().len() / self.market.feature_names().len()
    }

    pub(crate) fn parts(&self) -> PyResult<Split> {
        split(&self.dates, &self.settings.data.split).map_err(error::data)
    }

    pub(crate) fn part(&self, name: &str) -> PyResult<Vec<u32>> {
        let in_range = |range: &DateRange| self.market.days_in(range);
        match name {
            "all" => Ok((0..self.market.days().len() as u32).collect()),
            "train" => Ok(in_range(&self.parts()?.train)),
            "validation" => Ok(in_range(&self.parts()?.validation)),
            "test" => Ok(in_range(&self.parts()?.test)),
            _ => Err(error::value(format!("days: {name:?} is none of train, validation, test and all"))),
        }
    }

    /// Returns the sessions that the argument `days` of Python names.
    ///
    /// # Errors
    /// `ValueError` for another word, a part of too few sessions, and an index that does not exist.
    pub(crate) fn days(&self, named: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        if let Ok(name) = named.extract::<String>() {
            return self.part(&name);
        }
        let indices: Vec<i64> =
            named.call_method0(intern!(named.py(), "tolist")).unwrap_or_else(|_| named.clone()).extract().map_err(
                |_| error::value("days: train, validation, test, all, or a sequence of whole numbers is needed"),
            )?;
        let count = self.market.days().len();
        let index = |day: i64| u32::try_from(day).ok().filter(|&index| (index as usize) < count);
        let found = |&day: &i64| {
            index(day).ok_or_else(|| error::value(format!("days: {day} is no index of the {count} sessions")))
        };
        indices.iter().map(found).collect()
    }
}

/// Configuration and dates that a caller asks for.
struct Asked {
    settings: Settings,
    window: Window,
}

impl Asked {
    fn of(
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        days: Option<u32>,
        config: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let settings = Settings::default().with(config)?;
        Ok(Self { settings, window: Window { from: date(start)?, to: date(end)?, intraday_days: days } })
    }
}

/// Returns the session of a date.
///
/// # Errors
/// `ValueError` for a weekend, a holiday, and another text than a date.
pub(crate) fn session_on(given: &Bound<'_, PyAny>) -> PyResult<calendar::Session> {
    let found = date(Some(given))?.and_then(calendar::session);
    found.ok_or_else(|| error::value(format!("{given} is no date with a session: a weekend or a holiday")))
}

/// Returns the names of the further columns of the bars that the configuration observes.
fn own_columns(settings: &Settings) -> Vec<String> {
    settings.data.bar_format().own.into_iter().collect()
}

/// Reads a date of Python, or a text such as 2025-06-30.
fn date(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Date>> {
    let Some(given) = given else { return Ok(None) };
    let text = given.str()?.to_string();
    let day = text.get(..10).unwrap_or(&text);
    day.parse().map(Some).map_err(|_| error::value(format!("{text:?} is not a date such as 2025-06-30")))
}
