//! Predictors that a forecaster is compared with.

pub(crate) mod boosted;
pub(crate) mod ridge;
