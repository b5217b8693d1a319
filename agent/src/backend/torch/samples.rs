//! Rollout buffer on the device: written during collection, gathered into minibatches during the update.

use tch::{Device, Kind, TchError, Tensor};

use super::{
    categorical::Actions,
    net::Nets,
    recurrent::{RecurrentState, Sequences},
};
use crate::{
    Policy,
    backend::engine::Sizes,
    ppo::rollout::{Inputs, ObsView},
};

#[cfg(test)]
use crate::ppo::rollout::Rollout;

/// Samples per chunk when the values of a rollout are computed: enough to keep a GPU busy, few enough to fit beside the
/// rollout.
const VALUE_CHUNK: usize = 1 << 16;

/// Tape on the device, and the assembly of policy inputs from it.
#[derive(Debug)]
pub(super) struct Tape {
    device: Device,
    /// All windows of frames, as overlapping rows of the tape `[T - W + 1, W · F]`; `None` without features.
    windows: Option<Tensor>,
    frames: usize,
}

impl Tape {
    pub(super) fn new(inputs: &Inputs, device: Device) -> Result<Self, TchError> {
        let width = inputs.frames * inputs.features;
        let windows = (width > 0).then(|| {
            let count = (inputs.tape.len() / inputs.features + 1).saturating_sub(inputs.frames);
            let tape = Tensor::f_from_slice(&inputs.tape)?.f_to(device)?;
            tape.f_as_strided([count as i64, width as i64], [inputs.features as i64, 1], 0)
        });
        Ok(Self { device, windows: windows.transpose()?, frames: inputs.frames })
    }

    /// Returns the policy inputs of observations outside the rollout. `[B, W · F + A]`
    pub(super) fn observe(&self, obs: ObsView<'_>) -> Result<Tensor, TchError> {
        self.inputs(&self.windows_of(obs.row)?.f_to(self.device)?, &account_of(obs)?.f_to(self.device)?)
    }

    /// Returns the numbers of the windows that end at these rows, on the host. `[B]`
    fn windows_of(&self, rows: &[u32]) -> Result<Tensor, TchError> {
        let numbers: Vec<i32> = rows.iter().map(|&row| row as i32 + 1 - self.frames as i32).collect();
        Tensor::f_from_slice(&numbers)
    }

    fn inputs(&self, window: &Tensor, account: &Tensor) -> Result<Tensor, TchError> {
        match &self.windows {
            Some(windows) => Tensor::f_cat(&[&windows.f_index_select(0, window)?, account], 1),
            None => Ok(account.shallow_clone()),
        }
    }
}

/// Returns the account rows, on the host. `[B, A]`
fn account_of(obs: ObsView<'_>) -> Result<Tensor, TchError> {
    let (samples, numbers) = (obs.row.len(), obs.account.len());
    Tensor::f_from_slice(obs.account)?.f_view([samples as i64, (numbers / samples) as i64])
}

/// Rollout on the device. Every tensor is `[T · N]` unless noted.
#[derive(Debug)]
pub(super) struct Samples {
    sequences: Sequences,
    window: Tensor,
    /// `[T · N, A]`
    account: Tensor,
    mask: Tensor,
    action: Tensor,
    log_prob: Tensor,
    /// `[(T + 1) · N]`
    value: Tensor,
    advantage: Tensor,
    target: Tensor,
    memories: Option<SequenceStates>,
}

/// Recurrent states at the starts of sequences.
#[derive(Debug)]
struct SequenceStates {
    /// Units `U` of a cell.
    units: i64,
    /// Marks the observations that begin an episode. `[T · N]`
    start: Tensor,
    /// State of each lane at the start of each sequence. `[T / L · N, S]`
    initial: Tensor,
}

/// Minibatch; the first dimension is `B`.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) input: Tensor,
    pub(super) past: RecurrentState,
    /// `[B, K]`
    pub(super) illegal: Tensor,
    /// `[B, 1]`
    pub(super) action: Tensor,
    pub(super) log_prob: Tensor,
    pub(super) value: Tensor,
    pub(super) advantage: Tensor,
    pub(super) target: Tensor,
}

impl Samples {
    pub(super) fn new(policy: &Policy, sizes: Sizes, device: Device) -> Result<Self, TchError> {
        let (steps, lanes, columns) = (sizes.steps as i64, sizes.lanes as i64, policy.spec.account.len() as i64);
        let zeros = |size: i64, kind| Tensor::f_zeros(size, (kind, device));
        let samples = steps * lanes;
        let state = policy.layout.state() as i64;
        let memories = if state > 0 {
            let initial = Tensor::f_zeros([samples / sizes.sequence as i64, state], (Kind::Float, device))?;
            let units = policy.config.recurrent_size as i64;
            Some(SequenceStates { units, start: zeros(samples, Kind::Bool)?, initial })
        } else {
            None
        };
        Ok(Self {
            sequences: Sequences { length: sizes.sequence as i64, lanes },
            window: zeros(samples, Kind::Int)?,
            account: Tensor::f_zeros([samples, columns], (Kind::Float, device))?,
            mask: zeros(samples, Kind::Uint8)?,
            action: zeros(samples, Kind::Uint8)?,
            log_prob: zeros(samples, Kind::Float)?,
            value: zeros(samples + lanes, Kind::Float)?,
            advantage: zeros(samples, Kind::Float)?,
            target: zeros(samples, Kind::Float)?,
            memories,
        })
    }

    /// Returns the slice of one step.
    fn at(&self, tensor: &Tensor, time: usize) -> Result<Tensor, TchError> {
        tensor.f_narrow(0, time as i64 * self.sequences.lanes, self.sequences.lanes)
    }

    /// Stores the observations of one step; returns the policy inputs and the masks.
    pub(super) fn observe(&self, tape: &Tape, obs: ObsView<'_>, time: usize) -> Result<(Tensor, Tensor), TchError> {
        let (mut window, mut mask) = (self.at(&self.window, time)?, self.at(&self.mask, time)?);
        let mut account = self.at(&self.account, time)?;
        let masks: Vec<u8> = obs.mask.iter().map(|mask| mask.0).collect();
        window.f_copy_(&tape.windows_of(obs.row)?)?;
        mask.f_copy_(&Tensor::f_from_slice(&masks)?)?;
        account.f_copy_(&account_of(obs)?)?;
        Ok((tape.inputs(&window, &account)?, mask))
    }

    /// Stores the recurrent state before one step if a sequence starts there, and its resets.
    pub(super) fn store_state(&self, past: &RecurrentState, time: usize) -> Result<(), TchError> {
        let (Some(memories), Some(start)) = (&self.memories, &past.start) else { return Ok(()) };
        self.at(&memories.start, time)?.f_copy_(&start.f_flatten(0, -1)?)?;
        let length = self.sequences.length as usize;
        if time.is_multiple_of(length) {
            self.at(&memories.initial, time / length)?.f_copy_(&past.memory()?)?;
        }
        Ok(())
    }

    /// Stores actions and log-probabilities of one step. `[N]`
    pub(super) fn store_actions(&self, time: usize, action: &Tensor, log_prob: &Tensor) -> Result<(), TchError> {
        self.at(&self.action, time)?.f_copy_(action)?;
        self.at(&self.log_prob, time)?.f_copy_(log_prob)
    }

    /// Stores the values of one step, or of the observations after the last. `[N]`
    pub(super) fn store_values(&self, time: usize, value: &Tensor) -> Result<(), TchError> {
        self.at(&self.value, time)?.f_copy_(value)
    }

    /// Computes the values of all steps in chunks, for an MLP policy.
    pub(super) fn evaluate(&self, tape: &Tape, nets: &Nets) -> Result<(), TchError> {
        let samples = self.window.size()[0];
        for first in (0..samples).step_by(VALUE_CHUNK) {
            let part = |tensor: &Tensor| tensor.f_narrow(0, first, (samples - first).min(VALUE_CHUNK as i64));
            let input = tape.inputs(&part(&self.window)?, &part(&self.account)?)?;
            part(&self.value)?.f_copy_(&nets.values(&input, &mut RecurrentState::default())?)?;
        }
        Ok(())
    }

    /// Downloads the actions of one step.
    pub(super) fn read_actions(&self, time: usize, actions: &mut [u8]) -> Result<(), TchError> {
        self.at(&self.action, time)?.f_copy_data(actions, actions.len())
    }

    /// Downloads the log-probabilities and values of all steps.
    pub(super) fn read_estimates(&self, log_prob: &mut [f32], value: &mut [f32]) -> Result<(), TchError> {
        self.log_prob.f_copy_data(log_prob, log_prob.len())?;
        self.value.f_copy_data(value, value.len())
    }

    /// Stores advantages and targets.
    pub(super) fn store_targets(&mut self, advantage: &[f32], target: &[f32]) -> Result<(), TchError> {
        self.advantage.f_copy_(&Tensor::f_from_slice(advantage)?)?;
        self.target.f_copy_(&Tensor::f_from_slice(target)?)
    }

    /// Gathers the minibatch of some sequences.
    pub(super) fn batch(&self, tape: &Tape, actions: &Actions, sequences: &Tensor) -> Result<Batch, TchError> {
        let index = self.sequences.samples(sequences)?;
        let pick = |tensor: &Tensor| tensor.f_index_select(0, &index);
        let past = match &self.memories {
            None => RecurrentState::default(),
            Some(SequenceStates { units, start, initial }) => {
                let start = pick(start)?.f_view([self.sequences.length, -1, 1])?;
                RecurrentState::new(&initial.f_index_select(0, sequences)?, *units, Some(start))?
            }
        };
        Ok(Batch {
            input: tape.inputs(&pick(&self.window)?, &pick(&self.account)?)?,
            past,
            illegal: actions.illegal(&pick(&self.mask)?)?,
            action: pick(&self.action)?.f_to_kind(Kind::Int64)?.f_unsqueeze(1)?,
            log_prob: pick(&self.log_prob)?,
            value: pick(&self.value)?,
            advantage: pick(&self.advantage)?,
            target: pick(&self.target)?,
        })
    }
}

#[cfg(test)]
impl Samples {
    /// Uploads a rollout that was collected elsewhere, of an MLP policy.
    pub(super) fn upload(&mut self, tape: &Tape, rollout: &Rollout) -> Result<(), TchError> {
        for time in 0..rollout.steps {
            let now = time * rollout.lanes..(time + 1) * rollout.lanes;
            let _ = self.observe(tape, rollout.obs.at(time), time)?;
            let tensor = |data: &[f32]| Tensor::f_from_slice(&data[now.clone()]);
            let action = Tensor::f_from_slice(&rollout.action[now.clone()])?;
            self.store_actions(time, &action, &tensor(&rollout.log_prob)?)?;
            self.store_values(time, &tensor(&rollout.value)?)?;
        }
        Ok(())
    }
}
