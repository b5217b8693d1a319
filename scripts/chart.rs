//! Style and panels shared by all charts.

pub(crate) mod panel;
pub mod style;
