//! A return forecaster that cannot quietly collapse.
//!
//! It learns returns, realised volatilities and directions of several horizons from the frames of a feature tape, is scored after every
//! epoch on all validation samples, stops with a reason when nothing can come of it, and is judged against the constant and a linear
//! predictor with intervals over dates.
//!
//! Letters: `N` samples, `k` frames of a sample, `F` features of a frame, `M` targets, `B` samples of a minibatch, `P` parameters.
//!
//! ```text
//! ForecastData ─► fit: outset (constant, linear) ─► epochs ─► Fitted ─► Forecaster ─► predict ─► scores ─► gate
//! ```
//!
//! ```
//! use ppo_agent::{DeviceChoice, forecast::{ForecastConfig, fit, planted}};
//!
//! let planted = planted::heavy_tailed(3000, 1);
//! let config = ForecastConfig { max_epochs: 3, ..ForecastConfig::default() };
//! let fitted = fit(&planted.data, &config, 1, DeviceChoice::Cpu, &mut ())?;
//! assert!(fitted.epochs[0].line().starts_with("Epoch 1 | R²: "));
//! let forecasts = fitted.forecaster.predict(&planted.data.tape, &planted.test)?;
//! assert_eq!(forecasts.len(), planted.test.len());
//! # Ok::<(), ppo_agent::AgentError>(())
//! ```

mod boosted;
mod config;
mod dropout;
mod epoch;
pub mod failures;
mod gain;
mod gate;
#[cfg(test)]
mod gate_tests;
mod loss;
mod measure;
mod model;
mod net;
mod optimiser;
mod outcomes;
pub mod planted;
mod pretrain;
mod ridge;
mod samples;
mod scores;
mod training;
mod transfer;
mod watchdog;
mod windows;

pub use boosted::boosted;
pub use config::{
    Encoder, ForecastConfig, HuberDelta, LossConfig, LossKind, OutputInit, PretrainConfig, StopMetric, Target,
    TargetScale, VarianceTerm,
};
pub use epoch::Epoch;
pub use gain::r2_gain;
pub use gate::{Gate, GateConfig, GateVerdict, Reference};
pub use model::{Forecaster, ForecasterFile};
pub use outcomes::{Outcomes, TargetKind};
pub use pretrain::PretrainEpoch;
pub use ridge::Ridge;
pub use samples::{ForecastData, Samples, TargetMoments};
pub use scores::{ClassIntervals, ClassScores, RegressionIntervals, RegressionScores, Scores};
pub use training::{End, FitListener, Fitted, Outset, fit, scores};
pub use watchdog::{Emergency, Trouble};
