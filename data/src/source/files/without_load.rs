//! Stand-in of the file source in builds without the feature `load`: the checks of bars, which need no file.

mod exchange_day;
pub mod placement;
mod price_unit;
pub(super) mod suspicion;
pub(super) mod trust;
