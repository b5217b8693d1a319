//! The libtorch backend, for GPUs and as the reference that the native gradients are checked against.
//!
//! Parameters are one flat leaf tensor whose narrowed views are the layers; the tape lies on the device and minibatches
//! are gathered there from row numbers. Sums of losses stay on the device until the pass is over.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::{
    Activation, AdamState, AgentError, Policy,
    adam::{BETA1, BETA2, EPSILON, step_size_and_root},
    backend::{Choice, Engine},
    distribution::MaskedCategorical,
    layout::{Layout, Net},
    loss::{EpochStats, UpdateSettings},
    rollout::{Inputs, ObsView, Rollout},
};

/// Networks, optimiser, tape and rollout on a libtorch device.
#[derive(Debug)]
pub(crate) struct Torch {
    device: Device,
    layout: Layout,
    activation: Activation,
    /// Every possible window of frames, as overlapping rows of the tape `[T - W + 1, W · F]`; none without features.
    windows: Option<Tensor>,
    frames: usize,
    params: Tensor,
    m: Tensor,
    v: Tensor,
    step: u64,
    rollout: Option<Samples>,
}

/// Samples on the device; the first dimension is `B`.
#[derive(Debug)]
struct Samples {
    row: Tensor,
    account: Tensor,
    mask: Tensor,
    action: Tensor,
    log_prob: Tensor,
    value: Tensor,
    advantage: Tensor,
    target: Tensor,
}

/// The loss of one minibatch, and what is reported of it; on the device.
struct Terms {
    loss: Tensor,
    /// Means of policy loss, value loss, negative entropy, divergence and clipped samples; sum of normalised entropies and
    /// count of unforced samples. `[7]`
    means: Tensor,
}

/// Position of the divergence in [`Terms::means`].
const KL: i64 = 3;

impl Torch {
    pub(crate) fn new(policy: &Policy, adam: &AdamState, inputs: &Inputs, device: Device) -> Result<Self, AgentError> {
        // libtorch has a pool of its own; it shall be as large as the one that the user chose.
        tch::set_num_threads(i32::try_from(rayon::current_num_threads()).unwrap_or(i32::MAX));
        let upload = |data: &[f32]| to_device(data, device);
        let width = inputs.frames * inputs.features;
        let windows = (width > 0).then(|| {
            let count = (inputs.tape.len() / inputs.features + 1).saturating_sub(inputs.frames);
            let tape = upload(&inputs.tape)?;
            Ok(tape.as_strided([count as i64, width as i64], [inputs.features as i64, 1], 0))
        });
        Ok(Self {
            device,
            layout: policy.layout.clone(),
            activation: policy.config.activation,
            windows: windows.transpose()?,
            frames: inputs.frames,
            params: upload(&policy.params)?.set_requires_grad(true),
            m: upload(&adam.m)?,
            v: upload(&adam.v)?,
            step: adam.step,
            rollout: None,
        })
    }

    fn rows(&self, row: &[u32]) -> Result<Tensor, AgentError> {
        let first: Vec<i64> = row.iter().map(|&row| i64::from(row) + 1 - self.frames as i64).collect();
        to_device(&first, self.device)
    }

    fn account(&self, obs: ObsView<'_>) -> Result<Tensor, AgentError> {
        let samples = obs.row.len() as i64;
        Ok(to_device(obs.account, self.device)?.view([samples, (obs.account.len() / obs.row.len()) as i64]))
    }

    /// Policy inputs `[B, W · F + A]`.
    fn inputs(&self, row: &Tensor, account: Tensor) -> Tensor {
        match &self.windows {
            Some(windows) => Tensor::cat(&[windows.index_select(0, row), account], 1),
            None => account,
        }
    }

    fn network(&self, net: &Net, input: Tensor) -> Tensor {
        let slice = |range: std::ops::Range<usize>| self.params.narrow(0, range.start as i64, range.len() as i64);
        net.layers.iter().fold(input, |x, layer| {
            let weight = slice(layer.weight()).view([layer.outputs as i64, layer.inputs as i64]);
            let out = x.linear(&weight, Some(&slice(layer.bias())));
            match (layer.activated, self.activation) {
                (true, Activation::Tanh) => out.tanh(),
                (true, Activation::Relu) => out.relu(),
                (false, _) => out,
            }
        })
    }

    /// Logits `[B, K]` and values `[B]`.
    fn networks(&self, input: Tensor) -> (Tensor, Tensor) {
        let features = self.network(&self.layout.trunk, input);
        let logits = self.network(&self.layout.actor, features.shallow_clone());
        (logits, self.network(&self.layout.critic, features).squeeze_dim(1))
    }

    /// Writes logits and values of some observations.
    fn forward(&self, obs: ObsView<'_>, logits: &mut [f32], values: &mut [f32]) -> Result<(), AgentError> {
        let (row, account) = (self.rows(obs.row)?, self.account(obs)?);
        let (l, v) = no_grad(|| self.networks(self.inputs(&row, account)));
        let read = |tensor: Tensor, out: &mut [f32]| {
            let count = out.len();
            tensor.contiguous().to(Device::Cpu).f_copy_data(out, count).map_err(|e| torch("read actions back", e))
        };
        read(l, logits)?;
        read(v, values)
    }

    /// The loss of one minibatch: the same arithmetic as `loss.rs`, written with tensors.
    fn terms(&self, batch: &[u32], settings: &UpdateSettings) -> Result<Terms, AgentError> {
        let samples: Vec<i64> = batch.iter().map(|&sample| i64::from(sample)).collect();
        let chosen = to_device(&samples, self.device)?;
        let rollout = self.rollout.as_ref().expect("load() comes before epoch()");
        let pick = |tensor: &Tensor| tensor.index_select(0, &chosen);
        let (logits, values) = self.networks(self.inputs(&pick(&rollout.row), pick(&rollout.account)));
        let legal = pick(&rollout.mask);
        let illegal = legal.logical_not();

        let log_probs = logits.masked_fill(&illegal, f64::NEG_INFINITY).log_softmax(1, Kind::Float);
        let probs = log_probs.exp();
        // Zero instead of minus infinity: 0 · ∞ would poison entropy and gradient.
        let log_probs = log_probs.masked_fill(&illegal, 0.0);
        let entropy = -(&probs * &log_probs).sum_dim_intlist(1i64, false, Kind::Float);
        let log_prob = log_probs.gather(1, &pick(&rollout.action).unsqueeze(1), false).squeeze_dim(1);

        let mut advantage = pick(&rollout.advantage);
        if settings.normalize_advantage && batch.len() > 1 {
            advantage = (&advantage - advantage.mean(Kind::Float)) / (advantage.std(true) + 1e-8);
        }
        let log_ratio = log_prob - pick(&rollout.log_prob);
        let ratio = log_ratio.exp();
        let clip = f64::from(settings.loss.clip_range);
        let surrogate = (&ratio * &advantage).minimum(&(ratio.clamp(1.0 - clip, 1.0 + clip) * &advantage));
        let policy_loss = -surrogate.mean(Kind::Float);

        let prediction = match settings.loss.clip_range_vf {
            Some(clip) => {
                let old = pick(&rollout.value);
                let clip = f64::from(clip);
                &old + (values - &old).clamp(-clip, clip)
            }
            None => values,
        };
        let value_loss = (prediction - pick(&rollout.target)).square().mean(Kind::Float);
        let entropy_loss = -entropy.mean(Kind::Float);
        let loss = &policy_loss
            + &entropy_loss * f64::from(settings.loss.ent_coef)
            + &value_loss * f64::from(settings.loss.vf_coef);

        let means = no_grad(|| {
            let legal = legal.sum_dim_intlist(1i64, false, Kind::Float);
            let unforced = legal.gt(1.0).to_kind(Kind::Float);
            let normalized = (&entropy / legal.clamp_min(2.0).log() * &unforced).sum(Kind::Float);
            let approx_kl = (&ratio - 1.0 - &log_ratio).mean(Kind::Float);
            let clipped = (&ratio - 1.0).abs().gt(clip).to_kind(Kind::Float).mean(Kind::Float);
            let unforced = unforced.sum(Kind::Float);
            let means = [&policy_loss, &value_loss, &entropy_loss, &approx_kl, &clipped, &normalized, &unforced];
            Tensor::stack(&means, 0).to_kind(Kind::Double)
        });
        Ok(Terms { loss, means })
    }

    /// Clips the gradient and takes one step of Adam; returns the norm, on the device.
    fn descend(&mut self, loss: &Tensor, settings: &UpdateSettings) -> Tensor {
        let gradient = Tensor::run_backward(&[loss], &[&self.params], false, false).swap_remove(0);
        self.step += 1;
        let (step_size, root) = step_size_and_root(self.step, settings.learning_rate);
        no_grad(|| {
            let norm = gradient.norm();
            let scale = (settings.max_grad_norm / (&norm + 1e-6)).clamp_max(1.0);
            let gradient = gradient * scale;
            self.m = &self.m * BETA1 + &gradient * (1.0 - BETA1);
            self.v = &self.v * BETA2 + gradient.square() * (1.0 - BETA2);
            let update = &self.m / (self.v.sqrt() / root + EPSILON) * step_size;
            self.params = (&self.params - update).set_requires_grad(true);
            norm.to_kind(Kind::Double)
        })
    }

    fn passes(&mut self, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError> {
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Double, self.device));
        let (mut sums, mut norms, mut last) = (zeros(&[7]), zeros(&[]), zeros(&[]));
        let mut stats = EpochStats::default();
        for batch in order.chunks(settings.batch_size) {
            let Terms { loss, means } = self.terms(batch, settings)?;
            stats.minibatches += 1.0;
            sums += &means;
            last = loss.detach();
            if settings.target_kl.is_some_and(|target| means.double_value(&[KL]) > 1.5 * target) {
                stats.stopped = true;
                break;
            }
            norms += self.descend(&loss, settings);
            stats.steps += 1.0;
        }
        (stats.grad_norm, stats.loss) = (norms.double_value(&[]), last.double_value(&[]));
        let sums = Vec::<f64>::try_from(&sums).map_err(|source| torch("read the losses back", source))?;
        let fields = [
            &mut stats.policy_loss,
            &mut stats.value_loss,
            &mut stats.entropy_loss,
            &mut stats.approx_kl,
            &mut stats.clip_fraction,
            &mut stats.entropy_norm,
            &mut stats.unforced,
        ];
        fields.into_iter().zip(sums).for_each(|(field, sum)| *field = sum);
        Ok(stats)
    }
}

#[cfg(test)]
impl Torch {
    /// The gradient of one minibatch, on the host. `[P]`
    pub(crate) fn gradient(&self, batch: &[u32], settings: &UpdateSettings) -> Vec<f32> {
        let loss = self.terms(batch, settings).unwrap().loss;
        Vec::try_from(Tensor::run_backward(&[loss], &[&self.params], false, false).swap_remove(0)).unwrap()
    }
}

impl Engine for Torch {
    fn act(&mut self, rollout: &mut Rollout, time: usize, choice: Choice<'_>) -> Result<(), AgentError> {
        let (obs, out) = rollout.decision(time);
        let actions = self.layout.actions;
        let mut logits = vec![0.0; obs.row.len() * actions];
        self.forward(obs, &mut logits, out.value)?;
        let lanes = logits.chunks_exact(actions).zip(obs.mask).zip(out.action.iter_mut().zip(out.log_prob));
        for (lane, ((logits, &mask), (action, log_prob))) in lanes.enumerate() {
            let distribution = MaskedCategorical::new(logits, mask);
            *action = choice.of(&distribution, lane);
            *log_prob = distribution.log_prob(*action);
        }
        Ok(())
    }

    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError> {
        let Rollout { lanes, last, last_value, .. } = rollout;
        let mut logits = vec![0.0; *lanes * self.layout.actions];
        self.forward(last.at(0), &mut logits, &mut last_value[time * *lanes..(time + 1) * *lanes])
    }

    fn close(&mut self, rollout: &mut Rollout) -> Result<(), AgentError> {
        let samples = rollout.samples();
        let Rollout { steps, lanes, obs, value, .. } = rollout;
        let mut logits = vec![0.0; *lanes * self.layout.actions];
        self.forward(obs.at(*steps), &mut logits, &mut value[samples..])
    }

    fn load(&mut self, rollout: &Rollout) -> Result<(), AgentError> {
        let obs = rollout.obs.first(rollout.samples());
        let actions = 0..self.layout.actions as u8;
        let mask: Vec<bool> = obs.mask.iter().flat_map(|mask| actions.clone().map(|a| mask.allows(a))).collect();
        let action: Vec<i64> = rollout.action.iter().map(|&action| i64::from(action)).collect();
        let upload = |data: &[f32]| to_device(data, self.device);
        self.rollout = Some(Samples {
            row: self.rows(obs.row)?,
            account: self.account(obs)?,
            mask: to_device(&mask, self.device)?.view([-1, self.layout.actions as i64]),
            action: to_device(&action, self.device)?,
            log_prob: upload(&rollout.log_prob)?,
            value: upload(&rollout.value[..rollout.samples()])?,
            advantage: upload(&rollout.advantage)?,
            target: upload(&rollout.target)?,
        });
        Ok(())
    }

    fn epoch(
        &mut self,
        _rollout: &Rollout,
        order: &[u32],
        settings: &UpdateSettings,
    ) -> Result<EpochStats, AgentError> {
        self.passes(order, settings)
    }

    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError> {
        let copy = |tensor: &Tensor, out: &mut [f32]| {
            let count = out.len();
            let host = tensor.detach().to(Device::Cpu);
            host.f_copy_data(out, count).map_err(|source| torch("read the parameters back", source))
        };
        copy(&self.params, params)?;
        copy(&self.m, &mut adam.m)?;
        copy(&self.v, &mut adam.v)?;
        adam.step = self.step;
        Ok(())
    }

    fn describe(&self) -> String {
        match self.device {
            Device::Cuda(index) => format!("libtorch on GPU {index}"),
            _ => format!("libtorch on the CPU, {} thread(s)", tch::get_num_threads()),
        }
    }
}

fn to_device<T: tch::kind::Element>(data: &[T], device: Device) -> Result<Tensor, AgentError> {
    Tensor::f_from_slice(data)
        .and_then(|tensor| tensor.f_to(device))
        .map_err(|source| torch("copy data to the device", source))
}

fn torch(action: &'static str, source: TchError) -> AgentError {
    AgentError::Torch { action, source }
}
