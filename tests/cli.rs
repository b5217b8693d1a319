//! The binaries as a user runs them.

pub(crate) mod audit_reward;
pub(crate) mod calibrate;
pub(crate) mod forecast_compare;
pub(crate) mod golden;
pub(crate) mod inspect;
pub(crate) mod reproduce_collapse;
pub(crate) mod resume;
pub(crate) mod train;
pub(crate) mod trained_model;
pub(crate) mod watch;
