//! Doubts about a series: everything that stops a run before its bars become sessions.

use super::{
    exchange_day::{self, index_misplaced, misplaced},
    suspicion::{self, Suspicion},
};
use crate::{BarFormat, Bars, DailySeries, DataError};

/// Remedy for a series that a vendor delivered.
#[cfg(feature = "load")]
const OTHER_VENDOR: &str =
    "the vendor's data are at fault: move the folder away and fetch again, or take another vendor";

/// Check of the series of one kind, by its origin, its bars and whether their times state the instant.
pub(in crate::source) type Check = fn(&mut Trust, &str, &Bars, bool) -> Result<(), DataError>;

/// Checks of the series of one history. A series in doubt is refused, or noted where the format allows it.
#[derive(Debug)]
pub(in crate::source) struct Trust {
    format: BarFormat,
    /// Remedy of every doubt, if it is not the doubt's own.
    cure: Option<&'static str>,
    /// Doubts that the format allows, one sentence each.
    notes: Vec<String>,
}

impl Trust {
    /// Checks of series that a user gives, whose times have the form `format`.
    pub(in crate::source) fn new(format: BarFormat) -> Self {
        Self { format, cure: None, notes: Vec::new() }
    }

    /// Checks of series that a vendor delivered.
    #[cfg(feature = "load")]
    pub(in crate::source) fn of_vendor(format: BarFormat) -> Self {
        Self { cure: Some(OTHER_VENDOR), ..Self::new(format) }
    }

    /// Checks minute bars of a fund or an index; `states_zone` is true if their times state the instant.
    ///
    /// # Errors
    /// Bars of another interval than a minute, times that contradict the exchange's day, prices in another unit or off by a factor.
    pub(in crate::source) fn bars(&mut self, origin: &str, bars: &Bars, states_zone: bool) -> Result<(), DataError> {
        exchange_day::check_interval_of_many(bars)?;
        let check = if bars.symbol().as_str().starts_with("VIX") { index_misplaced } else { misplaced };
        let misplaced = || check(bars, &self.format, states_zone);
        let doubt = misplaced().or_else(|| suspicion::unit(bars)).or_else(|| suspicion::jump(bars));
        self.judge(origin, doubt)
    }

    /// Checks minute bars of VIX or VIX1D.
    ///
    /// # Errors
    /// Times that contradict the exchange's day, an impossible level.
    pub(in crate::source) fn index(&mut self, origin: &str, bars: &Bars, states_zone: bool) -> Result<(), DataError> {
        self.judge(origin, index_misplaced(bars, &self.format, states_zone).or_else(|| suspicion::level(bars)))
    }

    /// Checks daily closes of VIX.
    ///
    /// # Errors
    /// An impossible level.
    pub(in crate::source) fn closes(&mut self, origin: &str, closes: &DailySeries) -> Result<(), DataError> {
        self.judge(origin, suspicion::daily_level(closes))
    }

    /// Returns the doubts that the format allows, one sentence each.
    pub(in crate::source) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    fn judge(&mut self, origin: &str, doubt: Option<Suspicion>) -> Result<(), DataError> {
        let Some(Suspicion { what, cure }) = doubt else { return Ok(()) };
        if !self.format.allow_suspicious {
            let cure = self.cure.map_or(cure, str::to_owned);
            return Err(DataError::Suspicious { path: origin.to_owned(), what, cure });
        }
        self.notes.push(format!("{origin} is read as data.allow_suspicious wants it, but {what}"));
        Ok(())
    }
}

/// Returns what is wrong with the times of the bars that a vendor delivered, those outside trading hours included.
#[cfg(feature = "load")]
pub(in crate::source) fn delivered_misplaced(bars: &Bars) -> Option<String> {
    let format = BarFormat::default();
    let check = if bars.symbol().as_str().starts_with("VIX") { index_misplaced } else { misplaced };
    check(bars, &format, true).map(|doubt| doubt.what)
}
