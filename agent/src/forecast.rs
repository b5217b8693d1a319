//! Return forecaster with safeguards against silent collapse.
//!
//! It predicts returns, realised volatilities and directions over several horizons from the frames of a feature tape.
//! Every epoch is scored on all validation samples, a watchdog stops a training that cannot succeed, and a gate
//! compares the result with the constant and a linear predictor, with confidence intervals over dates.
//!
//! Letters: `N` samples, `k` frames of a sample, `F` features of a frame, `M` targets, `B` samples of a minibatch, `P` parameters.
//!
//! ```text
//! ForecastData ─► fit: baseline (constant, linear) ─► epochs ─► Fitted ─► Forecaster ─► predict ─► scores ─► gate
//! ```
//!
//! ```
//! use ppo_agent::{DeviceChoice, forecast::{ForecastConfig, failures::planted, fit}};
//!
//! let planted = planted::heavy_tailed(3000, 1);
//! let config = ForecastConfig { max_epochs: 3, ..ForecastConfig::default() };
//! let fitted = fit(&planted.data, &config, 1, DeviceChoice::Cpu, &mut ())?;
//! assert!(fitted.epochs[0].line().starts_with("Epoch 1 | R²: "));
//! let forecasts = fitted.forecaster.predict(&planted.data.tape, &planted.test)?;
//! assert_eq!(forecasts.len(), planted.test.len());
//! # Ok::<(), ppo_agent::AgentError>(())
//! ```

mod baselines;
mod config;
mod data;
pub mod failures;
#[cfg(test)]
mod gate_tests;
mod network;
mod scoring;
mod training;

pub use baselines::{boosted::boosted, ridge::Ridge};
pub use config::{
    Encoder, ForecastConfig, HuberDelta, LossConfig, LossKind, OutputInit, PretrainConfig, StopMetric, Target,
    TargetScale, VarianceTerm,
};
pub use data::samples::{ForecastData, Samples, TargetMoments};
pub use network::{
    forecaster::{Forecaster, ForecasterFile},
    pretrain::PretrainEpoch,
};
pub use scoring::{
    gain::r2_gain,
    gate::{Gate, GateConfig, GateVerdict, Reference},
    outcomes::{Outcomes, TargetKind},
    scores::{ClassIntervals, ClassScores, RegressionIntervals, RegressionScores, Scores},
};
pub use training::{
    FitBaseline, FitListener, Fitted, StopReason,
    epoch::Epoch,
    fit, scores,
    watchdog::{AlarmKind, WatchdogAlarm},
};
