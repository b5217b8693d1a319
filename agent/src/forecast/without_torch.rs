//! Stand-ins for the computations of forecasters in a build without libtorch: every call is refused.

use crate::{
    AgentError, DeviceChoice,
    forecast::{FitListener, Fitted, ForecastConfig, ForecastData, Forecaster, Samples},
};

const REFUSAL: AgentError = AgentError::NoLibtorch("forecasters");

/// Refuses to train a forecaster.
///
/// # Errors
/// [`AgentError::NoLibtorch`], always.
pub fn fit(
    _: &ForecastData,
    _: &ForecastConfig,
    _: u64,
    _: DeviceChoice,
    _: &mut dyn FitListener,
) -> Result<Fitted, AgentError> {
    Err(REFUSAL)
}

/// Refuses to fit gradient-boosted trees.
///
/// # Errors
/// [`AgentError::NoLibtorch`], always.
pub fn boosted(_: &ForecastData, _: usize, _: usize, _: &Samples, _: u64) -> Result<Vec<f32>, AgentError> {
    Err(REFUSAL)
}

/// Linear model, of which there is none in this build.
#[derive(Debug)]
pub enum Ridge {}

impl Ridge {
    /// Refuses to fit a linear model.
    ///
    /// # Errors
    /// [`AgentError::NoLibtorch`], always.
    pub fn fit(_: &ForecastData, _: usize) -> Result<Self, AgentError> {
        Err(REFUSAL)
    }

    /// Returns the forecasts of a linear model.
    ///
    /// # Errors
    /// None: there is no linear model to call it on.
    pub fn predict(&self, _: &[f32], _: &Samples) -> Result<Vec<f32>, AgentError> {
        match *self {}
    }
}

impl Forecaster {
    /// Refuses to compute forecasts.
    ///
    /// # Errors
    /// [`AgentError::NoLibtorch`], always.
    pub fn predict(&self, _: &[f32], _: &Samples) -> Result<Vec<f32>, AgentError> {
        Err(REFUSAL)
    }
}
