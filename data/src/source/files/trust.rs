//! Doubts about a series: everything that stops a run before its bars become sessions.

use super::{
    exchange_day::{self, index_misplaced, misplaced},
    suspicion::{self, Suspicion},
};
use crate::{BarFormat, Bars, DataError};

/// Returns the first doubt about minute bars of a fund or an index; `states_zone` is true if their times state the instant.
///
/// # Errors
/// Bars of another interval than a minute.
pub(in crate::source) fn doubt(
    bars: &Bars,
    format: &BarFormat,
    states_zone: bool,
) -> Result<Option<Suspicion>, DataError> {
    exchange_day::check_interval_of_many(bars)?;
    let check = if bars.symbol().as_str().starts_with("VIX") { index_misplaced } else { misplaced };
    let misplaced = || check(bars, format, states_zone);
    Ok(misplaced().or_else(|| suspicion::unit(bars)).or_else(|| suspicion::jump(bars)))
}

/// Returns the first doubt about minute bars of VIX or VIX1D.
pub(in crate::source) fn index_doubt(bars: &Bars, format: &BarFormat, states_zone: bool) -> Option<Suspicion> {
    index_misplaced(bars, format, states_zone).or_else(|| suspicion::level(bars))
}
