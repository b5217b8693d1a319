//! Bars that the caller holds as columns, such as those of a data frame, under the checks of files.

use jiff::civil::Date;

use super::{
    check_symbols,
    files::trust::{Check, Trust},
};
use crate::{
    BarColumns, BarFormat, Bars, DailySeries, DataError, History, Symbol, Volatility, Zone,
    bar_format::clock_time,
    calendar::MINUTE_NS,
    columns::{ColumnInputs, KnownRow, KnownSeries, Validity},
};

/// Minute bars of one symbol as columns, before zone and stamp are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenBars {
    /// The symbol.
    pub symbol: Symbol,
    /// The name that errors give the columns, such as `bars["SPY"]` or a file.
    pub origin: String,
    /// The columns. Times are nanoseconds since 1970: instants in UTC, or the readings of a clock.
    pub columns: BarColumns,
    /// True if the times are instants, false if they are the readings of a clock in the zone of the format, or in UTC.
    pub states_zone: bool,
    /// Further columns by name, one value per bar, known at its end; NaN is no news.
    pub own: Vec<(String, Vec<f64>)>,
}

/// Daily closes of VIX as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenCloses {
    /// The name that errors give the columns.
    pub origin: String,
    /// Dates, strictly ascending.
    pub date: Vec<Date>,
    /// Closes in points.
    pub close: Vec<f64>,
}

/// Indices of volatility as columns; without them volatility is that of the symbol's own closes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenVolatility {
    /// VIX1D by the minute.
    pub vix1d: Option<GivenBars>,
    /// VIX by the minute.
    pub vix: Option<GivenBars>,
    /// VIX by the day.
    pub vix_daily: Option<GivenCloses>,
}

/// Checks bars and volatility as those of files are checked, and returns them as a history.
///
/// ```
/// use market_data::{BarColumns, BarFormat, Symbol};
/// use market_data::source::columns::{GivenBars, GivenVolatility, history};
///
/// let columns = BarColumns {
///     ts_ns: vec![1_733_495_400_000_000_000, 1_733_495_460_000_000_000],
///     open: vec![607.50, 607.62],
///     high: vec![607.70, 607.75],
///     low: vec![607.41, 607.55],
///     close: vec![607.62, 607.60],
///     volume: vec![120_000.0, 80_000.0],
/// };
/// let given = GivenBars { symbol: Symbol::new("SPY")?, origin: "two minutes".into(), columns, states_zone: true, own: vec![] };
/// let history = history(vec![given.clone()], GivenVolatility::default(), &BarFormat::default())?;
/// assert_eq!((history.bars[0].len(), history.synthetic), (2, false));
///
/// let mut swapped = given;
/// swapped.columns.ts_ns.reverse();
/// let error = market_data::source::columns::history(vec![swapped], GivenVolatility::default(), &BarFormat::default());
/// assert!(error.unwrap_err().to_string().starts_with("two minutes: row 2, column timestamp"));
/// # Ok::<(), market_data::DataError>(())
/// ```
///
/// # Errors
/// A symbol that stands twice, a bad row, times that contradict the exchange's day, prices off by a factor; the message names
/// origin, row and column.
pub fn history(bars: Vec<GivenBars>, volatility: GivenVolatility, format: &BarFormat) -> Result<History, DataError> {
    let symbols: Vec<Symbol> = bars.iter().map(|given| given.symbol.clone()).collect();
    check_symbols(&symbols)?;
    let mut trust = Trust::new(format.clone());
    let mut series = Vec::new();
    let mut with_own = |mut given: GivenBars| {
        let own = std::mem::take(&mut given.own);
        let bars = trusted(given, format, &mut trust, Trust::bars)?;
        for (name, values) in own {
            series.push(of_bars(&bars, name, values)?);
        }
        Ok::<_, DataError>(bars)
    };
    let bars = bars.into_iter().map(&mut with_own).collect::<Result<Vec<_>, _>>()?;
    let GivenVolatility { vix1d, vix, vix_daily } = volatility;
    let mut index = |given: Option<GivenBars>| given.map(|given| trusted(given, format, &mut trust, Trust::index));
    let (vix1d, vix) = (index(vix1d).transpose()?, index(vix).transpose()?);
    let vix_daily = vix_daily.map(|given| trusted_closes(given, &mut trust)).transpose()?;
    let volatility = Volatility::new(vix1d.as_ref(), vix.as_ref(), vix_daily);
    let columns = ColumnInputs { series, cross: Vec::new() };
    Ok(History { bars, volatility, files: Vec::new(), synthetic: false, notes: trust.into_notes(), columns })
}

/// Returns a further column of bars, whose values are known at the ends of their bars.
fn of_bars(bars: &Bars, name: String, values: Vec<f64>) -> Result<KnownSeries, DataError> {
    if values.len() != bars.len() {
        let fault = format!("it has {} values for {} bars", values.len(), bars.len());
        return Err(DataError::ColumnRow { path: bars.origin().to_owned(), row: values.len(), column: name, fault });
    }
    let row = |(&event_ns, value)| KnownRow { event_ns, known_ns: event_ns + MINUTE_NS, value };
    let rows = bars.ts_ns().iter().zip(values).map(row).collect();
    KnownSeries::new(name, Some(bars.symbol().clone()), bars.origin(), Validity::Session, rows)
}

fn trusted(given: GivenBars, format: &BarFormat, trust: &mut Trust, check: Check) -> Result<Bars, DataError> {
    let (bars, states_zone) = checked(given, format)?;
    check(trust, bars.origin(), &bars, states_zone)?;
    Ok(bars)
}

fn trusted_closes(given: GivenCloses, trust: &mut Trust) -> Result<DailySeries, DataError> {
    let GivenCloses { origin, date, close } = given;
    let series = DailySeries::new(&origin, date, close)?;
    trust.closes(&origin, &series)?;
    Ok(series)
}

/// Applies zone and stamp of the format, and checks every row.
fn checked(given: GivenBars, format: &BarFormat) -> Result<(Bars, bool), DataError> {
    let GivenBars { symbol, origin, mut columns, states_zone, own: _ } = given;
    if let Some(zone) = format.zone.as_ref().filter(|_| !states_zone) {
        columns.ts_ns = in_utc(&origin, zone, &columns.ts_ns)?;
    }
    format.stamp.to_starts(&mut columns.ts_ns);
    Ok((Bars::new(symbol, &origin, columns)?, states_zone))
}

fn in_utc(origin: &str, zone: &Zone, clock: &[i64]) -> Result<Vec<i64>, DataError> {
    zone.to_utc(clock).map_err(|fault| DataError::ClockTime {
        path: origin.to_owned(),
        row: fault.at + 1,
        time: clock_time(clock[fault.at]).to_string(),
        times: fault.times,
        zone: zone.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::synthetic::{SyntheticConfig, generate};

    fn given(states_zone: bool, shift_hours: i64) -> GivenBars {
        let to = "2024-01-12".parse().unwrap();
        let config = SyntheticConfig { sessions_to: to, ..SyntheticConfig::default() };
        let symbol = Symbol::new("SPY").unwrap();
        let bars = generate(&config, std::slice::from_ref(&symbol)).unwrap().bars.remove(0);
        let mut columns = bars.into_columns();
        columns.ts_ns.iter_mut().for_each(|ns| *ns += shift_hours * 3_600_000_000_000);
        GivenBars { symbol, origin: "bars[\"SPY\"]".to_owned(), columns, states_zone, own: Vec::new() }
    }

    fn read(given: GivenBars, format: &BarFormat) -> Result<History, DataError> {
        history(vec![given], GivenVolatility::default(), format)
    }

    #[test]
    fn readings_of_a_clock_become_instants_in_its_zone() {
        let instants = read(given(true, 0), &BarFormat::default()).unwrap();
        let new_york = BarFormat { zone: Zone::new("America/New_York").ok(), ..BarFormat::default() };
        let on_clock = read(given(false, -5), &new_york).unwrap();
        assert_eq!(on_clock.bars[0].ts_ns(), instants.bars[0].ts_ns(), "New York is five hours behind in January");
        assert_eq!(read(given(true, 0), &new_york).unwrap().bars[0].ts_ns(), instants.bars[0].ts_ns());
    }

    #[test]
    fn columns_are_checked_like_files_and_doubts_can_be_allowed() {
        let message = read(given(false, -5), &BarFormat::default()).unwrap_err().to_string();
        assert!(message.starts_with("bars[\"SPY\"]: its times have no zone and were read as UTC"), "{message}");
        let allowed = BarFormat { allow_suspicious: true, ..BarFormat::default() };
        let notes = read(given(false, -5), &allowed).unwrap().notes;
        assert!(notes[0].starts_with("bars[\"SPY\"] is read as data.allow_suspicious wants it"), "{notes:?}");
        let twice = history(vec![given(true, 0), given(true, 0)], GivenVolatility::default(), &allowed);
        assert!(matches!(twice, Err(DataError::DuplicateSymbol { .. })));
    }

    #[test]
    fn an_index_in_the_wrong_unit_is_refused() {
        let daily = |close: f64| GivenCloses {
            origin: "vix_daily".to_owned(),
            date: vec!["2024-01-02".parse().unwrap()],
            close: vec![close],
        };
        let with = |close| GivenVolatility { vix_daily: Some(daily(close)), ..GivenVolatility::default() };
        let read = |close| history(vec![given(true, 0)], with(close), &BarFormat::default());
        assert!(!read(16.5).unwrap().volatility.is_empty());
        assert!(read(0.165).unwrap_err().to_string().starts_with("vix_daily: row 1: close 0.165 lies outside"));
    }
}
