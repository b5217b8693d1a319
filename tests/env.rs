//! The environment: money, rules, determinism, no look-ahead.

pub(crate) mod conservation;
pub(crate) mod determinism;
pub(crate) mod leakage;
pub(crate) mod live;
pub(crate) mod options;
pub(crate) mod oracle;
pub(crate) mod orders;
pub(crate) mod windows;
