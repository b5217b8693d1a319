//! Return forecaster with safeguards against silent collapse.
//!
//! It predicts returns, realised volatilities and directions over several horizons from the frames of a feature tape.
//! Every epoch is scored on all validation samples, a watchdog stops a training that cannot succeed, and a gate
//! compares the result with the constant and a linear predictor, with confidence intervals over dates.
//!
//! Training and forecasting need libtorch; a build without the feature `torch` has configurations, files and scores only.
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

#[cfg(feature = "torch")]
mod baselines;
mod config;
pub mod failures;
#[cfg(test)]
mod gate_tests;
mod history;
mod model;
#[cfg(feature = "torch")]
mod network;
mod samples;
mod scoring;
#[cfg(feature = "torch")]
mod training;
#[cfg(not(feature = "torch"))]
mod without_torch;

#[cfg(not(feature = "torch"))]
pub use self::without_torch::{Ridge, boosted, fit};
#[cfg(feature = "torch")]
pub use self::{
    baselines::{boosted::boosted, ridge::Ridge},
    training::fit,
};

pub use config::{
    Encoder, ForecastConfig, HuberDelta, LossConfig, LossKind, OutputInit, PretrainConfig, StopMetric, Target,
    TargetScale, VarianceTerm,
};
pub use history::{
    FitBaseline, FitListener, Fitted, PretrainEpoch, StopReason,
    epoch::Epoch,
    scores,
    watchdog::{AlarmKind, WatchdogAlarm},
};
pub use model::forecaster::{Forecaster, ForecasterFile};
pub use samples::{ForecastData, Samples, TargetMoments};
pub use scoring::{
    gain::{r2_gain, r2_over},
    gate::{Gate, GateConfig, GateVerdict, Reference},
    outcomes::{Outcomes, TargetKind},
    scores::{ClassIntervals, ClassScores, RegressionIntervals, RegressionScores, Scores},
};
