//! Flags of `zerodte bench`.

use clap::Args;
use ppo_agent::{Backend, DeviceChoice, PolicyKind, Precision};
use serde::de::{DeserializeOwned, IntoDeserializer as _, value};

use super::case::{Case, Part, Workload};
use crate::{config::flags::PrintFlags, output::exit_code::UsageError};

/// Flags of `zerodte bench`: the workload and changes of its sizes.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true)]
pub struct BenchFlags {
    /// Workload to measure
    #[arg(long, value_enum)]
    pub workload: Workload,
    /// Threads, 0 = one per core [default: 0; modurl: 1]
    #[arg(long, value_name = "K")]
    pub threads: Option<usize>,
    /// Seconds to repeat the rounds for, after check and warm-up
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub seconds: f64,
    /// Accounts stepped together; rollouts of 512 or 256 steps are shortened, down to 16, to stay near 32,768
    /// lane-steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub lanes: Option<u32>,
    /// Session dates of each of the three symbols of the synthetic market [default: 60]
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: Option<u32>,
    /// Bars per observation [default: 1]
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub frames: Option<u32>,
    /// lstm or gru: cell of the workload recurrent [default: lstm]
    #[arg(long, value_parser = named::<PolicyKind>)]
    pub policy: Option<PolicyKind>,
    /// native or tch; auto = libtorch on a GPU, else native [default: auto]
    #[arg(long, value_parser = named::<Backend>)]
    pub backend: Option<Backend>,
    /// f32 or bf16: precision of libtorch's matrix products while training [default: f32]
    #[arg(long, value_parser = named::<Precision>)]
    pub precision: Option<Precision>,
    /// Samples per gradient step [default: the workload's]
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
    /// cpu, cuda or cuda:N [default: cpu; gpu: cuda:0]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Format of the printed result.
    #[command(flatten)]
    pub output: PrintFlags,
}

/// Parses a choice by its name in the configuration.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

impl BenchFlags {
    /// Returns the workload with the sizes of the flags.
    ///
    /// # Errors
    /// [`UsageError`] if a flag does not apply to the workload, or sizes are inconsistent.
    pub(crate) fn case(&self) -> Result<Case, UsageError> {
        let mut case = Case::from(self.workload);
        if !(0.0..=86_400.0).contains(&self.seconds) {
            return Err(UsageError::one(format!("--seconds: {} is not between 0 and 86400", self.seconds)));
        }
        let of_networks =
            [self.backend.is_some(), self.device.is_some(), self.precision.is_some(), self.batch_size.is_some()];
        if case.part == Part::Step && of_networks.contains(&true) {
            return Err(UsageError::one(
                "--backend, --device, --precision, --batch-size: the workload env has no networks",
            ));
        }
        let of_sizes = [self.lanes.is_some(), self.sessions.is_some(), self.frames.is_some()];
        if case.part == Part::Limits && [&of_networks[..], &of_sizes].concat().contains(&true) {
            return Err(UsageError::one("--workload peak: it takes --threads, --seconds and --json alone"));
        }
        match self.policy {
            Some(_) if case.policy.kind == PolicyKind::Mlp => {
                return Err(UsageError::one("--policy: only the workload recurrent has a policy with memory"));
            }
            Some(PolicyKind::Mlp) => return Err(UsageError::one("--policy: use lstm or gru, a policy with memory")),
            kind => case.policy.kind = kind.unwrap_or(case.policy.kind),
        }
        if self.device == Some(DeviceChoice::Auto) {
            return Err(UsageError::one("--device: use cpu, cuda or cuda:N; a measurement needs a fixed device"));
        }
        case.threads = self.threads.unwrap_or(case.threads);
        case.device = self.device.unwrap_or(case.device);
        case.policy.backend = self.backend.unwrap_or(case.policy.backend);
        case.policy.precision = self.precision.unwrap_or(case.policy.precision);
        if let Some(sessions) = self.sessions {
            case = case.with_sessions(sessions as usize)?;
        }
        if let Some(frames) = self.frames {
            case = case.with_frames(frames as usize)?;
        }
        if let Some(lanes) = self.lanes {
            case = case.with_lanes(lanes as usize);
        }
        case.ppo.batch_size = self.batch_size.map_or(case.ppo.batch_size, |size| size as usize);
        let sequences = if case.policy.kind == PolicyKind::Mlp { Vec::new() } else { case.ppo.check_sequences() };
        UsageError::check([case.ppo.check(), case.policy.check(), sequences].concat())?;
        Ok(case)
    }
}
