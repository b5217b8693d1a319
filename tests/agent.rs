//! Training: learning, verdicts, forecasters.

pub(crate) mod follower;
#[cfg(feature = "torch")]
pub(crate) mod forecast;
pub(crate) mod health;
pub(crate) mod learning;
