//! Minute bars of the options around the money; the contracts of a day follow from the price range of the underlying.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};

use super::{
    Fetcher,
    download::{lock, until},
    last_final,
};
use crate::{
    DateRange, Symbol, calendar,
    source::{
        cache::{CachedSeries, Kind, OptionRow},
        vendor::{Adjustment, Contract, OptionMinutes, OptionVendor, Refusal, Row, Rows, VendorError, grid},
    },
};

/// Missing option bars of one underlying.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionPlan {
    /// The contracts to request, by date, ascending.
    pub days: Vec<(Date, Vec<Contract>)>,
    /// Contracts that were requested before.
    pub complete: usize,
    /// Number of calls.
    pub calls: usize,
    /// Dates without bars of the underlying, so that the strikes are unknown.
    pub without_spot: Vec<Date>,
}

impl Fetcher<'_> {
    /// Returns the missing same-day contracts within `around` strikes of the underlying's range of each day. The underlying's
    /// minute bars have to be in the cache. Makes no request.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn plan_options(
        &self,
        vendor: &dyn OptionVendor,
        underlying: &Symbol,
        dates: DateRange,
        around: u32,
    ) -> Result<OptionPlan, VendorError> {
        let Some(last) = last_final(self.clock.now_ms()) else { return Ok(OptionPlan::default()) };
        let dates = until(dates, last);
        let bars: Vec<Row> = self.series(underlying).rows(dates)?;
        let mut ranges: BTreeMap<Date, (f64, f64)> = BTreeMap::new();
        for row in &bars {
            let range = ranges.entry(calendar::exchange_date(row.ts_ns)).or_insert((row.low, row.high));
            *range = (range.0.min(row.low), range.1.max(row.high));
        }
        let cached = self.option_series(underlying).sessions(dates)?;
        let mut plan = OptionPlan::default();
        for session in calendar::sessions(dates.first, dates.last) {
            let Some(&(low, high)) = ranges.get(&session.date) else {
                plan.without_spot.push(session.date);
                continue;
            };
            let asked = cached.get(&session.date).map(|record| &record.contracts);
            let contracts = grid(underlying, session.date, low, high, around);
            let known = |contract: &Contract| asked.is_some_and(|asked| asked.contains(&contract.to_string()));
            let (known, missing): (Vec<_>, Vec<_>) = contracts.into_iter().partition(known);
            plan.complete += known.len();
            plan.calls += missing.len().div_ceil(vendor.batch());
            if !missing.is_empty() {
                plan.days.push((session.date, missing));
            }
        }
        Ok(plan)
    }

    /// Fetches the contracts of [`Self::plan_options`] and stores them after each call, or after several concurrent calls if
    /// the plan has no limit. Returns the number of minutes stored. Days that the plan refuses are left out, with a note.
    ///
    /// # Errors
    /// Other refusals, malformed responses, or a cache that cannot be written. Bars stored before the error remain.
    pub fn fetch_options(
        &self,
        vendor: &dyn OptionVendor,
        underlying: &Symbol,
        dates: DateRange,
        around: u32,
        planned: &mut dyn FnMut(&OptionPlan),
    ) -> Result<usize, VendorError> {
        let series = self.option_series(underlying);
        if !self.plan_options(vendor, underlying, dates, around)?.days.is_empty() {
            // Before a lock creates the folder.
            vendor.check_key()?;
        }
        let _locks = lock(std::iter::once(&series), self.progress)?;
        let plan = self.plan_options(vendor, underlying, dates, around)?;
        planned(&plan);
        let (mut stored, mut refused) = (0, Vec::new());
        // The latest day comes first: after a refusal as too old, all older days are refused as well.
        'days: for (date, contracts) in plan.days.iter().rev() {
            for group in contracts.chunks(vendor.batch().saturating_mul(vendor.parallel())) {
                match self.store_options(vendor, &series, *date, group) {
                    Ok(minutes) => stored += minutes,
                    Err(error) => match error.refusal() {
                        Some(Refusal::Today) => {
                            refused.push(*date);
                            continue 'days;
                        }
                        Some(Refusal::Timeframe) => {
                            refused.extend(plan.days.iter().map(|(day, _)| *day).filter(|day| day <= date));
                            break 'days;
                        }
                        _ => return Err(error),
                    },
                }
                if self.progress.stopped() {
                    return Err(VendorError::Stopped);
                }
            }
        }
        if let (Some(first), Some(last)) = (refused.iter().min(), refused.iter().max()) {
            let count = refused.len();
            self.progress.note(format!(
                "options on {underlying}: the plan of this key refuses {count} days from {first} to {last}"
            ));
        }
        Ok(stored)
    }

    fn option_series(&self, underlying: &Symbol) -> CachedSeries {
        // Option prices are never restated for a split; the contract is adjusted instead.
        self.cache.series(self.vendor.name(), Adjustment::Raw, Kind::Options, underlying)
    }

    /// Requests some contracts of one day, in as many concurrent calls as the vendor allows, and adds them to the cache.
    fn store_options(
        &self,
        vendor: &dyn OptionVendor,
        series: &CachedSeries,
        date: Date,
        contracts: &[Contract],
    ) -> Result<usize, VendorError> {
        let ask = |batch| vendor.option_minutes(batch, date);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let calls: Vec<_> =
                contracts.chunks(vendor.batch()).map(|batch| (batch, scope.spawn(move || ask(batch)))).collect();
            calls.into_iter().map(|(batch, call)| (batch, call.join())).collect()
        });
        let day = DateRange { first: date, last: date };
        let mut rows: Vec<OptionRow> = series.rows(day)?;
        let mut record = series.sessions(day)?.remove(&date).unwrap_or_default();
        let before = rows.len();
        let mut fault = None;
        for (batch, answer) in answers {
            let minutes = match answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(minutes) => minutes,
                // The results of the other calls are stored.
                Err(error) => {
                    fault.get_or_insert(error);
                    continue;
                }
            };
            for (at, contract) in batch.iter().enumerate() {
                rows.extend(self.option_rows(contract, &minutes, at)?);
            }
            record.bodies.extend(minutes.bodies);
            record.contracts.extend(batch.iter().map(ToString::to_string));
        }
        record.fetched = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let added = rows.len() - before;
        series.store(vec![(date, record, rows)])?;
        fault.map_or(Ok(added), Err)
    }

    /// Returns the checked rows of the contract at index `place` of the request.
    fn option_rows(
        &self,
        contract: &Contract,
        minutes: &OptionMinutes,
        place: usize,
    ) -> Result<Vec<OptionRow>, VendorError> {
        let of_it: Vec<Row> = minutes.rows.iter().filter(|(of, _)| *of == place).map(|(_, row)| *row).collect();
        let mut checked = Rows::default();
        checked.add(&of_it, false).map_err(|message| VendorError::BadRow {
            vendor: self.vendor.name(),
            what: format!("minute bars of {contract}"),
            message,
        })?;
        let option = |row| OptionRow {
            underlying: contract.underlying.to_string(),
            expiry: contract.expiry,
            strike: contract.strike,
            right: contract.right,
            row,
        };
        Ok(checked.kept.into_iter().map(option).collect())
    }
}
