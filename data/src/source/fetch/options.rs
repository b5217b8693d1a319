//! Minute bars of the options around the money: which contracts a day needs follows from what the underlying did.

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

/// What is missing of the options on one underlying.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionPlan {
    /// The contracts to ask for, by date, ascending.
    pub days: Vec<(Date, Vec<Contract>)>,
    /// Contracts that were asked for before.
    pub complete: usize,
    /// Calls that it takes.
    pub calls: usize,
    /// Dates without bars of the underlying, so that nobody knows where the money was.
    pub without_spot: Vec<Date>,
}

impl Fetcher<'_> {
    /// Finds out which same-day contracts within `around` strikes of the underlying's range of each day are missing. The
    /// underlying's minute bars have to be in the cache. Asks nobody.
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
        let bars: Vec<Row> = self.shelf(underlying).rows(dates)?;
        let mut ranges: BTreeMap<Date, (f64, f64)> = BTreeMap::new();
        for row in &bars {
            let range = ranges.entry(calendar::exchange_date(row.ts_ns)).or_insert((row.low, row.high));
            *range = (range.0.min(row.low), range.1.max(row.high));
        }
        let there = self.option_shelf(underlying).sessions(dates)?;
        let mut plan = OptionPlan::default();
        for session in calendar::sessions(dates.first, dates.last) {
            let Some(&(low, high)) = ranges.get(&session.date) else {
                plan.without_spot.push(session.date);
                continue;
            };
            let asked = there.get(&session.date).map(|record| &record.contracts);
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

    /// Fetches what [`Self::plan_options`] finds missing, and stores it call by call, or some calls at a time where the plan
    /// has no limit. Returns the minutes stored. Days that the plan refuses are noted and left out.
    ///
    /// # Errors
    /// What the vendor garbles or refuses altogether, or a cache that cannot be written. What was stored before stays.
    pub fn fetch_options(
        &self,
        vendor: &dyn OptionVendor,
        underlying: &Symbol,
        dates: DateRange,
        around: u32,
        planned: &mut dyn FnMut(&OptionPlan),
    ) -> Result<usize, VendorError> {
        let shelf = self.option_shelf(underlying);
        let _locks = lock(std::iter::once(&shelf), self.progress)?;
        let plan = self.plan_options(vendor, underlying, dates, around)?;
        planned(&plan);
        let (mut stored, mut refused) = (0, Vec::new());
        // The latest day first: what is refused as too old is refused for all that is older.
        'days: for (date, contracts) in plan.days.iter().rev() {
            for group in contracts.chunks(vendor.batch().saturating_mul(vendor.parallel())) {
                match self.store_options(vendor, &shelf, *date, group) {
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

    fn option_shelf(&self, underlying: &Symbol) -> CachedSeries {
        // No option is ever restated for a split: its contract is.
        self.cache.shelf(self.vendor.name(), Adjustment::Raw, Kind::Options, underlying)
    }

    /// Asks for some contracts of one day, in as many calls at once as the vendor bears, and adds them to what is there.
    fn store_options(
        &self,
        vendor: &dyn OptionVendor,
        shelf: &CachedSeries,
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
        let mut rows: Vec<OptionRow> = shelf.rows(day)?;
        let mut record = shelf.sessions(day)?.remove(&date).unwrap_or_default();
        let before = rows.len();
        let mut fault = None;
        for (batch, answer) in answers {
            let minutes = match answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(minutes) => minutes,
                // What the other calls brought is kept.
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
        shelf.store(vec![(date, record, rows)])?;
        fault.map_or(Ok(added), Err)
    }

    /// Returns the checked rows of the contract at one place of a list.
    fn option_rows(
        &self,
        contract: &Contract,
        minutes: &OptionMinutes,
        place: usize,
    ) -> Result<Vec<OptionRow>, VendorError> {
        let of_it: Vec<Row> = minutes.rows.iter().filter(|(of, _)| *of == place).map(|(_, row)| *row).collect();
        let mut checked = Rows::default();
        checked.add(&of_it, false).map_err(|said| VendorError::BadRow {
            vendor: self.vendor.name(),
            what: format!("minute bars of {contract}"),
            said,
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
