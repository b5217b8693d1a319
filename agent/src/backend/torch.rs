//! libtorch backend, for GPUs, and the reference for the native gradients.
//!
//! The tape stays on the device. Row numbers, account rows, masks and uniforms of a rollout are uploaded once; actions
//! are downloaded at every step, log-probabilities and values once at the end. Advantages and targets are uploaded
//! before the update, whose minibatches are gathered on the device. The host synchronises with the device at each
//! collection step and after each pass of an update; with `target_kl` also after each minibatch. CUDA graphs would
//! remove the launch overhead per minibatch, but tch 0.24 cannot record them.

mod adam;
mod categorical;
mod loss;
mod net;
#[cfg(test)]
mod parity_tests;
mod recurrent;
mod samples;

use tch::{Device, Kind, TchError, Tensor, no_grad};

use self::{
    categorical::{Actions, Categorical},
    loss::{Terms, Totals},
    net::Nets,
    recurrent::LaneState,
    samples::{Samples, Tape},
};
use super::{Gpus, ResolvedBackend};
use crate::{
    AdamState, AgentError, Backend, DeviceChoice, Policy, Precision,
    backend::engine::{ActionSelection, Engine, Sizes},
    ppo::{
        loss::{EpochStats, UpdateSettings},
        rollout::{Inputs, Rollout},
    },
};

pub(crate) use self::{
    adam::Adam,
    recurrent::{Cell, RecurrentState},
};

/// Fewest rows of a matrix product that several CPU threads compute faster than one.
const MIN_PARALLEL_ROWS: usize = 512;

/// Builds the engine of a policy on a GPU, or on the CPU.
pub(super) fn engine(
    policy: &Policy,
    adam: &AdamState,
    inputs: &Inputs,
    gpu: Option<usize>,
    sizes: Sizes,
) -> Result<Box<dyn Engine>, AgentError> {
    Ok(Box::new(Torch::new(policy, adam, inputs, gpu.map_or(Device::Cpu, Device::Cuda), sizes)?))
}

/// Returns the GPUs that libtorch can use.
pub(super) fn gpus() -> Gpus {
    Gpus { cuda: tch::utils::has_cudart(), count: usize::try_from(tch::Cuda::device_count()).unwrap_or(0) }
}

/// Returns the libtorch device of a choice.
///
/// # Errors
/// [`AgentError::Device`] when the GPU does not exist.
pub(crate) fn device(choice: DeviceChoice) -> Result<Device, AgentError> {
    Ok(match choice.resolved(Backend::Tch)? {
        ResolvedBackend::Tch(Some(index)) => Device::Cuda(index),
        ResolvedBackend::Tch(None) | ResolvedBackend::Native => Device::Cpu,
    })
}

/// Networks, optimiser, tape and rollout on a libtorch device.
#[derive(Debug)]
pub(crate) struct Torch {
    device: Device,
    precision: Precision,
    tape: Tape,
    actions: Actions,
    nets: Nets,
    adam: Adam,
    samples: Samples,
    /// `None` for an MLP policy.
    memory: Option<LaneState>,
    /// Steps of a sequence.
    sequence: usize,
    /// Largest number of rows in a forward pass of collection or update.
    rows: usize,
}

impl Torch {
    pub(crate) fn new(
        policy: &Policy,
        adam: &AdamState,
        inputs: &Inputs,
        device: Device,
        sizes: Sizes,
    ) -> Result<Self, AgentError> {
        let torch = Self::build(policy, adam, inputs, device, sizes)
            .map_err(failed("set up the networks and the rollout buffer"))?;
        torch.set_threads();
        Ok(torch)
    }

    /// Limits libtorch's thread pool, which is global to the process, to the number that the user chose, and to one
    /// thread for small networks. The order of sums depends on the pool, so every caller sets it before it computes.
    fn set_threads(&self) {
        let threads = if self.rows < MIN_PARALLEL_ROWS { 1 } else { rayon::current_num_threads() };
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }

    fn build(
        policy: &Policy,
        adam: &AdamState,
        inputs: &Inputs,
        device: Device,
        sizes: Sizes,
    ) -> Result<Self, TchError> {
        let upload = |data: &[f32]| Tensor::f_from_slice(data)?.f_to(device);
        let adam = Adam { params: upload(&policy.params)?, m: upload(&adam.m)?, v: upload(&adam.v)?, step: adam.step };
        let state = policy.layout.state() as i64;
        let memory = if state > 0 {
            let now = Tensor::f_zeros([sizes.lanes as i64, state], (Kind::Float, device))?;
            Some(LaneState { states: now, units: policy.config.recurrent_size as i64 })
        } else {
            None
        };
        Ok(Self {
            device,
            precision: policy.config.precision,
            tape: Tape::new(inputs, device)?,
            actions: Actions::new(policy.layout.actions, device)?,
            nets: Nets::new(&adam.params, policy)?,
            adam,
            samples: Samples::new(policy, sizes, device)?,
            memory,
            sequence: sizes.sequence,
            rows: sizes.lanes.max(sizes.batch / sizes.sequence),
        })
    }

    /// Returns the recurrent state before a step; `start` marks the lanes whose state is reset. `[N]`
    fn past(&self, start: Option<&[bool]>) -> Result<RecurrentState, TchError> {
        self.memory.as_ref().map_or_else(|| Ok(RecurrentState::default()), |memory| memory.past(start))
    }

    fn decide(&mut self, rollout: &mut Rollout, time: usize, selection: ActionSelection<'_>) -> Result<(), TchError> {
        let mut past = self.past(Some(rollout.starts(time)))?;
        self.samples.store_state(&past, time)?;
        let (input, mask) = self.samples.observe(&self.tape, rollout.obs.at(time), time)?;
        let logits = match &mut self.memory {
            // Without recurrence the values of the whole rollout are computed at once after the last step.
            None => self.nets.logits(&input, &mut past)?,
            Some(memory) => {
                let (logits, values) = self.nets.forward(&input, &mut past)?;
                self.samples.store_values(time, &values)?;
                memory.states = past.memory()?;
                logits
            }
        };
        let of = Categorical::new(&logits, &self.actions.illegal(&mask)?)?;
        let action = match selection {
            ActionSelection::Sampled(uniforms) => {
                self.actions.sample(&of, &Tensor::f_from_slice(uniforms)?.f_to(self.device)?)?
            }
            ActionSelection::Greedy => of.greedy()?,
        };
        self.samples.store_actions(time, &action, &of.log_prob(&action)?)?;
        let (obs, out) = rollout.decision(time);
        self.samples.read_actions(time, out.action)?;
        of.read(out.prob)?;
        for (action, mask) in out.action.iter_mut().zip(obs.mask).filter(|(action, mask)| !mask.allows(**action)) {
            // The logits are NaN and the update will fail; until then take the first legal action.
            *action = mask.0.trailing_zeros() as u8;
        }
        Ok(())
    }

    /// Computes the missing values and downloads all estimates of the rollout.
    fn finish_estimates(&self, rollout: &mut Rollout) -> Result<(), TchError> {
        let time = rollout.steps;
        let last = self.tape.observe(rollout.obs.at(time))?;
        let values = self.nets.values(&last, &mut self.past(Some(rollout.starts(time)))?)?;
        self.samples.store_values(time, &values)?;
        if self.memory.is_none() {
            self.samples.evaluate(&self.tape, &self.nets)?;
        }
        self.samples.read_estimates(&mut rollout.log_prob, &mut rollout.value)
    }

    /// Computes the loss of a minibatch of sequences.
    fn terms(&self, sequences: &Tensor, settings: &UpdateSettings) -> Result<Terms, TchError> {
        let mut batch = self.samples.batch(&self.tape, &self.actions, sequences)?;
        let (logits, values) = self.nets.forward(&batch.input, &mut batch.past)?;
        Terms::new(&batch, &logits, &values, settings)
    }

    fn pass(&mut self, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, TchError> {
        let order = upload_numbers(order, self.device)?;
        let mut totals = Totals::new(self.device)?;
        for sequences in order.f_split((settings.batch_size / self.sequence) as i64, 0)? {
            let terms = self.terms(&sequences, settings)?;
            if settings.target_kl.is_some_and(|target| terms.approx_kl.double_value(&[]) > 1.5 * target) {
                totals.add(terms, None)?;
                return totals.read(true);
            }
            let gradient = self.nets.gradient(&terms.loss)?;
            let rates = (settings.learning_rate, settings.weight_decay);
            let norm = self.adam.descend(gradient, rates, settings.max_grad_norm)?;
            totals.add(terms, Some(norm))?;
        }
        totals.read(false)
    }
}

impl Engine for Torch {
    fn act(&mut self, rollout: &mut Rollout, time: usize, selection: ActionSelection<'_>) -> Result<(), AgentError> {
        if time == 0 {
            self.set_threads();
        }
        no_grad(|| self.decide(rollout, time, selection)).map_err(failed("choose actions"))
    }

    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError> {
        let Rollout { lanes, last, last_value, .. } = rollout;
        let out = &mut last_value[time * *lanes..(time + 1) * *lanes];
        let values = || self.nets.values(&self.tape.observe(last.at(0))?, &mut self.past(None)?);
        no_grad(|| values()?.f_copy_data(out, *lanes)).map_err(failed("compute values"))
    }

    fn finish_rollout(&mut self, rollout: &mut Rollout) -> Result<(), AgentError> {
        no_grad(|| self.finish_estimates(rollout)).map_err(failed("compute values"))
    }

    fn load(&mut self, rollout: &Rollout) -> Result<(), AgentError> {
        self.samples.store_targets(&rollout.advantage, &rollout.target).map_err(failed("copy advantages to the device"))
    }

    fn epoch(
        &mut self,
        _rollout: &Rollout,
        order: &[u32],
        settings: &UpdateSettings,
    ) -> Result<EpochStats, AgentError> {
        self.set_threads();
        self.pass(order, settings).map_err(failed("run an epoch of the update"))
    }

    fn activations(&mut self, _rollout: &Rollout, picks: &[u32]) -> Result<Vec<Vec<f32>>, AgentError> {
        let hidden = || {
            let sequences = upload_numbers(picks, self.device)?;
            let mut batch = self.samples.batch(&self.tape, &self.actions, &sequences)?;
            let outputs = self.nets.hidden(&batch.input, &mut batch.past)?;
            outputs.iter().map(|output| Vec::try_from(output.f_flatten(0, -1)?)).collect::<Result<_, _>>()
        };
        no_grad(hidden).map_err(failed("compute the hidden activations"))
    }

    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError> {
        let copies = [(&self.adam.params, params), (&self.adam.m, &mut adam.m), (&self.adam.v, &mut adam.v)];
        for (tensor, out) in copies {
            tensor.f_copy_data(out, out.len()).map_err(failed("copy the parameters back"))?;
        }
        adam.step = self.adam.step;
        Ok(())
    }

    #[cfg(test)]
    fn load_external(&mut self, rollout: &Rollout) {
        self.samples.upload(&self.tape, rollout).unwrap();
        self.load(rollout).unwrap();
    }

    #[cfg(test)]
    fn gradient(&mut self, _rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Vec<f32> {
        let loss = self.terms(&upload_numbers(order, self.device).unwrap(), settings).unwrap().loss;
        Vec::try_from(self.nets.gradient(&loss).unwrap()).unwrap()
    }

    fn memory(&self, out: &mut [f32]) -> Result<(), AgentError> {
        let copy = |memory: &LaneState| memory.states.f_copy_data(out, out.len());
        self.memory.as_ref().map_or(Ok(()), copy).map_err(failed("copy the recurrent state back"))
    }

    fn set_memory(&mut self, memory: &[f32]) -> Result<(), AgentError> {
        let copy = |own: &mut LaneState| own.states.f_copy_(&Tensor::f_from_slice(memory)?.f_view_as(&own.states)?);
        self.memory.as_mut().map_or(Ok(()), copy).map_err(failed("copy the recurrent state to the device"))
    }

    fn describe(&self) -> String {
        let precision = match self.precision {
            Precision::F32 => "",
            Precision::Bf16 => ", bfloat16",
        };
        match self.device {
            Device::Cuda(index) => format!("libtorch on GPU {index}{precision}"),
            _ => format!("libtorch on the CPU, {} thread(s){precision}", tch::get_num_threads()),
        }
    }
}

fn upload_numbers(numbers: &[u32], device: Device) -> Result<Tensor, TchError> {
    let numbers: Vec<i32> = numbers.iter().map(|&number| number as i32).collect();
    Tensor::f_from_slice(&numbers)?.f_to(device)
}

fn failed(action: &'static str) -> impl FnOnce(TchError) -> AgentError {
    move |source| AgentError::Torch { action, source }
}
