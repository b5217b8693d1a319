//! Training: learning, verdicts, forecasters.

pub(crate) mod follower;
pub(crate) mod forecast;
pub(crate) mod health;
pub(crate) mod learning;
