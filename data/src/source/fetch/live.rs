//! Bars of a session in progress, which a cache does not hold: they are requested as a whole every time.

use jiff::civil::Date;

use super::{Fetcher, last_final};
use crate::{
    BarColumns, Bars, DataError, DateRange, History, Symbol,
    calendar::{self, MINUTE_NS},
    source::{
        cache::Kind,
        vendor::{Rows, VendorError},
    },
};

impl Fetcher<'_> {
    /// Returns a history with the bars of a session in progress that have ended since its newest bar, and with the minutes of VIX1D
    /// and VIX where the cache holds earlier sessions of them. Bars that the history holds stay as they are. A session that is final
    /// changes nothing: the cache has it.
    ///
    /// # Errors
    /// Refused requests and malformed responses.
    pub fn with_session_so_far(&self, known: &History, date: Date) -> Result<History, VendorError> {
        let mut history = known.clone();
        if last_final(self.clock.now_ms()).is_some_and(|last| date <= last) {
            return Ok(history);
        }
        for bars in &mut history.bars {
            let newest = bars.ts_ns().last().copied();
            let later = self.session_so_far(bars.symbol(), date, newest)?;
            *bars = bars.followed_by(&later).unwrap_or_else(|| bars.clone());
        }
        let index = |name: &str| {
            let symbol = Symbol::new(name).map_err(DataError::from)?;
            let series = self.cache.series(self.vendor.name(), self.vendor.adjustment(), Kind::Minute, &symbol);
            let cached = series.span()?.is_some() && !known.bars.iter().any(|bars| *bars.symbol() == symbol);
            cached.then(|| self.session_so_far(&symbol, date, None)).transpose()
        };
        let (vix1d, vix) = (index("VIX1D")?, index("VIX")?);
        history.volatility = history.volatility.followed_by(vix1d.as_ref(), vix.as_ref());
        Ok(history)
    }

    /// Returns the bars of a session after `newest`, up to the last minute that has ended. The cache is neither read nor written.
    fn session_so_far(&self, symbol: &Symbol, date: Date, newest: Option<i64>) -> Result<Bars, VendorError> {
        let (dates, mut rows) = (DateRange { first: date, last: date }, Rows::default());
        let span = calendar::span_ns(dates);
        self.vendor.minute_bars(symbol, dates, &mut |mut page| {
            page.rows.retain(|row| span.contains(&row.ts_ns));
            rows.add(&page.rows, false).map_err(|message| VendorError::BadRow {
                vendor: self.vendor.name(),
                what: format!("minute bars of {symbol} of {date}"),
                message,
            })
        })?;
        let now_ns = self.clock.now_ms().saturating_mul(1_000_000);
        rows.kept.retain(|row| Some(row.ts_ns) > newest && row.ts_ns + MINUTE_NS <= now_ns);
        let mut columns = BarColumns::default();
        columns.extend(&rows.kept);
        Ok(Bars::new(symbol.clone(), &format!("bars of {symbol} from {}", self.vendor.name()), columns)?)
    }
}
