//! The style and the panels that all charts share.

pub(crate) mod panel;
pub mod style;
