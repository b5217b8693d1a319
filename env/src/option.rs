//! Option contracts and their prices: formulas, quotes, strikes, fees, volatility models.

pub mod black_scholes;
pub(crate) mod contract;
pub(crate) mod events;
pub(crate) mod fees;
pub(crate) mod fitted_models;
pub(crate) mod level;
pub(crate) mod level_draw;
pub(crate) mod listing;
pub(crate) mod pricing;
pub(crate) mod quote;
pub(crate) mod strike;
pub(crate) mod surface;
pub(crate) mod vol_model;
