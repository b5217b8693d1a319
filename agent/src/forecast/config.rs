//! The free choices of a forecaster: what it predicts, its network, its loss, when its training ends.

use std::fmt;

use market_env::{BarSize, Horizon};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GateConfig, TargetKind};
use crate::Activation;

/// What turns frames into the features that the heads see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// Linear layers over all frames side by side.
    #[default]
    Mlp,
    /// Gated recurrent units, frame after frame.
    Gru,
    /// Self-attention among the frames, pre-normalised, read at the newest one.
    Attention,
}

/// The loss of a regression target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Mean squared error: its best constant is the mean.
    #[default]
    Mse,
    /// Mean absolute error: its best constant is the median.
    Mae,
    /// Squared within `delta`, absolute beyond it.
    Huber,
    /// Pinball loss of one quantile.
    Quantile,
}

/// Where the Huber loss turns from squared to absolute.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, try_from = "RawDelta")]
pub enum HuberDelta {
    /// `huber_k` standard deviations of each target.
    #[default]
    #[serde(serialize_with = "auto")]
    Auto,
    /// This many units of the target.
    Fixed(f64),
}

fn auto<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("auto")
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RawDelta {
    Word(String),
    Number(f64),
}

impl TryFrom<RawDelta> for HuberDelta {
    type Error = String;

    fn try_from(raw: RawDelta) -> Result<Self, String> {
        match raw {
            RawDelta::Number(delta) => Ok(Self::Fixed(delta)),
            RawDelta::Word(word) if word == "auto" => Ok(Self::Auto),
            RawDelta::Word(word) => match word.parse() {
                Ok(delta) => Ok(Self::Fixed(delta)),
                Err(_) => Err(format!("`{word}` is no delta; say auto, or a number in the target's unit")),
            },
        }
    }
}

/// A term against predictions that shrink to a constant, per target and minibatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VarianceTerm {
    /// No such term.
    #[default]
    None,
    /// `(1 - Var(pred) / Var(target))²`.
    Variance,
    /// `1 - R²`.
    R2,
    /// `|1 - std(pred) / std(target)|`.
    Std,
}

/// What the network learns to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetScale {
    /// Targets less their training mean, over their training deviation. All targets and losses then have one scale.
    #[default]
    Standardized,
    /// Targets in their own unit, as the failed projects had them.
    Raw,
}

/// Initial weights of the output layer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, try_from = "RawInit")]
pub enum OutputInit {
    /// PyTorch's: uniform within `1 / sqrt(inputs)`, biases too.
    #[default]
    #[serde(serialize_with = "default_word")]
    Default,
    /// Normal with this standard deviation; biases zero.
    Std(f64),
}

fn default_word<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("default")
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RawInit {
    Word(String),
    Number(f64),
}

impl TryFrom<RawInit> for OutputInit {
    type Error = String;

    fn try_from(raw: RawInit) -> Result<Self, String> {
        match raw {
            RawInit::Number(std) => Ok(Self::Std(std)),
            RawInit::Word(word) if word == "default" => Ok(Self::Default),
            RawInit::Word(word) => match word.parse() {
                Ok(std) => Ok(Self::Std(std)),
                Err(_) => {
                    Err(format!("`{word}` is no initialisation; say default, or a standard deviation such as 0.1"))
                }
            },
        }
    }
}

/// What early stopping watches on the validation samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopMetric {
    /// Mean R² of the regression targets. A loss may fall while predictions shrink to a constant.
    #[default]
    R2,
    /// Loss.
    Loss,
    /// Loss - 2 · mean R².
    Combined,
}

/// What is added up for a gradient: section `[forecast.loss]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Loss of returns and volatilities.
    pub kind: LossKind,
    /// Error at which Huber's loss turns absolute: auto, or a number in the target's unit, above 0. auto is `huber_k`
    /// deviations. A value much above a target's deviation makes the loss squared and tiny, and warns.
    pub huber_delta: HuberDelta,
    /// Standard deviations of the target at which `huber_delta` auto turns absolute, above 0. 1.345 is 95 % as
    /// efficient as least squares on normal errors (Huber 1981).
    pub huber_k: f64,
    /// Quantile of the loss `quantile`, between 0 and 1. 0.5 is the median.
    pub quantile: f64,
    /// Weight of the regression losses, 0 or more.
    pub reg_weight: f64,
    /// Weight of the directions' cross-entropy, 0 or more.
    pub clf_weight: f64,
    /// Term against predictions that shrink to a constant. none: an honest forecaster of an unpredictable target has a
    /// small spread, and the term makes it louder, not better.
    pub variance_term: VarianceTerm,
    /// Weight of the variance term, 0 or more.
    pub variance_weight: f64,
    /// Weight of a sample whose target is more than a standard deviation from its mean, above 0. 1: as much as any
    /// other.
    pub overweight: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            kind: LossKind::Mse,
            huber_delta: HuberDelta::Auto,
            huber_k: 1.345,
            quantile: 0.5,
            reg_weight: 1.0,
            clf_weight: 0.5,
            variance_term: VarianceTerm::None,
            variance_weight: 0.5,
            overweight: 1.0,
        }
    }
}

/// Self-supervised pretraining of the encoder: section `[forecast.pretrain]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// Pretraining of the encoder, which learns to reconstruct hidden frames first.
    pub enabled: bool,
    /// Share of a sample's frames that are hidden, between 0 and 1; at least one frame and never all.
    pub masked: f64,
    /// Most passes of pretraining over the training samples, 1 to 1000000.
    pub epochs: usize,
    /// Passes without a better reconstruction of the validation samples that end the pretraining, 1 to 1000000.
    pub patience: usize,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self { enabled: false, masked: 0.34, epochs: 30, patience: 3 }
    }
}

/// A forecaster and its training: section `[forecast]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForecastConfig {
    /// Bars that the forecaster sees. Horizons of sessions need day.
    pub bars: BarSize,
    /// Horizons of the targets: bars such as 5, close, or sessions such as 1d. Each has a return, a realised volatility
    /// and a direction.
    pub horizons: Vec<Horizon>,
    /// Frames of an input, 1 to 60, newest last. Before a session's open its first bar is repeated.
    pub temporal_frames: usize,
    /// Network that turns frames into features.
    pub encoder: Encoder,
    /// Units of a layer, 1 to 4096; for attention a multiple of `heads`.
    pub hidden_size: usize,
    /// Layers of the encoder, 1 to 16.
    pub layers: usize,
    /// Heads of attention, 1 to 64.
    pub heads: usize,
    /// Activation of the linear layers; a policy that takes the encoder over needs the same. relu: volatility in a
    /// storm lies beyond the training range, where tanh is flat. On 2024-2025 R² is 0.34 with relu, 0.28 with tanh.
    pub activation: Activation,
    /// Share of a layer's outputs that a training step leaves out, 0 to 0.95.
    pub dropout: f64,
    /// Initial weights of the output layer: default, or a standard deviation such as 0.1. default is PyTorch's: uniform
    /// within 1 / sqrt(inputs), biases too.
    pub output_init: OutputInit,
    /// Scale of the targets that the network learns.
    pub target_scale: TargetScale,
    /// Step size of Adam, above 0.
    pub learning_rate: f64,
    /// Pull of every parameter towards zero, added to its gradient as in `torch.optim.Adam`, 0 or more. Ten times the
    /// default has frozen a training.
    pub weight_decay: f64,
    /// Samples of a minibatch, 2 to 2^20.
    pub batch_size: usize,
    /// Minibatches over which the step size rises in a line from zero.
    pub warmup_steps: u64,
    /// Largest norm of a gradient, above 0.
    pub max_grad_norm: f64,
    /// Most passes over the training samples, 1 to 1000000.
    pub max_epochs: usize,
    /// Epochs without an improvement of `early_stopping` that end the training, 1 to 1000000.
    pub patience: usize,
    /// Least change that counts as an improvement, 0 or more.
    pub min_delta: f64,
    /// Figure of the validation samples that early stopping watches.
    pub early_stopping: StopMetric,
    /// The loss.
    pub loss: LossConfig,
    /// Self-supervised pretraining.
    pub pretrain: PretrainConfig,
    /// Thresholds of the verdicts on its forecasts.
    pub gate: GateConfig,
}

impl Default for ForecastConfig {
    fn default() -> Self {
        Self {
            bars: BarSize::Minute,
            horizons: vec![Horizon::Bars(5)],
            temporal_frames: 3,
            encoder: Encoder::Mlp,
            hidden_size: 64,
            layers: 2,
            heads: 4,
            activation: Activation::Relu,
            dropout: 0.3,
            output_init: OutputInit::Default,
            target_scale: TargetScale::Standardized,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
            batch_size: 256,
            warmup_steps: 100,
            max_grad_norm: 1.0,
            max_epochs: 100,
            patience: 30,
            min_delta: 1e-5,
            early_stopping: StopMetric::R2,
            loss: LossConfig::default(),
            pretrain: PretrainConfig::default(),
            gate: GateConfig::default(),
        }
    }
}

impl ForecastConfig {
    /// Returns every fault, each with its path; empty when the configuration can be used.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Horizon::check(&self.horizons, self.bars);
        let mut range = |name: &str, value: f64, good: bool, wanted: &str| {
            if !good {
                faults.push(format!("forecast.{name}: {value} is not {wanted}"));
            }
        };
        for (name, value, most) in [
            ("temporal_frames", self.temporal_frames, 60),
            ("hidden_size", self.hidden_size, 4096),
            ("layers", self.layers, 16),
            ("heads", self.heads, 64),
            ("max_epochs", self.max_epochs, 1_000_000),
            ("patience", self.patience, 1_000_000),
            ("pretrain.epochs", self.pretrain.epochs, 1_000_000),
            ("pretrain.patience", self.pretrain.patience, 1_000_000),
        ] {
            range(name, value as f64, (1..=most).contains(&value), &format!("between 1 and {most}"));
        }
        range("batch_size", self.batch_size as f64, (2..=1 << 20).contains(&self.batch_size), "between 2 and 2^20");
        for (name, value) in [
            ("learning_rate", self.learning_rate),
            ("max_grad_norm", self.max_grad_norm),
            ("loss.huber_k", self.loss.huber_k),
            ("loss.overweight", self.loss.overweight),
        ] {
            range(name, value, value > 0.0 && value.is_finite(), "above 0");
        }
        for (name, value) in [
            ("weight_decay", self.weight_decay),
            ("min_delta", self.min_delta),
            ("loss.reg_weight", self.loss.reg_weight),
            ("loss.clf_weight", self.loss.clf_weight),
            ("loss.variance_weight", self.loss.variance_weight),
        ] {
            range(name, value, value >= 0.0 && value.is_finite(), "0 or more");
        }
        range("dropout", self.dropout, (0.0..=0.95).contains(&self.dropout), "between 0 and 0.95");
        for (name, value) in [("loss.quantile", self.loss.quantile), ("pretrain.masked", self.pretrain.masked)] {
            range(name, value, value > 0.0 && value < 1.0, "between 0 and 1");
        }
        if let HuberDelta::Fixed(delta) = self.loss.huber_delta {
            range("loss.huber_delta", delta, delta > 0.0 && delta.is_finite(), "above 0, nor auto");
        }
        if let OutputInit::Std(std) = self.output_init {
            range("output_init", std, std > 0.0 && std.is_finite(), "above 0, nor default");
        }
        faults.extend(self.gate.check().into_iter().map(|fault| format!("forecast.{fault}")));
        faults.extend(self.contradictions());
        faults
    }

    /// Choices that are sound alone but not together.
    fn contradictions(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.encoder == Encoder::Attention && self.heads > 0 && !self.hidden_size.is_multiple_of(self.heads) {
            let (heads, units) = (self.heads, self.hidden_size);
            faults.push(format!("forecast.heads: {heads} does not divide forecast.hidden_size {units}"));
        }
        if self.pretrain.enabled && self.temporal_frames < 2 {
            faults.push("forecast.pretrain.enabled: a single frame has no other to be reconstructed from".to_owned());
        }
        if self.loss.reg_weight == 0.0 && self.loss.clf_weight == 0.0 {
            faults.push("forecast.loss.reg_weight: with clf_weight 0 too there is nothing to learn".to_owned());
        }
        faults
    }

    /// Returns the name, horizon and kind of every target: return, volatility and direction of the first horizon, then of the next.
    pub fn targets(&self) -> Vec<Target> {
        let of_horizon = |&horizon: &Horizon| TargetKind::ALL.map(|kind| Target { kind, horizon });
        self.horizons.iter().flat_map(of_horizon).collect()
    }
}

/// One output of a forecaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What is predicted.
    pub kind: TargetKind,
    /// How far ahead.
    pub horizon: Horizon,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.kind, self.horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_fault_is_named() {
        assert_eq!(ForecastConfig::default().check(), Vec::<String>::new());
        let mut config = ForecastConfig {
            temporal_frames: 0,
            dropout: 1.0,
            heads: 7,
            encoder: Encoder::Attention,
            ..ForecastConfig::default()
        };
        config.pretrain.enabled = true;
        config.loss.quantile = 1.0;
        config.loss.huber_delta = HuberDelta::Fixed(0.0);
        config.output_init = OutputInit::Std(-1.0);
        let faults = config.check().join("\n");
        for part in [
            "temporal_frames: 0",
            "dropout: 1",
            "heads: 7 does not divide",
            "pretrain.enabled",
            "quantile",
            "huber_delta: 0 is not above 0",
            "output_init: -1",
        ] {
            assert!(faults.contains(part), "{part} in\n{faults}");
        }
    }

    #[test]
    fn words_and_numbers_are_read_and_written() {
        let read = |json: &str| serde_json::from_str::<LossConfig>(json);
        assert_eq!(read(r#"{"huber_delta": "auto"}"#).unwrap().huber_delta, HuberDelta::Auto);
        assert_eq!(read(r#"{"huber_delta": 0.5}"#).unwrap().huber_delta, HuberDelta::Fixed(0.5));
        assert!(read(r#"{"huber_delta": "x"}"#).unwrap_err().to_string().contains("`x` is no delta"));
        for init in [OutputInit::Default, OutputInit::Std(0.01)] {
            let config = ForecastConfig { output_init: init, ..ForecastConfig::default() };
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ForecastConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn targets_are_named_by_kind_and_horizon() {
        let horizons = vec![Horizon::Bars(5), Horizon::Close];
        let names: Vec<String> = ForecastConfig { horizons, ..ForecastConfig::default() }
            .targets()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            names,
            ["return_5", "volatility_5", "direction_5", "return_close", "volatility_close", "direction_close"]
        );
    }
}
