//! Backends that compute the networks, and the choice of backend and device.

pub(crate) mod adam;
pub(crate) mod engine;
pub(crate) mod native;
#[cfg(test)]
pub(crate) mod textbook;
#[cfg_attr(not(feature = "torch"), path = "backend/without_torch.rs")]
pub(crate) mod torch;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    AdamState, AgentError, Policy, PolicyConfig, Precision,
    backend::{
        engine::{Engine, Sizes},
        native::Native,
    },
    config::Backend,
    ppo::rollout::Inputs,
};

/// Device that computes the networks, as given by the user: `auto`, `cpu`, `cuda` or `cuda:1`.
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
    /// Checks that the device exists.
    ///
    /// # Errors
    /// [`AgentError::Device`] for a GPU that does not exist, [`AgentError::NoLibtorch`] for a GPU in a build without libtorch.
    pub fn check(self) -> Result<(), AgentError> {
        self.resolved(Backend::Auto).map(drop)
    }

    /// Resolves the choices of backend and device on this machine.
    fn resolved(self, backend: Backend) -> Result<ResolvedBackend, AgentError> {
        if let Self::Cuda(_) = self {
            require_libtorch("GPUs")?;
        }
        resolve(backend, self, torch::gpus())
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
            _ => Err(format!("`{text}` is not a device; use auto, cpu, cuda or cuda:1")),
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

/// True if this build has libtorch (feature `torch`), which GPUs and forecasters need.
pub const HAS_LIBTORCH: bool = cfg!(feature = "torch");

/// Checks that this build has libtorch.
///
/// # Errors
/// [`AgentError::NoLibtorch`], with the part of the program that needs it, in the plural.
pub fn require_libtorch(part: &'static str) -> Result<(), AgentError> {
    if HAS_LIBTORCH { Ok(()) } else { Err(AgentError::NoLibtorch(part)) }
}

/// Backend and device after `auto` is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResolvedBackend {
    Native,
    /// libtorch on this GPU, or on the CPU.
    Tch(Option<usize>),
}

/// GPUs visible to this build of libtorch.
#[derive(Debug, Clone, Copy)]
struct Gpus {
    /// True if libtorch was built with CUDA.
    cuda: bool,
    count: usize,
}

impl Gpus {
    /// Returns the error for a GPU that cannot be used, with a remedy.
    fn unavailable(self, index: usize) -> AgentError {
        let reason = self.reason(index);
        AgentError::Device(format!("device cuda:{index} is not available: {reason}, or use --device cpu"))
    }

    fn reason(self, index: usize) -> String {
        match self {
            Self { cuda: false, .. } => {
                "this libtorch is built for the CPU only; run scripts/setup.sh --cuda and build again".to_owned()
            }
            Self { count: 0, .. } => {
                "libtorch sees no GPU; check with nvidia-smi that the GPU and its driver work".to_owned()
            }
            Self { count, .. } if index >= count => {
                format!("libtorch sees {count} GPU(s); use cuda:0 to cuda:{}", count - 1)
            }
            Self { count, .. } => format!("libtorch sees {count} GPU(s)"),
        }
    }
}

/// Returns the number of GPUs that libtorch can use.
///
/// # Errors
/// The reason that there is none, with a remedy.
pub fn gpus() -> Result<usize, String> {
    require_libtorch("GPUs").map_err(|error| error.to_string())?;
    match torch::gpus() {
        Gpus { count: 0, cuda } => Err(Gpus { count: 0, cuda }.reason(0)),
        Gpus { count, .. } => Ok(count),
    }
}

/// Resolves `auto` and checks that backend and device fit together.
fn resolve(backend: Backend, device: DeviceChoice, gpus: Gpus) -> Result<ResolvedBackend, AgentError> {
    match (backend, device) {
        (Backend::Native, DeviceChoice::Cuda(_)) => {
            let hint = "the native backend runs on the CPU only; choose backend tch or auto for a GPU";
            Err(AgentError::Device(hint.into()))
        }
        (_, DeviceChoice::Cuda(index)) if index >= gpus.count => Err(gpus.unavailable(index)),
        (Backend::Auto | Backend::Tch, DeviceChoice::Cuda(index)) => Ok(ResolvedBackend::Tch(Some(index))),
        (Backend::Auto | Backend::Tch, DeviceChoice::Auto) if gpus.count > 0 => Ok(ResolvedBackend::Tch(Some(0))),
        (Backend::Tch, DeviceChoice::Auto | DeviceChoice::Cpu) => Ok(ResolvedBackend::Tch(None)),
        (Backend::Auto | Backend::Native, DeviceChoice::Auto | DeviceChoice::Cpu) => Ok(ResolvedBackend::Native),
    }
}

impl PolicyConfig {
    /// Checks that this build and this machine can compute the policy on a device.
    ///
    /// # Errors
    /// [`AgentError::Device`] for a GPU that does not exist, [`AgentError::NoLibtorch`] when this build lacks the backend.
    pub fn check_backend(&self, device: DeviceChoice) -> Result<(), AgentError> {
        self.resolved(device).map(drop)
    }

    /// Resolves backend and device on this machine.
    fn resolved(&self, device: DeviceChoice) -> Result<ResolvedBackend, AgentError> {
        let (backend, part) = match self.precision {
            Precision::F32 => (self.backend, "policies on the backend tch"),
            Precision::Bf16 => (Backend::Tch, "policies in bf16"),
        };
        let resolved = device.resolved(backend)?;
        if resolved != ResolvedBackend::Native {
            require_libtorch(part)?;
        }
        Ok(resolved)
    }
}

/// Builds the engine of a policy.
pub(crate) fn engine(
    policy: &Policy,
    adam: &AdamState,
    tape: &[f32],
    device: DeviceChoice,
    sizes: Sizes,
) -> Result<Box<dyn Engine>, AgentError> {
    let resolved = policy.config.resolved(device)?;
    build(resolved, policy, adam, Inputs::new(&policy.spec, policy.normalized_tape(tape)), sizes)
}

fn build(
    backend: ResolvedBackend,
    policy: &Policy,
    adam: &AdamState,
    inputs: Inputs,
    sizes: Sizes,
) -> Result<Box<dyn Engine>, AgentError> {
    Ok(match backend {
        ResolvedBackend::Native => Box::new(Native::new(policy, adam, inputs, sizes)),
        ResolvedBackend::Tch(gpu) => torch::engine(policy, adam, &inputs, gpu, sizes)?,
    })
}

/// Builds the engine of an untrained policy on the CPU, on inputs of a test.
#[cfg(test)]
pub(crate) fn engine_on(backend: Backend, policy: &Policy, inputs: &Inputs, sizes: Sizes) -> Box<dyn Engine> {
    let resolved = DeviceChoice::Cpu.resolved(backend).unwrap();
    build(resolved, policy, &AdamState::new(policy.params.len()), inputs.clone(), sizes).unwrap()
}

/// Backends of this build.
#[cfg(test)]
pub(crate) const BUILT: &[Backend] = if HAS_LIBTORCH { &[Backend::Native, Backend::Tch] } else { &[Backend::Native] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_choice_round_trips_through_text() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            let device = text.parse::<DeviceChoice>().unwrap();
            assert_eq!((device.to_string().as_str(), String::from(device).try_into()), (text, Ok(device)));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:x", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error, format!("`{text}` is not a device; use auto, cpu, cuda or cuda:1"));
        }
    }

    #[test]
    fn a_missing_gpu_is_an_error_not_a_fallback() {
        let none = Gpus { cuda: false, count: 0 };
        let one = Gpus { cuda: true, count: 1 };
        assert_eq!(resolve(Backend::Auto, DeviceChoice::Auto, none).unwrap(), ResolvedBackend::Native);
        assert_eq!(resolve(Backend::Auto, DeviceChoice::Auto, one).unwrap(), ResolvedBackend::Tch(Some(0)));
        assert_eq!(resolve(Backend::Native, DeviceChoice::Auto, one).unwrap(), ResolvedBackend::Native);
        assert_eq!(resolve(Backend::Tch, DeviceChoice::Cpu, one).unwrap(), ResolvedBackend::Tch(None));
        let refusal = |device, gpus| resolve(Backend::Auto, device, gpus).unwrap_err().to_string();
        let cases = [
            (refusal(DeviceChoice::Cuda(0), none), "cuda:0 is not available: this libtorch is built for the CPU only"),
            (refusal(DeviceChoice::Cuda(0), Gpus { count: 0, ..one }), "cuda:0 is not available: libtorch sees no GPU"),
            (refusal(DeviceChoice::Cuda(1), one), "cuda:1 is not available: libtorch sees 1 GPU(s); use"),
        ];
        cases.into_iter().for_each(|(error, part)| assert!(error.contains(part), "{error}"));
        resolve(Backend::Native, DeviceChoice::Cuda(0), one).unwrap_err();
    }
}
