//! The network of a forecaster, computed with libtorch: encoder, heads, losses, optimiser, pretraining, forecasts.

pub(crate) mod dropout;
pub(crate) mod loss;
pub(crate) mod net;
pub(crate) mod optimiser;
mod predict;
pub(crate) mod pretrain;
pub(crate) mod windows;
