//! Scores of forecasts, their intervals, and the verdict on each target.

pub(crate) mod gain;
pub(crate) mod gate;
pub(crate) mod measure;
pub(crate) mod outcomes;
pub(crate) mod scores;
