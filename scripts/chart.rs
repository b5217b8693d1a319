//! Style, captions and panels shared by all charts.

pub(crate) mod captions;
pub(crate) mod panel;
pub mod style;
pub(crate) mod thin;
