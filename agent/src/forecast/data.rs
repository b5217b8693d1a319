//! Training data of a forecaster: samples of a tape, windows of frames.

pub(crate) mod samples;
pub(crate) mod windows;
