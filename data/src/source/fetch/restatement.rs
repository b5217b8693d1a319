//! Detection of restated prices: new sessions must not be mixed with cached ones of another adjustment.

use jiff::civil::Date;

use super::Fetcher;
use crate::{
    DateRange, Symbol, calendar,
    source::{
        cache::CachedSeries,
        vendor::{Adjustment, Row, Rows, VendorError},
    },
};

/// Overnight price ratio above which the cached session is compared; the smallest splits are five for four.
const SUSPICIOUS_STEP: f64 = 1.15;
/// Relative difference of the same minutes above which prices count as restated.
const RESTATEMENT_TOLERANCE: f64 = 0.005;

impl Fetcher<'_> {
    /// Checks both ends of new sessions. If the price steps as after a split, the neighbouring cached session is fetched again
    /// and compared.
    pub(super) fn check_restatement(
        &self,
        symbol: &Symbol,
        series: &CachedSeries,
        rows: &[Row],
    ) -> Result<(), VendorError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        if self.vendor.adjustment() == Adjustment::Raw {
            return Ok(());
        }
        let (from, to) = (calendar::exchange_date(first.ts_ns), calendar::exchange_date(last.ts_ns));
        let cached = series.sessions(DateRange { first: Date::MIN, last: Date::MAX })?;
        let kept = || cached.iter().filter(|(_, record)| record.rows > 0).map(|(date, _)| *date);
        // The nearest cached sessions, whatever the gap.
        let (before, after) = (kept().rfind(|date| *date < from), kept().find(|date| *date > to));
        for (date, price) in [(before, first.open), (after, last.close)] {
            let Some(date) = date else { continue };
            let kept: Vec<Row> = series.rows(DateRange { first: date, last: date })?;
            let near = if date < from { kept.last().map(|row| row.close) } else { kept.first().map(|row| row.open) };
            if near.is_some_and(|near| (price / near).max(near / price) > SUSPICIOUS_STEP) {
                self.compare(symbol, series, date, &kept)?;
            }
        }
        Ok(())
    }

    fn compare(&self, symbol: &Symbol, series: &CachedSeries, date: Date, kept: &[Row]) -> Result<(), VendorError> {
        let mut rows = Rows::default();
        let asked = self.vendor.minute_bars(symbol, DateRange { first: date, last: date }, &mut |page| {
            rows.add(&page.rows, true).map_err(|message| VendorError::BadRow {
                vendor: self.vendor.name(),
                what: format!("minute bars of {symbol} on {date}"),
                message,
            })
        });
        match asked {
            Err(error) if error.refusal().is_some() => {
                let text = "could not be fetched again to check for restated prices";
                self.progress.note(format!("{symbol}: the bars of {date} {text}: {error}"));
                return Ok(());
            }
            asked => asked?,
        }
        match restated(kept, &rows.kept) {
            None => Ok(()),
            Some(ratio) => Err(VendorError::Restated {
                vendor: self.vendor.name(),
                symbol: symbol.clone(),
                date,
                ratio,
                folder: series.folder().to_owned(),
            }),
        }
    }
}

/// Returns the median price ratio of the same minutes, new over cached, if it differs from one.
fn restated(kept: &[Row], new: &[Row]) -> Option<f64> {
    let price =
        |row: &Row| new.binary_search_by_key(&row.ts_ns, |row| row.ts_ns).ok().map(|at| new[at].close / row.close);
    let mut ratios: Vec<f64> = kept.iter().filter_map(price).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().filter(|ratio| (ratio - 1.0).abs() > RESTATEMENT_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restatement_shows_in_prices_of_the_same_minutes() {
        let rows = |scale: f64| -> Vec<Row> {
            let row = |at: i64| {
                let price = scale * (100.0 + at as f64);
                Row {
                    ts_ns: at,
                    open: price,
                    high: price,
                    low: price,
                    close: price,
                    volume: None,
                    vwap: None,
                    trades: None,
                }
            };
            (0..9).map(row).collect()
        };
        assert_eq!(restated(&rows(1.0), &rows(1.0)), None);
        assert_eq!(restated(&rows(1.0), &rows(1.001)), None, "a correction");
        assert_eq!(restated(&rows(1.0), &rows(0.25)), Some(0.25));
        assert_eq!(restated(&rows(1.0), &[]), None);
    }
}
