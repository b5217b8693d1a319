//! Quality of minute bars: prices that are probably wrong, found by the same rules for a report on raw bars and for a run.

mod days;
mod outliers;

pub use self::{
    days::{At, Bar, Day, FULL, Outside, cut},
    outliers::{DEVIATIONS, Jump, OutlierCount, Outliers, Print, Wick},
};
