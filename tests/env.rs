//! The environment: money, rules, determinism, and nothing from the future.

pub(crate) mod conservation;
pub(crate) mod determinism;
pub(crate) mod leakage;
pub(crate) mod options;
pub(crate) mod oracle;
pub(crate) mod orders;
