//! Baselines of the forecaster: ridge regression and gradient-boosted trees.

pub(crate) mod boosted;
pub(crate) mod ridge;
