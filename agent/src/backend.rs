//! Which backend computes the networks, and on which device.

pub(crate) mod adam;
pub(crate) mod engine;
pub(crate) mod native;
#[cfg(test)]
pub(crate) mod textbook;
pub(crate) mod torch;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    AdamState, AgentError, Policy, PolicyKind, Precision,
    backend::{
        engine::{Engine, Sizes},
        native::Native,
        torch::Torch,
    },
    config::Backend,
    ppo::rollout::Inputs,
};

/// The device of the networks, written `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU.
    Cuda(usize),
}

impl DeviceChoice {
    /// Checks that libtorch can use the device.
    ///
    /// # Errors
    /// [`AgentError::Device`] for a GPU that is not there.
    pub fn check(self) -> Result<(), AgentError> {
        self.torch().map(drop)
    }

    /// Returns the device as libtorch names it.
    ///
    /// # Errors
    /// [`AgentError::Device`] for a GPU that is not there.
    pub(crate) fn torch(self) -> Result<tch::Device, AgentError> {
        match choose(Backend::Tch, self, Gpus::seen())? {
            Chosen::Tch(device) => Ok(device),
            Chosen::Native => Ok(tch::Device::Cpu),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").and_then(|index| index.parse().ok())) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(index)) => Ok(Self::Cuda(index)),
            _ => Err(format!("`{text}` is no device; say auto, cpu, cuda or cuda:1")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(device: DeviceChoice) -> Self {
        device.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What was chosen in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    Native,
    Tch(tch::Device),
}

/// What this libtorch can reach.
#[derive(Debug, Clone, Copy)]
struct Gpus {
    /// Whether it is built for GPUs at all.
    cuda: bool,
    count: usize,
}

impl Gpus {
    fn seen() -> Self {
        Self { cuda: tch::utils::has_cudart(), count: usize::try_from(tch::Cuda::device_count()).unwrap_or(0) }
    }

    /// Says why a GPU cannot be used and what helps.
    fn lacking(self, index: usize) -> AgentError {
        let reason = self.reason(index);
        AgentError::Device(format!("device cuda:{index} was asked for, but {reason}, or choose --device cpu"))
    }

    fn reason(self, index: usize) -> String {
        match self {
            Self { cuda: false, .. } => {
                "this libtorch is built for the CPU only; run scripts/setup.sh --cuda and build again".to_owned()
            }
            Self { count: 0, .. } => {
                "libtorch sees no GPU; see with nvidia-smi whether there is one and its driver works".to_owned()
            }
            Self { count, .. } if index >= count => {
                format!("libtorch sees {count} GPU(s); name one from cuda:0 to cuda:{}", count - 1)
            }
            Self { count, .. } => format!("libtorch sees {count} GPU(s)"),
        }
    }
}

/// Says which GPUs libtorch can use, or why it can use none.
///
/// # Errors
/// The reason, and what helps.
pub fn gpus() -> Result<usize, String> {
    match Gpus::seen() {
        Gpus { count: 0, cuda } => Err(Gpus { count: 0, cuda }.reason(0)),
        Gpus { count, .. } => Ok(count),
    }
}

/// Settles backend and device.
fn choose(backend: Backend, device: DeviceChoice, gpus: Gpus) -> Result<Chosen, AgentError> {
    match (backend, device) {
        (Backend::Native, DeviceChoice::Cuda(_)) => {
            let hint = "the native backend runs on the CPU only; choose backend tch or auto for a GPU";
            Err(AgentError::Device(hint.into()))
        }
        (_, DeviceChoice::Cuda(index)) if index >= gpus.count => Err(gpus.lacking(index)),
        (Backend::Auto | Backend::Tch, DeviceChoice::Cuda(index)) => Ok(Chosen::Tch(tch::Device::Cuda(index))),
        (Backend::Auto | Backend::Tch, DeviceChoice::Auto) if gpus.count > 0 => Ok(Chosen::Tch(tch::Device::Cuda(0))),
        (Backend::Tch, DeviceChoice::Auto | DeviceChoice::Cpu) => Ok(Chosen::Tch(tch::Device::Cpu)),
        (Backend::Auto | Backend::Native, DeviceChoice::Auto | DeviceChoice::Cpu) => Ok(Chosen::Native),
    }
}

/// Builds the engine for this policy.
pub(crate) fn engine(
    policy: &Policy,
    adam: &AdamState,
    tape: &[f32],
    device: DeviceChoice,
    sizes: Sizes,
) -> Result<Box<dyn Engine>, AgentError> {
    let inputs = Inputs::new(&policy.spec, policy.normalized_tape(tape));
    let backend = match (policy.config.kind, policy.config.precision) {
        (PolicyKind::Mlp, Precision::F32) => policy.config.backend,
        _ => Backend::Tch,
    };
    Ok(match choose(backend, device, Gpus::seen())? {
        Chosen::Native => Box::new(Native::new(policy, adam, inputs, sizes.lanes, sizes.batch)),
        Chosen::Tch(device) => Box::new(Torch::new(policy, adam, &inputs, device, sizes)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_and_print() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            let device = text.parse::<DeviceChoice>().unwrap();
            assert_eq!((device.to_string().as_str(), String::from(device).try_into()), (text, Ok(device)));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:x", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error, format!("`{text}` is no device; say auto, cpu, cuda or cuda:1"));
        }
    }

    #[test]
    fn a_missing_gpu_is_never_replaced_in_silence() {
        let none = Gpus { cuda: false, count: 0 };
        let one = Gpus { cuda: true, count: 1 };
        assert_eq!(choose(Backend::Auto, DeviceChoice::Auto, none).unwrap(), Chosen::Native);
        assert_eq!(choose(Backend::Auto, DeviceChoice::Auto, one).unwrap(), Chosen::Tch(tch::Device::Cuda(0)));
        assert_eq!(choose(Backend::Native, DeviceChoice::Auto, one).unwrap(), Chosen::Native);
        assert_eq!(choose(Backend::Tch, DeviceChoice::Cpu, one).unwrap(), Chosen::Tch(tch::Device::Cpu));
        let refusal = |device, gpus| choose(Backend::Auto, device, gpus).unwrap_err().to_string();
        let cases = [
            (refusal(DeviceChoice::Cuda(0), none), "cuda:0 was asked for, but this libtorch is built for the CPU only"),
            (
                refusal(DeviceChoice::Cuda(0), Gpus { count: 0, ..one }),
                "cuda:0 was asked for, but libtorch sees no GPU",
            ),
            (refusal(DeviceChoice::Cuda(1), one), "cuda:1 was asked for, but libtorch sees 1 GPU(s); name one"),
        ];
        cases.into_iter().for_each(|(error, part)| assert!(error.contains(part), "{error}"));
        choose(Backend::Native, DeviceChoice::Cuda(0), one).unwrap_err();
    }
}
