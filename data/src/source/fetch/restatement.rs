//! Where new sessions meet those of the cache: prices that were restated in between must not stand beside the old ones.

use jiff::civil::Date;

use super::Fetcher;
use crate::{
    DateRange, Symbol, calendar,
    source::{
        cache::CachedSeries,
        vendor::{Adjustment, Row, Rows, VendorError},
    },
};

/// A step over night that is looked into; splits begin at five for four.
const STEP: f64 = 1.15;
/// By how much the same minutes may differ before they are thought to be restated.
const RESTATED: f64 = 0.005;

impl Fetcher<'_> {
    /// Looks at both ends of new sessions: where a price steps as a split would make it, the neighbour that is in the cache is
    /// asked for again and compared.
    pub(super) fn check_joints(&self, symbol: &Symbol, shelf: &CachedSeries, rows: &[Row]) -> Result<(), VendorError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        if self.vendor.adjustment() == Adjustment::Raw {
            return Ok(());
        }
        let (from, to) = (calendar::exchange_date(first.ts_ns), calendar::exchange_date(last.ts_ns));
        let there = shelf.sessions(DateRange { first: Date::MIN, last: Date::MAX })?;
        let kept = || there.iter().filter(|(_, record)| record.rows > 0).map(|(date, _)| *date);
        // The nearest ones, however far: there may be a hole in between.
        let (before, after) = (kept().rfind(|date| *date < from), kept().find(|date| *date > to));
        for (date, price) in [(before, first.open), (after, last.close)] {
            let Some(date) = date else { continue };
            let kept: Vec<Row> = shelf.rows(DateRange { first: date, last: date })?;
            let near = if date < from { kept.last().map(|row| row.close) } else { kept.first().map(|row| row.open) };
            if near.is_some_and(|near| (price / near).max(near / price) > STEP) {
                self.compare(symbol, shelf, date, &kept)?;
            }
        }
        Ok(())
    }

    fn compare(&self, symbol: &Symbol, shelf: &CachedSeries, date: Date, kept: &[Row]) -> Result<(), VendorError> {
        let mut rows = Rows::default();
        let asked = self.vendor.minute_bars(symbol, DateRange { first: date, last: date }, &mut |page| {
            rows.add(&page.rows, true).map_err(|said| VendorError::BadRow {
                vendor: self.vendor.name(),
                what: format!("minute bars of {symbol} on {date}"),
                said,
            })
        });
        match asked {
            Err(error) if error.refusal().is_some() => {
                let text = "could not be asked for again to see whether prices were restated";
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
                folder: shelf.folder().to_owned(),
            }),
        }
    }
}

/// Returns by which factor the prices of the same minutes differ, if they do.
fn restated(kept: &[Row], new: &[Row]) -> Option<f64> {
    let price =
        |row: &Row| new.binary_search_by_key(&row.ts_ns, |row| row.ts_ns).ok().map(|at| new[at].close / row.close);
    let mut ratios: Vec<f64> = kept.iter().filter_map(price).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().filter(|ratio| (ratio - 1.0).abs() > RESTATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_the_same_minutes_tell_a_restatement() {
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
