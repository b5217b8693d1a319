//! The network of a forecaster: encoder, heads, losses, optimiser, pretraining.

pub(crate) mod dropout;
pub(crate) mod forecaster;
pub(crate) mod loss;
pub(crate) mod net;
pub(crate) mod optimiser;
pub(crate) mod pretrain;
pub(crate) mod transfer;
