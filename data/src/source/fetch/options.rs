//! Minute bars of the options around the money: which contracts a day needs follows from what the underlying did.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};

use super::{
    last_final,
    run::{lock, until},
};
use crate::{
    DateRange, Symbol,
    source::{
        cache::{Cache, Kind, OptionRow, SessionRecord, Shelf},
        vendor::{Adjustment, Clock, Contract, OptionVendor, Progress, Row, Rows, VendorError, grid},
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

/// Finds out which same-day contracts within `around` strikes of the underlying's range of each day are missing. The
/// underlying's minute bars have to be in the cache. Asks nobody.
///
/// # Errors
/// A cache that cannot be read.
pub fn plan_options(
    vendor: &dyn OptionVendor,
    cache: &Cache,
    underlying: &Symbol,
    dates: DateRange,
    around: u32,
    now_ms: i64,
) -> Result<OptionPlan, VendorError> {
    let Some(last) = last_final(now_ms) else { return Ok(OptionPlan::default()) };
    let dates = until(dates, last);
    let bars: Vec<Row> = cache.shelf(vendor.name(), vendor.adjustment(), Kind::Minute, underlying).rows(dates)?;
    let mut ranges: BTreeMap<Date, (f64, f64)> = BTreeMap::new();
    for row in &bars {
        let range = ranges.entry(crate::calendar::exchange_date(row.ts_ns)).or_insert((row.low, row.high));
        *range = (range.0.min(row.low), range.1.max(row.high));
    }
    let there = shelf(vendor, cache, underlying).sessions(dates)?;
    let mut plan = OptionPlan::default();
    for session in crate::calendar::sessions(dates.first, dates.last) {
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

/// Fetches what [`plan_options`] finds missing, and stores it call by call. Returns the minutes stored.
///
/// # Errors
/// What the vendor refuses or garbles, or a cache that cannot be written. What was stored before stays.
#[expect(clippy::too_many_arguments, reason = "a fetch has a vendor, a cache, a question and three helpers")]
pub fn fetch_options(
    vendor: &dyn OptionVendor,
    cache: &Cache,
    underlying: &Symbol,
    dates: DateRange,
    around: u32,
    clock: &dyn Clock,
    progress: &dyn Progress,
    planned: &mut dyn FnMut(&OptionPlan),
) -> Result<usize, VendorError> {
    let shelf = shelf(vendor, cache, underlying);
    let _locks = lock(std::iter::once(&shelf), progress)?;
    let plan = plan_options(vendor, cache, underlying, dates, around, clock.now_ms())?;
    planned(&plan);
    let mut stored = 0;
    for (date, contracts) in plan.days {
        for batch in contracts.chunks(vendor.batch()) {
            stored += store(vendor, &shelf, date, batch, clock)?;
            if progress.stopped() {
                return Err(VendorError::Stopped);
            }
        }
    }
    Ok(stored)
}

fn shelf(vendor: &dyn OptionVendor, cache: &Cache, underlying: &Symbol) -> Shelf {
    // No option is ever restated for a split: its contract is.
    cache.shelf(vendor.name(), Adjustment::Raw, Kind::Options, underlying)
}

/// Asks for some contracts of one day and adds them to what is there of it.
fn store(
    vendor: &dyn OptionVendor,
    shelf: &Shelf,
    date: Date,
    contracts: &[Contract],
    clock: &dyn Clock,
) -> Result<usize, VendorError> {
    let minutes = vendor.option_minutes(contracts, date)?;
    let day = DateRange { first: date, last: date };
    let mut rows: Vec<OptionRow> = shelf.rows(day)?;
    let before = rows.len();
    for (at, contract) in contracts.iter().enumerate() {
        let of_it: Vec<Row> = minutes.rows.iter().filter(|(of, _)| *of == at).map(|(_, row)| *row).collect();
        let mut checked = Rows::default();
        checked.add(&of_it, false).map_err(|said| VendorError::Malformed {
            vendor: vendor.name(),
            what: format!("minute bars of {contract}"),
            said,
        })?;
        rows.extend(checked.kept.into_iter().map(|row| OptionRow {
            underlying: contract.underlying.to_string(),
            expiry: contract.expiry,
            strike: contract.strike,
            right: contract.right,
            row,
        }));
    }
    let mut record = shelf.sessions(day)?.remove(&date).unwrap_or_default();
    record.fetched = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
    record.bodies.extend(minutes.bodies);
    record.contracts.extend(contracts.iter().map(ToString::to_string).collect::<BTreeSet<_>>());
    let added = rows.len() - before;
    shelf.store(vec![(date, SessionRecord { rows: rows.len(), ..record }, rows)])?;
    Ok(added)
}
